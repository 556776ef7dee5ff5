//! Whose signatures count for the names of a zone (D6): `policy/signers.json`.
//!
//! What is said here is bound to the zone that says it: a rule outside of its
//! prefix is an error, and a zone below may only add to what is kept with
//! `"children":"and"`. What signatures are is for `plimsoll-sign`.

use plimsoll_content::{Code, Document, Error, Result, View, json, limits::Limits};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Reference;
use crate::path::Prefix;

/// All rules of a zone.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Signers {
    /// 1.
    pub schema_version: u64,
    /// The rules; the longest prefix counts.
    pub rules: Vec<SignerRule>,
    /// Members that this version does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// Who must have signed the images below a prefix.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct SignerRule {
    /// Which names.
    pub prefix: String,
    /// How many of them.
    pub threshold: u64,
    /// Who.
    pub of: Vec<Signer>,
    /// What a signature must say of the name: `exact`, or `repository`.
    #[serde(default = "exact")]
    pub name: String,
    /// What holds below a cut: `replace`, or `and`.
    #[serde(default = "replace")]
    pub children: String,
    /// Members that this version does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

fn exact() -> String {
    "exact".to_owned()
}

fn replace() -> String {
    "replace".to_owned()
}

/// Somebody whose signature counts.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Signer {
    /// A key.
    Key {
        /// As SubjectPublicKeyInfo, in base64.
        spki: String,
        /// The forms of signature; none is all.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        forms: Vec<String>,
    },
    /// Somebody whom an identity provider vouches for.
    Keyless {
        /// The provider.
        issuer: String,
        /// Who it says that it is.
        subject: String,
    },
    /// Somebody with a certificate.
    X509 {
        /// The digest of the authority's certificate.
        ca: String,
        /// The subject.
        subject: String,
    },
    /// An OpenPGP key.
    Openpgp {
        /// Its fingerprint.
        fingerprint: String,
    },
}

impl View for Signers {
    const NAME: &'static str = "whose signatures count";

    fn limit(_: &Limits) -> u64 {
        crate::zone::SIGNERS_LIMIT
    }

    fn check(&self) -> Result<()> {
        json::refuse_lookalikes("", &self.other, &["rules", "schemaVersion"])?;
        let wrong = |found: String, expected: &str| {
            Err(Error::new(Code::Zone, format!("reading {}", Self::NAME))
                .found(found)
                .expected(expected))
        };
        if self.schema_version != 1 {
            return wrong(format!("schemaVersion {}", self.schema_version), "1");
        }
        for rule in &self.rules {
            rule.prefix.parse::<Prefix>()?;
            if rule.threshold < 1 || rule.threshold > rule.of.len() as u64 {
                return wrong(
                    format!("{} of {} for {}", rule.threshold, rule.of.len(), rule.prefix),
                    "a threshold that can be reached",
                );
            }
            if !["exact", "repository"].contains(&rule.name.as_str())
                || !["replace", "and"].contains(&rule.children.as_str())
            {
                return wrong(
                    format!("name {:?}, children {:?}", rule.name, rule.children),
                    "words that are known",
                );
            }
        }
        Ok(())
    }
}

impl Default for Signers {
    fn default() -> Self {
        Self { schema_version: 1, rules: Vec::new(), other: Map::new() }
    }
}

impl Signers {
    /// Reads what the zone of a prefix says. It says nothing of other names.
    pub fn parse(bytes: &[u8], zone: &Prefix) -> Result<Document<Self>> {
        let document = Document::<Self>::parse(bytes)
            .map_err(|error| error.context(format!("reading zone {zone}")))?;
        for rule in &document.rules {
            let prefix: Prefix = rule.prefix.parse()?;
            if !zone.covers(&prefix) {
                return Err(Error::new(Code::Zone, format!("reading zone {zone}"))
                    .found(format!("a rule for {prefix}"))
                    .expected(format!("rules for names below {zone}")));
            }
        }
        Ok(document)
    }

    /// Puts a rule in the place of the one for the same names; without, takes
    /// that one away.
    pub fn put(&mut self, prefix: &Prefix, rule: Option<SignerRule>) {
        let text = prefix.to_string();
        self.rules.retain(|rule| rule.prefix != text);
        self.rules.extend(rule);
        self.rules.sort_by(|one, other| one.prefix.cmp(&other.prefix));
    }

    fn rule(&self, name: &Reference) -> Option<&SignerRule> {
        let whole = name.prefix();
        let fitting = self.rules.iter().filter_map(|rule| {
            let prefix: Prefix = rule.prefix.parse().ok()?;
            prefix.covers(&whole).then_some((prefix.len(), rule))
        });
        fitting.max_by_key(|(length, _)| *length).map(|(_, rule)| rule)
    }
}

/// The rules that hold for a name, all of which must be met; `zones` are what
/// the zones that vouch for it say, outermost first.
pub fn rules(zones: &[(Prefix, Vec<u8>)], name: &Reference) -> Result<Vec<SignerRule>> {
    let mut rules = Vec::new();
    for (at, (zone, bytes)) in zones.iter().enumerate() {
        let signers = Signers::parse(bytes, zone)?;
        let Some(rule) = signers.rule(name) else { continue };
        if at + 1 == zones.len() || rule.children == "and" {
            rules.push(rule.clone());
        }
    }
    Ok(rules)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_counts_and_owners_may_keep_theirs() {
        let zone = |text: &str| text.parse::<Prefix>().expect("prefix");
        let owner = br#"{"schemaVersion":1,"rules":[
            {"prefix":"example.com","threshold":1,"of":[{"kind":"openpgp","fingerprint":"8B86"}],"children":"and"},
            {"prefix":"example.com/org","threshold":1,"of":[{"kind":"keyless","issuer":"https://i.example","subject":"s"}]}]}"#;
        let team = br#"{"schemaVersion":1,"rules":[
            {"prefix":"example.com/team","threshold":1,"of":[{"kind":"key","spki":"AAAA","forms":["sigstore-bundle"]}],"name":"exact"}]}"#;
        let said =
            [(zone("example.com"), owner.to_vec()), (zone("example.com/team"), team.to_vec())];
        let name: Reference = "example.com/team/app:v1".parse().expect("name");
        let both = rules(&said, &name).expect("rules");
        assert_eq!(both.len(), 2);
        let name: Reference = "example.com/org/app:v1".parse().expect("name");
        let one = rules(&said[..1], &name).expect("rules");
        assert!(matches!(one[0].of[0], Signer::Keyless { .. }), "{one:?}");
        assert!(Signers::parse(owner, &zone("example.com/team")).is_err());
        for bad in [
            r#"{"schemaVersion":2,"rules":[]}"#,
            r#"{"schemaVersion":1,"rules":[{"prefix":"example.com","threshold":0,"of":[]}]}"#,
            r#"{"schemaVersion":1,"rules":[{"prefix":"example.com","threshold":2,"of":[{"kind":"openpgp","fingerprint":"8B86"}]}]}"#,
            r#"{"schemaVersion":1,"rules":[{"prefix":"example.com","threshold":1,"of":[{"kind":"magic"}]}]}"#,
        ] {
            assert!(Signers::parse(bad.as_bytes(), &zone("example.com")).is_err(), "{bad}");
        }
    }
}
