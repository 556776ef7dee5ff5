//! Content on its way from one place to another.

use std::io::{self, Write};

use plimsoll_content::{Code, Descriptor, Error, Result, Sink, Source, Watch};
use plimsoll_store::{Reachable, reachable};

/// Brings a blob from `source` to `sink`, proved on the way, unless it is
/// there already; says whether it was brought.
pub fn blob(
    source: &dyn Source,
    sink: &dyn Sink,
    blob: &Descriptor,
    watch: &dyn Watch,
) -> Result<bool> {
    if sink.has(blob)? {
        return Ok(false);
    }
    check(watch)?;
    watch.begin(&format!("copying {}", blob.digest.short()), Some(blob.size));
    let unproved = source.fetch(blob, 0)?;
    let mut ingest = sink.receive(blob)?;
    let proof = {
        let keep = Counted::new(&mut ingest, watch);
        let reader = unproved.tee(keep).verify(blob)?;
        reader.finish()?.0
    };
    ingest.commit(proof)?;
    watch.end(&format!("copied {}", blob.digest));
    Ok(true)
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
    for found in present.iter().rev() {
        blob(source, sink, found, watch)?;
    }
    Ok(())
}

/// A writer that tells a [`Watch`] how much went by, and stops when told to.
pub struct Counted<'a, W> {
    writer: W,
    watch: &'a dyn Watch,
}

impl<'a, W> Counted<'a, W> {
    /// Passes everything on to `writer`.
    pub fn new(writer: W, watch: &'a dyn Watch) -> Self {
        Self { writer, watch }
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
        self.watch.advance(length as u64);
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// A reader that tells a [`Watch`] how much went by, and stops when told to.
pub struct Watched<'a, R> {
    reader: R,
    watch: &'a dyn Watch,
}

impl<'a, R> Watched<'a, R> {
    /// Reads from `reader`.
    pub fn new(reader: R, watch: &'a dyn Watch) -> Self {
        Self { reader, watch }
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
        self.watch.advance(length as u64);
        Ok(length)
    }
}

/// The error that ends an operation which was told to stop.
pub fn check(watch: &dyn Watch) -> Result<()> {
    if watch.interrupted() {
        return Err(Error::new(Code::Interrupted, "stopping").found("a signal"));
    }
    Ok(())
}
