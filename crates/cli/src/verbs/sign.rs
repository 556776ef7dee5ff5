//! `plimsoll sign`: somebody vouches for an image.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use clap::ValueEnum;
use plimsoll::content::{Code, Error, Result};
use plimsoll::reference::Reference;
use plimsoll::sign::Form;
use plimsoll::sign::format::notary::write::Chain;
use plimsoll::sign::policy::trust::duration;
use plimsoll::sign::write::Term;
use plimsoll::trust::policy;
use plimsoll::trust::sign::{Certified, Options};

use crate::context::{self, Context};
use crate::out::{count, safe};
use crate::verbs::signer::Signer;

/// Sign an image.
///
/// The reference is resolved once. The image and all images that it lists are
/// signed, in the two forms that cosign 3, cosign 2 and podman read, and the
/// signatures are put beside the image: in its layout, in the local store, or in
/// its registry. The name that is signed is that of the image in its registry, or
/// NAME. With the certificates of the key, a signature is made that notation reads.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The images
    #[arg(value_name = "REF", required = true, value_parser = Reference::parse)]
    images: Vec<Reference>,

    /// The key: a name of `key ls`, the file of a private key, or exec:PROGRAM, which
    /// holds the key and signs
    #[arg(long, short, value_name = "KEY", required_unless_present = "gpg")]
    key: Option<String>,

    /// Sign with this key of GnuPG instead: a fingerprint or an address. gpg is asked
    /// for it, and the signature is a file of its own
    #[arg(long, value_name = "KEY", conflicts_with_all = ["key", "forms", "expires", "sequence"])]
    gpg: Option<String>,

    /// Where signatures with GPG are kept [default: as registries.d says]
    #[arg(long, value_name = "DIR", requires = "gpg")]
    lookaside: Option<PathBuf>,

    /// The certificates of the key, in PEM: its own first, and the root last. With them
    /// a signature of the Notary Project is made, and no other unless --form says so
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,

    /// The name to sign, as in example.com/org/app:v1
    #[arg(long = "as", value_name = "NAME")]
    name: Option<String>,

    /// Which forms to make
    #[arg(long = "form", value_name = "FORM", value_enum)]
    forms: Vec<FormArg>,

    /// Until when it holds: 90d, 12h, or a time as in 2026-12-31T00:00:00Z. It is
    /// signed in a name binding, which Plimsoll alone reads
    #[arg(long, value_name = "WHEN")]
    expires: Option<String>,

    /// The number of this signature among those for the name; a rule that refuses
    /// to go back compares it. Signed in a name binding
    #[arg(long, value_name = "N")]
    sequence: Option<u64>,

    /// Sign the image alone, not what it lists
    #[arg(long)]
    no_recursive: bool,
}

/// Which form.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum FormArg {
    /// A sigstore bundle, which cosign 3 reads
    SigstoreBundle,
    /// The old kind, which podman, skopeo and cosign 2 read
    CosignSimple,
    /// An envelope of the Notary Project in JWS, which notation reads; takes --cert
    NotaryJws,
    /// The same in COSE
    NotaryCose,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<u8> {
    let signer = args.key.as_deref().map(|name| Signer::find(context, name)).transpose()?;
    let issued = context::now();
    let expires = args.expires.as_deref().map(|text| end(text, issued)).transpose()?;
    let certified = certified(args)?;
    let makes = |form| args.forms.contains(&form) || (args.forms.is_empty() && certified.is_none());
    let options = Options {
        name: args.name.clone(),
        bundles: makes(FormArg::SigstoreBundle),
        simple: makes(FormArg::CosignSimple),
        certified: certified.clone(),
        recursive: !args.no_recursive,
        term: Term { issued, expires, sequence: args.sequence },
    };
    let mut reports = Vec::new();
    for image in &args.images {
        let signed = match (&signer, &args.gpg) {
            (Some(signer), _) => context.home.sign(image, signer, &options),
            (None, gpg) => {
                let key = gpg.as_deref().unwrap_or_default();
                let place = context::lookaside(args.lookaside.clone());
                let make = |payload: &[u8]| gpg_message(key, payload);
                context.home.sign_with_gpg(image, &options, key, &place, &make)
            }
        };
        let report = signed.map_err(|error| error.context(format!("signing {image}")))?;
        for warning in &report.warnings {
            use plimsoll::content::Watch as _;
            context.watch.warn(warning);
        }
        reports.push(report);
    }
    let digests: Vec<_> = reports.iter().map(|report| report.digest.to_string()).collect();
    let document = serde_json::json!({"images": reports});
    context.out.report("sign", &document, &digests.join("\n"), |style| {
        let mut text = String::new();
        for report in &reports {
            let name = report.name.as_deref().map_or_else(|| "no name".to_owned(), safe);
            let made = count(report.signatures.len() as u64, "signature", "signatures");
            text.push_str(&format!("signed  {}  {name}\nby      {}\n", report.digest, report.key));
            text.push_str(&style.faint(&format!("{made}\n")));
        }
        text
    })?;
    Ok(0)
}

/// Signatures of the Notary Project, if they were asked for.
fn certified(args: &Args) -> Result<Option<Certified>> {
    let forms: Vec<_> = args
        .forms
        .iter()
        .filter_map(|form| match form {
            FormArg::NotaryJws => Some(Form::NotaryJws),
            FormArg::NotaryCose => Some(Form::NotaryCose),
            FormArg::SigstoreBundle | FormArg::CosignSimple => None,
        })
        .collect();
    let Some(path) = &args.cert else {
        if forms.is_empty() {
            return Ok(None);
        }
        return Err(Error::new(Code::Usage, "signing for the Notary Project")
            .found("no certificate of the key")
            .expected("--cert FILE"));
    };
    if forms.is_empty() && !args.forms.is_empty() {
        return Err(Error::new(Code::Usage, "signing")
            .found("a certificate, which none of the forms holds")
            .expected("--form notary-jws or notary-cose"));
    }
    let chain = Chain::from_pem(&policy::text(path)?)
        .map_err(|error| error.context(format!("reading {}", path.display())))?;
    let forms = if forms.is_empty() { vec![Form::NotaryJws] } else { forms };
    Ok(Some(Certified { chain, forms }))
}

/// The message that gpg makes of a payload. The key is a value of an option, never
/// an option itself.
fn gpg_message(key: &str, payload: &[u8]) -> Result<Vec<u8>> {
    let failed = |cause: io::Error| Error::io("running", "gpg", cause);
    let mut child = Command::new("gpg")
        .args(["--batch", "--no-armor", "--local-user", key, "--output", "-", "--sign"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(payload).map_err(failed)?;
    }
    let output = child.wait_with_output().map_err(failed)?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(Error::new(Code::Failed, format!("signing with the GnuPG key {key:?}"))
        .found(format!("gpg ended with {}", output.status))
        .expected("a signature"))
}

fn end(text: &str, issued: i64) -> Result<i64> {
    if let Some(span) = duration(text) {
        return Ok(issued.saturating_add(span));
    }
    let end = plimsoll::trust::time(text)?;
    if end <= issued {
        return Err(Error::new(Code::Usage, "reading --expires")
            .found(format!("{text:?}, which is over"))
            .expected("a time to come, or a span such as 90d"));
    }
    Ok(end)
}
