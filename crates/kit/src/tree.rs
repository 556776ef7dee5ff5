//! File trees: what lies below a folder, and whether it is what is expected.
//!
//! Nothing is followed and nothing is changed here.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use plimsoll_content::{Algorithm, Digest, Error, Hasher, Result};
use serde::{Deserialize, Serialize};

/// The kinds of file.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    File,
    Directory,
    Symlink,
    Char,
    Block,
    Fifo,
    Socket,
}

/// What is expected of a file. What is not there does not matter.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Expected {
    pub(crate) path: String,
    #[serde(rename = "type")]
    kind: Kind,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gid: Option<u32>,
    /// Seconds since 1970, with a fraction where it matters.
    #[serde(skip_serializing_if = "Option::is_none")]
    mtime: Option<String>,
    /// The content, where it is short text.
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    /// What a symbolic link holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    /// Another path that is the same file.
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<String>,
    /// How many names the file has.
    #[serde(skip_serializing_if = "Option::is_none")]
    names: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<[u32; 2]>,
    /// Extended attributes with their values as text; null for one that must
    /// not be there.
    #[serde(skip_serializing_if = "Option::is_none")]
    xattrs: Option<BTreeMap<String, Option<String>>>,
}

/// What a file is.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) kind: Kind,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mtime: (i64, i64),
    pub(crate) size: u64,
    pub(crate) sha256: Option<Digest>,
    pub(crate) target: Option<Vec<u8>>,
    pub(crate) device: [u32; 2],
    pub(crate) names: u64,
    /// Which file it is, for links.
    pub(crate) identity: (u64, u64),
    pub(crate) xattrs: BTreeMap<String, Vec<u8>>,
}

/// A tree by path; odd bytes are escaped, and the top is `.`.
pub(crate) type Tree = BTreeMap<String, Facts>;

/// How much of a file is hashed; no case has as much.
const MOST: u64 = 64 << 20;

/// Looks at everything below a folder.
pub(crate) fn look(root: &Path) -> Result<Tree> {
    let mut tree = Tree::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(path) = waiting.pop() {
        let name = path.strip_prefix(root).unwrap_or(&path).as_os_str().as_bytes();
        let name = if name.is_empty() { ".".to_owned() } else { name.escape_ascii().to_string() };
        let facts = facts(&path).map_err(|cause| Error::io("looking at", path.display(), cause))?;
        if facts.kind == Kind::Directory {
            let listed = fs::read_dir(&path)
                .and_then(Iterator::collect::<io::Result<Vec<_>>>)
                .map_err(|cause| Error::io("listing", path.display(), cause))?;
            waiting.extend(listed.iter().map(fs::DirEntry::path));
        }
        tree.insert(name, facts);
    }
    Ok(tree)
}

fn facts(path: &Path) -> io::Result<Facts> {
    let data = fs::symlink_metadata(path)?;
    let kind = match data.mode() & 0o170_000 {
        0o040_000 => Kind::Directory,
        0o120_000 => Kind::Symlink,
        0o020_000 => Kind::Char,
        0o060_000 => Kind::Block,
        0o010_000 => Kind::Fifo,
        0o140_000 => Kind::Socket,
        _ => Kind::File,
    };
    let sha256 = (kind == Kind::File && data.len() <= MOST).then(|| hash(path)).transpose()?;
    let target = (kind == Kind::Symlink)
        .then(|| fs::read_link(path).map(|target| target.as_os_str().as_bytes().to_vec()))
        .transpose()?;
    let is_device = matches!(kind, Kind::Char | Kind::Block);
    let device = if is_device {
        [rustix::fs::major(data.rdev()), rustix::fs::minor(data.rdev())]
    } else {
        [0, 0]
    };
    Ok(Facts {
        kind,
        mode: data.mode() & 0o7777,
        uid: data.uid(),
        gid: data.gid(),
        mtime: (data.mtime(), data.mtime_nsec()),
        size: data.len(),
        sha256,
        target,
        device,
        names: data.nlink(),
        identity: (data.dev(), data.ino()),
        xattrs: attributes(path)?,
    })
}

fn hash(path: &Path) -> io::Result<Digest> {
    struct Writer(Hasher);
    impl io::Write for Writer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.update(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut writer = Writer(Hasher::new(Algorithm::Sha256));
    io::copy(&mut fs::File::open(path)?, &mut writer)?;
    Ok(writer.0.finish())
}

fn attributes(path: &Path) -> io::Result<BTreeMap<String, Vec<u8>>> {
    let mut names = vec![0; 64 << 10];
    let length = match rustix::fs::llistxattr(path, &mut names) {
        Ok(length) => length,
        Err(rustix::io::Errno::OPNOTSUPP) => 0,
        Err(error) => return Err(error.into()),
    };
    let mut found = BTreeMap::new();
    for name in names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let mut value = vec![0; 64 << 10];
        // One that is gone or hidden in the meantime is no attribute.
        if let Ok(length) = rustix::fs::lgetxattr(path, name, &mut value) {
            value.truncate(length);
            found.insert(name.escape_ascii().to_string(), value);
        }
    }
    Ok(found)
}

/// The first difference between a tree and what is expected of all of it.
/// Owners and devices are those of root only.
pub(crate) fn difference(expected: &[Expected], tree: &Tree, root: bool) -> Option<String> {
    if let Some(missing) = expected.iter().find(|wanted| !tree.contains_key(&wanted.path)) {
        return Some(format!("{} is missing", missing.path));
    }
    let known = |path: &str| path == "." || expected.iter().any(|wanted| wanted.path == path);
    if let Some(extra) = tree.keys().find(|path| !known(path)) {
        return Some(format!("{extra} is there and should not be"));
    }
    expected.iter().find_map(|wanted| {
        let difference = wanted.difference(tree.get(&wanted.path)?, tree, root)?;
        Some(format!("{}: {difference}", wanted.path))
    })
}

impl Expected {
    fn difference(&self, facts: &Facts, tree: &Tree, root: bool) -> Option<String> {
        fn differs<T: PartialEq + std::fmt::Debug>(
            what: &str,
            wanted: Option<T>,
            found: T,
        ) -> Option<String> {
            let wanted = wanted.filter(|wanted| *wanted != found)?;
            Some(format!("{what} is {found:?}, expected {wanted:?}"))
        }
        let bytes = self.content.as_deref().map(str::as_bytes);
        let sha256 = self
            .sha256
            .clone()
            .or_else(|| bytes.map(|bytes| Digest::of(Algorithm::Sha256, bytes).encoded()));
        let found = facts.sha256.as_ref().map(Digest::encoded).unwrap_or_default();
        let owner = |id: Option<u32>| id.filter(|_| root);
        differs("type", Some(self.kind), facts.kind)
            .or_else(|| differs("mode", self.mode.clone(), format!("{:04o}", facts.mode)))
            .or_else(|| differs("uid", owner(self.uid), facts.uid))
            .or_else(|| differs("gid", owner(self.gid), facts.gid))
            .or_else(|| differs("size", self.size, facts.size))
            .or_else(|| differs("sha256", sha256, found))
            .or_else(|| {
                let found = facts.target.clone().unwrap_or_default();
                let found = found.escape_ascii().to_string();
                differs("target", self.target.clone(), found)
            })
            .or_else(|| differs("device", self.device.filter(|_| root), facts.device))
            .or_else(|| differs("number of names", self.names, facts.names))
            .or_else(|| self.time(facts))
            .or_else(|| self.same_file(facts, tree))
            .or_else(|| self.attribute(facts))
    }

    fn time(&self, facts: &Facts) -> Option<String> {
        let wanted = self.mtime.as_deref()?;
        let (seconds, nanoseconds) = facts.mtime;
        let found = if wanted.contains('.') {
            format!("{seconds}.{nanoseconds:09}")
        } else {
            seconds.to_string()
        };
        (found != wanted).then(|| format!("mtime is {found}, expected {wanted}"))
    }

    fn same_file(&self, facts: &Facts, tree: &Tree) -> Option<String> {
        let other = self.link.as_ref()?;
        let same = tree.get(other).is_some_and(|other| other.identity == facts.identity);
        (!same).then(|| format!("is not the same file as {other}"))
    }

    fn attribute(&self, facts: &Facts) -> Option<String> {
        self.xattrs.iter().flatten().find_map(|(name, wanted)| {
            let found = facts.xattrs.get(name).map(|value| value.escape_ascii().to_string());
            (found != *wanted).then(|| {
                let shown = |value: &Option<String>| value.clone().unwrap_or("absent".into());
                format!("xattr {name} is {}, expected {}", shown(&found), shown(wanted))
            })
        })
    }
}
