//! Signatures beside registries, in files: where skopeo and podman keep those that
//! are made with GPG (`lookaside` in containers-registries.d(5)).
//!
//! Folders of this machine are read and written; servers are not asked.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use plimsoll_content::{Code, Digest, Error, Result};
use plimsoll_sign::format::file::candidate;
use plimsoll_sign::policy::Scope;
use plimsoll_sign::scheme::Candidate;
use plimsoll_sign::{Asked, ImageName, Limits};

use super::policy;

/// Where such signatures lie.
#[derive(Clone, Debug, Default)]
pub struct Lookaside {
    /// A folder that was named.
    pub folder: Option<PathBuf>,
    /// Folders of settings (`registries.d`); those of the first one count.
    pub settings: Vec<PathBuf>,
}

/// How many signatures of one image are looked for in files.
const MOST: usize = 128;

/// What settings say of one namespace.
#[derive(Clone, Debug, Default)]
struct Place {
    read: Option<String>,
    write: Option<String>,
}

impl Lookaside {
    /// The signatures of an image, in their order.
    pub(crate) fn find(
        &self,
        asked: &Asked,
        digest: &Digest,
        limits: &Limits,
    ) -> Result<Vec<Candidate>> {
        let Some(name) = &asked.name else { return Ok(Vec::new()) };
        match self.base(name, false)? {
            Some(base) => of_folder(&folder(&base, name, digest), "signature-", limits),
            None => Ok(Vec::new()),
        }
    }

    /// Keeps a signature behind those that are there; gives the file.
    pub(crate) fn keep(
        &self,
        name: &ImageName,
        digest: &Digest,
        signature: &[u8],
    ) -> Result<PathBuf> {
        let base = self.base(name, true)?.ok_or_else(|| {
            Error::new(Code::Usage, format!("keeping a signature of {name}"))
                .found("no place for it")
                .expected("--lookaside DIR, or lookaside-staging in registries.d")
        })?;
        let folder = folder(&base, name, digest);
        let failed = |cause| Error::io("writing a signature to", folder.display(), cause);
        DirBuilder::new().recursive(true).mode(0o755).create(&folder).map_err(failed)?;
        for number in 1..=MOST {
            let path = folder.join(format!("signature-{number}"));
            match OpenOptions::new().write(true).create_new(true).mode(0o644).open(&path) {
                Ok(mut file) => {
                    return file.write_all(signature).map(|()| path).map_err(failed);
                }
                Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {}
                Err(cause) => return Err(failed(cause)),
            }
        }
        Err(Error::new(Code::SignatureLimit, format!("keeping a signature of {name}"))
            .found(format!("{MOST} signatures"))
            .expected("fewer"))
    }

    /// The folder for the registry of a name.
    fn base(&self, name: &ImageName, write: bool) -> Result<Option<PathBuf>> {
        if let Some(folder) = &self.folder {
            return Ok(Some(folder.clone()));
        }
        let Some(url) = self.url(name, write)? else { return Ok(None) };
        match url.strip_prefix("file://") {
            Some(path) if path.starts_with('/') => Ok(Some(PathBuf::from(path))),
            _ => Err(Error::new(Code::Usage, format!("looking for signatures of {name}"))
                .found(format!("{url:?} in registries.d"))
                .expected("a folder of this machine: file:///PATH")
                .fix("--lookaside DIR   names a copy of it")),
        }
    }

    /// What the settings say: the narrowest namespace counts, then the default.
    fn url(&self, name: &ImageName, write: bool) -> Result<Option<String>> {
        let Some(folder) = self.settings.iter().find(|folder| folder.is_dir()) else {
            return Ok(None);
        };
        let failed = |cause| Error::io("reading", folder.display(), cause);
        let mut files = std::fs::read_dir(folder)
            .map_err(failed)?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<io::Result<Vec<_>>>()
            .map_err(failed)?;
        files.retain(|path| path.extension().is_some_and(|ending| ending == "yaml"));
        files.sort();
        let asked = Asked { name: Some(name.clone()), ..Asked::default() };
        let mut best: Option<(usize, Place)> = None;
        for file in files {
            let text = policy::text(&file)?;
            let places = settings(&text).ok_or_else(|| {
                Error::new(Code::Policy, format!("reading {}", file.display()))
                    .found("something else than namespaces with a lookaside")
                    .expected("default-docker: and docker:, as in containers-registries.d(5)")
            })?;
            for (namespace, place) in places {
                let narrow = match &namespace {
                    None => Some(0),
                    Some(text) => Scope::of("docker", text)
                        .and_then(|scope| scope.covers(&asked))
                        .map(|narrow| narrow + 1),
                };
                let says = place.read.is_some() || place.write.is_some();
                if let Some(narrow) = narrow.filter(|_| says)
                    && best.as_ref().is_none_or(|(old, _)| narrow > *old)
                {
                    best = Some((narrow, place));
                }
            }
        }
        Ok(best.and_then(|(_, place)| if write { place.write.or(place.read) } else { place.read }))
    }
}

/// `BASE/REPOSITORY@ALGORITHM=HEX`, as skopeo writes it.
fn folder(base: &Path, name: &ImageName, digest: &Digest) -> PathBuf {
    let last = format!("{}@{}={}", name.repository, digest.algorithm_name(), digest.encoded());
    base.join(last)
}

/// The files `PREFIX1`, `PREFIX2`, … of a folder, up to the first that is not there.
pub(crate) fn of_folder(folder: &Path, prefix: &str, limits: &Limits) -> Result<Vec<Candidate>> {
    let mut found = Vec::new();
    for number in 1..=MOST {
        let path = folder.join(format!("{prefix}{number}"));
        let failed = |cause| Error::io("reading signature", path.display(), cause);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => break,
            Err(cause) => return Err(failed(cause)),
        };
        let mut bytes = Vec::new();
        // One byte more than is read shows that there is more.
        file.take(limits.simple.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
        found.push(candidate(&bytes, &format!("file {}", path.display()), limits));
    }
    Ok(found)
}

/// The namespaces of a file of settings; `None` among them is the default. Of YAML
/// only what such files are made of is read: maps of maps, by indentation.
fn settings(text: &str) -> Option<Vec<(Option<String>, Place)>> {
    let mut places: Vec<(Option<String>, Place)> = Vec::new();
    let mut section = String::new();
    let mut of_namespace = 0;
    for line in text.lines() {
        let line = line.split(" #").next().unwrap_or_default().trim_end();
        let bare = line.trim_start();
        if bare.is_empty() || bare.starts_with('#') || bare == "---" {
            continue;
        }
        let depth = line.len() - bare.len();
        // A namespace may hold a port.
        let (key, value) = match bare.split_once(": ") {
            Some((key, value)) => (unquoted(key.trim())?, Some(unquoted(value.trim())?)),
            None => (unquoted(bare.strip_suffix(':')?)?, None),
        };
        if depth == 0 {
            key.clone_into(&mut section);
            if section == "default-docker" {
                places.push((None, Place::default()));
            }
            // `docker: {}` is an empty map.
            if value.is_some_and(|value| value != "{}") {
                return None;
            }
            of_namespace = 0;
            continue;
        }
        match (section.as_str(), value) {
            ("docker", None) => {
                of_namespace = depth;
                places.push((Some(key.to_owned()), Place::default()));
            }
            ("docker", Some(value)) if of_namespace > 0 && depth > of_namespace => {
                set(&mut places.last_mut()?.1, key, value);
            }
            ("default-docker", Some(value)) => set(&mut places.last_mut()?.1, key, value),
            _ => return None,
        }
    }
    Some(places)
}

fn set(place: &mut Place, key: &str, value: &str) {
    match key {
        "lookaside" | "sigstore" => place.read = Some(value.to_owned()),
        "lookaside-staging" | "sigstore-staging" => place.write = Some(value.to_owned()),
        // Whether podman looks at attachments is podman's matter.
        _ => {}
    }
}

fn unquoted(text: &str) -> Option<&str> {
    for quote in ['"', '\''] {
        if let Some(rest) = text.strip_prefix(quote) {
            return rest.strip_suffix(quote).filter(|inner| !inner.contains([quote, '\\']));
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_maps_of_maps() {
        let text = "# a comment\ndefault-docker:\n  lookaside: file:///default\n\ndocker:\n  example.com:5000:\n    sigstore: 'file:///old'\n    lookaside-staging: \"file:///new\" # why\n  example.com/org:\n      use-sigstore-attachments: true\n";
        let places = settings(text).expect("read");
        let names: Vec<_> = places.iter().map(|(name, _)| name.as_deref()).collect();
        assert_eq!(names, [None, Some("example.com:5000"), Some("example.com/org")]);
        assert_eq!(places[0].1.read.as_deref(), Some("file:///default"));
        assert_eq!(places[1].1.read.as_deref(), Some("file:///old"));
        assert_eq!(places[1].1.write.as_deref(), Some("file:///new"));
        assert!(settings("docker: {}\n").expect("empty").is_empty());
        for bad in ["- a\n", "docker:\n  a: b\n", "docker: &x\n", "x:\n  y: z\n"] {
            assert!(settings(bad).is_none(), "{bad:?}");
        }
    }
}
