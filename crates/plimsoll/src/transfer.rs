//! Content on its way from one place to another.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use plimsoll_content::{
    Code, Descriptor, Error, Part, Result, Resumed, Sink, Source, Stage, Watch,
};
use plimsoll_spec::Node;
use plimsoll_store::{Reachable, reachable};

use crate::image;

/// How many blobs travel over the network at once.
pub(crate) const AT_ONCE: usize = 4;

/// How often content is written before it is given up.
const ATTEMPTS: usize = 3;

/// How content came to be where it is now. The list is complete.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Brought {
    /// It was brought, and proved on the way.
    Copied,
    /// The place took it over from another one of the same system.
    Mounted,
    /// It was there.
    Present,
}

impl Brought {
    /// The same for whoever watches.
    fn stage(self) -> Stage {
        match self {
            Self::Copied => Stage::Done,
            Self::Mounted => Stage::Mounted,
            Self::Present => Stage::Exists,
        }
    }
}

/// Brings a blob from `source` to `sink`, proved on the way, unless it is
/// there already or can be taken over; says how it came there. This is a step
/// of its own.
pub fn blob(
    source: &dyn Source,
    sink: &dyn Sink,
    blob: &Descriptor,
    watch: &dyn Watch,
) -> Result<Brought> {
    if sink.has(blob)? {
        return Ok(Brought::Present);
    }
    watch.begin(&format!("copying {}", blob.digest.short()), Some(blob.size));
    let brought = absent(source, sink, blob, watch);
    watch.end("");
    brought
}

/// The same as a part of the current step.
fn one(
    source: &dyn Source,
    sink: &dyn Sink,
    blob: &Descriptor,
    watch: &dyn Watch,
) -> Result<Brought> {
    if !sink.has(blob)? {
        return absent(source, sink, blob, watch);
    }
    let part = Part::new(&blob.digest, blob.size);
    part.settle(Stage::Exists);
    watch.enter(&part);
    watch.leave(&part, "");
    Ok(Brought::Present)
}

/// Brings a blob that is not there, as a part of the current step.
fn absent(
    source: &dyn Source,
    sink: &dyn Sink,
    blob: &Descriptor,
    watch: &dyn Watch,
) -> Result<Brought> {
    let part = Part::new(&blob.digest, blob.size);
    watch.enter(&part);
    let brought = carry(source, sink, blob, &part, watch);
    part.settle(brought.as_ref().map_or(Stage::Failed, |brought| brought.stage()));
    match brought {
        Ok(Brought::Copied) => watch.leave(&part, &format!("copied {}", blob.digest)),
        _ => watch.leave(&part, ""),
    }
    brought
}

fn carry(
    source: &dyn Source,
    sink: &dyn Sink,
    blob: &Descriptor,
    part: &Arc<Part>,
    watch: &dyn Watch,
) -> Result<Brought> {
    check(watch)?;
    if let Some(from) = source.address()
        && sink.mount(blob, &from)?
    {
        return Ok(Brought::Mounted);
    }
    let mut tried = 1;
    let mut kept = true;
    while let Err((had, error)) = bring(source, sink, blob, kept, part, watch) {
        // What was kept may be what is false; it is gone now.
        let anew = had && matches!(error.code(), Code::Digest | Code::Size);
        if tried == ATTEMPTS || !anew && !sink.again(&error) {
            return Err(error);
        }
        kept = !anew;
        tried += 1;
    }
    Ok(Brought::Copied)
}

/// Brings a blob; with `again`, behind what was kept of it from a time before.
/// An error comes with whether there was something.
fn bring(
    source: &dyn Source,
    sink: &dyn Sink,
    blob: &Descriptor,
    again: bool,
    part: &Arc<Part>,
    watch: &dyn Watch,
) -> Result<(), (bool, Error)> {
    // On this machine, nothing is nearer than the source itself.
    let resumed = if again && source.address().is_some() {
        sink.resume(blob)
    } else {
        sink.receive(blob).map(|ingest| Resumed { ingest, kept: None })
    };
    let Resumed { mut ingest, kept } = resumed.map_err(|error| (false, error))?;
    let had = kept.is_some();
    let read = || {
        let from = kept.as_ref().map_or(0, |kept| kept.length);
        part.start(from);
        let keep = Counted::new(&mut ingest, watch).part(part);
        let content = match kept {
            // A server has no byte behind the last one.
            Some(kept) if from == blob.size => kept.bytes,
            Some(kept) => kept.bytes.then(source.fetch(blob, from)?.tee(keep)),
            None => source.fetch(blob, 0)?.tee(keep),
        };
        content.verify(blob)?.finish().map(|(proof, _)| proof)
    };
    match read() {
        Ok(proof) => ingest.commit(proof).map(|_| ()).map_err(|error| (had, error)),
        Err(error) => {
            if breaks_off(&error) {
                ingest.suspend();
            }
            Err((had, error))
        }
    }
}

/// Whether an error says nothing against the bytes that have come before it.
fn breaks_off(error: &Error) -> bool {
    matches!(
        error.code(),
        Code::Network
            | Code::Interrupted
            | Code::NotFound
            | Code::Auth
            | Code::NotARegistry
            | Code::Registry
            | Code::Offline
    )
}

/// What is brought, in the order in which registries want it: content, and
/// then documents, each after those that it points at.
pub(crate) fn order(
    source: &dyn Source,
    blobs: &[Descriptor],
) -> Result<(Vec<Descriptor>, Vec<Descriptor>)> {
    let is_document = |blob: &&Descriptor| Node::is_document(&blob.media_type);
    let (documents, contents): (Vec<_>, Vec<_>) = blobs.iter().partition(is_document);
    let mut ordered = Vec::new();
    let mut done = BTreeSet::new();
    // Each document twice: before and after those below it.
    let mut next: Vec<_> = documents.iter().rev().map(|blob| (false, (*blob).clone())).collect();
    let there: BTreeSet<_> = documents.iter().map(|blob| &blob.digest).collect();
    while let Some((below, blob)) = next.pop() {
        if done.contains(&blob.digest) {
            continue;
        }
        if below {
            done.insert(blob.digest.clone());
            ordered.push(blob);
            continue;
        }
        let node = image::node(source, &blob)?;
        let successors = node.successors();
        next.push((true, blob));
        let documents = successors.into_iter().map(|(_, blob)| blob).filter(|blob| {
            there.contains(&blob.digest) && !done.contains(&blob.digest) && is_document(blob)
        });
        next.extend(documents.rev().map(|blob| (false, blob.clone())));
    }
    Ok((contents.into_iter().cloned().collect(), ordered))
}

/// Brings blobs, that many at once. The first error ends it.
pub(crate) fn several(
    source: &dyn Source,
    sink: &dyn Sink,
    blobs: &[Descriptor],
    at_once: usize,
    watch: &dyn Watch,
) -> Result<Vec<Brought>> {
    let total = blobs.iter().fold(0u64, |sum, blob| sum.saturating_add(blob.size));
    if blobs.is_empty() {
        return Ok(Vec::new());
    }
    watch.begin("copying blobs", Some(total));
    let next = AtomicUsize::new(0);
    let failed = AtomicBool::new(false);
    // What goes wrong after it may be its consequence.
    let first: Mutex<Option<Error>> = Mutex::default();
    let within = Within { watch, failed: &failed };
    let results: Vec<OnceLock<Brought>> = blobs.iter().map(|_| OnceLock::new()).collect();
    let work = || {
        while let Some(at) = Some(next.fetch_add(1, Ordering::Relaxed))
            && let Some(blob) = blobs.get(at)
            && !failed.load(Ordering::Relaxed)
        {
            match one(source, sink, blob, &within) {
                Ok(brought) => drop(results[at].set(brought)),
                Err(error) => {
                    let mut first = first.lock().unwrap_or_else(PoisonError::into_inner);
                    failed.store(true, Ordering::Relaxed);
                    first.get_or_insert(error.context(format!("copying {}", blob.digest)));
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..at_once.min(blobs.len()) {
            scope.spawn(work);
        }
        work();
    });
    if let Some(error) = first.into_inner().unwrap_or_else(PoisonError::into_inner) {
        watch.end("");
        return Err(error);
    }
    let brought: Vec<_> = results.into_iter().filter_map(OnceLock::into_inner).collect();
    let copied = brought.iter().filter(|how| **how == Brought::Copied).count();
    watch.end(&format!("{copied} of {} blobs copied", blobs.len()));
    Ok(brought)
}

/// Work within a step that somebody else has begun, and ends.
pub(crate) struct Within<'a> {
    pub(crate) watch: &'a dyn Watch,
    /// Whether it is over because other work within it failed.
    pub(crate) failed: &'a AtomicBool,
}

impl Watch for Within<'_> {
    fn begin(&self, _: &str, _: Option<u64>) {}

    fn advance(&self, bytes: u64) {
        self.watch.advance(bytes);
    }

    fn end(&self, _: &str) {}

    fn enter(&self, part: &Arc<Part>) {
        self.watch.enter(part);
    }

    fn leave(&self, part: &Part, what: &str) {
        self.watch.leave(part, what);
    }

    fn warn(&self, message: &str) {
        self.watch.warn(message);
    }

    fn interrupted(&self) -> bool {
        self.failed.load(Ordering::Relaxed) || self.watch.interrupted()
    }
}

/// Brings layers. Those that lie elsewhere by right (`urls`) may be missing.
pub(crate) fn layers(
    source: &dyn Source,
    sink: &dyn Sink,
    layers: &[Descriptor],
    watch: &dyn Watch,
) -> Result<()> {
    for (position, layer) in layers.iter().enumerate() {
        match blob(source, sink, layer, watch) {
            Err(error)
                if error.code() == Code::NotFound
                    && layer.urls.iter().any(|url| !url.is_empty()) => {}
            other => {
                other.map_err(|error| error.context(format!("copying layer {}", position + 1)))?;
            }
        }
    }
    Ok(())
}

/// Brings everything that `root` leads to. What is absent by right, or lies
/// below something absent, stays so.
pub(crate) fn all(
    source: &dyn Source,
    sink: &dyn Sink,
    root: &Descriptor,
    watch: &dyn Watch,
) -> Result<()> {
    let Reachable { present, missing } = reachable(source, root)?;
    for blob in &missing {
        if blob.digest == root.digest {
            // The error says what is there instead.
            source.fetch(blob, 0)?;
        }
        watch.warn(&format!("{} is not there, and was not copied", blob.digest));
    }
    let (contents, documents) = order(source, &present)?;
    for found in contents.iter().chain(&documents) {
        blob(source, sink, found, watch)?;
    }
    Ok(())
}

/// A writer that tells a [`Watch`] how much went by, and stops when told to.
pub struct Counted<'a, W> {
    writer: W,
    part: Option<Arc<Part>>,
    watch: &'a dyn Watch,
}

impl<'a, W> Counted<'a, W> {
    /// Passes everything on to `writer`.
    pub fn new(writer: W, watch: &'a dyn Watch) -> Self {
        Self { writer, part: None, watch }
    }

    /// Counts for that part of the step, too.
    #[must_use]
    pub fn part(self, part: &Arc<Part>) -> Self {
        Self { part: Some(Arc::clone(part)), ..self }
    }

    /// The writer.
    pub fn into_inner(self) -> W {
        self.writer
    }
}

impl<W: Write> Write for Counted<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        check(self.watch)?;
        let length = self.writer.write(bytes)?;
        count(self.part.as_deref(), length, self.watch);
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// A reader that tells a [`Watch`] how much went by, and stops when told to.
pub struct Watched<'a, R> {
    reader: R,
    part: Option<Arc<Part>>,
    watch: &'a dyn Watch,
}

impl<'a, R> Watched<'a, R> {
    /// Reads from `reader`.
    pub fn new(reader: R, watch: &'a dyn Watch) -> Self {
        Self { reader, part: None, watch }
    }

    /// Counts for that part of the step, too.
    #[must_use]
    pub fn part(self, part: Option<&Arc<Part>>) -> Self {
        Self { part: part.map(Arc::clone), ..self }
    }

    /// The reader.
    pub fn into_inner(self) -> R {
        self.reader
    }
}

impl<R: io::Read> io::Read for Watched<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        check(self.watch)?;
        let length = self.reader.read(buffer)?;
        count(self.part.as_deref(), length, self.watch);
        Ok(length)
    }
}

fn count(part: Option<&Part>, length: usize, watch: &dyn Watch) {
    if let Some(part) = part {
        part.add(length as u64);
    }
    watch.advance(length as u64);
}

/// The error that ends an operation which was told to stop.
pub fn check(watch: &dyn Watch) -> Result<()> {
    if watch.interrupted() {
        return Err(Error::new(Code::Interrupted, "stopping").found("a signal"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Cursor;

    use plimsoll_content::{Algorithm, Digest, MediaType, Unverified};
    use plimsoll_spec::media_type;

    use super::*;

    struct Memory(BTreeMap<Digest, Vec<u8>>);

    impl Source for Memory {
        fn fetch(&self, blob: &Descriptor, _: u64) -> Result<Unverified<'_>> {
            Ok(Unverified::new(Cursor::new(self.0[&blob.digest].clone())))
        }
    }

    impl Memory {
        fn add(&mut self, kind: MediaType, text: &str) -> Descriptor {
            let blob = Descriptor::of(kind, Algorithm::Sha256, text.as_bytes());
            self.0.insert(blob.digest.clone(), text.into());
            blob
        }

        fn index(&mut self, entries: &[&Descriptor]) -> Descriptor {
            let entries = serde_json::to_string(entries).expect("JSON");
            let text = format!("{{\"schemaVersion\":2,\"manifests\":{entries}}}");
            self.add(media_type::INDEX, &text)
        }
    }

    #[test]
    fn every_document_comes_after_what_it_points_at() {
        let mut memory = Memory(BTreeMap::new());
        let leaf = memory.index(&[]);
        let shared = memory.index(&[&leaf]);
        // The shared one stands before an index that leads to it again.
        let inner = memory.index(&[&shared, &leaf]);
        let root = memory.index(&[&shared, &inner]);
        let layer = memory.add(MediaType::from("a/b"), "layer");
        let all = [root.clone(), shared.clone(), leaf.clone(), inner.clone(), layer.clone()];
        let (contents, documents) = order(&memory, &all).expect("ordered");
        assert_eq!(contents, [layer]);
        assert_eq!(documents, [leaf, shared, inner, root]);
    }
}
