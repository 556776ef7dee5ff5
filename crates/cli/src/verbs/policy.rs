//! `plimsoll policy`: what a policy says.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use plimsoll::content::{Code, Error, Result};
use plimsoll::reference::Reference;
use plimsoll::sign::policy::{Action, NameRule, Requirement, Signed, TimeRule, TrustedKey, trust};
use plimsoll::trust::{asked, policy};
use serde_json::{Value, json};

use crate::context::Context;
use crate::out::{self, safe};
use crate::verbs::trust::TrustArgs;

/// Tell what a policy says, and which rule is for an image.
///
/// Nothing is fetched for it. A policy is a trust.json, a policy.json of the containers
/// tools, or a trustpolicy.json of the Notary Project.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Tell all rules of a policy
    Show {
        #[command(flatten)]
        trust: TrustArgs,
    },
    /// Tell which rule is for an image
    Check {
        /// The image
        #[arg(value_name = "REF", value_parser = Reference::parse)]
        image: Reference,

        #[command(flatten)]
        trust: TrustArgs,
    },
    /// Write a trust.json: out of a policy of another form, or for keys
    Import {
        #[command(flatten)]
        trust: TrustArgs,

        /// For which images, where keys are named: example.com/org/, *.example.com, oci:, *
        #[arg(value_name = "SCOPE")]
        scopes: Vec<String>,

        /// The file to make [default: standard output]
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<u8> {
    match &args.what {
        What::Show { trust } => show(trust, context),
        What::Check { image, trust } => check(image, trust, context),
        What::Import { trust, scopes, output } => import(trust, scopes, output.as_deref(), context),
    }
}

fn show(args: &TrustArgs, context: &Context) -> Result<u8> {
    let file = args.file()?;
    let (policy, form) = policy::read(&file)?;
    let rules: Vec<_> = policy
        .rules
        .iter()
        .map(|rule| json!({"scope": rule.written, "require": all(&rule.require)}))
        .collect();
    let report = json!({
        "file": file, "form": form, "default": all(&policy.default), "rules": rules,
    });
    context.out.report("policy", &report, &file.display().to_string(), |_| {
        let mut text = String::new();
        for rule in &policy.rules {
            text.push_str(&format!("{}\n", safe(&rule.written)));
            lines(&rule.require, &mut text);
        }
        text.push_str("all others\n");
        lines(&policy.default, &mut text);
        text
    })?;
    Ok(0)
}

fn check(image: &Reference, args: &TrustArgs, context: &Context) -> Result<u8> {
    let file = args.file()?;
    let (policy, form) = policy::read(&file)?;
    let mut asked = asked(image, None)?;
    if let Some(name) = args.name() {
        asked.name = Some(name.clone());
    }
    let (rule, require) = policy.rule(&asked);
    let scope = rule.map(|rule| rule.written.clone());
    let report = json!({
        "file": file, "form": form, "image": asked.to_string(), "scope": scope,
        "require": all(require),
    });
    let essential = scope.clone().unwrap_or_default();
    context.out.report("policy", &report, &essential, |_| {
        let why = match &scope {
            Some(scope) => format!("the narrowest scope: {}", safe(scope)),
            None => "no rule is for it: the default".to_owned(),
        };
        let mut text = format!("{}\n{why}\n", safe(&asked.to_string()));
        lines(require, &mut text);
        text
    })?;
    Ok(0)
}

fn import(
    args: &TrustArgs,
    scopes: &[String],
    output: Option<&Path>,
    context: &Context,
) -> Result<u8> {
    let signed = args.signed(context, 1)?;
    let value = if signed.of.is_empty() && signed.zones.is_empty() {
        let file = args.file()?;
        let (policy, _) = policy::read(&file)?;
        trust::of(&policy)
            .map_err(|error| error.context(format!("importing {}", file.display())))?
    } else {
        if scopes.is_empty() {
            return Err(Error::new(Code::Usage, "writing a policy")
                .found("keys, and no images that they are for")
                .expected("a scope: example.com/org/, *.example.com, oci: or *"));
        }
        let keys = signed
            .of
            .into_iter()
            .map(|trusted| match trusted.key {
                TrustedKey::Public(key) => Ok((stem(&trusted.name), key)),
                _ => Err(Error::new(Code::Unrepresentable, "writing a policy")
                    .found(format!("{:?}, which lies in a file of its own", trusted.name))
                    .expected("public keys; the others are named in a trust.json by hand")),
            })
            .collect::<Result<Vec<_>>>()?;
        trust::write(&keys, &signed.zones, scopes)
    };
    let mut text = serde_json::to_string_pretty(&value)
        .map_err(|cause| Error::new(Code::Bug, "writing a policy").found(&cause).cause(cause))?;
    text.push('\n');
    match output {
        None => out::bytes(text.as_bytes())?,
        Some(path) => {
            use std::io::Write as _;
            let failed = |cause| Error::io("writing", path.display(), cause);
            let mut file = std::fs::File::create_new(path).map_err(failed)?;
            file.write_all(text.as_bytes()).map_err(failed)?;
            // What was written is read as any policy is.
            policy::read(path)?;
        }
    }
    Ok(0)
}

/// How a key is called that comes from a file.
fn stem(name: &str) -> String {
    let path = Path::new(name);
    path.file_stem().map_or_else(|| name.to_owned(), |stem| stem.to_string_lossy().into_owned())
}

fn all(require: &[Requirement]) -> Vec<Value> {
    require
        .iter()
        .map(|one| match one {
            Requirement::Accept => json!({"kind": "accept"}),
            Requirement::Reject => json!({"kind": "reject"}),
            Requirement::Signed(signed) => json!({
                "kind": if signed.of_type.is_some() { "attestation" } else { "signature" },
                "threshold": signed.threshold,
                "of": names(signed),
                "forms": signed.forms,
                "predicateType": signed.of_type,
                "name": signed.name,
                "maxAge": signed.max_age,
                "time": signed.time,
                "notEnforced": signed.enforce.lets_pass(),
                "rollback": signed.rollback,
            }),
            Requirement::Unsupported(what) => json!({"kind": "unsupported", "what": what}),
            _ => json!({"kind": "unknown"}),
        })
        .collect()
}

fn names(signed: &Signed) -> Vec<String> {
    let zones = signed.zones.iter().map(|zone| format!("ns:{}", zone.prefix));
    signed.of.iter().map(|one| one.name.clone()).chain(zones).collect()
}

fn lines(require: &[Requirement], text: &mut String) {
    for one in require {
        let line = match one {
            Requirement::Accept => "accepted without a signature".to_owned(),
            Requirement::Reject => "refused".to_owned(),
            Requirement::Signed(signed) => sentence(signed),
            Requirement::Unsupported(what) => {
                format!("refused, for it asks for {what}, which is not verified here")
            }
            _ => "unknown".to_owned(),
        };
        text.push_str(&format!("  {}\n", safe(&line)));
    }
}

fn sentence(signed: &Signed) -> String {
    let what = match &signed.of_type {
        None => "signed".to_owned(),
        Some(kind) => format!("attested {kind}"),
    };
    let name = match &signed.name {
        _ if signed.of_type.is_some() => "",
        NameRule::Any => ", under any name",
        NameRule::Location => ", under its name if one is signed",
        NameRule::Repository => ", under its repository",
        NameRule::Exact => ", under its name",
        NameRule::Same => ", under exactly its name",
        NameRule::Is(_) | NameRule::IsIn(_) => ", under a name of the policy",
        NameRule::Remap { .. } => ", under another beginning of its name",
    };
    let mut text = format!("{what} by {} of {}{name}", signed.threshold, names(signed).join(", "));
    match signed.time {
        TimeRule::Any => {}
        TimeRule::Timestamp => text.push_str(", with a time stamp"),
        TimeRule::Log => text.push_str(", in a log"),
    }
    if let Some(age) = signed.max_age {
        text.push_str(&format!(", not older than {age} seconds"));
    }
    let lets_pass: Vec<_> = signed.enforce.lets_pass().iter().map(|one| one.as_str()).collect();
    if !lets_pass.is_empty() {
        text.push_str(&format!(", NOT ENFORCED: {}", lets_pass.join(", ")));
    }
    if signed.enforce.revocation == Action::Enforce {
        text.push_str(", with certificates that nobody has to be asked about");
    }
    if signed.rollback {
        text.push_str(", never going back");
    }
    text
}
