//! The states of content between a place that nobody trusts and a place
//! where it is kept: [`Unverified`] → [`Verifying`] → [`Verified`]; and
//! [`Sealing`] for content that is being made.
//!
//! Where bytes are also to be kept, the tee belongs *below* the verifier
//! ([`Unverified::tee`]). The other way round, bytes that a decompressor never
//! asks for (padding behind the end of a gzip member) would be hashed by
//! [`Verifying::finish`] and not kept, and a store would hold a blob that is
//! not its digest.

use std::fmt;
use std::io::{self, Read, Write};

use crate::{Algorithm, Code, Descriptor, Digest, Error, Hasher, MediaType, Result};

/// Bytes that nobody has checked. There is no way to read them but through
/// [`Unverified::verify`].
pub struct Unverified<'a> {
    reader: Box<dyn Read + Send + 'a>,
}

impl<'a> Unverified<'a> {
    /// Marks what `reader` gives as unchecked.
    pub fn new(reader: impl Read + Send + 'a) -> Self {
        Self { reader: Box::new(reader) }
    }

    /// Also writes every byte that is read to `keep`, below any verifier.
    pub fn tee(self, keep: impl Write + Send + 'a) -> Self {
        Self::new(Tee { reader: self.reader, keep })
    }

    /// This and then `rest`, as one content.
    pub fn then(self, rest: Self) -> Self {
        Self::new(self.reader.chain(rest.reader))
    }

    /// Gives a reader that checks size and digest on the way.
    ///
    /// Errors with [`Code::Unverifiable`] if the algorithm is unknown here.
    pub fn verify(self, blob: &Descriptor) -> Result<Verifying<Box<dyn Read + Send + 'a>>> {
        Verifying::new(self.reader, blob)
    }

    /// The bare reader, for the few who carry content that can not be proved
    /// here and say so.
    pub fn without_proof(self) -> Box<dyn Read + Send + 'a> {
        self.reader
    }
}

impl fmt::Debug for Unverified<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Unverified")
    }
}

struct Tee<R, W> {
    reader: R,
    keep: W,
}

impl<R: Read, W: Write> Read for Tee<R, W> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.reader.read(buffer)?;
        self.keep.write_all(&buffer[..length])?;
        Ok(length)
    }
}

/// A reader that counts and hashes what goes by.
///
/// What was read is proved only when [`Verifying::finish`] has said so:
/// effects must be staged until then. Content that is longer than announced
/// is refused as soon as the first byte too many is seen, and is never read
/// further.
pub struct Verifying<R> {
    reader: R,
    blob: Descriptor,
    hasher: Hasher,
    seen: u64,
}

impl<R: Read> Verifying<R> {
    fn new(reader: R, blob: &Descriptor) -> Result<Self> {
        let algorithm = blob.digest.computable("content")?;
        Ok(Self { reader, blob: blob.clone(), hasher: Hasher::new(algorithm), seen: 0 })
    }

    /// Reads the rest, and proves that all of it is what the descriptor says.
    pub fn finish(mut self) -> Result<(Verified, R)> {
        let doing = "reading content";
        let mut buffer = vec![0; 64 << 10];
        loop {
            match self.read(&mut buffer) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::io(doing, &self.blob.digest, error)),
            }
        }
        if self.seen != self.blob.size {
            return Err(self.wrong_size(format!("{} bytes", self.seen)));
        }
        let found = self.hasher.finish();
        if found != self.blob.digest {
            return Err(Error::new(Code::Digest, format!("verifying {}", self.blob.digest))
                .found(format!("{found} ({} bytes, as announced)", self.seen))
                .expected(&self.blob.digest));
        }
        Ok((Verified { descriptor: self.blob }, self.reader))
    }

    /// All of it, proved. For small content: the caller has checked the
    /// announced size.
    pub fn read_all(mut self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let digest = self.blob.digest.clone();
        self.read_to_end(&mut bytes)
            .map_err(|cause| Error::io("reading content", digest, cause))?;
        let (_proof, _) = self.finish()?;
        Ok(bytes)
    }

    fn wrong_size(&self, found: String) -> Error {
        Error::new(Code::Size, format!("verifying {}", self.blob.digest))
            .found(found)
            .expected(format!("{} bytes", self.blob.size))
    }
}

impl<R: Read> Read for Verifying<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        // One byte more than announced is enough to know.
        let left = self.blob.size - self.seen;
        let most = usize::try_from(left.saturating_add(1)).unwrap_or(usize::MAX).min(buffer.len());
        let length = self.reader.read(&mut buffer[..most])?;
        if length as u64 > left {
            return Err(self.wrong_size(format!("more than {} bytes", self.blob.size)).into());
        }
        self.hasher.update(&buffer[..length]);
        self.seen += length as u64;
        Ok(length)
    }
}

impl<R> fmt::Debug for Verifying<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Verifying({}, {} of {})", self.blob.digest, self.seen, self.blob.size)
    }
}

/// The proof that bytes went by which are what a descriptor says.
///
/// Only [`Verifying::finish`] and [`Sealing::finish`] make it.
#[derive(Clone, Debug)]
#[must_use]
pub struct Verified {
    descriptor: Descriptor,
}

impl Verified {
    /// What was proved.
    pub fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    /// Says whether this can be the proof of something that is `written`
    /// bytes long: an [`Ingest`](crate::Ingest) asks before it publishes.
    ///
    /// Errors with [`Code::Bug`]: whoever wrote mixed up two blobs.
    pub fn covers(&self, written: u64) -> Result<()> {
        let Descriptor { digest, size, .. } = &self.descriptor;
        if *size == written {
            return Ok(());
        }
        Err(Error::new(Code::Bug, format!("keeping blob {digest}"))
            .found(format!("{written} bytes that were written"))
            .expected(format!("the {size} bytes of the proof")))
    }
}

/// A writer that counts and hashes what goes by: content that is being made
/// gets its descriptor in the same pass.
pub struct Sealing<W> {
    writer: W,
    hasher: Hasher,
    seen: u64,
}

impl<W: Write> Sealing<W> {
    /// Passes everything on to `writer`.
    pub fn new(writer: W, algorithm: Algorithm) -> Self {
        Self { writer, hasher: Hasher::new(algorithm), seen: 0 }
    }

    /// Goes on with content of which the writer has the beginning already:
    /// that is read and hashed, not written.
    pub fn resume(writer: W, algorithm: Algorithm, already: Unverified<'_>) -> io::Result<Self> {
        let mut sealing = Self::new(writer, algorithm);
        sealing.seen = io::copy(&mut already.without_proof(), &mut sealing.hasher)?;
        Ok(sealing)
    }

    /// Where everything goes.
    pub fn writer(&self) -> &W {
        &self.writer
    }

    /// The descriptor of what was written, with its proof.
    pub fn finish(self, media_type: MediaType) -> (Verified, W) {
        let digest: Digest = self.hasher.finish();
        (Verified { descriptor: Descriptor::new(media_type, digest, self.seen) }, self.writer)
    }
}

impl<W: Write> Write for Sealing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.writer.write(bytes)?;
        self.hasher.update(&bytes[..length]);
        self.seen += length as u64;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

impl<W> fmt::Debug for Sealing<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealing({} bytes)", self.seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(bytes: &[u8]) -> Descriptor {
        Descriptor::of(MediaType::from("a/b"), Algorithm::Sha256, bytes)
    }

    fn read(bytes: &[u8], blob: &Descriptor) -> Result<Vec<u8>> {
        Unverified::new(bytes).verify(blob)?.read_all()
    }

    #[test]
    fn refuses_short_long_and_other_content() {
        let announced = blob(b"hello");
        assert_eq!(read(b"hello", &announced).expect("right"), b"hello");
        assert_eq!(read(b"hell", &announced).expect_err("short").code(), Code::Size);
        assert_eq!(read(b"hello!", &announced).expect_err("long").code(), Code::Size);
        assert_eq!(read(b"hallo", &announced).expect_err("other").code(), Code::Digest);
        assert_eq!(read(b"", &blob(b"")).expect("empty"), b"");
        assert_eq!(read(b"x", &blob(b"")).expect_err("long").code(), Code::Size);
    }

    #[test]
    fn dg10_reads_at_most_one_byte_more_than_announced() {
        let mut endless = io::repeat(7).take(1 << 40);
        let error = Unverified::new(&mut endless)
            .verify(&blob(b"hello"))
            .expect("known algorithm")
            .finish()
            .map(|_| ())
            .expect_err("long");
        assert_eq!(error.code(), Code::Size);
        assert_eq!((1 << 40) - endless.limit(), 6);
    }

    #[test]
    fn dg06_an_unknown_algorithm_can_not_be_opened() {
        let unknown = Descriptor::new(MediaType::from("a/b"), "x:y".parse().expect("grammar"), 1);
        assert_eq!(read(b"x", &unknown).expect_err("unknown").code(), Code::Unverifiable);
    }

    #[test]
    fn the_tee_below_keeps_what_nobody_asked_for() {
        let bytes = b"content and padding";
        let mut kept = Vec::new();
        let mut reader =
            Unverified::new(&bytes[..]).tee(&mut kept).verify(&blob(bytes)).expect("known");
        reader.read_exact(&mut [0; 7]).expect("first bytes");
        let (proof, reader) = reader.finish().expect("right");
        drop(reader);
        assert_eq!(proof.descriptor().size, bytes.len() as u64);
        assert_eq!(kept, bytes);
    }

    #[test]
    fn sealing_goes_on_where_another_process_stopped() {
        let already = Unverified::new(&b"hel"[..]);
        let mut sealing =
            Sealing::resume(Vec::from(*b"hel"), Algorithm::Sha256, already).expect("memory");
        sealing.write_all(b"lo").expect("memory");
        assert_eq!(sealing.writer(), b"hello");
        let (proof, written) = sealing.finish(MediaType::from("a/b"));
        assert_eq!((proof.descriptor(), &written[..]), (&blob(b"hello"), &b"hello"[..]));
    }

    #[test]
    fn sealing_is_the_twin() {
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512, Algorithm::Blake3] {
            let mut sealing = Sealing::new(Vec::new(), algorithm);
            sealing.write_all(b"hello").expect("memory");
            let (proof, written) = sealing.finish(MediaType::from("a/b"));
            assert_eq!(
                *proof.descriptor(),
                Descriptor::of(MediaType::from("a/b"), algorithm, b"hello")
            );
            assert_eq!(written, b"hello");
        }
    }
}
