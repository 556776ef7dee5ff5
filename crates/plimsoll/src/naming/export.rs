//! `name export`: what it takes to resolve some names elsewhere, without a
//! network, as files.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use plimsoll_content::Result;
use plimsoll_name::{Address, Reference};
use serde::Serialize;

use super::{Folder, Naming, folder};
use crate::place::Home;

/// What was exported.
#[derive(Clone, Debug, Serialize)]
pub struct Exported {
    /// The folder.
    pub folder: PathBuf,
    /// The names, with what they mean.
    pub names: Vec<(String, String)>,
    /// How many documents it took.
    pub documents: usize,
}

/// Keeps what was found, below a folder for each host.
pub(super) struct Record {
    folder: PathBuf,
    hosts: Mutex<BTreeSet<String>>,
    count: Mutex<usize>,
}

impl Record {
    pub(super) fn keep(&self, address: &Address, bytes: &[u8]) -> Result<()> {
        let host = address.host().to_string();
        let path = self.folder.join("web").join(&host).join(address.path().trim_start_matches('/'));
        folder::write(&path, bytes, 0o644)?;
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner).insert(host);
        *self.count.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        Ok(())
    }
}

impl Naming {
    /// Resolves names as a new client would, and writes all documents that it
    /// took to a folder, with a `names.toml` that reads them from there and
    /// with what is remembered afterwards.
    pub fn export(&self, home: &Home, folder: &Path, names: &[Reference]) -> Result<Exported> {
        let record =
            Record { folder: folder.to_owned(), hosts: Mutex::default(), count: Mutex::default() };
        let shelf = Folder::new(folder.join("state"));
        let mut done = Vec::new();
        for name in names {
            let found = self.recorded(home, &shelf, &record, name)?;
            done.push((name.to_string(), found));
        }
        let hosts = record.hosts.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::from("dns = false\n");
        for host in &hosts {
            text.push_str(&format!(
                "\n[[site]]\nbase = \"https://{host}/\"\nfolder = \"web/{host}\"\n"
            ));
        }
        folder::write(&folder.join("names.toml"), text.as_bytes(), 0o644)?;
        let documents = record.count.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok(Exported { folder: folder.to_owned(), names: done, documents })
    }

    fn recorded(
        &self,
        home: &Home,
        shelf: &Folder,
        record: &Record,
        name: &Reference,
    ) -> Result<String> {
        self.with_lookup(home, shelf, Some(record), |resolver| {
            resolver.resolve(name, None).map(|found| found.descriptor.digest.to_string())
        })
    }
}
