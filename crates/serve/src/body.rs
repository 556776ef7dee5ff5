//! Bodies: what comes from a client, and what goes to one.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use plimsoll_content::{Code, Error, Result};
use tokio::time::{Instant, Sleep, sleep};

use crate::storage::Chunks;

/// The body of a request, piece by piece.
pub(crate) struct Received {
    body: Incoming,
    /// How long to wait for the next piece.
    patience: Duration,
    clock: Pin<Box<Sleep>>,
    /// The most that is taken, in bytes, and why.
    most: u64,
    /// What must come, in bytes, if that is known.
    exact: Option<u64>,
    seen: u64,
    count: Arc<AtomicU64>,
    ended: bool,
}

impl Received {
    /// A body of at most `most` bytes, which are counted in `count`.
    pub(crate) fn new(
        body: Incoming,
        patience: Duration,
        most: u64,
        count: Arc<AtomicU64>,
    ) -> Self {
        let clock = Box::pin(sleep(patience));
        Self { body, patience, clock, most, exact: None, seen: 0, count, ended: false }
    }

    /// The same, of which exactly so many bytes must come.
    pub(crate) fn exactly(self, length: Option<u64>) -> Self {
        Self { exact: length, ..self }
    }

    /// The same, with another limit.
    pub(crate) fn at_most(self, most: u64) -> Self {
        Self { most, ..self }
    }

    /// How long it says it is.
    pub(crate) fn announced(&self) -> Option<u64> {
        self.body.size_hint().exact()
    }

    /// Reads all of it.
    pub(crate) async fn whole(&mut self) -> Result<Bytes> {
        let mut bytes = Vec::new();
        while let Some(piece) = (self as &mut dyn Chunks).next().await? {
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes.into())
    }

    /// Reads what little is left, so that the connection can go on.
    pub(crate) async fn drain(mut self) {
        const WORTH: u64 = 256 << 10;
        if self.ended || self.announced().is_none_or(|length| length > WORTH) {
            return;
        }
        self.exact = None;
        while let Ok(Some(_)) = (&mut self as &mut dyn Chunks).next().await {}
    }

    fn check(&mut self, length: usize) -> Result<()> {
        self.seen += length as u64;
        self.count.fetch_add(length as u64, Ordering::Relaxed);
        if self.exact.is_some_and(|exact| self.seen > exact) {
            return Err(self.wrong_size("more"));
        }
        if self.seen > self.most {
            return Err(Error::new(Code::Limit, "reading the request")
                .found(format!("more than {} bytes", self.most))
                .expected("fewer"));
        }
        Ok(())
    }

    fn wrong_size(&self, found: &str) -> Error {
        let expected = self.exact.unwrap_or_default();
        Error::new(Code::Size, "reading the request")
            .found(format!("{found} than {expected} bytes"))
            .expected("as many as its Content-Range says")
    }
}

impl Chunks for Received {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        loop {
            let frame = match Pin::new(&mut self.body).poll_frame(context) {
                Poll::Ready(frame) => frame,
                Poll::Pending => {
                    if self.clock.as_mut().poll(context).is_ready() {
                        self.ended = true;
                        return Poll::Ready(Some(Err(Error::new(
                            Code::Network,
                            "reading the request",
                        )
                        .found(format!("nothing for {} s", self.patience.as_secs())))));
                    }
                    return Poll::Pending;
                }
            };
            let next = Instant::now() + self.patience;
            self.clock.as_mut().reset(next);
            return Poll::Ready(match frame {
                None => {
                    self.ended = true;
                    match self.exact {
                        Some(exact) if self.seen < exact => Some(Err(self.wrong_size("fewer"))),
                        _ => None,
                    }
                }
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(bytes) if bytes.is_empty() => continue,
                    Ok(bytes) => Some(self.check(bytes.len()).map(|()| bytes)),
                    // Trailers say nothing here.
                    Err(_) => continue,
                },
                Some(Err(cause)) => {
                    self.ended = true;
                    Some(Err(Error::new(Code::Network, "reading the request")
                        .found(&cause)
                        .cause(cause)))
                }
            });
        }
    }
}

/// The body of a response.
pub(crate) struct Payload {
    content: Content,
    count: Option<Arc<AtomicU64>>,
    /// Dropped when the last byte has gone, or nobody wants it any more.
    _end: Option<Box<dyn Send>>,
}

enum Content {
    Empty,
    Bytes(Bytes),
    Chunks { chunks: Box<dyn Chunks>, left: u64 },
}

impl Payload {
    pub(crate) fn empty() -> Self {
        Self { content: Content::Empty, count: None, _end: None }
    }

    pub(crate) fn bytes(bytes: impl Into<Bytes>) -> Self {
        Self { content: Content::Bytes(bytes.into()), count: None, _end: None }
    }

    /// So many bytes, as they come.
    pub(crate) fn chunks(chunks: Box<dyn Chunks>, length: u64) -> Self {
        Self { content: Content::Chunks { chunks, left: length }, count: None, _end: None }
    }

    /// The same, counted, and with something that is dropped at its end.
    pub(crate) fn watched(self, count: Arc<AtomicU64>, end: impl Send + 'static) -> Self {
        Self { count: Some(count), _end: Some(Box::new(end)), ..self }
    }

    /// How many bytes are left.
    pub(crate) fn length(&self) -> u64 {
        match &self.content {
            Content::Empty => 0,
            Content::Bytes(bytes) => bytes.len() as u64,
            Content::Chunks { left, .. } => *left,
        }
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let next = match &mut self.content {
            Content::Empty => None,
            Content::Bytes(bytes) => {
                let bytes = std::mem::take(bytes);
                self.content = Content::Empty;
                (!bytes.is_empty()).then_some(Ok(bytes))
            }
            Content::Chunks { left: 0, .. } => None,
            Content::Chunks { chunks, left } => match chunks.poll_next(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(bytes))) => {
                    *left = left.saturating_sub(bytes.len() as u64);
                    Some(Ok(bytes))
                }
                // The connection breaks off, which is what the client has to
                // see: the announced length never comes.
                Poll::Ready(Some(Err(error))) => Some(Err(io::Error::from(error))),
                Poll::Ready(None) => Some(Err(io::ErrorKind::UnexpectedEof.into())),
            },
        };
        if let (Some(Ok(bytes)), Some(count)) = (&next, &self.count) {
            count.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        }
        Poll::Ready(next.map(|next| next.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.length() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length())
    }
}
