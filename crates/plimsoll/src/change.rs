//! Changing an image in its place: the name moves from what it was to what
//! was made of it, and nobody else's change is lost.

use std::collections::BTreeMap;

use plimsoll_content::{Annotations, Code, Descriptor, Digest, Error, Platform, Result, Watch};
use serde::Serialize;

use crate::draft::{Changed, Draft, Rewrite};
use crate::edit::Edit;
use crate::image::Image;
use crate::place::{Home, Opened, Target};
use crate::reference::Reference;

/// How often somebody else may move the name first.
const RACES: usize = 100;

/// What is done to an image: it gives the descriptor of what came of it.
type Work<'a, T> = dyn FnMut(&Opened, &Target) -> Result<(Descriptor, T)> + 'a;

/// An image that was changed.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Its name.
    pub name: String,
    /// The digest that was changed.
    pub from: Digest,
    /// The digest that came of it.
    pub digest: Digest,
    /// The images that were changed: one, or those of an index.
    pub images: Vec<Changed>,
}

impl Home {
    /// Does `work` on an image, and names what comes of it: as the image was
    /// named, or `new`. If somebody else moves the old name meanwhile, the
    /// work is done again on what it stands for then.
    pub(crate) fn change<T>(
        &self,
        reference: &Reference,
        new: Option<&str>,
        work: &mut Work<'_, T>,
    ) -> Result<(String, Digest, Descriptor, T)> {
        for _ in 0..RACES {
            // In its place, a name is changed where it is ours.
            let opened = match new {
                None => self.open_to_change(reference)?,
                Some(_) => self.open(reference)?,
            };
            let target = self.beside(&opened, new)?;
            let name = target.published_name().to_owned();
            let (descriptor, done) = work(&opened, &target)?;
            if new.is_some() {
                target.publish(&descriptor)?;
            } else if !target.publish_over(&descriptor, &opened.root.digest)? {
                continue;
            }
            return Ok((name, opened.root.digest, descriptor, done));
        }
        Err(Error::new(Code::Locked, format!("changing {reference}"))
            .found("others who keep moving the name")
            .expected("a moment of rest"))
    }

    /// Changes every image that the reference leads to, or those for
    /// `platform`.
    pub(crate) fn rewrite(
        &self,
        reference: &Reference,
        new: Option<&str>,
        platform: Option<&Platform>,
        edit_index: &dyn Fn(&mut serde_json::Map<String, serde_json::Value>) -> Result<()>,
        change: &mut dyn FnMut(&Image, &Target) -> Result<Draft>,
        watch: &dyn Watch,
    ) -> Result<Report> {
        let (name, from, descriptor, images) =
            self.change(reference, new, &mut |opened, target| {
                let mut rewrite = Rewrite {
                    source: opened.source(),
                    sink: target.sink(),
                    platform,
                    change: &mut |image| change(image, target),
                    index: edit_index,
                    watch,
                    changed: Vec::new(),
                    done: BTreeMap::new(),
                };
                let new = rewrite.run(&opened.root)?;
                Ok((new, rewrite.changed))
            })?;
        Ok(Report { name, from, digest: descriptor.digest, images })
    }

    /// Changes the config and annotations of an image: what is named is set
    /// or taken away, nothing else is touched.
    pub fn edit(
        &self,
        reference: &Reference,
        new: Option<&str>,
        platform: Option<&Platform>,
        edit: &Edit,
        annotations: &Annotations,
        watch: &dyn Watch,
    ) -> Result<Report> {
        let edit_index = |index: &mut serde_json::Map<_, _>| edit.annotate(index, annotations);
        self.rewrite(
            reference,
            new,
            platform,
            &edit_index,
            &mut |image, _| {
                let mut draft = Draft::of(image)?;
                draft.edit(edit)?;
                draft.annotate(edit, annotations)?;
                Ok(draft)
            },
            watch,
        )
    }
}
