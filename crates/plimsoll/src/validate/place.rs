//! Whole places: a layout by the letter, and everything that lies in it.

use plimsoll_content::limits::Limits as DocumentLimits;
use plimsoll_content::{Code, Descriptor, Digest, Error, Kind, MediaType, Result, Watch};
use plimsoll_layer::Limits;
use plimsoll_spec::annotations::REF_NAME;
use plimsoll_spec::rules::{self, Finding, Level, table};
use plimsoll_store::{Frame, Layout};

use super::{Check, Place, Report, Target};
use crate::place::{Held, Home, Opened};
use crate::reference::{At, Reference, Which};

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
        let reference = match self.locate(&reference) {
            // A store that is broken is what is to be told of.
            Err(error) if error.kind() == Kind::Integrity || error.code() == Code::NotALayout => {
                reference.local()
            }
            located => located?,
        };
        let whole = match &reference {
            Reference::Layout { which, .. } | Reference::Archive { which, .. } => {
                *which == Which::Only
            }
            Reference::Dir(_) => true,
            Reference::Store { .. }
            | Reference::Name { .. }
            | Reference::Path(_)
            | Reference::Registry { .. }
            | Reference::Zone { .. } => false,
        };
        if !whole {
            return self.named(&reference, limits, watch);
        }
        let (held, ..) = self.hold_as(&reference, false)?;
        let Some(held) = held else {
            return Err(Error::new(Code::Bug, "validating a place").found("none"));
        };
        let mut check = Check::new(held.source(), limits, watch);
        match &held {
            Held::Layout(layout) => {
                let frame = layout.frame();
                if is_nothing(&frame) {
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
            Held::Dir(_) | Held::Registry(_) | Held::Named(_) => check.list(&held)?,
        }
        Ok(check.finish())
    }
}

impl Home {
    /// Checks one image of a place, with what the list of the place says
    /// about it.
    fn named(&self, reference: &Reference, limits: Limits, watch: &dyn Watch) -> Result<Report> {
        let opened = match self.open(reference) {
            Err(error) if error.kind() == Kind::Integrity || error.code() == Code::NotALayout => {
                return self.unlisted(reference, limits, watch)?.ok_or(error);
            }
            other => other?,
        };
        let mut check = Check::new(opened.source(), limits, watch);
        let frame = frame(opened.held());
        check.layout = frame.is_some();
        let target = check.document(&opened.root, "", 0)?;
        if let Some(Ok(Some(index))) = frame.map(|frame| frame.index) {
            let report = rules::validate_within(&index, rules::Kind::LayoutIndex, &self.limits());
            check.listed(&opened, &report, &target);
        }
        check.report.digest = Some(opened.root.digest.clone());
        Ok(check.finish())
    }

    /// What is wrong with the list of a layout that can not be read; `None` if
    /// that is not what keeps the image from being found.
    fn unlisted(
        &self,
        reference: &Reference,
        limits: Limits,
        watch: &dyn Watch,
    ) -> Result<Option<Report>> {
        if let Reference::Archive { at: At::Stream, .. } = reference {
            return Ok(None);
        }
        let Some(held) = self.hold_as(reference, false)?.0 else { return Ok(None) };
        let Some(frame) = frame(&held).filter(|frame| !is_nothing(frame)) else { return Ok(None) };
        let mut check = Check::new(held.source(), limits, watch);
        check.documents_of(frame, &self.limits())?;
        let report = check.finish();
        Ok((!report.valid).then_some(report))
    }
}

/// Whether there is no part of a layout at all.
fn is_nothing(frame: &Frame) -> bool {
    matches!((&frame.header, &frame.index), (Ok(None), Ok(None))) && !frame.blobs
}

/// The parts of a layout, wherever it lies.
fn frame(held: &Held) -> Option<Frame> {
    match held {
        Held::Layout(layout) => Some(layout.frame()),
        Held::Archive(archive) => archive.frame(),
        Held::Dir(_) | Held::Registry(_) | Held::Named(_) => None,
    }
}

impl Check<'_> {
    /// What `index.json` says about the image that was named.
    fn listed(&mut self, opened: &Opened, index: &rules::Report, target: &Target) {
        let place = Place::file(INDEX);
        let lead = index.leads.iter().find(|lead| {
            let name = lead.descriptor.annotations.get(REF_NAME).map(String::as_str);
            lead.descriptor.digest == opened.root.digest
                && (opened.name().is_none() || opened.name() == name)
        });
        let Some(lead) = lead else { return };
        let entry = format!("/manifests/{}", lead.position);
        for finding in &index.findings {
            let pointer = finding.pointer.as_deref().unwrap_or_default();
            let rest = pointer.strip_prefix(&entry);
            if rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
                self.push(&place, finding);
            }
        }
        self.entry(&place, &lead.descriptor, target, &entry, false);
    }

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
        let Some(report) = self.documents_of(frame, limits)? else { return Ok(()) };
        let place = Place::file(INDEX);
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

    /// The two documents alone; gives what `index.json` is like.
    fn documents_of(
        &mut self,
        frame: Frame,
        limits: &DocumentLimits,
    ) -> Result<Option<rules::Report>> {
        self.layout = true;
        if !frame.blobs {
            let found = "no folder of blobs";
            self.push(&Place::file(BLOBS), &Finding::of(&table::LA2, Code::NotALayout, found));
        }
        let place = Place::file(HEADER);
        if let Some(bytes) = self.part(&place, frame.header, &table::LA4)? {
            let report = rules::validate_within(&bytes, rules::Kind::LayoutHeader, limits);
            self.judged(&place, &report, bytes.len() as u64);
            self.report.documents += 1;
        }
        let place = Place::file(INDEX);
        let Some(bytes) = self.part(&place, frame.index, &table::LA8)? else { return Ok(None) };
        let report = rules::validate_within(&bytes, rules::Kind::LayoutIndex, limits);
        self.judged(&place, &report, bytes.len() as u64);
        self.report.documents += 1;
        self.report.bytes += bytes.len() as u64;
        Ok(Some(report))
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
