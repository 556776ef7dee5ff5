//! `plimsoll attach`: files that are about an image.

use std::path::PathBuf;

use plimsoll::attach::{About, Attachment};
use plimsoll::content::{Code, Error, MediaType, Platform, Result};
use plimsoll::reference::Reference;

use crate::context::Context;
use crate::verbs::editing::annotations;

/// Attach files to an image: an artifact whose subject is the image.
///
/// `referrers` finds it; so do tools that know only the fallback tag
/// (`sha256-…`), under which it is listed too. It stays as long as that tag
/// does.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The image
    #[arg(value_name = "REF", value_parser = Reference::parse)]
    image: Reference,

    /// The files, each with its media type if you like; without files the
    /// annotations are all there is
    #[arg(value_name = "FILE[:TYPE]")]
    files: Vec<String>,

    /// What kind of artifact it is
    #[arg(long, value_name = "TYPE")]
    artifact_type: String,

    /// Set an annotation on the artifact
    #[arg(short, long, value_name = "NAME=VALUE")]
    annotation: Vec<String>,

    /// Attach to the image for this platform [default: to the whole]
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<Platform>,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<u8> {
    let artifact_type = MediaType::from(args.artifact_type.as_str());
    if !artifact_type.is_well_formed() {
        return Err(Error::new(Code::Usage, "reading --artifact-type")
            .found(format!("{:?}", args.artifact_type))
            .expected("a media type, such as application/vnd.example.sbom.v1+json"));
    }
    let files: Vec<_> = args.files.iter().map(|file| attachment(file)).collect();
    let about = About { artifact_type, annotations: annotations(&args.annotation)? };
    let done =
        context.home.attach(&args.image, args.platform.as_ref(), &files, &about, &context.watch)?;
    context.out.report("attach", &done, &done.digest.to_string(), |_| {
        format!("attached  {}\nto        {}\n", done.digest, done.subject)
    })?;
    Ok(0)
}

/// `FILE:TYPE`, as oras has it; a media type has a slash and no further one.
fn attachment(text: &str) -> Attachment {
    if let Some((path, kind)) = text.rsplit_once(':')
        && MediaType::from(kind).is_well_formed()
        && !PathBuf::from(text).exists()
    {
        return Attachment { path: path.into(), media_type: Some(MediaType::from(kind)) };
    }
    Attachment { path: text.into(), media_type: None }
}
