//! Members of a `trust.json` that go by a trusted root: identities, and keys whose
//! signatures a log has to have.

use std::collections::BTreeMap;
use std::sync::Arc;

use plimsoll_content::{Code, Error, Result};

use super::members::Members;
use super::trust::DOING;
use super::{Load, Rooted, TrustedKey, Who};
use crate::format::root::{Log, Root, Span};
use crate::key::PublicKey;
use crate::keyless::{Pattern, Wanted};

/// Roots by their paths: each file is read once.
pub(super) type Roots = BTreeMap<String, Arc<Root>>;

/// The longest pattern.
const PATTERN: usize = 1024;

const REQUIRE: [(&str, bool); 2] = [("require", true), ("ignore", false)];

/// A key; with a root, one whose signatures a log has to have.
pub(super) fn key(
    one: &mut Members<'_>,
    key: PublicKey,
    roots: &mut Roots,
    load: &dyn Load,
) -> Result<TrustedKey> {
    let Some(root) = root(one, roots, load)? else { return Ok(TrustedKey::Public(key)) };
    let log = one.word("log", &REQUIRE)?.unwrap_or(true);
    let who = Who::Key(key);
    Ok(TrustedKey::Rooted(Arc::new(Rooted { root, who, log, certificate_log: false })))
}

/// Somebody whom a certificate names.
pub(super) fn identity(
    one: &mut Members<'_>,
    roots: &mut Roots,
    load: &dyn Load,
) -> Result<TrustedKey> {
    let root = root(one, roots, load)?;
    let root = one.needs("root", root)?;
    let issuer = pattern(one, "issuer", "issuer-pattern")?;
    let issuer = Some(one.needs("issuer", issuer)?);
    let subject = pattern(one, "subject", "subject-pattern")?;
    let subject = one.needs("subject", subject)?;
    let who = Who::Anyone(vec![Wanted { issuer, subject, mail: false }]);
    let log = one.word("log", &REQUIRE)?.unwrap_or(true);
    let certificate_log = one.word("certificate-log", &REQUIRE)?.unwrap_or(true);
    Ok(TrustedKey::Rooted(Arc::new(Rooted { root, who, log, certificate_log })))
}

fn root(one: &mut Members<'_>, roots: &mut Roots, load: &dyn Load) -> Result<Option<Arc<Root>>> {
    let Some(path) = one.text("root")? else { return Ok(None) };
    if let Some(known) = roots.get(&path) {
        return Ok(Some(Arc::clone(known)));
    }
    let read = Root::parse(&load.file(&path)?)
        .map_err(|reason| Error::new(Code::Policy, DOING).found(reason).context(&path))?;
    let read = Arc::new(read);
    roots.insert(path, Arc::clone(&read));
    Ok(Some(read))
}

fn pattern(one: &mut Members<'_>, exact: &str, like: &str) -> Result<Option<Pattern>> {
    match (one.text(exact)?, one.text(like)?) {
        (None, None) => Ok(None),
        (Some(text), None) if !text.is_empty() => Ok(Some(Pattern::Is(text))),
        (None, Some(text)) if !text.is_empty() && text.len() <= PATTERN => {
            Ok(Some(Pattern::Like(text)))
        }
        _ => Err(one
            .error(exact, "both, or nothing in it")
            .expected(format!("{exact}, or {like} of at most {PATTERN} letters"))),
    }
}

/// Logs of which only the keys are known: any name, any time.
pub(super) fn logs(keys: &[PublicKey]) -> Vec<Log> {
    keys.iter()
        .map(|key| {
            let id = key.hash();
            let (name, hint) = (String::new(), id[..4].to_vec());
            Log { name, id, hint, key: key.clone(), holds: Span::default() }
        })
        .collect()
}

/// The different signers that these can be.
pub(super) fn signers(rooted: &Rooted, most: usize) -> Vec<String> {
    match &rooted.who {
        Who::Key(key) => vec![key.fingerprint()],
        Who::Anyone(all) => all
            .iter()
            .flat_map(|wanted| match (&wanted.issuer, &wanted.subject) {
                (Some(Pattern::Is(issuer)), Pattern::Is(subject)) => {
                    vec![format!("{issuer} {subject}")]
                }
                _ => (0..most).map(|at| format!("{wanted:?}/{at}")).collect(),
            })
            .collect(),
    }
}
