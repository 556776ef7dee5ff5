//! In-toto statements: which content, and what is said of it.

use plimsoll_content::Digest;
use serde_json::{Map, Value, json};

use super::parse::{member, most, no_lookalikes, object, string};
use crate::claim::{Saying, Seconds};
use crate::limits::Limits;
use crate::reason::{Reason, Why, quoted};

/// The version that is written.
const V1: &str = "https://in-toto.io/Statement/v1";
/// The versions that are read.
const TYPES: [&str; 3] =
    [V1, "https://in-toto.io/Statement/v0.1", "https://in-toto.io/Statement/v0.2"];

/// What cosign says of an image that it signs.
pub const SIGNATURE: &str = "https://sigstore.dev/cosign/sign/v1";

/// A signature that binds a name, until some time.
pub const BINDING: &str = "urn:x-plimsoll:name-binding:v1";

/// What a statement says about one content.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    /// What is said.
    pub saying: Saying,
    /// The names that it gives to the content.
    pub names: Vec<String>,
    /// What it says that the content is.
    pub media_type: Option<String>,
    /// How long it says that it is.
    pub size: Option<u64>,
    /// When it was said.
    pub issued: Option<Seconds>,
    /// Until when it holds.
    pub expires: Option<Seconds>,
    /// Its number among those about one name.
    pub sequence: Option<u64>,
}

impl Statement {
    /// Reads a statement, which must be about `digest`.
    pub fn parse(bytes: &[u8], digest: &Digest, limits: &Limits) -> Result<Self, Reason> {
        let what = "the statement";
        let members = ["_type", "subject", "predicateType", "predicate"];
        let statement = object(what, bytes, limits.depth)?;
        no_lookalikes(what, &statement, &members)?;
        let kind = string(what, &statement, "_type")?;
        if !TYPES.contains(&kind) {
            return Err(Reason::malformed(format!("a statement of type {}", quoted(kind))));
        }
        let subject = subject(&statement, digest, limits)?;
        let predicate_type = string(what, &statement, "predicateType")?;
        let predicate = match statement.get("predicate") {
            None => Value::Object(Map::new()),
            Some(predicate) => predicate.clone(),
        };
        let name = subject.get("name").and_then(Value::as_str).filter(|name| !name.is_empty());
        let media_type = subject.get("mediaType").and_then(Value::as_str).map(str::to_owned);
        let mut said = Self {
            saying: Saying::Signature,
            // A name without a host is a word of the producer, as in provenance.
            names: name.filter(|name| name.contains('/')).map(str::to_owned).into_iter().collect(),
            media_type,
            size: None,
            issued: None,
            expires: None,
            sequence: None,
        };
        match predicate_type {
            SIGNATURE => {}
            BINDING => said.bound(&predicate)?,
            other => {
                said.names.clear();
                said.saying = Saying::Attestation { predicate_type: other.to_owned(), predicate };
            }
        }
        Ok(said)
    }

    /// What our own predicate adds. All of it is critical: a member that is
    /// unknown may be a condition.
    fn bound(&mut self, predicate: &Value) -> Result<(), Reason> {
        let what = "the name binding";
        let members = ["names", "descriptor", "issued", "expires", "sequence"];
        let Value::Object(binding) = predicate else {
            return Err(Reason::malformed(format!("{what} is no object")));
        };
        super::parse::exactly(what, binding, &members)?;
        let names = binding.get("names").and_then(Value::as_array).map(|names| {
            names.iter().map(|name| name.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
        });
        self.names = names
            .flatten()
            .ok_or_else(|| Reason::malformed(format!("{what}: names are no strings")))?;
        let descriptor = member(what, binding, "descriptor")?;
        super::parse::exactly("descriptor", descriptor, &["mediaType", "size"])?;
        self.media_type = Some(string("descriptor", descriptor, "mediaType")?.to_owned());
        self.size = descriptor.get("size").and_then(Value::as_u64);
        let seconds = |name: &str| match binding.get(name) {
            Some(Value::Null) => Ok(None),
            Some(value) if value.as_i64().is_some() => Ok(value.as_i64()),
            _ => Err(Reason::malformed(format!("{what}: {name} is no number of seconds"))),
        };
        self.issued = seconds("issued")?;
        self.expires = seconds("expires")?;
        self.sequence = seconds("sequence")?
            .map(u64::try_from)
            .transpose()
            .map_err(|_| Reason::malformed(format!("{what}: a sequence below zero")))?;
        if self.size.is_none() || self.issued.is_none() {
            return Err(Reason::malformed(format!("{what} lacks its size or its time")));
        }
        Ok(())
    }
}

/// The first subject that is the content.
fn subject<'a>(
    statement: &'a Map<String, Value>,
    digest: &Digest,
    limits: &Limits,
) -> Result<&'a Map<String, Value>, Reason> {
    let subjects = statement
        .get("subject")
        .and_then(Value::as_array)
        .ok_or_else(|| Reason::malformed("a statement without subjects"))?;
    most("subjects", subjects.len(), limits.subjects)?;
    let mut found = None;
    let mut other = None;
    for subject in subjects {
        let Value::Object(subject) = subject else {
            return Err(Reason::malformed("a subject that is no object"));
        };
        no_lookalikes("a subject", subject, &["name", "digest", "mediaType", "uri"])?;
        let digests = member("a subject", subject, "digest")?;
        most("digests of a subject", digests.len(), limits.digests)?;
        match digests.get(digest.algorithm_name()) {
            Some(Value::String(value)) if *value == digest.encoded() => {
                found.get_or_insert(subject);
            }
            _ => {
                other = digests.iter().next();
            }
        }
    }
    found.ok_or_else(|| {
        let other = other.map_or_else(
            || "no content".to_owned(),
            |(name, value)| quoted(&format!("{name}:{}", value.as_str().unwrap_or_default())),
        );
        Reason::new(Why::Subject, format!("the statement is about {other}"))
    })
}

/// What is written into a statement about content.
#[derive(Clone, Debug)]
pub struct Draft<'a> {
    /// The content.
    pub digest: &'a Digest,
    /// What it is.
    pub media_type: &'a str,
    /// What it is called.
    pub name: Option<&'a str>,
    /// What is said of it.
    pub predicate_type: &'a str,
    /// What exactly.
    pub predicate: Value,
}

impl Draft<'_> {
    /// The bytes of the statement.
    pub fn to_bytes(&self) -> plimsoll_content::Result<Vec<u8>> {
        let mut subject = json!({
            "digest": {self.digest.algorithm_name(): self.digest.encoded()},
        });
        if let Some(name) = self.name {
            subject["name"] = name.into();
            subject["mediaType"] = self.media_type.into();
        }
        plimsoll_content::json::canonical(&json!({
            "_type": V1,
            "predicate": self.predicate,
            "predicateType": self.predicate_type,
            "subject": [subject],
        }))
    }
}

/// The predicate of [`BINDING`].
pub fn binding(
    names: &[String],
    media_type: &str,
    size: u64,
    issued: Seconds,
    expires: Option<Seconds>,
    sequence: Option<u64>,
) -> Value {
    json!({
        "names": names,
        "descriptor": {"mediaType": media_type, "size": size},
        "issued": issued,
        "expires": expires,
        "sequence": sequence,
    })
}

/// The types of predicates by the short names that people know.
pub fn predicate_type(name: &str) -> &str {
    match name {
        "slsaprovenance" | "slsaprovenance02" => "https://slsa.dev/provenance/v0.2",
        "slsaprovenance1" | "slsa" => "https://slsa.dev/provenance/v1",
        "vsa" => "https://slsa.dev/verification_summary/v1",
        "spdx" | "spdxjson" => "https://spdx.dev/Document",
        "cyclonedx" => "https://cyclonedx.org/bom",
        "openvex" => "https://openvex.dev/ns",
        "vuln" => "https://cosign.sigstore.dev/attestation/vuln/v1",
        "custom" => "https://cosign.sigstore.dev/attestation/v1",
        "link" => "https://in-toto.io/Link/v1",
        other => other,
    }
}
