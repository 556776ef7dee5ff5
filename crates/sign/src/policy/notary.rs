//! `trustpolicy.json` of the Notary Project (its trust store and trust policy
//! specification, version 1.0, for images), with the meaning that it has there.
//!
//! A statement is for repositories that it names, exactly, or for all others (`*`). Its
//! signer has a certificate that leads to a store, and a subject that it names. How much
//! of that is enforced is its level; a signature that is whole is always asked for.

use std::collections::BTreeSet;

use plimsoll_content::{Code, Error, Result};

use super::members::{Members, parse as members};
use super::{
    Action, Enforcement, Load, NameRule, Policy, Requirement, Rule, Scope, Signed, Trusted,
    TrustedKey,
};
use crate::claim::Form;
use crate::format::dn;
use crate::format::notary::write::certificates;
use crate::format::notary::{Stamps, Store};
use crate::format::root::{Authority, Span};
use crate::format::x509::Certificate;

const DOING: &str = "reading trustpolicy.json";

impl Policy {
    /// Reads a `trustpolicy.json`.
    ///
    /// Errors with [`Code::Policy`] for all that the specification calls invalid, for
    /// members that it does not know, and for stores that are not there.
    pub fn notary(bytes: &[u8], load: &dyn Load) -> Result<Self> {
        let mut policy = members(DOING, bytes)?;
        let version = policy.text("version")?;
        if version.as_deref() != Some("1.0") {
            return Err(policy.error("version", format!("{version:?}")).expected("\"1.0\""));
        }
        let all = policy.objects("trustPolicies")?;
        let all = policy.needs("trustPolicies", all)?;
        policy.end()?;
        if all.is_empty() {
            return Err(policy.error("trustPolicies", "nothing").expected("at least one"));
        }
        let mut names = BTreeSet::new();
        let mut rules: Vec<Rule> = Vec::new();
        for mut one in all {
            let name = one.text("name")?;
            let name = one.needs("name", name)?;
            if name.is_empty() || !names.insert(name.clone()) {
                return Err(one.error("name", format!("{name:?}")).expected("a name of its own"));
            }
            let scopes = scopes(&mut one)?;
            let require = statement(&mut one, &name, &scopes, load)?;
            one.end()?;
            for scope in scopes {
                let written = scope.to_string();
                if rules.iter().any(|rule| rule.scope == scope) {
                    return Err(one
                        .error("registryScopes", format!("{written:?} twice"))
                        .expected("one statement for each scope"));
                }
                let written = written.trim_end_matches(':').to_owned();
                rules.push(Rule { written, scope, require: vec![require.clone()] });
            }
        }
        Ok(Self { default: vec![Requirement::Reject], rules })
    }
}

/// For which repositories a statement is.
fn scopes(one: &mut Members<'_>) -> Result<Vec<Scope>> {
    if one.take("globalPolicy").is_some() {
        return Err(one
            .error("globalPolicy", "a statement for files that are no images")
            .expected("registryScopes"));
    }
    let texts = one.texts("registryScopes")?;
    let texts = one.needs("registryScopes", texts)?;
    if texts == ["*"] {
        return Ok(vec![Scope::All]);
    }
    let scope = |text: &String| match text.split_once('/') {
        Some((host, repository)) if good_host(host) && repository.split('/').all(good_part) => {
            let host = host.to_ascii_lowercase();
            Ok(Scope::Repository { host, repository: repository.to_owned() })
        }
        _ => Err(one
            .error("registryScopes", format!("{text:?}"))
            .expected("a whole repository, as in example.com/org/app, or \"*\" alone")),
    };
    texts.iter().map(scope).collect()
}

fn good_host(host: &str) -> bool {
    let (name, port) = host.split_once(':').unwrap_or((host, "0"));
    let label = |label: &str| {
        let inside = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        !label.is_empty() && inside && !label.starts_with('-') && !label.ends_with('-')
    };
    name.split('.').all(label) && !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())
}

/// A part of a repository: small letters and digits, with separators between them.
fn good_part(part: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let ends = part.bytes().next().is_some_and(plain) && part.bytes().last().is_some_and(plain);
    let separators = part.split(|letter: char| plain(letter as u8) && letter.is_ascii());
    let good =
        |text: &str| matches!(text, "" | "." | "_" | "__") || text.bytes().all(|b| b == b'-');
    ends && separators.into_iter().all(good)
}

/// What a statement asks for.
fn statement(
    one: &mut Members<'_>,
    name: &str,
    scopes: &[Scope],
    load: &dyn Load,
) -> Result<Requirement> {
    let verification = one.object("signatureVerification")?;
    let mut verification = one.needs("signatureVerification", verification)?;
    let Some(enforce) = level(&mut verification)? else {
        let others = one.take("trustStores").is_some() | one.take("trustedIdentities").is_some();
        if others || verification.take("verifyTimestamp").is_some() {
            return Err(one.error("", "the level \"skip\", and whom to trust").expected("one"));
        }
        if scopes.contains(&Scope::All) {
            return Err(one
                .error("registryScopes", "the level \"skip\" for all repositories")
                .expected("a repository"));
        }
        verification.end()?;
        return Ok(Requirement::Accept);
    };
    let words = [("always", Stamps::Always), ("afterCertExpiry", Stamps::AfterEnd)];
    let stamps = verification.word("verifyTimestamp", &words)?.unwrap_or(Stamps::Always);
    verification.end()?;
    let anyone = enforce.authenticity != Action::Enforce;
    let mut store = Store { anyone, stamps, ..Store::default() };
    stores(one, &mut store, load)?;
    store.identities = identities(one)?;
    let key = TrustedKey::Certificates(store);
    let forms = BTreeSet::from([Form::NotaryJws, Form::NotaryCose]);
    let of = vec![Trusted { name: name.to_owned(), key }];
    Ok(Requirement::Signed(Signed { forms, name: NameRule::Any, enforce, ..Signed::by(of) }))
}

/// What is enforced; nothing at all with `skip`.
fn level(verification: &mut Members<'_>) -> Result<Option<Enforcement>> {
    let strict = Enforcement { revocation: Action::Enforce, ..Enforcement::DEFAULT };
    let permissive = Enforcement {
        time: Action::Log,
        expiry: Action::Log,
        revocation: Action::Log,
        ..Enforcement::DEFAULT
    };
    let audit = Enforcement { authenticity: Action::Log, ..permissive };
    let levels = [
        ("strict", Some(strict)),
        ("permissive", Some(permissive)),
        ("audit", Some(audit)),
        ("skip", None),
    ];
    let level = verification.word("level", &levels)?;
    let mut level = verification.needs("level", level)?;
    let Some(mut over) = verification.object("override")? else { return Ok(level) };
    let words = [("enforce", Action::Enforce), ("log", Action::Log)];
    let more = [words[0], words[1], ("skip", Action::Skip)];
    if let Some(level) = &mut level {
        level.authenticity = over.word("authenticity", &words)?.unwrap_or(level.authenticity);
        level.time = over.word("authenticTimestamp", &words)?.unwrap_or(level.time);
        level.expiry = over.word("expiry", &words)?.unwrap_or(level.expiry);
        level.revocation = over.word("revocation", &more)?.unwrap_or(level.revocation);
    }
    // With `skip` nothing can be said, and of integrity nothing ever.
    over.end()?;
    Ok(level)
}

/// Reads the stores that a statement names.
fn stores(one: &mut Members<'_>, store: &mut Store, load: &dyn Load) -> Result<()> {
    let names = one.texts("trustStores")?;
    for text in one.needs("trustStores", names)? {
        let bad = || {
            one.error("trustStores", format!("{text:?}"))
                .expected("ca:NAME, signingAuthority:NAME or tsa:NAME")
        };
        let (kind, name) = text.split_once(':').ok_or_else(bad)?;
        let plain = |letter: char| letter.is_ascii_alphanumeric() || "_.-".contains(letter);
        if name.is_empty() || [".", ".."].contains(&name) || !name.chars().all(plain) {
            return Err(bad());
        }
        if !["ca", "signingAuthority", "tsa"].contains(&kind) {
            return Err(bad());
        }
        let mut anchors = Vec::new();
        let files = load.store(kind, name).map_err(|error| error.context(DOING))?;
        for (file, bytes) in files {
            let read = anchors_of(&bytes)
                .map_err(|error| error.recode(Code::Policy).context(format!("{text}, {file}")))?;
            anchors.extend(read);
        }
        if anchors.is_empty() {
            return Err(one.error("trustStores", format!("{text:?}, which is empty")));
        }
        match kind {
            "ca" => store.authorities.extend(anchors),
            "signingAuthority" => store.signing.extend(anchors),
            _ => {
                if let Some(other) = anchors.iter().find(|one| !one.is_root()) {
                    let found = format!("{text:?}: {:?}, which is no root", other.name());
                    return Err(one.error("trustStores", found));
                }
                store.stamping.extend(anchors.into_iter().map(|root| Authority {
                    name: root.name(),
                    chain: vec![root],
                    holds: Span::default(),
                }));
            }
        }
    }
    if store.authorities.is_empty() && store.signing.is_empty() {
        return Err(one
            .error("trustStores", "only stores for time stamps")
            .expected("ca:NAME or signingAuthority:NAME"));
    }
    Ok(())
}

/// The certificates of a file: PEM, or one in DER. Each may sign others, or is its own.
fn anchors_of(bytes: &[u8]) -> Result<Vec<Certificate>> {
    let what = "a store of certificates";
    let malformed = |found: &dyn std::fmt::Display| {
        Error::new(Code::Malformed, format!("reading {what}")).found(found)
    };
    let read = match std::str::from_utf8(bytes) {
        Ok(pem) if pem.contains("-----BEGIN ") => certificates(what, pem)?,
        _ => vec![Certificate::parse_open(bytes).map_err(|reason| malformed(&reason))?],
    };
    match read.iter().find(|one| !one.may_be_trusted()) {
        Some(one) => Err(malformed(&format!("the certificate {:?}", one.name()))
            .expected("one of an authority, or one that is signed by itself")),
        None => Ok(read),
    }
}

/// Whom a statement trusts; nobody is named if it trusts all.
fn identities(one: &mut Members<'_>) -> Result<Vec<dn::Name>> {
    let texts = one.texts("trustedIdentities")?;
    let texts = one.needs("trustedIdentities", texts)?;
    if texts == ["*"] {
        return Ok(Vec::new());
    }
    let mut names: Vec<dn::Name> = Vec::new();
    for text in &texts {
        let bad = |why: &str| {
            one.error("trustedIdentities", format!("{text:?}: {why}"))
                .expected("\"x509.subject: C=US, ST=WA, O=Example\", or \"*\" alone")
        };
        let subject = text.strip_prefix("x509.subject:").ok_or_else(|| bad("another kind"))?;
        let name = dn::parse(subject).map_err(|why| bad(&why))?;
        let there = |kind: &str| name.iter().any(|(own, _)| own == kind);
        if let Some(lacks) = ["C", "ST", "O"].into_iter().find(|kind| !there(kind)) {
            return Err(bad(&format!("no {lacks}")));
        }
        // No signer may be two of them, so that each two differ in something.
        let differ = |other: &dn::Name| {
            other
                .iter()
                .any(|(kind, value)| name.iter().any(|(own, other)| own == kind && other != value))
        };
        if !names.iter().all(differ) {
            return Err(bad("it overlaps with another one"));
        }
        names.push(name);
    }
    Ok(names)
}
