//! What an archive holds, and where in the file: one pass over its headers.
//!
//! A name in an archive is a key and nothing else. Nothing here is ever
//! looked for outside of the archive (hostile cases DA01 to DA06).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use plimsoll_content::{Code, Error, Result};
use plimsoll_layer::tar::Entries;
use plimsoll_layer::{Entry, EntryKind, Finding, Limits, RelPath};

/// How many entries an archive of images may have: each has its place in
/// memory. 10,000 images of a hundred layers fit.
const ENTRIES: u64 = 1_000_000;

/// How many links may lead from one to the next (hostile case DA04).
const LINKS: usize = 10;

/// The budgets of reading an archive of images.
pub(super) fn limits() -> Limits {
    Limits { entries: ENTRIES, ..Limits::default() }
}

/// A piece of the file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Span {
    pub(super) offset: u64,
    pub(super) size: u64,
}

/// What a name stands for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Member<T> {
    /// A file, and where its content is.
    File(T),
    /// A symbolic link, or another name of a file before it.
    Link(Vec<u8>),
    Hardlink(RelPath),
    /// A folder, or what has no content.
    Other(&'static str),
}

/// The members of an archive by name.
#[derive(Debug)]
pub(super) struct Members<T> {
    named: BTreeMap<RelPath, Member<T>>,
}

impl<T: Clone> Members<T> {
    pub(super) fn new() -> Self {
        Self { named: BTreeMap::new() }
    }

    /// Takes an entry in. `file` says where its content is, if it is a file.
    ///
    /// A file whose name came before is refused: readers disagree about which
    /// one counts (hostile case DA11).
    pub(super) fn add(&mut self, entry: &Entry, sparse: bool, file: T) -> Result<()> {
        let member = match &entry.kind {
            EntryKind::File { .. } if sparse => Member::Other("a sparse file"),
            EntryKind::File { .. } => Member::File(file),
            EntryKind::Symlink { target } => Member::Link(target.clone()),
            EntryKind::Hardlink { target } => Member::Hardlink(target.clone()),
            EntryKind::Directory => Member::Other("a folder"),
            EntryKind::Fifo => Member::Other("a named pipe"),
            EntryKind::Char { .. } | EntryKind::Block { .. } => Member::Other("a device"),
        };
        let folder = matches!(entry.kind, EntryKind::Directory);
        let before = self.named.insert(entry.path.clone(), member);
        match before {
            None => Ok(()),
            Some(Member::Other("a folder")) if folder => Ok(()),
            Some(_) => Err(Error::new(Code::UnsafeEntry, "reading an archive of images")
                .found(format!("two entries called {}", entry.path))
                .expected("one: readers disagree which counts")),
        }
    }

    /// Whether something has that name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.named.contains_key(name.as_bytes())
    }

    /// What has that name.
    pub(super) fn get(&self, name: &str) -> Option<&Member<T>> {
        self.named.get(name.as_bytes())
    }

    /// All names, in their order.
    pub(super) fn names(&self) -> impl Iterator<Item = &RelPath> {
        self.named.keys()
    }

    /// Whether what has that name is a folder.
    pub(super) fn is_folder(&self, name: &RelPath) -> bool {
        matches!(self.named.get(name), Some(Member::Other("a folder")))
    }

    /// The file of that name, which may be one of several that it has; `None`
    /// if nothing has it. A symbolic link is refused.
    pub(super) fn file(&self, name: &str) -> Result<Option<T>> {
        match self.named.get(&key(name)?) {
            Some(Member::Link(_)) => Err(refused(name, "a link").expected("a file")),
            _ => self.followed(name),
        }
    }

    /// The file that the name leads to, links inside of the archive followed:
    /// old docker writes a layer once, and links to it.
    pub(super) fn followed(&self, name: &str) -> Result<Option<T>> {
        let mut at = key(name)?;
        for _ in 0..=LINKS {
            match self.named.get(&at) {
                None => return Ok(None),
                Some(Member::File(file)) => return Ok(Some(file.clone())),
                Some(Member::Hardlink(target)) => at = target.clone(),
                Some(Member::Link(target)) => {
                    at = inside(&at, target)
                        .map_err(|error| error.context(format!("reading {name:?}")))?;
                }
                Some(Member::Other(kind)) => return Err(refused(name, kind).expected("a file")),
            }
        }
        Err(refused(name, &format!("more than {LINKS} links")).expected("fewer"))
    }
}

impl Members<Span> {
    /// Goes over the headers of an uncompressed archive.
    pub(super) fn index(file: &File, length: u64) -> Result<Self> {
        let mut members = Self::new();
        let mut entries = Entries::new(file, limits()).seeking();
        loop {
            let Some((entry, body)) = entries.next()? else { break };
            let sparse = body.is_sparse();
            let offset = entries.position();
            let size = if let EntryKind::File { size } = entry.kind { size } else { 0 };
            if !sparse && offset.checked_add(size).is_none_or(|end| end > length) {
                return Err(Error::new(
                    Code::Layer,
                    format!("reading entry {} of an archive", entry.path),
                )
                .found(format!("an end at byte {length}"))
                .expected(format!("{size} bytes from byte {offset} on"))
                .fix("the archive is cut off: fetch it again"));
            }
            members.add(&entry, sparse, Span { offset, size })?;
        }
        ended(entries.finish()?.1)?;
        Ok(members)
    }
}

/// Refuses an archive without its end: what comes last may be what is
/// missing (hostile case DA14).
pub(super) fn ended(findings: Vec<Finding>) -> Result<()> {
    match findings.into_iter().find(|finding| finding.name == "tar-no-end") {
        None => Ok(()),
        Some(finding) => Err(Error::new(Code::Layer, "reading the end of an archive")
            .found(finding.message)
            .expected("two blocks of zeros")
            .fix("the archive is cut off: fetch it again")),
    }
}

/// The place that a link leads to, which lies in the archive.
fn inside(link: &RelPath, target: &[u8]) -> Result<RelPath> {
    let outside = || {
        Error::new(Code::UnsafeEntry, format!("following the link {link} of an archive"))
            .found(format!("{:?}", String::from_utf8_lossy(&target[..target.len().min(200)])))
            .expected("a place in the archive")
    };
    if target.starts_with(b"/") {
        return Err(outside());
    }
    let mut path: Vec<&[u8]> =
        link.as_bytes().split(|byte| *byte == b'/').filter(|part| !part.is_empty()).collect();
    path.pop();
    for part in target.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                path.pop().ok_or_else(outside)?;
            }
            part => path.push(part),
        }
    }
    RelPath::parse(&path.join(&b'/'))
}

fn key(name: &str) -> Result<RelPath> {
    if name.starts_with('/') {
        return Err(refused(name, "an absolute path").expected("the name of an entry"));
    }
    RelPath::parse(name.as_bytes())
}

fn refused(name: &str, found: &str) -> Error {
    let name: String = name.chars().take(200).collect();
    Error::new(Code::UnsafeEntry, format!("reading {name:?} of an archive")).found(found)
}

/// Reads a piece of a file that others may read at the same time.
pub(super) struct Piece {
    file: Arc<File>,
    at: u64,
    left: u64,
}

impl Piece {
    pub(super) fn new(file: &Arc<File>, span: Span, from: u64) -> Self {
        let from = from.min(span.size);
        Self { file: Arc::clone(file), at: span.offset + from, left: span.size - from }
    }
}

impl Read for Piece {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let length = self.file.read_at(&mut buffer[..most], self.at)?;
        self.at += length as u64;
        self.left -= length as u64;
        Ok(length)
    }
}
