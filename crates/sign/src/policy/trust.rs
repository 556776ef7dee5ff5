//! `trust.json`, our own form of a policy. `docs/reference/trust.md` describes it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use plimsoll_content::{Code, Error, Result};
use serde_json::{Map, Value, json};

use super::members::{Members, parse as members};
use super::rooted::{self, Roots};
use super::{
    Action, Check, Enforcement, Load, NameRule, Policy, Requirement, Rule, Scope, Signed, TimeRule,
    Trusted, TrustedKey, Zoned,
};
use crate::claim::{Form, Seconds};
use crate::format::notary::Store;
use crate::format::notary::write::certificates;
use crate::format::openpgp::Keyring;
use crate::format::{dn, statement};
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
    let pem = pem(key, load)?;
    PublicKey::from_pem(&pem).map_err(|error| error.recode(Code::Policy).context(DOING))
}

/// What stands in the policy or in a file that it names.
fn pem(one: &mut Members<'_>, load: &dyn Load) -> Result<String> {
    match (one.text("path")?, one.text("pem")?) {
        (Some(path), None) => {
            let bytes = load.file(&path)?;
            String::from_utf8(bytes).map_err(|_| one.error("path", "a file that is no text"))
        }
        (None, Some(pem)) => Ok(pem),
        _ => Err(one.error("", "neither or both").expected("path, or pem")),
    }
}

/// Certificates that are trusted, and whom they vouch for.
fn one_store(store: &mut Members<'_>, load: &dyn Load) -> Result<TrustedKey> {
    let text = pem(store, load)?;
    let anchors = certificates("certificates", &text)
        .map_err(|error| error.recode(Code::Policy).context(DOING))?;
    let signing = store.word("kind", &[("ca", false), ("signingAuthority", true)])?;
    let mut read = Store::default();
    if signing.unwrap_or_default() {
        read.signing = anchors;
    } else {
        read.authorities = anchors;
    }
    let identities = store.texts("identities")?;
    let identities = store.needs("identities", identities)?;
    if identities == ["*"] {
        return Ok(TrustedKey::Certificates(read));
    }
    for identity in identities {
        read.identities.push(dn::parse(&identity).map_err(|why| {
            store
                .error("identities", format!("{identity:?}: {why}"))
                .expected("\"C=US, ST=WA, O=Example\" or *")
        })?);
    }
    Ok(TrustedKey::Certificates(read))
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
    let (mut of, mut zones) = (Vec::new(), Vec::new());
    for name in &names {
        match name.strip_prefix("ns:") {
            Some(prefix) => zones.push(Zoned::parse(prefix).ok_or_else(|| {
                one.error("of", format!("{name:?}")).expected("ns:DOMAIN/ or ns:DOMAIN/PATH/")
            })?),
            None => of.push(trusted(one, name, keys)?),
        }
    }
    let mut signed = Signed { zones, ..Signed::by(of) };
    signed.threshold = threshold(one, &signed)?;
    if let Some(forms) = one.texts("forms")? {
        signed.forms = forms.iter().map(|form| known_form(one, form)).collect::<Result<_>>()?;
    }
    let time = [("any", TimeRule::Any), ("timestamp", TimeRule::Timestamp), ("log", TimeRule::Log)];
    signed.time = one.word("time", &time)?.unwrap_or_default();
    let rooted = |one: &Trusted| matches!(one.key, TrustedKey::Rooted(_));
    if signed.time != TimeRule::Any && !signed.of.iter().any(rooted) {
        return Err(one
            .error("time", format!("{:?}", signed.time))
            .expected("somebody in \"of\" with a trusted \"root\""));
    }
    let word = [("enforce", Action::Enforce), ("log", Action::Log), ("ignore", Action::Skip)];
    let enforce = &mut signed.enforce;
    enforce.expiry = one.word("expiry", &word)?.unwrap_or(enforce.expiry);
    enforce.time = one.word("certificates", &word)?.unwrap_or(enforce.expiry);
    enforce.revocation = one.word("revocation", &word)?.unwrap_or(enforce.revocation);
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
fn threshold(one: &mut Members<'_>, signed: &Signed) -> Result<usize> {
    let threshold = one.number("threshold")?.unwrap_or(1);
    // How many a zone names is told later.
    let named = signed
        .zones
        .iter()
        .flat_map(|zone| (0..SIGNERS).map(|at| format!("ns:{}/{at}", zone.prefix)));
    let different: BTreeSet<_> = signed
        .of
        .iter()
        .flat_map(|trusted| match &trusted.key {
            TrustedKey::Public(key) => vec![key.fingerprint()],
            TrustedKey::Keyring(keyring) => {
                keyring.keys.iter().map(|key| key.fingerprint.clone()).collect()
            }
            // Authorities vouch for any number of signers.
            TrustedKey::Certificates(_) => {
                (0..SIGNERS).map(|at| format!("{}/{at}", trusted.name)).collect()
            }
            TrustedKey::Rooted(rooted) => rooted::signers(rooted, SIGNERS),
        })
        .chain(named)
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
    Err(one.error("of", format!("{text:?}")).expected(
        "key:NAME of \"keys\", keyless:NAME of \"identities\", keyring:NAME of \"keyrings\", \
         store:NAME of \"stores\", ns:PREFIX",
    ))
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

/// A policy that trusts these keys, and those whom the owners of these names name,
/// for some scopes, as `policy import` writes it.
pub fn write(keys: &[(String, PublicKey)], zones: &[Zoned], scopes: &[String]) -> Value {
    let zones = zones.iter().map(|zone| format!("ns:{}", zone.prefix));
    let of: Vec<_> = keys.iter().map(|(name, _)| format!("key:{name}")).chain(zones).collect();
    let known: Map<_, _> =
        keys.iter().map(|(name, key)| (name.clone(), json!({"pem": key.to_pem()}))).collect();
    let rules: Vec<_> = scopes
        .iter()
        .map(|scope| json!({"scope": scope, "require": [{"kind": "signature", "of": of}]}))
        .collect();
    json!({"version": VERSION, "default": "reject", "keys": known, "rules": rules})
}

/// The same policy in our form.
///
/// Errors with [`Code::Unrepresentable`] if it asks for something that this form
/// can not say.
pub fn of(policy: &Policy) -> Result<Value> {
    let mut told = Told::default();
    let mut rules = Vec::new();
    for rule in &policy.rules {
        let require = rule.require.iter().map(|one| told.requirement(one));
        let require = require.collect::<Result<Vec<_>>>()?;
        rules.push(json!({"scope": rule.scope.to_string(), "require": require}));
    }
    let default = match policy.default[..] {
        [Requirement::Accept] => "accept",
        [Requirement::Reject] => "reject",
        ref others => {
            let require = others.iter().map(|one| told.requirement(one));
            let require = require.collect::<Result<Vec<_>>>()?;
            rules.push(json!({"scope": "*", "require": require}));
            "reject"
        }
    };
    let mut whole = json!({
        "version": VERSION, "default": default, "keys": told.keys, "rules": rules,
    });
    if !told.stores.is_empty() {
        whole["stores"] = told.stores.into();
    }
    Ok(whole)
}

fn can_not<T>(found: impl std::fmt::Display) -> Result<T> {
    Err(Error::new(Code::Unrepresentable, "writing a trust.json")
        .found(found)
        .expected("keys or certificates, and names that are any, of the repository, or exact"))
}

/// What is told already of those who may sign.
#[derive(Default)]
struct Told {
    keys: Map<String, Value>,
    stores: Map<String, Value>,
}

impl Told {
    fn requirement(&mut self, requirement: &Requirement) -> Result<Value> {
        let signed = match requirement {
            Requirement::Accept => return Ok(json!({"kind": "accept"})),
            Requirement::Reject => return Ok(json!({"kind": "reject"})),
            Requirement::Unsupported(what) => return can_not(what),
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
            match &trusted.key {
                TrustedKey::Public(key) => {
                    let value = json!({"pem": key.to_pem()});
                    of.push(format!("key:{}", named(&mut self.keys, "key", value)));
                }
                TrustedKey::Certificates(store) => {
                    for value in stores(store)? {
                        of.push(format!("store:{}", named(&mut self.stores, "store", value)));
                    }
                }
                _ => return can_not("keys that lie in a file of their own"),
            }
        }
        of.extend(signed.zones.iter().map(|zone| format!("ns:{}", zone.prefix)));
        let mut told = json!({
            "kind": "signature",
            "threshold": signed.threshold,
            "of": of,
            "forms": signed.forms,
            "name": name,
        });
        let Enforcement { time, expiry, revocation, .. } = signed.enforce;
        let parts = [("expiry", expiry), ("certificates", time), ("revocation", revocation)];
        for (member, action) in parts {
            if signed.enforce != Enforcement::DEFAULT {
                told[member] = match action {
                    Action::Enforce => "enforce",
                    Action::Log => "log",
                    Action::Skip => "ignore",
                }
                .into();
            }
        }
        Ok(told)
    }
}

/// The name of what is known by then, or gets one.
fn named(known: &mut Map<String, Value>, kind: &str, value: Value) -> String {
    if let Some((called, _)) = known.iter().find(|(_, old)| **old == value) {
        return called.clone();
    }
    let called = format!("{kind}-{}", known.len() + 1);
    known.insert(called.clone(), value);
    called
}

/// A store for each kind of authority.
fn stores(store: &Store) -> Result<Vec<Value>> {
    if store.anyone {
        return can_not("signatures of anybody");
    }
    if !store.stamping.is_empty() {
        return can_not("time stamps");
    }
    let identities = match &store.identities[..] {
        [] => vec!["*".to_owned()],
        names => names.iter().map(|name| dn::write(name)).collect(),
    };
    let kinds = [("ca", &store.authorities), ("signingAuthority", &store.signing)];
    let told = kinds.into_iter().filter(|(_, anchors)| !anchors.is_empty());
    Ok(told
        .map(|(kind, anchors)| {
            let pems = anchors.iter().map(|one| text::to_pem("CERTIFICATE", &one.der).to_string());
            json!({"kind": kind, "pem": pems.collect::<String>(), "identities": identities})
        })
        .collect())
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
