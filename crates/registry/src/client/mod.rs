//! The client: registries as places to read from and to write to.
//!
//! [`Client`] knows how registries are spoken to; [`Remote`] is one
//! repository as a [`Source`](plimsoll_content::Source) and a
//! [`Sink`](plimsoll_content::Sink). It blocks, and may be used by many
//! threads.

mod auth;
mod blobs;
mod credential;
mod documents;
mod download;
mod exchange;
mod guard;
mod lanes;
mod lists;
mod manifest;
mod mirrors;
mod options;
mod remote;
mod trail;
mod upload;
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use blobs::Blobs;
pub use credential::{Credential, Keyring, NoKeys, Secret};
pub use documents::{Found, Wanted};
pub use guard::is_public;
pub use lists::fallback_tag;
pub use mirrors::{Asked, Called};
pub use options::{Certificates, Lanes, Options, Patience, Proxies, Trust, WebTrust};
pub use remote::Remote;
pub use trail::{By, Resolution, Trail, Tried};

use plimsoll_content::{Code, Error, Result};

use crate::protocol::{Host, Repository};
use auth::{Contact, Scope, Token};
use wire::Wire;

/// What is known of registries: connections, what they ask for, tokens.
pub struct Client {
    wire: Wire,
    contacts: Mutex<BTreeMap<Host, Arc<Contact>>>,
    tokens: Mutex<BTreeMap<(Host, Scope), Token>>,
    warnings: Mutex<BTreeSet<String>>,
    /// Those who may speak to one more registry in the clear.
    lenient: Mutex<BTreeMap<Host, Arc<Self>>>,
    /// How many pieces of large blobs are under way.
    lanes: AtomicUsize,
}

impl Client {
    /// A client that has spoken to nobody yet.
    pub fn new(options: Options) -> Arc<Self> {
        Arc::new(Self {
            wire: Wire::new(options),
            contacts: Mutex::default(),
            tokens: Mutex::default(),
            warnings: Mutex::default(),
            lenient: Mutex::default(),
            lanes: AtomicUsize::new(0),
        })
    }

    /// A repository. Nothing is asked of it yet.
    pub fn remote(self: &Arc<Self>, host: Host, repository: Repository) -> Remote {
        Remote::new(Arc::clone(self), host, repository)
    }

    /// What registries wanted people to know, since this was last asked.
    pub fn warnings(&self) -> Vec<String> {
        let mut all = std::mem::take(&mut *locked(&self.warnings));
        for client in locked(&self.lenient).values() {
            all.extend(client.warnings());
        }
        all.into_iter().collect()
    }

    /// Whether that registry may be spoken to in the clear by leave.
    pub fn may_be_insecure(&self, host: &Host) -> bool {
        self.wire.options().insecure.contains(host)
    }

    /// The same client, which may speak to that registry in the clear and does
    /// not check its certificate.
    pub fn insecure_at(self: &Arc<Self>, host: &Host) -> Arc<Self> {
        let options = self.wire.options();
        if options.insecure.contains(host) {
            return Arc::clone(self);
        }
        let mut lenient = locked(&self.lenient);
        let client = lenient.entry(host.clone()).or_insert_with(|| {
            let mut options = options.clone();
            options.insecure.push(host.clone());
            Self::new(options)
        });
        Arc::clone(client)
    }

    /// The error that a network would be needed and may not be used: no socket
    /// is opened for `what`.
    pub(super) fn online(&self, what: impl FnOnce() -> String) -> Result<()> {
        if !self.wire.options().offline {
            return Ok(());
        }
        Err(Error::new(Code::Offline, what())
            .found("--offline, and nothing of it on this machine")
            .expected("an image in the local store, a layout or an archive")
            .fix("once without --offline: plimsoll pull, or plimsoll copy to a layout"))
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
