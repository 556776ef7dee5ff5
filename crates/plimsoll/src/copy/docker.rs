//! Images go into what `docker load` accepts.
//!
//! That form has no manifests and no indexes: an image of one platform is its
//! config and its uncompressed layers. The image id and the diff_ids stay,
//! the digest of the manifest does not, and the report says so.

use plimsoll_content::{Algorithm, Code, Descriptor, Error, Platform, Result, Source, Watch};
use plimsoll_layer::codec::Compression;
use plimsoll_spec::graph::Node;
use plimsoll_store::Entry;

use super::{Copied, CopiedBlob, CopiedImage, Options, State, chosen, given_name};
use crate::convert::{self, Converted, Converter, Family};
use crate::image::{self, Image};
use crate::place::{Home, Target};
use crate::reference::{At, Reference, Which};

/// What becomes of an image in such an archive.
fn form(limits: plimsoll_layer::Limits) -> convert::Options {
    convert::Options {
        family: Some(Family::Docker),
        compression: Some(Compression::None),
        recompress: false,
        algorithm: None,
        platforms: Vec::new(),
        squash: None,
        force: false,
        threads: 1,
        limits,
    }
}

pub(super) fn copy(
    home: &Home,
    from: &[Reference],
    at: &At,
    which: &Which,
    options: &Options,
    watch: &dyn Watch,
) -> Result<Copied> {
    let explicit = explicit(which)?;
    if explicit.is_some() && (options.all || from.len() > 1) {
        return Err(Error::new(Code::Usage, "writing a docker archive")
            .found("one name for several images")
            .expected("a destination without a name: the images keep theirs"));
    }
    if options.referrers {
        return Err(Error::new(Code::Unrepresentable, "writing a docker archive")
            .found("--referrers")
            .expected(
                "a layout, or the archive of one: this form holds nothing else than images",
            ));
    }
    if options.platforms.len() > 1 {
        return Err(Error::new(Code::Unrepresentable, "writing a docker archive")
            .found("several platforms")
            .expected("one: the form holds no index"));
    }
    let target = home.docker_target(at, explicit)?;
    let form = form(plimsoll_layer::Limits::default());
    let mut report = Copied::default();
    for from in from {
        let (held, which, _) = home.hold(from)?;
        let Some(held) = held else {
            home.open(from)?;
            continue;
        };
        let source = held.source();
        let platform = options.platforms.first();
        let mut entries = chosen(&held, &which, options.all)?;
        if let Some(gate) = &options.gate {
            entries = super::admit(gate, &held, from, entries, &options.platforms)?;
        }
        for entry in entries {
            let image = only(source, &entry.descriptor, platform, 0)?;
            let mut converter = Converter::new(source, &target, &form, watch);
            let new = converter
                .run(&image.descriptor)
                .map_err(|error| error.context(format!("writing {from}")))?;
            let done = converter.report(&image.descriptor, &new);
            let name = name(&target, &entry, watch, &mut report.warnings);
            target.put(name.as_deref(), &new)?;
            note(&mut report, &image, done, name);
        }
    }
    report.warnings.push(
        "a docker archive holds no manifests: image ids and diff_ids stay, manifest digests do not"
            .to_owned(),
    );
    target.finish()?;
    Ok(report)
}

/// Prepares a docker archive for an image that is converted, and says how.
pub(crate) fn prepare(
    home: &Home,
    at: &At,
    which: &Which,
    options: &convert::Options,
) -> Result<(Target, convert::Options)> {
    let bad = |found: String, expected: &str| {
        Err(Error::new(Code::Unrepresentable, "writing a docker archive")
            .found(found)
            .expected(expected))
    };
    if options.family == Some(Family::Oci) {
        return bad("OCI's form".to_owned(), "Docker's, which is all that it holds");
    }
    if let Some(compression) = options.compression.filter(|how| *how != Compression::None) {
        return bad(format!("compression {compression}"), "none: layers lie there as plain tars");
    }
    if let Some(algorithm) = options.algorithm.filter(|it| *it != Algorithm::Sha256) {
        return bad(format!("digests of {algorithm}"), "sha256, by which docker calls images");
    }
    if options.platforms.len() > 1 {
        return bad("several platforms".to_owned(), "one: the form holds no index");
    }
    let mut form = convert::Options {
        algorithm: options.algorithm,
        platforms: options.platforms.clone(),
        squash: options.squash.clone(),
        ..form(options.limits)
    };
    if let Some(squash) = &mut form.squash {
        squash.compression = Compression::None;
    }
    Ok((home.docker_target(at, explicit(which)?)?, form))
}

/// The name that the destination gives, with its tag.
fn explicit(which: &Which) -> Result<Option<String>> {
    let name = match which {
        Which::Only => return Ok(None),
        which => which.to_write()?,
    };
    if !is_repo_tag(&tagged(&name)) {
        return Err(Error::new(Code::Reference, "naming an image in a docker archive")
            .found(format!("{name:?}"))
            .expected("a name in lower case with a tag, as in example.com/org/app:v1"));
    }
    Ok(Some(tagged(&name)))
}

/// What an image is called in the archive: as the destination says, or as it
/// was, unless that is a bare tag, which layouts often have for a name.
pub(crate) fn name(
    target: &Target,
    entry: &Entry,
    watch: &dyn Watch,
    warnings: &mut Vec<String>,
) -> Option<String> {
    if let Some(name) = target.name() {
        return Some(name.to_owned());
    }
    let given = given_name(entry)?;
    if is_repo_tag(&given) {
        return Some(given);
    }
    let warning = format!("{given:?} is no name that docker takes: left out");
    watch.warn(&warning);
    warnings.push(warning);
    None
}

/// Tells of an image, and of the blobs that went into it.
fn note(report: &mut Copied, image: &Image, done: Converted, name: Option<String>) {
    report.warnings.extend(done.warnings);
    let lost = done.lost.into_iter().map(|lost| format!("lost, of {}: {}", lost.digest, lost.what));
    report.warnings.extend(lost);
    let blobs = std::iter::once(&image.manifest.config).chain(&image.manifest.layers);
    for blob in blobs {
        if report.blobs.iter().any(|other| other.digest == blob.digest) {
            continue;
        }
        report.bytes = report.bytes.saturating_add(blob.size);
        report.blobs.push(CopiedBlob {
            digest: blob.digest.clone(),
            size: blob.size,
            media_type: blob.media_type.to_string(),
            state: State::Copied,
        });
    }
    report.images.push(CopiedImage {
        name,
        // The id, which is what lasts.
        digest: image.manifest.config.digest.clone(),
        media_type: image.manifest.config.media_type.to_string(),
        referrer: false,
    });
}

/// The one image that `root` stands for: where there are several platforms,
/// nobody else can choose.
pub(crate) fn only(
    source: &dyn Source,
    root: &Descriptor,
    platform: Option<&Platform>,
    depth: usize,
) -> Result<Image> {
    // Deeper ones are refused by whoever opens them.
    if platform.is_some() || depth > source.limits().index_depth {
        return Image::open(source, root, platform);
    }
    let Node::Index(index) = image::node(source, root)? else {
        return Image::open(source, root, None);
    };
    // Builders list attestations beside images, for no platform.
    let unknown = |platform: &Platform| platform.os == "unknown";
    let images: Vec<_> = index
        .manifests
        .iter()
        .filter(|entry| !entry.platform.as_ref().is_some_and(unknown))
        .collect();
    match images[..] {
        [one] => only(source, one, None, depth + 1),
        _ => {
            let there: Vec<_> = images
                .iter()
                .take(12)
                .filter_map(|entry| entry.platform.as_ref())
                .map(ToString::to_string)
                .collect();
            Err(Error::new(Code::Platform, format!("writing {} as a docker archive", root.digest))
                .found(format!("an index of {} images: {}", images.len(), there.join(", ")))
                .expected("one image: the form holds no index")
                .fix(format!(
                    "--platform {}   takes one",
                    there.first().map_or("OS/ARCH", String::as_str)
                )))
        }
    }
}

fn tagged(name: &str) -> String {
    let last = name.rsplit('/').next().unwrap_or(name);
    if last.contains(':') { name.to_owned() } else { format!("{name}:latest") }
}

/// Whether docker takes it: an optional host, components of lower-case
/// letters and digits with single separators, and a tag.
fn is_repo_tag(name: &str) -> bool {
    let Some((path, tag)) = name.rsplit_once(':') else { return false };
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let good_tag = (1..=128).contains(&tag.len())
        && tag.bytes().enumerate().all(|(at, byte)| word(byte) || at > 0 && b".-".contains(&byte));
    let mut parts = path.split('/').peekable();
    let first = parts.peek().copied().unwrap_or_default();
    let host = path.contains('/')
        && (first.contains(['.', ':']) || first == "localhost")
        && first.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte));
    if host {
        parts.next();
    }
    good_tag
        && parts.all(|part| {
            let ends = |byte: Option<&u8>| {
                byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
            };
            let bytes = part.as_bytes();
            ends(bytes.first())
                && ends(bytes.last())
                && bytes.iter().all(|byte| {
                    byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(byte)
                })
                && !part.contains("..")
                && !part.contains("___")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_what_docker_takes() {
        for good in ["app:v1", "a/b:1", "host.example:5000/a/b__c:V_1.0-x", "localhost/app:latest"]
        {
            assert!(is_repo_tag(good), "{good}");
        }
        for bad in ["v1", "app", "App:v1", "a//b:v1", "app:", "app:-x", "-a:v1", "a..b:v1", ":v1"] {
            assert!(!is_repo_tag(bad), "{bad}");
        }
    }
}
