//! `plimsoll resolve`: what a name means, and who vouches for it.

use std::path::PathBuf;

use plimsoll::content::{Code, Descriptor, Error, Platform, Result};
use plimsoll::name::chain::{Resolution, Way};
use plimsoll::name::lock::Lock;
use plimsoll::name::zone::Report;
use plimsoll::name::{Assurance, Reference};
use serde::Serialize;

use crate::context::Context;
use crate::out::{Style, safe};

/// Tell what a name means, and who vouches for it.
///
/// The name is asked for as `pull` and `run` do: rules of this machine, the
/// DNS and the web server of its domain, the zones that they lead to, and the
/// registry at that host last.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The names, as in example.com/org/app:v1
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,

    /// List all images under the name
    #[arg(long, conflicts_with = "lock")]
    all: bool,

    /// Ask the pages at the name for archives of AppC, and nobody else
    #[arg(long, conflicts_with_all = ["lock", "all"])]
    appc: bool,

    /// Write down what the names mean, for --locked
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "names.lock", require_equals = true)]
    lock: Option<PathBuf>,

    /// The platform to take where the name leaves several
    #[arg(long, value_name = "OS/ARCH[/VARIANT]", env = "PLIMSOLL_PLATFORM")]
    platform: Option<Platform>,
}

#[derive(Serialize)]
struct Document {
    names: Vec<Entry>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    unicode: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    descriptor: Option<Descriptor>,
    assurance: Assurance,
    #[serde(skip_serializing_if = "Option::is_none")]
    caveat: Option<&'static str>,
    way: Way,
    zones: Vec<Report>,
    cas_engines: Vec<String>,
    registries: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    images: Vec<Image>,
    #[serde(skip_serializing_if = "Option::is_none")]
    archive: Option<Archive>,
    notes: Vec<String>,
    requests: u64,
    bytes: u64,
}

/// An archive of AppC, which nobody has looked at.
#[derive(Serialize)]
struct Archive {
    archive: String,
    signature: String,
    keys: Vec<String>,
    page: String,
}

#[derive(Serialize)]
struct Image {
    which: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    platform: Option<String>,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<u8> {
    let naming = context.home.naming()?;
    let mut lock = args.lock.as_ref().map(read).transpose()?;
    let mut document = Document { names: Vec::new() };
    for text in &args.names {
        let name: Reference = text.parse()?;
        if args.appc {
            let platform = args.platform.clone().unwrap_or_else(Platform::host);
            let found = naming.archive(&context.home, &name, &platform)?.ok_or_else(|| {
                Error::new(Code::NotFound, format!("asking the pages of {name}"))
                    .found("no tag ac-discovery for it")
                    .expected("one, there or above")
            })?;
            let mut entry = Entry::of(&name, Assurance::Tls, Way::Page);
            entry.archive = Some(Archive {
                archive: found.archive.to_string(),
                signature: found.signature.to_string(),
                keys: found.keys.iter().map(ToString::to_string).collect(),
                page: found.page.to_string(),
            });
            document.names.push(entry);
            continue;
        }
        if args.all {
            let found = naming.list(&context.home, &name)?;
            let mut entry = Entry::of(&name, found.found.assurance, found.found.way);
            entry.zones = found.found.zones;
            entry.notes = found.found.notes;
            for image in found.listing.iter().flat_map(|list| list.images()) {
                entry.images.push(Image {
                    which: plimsoll::name::listing::ref_of(image).unwrap_or_default().to_owned(),
                    digest: Some(image.digest.to_string()),
                    platform: image.platform.as_ref().map(ToString::to_string),
                });
            }
            let tags = found.tags.into_iter();
            entry.images.extend(tags.map(|which| Image { which, digest: None, platform: None }));
            document.names.push(entry);
            continue;
        }
        let found = match naming.lock_entry(&name)? {
            Some(locked) => locked.meaning(&name)?,
            None => naming.resolve(&context.home, &name, args.platform.as_ref())?,
        };
        if let Some(lock) = &mut lock {
            lock.note(&found, naming.now);
        }
        document.names.push(Entry::from(found));
    }
    if let (Some(path), Some(lock)) = (&args.lock, &lock) {
        std::fs::write(path, lock.to_bytes()?)
            .map_err(|cause| Error::io("writing", path.display(), cause))?;
    }
    let essential: Vec<String> = document
        .names
        .iter()
        .filter_map(|entry| match (&entry.descriptor, &entry.archive) {
            (Some(image), _) => Some(image.digest.to_string()),
            (None, archive) => archive.as_ref().map(|found| found.archive.clone()),
        })
        .collect();
    context
        .out
        .report("resolve", &document, &essential.join("\n"), |style| text(&document, style))?;
    Ok(0)
}

fn read(path: &PathBuf) -> Result<Lock> {
    match std::fs::read(path) {
        Ok(bytes) => Lock::parse(&bytes),
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(Lock::default()),
        Err(cause) => Err(Error::io("reading", path.display(), cause).recode(Code::Io)),
    }
}

impl Entry {
    fn of(name: &Reference, assurance: Assurance, way: Way) -> Self {
        Self {
            name: name.to_string(),
            unicode: name.host.unicode(),
            descriptor: None,
            assurance,
            caveat: assurance.caveat(),
            way,
            zones: Vec::new(),
            cas_engines: Vec::new(),
            registries: Vec::new(),
            images: Vec::new(),
            archive: None,
            notes: Vec::new(),
            requests: 0,
            bytes: 0,
        }
    }
}

impl From<Resolution> for Entry {
    fn from(found: Resolution) -> Self {
        Self {
            descriptor: Some(found.descriptor),
            zones: found.zones,
            cas_engines: found.cas.iter().map(ToString::to_string).collect(),
            registries: found
                .registries
                .iter()
                .map(|(host, path)| format!("docker://{host}/{path}"))
                .collect(),
            notes: found.notes,
            requests: found.cost.0,
            bytes: found.cost.1,
            ..Self::of(&found.name, found.assurance, found.way)
        }
    }
}

fn text(document: &Document, style: Style) -> String {
    let mut out = String::new();
    for entry in &document.names {
        let digest = entry.descriptor.as_ref().map(|image| image.digest.to_string());
        out.push_str(&format!("{}  {}\n", safe(&entry.name), digest.unwrap_or_default()));
        if let Some(unicode) = &entry.unicode {
            out.push_str(&format!("  host       {}\n", safe(unicode)));
        }
        let mut line = |name: &str, text: String| out.push_str(&format!("  {name:<10} {text}\n"));
        line("assurance", style.good(entry.assurance.as_str()));
        if let Some(caveat) = entry.caveat {
            line("", style.faint(caveat));
        }
        line("by", entry.way.as_str().to_owned());
        for zone in &entry.zones {
            line(
                "zone",
                format!(
                    "{}  root {} timestamp {}  until {}  {}",
                    safe(&zone.prefix),
                    zone.root_version,
                    zone.timestamp_version,
                    zone.expires,
                    style.faint(&zone.metadata.to_string())
                ),
            );
        }
        if let Some(image) = &entry.descriptor {
            line("image", format!("{}, {} bytes", safe(image.media_type.as_str()), image.size));
        }
        for place in entry.cas_engines.iter().chain(&entry.registries) {
            line("content", safe(place));
        }
        for image in &entry.images {
            let platform = image.platform.clone().unwrap_or_default();
            let digest = image.digest.clone().unwrap_or_default();
            line("image", format!("{}  {digest}  {}", safe(&image.which), safe(&platform)));
        }
        if let Some(found) = &entry.archive {
            line("archive", safe(&found.archive));
            line("signature", safe(&found.signature));
            for keys in &found.keys {
                line("keys", safe(keys));
            }
        }
        for note in &entry.notes {
            line("note", safe(note));
        }
    }
    out
}
