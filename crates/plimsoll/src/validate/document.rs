//! Documents, and the blobs they point at.

use std::io;

use plimsoll_content::limits::DOCUMENT;
use plimsoll_content::{Code, Descriptor, Error, Platform, Result};
use plimsoll_layer::Check as Sense;
use plimsoll_spec::docker::schema1::is_schema1;
use plimsoll_spec::graph::{Node, Role};
use plimsoll_spec::rules::{self, Finding, Kind, Level, Report, table};
use plimsoll_spec::{LayerType, media_type};

use super::users::Users;
use super::{Check, Place, Target, join};
use crate::transfer::Watched;

impl Check<'_> {
    /// Judges what the descriptor points at, and all that it leads to.
    pub(super) fn document(
        &mut self,
        descriptor: &Descriptor,
        location: &str,
        depth: usize,
    ) -> Result<Target> {
        self.document_at(descriptor, location, depth, Level::Error)
    }

    /// The same, where it is `absent` bad if it is not there.
    pub(super) fn document_at(
        &mut self,
        descriptor: &Descriptor,
        location: &str,
        depth: usize,
        absent: Level,
    ) -> Result<Target> {
        self.visits += 1;
        let limits = self.source.limits();
        let place = Place::blob(location, &descriptor.digest);
        if depth > limits.index_depth || self.visits > limits.index_visits {
            let found = "more nested or listed documents than are ever sensible";
            self.push(&place, &Finding::new(Code::Limit, found, "fewer"));
            return Ok(Target::default());
        }
        if !Node::is_document(&descriptor.media_type) {
            self.blob(descriptor, location, absent)?;
            return Ok(Target::default());
        }
        let key = (descriptor.digest.clone(), descriptor.media_type.clone());
        if let Some(known) = self.documents.get(&key).cloned() {
            self.again(&place, descriptor);
            return Ok(known);
        }
        self.documents.insert(key.clone(), Target::default());
        if is_schema1(&descriptor.media_type) {
            let target = self.schema1(descriptor, location, absent)?;
            self.documents.insert(key, target.clone());
            return Ok(target);
        }
        let most = limits.index.max(limits.document);
        let Some(bytes) = self.read(descriptor, location, most, absent)? else {
            return Ok(Target::default());
        };
        let Some(kind) = Kind::of(&descriptor.media_type) else {
            return Ok(Target::default());
        };
        let report = rules::validate_within(&bytes, kind, &limits);
        self.judged(&place, &report, bytes.len() as u64);
        let target = match kind {
            Kind::Manifest | Kind::DockerManifest => self.manifest(kind, &report, location)?,
            _ => {
                self.entries(&place, kind, &report, location, depth)?;
                Target { kind: report.artifact_type.clone(), image: None }
            }
        };
        if let Some(subject) = &report.subject {
            self.subject(&place, subject, location)?;
        }
        self.documents.insert(key, target.clone());
        Ok(target)
    }

    /// Takes in what is wrong with a document by itself.
    pub(super) fn judged(&mut self, place: &Place<'_>, report: &Report, length: u64) {
        for finding in &report.findings {
            self.push(place, finding);
        }
        let embeds = report.leads.iter().any(|lead| lead.descriptor.data.is_some());
        if length > DOCUMENT && embeds {
            let found = format!("{length} bytes, with embedded content");
            self.push(place, &Finding::of(&table::DE43, Code::Limit, found).at(""));
        }
    }

    /// The content of a small blob, proved; `None` if it can not be had, which
    /// is told.
    fn read(
        &mut self,
        blob: &Descriptor,
        location: &str,
        most: u64,
        absent: Level,
    ) -> Result<Option<Vec<u8>>> {
        let read =
            blob.within("a document", most).and_then(|()| self.source.open(blob)?.read_all());
        match read {
            Ok(bytes) => {
                self.report.documents += 1;
                self.report.bytes += bytes.len() as u64;
                self.seen.insert((blob.digest.clone(), None));
                self.sizes.insert(blob.digest.clone(), blob.size);
                Ok(Some(bytes))
            }
            Err(error) => {
                let level = if error.code() == Code::NotFound { absent } else { Level::Error };
                self.fail(&Place::blob(location, &blob.digest), error, level)?;
                Ok(None)
            }
        }
    }

    /// The entries of an index.
    pub(super) fn entries(
        &mut self,
        place: &Place<'_>,
        kind: Kind,
        report: &Report,
        location: &str,
        depth: usize,
    ) -> Result<()> {
        for lead in &report.leads {
            let step = join(location, &format!("manifest {}", lead.position + 1));
            // Copies of a part of the platforms are usual.
            let target = self.document_at(&lead.descriptor, &step, depth + 1, Level::Warning)?;
            if !kind.is_docker() {
                let pointer = format!("/manifests/{}", lead.position);
                self.entry(place, &lead.descriptor, &target, &pointer, true);
            }
        }
        Ok(())
    }

    /// What a descriptor says about a document, against that document.
    pub(super) fn entry(
        &mut self,
        place: &Place<'_>,
        descriptor: &Descriptor,
        target: &Target,
        pointer: &str,
        in_index: bool,
    ) {
        if let (Some(said), Some(kind)) = (&descriptor.artifact_type, &target.kind)
            && said != kind
        {
            let finding =
                Finding::of(&table::DE19, Code::Malformed, format!("{:?}", said.as_str()))
                    .wanted(format!("{:?}, as the manifest says", kind.as_str()));
            self.push(place, &finding.at(format!("{pointer}/artifactType")));
        }
        let Some(image) = target.image.as_ref().filter(|_| pointer != "/subject") else { return };
        let for_ = shown(image);
        match &descriptor.platform {
            None => {
                let found = format!("none, for an image for {for_}");
                let rules = [Some(&table::DE20), in_index.then_some(&table::IX13)];
                for rule in rules.into_iter().flatten() {
                    let finding = Finding::of(rule, Code::Malformed, found.clone());
                    self.push(place, &finding.at(pointer));
                }
            }
            Some(said) if !agree(said, image) => {
                let finding = Finding::of(&table::IX13, Code::Malformed, shown(said))
                    .wanted(format!("{for_}, as the config says"));
                self.push(place, &finding.at(format!("{pointer}/platform")));
            }
            Some(_) => {}
        }
    }

    /// A weak link: what it leads to need not be there (MA29).
    fn subject(&mut self, place: &Place<'_>, subject: &Descriptor, location: &str) -> Result<()> {
        let step = join(location, "subject");
        if let Err(error) = self.source.fetch(subject, 0)
            && error.code() == Code::NotFound
        {
            return Ok(());
        }
        let key = (subject.digest.clone(), subject.media_type.clone());
        match self.documents.get(&key).cloned() {
            Some(target) => {
                self.again(&Place::blob(&step, &subject.digest), subject);
                self.entry(place, subject, &target, "/subject", false);
            }
            None => self.blob(subject, &step, Level::Note)?,
        }
        Ok(())
    }

    fn manifest(&mut self, kind: Kind, report: &Report, location: &str) -> Result<Target> {
        let config = report.leads.iter().find(|lead| lead.role == Role::Config);
        let layers = || report.leads.iter().filter(|lead| lead.role == Role::Layer);
        let is_image = config.is_some_and(|lead| {
            [media_type::CONFIG, media_type::DOCKER_CONFIG].contains(&lead.descriptor.media_type)
        });
        let (Some(config), true) = (config, is_image) else {
            if let Some(config) = config {
                self.blob(&config.descriptor, &join(location, "config"), Level::Error)?;
            }
            for lead in layers() {
                let step = join(location, &format!("layer {}", lead.position + 1));
                self.blob(&lead.descriptor, &step, Level::Error)?;
            }
            let kind = report.artifact_type.clone();
            return Ok(Target {
                kind: kind.or_else(|| config.map(|lead| lead.descriptor.media_type.clone())),
                image: None,
            });
        };
        let config = &config.descriptor;
        let here = join(location, "config");
        let place = Place::blob(&here, &config.digest);
        let limits = self.source.limits();
        let mut image = None;
        if let Some(bytes) = self.read(config, &here, limits.config, Level::Error)?
            && let Some(kind) = Kind::of(&config.media_type)
        {
            let judged = rules::validate_within(&bytes, kind, &limits);
            self.judged(&place, &judged, bytes.len() as u64);
            image = judged.image;
        }
        let known = image.is_some();
        let image = image.unwrap_or_default();
        let number = report.elements;
        if known && image.diff_ids.len() != number {
            let found = format!("{} diff_ids", image.diff_ids.len());
            let finding = Finding::of(&table::CF22, Code::Malformed, found)
                .wanted(format!("{number}, one for each layer of the manifest"));
            self.push(&place, &finding.at("/rootfs/diff_ids"));
            if image.diff_ids.is_empty() && !kind.is_docker() {
                let finding = Finding::of(&table::MA17, Code::Malformed, "no diff_ids");
                self.push(&place, &finding.at("/rootfs/diff_ids"));
            }
        }
        let (mut sense, mut users) = (Sense::new(), Users::default());
        let mut next = 0;
        for lead in layers() {
            let step = join(location, &format!("layer {}", lead.position + 1));
            if lead.position != next {
                // One in between can not be read.
                sense.skip_layer();
                users.skip();
            }
            next = lead.position + 1;
            // By position, never by digest.
            let diff_id = image.diff_ids.get(lead.position).and_then(Option::as_ref);
            match LayerType::of(&lead.descriptor.media_type) {
                Some(kind) => {
                    self.layer(&lead.descriptor, kind, diff_id, &mut sense, &mut users, &step)?;
                }
                None => {
                    sense.skip_layer();
                    users.skip();
                    self.blob(&lead.descriptor, &step, Level::Error)?;
                }
            }
        }
        if let Some(user) = &image.user
            && image.platform.os != "windows"
            && next == number
            && let Some(error) = users.refuse(user)
        {
            let finding = Finding::of(&table::CF11, Code::Config, error.headline());
            self.push(&place, &finding.at("/config/User"));
        }
        // What is an artifact by its layers has no platform to speak of.
        let runs = number == 0
            || layers().any(|lead| LayerType::of(&lead.descriptor.media_type).is_some());
        let kind = report.artifact_type.clone().or_else(|| Some(config.media_type.clone()));
        let platform = (known && runs && !image.platform.os.is_empty()).then_some(image.platform);
        Ok(Target { kind, image: platform })
    }

    /// A blob whose meaning is unknown: size and digest.
    pub(super) fn blob(&mut self, blob: &Descriptor, location: &str, absent: Level) -> Result<()> {
        if !self.seen.insert((blob.digest.clone(), None)) {
            self.again(&Place::blob(location, &blob.digest), blob);
            return Ok(());
        }
        self.watch.begin(location, Some(blob.size));
        let proved = self.source.open(blob).and_then(|mut reader| {
            io::copy(&mut Watched::new(&mut reader, self.watch), &mut io::sink())
                .map_err(|cause| Error::io("reading blob", &blob.digest, cause))?;
            reader.finish().map(|_| ())
        });
        self.watch.end(&format!("{location}  {}", blob.digest));
        match proved {
            Ok(()) => {
                self.report.blobs += 1;
                self.report.bytes += blob.size;
                self.sizes.insert(blob.digest.clone(), blob.size);
                Ok(())
            }
            Err(error) => {
                let level = if error.code() == Code::NotFound { absent } else { Level::Error };
                self.fail(&Place::blob(location, &blob.digest), error, level)
            }
        }
    }
}

/// Whether an entry says what the config says, as far as both say it.
fn agree(said: &Platform, image: &Platform) -> bool {
    fn same<T: PartialEq>(a: Option<&T>, b: Option<&T>) -> bool {
        a.is_none() || b.is_none() || a == b
    }
    let both = said.variant.is_some() && image.variant.is_some();
    let (said, image) = (said.normalized(), image.normalized());
    said.os == image.os
        && said.architecture == image.architecture
        && (!both || same(said.variant.as_ref(), image.variant.as_ref()))
        && same(said.os_version.as_ref(), image.os_version.as_ref())
}

fn shown(platform: &Platform) -> String {
    platform.to_string().escape_debug().to_string()
}
