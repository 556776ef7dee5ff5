//! References: what people write to say which image, and where it lies.
//!
//! The grammar is that of `docs/reference/references.md`. Parsing is pure;
//! only [`Reference::look`] asks the file system, for the form `./path`.

use std::fmt;
use std::path::{Path, PathBuf};

use plimsoll_content::{Code, Digest, Error, Result};

/// Which image, and in what kind of place.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Reference {
    /// `oci:PATH[:REF]`: an OCI image layout directory.
    Layout {
        /// The folder.
        path: PathBuf,
        /// Which of the images in it.
        which: Which,
    },
    /// `store:NAME`, or a name without a dot or port in its first part: the
    /// local store.
    Store {
        /// Which of the images in it.
        which: Which,
    },
    /// `./x` or `/x`: to be looked at.
    Path(PathBuf),
}

/// Which of the images of a place.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Which {
    /// None was named: the only one, or the one called `latest`.
    Only,
    /// By its name in the place.
    Name(String),
    /// By its digest.
    Digest(Digest),
    /// By the first digits of its digest, at least eight.
    Prefix(String),
    /// By its position in the index, from 0.
    Position(usize),
}

impl Which {
    /// The name under which something new is written: `latest` if none was
    /// given. A digest or position can not be chosen.
    pub fn to_write(&self) -> Result<String> {
        match self {
            Self::Only => Ok("latest".to_owned()),
            Self::Name(name) => Ok(name.clone()),
            other => Err(Error::new(Code::Reference, "choosing a name for the new image")
                .found(format!("{other}"))
                .expected("a name: the digest follows from the content")),
        }
    }
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Only => Ok(()),
            Self::Name(name) => f.write_str(name),
            Self::Digest(digest) => write!(f, "@{digest}"),
            Self::Prefix(prefix) => f.write_str(prefix),
            Self::Position(position) => write!(f, "@{position}"),
        }
    }
}

impl Reference {
    /// Reads a reference.
    pub fn parse(text: &str) -> Result<Self> {
        if text.is_empty() || text.contains(|c: char| c.is_control()) || text.len() > 8192 {
            return Err(bad(text, "a reference such as oci:IMAGES:v1, store:app:v1 or ./folder"));
        }
        // An empty variable of a script must not mean "the only image".
        if text.ends_with(':') && !text.starts_with(['.', '/']) {
            return Err(bad(text, "a name behind the colon, or no colon"));
        }
        if let Some(rest) = text.strip_prefix("oci:") {
            return Self::layout(text, rest);
        }
        if let Some(rest) = text.strip_prefix("store:") {
            return Ok(Self::Store { which: named(rest)? });
        }
        if text.starts_with('/')
            || text == "."
            || text == ".."
            || text.starts_with("./")
            || text.starts_with("../")
        {
            return Ok(Self::Path(PathBuf::from(text)));
        }
        if let Some((form, what)) = elsewhere(text) {
            return Err(Error::new(Code::Reference, format!("reading reference {text:?}"))
                .found(format!("{form}, {what}"))
                .expected("oci:PATH[:REF], store:NAME or ./PATH, which this version reads")
                .fix(format!("skopeo copy {form}… oci:IMAGES:NAME   brings it into a layout")));
        }
        if is_digest_prefix(text) {
            return Ok(Self::Store { which: named(text)? });
        }
        let first = text.split('/').next().unwrap_or(text);
        if text.contains('/')
            && (first.contains('.') || first.contains(':') || first == "localhost")
        {
            // A name under somebody's domain. Only what the local store holds
            // under it can be found before there is a naming layer.
            return Ok(Self::Store { which: named(text)? });
        }
        Ok(Self::Store { which: named(text)? })
    }

    /// `PATH`, `PATH:REF`, `PATH:@N`, `PATH@DIGEST`, `PATH:@DIGEST`: the path
    /// ends at the first colon, as skopeo has it.
    fn layout(text: &str, rest: &str) -> Result<Self> {
        let (path, which) = rest.split_once(':').unwrap_or((rest, ""));
        let (path, which) = match path.rsplit_once('@') {
            Some((path, algorithm)) if !which.is_empty() => {
                match format!("{algorithm}:{which}").parse() {
                    Ok(digest) => (path, Which::Digest(digest)),
                    Err(error) => return Err(error.context(format!("reading reference {text:?}"))),
                }
            }
            _ => (path, selected(which)?),
        };
        if path.is_empty() {
            return Err(bad(text, "oci:PATH[:REF], with a path"));
        }
        Ok(Self::Layout { path: PathBuf::from(path), which })
    }

    /// What a [`Reference::Path`] turns out to be; other references stay as
    /// they are. `exists` is for images that are to be read: without it, a
    /// path that is not there is a layout to be made.
    pub fn look(self, exists: bool) -> Result<Self> {
        let Self::Path(path) = self else {
            return Ok(self);
        };
        let (folder, which) = split_tag(&path);
        if is_layout(&path) {
            return Ok(Self::Layout { path, which: Which::Only });
        }
        if is_layout(&folder) {
            return Ok(Self::Layout { path: folder, which: selected(&which)? });
        }
        if !exists && !path.exists() {
            return Ok(Self::Layout { path: folder, which: selected(&which)? });
        }
        let shown = path.display();
        if !path.exists() {
            return Err(Error::new(Code::NotFound, format!("opening image {shown}"))
                .found("no such file or folder"));
        }
        let (found, fix) = if path.is_file() {
            (
                "a file",
                format!(
                    "plimsoll pack {shown} NAME   makes an image, if it is a tar archive of a root filesystem"
                ),
            )
        } else if path.join("config.json").exists() && path.join("rootfs").exists() {
            ("a runtime bundle", format!("runc run --bundle {shown} ID   runs it"))
        } else {
            (
                "a folder without the file oci-layout",
                format!("plimsoll pack {shown} NAME   makes an image from it"),
            )
        };
        Err(Error::new(Code::NotALayout, format!("opening image {shown}"))
            .found(found)
            .expected("an OCI image layout")
            .fix(fix))
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Layout { path, which: Which::Only } => write!(f, "oci:{}", path.display()),
            Self::Layout { path, which } => write!(f, "oci:{}:{which}", path.display()),
            Self::Store { which } => write!(f, "store:{which}"),
            Self::Path(path) => write!(f, "{}", path.display()),
        }
    }
}

fn bad(text: &str, expected: &str) -> Error {
    let shown: String = text.chars().take(200).collect();
    Error::new(Code::Reference, "reading a reference")
        .found(format!("{shown:?}"))
        .expected(expected)
}

/// The selector after a path: empty, a name, `@N` or `@DIGEST`.
fn selected(text: &str) -> Result<Which> {
    match text.strip_prefix('@') {
        None if text.is_empty() => Ok(Which::Only),
        None => Ok(Which::Name(text.to_owned())),
        Some(position) if !position.is_empty() && position.bytes().all(|b| b.is_ascii_digit()) => {
            position.parse().map(Which::Position).map_err(|_| bad(text, "a position below 2^64"))
        }
        Some(digest) => Ok(Which::Digest(digest.parse()?)),
    }
}

/// The name of an image in the local store, or its digest or a part of it.
fn named(text: &str) -> Result<Which> {
    if let Some((_, digest)) = text.rsplit_once('@') {
        return Ok(Which::Digest(digest.parse()?));
    }
    if let Ok(digest) = text.parse::<Digest>()
        && digest.algorithm().is_some()
    {
        return Ok(Which::Digest(digest));
    }
    if is_digest_prefix(text) {
        return Ok(Which::Prefix(text.strip_prefix("sha256:").unwrap_or(text).to_owned()));
    }
    let is_name = !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:@/+".contains(&byte));
    if !is_name {
        return Err(bad(text, "a name of letters, digits and - . _ : @ / +"));
    }
    Ok(Which::Name(with_tag(text)))
}

/// `app` means `app:latest`, as docker and podman have it.
fn with_tag(name: &str) -> String {
    let last = name.rsplit('/').next().unwrap_or(name);
    if last.contains(':') { name.to_owned() } else { format!("{name}:latest") }
}

/// At least eight hexadecimal digits and nothing else, with or without `sha256:`.
fn is_digest_prefix(text: &str) -> bool {
    let digits = text.strip_prefix("sha256:").unwrap_or(text);
    digits.len() >= 8
        && digits.len() <= 64
        && digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// Forms of other tools that this version does not read.
fn elsewhere(text: &str) -> Option<(&'static str, &'static str)> {
    [
        ("docker://", "an image in a registry"),
        ("oci-archive:", "a layout in a tar archive"),
        ("docker-archive:", "what docker save writes"),
        ("docker-daemon:", "an image in docker's own store"),
        ("containers-storage:", "an image in podman's own store"),
        ("dir:", "skopeo's folder of blobs"),
    ]
    .into_iter()
    .find(|(form, _)| text.starts_with(form))
}

fn is_layout(path: &Path) -> bool {
    path.join("oci-layout").symlink_metadata().is_ok()
}

/// `./images:v1` → `./images` and `v1`, unless something of the whole name is there.
fn split_tag(path: &Path) -> (PathBuf, String) {
    let text = path.to_string_lossy();
    let start = text.rfind('/').map_or(0, |slash| slash + 1);
    match text[start..].find(':') {
        Some(colon) if !path.exists() => {
            (PathBuf::from(&text[..start + colon]), text[start + colon + 1..].to_owned())
        }
        _ => (path.to_owned(), String::new()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn reads_what_skopeo_users_write() {
        let layout = |path: &str, which| Reference::Layout { path: path.into(), which };
        let digest = || Which::Digest(DIGEST.parse().expect("digest"));
        for (text, reference) in [
            ("oci:img", layout("img", Which::Only)),
            ("oci:/a/b:v1", layout("/a/b", Which::Name("v1".into()))),
            ("oci:img:org/app:v1", layout("img", Which::Name("org/app:v1".into()))),
            ("oci:img:@2", layout("img", Which::Position(2))),
            (&format!("oci:img@{DIGEST}"), layout("img", digest())),
            (&format!("oci:img:@{DIGEST}"), layout("img", digest())),
            ("app:v1", Reference::Store { which: Which::Name("app:v1".into()) }),
            ("app", Reference::Store { which: Which::Name("app:latest".into()) }),
            ("store:app", Reference::Store { which: Which::Name("app:latest".into()) }),
            (
                "demo.test/hello:v1",
                Reference::Store { which: Which::Name("demo.test/hello:v1".into()) },
            ),
            (
                "host:5000/app",
                Reference::Store { which: Which::Name("host:5000/app:latest".into()) },
            ),
            (DIGEST, Reference::Store { which: digest() }),
            ("e3b0c442", Reference::Store { which: Which::Prefix("e3b0c442".into()) }),
            ("sha256:e3b0c442", Reference::Store { which: Which::Prefix("e3b0c442".into()) }),
            ("./x", Reference::Path("./x".into())),
        ] {
            assert_eq!(Reference::parse(text).expect(text), reference, "{text}");
        }
        for bad in [
            "",
            "oci:",
            "oci::v1",
            "oci:img:",
            "app:",
            "store:",
            "a b",
            "x\ny",
            "oci:img:@sha256:xyz",
            "docker://x/y",
            "oci:img@sha256:xyz",
        ] {
            assert_eq!(
                Reference::parse(bad).expect_err(bad).kind(),
                match bad {
                    "oci:img:@sha256:xyz" | "oci:img@sha256:xyz" =>
                        plimsoll_content::Kind::Integrity,
                    _ => plimsoll_content::Kind::Usage,
                },
                "{bad:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in "\\PC*") {
            let _ = Reference::parse(&text);
        }
    }
}
