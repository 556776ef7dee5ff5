//! Whether a builder makes what it was asked for, by the rules.

use std::fs;
use std::os::fd::AsFd as _;
use std::time::Duration;

use plimsoll_content::{Algorithm, Code, Digest, Error, Result};
use plimsoll_layer::apply::{Applier, Devices, Ids, Options};
use plimsoll_layer::codec::{Decoder, Format};
use plimsoll_layer::tar::Entries;
use plimsoll_layer::{Check, Limits, Root};
use plimsoll_spec::rules::{Level, layer_finding};
use serde_json::Value;

use super::engine::{members, values};
use super::image::Written;
use super::process::{self, quoted};
use super::{Ground, Judged, Verdict, is_root};
use crate::case::{Ask, TAG};
use crate::recipe;
use crate::tree;

/// How long the making of a folder may take.
const SCRIPT: Duration = Duration::from_secs(30);

/// The annotation that holds the name of an image in `index.json`.
const NAME: &str = "org.opencontainers.image.ref.name";

impl Ground<'_> {
    pub(super) fn builder(&self) -> Result<Judged> {
        let mut words = String::new();
        for (option, value) in &self.case.body.options {
            let Some(template) = self.adapter.options.get(option) else {
                return Ok((Verdict::NotApplicable, format!("can not be asked for {option}")));
            };
            let one = std::slice::from_ref(value);
            for value in value.as_array().map_or(one, Vec::as_slice) {
                let value = value.as_str().unwrap_or_default();
                words.push(' ');
                words.push_str(&template.replace("{value}", &quoted(value)));
            }
        }
        self.input()?;
        let template = self.adapter.template(Ask::Unpack).replace("{options}", &words);
        let expect = &self.case.body.expect;
        let mut first = None;
        for _ in 0..=u8::from(expect.reproducible) {
            super::scratch::remove(&self.path("out"));
            let ended = self.command(&template, &[])?;
            match ended.code {
                None => {
                    return Ok(self.late());
                }
                Some(0) if expect.refused => {
                    return Ok((Verdict::Fail, "makes what no image can hold".to_owned()));
                }
                Some(0) => {}
                Some(_) => {
                    let right = expect.refused || expect.may_refuse;
                    let verdict = if right { Verdict::Pass } else { Verdict::Refused };
                    return Ok((verdict, ended.last_words()));
                }
            }
            let digest = match self.made() {
                Ok(digest) => digest,
                Err(error) => return Ok((Verdict::Fail, error.to_string())),
            };
            if first.get_or_insert_with(|| digest.clone()) != &digest {
                return Ok((Verdict::Fail, "another image each time".to_owned()));
            }
        }
        Ok((Verdict::Pass, String::new()))
    }

    /// Makes the folder that the image is to hold.
    fn input(&self) -> Result<()> {
        let path = self.path("folder");
        fs::create_dir(&path).map_err(|cause| Error::io("making", path.display(), cause))?;
        let none = Value::Array(Vec::new());
        let archive = recipe::archive(self.case.body.folder.as_ref().unwrap_or(&none))?;
        let diff_id = Digest::of(Algorithm::Sha256, &archive);
        let root = Root::open(&path)?;
        let ids = if is_root() { Ids::Keep } else { Ids::Own };
        let options = Options { ids, devices: Devices::Create, ..Options::default() };
        let mut applier = Applier::new(root.as_fd(), options)?;
        applier.apply(&archive[..], Format::Tar, &diff_id)?;
        applier.finish()?;
        if let Some(script) = &self.case.body.script {
            let ended =
                process::run(&format!("cd folder; {script}"), &self.folder, SCRIPT, self.watch)?;
            if ended.code != Some(0) {
                return Err(Error::new(Code::Failed, "making the folder of a case")
                    .found(ended.last_words()));
            }
        }
        Ok(())
    }

    /// Proves all of the image that was made, compares it with what is
    /// expected, and gives its digest.
    fn made(&self) -> Result<String> {
        let written = Written::new(&self.path("out"));
        let listed = written.listed()?;
        let descriptor = listed
            .iter()
            .find(|entry| entry["annotations"][NAME] == TAG)
            .or_else(|| (listed.len() == 1).then(|| &listed[0]))
            .ok_or_else(|| not_so("looking for the image", format!("no {TAG}"), "one"))?;
        let manifest = written.document(descriptor)?;
        let config = written.document(&manifest["config"])?;
        let expect = &self.case.body.expect;
        let difference =
            values(&expect.image, &config).or_else(|| members(&expect.has, &config, true));
        if let Some(difference) = difference {
            return Err(not_so("reading the config", difference, "what was asked for"));
        }
        if let Some(difference) = values(&expect.manifest, &manifest) {
            return Err(not_so("reading the manifest", difference, "what it has to say"));
        }
        let value = |place: &str| {
            let (document, pointer) = place.split_once('#').unwrap_or(("", place));
            match document {
                "config" => config.pointer(pointer),
                "manifest" => manifest.pointer(pointer),
                _ => descriptor.pointer(pointer),
            }
        };
        if let Some(place) = expect.present.iter().find(|place| value(place).is_none()) {
            return Err(not_so("reading documents", format!("no {place}"), "one"));
        }
        let wrong = |place: &&String| value(place).is_some_and(|value| !is_time(value));
        if let Some(place) = expect.time.iter().find(wrong) {
            return Err(not_so("reading documents", format!("{place} is no time"), "RFC 3339"));
        }
        let none = Vec::new();
        let layers = manifest["layers"].as_array().unwrap_or(&none);
        let diff_ids = config["rootfs"]["diff_ids"].as_array().unwrap_or(&none);
        let steps = config["history"].as_array().unwrap_or(&none);
        let filled = steps.iter().filter(|step| step["empty_layer"] != true).count();
        if expect.history && !steps.is_empty() && filled != layers.len() {
            let found = format!("{} layers, a history of {filled}", layers.len());
            return Err(not_so("reading the config", found, "as many of both"));
        }
        if layers.len() != diff_ids.len() {
            let found = format!("{} layers, {} diff_ids", layers.len(), diff_ids.len());
            return Err(not_so("reading the config", found, "as many of both"));
        }
        let path = self.path("applied");
        super::scratch::remove(&path);
        fs::create_dir(&path).map_err(|cause| Error::io("making", path.display(), cause))?;
        let root = Root::open(&path)?;
        let ids = if is_root() { Ids::Keep } else { Ids::Own };
        let options = Options { ids, devices: Devices::Create, ..Options::default() };
        let mut applier = Applier::new(root.as_fd(), options)?;
        let mut check = Check::new();
        for (layer, diff_id) in layers.iter().zip(diff_ids) {
            let blob = written.content(layer)?;
            let format = format(layer)?;
            rules(&blob, format, &mut check)?;
            let diff_id = diff_id.as_str().unwrap_or_default().parse()?;
            applier.apply(&blob[..], format, &diff_id)?;
        }
        applier.finish()?;
        if let Some(entries) = &expect.entries {
            let tree = tree::look(&path)?;
            if let Some(difference) = tree::difference(entries, &tree, is_root()) {
                return Err(not_so("applying the layers", difference, "what the folder holds"));
            }
        }
        Ok(descriptor["digest"].as_str().unwrap_or_default().to_owned())
    }
}

/// The rules that hold for every layer: no path twice, whiteouts empty, only
/// types that a layer may have.
fn rules(blob: &[u8], format: Format, check: &mut Check) -> Result<()> {
    let limits = Limits::default();
    let mut entries = Entries::new(Decoder::new(format, blob, &limits)?, limits).strict();
    while let Some((entry, _body)) = entries.next()? {
        check.entry(&entry, entries.header());
    }
    let (_, mut findings) = entries.finish()?;
    findings.extend(check.end_layer());
    match findings.iter().find(|finding| layer_finding(finding.name).1 == Level::Error) {
        Some(finding) => Err(not_so("reading a layer", finding, "a layer by the rules")),
        None => Ok(()),
    }
}

fn format(layer: &Value) -> Result<Format> {
    let media_type = layer["mediaType"].as_str().unwrap_or_default();
    match media_type.rsplit('.').next().unwrap_or_default() {
        "tar" => Ok(Format::Tar),
        "tar+gzip" => Ok(Format::Gzip),
        "tar+zstd" => Ok(Format::Zstd),
        _ => Err(not_so("reading a layer", media_type, "a type that all engines know (MA25)")),
    }
}

/// Whether a value looks like a time of RFC 3339: enough for builders, which
/// take it from a library.
fn is_time(value: &Value) -> bool {
    let text = value.as_str().unwrap_or_default().as_bytes();
    let shape = b"dddd-dd-ddTdd:dd:dd";
    let fits = text.iter().zip(shape).all(|(byte, wanted)| match wanted {
        b'd' => byte.is_ascii_digit(),
        wanted => byte == wanted,
    });
    text.len() > shape.len() && fits && matches!(text[shape.len()], b'Z' | b'.' | b'+' | b'-')
}

fn not_so(doing: &str, found: impl std::fmt::Display, expected: &str) -> Error {
    Error::new(Code::Invalid, doing).found(found).expected(expected)
}
