//! Removing a file tree that may hold anything: folders nobody may enter,
//! thousands of levels, links that lead elsewhere, mounts.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, chmodat, fstat, openat, openat2, statat,
    unlinkat,
};
use rustix::io::Errno;

use crate::folder::{folder_flags, is_dot};

/// A folder that is being emptied.
struct Level {
    name: CString,
    device: u64,
    inode: u64,
    folders: Vec<CString>,
}

/// Removes `name` in `parent` and all that is in it. Nothing there is no
/// error.
///
/// Links are removed, not followed; other file systems mounted in the tree
/// stop it. Two handles are open at a time however deep the tree is: the way
/// up goes through `..`, and is checked to lead to where the way down came
/// from.
pub(crate) fn tree(parent: BorrowedFd<'_>, name: &CStr) -> io::Result<()> {
    match unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        // Linux says ISDIR, POSIX says PERM.
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(errno) => return Err(errno.into()),
    }
    let mut levels = Vec::new();
    let mut current = enter(parent, name, &mut levels)?;
    while let Some(level) = levels.last_mut() {
        if let Some(name) = level.folders.pop() {
            current = enter(current.as_fd(), &name, &mut levels)?;
            continue;
        }
        let Some(done) = levels.pop() else { break };
        match levels.last() {
            None => unlinkat(parent, &done.name, AtFlags::REMOVEDIR)?,
            Some(above) => {
                let up = openat(&current, c"..", folder_flags(), Mode::empty())?;
                let stat = fstat(&up)?;
                if (stat.st_dev, stat.st_ino) != (above.device, above.inode) {
                    return Err(io::Error::other("the tree was moved while it was removed"));
                }
                unlinkat(&up, &done.name, AtFlags::REMOVEDIR)?;
                current = up;
            }
        }
    }
    Ok(())
}

/// Opens a folder, removes the files in it, and notes the folders in it.
fn enter(parent: BorrowedFd<'_>, name: &CStr, levels: &mut Vec<Level>) -> io::Result<OwnedFd> {
    let stat = statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let mode = Mode::from_raw_mode(stat.st_mode);
    if FileType::from_raw_mode(stat.st_mode) == FileType::Directory && !mode.contains(Mode::RWXU) {
        // As root it is not needed, so a refusal shows at the next step.
        let _ = chmodat(parent, name, mode | Mode::RWXU, AtFlags::empty());
    }
    let folder = openat2(
        parent,
        name,
        folder_flags() | OFlags::NOFOLLOW,
        Mode::empty(),
        ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV,
    )?;
    let stat = fstat(&folder)?;
    let mut folders = Vec::new();
    let mut names = Vec::new();
    for entry in Dir::read_from(&folder)? {
        let entry = entry?;
        if !is_dot(entry.file_name()) {
            names.push((entry.file_name().to_owned(), entry.file_type()));
        }
    }
    for (name, kind) in names {
        if kind == FileType::Directory {
            folders.push(name);
            continue;
        }
        match unlinkat(&folder, &name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            // File systems that do not tell kinds in listings.
            Err(Errno::ISDIR | Errno::PERM) => folders.push(name),
            Err(errno) => return Err(errno.into()),
        }
    }
    levels.push(Level { name: name.to_owned(), device: stat.st_dev, inode: stat.st_ino, folders });
    Ok(folder)
}
