//! Archives in which every byte can be wrong.

use std::io::Write as _;

use plimsoll::layer::codec::{Compression, Encoder};

/// An archive in the making. Names and fields are written as they are given.
#[derive(Clone, Default)]
pub(crate) struct Tar {
    bytes: Vec<u8>,
    mode: Option<u32>,
    owner: Option<(u32, u32)>,
    /// What is written into the next header before its checksum.
    patches: Vec<(usize, Vec<u8>)>,
    records: Vec<u8>,
}

impl Tar {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// The mode of the next entry.
    pub(crate) fn mode(mut self, mode: u32) -> Self {
        self.mode = Some(mode);
        self
    }

    /// The owner of the next entry.
    pub(crate) fn owner(mut self, uid: u32, gid: u32) -> Self {
        self.owner = Some((uid, gid));
        self
    }

    /// Bytes at a place of the next entry's header.
    pub(crate) fn at(mut self, place: usize, bytes: impl AsRef<[u8]>) -> Self {
        self.patches.push((place, bytes.as_ref().to_vec()));
        self
    }

    /// The next entry's header is one of old GNU, not of POSIX.
    pub(crate) fn gnu(self) -> Self {
        self.at(257, b"ustar  \0")
    }

    /// A PAX record for the next entry.
    pub(crate) fn pax(mut self, key: &str, value: impl AsRef<[u8]>) -> Self {
        self.records.extend(record(key, value.as_ref()));
        self
    }

    pub(crate) fn file(self, name: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> Self {
        self.entry(b'0', name, b"", content)
    }

    pub(crate) fn dir(mut self, name: impl AsRef<[u8]>) -> Self {
        self.mode = self.mode.or(Some(0o755));
        self.entry(b'5', name, b"", b"")
    }

    pub(crate) fn link(self, name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        self.entry(b'2', name, target, b"")
    }

    pub(crate) fn hard(self, name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        self.entry(b'1', name, target, b"")
    }

    /// An extended header with this content, before the next entry.
    pub(crate) fn extended(mut self, kind: u8, content: impl AsRef<[u8]>) -> Self {
        self.header(kind, b"extended", b"", content.as_ref());
        self
    }

    /// An entry of any type. What does not fit into the header comes before
    /// it in a PAX header.
    pub(crate) fn entry(
        mut self,
        kind: u8,
        name: impl AsRef<[u8]>,
        link: impl AsRef<[u8]>,
        content: impl AsRef<[u8]>,
    ) -> Self {
        let (name, link) = (name.as_ref(), link.as_ref());
        if name.len() > 100 {
            self = self.pax("path", name);
        }
        if link.len() > 100 {
            self = self.pax("linkpath", link);
        }
        if !self.records.is_empty() {
            let records = std::mem::take(&mut self.records);
            let (mode, owner) = (self.mode.take(), self.owner.take());
            let patches = std::mem::take(&mut self.patches);
            self.header(b'x', b"pax", b"", &records);
            (self.mode, self.owner, self.patches) = (mode, owner, patches);
        }
        self.header(kind, name, link, content.as_ref());
        self
    }

    /// Bytes as they are.
    pub(crate) fn raw(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.bytes.extend(bytes.as_ref());
        self
    }

    fn header(&mut self, kind: u8, name: &[u8], link: &[u8], content: &[u8]) {
        let mut block = [0; 512];
        let mut set = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
        let (uid, gid) = self.owner.take().unwrap_or_default();
        set(0, &name[..name.len().min(100)]);
        set(100, format!("{:07o}\0", self.mode.take().unwrap_or(0o644)).as_bytes());
        set(108, format!("{uid:07o}\0{gid:07o}\0").as_bytes());
        set(124, format!("{:011o}\0{:011o}\0", content.len(), 1_000_000_000).as_bytes());
        set(156, &[kind]);
        set(157, &link[..link.len().min(100)]);
        set(257, b"ustar\x0000");
        for (at, bytes) in std::mem::take(&mut self.patches) {
            set(at, &bytes);
        }
        set(148, b"        ");
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.bytes.extend(block);
        self.bytes.extend(content);
        self.bytes.resize(self.bytes.len().next_multiple_of(512), 0);
    }

    /// The archive without an end.
    pub(crate) fn open(self) -> Vec<u8> {
        self.bytes
    }

    /// The archive with its end.
    pub(crate) fn done(mut self) -> Vec<u8> {
        self.bytes.extend([0; 1024]);
        self.bytes
    }
}

/// One PAX record.
pub(crate) fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let length = (rest..rest + 20).find(|length| *length == rest + length.to_string().len());
    let length = length.expect("there is one");
    [format!("{length} {key}=").as_bytes(), value, b"\n"].concat()
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    compress(Compression::Gzip { level: 9 }, bytes)
}

pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    compress(Compression::Zstd { level: 3 }, bytes)
}

fn compress(compression: Compression, bytes: &[u8]) -> Vec<u8> {
    let mut encoder = Encoder::new(compression, Vec::new()).expect("made");
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("ended")
}

/// A layer of an image: what its descriptor says and what its blob is.
#[derive(Clone)]
pub(crate) struct Layer {
    pub(crate) media_type: &'static str,
    pub(crate) blob: Vec<u8>,
    /// What the config gives the digest of.
    pub(crate) plain: Vec<u8>,
}

pub(crate) const TAR: &str = "application/vnd.oci.image.layer.v1.tar";
pub(crate) const GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
pub(crate) const ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";

impl Layer {
    pub(crate) fn new(media_type: &'static str, blob: Vec<u8>, plain: Vec<u8>) -> Self {
        Self { media_type, blob, plain }
    }
}

impl From<Tar> for Layer {
    fn from(tar: Tar) -> Self {
        tar.done().into()
    }
}

impl From<Vec<u8>> for Layer {
    fn from(plain: Vec<u8>) -> Self {
        Self::new(GZIP, gzip(&plain), plain)
    }
}
