//! Policies from files, in whichever of the known forms they are.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use plimsoll_content::{Code, Error, Result};
use plimsoll_sign::format::root::Root;
use plimsoll_sign::policy::{Load, Policy};
use serde_json::Value;
use zeroize::Zeroizing;

/// The largest policy or key file.
const LIMIT: u64 = 4 << 20;

/// Which form a policy has.
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// Our own `trust.json`.
    Trust,
    /// `policy.json` of the containers tools.
    Containers,
    /// `trustpolicy.json` of the Notary Project.
    Notary,
}

/// Reads a policy, and says which form it has.
pub fn read(path: &Path) -> Result<(Policy, Form)> {
    let bytes = bytes(path)?;
    let context = |error: Error| error.context(format!("reading policy {}", path.display()));
    let files = Folder(path.parent().unwrap_or(Path::new(".")).to_owned());
    // Only to tell the forms apart; each is then read strictly.
    let value: Option<Value> = serde_json::from_slice(&bytes).ok();
    let has = |name: &str| value.as_ref().is_some_and(|value| value.get(name).is_some());
    if value.as_ref().is_some_and(|value| value.get("default").is_some_and(Value::is_array))
        && !has("version")
    {
        return Policy::containers(&bytes, &files)
            .map(|policy| (policy, Form::Containers))
            .map_err(context);
    }
    if has("trustPolicies") {
        return Policy::notary(&bytes, &files)
            .map(|policy| (policy, Form::Notary))
            .map_err(context);
    }
    Policy::trust(&bytes, &files).map(|policy| (policy, Form::Trust)).map_err(context)
}

/// Reads a trusted root of sigstore.
///
/// Errors with [`Code::Policy`] if it is none.
pub fn root(path: &Path) -> Result<Root> {
    Root::parse(&bytes(path)?).map_err(|reason| {
        Error::new(Code::Policy, format!("reading the trusted root {}", path.display()))
            .found(reason)
            .expected("a trusted_root.json of sigstore, version 0.1 or 0.2")
    })
}

/// The folder of a policy, in which the files lie that it names.
struct Folder(PathBuf);

impl Load for Folder {
    fn file(&self, path: &str) -> Result<Vec<u8>> {
        bytes(&self.0.join(path))
    }

    fn store(&self, kind: &str, name: &str) -> Result<Vec<(String, Vec<u8>)>> {
        let at = |base: &str| self.0.join(base).join("x509").join(kind).join(name);
        // As notation names the folder, and as its specification does.
        let folder = match at("truststore") {
            folder if folder.exists() => folder,
            _ if at("trust-store").exists() => at("trust-store"),
            folder => folder,
        };
        let failed = |cause| Error::io("reading the store", folder.display(), cause);
        let link = |path: &Path| {
            Error::new(Code::Policy, format!("reading the store {}", folder.display()))
                .found(format!("{}, which is a symbolic link, or no folder", path.display()))
                .expected("a folder of files")
        };
        if !folder.symlink_metadata().map_err(failed)?.is_dir() {
            return Err(link(&folder));
        }
        let mut files = Vec::new();
        for entry in std::fs::read_dir(&folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
            let kind = path.symlink_metadata().map_err(failed)?.file_type();
            // Folders in it, and what is no certificate by its name, say nothing.
            if kind.is_dir() || !["pem", "crt", "cer"].contains(&ending) {
                continue;
            }
            if !kind.is_file() {
                return Err(link(&path));
            }
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            files.push((name, bytes(&path)?));
        }
        files.sort();
        Ok(files)
    }
}

/// A small file of text, which may be secret.
pub fn text(path: &Path) -> Result<Zeroizing<String>> {
    let bytes = Zeroizing::new(bytes(path)?);
    String::from_utf8(bytes.to_vec()).map(Zeroizing::new).map_err(|_| {
        Error::new(Code::Malformed, format!("reading {}", path.display()))
            .found("bytes that are no text")
            .expected("a key in PEM")
    })
}

/// A small file.
pub fn bytes(path: &Path) -> Result<Vec<u8>> {
    let failed = |cause| Error::io("reading", path.display(), cause);
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(LIMIT + 1).read_to_end(&mut bytes))
        .map_err(failed)?;
    if bytes.len() as u64 > LIMIT {
        return Err(Error::new(Code::Limit, format!("reading {}", path.display()))
            .found(format!("more than {LIMIT} bytes"))
            .expected("fewer"));
    }
    Ok(bytes)
}
