//! References: what people write to say which image, and where it lies.
//!
//! The grammar is that of `docs/reference/references.md`. Parsing is pure;
//! only [`Reference::look`] asks the file system, for the form `./path`.

use std::fmt;
use std::path::{Path, PathBuf};

use plimsoll_content::{Code, Digest, Error, Result};
use plimsoll_registry::protocol::{Address, Host, Image, Repository};
use plimsoll_store::{Archive, Form};

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
    /// `store:NAME`, or a digest: the local store.
    Store {
        /// Which of the images in it.
        which: Which,
    },
    /// `app:v1`, `example.com/org/app:v1`: a name. It stands for what the local
    /// store has under it, or else for what the registry has that it begins
    /// with, or that the settings say.
    Name {
        /// As it was written.
        name: String,
        /// What it is called in the local store.
        which: Which,
    },
    /// `oci-archive:PATH[:REF]`, `docker-archive:PATH[:REF]`, `aci:PATH`, or
    /// `-`: images in a tar archive.
    Archive {
        /// What kind of archive; `None` is to be seen when it is read, and a
        /// layout when it is written.
        form: Option<Form>,
        /// Where it is.
        at: At,
        /// Which of the images in it.
        which: Which,
    },
    /// `docker://HOST/REPOSITORY[:TAG|@DIGEST]`: a repository of a registry;
    /// `docker://HOST`: the registry, which can be listed.
    Registry {
        /// The registry.
        host: Host,
        /// The repository in it.
        repository: Option<Repository>,
        /// Which of the images in it; none named is `latest`.
        which: Which,
    },
    /// A name that the owner of its domain gave a meaning.
    Zone {
        /// The name, in its canonical form.
        name: String,
    },
    /// `dir:PATH`: skopeo's folder of one image.
    Dir(PathBuf),
    /// `./x` or `/x`: to be looked at.
    Path(PathBuf),
}

/// Where an archive is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum At {
    /// In a file.
    File(PathBuf),
    /// On standard input, or for standard output (`-`).
    Stream,
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Stream => f.write_str("-"),
        }
    }
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
    /// The same, but that none is `latest`, as registries have it.
    pub(crate) fn or_latest(&self) -> Self {
        match self {
            Self::Only => Self::Name("latest".to_owned()),
            other => other.clone(),
        }
    }

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
            let (path, which) = Self::split(text, rest, "oci:PATH[:REF], with a path")?;
            return Ok(Self::Layout { path, which });
        }
        for form in Form::ALL {
            if let Some(rest) = text.strip_prefix(form.prefix()) {
                let expected = format!("{}PATH[:REF], with a path or -", form.prefix());
                let (path, which) = Self::split(text, rest, &expected)?;
                let at = if path == Path::new("-") { At::Stream } else { At::File(path) };
                return Ok(Self::Archive { form: Some(form), at, which });
            }
        }
        if text == "-" {
            return Ok(Self::Archive { form: None, at: At::Stream, which: Which::Only });
        }
        if let Some(path) = text.strip_prefix("dir:") {
            if path.is_empty() {
                return Err(bad(text, "dir:PATH, with a path"));
            }
            return Ok(Self::Dir(PathBuf::from(path)));
        }
        if let Some(rest) = text.strip_prefix("docker://") {
            return remote(text, rest);
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
                .expected(
                    "docker://, oci:, oci-archive:, docker-archive:, aci:, dir:, store: or ./PATH",
                )
                .fix(format!("skopeo copy {form}… oci:IMAGES:NAME   brings it into a layout")));
        }
        if is_digest_prefix(text) {
            return Ok(Self::Store { which: named(text)? });
        }
        // Spellings that only names of a domain have: labels, fragments, other scripts.
        if has_registry(text) && (text.contains([',', '#']) || !text.is_ascii()) {
            let name = text.parse::<plimsoll_name::Reference>()?.to_string();
            return Ok(Self::Name { which: Which::Name(name.clone()), name });
        }
        match named(text)? {
            // A digest alone says nothing of where it is.
            which @ Which::Digest(_) if !text.contains('@') => Ok(Self::Store { which }),
            which => Ok(Self::Name { name: text.to_owned(), which }),
        }
    }

    /// The same, but that a name is one of the local store and nothing else:
    /// what is changed or taken away is never somebody else's.
    pub fn local(&self) -> Self {
        match self {
            Self::Name { which, .. } => Self::Store { which: which.clone() },
            other => other.clone(),
        }
    }

    /// Reads a reference where a registry is meant if it can be: a name with a
    /// dot or a port in its first part stands in the registry of that host.
    pub fn parse_remote(text: &str) -> Result<Self> {
        if has_registry(text) && !text.starts_with('.') && !text.contains("://") {
            return Self::parse(&format!("docker://{text}"));
        }
        Self::parse(text)
    }

    /// `PATH`, `PATH:REF`, `PATH:@N`, `PATH@DIGEST`, `PATH:@DIGEST`: the path
    /// ends at the first colon, as skopeo has it.
    fn split(text: &str, rest: &str, expected: &str) -> Result<(PathBuf, Which)> {
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
            return Err(bad(text, expected));
        }
        Ok((PathBuf::from(path), which))
    }

    /// What a [`Reference::Path`] turns out to be; other references stay as
    /// they are. `exists` is for images that are to be read: without it, a
    /// path that is not there is a layout to be made.
    pub fn look(self, exists: bool) -> Result<Self> {
        let Self::Path(path) = self else {
            return Ok(self);
        };
        let whole = seen(&path)?;
        let (short, tag) = split_tag(&path);
        let part = if tag.is_empty() { None } else { seen(&short)? };
        match (whole, part) {
            (Some(_), Some(part)) => {
                let inside = part.at(short.clone(), selected(&tag)?);
                return Err(Error::new(
                    Code::Reference,
                    format!("opening image {}", path.display()),
                )
                .found("two readings")
                .expected(format!(
                    "what lies at {}, or {tag:?} in {}",
                    path.display(),
                    short.display()
                ))
                .fix(format!("{inside}   means the second; for the first, rename it")));
            }
            (Some(whole), None) => return Ok(whole.at(path, Which::Only)),
            (None, Some(part)) => return Ok(part.at(short, selected(&tag)?)),
            (None, None) => {}
        }
        let shown = path.display();
        if !exists && !path.exists() {
            let short = if tag.is_empty() { &path } else { &short };
            if has_archive_name(short) {
                return Err(Error::new(
                    Code::Reference,
                    format!("choosing what to make at {shown}"),
                )
                .found("a path that looks like an archive, and nothing there")
                .expected(format!("oci-archive:{shown}, docker-archive:{shown} or oci:{shown}"))
                .fix("write the one that is meant"));
            }
            return Ok(Self::Layout { path: short.clone(), which: selected(&tag)? });
        }
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
            .expected("an OCI image layout, an archive of images, or a dir: folder")
            .fix(fix))
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Layout { path, which: Which::Only } => write!(f, "oci:{}", path.display()),
            Self::Layout { path, which } => write!(f, "oci:{}:{which}", path.display()),
            Self::Store { which } => write!(f, "store:{which}"),
            Self::Name { name, .. } => f.write_str(name),
            Self::Archive { form, at, which } => {
                let form = form.map_or("", Form::prefix);
                match which {
                    Which::Only => write!(f, "{form}{at}"),
                    which => write!(f, "{form}{at}:{which}"),
                }
            }
            Self::Registry { host, repository, which } => {
                write!(f, "docker://{host}")?;
                if let Some(repository) = repository {
                    write!(f, "/{repository}")?;
                }
                match which {
                    Which::Only => Ok(()),
                    Which::Name(tag) => write!(f, ":{tag}"),
                    which => write!(f, "{which}"),
                }
            }
            Self::Zone { name } => f.write_str(name),
            Self::Dir(path) => write!(f, "dir:{}", path.display()),
            Self::Path(path) => write!(f, "{}", path.display()),
        }
    }
}

/// Whether a name begins with a registry: a dot or a port in its first part.
pub(crate) fn has_registry(name: &str) -> bool {
    name.split_once('/').is_some_and(|(first, _)| {
        first.contains('.') || first.contains(':') || first == "localhost"
    })
}

/// What stands behind `docker://`.
fn remote(text: &str, rest: &str) -> Result<Reference> {
    let image: Image = rest
        .parse()
        .map_err(|error: Error| error.context(format!("reading reference {text:?}")))?;
    Ok(image.into())
}

impl From<Image> for Reference {
    fn from(image: Image) -> Self {
        let which = match image.address {
            Some(Address::Digest(digest)) => Which::Digest(digest),
            Some(Address::Tag(tag)) => Which::Name(tag.as_str().to_owned()),
            None => Which::Only,
        };
        Self::Registry { host: image.host, repository: image.repository, which }
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
        ("docker-daemon:", "an image in docker's own store"),
        ("containers-storage:", "an image in podman's own store"),
    ]
    .into_iter()
    .find(|(form, _)| text.starts_with(form))
}

fn is_layout(path: &Path) -> bool {
    path.join("oci-layout").symlink_metadata().is_ok()
}

/// What lies at a path, if it is a place of images.
enum Seen {
    Layout,
    Dir,
    Archive(Option<Form>),
}

impl Seen {
    fn at(&self, path: PathBuf, which: Which) -> Reference {
        match self {
            Self::Layout => Reference::Layout { path, which },
            Self::Dir => Reference::Dir(path),
            Self::Archive(form) => Reference::Archive { form: *form, at: At::File(path), which },
        }
    }
}

fn seen(path: &Path) -> Result<Option<Seen>> {
    if is_layout(path) {
        return Ok(Some(Seen::Layout));
    }
    if path.join("version").is_file() && path.join("manifest.json").is_file() {
        return Ok(Some(Seen::Dir));
    }
    Ok(Archive::look(path)?.map(Seen::Archive))
}

/// Whether a path ends as archives do.
fn has_archive_name(path: &Path) -> bool {
    let name = path.to_string_lossy();
    [".tar", ".tar.gz", ".tgz", ".tar.zst", ".aci"].iter().any(|end| name.ends_with(end))
}

/// `./images:v1` → `./images` and `v1`.
fn split_tag(path: &Path) -> (PathBuf, String) {
    let text = path.to_string_lossy();
    let start = text.rfind('/').map_or(0, |slash| slash + 1);
    match text[start..].find(':') {
        Some(colon) => {
            (PathBuf::from(&text[..start + colon]), text[start + colon + 1..].to_owned())
        }
        None => (path.to_owned(), String::new()),
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
        let archive = |form, at, which| Reference::Archive { form, at, which };
        let tag = |tag: &str| Which::Name(tag.into());
        let name = |name: &str, which: &str| Reference::Name {
            name: name.into(),
            which: Which::Name(which.into()),
        };
        let registry = |host: &str, repository: Option<&str>, which| Reference::Registry {
            host: host.parse().expect("host"),
            repository: repository.map(|name| name.parse().expect("repository")),
            which,
        };
        for (text, reference) in [
            ("oci:img", layout("img", Which::Only)),
            ("oci:/a/b:v1", layout("/a/b", Which::Name("v1".into()))),
            ("oci:img:org/app:v1", layout("img", Which::Name("org/app:v1".into()))),
            ("oci:img:@2", layout("img", Which::Position(2))),
            (&format!("oci:img@{DIGEST}"), layout("img", digest())),
            (&format!("oci:img:@{DIGEST}"), layout("img", digest())),
            ("app:v1", name("app:v1", "app:v1")),
            ("app", name("app", "app:latest")),
            (
                &format!("h.example/app@{DIGEST}"),
                Reference::Name { name: format!("h.example/app@{DIGEST}"), which: digest() },
            ),
            ("store:app", Reference::Store { which: Which::Name("app:latest".into()) }),
            ("demo.test/hello:v1", name("demo.test/hello:v1", "demo.test/hello:v1")),
            ("host:5000/app", name("host:5000/app", "host:5000/app:latest")),
            (DIGEST, Reference::Store { which: digest() }),
            ("e3b0c442", Reference::Store { which: Which::Prefix("e3b0c442".into()) }),
            ("sha256:e3b0c442", Reference::Store { which: Which::Prefix("e3b0c442".into()) }),
            ("./x", Reference::Path("./x".into())),
            (
                "oci-archive:a/b.tar:v1",
                archive(Some(Form::Oci), At::File("a/b.tar".into()), Which::Name("v1".into())),
            ),
            (
                "docker-archive:x.tar:host:5000/app:v1",
                archive(
                    Some(Form::Docker),
                    At::File("x.tar".into()),
                    Which::Name("host:5000/app:v1".into()),
                ),
            ),
            (
                "docker-archive:x.tar:@1",
                archive(Some(Form::Docker), At::File("x.tar".into()), Which::Position(1)),
            ),
            ("aci:x.aci", archive(Some(Form::Aci), At::File("x.aci".into()), Which::Only)),
            ("oci-archive:-", archive(Some(Form::Oci), At::Stream, Which::Only)),
            ("-", archive(None, At::Stream, Which::Only)),
            ("dir:a:b", Reference::Dir("a:b".into())),
            ("docker://h.example", registry("h.example", None, Which::Only)),
            ("docker://h:5000/a/b", registry("h:5000", Some("a/b"), Which::Only)),
            ("docker://[::1]:5000/a:v1", registry("[::1]:5000", Some("a"), tag("v1"))),
            (&format!("docker://h/a@{DIGEST}"), registry("h", Some("a"), digest())),
            (&format!("docker://h/a:v1@{DIGEST}"), registry("h", Some("a"), digest())),
            ("docker://docker.io/x:v1", registry("docker.io", Some("library/x"), tag("v1"))),
        ] {
            assert_eq!(Reference::parse(text).expect(text), reference, "{text}");
        }
        for bad in [
            "",
            "oci:",
            "oci::v1",
            "oci:img:",
            "app:",
            "oci-archive:",
            "docker-archive::v1",
            "dir:",
            "store:",
            "a b",
            "x\ny",
            "oci:img:@sha256:xyz",
            "docker://",
            "docker:///y",
            "docker://h/Y",
            "docker://h/y:",
            "docker://h/y:a/b",
            "docker://h:x/y",
            "docker://u@h/y",
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
