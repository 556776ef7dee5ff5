//! Whole places: a layout by the letter, and everything that lies in it.

use plimsoll_content::limits::Limits as DocumentLimits;
use plimsoll_content::{Code, Descriptor, Digest, Error, MediaType, Result, Watch};
use plimsoll_layer::Limits;
use plimsoll_spec::annotations::REF_NAME;
use plimsoll_spec::rules::{self, Finding, Kind, Level, table};
use plimsoll_store::{Frame, Layout};

use super::{Check, Place, Report, validate};
use crate::place::{Held, Home};
use crate::reference::{Reference, Which};

const HEADER: &str = "oci-layout";
const INDEX: &str = "index.json";
const BLOBS: &str = "blobs";

impl Home {
    /// Checks what the reference names; a place as a whole, if it names none
    /// of its images.
    pub fn validate(
        &self,
        reference: &Reference,
        limits: Limits,
        watch: &dyn Watch,
    ) -> Result<Report> {
        let reference = reference.clone().look(true)?;
        let whole = match &reference {
            Reference::Layout { which, .. } | Reference::Archive { which, .. } => {
                *which == Which::Only
            }
            Reference::Dir(_) => true,
            Reference::Store { .. } | Reference::Path(_) | Reference::Registry { .. } => false,
        };
        if !whole {
            let opened = self.open(&reference)?;
            return match opened.held() {
                Held::Layout(_) => {
                    let mut check = Check::new(opened.source(), limits, watch);
                    check.layout = true;
                    check.document(&opened.root, "", 0)?;
                    check.report.digest = Some(opened.root.digest.clone());
                    Ok(check.finish())
                }
                _ => validate(opened.source(), &opened.root, limits, watch),
            };
        }
        let (held, ..) = self.hold_as(&reference, false)?;
        let Some(held) = held else {
            return Err(Error::new(Code::Bug, "validating a place").found("none"));
        };
        let mut check = Check::new(held.source(), limits, watch);
        match &held {
            Held::Layout(layout) => {
                let frame = layout.frame();
                if matches!((&frame.header, &frame.index), (Ok(None), Ok(None))) && !frame.blobs {
                    // The error says what the folder may be instead.
                    Layout::open_with(layout.path(), self.options())?;
                }
                check.frame(frame, &self.limits())?;
                check.inventory(layout)?;
            }
            Held::Archive(archive) => match archive.frame() {
                Some(frame) => {
                    check.frame(frame, &self.limits())?;
                    let (blobs, strangers) = archive.inventory();
                    let strangers = strangers.iter().map(|path| path.display().to_string());
                    check.strangers(strangers);
                    check.loose(blobs)?;
                }
                None => check.list(&held)?,
            },
            Held::Dir(_) | Held::Registry(_) => check.list(&held)?,
        }
        Ok(check.finish())
    }
}

impl Check<'_> {
    /// What a place without an index of its own lists.
    fn list(&mut self, held: &Held) -> Result<()> {
        let entries = held.catalog()?.into_entries();
        let only = entries.len() == 1;
        for entry in &entries {
            let label = label(&entry.descriptor, entry.position, only);
            self.document(&entry.descriptor, &label, 0)?;
            self.report.digest = only.then(|| entry.descriptor.digest.clone());
        }
        Ok(())
    }

    /// The two documents of a layout, and what the second leads to.
    fn frame(&mut self, frame: Frame, limits: &DocumentLimits) -> Result<()> {
        self.layout = true;
        if !frame.blobs {
            let found = "no folder of blobs";
            self.push(&Place::file(BLOBS), &Finding::of(&table::LA2, Code::NotALayout, found));
        }
        let place = Place::file(HEADER);
        if let Some(bytes) = self.part(&place, frame.header, &table::LA4)? {
            let report = rules::validate_within(&bytes, Kind::LayoutHeader, limits);
            self.judged(&place, &report, bytes.len() as u64);
            self.report.documents += 1;
        }
        let place = Place::file(INDEX);
        let Some(bytes) = self.part(&place, frame.index, &table::LA8)? else { return Ok(()) };
        let report = rules::validate_within(&bytes, Kind::LayoutIndex, limits);
        self.judged(&place, &report, bytes.len() as u64);
        self.report.documents += 1;
        self.report.bytes += bytes.len() as u64;
        let only = report.leads.len() == 1;
        for lead in &report.leads {
            let label = label(&lead.descriptor, lead.position, only);
            let target = self.document(&lead.descriptor, &label, 0)?;
            let pointer = format!("/manifests/{}", lead.position);
            self.entry(&place, &lead.descriptor, &target, &pointer, false);
            self.report.digest = only.then(|| lead.descriptor.digest.clone());
        }
        Ok(())
    }

    fn part(
        &mut self,
        place: &Place<'_>,
        part: Result<Option<Vec<u8>>>,
        rule: &'static rules::Rule,
    ) -> Result<Option<Vec<u8>>> {
        match part {
            Ok(Some(bytes)) => Ok(Some(bytes)),
            Ok(None) => {
                self.push(place, &Finding::of(rule, Code::NotALayout, "no such file"));
                Ok(None)
            }
            Err(error) => {
                self.fail(place, error, Level::Error)?;
                Ok(None)
            }
        }
    }

    /// What lies among the blobs of a layout, reached or not.
    fn inventory(&mut self, layout: &Layout) -> Result<()> {
        let inventory = match layout.inventory() {
            Ok(inventory) => inventory,
            Err(error) => return self.fail(&Place::file(BLOBS), error, Level::Error),
        };
        self.strangers(inventory.strangers.iter().map(|path| path.display().to_string()));
        let mut loose = Vec::new();
        for digest in inventory.blobs {
            if self.reached(&digest) {
                continue;
            }
            match layout.blob_size(&digest) {
                Ok(Some(size)) => loose.push((digest, size)),
                Ok(None) => {}
                Err(error) => self.fail(&Place::blob("blobs", &digest), error, Level::Error)?,
            }
        }
        self.loose(loose)
    }

    fn strangers(&mut self, names: impl Iterator<Item = String>) {
        for name in names {
            let found = format!("{name:?}");
            self.push(&Place::file(&name), &Finding::of(&table::LA12, Code::Malformed, found));
        }
    }

    /// Blobs that nothing leads to: their content is what their name says all
    /// the same.
    fn loose(&mut self, mut blobs: Vec<(Digest, u64)>) -> Result<()> {
        blobs.retain(|(digest, _)| !self.reached(digest));
        let (number, bytes) = (blobs.len(), blobs.iter().map(|(_, size)| size).sum::<u64>());
        for (digest, size) in blobs {
            let blob = Descriptor::new(OCTETS, digest, size);
            self.blob(&blob, "unreferenced", Level::Error)?;
        }
        if number > 0 {
            let found = format!("{number} blobs of {bytes} bytes that nothing refers to");
            self.push(&Place::file(BLOBS), &Finding::of(&table::LA13, Code::NotFound, found));
        }
        Ok(())
    }

    /// Whether a blob was read already, or could not be.
    fn reached(&self, digest: &Digest) -> bool {
        self.seen.contains(&(digest.clone(), None))
    }
}

const OCTETS: MediaType = MediaType::from_static("application/octet-stream");

/// What an image of a place is called.
fn label(root: &Descriptor, position: usize, only: bool) -> String {
    match root.annotations.get(REF_NAME) {
        _ if only => String::new(),
        Some(name) => name.clone(),
        None => format!("entry {}", position + 1),
    }
}
