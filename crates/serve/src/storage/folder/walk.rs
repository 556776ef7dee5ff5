//! The layouts below a folder, in the order of the names of their
//! repositories, from any of them on: a page of the catalogue opens no folder
//! that lies wholly before it or behind it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use plimsoll_content::{Error, Result};
use plimsoll_registry::protocol::Repository;

use super::naming;

/// The repositories behind one, in the order of their bytes.
pub(super) struct Walk {
    /// Folders that are still to be looked at, by the name that a repository
    /// in them has. Those below one have longer names, so the next repository
    /// is always in the first.
    next: BinaryHeap<Reverse<(String, PathBuf)>>,
    after: Option<String>,
}

impl Walk {
    pub(super) fn new(root: &Path, after: Option<String>) -> Self {
        let next = BinaryHeap::from([Reverse((String::new(), root.to_owned()))]);
        Self { next, after }
    }

    fn open(&mut self, name: &str, folder: &Path) -> Result<()> {
        let failed = |cause| Error::io("listing", folder.display(), cause);
        let entries = match fs::read_dir(folder) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other.map_err(failed)?,
        };
        for entry in entries {
            let entry = entry.map_err(failed)?;
            let Ok(below) = entry.file_name().into_string() else { continue };
            let Some(part) = naming::part(&below) else { continue };
            let joint = if name.is_empty() { "" } else { "/" };
            let below = format!("{name}{joint}{part}");
            if (self.is_behind(&below) || self.leads_behind(&below))
                && entry.file_type().is_ok_and(|kind| kind.is_dir())
            {
                self.next.push(Reverse((below, entry.path())));
            }
        }
        Ok(())
    }

    fn is_behind(&self, name: &str) -> bool {
        self.after.as_deref().is_none_or(|after| name > after)
    }

    /// Whether a repository below that one may be behind the last one.
    fn leads_behind(&self, name: &str) -> bool {
        let below = format!("{name}/");
        self.after.as_deref().is_none_or(|after| *below > *after || after.starts_with(&below))
    }
}

impl Iterator for Walk {
    type Item = Result<Repository>;

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(Reverse((name, folder))) = self.next.pop() {
            if (name.is_empty() || self.leads_behind(&name))
                && let Err(error) = self.open(&name, &folder)
            {
                return Some(Err(error));
            }
            if self.is_behind(&name)
                && folder.join("oci-layout").is_file()
                && let Ok(name) = name.parse()
            {
                return Some(Ok(name));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_come_in_order_from_any_name_on() {
        let root = tempfile::tempdir().expect("a folder");
        let mut names =
            ["org", "org/app", "org-x", "org.x/y", "org/app-2/z", "a", "z/y/x", "orga/b"]
                .map(str::to_owned);
        for name in &names {
            let folder = root.path().join(name);
            fs::create_dir_all(&folder).expect("folders");
            fs::write(folder.join("oci-layout"), "{}").expect("a file");
        }
        fs::create_dir_all(root.path().join("org/blobs/sha256")).expect("folders");
        names.sort();
        let after = |after: Option<&str>| -> Vec<String> {
            let walk = Walk::new(root.path(), after.map(str::to_owned));
            walk.map(|name| name.expect("a name").to_string()).collect()
        };
        assert_eq!(after(None), names);
        let mut starts = names.to_vec();
        for more in ["", "b", "org/", "org-", "org/a", "org/app-", "org0", "zz", "z/y/x/w"] {
            starts.push(more.to_owned());
        }
        for start in starts {
            let expected: Vec<_> = names.iter().filter(|name| **name > start).cloned().collect();
            assert_eq!(after(Some(&start)), expected, "{start}");
        }
    }

    #[test]
    fn what_lies_before_or_behind_a_page_is_not_opened() {
        let root = tempfile::tempdir().expect("a folder");
        for name in ["a/x", "b/x", "c/x"] {
            let folder = root.path().join(name);
            fs::create_dir_all(&folder).expect("folders");
            fs::write(folder.join("oci-layout"), "{}").expect("a file");
        }
        let mut walk = Walk::new(root.path(), Some("a/x".to_owned()));
        // Whoever opened them now would find nothing.
        fs::remove_dir_all(root.path().join("a")).expect("removed");
        assert_eq!(walk.next().expect("one").expect("a name").as_str(), "b/x");
        let left: Vec<_> = walk.next.into_iter().map(|Reverse((name, _))| name).collect();
        assert_eq!(left, ["c"]);
    }
}
