//! The simple signing payload: which content, and what it is called. Cosign's
//! old signatures and those of GPG sign it, with another type each.

use plimsoll_content::Digest;
use serde_json::{Map, Value};

use super::parse::{exactly, member, object, string, within};
use crate::claim::Seconds;
use crate::limits::Limits;
use crate::reason::{Reason, quoted};

/// The type that cosign signs.
pub const COSIGN: &str = "cosign container image signature";

/// The type that is signed with GPG.
pub const ATOMIC: &str = "atomic container signature";

/// The media type of the layer that holds a payload.
pub const MEDIA_TYPE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";

/// The annotation that holds its signature.
pub const SIGNATURE: &str = "dev.cosignproject.cosign/signature";

/// Whether it could be the name of an image somewhere, with or without a registry.
fn is_reference(name: &str) -> bool {
    let (name, _) = name.split_once('@').unwrap_or((name, ""));
    let (rest, last) = name.rsplit_once('/').map_or(("", name), |(rest, last)| (rest, last));
    // A tag may have capitals, and so may the registry that a name begins with.
    let (last, _) = last.split_once(':').unwrap_or((last, ""));
    let (host, rest) = match rest.split_once('/').unwrap_or((rest, "")) {
        (host, rest) if host.contains(['.', ':']) || host == "localhost" => (host, rest),
        _ => ("", rest),
    };
    let plain = |text: &str| {
        text.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"/._-".contains(&byte)
        })
    };
    let good_host =
        host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte));
    !last.is_empty() && plain(last) && plain(rest) && good_host
}

/// What a payload says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Payload {
    /// The manifest.
    pub digest: Digest,
    /// What it is called: with a tag, without, or with a digest.
    pub name: String,
    /// When it was signed, by the signer's own word.
    pub issued: Option<Seconds>,
}

impl Payload {
    /// Reads a payload of that type.
    ///
    /// The members are those of the form and no others, each once and written
    /// exactly so: a verifier that does not understand a critical member must
    /// not act as if it were not there.
    pub fn parse(bytes: &[u8], kind: &str, limits: &Limits) -> Result<Self, Reason> {
        let what = "the payload";
        within("a payload", bytes.len(), limits.simple)?;
        let payload = object(what, bytes, limits.depth)?;
        exactly(what, &payload, &["critical", "optional"])?;
        let critical = member(what, &payload, "critical")?;
        exactly("critical", critical, &["identity", "image", "type"])?;
        let said = string("critical", critical, "type")?;
        if said != kind {
            return Err(Reason::malformed(format!(
                "the payload is of type {}, not {kind:?}",
                quoted(said)
            )));
        }
        let identity = member("critical", critical, "identity")?;
        exactly("identity", identity, &["docker-reference"])?;
        let image = member("critical", critical, "image")?;
        exactly("image", image, &["docker-manifest-digest"])?;
        let digest = string("image", image, "docker-manifest-digest")?;
        let digest = digest.parse().map_err(Reason::malformed)?;
        let name = string("identity", identity, "docker-reference")?.to_owned();
        if !is_reference(&name) {
            return Err(Reason::malformed(format!("the signed name {}", quoted(&name))));
        }
        let issued = match payload.get("optional") {
            Some(Value::Null) => None,
            Some(Value::Object(optional)) => optional.get("timestamp").and_then(Value::as_i64),
            _ => return Err(Reason::malformed("the payload: optional is no object")),
        };
        Ok(Self { digest, name, issued })
    }

    /// The bytes to be signed, as cosign writes them; `creator` and the time are
    /// said where a type asks for them.
    pub fn to_bytes(&self, kind: &str, creator: Option<&str>) -> Vec<u8> {
        let text = |text: &str| Value::from(text).to_string();
        let mut optional = Map::new();
        if let Some(creator) = creator {
            optional.insert("creator".to_owned(), creator.into());
        }
        if let Some(issued) = self.issued {
            optional.insert("timestamp".to_owned(), issued.into());
        }
        let optional = if optional.is_empty() { Value::Null } else { Value::Object(optional) };
        // In cosign's order, which its own tests compare.
        format!(
            "{{\"critical\":{{\"identity\":{{\"docker-reference\":{}}},\"image\":{{\"docker-manifest-digest\":{}}},\"type\":{}}},\"optional\":{optional}}}",
            text(&self.name),
            text(&self.digest.to_string()),
            text(kind),
        )
        .into_bytes()
    }
}
