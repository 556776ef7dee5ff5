//! `plimsoll serve`: images for other people's clients.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use plimsoll::content::{Code, Error, Result};
use plimsoll::registry::protocol::{Repository, header};
use plimsoll::store;
use plimsoll_serve::storage::Storage;
use plimsoll_serve::storage::folder::Folder;
use plimsoll_serve::{
    Access, Budget, Event, Identity, Key, Log, Options, Request, Server, Silent, Users,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::rand::{GetRandomFlags, getrandom};
use serde_json::json;

use crate::context::Context;
use crate::verbs::gc::seconds;

/// The least time, in seconds, for which several servers of a bucket keep what
/// nothing leads to yet.
#[cfg(feature = "s3")]
const SAFE: i64 = 60;

/// The largest file of users, certificates or keys.
const FILE: u64 = 4 << 20;

/// Serve images as a registry (distribution-spec 1.1).
///
/// PLACE is a folder in which each repository gets a layout of its own
/// (DIR/org/app), one layout as it lies (oci:PATH), the local store (store:), or
/// a bucket of an object store (s3://BUCKET[/PREFIX]), before which any number of
/// servers run; how it is reached, the variables AWS_* say.
/// It goes on until it gets a signal; then requests come to their end.
///
/// Standard error gets one JSON document for each request.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// What is served: a folder, oci:PATH, s3://BUCKET[/PREFIX] or store:
    /// [default: store:]
    #[arg(value_name = "PLACE", default_value = "store:")]
    place: String,

    /// Where to listen; port 0 is any that is free
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:5000")]
    listen: String,

    /// The repository whose tags are the plain names of a layout
    /// [default: by its folder]
    #[arg(long, value_name = "NAME")]
    repository: Option<Repository>,

    /// The certificate of the server and those above it, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,

    /// The key of the certificate, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,

    /// Let others than this machine come in the clear: everybody on the way may
    /// read passwords and change images
    #[arg(long)]
    plain_http: bool,

    /// Only let users of this file in: USER:HASH, as htpasswd -B writes it
    #[arg(long, value_name = "FILE")]
    users: Option<PathBuf>,

    /// Let everybody pull; only pushing needs a user
    #[arg(long, requires = "users")]
    anonymous_pull: bool,

    /// How users prove who they are: basic (the password each time) or token
    /// (docker's way: a token for some minutes)
    #[arg(long, value_enum, default_value_t = Auth::Basic, requires = "users")]
    auth: Auth,

    /// What tokens are signed with, 32 bytes or more that are secret: servers of
    /// one registry share it [default: a new one each time]
    #[arg(long, value_name = "FILE", requires = "users")]
    token_key: Option<PathBuf>,

    /// Store and remove nothing
    #[arg(long)]
    read_only: bool,

    /// Remove no tags, manifests and blobs
    #[arg(long)]
    no_delete: bool,

    /// Take manifests that lead to content which is not there
    #[arg(long)]
    sparse: bool,

    /// The largest blob, such as 20GiB
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    max_blob: Option<u64>,

    /// The largest manifest [default: 8MiB]
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    max_manifest: Option<u64>,

    /// How many blobs may come in at once [default: 256]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    max_uploads: Option<u16>,

    /// How many connections may be open at once [default: 4096, or what the limit
    /// for open files allows]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    max_connections: Option<u16>,

    /// How long a request may stand still, such as 60s
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    idle: Option<i64>,

    /// How long requests may go on after a signal, such as 30s
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    grace: Option<i64>,

    /// Remove what nothing leads to as often as this, such as 1h [default: never]
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    gc_every: Option<i64>,

    /// Keep what was pushed, or asked for by who pushes, for this long though
    /// nothing leads to it
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = seconds)]
    gc_after: i64,

    /// Also remove manifests that have had no tag for this long and to which
    /// nothing leads that stays, such as 30d [default: keep them]
    #[arg(long, value_name = "TIME", value_parser = seconds, requires = "gc_every")]
    gc_untagged: Option<i64>,

    /// Let blobs of a bucket go through this server: else clients are sent to
    /// the store, which they have to reach
    #[arg(long)]
    no_redirect: bool,

    /// No page /metrics
    #[arg(long)]
    no_metrics: bool,

    /// What clients are to tell their users
    #[arg(long, value_name = "TEXT")]
    warning: Option<String>,
}

/// How users prove who they are.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
enum Auth {
    /// The password each time
    Basic,
    /// A token for some minutes
    Token,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<u8> {
    let address = plimsoll_serve::address(&args.listen)?;
    let identity = match (&args.tls_cert, &args.tls_key) {
        (Some(certificate), Some(key)) => Some(Identity::parse(&read(certificate)?, &read(key)?)?),
        _ => None,
    };
    if identity.is_none() && !address.ip().is_loopback() && !args.plain_http {
        return Err(Error::new(Code::PlainHttp, format!("serving at {address}"))
            .found("no certificate, and an address that others reach")
            .expected("TLS, or an address of this machine such as 127.0.0.1:5000")
            .fix(
                "--tls-cert FILE --tls-key FILE   or, if you trust all on the way, --plain-http",
            ));
    }
    let storage = storage(args, context)?;
    let log: Arc<dyn Log> = if context.out.quiet { Arc::new(Silent) } else { Arc::new(Lines) };
    let server = Server::bind(address, identity, storage, options(args)?, log, random()?)?;
    let address = server.address()?;
    let scheme = if args.tls_cert.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{address}");
    let report = json!({"url": url, "address": address.to_string(), "place": args.place});
    context
        .out
        .report("serve", &report, &url, |_| format!("{} is a registry at {url}\n", args.place))?;
    server.run(&context.watch.interrupted);
    Ok(0)
}

/// What is served.
fn storage(args: &Args, context: &Context) -> Result<Arc<dyn Storage>> {
    match args.place.strip_prefix("s3://") {
        Some(place) => bucket(args, place),
        None => Ok(Arc::new(folder(args, context)?)),
    }
}

/// A bucket. What the environment says of it is for the object store alone.
#[cfg(feature = "s3")]
fn bucket(args: &Args, place: &str) -> Result<Arc<dyn Storage>> {
    use plimsoll_serve::storage::object::{Bucket, Settings};
    let refused = |found: &str, expected: &str| {
        Error::new(Code::Usage, format!("serving {}", args.place)).found(found).expected(expected)
    };
    if args.repository.is_some() {
        return Err(refused("--repository", "it with oci:PATH: others name their repositories"));
    }
    if args.gc_every.is_some() && args.gc_after < SAFE {
        // Else what one server is about to use, another one may remove.
        let found = format!("--gc-after {}s", args.gc_after);
        return Err(refused(&found, "1m at least: longer than any push of a manifest takes"));
    }
    if args.gc_untagged.is_some_and(|age| age < SAFE) {
        let found = format!("--gc-untagged {}s", args.gc_untagged.unwrap_or_default());
        return Err(refused(&found, "1m at least: longer than any push of a manifest takes"));
    }
    let mut settings = Settings::at(place)?;
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    settings.variables = variables.filter(|(name, _)| name.starts_with("AWS_")).collect();
    let roots = settings.variables.iter().find(|(name, _)| name == "AWS_CA_BUNDLE");
    settings.roots = roots.map(|(_, path)| read(Path::new(path))).transpose()?;
    settings.redirect = !args.no_redirect;
    Ok(Arc::new(Bucket::s3(&settings)?))
}

#[cfg(not(feature = "s3"))]
fn bucket(args: &Args, _place: &str) -> Result<Arc<dyn Storage>> {
    Err(Error::new(Code::Usage, format!("serving {}", args.place))
        .found("a program without object stores")
        .expected("one that was built with them")
        .fix("cargo build --release --features s3"))
}

/// A place on this machine.
fn folder(args: &Args, context: &Context) -> Result<Folder> {
    // Manifests are documents of the layout too.
    let mut options = store::Options {
        flush: context.home.flush(),
        limits: context.home.limits(),
        ..store::Options::default()
    };
    let manifest = args.max_manifest.unwrap_or(Budget::default().manifest);
    options.limits.document = options.limits.document.max(manifest);
    options.limits.index = options.limits.index.max(manifest);
    let base = args.repository.clone();
    let refused = |found: &str, expected: &str| {
        Error::new(Code::Usage, format!("serving {}", args.place)).found(found).expected(expected)
    };
    if let Some(path) = args.place.strip_prefix("oci:") {
        if path.contains(':') {
            return Err(refused("a name behind the path", "oci:PATH, which serves all of it"));
        }
        let path = Path::new(path);
        if args.read_only {
            // What is not there is not made.
            store::Layout::open_with(path, options)?;
        }
        return Folder::layout(path, base, options);
    }
    if base.is_some() {
        return Err(refused("--repository", "it with oci:PATH: others name their repositories"));
    }
    match args.place.split_once(':') {
        Some(("store", "")) => Folder::store(context.home.store_path(), options),
        Some(("store", _)) => Err(refused("a name", "store: alone, which serves all of it")),
        _ if args.read_only && !Path::new(&args.place).is_dir() => {
            Err(Error::new(Code::NotFound, format!("serving {}", args.place))
                .found("no such folder")
                .expected("one that is there: --read-only makes none"))
        }
        _ if args.place.is_empty() => Err(refused("nothing", "a folder, oci:PATH or store:")),
        _ => Folder::tree(Path::new(&args.place), options),
    }
}

fn options(args: &Args) -> Result<Options> {
    let time = |seconds: i64| Duration::from_secs(seconds.unsigned_abs());
    let usual = Budget::default();
    let budget = Budget {
        blob: args.max_blob.unwrap_or(usual.blob),
        manifest: args.max_manifest.unwrap_or(usual.manifest),
        connections: args
            .max_connections
            .map_or_else(|| usual.connections.min(room_for_connections()), usize::from),
        uploads: args.max_uploads.map_or(usual.uploads, usize::from),
        idle: args.idle.map_or(usual.idle, time),
        stop: args.grace.map_or(usual.stop, time),
        ..usual
    };
    if let Some(text) = &args.warning
        && header::warn(text).is_none()
    {
        return Err(Error::new(Code::Usage, "reading --warning")
            .found(format!("{text:?}"))
            .expected("up to 512 ASCII characters, without line breaks"));
    }
    Ok(Options {
        read_only: args.read_only,
        delete: !args.no_delete,
        sparse: args.sparse,
        access: access(args)?,
        metrics: !args.no_metrics,
        warning: args.warning.clone(),
        budget,
        collect_every: args.gc_every.filter(|seconds| *seconds > 0).map(time),
        collect_after: time(args.gc_after),
        collect_untagged: args.gc_untagged.map(time),
        ..Options::default()
    })
}

fn access(args: &Args) -> Result<Access> {
    let Some(path) = &args.users else { return Ok(Access::default()) };
    let text = String::from_utf8(read(path)?).map_err(|_| {
        Error::new(Code::Malformed, format!("reading {}", path.display()))
            .found("bytes that are no text")
    })?;
    let users = Users::parse(&text, random()?)
        .map_err(|error| error.context(format!("reading {}", path.display())))?;
    let tokens = match (args.auth, &args.token_key) {
        (Auth::Basic, None) => None,
        (Auth::Token, None) => Some(Key::new(random()?)),
        (_, Some(path)) => Some(Key::from_secret(&read(path)?)?),
    };
    Ok(Access { users: Some(users), tokens, anonymous_pull: args.anonymous_pull })
}

/// A number of bytes as people write it.
fn bytes(text: &str) -> Result<u64, String> {
    plimsoll::limits::bytes(text)
        .ok_or_else(|| "expected a size, such as 20GiB or 500MB".to_owned())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let failed = |cause| Error::io("reading", path.display(), cause);
    let mut bytes = Vec::new();
    File::open(path).map_err(failed)?.take(FILE).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// How many connections can be open: each has a file or two besides. As many
/// files may be open as the system allows this user, which is more than it
/// gives to programs that do not ask.
fn room_for_connections() -> usize {
    /// What is open besides connections: layouts, for the most part.
    const OTHERS: u64 = 640;
    /// What there is in any case.
    const LEAST: u64 = 64;
    let maximum = getrlimit(Resource::Nofile).maximum;
    // Where that is refused, it stays as it is.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let most = (files.saturating_sub(OTHERS) / 2).max(LEAST);
    usize::try_from(most).unwrap_or(usize::MAX)
}

/// Bytes that nobody can guess.
fn random() -> Result<[u8; 32]> {
    let mut bytes = [0; 32];
    let filled = getrandom(&mut bytes, GetRandomFlags::empty());
    match filled {
        // So few come at once, or not at all.
        Ok(32) => Ok(bytes),
        Ok(_) => Err(Error::new(Code::Bug, "asking for random bytes").found("fewer than 32")),
        Err(errno) => Err(Error::io("asking for", "random bytes", errno.into())),
    }
}

/// One JSON document a line, on standard error.
struct Lines;

impl Lines {
    fn write(line: &impl serde::Serialize) {
        if let Ok(mut line) = serde_json::to_vec(line) {
            line.push(b'\n');
            // Nobody may be reading; requests are served all the same.
            let _ = io::stderr().lock().write_all(&line);
        }
    }
}

impl Log for Lines {
    fn request(&self, request: &Request) {
        Self::write(request);
    }

    fn event(&self, event: &Event) {
        Self::write(event);
    }
}
