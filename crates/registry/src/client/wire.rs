//! One request and its answer: connections, certificates, and what went
//! wrong on the way. Nothing is tried twice here.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::sync::{Mutex, PoisonError};

use plimsoll_content::{Code, Error, Result};
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig};
use ureq::unversioned::transport::DefaultConnector;
use ureq::{Agent, Proxy, SendBody, Timeout, http};

use super::credential::Secret;
use super::guard::Guard;
use super::locked;
use super::options::Options;
use crate::protocol::{ErrorDocument, Host, Scheme, Url, header};

pub(super) use ureq::http::Method;

/// The most header bytes of an answer.
const HEADERS: usize = 64 << 10;

/// How much of a web page is shown.
const SHOWN: usize = 120;

/// What is sent.
pub(super) enum Body<'a> {
    None,
    Bytes(&'a [u8]),
    /// Bytes that can be read once.
    Stream(Stream<'a>),
}

/// Content that is sent as it comes.
pub(super) struct Stream<'a> {
    length: u64,
    reader: &'a mut dyn Read,
    /// Whether some of it was read.
    begun: bool,
}

impl<'a> Stream<'a> {
    /// So many bytes.
    pub(super) fn new(length: u64, reader: &'a mut dyn Read) -> Self {
        Self { length, reader, begun: false }
    }
}

impl Read for Stream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.begun = true;
        self.reader.read(buffer)
    }
}

impl Body<'_> {
    /// Whether it can be sent again.
    pub(super) fn is_lasting(&self) -> bool {
        !matches!(self, Self::Stream(Stream { begun: true, .. }))
    }
}

/// A request, without what lets us in.
pub(super) struct Request<'a> {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Body<'a>,
}

impl Request<'_> {
    pub(super) fn new(method: Method, url: Url) -> Self {
        Self { method, url, headers: Vec::new(), body: Body::None }
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// What came back.
pub(super) struct Answer {
    /// Who answered, after redirects.
    pub(super) url: Url,
    pub(super) status: u16,
    /// Whether another server than the one that was asked answered.
    pub(super) elsewhere: bool,
    headers: http::HeaderMap,
    body: Box<dyn Read + Send>,
}

impl Answer {
    /// The first header of that name, if it is text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// All headers of that name.
    pub(super) fn headers(&self, name: &str) -> impl Iterator<Item = &str> {
        self.headers.get_all(name).iter().filter_map(|value| value.to_str().ok())
    }

    /// The media type, without parameters.
    pub(super) fn media_type(&self) -> Option<String> {
        self.header("content-type").map(header::media_type)
    }

    /// The seconds after which the server wants to be asked again.
    pub(super) fn retry_after(&self) -> Option<u64> {
        let value = self.header("retry-after")?;
        header::retry_after(value, self.header("date"))
    }

    /// The announced length.
    pub(super) fn length(&self) -> Option<u64> {
        self.header("content-length").and_then(|value| value.trim().parse().ok())
    }

    pub(super) fn is_page(&self) -> bool {
        self.media_type().is_some_and(|kind| kind == "text/html" || kind == "application/xhtml+xml")
    }

    /// The content.
    pub(super) fn into_body(self) -> Box<dyn Read + Send> {
        self.body
    }

    /// All of the content, which is at most `limit` bytes long.
    pub(super) fn read(mut self, limit: u64, what: &str) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let read = (&mut self.body).take(limit.saturating_add(1)).read_to_end(&mut bytes);
        read.map_err(|cause| broken(&format!("reading {what} from"), &self.url, cause))?;
        if bytes.len() as u64 > limit {
            return Err(Error::new(Code::Limit, format!("reading {what} from {}", self.url))
                .found(format!("more than {limit} bytes"))
                .expected("fewer"));
        }
        Ok(bytes)
    }

    /// The error of an answer that is not the one that was hoped for.
    pub(super) fn refusal(mut self, doing: &str) -> Error {
        let mut bytes = Vec::new();
        // What is unreadable says nothing.
        let _ = (&mut self.body).take(ErrorDocument::LIMIT).read_to_end(&mut bytes);
        let status = self.status;
        let page = self.is_page();
        let code = match status {
            401 | 403 => Code::Auth,
            _ if page => Code::NotARegistry,
            404 => Code::NotFound,
            408 | 425 | 429 | 500..=599 => Code::Network,
            _ => Code::Registry,
        };
        let said = ErrorDocument::parse(&bytes).shown();
        let phrase = http::StatusCode::from_u16(status).ok();
        let phrase = phrase.and_then(|status| status.canonical_reason()).unwrap_or("");
        let found = match said {
            _ if page => return self.page(doing, &bytes),
            Some(said) => format!("{status} {phrase}: {said}"),
            None => format!("{status} {phrase}"),
        };
        let error = Error::new(code, doing).found(found.trim()).tried(&self.url);
        match (code, self.retry_after()) {
            (Code::Network, Some(seconds)) => {
                error.expected(format!("an answer; it asks to come back in {seconds} seconds"))
            }
            _ => error,
        }
    }

    fn page(&self, doing: &str, bytes: &[u8]) -> Error {
        let text = String::from_utf8_lossy(&bytes[..bytes.len().min(4096)]);
        let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("");
        let line: String = line.chars().take(SHOWN).collect();
        let kind = self.media_type().unwrap_or_default();
        Error::new(Code::NotARegistry, doing)
            .found(format!("{} with Content-Type {kind:?}, which begins {line:?}", self.status))
            .expected("the answer of a registry")
            .tried(&self.url)
            .fix("look at the address, and at HTTPS_PROXY: a login page or a captive portal is likely")
    }

    /// The answer, unless it is a web page.
    pub(super) fn no_page(mut self, doing: &str) -> Result<Self> {
        if !self.is_page() {
            return Ok(self);
        }
        let mut bytes = Vec::new();
        let _ = (&mut self.body).take(4096).read_to_end(&mut bytes);
        Err(self.page(doing, &bytes))
    }
}

/// The connections of a client, by server.
pub(super) struct Wire {
    options: Options,
    agents: Mutex<BTreeMap<(Scheme, Host, bool), Agent>>,
    /// Hosts that nobody wrote: others said that something is there.
    discovered: Mutex<BTreeSet<Host>>,
}

impl Wire {
    pub(super) fn new(options: Options) -> Self {
        Self { options, agents: Mutex::default(), discovered: Mutex::default() }
    }

    pub(super) fn options(&self) -> &Options {
        &self.options
    }

    /// Remembers that others led to that host: it must not be one of our own network.
    pub(super) fn note_discovered(&self, host: &Host) {
        locked(&self.discovered).insert(host.clone());
    }

    /// Whether that server may be spoken to in the clear.
    pub(super) fn may_be_plain(&self, host: &Host) -> bool {
        host.is_loopback() || self.is_insecure(host)
    }

    pub(super) fn is_insecure(&self, host: &Host) -> bool {
        let listed = |other: &Host| other == host || other.api() == *host;
        self.options.insecure.iter().any(listed)
    }

    /// Refuses an address that would be spoken to in the clear without leave.
    pub(super) fn check_plain(&self, url: &Url, doing: &str) -> Result<()> {
        if url.scheme() == Scheme::Https || self.may_be_plain(url.host()) {
            return Ok(());
        }
        Err(Error::new(Code::PlainHttp, doing)
            .found(format!("{url}, which is not encrypted"))
            .expected("https")
            .fix(format!(
                "--insecure {}   if everybody on the way may read and change it",
                url.host()
            )))
    }

    /// Sends a request once.
    pub(super) fn send(
        &self,
        request: &mut Request<'_>,
        secret: Option<&Secret>,
    ) -> Result<Answer, Failure> {
        let url = request.url.clone();
        let doing = format!("asking {url}");
        self.check_plain(&url, &doing)?;
        let agent = self.agent(&url)?;
        let mut built = http::Request::builder().method(request.method.clone()).uri(url.whole());
        for (name, value) in &request.headers {
            built = built.header(*name, value);
        }
        if let Some(secret) = secret {
            built = built.header("authorization", secret.reveal());
        }
        let wrong = |cause: http::Error| {
            Failure::from(Error::new(Code::Registry, &doing).found(cause.to_string()))
        };
        let changes = request.method != Method::GET && request.method != Method::HEAD;
        let answer = self.options.patience.answer;
        macro_rules! run {
            ($body:expr) => {{
                let request = built.body($body).map_err(wrong)?;
                if changes {
                    let request =
                        agent.configure_request(request).timeout_per_read(Some(answer)).build();
                    agent.run(request)
                } else {
                    agent.run(request)
                }
            }};
        }
        let response = match &mut request.body {
            Body::None => run!(()),
            Body::Bytes(bytes) => run!(*bytes),
            Body::Stream(stream) => {
                // Who refuses it may say so before all of it was sent.
                built = built.header("content-length", stream.length);
                built = built.header("expect", "100-continue");
                run!(SendBody::from_reader(stream))
            }
        };
        let response = response.map_err(|cause| failure(&doing, cause))?;
        let (parts, body) = response.into_parts();
        Ok(Answer {
            url,
            status: parts.status.as_u16(),
            elsewhere: false,
            headers: parts.headers,
            body: Box::new(body.into_with_config().limit(u64::MAX).reader()),
        })
    }

    fn agent(&self, url: &Url) -> Result<Agent> {
        let guarded = locked(&self.discovered).contains(url.host());
        let key = (url.scheme(), url.host().clone(), guarded);
        let mut agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(agent) = agents.get(&key) {
            return Ok(agent.clone());
        }
        let patience = self.options.patience;
        let direct = self.options.proxies.of(url).is_none();
        let guard = Guard::new(&self.options.hosts, guarded, direct);
        let proxy = match self.options.proxies.of(url) {
            None => None,
            Some(text) => Some(Proxy::new(text).map_err(|_| {
                // The address may hold a password.
                Error::new(Code::Usage, "reading the address of the proxy")
                    .found("an address that can not be used")
                    .expected("http://HOST:PORT in HTTPS_PROXY or HTTP_PROXY")
            })?),
        };
        let tls = match url.scheme() {
            Scheme::Http => TlsConfig::default(),
            Scheme::Https => self.tls(url.host())?,
        };
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(proxy)
            .tls_config(tls)
            .user_agent(self.options.user_agent.as_str())
            .accept_encoding("identity")
            .max_response_header_size(HEADERS)
            .input_buffer_size(128 << 10)
            .output_buffer_size(128 << 10)
            .timeout_resolve(Some(patience.connect))
            .timeout_connect(Some(patience.connect))
            .timeout_per_read(Some(patience.stall))
            .timeout_per_write(Some(patience.stall))
            .build();
        let agent = Agent::with_parts(config, DefaultConnector::default(), guard);
        agents.insert(key, agent.clone());
        Ok(agent)
    }

    fn tls(&self, host: &Host) -> Result<TlsConfig> {
        let certificates = self.options.trust.certificates(host)?;
        let bad = |what: &str| {
            Error::new(Code::Malformed, format!("reading {what} for {host}"))
                .found("no certificate or key in PEM form")
                .expected("-----BEGIN CERTIFICATE-----")
        };
        let mut config = TlsConfig::builder().disable_verification(self.is_insecure(host));
        if let Some(pem) = &certificates.roots {
            let roots = chain(pem);
            if roots.is_empty() {
                return Err(bad("the certificates of authorities"));
            }
            config = config.root_certs(RootCerts::from(roots));
        }
        if let Some((pem, key)) = &certificates.client {
            let chain = chain(pem);
            let key = PrivateKey::from_pem(key).map_err(|_| bad("the client key"))?;
            if chain.is_empty() {
                return Err(bad("the client certificate"));
            }
            config = config.client_cert(Some(ClientCert::new_with_certs(&chain, key)));
        }
        Ok(config.build())
    }
}

fn chain(pem: &[u8]) -> Vec<Certificate<'static>> {
    let items = ureq::tls::parse_pem(pem).filter_map(Result::ok);
    items
        .filter_map(|item| match item {
            PemItem::Certificate(certificate) => Some(certificate),
            _ => None,
        })
        .collect()
}

/// A request that got no answer.
pub(super) struct Failure {
    pub(super) error: Error,
    /// Whether it may go better the next time.
    pub(super) passing: bool,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { error, passing: false }
    }
}

fn failure(doing: &str, cause: ureq::Error) -> Failure {
    let passing = matches!(
        cause,
        ureq::Error::Io(_) | ureq::Error::Timeout(_) | ureq::Error::ConnectionFailed
    );
    // The system has no kind of its own for a host that nobody knows.
    let unknown = cause.to_string().contains("lookup");
    // A refusal of a certificate travels as an error of the connection.
    let tls = match &cause {
        ureq::Error::Rustls(_) | ureq::Error::Tls(_) => true,
        ureq::Error::Io(cause) => cause.kind() == io::ErrorKind::InvalidData,
        _ => false,
    };
    let mut error = Error::new(Code::Network, doing);
    error = match &cause {
        ureq::Error::HostNotFound => error.found("no such host"),
        ureq::Error::Timeout(Timeout::Connect | Timeout::Resolve) => {
            error.found("no connection in time")
        }
        ureq::Error::Timeout(_) => error.found("no byte in time: the connection stalled"),
        ureq::Error::Io(cause) => error.found(cause),
        other => error.found(other),
    };
    if tls {
        error = error
            .expected("a certificate of an authority that this machine trusts")
            .fix("put the authority into certs.d/HOST/ca.crt or SSL_CERT_FILE; --insecure HOST   trusts anybody");
    }
    Failure { error: error.cause(cause), passing: passing && !tls && !unknown }
}

/// The error of content that broke off.
pub(super) fn broken(doing: &str, url: &Url, cause: io::Error) -> Error {
    match Error::unwrap_io(cause) {
        Ok(error) => error,
        Err(cause) => {
            let found = match cause.get_ref().and_then(|inner| inner.downcast_ref::<ureq::Error>())
            {
                Some(ureq::Error::Timeout(_)) => {
                    "no byte in time: the connection stalled".to_owned()
                }
                _ => cause.to_string(),
            };
            Error::new(Code::Network, format!("{doing} {url}")).found(found).cause(cause)
        }
    }
}
