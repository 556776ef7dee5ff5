//! Uploads: each request adds a piece, an object of its own; a session
//! document says which pieces there are and holds the running digest, so that
//! any server goes on with it.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::body::Bytes;
use object_store::{ObjectStoreExt, PutMode, PutPayload, UpdateVersion};
use plimsoll_content::{Algorithm, Code, Digest, Error, Hasher, Result};
use plimsoll_registry::protocol::Repository;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::objects::{Objects, Wrote, failed, json, unique};
use super::writing::Writing;
use crate::storage::{Append, Blob, Chunks};

/// The most that object stores copy in one request.
const COPIED: u64 = 5 << 30;

/// How many small pieces of a body wait to be taken.
const WAITING: usize = 8;

/// An upload as it is written.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Session {
    repository: String,
    /// The algorithm whose running digest is kept.
    algorithm: String,
    pub(super) length: u64,
    /// The running digest, for algorithms whose state can be written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    state: Option<String>,
    pieces: Vec<Piece>,
}

/// Some bytes of an upload.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Piece {
    name: String,
    length: u64,
}

/// What is sent to the task that writes a piece. If it hears of no end, the
/// request broke off, and what came is kept.
enum Part {
    Bytes(Bytes),
    End,
    /// What came is to be forgotten.
    Undo,
}

impl Session {
    fn hasher(&self) -> Option<Hasher> {
        let algorithm: Algorithm = self.algorithm.parse().ok()?;
        match &self.state {
            Some(state) => Hasher::from_state(algorithm, &STANDARD.decode(state).ok()?),
            None => (self.length == 0).then(|| Hasher::new(algorithm)),
        }
    }
}

impl Objects {
    pub(super) async fn begin(
        &self,
        name: &Repository,
        upload: &str,
        likely: Algorithm,
    ) -> Result<()> {
        let session = Session {
            repository: name.to_string(),
            algorithm: likely.to_string(),
            length: 0,
            state: None,
            pieces: Vec::new(),
        };
        match self.put_if(&self.keys.session(upload)?, json(&session)?, PutMode::Create).await? {
            Wrote::Yes => Ok(()),
            Wrote::Lost => Err(Error::new(Code::Exists, format!("beginning upload {upload}"))
                .found("one of that name")),
        }
    }

    /// The session of an upload, if it is of that repository.
    pub(super) async fn session(
        &self,
        name: &Repository,
        upload: &str,
    ) -> Result<Option<(Session, UpdateVersion)>> {
        let read = self.read::<Session>(&self.keys.session(upload)?).await?;
        Ok(read.filter(|(session, _)| session.repository == name.as_str()))
    }

    pub(super) async fn append<'a>(
        self: &'a Arc<Self>,
        name: &Repository,
        upload: &str,
        at: Option<u64>,
        mut chunks: Box<dyn Chunks + 'a>,
    ) -> Result<Append> {
        let Some((session, version)) = self.session(name, upload).await? else {
            return Ok(Append::Unknown);
        };
        if at.is_some_and(|at| at != session.length) {
            return Ok(Append::Gap(session.length));
        }
        let Some(first) = chunks.next().await? else {
            return Ok(Append::Length(session.length));
        };
        // On a task of its own, which comes to its end also when the client
        // goes away and nobody waits here any more.
        let (parts, coming) = mpsc::channel(WAITING);
        let (objects, told) = (Arc::clone(self), upload.to_owned());
        let task =
            tokio::spawn(async move { objects.write_piece(&told, session, version, coming).await });
        let mut next = Ok(Some(first));
        let end = loop {
            match next {
                Ok(Some(bytes)) => {
                    if parts.send(Part::Bytes(bytes)).await.is_err() {
                        // Why, it says itself.
                        break Ok(());
                    }
                    next = chunks.next().await;
                }
                Ok(None) => {
                    let _ = parts.send(Part::End).await;
                    break Ok(());
                }
                Err(error) => {
                    if matches!(error.code(), Code::Size | Code::Limit) {
                        let _ = parts.send(Part::Undo).await;
                    }
                    break Err(error);
                }
            }
        };
        drop(parts);
        let wrote = task.await.unwrap_or_else(|cause| {
            Err(Error::new(Code::Bug, "writing a piece of an upload").found(&cause).cause(cause))
        });
        end.and(wrote)
    }

    /// Writes a piece and enters it into the session.
    async fn write_piece(
        &self,
        upload: &str,
        mut session: Session,
        version: UpdateVersion,
        mut coming: mpsc::Receiver<Part>,
    ) -> Result<Append> {
        let name = unique()?;
        let key = self.keys.piece(upload, &name)?;
        let mut hasher = session.hasher();
        let mut writing = Writing::new(self, key.clone());
        let mut undo = false;
        while let Some(part) = coming.recv().await {
            match part {
                Part::Bytes(bytes) => {
                    if let Some(hasher) = &mut hasher {
                        hasher.update(&bytes);
                    }
                    writing.add(bytes).await?;
                }
                Part::End => break,
                Part::Undo => {
                    undo = true;
                    break;
                }
            }
        }
        if undo {
            writing.give_up().await;
            return Ok(Append::Length(session.length));
        }
        let length = writing.end().await?;
        session.pieces.push(Piece { name, length });
        session.length += length;
        session.state =
            hasher.and_then(|hasher| hasher.state()).map(|state| STANDARD.encode(state));
        let mode = PutMode::Update(version);
        match self.put_if(&self.keys.session(upload)?, json(&session)?, mode).await? {
            Wrote::Yes => Ok(Append::Length(session.length)),
            Wrote::Lost => {
                self.delete(&key).await?;
                if self.head(&self.keys.session(upload)?).await?.is_none() {
                    return Ok(Append::Unknown);
                }
                Err(Error::new(Code::Locked, format!("going on with upload {upload}"))
                    .found("another request that added to it meanwhile")
                    .expected("one at a time"))
            }
        }
    }

    pub(super) async fn finish(
        &self,
        name: &Repository,
        upload: &str,
        digest: &Digest,
    ) -> Result<Option<u64>> {
        let Some((session, _)) = self.session(name, upload).await? else { return Ok(None) };
        let proved = self.prove(upload, &session, digest).await;
        if let Err(error) = proved {
            // What could not be read may be read the next time.
            if matches!(error.code(), Code::Digest | Code::Unverifiable) {
                self.give_up(upload, &session).await?;
            }
            return Err(error);
        }
        if self.claim(name, digest).await? != Some(session.length) {
            self.place(upload, &session, digest).await?;
        }
        self.hold(name, digest).await?;
        self.give_up(upload, &session).await?;
        Ok(Some(session.length))
    }

    /// Proves that the pieces are what a digest says.
    async fn prove(&self, upload: &str, session: &Session, digest: &Digest) -> Result<()> {
        let algorithm = digest.computable("upload")?;
        let running = session.hasher().filter(|_| session.algorithm == algorithm.as_str());
        let found = match running {
            Some(hasher) => hasher.finish(),
            None => {
                let mut hasher = Hasher::new(algorithm);
                let mut chunks = self.pieces(upload, session)?;
                while let Some(bytes) = chunks.next().await? {
                    hasher.update(&bytes);
                }
                hasher.finish()
            }
        };
        if found == *digest {
            return Ok(());
        }
        Err(Error::new(Code::Digest, format!("verifying upload of {digest}"))
            .found(format!("{found} ({} bytes)", session.length))
            .expected(digest))
    }

    /// Puts proved pieces where content lies.
    async fn place(&self, upload: &str, session: &Session, digest: &Digest) -> Result<()> {
        let key = self.keys.content(digest)?;
        match &session.pieces[..] {
            [] => self.put(&key, PutPayload::new()).await,
            [piece] if piece.length <= COPIED => {
                let from = self.keys.piece(upload, &piece.name)?;
                let copied = self.store.copy(&from, &key).await;
                copied.map_err(|cause| failed("copying", &from, cause))
            }
            _ => {
                // Read, so hashed once more.
                let mut hasher = Hasher::new(digest.computable("upload")?);
                let mut writing = Writing::new(self, key).for_length(session.length);
                let mut chunks = self.pieces(upload, session)?;
                loop {
                    match chunks.next().await {
                        Ok(Some(bytes)) => {
                            hasher.update(&bytes);
                            writing.add(bytes).await?;
                        }
                        Ok(None) => break,
                        Err(error) => {
                            writing.give_up().await;
                            return Err(error);
                        }
                    }
                }
                if hasher.finish() != *digest {
                    writing.give_up().await;
                    return Err(Error::new(Code::Device, format!("reading upload {upload}"))
                        .found("other bytes than were stored")
                        .expected(digest));
                }
                writing.end().await.map(|_| ())
            }
        }
    }

    /// The bytes of all pieces.
    fn pieces(&self, upload: &str, session: &Session) -> Result<Pieces> {
        let mut blobs = Vec::new();
        for piece in session.pieces.iter().rev() {
            let key = self.keys.piece(upload, &piece.name)?;
            blobs.push(Box::new(self.object(key, piece.length)).read(0, piece.length));
        }
        Ok(Pieces { blobs })
    }

    /// Removes an upload.
    pub(super) async fn give_up(&self, upload: &str, session: &Session) -> Result<()> {
        self.delete(&self.keys.session(upload)?).await?;
        for piece in &session.pieces {
            self.delete(&self.keys.piece(upload, &piece.name)?).await?;
        }
        Ok(())
    }
}

/// Pieces that are read one behind the other.
struct Pieces {
    /// The next one last.
    blobs: Vec<Box<dyn Chunks>>,
}

impl Pieces {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        while let Some(first) = self.blobs.last_mut() {
            if let Some(bytes) = first.next().await? {
                return Ok(Some(bytes));
            }
            self.blobs.pop();
        }
        Ok(None)
    }
}
