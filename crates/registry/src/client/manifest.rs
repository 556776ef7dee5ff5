//! Manifests and indexes: read whole within a budget, proved, and written
//! byte for byte.

use std::io::{self, Write};
use std::sync::Arc;

use plimsoll_content::{
    Algorithm, Code, Descriptor, Digest, Error, Ingest, MediaType, Resolve, Result, Source,
    Verified,
};
use plimsoll_spec::docker::schema1::{is_schema1, payload};
use plimsoll_spec::{Index, graph, media_type};
use serde_json::Value;

use super::fallback_tag;
use super::locked;
use super::remote::Remote;
use super::wire::{Body, Method, Request};
use crate::protocol::{Address, Endpoint, Tag, header};

/// What a manifest may be, for registries that have several forms of one.
static KNOWN: [MediaType; 4] = [
    media_type::INDEX,
    media_type::MANIFEST,
    media_type::DOCKER_MANIFEST_LIST,
    media_type::DOCKER_MANIFEST,
];

/// What we take, `also` among it.
pub(super) fn accepted(also: &MediaType) -> String {
    let mut types: Vec<&str> = KNOWN.iter().map(MediaType::as_str).collect();
    if !types.contains(&also.as_str()) && also.is_well_formed() {
        types.push(also.as_str());
    }
    types.push("*/*");
    types.join(", ")
}

impl Remote {
    /// Reads a manifest, and proves it: against its descriptor or digest if
    /// one is known, else against what the registry says of it.
    pub(super) fn manifest(
        &self,
        address: &Address,
        known: Option<&Descriptor>,
    ) -> Result<(Descriptor, Arc<[u8]>)> {
        let shown = match address {
            Address::Tag(tag) => format!("{self}:{tag}"),
            Address::Digest(digest) => format!("{self}@{digest}"),
        };
        let doing = format!("reading manifest {shown}");
        let wanted = known.map_or(&KNOWN[0], |known| &known.media_type);
        let url = self.url(&Endpoint::Manifest(&self.name, address))?;
        let request = Request::new(Method::GET, url).with("accept", accepted(wanted));
        let answer = self.ask(&self.pull, request)?;
        if answer.status == 404 && !answer.is_page() {
            return Err(answer
                .refusal(&doing)
                .expected("a manifest")
                .fix(format!("plimsoll ls {self}   lists the tags")));
        }
        let answer = self.expect(answer, &[200], &self.pull, &doing)?.no_page(&doing)?;
        let limits = self.limits();
        let announced = answer.length();
        if let (Some(known), Some(length)) = (known, announced)
            && known.size != length
        {
            return Err(Error::new(Code::Size, doing)
                .found(format!("{length} bytes"))
                .expected(format!("{} bytes", known.size))
                .tried(&answer.url));
        }
        let said: Option<Digest> =
            answer.header(header::CONTENT_DIGEST).and_then(|text| text.parse().ok());
        let kind = answer.media_type();
        let from = answer.url.clone();
        let bytes = answer.read(limits.index.max(limits.document), "a manifest")?;
        if let Some(length) = announced
            && length != bytes.len() as u64
        {
            return Err(Error::new(Code::Size, doing)
                .found(format!("{} bytes", bytes.len()))
                .expected(format!("{length} bytes, as announced"))
                .tried(from));
        }
        let media_type = match (known, kind) {
            (Some(known), _) => known.media_type.clone(),
            (None, Some(kind)) if !is_vague(&kind) => MediaType::from(kind.as_str()),
            (None, _) => {
                graph::said_type(&bytes, &limits).map_err(|error| error.context(&doing))?
            }
        };
        // The digest of a signed one is that of a part of it.
        let payload = if is_schema1(&media_type) {
            payload(&bytes, &limits).map_err(|error| error.context(&doing))?
        } else {
            None
        };
        let named = payload.as_deref().unwrap_or(&bytes);
        let digest = match (address, &said) {
            (Address::Digest(digest), _) => digest.clone(),
            (Address::Tag(_), Some(digest)) if digest.algorithm().is_some() => digest.clone(),
            (Address::Tag(_), _) => Digest::of(Algorithm::Sha256, named),
        };
        let algorithm = digest.computable("manifest")?;
        let found = Digest::of(algorithm, named);
        // That of all its bytes proves it too.
        let proved =
            found == digest || payload.is_some() && Digest::of(algorithm, &bytes) == digest;
        if !proved {
            let who = if known.is_some() || matches!(address, Address::Digest(_)) {
                "as was asked for"
            } else {
                "as the registry says"
            };
            return Err(Error::new(Code::Digest, doing)
                .found(format!("{found} ({} bytes)", bytes.len()))
                .expected(format!("{digest}, {who}"))
                .tried(from));
        }
        self.remember(&digest, &bytes);
        let descriptor = Descriptor::new(media_type, digest, bytes.len() as u64);
        Ok((descriptor, bytes.into()))
    }

    /// Writes a manifest under its digest; with `tag` under that as well.
    pub(super) fn put_manifest(
        &self,
        manifest: &Descriptor,
        bytes: &[u8],
        tag: Option<&Tag>,
    ) -> Result<()> {
        let doing = match tag {
            Some(tag) => format!("writing manifest {self}:{tag}"),
            None => format!("writing manifest {self}@{}", manifest.digest),
        };
        let by_digest = Address::Digest(manifest.digest.clone());
        let by_tag;
        // Under a tag, a registry computes the digest, and takes sha256.
        let endpoint = match tag {
            Some(tag) if manifest.digest.algorithm() == Some(Algorithm::Sha256) => {
                by_tag = Address::Tag(tag.clone());
                Endpoint::Manifest(&self.name, &by_tag)
            }
            Some(tag) => Endpoint::Tagged(&self.name, &manifest.digest, tag),
            None => Endpoint::Manifest(&self.name, &by_digest),
        };
        let mut request = Request::new(Method::PUT, self.url(&endpoint)?)
            .with("content-type", manifest.media_type.as_str());
        request.body = Body::Bytes(bytes);
        let answer = self.ask(&self.push, request)?;
        let answer = self.expect(answer, &[201], &self.push, &doing)?;
        let said =
            answer.header(header::CONTENT_DIGEST).and_then(|text| text.parse::<Digest>().ok());
        if let Some(said) = said.filter(|said| said.algorithm() == manifest.digest.algorithm())
            && said != manifest.digest
        {
            return Err(Error::new(Code::Digest, doing)
                .found(format!("{said}, says the registry"))
                .expected(&manifest.digest)
                .tried(&answer.url));
        }
        if let Endpoint::Tagged(..) = endpoint
            && answer.header(header::TAG).is_none()
        {
            return Err(Error::new(Code::Unrepresentable, doing)
                .found(format!(
                    "a registry that gives tags to sha256 only, and {}",
                    manifest.digest
                ))
                .expected("an answer with OCI-Tag")
                .fix("the manifest is there by its digest"));
        }
        let lists = answer.header(header::SUBJECT).is_some();
        self.remember(&manifest.digest, bytes);
        if tag.is_none() && !lists {
            self.list_by_tag(manifest, bytes)?;
        }
        Ok(())
    }

    /// Lists a manifest with a subject under the fallback tag, where the
    /// registry does not list it itself (distribution-spec, "Pushing
    /// Manifests with Subject").
    fn list_by_tag(&self, manifest: &Descriptor, bytes: &[u8]) -> Result<()> {
        let Ok(value) = serde_json::from_slice::<Value>(bytes) else { return Ok(()) };
        let subject = value.pointer("/subject/digest").and_then(Value::as_str);
        let Some(subject) = subject.and_then(|text| text.parse::<Digest>().ok()) else {
            return Ok(());
        };
        let mut listed =
            Descriptor::new(manifest.media_type.clone(), manifest.digest.clone(), manifest.size);
        let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str);
        let kind = text("/artifactType").or_else(|| text("/config/mediaType"));
        listed.artifact_type = kind.map(MediaType::from);
        if let Some(annotations) = value.get("annotations").and_then(Value::as_object) {
            let pairs = annotations.iter();
            listed.annotations = pairs
                .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
                .collect();
        }
        self.list_referrers(&subject, &[listed])
    }

    /// Adds to the list of referrers under the fallback tag of `subject` what
    /// it does not list yet.
    pub fn list_referrers(&self, subject: &Digest, more: &[Descriptor]) -> Result<()> {
        let tag = fallback_tag(subject);
        let doing = || format!("listing referrers under {self}:{tag}");
        // The protocol has no way to say "if nobody else was faster".
        let _one = locked(&self.listing);
        let mut value = match self.resolve(&tag) {
            Ok(old) => {
                let old = (self as &dyn Source).document::<Index>(&old)?;
                let there = |digest| old.manifests.iter().any(|other| &other.digest == digest);
                if more.iter().all(|entry| there(&entry.digest)) {
                    return Ok(());
                }
                serde_json::from_slice(old.bytes())
            }
            Err(error) if error.code() == Code::NotFound => {
                serde_json::from_slice(b"{\"schemaVersion\":2,\"manifests\":[]}")
            }
            Err(error) => return Err(error.context(doing())),
        }
        .map_err(|cause| Error::new(Code::Malformed, doing()).found(&cause).cause(cause))?;
        if let Value::Object(members) = &mut value {
            members.insert("mediaType".into(), media_type::INDEX.as_str().into());
        }
        let bug = |cause: serde_json::Error| Error::new(Code::Bug, doing()).found(cause);
        if let Some(Value::Array(entries)) = value.get_mut("manifests") {
            for entry in more {
                let there = |other: &Value| {
                    other.get("digest").and_then(Value::as_str) == Some(&entry.digest.to_string())
                };
                if !entries.iter().any(there) {
                    entries.push(serde_json::to_value(entry).map_err(bug)?);
                }
            }
        }
        let bytes = serde_json::to_vec(&value).map_err(bug)?;
        let index = Descriptor::of(media_type::INDEX, Algorithm::Sha256, &bytes);
        let tag: Tag = tag.parse()?;
        self.put_manifest(&index, &bytes, Some(&tag)).map_err(|error| error.context(doing()))
    }

    /// Removes a tag, or a manifest with all its tags. `false` if there was none.
    pub(super) fn delete_manifest(&self, address: &Address) -> Result<bool> {
        let doing = match address {
            Address::Tag(tag) => format!("removing tag {self}:{tag}"),
            Address::Digest(digest) => format!("removing manifest {self}@{digest}"),
        };
        let scope = super::auth::Scope::of(&self.name, "delete,pull,push");
        let url = self.url(&Endpoint::Manifest(&self.name, address))?;
        let answer = self.ask(&scope, Request::new(Method::DELETE, url))?;
        match answer.status {
            200 | 202 | 204 => Ok(true),
            404 => Ok(false),
            400 | 405 | 501 => {
                let error = answer.refusal(&doing).recode(Code::Registry);
                Err(match address {
                    Address::Tag(_) => error.expected("a registry that removes tags").fix(format!(
                        "plimsoll rm {self}@DIGEST   removes a manifest with all its tags"
                    )),
                    Address::Digest(_) => error.expected("a registry that removes manifests"),
                })
            }
            _ => Err(self.client.refusal(&self.host, &scope, answer, &doing)),
        }
    }
}

/// Types that say nothing of what a manifest is.
fn is_vague(kind: &str) -> bool {
    matches!(kind, "" | "application/json" | "application/octet-stream")
        || kind.starts_with("text/")
}

/// A manifest on its way to a registry: it is sent when it is proved.
pub(super) struct ManifestIngest<'a> {
    remote: &'a Remote,
    bytes: Vec<u8>,
}

impl<'a> ManifestIngest<'a> {
    pub(super) fn new(remote: &'a Remote) -> Self {
        Self { remote, bytes: Vec::new() }
    }
}

impl Write for ManifestIngest<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Ingest for ManifestIngest<'_> {
    fn commit(self: Box<Self>, proof: Verified) -> Result<Descriptor> {
        let manifest = proof.descriptor().clone();
        proof.covers(self.bytes.len() as u64)?;
        self.remote.put_manifest(&manifest, &self.bytes, None)?;
        Ok(manifest)
    }
}
