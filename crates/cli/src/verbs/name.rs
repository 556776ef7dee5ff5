//! `plimsoll name`: publishing names, and what is remembered of those of others.

use std::path::{Path, PathBuf};

use clap::{Subcommand, ValueEnum};
use plimsoll::content::{Code, Error, Result};
use plimsoll::name::announcement::ZonePlace;
use plimsoll::name::publish::Profile;
use plimsoll::name::signers::{Signer, SignerRule};
use plimsoll::name::{Address, Prefix, Reference};
use plimsoll::naming::{Published, Zone};
use plimsoll::reference;
use plimsoll::sign::text::to_base64;
use serde::Serialize;

use crate::context::Context;
use crate::out::{Style, safe};
use crate::verbs::secret::passphrase;

/// Publish names of a domain: signed lists of images, as files.
///
/// A zone is a folder: its settings, its keys, its lists. `name publish` makes a
/// tree of files out of it that any web server or bucket can hand out.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The folder of the zone
    #[arg(long, value_name = "DIR", default_value = ".", global = true)]
    zone: PathBuf,

    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Begin a zone, with its keys
    Init {
        /// The names it is about: a domain, or what is below a path of one
        #[arg(value_name = "PREFIX")]
        prefix: Prefix,
        /// Where its tree will be found
        #[arg(long, value_name = "URL")]
        url: Address,
        /// How keys are handed out
        #[arg(long, value_enum, default_value_t = ProfileArg::Hobby)]
        profile: ProfileArg,
        /// Encrypt the keys by a passphrase
        #[arg(long)]
        encrypt: bool,
    },
    /// List an image under a name
    Add {
        /// The name, as in example.com/org/app:v1
        #[arg(value_name = "NAME")]
        name: Reference,
        /// The image
        #[arg(value_name = "SRC", value_parser = reference::Reference::parse)]
        image: reference::Reference,
    },
    /// Take a name off the list, or with no tag all of a repository
    Remove {
        /// The name
        #[arg(value_name = "NAME")]
        name: Reference,
    },
    /// Give the names below a prefix to another zone
    Delegate {
        /// The names
        #[arg(value_name = "PREFIX")]
        prefix: Prefix,
        /// A root.json of that zone
        #[arg(long, value_name = "FILE")]
        root: PathBuf,
        /// Where its tree is found
        #[arg(long, value_name = "URL")]
        url: Address,
    },
    /// Take the names below a prefix back
    Revoke {
        /// The names
        #[arg(value_name = "PREFIX")]
        prefix: Prefix,
    },
    /// Say whose signatures count for the images below a prefix: what ns:PREFIX means
    Signers {
        /// The names
        #[arg(value_name = "PREFIX")]
        prefix: Prefix,
        /// The keys: names of `key ls`, or files; none takes back what was said
        #[arg(long, value_name = "KEY")]
        key: Vec<String>,
        /// How many of them must have signed
        #[arg(long, value_name = "N", default_value_t = 1)]
        threshold: u64,
        /// Which name must be signed
        #[arg(long, value_enum, default_value_t = NameArg::Exact)]
        name: NameArg,
        /// That it holds below cuts too, beside what those say to whom they were given
        #[arg(long)]
        and_below: bool,
    },
    /// Sign what changed, and write the tree
    Publish {
        /// Where to write it [default: site in the folder of the zone]
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
        /// Further keys that sign, beside those in the folder
        #[arg(long, value_name = "FILE")]
        key: Vec<PathBuf>,
        /// From now on, write pages for clients of AppC, which find their archives there:
        /// https://HOST/PATH with {name}, {version}, {os}, {arch} and {ext}
        #[arg(long, value_name = "TEMPLATE")]
        ac_discovery: Option<String>,
    },
    /// Look at the tree as a client does that sees it for the first time
    Check,
    /// Let a new key sign for a role
    Rotate {
        /// root, targets, zones, snapshot, timestamp, or all
        #[arg(value_name = "ROLE")]
        role: String,
        /// The id of the key that it replaces, or its beginning
        #[arg(long, value_name = "ID")]
        old: Option<String>,
        /// Encrypt the new key by a passphrase
        #[arg(long)]
        encrypt: bool,
    },
    /// Write all that it takes to resolve names elsewhere, without a network
    Export {
        /// The folder to write
        #[arg(value_name = "DIR")]
        folder: PathBuf,
        /// The names
        #[arg(value_name = "NAME", required = true)]
        names: Vec<Reference>,
    },
    /// Forget what is known of the zones of others
    Forget {
        /// The names
        #[arg(value_name = "PREFIX")]
        prefix: Prefix,
    },
    /// List the zones of others that are known
    Known,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ProfileArg {
    /// One key for everything; a timestamp is good for 90 days
    Hobby,
    /// Two of three keys for the root, others for the rest; 7 days
    Team,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum NameArg {
    /// The repository and the tag
    Exact,
    /// The repository
    Repository,
}

/// What was done.
#[derive(Serialize)]
struct Done {
    act: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    zone: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prefix: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    published: Option<Published>,
    lines: Vec<String>,
    findings: Vec<String>,
}

pub(crate) fn run(args: Args, context: &Context) -> Result<u8> {
    let folder = args.zone.as_path();
    let naming = context.home.naming()?;
    let mut done = Done {
        act: "",
        zone: Some(folder.to_owned()),
        prefix: None,
        digest: None,
        published: None,
        lines: Vec::new(),
        findings: Vec::new(),
    };
    match args.act {
        Act::Init { prefix, url, profile, encrypt } => {
            let secret = encrypt.then(|| passphrase("the zone", true)).transpose()?;
            let profile = match profile {
                ProfileArg::Hobby => Profile::Hobby,
                ProfileArg::Team => Profile::Team,
            };
            Zone::init(folder, &prefix, &url, profile, seed, secret.as_ref())?;
            done.act = "init";
            done.prefix = Some(prefix.to_string());
            for key in profile.keys() {
                done.lines
                    .push(format!("made keys/{key}.pem, which only you may read: keep a copy"));
            }
        }
        Act::Add { name, image } => {
            let zone = Zone::open(folder)?;
            let opened = context.home.open(&image)?;
            let entry = zone.add(&name, &opened, &context.watch)?;
            done.act = "add";
            done.digest = Some(entry.digest.to_string());
            done.lines.push(format!("{name}  {}", entry.digest));
        }
        Act::Remove { name } => {
            Zone::open(folder)?.remove(&name)?;
            done.act = "remove";
            done.lines.push(format!("removed {name}"));
        }
        Act::Delegate { prefix, root, url } => {
            let bytes = std::fs::read(&root)
                .map_err(|cause| Error::io("reading", root.display(), cause))?;
            let place = ZonePlace::below(&prefix, &url.file("zone/")?)?;
            Zone::open(folder)?.delegate(&prefix, &bytes, &place)?;
            done.act = "delegate";
            done.prefix = Some(prefix.to_string());
            done.lines.push(format!("{prefix} belongs to the zone at {url}"));
        }
        Act::Revoke { prefix } => {
            Zone::open(folder)?.revoke(&prefix)?;
            done.act = "revoke";
            done.prefix = Some(prefix.to_string());
            done.lines.push(format!("{prefix} is taken back with the next publication"));
        }
        Act::Signers { prefix, key, threshold, name, and_below } => {
            let mut of = Vec::new();
            for written in &key {
                let public = context.keys.public(written)?;
                done.lines.push(format!("{prefix}  {written} {}", public.fingerprint()));
                of.push(Signer::Key { spki: to_base64(public.der()), forms: Vec::new() });
            }
            if of.is_empty() {
                done.lines.push(format!("nothing is said any more of signatures below {prefix}"));
            }
            let name = match name {
                NameArg::Exact => "exact",
                NameArg::Repository => "repository",
            };
            let rule = SignerRule {
                prefix: prefix.to_string(),
                threshold,
                of,
                name: name.to_owned(),
                children: if and_below { "and" } else { "replace" }.to_owned(),
                other: serde_json::Map::new(),
            };
            Zone::open(folder)?.sign_by(&prefix, (!key.is_empty()).then_some(rule))?;
            done.act = "signers";
            done.prefix = Some(prefix.to_string());
        }
        Act::Publish { out, key, ac_discovery } => {
            done.act = "publish";
            let mut zone = Zone::open(folder)?;
            if let Some(template) = ac_discovery {
                zone.say_archives(&template)?;
            }
            publish(&zone, out.as_deref(), &key, context, &mut done)?;
        }
        Act::Check => {
            let checked = Zone::open(folder)?.check(naming.now)?;
            done.act = "check";
            done.prefix = Some(checked.prefix.clone());
            done.lines.push(format!(
                "{}: {} repositories, {} images, until {}",
                checked.prefix, checked.repositories, checked.images, checked.expires
            ));
            done.findings = checked.findings;
        }
        Act::Rotate { role, old, encrypt } => {
            let secret = encrypt.then(|| passphrase(&role, true)).transpose()?;
            let mut zone = Zone::open(folder)?;
            done.act = "rotate";
            let roles: Vec<&str> = match role.as_str() {
                "all" => vec!["root", "targets", "zones", "snapshot", "timestamp"],
                role => vec![role],
            };
            let key = seed()?;
            for role in roles {
                let id = zone.rotate(role, key, old.as_deref(), secret.as_ref())?;
                done.lines.push(format!("{role}  {id}"));
            }
        }
        Act::Export { folder, names } => {
            let exported = naming.export(&context.home, &folder, &names)?;
            done.act = "export";
            done.zone = None;
            for (name, digest) in &exported.names {
                done.lines.push(format!("{name}  {digest}"));
            }
            done.lines.push(format!(
                "{} documents in {}; there: --names {}/names.toml",
                exported.documents,
                folder.display(),
                folder.display()
            ));
        }
        Act::Forget { prefix } => {
            done.act = "forget";
            done.zone = None;
            for prefix in naming.forget(&prefix)? {
                done.lines.push(format!("forgot {prefix}"));
            }
        }
        Act::Known => {
            done.act = "known";
            done.zone = None;
            for known in naming.known()? {
                let ground = if known.anchored { "anchored" } else { "as it was met first" };
                done.lines.push(format!("{}  since {}  {ground}", known.prefix, known.since));
            }
        }
    }
    let essential = done.digest.clone().unwrap_or_default();
    context.out.report("name", &done, &essential, |style| text(&done, style))?;
    if !done.findings.is_empty() {
        return Ok(1);
    }
    Ok(0)
}

fn publish(
    zone: &Zone,
    out: Option<&Path>,
    keys: &[PathBuf],
    context: &Context,
    done: &mut Done,
) -> Result<()> {
    let published =
        zone.publish(out, keys, &|key| passphrase(key, false), context.home.naming()?.now)?;
    done.prefix = Some(zone.config().prefix.clone());
    if published.missing.is_empty() {
        let site = published.site.display();
        done.lines.push(format!("{} files written below {site}", published.written));
        if let Some(record) = &published.record {
            done.lines.push(format!("for the DNS, if you like: {record}"));
        }
    } else {
        done.lines
            .push("nothing is published yet; signed so far, and kept in pending.json".to_owned());
        for missing in &published.missing {
            done.findings.push(format!(
                "{}: {} more of role {}: {}",
                missing.file,
                missing.signatures,
                missing.role,
                missing
                    .keys
                    .iter()
                    .map(|id| id.chars().take(8).collect())
                    .collect::<Vec<String>>()
                    .join(", ")
            ));
        }
    }
    done.lines.extend(published.notes.iter().map(|note| format!("note: {note}")));
    done.published = Some(published);
    Ok(())
}

fn text(done: &Done, style: Style) -> String {
    let mut out = String::new();
    for line in &done.lines {
        out.push_str(&format!("{}\n", safe(line)));
    }
    for finding in &done.findings {
        out.push_str(&format!("{}\n", style.error(&safe(finding))));
    }
    out
}

/// Bytes that nobody can guess.
fn seed() -> Result<[u8; 32]> {
    let mut bytes = [0; 32];
    let mut at = 0;
    while at < bytes.len() {
        let read = rustix::rand::getrandom(&mut bytes[at..], rustix::rand::GetRandomFlags::empty());
        at += read.map_err(|cause| {
            Error::new(Code::Io, "making a key").found(cause).expected("random bytes of the system")
        })?;
    }
    Ok(bytes)
}
