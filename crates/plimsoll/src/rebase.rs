//! The same image on another base: the layers of the old one below are
//! replaced by those of the new one.
//!
//! The config of the image wins: what it says stays, whether it came from the
//! old base or not. What describes the layers is made anew: diff_ids and
//! history. The version and features of the operating system are those of the
//! new base.

use plimsoll_content::{Code, Error, Platform, Result, Source, Watch};
use plimsoll_spec::annotations::{BASE_DIGEST, BASE_NAME};
use serde_json::Value;

use crate::change::Report;
use crate::convert::Family;
use crate::draft::{Draft, is_empty_layer, parse};
use crate::edit::{array, object};
use crate::image::Image;
use crate::place::{Home, Target};
use crate::reference::Reference;
use crate::transfer;

impl Home {
    /// Puts every image that the reference leads to, or those for `platform`,
    /// on another base.
    pub fn rebase(
        &self,
        reference: &Reference,
        new: Option<&str>,
        platform: Option<&Platform>,
        bases: (&Reference, &Reference),
        watch: &dyn Watch,
    ) -> Result<Report> {
        let (old, newer) = (self.open(bases.0)?, self.open(bases.1)?);
        self.rewrite(
            reference,
            new,
            platform,
            &|_| Ok(()),
            &mut |image, target| {
                let platform = image.platform();
                let below = Image::open(old.source(), &old.root, Some(&platform))
                    .map_err(|error| error.context("opening the old base"))?;
                let instead = Image::open(newer.source(), &newer.root, Some(&platform))
                    .map_err(|error| error.context("opening the new base"))?;
                for base in [&below, &instead] {
                    base.written(|| format!("rebasing on {}", base.descriptor.digest))?;
                }
                one(image, &below, &instead, newer.source(), target, watch)
            },
            watch,
        )
    }
}

fn one(
    image: &Image,
    old: &Image,
    new: &Image,
    source: &dyn Source,
    target: &Target,
    watch: &dyn Watch,
) -> Result<Draft> {
    let depth = old.manifest.layers.len();
    check("rebasing", image, old)?;
    transfer::layers(source, target.sink(), &new.manifest.layers, watch)?;
    let (old_config, new_config, new_manifest) =
        (parse(old.config.bytes())?, parse(new.config.bytes())?, parse(new.manifest.bytes())?);
    let mut draft = Draft::of(image)?;
    let family = draft.family();
    let mut layers = list(new_manifest.get("layers"));
    for layer in &mut layers {
        family.adopt(layer)?;
    }
    layers.extend(array(draft.manifest_mut(), "layers")?.drain(depth..));
    draft.manifest_mut().insert("layers".to_owned(), Value::Array(layers));
    let config = draft.config_mut();
    let ids = array(object(config, "rootfs")?, "diff_ids")?;
    let mut all = list(new_config.get("rootfs").and_then(|rootfs| rootfs.get("diff_ids")));
    all.extend(ids.drain(depth..));
    *ids = all;
    if config.get("history").is_some_and(Value::is_array) {
        let steps = array(config, "history")?;
        let mut all = list(new_config.get("history"));
        all.extend(steps.drain(told(steps, &list(old_config.get("history")), depth)..));
        // A history that does not tell of all layers tells nothing.
        let layers = new.manifest.layers.len() + image.manifest.layers.len() - depth;
        if all.iter().filter(|step| !is_empty_layer(step)).count() == layers {
            *steps = all;
        } else {
            watch.warn("a history does not tell of the layers of its image, and was left out");
            config.remove("history");
        }
    }
    for member in ["os.version", "os.features"] {
        match new_config.get(member) {
            Some(value) => config.insert(member.to_owned(), value.clone()),
            None => config.remove(member),
        };
    }
    if family == Family::Oci {
        let annotations = object(draft.manifest_mut(), "annotations")?;
        annotations.insert(BASE_DIGEST.to_owned(), Value::from(new.descriptor.digest.to_string()));
        // It names the old base.
        annotations.remove(BASE_NAME);
    }
    Ok(draft)
}

/// Refuses an image that is not on the old base. The same layer may be
/// compressed in different ways.
pub(crate) fn check(doing: &str, image: &Image, old: &Image) -> Result<()> {
    let doing = || format!("{doing} {}", image.descriptor.digest);
    let (ours, theirs) = (&image.config.rootfs.diff_ids, &old.config.rootfs.diff_ids);
    for both in [image, old] {
        if both.manifest.layers.len() != both.config.rootfs.diff_ids.len() {
            return Err(Error::new(Code::Malformed, doing())
                .found(format!(
                    "{} layers and {} diff_ids in {}",
                    both.manifest.layers.len(),
                    both.config.rootfs.diff_ids.len(),
                    both.descriptor.digest
                ))
                .expected("as many"));
        }
    }
    if theirs.len() > ours.len() {
        return Err(Error::new(Code::Failed, doing())
            .found(format!("{} layers, fewer than the {} of the base", ours.len(), theirs.len()))
            .expected("an image that was made on that base"));
    }
    match ours.iter().zip(theirs).position(|(ours, theirs)| ours != theirs) {
        None => Ok(()),
        Some(position) => Err(Error::new(Code::Failed, doing())
            .found(format!("layer {} is {}", position + 1, ours[position]))
            .expected(format!("{}, as in the base", theirs[position]))
            .fix(
                "name the base that the image was made on: plimsoll history REF shows its layers",
            )),
    }
}

/// How many steps of the history are those of the old base.
fn told(steps: &[Value], old: &[Value], depth: usize) -> usize {
    if steps.len() >= old.len() && steps[..old.len()] == *old {
        return old.len();
    }
    // It was told differently: up to the last of its layers.
    let mut layers = 0;
    steps
        .iter()
        .take_while(|step| {
            layers += usize::from(!is_empty_layer(step));
            layers <= depth && (layers < depth || !is_empty_layer(step))
        })
        .count()
}

fn list(value: Option<&Value>) -> Vec<Value> {
    value.and_then(Value::as_array).cloned().unwrap_or_default()
}
