//! Owners, modes, extended attributes and times, and what becomes of those
//! that a file system or an ordinary user can not hold.

use std::ffi::{CStr, OsStr};
use std::os::fd::AsFd;

use plimsoll_content::{Code, Error, Result};
use rustix::fs::{
    AtFlags, Gid, Mode, Stat, Timespec, Timestamps, Uid, XattrFlags, chownat, fchmod, fchown,
    flistxattr, flistxattr_query, fremovexattr, fsetxattr, fstat, futimens, lsetxattr, utimensat,
};
use rustix::io::Errno;

use super::capability;
use super::reserved::{CAPABILITY, RECORDED, SELINUX, is_reserved};
use super::walk::pin;
use super::{Devices, Ids};
use crate::entry::{Entry, EntryKind, Timestamp};
use crate::finding::{Finding, Findings};
use crate::handle;
use crate::path::shown;

/// How attributes are set.
pub(super) struct Attributes {
    ids: Ids,
    pub(super) devices: Devices,
}

impl Attributes {
    pub(super) fn new(ids: Ids, devices: Devices) -> Self {
        Self { ids, devices }
    }

    /// Gives a folder that no layer has an entry for its owner.
    pub(super) fn imply(&self, folder: impl AsFd) -> Result<(), Errno> {
        let (uid, gid) = match &self.ids {
            Ids::Keep => (Some(0), Some(0)),
            Ids::Own => (None, None),
            Ids::Mapped { map, .. } => map.outside(0, 0),
        };
        match change(&fstat(&folder)?, uid, gid) {
            None => Ok(()),
            Some((uid, gid)) => fchown(folder, uid, gid),
        }
    }

    /// Sets all that an entry says on a regular file, in the order in which
    /// one call does not undo another: owner, attributes, mode, times.
    pub(super) fn file(
        &self,
        file: impl AsFd,
        entry: &Entry,
        findings: &mut Findings,
    ) -> Result<()> {
        let file = file.as_fd();
        let failed = failed(entry);
        let made = fstat(file).map_err(failed)?;
        self.owner(file, &made, entry)?;
        self.xattrs(entry, findings, |name, value| {
            fsetxattr(file, name, value, XattrFlags::empty())
        })?;
        // An access control list among the attributes changes the mode.
        if made.st_mode & 0o7777 != entry.mode || !entry.xattrs.is_empty() {
            fchmod(file, Mode::from_raw_mode(entry.mode)).map_err(failed)?;
        }
        futimens(file, &times(entry.mtime)).map_err(failed)?;
        note_time(entry, findings, || fstat(file));
        Ok(())
    }

    /// Sets owner and attributes of a folder; its mode and times have to wait
    /// until it is filled. Those that `merged` tells to have been there before
    /// are replaced.
    pub(super) fn folder(
        &self,
        folder: impl AsFd,
        merged: bool,
        entry: &Entry,
        findings: &mut Findings,
    ) -> Result<()> {
        let folder = folder.as_fd();
        let made = fstat(folder).map_err(failed(entry))?;
        self.owner(folder, &made, entry)?;
        if merged {
            clear_xattrs(folder, &entry.xattrs).map_err(failed(entry))?;
        }
        self.xattrs(entry, findings, |name, value| {
            fsetxattr(folder, name, value, XattrFlags::empty())
        })
    }

    /// Sets all that an entry says on a link, device or pipe that was just
    /// made at `name`, without opening it.
    pub(super) fn special(
        &self,
        parent: impl AsFd,
        name: &OsStr,
        entry: &Entry,
        findings: &mut Findings,
    ) -> Result<()> {
        let parent = parent.as_fd();
        let failed = failed(entry);
        let made = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW).map_err(failed)?;
        let owner = self.given(entry)?;
        if let Some((uid, gid)) = change(&made, owner.uid, owner.gid) {
            chownat(parent, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)
                .map_err(|errno| owner_failed(entry, errno))?;
        }
        if owner.differs {
            // Only files and folders can have attributes of users.
            findings.note("owner-not-kept", || {
                let owner = format!("owner {}:{} is not kept", entry.uid, entry.gid);
                Finding::new("owner-not-kept", owner).at(&entry.path)
            });
        }
        if !entry.xattrs.is_empty() {
            let path = handle::through_proc(parent, name);
            self.xattrs(entry, findings, |name, value| {
                lsetxattr(path.as_ref().map_err(|errno| *errno)?, name, value, XattrFlags::empty())
            })?;
        }
        let is_link = matches!(entry.kind, EntryKind::Symlink { .. });
        if !is_link && made.st_mode & 0o7777 != entry.mode {
            let pinned = pin(parent, name).map_err(failed)?;
            handle::chmod(pinned, Mode::from_raw_mode(entry.mode)).map_err(failed)?;
        }
        utimensat(parent, name, &times(entry.mtime), AtFlags::SYMLINK_NOFOLLOW).map_err(failed)?;
        note_time(entry, findings, || rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW));
        Ok(())
    }

    fn owner(&self, file: impl AsFd, made: &Stat, entry: &Entry) -> Result<()> {
        let owner = self.given(entry)?;
        match change(made, owner.uid, owner.gid) {
            None => Ok(()),
            Some((uid, gid)) => fchown(file, uid, gid).map_err(|errno| owner_failed(entry, errno)),
        }
    }

    /// Whom a file is given to.
    fn given(&self, entry: &Entry) -> Result<Owner> {
        let said = (entry.uid, entry.gid);
        let (map, strict) = match &self.ids {
            Ids::Keep => {
                return Ok(Owner { uid: Some(said.0), gid: Some(said.1), differs: false });
            }
            Ids::Own => return Ok(Owner { uid: None, gid: None, differs: said != (0, 0) }),
            Ids::Mapped { map, strict } => (map, *strict),
        };
        let ((uid, gid), root) = (map.outside(said.0, said.1), map.outside(0, 0));
        let differs = uid.is_none() || gid.is_none();
        if differs && strict {
            return Err(Error::new(
                Code::Permission,
                format!("mapping the owner of {}", entry.path),
            )
            .found(format!("{}:{}", said.0, said.1))
            .expected("ids within the map")
            .fix("map more ids, or let what is outside be recorded only"));
        }
        Ok(Owner { uid: uid.or(root.0), gid: gid.or(root.1), differs })
    }

    fn xattrs(
        &self,
        entry: &Entry,
        findings: &mut Findings,
        set: impl Fn(&OsStr, &[u8]) -> Result<(), Errno>,
    ) -> Result<()> {
        use std::os::unix::ffi::OsStrExt;
        for (name, value) in &entry.xattrs {
            if is_reserved(name) {
                findings.note("xattr-dropped", || {
                    let what = format!("extended attribute {} is left out", shown(name));
                    Finding::new("xattr-dropped", what).at(&entry.path)
                });
                continue;
            }
            let namespaced = match &self.ids {
                Ids::Mapped { map, .. } if name == CAPABILITY => {
                    map.outside(0, 0).0.and_then(|root| capability::of_namespace(value, root))
                }
                _ => None,
            };
            match set(OsStr::from_bytes(name), namespaced.as_deref().unwrap_or(value)) {
                Ok(()) => {}
                // Not permitted, or not on this file system or kind of file.
                Err(errno @ (Errno::PERM | Errno::ACCESS | Errno::NOTSUP | Errno::INVAL)) => {
                    findings.note("xattr-not-set", || {
                        let what =
                            format!("extended attribute {} can not be set: {errno}", shown(name));
                        Finding::new("xattr-not-set", what).at(&entry.path)
                    });
                }
                Err(errno) => return Err(failed(entry)(errno)),
            }
        }
        let recordable = matches!(entry.kind, EntryKind::File { .. } | EntryKind::Directory);
        if recordable && self.given(entry)?.differs {
            match set(OsStr::from_bytes(RECORDED), &record_owner(entry.uid, entry.gid)) {
                Ok(()) => findings.note("owner-recorded", || {
                    let owner = format!("owner {}:{} is recorded only", entry.uid, entry.gid);
                    Finding::new("owner-recorded", owner).at(&entry.path)
                }),
                Err(errno @ (Errno::PERM | Errno::ACCESS | Errno::NOTSUP)) => {
                    findings.note("owner-not-kept", || {
                        let owner =
                            format!("owner {}:{} is not kept: {errno}", entry.uid, entry.gid);
                        Finding::new("owner-not-kept", owner).at(&entry.path)
                    });
                }
                Err(errno) => return Err(failed(entry)(errno)),
            }
        }
        Ok(())
    }
}

/// Whom a file is given to.
struct Owner {
    /// The user, unless it stays who it is.
    uid: Option<u32>,
    /// The group, likewise.
    gid: Option<u32>,
    /// Whether that is not what the layer says, which is recorded.
    differs: bool,
}

/// What has to be changed about an owner, if anything.
fn change(made: &Stat, uid: Option<u32>, gid: Option<u32>) -> Option<(Option<Uid>, Option<Gid>)> {
    let uid = uid.filter(|uid| *uid != made.st_uid).map(Uid::from_raw);
    let gid = gid.filter(|gid| *gid != made.st_gid).map(Gid::from_raw);
    (uid.is_some() || gid.is_some()).then_some((uid, gid))
}

/// Removes the extended attributes of a folder but those in `keep`, which
/// are replaced anyway, and what belongs to the machine.
pub(super) fn clear_xattrs(folder: impl AsFd, keep: &[(Vec<u8>, Vec<u8>)]) -> Result<(), Errno> {
    let mut list = match flistxattr_query(&folder) {
        Ok(0) | Err(Errno::NOTSUP) => return Ok(()),
        Ok(length) => vec![0; length],
        Err(errno) => return Err(errno),
    };
    let length = flistxattr(&folder, &mut list[..])?;
    for name in list[..length].split_inclusive(|byte| *byte == 0) {
        let Ok(name) = CStr::from_bytes_with_nul(name) else { continue };
        let bytes = name.to_bytes();
        if bytes == SELINUX || keep.iter().any(|(kept, _)| kept == bytes) {
            continue;
        }
        match fremovexattr(&folder, name) {
            Ok(()) | Err(Errno::NODATA | Errno::PERM | Errno::ACCESS | Errno::NOTSUP) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

fn failed(entry: &Entry) -> impl Fn(Errno) -> Error + Copy + '_ {
    |errno| Error::io("setting the attributes of", &entry.path, errno.into())
}

fn owner_failed(entry: &Entry, errno: Errno) -> Error {
    let error = Error::io("setting the owner of", &entry.path, errno.into());
    match errno {
        Errno::PERM => error
            .expected(format!("the right to give it to {}:{}", entry.uid, entry.gid))
            .fix("unpack as root, or keep your own user as the owner of all files"),
        // The id has no place in the user namespace.
        Errno::INVAL => error
            .recode(Code::Permission)
            .expected(format!("a user namespace that maps {}:{}", entry.uid, entry.gid)),
        _ => error,
    }
}

pub(super) fn timespec(time: Timestamp) -> Timespec {
    Timespec { tv_sec: time.seconds(), tv_nsec: time.nanoseconds().into() }
}

fn times(time: Timestamp) -> Timestamps {
    // The access time is the same, for want of another that is always the same.
    Timestamps { last_access: timespec(time), last_modification: timespec(time) }
}

/// File systems keep what they can of far times and say nothing (MD11).
fn note_time(entry: &Entry, findings: &mut Findings, look: impl Fn() -> Result<Stat, Errno>) {
    // From 1901 to 2242 every common file system has every second.
    if (-1 << 31..1 << 33).contains(&entry.mtime.seconds()) {
        return;
    }
    if look().is_ok_and(|stat| stat.st_mtime != entry.mtime.seconds()) {
        findings.note("time-not-kept", || {
            let time = format!("time {} is not kept by this file system", entry.mtime.seconds());
            Finding::new("time-not-kept", time).at(&entry.path)
        });
    }
}

/// A protocol buffer with the fields `uid` (1) and `gid` (2).
fn record_owner(uid: u32, gid: u32) -> Vec<u8> {
    let mut value = Vec::new();
    for (key, id) in [(0x08, uid), (0x10, gid)] {
        // Zero is the default, and not written.
        if id != 0 {
            value.push(key);
            let mut rest = id;
            while rest > 0x7f {
                value.push(rest as u8 | 0x80);
                rest >>= 7;
            }
            value.push(rest as u8);
        }
    }
    value
}

/// The inverse of [`record_owner`]; fields may come in any order, the last
/// one of its kind counts.
pub(super) fn recorded_owner(value: &[u8]) -> Option<(u32, u32)> {
    let mut bytes = value.iter();
    let (mut uid, mut gid) = (0, 0);
    while let Some(key) = bytes.next() {
        let mut id = 0u64;
        for shift in (0..).step_by(7).take(10) {
            let byte = *bytes.next()?;
            id |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte < 0x80 {
                break;
            }
        }
        let id = u32::try_from(id).ok()?;
        match key {
            0x08 => uid = id,
            0x10 => gid = id,
            _ => return None,
        }
    }
    Some((uid, gid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorded_owners_come_back() {
        for owner in [(0, 0), (0, 5), (5, 0), (127, 128), (65534, 65534), (u32::MAX - 1, 1 << 21)] {
            assert_eq!(recorded_owner(&record_owner(owner.0, owner.1)), Some(owner));
        }
        assert_eq!(record_owner(1000, 0), [0x08, 0xe8, 0x07]);
        let noop = b"\x08\xff\xff\xff\xff\x0f\x10\xc8\x03";
        assert_eq!(recorded_owner(noop), Some((u32::MAX, 456)));
        for bad in [&b"\x08"[..], b"\x18\x01", b"x", b"\x08\xff"] {
            assert_eq!(recorded_owner(bad), None, "{bad:?}");
        }
    }
}
