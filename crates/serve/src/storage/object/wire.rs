//! HTTP towards the object store: connections that are used again, over TLS
//! or, on loopback, in the clear.

use std::collections::HashMap;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::HOST;
use hyper::{Uri, header::HeaderValue};
use hyper_util::rt::TokioIo;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody,
    HttpResponse, HttpResponseBody, HttpService,
};
use plimsoll_content::{Code, Error, Result};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// How long a connection may take to be there.
const CONNECT: Duration = Duration::from_secs(10);

/// How long the store may think, and be silent in the middle of a body.
const PATIENCE: Duration = Duration::from_mins(1);

/// How long a connection waits to be used again; stores close theirs after
/// 20 s and more.
const IDLE: Duration = Duration::from_secs(10);

/// How many connections wait to be used again.
const KEPT: usize = 256;

/// Connections to object stores.
#[derive(Clone)]
pub(super) struct Wire {
    inner: Arc<Inner>,
}

struct Inner {
    tls: TlsConnector,
    idle: Mutex<HashMap<String, Vec<(Instant, Sender)>>>,
}

type Sender = SendRequest<HttpRequestBody>;

impl Wire {
    /// Connections that trust these certificates, in PEM, or those that
    /// browsers trust.
    pub(super) fn new(roots: Option<&[u8]>) -> Result<Self> {
        let bad = |cause: &dyn fmt::Display| {
            Error::new(Code::Malformed, "reading the certificates to trust").found(cause)
        };
        let mut store = RootCertStore::empty();
        match roots {
            None => store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
            Some(pem) => {
                for root in CertificateDer::pem_slice_iter(pem) {
                    let root = root.map_err(|cause| bad(&cause))?;
                    store.add(root).map_err(|cause| bad(&cause))?;
                }
            }
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|cause| bad(&cause))?
            .with_root_certificates(store)
            .with_no_client_auth();
        let tls = TlsConnector::from(Arc::new(config));
        Ok(Self { inner: Arc::new(Inner { tls, idle: Mutex::default() }) })
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wire")
    }
}

impl HttpConnector for Wire {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

// Written out, as a macro of another crate would write it.
impl HttpService for Wire {
    fn call<'a, 'b>(
        &'a self,
        request: HttpRequest,
    ) -> BoxFuture<'b, Result<HttpResponse, HttpError>>
    where
        'a: 'b,
        Self: 'b,
    {
        self.answer(request).boxed()
    }
}

impl Wire {
    async fn answer(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (mut parts, body) = request.into_parts();
        let uri = std::mem::take(&mut parts.uri);
        let origin = origin(&uri)?;
        let host = uri.authority().map_or("", |authority| authority.as_str());
        if !parts.headers.contains_key(HOST) {
            let host = HeaderValue::from_str(host);
            parts
                .headers
                .insert(HOST, host.map_err(|cause| unsent(HttpErrorKind::Unknown, cause))?);
        }
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        parts.uri = path.parse().map_err(|cause| unsent(HttpErrorKind::Unknown, cause))?;
        let mut request = HttpRequest::from_parts(parts, body);
        loop {
            let (mut sender, used) = match self.waiting(&origin) {
                Some(sender) => (sender, true),
                None => (self.connected(&uri).await?, false),
            };
            let answered = timeout(PATIENCE, sender.try_send_request(request)).await;
            let Ok(answered) = answered else {
                let cause = std::io::Error::from(std::io::ErrorKind::TimedOut);
                return Err(HttpError::new(HttpErrorKind::Timeout, cause));
            };
            match answered {
                Ok(response) => {
                    self.keep(&origin, sender);
                    return Ok(response.map(|body| HttpResponseBody::new(Arriving::new(body))));
                }
                Err(mut error) => match error.take_message() {
                    // It was closed before anything was sent.
                    Some(unsent) if used => request = unsent,
                    Some(_) => return Err(unsent(HttpErrorKind::Request, error.into_error())),
                    None => return Err(broken(error.into_error())),
                },
            }
        }
    }

    /// A connection that waits to be used again.
    fn waiting(&self, origin: &str) -> Option<Sender> {
        let mut idle = self.inner.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let senders = idle.get_mut(origin)?;
        senders.retain(|(since, sender)| !sender.is_closed() && since.elapsed() < IDLE);
        // Those that still bring an answer are not ready.
        let ready = senders.iter().rposition(|(_, sender)| sender.is_ready())?;
        Some(senders.swap_remove(ready).1)
    }

    fn keep(&self, origin: &str, sender: Sender) {
        let mut idle = self.inner.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let senders = idle.entry(origin.to_owned()).or_default();
        if senders.len() >= KEPT {
            senders.retain(|(since, sender)| !sender.is_closed() && since.elapsed() < IDLE);
        }
        if senders.len() < KEPT {
            senders.push((Instant::now(), sender));
        }
    }

    async fn connected(&self, uri: &Uri) -> Result<Sender, HttpError> {
        let connecting = async {
            let host = uri.host().unwrap_or_default();
            let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
            let secure = uri.scheme_str() == Some("https");
            let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
            let stream = TcpStream::connect((bare.as_str(), port)).await?;
            stream.set_nodelay(true)?;
            if !secure {
                return spoken(TokioIo::new(stream)).await;
            }
            let name = ServerName::try_from(bare).map_err(std::io::Error::other)?;
            spoken(TokioIo::new(self.inner.tls.connect(name, stream).await?)).await
        };
        match timeout(CONNECT, connecting).await {
            Ok(connected) => connected.map_err(|cause| unsent(HttpErrorKind::Connect, cause)),
            Err(late) => Err(unsent(HttpErrorKind::Connect, late)),
        }
    }
}

async fn spoken<T>(stream: T) -> std::io::Result<Sender>
where
    T: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let (sender, connection) = handshake(stream).await.map_err(std::io::Error::other)?;
    // Whoever uses it is told what goes wrong with it.
    tokio::spawn(connection.map(|_| ()));
    Ok(sender)
}

fn origin(uri: &Uri) -> Result<String, HttpError> {
    match (uri.scheme_str(), uri.authority()) {
        (Some(scheme @ ("http" | "https")), Some(authority)) => {
            Ok(format!("{scheme}://{authority}"))
        }
        _ => {
            let cause = std::io::Error::other(format!("no address of a store: {uri}"));
            Err(unsent(HttpErrorKind::Unknown, cause))
        }
    }
}

fn unsent(kind: HttpErrorKind, cause: impl std::error::Error + Send + Sync + 'static) -> HttpError {
    HttpError::new(kind, cause)
}

fn broken(cause: hyper::Error) -> HttpError {
    let kind = if cause.is_parse() { HttpErrorKind::Decode } else { HttpErrorKind::Interrupted };
    HttpError::new(kind, cause)
}

/// The body of an answer, which must not stand still.
struct Arriving {
    body: Incoming,
    clock: Pin<Box<Sleep>>,
}

impl Arriving {
    fn new(body: Incoming) -> Self {
        Self { body, clock: Box::pin(sleep(PATIENCE)) }
    }
}

impl Body for Arriving {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Pending if self.clock.as_mut().poll(context).is_ready() => {
                let cause = std::io::Error::from(std::io::ErrorKind::TimedOut);
                Poll::Ready(Some(Err(HttpError::new(HttpErrorKind::Timeout, cause))))
            }
            Poll::Pending => Poll::Pending,
            Poll::Ready(frame) => {
                let next = Instant::now() + PATIENCE;
                self.clock.as_mut().reset(next);
                Poll::Ready(frame.map(|frame| frame.map_err(broken)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
