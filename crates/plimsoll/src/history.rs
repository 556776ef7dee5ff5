//! How an image came about: the history of its config beside its layers.

use plimsoll_content::{Digest, Result};
use serde::Serialize;

use crate::image::Image;

/// One step.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// When, as the config says.
    pub created: Option<String>,
    /// By what command; `None` for layers that the history does not tell of.
    pub created_by: Option<String>,
    /// By whom.
    pub author: Option<String>,
    /// Why.
    pub comment: Option<String>,
    /// Whether the step made no layer.
    pub empty_layer: bool,
    /// The length of the layer's blob, in bytes.
    pub size: u64,
    /// The layer, if the step made one that the manifest has.
    pub layer: Option<Digest>,
    /// The digest of the uncompressed layer.
    pub diff_id: Option<Digest>,
}

/// The steps of an image, from the first to the last. Layers that the history
/// does not tell of come at the end, as steps that say nothing.
pub fn history(image: &Image) -> Result<Vec<Step>> {
    let mut layers = image
        .manifest
        .layers
        .iter()
        .zip(image.config.rootfs.diff_ids.iter().map(Some).chain(std::iter::repeat(None)));
    let mut steps = Vec::new();
    for step in &image.config.history {
        let made = if step.empty_layer { None } else { layers.next() };
        steps.push(Step {
            created: step.created.clone(),
            created_by: step.created_by.clone(),
            author: step.author.clone(),
            comment: step.comment.clone(),
            empty_layer: step.empty_layer,
            size: made.map_or(0, |(layer, _)| layer.size),
            layer: made.map(|(layer, _)| layer.digest.clone()),
            diff_id: made.and_then(|(_, diff_id)| diff_id.cloned()),
        });
    }
    for (layer, diff_id) in layers {
        steps.push(Step {
            created: None,
            created_by: None,
            author: None,
            comment: None,
            empty_layer: false,
            size: layer.size,
            layer: Some(layer.digest.clone()),
            diff_id: diff_id.cloned(),
        });
    }
    Ok(steps)
}
