//! Documents: the bytes that came, beside the view of what they say.

use std::ops::Deref;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::limits::Limits;
use crate::{Algorithm, Code, Descriptor, Digest, Error, MediaType, Result, json};

/// What a kind of document says, as a type.
pub trait View: DeserializeOwned + Serialize {
    /// What the kind is called in messages, with its article: "an image manifest".
    const NAME: &'static str;

    /// The largest document of the kind that is read, in bytes.
    fn limit(limits: &Limits) -> u64;

    /// Whether it lists no more than the budgets allow.
    fn within(&self, _limits: &Limits) -> Result<()> {
        Ok(())
    }

    /// The rules that types alone do not express and without which reading on
    /// would be unsafe: contradicting media types, members that some readers
    /// take for others. What is merely wrong is for `validate`.
    fn check(&self) -> Result<()>;
}

/// The bytes of a document and the view of them.
///
/// What has a digest is never written anew: the bytes stay what they were,
/// unknown members included, and there is no way to change the view in
/// place. A change makes a new document ([`Document::new`]).
#[derive(Clone, Debug)]
pub struct Document<T> {
    bytes: Arc<[u8]>,
    view: T,
}

impl<T: View> Document<T> {
    /// Reads a document: I-JSON, within the default budgets, of the right
    /// shape.
    pub fn parse(bytes: impl Into<Arc<[u8]>>) -> Result<Self> {
        Self::parse_within(bytes, &Limits::default())
    }

    /// Reads a document within other budgets.
    pub fn parse_within(bytes: impl Into<Arc<[u8]>>, limits: &Limits) -> Result<Self> {
        let (bytes, most) = (bytes.into(), T::limit(limits));
        if bytes.len() as u64 > most {
            return Err(Error::new(Code::Limit, format!("reading {}", T::NAME))
                .found(format!("{} bytes", bytes.len()))
                .expected(format!("at most {most} bytes")));
        }
        json::check_within(T::NAME, &bytes, limits.json_depth)?;
        let view: T = serde_json::from_slice(&bytes).map_err(|cause| {
            Error::new(Code::Malformed, format!("reading {}", T::NAME)).found(&cause).cause(cause)
        })?;
        view.check()
            .and_then(|()| view.within(limits))
            .map_err(|error| error.context(format!("reading {}", T::NAME)))?;
        Ok(Self { bytes, view })
    }

    /// Writes a document in the one canonical form ([`json::canonical`]). What
    /// is made stays within the default budgets, which others have as well.
    pub fn new(view: T) -> Result<Self> {
        view.check()?;
        view.within(&Limits::default())?;
        Ok(Self { bytes: json::canonical(&view)?.into(), view })
    }
}

impl<T> Document<T> {
    /// The bytes, exactly as they came.
    pub fn bytes(&self) -> &Arc<[u8]> {
        &self.bytes
    }

    /// The view, to make another document from.
    pub fn view(&self) -> &T {
        &self.view
    }

    /// The digest of the bytes.
    pub fn digest(&self, algorithm: Algorithm) -> Digest {
        Digest::of(algorithm, &self.bytes)
    }

    /// The descriptor of the bytes.
    pub fn descriptor(&self, media_type: MediaType, algorithm: Algorithm) -> Descriptor {
        Descriptor::of(media_type, algorithm, &self.bytes)
    }
}

impl<T> Deref for Document<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.view
    }
}
