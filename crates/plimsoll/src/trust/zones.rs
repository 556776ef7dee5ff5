//! Signers that count because the owner of a name says so: `ns:` of a policy, out
//! of `policy/signers.json` of the zones that vouch for the name (D6).

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use plimsoll_content::Result;
use plimsoll_name::chain::Authority;
use plimsoll_name::signers::{self, Signer, SignerRule};
use plimsoll_name::tuf::Freshness;
use plimsoll_sign::key::PublicKey;
use plimsoll_sign::policy::{
    NameRule, Policy, Requirement, Rule, Trusted, TrustedKey, ZoneRule, Zoned,
};
use plimsoll_sign::{Asked, Form, ImageName, text};

use super::Gate;
use crate::naming::Naming;
use crate::place::Home;

impl Gate {
    /// The policy, with what the owner of the name says in the place of `ns:`.
    ///
    /// Errors if he can not be asked.
    pub(super) fn bound(&self, asked: &Asked) -> Result<Cow<'_, Policy>> {
        let (rule, require) = self.policy.rule(asked);
        let zoned = |one: &Requirement| matches!(one, Requirement::Signed(signed) if !signed.zones.is_empty());
        if !require.iter().any(zoned) {
            return Ok(Cow::Borrowed(&self.policy));
        }
        let mut require = require.to_vec();
        for one in &mut require {
            let Requirement::Signed(signed) = one else { continue };
            for zone in &mut signed.zones {
                zone.says = Some(self.says(zone, asked)?);
            }
        }
        let rule = rule.map(|rule| Rule { require: require.clone(), ..rule.clone() });
        Ok(Cow::Owned(Policy { default: require, rules: rule.into_iter().collect() }))
    }

    fn says(
        &self,
        zone: &Zoned,
        asked: &Asked,
    ) -> Result<std::result::Result<Vec<ZoneRule>, String>> {
        let Some(home) = &self.names else {
            return Ok(Err("nobody who asks for zones".to_owned()));
        };
        let Some(name) = &asked.name else {
            return Ok(Err("an image without a name, which no zone speaks of".to_owned()));
        };
        if !zone.covers(name) {
            return Ok(Err(format!("{name}, which is not below {}", zone.prefix)));
        }
        let bare = name.bare();
        let Ok(reference) = bare.parse::<plimsoll_name::Reference>() else {
            return Ok(Err(format!("{bare}, which is no name of a domain")));
        };
        let Some(authority) = home.authority(name, &reference)? else {
            return Ok(Err(format!("no zone of {bare}: nobody says whose signatures count")));
        };
        if let Some(zone) = authority.zones.iter().find(|zone| zone.stale) {
            return Ok(Err(format!("zone {}, which has expired ({})", zone.prefix, zone.expires)));
        }
        let rules = signers::rules(&authority.signers, &reference)?;
        if rules.is_empty() {
            let last = authority.zones.last().map(|zone| zone.prefix.clone()).unwrap_or_default();
            return Ok(Err(format!("zone {last}, which says nothing of signatures of {bare}")));
        }
        Ok(rules.iter().map(demand).collect())
    }
}

impl Home {
    /// What the zones of a name say, as it was when the name was resolved, or now.
    fn authority(
        &self,
        name: &ImageName,
        reference: &plimsoll_name::Reference,
    ) -> Result<Option<Authority>> {
        if let Some(found) = self.resolved_below(&name.host, &name.repository) {
            return Ok(Some(found));
        }
        self.naming()?.authority(self, reference)
    }
}

impl Naming {
    /// What the zones of a name say of signatures. With a lock file nobody is
    /// asked: what is remembered counts, as long as it is good.
    pub fn authority(
        &self,
        home: &Home,
        name: &plimsoll_name::Reference,
    ) -> Result<Option<Authority>> {
        if self.locked.is_some() && self.freshness == Freshness::Online {
            let quiet = Self { freshness: Freshness::Offline, ..self.clone() };
            return quiet.with(home, |resolver| resolver.authority(name));
        }
        self.with(home, |resolver| resolver.authority(name))
    }
}

/// What a rule of a zone demands, as far as it can be verified here.
fn demand(rule: &SignerRule) -> std::result::Result<ZoneRule, String> {
    let (mut of, mut forms_of, mut left) = (Vec::new(), BTreeMap::new(), BTreeSet::new());
    let mut ids = BTreeSet::new();
    for signer in &rule.of {
        let (spki, forms) = match signer {
            Signer::Key { spki, forms } => (spki, forms),
            Signer::Keyless { .. } => {
                left.insert("keyless");
                continue;
            }
            Signer::X509 { .. } => {
                left.insert("x509");
                continue;
            }
            Signer::Openpgp { .. } => {
                left.insert("openpgp");
                continue;
            }
        };
        let key = text::base64(spki)
            .ok_or_else(|| "no base64".to_owned())
            .and_then(|der| PublicKey::from_der(&der).map_err(|error| error.to_string()))
            .map_err(|why| {
                format!("a rule for {} with a key that can not be read: {why}", rule.prefix)
            })?;
        let name = format!("ns:{} {}", rule.prefix, key.fingerprint());
        if !forms.is_empty() {
            // One that is not known here is a form in which nobody signs.
            let known =
                Form::ALL.into_iter().filter(|form| forms.iter().any(|it| it == form.as_str()));
            forms_of.insert(name.clone(), known.collect());
        }
        ids.insert(key.fingerprint());
        of.push(Trusted { name, key: TrustedKey::Public(key) });
    }
    let threshold = usize::try_from(rule.threshold).unwrap_or(usize::MAX);
    if ids.len() < threshold {
        let left: Vec<_> = left.into_iter().collect();
        let also = if left.is_empty() { "fewer keys".to_owned() } else { left.join(", ") };
        return Err(format!(
            "a rule for {} that {threshold} must meet, of which {} are keys; {also} is not verified here",
            rule.prefix,
            ids.len()
        ));
    }
    let name = if rule.name == "repository" { NameRule::Repository } else { NameRule::Exact };
    Ok(ZoneRule { threshold, of, forms_of, name })
}
