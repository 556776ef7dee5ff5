//! Removing what nobody needs: blobs, what killed processes left, unpacked
//! layers of images that are gone.

use std::collections::BTreeSet;
use std::path::PathBuf;

use plimsoll_content::{Digest, Kind, Result, Source};
use plimsoll_spec::graph::Node;
use plimsoll_spec::{Config, chain_ids};
use plimsoll_store::{Collect, Layout, Removed};
use serde::Serialize;

use crate::image;
use crate::place::Home;
use crate::reference::Reference;

/// What was removed, or would be.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The place.
    pub place: String,
    /// Whether nothing was removed, only said.
    pub dry_run: bool,
    /// The blobs.
    pub blobs: Vec<Blob>,
    /// The length of their files, in bytes.
    pub bytes: u64,
    /// What killed processes left, relative to the place.
    pub leftovers: Vec<PathBuf>,
    /// Unpacked layers, relative to the store.
    pub cache: Vec<PathBuf>,
    /// What should have gone and stayed, each with the reason.
    pub stayed: Vec<String>,
}

/// A blob that was removed.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Blob {
    /// Its digest.
    pub digest: Digest,
    /// The length of its file, in bytes.
    pub bytes: u64,
}

impl Home {
    /// Removes what nobody needs from a place, or from the local store.
    pub fn collect(&self, reference: Option<&Reference>, options: &Collect) -> Result<Report> {
        let (held, place) = self.place(reference)?;
        let mut report = Report {
            place: place.clone(),
            dry_run: options.dry_run,
            blobs: Vec::new(),
            bytes: 0,
            leftovers: Vec::new(),
            cache: Vec::new(),
            stayed: Vec::new(),
        };
        let Some(held) = held else { return Ok(report) };
        let collected = match reference {
            Some(Reference::Store { .. } | Reference::Name { .. }) | None => {
                let swept = self.store()?.collect(options, &chains)?;
                let path = |folder: &plimsoll_store::CacheFolder| {
                    PathBuf::from(format!(
                        "cache/{}/{}/{}",
                        folder.kind,
                        folder.key.algorithm_name(),
                        folder.key.encoded()
                    ))
                };
                report.cache = swept.cache.iter().map(path).collect();
                report.stayed = swept
                    .stayed
                    .iter()
                    .map(|(folder, error)| format!("{}: {error}", path(folder).display()))
                    .collect();
                swept.collected
            }
            Some(_) => held.layout(&place)?.collect_with(options)?,
        };
        report.bytes = collected.blobs.iter().map(|blob| blob.size).sum();
        report.blobs = collected
            .blobs
            .into_iter()
            .map(|Removed { digest, size }| Blob { digest, bytes: size })
            .collect();
        report.leftovers = collected.leftovers;
        Ok(report)
    }
}

/// The chain ids of all layers of all images of a layout: the keys of the
/// cache that somebody may ask for again.
fn chains(layout: &Layout) -> Result<BTreeSet<Digest>> {
    let source: &dyn Source = layout;
    let mut chains = BTreeSet::new();
    for entry in layout.entries()? {
        for blob in layout.reachable(&entry.descriptor)?.present {
            let Node::Manifest(manifest) = image::node(source, &blob)? else { continue };
            match source.document::<Config>(&manifest.config) {
                Ok(config) => chains.extend(chain_ids(&config.rootfs.diff_ids)),
                // An artifact, or an image of which only a part is here.
                Err(error) if error.kind() == Kind::NotFound => {}
                Err(error) if error.kind() == Kind::Integrity => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(chains)
}
