//! What this machine knows of registries: logins, helpers that keep them,
//! settings, certificates. It is read when a registry is spoken to, and not
//! before.

mod helper;

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use plimsoll_content::{Code, Error, Result};
use plimsoll_registry::authfile::{self, AuthFile, Known};
use plimsoll_registry::client::{Certificates, Credential, Keyring, Secret, Trust};
use plimsoll_registry::conf::{self, Conf, Keeper};
use plimsoll_registry::protocol::{Host, Repository};
use plimsoll_store::write_file_atomic;

/// The largest file of certificates.
const PEM: u64 = 16 << 20;

/// Who alone may read what is written here.
const MODE: u32 = 0o600;

/// Where logins are kept.
#[derive(Clone, Debug)]
pub struct Logins {
    /// The files that are read, in order.
    pub files: Vec<PathBuf>,
    /// The file that `login` writes.
    pub own: PathBuf,
    /// What says whether helpers keep them instead.
    pub settings: Settings,
}

/// Who keeps a login.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum KeptBy {
    /// That file.
    File(PathBuf),
    /// That program.
    Helper(String),
}

impl Keyring for Logins {
    fn find(&self, host: &Host, repository: Option<&Repository>) -> Result<Credential> {
        let found = self.first(|keeper| match keeper {
            Keeper::Files => self.in_files(host, repository),
            Keeper::Helper(name) => {
                first(authfile::servers(host), |server| helper::get(name, server))
            }
        });
        found.map(|found| found.unwrap_or(Credential::Anonymous))
    }
}

impl Logins {
    /// What the first keeper knows that knows something. One that fails does not
    /// keep the others from being asked; if none of them knows anything, its
    /// error is told.
    fn first<T>(&self, ask: impl Fn(&Keeper) -> Result<Option<T>>) -> Result<Option<T>> {
        let mut failed = None;
        for keeper in self.settings.read()?.keepers() {
            match ask(&keeper) {
                Ok(None) => {}
                Ok(known) => return Ok(known),
                Err(error) => {
                    failed.get_or_insert(error);
                }
            }
        }
        failed.map_or(Ok(None), Err)
    }

    fn in_files(&self, host: &Host, repository: Option<&Repository>) -> Result<Option<Credential>> {
        for path in &self.files {
            let Some(file) = auth_file(path)? else { continue };
            let known = file.find(host, repository).map_err(|error| reading(error, path))?;
            match known {
                Some(Known::Credential(credential)) => return Ok(Some(credential)),
                Some(Known::Helper { name, server }) => {
                    if let Some(credential) = helper::get(&name, &server)? {
                        return Ok(Some(credential));
                    }
                }
                None => {}
            }
        }
        Ok(None)
    }

    /// Keeps a login: with the first helper that the settings name and that takes
    /// it, or in a file that nobody else may read.
    pub fn keep(&self, host: &Host, user: &str, password: &Secret) -> Result<KeptBy> {
        let with = |name: &str, server: &str| {
            helper::store(name, server, user, password)
                .map(|()| Some(KeptBy::Helper(helper::program(name))))
        };
        let kept = self.first(|keeper| match keeper {
            Keeper::Helper(name) => match authfile::servers(host).first() {
                Some(server) => with(name, server),
                None => Ok(None),
            },
            Keeper::Files => {
                if let Some((name, server)) = helper_of(&self.own, host)? {
                    return with(&name, &server);
                }
                let mut file = auth_file(&self.own)?.map_or_else(|| AuthFile::parse(b""), Ok)?;
                file.set(host, user, password);
                self.write(&file)?;
                Ok(Some(KeptBy::File(self.own.clone())))
            }
        })?;
        // There is always a keeper, and each of them keeps or fails.
        Ok(kept.unwrap_or_else(|| KeptBy::File(self.own.clone())))
    }

    /// Lets all forget the logins for a registry, and says who had one. One that
    /// fails keeps no other from it, and is told at the end.
    pub fn forget(&self, host: &Host) -> Result<Vec<KeptBy>> {
        let mut forgotten = Vec::new();
        let mut failed = None;
        let mut note = |done: Result<Option<KeptBy>>| match done {
            Ok(Some(by)) if !forgotten.contains(&by) => forgotten.push(by),
            Ok(_) => {}
            Err(error) => {
                failed.get_or_insert(error);
            }
        };
        let erase = |name: &str, server: &str| {
            let known = helper::erase(name, server)?;
            Ok(known.then(|| KeptBy::Helper(helper::program(name))))
        };
        for keeper in self.settings.read()?.keepers() {
            match keeper {
                Keeper::Helper(name) => {
                    for server in authfile::servers(host) {
                        note(erase(&name, &server));
                    }
                }
                Keeper::Files => {
                    for path in &self.files {
                        note(from_file(path, host));
                        match helper_of(path, host) {
                            Ok(Some((name, server))) => note(erase(&name, &server)),
                            other => note(other.map(|_| None)),
                        }
                    }
                }
            }
        }
        failed.map_or(Ok(forgotten), Err)
    }

    fn write(&self, file: &AuthFile) -> Result<()> {
        write(&self.own, file)
    }
}

fn write(path: &Path, file: &AuthFile) -> Result<()> {
    let failed = |cause| Error::io("writing credentials to", path.display(), cause);
    // A link leads to the file that is meant, which stays one.
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(|| {
        Error::new(Code::Usage, format!("writing credentials to {}", path.display()))
            .expected("a file name of plain text")
    })?;
    let handle = File::open(folder).map_err(failed)?;
    write_file_atomic(handle.as_fd(), name, &file.to_bytes()?, MODE)
        .map_err(|error| error.context(format!("writing credentials to {}", path.display())))
}

/// Takes the login for a registry out of a file.
fn from_file(path: &Path, host: &Host) -> Result<Option<KeptBy>> {
    let Some(mut file) = auth_file(path)? else { return Ok(None) };
    if !file.forget(host) {
        return Ok(None);
    }
    write(path, &file)?;
    Ok(Some(KeptBy::File(path.to_owned())))
}

/// The helper that a file names for a registry.
fn helper_of(path: &Path, host: &Host) -> Result<Option<(String, String)>> {
    let Some(file) = auth_file(path)? else { return Ok(None) };
    file.helper(host).map_err(|error| reading(error, path))
}

fn reading(error: Error, path: &Path) -> Error {
    error.context(format!("reading {}", path.display()))
}

/// A file of credentials, if it is there.
fn auth_file(path: &Path) -> Result<Option<AuthFile>> {
    let Some(bytes) = bytes(path, authfile::LIMIT)? else { return Ok(None) };
    AuthFile::parse(&bytes).map(Some).map_err(|error| reading(error, path))
}

/// A file of at most so many bytes, if it is there.
pub(crate) fn bytes(path: &Path, limit: u64) -> Result<Option<Vec<u8>>> {
    let failed = |cause| Error::io("reading", path.display(), cause);
    let file = match File::open(path) {
        Ok(file) => file,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(cause) if cause.kind() == io::ErrorKind::NotADirectory => return Ok(None),
        Err(cause) => return Err(failed(cause)),
    };
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > limit {
        return Err(Error::new(Code::Limit, format!("reading {}", path.display()))
            .found(format!("more than {limit} bytes"))
            .expected("fewer"));
    }
    Ok(Some(bytes))
}

/// The first thing that one of several names brings about.
fn first<T>(names: Vec<String>, ask: impl Fn(&str) -> Result<Option<T>>) -> Result<Option<T>> {
    for name in names {
        if let Some(found) = ask(&name)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// Where the settings of registries lie (containers-registries.conf(5),
/// containers-registries.conf.d(5)).
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// A file that was named, and must be there: it takes the place of the
    /// two below.
    pub named: Option<PathBuf>,
    /// The folder of the user, with `registries.conf` and
    /// `registries.conf.d/`. If the file is there, nothing else is read.
    pub user: Option<PathBuf>,
    /// The folder of the machine.
    pub system: Option<PathBuf>,
    /// What other tools have learnt of short names; it comes last.
    pub aliases: Option<PathBuf>,
}

impl Settings {
    /// Reads all of it. What is not there says nothing.
    pub fn read(&self) -> Result<Conf> {
        let in_folder = |folder: &Option<PathBuf>, name| folder.as_ref().map(|at| at.join(name));
        let user = in_folder(&self.user, "registries.conf");
        let mut all = Conf::default();
        let mut folders = vec![in_folder(&self.system, "registries.conf.d")];
        if let Some(named) = &self.named {
            let Some(conf) = settings(named)? else {
                return Err(Error::new(Code::NotFound, format!("reading {}", named.display()))
                    .found("no such file")
                    .expected("the settings of registries that CONTAINERS_REGISTRIES_CONF names"));
            };
            all.merge(conf);
        } else if let Some(conf) = user.as_deref().map(settings).transpose()?.flatten() {
            all.merge(conf);
            folders.clear();
        } else if let Some(file) = in_folder(&self.system, "registries.conf") {
            all.merge(settings(&file)?.unwrap_or_default());
        }
        folders.push(in_folder(&self.user, "registries.conf.d"));
        for folder in folders.into_iter().flatten() {
            let Ok(names) = folder.read_dir() else { continue };
            let mut paths: Vec<_> = names.flatten().map(|entry| entry.path()).collect();
            paths.retain(|path| path.extension().is_some_and(|ending| ending == "conf"));
            paths.sort();
            for path in paths.iter().filter(|path| path.is_file()) {
                all.merge(settings(path)?.unwrap_or_default());
            }
        }
        if let Some(path) = &self.aliases {
            all.merge(settings(path)?.unwrap_or_default());
        }
        Ok(all)
    }
}

/// A file of settings, if it is there.
fn settings(path: &Path) -> Result<Option<Conf>> {
    let Some(bytes) = bytes(path, conf::LIMIT)? else { return Ok(None) };
    Conf::parse(&bytes).map(Some).map_err(|error| reading(error, path))
}

/// Where certificates are kept.
#[derive(Clone, Debug)]
pub struct CertificateFolders {
    /// Files of all authorities; the first that is there counts.
    pub bundles: Vec<PathBuf>,
    /// Folders with one folder for each registry (`certs.d`): `*.crt` are
    /// authorities, `NAME.cert` and `NAME.key` are ours.
    pub folders: Vec<PathBuf>,
}

impl Trust for CertificateFolders {
    fn certificates(&self, host: &Host) -> Result<Certificates> {
        let mut found = Certificates::default();
        for bundle in &self.bundles {
            if let Some(pem) = bytes(bundle, PEM)? {
                found.roots = Some(pem);
                break;
            }
        }
        for folder in &self.folders {
            let folder = folder.join(host.as_str());
            let Ok(names) = folder.read_dir() else { continue };
            let mut paths: Vec<_> = names.flatten().map(|entry| entry.path()).collect();
            paths.sort();
            for path in paths {
                let ending = path.extension().and_then(|ending| ending.to_str());
                match ending {
                    Some("crt") => {
                        let pem = bytes(&path, PEM)?.unwrap_or_default();
                        let roots = found.roots.get_or_insert_default();
                        roots.push(b'\n');
                        roots.extend(pem);
                    }
                    Some("cert") if found.client.is_none() => {
                        let key = path.with_extension("key");
                        let (Some(pem), Some(key)) = (bytes(&path, PEM)?, bytes(&key, PEM)?) else {
                            return Err(Error::new(
                                Code::NotFound,
                                format!("reading the client certificate {}", path.display()),
                            )
                            .found("no key beside it")
                            .expected(key.display()));
                        };
                        found.client = Some((pem, key));
                    }
                    _ => {}
                }
            }
        }
        Ok(found)
    }
}
