//! Whether a layout is as it should be, and making it so.
//!
//! Every blob is read and hashed, also those that no image needs; every image
//! is followed to all that it needs. What is not as it should be is told with
//! the images that it hurts. Repairing takes blobs anew from other places,
//! proved as always; what was damaged is kept in the folder
//! `.plimsoll/quarantine` of the layout.
//!
//! What layers hold is not looked at: that is `validate`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;

use plimsoll_content::{
    Code, Descriptor, Digest, Error, Kind, MediaType, Result, Sink, Source, Watch,
};
use plimsoll_spec::docker::schema1;
use plimsoll_spec::graph::Node;
use plimsoll_spec::media_type;
use plimsoll_store::{Entry, Layout};
use serde::Serialize;
use serde_json::Value;

use crate::image;
use crate::place::{Home, Opened};
use crate::reference::Reference;
use crate::transfer;

/// What was checked, found and done.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The place.
    pub place: String,
    /// Whether no damage remains.
    pub sound: bool,
    /// How many images and other entries the layout lists.
    pub entries: usize,
    /// How many blobs were hashed.
    pub blobs: usize,
    /// Their length, in bytes.
    pub bytes: u64,
    /// What is or was not as it should be.
    pub findings: Vec<Finding>,
}

/// One thing that is or was not as it should be.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// What kind of thing it is.
    pub kind: Damage,
    /// Whether it is damage, or only worth knowing.
    pub level: crate::validate::Level,
    /// The blob, if it is about one.
    pub digest: Option<Digest>,
    /// The file, relative to the layout, if it is about one.
    pub path: Option<PathBuf>,
    /// The images that it hurts: their names, or `@DIGEST`.
    pub images: Vec<String>,
    /// What was found and expected, in words.
    pub message: String,
    /// What was done about it; `None` if nothing was.
    pub repaired: Option<String>,
}

/// Kinds of findings.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Damage {
    /// `oci-layout` is missing or broken.
    Header,
    /// `index.json` is missing, empty or broken.
    Index,
    /// The bytes of a blob are not those that its name says.
    Content,
    /// A blob that an image needs is not there.
    Missing,
    /// A blob has another length than the document says which needs it.
    Size,
    /// A document can not be read as what it is said to be.
    Document,
    /// What lies in the place of a blob is no regular file.
    NotAFile,
    /// The algorithm of the digest can not be computed here.
    Unverifiable,
    /// One name stands for different things.
    Name,
    /// A file that is no blob, among the blobs or left by another tool.
    Foreign,
    /// What a killed process left.
    Leftover,
}

impl Damage {
    /// The word for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::Index => "index",
            Self::Content => "content",
            Self::Missing => "missing",
            Self::Size => "size",
            Self::Document => "document",
            Self::NotAFile => "not a file",
            Self::Unverifiable => "unverifiable",
            Self::Name => "name",
            Self::Foreign => "foreign",
            Self::Leftover => "leftover",
        }
    }

    fn level(self) -> crate::validate::Level {
        match self {
            Self::Unverifiable | Self::Name | Self::Foreign | Self::Leftover => {
                crate::validate::Level::Warning
            }
            _ => crate::validate::Level::Error,
        }
    }
}

impl Home {
    /// Checks a place, or the local store. With `repair`, what can be
    /// repaired is; blobs are taken from the places of `from`.
    pub fn fsck(
        &self,
        reference: Option<&Reference>,
        repair: bool,
        from: &[Opened],
        watch: &dyn Watch,
    ) -> Result<Report> {
        let path = self.folder(reference)?;
        let place = match reference {
            Some(Reference::Layout { .. } | Reference::Path(_)) => {
                format!("oci:{}", path.display())
            }
            _ => format!("store at {}", path.display()),
        };
        let layout = Layout::open_unchecked(&path, self.options())?;
        let mut check = Check {
            layout: &layout,
            watch,
            repair,
            from,
            proved: HashMap::new(),
            done: Vec::new(),
        };
        let mut report = check.run()?;
        report.place = place;
        Ok(report)
    }
}

struct Check<'a> {
    layout: &'a Layout,
    watch: &'a dyn Watch,
    repair: bool,
    from: &'a [Opened],
    /// What was hashed and is good, with its size: it is not hashed again.
    proved: HashMap<Digest, u64>,
    /// What was repaired.
    done: Vec<Finding>,
}

/// One look at the layout.
#[derive(Default)]
struct Look {
    findings: Vec<Finding>,
    /// What is to be brought, as the documents describe it.
    wanted: BTreeMap<Digest, Descriptor>,
    entries: usize,
    blobs: usize,
    bytes: u64,
}

impl Check<'_> {
    fn run(&mut self) -> Result<Report> {
        // Nobody may remove what is brought before it is asked for.
        let _writing = if self.repair { Some(self.layout.writing()?) } else { None };
        if self.repair {
            self.repair_frame()?;
        }
        let mut look = self.look()?;
        // A repaired document tells of more blobs; they nest only so deep.
        for _ in 0..self.layout.limits().index_depth + 2 {
            if !self.repair || !self.repair_blobs(&mut look)? {
                break;
            }
            look = self.look()?;
        }
        self.loose(&mut look.findings)?;
        let mut findings = std::mem::take(&mut self.done);
        findings.extend(look.findings);
        let sound = !findings.iter().any(|finding| {
            finding.level == crate::validate::Level::Error && finding.repaired.is_none()
        });
        Ok(Report {
            place: String::new(),
            sound,
            entries: look.entries,
            blobs: look.blobs,
            bytes: look.bytes,
            findings,
        })
    }

    /// Repairs the two files at the top.
    fn repair_frame(&mut self) -> Result<()> {
        if let Err(error) = self.layout.header() {
            let mut finding = finding(Damage::Header, &fatal(error)?);
            self.layout.rebuild_header()?;
            finding.path = Some("oci-layout".into());
            finding.repaired = Some("written anew".to_owned());
            self.done.push(finding);
        }
        let Err(error) = self.layout.index() else { return Ok(()) };
        let mut finding = finding(Damage::Index, &fatal(error)?);
        let named = self.named()?;
        let mut roots = self.roots()?;
        roots.retain(|root| !named.iter().any(|other| other.digest == root.digest));
        let (names, loose) = (named.len(), roots.len());
        let kept = self.layout.rebuild_index(named.into_iter().chain(roots).collect())?;
        finding.path = Some("index.json".into());
        let old = kept.map(|kept| format!("; the old file is {}", kept.display()));
        finding.repaired = Some(format!(
            "written anew with {names} names of the places given with --from, and {loose} \
             documents that nothing leads to, without names{}",
            old.unwrap_or_default()
        ));
        self.done.push(finding);
        Ok(())
    }

    /// What the layout holds of that which other places have a name for.
    fn named(&self) -> Result<Vec<Descriptor>> {
        let mut named: Vec<Descriptor> = Vec::new();
        let mut names = BTreeSet::new();
        for opened in self.from {
            for entry in opened.held().catalog()?.into_entries() {
                let Some(name) = entry.name() else { continue };
                if self.layout.has(&entry.descriptor)? && names.insert(name.to_owned()) {
                    named.push(entry.descriptor);
                }
            }
        }
        Ok(named)
    }

    /// The documents among the blobs that no other one leads to.
    fn roots(&self) -> Result<Vec<Descriptor>> {
        let mut documents = BTreeMap::new();
        let mut below = BTreeSet::new();
        for digest in self.layout.inventory()?.blobs {
            let Ok(Some(size)) = self.layout.blob_size(&digest) else { continue };
            let limits = self.layout.limits();
            if size > limits.index.max(limits.document) {
                continue;
            }
            let unknown = Descriptor::new(MediaType::from("application/json"), digest, size);
            let source: &dyn Source = self.layout;
            let Ok(bytes) = source.read(&unknown, "blob", limits.index) else { continue };
            let Some(kind) = document_type(&bytes) else { continue };
            let descriptor = Descriptor { media_type: kind, ..unknown };
            let Ok(node) = Node::parse(&descriptor, bytes) else { continue };
            for (_, successor) in node.successors() {
                below.insert(successor.digest.clone());
            }
            documents.insert(descriptor.digest.clone(), descriptor);
        }
        documents.retain(|digest, _| !below.contains(digest));
        Ok(documents.into_values().collect())
    }

    /// Hashes what was not hashed yet, and follows all entries.
    fn look(&mut self) -> Result<Look> {
        let mut look = Look::default();
        let mut bad: HashMap<Digest, Finding> = HashMap::new();
        if let Err(error) = self.layout.header() {
            let mut finding = finding(Damage::Header, &fatal(error)?);
            finding.path = Some("oci-layout".into());
            look.findings.push(finding);
        }
        let inventory = self.layout.inventory()?;
        self.watch.begin("hashing blobs", None);
        for digest in &inventory.blobs {
            transfer::check(self.watch)?;
            if !self.proved.contains_key(digest)
                && let Some(finding) = self.hash(digest)?
            {
                bad.insert(digest.clone(), finding);
            }
        }
        look.blobs = inventory.blobs.len();
        look.bytes = inventory.blobs.iter().filter_map(|digest| self.proved.get(digest)).sum();
        self.watch.end(&format!("hashed {} blobs", look.blobs));
        for path in inventory.strangers {
            look.findings.push(Finding {
                path: Some(path),
                ..new(Damage::Foreign, "no digest for a name; it is left alone".to_owned())
            });
        }
        let entries = match self.layout.entries() {
            Ok(entries) => entries,
            Err(error) => {
                let mut finding = finding(Damage::Index, &fatal(error)?);
                finding.path = Some("index.json".into());
                look.findings.push(finding);
                Vec::new()
            }
        };
        look.entries = entries.len();
        self.follow(&entries, &mut look, &mut bad)?;
        look.findings.extend(bad.into_values());
        look.findings.sort_by(|a, b| {
            (a.level, &a.path, a.digest.as_ref()).cmp(&(b.level, &b.path, b.digest.as_ref()))
        });
        Ok(look)
    }

    /// Hashes one blob; gives what is wrong with it.
    fn hash(&mut self, digest: &Digest) -> Result<Option<Finding>> {
        let size = match self.layout.blob_size(digest) {
            Ok(Some(size)) => size,
            // Removed meanwhile; if somebody needs it, that is found below.
            Ok(None) => return Ok(None),
            Err(error) => {
                let error = fatal(error)?;
                return Ok(Some(Finding {
                    digest: Some(digest.clone()),
                    ..finding(Damage::NotAFile, &error)
                }));
            }
        };
        match self.layout.prove(digest, size) {
            Ok(()) => {
                self.watch.advance(size);
                self.proved.insert(digest.clone(), size);
                Ok(None)
            }
            Err(error) if error.code() == Code::NotFound => Ok(None),
            Err(error) => {
                let kind = match error.code() {
                    Code::Unverifiable => Damage::Unverifiable,
                    _ => Damage::Content,
                };
                let error = fatal(error)?;
                Ok(Some(Finding { digest: Some(digest.clone()), ..finding(kind, &error) }))
            }
        }
    }

    fn follow(
        &self,
        entries: &[Entry],
        look: &mut Look,
        bad: &mut HashMap<Digest, Finding>,
    ) -> Result<()> {
        let mut names: BTreeMap<&str, BTreeSet<&Digest>> = BTreeMap::new();
        // What a document leads to is read once, however many images have it.
        let mut below: HashMap<(Digest, MediaType), Vec<Descriptor>> = HashMap::new();
        let mut problems: BTreeMap<Digest, Finding> = BTreeMap::new();
        for entry in entries {
            transfer::check(self.watch)?;
            if let Some(name) = entry.name() {
                names.entry(name).or_default().insert(&entry.descriptor.digest);
            }
            let label = label(entry);
            let mut seen = BTreeSet::new();
            let mut next = vec![entry.descriptor.clone()];
            while let Some(blob) = next.pop() {
                if !seen.insert((blob.digest.clone(), blob.media_type.clone())) {
                    continue;
                }
                if seen.len() > self.layout.limits().index_visits {
                    let message = "more nested or listed documents than are ever sensible";
                    let problem = problems.entry(entry.descriptor.digest.clone());
                    note(problem.or_insert_with(|| new(Damage::Document, message.into())), &label);
                    break;
                }
                if let Some(finding) = bad.get_mut(&blob.digest) {
                    note(finding, &label);
                    if finding.level == crate::validate::Level::Error {
                        look.wanted.insert(blob.digest.clone(), blob);
                        continue;
                    }
                }
                if let Some(problem) = self.problem(&blob, bad) {
                    let kind = problem.kind;
                    note(problems.entry(blob.digest.clone()).or_insert(problem), &label);
                    if kind == Damage::Missing {
                        look.wanted.insert(blob.digest.clone(), blob);
                    }
                    continue;
                }
                let key = (blob.digest.clone(), blob.media_type.clone());
                if !below.contains_key(&key) {
                    let successors = match image::node(self.layout, &blob) {
                        Ok(node) => {
                            node.successors().into_iter().map(|(_, to)| to.clone()).collect()
                        }
                        // What is elsewhere by right has nothing to follow here.
                        Err(error) if error.kind() == Kind::NotFound => Vec::new(),
                        Err(error) => {
                            let error = fatal(error)?;
                            let finding = Finding {
                                digest: Some(blob.digest.clone()),
                                ..finding(Damage::Document, &error)
                            };
                            problems.entry(blob.digest.clone()).or_insert(finding);
                            Vec::new()
                        }
                    };
                    below.insert(key.clone(), successors);
                }
                if let Some(problem) = problems.get_mut(&blob.digest) {
                    note(problem, &label);
                }
                next.extend(below.get(&key).into_iter().flatten().cloned());
            }
        }
        for (name, digests) in names.into_iter().filter(|(_, digests)| digests.len() > 1) {
            let digests: Vec<_> = digests.iter().map(ToString::to_string).collect();
            look.findings.push(Finding {
                images: vec![name.to_owned()],
                ..new(Damage::Name, format!("one name for {}", digests.join(", ")))
            });
        }
        look.findings.extend(problems.into_values());
        Ok(())
    }

    /// What is wrong with a blob that is not known to be bad.
    fn problem(&self, blob: &Descriptor, bad: &HashMap<Digest, Finding>) -> Option<Finding> {
        let there = self.proved.get(&blob.digest).copied();
        let (kind, message) = match there {
            Some(size) if size == blob.size => return None,
            Some(size) => (
                Damage::Size,
                format!("found {size} bytes, expected {}, as the document says", blob.size),
            ),
            None if bad.contains_key(&blob.digest) || blob.data.is_some() => return None,
            // It may lie elsewhere.
            None if blob.urls.iter().any(|url| !url.is_empty()) => return None,
            // Written since the blobs were listed.
            None if self.layout.has(blob).unwrap_or(false) => return None,
            None => {
                (Damage::Missing, format!("no blob of {} bytes of {}", blob.size, blob.media_type))
            }
        };
        Some(Finding { digest: Some(blob.digest.clone()), ..new(kind, message) })
    }

    /// Puts damaged blobs away and brings new ones. Gives whether anything
    /// was brought.
    fn repair_blobs(&mut self, look: &mut Look) -> Result<bool> {
        let mut brought = false;
        for mut finding in std::mem::take(&mut look.findings) {
            let Some(digest) = finding.digest.clone() else {
                look.findings.push(finding);
                continue;
            };
            let mut done = Vec::new();
            if matches!(finding.kind, Damage::Content | Damage::NotAFile) {
                match self.layout.quarantine(&digest)? {
                    Some(kept) => done.push(format!("put away as {}", kept.display())),
                    None => done.push("healed by another process meanwhile".to_owned()),
                }
            }
            let wanted = look.wanted.get(&digest);
            if let Some(blob) = wanted
                && matches!(finding.kind, Damage::Content | Damage::NotAFile | Damage::Missing)
            {
                match self.bring(blob)? {
                    Ok(place) => {
                        brought = true;
                        done.push(format!("taken anew from {place}"));
                        finding.repaired = Some(done.join("; "));
                    }
                    Err(why) => {
                        done.push(why);
                        finding.message.push_str(&format!("; {}", done.join("; ")));
                    }
                }
            } else if !done.is_empty() {
                // No image needs it.
                finding.repaired = Some(done.join("; "));
            }
            match finding.repaired {
                Some(_) => self.done.push(finding),
                None => look.findings.push(finding),
            }
        }
        Ok(brought)
    }

    /// Brings a blob from the first place that has it.
    fn bring(&self, blob: &Descriptor) -> Result<Result<String, String>> {
        let mut why = "no place to take it from was given (--from REF)".to_owned();
        for opened in self.from {
            match transfer::blob(opened.source(), self.layout, blob, self.watch) {
                Ok(_) => return Ok(Ok(opened.place().to_owned())),
                Err(error) if matches!(error.kind(), Kind::NotFound | Kind::Integrity) => {
                    why = format!("not to be had from {}: {error}", opened.place());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Err(why))
    }

    /// What lies about: of killed processes, and of other tools.
    fn loose(&self, findings: &mut Vec<Finding>) -> Result<()> {
        for path in self.layout.leftovers(self.repair)? {
            findings.push(Finding {
                path: Some(path),
                repaired: self.repair.then(|| "removed".to_owned()),
                ..new(Damage::Leftover, "what a killed process left".to_owned())
            });
        }
        for path in self.layout.foreign_leftovers()? {
            findings.push(Finding {
                path: Some(path),
                ..new(
                    Damage::Foreign,
                    "what another tool left when it was killed, or works on; it is left alone"
                        .to_owned(),
                )
            });
        }
        Ok(())
    }
}

/// Errors that stop the check rather than being its result.
fn fatal(error: Error) -> Result<Error> {
    match error.kind() {
        Kind::Integrity | Kind::NotFound => Ok(error),
        // A bad sector.
        Kind::Unavailable if error.code() == Code::Device => Ok(error),
        Kind::Failed if error.code() == Code::Io => Ok(error),
        _ => Err(error),
    }
}

fn finding(kind: Damage, error: &Error) -> Finding {
    new(kind, error.to_string())
}

fn new(kind: Damage, message: String) -> Finding {
    Finding {
        kind,
        level: kind.level(),
        digest: None,
        path: None,
        images: Vec::new(),
        message,
        repaired: None,
    }
}

fn note(finding: &mut Finding, image: &str) {
    if finding.images.last().is_none_or(|last| last != image) {
        finding.images.push(image.to_owned());
    }
}

fn label(entry: &Entry) -> String {
    entry.name().map_or_else(|| format!("@{}", entry.descriptor.digest), str::to_owned)
}

/// What kind of document the bytes are, by what they say of themselves.
fn document_type(bytes: &[u8]) -> Option<MediaType> {
    let value: Value = serde_json::from_slice(bytes).ok()?;
    let said = value.get("mediaType").and_then(Value::as_str).map(MediaType::from);
    if let Some(said) = said.filter(Node::is_document) {
        return Some(said);
    }
    if let Some(old) = schema1::media_type_of(&value) {
        return Some(old);
    }
    if value.get("manifests").is_some_and(Value::is_array) {
        return Some(media_type::INDEX);
    }
    let config = value.get("config").and_then(|config| config.get("digest"));
    (config.is_some() && value.get("layers").is_some()).then_some(media_type::MANIFEST)
}
