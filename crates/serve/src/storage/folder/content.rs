//! Blobs that are read for clients: as fast as the page cache gives them.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::Bytes;
use plimsoll_content::{Code, Error, Result};
use rustix::io::{Errno, ReadWriteFlags, preadv2};
use tokio::task::JoinHandle;

use crate::storage::{Blob, Chunks};

/// How much is read at once: what a connection has in memory.
const PIECE: usize = 64 << 10;

/// A blob whose file is open.
pub(super) struct BlobFile {
    pub(super) file: File,
    pub(super) size: u64,
}

impl Blob for BlobFile {
    fn size(&self) -> u64 {
        self.size
    }

    fn read(self: Box<Self>, first: u64, length: u64) -> Box<dyn Chunks> {
        Box::new(Reading { file: Some(self.file), at: first, left: length, waiting: None })
    }
}

struct Reading {
    /// Away while a thread reads.
    file: Option<File>,
    at: u64,
    left: u64,
    waiting: Option<JoinHandle<(File, io::Result<Vec<u8>>)>>,
}

impl Chunks for Reading {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        if self.waiting.is_none() {
            let length = self.left.min(PIECE as u64) as usize;
            match self.at_once(length) {
                // What is in memory needs no thread that may wait for a disk.
                Some(Ok(bytes)) if !bytes.is_empty() => return self.took(Ok(bytes)),
                Some(Err(cause)) => return self.took(Err(cause)),
                _ => {}
            }
            let Some(file) = self.file.take() else { return Poll::Ready(None) };
            let at = self.at;
            self.waiting = Some(tokio::task::spawn_blocking(move || {
                let read = read_at(&file, at, length);
                (file, read)
            }));
        }
        let Some(waiting) = &mut self.waiting else { return Poll::Ready(None) };
        match Pin::new(waiting).poll(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(done) => {
                self.waiting = None;
                match done {
                    Ok((file, read)) => {
                        self.file = Some(file);
                        self.took(read)
                    }
                    Err(cause) => self.took(Err(io::Error::other(cause))),
                }
            }
        }
    }
}

impl Reading {
    /// What can be had without waiting; `None` if nothing can.
    fn at_once(&self, length: usize) -> Option<io::Result<Vec<u8>>> {
        let file = self.file.as_ref()?;
        let mut bytes = vec![0; length];
        let mut slices = [IoSliceMut::new(&mut bytes)];
        match preadv2(file, &mut slices, self.at, ReadWriteFlags::NOWAIT) {
            Ok(read) => {
                bytes.truncate(read);
                Some(Ok(bytes))
            }
            Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::INTR | Errno::NOSYS) => None,
            Err(errno) => Some(Err(errno.into())),
        }
    }

    fn took(&mut self, read: io::Result<Vec<u8>>) -> Poll<Option<Result<Bytes>>> {
        let read = read.map_err(|cause| Error::io("reading", "blob", cause)).and_then(|bytes| {
            if bytes.is_empty() {
                return Err(Error::new(Code::Size, "reading blob")
                    .found("its end")
                    .expected(format!("{} bytes more", self.left)));
            }
            Ok(bytes)
        });
        match read {
            Ok(bytes) => {
                self.at += bytes.len() as u64;
                self.left -= bytes.len() as u64;
                Poll::Ready(Some(Ok(Bytes::from(bytes))))
            }
            Err(error) => {
                self.left = 0;
                Poll::Ready(Some(Err(error)))
            }
        }
    }
}

fn read_at(file: &File, at: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    let read = std::os::unix::fs::FileExt::read_at(file, &mut bytes, at)?;
    bytes.truncate(read);
    Ok(bytes)
}
