//! A place in a tree that moves from folder to folder, best in order.

use std::os::fd::BorrowedFd;

use plimsoll_content::{Error, Result};
use rustix::fs::{Mode, openat};
use rustix::io::Errno;

use crate::handle::{Chain, FOLDER};
use crate::pack::read::{failed, open};
use crate::path::RelPath;

/// A folder somewhere below a root, with handles of those on the way.
pub(crate) struct Cursor {
    chain: Chain<RelPath>,
}

impl Cursor {
    /// Starts at the root.
    pub(crate) fn new(root: BorrowedFd<'_>) -> Result<Self> {
        let path = RelPath::root();
        let root = openat(root, c".", FOLDER, Mode::empty()).map_err(failed(&path))?;
        Ok(Self { chain: Chain::new(root, path) })
    }

    /// Goes to a folder; `false` if there is none, if a link leads there, or
    /// if something is mounted on the way.
    pub(crate) fn go(&mut self, folder: &RelPath) -> Result<bool> {
        while !folder.starts_with(self.chain.top()) {
            let left = self.chain.pop();
            left.map_err(|cause| Error::io("leaving a folder for", folder, cause))?;
        }
        let known = self.chain.top().as_bytes().len();
        let rest = RelPath::parse(&folder.as_bytes()[known..])?;
        for name in rest.components() {
            let path = self.chain.top().join(name);
            match open(self.chain.handle(), name, FOLDER) {
                Ok(Some(below)) => {
                    let entered = self.chain.push(below, path);
                    entered.map_err(|cause| Error::io("entering", folder, cause))?;
                }
                Ok(None) | Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(false),
                Err(errno) => return Err(failed(&path)(errno)),
            }
        }
        Ok(true)
    }

    /// The folder that the last [`Cursor::go`] came to.
    pub(crate) fn here(&self) -> BorrowedFd<'_> {
        self.chain.handle()
    }
}
