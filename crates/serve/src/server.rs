//! The listening end: connections, TLS, and how it all comes to an end.

use std::future::poll_fn;
use std::net::{SocketAddr, ToSocketAddrs};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use plimsoll_content::{Code, Error, Result};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, interval, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::log::{Event, Log};
use crate::metrics::Gauge;
use crate::options::Options;
use crate::patient::Patient;
use crate::service::{Peer, Service};
use crate::storage::Storage;

/// How often it is looked whether the registry is to stop.
const LOOK: Duration = Duration::from_millis(50);

/// How often the storage is told who has been away for how long.
const REST: Duration = Duration::from_mins(1);

/// How long storage holds things for somebody who is away, in seconds: a
/// client has that long between two requests of a push.
const AWAY: i64 = 15 * 60;

/// How long the threads that work on files are waited for at the end.
const THREADS: Duration = Duration::from_secs(10);

/// What a server shows to prove who it is.
pub struct Identity {
    config: Arc<ServerConfig>,
}

impl Identity {
    /// Reads a chain of certificates, that of the server first, and the key
    /// to it, both in PEM.
    pub fn parse(certificates: &[u8], key: &[u8]) -> Result<Self> {
        let bad = |what: &str, cause: &dyn std::fmt::Display| {
            Error::new(Code::Malformed, format!("reading {what} of the server")).found(cause)
        };
        let chain: Vec<_> = CertificateDer::pem_slice_iter(certificates)
            .collect::<Result<_, _>>()
            .map_err(|cause| bad("the certificates", &cause))?;
        if chain.is_empty() {
            return Err(bad("the certificates", &"none").expected("PEM"));
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|cause| bad("the key", &cause))?;
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|cause| bad("the protocols", &cause))?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(|cause| bad("certificate and key", &cause))?;
        Ok(Self { config: Arc::new(config) })
    }
}

/// Where to listen: `ADDRESS:PORT`, a name of this machine with a port, or
/// `:PORT` for this machine alone.
pub fn address(text: &str) -> Result<SocketAddr> {
    let bad = |found: String| {
        Error::new(Code::Usage, format!("listening at {text}"))
            .found(found)
            .expected("ADDRESS:PORT, such as 127.0.0.1:5000 or [::]:5000")
    };
    let port = text.strip_prefix(':');
    let whole = port.map_or_else(|| text.to_owned(), |port| format!("127.0.0.1:{port}"));
    let mut found = whole.to_socket_addrs().map_err(|cause| bad(cause.to_string()))?;
    found.next().ok_or_else(|| bad("no address".to_owned()))
}

/// A registry that listens.
pub struct Server {
    runtime: Runtime,
    listener: TcpListener,
    service: Arc<Service>,
    tls: Option<TlsAcceptor>,
}

impl Server {
    /// Listens at an address; port 0 is any that is free. With an identity,
    /// clients speak TLS. `secret` is random, and for this process alone.
    ///
    /// Without an identity, everybody on the way reads passwords and can change
    /// content: whoever calls this has thought about who is on the way.
    pub fn bind(
        address: SocketAddr,
        identity: Option<Identity>,
        storage: Arc<dyn Storage>,
        options: Options,
        log: Arc<dyn Log>,
        secret: [u8; 32],
    ) -> Result<Self> {
        let runtime = Builder::new_multi_thread()
            .enable_io()
            .enable_time()
            .build()
            .map_err(|cause| Error::io("starting threads for", "the registry", cause))?;
        let listener = runtime
            .block_on(TcpListener::bind(address))
            .map_err(|cause| Error::io("listening at", address, cause))?;
        let service = Arc::new(Service {
            uploads: Semaphore::new(options.budget.uploads),
            storage,
            options,
            log,
            metrics: Arc::default(),
            secret,
            number: AtomicU64::new(0),
        });
        let tls = identity.map(|identity| TlsAcceptor::from(identity.config));
        Ok(Self { runtime, listener, service, tls })
    }

    /// Where it listens.
    pub fn address(&self) -> Result<SocketAddr> {
        self.listener
            .local_addr()
            .map_err(|cause| Error::io("asking for the address of", "the registry", cause))
    }

    /// Serves until `stop` is set; then takes no more connections, lets
    /// requests come to their end for as long as [`Budget::stop`] says, and
    /// breaks the others off.
    ///
    /// [`Budget::stop`]: crate::Budget::stop
    pub fn run(self, stop: &AtomicBool) {
        let Self { runtime, listener, service, tls } = self;
        runtime.block_on(serve(listener, service, tls, stop));
        // Files are left as a killed process would leave them, at worst.
        runtime.shutdown_timeout(THREADS);
    }
}

async fn serve(
    listener: TcpListener,
    service: Arc<Service>,
    tls: Option<TlsAcceptor>,
    stop: &AtomicBool,
) {
    let budget = service.options.budget;
    let places = Arc::new(Semaphore::new(budget.connections));
    let (stopping, stopped) = watch::channel(false);
    let house = tokio::spawn(keep_house(Arc::clone(&service)));
    let accepting = async {
        loop {
            // Whoever finds no place waits in the queue of the system.
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, address)) => {
                    let peer = Peer { address, secure: tls.is_some() };
                    let (service, tls) = (Arc::clone(&service), tls.clone());
                    tokio::spawn(connection(stream, peer, service, tls, stopped.clone(), place));
                }
                Err(cause) => {
                    // No handles left, as a rule: it passes.
                    service.log.event(&Event::new("accept-failed", cause.to_string()));
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
    };
    first(accepting, told(stop)).await;
    drop(listener);
    house.abort();
    let open = service.metrics.connections.load(Ordering::Relaxed);
    service.log.event(&Event::new("stopping", format!("{open} connections")));
    let _ = stopping.send(true);
    let all = u32::try_from(budget.connections).unwrap_or(u32::MAX);
    let ended = timeout(budget.stop, places.acquire_many(all)).await.is_ok();
    let how = if ended { "every request came to its end" } else { "some were broken off" };
    service.log.event(&Event::new("stopped", how));
}

async fn told(stop: &AtomicBool) {
    let mut look = interval(LOOK);
    while !stop.load(Ordering::Relaxed) {
        look.tick().await;
    }
}

/// What has to be done from time to time.
async fn keep_house(service: Arc<Service>) {
    let mut rest = interval(REST);
    rest.tick().await;
    let every = service.options.collect_every.filter(|_| !service.options.read_only);
    let mut collect = every.map(|every| Instant::now() + every);
    loop {
        let due = async {
            match collect {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        match first(rest.tick(), due).await {
            First::This(_) => {
                let now = i64::try_from(crate::auth::now()).unwrap_or(i64::MAX);
                service.storage.rest(now - AWAY);
            }
            First::That(()) => {
                service.collect().await;
                collect = every.map(|every| Instant::now() + every);
            }
        }
    }
}

async fn connection(
    stream: TcpStream,
    peer: Peer,
    service: Arc<Service>,
    tls: Option<TlsAcceptor>,
    stopped: watch::Receiver<bool>,
    place: OwnedSemaphorePermit,
) {
    let _open = Gauge::new(&service.metrics, |metrics| &metrics.connections);
    service.metrics.accepted.fetch_add(1, Ordering::Relaxed);
    let budget = service.options.budget;
    // Answers are small or large, never in between: waiting gains nothing.
    let _ = stream.set_nodelay(true);
    let stream = Patient::new(stream, budget.idle);
    match tls {
        None => speak(TokioIo::new(stream), peer, service, stopped).await,
        Some(tls) => {
            // Who gets no further scans ports, or does not trust us.
            if let Ok(Ok(stream)) = timeout(budget.head, tls.accept(stream)).await {
                speak(TokioIo::new(stream), peer, service, stopped).await;
            }
        }
    }
    drop(place);
}

async fn speak(
    stream: impl hyper::rt::Read + hyper::rt::Write + Unpin,
    peer: Peer,
    service: Arc<Service>,
    mut stopped: watch::Receiver<bool>,
) {
    let head = service.options.budget.head;
    let answer = service_fn(move |request| {
        let service = Arc::clone(&service);
        async move { Ok::<_, std::convert::Infallible>(service.answer(request, peer).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head)
        .serve_connection(stream, answer);
    let mut connection = pin!(connection);
    let told = async {
        let _ = stopped.wait_for(|stopped| *stopped).await;
    };
    // What breaks a connection is the client's, and told with the request.
    if let First::That(()) = first(connection.as_mut(), told).await {
        connection.as_mut().graceful_shutdown();
        let _ = connection.await;
    }
}

/// Which of two came first.
enum First<A, B> {
    This(A),
    That(B),
}

/// Waits for one of two, and forgets the other.
async fn first<A, B>(this: impl Future<Output = A>, that: impl Future<Output = B>) -> First<A, B> {
    let (mut this, mut that) = (pin!(this), pin!(that));
    poll_fn(|context| {
        if let Poll::Ready(this) = this.as_mut().poll(context) {
            return Poll::Ready(First::This(this));
        }
        that.as_mut().poll(context).map(First::That)
    })
    .await
}
