//! The layers of AppC images: what lies below `rootfs/` in their archives.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::Path;
use std::rc::Rc;

use plimsoll_content::{Algorithm, Code, Descriptor, Digest, Error, Result, Sealing};
use plimsoll_layer::tar::{Body, Entries, Writer};
use plimsoll_layer::{Entry, EntryKind, RelPath};
use plimsoll_spec::media_type;

use super::aci::{Part, ROOTFS};
use super::members::{self, Piece, Span};
use crate::temporary;

/// What names of whiteouts begin with.
const WHITEOUT: &[u8] = b".wh.";

/// The only paths that an image may have.
pub(super) struct Whitelist(BTreeSet<RelPath>);

impl Whitelist {
    /// `None` for an empty list, which allows everything.
    pub(super) fn new(paths: &[String]) -> Result<Option<Self>> {
        if paths.is_empty() {
            return Ok(None);
        }
        let parsed = paths.iter().map(|path| {
            if !path.starts_with('/') {
                let path: String = path.chars().take(200).collect();
                return Err(Error::new(Code::Malformed, "reading a path")
                    .found(format!("{path:?}"))
                    .expected("an absolute path"));
            }
            RelPath::parse(path.as_bytes())
        });
        parsed.collect::<Result<_>>().map(|paths| Some(Self(paths)))
    }

    /// Whether the path is listed, or on the way to one that is.
    fn allows(&self, path: &RelPath) -> bool {
        path.is_root()
            || self.0.range(path.clone()..).next().is_some_and(|next| next.starts_with(path))
    }
}

/// All layers, one after the other in a temporary file.
pub(super) struct Layers {
    file: File,
    length: u64,
    spans: BTreeMap<Digest, Span>,
    /// Layers that are not filtered, by the id of their archive.
    whole: BTreeMap<Digest, Descriptor>,
    /// Owners of files that were asked for, as the layers so far have them;
    /// `None` for one that is a link.
    owners: BTreeMap<RelPath, Option<(u32, u32)>>,
    wanted: BTreeSet<RelPath>,
}

impl Layers {
    /// None yet. `wanted` are files whose owners will be asked for.
    pub(super) fn new<'a>(scratch: &Path, wanted: impl Iterator<Item = &'a str>) -> Result<Self> {
        let file = temporary::unnamed(scratch)
            .map_err(|cause| Error::io("writing a temporary file in", scratch.display(), cause))?;
        let wanted = wanted.map(|path| RelPath::parse(path.as_bytes())).collect::<Result<_>>()?;
        Ok(Self {
            file,
            length: 0,
            spans: BTreeMap::new(),
            whole: BTreeMap::new(),
            owners: BTreeMap::new(),
            wanted,
        })
    }

    /// The file, and where the layers lie in it.
    pub(super) fn into_file(self) -> (File, BTreeMap<Digest, Span>) {
        (self.file, self.spans)
    }

    /// Whom a file of the tree belongs to.
    pub(super) fn owner(&self, path: &str) -> Result<(u32, u32)> {
        let error = Error::new(Code::NotFound, format!("finding the owner of {path:?}"));
        match self.owners.get(&RelPath::parse(path.as_bytes())?) {
            Some(Some(owner)) => Ok(*owner),
            Some(None) => Err(error.found("a symbolic link").expected("the file itself")),
            None => Err(error
                .found("no such file in the image")
                .expected("the file whose owner and group run the program")),
        }
    }

    /// The layer of an archive; what all lists allow is in it.
    pub(super) fn layer(&mut self, part: &Part, lists: &[Rc<Whitelist>]) -> Result<Descriptor> {
        if let Some(layer) = self.whole.get(&part.id).filter(|_| lists.is_empty()) {
            // Its files count again, so what it says of owners does as well.
            let layer = layer.clone();
            self.look(part)?;
            return Ok(layer);
        }
        let sealing = Sealing::new(&self.file, Algorithm::Sha256);
        let mut writing = Writing {
            part,
            lists,
            out: Writer::new(sealing),
            instead: BTreeMap::new(),
            owners: Vec::new(),
            wanted: &self.wanted,
        };
        let whole = Span { offset: 0, size: part.length };
        let mut entries = Entries::new(Piece::new(&part.file, whole, 0), members::limits());
        while let Some((entry, body)) = entries.next()? {
            let Some(path) = below(&entry.path)? else { continue };
            writing.entry(Entry { path, ..entry }, body)?;
        }
        entries.finish()?;
        let Writing { out, owners, .. } = writing;
        let (proof, _) = out.finish()?.finish(media_type::LAYER);
        let layer = proof.descriptor().clone();
        let span = Span { offset: self.length, size: layer.size };
        self.length += layer.size;
        self.spans.entry(layer.digest.clone()).or_insert(span);
        self.owners.extend(owners);
        if lists.is_empty() {
            self.whole.insert(part.id.clone(), layer.clone());
        }
        Ok(layer)
    }

    fn look(&mut self, part: &Part) -> Result<()> {
        if self.wanted.is_empty() {
            return Ok(());
        }
        let whole = Span { offset: 0, size: part.length };
        let mut entries = Entries::new(Piece::new(&part.file, whole, 0), members::limits());
        while let Some((entry, _)) = entries.next()? {
            if let Some(path) = below(&entry.path)?.filter(|path| self.wanted.contains(path)) {
                self.owners.insert(path, owner(&entry));
            }
        }
        Ok(())
    }
}

struct Writing<'a> {
    part: &'a Part,
    lists: &'a [Rc<Whitelist>],
    out: Writer<Sealing<&'a File>>,
    /// Files that are not allowed and of which other names are: the first of
    /// those.
    instead: BTreeMap<RelPath, RelPath>,
    owners: Vec<(RelPath, Option<(u32, u32)>)>,
    wanted: &'a BTreeSet<RelPath>,
}

impl Writing<'_> {
    fn entry(&mut self, entry: Entry, body: Body<'_, Piece>) -> Result<()> {
        if entry.path.components().any(|part| part.as_encoded_bytes().starts_with(WHITEOUT)) {
            return Err(Error::new(Code::Unrepresentable, format!("writing entry {}", entry.path))
                .found("a name that begins with .wh.")
                .expected("another: in a layer it would remove a file"));
        }
        if !self.allowed(&entry.path) {
            return Ok(());
        }
        if self.wanted.contains(&entry.path) {
            self.owners.push((entry.path.clone(), owner(&entry)));
        }
        let EntryKind::Hardlink { target } = &entry.kind else {
            return self.out.append(&entry, body);
        };
        let Some(inside) = below(target)? else {
            return Err(Error::new(Code::UnsafeEntry, format!("writing entry {}", entry.path))
                .found(format!("a hard link to {target}"))
                .expected("one to something below rootfs"));
        };
        if self.allowed(&inside) {
            let kind = EntryKind::Hardlink { target: inside };
            return self.out.append(&Entry { kind, ..entry }, &[][..]);
        }
        if let Some(first) = self.instead.get(&inside) {
            let kind = EntryKind::Hardlink { target: first.clone() };
            return self.out.append(&Entry { kind, ..entry }, &[][..]);
        }
        // The file goes under its first name that is allowed.
        let name = String::from_utf8_lossy(target.as_bytes()).into_owned();
        let span = self.part.members.followed(&name)?.ok_or_else(|| {
            Error::new(Code::NotFound, format!("writing entry {}", entry.path))
                .found(format!("no file {target}"))
                .expected("the other name of the file")
        })?;
        self.instead.insert(inside, entry.path.clone());
        let kind = EntryKind::File { size: span.size };
        self.out.append(&Entry { kind, ..entry }, Piece::new(&self.part.file, span, 0))
    }

    fn allowed(&self, path: &RelPath) -> bool {
        self.lists.iter().all(|list| list.allows(path))
    }
}

/// The path below `rootfs`; `None` if it is not there.
fn below(path: &RelPath) -> Result<Option<RelPath>> {
    match path.as_bytes().strip_prefix(ROOTFS.as_bytes()) {
        Some(rest) if rest.is_empty() || rest[0] == b'/' => RelPath::parse(rest).map(Some),
        _ => Ok(None),
    }
}

fn owner(entry: &Entry) -> Option<(u32, u32)> {
    (!matches!(entry.kind, EntryKind::Symlink { .. })).then_some((entry.uid, entry.gid))
}
