//! Manifests: end-3, end-7 and end-9 of the specification.

use hyper::header::CONTENT_TYPE;
use hyper::{Method, StatusCode};
use plimsoll_content::limits::Limits;
use plimsoll_content::{Algorithm, Code, Descriptor, Digest, Error, MediaType};
use plimsoll_registry::protocol::{Address, Endpoint, ErrorCode, Repository, Tag, header};
use plimsoll_spec::docker::schema1::is_schema1;
use plimsoll_spec::media_type::LayerType;
use plimsoll_spec::{Node, graph};

use crate::body::Payload;
use crate::reply::{Refusal, Replied, Reply};
use crate::service::Asked;
use crate::storage::folder::referrer;
use crate::storage::{NewManifest, Put, Removal};

impl Asked<'_> {
    pub(crate) async fn manifest(
        &mut self,
        name: Repository,
        address: Address,
        tags: Vec<Tag>,
    ) -> Replied {
        self.allow(&[Method::GET, Method::HEAD, Method::PUT, Method::DELETE])?;
        match self.parts.method {
            Method::PUT => self.put(name, address, tags).await,
            Method::DELETE => self.remove(name, address).await,
            _ => self.get(name, address).await,
        }
    }

    async fn get(&mut self, name: Repository, address: Address) -> Replied {
        let storage = &self.service.storage;
        let found = storage.manifest(&name, &address).await.map_err(Refusal::fault)?;
        let found = found.ok_or_else(|| unknown(&address))?;
        let options = &self.service.options;
        // Who asks whether it is there may be about to push what leads to it.
        if self.parts.method == Method::HEAD
            && matches!(address, Address::Digest(_))
            && options.collect_untagged.is_some()
            && !options.read_only
            && storage.keep_blob(&name, &found.digest).await?.is_none()
        {
            return Err(unknown(&address));
        }
        let etag = format!("\"{}\"", found.digest);
        let reply = |status| {
            Reply::new(status)
                .header(header::CONTENT_DIGEST, found.digest.to_string())
                .header("ETag", &etag)
        };
        let known = self.parts.headers.get_all("If-None-Match").iter();
        if known.filter_map(|known| known.to_str().ok()).any(|known| matches(known, &etag)) {
            return Ok(reply(StatusCode::NOT_MODIFIED));
        }
        // There is one form of it, which is sent whatever the client accepts:
        // another one would have another digest.
        let reply = reply(StatusCode::OK);
        if self.parts.method == Method::HEAD {
            return Ok(reply.header("Content-Type", found.media_type.as_str()).length(found.size));
        }
        let bytes = storage.manifest_bytes(&name, &found).await.map_err(Refusal::fault)?;
        let bytes = bytes.ok_or_else(|| unknown(&address))?;
        Ok(reply.body(found.media_type.as_str(), Payload::bytes(bytes)))
    }

    async fn put(&mut self, name: Repository, address: Address, tags: Vec<Tag>) -> Replied {
        let options = &self.service.options;
        let most = options.budget.manifest;
        let Some(body) = self.body.take() else { return Err(invalid("no body")) };
        let too_large = || {
            let text = format!("the manifest has more than {most} bytes");
            Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::SizeInvalid, text)
        };
        if body.announced().is_some_and(|length| length > most) {
            return Err(too_large());
        }
        // All of it is in memory, and of so many at once only.
        let _turn = Self::turn(self.service, &self.parts.headers).await?;
        let bytes = body.at_most(most).whole().await.map_err(|error| match error.code() {
            Code::Limit => too_large(),
            _ => error.into(),
        })?;
        let digest = match &address {
            Address::Digest(said) => {
                let digest = Digest::of(said.computable("manifest")?, &bytes);
                if digest != *said {
                    return Err(Error::new(Code::Digest, "verifying the manifest")
                        .found(digest)
                        .expected(said)
                        .into());
                }
                digest
            }
            Address::Tag(_) => Digest::of(Algorithm::Sha256, &bytes),
        };
        let limits = Limits { document: most, index: most, ..Limits::default() };
        let media_type = self.media_type(&bytes, &limits)?;
        let descriptor = Descriptor::new(media_type, digest.clone(), bytes.len() as u64);
        let node = read(&descriptor, &bytes, &limits)?;
        let mut wanted = tags.clone();
        if let Address::Tag(tag) = &address {
            wanted.push(tag.clone());
        }
        let subject = node.subject().map(|subject| subject.digest.clone());
        let manifest = NewManifest {
            referrer: referrer(&descriptor, &node),
            needs: if options.sparse { Vec::new() } else { needs(&node) },
            subject: subject.clone(),
            tags: wanted,
            descriptor,
            bytes,
        };
        if let Put::Missing(missing) = self.service.storage.put_manifest(&name, manifest).await? {
            let text = format!("the manifest leads to {missing}, which is not in the repository");
            return Err(Refusal::new(StatusCode::NOT_FOUND, ErrorCode::ManifestBlobUnknown, text));
        }
        let place = Endpoint::Manifest(&name, &Address::Digest(digest.clone())).to_string();
        let mut reply = Reply::new(StatusCode::CREATED)
            .header("Location", place)
            .header(header::CONTENT_DIGEST, digest.to_string());
        if let Some(subject) = subject {
            reply = reply.header(header::SUBJECT, subject.to_string());
        }
        // One header for each, as the specification has it.
        Ok(tags.iter().fold(reply, |reply, tag| reply.header(header::TAG, tag.as_str())))
    }

    /// What a manifest is: what the request says, or else what it says itself.
    fn media_type(&self, bytes: &[u8], limits: &Limits) -> Result<MediaType, Refusal> {
        let said = self.parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let said = said.map(|value| value.split(';').next().unwrap_or(value).trim());
        // What tools send that were told nothing.
        let vague = ["", "application/json", "application/octet-stream", "text/plain"];
        let vague =
            |text: &str| vague.contains(&text) || text.starts_with("application/x-www-form");
        match said.filter(|said| !vague(said)) {
            Some(said) => {
                let said = MediaType::from(said);
                if said.is_well_formed() { Ok(said) } else { Err(invalid("no media type")) }
            }
            None => graph::said_type(bytes, limits).map_err(|error| invalid(error.to_string())),
        }
    }

    async fn remove(&mut self, name: Repository, address: Address) -> Replied {
        let storage = &self.service.storage;
        let removed = match &address {
            Address::Tag(tag) => storage.remove_tag(&name, tag).await?,
            Address::Digest(digest) => {
                storage.remove_manifest(&name, digest).await? == Removal::Done
            }
        };
        if removed { Ok(Reply::new(StatusCode::ACCEPTED)) } else { Err(unknown(&address)) }
    }
}

/// Reads a manifest, and refuses what nobody could use.
fn read(descriptor: &Descriptor, bytes: &[u8], limits: &Limits) -> Result<Node, Refusal> {
    if is_schema1(&descriptor.media_type) {
        return Err(invalid("Docker schema 1 is too old to be stored: convert the image"));
    }
    let wrong = |error: Error| invalid(error.to_string());
    if !Node::is_document(&descriptor.media_type) {
        // A manifest of a kind that is not known here. It is kept as it is, if
        // every reader reads the same in it.
        plimsoll_content::json::check_within("a manifest", bytes, limits.json_depth)
            .map_err(wrong)?;
        let said = graph::said_type(bytes, limits).ok();
        if said.is_some_and(|said| Node::is_document(&said)) {
            return Err(invalid("it says of itself to be of another media type"));
        }
    }
    Node::parse_within(descriptor, bytes.to_vec(), limits).map_err(wrong)
}

/// What must be there before a manifest: all that it leads to, but for layers
/// that may not be distributed, which have places of their own, and what is
/// embedded in the manifest.
fn needs(node: &Node) -> Vec<Descriptor> {
    let successors = node.successors().into_iter().map(|(_, blob)| blob);
    let here = successors.filter(|blob| {
        let elsewhere = LayerType::of(&blob.media_type).is_some_and(|layer| layer.nondistributable);
        !elsewhere && blob.data.is_none()
    });
    here.cloned().collect()
}

fn matches(header: &str, etag: &str) -> bool {
    header.split(',').any(|one| {
        let one = one.trim();
        one == "*" || one.strip_prefix("W/").unwrap_or(one) == etag
    })
}

fn unknown(address: &Address) -> Refusal {
    let text = format!("there is no manifest {address} in the repository");
    Refusal::new(StatusCode::NOT_FOUND, ErrorCode::ManifestUnknown, text)
}

fn invalid(text: impl Into<String>) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, ErrorCode::ManifestInvalid, text)
}
