//! `policy.json` of skopeo, podman and CRI-O (containers-policy.json(5)), with
//! the meaning that it has there.

use std::collections::BTreeSet;
use std::sync::Arc;

use plimsoll_content::{Code, Error, Result};

use super::members::{Members, parse as members};
use super::{
    Load, NameRule, Policy, Requirement, Rooted, Rule, Scope, Signed, Trusted, TrustedKey, Who,
    rooted, trust,
};
use crate::asked::ImageName;
use crate::claim::Form;
use crate::format::openpgp::Keyring;
use crate::format::root::{Authority, Root, Span};
use crate::format::x509::Certificate;
use crate::key::PublicKey;
use crate::keyless::{Pattern, Wanted};
use crate::text;

const DOING: &str = "reading policy.json";

impl Policy {
    /// Reads a `policy.json`.
    ///
    /// Errors with [`Code::Policy`] as its own readers do: for unknown members,
    /// empty lists, and transports that nobody knows.
    pub fn containers(bytes: &[u8], load: &dyn Load) -> Result<Self> {
        let mut policy = members(DOING, bytes)?;
        let default = policy.objects("default")?;
        let default = policy.needs("default", default)?;
        let default = requirements("/default", default, load)?;
        let mut rules = Vec::new();
        if let Some(transports) = policy.object("transports")? {
            for (transport, scopes) in transports.rest()? {
                for (text, value) in scopes.values() {
                    let written = format!("{transport}:{text}");
                    let scope = Scope::of(&transport, &text).ok_or_else(|| {
                        Error::new(Code::Policy, DOING).found(format!("the scope {written:?}"))
                    })?;
                    let mut list = Members::of(
                        DOING,
                        format!("/transports/{transport}/{text}"),
                        serde_json::json!({"list": value}),
                    )?;
                    let all = list.objects("list")?.unwrap_or_default();
                    let require = requirements(&written, all, load)?;
                    rules.push(Rule { written, scope, require });
                }
            }
        }
        policy.end()?;
        Ok(Self { default, rules })
    }
}

fn requirements(at: &str, all: Vec<Members<'_>>, load: &dyn Load) -> Result<Vec<Requirement>> {
    if all.is_empty() {
        return Err(Error::new(Code::Policy, DOING)
            .found(format!("no requirements for {at:?}"))
            .expected("at least one"));
    }
    all.into_iter()
        .map(|mut one| {
            let read = requirement(&mut one, load)?;
            one.end()?;
            Ok(read)
        })
        .collect()
}

fn requirement(one: &mut Members<'_>, load: &dyn Load) -> Result<Requirement> {
    let kinds = [
        ("insecureAcceptAnything", 0),
        ("reject", 1),
        ("signedBy", 2),
        ("sigstoreSigned", 3),
        ("signedBaseLayer", 4),
    ];
    let kind = one.word("type", &kinds)?;
    match one.needs("type", kind)? {
        0 => Ok(Requirement::Accept),
        1 => Ok(Requirement::Reject),
        2 => signed_by(one, load),
        4 => {
            // Its own readers know it, and refuse every image for it.
            name(one, "baseLayerIdentity")?;
            Ok(Requirement::Unsupported("a signed base layer (signedBaseLayer)".to_owned()))
        }
        _ => sigstore_signed(one, load),
    }
}

/// Signatures with GPG.
fn signed_by(one: &mut Members<'_>, load: &dyn Load) -> Result<Requirement> {
    let kinds = [
        ("GPGKeys", None),
        ("signedByGPGKeys", Some("keys that other keys have signed")),
        ("X509Certificates", Some("certificates")),
        ("signedByX509CAs", Some("certificates of authorities")),
    ];
    let kind = one.word("keyType", &kinds)?;
    if let Some(other) = one.needs("keyType", kind)? {
        // Nobody verifies these, its own readers neither.
        let ways: Vec<_> =
            ["keyPath", "keyPaths", "keyData"].iter().filter_map(|way| one.take(way)).collect();
        name(one, "signedIdentity")?;
        return match ways.len() {
            1 => Ok(Requirement::Unsupported(format!("{other} (signedBy)"))),
            _ => Err(one.error("", "no key, or several ways to one").expected(KEYS)),
        };
    }
    let rings = files(one, ["keyPath", "keyPaths", "keyData"], None, load)?;
    let Some(rings) = rings else {
        return Err(one.error("", "no key, or several ways to one").expected(KEYS));
    };
    let name = name(one, "signedIdentity")?;
    let mut of = Vec::new();
    for ring in rings {
        let keyring =
            Keyring::parse(&ring).map_err(|error| error.recode(Code::Policy).context(DOING))?;
        let called = keyring.keys.iter().map(|key| key.fingerprint.clone());
        let called = called.collect::<Vec<_>>().join(" ");
        of.push(Trusted { name: called, key: TrustedKey::Keyring(Arc::new(keyring)) });
    }
    let forms = BTreeSet::from([Form::GpgSimple]);
    Ok(Requirement::Signed(Signed { forms, name, ..Signed::by(of) }))
}

fn sigstore_signed(one: &mut Members<'_>, load: &dyn Load) -> Result<Requirement> {
    let keys = files(one, ["keyPath", "keyPaths", "keyData"], Some("keyDatas"), load)?;
    let ways = ["rekorPublicKeyPath", "rekorPublicKeyPaths", "rekorPublicKeyData"];
    let logs = files(one, ways, Some("rekorPublicKeyDatas"), load)?;
    let fulcio = one.object("fulcio")?;
    let pki = one.take("pki").is_some();
    if usize::from(keys.is_some()) + usize::from(fulcio.is_some()) + usize::from(pki) != 1 {
        return Err(one.error("", "no key, or several ways to one").expected(KEYS));
    }
    let name = name(one, "signedIdentity")?;
    if pki {
        return Ok(Requirement::Unsupported("certificates (sigstoreSigned, pki)".to_owned()));
    }
    let logged = logs.is_some();
    let mut root = Root { logs: rooted::logs(&public(one, logs)?), ..Root::default() };
    let mut of = Vec::new();
    if let Some(mut fulcio) = fulcio {
        if !logged {
            return Err(one.error("rekorPublicKey…", "nothing").expected("it goes with fulcio"));
        }
        root.authorities = authorities(&mut fulcio, load)?;
        let issuer = fulcio.text("oidcIssuer")?;
        let issuer = fulcio.needs("oidcIssuer", issuer)?;
        let mail = fulcio.text("subjectEmail")?;
        let mail = fulcio.needs("subjectEmail", mail)?;
        fulcio.end()?;
        let name = mail.clone();
        let who = Who::Anyone(vec![Wanted {
            issuer: Some(Pattern::Is(issuer)),
            subject: Pattern::Is(mail),
            mail: true,
        }]);
        // Its own readers look at no log of certificates either.
        let rooted = Rooted { root: Arc::new(root), who, log: true, certificate_log: false };
        of.push(Trusted { name, key: TrustedKey::Rooted(Arc::new(rooted)) });
    } else {
        let root = Arc::new(root);
        for key in public(one, keys)? {
            let name = key.fingerprint();
            let key = if logged {
                let (root, who) = (Arc::clone(&root), Who::Key(key));
                TrustedKey::Rooted(Arc::new(Rooted {
                    root,
                    who,
                    log: true,
                    certificate_log: false,
                }))
            } else {
                TrustedKey::Public(key)
            };
            of.push(Trusted { name, key });
        }
    }
    let forms = BTreeSet::from([Form::CosignSimple, Form::SigstoreBundle]);
    Ok(Requirement::Signed(Signed { forms, name, ..Signed::by(of) }))
}

/// The files that are named in one of four ways: a path, several, their content, several.
fn files(
    one: &mut Members<'_>,
    [path, paths, data]: [&str; 3],
    datas: Option<&str>,
    load: &dyn Load,
) -> Result<Option<Vec<Vec<u8>>>> {
    let mut found = Vec::new();
    if let Some(path) = one.text(path)? {
        found.push(vec![load.file(&path)?]);
    }
    if let Some(paths) = one.texts(paths)? {
        found.push(paths.iter().map(|path| load.file(path)).collect::<Result<_>>()?);
    }
    if let Some(data) = one.text(data)? {
        found.push(vec![decoded(one, &data)?]);
    }
    if let Some(datas) = datas
        && let Some(all) = one.texts(datas)?
    {
        found.push(all.iter().map(|data| decoded(one, data)).collect::<Result<_>>()?);
    }
    if found.len() > 1 {
        return Err(one.error("", "several ways to one").expected(KEYS));
    }
    Ok(found.pop())
}

/// The public keys in PEM files.
fn public(one: &Members<'_>, files: Option<Vec<Vec<u8>>>) -> Result<Vec<PublicKey>> {
    let mut keys = Vec::new();
    for pem in files.unwrap_or_default() {
        let pem = String::from_utf8(pem).map_err(|_| one.error("", "a key that is no text"))?;
        keys.extend(
            trust::keys("a key of policy.json", &pem)
                .map_err(|error| error.recode(Code::Policy).context(DOING))?,
        );
    }
    Ok(keys)
}

/// The authorities of a Fulcio: each certificate of the file is one that is trusted.
fn authorities(fulcio: &mut Members<'_>, load: &dyn Load) -> Result<Vec<Authority>> {
    let pem = match (fulcio.text("caPath")?, fulcio.text("caData")?) {
        (Some(path), None) => load.file(&path)?,
        (None, Some(data)) => decoded(fulcio, &data)?,
        _ => return Err(fulcio.error("", "neither or both").expected("caPath, or caData")),
    };
    let bad = |found: String| fulcio.error("ca…", found).expected("certificates in PEM");
    let pem = String::from_utf8(pem).map_err(|_| bad("no text".to_owned()))?;
    text::pem_blocks("certificates", &pem)
        .map_err(|error| error.recode(Code::Policy).context(DOING))?
        .iter()
        .map(|(label, der)| match Certificate::parse(der) {
            Ok(one) if label == "CERTIFICATE" => {
                Ok(Authority { name: one.name(), chain: vec![one], holds: Span::default() })
            }
            Ok(_) => Err(bad(format!("a block {label:?}"))),
            Err(reason) => Err(bad(reason.to_string())),
        })
        .collect()
}

fn decoded(one: &Members<'_>, data: &str) -> Result<Vec<u8>> {
    text::base64(data).ok_or_else(|| one.error("keyData", "something else").expected("base64"))
}

/// Which name must be signed.
fn name(one: &mut Members<'_>, member: &str) -> Result<NameRule> {
    let Some(mut wanted) = one.object(member)? else { return Ok(NameRule::Exact) };
    let kinds = [
        ("matchRepoDigestOrExact", 0),
        ("matchExact", 1),
        ("matchRepository", 2),
        ("exactReference", 3),
        ("exactRepository", 4),
        ("remapIdentity", 5),
    ];
    let kind = wanted.word("type", &kinds)?;
    let rule = match wanted.needs("type", kind)? {
        0 => NameRule::Exact,
        1 => NameRule::Same,
        2 => NameRule::Repository,
        3 => {
            let text = wanted.text("dockerReference")?;
            let text = wanted.needs("dockerReference", text)?;
            let good = ImageName::parse(&text)
                .is_some_and(|name| name.tag.is_some() || name.digest.is_some());
            if !good {
                return Err(wanted.error("dockerReference", format!("{text:?}")));
            }
            NameRule::Is(text)
        }
        4 => {
            let text = wanted.text("dockerRepository")?;
            NameRule::IsIn(wanted.needs("dockerRepository", text)?)
        }
        _ => {
            let (prefix, signed) = (wanted.text("prefix")?, wanted.text("signedPrefix")?);
            NameRule::Remap {
                prefix: wanted.needs("prefix", prefix)?,
                signed: wanted.needs("signedPrefix", signed)?,
            }
        }
    };
    wanted.end()?;
    Ok(rule)
}

const KEYS: &str = "one of the ways to name keys";
