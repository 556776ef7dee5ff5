//! The traits that every kind of place implements: layouts, archives,
//! stores, registries. Each is small and object-safe; further powers are
//! further traits, never found by casting.

use std::io::{Read, Write};

use crate::limits::Limits;
use crate::{
    Code, Descriptor, Digest, Document, Error, Result, Unverified, Verified, Verifying, View,
};

/// A place that content can be read from.
pub trait Source: Send + Sync {
    /// The content of `blob` from byte `from` on, as it lies there: proved
    /// by nobody. A place that does not have it answers
    /// [`Code::NotFound`](crate::Code::NotFound).
    ///
    /// `from` is for resuming and lazy reading; a part of a blob has no
    /// proof, so only content from 0 on can be verified.
    fn fetch(&self, blob: &Descriptor, from: u64) -> Result<Unverified<'_>>;

    /// The budgets for documents that are read from here.
    fn limits(&self) -> Limits {
        Limits::default()
    }

    /// Whether the place has that content, with that size. It says nothing
    /// about whether the bytes there are still good.
    fn holds(&self, blob: &Descriptor) -> Result<bool> {
        match self.fetch(blob, 0) {
            Ok(_) => Ok(true),
            Err(error) if matches!(error.code(), Code::NotFound | Code::Size) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// How long the content of that digest is here, for the one old kind of
    /// document that does not say; `None` if it is not here, or if the place
    /// does not know before it reads. Nobody has proved it.
    fn length(&self, _digest: &Digest) -> Result<Option<u64>> {
        Ok(None)
    }

    /// How the place is called by others in the same system, which can take
    /// content over from it without moving a byte ([`Sink::mount`]).
    fn address(&self) -> Option<String> {
        None
    }

    /// The content of `blob`, checked against size and digest while it is
    /// read. Nothing may be done with it that outlives a failing
    /// [`Verifying::finish`].
    fn open(&self, blob: &Descriptor) -> Result<Verifying<Box<dyn Read + Send + '_>>> {
        self.fetch(blob, 0)?.verify(blob)
    }
}

impl dyn Source + '_ {
    /// The whole of a small blob, proved, if it is at most `limit` bytes long.
    pub fn read(&self, blob: &Descriptor, what: &str, limit: u64) -> Result<Vec<u8>> {
        blob.within(what, limit)?;
        if let Some(bytes) = blob.embedded()? {
            return Ok(bytes);
        }
        self.open(blob)?.read_all()
    }

    /// A document, proved and parsed.
    pub fn document<T: View>(&self, blob: &Descriptor) -> Result<Document<T>> {
        let limits = self.limits();
        let bytes = self.read(blob, T::NAME, T::limit(&limits))?;
        Document::parse_within(bytes, &limits)
            .map_err(|error| error.context(format!("reading {} {}", T::NAME, blob.digest)))
    }
}

/// A place that content can be written to.
pub trait Sink: Send + Sync {
    /// Whether the place holds that content, with that size. It says nothing
    /// about whether the bytes there are still good.
    fn has(&self, blob: &Descriptor) -> Result<bool>;

    /// Begins to write content. Nothing is visible before
    /// [`Ingest::commit`]; dropping the ingest leaves nothing behind.
    fn begin(&self) -> Result<Box<dyn Ingest + '_>>;

    /// The same for content whose descriptor is known: some places must say
    /// what follows before it does. No other content may be written.
    fn receive(&self, _blob: &Descriptor) -> Result<Box<dyn Ingest + '_>> {
        self.begin()
    }

    /// The same where a part of the content may be here already, from a time
    /// when it came to an end too early ([`Ingest::suspend`]). A place that
    /// keeps no parts begins at the beginning.
    fn resume(&self, blob: &Descriptor) -> Result<Resumed<'_>> {
        Ok(Resumed { ingest: self.receive(blob)?, kept: None })
    }

    /// Takes content over from another place of the same system
    /// ([`Source::address`]). `false` where that can not be done, so that the
    /// bytes have to come.
    fn mount(&self, _blob: &Descriptor, _from: &str) -> Result<bool> {
        Ok(false)
    }

    /// Whether content that could not be written for that reason should be
    /// written once more, from its beginning.
    fn again(&self, _error: &Error) -> bool {
        false
    }
}

impl dyn Sink + '_ {
    /// Writes a document. It is idempotent.
    pub fn write(&self, descriptor: &Descriptor, bytes: &[u8]) -> Result<Descriptor> {
        let mut ingest = self.receive(descriptor)?;
        let mut reader = Unverified::new(bytes).tee(&mut *ingest).verify(descriptor)?;
        std::io::copy(&mut reader, &mut std::io::sink())
            .map_err(|cause| Error::io("writing blob", &descriptor.digest, cause))?;
        let (proof, reader) = reader.finish()?;
        drop(reader);
        ingest.commit(proof)
    }
}

/// Content on its way into a [`Sink`].
pub trait Ingest: Write + Send {
    /// Publishes what was written under its digest, durably. It is
    /// idempotent: `Ok` means that the content is stored, not that this call
    /// stored it.
    ///
    /// The proof must be about the bytes that were written here; the way to
    /// have that is to put the tee below the verifier ([`Unverified::tee`])
    /// or to write through a [`Sealing`](crate::Sealing).
    fn commit(self: Box<Self>, proof: Verified) -> Result<Descriptor>;

    /// Keeps what was written for a later [`Sink::resume`], in places that can;
    /// elsewhere it is dropped. It is for content that broke off, never for
    /// content that was false.
    fn suspend(self: Box<Self>) {}
}

/// Content on its way into a [`Sink`], of which a part may be there.
pub struct Resumed<'a> {
    /// Takes what follows that part.
    pub ingest: Box<dyn Ingest + 'a>,
    /// The part: nobody has proved it. What is proved is this and what follows
    /// it ([`Unverified::then`]).
    pub kept: Option<Kept<'a>>,
}

/// The beginning of content that came before.
pub struct Kept<'a> {
    /// How many bytes it is.
    pub length: u64,
    /// The bytes.
    pub bytes: Unverified<'a>,
}

/// A place that knows content by name.
pub trait Resolve: Send + Sync {
    /// What the name stands for now.
    fn resolve(&self, name: &str) -> Result<Descriptor>;
}

/// A place in which names can be given.
pub trait Tag: Send + Sync {
    /// Lets `name` stand for `target`, whatever it stood for before.
    fn tag(&self, name: &str, target: &Descriptor) -> Result<()>;

    /// Takes the name away; the content stays. `false` if there was none.
    fn untag(&self, name: &str) -> Result<bool>;
}

/// A place from which content can be removed.
pub trait Delete: Send + Sync {
    /// Removes the content. `false` if there was none.
    fn delete(&self, digest: &Digest) -> Result<bool>;
}
