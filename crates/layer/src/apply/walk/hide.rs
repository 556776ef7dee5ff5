//! What whiteouts remove: what lower layers have, and nothing of the current
//! one, whatever the order of the entries.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use plimsoll_content::{Error, Result};
use rustix::io::Errno;

use super::{Mark, Walk};
use crate::apply::attributes::{Attributes, clear_xattrs};
use crate::handle::{is_empty, names, usable_folder};
use crate::path::shown;
use crate::remove;

impl Walk {
    /// Applies an explicit whiteout: removes what lower layers have at `name`
    /// here, and nothing of the current layer.
    pub(in crate::apply) fn hide(&mut self, name: &OsStr, attributes: &Attributes) -> Result<()> {
        if self.chain.top().fresh {
            return Ok(());
        }
        self.aside.wait()?;
        match self.hide_outside(name)? {
            None => Ok(()),
            Some(mark) => {
                self.hide_all(attributes)?;
                self.leave_rest(name, mark, attributes)
            }
        }
    }

    /// The same, but for a folder of a lower layer with content of this one:
    /// that is entered, and its mark is given.
    fn hide_outside(&mut self, name: &OsStr) -> Result<Option<Mark>> {
        let real = self.real(name);
        let mark = match self.marks.get(&real).copied() {
            None => {
                self.omitted.remove(&real);
                return self.remove_lower(name).map(|()| None);
            }
            Some(Mark { own: true, fresh: true }) => return Ok(None),
            Some(mark) => mark,
        };
        match usable_folder(self.chain.handle(), name) {
            Ok(found) => self.enter(name, found).map(|()| Some(mark)),
            // A file or link of this layer.
            Err(Errno::NOTDIR | Errno::NOENT) => Ok(None),
            Err(errno) => {
                Err(Error::io("applying a whiteout to", shown(name.as_bytes()), errno.into()))
            }
        }
    }

    fn remove_lower(&mut self, name: &OsStr) -> Result<()> {
        self.touch();
        remove::tree(self.chain.handle(), name).map_err(|error| {
            error.context(format!("applying a whiteout in {}", shown(&self.path)))
        })?;
        self.forget_later(&self.real(name));
        Ok(())
    }

    /// Leaves the folder `name` of a lower layer after that layer's content
    /// was removed: what this layer has in it stays, in the folder that it
    /// implies or names.
    fn leave_rest(&mut self, name: &OsStr, mark: Mark, attributes: &Attributes) -> Result<()> {
        let failed = |errno: Errno| {
            Error::io("applying a whiteout to", shown(name.as_bytes()), errno.into())
        };
        if !mark.own && is_empty(self.chain.handle()).map_err(failed)? {
            // Nothing of this layer is in it after all.
            self.up_to(self.chain.depth() - 1)?;
            return self.clear_way(name);
        }
        if !mark.own {
            self.chain.top().imply();
            attributes.imply(self.chain.handle()).map_err(failed)?;
            clear_xattrs(self.chain.handle(), &[]).map_err(failed)?;
            self.later.remove(&self.path);
        }
        self.marks.insert(self.path.clone(), Mark { own: true, fresh: true });
        self.up_to(self.chain.depth() - 1)
    }

    /// Applies an opaque whiteout: removes what lower layers have in the
    /// folder here. Without recursion: folders may be 2,048 levels deep.
    pub(in crate::apply) fn hide_all(&mut self, attributes: &Attributes) -> Result<()> {
        self.aside.wait()?;
        // Folders on the way down: what is left to look at in each, and, but
        // for the first, its name and mark.
        let mut ahead = vec![(self.listed()?, None)];
        while let Some((names, about)) = ahead.last_mut() {
            if let Some(name) = names.next() {
                if let Some(mark) = self.hide_outside(&name)? {
                    ahead.push((self.listed()?, Some((name, mark))));
                }
                continue;
            }
            let about = about.take();
            ahead.pop();
            if !self.chain.top().fresh {
                self.chain.top().fresh = true;
                self.mark_passed();
                if let Some(mark) = self.marks.get_mut(&self.path) {
                    mark.fresh = true;
                }
            }
            if let Some((name, mark)) = about {
                self.leave_rest(&name, mark, attributes)?;
            }
        }
        Ok(())
    }

    /// The names in the folder here that may be of lower layers.
    fn listed(&mut self) -> Result<std::vec::IntoIter<OsString>> {
        if self.chain.top().fresh {
            return Ok(Vec::new().into_iter());
        }
        let failed = |errno: Errno| Error::io("listing", shown(&self.path), errno.into());
        Ok(names(self.chain.handle()).map_err(failed)?.into_iter())
    }
}
