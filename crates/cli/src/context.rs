//! What every verb needs: the global flags, the local store, progress.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::num::NonZero;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use plimsoll::content::{Code, Error, Result};
use plimsoll::limits::Limits;
use plimsoll::name::lock::Lock;
use plimsoll::name::time::Time;
use plimsoll::name::tuf::Freshness;
use plimsoll::naming::{NameRules, Naming, nameservers};
use plimsoll::place::{Home, Streams};
use plimsoll::registries::{CertificateFolders, Logins, Settings};
use plimsoll::registry::client::{By, Client, Options, Proxies, Resolution, Trail};
use plimsoll::store::Flush;
use plimsoll::trust::keys::Keys;
use plimsoll::trust::lookaside::Lookaside;

use crate::args::Global;
use crate::out::{Output, safe};
use crate::progress::Progress;

/// What every verb needs.
pub(crate) struct Context {
    pub(crate) out: Output,
    pub(crate) watch: Progress,
    pub(crate) home: Home,
    pub(crate) logins: Logins,
    /// How registries are spoken to.
    pub(crate) client: Options,
    pub(crate) json: bool,
    /// Whether more is to be told than the essential.
    pub(crate) verbose: bool,
    /// How many threads may work at once.
    pub(crate) jobs: usize,
    pub(crate) limits: Limits,
    /// Where keys for signing lie.
    pub(crate) keys: Keys,
    /// Where it is kept which signatures were seen.
    pub(crate) seen: PathBuf,
}

impl Context {
    pub(crate) fn new(global: Global) -> Result<Self> {
        let interrupted = Arc::new(AtomicBool::new(false));
        for signal in
            [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP]
        {
            // The second signal ends the process at once; the first lets it
            // take away what it has begun.
            signal_hook::flag::register_conditional_default(signal, Arc::clone(&interrupted))
                .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&interrupted)))
                .map_err(|cause| Error::io("watching for", "signals", cause))?;
        }
        let limits = limits(&global.limit)?;
        let trail = Trail::default();
        let logins = logins(global.authfile.clone());
        let naming = naming(&global)?;
        let client = Options {
            insecure: global.insecure.clone(),
            keyring: Arc::new(logins.clone()),
            trust: Arc::new(certificates()),
            proxies: proxies(),
            limits: limits.documents,
            interrupted: Some(Arc::clone(&interrupted)),
            offline: global.offline,
            trail: trail.clone(),
            hosts: naming.rules.hosts.clone(),
            ..Options::default()
        };
        let store = store_path(global.store.clone())?;
        Ok(Self {
            keys: Keys {
                folder: variable("PLIMSOLL_KEYS").unwrap_or_else(|| store.with_file_name("keys")),
            },
            seen: store.with_file_name("seen.json"),
            out: Output::new(&global, trail.clone()),
            watch: Progress::new(&global, interrupted),
            home: Home::new(store)
                .with_limits(limits.documents)
                .flushed(if global.no_sync { Flush::Never } else { Flush::Durable })
                .with_scratch(scratch())
                .with_registries(Client::new(client.clone()))
                .with_settings(settings())
                .with_trail(trail)
                .with_naming(naming)
                .with_dependencies(global.aci_path.clone())
                .with_streams(Streams {
                    input,
                    output: || io::stdout().as_fd().try_clone_to_owned().map(File::from),
                }),
            logins,
            client,
            json: global.json,
            verbose: global.verbose > 0,
            // Where the system does not tell, one thread is always right.
            jobs: global.jobs.map_or_else(
                || std::thread::available_parallelism().map_or(1, NonZero::get),
                usize::from,
            ),
            limits,
        })
    }
}

impl Context {
    /// Tells on standard error what names came to stand for, if it is more
    /// than they say. A JSON report holds it already.
    pub(crate) fn tell(&self) {
        if self.json {
            return;
        }
        for step in self.home.resolutions() {
            if self.verbose || step.by != [By::Store] {
                self.watch.note(&told(&step));
            }
        }
    }
}

fn told(step: &Resolution) -> String {
    let ways: Vec<_> = step.by.iter().map(|by| by.as_str()).collect();
    let mut text = format!(
        "{} -> {}  ({}: {})",
        safe(&step.name),
        step.digest,
        ways.join(", "),
        safe(&step.place)
    );
    for tried in &step.tried {
        text.push_str(&format!("\n  not from {}: {}", safe(&tried.place), safe(&tried.error)));
    }
    text
}

/// The rules for names, and what is remembered of them.
fn naming(global: &Global) -> Result<Naming> {
    let home = variable("HOME");
    let config = variable("XDG_CONFIG_HOME").or(home.as_ref().map(|home| home.join(".config")));
    let state = variable("XDG_STATE_HOME").or(home.map(|home| home.join(".local/state")));
    let file = match (&global.names, config) {
        (Some(file), _) => {
            if !file.exists() {
                return Err(Error::new(Code::NotFound, format!("reading {}", file.display()))
                    .found("no such file")
                    .expected("the rules for names"));
            }
            Some(file.clone())
        }
        (None, config) => config.map(|folder| folder.join("plimsoll/names.toml")),
    };
    let state = match variable("PLIMSOLL_NAMES_STATE") {
        Some(folder) => folder,
        None => {
            state.map_or_else(|| scratch().join("plimsoll-names"), |at| at.join("plimsoll/names"))
        }
    };
    let rules = file.as_deref().map(NameRules::read).transpose()?.unwrap_or_default();
    let locked = match &global.locked {
        None => None,
        Some(path) => {
            let bytes =
                std::fs::read(path).map_err(|cause| Error::io("reading", path.display(), cause))?;
            let lock = Lock::parse(&bytes)
                .map_err(|error| error.context(format!("reading {}", path.display())))?;
            Some(Arc::new(lock))
        }
    };
    Ok(Naming {
        rules,
        state,
        nameservers: nameservers(std::path::Path::new("/etc/resolv.conf")),
        now: names_now(),
        freshness: match (global.offline, global.allow_stale) {
            (false, _) => Freshness::Online,
            (true, false) => Freshness::Offline,
            (true, true) => Freshness::Stale,
        },
        locked,
    })
}

fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// The policy that holds if none is named: that of the user, or of the machine.
pub(crate) fn policy() -> Option<PathBuf> {
    let own = variable("XDG_CONFIG_HOME").or(variable("HOME").map(|home| home.join(".config")));
    own.map(|folder| folder.join("plimsoll/trust.json"))
        .into_iter()
        .chain([PathBuf::from("/etc/plimsoll/trust.json")])
        .find(|path| path.is_file())
}

/// Where signatures with GPG lie: in that folder, or as the settings say.
pub(crate) fn lookaside(folder: Option<PathBuf>) -> Lookaside {
    let own = variable("HOME").map(|home| home.join(".config/containers/registries.d"));
    let all = own.into_iter().chain([PathBuf::from("/etc/containers/registries.d")]);
    Lookaside { folder, settings: all.collect() }
}

/// The time at which names are judged: that of `PLIMSOLL_NOW`, in seconds since
/// 1970, if it is set.
fn names_now() -> Time {
    let set = std::env::var("PLIMSOLL_NOW").ok().and_then(|text| text.parse().ok());
    Time(set.unwrap_or_else(now))
}

/// The time, in seconds since 1970.
pub(crate) fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs() as i64)
}

/// Where logins lie (containers-auth.json(5)): the file that was named, and
/// no other; else those of the containers tools, and that of docker.
fn logins(named: Option<PathBuf>) -> Logins {
    if let Some(file) = named {
        return Logins { files: vec![file.clone()], own: file, settings: settings() };
    }
    let home = variable("HOME");
    let containers = |folder: PathBuf| folder.join("containers/auth.json");
    let config = variable("XDG_CONFIG_HOME").or(home.as_ref().map(|home| home.join(".config")));
    let user = rustix::process::getuid().as_raw();
    let runtime = match variable("XDG_RUNTIME_DIR") {
        Some(folder) => containers(folder),
        None => PathBuf::from(format!("/run/containers/{user}/auth.json")),
    };
    let docker = variable("DOCKER_CONFIG").or(home.map(|home| home.join(".docker")));
    let config = config.map(containers);
    let own = match (variable("XDG_RUNTIME_DIR"), &config) {
        (None, Some(config)) => config.clone(),
        _ => runtime.clone(),
    };
    let docker = docker.map(|folder| folder.join("config.json"));
    Logins {
        files: [Some(runtime), config, docker].into_iter().flatten().collect(),
        own,
        settings: settings(),
    }
}

/// Where the settings of registries lie.
fn settings() -> Settings {
    let home = variable("HOME");
    let config = variable("XDG_CONFIG_HOME").or(home.as_ref().map(|home| home.join(".config")));
    let cache = variable("XDG_CACHE_HOME").or(home.map(|home| home.join(".cache")));
    let learnt = if rustix::process::geteuid().is_root() {
        Some(PathBuf::from("/var/cache"))
    } else {
        cache
    };
    Settings {
        named: variable("CONTAINERS_REGISTRIES_CONF"),
        user: config.map(|folder| folder.join("containers")),
        system: Some(PathBuf::from("/etc/containers")),
        aliases: learnt.map(|folder| folder.join("containers/short-name-aliases.conf")),
    }
}

/// Where certificates lie: those of the system, or of `SSL_CERT_FILE`, and
/// those for single registries, as podman and docker have them.
fn certificates() -> CertificateFolders {
    let bundles = match variable("SSL_CERT_FILE") {
        Some(file) => vec![file],
        None => [
            "/etc/ssl/certs/ca-certificates.crt",
            "/etc/pki/tls/certs/ca-bundle.crt",
            "/etc/ssl/ca-bundle.pem",
            "/etc/ssl/cert.pem",
        ]
        .map(PathBuf::from)
        .to_vec(),
    };
    let own = variable("XDG_CONFIG_HOME").or(variable("HOME").map(|home| home.join(".config")));
    let own = own.map(|folder| folder.join("containers/certs.d"));
    let system = ["/etc/containers/certs.d", "/etc/docker/certs.d"].map(PathBuf::from);
    CertificateFolders { bundles, folders: own.into_iter().chain(system).collect() }
}

fn proxies() -> Proxies {
    let text = |names: [&str; 2]| {
        names.into_iter().find_map(|name| std::env::var(name).ok().filter(|text| !text.is_empty()))
    };
    let without = text(["NO_PROXY", "no_proxy"]).unwrap_or_default();
    Proxies {
        // Upper case is what a CGI request could set.
        http: text(["http_proxy", "HTTP_PROXY"]),
        https: text(["HTTPS_PROXY", "https_proxy"]),
        without: without.split(',').map(str::to_owned).collect(),
    }
}

/// The default limits, then those of the environment, then those of flags.
fn limits(flags: &[String]) -> Result<Limits> {
    let mut limits = Limits::default();
    if let Some(text) = std::env::var_os("PLIMSOLL_LIMITS") {
        limits
            .set(&text.to_string_lossy())
            .map_err(|error| error.context("reading PLIMSOLL_LIMITS"))?;
    }
    for text in flags {
        limits.set(text)?;
    }
    Ok(limits)
}

/// Standard input, which is no archive where somebody types.
fn input() -> io::Result<File> {
    if io::stdin().is_terminal() {
        return Err(Error::new(Code::Usage, "reading an archive from standard input")
            .found("a terminal")
            .expected("a pipe or a file")
            .fix("give the path of the archive, or   COMMAND |")
            .into());
    }
    io::stdin().as_fd().try_clone_to_owned().map(File::from)
}

/// `--store`, else `$XDG_DATA_HOME/plimsoll/store`, else
/// `~/.local/share/plimsoll/store`.
fn store_path(flag: Option<PathBuf>) -> Result<PathBuf> {
    if let Some(path) = flag {
        return Ok(path);
    }
    if let Some(data) = variable("XDG_DATA_HOME").filter(|path| path.is_absolute()) {
        return Ok(data.join("plimsoll/store"));
    }
    if let Some(home) = variable("HOME").filter(|path| path.is_absolute()) {
        return Ok(home.join(".local/share/plimsoll/store"));
    }
    Err(Error::new(Code::Usage, "finding the local store")
        .found("neither XDG_DATA_HOME nor HOME is set")
        .fix("--store DIR   says where it lies"))
}

/// A folder for big temporary files without a name: `TMPDIR`, else `/var/tmp`,
/// which is a disk where `/tmp` may be memory.
pub(crate) fn scratch() -> PathBuf {
    match std::env::var_os("TMPDIR").filter(|value| !value.is_empty()) {
        Some(folder) => folder.into(),
        None if std::path::Path::new("/var/tmp").is_dir() => "/var/tmp".into(),
        None => std::env::temp_dir(),
    }
}

/// The seconds of `SOURCE_DATE_EPOCH`, if it is set.
pub(crate) fn source_date_epoch() -> Result<Option<i64>> {
    match std::env::var("SOURCE_DATE_EPOCH") {
        Err(std::env::VarError::NotPresent) => Ok(None),
        Ok(text) if text.is_empty() => Ok(None),
        Ok(text) => text.parse().map(Some).map_err(|_| {
            Error::new(Code::Usage, "reading SOURCE_DATE_EPOCH")
                .found(format!("{text:?}"))
                .expected("seconds since 1970, as a whole number")
        }),
        Err(std::env::VarError::NotUnicode(_)) => {
            Err(Error::new(Code::Usage, "reading SOURCE_DATE_EPOCH")
                .found("bytes that are no text"))
        }
    }
}
