//! Keys in files: those of a folder by their names, all others by their paths.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use plimsoll_content::{Code, Error, Result};
use plimsoll_sign::key::{KeyPair, Passphrase, PublicKey, is_encrypted, open, seal};
use ring::rand::SystemRandom;
use serde::Serialize;
use zeroize::Zeroizing;

use super::policy::text;

/// A folder of keys: `NAME.key` and `NAME.pub`.
#[derive(Clone, Debug)]
pub struct Keys {
    /// The folder; it need not be there yet.
    pub folder: PathBuf,
}

/// A key of the folder.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Kept {
    /// How it is called.
    pub name: String,
    /// What kind of key it is.
    pub kind: String,
    /// The fingerprint of its public key.
    pub fingerprint: String,
    /// Whether the private key is there too.
    pub private: bool,
}

/// How a passphrase is had, once one is needed.
pub type Ask<'a> = dyn Fn() -> Result<Passphrase> + 'a;

impl Keys {
    /// All keys of the folder, by name.
    pub fn list(&self) -> Result<Vec<Kept>> {
        let failed = |cause| Error::io("listing keys in", self.folder.display(), cause);
        let entries = match std::fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(cause) => return Err(failed(cause)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let file = entry.map_err(failed)?.file_name();
            if let Some(name) = file.to_str().and_then(|file| file.strip_suffix(".pub")) {
                names.push(name.to_owned());
            }
        }
        names.sort();
        names
            .into_iter()
            .map(|name| {
                let key = self.public(&name)?;
                Ok(Kept {
                    kind: key.kind().as_str().to_owned(),
                    fingerprint: key.fingerprint(),
                    private: self.path(&name, "key").exists(),
                    name,
                })
            })
            .collect()
    }

    fn path(&self, name: &str, ending: &str) -> PathBuf {
        self.folder.join(format!("{name}.{ending}"))
    }

    /// Where the key is that somebody wrote: a path if it looks like one, else a
    /// name in the folder.
    fn find(&self, text: &str, ending: &str) -> Result<PathBuf> {
        if text.contains('/') || (Path::new(text).is_file() && text.contains('.')) {
            return Ok(PathBuf::from(text));
        }
        let path = self.path(checked(text)?, ending);
        if path.is_file() {
            return Ok(path);
        }
        let names: Vec<_> = self.list()?.into_iter().map(|key| key.name).collect();
        Err(Error::new(Code::NotFound, format!("looking for the key {text:?}"))
            .found(if names.is_empty() { "no keys".to_owned() } else { names.join(", ") })
            .expected(format!("{}, or the path of a file", path.display()))
            .fix(format!("plimsoll key new {text}   makes one")))
    }

    /// A public key, by name or path.
    pub fn public(&self, written: &str) -> Result<PublicKey> {
        let path = self.find(written, "pub")?;
        let pem = text(&path)?;
        PublicKey::from_pem(&pem)
            .map_err(|error| error.context(format!("reading key {}", path.display())))
    }

    /// A private key, by name or path. The passphrase is asked for if it takes one.
    pub fn private(&self, written: &str, ask: &Ask<'_>) -> Result<KeyPair> {
        let path = self.find(written, "key")?;
        let pem = text(&path)?;
        let passphrase = if is_encrypted(&pem) { ask()? } else { Passphrase::default() };
        open(&pem, &passphrase)
            .map_err(|error| error.context(format!("reading key {}", path.display())))
    }

    /// Keeps a key pair under a name, encrypted, in a file that nobody else may
    /// read. A name that is taken stays.
    pub fn keep(&self, name: &str, pair: &KeyPair, passphrase: &Passphrase) -> Result<PathBuf> {
        let path = self.path(checked(name)?, "key");
        write_pair(&path, &self.path(name, "pub"), pair, passphrase)?;
        Ok(path)
    }

    /// Keeps a public key under a name.
    pub fn keep_public(&self, name: &str, key: &PublicKey) -> Result<PathBuf> {
        let path = self.path(checked(name)?, "pub");
        write(&path, key.to_pem().as_bytes(), 0o644)?;
        Ok(path)
    }

    /// The file of a private key as it is kept.
    pub fn sealed(&self, name: &str) -> Result<Zeroizing<String>> {
        text(&self.find(name, "key")?)
    }

    /// Removes a key, private and public.
    pub fn remove(&self, name: &str) -> Result<()> {
        let mut gone = false;
        for ending in ["key", "pub"] {
            let path = self.path(checked(name)?, ending);
            match std::fs::remove_file(&path) {
                Ok(()) => gone = true,
                Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
                Err(cause) => return Err(Error::io("removing", path.display(), cause)),
            }
        }
        if gone { Ok(()) } else { self.find(name, "pub").map(|_| ()) }
    }
}

/// Writes a key pair to two files, as cosign does: `PREFIX.key` and `PREFIX.pub`.
pub fn write_pair(
    private: &Path,
    public: &Path,
    pair: &KeyPair,
    passphrase: &Passphrase,
) -> Result<()> {
    let sealed = seal(pair, passphrase, &SystemRandom::new())?;
    write(private, sealed.as_bytes(), 0o600)?;
    write(public, pair.public().to_pem().as_bytes(), 0o644).inspect_err(|_| {
        // Neither or both.
        let _ = std::fs::remove_file(private);
    })
}

fn write(path: &Path, content: &[u8], mode: u32) -> Result<()> {
    let failed = |cause| {
        Error::io("writing key", path.display(), cause)
            .fix("plimsoll key rm NAME   makes room, if that is what you want")
    };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    }
    let mut file: File =
        OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(failed)?;
    file.write_all(content).and_then(|()| file.sync_all()).map_err(failed)
}

/// A name that is one part of a path, and not a hidden one.
fn checked(name: &str) -> Result<&str> {
    let good = !name.is_empty()
        && name.len() <= 128
        && !name.starts_with(['.', '-'])
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-@".contains(c));
    if good {
        return Ok(name);
    }
    Err(Error::new(Code::Usage, "naming a key")
        .found(format!("{name:?}"))
        .expected("letters, digits, and . _ - @ inside"))
}
