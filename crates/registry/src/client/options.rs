//! What a client is told: budgets of time, whom to trust, which way to go.

use core::net::SocketAddr;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use plimsoll_content::Result;
use plimsoll_content::limits::Limits;

use super::credential::{Keyring, NoKeys};
use super::trail::Trail;
use crate::protocol::{Host, Scheme, Url};

/// How a client works.
#[derive(Clone)]
pub struct Options {
    /// What it calls itself.
    pub user_agent: String,
    /// The registries that may be spoken to in the clear, and whose
    /// certificates are not checked. Loopback needs no leave to speak in the clear.
    pub insecure: Vec<Host>,
    /// Who knows the credentials.
    pub keyring: Arc<dyn Keyring>,
    /// Who knows the certificates.
    pub trust: Arc<dyn Trust>,
    /// The proxies.
    pub proxies: Proxies,
    /// Budgets of time.
    pub patience: Patience,
    /// Sends blobs that are longer than this in chunks of this length, which
    /// is not 0; without it, whole.
    pub chunk: Option<usize>,
    /// How large blobs travel to here.
    pub lanes: Lanes,
    /// The budgets for documents.
    pub limits: Limits,
    /// Whether somebody wants it all to end.
    pub interrupted: Option<Arc<AtomicBool>>,
    /// Whether no socket may be opened.
    pub offline: bool,
    /// Where it is kept how names were resolved.
    pub trail: Trail,
    /// Hosts whose addresses are set here, and not asked of the DNS.
    pub hosts: BTreeMap<String, SocketAddr>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            user_agent: concat!("plimsoll/", env!("CARGO_PKG_VERSION")).to_owned(),
            insecure: Vec::new(),
            keyring: Arc::new(NoKeys),
            trust: Arc::new(WebTrust),
            proxies: Proxies::default(),
            patience: Patience::default(),
            chunk: None,
            lanes: Lanes::default(),
            limits: Limits::default(),
            interrupted: None,
            offline: false,
            trail: Trail::default(),
            hosts: BTreeMap::new(),
        }
    }
}

/// How one large blob travels over several connections, where its registry
/// gives parts of it.
#[derive(Clone, Copy, Debug)]
pub struct Lanes {
    /// How many bytes make a blob large.
    pub least: u64,
    /// The length of a piece, which is held in memory.
    pub piece: u64,
    /// How many pieces may be under way, for all blobs together.
    pub count: usize,
}

impl Default for Lanes {
    fn default() -> Self {
        Self { least: 64 << 20, piece: 8 << 20, count: 4 }
    }
}

/// How long is waited, and how often something is tried again.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For a connection.
    pub connect: Duration,
    /// For the next byte.
    pub stall: Duration,
    /// For the answer to something that was sent: registries look at what
    /// they got before they answer.
    pub answer: Duration,
    /// How often a failed request is sent again.
    pub retries: u32,
    /// Before the first of them; it doubles each time.
    pub pause: Duration,
    /// The longest that a registry may ask us to wait (`Retry-After`).
    pub wait: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(15),
            stall: Duration::from_mins(1),
            answer: Duration::from_mins(5),
            retries: 5,
            pause: Duration::from_millis(250),
            wait: Duration::from_mins(1),
        }
    }
}

/// What proves to us who a registry is, and to it who we are. All of it is PEM.
#[derive(Clone, Default)]
pub struct Certificates {
    /// The authorities that are believed; without them those of the web.
    pub roots: Option<Vec<u8>>,
    /// Our certificate and its key.
    pub client: Option<(Vec<u8>, Vec<u8>)>,
}

/// Who knows the certificates.
pub trait Trust: Send + Sync {
    /// What holds for that server.
    fn certificates(&self, host: &Host) -> Result<Certificates>;
}

/// The authorities of the web, as Mozilla lists them.
#[derive(Clone, Copy, Debug, Default)]
pub struct WebTrust;

impl Trust for WebTrust {
    fn certificates(&self, _: &Host) -> Result<Certificates> {
        Ok(Certificates::default())
    }
}

/// The proxies, and who is reached without one.
#[derive(Clone, Default)]
pub struct Proxies {
    /// For `http://`.
    pub http: Option<String>,
    /// For `https://`.
    pub https: Option<String>,
    /// Hosts and domains that are reached without; `*` is all.
    pub without: Vec<String>,
}

impl Proxies {
    /// The proxy for an address. This machine is reached without.
    pub(super) fn of(&self, url: &Url) -> Option<&str> {
        let proxy = match url.scheme() {
            Scheme::Http => self.http.as_deref(),
            Scheme::Https => self.https.as_deref(),
        }?;
        let host = url.host();
        let without = self.without.iter().any(|rule| {
            let rule = rule.trim().to_ascii_lowercase();
            let bare = rule.trim_start_matches("*.").trim_start_matches('.');
            rule == "*"
                || (!bare.is_empty()
                    && (host.as_str() == bare
                        || host.name() == bare
                        || host.name().ends_with(&format!(".{bare}"))))
        });
        (!host.is_loopback() && !without).then_some(proxy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_for_all_but_those_without() {
        let proxies = Proxies {
            http: None,
            https: Some("http://proxy:3128".into()),
            without: vec![".corp.example".into(), "r.example:5000".into(), String::new()],
        };
        for (address, through) in [
            ("https://a.example/", true),
            ("https://corp.example/", false),
            ("https://x.corp.example:8443/", false),
            ("https://xcorp.example/", true),
            ("https://r.example:5000/", false),
            ("https://r.example/", true),
            ("https://127.0.0.1/", false),
            ("http://a.example/", false),
        ] {
            let url = Url::parse(address).expect(address);
            assert_eq!(proxies.of(&url).is_some(), through, "{address}");
        }
    }
}
