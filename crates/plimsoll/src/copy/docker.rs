//! Images go into what `docker load` accepts.
//!
//! That form has no manifests and no indexes: an image of one platform is its
//! config and its uncompressed layers. The image id and the diff_ids stay,
//! the digest of the manifest does not, and the report says so.

use plimsoll_content::{Code, Descriptor, Error, Platform, Result, Source, Watch};
use plimsoll_spec::graph::Node;
use plimsoll_store::{DockerImage, DockerWriter};

use super::{Copied, CopiedBlob, CopiedImage, Options, State, chosen, given_name};
use crate::image::{self, Image};
use crate::place::Home;
use crate::reference::{At, Reference, Which};
use crate::unpack;

pub(super) fn copy(
    home: &Home,
    from: &[Reference],
    at: &At,
    which: &Which,
    options: &Options,
    watch: &dyn Watch,
) -> Result<Copied> {
    let explicit = match which {
        Which::Only => None,
        which => Some(which.to_write()?),
    };
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
    if let Some(name) = &explicit
        && !is_repo_tag(&tagged(name))
    {
        return Err(Error::new(Code::Reference, "naming an image in a docker archive")
            .found(format!("{name:?}"))
            .expected("a name in lower case with a tag, as in example.com/org/app:v1"));
    }
    let mut writer = DockerWriter::new(home.archive(at)?);
    let mut report = Copied::default();
    for from in from {
        let (held, which, _) = home.hold(from)?;
        let Some(held) = held else {
            home.open(from)?;
            continue;
        };
        let source = held.source();
        for entry in chosen(&held.catalog()?, source, &which, options.all)? {
            let image = only(source, &entry.descriptor, options.platform.as_ref(), 0)?;
            image.written(|| format!("copying {}", image.descriptor.digest))?;
            let name = match &explicit {
                Some(name) => Some(tagged(name)),
                // Docker takes no bare tag, which layouts often have for a name.
                None => given_name(&entry).filter(|name| is_repo_tag(name)),
            };
            if name.is_none()
                && let Some(name) = given_name(&entry)
            {
                let warning = format!("{name:?} is no name that docker takes: left out");
                watch.warn(&warning);
                report.warnings.push(warning);
            }
            write(&mut writer, source, &image, name, &mut report, watch)
                .map_err(|error| error.context(format!("writing {from}")))?;
        }
    }
    report.warnings.push(
        "a docker archive holds no manifests: image ids and diff_ids stay, manifest digests do not"
            .to_owned(),
    );
    writer.publish()?;
    Ok(report)
}

fn write(
    writer: &mut DockerWriter,
    source: &dyn Source,
    image: &Image,
    name: Option<String>,
    report: &mut Copied,
    watch: &dyn Watch,
) -> Result<()> {
    let layers = image.layers()?;
    let one = DockerImage {
        config: &image.manifest.config,
        layers: layers
            .iter()
            .map(|layer| (&layer.descriptor, unpack::format(layer), &layer.diff_id))
            .collect(),
        names: name.iter().cloned().collect(),
    };
    writer.add(source, &one, watch)?;
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
    Ok(())
}

/// The one image that `root` stands for: where there are several platforms,
/// nobody else can choose.
fn only(
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
