//! Manifests of Docker schema 1: no rule of the specification is about them,
//! so it is seen that they can be read, that their blobs are there and what
//! is in those.

use plimsoll_content::{Code, Descriptor, Result};
use plimsoll_layer::Check as Sense;
use plimsoll_spec::LayerType;
use plimsoll_spec::rules::{Finding, Level, table};

use super::users::Users;
use super::{Check, Place, Target, join};
use crate::image::Image;
use crate::schema1;

impl Check<'_> {
    /// The manifest, its chain and its layers, which have no diff_ids. Steps
    /// without a layer need no blob.
    pub(super) fn schema1(
        &mut self,
        descriptor: &Descriptor,
        location: &str,
        absent: Level,
    ) -> Result<Target> {
        let place = Place::blob(location, &descriptor.digest);
        let image = match Image::open(self.source, descriptor, None) {
            Ok(image) => image,
            Err(error) => {
                let level = if error.code() == Code::NotFound { absent } else { Level::Error };
                self.fail(&place, error, level)?;
                return Ok(Target::default());
            }
        };
        self.report.documents += 1;
        self.report.bytes += descriptor.size;
        self.seen.insert((descriptor.digest.clone(), None));
        let (mut sense, mut users) = (Sense::new(), Users::default());
        for (position, blob) in image.manifest.layers.iter().enumerate() {
            let step = join(location, &format!("layer {}", position + 1));
            if let Some(kind) = LayerType::of(&blob.media_type) {
                self.layer(blob, kind, None, &mut sense, &mut users, &step)?;
            }
        }
        for part in image.schema1.iter().flat_map(|chain| &chain.parts) {
            let step = join(location, "a step without a layer");
            let there = part.image.throwaway
                && self.source.length(&part.blob).is_ok_and(|length| length.is_some());
            if !there {
                continue;
            }
            match schema1::layer(self.source, &part.blob) {
                Ok(blob) => self.blob(&blob, &step, Level::Error)?,
                Err(error) => self.fail(&Place::blob(&step, &part.blob), error, Level::Error)?,
            }
        }
        let user = image.config.config.as_ref().and_then(|config| config.user.as_deref());
        if let Some(user) = user.filter(|user| !user.is_empty())
            && let Some(error) = users.refuse(user)
        {
            let finding = Finding::of(&table::CF11, Code::Config, error.headline());
            self.push(&place, &finding.at("/history/0/v1Compatibility"));
        }
        Ok(Target { kind: None, image: Some(image.platform()) })
    }
}
