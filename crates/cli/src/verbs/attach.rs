//! `plimsoll attach`: files that are about an image.

use std::path::{Path, PathBuf};

use plimsoll::attach::{About, Attachment};
use plimsoll::content::{Code, Error, MediaType, Platform, Result, json};
use plimsoll::reference::Reference;
use plimsoll::sign::format::statement::predicate_type;
use plimsoll::trust::policy;

use crate::context::{Context, now};
use crate::verbs::editing::annotations;
use crate::verbs::signer::Signer;

/// Attach files to an image: an artifact whose subject is the image.
///
/// `referrers` finds it; so do tools that know only the fallback tag
/// (`sha256-…`), under which it is listed too. It stays as long as that tag
/// does. With --predicate, what is attached is a signed attestation, which
/// `verify --require-attestation` asks for.
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
    #[arg(long, value_name = "TYPE", required_unless_present = "predicate")]
    artifact_type: Option<String>,

    /// Attest what stands in this file of JSON, signed with --key
    #[arg(long, value_name = "FILE", requires_all = ["kind", "key"], conflicts_with_all = ["artifact_type", "files", "annotation"])]
    predicate: Option<PathBuf>,

    /// What kind of attestation it is: slsaprovenance1, spdx, cyclonedx, vsa, … or a
    /// whole type
    #[arg(long = "type", id = "kind", value_name = "TYPE", requires = "predicate")]
    kind: Option<String>,

    /// The key that signs it: a name of `key ls`, the file of a private key, or
    /// exec:PROGRAM
    #[arg(long, value_name = "KEY", requires = "predicate")]
    key: Option<String>,

    /// Set an annotation on the artifact
    #[arg(short, long, value_name = "NAME=VALUE")]
    annotation: Vec<String>,

    /// Attach to the image for this platform [default: to the whole]
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<Platform>,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<u8> {
    if let (Some(file), Some(kind), Some(key)) = (&args.predicate, &args.kind, &args.key) {
        return attest(args, context, file, kind, key);
    }
    let wanted = args.artifact_type.as_deref().unwrap_or_default();
    let artifact_type = MediaType::from(wanted);
    if !artifact_type.is_well_formed() {
        return Err(Error::new(Code::Usage, "reading --artifact-type")
            .found(format!("{wanted:?}"))
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

/// An attestation, signed and attached.
fn attest(args: &Args, context: &Context, file: &Path, kind: &str, key: &str) -> Result<u8> {
    let kind = predicate_type(kind);
    if !kind.contains(':') {
        return Err(Error::new(Code::Usage, "reading --type")
            .found(format!("{kind:?}"))
            .expected("slsaprovenance1, spdx, cyclonedx, openvex, vuln, vsa, or a URI"));
    }
    let text = policy::text(file)?;
    json::check("the predicate", text.as_bytes())?;
    let predicate = serde_json::from_str(&text).map_err(|cause| {
        Error::new(Code::Malformed, format!("reading {}", file.display())).found(cause)
    })?;
    let signer = Signer::find(context, key)?;
    let (image, platform) = (&args.image, args.platform.as_ref());
    let done = context.home.attest(image, platform, &signer, kind, predicate, now())?;
    let report = serde_json::json!({
        "digest": done.digest,
        "artifactType": plimsoll::sign::format::bundle::MEDIA_TYPE,
        "subject": done.subject,
        "fallbackTag": plimsoll::attach::fallback_tag(&done.subject),
        "blobs": [],
        "predicateType": kind,
    });
    context.out.report("attach", &report, &done.digest.to_string(), |_| {
        format!("attested  {}\nto        {}\n", done.digest, done.subject)
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
