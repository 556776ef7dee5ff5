//! One layer on its way into the tree: what becomes of each entry.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, OwnedFd};

use plimsoll_content::{Code, Error, Result};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, linkat, makedev, mknodat, openat, symlinkat};
use rustix::io::Errno;

use super::Devices;
use super::aside;
use super::attributes::Attributes;
use super::walk::{Parents, Walk, is_folder};
use super::whiteout::{Meaning, meaning};
use crate::entry::{Entry, EntryKind};
use crate::finding::{Finding, Findings};
use crate::path::RelPath;
use crate::tar::{Body, Chunk};

/// What the kernel can hold of device numbers: 12 and 20 bits.
const MAJOR: u32 = (1 << 12) - 1;
const MINOR: u32 = (1 << 20) - 1;

/// The layer that is being applied.
pub(super) struct Layer<'a> {
    walk: &'a mut Walk,
    attributes: &'a Attributes,
    findings: &'a mut Findings,
    /// How many entries and how many whiteouts were seen.
    pub(super) done: (u64, u64),
}

impl<'a> Layer<'a> {
    pub(super) fn new(
        walk: &'a mut Walk,
        attributes: &'a Attributes,
        findings: &'a mut Findings,
    ) -> Self {
        Self { walk, attributes, findings, done: (0, 0) }
    }

    /// Applies one entry.
    pub(super) fn add<R: Read>(&mut self, entry: Entry, body: Body<'_, R>) -> Result<()> {
        self.findings.at(self.done.0);
        self.done.0 += 1;
        if let EntryKind::File { size } = entry.kind
            && meaning(&entry.path)? == Meaning::File
        {
            return self.file(entry, size, body);
        }
        let entry = &entry;
        let meaning = meaning(&entry.path)?;
        if meaning != Meaning::File {
            return self.whiteout(entry, &meaning);
        }
        let Some(name) = entry.path.name() else {
            return self.root(entry);
        };
        let parent = entry.path.parent().unwrap_or_default();
        match &entry.kind {
            EntryKind::Hardlink { target } => self.hard_link(entry, &parent, name, target),
            kind => {
                self.walk.go(&parent, Parents::Make, Some(self.attributes))?;
                match kind {
                    EntryKind::Directory => self.folder(entry, name),
                    _ => self.special(entry, name),
                }
            }
        }
    }

    fn whiteout(&mut self, entry: &Entry, meaning: &Meaning) -> Result<()> {
        if *meaning == Meaning::Private {
            self.findings.note("aufs-private", || {
                Finding::new("aufs-private", "a private file of AUFS is left out").at(&entry.path)
            });
            return Ok(());
        }
        self.done.1 += 1;
        if entry.kind != (EntryKind::File { size: 0 }) {
            self.findings.note("whiteout-not-empty", || {
                Finding::new("whiteout-not-empty", "a whiteout that is no empty file (LY24)")
                    .at(&entry.path)
            });
        }
        let parent = entry.path.parent().unwrap_or_default();
        if !self.walk.go(&parent, Parents::Bare, None)? {
            return Ok(());
        }
        match meaning {
            Meaning::Hide(name) => self.walk.hide(name, self.attributes),
            _ => self.walk.hide_all(self.attributes),
        }
    }

    fn root(&mut self, entry: &Entry) -> Result<()> {
        if entry.kind != EntryKind::Directory {
            return Err(Error::new(Code::UnsafeEntry, "reading the entry of the root")
                .found("something else than a folder")
                .expected("a folder (CVE-2021-29136)"));
        }
        self.walk.up_to(0)?;
        self.attributes.folder(self.walk.here(), true, entry, self.findings)?;
        self.walk.settle(entry.mode, entry.mtime);
        Ok(())
    }

    fn folder(&mut self, entry: &Entry, name: &OsStr) -> Result<()> {
        let mut merged = false;
        match self.walk.make(name, &entry.path) {
            Ok(()) => {}
            Err(error) if error.code() == Code::Exists => {
                merged = self.walk.merge(name, &entry.path)?;
                if !merged {
                    self.replace(entry, name)?;
                    self.walk.make(name, &entry.path)?;
                }
            }
            Err(error) => return Err(error),
        }
        self.attributes.folder(self.walk.here(), merged, entry, self.findings)?;
        self.walk.settle(entry.mode, entry.mtime);
        Ok(())
    }

    fn file<R: Read>(&mut self, entry: Entry, size: u64, mut body: Body<'_, R>) -> Result<()> {
        let Some(name) = entry.path.name() else { return self.root(&entry) };
        let parent = entry.path.parent().unwrap_or_default();
        self.walk.go(&parent, Parents::Make, Some(self.attributes))?;
        if size <= aside::SMALL
            && !body.is_sparse()
            && let Some(folder) = self.walk.elsewhere(name)?
        {
            let mut content = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
            while let Some(Chunk::Data(bytes)) = body.chunk()? {
                content.extend_from_slice(bytes);
            }
            return self.walk.give(folder, entry, content, self.done.0 - 1);
        }
        let file = self.create(&entry, name, |walk| open_new(walk.here(), name, &entry))?;
        let mut file = File::from(file);
        write(&mut file, &entry, &mut body)?;
        self.attributes.file(&file, &entry, self.findings)
    }

    fn special(&mut self, entry: &Entry, name: &OsStr) -> Result<()> {
        let mode = Mode::from_raw_mode(entry.mode & 0o777);
        let (kind, device) = match &entry.kind {
            EntryKind::Symlink { target } => {
                self.create(entry, name, |walk| symlinkat(&target[..], walk.here(), name))?;
                return self.attributes.special(self.walk.here(), name, entry, self.findings);
            }
            EntryKind::Char { major, minor } => {
                (FileType::CharacterDevice, device(entry, *major, *minor)?)
            }
            EntryKind::Block { major, minor } => {
                (FileType::BlockDevice, device(entry, *major, *minor)?)
            }
            _ => (FileType::Fifo, 0),
        };
        let is_device = kind != FileType::Fifo;
        if is_device && self.attributes.devices == Devices::Omit {
            return self.omit(entry, name);
        }
        let made = self.create(entry, name, |walk| mknodat(walk.here(), name, kind, mode, device));
        match made {
            Ok(()) => self.attributes.special(self.walk.here(), name, entry, self.findings),
            Err(error) if is_device && error.code() == Code::Permission => self.omit(entry, name),
            Err(error) => Err(error),
        }
    }

    /// Leaves a device out.
    fn omit(&mut self, entry: &Entry, name: &OsStr) -> Result<()> {
        self.replace(entry, name)?;
        self.walk.omit(name);
        self.findings.note("device-omitted", || {
            Finding::new("device-omitted", "a device is left out").at(&entry.path)
        });
        Ok(())
    }

    fn hard_link(
        &mut self,
        entry: &Entry,
        parent: &RelPath,
        name: &OsStr,
        target: &RelPath,
    ) -> Result<()> {
        let bad = |found: &str| {
            Error::new(Code::UnsafeEntry, format!("linking {} to {target}", entry.path))
                .found(found)
                .expected("a file that this layer, before this entry, or a lower layer has")
        };
        let failed = |errno: Errno| {
            Error::io("linking", format!("{} to {target}", entry.path), errno.into())
        };
        let (Some(from), Some(folder)) = (target.name(), target.parent()) else {
            return Err(bad("the root itself"));
        };
        if !self.walk.go(&folder, Parents::Find, None)? {
            return Err(bad("nothing there"));
        }
        self.walk.meet(from)?;
        let real = self.walk.real(from);
        let omitted = match self.walk.look(from).map_err(failed)? {
            Some(stat) if is_folder(&stat) => return Err(bad("a folder")),
            Some(_) => false,
            None if self.walk.is_omitted(from) => true,
            None => return Err(bad("nothing there")),
        };
        let source: OwnedFd = self.walk.here_owned().map_err(failed)?;
        self.walk.go(parent, Parents::Make, Some(self.attributes))?;
        if self.walk.real(name) == real {
            return Err(bad("the entry itself"));
        }
        if omitted {
            return self.omit(entry, name);
        }
        // Not followed: a link to a symbolic link is one to the link itself.
        let link = self
            .create(entry, name, |walk| linkat(&source, from, walk.here(), name, AtFlags::empty()));
        match link {
            Err(error) if error.code() == Code::NotFound => Err(bad("nothing there")),
            other => other,
        }
    }

    /// Makes something new at `name`; what was there makes way (LY19).
    fn create<T>(
        &mut self,
        entry: &Entry,
        name: &OsStr,
        make: impl Fn(&Walk) -> Result<T, Errno>,
    ) -> Result<T> {
        self.walk.meet(name)?;
        let mut made = make(self.walk);
        if matches!(made, Err(Errno::EXIST)) {
            self.replace(entry, name)?;
            made = make(self.walk);
        }
        let made = made.map_err(|errno| Error::io("making", &entry.path, errno.into()))?;
        self.walk.mark(name);
        Ok(made)
    }

    /// Removes what lies where something new will be.
    fn replace(&mut self, entry: &Entry, name: &OsStr) -> Result<()> {
        let there = self.walk.look(name);
        if there.map_err(|errno| Error::io("replacing", &entry.path, errno.into()))?.is_none() {
            return Ok(());
        }
        if self.walk.is_own(name) {
            duplicate(entry, self.findings);
        }
        self.walk
            .clear_way(name)
            .map_err(|error| error.context(format!("replacing {}", entry.path)))
    }
}

/// Opens a file for an entry that is not there yet.
pub(super) fn open_new(folder: impl AsFd, name: &OsStr, entry: &Entry) -> Result<OwnedFd, Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
    // Without the bits that a change of owner would take away again, and with
    // those that an ordinary user needs to set attributes.
    let mode = Mode::from_raw_mode(entry.mode & 0o777 | 0o600);
    openat(folder, name, flags | OFlags::CLOEXEC, mode)
}

/// Notes that the layer has the name twice.
pub(super) fn duplicate(entry: &Entry, findings: &mut Findings) {
    findings.note("duplicate-entry", || {
        Finding::new(
            "duplicate-entry",
            "the layer has several entries for it, the last one counts (LY2)",
        )
        .at(&entry.path)
    });
}

/// Writes the content of a file and leaves holes where the archive does.
fn write<R: Read>(file: &mut File, entry: &Entry, body: &mut Body<'_, R>) -> Result<()> {
    let failed = |cause| Error::io("writing", &entry.path, cause);
    let mut hole = false;
    while let Some(chunk) = body.chunk()? {
        match chunk {
            Chunk::Data(bytes) => {
                file.write_all(bytes).map_err(failed)?;
                hole = false;
            }
            Chunk::Hole(length) => {
                let length = i64::try_from(length).unwrap_or(i64::MAX);
                file.seek(SeekFrom::Current(length)).map_err(failed)?;
                hole = true;
            }
        }
    }
    if hole {
        let length = file.stream_position().map_err(failed)?;
        file.set_len(length).map_err(failed)?;
    }
    Ok(())
}

/// The number of a device, if Linux can hold it.
pub(crate) fn device(entry: &Entry, major: u32, minor: u32) -> Result<u64> {
    if major > MAJOR || minor > MINOR {
        return Err(Error::new(Code::UnsafeEntry, format!("making device {}", entry.path))
            .found(format!("number {major}:{minor}"))
            .expected(format!("at most {MAJOR}:{MINOR}, which Linux can hold")));
    }
    Ok(makedev(major, minor))
}
