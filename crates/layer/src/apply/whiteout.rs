//! What the name of an entry says: a file, or that something is hidden.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use plimsoll_content::{Code, Error, Result};

use super::reserved::WHITEOUT;
use crate::path::{RelPath, shown};

/// The name that hides all of its folder.
const OPAQUE: &[u8] = b".wh..wh..opq";

/// What starts the names that AUFS kept for itself.
const AUFS: &[u8] = b".wh..wh.";

/// What the name of an entry says.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Meaning {
    /// A file of that name.
    File,
    /// Nothing of lower layers is seen at that name, in the entry's folder.
    Hide(OsString),
    /// Nothing of lower layers is seen in the entry's folder.
    HideAll,
    /// Something that AUFS kept for itself, and that no engine shows.
    Private,
}

/// Why the name of an entry is none.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Odd {
    /// It lies in a folder that is named as a whiteout is.
    Folder,
    /// It is a whiteout of nothing.
    Bare,
}

/// Reads the name of an entry, and those of its parents.
pub(crate) fn meaning(path: &RelPath) -> Result<Meaning> {
    look(path).map_err(|odd| {
        let error = Error::new(Code::UnsafeEntry, format!("reading entry {path}"));
        let name = |start: &[u8]| {
            let mut names = path.components().map(OsStr::as_bytes);
            shown(names.find(|name| name.starts_with(start)).unwrap_or_default())
        };
        match odd {
            Odd::Folder => error
                .found(format!("a folder named {} as a whiteout is", name(WHITEOUT)))
                .expected("whiteouts without anything in them"),
            Odd::Bare => error
                .found(format!("whiteout {}", name(WHITEOUT)))
                .expected("the name of a file behind .wh. (LY20)"),
        }
    })
}

/// The same without words.
pub(crate) fn look(path: &RelPath) -> Result<Meaning, Odd> {
    let mut components = path.components().map(OsStr::as_bytes);
    let Some(name) = components.next_back() else { return Ok(Meaning::File) };
    for parent in components {
        if parent.starts_with(AUFS) {
            return Ok(Meaning::Private);
        }
        if parent.starts_with(WHITEOUT) {
            return Err(Odd::Folder);
        }
    }
    match name.strip_prefix(WHITEOUT) {
        None => Ok(Meaning::File),
        Some(_) if name == OPAQUE => Ok(Meaning::HideAll),
        Some(_) if name.starts_with(AUFS) => Ok(Meaning::Private),
        Some(b"" | b"." | b"..") => Err(Odd::Bare),
        Some(hidden) => Ok(Meaning::Hide(OsStr::from_bytes(hidden).to_owned())),
    }
}

/// Whether a private name is one that AUFS really used: for hard links of
/// removed files, orphans and its own state.
pub(crate) fn is_known_private(path: &RelPath) -> bool {
    let mut names = path.components().map(OsStr::as_bytes);
    let private = names.find_map(|name| name.strip_prefix(AUFS));
    matches!(private, Some(b"plnk" | b"aufs" | b"orph"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &str) -> Result<Meaning> {
        meaning(&RelPath::parse(path.as_bytes()).expect("good"))
    }

    #[test]
    fn wh01_wh02_wh03_wh12_names_are_told_apart() {
        for (path, says) in [
            ("", Meaning::File),
            ("a/b", Meaning::File),
            ("a/.wh", Meaning::File),
            ("a/x.wh.y", Meaning::File),
            ("a/.wh.b", Meaning::Hide("b".into())),
            (".wh..b", Meaning::Hide(".b".into())),
            (".wh....", Meaning::Hide("...".into())),
            ("a/.wh..wh..opq", Meaning::HideAll),
            ("a/.wh..wh.x", Meaning::Private),
            (".wh..wh.plnk", Meaning::Private),
            (".wh..wh.plnk/12.34", Meaning::Private),
        ] {
            assert_eq!(read(path).expect("good"), says, "{path}");
        }
        for path in [".wh.", "a/.wh.", ".wh..", "a/.wh...", "a/.wh.b/c"] {
            assert_eq!(read(path).expect_err(path).code(), Code::UnsafeEntry);
        }
    }
}
