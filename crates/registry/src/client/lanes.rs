//! One large blob over several connections: each brings a piece, and the
//! pieces are read in their order, so that hashing goes on as with one.
//!
//! Memory is bounded by the pieces that are under way: as many as the client
//! has lanes, for all of its blobs together.

use std::collections::VecDeque;
use std::io::{self, Cursor, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};

use plimsoll_content::{Code, Error, Result};

use super::Client;
use super::download::Download;

/// The right to have one more connection for a blob.
struct Lane(Arc<Client>);

impl Lane {
    fn take(client: &Arc<Client>) -> Option<Self> {
        let most = client.wire.options().lanes.count;
        let taken = client.lanes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |taken| {
            (taken < most).then_some(taken + 1)
        });
        taken.is_ok().then(|| Self(Arc::clone(client)))
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        let lanes: &AtomicUsize = &self.0.lanes;
        lanes.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A piece that is under way, or has come.
struct Coming {
    piece: Receiver<Result<Vec<u8>>>,
    _lane: Lane,
}

/// A blob that comes in pieces.
pub(super) struct Pieces {
    /// The piece that is read.
    current: Box<dyn Read + Send>,
    coming: VecDeque<Coming>,
    /// Asks for what nobody has asked for yet.
    next: Download,
}

impl Pieces {
    /// Goes on behind `first`, whose server gives parts of the blob.
    pub(super) fn new(first: Download) -> Self {
        let next = first.behind();
        let mut pieces = Self { current: Box::new(first), coming: VecDeque::new(), next };
        pieces.top_up();
        pieces
    }

    /// The next piece, if there is one more.
    fn cut(&mut self) -> Option<Download> {
        let piece = self.next.client().wire.options().lanes.piece;
        self.next.cut(piece)
    }

    /// Asks for pieces ahead, as many as there are lanes.
    fn top_up(&mut self) {
        while !self.next.is_done()
            && let Some(lane) = Lane::take(self.next.client())
            && let Some(download) = self.cut()
        {
            let (sender, piece) = sync_channel(1);
            let work = move || {
                // Who has gone away wants nothing.
                let _ = sender.send(download.whole());
            };
            let thread = std::thread::Builder::new().name("lane".into()).spawn(work);
            if thread.is_err() {
                // The piece is told missing by its channel, which is an error.
                self.coming.push_back(Coming { piece, _lane: lane });
                return;
            }
            self.coming.push_back(Coming { piece, _lane: lane });
        }
    }
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let length = self.current.read(buffer)?;
            if length > 0 || buffer.is_empty() {
                return Ok(length);
            }
            if let Some(Coming { piece, .. }) = self.coming.pop_front() {
                let piece = piece.recv().unwrap_or_else(|_| {
                    Err(Error::new(Code::Io, "reading a piece of a blob").found("no thread for it"))
                });
                self.current = Box::new(Cursor::new(piece?));
            } else if let Some(mut download) = self.cut() {
                // All lanes are taken: this piece comes as it is read.
                download.open()?;
                self.current = Box::new(download);
            } else {
                return Ok(0);
            }
            self.top_up();
        }
    }
}
