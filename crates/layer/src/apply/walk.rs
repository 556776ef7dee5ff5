//! Where in the tree the applier is: a chain of folder handles, what is known
//! about each, and what the current layer has made.
//!
//! The chain holds real folders only, never links, so one folder has one
//! place in it. A folder gets its mode and time when the chain leaves it.

mod hide;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::sync::Arc;

use plimsoll_content::{Code, Error, Result};
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, Stat, Timespec, Timestamps, UTIME_OMIT, fchmod, fstat,
    futimens, mkdirat, openat, readlinkat, statat,
};
use rustix::io::Errno;

use super::Threads;
use super::aside::{Aside, FEW, Job, MANY, leave};
use super::attributes::{Attributes, timespec};
use crate::entry::{Entry, Timestamp};
use crate::finding::Findings;
use crate::handle::{Chain, Identity, Usable, is_empty, usable, usable_folder};
use crate::limits::PATH;
use crate::path::{RelPath, shown};
use crate::remove;

/// How many links one path may lead through: what Linux allows.
const LINKS: usize = 40;

/// How many files this thread makes in a folder before the second one may
/// take over.
const RUN: u32 = 64;

/// The mode of folders that no layer has an entry for.
const IMPLIED: u32 = 0o755;

/// What a layer has done to one name in a folder that it did not make.
#[derive(Clone, Copy, Debug)]
struct Mark {
    /// Owner, mode and times are this layer's.
    own: bool,
    /// All content is this layer's.
    fresh: bool,
}

/// One folder of the chain.
struct Level {
    name: OsString,
    /// Everything in it is of the current layer.
    fresh: bool,
    /// The mode to set on leaving, if any.
    mode: Option<u32>,
    /// The time to set on leaving, if the folder was touched.
    time: Timespec,
    touched: bool,
    /// A handle for the second thread, once it makes files in here.
    shared: Option<Arc<OwnedFd>>,
    /// Whose turn it is to make the files in here.
    turn: Turn,
}

/// Whose files those of a folder are. Two threads in one folder wait for each
/// other, so they change as seldom as can be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Turn {
    /// Nobody's yet.
    Open,
    /// The second thread's.
    Theirs,
    /// This thread's; how many it made.
    Ours(u32),
}

/// How parents are found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Parents {
    /// For entries: links are followed as in a chroot, what is missing is made.
    Make,
    /// For targets of hard links: links are followed, nothing is made.
    Find,
    /// For whiteouts: links are refused, nothing is made (normative
    /// ambiguity 12: removing through a link has removed files outside).
    Bare,
}

/// The applier's place in the tree.
pub(super) struct Walk {
    chain: Chain<Level>,
    /// The real path of the lowest folder.
    path: Vec<u8>,
    /// What the current layer has put into folders of lower layers, by real
    /// path.
    marks: BTreeMap<Vec<u8>, Mark>,
    /// Modes that would lock an ordinary user out before all layers are in.
    later: BTreeMap<Vec<u8>, (Identity, u32)>,
    /// Devices that could not be made, so that links to them can not either.
    omitted: BTreeSet<Vec<u8>>,
    /// The thread that makes small files.
    aside: Aside,
    threads: Threads,
}

impl Walk {
    /// Starts at the root; tells whether it is that of lower layers, because
    /// the caller says so or because it holds something.
    pub(super) fn new(
        root: BorrowedFd<'_>,
        attributes: &Arc<Attributes>,
        over: bool,
        threads: Threads,
    ) -> Result<(Self, bool)> {
        let failed = |errno: Errno| Error::io("opening", "the root filesystem", errno.into());
        let Usable { folder: handle, before, was_closed } = usable(root).map_err(failed)?;
        let lower = over || !is_empty(&handle).map_err(failed)?;
        let mut level = Level::entered(OsString::new(), &before);
        if was_closed {
            level.mode = Some(before.st_mode & 0o7777);
        }
        if !lower {
            level.imply();
            attributes.imply(&handle).map_err(failed)?;
        }
        let walk = Self {
            chain: Chain::new(handle, level),
            path: Vec::new(),
            marks: BTreeMap::new(),
            later: BTreeMap::new(),
            omitted: BTreeSet::new(),
            aside: Aside::new(attributes.clone()),
            threads: match threads {
                Threads::Spare
                    if std::thread::available_parallelism().is_ok_and(|it| it.get() < 2) =>
                {
                    Threads::One
                }
                other => other,
            },
        };
        Ok((walk, lower))
    }

    /// Begins a layer; `lower` tells whether there is anything below it.
    pub(super) fn begin(&mut self, lower: bool) -> Result<()> {
        self.up_to(0)?;
        self.aside.wait()?;
        self.marks.clear();
        self.chain.top().fresh = !lower;
        Ok(())
    }

    /// Leaves all folders and sets what had to wait.
    pub(super) fn finish(mut self) -> Result<()> {
        self.up_to(0)?;
        self.aside.wait()?;
        // Children before parents, so that a closed folder is never entered.
        while let Some((path, (identity, mode))) = self.later.pop_last() {
            let path = RelPath::parse(&path)?;
            let (Some(parent), Some(name)) = (path.parent(), path.name()) else { continue };
            if !self.go(&parent, Parents::Bare, None)? {
                continue;
            }
            match usable_folder(self.chain.handle(), name) {
                Ok(found) if Identity::of(&found.before) == identity => {
                    fchmod(&found.folder, Mode::from_raw_mode(mode))
                        .map_err(|errno| Error::io("setting the mode of", &path, errno.into()))?;
                }
                Ok(_) | Err(Errno::NOENT | Errno::NOTDIR) => {}
                Err(errno) => return Err(Error::io("opening", &path, errno.into())),
            }
        }
        self.up_to(0)?;
        let (mode, times) = self.chain.top().leaving();
        let failed =
            |errno: Errno| Error::io("setting the attributes of", "the root", errno.into());
        if let Some(mode) = mode {
            fchmod(self.chain.handle(), Mode::from_raw_mode(mode)).map_err(failed)?;
        }
        if let Some(times) = times {
            futimens(self.chain.handle(), &times).map_err(failed)?;
        }
        Ok(())
    }

    /// The folder that the walk stands in.
    pub(super) fn here(&self) -> BorrowedFd<'_> {
        self.chain.handle()
    }

    /// Where the second thread is to make a small file `name` here; `None` if
    /// this thread is to make it.
    pub(super) fn elsewhere(&mut self, name: &OsStr) -> Result<Option<Arc<OwnedFd>>> {
        if self.threads == Threads::One
            || !self.chain.top().fresh
            || self.is_omitted(name)
            || self.is_later(name)
        {
            return Ok(None);
        }
        let backlog = self.aside.backlog();
        let level = self.chain.top();
        let theirs = match level.turn {
            _ if self.threads == Threads::Two => true,
            Turn::Open => backlog < FEW,
            Turn::Theirs => backlog < MANY,
            Turn::Ours(made) => made >= RUN && backlog < FEW,
        };
        if !theirs {
            level.turn = match level.turn {
                Turn::Ours(made) => Turn::Ours(made.saturating_add(1)),
                Turn::Open => Turn::Ours(1),
                Turn::Theirs => Turn::Theirs,
            };
            return Ok(None);
        }
        level.turn = Turn::Theirs;
        if level.shared.is_none() {
            let handle = self
                .here_owned()
                .map_err(|errno| Error::io("opening", shown(&self.path), errno.into()))?;
            self.chain.top().shared = Some(Arc::new(handle));
        }
        Ok(self.chain.top().shared.clone())
    }

    /// Lets the second thread make a file here.
    pub(super) fn give(
        &mut self,
        folder: Arc<OwnedFd>,
        entry: Entry,
        content: Vec<u8>,
        position: u64,
    ) -> Result<()> {
        self.touch();
        let name = entry.path.name().unwrap_or_default().to_owned();
        self.aside.give(&self.path, &name, Job::File { folder, entry, content, position })
    }

    /// Waits until `name` here is what it should be by now, if the second
    /// thread has to do with it.
    pub(super) fn meet(&mut self, name: &OsStr) -> Result<()> {
        self.aside.meet(&self.path, name)
    }

    /// What the second thread tolerated in this layer.
    pub(super) fn findings(&mut self) -> Result<Findings> {
        self.aside.findings()
    }

    /// A handle of its own of that folder.
    pub(super) fn here_owned(&self) -> Result<OwnedFd, Errno> {
        rustix::io::fcntl_dupfd_cloexec(self.chain.handle(), 0)
    }

    /// The real path of `name` here.
    pub(super) fn real(&self, name: &OsStr) -> Vec<u8> {
        let mut path = self.path.clone();
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name.as_bytes());
        path
    }

    /// Goes to the folder `path`; `false` if it is not there.
    ///
    /// `attributes` are needed for [`Parents::Make`].
    pub(super) fn go(
        &mut self,
        path: &RelPath,
        parents: Parents,
        attributes: Option<&Attributes>,
    ) -> Result<bool> {
        let (common, rest) = common(&self.path, path.as_bytes());
        while self.path.len() > common {
            self.up_to(self.chain.depth() - 1)?;
        }
        let mut ahead: Vec<OsString> = rest
            .split(|byte| *byte == b'/')
            .filter(|component| !component.is_empty())
            .map(|component| OsStr::from_bytes(component).to_owned())
            .collect();
        ahead.reverse();
        let mut links = LINKS;
        while let Some(name) = ahead.pop() {
            if name == *".." {
                let up = self.chain.depth().saturating_sub(1);
                self.up_to(up)?;
                continue;
            }
            match self.step(&name, parents, attributes, path)? {
                Step::Down => {}
                Step::Missing => return Ok(false),
                Step::Link(target) => {
                    links = links.checked_sub(1).ok_or_else(|| {
                        Error::new(Code::UnsafeEntry, format!("finding {path}"))
                            .found("more than 40 symbolic links on the way")
                            .expected("a path that leads somewhere")
                    })?;
                    if target.starts_with(b"/") {
                        self.up_to(0)?;
                    }
                    let components = target.rsplit(|byte| *byte == b'/');
                    ahead.extend(
                        components
                            .filter(|component| !matches!(*component, b"" | b"."))
                            .map(|component| OsString::from_vec(component.to_vec())),
                    );
                }
            }
        }
        Ok(true)
    }

    fn step(
        &mut self,
        name: &OsStr,
        parents: Parents,
        attributes: Option<&Attributes>,
        path: &RelPath,
    ) -> Result<Step> {
        self.meet(name)?;
        let failed = |errno: Errno| Error::io("finding", path, errno.into());
        match usable_folder(self.chain.handle(), name) {
            Ok(found) => {
                self.enter(name, found)?;
                return Ok(Step::Down);
            }
            Err(Errno::NOENT) => {}
            Err(Errno::NOTDIR) => {
                let target = match readlinkat(self.chain.handle(), name, Vec::new()) {
                    Ok(target) => target.into_bytes(),
                    Err(Errno::INVAL) => return self.not_a_folder(name, parents, attributes, path),
                    Err(errno) => return Err(failed(errno)),
                };
                if parents == Parents::Bare {
                    return Err(Error::new(Code::UnsafeEntry, format!("removing below {path}"))
                        .found(format!("a symbolic link at {}", shown(&self.real(name))))
                        .expected("folders only: removing through links could reach anywhere"));
                }
                return Ok(Step::Link(target));
            }
            Err(errno) => return Err(failed(errno)),
        }
        let (Parents::Make, Some(attributes)) = (parents, attributes) else {
            return Ok(Step::Missing);
        };
        self.make(name, path)?;
        self.chain.top().imply();
        attributes.imply(self.chain.handle()).map_err(failed)?;
        Ok(Step::Down)
    }

    /// A file lies where a folder is needed. One of a lower layer makes way
    /// (layers replace whole files); one of the same layer is refused, since
    /// readers differ (TR23).
    fn not_a_folder(
        &mut self,
        name: &OsStr,
        parents: Parents,
        attributes: Option<&Attributes>,
        path: &RelPath,
    ) -> Result<Step> {
        if parents != Parents::Make {
            return Ok(Step::Missing);
        }
        if self.is_own(name) {
            return Err(Error::new(Code::UnsafeEntry, format!("making the folder {path}"))
                .found(format!("a file at {} in the same layer", shown(&self.real(name))))
                .expected("a folder: readers differ on what should become of the file"));
        }
        self.clear_way(name)?;
        self.step(name, parents, attributes, path)
    }

    fn enter(&mut self, name: &OsStr, found: Usable) -> Result<()> {
        let mut level = Level::entered(name.to_owned(), &found.before);
        let real = self.real(name);
        level.fresh =
            self.chain.top().fresh || self.marks.get(&real).is_some_and(|mark| mark.fresh);
        if found.was_closed {
            let mode = found.before.st_mode & 0o7777;
            self.later.insert(real.clone(), (Identity::of(&found.before), mode));
        }
        self.push(found.folder, level, real)
    }

    fn push(&mut self, folder: OwnedFd, level: Level, real: Vec<u8>) -> Result<()> {
        reachable(real.len())?;
        let failed = |cause| Error::io("entering", shown(&real), cause);
        self.chain.push(folder, level).map_err(failed)?;
        self.path = real;
        Ok(())
    }

    /// Makes the folder `name` here and enters it. The caller sets what it is
    /// to be on leaving.
    pub(super) fn make(&mut self, name: &OsStr, path: &RelPath) -> Result<()> {
        self.meet(name)?;
        let failed = |errno: Errno| Error::io("making folder", path, errno.into());
        mkdirat(self.chain.handle(), name, Mode::RWXU).map_err(failed)?;
        let made = usable_folder(self.chain.handle(), name).map_err(failed)?;
        self.mark(name);
        let real = self.real(name);
        if !self.later.is_empty() {
            self.later.remove(&real);
        }
        let mut level = Level::entered(name.to_owned(), &made.before);
        level.fresh = true;
        self.push(made.folder, level, real)
    }

    /// Enters the folder `name` here for an entry of its own; `false` if it
    /// is no folder.
    pub(super) fn merge(&mut self, name: &OsStr, path: &RelPath) -> Result<bool> {
        match usable_folder(self.chain.handle(), name) {
            Ok(found) => {
                let fresh = self.chain.top().fresh;
                self.enter(name, found)?;
                if !fresh {
                    self.mark_passed();
                    if let Some(mark) = self.marks.get_mut(&self.path) {
                        mark.own = true;
                    }
                }
                Ok(true)
            }
            Err(Errno::NOTDIR) => Ok(false),
            Err(errno) => Err(Error::io("opening folder", path, errno.into())),
        }
    }

    /// Goes up until the chain has that many folders below the root, and sets
    /// mode and time of each folder that is left.
    pub(super) fn up_to(&mut self, depth: usize) -> Result<()> {
        while self.chain.depth() > depth {
            let failed = |cause| Error::io("going up from", shown(&self.path), cause);
            let Some((folder, level)) = self.chain.pop().map_err(failed)? else { break };
            let (mode, times) = level.leaving();
            let failed = |errno: Errno| {
                Error::io("setting the attributes of", shown(&self.path), errno.into())
            };
            if let Some(mode) = mode {
                if mode & 0o700 == 0o700 {
                    self.later.remove(&self.path);
                } else {
                    let identity = Identity::of(&fstat(&folder).map_err(failed)?);
                    self.later.insert(self.path.clone(), (identity, mode));
                }
            }
            let mode = mode.map(|mode| Mode::from_raw_mode(mode | 0o700));
            let parent = self.path.len().saturating_sub(level.name.len() + 1);
            if level.shared.is_none() {
                leave(&folder, mode, times).map_err(failed)?;
            } else if mode.is_some() || times.is_some() {
                // After the files in it.
                let job = Job::Leave { folder, path: self.path.clone(), mode, times };
                self.aside.give(&self.path[..parent], &level.name, job)?;
            }
            self.path.truncate(parent);
        }
        Ok(())
    }

    /// Sets what the folder here is to be when it is left.
    pub(super) fn settle(&mut self, mode: u32, time: Timestamp) {
        let level = self.chain.top();
        level.mode = Some(mode);
        level.time = timespec(time);
        level.touched = true;
    }

    /// The folder here will be changed: its time is to be put back.
    pub(super) fn touch(&mut self) {
        self.chain.top().touched = true;
    }

    /// Whether the current layer put something at `name` here.
    pub(super) fn is_own(&mut self, name: &OsStr) -> bool {
        self.chain.top().fresh || self.marks.contains_key(&self.real(name))
    }

    /// Records that the current layer put something at `name` here.
    pub(super) fn mark(&mut self, name: &OsStr) {
        self.touch();
        if !self.chain.top().fresh {
            self.mark_passed();
            self.marks.insert(self.real(name), Mark { own: true, fresh: true });
        }
    }

    /// Records that the current layer has something below this folder.
    fn mark_passed(&mut self) {
        let mut path = &self.path[..];
        while !path.is_empty() && !self.marks.contains_key(path) {
            self.marks.insert(path.to_vec(), Mark { own: false, fresh: false });
            path = &path[..path.iter().rposition(|byte| *byte == b'/').unwrap_or(0)];
        }
    }

    /// Removes what lies at `name` here, whatever it is.
    pub(super) fn clear_way(&mut self, name: &OsStr) -> Result<()> {
        self.aside.wait()?;
        self.touch();
        remove::tree(self.chain.handle(), name)?;
        let real = self.real(name);
        self.marks.remove(&real);
        self.omitted.remove(&real);
        let below = [&real[..], b"/"].concat();
        for forget in keys_below(&self.marks, &below) {
            self.marks.remove(&forget);
        }
        self.forget_later(&real);
        Ok(())
    }

    /// Whether a mode waits for `name` here or for something below it.
    fn is_later(&self, name: &OsStr) -> bool {
        if self.later.is_empty() {
            return false;
        }
        let real = self.real(name);
        self.later.contains_key(&real)
            || !keys_below(&self.later, &[&real[..], b"/"].concat()).is_empty()
    }

    /// What was at this path is gone. Something else, a link even, may lie
    /// there at the end, when modes are set that had to wait.
    fn forget_later(&mut self, real: &[u8]) {
        if self.later.is_empty() {
            return;
        }
        self.later.remove(real);
        for forget in keys_below(&self.later, &[real, b"/"].concat()) {
            self.later.remove(&forget);
        }
    }

    /// A device could not be made here.
    pub(super) fn omit(&mut self, name: &OsStr) {
        self.omitted.insert(self.real(name));
    }

    /// Whether a device could not be made here.
    pub(super) fn is_omitted(&self, name: &OsStr) -> bool {
        !self.omitted.is_empty() && self.omitted.contains(&self.real(name))
    }

    /// What lies at `name` here; `None` if nothing does.
    pub(super) fn look(&self, name: &OsStr) -> Result<Option<Stat>, Errno> {
        match statat(self.chain.handle(), name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno),
        }
    }
}

enum Step {
    Down,
    Missing,
    Link(Vec<u8>),
}

impl Level {
    /// A folder that was there: it keeps its mode, and its time is put back.
    fn entered(name: OsString, stat: &Stat) -> Self {
        let time = Timespec { tv_sec: stat.st_mtime, tv_nsec: stat.st_mtime_nsec as _ };
        Self {
            name,
            fresh: false,
            mode: None,
            time,
            touched: false,
            shared: None,
            turn: Turn::Open,
        }
    }

    /// What a folder is that no layer has an entry for.
    fn imply(&mut self) {
        self.mode = Some(IMPLIED);
        self.time = timespec(Timestamp::EPOCH);
        self.touched = true;
    }

    /// The mode and times to set on leaving.
    fn leaving(&self) -> (Option<u32>, Option<Timestamps>) {
        let keep = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
        // A folder with an entry of its own, or made by the layer, gets the
        // same time for both; the access time of others is not ours.
        let access = if self.mode.is_some() { self.time } else { keep };
        let times = Timestamps { last_access: access, last_modification: self.time };
        (self.mode, self.touched.then_some(times))
    }
}

/// Links lead below links, so that entries with short paths would build a tree
/// of any depth, in which time and memory grow with the square. Where no path
/// reaches, nothing has to be.
pub(crate) fn reachable(length: usize) -> Result<()> {
    if length <= PATH {
        return Ok(());
    }
    Err(Error::new(Code::UnsafeEntry, "entering a folder through links")
        .found(format!("a path of {length} bytes where the links lead"))
        .expected(format!("at most {PATH}, which Linux takes")))
}

/// How long the path is that both lie below, and the rest of the second.
/// Compares bytes, not components: paths may have a thousand of these.
fn common<'b>(here: &[u8], there: &'b [u8]) -> (usize, &'b [u8]) {
    let same = here.iter().zip(there).take_while(|(a, b)| a == b).count();
    let ends = |path: &[u8]| path.get(same).is_none_or(|byte| *byte == b'/');
    let length = if ends(here) && ends(there) {
        same
    } else {
        here[..same].iter().rposition(|byte| *byte == b'/').unwrap_or(0)
    };
    (length, &there[length..])
}

fn keys_below<T>(map: &BTreeMap<Vec<u8>, T>, prefix: &[u8]) -> Vec<Vec<u8>> {
    map.range(prefix.to_vec()..)
        .map(|(path, _)| path)
        .take_while(|path| path.starts_with(prefix))
        .cloned()
        .collect()
}

/// Whether a mode is that of a folder.
pub(super) fn is_folder(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

/// Opens what was just made at `name`, without being able to read it.
pub(super) fn pin(parent: impl AsFd, name: &OsStr) -> Result<OwnedFd, Errno> {
    openat(parent, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}
