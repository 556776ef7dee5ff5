//! Docker image manifest version 2, schema 2: what it has of its own. And the
//! images of a layer each that were before it, to be read.
//!
//! A manifest or manifest list has the members of the OCI document of that
//! kind under other media types, and a config has those of the OCI config and
//! some more. So [`crate::Manifest`], [`crate::Index`] and [`crate::Config`]
//! read both families, bytes untouched, and that is how images are carried,
//! unpacked and run. The structs here are for those who write Docker's
//! documents, or want its members by name. Each converts to the common view
//! and back (`TryFrom`); what one side does not know is in its `other`.
//!
//! Changing an image from one family to the other is not done here: that
//! changes media types and digests.

mod config;
mod manifest;
pub mod schema1;
mod v1;

pub use config::{Config, Execution, Healthcheck};
pub use manifest::{Manifest, ManifestList};
pub use schema1::Schema1;
pub use v1::V1Image;

use plimsoll_content::{Code, Error, MediaType, Result, View};
use serde::Serialize;

use crate::media_type;

/// Whether the media type belongs to Docker's family.
pub fn is_docker(media_type: &MediaType) -> bool {
    [
        media_type::DOCKER_MANIFEST,
        media_type::DOCKER_MANIFEST_LIST,
        media_type::DOCKER_CONFIG,
        media_type::DOCKER_LAYER,
        media_type::DOCKER_LAYER_GZIP,
        media_type::DOCKER_LAYER_ZSTD,
        media_type::DOCKER_FOREIGN_LAYER,
        media_type::DOCKER_FOREIGN_LAYER_GZIP,
    ]
    .contains(media_type)
}

/// One view of a document as another view of the same document. The way is
/// through the text: through `serde_json::Value` the number -0 loses its sign.
fn seen_as<B: View>(view: &impl Serialize) -> Result<B> {
    let doing = || format!("reading {}", B::NAME);
    let other: B = serde_json::to_vec(view)
        .and_then(|text| serde_json::from_slice(&text))
        .map_err(|cause| Error::new(Code::Malformed, doing()).found(&cause).cause(cause))?;
    other.check().map_err(|error| error.context(doing()))?;
    Ok(other)
}

macro_rules! converts {
    ($($docker:ty = $common:ty),+) => { $(
        impl TryFrom<&$docker> for $common {
            type Error = Error;

            fn try_from(view: &$docker) -> Result<Self> {
                seen_as(view)
            }
        }

        impl TryFrom<&$common> for $docker {
            type Error = Error;

            fn try_from(view: &$common) -> Result<Self> {
                seen_as(view)
            }
        }
    )+ };
}

converts!(Manifest = crate::Manifest, ManifestList = crate::Index, Config = crate::Config);
