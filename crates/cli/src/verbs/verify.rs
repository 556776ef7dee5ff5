//! `plimsoll verify`: whether an image is trusted, and why.

use std::path::PathBuf;

use plimsoll::content::{Code, Error, Platform, Result};
use plimsoll::reference::Reference;
use plimsoll::sign::format::statement::predicate_type;
use plimsoll::sign::judge::{Moment, Outcome};
use plimsoll::sign::keyless::Check;
use plimsoll::sign::policy::{NameRule, Policy, Requirement, Signed};
use plimsoll::sign::{Saying, VerifiedClaim, Why};
use plimsoll::trust::{Gate, Judged, Part, asked, shown};
use serde_json::{Value, json};

use crate::context::Context;
use crate::out::{Style, safe, size};
use crate::verbs::trust::{TrustArgs, at};

/// Tell whether an image is trusted, and why.
///
/// Everything is done here: nobody else is asked than the place of the image.
/// What stands under "signed" comes out of a signature that holds. On its own, a
/// key that is named must have signed the image, and its name if it has one.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The images
    #[arg(
        value_name = "REF",
        required_unless_present = "blob",
        conflicts_with = "blob",
        value_parser = Reference::parse
    )]
    images: Vec<Reference>,

    /// A file that is no image, instead of images
    #[arg(long, value_name = "FILE", requires = "bundle")]
    blob: Option<PathBuf>,

    /// The sigstore bundle that is about the file; several
    #[arg(long, value_name = "FILE", requires = "blob")]
    bundle: Vec<PathBuf>,

    #[command(flatten)]
    trust: TrustArgs,

    /// How many of the keys must have signed
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    threshold: u16,

    /// Ask for an attestation of this type by one of the keys or identities, besides a
    /// signature (of a file, instead of one): slsaprovenance1, spdx, cyclonedx, vsa, … or
    /// a whole one
    #[arg(long, value_name = "TYPE", conflicts_with = "policy")]
    require_attestation: Vec<String>,

    /// Judge as of that time
    #[arg(long, value_name = "TIME", value_parser = at)]
    at: Option<i64>,

    /// The image for this platform: its own signature counts, or that of the whole
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<Platform>,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<u8> {
    let threshold = usize::from(args.threshold);
    let mut gate = args.trust.gate_of(context, threshold)?;
    if !args.require_attestation.is_empty() {
        gate.policy = attested(args, context, threshold)?;
    }
    gate.at = args.at.map_or(gate.at, Moment::Given);
    let mut all = Vec::new();
    for image in &args.images {
        let judged = one(args, context, &gate, image)
            .map_err(|error| error.context(format!("verifying {image}")))?;
        all.push((image.to_string(), judged));
    }
    if let Some(file) = &args.blob {
        let name = file.display().to_string();
        let judged = gate
            .blob(file, &args.bundle)
            .map_err(|error| error.context(format!("verifying {name}")))?;
        all.push((name, judged));
    }
    let mut documents = Vec::new();
    let (mut text, mut good, mut failed) = (String::new(), Vec::new(), None);
    for (name, judged) in all {
        documents.push(document(&name, &judged, args.trust.name().is_some()));
        text.push_str(&told(&name, &judged, context.out.style));
        let digest = judged.descriptor.digest.clone();
        match judged.into_trusted() {
            Ok(_) => good.push(digest.to_string()),
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    let report = json!({"trusted": failed.is_none(), "images": documents});
    context.out.report("verify", &report, &good.join("\n"), |_| text)?;
    failed.map_or(Ok(0), Err)
}

fn one(args: &Args, context: &Context, gate: &Gate, image: &Reference) -> Result<Judged> {
    let opened = context.home.open(image)?;
    gate.open(&opened, &asked(image, Some(opened.held()))?, Part::of(args.platform.as_ref()))
}

fn attested(args: &Args, context: &Context, threshold: usize) -> Result<Policy> {
    if !args.trust.names_somebody() {
        return Err(Error::new(Code::Usage, "reading --require-attestation")
            .expected("--trust-key KEY or --certificate-identity SUBJECT"));
    }
    let signed = args.trust.signed(context, threshold)?;
    // One bundle says one thing of a file.
    let mut default =
        if args.blob.is_some() { Vec::new() } else { vec![Requirement::Signed(signed.clone())] };
    for kind in &args.require_attestation {
        if kind.is_empty() {
            return Err(Error::new(Code::Usage, "reading --require-attestation")
                .expected("a type of predicate"));
        }
        let of_type = Some(predicate_type(kind).to_owned());
        default.push(Requirement::Signed(Signed {
            of_type,
            threshold: 1,
            name: NameRule::Any,
            ..signed.clone()
        }));
    }
    Ok(Policy { default, rules: Vec::new() })
}

/// What was not looked at in something that counts, so that nobody thinks it was.
fn not_checked(judged: &Judged) -> Vec<&'static str> {
    let outcomes = judged.judgement.outcomes.iter();
    let counts: Vec<_> = outcomes
        .filter(|outcome| outcome.counts)
        .filter_map(|outcome| outcome.signed.as_ref())
        .collect();
    let each = |check| {
        !counts.is_empty() && counts.iter().all(|claim| claim.vouched.checked.contains(&check))
    };
    let mut list = Vec::new();
    if !each(Check::Log) {
        list.push("transparency logs");
    }
    if !each(Check::Timestamp) {
        list.push("time stamps");
    }
    let certified = |claim: &&&VerifiedClaim| claim.vouched.identity.is_some();
    if counts.iter().filter(certified).count() > 0
        && !counts
            .iter()
            .filter(certified)
            .all(|claim| claim.vouched.checked.contains(&Check::CertificateLog))
    {
        list.push("logs of certificates");
    }
    list.push("revocation");
    let named = counts.iter().any(|claim| {
        claim.saying == Saying::Signature && !claim.names.is_empty() && judged.asked.name.is_some()
    });
    if !named {
        list.push("name");
    }
    list
}

/// Who has signed, out of a signature that holds.
fn by(claim: &VerifiedClaim) -> String {
    let Some(identity) = &claim.vouched.identity else {
        return format!("key {}", safe(&claim.signer.name));
    };
    let issuer = identity.issuer.as_deref().unwrap_or("nobody");
    format!("{} (says {})", safe(&identity.subject), safe(issuer))
}

fn verdict(outcome: &Outcome) -> &'static str {
    match &outcome.reason {
        None => "accepted",
        Some(reason) if reason.why == Why::Form => "ignored",
        Some(_) => "refused",
    }
}

fn document(image: &str, judged: &Judged, named: bool) -> Value {
    let judgement = &judged.judgement;
    let results: Vec<_> = judgement
        .outcomes
        .iter()
        .map(|outcome| {
            json!({
                "form": outcome.form,
                "place": outcome.place,
                "verdict": verdict(outcome),
                "reason": outcome.reason,
                "notEnforced": outcome.not_enforced,
                "signed": outcome.signed,
            })
        })
        .collect();
    json!({
        "input": {"reference": image, "name": judged.asked.name.as_ref().map(ToString::to_string), "given": named},
        "resolved": {
            "digest": judged.descriptor.digest,
            "mediaType": judged.descriptor.media_type,
            "size": judged.descriptor.size,
        },
        "trusted": judgement.verdict.is_ok(),
        "code": judgement.verdict.as_ref().err().map(|error| error.code().as_str()),
        "rule": judgement.rule,
        "needs": judgement.needs,
        "results": results,
        "notChecked": not_checked(judged),
    })
}

fn told(image: &str, judged: &Judged, style: Style) -> String {
    let judgement = &judged.judgement;
    let mark = |good: bool| if good { style.good("✔") } else { style.error("✘") };
    let mut text = format!(
        "{}  →  {}  ({}, {})\n",
        safe(image),
        judged.descriptor.digest,
        safe(judged.descriptor.media_type.as_str()),
        size(judged.descriptor.size)
    );
    for outcome in &judgement.outcomes {
        let form = outcome.form.map_or("unknown", plimsoll::sign::Form::as_str);
        let mut line = format!("  {} {form}  {}", mark(outcome.counts), safe(&outcome.place));
        if let Some(claim) = &outcome.signed {
            line.push_str(&format!("\n      signed: {}", by(claim)));
            for name in &claim.names {
                line.push_str(&format!(", name {}", safe(name)));
            }
            if let Saying::Attestation { predicate_type, .. } = &claim.saying {
                line.push_str(&format!(", attestation {}", safe(predicate_type)));
            }
            for moment in &claim.vouched.times {
                let witness = if moment.by == Check::Log { "the log" } else { "time stamp of" };
                let (at, name) = (shown(moment.at), safe(&moment.name));
                line.push_str(&format!(", at {at} ({witness} {name})"));
            }
            if let Some(expires) = claim.expires {
                line.push_str(&format!(", until {}", shown(expires)));
            }
            if let Some(sequence) = claim.sequence {
                line.push_str(&format!(", sequence {sequence}"));
            }
        }
        for reason in &outcome.not_enforced {
            line.push_str(&format!("\n      NOT ENFORCED: {}", safe(&reason.text)));
        }
        if let Some(reason) = &outcome.reason {
            line.push_str(&format!("\n      {}", safe(&reason.text)));
        }
        text.push_str(&line);
        text.push('\n');
    }
    for need in &judgement.needs {
        let rule = judgement.rule.as_deref().map_or("default", |rule| rule);
        let count = if need.threshold > 0 {
            format!(": {} of {}", need.signers.len(), need.threshold)
        } else {
            String::new()
        };
        text.push_str(&format!(
            "  {} rule {}: {}{count}\n",
            mark(need.met),
            safe(rule),
            safe(&need.what)
        ));
        let lax: Vec<_> = need.not_enforced.iter().map(|facet| facet.as_str()).collect();
        if !lax.is_empty() {
            text.push_str(&format!("      NOT ENFORCED by the rule: {}\n", lax.join(", ")));
        }
    }
    text.push_str(&style.faint(&format!("  not checked: {}\n", not_checked(judged).join(", "))));
    let (word, digest) = match &judgement.verdict {
        Ok(_) => (style.good("trusted"), &judged.descriptor.digest),
        Err(_) => (style.error("not trusted"), &judged.descriptor.digest),
    };
    text.push_str(&format!("{word}  {digest}\n"));
    text
}
