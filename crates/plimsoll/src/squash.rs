//! Layers of an image joined into one: all of them, or those above a base.
//!
//! The tree stays what it is, file by file. Layers are read once and proved
//! before anything is written; the joined one has what differs from the tree
//! of the layers below, whiteouts included, in the form in which
//! `plimsoll pack` writes. The config stays, but for diff_ids and history: the
//! steps that made joined layers are told as such that made none, and one step
//! more tells of the joining.
//!
//! What does not live here: the tree of indexes around images
//! ([`crate::convert`]), the joining itself ([`plimsoll_layer::pack::Stack`]).

use std::fs::File;
use std::os::fd::AsFd;

use plimsoll_content::{Code, Descriptor, Error, Platform, Result, Sealing, Watch};
use plimsoll_layer::Limits;
use plimsoll_layer::apply::Summary;
use plimsoll_layer::codec::Compression;
use plimsoll_layer::pack::{self as layer_pack, Stack};
use plimsoll_spec::annotations::{BASE_DIGEST, BASE_NAME};
use plimsoll_spec::{History, select};
use plimsoll_store::Referrers;
use serde_json::Value;

use crate::convert::{self, Converted, Converter, How, Made};
use crate::draft::{Draft, is_empty_layer};
use crate::edit::{array, object};
use crate::image::{Image, Layer};
use crate::place::{Home, Opened};
use crate::reference::Reference;
use crate::transfer::Counted;
use crate::unpack::Way;
use crate::{notes, pack, rebase};

/// Which layers are joined, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// What is left as it is.
    pub below: Below,
    /// How the joined layer is compressed.
    pub compression: Compression,
    /// Only the images for this platform.
    pub platform: Option<Platform>,
    /// What the history says of the joined layer.
    pub created_by: String,
    /// `SOURCE_DATE_EPOCH`: the time of that step, which is else that of the
    /// last step that it joins. Files keep theirs.
    pub epoch: Option<i64>,
    /// How many threads may compress.
    pub threads: usize,
    /// The budgets of reading layers.
    pub limits: Limits,
}

/// The layers that are left as they are.
#[derive(Clone, Debug)]
pub enum Below {
    /// So many, from the lowest on.
    Layers(usize),
    /// Those of an image, with which the image has to begin.
    Image(Reference),
}

impl Home {
    /// Joins layers of every image that the reference leads to, or of those
    /// for one platform. An image with nothing to join stays as it is.
    pub fn squash(
        &self,
        reference: &Reference,
        new: Option<&str>,
        options: &Options,
        watch: &dyn Watch,
    ) -> Result<Converted> {
        let base = match &options.below {
            Below::Layers(_) => None,
            Below::Image(base) => Some(self.open(base)?),
        };
        let converting = convert::Options {
            family: None,
            compression: None,
            recompress: false,
            algorithm: None,
            platforms: Vec::new(),
            force: false,
            squash: None,
            threads: options.threads,
            limits: options.limits,
        };
        let (name, _, _, mut report) = self.change(reference, new, &mut |opened, target| {
            let (source, root) = (opened.source(), &opened.root);
            let squash = Squash { options, base: base.as_ref(), joined: 0 };
            let mut converter = Converter::new(source, target, &converting, watch);
            converter.squash = Some(squash);
            let new = converter
                .run(root)
                .map_err(|error| error.context(format!("squashing {reference}")))?;
            if converter.squash.as_ref().is_some_and(|squash| squash.joined == 0) {
                return Err(Error::new(Code::Platform, format!("squashing {}", root.digest))
                    .found("no image for that platform")
                    .expected(
                        options.platform.as_ref().map_or("an image".into(), ToString::to_string),
                    )
                    .fix("plimsoll inspect REF   lists what there is"));
            }
            converter.count(|| Referrers::of(source, &opened.held().catalog()?));
            Ok((new.clone(), converter.report(root, &new)))
        })?;
        report.name = Some(name);
        Ok(report)
    }
}

/// Joining at work.
pub(crate) struct Squash<'a> {
    pub(crate) options: &'a Options,
    pub(crate) base: Option<&'a Opened>,
    /// How many images were looked at for it.
    pub(crate) joined: usize,
}

impl Squash<'_> {
    /// How many layers of an image are left as they are; `None` if there is
    /// nothing to join. `said` is what its index says that it runs on.
    pub(crate) fn keep(&mut self, image: &Image, said: Option<&Platform>) -> Result<Option<usize>> {
        let own = image.platform();
        let wanted = self.options.platform.as_ref();
        if wanted.is_some_and(|wanted| !select::matches(wanted, said.unwrap_or(&own))) {
            return Ok(None);
        }
        self.joined += 1;
        let keep = match (&self.options.below, self.base) {
            (Below::Image(_), Some(base)) => {
                let below = Image::open(base.source(), &base.root, Some(&own))
                    .map_err(|error| error.context("opening the base"))?;
                rebase::check("squashing", image, &below)?;
                below.manifest.layers.len()
            }
            (Below::Layers(keep), _) => *keep,
            (Below::Image(_), None) => 0,
        };
        Ok((image.manifest.layers.len() > keep.saturating_add(1)).then_some(keep))
    }
}

impl Converter<'_> {
    /// Joins the layers of an image above the lowest `keep`, in the draft of
    /// it. Those below are brought as they are. Gives all its layers now.
    pub(crate) fn join(
        &mut self,
        image: &Image,
        draft: &mut Draft,
        keep: usize,
        options: &Options,
    ) -> Result<Vec<convert::Layer>> {
        let layers = image.layers()?;
        let (below, above) = layers.split_at(keep);
        refuse_foreign(image, keep, above)?;
        let sink = self.target.sink();
        let mut told = Vec::new();
        for layer in below {
            let there = sink.has(&layer.descriptor)?;
            told.push(as_it_is(layer, if there { How::Present } else { How::Copied }));
        }
        let made = self.joined(&layers, keep, options)?;
        if keep == 0
            && let Some(Value::Object(said)) = draft.manifest_mut().get_mut("annotations")
        {
            // They name the image that the lowest layers come from.
            let gone =
                [BASE_DIGEST, BASE_NAME].into_iter().filter(|name| said.remove(*name).is_some());
            let lost = gone.map(|name| format!("annotation {name} (no layer is the base's now)"));
            let lost = lost.collect();
            self.lose(&image.descriptor, lost);
        }
        let manifest = array(draft.manifest_mut(), "layers")?;
        manifest.truncate(keep);
        let ids = array(object(draft.config_mut(), "rootfs")?, "diff_ids")?;
        ids.truncate(keep);
        let step = self.history(draft, layers.len(), keep, options)?;
        let diff_id = made.diff_id.clone().unwrap_or_else(|| made.blob.digest.clone());
        draft.push(&made.blob, &diff_id, &step)?;
        told.push(convert::Layer {
            from: above.iter().map(|layer| layer.descriptor.digest.clone()).collect(),
            digest: made.blob.digest,
            diff_id: Some(diff_id),
            size: made.blob.size,
            media_type: made.blob.media_type.to_string(),
            state: How::Squashed,
        });
        Ok(told)
    }

    /// Makes the layer that those above `keep` come to.
    fn joined(&mut self, layers: &[Layer], keep: usize, options: &Options) -> Result<Made> {
        let (source, sink, watch) = (self.source, self.target.sink(), self.watch);
        let folder = self.target.scratch();
        let scratch = File::open(&folder)
            .map_err(|cause| Error::io("opening folder", folder.display(), cause))?;
        let top = &layers[layers.len() - 1];
        let pack_options = layer_pack::Options {
            compression: options.compression,
            threads: options.threads,
            algorithm: self.algorithm(&top.diff_id)?,
            scratch: Some(scratch.as_fd()),
            limits: options.limits,
            ..layer_pack::Options::default()
        };
        let mut warnings = Vec::new();
        let mut noted = |position: usize, summary: &Summary| {
            let place = format!("layer {}: ", position + 1);
            warnings.extend(notes::all(&place, &summary.findings, watch));
        };
        let mut stack = Stack::new(&pack_options)?;
        let (below, above) = layers.split_at(keep);
        let keeping = Some(sink);
        let way = Way { source, layers: below, number: 1, of: layers.len(), keep: keeping, watch };
        if !below.is_empty() {
            stack = way.lead(
                |position, summary| noted(position, &summary),
                |blobs, announced, done| stack.layers(blobs, announced, done),
            )?;
            stack.base();
        }
        let way = Way { layers: above, number: keep + 1, keep: None, ..way };
        stack = way.lead(
            |position, summary| noted(keep + position, &summary),
            |blobs, announced, done| stack.layers(blobs, announced, done),
        )?;
        watch.begin("joining layers", None);
        let algorithm = self.algorithm(&top.descriptor.digest)?;
        let out = Sealing::new(Counted::new(sink.begin()?, watch), algorithm);
        let (packed, sealing) = stack.squash(out)?;
        let blob = pack::commit(sealing, options.compression)?;
        warnings.extend(notes::all("", &packed.findings, watch));
        watch.end(&format!("joined {} layers as {}", above.len(), blob.digest));
        self.report.warnings.extend(warnings);
        self.report.bytes = self.report.bytes.saturating_add(blob.size);
        Ok(Made { blob, diff_id: Some(packed.diff_id), how: How::Squashed })
    }

    /// Lets the history tell of the layers that are left, and gives the step
    /// of the joined one.
    fn history(
        &mut self,
        draft: &mut Draft,
        layers: usize,
        keep: usize,
        options: &Options,
    ) -> Result<History> {
        let mut step = pack::step(&options.created_by, options.epoch)?;
        if draft.config_mut().get("history").is_none_or(Value::is_null) {
            return Ok(step);
        }
        let steps = array(draft.config_mut(), "history")?;
        if steps.iter().filter(|step| !is_empty_layer(step)).count() != layers {
            draft.config_mut().remove("history");
            self.warn(
                "the history does not tell of the layers of the image, and was left out".to_owned(),
            );
            return Ok(step);
        }
        let made = steps.iter_mut().filter(|step| !is_empty_layer(step)).skip(keep);
        for one in made {
            if options.epoch.is_none() {
                step.created = one.get("created").and_then(Value::as_str).map(str::to_owned);
            }
            if one.is_null() {
                *one = Value::Object(serde_json::Map::new());
            }
            one["empty_layer"] = Value::Bool(true);
        }
        Ok(step)
    }
}

/// Refuses to make a layer that may be distributed of one that may not.
fn refuse_foreign(image: &Image, keep: usize, above: &[Layer]) -> Result<()> {
    match above.iter().rposition(|layer| layer.kind.nondistributable) {
        None => Ok(()),
        Some(position) => {
            let number = keep + position + 1;
            Err(Error::new(Code::Unrepresentable, format!("squashing {}", image.descriptor.digest))
                .found(format!("layer {number}, which may not be distributed"))
                .expected("layers that may: the joined one may be, too")
                .fix(format!("--keep {number}   leaves it as it is")))
        }
    }
}

fn as_it_is(layer: &Layer, state: How) -> convert::Layer {
    let Descriptor { digest, size, media_type, .. } = &layer.descriptor;
    convert::Layer {
        from: vec![digest.clone()],
        digest: digest.clone(),
        diff_id: Some(layer.diff_id.clone()),
        size: *size,
        media_type: media_type.to_string(),
        state,
    }
}
