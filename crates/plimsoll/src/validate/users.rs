//! Who is in `/etc/passwd` and `/etc/group` of an image, seen as its layers
//! go by.

use std::io::Read;

use plimsoll_content::{Code, Error};
use plimsoll_layer::{Entry, EntryKind};
use plimsoll_runtime::user;

/// What is known of a file.
#[derive(Clone, Debug, Default)]
enum State {
    /// No layer has it.
    #[default]
    Absent,
    /// What it holds.
    Known(Vec<u8>),
    /// It is a link, or in a layer that was not looked into.
    Unknown,
}

/// The files of the image, layer by layer.
#[derive(Debug, Default)]
pub(super) struct Users {
    passwd: Tracked,
    group: Tracked,
}

#[derive(Debug, Default)]
struct Tracked {
    lower: State,
    own: Option<State>,
    hidden: bool,
}

impl Users {
    /// Takes in the next entry of a layer.
    pub(super) fn entry(&mut self, entry: &Entry, body: &mut dyn Read) {
        match entry.path.as_bytes() {
            b"etc/passwd" => self.passwd.entry(entry, body),
            b"etc/group" => self.group.entry(entry, body),
            b"etc/.wh.passwd" => self.passwd.hidden = true,
            b"etc/.wh.group" => self.group.hidden = true,
            b"etc/.wh..wh..opq" | b".wh.etc" | b".wh..wh..opq" => {
                (self.passwd.hidden, self.group.hidden) = (true, true);
            }
            // Where a link leads is not known here.
            b"etc" if entry.kind != EntryKind::Directory => self.lose(),
            _ => {}
        }
    }

    /// Ends a layer that was read to its end and proved, or was not.
    pub(super) fn end_layer(&mut self, proved: bool) {
        if !proved {
            self.lose();
        }
        self.passwd.end_layer();
        self.group.end_layer();
    }

    /// Ends a layer that is not looked into.
    pub(super) fn skip(&mut self) {
        self.end_layer(false);
    }

    /// Why nobody of the image is meant by `user`, as far as that is known.
    pub(super) fn refuse(&self, user: &str) -> Option<Error> {
        // Without a group in the text, only the user's line matters.
        let (passwd, group) = (&self.passwd.lower, &self.group.lower);
        if passwd.is_unknown() || group.is_unknown() && user.contains(':') {
            return None;
        }
        let error = user::resolve_from(passwd.bytes(), group.bytes(), user).err()?;
        (error.code() == Code::Config).then_some(error)
    }

    fn lose(&mut self) {
        self.passwd.own = Some(State::Unknown);
        self.group.own = Some(State::Unknown);
    }
}

impl Tracked {
    fn entry(&mut self, entry: &Entry, body: &mut dyn Read) {
        let mut bytes = Vec::new();
        let small = matches!(entry.kind, EntryKind::File { size } if size <= user::FILE);
        // What fails in reading fails again in whoever reads on.
        let whole = small && body.take(user::FILE).read_to_end(&mut bytes).is_ok();
        self.own = Some(if whole { State::Known(bytes) } else { State::Unknown });
    }

    fn end_layer(&mut self) {
        let hidden = std::mem::take(&mut self.hidden);
        match self.own.take() {
            Some(own) => self.lower = own,
            None if hidden => self.lower = State::Absent,
            None => {}
        }
    }
}

impl State {
    fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown)
    }

    fn bytes(&self) -> Option<&[u8]> {
        if let Self::Known(bytes) = self { Some(bytes) } else { None }
    }
}
