//! Where the images are that an AppC image depends on: files `.aci` in given
//! folders, found by name and labels and, where it is said, by image id.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use plimsoll_content::limits::Limits;
use plimsoll_content::{Code, Document, Error, Result};
use plimsoll_layer::tar::Entries;
use plimsoll_spec::appc::{Dependency, ImageManifest};

use super::aci::{MANIFEST, Part};
use super::members::{self, Members};
use super::{plain, stream};

/// The folders, and what was seen in them.
pub(super) struct Search<'a> {
    folders: &'a [PathBuf],
    scratch: &'a Path,
    limits: Limits,
    /// The manifests of all files; looked at when the first is wanted.
    seen: Option<Vec<(PathBuf, Document<ImageManifest>)>>,
    opened: BTreeMap<PathBuf, Rc<Part>>,
    /// Files that could not be read.
    pub(super) findings: Vec<String>,
}

impl<'a> Search<'a> {
    pub(super) fn new(folders: &'a [PathBuf], scratch: &'a Path, limits: Limits) -> Self {
        let (seen, opened, findings) = (None, BTreeMap::new(), Vec::new());
        Self { folders, scratch, limits, seen, opened, findings }
    }

    /// The one image that the dependency means.
    pub(super) fn find(&mut self, dependency: &Dependency) -> Result<Rc<Part>> {
        let labels: Vec<_> =
            dependency.labels.iter().map(|one| format!(",{}={}", one.name, one.value)).collect();
        let name = format!("{}{}", dependency.image_name, labels.concat());
        let doing = || format!("finding dependency {name:?}");
        self.look()?;
        let seen = self.seen.iter().flatten();
        let answering: Vec<PathBuf> = seen
            .filter(|(_, manifest)| manifest.answers(dependency))
            .map(|(path, _)| path.clone())
            .collect();
        let mut found: Vec<Rc<Part>> = Vec::new();
        for path in &answering {
            let part = self.open(path)?;
            if !found.iter().any(|other| other.id == part.id) {
                found.push(part);
            }
        }
        if let Some(digits) = dependency.id_digits()? {
            let ids: Vec<_> = found.iter().map(|part| part.id()).collect();
            found.retain(|part| part.id.encoded().starts_with(digits));
            if found.is_empty() && !ids.is_empty() {
                return Err(Error::new(Code::Digest, doing())
                    .found(ids.join(", "))
                    .expected(format!("sha512-{digits}")));
            }
        }
        let part = match &found[..] {
            [part] => Rc::clone(part),
            [] => {
                let folders = self.folders.iter().map(|folder| shown(folder));
                return Err(Error::new(Code::NotFound, doing())
                    .found("no such image")
                    .tried(folders.collect::<Vec<_>>().join(", "))
                    .fix("--aci-path DIR   says where else to look for files .aci"));
            }
            several => {
                let files: Vec<_> = several.iter().map(|part| part.shown.as_str()).collect();
                return Err(Error::new(Code::Reference, doing())
                    .found(files.join(", "))
                    .expected("one: an image id or a label would tell which"));
            }
        };
        if let Some(size) = dependency.size {
            // The specification does not say of which form.
            let file = std::fs::metadata(&part.shown).map(|data| data.len()).unwrap_or_default();
            if size != file && size != part.length {
                return Err(Error::new(Code::Size, doing())
                    .found(format!("{file} bytes, {} uncompressed", part.length))
                    .expected(format!("{size} bytes")));
            }
        }
        Ok(part)
    }

    fn open(&mut self, path: &Path) -> Result<Rc<Part>> {
        if let Some(part) = self.opened.get(path) {
            return Ok(Rc::clone(part));
        }
        let name = path.display().to_string();
        let file = File::open(path).map_err(|cause| Error::io("opening", &name, cause))?;
        let (file, length) = plain(file, &name, self.scratch)?;
        let members = Members::index(&file, length)
            .map_err(|error| error.context(format!("opening archive {name}")))?;
        let part = Rc::new(Part::new(&name, Arc::new(file), length, members, &self.limits)?);
        self.opened.insert(path.to_owned(), Rc::clone(&part));
        Ok(part)
    }

    /// Reads the manifests of all files.
    fn look(&mut self) -> Result<()> {
        if self.seen.is_some() {
            return Ok(());
        }
        let mut seen = Vec::new();
        let mut number = 0;
        for folder in self.folders {
            let failed = |cause| Error::io("listing", shown(folder), cause);
            let here = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
            let mut paths = Vec::new();
            for entry in std::fs::read_dir(here).map_err(failed)? {
                let name = entry.map_err(failed)?.file_name();
                if Path::new(&name).extension().is_some_and(|end| end == "aci") {
                    paths.push(folder.join(name));
                }
            }
            paths.sort();
            for path in paths {
                number += 1;
                if number > self.limits.index_visits {
                    return Err(Error::new(Code::Limit, "looking for dependencies")
                        .found(format!("more than {} files .aci", self.limits.index_visits))
                        .expected("fewer"));
                }
                match manifest(&path, &self.limits) {
                    Ok(manifest) => seen.push((path, manifest)),
                    Err(error) => {
                        let name = path.display();
                        self.findings
                            .push(format!("{name} is no image that could be read: {error}"));
                    }
                }
            }
        }
        self.seen = Some(seen);
        Ok(())
    }
}

/// The manifest of an archive, of which no more is read.
fn manifest(path: &Path, limits: &Limits) -> Result<Document<ImageManifest>> {
    let name = path.display().to_string();
    let file = File::open(path).map_err(|cause| Error::io("opening", &name, cause))?;
    let mut entries = Entries::new(stream(file)?, members::limits());
    while let Some((entry, body)) = entries.next()? {
        if entry.path.as_bytes() == MANIFEST.as_bytes() {
            let mut bytes = Vec::new();
            body.take(limits.config.saturating_add(1))
                .read_to_end(&mut bytes)
                .map_err(|cause| Error::io("reading", &name, cause))?;
            return Document::parse_within(bytes, limits);
        }
    }
    Err(Error::new(Code::NotALayout, format!("reading AppC image {name}"))
        .found("no file manifest")
        .expected("an app container image"))
}

fn shown(folder: &Path) -> String {
    if folder.as_os_str().is_empty() { ".".to_owned() } else { folder.display().to_string() }
}
