//! `trust.json`, our own form of a policy. `docs/reference/trust.md` describes it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use plimsoll_content::{Code, Error, Result};

use super::members::{Members, parse as members};
use super::rooted::{self, Roots};
use super::{
    Check, Load, NameRule, Policy, Requirement, Rule, Scope, Signed, TimeRule, Trusted, TrustedKey,
};
use crate::claim::{Form, Seconds};
use crate::format::openpgp::Keyring;
use crate::format::statement;
use crate::format::x509::Certificate;
use crate::key::PublicKey;
use crate::text;

/// The version that is read.
const VERSION: u64 = 1;

pub(super) const DOING: &str = "reading trust.json";

/// Who may be named in `of`, by how that is written.
type Known = BTreeMap<String, Trusted>;

/// How many signers a rule may name.
const SIGNERS: usize = 64;

impl Policy {
    /// Reads a `trust.json`.
    ///
    /// Errors with [`Code::Policy`] for anything that is unknown, unused keys
    /// aside: what is not understood may be a condition.
    pub fn trust(bytes: &[u8], load: &dyn Load) -> Result<Self> {
        let mut policy = members(DOING, bytes)?;
        let version = policy.number("version")?;
        if version != Some(VERSION) {
            return Err(policy.error("version", format!("{version:?}")).expected(VERSION));
        }
        let default =
            policy.word("default", &[("reject", false), ("accept", true)])?.unwrap_or_default();
        let mut keys = Known::new();
        let mut roots = Roots::new();
        if let Some(all) = policy.object("keys")? {
            for (name, mut key) in all.rest()? {
                let public = one_key(&mut key, load)?;
                let read = rooted::key(&mut key, public, &mut roots, load)?;
                keys.insert(format!("key:{name}"), Trusted { name, key: read });
                key.end()?;
            }
        }
        if let Some(all) = policy.object("keyrings")? {
            for (name, mut keyring) in all.rest()? {
                let path = keyring.text("path")?;
                let bytes = load.file(&keyring.needs("path", path)?)?;
                let read = Keyring::parse(&bytes)
                    .map_err(|error| error.recode(Code::Policy).context(DOING))?;
                let read = TrustedKey::Keyring(Arc::new(read));
                keys.insert(format!("keyring:{name}"), Trusted { name, key: read });
                keyring.end()?;
            }
        }
        if let Some(all) = policy.object("stores")? {
            for (name, mut store) in all.rest()? {
                let key = one_store(&mut store, load)?;
                keys.insert(format!("store:{name}"), Trusted { name, key });
                store.end()?;
            }
        }
        if let Some(all) = policy.object("identities")? {
            for (name, mut identity) in all.rest()? {
                let key = rooted::identity(&mut identity, &mut roots, load)?;
                keys.insert(format!("keyless:{name}"), Trusted { name, key });
                identity.end()?;
            }
        }
        let mut rules: Vec<Rule> = Vec::new();
        for mut rule in policy.objects("rules")?.unwrap_or_default() {
            let read = one_rule(&mut rule, &keys)?;
            rule.end()?;
            if rules.iter().any(|other| other.scope == read.scope) {
                return Err(rule
                    .error("scope", format!("{:?} twice", read.written))
                    .expected("one rule for each scope"));
            }
            rules.push(read);
        }
        policy.end()?;
        let default = vec![if default { Requirement::Accept } else { Requirement::Reject }];
        Ok(Self { default, rules })
    }
}

fn one_key(key: &mut Members<'_>, load: &dyn Load) -> Result<PublicKey> {
    let pem = match (key.text("path")?, key.text("pem")?) {
        (Some(path), None) => {
            let bytes = load.file(&path)?;
            String::from_utf8(bytes).map_err(|_| key.error("path", "a file that is no text"))?
        }
        (None, Some(pem)) => pem,
        _ => return Err(key.error("", "neither or both").expected("path, or pem")),
    };
    PublicKey::from_pem(&pem).map_err(|error| error.recode(Code::Policy).context(DOING))
}

/// Certificates that are trusted, and whom they vouch for.
fn one_store(store: &mut Members<'_>, load: &dyn Load) -> Result<TrustedKey> {
    let path = store.text("path")?;
    let bytes = load.file(&store.needs("path", path)?)?;
    let text = String::from_utf8(bytes).map_err(|_| store.error("path", "no text"))?;
    let anchors = text::pem_blocks("certificates", &text)
        .map_err(|error| error.recode(Code::Policy).context(DOING))?
        .iter()
        .map(|(label, der)| match Certificate::parse(der) {
            Ok(certificate) if label == "CERTIFICATE" => Ok(certificate),
            Ok(_) => Err(store.error("path", format!("a block {label:?}"))),
            Err(reason) => Err(store.error("path", reason)),
        })
        .collect::<Result<Vec<_>>>()?;
    let identities = store.texts("identities")?;
    let mut read = Vec::new();
    let identities = store.needs("identities", identities)?;
    if identities == ["*"] {
        return Ok(TrustedKey::Certificates { anchors, identities: read });
    }
    for identity in identities {
        let parts: Option<Vec<_>> = identity
            .split(',')
            .map(|part| {
                let (kind, value) = part.split_once('=')?;
                let (kind, value) = (kind.trim(), value.trim());
                let plain = !value.is_empty() && !value.contains(['\\', '"', '#', '+', ';']);
                plain.then(|| (kind.to_owned(), value.to_owned()))
            })
            .collect();
        read.push(parts.ok_or_else(|| {
            store
                .error("identities", format!("{identity:?}"))
                .expected("\"C=US, ST=WA, O=Example\" or *")
        })?);
    }
    Ok(TrustedKey::Certificates { anchors, identities: read })
}

fn one_rule(rule: &mut Members<'_>, keys: &Known) -> Result<Rule> {
    let written = rule.text("scope")?;
    let written = rule.needs("scope", written)?;
    let scope = Scope::parse(&written).ok_or_else(|| {
        rule.error("scope", format!("{written:?}"))
            .expected("a name or the beginning of one, *.DOMAIN, TRANSPORT:, TRANSPORT:/PATH or *")
    })?;
    let all = rule.objects("require")?;
    let all = rule.needs("require", all)?;
    if all.is_empty() {
        return Err(rule
            .error("require", "nothing")
            .expected("at least one requirement; {\"kind\":\"accept\"} asks for none"));
    }
    let mut require = Vec::new();
    for mut one in all {
        require.push(requirement(&mut one, keys)?);
        one.end()?;
    }
    Ok(Rule { written, scope, require })
}

#[derive(Clone, Copy)]
enum Sort {
    Accept,
    Reject,
    Signature,
    Attestation,
}

fn requirement(one: &mut Members<'_>, keys: &Known) -> Result<Requirement> {
    let kinds = [
        ("signature", Sort::Signature),
        ("attestation", Sort::Attestation),
        ("accept", Sort::Accept),
        ("reject", Sort::Reject),
    ];
    let kind = one.word("kind", &kinds)?;
    let kind = one.needs("kind", kind)?;
    match kind {
        Sort::Accept => return Ok(Requirement::Accept),
        Sort::Reject => return Ok(Requirement::Reject),
        Sort::Signature | Sort::Attestation => {}
    }
    let names = one.texts("of")?;
    let names = one.needs("of", names)?;
    if names.len() > SIGNERS {
        return Err(one.error("of", format!("{} signers", names.len())).expected(SIGNERS));
    }
    let of = names.iter().map(|name| trusted(one, name, keys)).collect::<Result<Vec<_>>>()?;
    let mut signed = Signed::by(of);
    signed.threshold = threshold(one, &signed.of)?;
    if let Some(forms) = one.texts("forms")? {
        signed.forms = forms.iter().map(|form| known_form(one, form)).collect::<Result<_>>()?;
    }
    let word = [("enforce", false), ("ignore", true)];
    signed.expired = one.word("expiry", &word)?.unwrap_or_default();
    let time = [("any", TimeRule::Any), ("timestamp", TimeRule::Timestamp), ("log", TimeRule::Log)];
    signed.time = one.word("time", &time)?.unwrap_or_default();
    let rooted = |one: &Trusted| matches!(one.key, TrustedKey::Rooted(_));
    if signed.time != TimeRule::Any && !signed.of.iter().any(rooted) {
        return Err(one
            .error("time", format!("{:?}", signed.time))
            .expected("somebody in \"of\" with a trusted \"root\""));
    }
    let age = one.text("max-age")?;
    signed.max_age = age.map(|text| days(one, &text)).transpose()?;
    if let Sort::Attestation = kind {
        let wanted = one.text("predicateType")?;
        let wanted = one.needs("predicateType", wanted)?;
        signed.of_type = Some(statement::predicate_type(&wanted).to_owned());
        if let Some(checks) = one.object("checks")? {
            for (pointer, value) in checks.values() {
                if !pointer.starts_with('/') {
                    return Err(one.error("checks", pointer).expected("a JSON pointer: /a/b"));
                }
                signed.checks.push(Check { pointer, value });
            }
        }
        return Ok(Requirement::Signed(signed));
    }
    let names = [("exact", 0u8), ("repository", 1), ("location", 2), ("any", 3)];
    signed.name = match one.word("name", &names)?.unwrap_or_default() {
        0 => NameRule::Exact,
        1 => NameRule::Repository,
        2 => NameRule::Location,
        _ => NameRule::Any,
    };
    let word = [("refuse", true), ("ignore", false)];
    signed.rollback = one.word("rollback", &word)?.unwrap_or_default();
    Ok(Requirement::Signed(signed))
}

/// A threshold that can be met by different signers.
fn threshold(one: &mut Members<'_>, of: &[Trusted]) -> Result<usize> {
    let threshold = one.number("threshold")?.unwrap_or(1);
    let different: BTreeSet<_> = of
        .iter()
        .flat_map(|trusted| match &trusted.key {
            TrustedKey::Public(key) => vec![key.fingerprint()],
            TrustedKey::Keyring(keyring) => {
                keyring.keys.iter().map(|key| key.fingerprint.clone()).collect()
            }
            // Authorities vouch for any number of signers.
            TrustedKey::Certificates { .. } => {
                (0..SIGNERS).map(|at| format!("{}/{at}", trusted.name)).collect()
            }
            TrustedKey::Rooted(rooted) => rooted::signers(rooted, SIGNERS),
        })
        .collect();
    match usize::try_from(threshold) {
        Ok(threshold) if (1..=different.len()).contains(&threshold) => Ok(threshold),
        _ => Err(one
            .error("threshold", threshold)
            .expected(format!("1 to {}, for as many different keys", different.len()))),
    }
}

fn trusted(one: &Members<'_>, text: &str, keys: &Known) -> Result<Trusted> {
    if let Some(known) = keys.get(text) {
        return Ok(known.clone());
    }
    match text.split_once(':') {
        Some(("ns", _)) => Err(Error::new(Code::Policy, DOING)
            .found("ns: at \"of\", which is not verified here")
            .expected("key:NAME, keyless:NAME, keyring:NAME or store:NAME")),
        _ => Err(one.error("of", format!("{text:?}")).expected(
            "key:NAME of \"keys\", keyless:NAME of \"identities\", keyring:NAME of \
             \"keyrings\", store:NAME of \"stores\"",
        )),
    }
}

fn known_form(one: &Members<'_>, text: &str) -> Result<Form> {
    let all = Form::ALL;
    all.into_iter().find(|form| form.as_str() == text).ok_or_else(|| {
        let names: Vec<_> = all.iter().map(|form| form.as_str()).collect();
        one.error("forms", format!("{text:?}")).expected(names.join(", "))
    })
}

/// `90d`, `12h` or `3600s`.
fn days(one: &Members<'_>, text: &str) -> Result<Seconds> {
    duration(text).ok_or_else(|| {
        one.error("max-age", format!("{text:?}")).expected("such as 90d, 12h or 60s")
    })
}

/// A time span: days, hours, minutes or seconds.
pub fn duration(text: &str) -> Option<Seconds> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let unit = match unit {
        "d" => 86_400,
        "h" => 3_600,
        "m" => 60,
        "s" => 1,
        _ => return None,
    };
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    number.parse::<Seconds>().ok()?.checked_mul(unit)
}

/// A policy that trusts these keys for some scopes, as `policy import` writes it.
pub fn write(keys: &[(String, PublicKey)], scopes: &[String]) -> serde_json::Value {
    let of: Vec<_> = keys.iter().map(|(name, _)| format!("key:{name}")).collect();
    let known: serde_json::Map<_, _> = keys
        .iter()
        .map(|(name, key)| (name.clone(), serde_json::json!({"pem": key.to_pem()})))
        .collect();
    let rules: Vec<_> = scopes
        .iter()
        .map(|scope| {
            serde_json::json!({"scope": scope, "require": [{"kind": "signature", "of": of}]})
        })
        .collect();
    serde_json::json!({"version": VERSION, "default": "reject", "keys": known, "rules": rules})
}

/// The same policy in our form.
///
/// Errors with [`Code::Unrepresentable`] if it asks for something that this form
/// can not say.
pub fn of(policy: &Policy) -> Result<serde_json::Value> {
    let mut keys = serde_json::Map::new();
    let mut rules = Vec::new();
    for rule in &policy.rules {
        let require = rule.require.iter().map(|one| said(one, &mut keys));
        let require = require.collect::<Result<Vec<_>>>()?;
        rules.push(serde_json::json!({"scope": rule.scope.to_string(), "require": require}));
    }
    let default = match policy.default[..] {
        [Requirement::Accept] => "accept",
        [Requirement::Reject] => "reject",
        ref others => {
            let require = others.iter().map(|one| said(one, &mut keys));
            let require = require.collect::<Result<Vec<_>>>()?;
            rules.push(serde_json::json!({"scope": "*", "require": require}));
            "reject"
        }
    };
    Ok(serde_json::json!({"version": VERSION, "default": default, "keys": keys, "rules": rules}))
}

fn said(
    requirement: &Requirement,
    keys: &mut serde_json::Map<String, serde_json::Value>,
) -> Result<serde_json::Value> {
    let can_not = |found: String| {
        Err(Error::new(Code::Unrepresentable, "writing a trust.json")
            .found(found)
            .expected("keys, and names that are any, of the repository, or exact"))
    };
    let signed = match requirement {
        Requirement::Accept => return Ok(serde_json::json!({"kind": "accept"})),
        Requirement::Reject => return Ok(serde_json::json!({"kind": "reject"})),
        Requirement::Unsupported(what) => return can_not(what.clone()),
        Requirement::Signed(signed) => signed,
    };
    let name = match &signed.name {
        NameRule::Any => "any",
        NameRule::Location => "location",
        NameRule::Repository => "repository",
        NameRule::Exact => "exact",
        other => return can_not(format!("the name rule {other:?}")),
    };
    let mut of = Vec::new();
    for trusted in &signed.of {
        let TrustedKey::Public(key) = &trusted.key else {
            return can_not("keys that lie in a file of their own".to_owned());
        };
        let known = keys.iter().find(|(_, value)| value["pem"] == key.to_pem().as_str());
        let called = match known {
            Some((called, _)) => called.clone(),
            None => {
                let called = format!("key-{}", keys.len() + 1);
                keys.insert(called.clone(), serde_json::json!({"pem": key.to_pem()}));
                called
            }
        };
        of.push(format!("key:{called}"));
    }
    Ok(serde_json::json!({
        "kind": "signature",
        "threshold": signed.threshold,
        "of": of,
        "forms": signed.forms,
        "name": name,
    }))
}

/// Public keys in PEM, of a file that may hold several.
pub fn keys(what: &str, pem: &str) -> Result<Vec<PublicKey>> {
    text::pem_blocks(what, pem)?
        .into_iter()
        .map(|(label, content)| match label.as_str() {
            "PUBLIC KEY" => PublicKey::from_der(&content),
            other => Err(Error::new(Code::Malformed, format!("reading {what}"))
                .found(format!("a PEM block {other:?}"))
                .expected("PUBLIC KEY")),
        })
        .collect()
}
