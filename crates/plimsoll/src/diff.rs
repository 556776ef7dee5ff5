//! What differs between two trees, wherever they come from: folders, images,
//! a bundle and what was unpacked to it, the two sides of an overlay.
//!
//! What does not live here: how trees are compared (`layer::diff`), and images
//! made of what changed ([`repack`](crate::repack)).

use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use plimsoll_content::{Digest, Error, Platform, Result, Source, Watch};
use plimsoll_layer::codec::Compression;
use plimsoll_layer::diff::{self, Changed, Diff, Upper};
use plimsoll_layer::{Limits, Root, pack};
use plimsoll_runtime::convert;
use plimsoll_store::StagedDir;
use rustix::process::{getegid, geteuid};
use serde::Serialize;

use crate::image::Image;
use crate::notes;
use crate::place::Home;
use crate::reference::Reference;
use crate::repack::Bundle;
use crate::unpack;

/// How trees are compared.
#[derive(Clone, Debug)]
pub struct Options {
    /// How the layer is compressed.
    pub compression: Compression,
    /// `SOURCE_DATE_EPOCH`: the latest time of a file in the layer.
    pub epoch: Option<i64>,
    /// How many threads may compress.
    pub threads: usize,
    /// The budgets of reading layers.
    pub limits: Limits,
    /// Which image of several.
    pub platform: Option<Platform>,
}

/// One side of a comparison.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Side {
    /// A folder that is the root of a file tree.
    Tree(PathBuf),
    /// An image, which is unpacked to be compared, in [`Home::scratch`].
    Image(Reference),
}

impl From<Reference> for Side {
    /// A path at which no image lies is a tree; a bundle stands for its root
    /// filesystem.
    fn from(reference: Reference) -> Self {
        match &reference {
            Reference::Path(path) if path.is_dir() && reference.clone().look(true).is_err() => {
                let inner = path.join(convert::ROOTFS);
                let bundle = path.join("config.json").is_file() && inner.is_dir();
                Self::Tree(if bundle { inner } else { path.clone() })
            }
            _ => Self::Image(reference),
        }
    }
}

/// What differs.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Compared {
    /// What became of which file, by path.
    pub changes: Vec<Line>,
    /// How many files are new.
    pub added: u64,
    /// How many became others.
    pub changed: u64,
    /// How many are gone; what was in a folder that is gone does not count.
    pub removed: u64,
    /// The digest of the layer that says so, before compression.
    pub diff_id: Digest,
    /// The length of the layer before compression, in bytes.
    pub bytes: u64,
    /// How many entries it has.
    pub entries: u64,
    /// What was left out or noticed.
    pub warnings: Vec<String>,
}

/// What became of one file.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// What became of it.
    pub kind: Kind,
    /// Where, from the root on; what is not printable is escaped.
    pub path: String,
}

/// What can become of a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// It is new.
    Added,
    /// It is another.
    Changed,
    /// It is gone.
    Removed,
}

impl Kind {
    /// The letter that people know from `docker diff`.
    pub fn letter(self) -> char {
        match self {
            Self::Added => 'A',
            Self::Changed => 'C',
            Self::Removed => 'D',
        }
    }
}

impl Compared {
    fn of(diff: &Diff, watch: &dyn Watch) -> Self {
        let lines = diff.changes.iter().map(|change| Line {
            kind: match change.kind {
                Changed::Added => Kind::Added,
                Changed::Changed => Kind::Changed,
                Changed::Removed => Kind::Removed,
            },
            path: if change.path.is_root() { "/".to_owned() } else { format!("/{}", change.path) },
        });
        Self {
            changes: lines.collect(),
            added: diff.count(Changed::Added),
            changed: diff.count(Changed::Changed),
            removed: diff.count(Changed::Removed),
            diff_id: diff.packed.diff_id.clone(),
            bytes: diff.packed.bytes,
            entries: diff.packed.entries,
            warnings: notes::all("", &diff.packed.findings, watch),
        }
    }
}

/// Compares two trees and writes the layer that makes the one of the other,
/// an archive without entries if nothing differs.
///
/// # Errors
///
/// Those of opening and unpacking images, and of
/// [`layer::diff::trees`](plimsoll_layer::diff::trees).
pub fn trees(
    home: &Home,
    (old, new): (&Side, &Side),
    out: &mut dyn Write,
    options: &Options,
    watch: &dyn Watch,
) -> Result<Compared> {
    let (old, new) =
        (Tree::open(home, old, options, watch)?, Tree::open(home, new, options, watch)?);
    let (diff, _) = diff::trees(old.handle(), new.handle(), out, &written(options))
        .map_err(|error| error.context(format!("comparing {} with {}", old.shown, new.shown)))?;
    Ok(Compared::of(&diff, watch))
}

/// Writes what the upper folder of an overlay mount changes in `lower`.
///
/// # Errors
///
/// Those of [`layer::diff::upper`](plimsoll_layer::diff::upper()).
pub fn upper(
    home: &Home,
    (lower, upper): (&Side, &Path),
    how: Upper,
    out: &mut dyn Write,
    options: &Options,
    watch: &dyn Watch,
) -> Result<Compared> {
    let lower = Tree::open(home, lower, options, watch)?;
    let root = Root::open(upper)?;
    let (diff, _) = diff::upper(root.as_fd(), lower.handle(), out, &written(options), how)
        .map_err(|error| error.context(format!("reading upper folder {}", upper.display())))?;
    Ok(Compared::of(&diff, watch))
}

/// Writes what changed in a bundle since it was unpacked from `base`.
///
/// # Errors
///
/// Those of [`Bundle::repack`].
pub fn bundle(
    bundle: &Bundle,
    base: (&dyn Source, &Image),
    paranoid: bool,
    out: &mut dyn Write,
    options: &Options,
    watch: &dyn Watch,
) -> Result<Compared> {
    let (diff, ..) = bundle.compare(base, out, &written(options), paranoid, watch)?;
    Ok(Compared::of(&diff, watch))
}

fn written(options: &Options) -> pack::Options<'static> {
    pack::Options {
        compression: options.compression,
        epoch: options.epoch,
        own: (!geteuid().is_root()).then(|| (geteuid().as_raw(), getegid().as_raw())),
        threads: options.threads,
        limits: options.limits,
        ..pack::Options::default()
    }
}

/// A tree to read, which is taken away again if it was unpacked for that.
struct Tree {
    shown: String,
    root: Opened,
}

enum Opened {
    Folder(Root),
    Unpacked(StagedDir),
}

impl Tree {
    fn open(home: &Home, side: &Side, options: &Options, watch: &dyn Watch) -> Result<Self> {
        let reference = match side {
            Side::Tree(path) => {
                let root = Opened::Folder(Root::open(path)?);
                return Ok(Self { shown: path.display().to_string(), root });
            }
            Side::Image(reference) => reference,
        };
        let opened = home.open(reference).map_err(|error| folder_meant(reference, error))?;
        let image = Image::open(opened.source(), &opened.root, options.platform.as_ref())?;
        let digest = image.descriptor.digest.encoded();
        let staged = StagedDir::beside(&home.scratch().join(format!("plimsoll-diff-{digest}")))?;
        let how = plimsoll_layer::apply::Options { limits: options.limits, ..unpack::options() };
        unpack::into(opened.source(), &image, staged.fd(), &how, watch)
            .map_err(|error| error.context(format!("unpacking {reference} to compare it")))?;
        Ok(Self { shown: reference.to_string(), root: Opened::Unpacked(staged) })
    }

    fn handle(&self) -> BorrowedFd<'_> {
        match &self.root {
            Opened::Folder(root) => root.as_fd(),
            Opened::Unpacked(staged) => staged.fd(),
        }
    }
}

/// Says how a folder is written that has the name of no image.
fn folder_meant(reference: &Reference, error: Error) -> Error {
    match reference {
        Reference::Name { name, .. } if Path::new(name).is_dir() => {
            error.fix(format!("./{name}   means the folder"))
        }
        _ => error,
    }
}
