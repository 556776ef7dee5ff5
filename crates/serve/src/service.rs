//! One request: let in, answered by its handler, counted and told.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use hyper::body::Incoming;
use hyper::header::USER_AGENT;
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};
use plimsoll_registry::protocol::{ErrorCode, Misroute, Repository, Route, header, query};
use tokio::sync::Semaphore;

use crate::auth::{self, Action, Need};
use crate::body::{Payload, Received};
use crate::log::{self, Event, Log};
use crate::metrics::{Gauge, Metrics};
use crate::options::Options;
use crate::reply::{Refusal, Replied, Reply};
use crate::storage::Storage;

/// What all requests share.
pub(crate) struct Service {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) options: Options,
    pub(crate) log: Arc<dyn Log>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) uploads: Semaphore,
    /// What makes the names of uploads new and hard to guess.
    pub(crate) secret: [u8; 32],
    pub(crate) number: AtomicU64,
}

/// A request on its way through a handler.
pub(crate) struct Asked<'a> {
    pub(crate) service: &'a Service,
    pub(crate) parts: &'a Parts,
    /// Taken by the handler that reads it.
    pub(crate) body: Option<Received>,
}

/// Where a request came from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    pub(crate) secure: bool,
}

impl Service {
    /// Answers a request.
    pub(crate) async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        peer: Peer,
    ) -> Response<Payload> {
        let begun = Instant::now();
        let flight = Gauge::new(&self.metrics, |metrics| &metrics.in_flight);
        let (parts, body) = request.into_parts();
        let received = Arc::new(AtomicU64::new(0));
        let budget = &self.options.budget;
        let body = Received::new(body, budget.idle, budget.blob, Arc::clone(&received));
        let mut asked = Asked { service: &self, parts: &parts, body: Some(body) };
        let mut over = Over {
            service: Arc::clone(&self),
            begun,
            kind: "none",
            method: method_name(&parts.method),
            status: 0,
            received,
            sent: Arc::new(AtomicU64::new(0)),
            request: log::Request {
                time: milliseconds(),
                remote: peer.address,
                user: None,
                method: parts.method.to_string(),
                path: parts.uri.path_and_query().map_or_else(String::new, ToString::to_string),
                status: 0,
                received: 0,
                sent: 0,
                micros: 0,
                agent: parts
                    .headers
                    .get(USER_AGENT)
                    .map(|agent| String::from_utf8_lossy(agent.as_bytes()).into_owned()),
                error: None,
            },
            _flight: flight,
        };
        let reply = match asked.reply(peer, &mut over).await {
            Ok(reply) => reply,
            Err(refusal) => {
                over.request.error = refusal.fault.as_ref().map(told);
                refusal.reply()
            }
        };
        if let Some(body) = asked.body.take() {
            body.drain().await;
        }
        over.status = reply.status().as_u16();
        let mut reply = reply.header(header::API_VERSION, "registry/2.0");
        if let Some(warning) = &self.options.warning
            && let Some(value) = header::warn(warning)
        {
            reply = reply.header("Warning", value);
        }
        let reply = if parts.method == Method::HEAD { reply.without_body() } else { reply };
        let (head, payload) = reply.finish().into_parts();
        let sent = Arc::clone(&over.sent);
        Response::from_parts(head, payload.watched(sent, over))
    }
}

impl Asked<'_> {
    async fn reply(&mut self, peer: Peer, over: &mut Over) -> Replied {
        let (options, parts) = (&self.service.options, self.parts);
        let access = &options.access;
        let path = parts.uri.path();
        let query_text = parts.uri.query().unwrap_or_default();
        if access.token_path() == Some(path) {
            over.kind = "token";
            return self.token(query_text).await;
        }
        if path == "/metrics" && options.metrics {
            over.kind = "metrics";
            over.request.user = access.check(&parts.headers, &Need::Registry, peer.secure).await?;
            self.allow(&[Method::GET, Method::HEAD])?;
            let text = self.service.metrics.text();
            let kind = "text/plain; version=0.0.4; charset=utf-8";
            return Ok(Reply::new(StatusCode::OK).body(kind, Payload::bytes(text)));
        }
        if path == "/" {
            over.kind = "root";
            self.allow(&[Method::GET, Method::HEAD])?;
            let text = "This is a registry of container images; its clients use /v2/.\n";
            return Ok(Reply::new(StatusCode::OK).body("text/plain", Payload::bytes(text)));
        }
        let route = Route::parse(path, query_text);
        over.kind = route.as_ref().map_or("none", kind);
        let need = match &route {
            Ok(Route::Catalog(_)) => Need::Registry,
            Ok(route) => match route.repository() {
                Some(name) => {
                    let from = match route {
                        Route::Begin(_, begin) => begin.from.as_ref(),
                        _ => None,
                    };
                    Need::Repository(name, Action::of(&parts.method, route), from)
                }
                None => Need::Login,
            },
            Err(_) => Need::Login,
        };
        over.request.user = access.check(&parts.headers, &need, peer.secure).await?;
        let route = route.map_err(|misroute| self.misrouted(misroute))?;
        self.routed(route).await
    }

    async fn routed(&mut self, route: Route) -> Replied {
        let method = &self.parts.method;
        let reading = matches!(*method, Method::GET | Method::HEAD);
        let upload = matches!(route, Route::Upload(..) | Route::Begin(..));
        let options = &self.service.options;
        if options.read_only && (!reading || upload) {
            return Err(not_allowed("this registry is read-only"));
        }
        if *method == Method::DELETE && !upload && !options.delete {
            return Err(not_allowed("this registry removes nothing"));
        }
        match route {
            Route::Base => {
                self.allow(&[Method::GET, Method::HEAD])?;
                Ok(Reply::new(StatusCode::OK).body("application/json", Payload::bytes("{}")))
            }
            Route::Catalog(part) => self.catalog(part).await,
            Route::Tags(name, part) => self.tags(name, part).await,
            Route::Referrers(name, digest, kinds) => self.referrers(name, digest, kinds).await,
            Route::Manifest(name, address, tags) => self.manifest(name, address, tags).await,
            Route::Blob(name, digest) => self.blob(name, digest).await,
            Route::Begin(name, begin) => self.begin(name, begin).await,
            Route::Upload(name, upload, digest) => self.upload(name, upload, digest).await,
        }
    }

    /// Refuses other methods.
    pub(crate) fn allow(&self, methods: &[Method]) -> Result<(), Refusal> {
        if methods.contains(&self.parts.method) {
            return Ok(());
        }
        let names: Vec<_> = methods.iter().map(Method::as_str).collect();
        let text = format!("{} is not for this address", self.parts.method);
        Err(not_allowed(text).header("Allow", names.join(", ")))
    }

    fn misrouted(&self, misroute: Misroute) -> Refusal {
        let reading = matches!(self.parts.method, Method::GET | Method::HEAD | Method::DELETE);
        match misroute {
            Misroute::Unknown => Refusal::new(
                StatusCode::NOT_FOUND,
                ErrorCode::Unsupported,
                "no such address in the distribution protocol",
            ),
            Misroute::Tag(text) if reading => {
                Refusal::new(StatusCode::NOT_FOUND, ErrorCode::ManifestUnknown, text)
            }
            Misroute::Tag(text) => {
                Refusal::new(StatusCode::BAD_REQUEST, ErrorCode::ManifestInvalid, text)
            }
            Misroute::Refused(code @ ErrorCode::BlobUploadUnknown, text) => {
                Refusal::new(StatusCode::NOT_FOUND, code, text)
            }
            Misroute::Refused(code, text) => Refusal::new(StatusCode::BAD_REQUEST, code, text),
        }
    }

    /// Gives out a token, for a query or, as OAuth has it, a form.
    async fn token(&mut self, text: &str) -> Replied {
        const FORM: u64 = 64 << 10;
        self.allow(&[Method::GET, Method::POST])?;
        let mut login = auth::basic(&self.parts.headers);
        let mut pairs = query::pairs(text).unwrap_or_default();
        if self.parts.method == Method::POST
            && let Some(body) = self.body.take()
        {
            let form = body.at_most(FORM).whole().await?;
            let form = str::from_utf8(&form).ok().and_then(query::pairs).unwrap_or_default();
            let field = |name: &str| {
                form.iter().find(|(other, _)| other == name).map(|(_, value)| value.clone())
            };
            if let (Some(user), Some(password)) = (field("username"), field("password")) {
                login = Some((user, password));
            }
            pairs.extend(form);
        }
        let scopes = pairs.into_iter().filter(|(name, _)| name == "scope");
        let scopes: Vec<_> = scopes.map(|(_, value)| value).collect();
        auth::respond(&self.service.options.access, login, &scopes).await
    }
}

pub(crate) fn not_allowed(text: impl Into<String>) -> Refusal {
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, ErrorCode::Unsupported, text)
}

pub(crate) fn unknown_name(name: &Repository) -> Refusal {
    let text = format!("there is no repository {name}");
    Refusal::new(StatusCode::NOT_FOUND, ErrorCode::NameUnknown, text)
}

fn kind(route: &Route) -> &'static str {
    match route {
        Route::Base => "base",
        Route::Blob(..) => "blob",
        Route::Manifest(..) => "manifest",
        Route::Begin(..) | Route::Upload(..) => "upload",
        Route::Tags(..) => "tags",
        Route::Referrers(..) => "referrers",
        Route::Catalog(..) => "catalog",
    }
}

/// Methods by name: what a client invents must not become a metric.
fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        _ => "other",
    }
}

/// An error with the larger operations around it, in one line.
fn told(error: &plimsoll_content::Error) -> String {
    let contexts = error.contexts().iter().rev().map(|context| format!("{context}: "));
    format!("{}{}{error}", error.code(), contexts.fold(": ".to_owned(), |all, one| all + &one))
}

/// Counts and tells a request when it is over: dropped with its answer.
struct Over {
    service: Arc<Service>,
    begun: Instant,
    kind: &'static str,
    method: &'static str,
    status: u16,
    received: Arc<AtomicU64>,
    sent: Arc<AtomicU64>,
    request: log::Request,
    _flight: Gauge,
}

impl Drop for Over {
    fn drop(&mut self) {
        let took = self.begun.elapsed();
        let received = self.received.load(Ordering::Relaxed);
        let sent = self.sent.load(Ordering::Relaxed);
        // Nobody was there to hear the answer.
        let status = if self.status == 0 { 499 } else { self.status };
        self.service.metrics.request(self.method, self.kind, status, took, received, sent);
        self.request.status = status;
        self.request.received = received;
        self.request.sent = sent;
        self.request.micros = log::microseconds(took);
        self.service.log.request(&self.request);
    }
}

fn milliseconds() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

impl Service {
    /// Removes what nothing leads to.
    pub(crate) async fn collect(&self) {
        use crate::storage::Sweep;
        let now = i64::try_from(auth::now()).unwrap_or(i64::MAX);
        let before = |age: std::time::Duration| {
            now.saturating_sub(i64::try_from(age.as_secs()).unwrap_or(i64::MAX))
        };
        let sweep = Sweep {
            blobs: before(self.options.collect_after),
            uploads: before(self.options.upload_life),
            untagged: self.options.collect_untagged.map(before),
        };
        match self.storage.collect(sweep).await {
            Ok(swept) => {
                self.metrics.swept(&swept);
                let text = format!(
                    "{} manifests, {} blobs, {} bytes, {} uploads removed; {} repositories busy",
                    swept.manifests, swept.blobs, swept.bytes, swept.uploads, swept.busy
                );
                self.log.event(&Event::new("collected", text));
                for failure in swept.failures {
                    self.log.event(&Event::new("collect-failed", failure));
                }
            }
            Err(error) => self.log.event(&Event::new("collect-failed", told(&error))),
        }
    }
}
