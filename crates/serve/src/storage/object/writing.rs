//! Objects that are written as they come, in parts if they are large.

use hyper::body::Bytes;
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStoreExt, PutPayload};
use plimsoll_content::Result;
use tokio::task::JoinHandle;

use super::objects::{Objects, failed};

/// The length of the parts of a piece, the least that object stores take:
/// twice as much is in memory for each upload.
const PART: usize = 5 << 20;

/// The most parts that object stores take.
const PARTS: u64 = 10_000;

/// An object that is written, in parts if it is large.
pub(super) struct Writing<'o> {
    objects: &'o Objects,
    key: Path,
    gathered: Vec<Bytes>,
    held: usize,
    length: u64,
    part: usize,
    large: Option<Box<dyn MultipartUpload>>,
    /// The part that is on its way.
    sending: Option<JoinHandle<object_store::Result<()>>>,
}

impl<'o> Writing<'o> {
    pub(super) fn new(objects: &'o Objects, key: Path) -> Self {
        Self {
            objects,
            key,
            gathered: Vec::new(),
            held: 0,
            length: 0,
            part: PART,
            large: None,
            sending: None,
        }
    }

    /// The same, for an object of that length: its parts must not be too many.
    pub(super) fn for_length(self, length: u64) -> Self {
        let least = usize::try_from(length / (PARTS - 1)).unwrap_or(usize::MAX);
        Self { part: least.max(PART), ..self }
    }

    pub(super) async fn add(&mut self, bytes: Bytes) -> Result<()> {
        self.held += bytes.len();
        self.length += bytes.len() as u64;
        self.gathered.push(bytes);
        if self.held < self.part {
            return Ok(());
        }
        let sent = self.send().await;
        if sent.is_err() {
            self.abort().await;
        }
        sent
    }

    async fn send(&mut self) -> Result<()> {
        let failed = |cause| failed("writing", &self.key, cause);
        if self.large.is_none() {
            self.large = Some(self.objects.store.put_multipart(&self.key).await.map_err(failed)?);
        }
        self.sent().await?;
        let payload: PutPayload = std::mem::take(&mut self.gathered).into_iter().collect();
        self.held = 0;
        if let Some(large) = &mut self.large {
            self.sending = Some(tokio::spawn(large.put_part(payload)));
        }
        // Parts get longer before they get too many: a piece may have any
        // length.
        if self.length / self.part as u64 > PARTS / 8 {
            self.part *= 2;
        }
        Ok(())
    }

    /// Waits until the part that is on its way has arrived.
    async fn sent(&mut self) -> Result<()> {
        let Some(sending) = self.sending.take() else { return Ok(()) };
        let sent = sending.await.unwrap_or_else(|cause| Err(cause.into()));
        sent.map_err(|cause| failed("writing", &self.key, cause))
    }

    /// Ends the object, and gives its length.
    pub(super) async fn end(mut self) -> Result<u64> {
        let ended = self.complete().await;
        if ended.is_err() {
            self.abort().await;
        }
        ended.map(|()| self.length)
    }

    async fn complete(&mut self) -> Result<()> {
        if self.large.is_none() {
            let payload: PutPayload = std::mem::take(&mut self.gathered).into_iter().collect();
            return self.objects.put(&self.key, payload).await;
        }
        if self.held > 0 {
            self.send().await?;
        }
        self.sent().await?;
        let Some(large) = &mut self.large else { return Ok(()) };
        let completed = large.complete().await;
        completed.map(|_| ()).map_err(|cause| failed("writing", &self.key, cause))
    }

    pub(super) async fn give_up(mut self) {
        self.abort().await;
    }

    async fn abort(&mut self) {
        let _ = self.sent().await;
        if let Some(mut large) = self.large.take() {
            // What stays of it, the store removes by a rule of its own.
            let _ = large.abort().await;
        }
    }
}
