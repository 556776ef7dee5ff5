//! The client: registries as places to read from and to write to.
//!
//! [`Client`] knows how registries are spoken to; [`Remote`] is one
//! repository as a [`Source`](plimsoll_content::Source) and a
//! [`Sink`](plimsoll_content::Sink). It blocks, and may be used by many
//! threads.

mod auth;
mod credential;
mod download;
mod exchange;
mod lists;
mod manifest;
mod options;
mod remote;
mod upload;
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use credential::{Credential, Keyring, NoKeys, Secret};
pub use lists::fallback_tag;
pub use options::{Certificates, Options, Patience, Proxies, Trust, WebTrust};
pub use remote::Remote;

use crate::protocol::{Host, Repository};
use auth::{Contact, Scope, Token};
use wire::Wire;

/// What is known of registries: connections, what they ask for, tokens.
pub struct Client {
    wire: Wire,
    contacts: Mutex<BTreeMap<Host, Arc<Contact>>>,
    tokens: Mutex<BTreeMap<(Host, Scope), Token>>,
    warnings: Mutex<BTreeSet<String>>,
}

impl Client {
    /// A client that has spoken to nobody yet.
    pub fn new(options: Options) -> Arc<Self> {
        Arc::new(Self {
            wire: Wire::new(options),
            contacts: Mutex::default(),
            tokens: Mutex::default(),
            warnings: Mutex::default(),
        })
    }

    /// A repository. Nothing is asked of it yet.
    pub fn remote(self: &Arc<Self>, host: Host, repository: Repository) -> Remote {
        Remote::new(Arc::clone(self), host, repository)
    }

    /// What registries wanted people to know, since this was last asked.
    pub fn warnings(&self) -> Vec<String> {
        std::mem::take(&mut *locked(&self.warnings)).into_iter().collect()
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

/// Nothing here is half-changed when a thread ends.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
