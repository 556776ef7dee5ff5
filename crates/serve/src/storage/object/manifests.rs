//! Manifests, their tags, and what is about them.

use std::collections::BTreeSet;

use futures_util::{StreamExt, TryStreamExt, stream};
use hyper::body::Bytes;
use object_store::path::Path;
use object_store::{PutMode, PutPayload, UpdateVersion};
use plimsoll_content::limits::Limits;
use plimsoll_content::{Code, Descriptor, Digest, Error, Result};
use plimsoll_registry::protocol::{Address, Repository, Tag};
use plimsoll_spec::Node;
use serde::{Deserialize, Serialize};

use super::keys::repository_in;
use super::objects::{AT_ONCE, Objects, Wrote, json};
use crate::storage::{NewManifest, Put, Removal};

/// How often a change of a tag is tried anew because others came between.
const TRIES: usize = 64;

/// What is kept of a manifest beside its bytes.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Record {
    #[serde(rename = "manifest")]
    pub(super) descriptor: Descriptor,
    /// All content that it leads to.
    #[serde(with = "digests")]
    pub(super) leads: BTreeSet<Digest>,
    /// The manifest that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) subject: Option<Digest>,
}

/// Digests as they are written.
mod digests {
    use std::collections::BTreeSet;

    use plimsoll_content::Digest;
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(
        digests: &BTreeSet<Digest>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(digests.iter().map(ToString::to_string))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeSet<Digest>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        texts.iter().map(|text| text.parse().map_err(de::Error::custom)).collect()
    }
}

impl Objects {
    async fn record(&self, name: &Repository, digest: &Digest) -> Result<Option<Record>> {
        let read = self.read(&self.keys.manifest(name, digest)?).await?;
        Ok(read.map(|(record, _)| record))
    }

    /// Whether a repository has that manifest.
    pub(super) async fn is_manifest(&self, name: &Repository, digest: &Digest) -> Result<bool> {
        Ok(self.head(&self.keys.manifest(name, digest)?).await?.is_some())
    }

    /// What a manifest is.
    pub(super) async fn manifest(
        &self,
        name: &Repository,
        address: &Address,
    ) -> Result<Option<Descriptor>> {
        let digest = match address {
            Address::Digest(digest) => digest.clone(),
            Address::Tag(tag) => {
                let tagged = self.read::<Descriptor>(&self.keys.tag(name, tag.as_str())?).await?;
                match tagged {
                    Some((tagged, _)) => tagged.digest,
                    None => return Ok(None),
                }
            }
        };
        Ok(self.record(name, &digest).await?.map(|record| record.descriptor))
    }

    /// The bytes of a manifest, proved.
    pub(super) async fn manifest_bytes(&self, manifest: &Descriptor) -> Result<Option<Bytes>> {
        let digest = &manifest.digest;
        let algorithm = digest.computable("manifest")?;
        let Some((bytes, _)) = self.get(&self.keys.content(digest)?).await? else {
            return Ok(None);
        };
        let found = Digest::of(algorithm, &bytes);
        if found != *digest {
            return Err(Error::new(Code::Digest, format!("reading manifest {digest}"))
                .found(found)
                .expected(digest));
        }
        Ok(Some(bytes))
    }

    /// Stores a manifest and lets its tags stand for it.
    pub(super) async fn put_manifest(&self, name: &Repository, new: NewManifest) -> Result<Put> {
        let digest = &new.descriptor.digest;
        let leads = leads(&new);
        // Content of which only the manifest knows is needed by nobody here.
        let needs = new.needs.iter().map(|need| (need.digest.clone(), Some(need.size)));
        let mut relied: BTreeSet<_> = leads.iter().map(|lead| (lead.clone(), None)).collect();
        relied.retain(|(lead, _)| new.needs.iter().all(|need| need.digest != *lead));
        relied.extend(needs);
        let promises: Vec<_> = relied.into_iter().collect();
        let promises = promises
            .into_iter()
            .map(|(lead, needed)| async move { self.rely(name, lead, needed).await });
        let missing: Vec<_> = stream::iter(promises)
            .buffer_unordered(AT_ONCE)
            .try_filter_map(|missing| async { Ok(missing) })
            .try_collect()
            .await?;
        if let Some(first) = missing.into_iter().min() {
            return Ok(Put::Missing(first));
        }
        if self.claim(name, digest).await? != Some(new.descriptor.size) {
            self.put(&self.keys.content(digest)?, new.bytes.clone().into()).await?;
        }
        self.hold(name, digest).await?;
        let record =
            Record { descriptor: new.descriptor.clone(), leads, subject: new.subject.clone() };
        loop {
            let key = self.keys.manifest(name, digest)?;
            self.put(&key, json(&record)?).await?;
            if let Some(subject) = &new.subject {
                let key = self.keys.referrer(name, subject, digest)?;
                self.put(&key, json(&new.referrer)?).await?;
            }
            self.put_if(&self.keys.catalog(name)?, PutPayload::new(), PutMode::Create).await?;
            for tag in &new.tags {
                self.turn_tag(name, tag.as_str(), Some(&new.descriptor), |_| true).await?;
            }
            // Somebody may have removed it while its tags were written.
            if self.head(&key).await?.is_some() {
                return Ok(Put::Stored);
            }
        }
    }

    /// Makes sure that content stays for a manifest that leads to it; gives
    /// its digest if it is needed, and missing or of another length.
    async fn rely(
        &self,
        name: &Repository,
        digest: Digest,
        needed: Option<u64>,
    ) -> Result<Option<Digest>> {
        if digest.algorithm().is_none() {
            // It can not have been stored.
            return Ok(needed.map(|_| digest));
        }
        let mut there = None;
        if self.linked(name, &digest).await? {
            there = self.claim(name, &digest).await?;
            // A collection may have removed the link with what lay there.
            there = if self.linked(name, &digest).await? { there } else { None };
        }
        Ok((needed.is_some() && there != needed).then_some(digest))
    }

    /// Lets a tag stand for something else, or for nothing, if what it stands
    /// for at that moment is as wanted. Gives whether it was changed.
    ///
    /// Each change is one compare-and-swap: of several at once, each sees what
    /// the one before it has done.
    pub(super) async fn turn_tag(
        &self,
        name: &Repository,
        tag: &str,
        target: Option<&Descriptor>,
        wanted: impl Fn(Option<&Descriptor>) -> bool,
    ) -> Result<bool> {
        let key = self.keys.tag(name, tag)?;
        for _ in 0..TRIES {
            let (current, version) = self.tag(&key).await?;
            if !wanted(current.as_ref()) || (current.is_none() && target.is_none()) {
                return Ok(false);
            }
            if let (Some(current), Some(target)) = (&current, target)
                && current.digest == target.digest
            {
                return Ok(true);
            }
            let payload = target.map_or_else(|| Ok(PutPayload::new()), json)?;
            let mode = version.map_or(PutMode::Create, PutMode::Update);
            if self.put_if(&key, payload, mode).await? == Wrote::Yes {
                return Ok(true);
            }
        }
        Err(Error::new(Code::Locked, format!("moving tag {tag} of {name}"))
            .found(format!("others that moved it {TRIES} times meanwhile"))
            .expected("fewer"))
    }

    async fn tag(&self, key: &Path) -> Result<(Option<Descriptor>, Option<UpdateVersion>)> {
        let Some((bytes, version)) = self.get(key).await? else { return Ok((None, None)) };
        // What can not be read is written anew.
        Ok((serde_json::from_slice(&bytes).ok(), Some(version)))
    }

    /// The tags behind one, in their order.
    pub(super) async fn tags(
        &self,
        name: &Repository,
        after: Option<&str>,
        most: usize,
    ) -> Result<Option<Vec<String>>> {
        if self.head(&self.keys.catalog(name)?).await?.is_none() {
            return Ok(None);
        }
        let below = self.keys.tags(name)?;
        // What is no tag is no key either: then all are looked at.
        let behind = after.filter(|after| after.parse::<Tag>().is_ok());
        let mut listed = match behind {
            Some(after) => self.list_behind(&below, &self.keys.tag(name, after)?),
            None => self.list(&below),
        };
        let mut tags = Vec::new();
        while tags.len() < most {
            let Some(object) = listed.try_next().await? else { break };
            let Some(tag) = object.location.filename() else { continue };
            if object.size > 0 && after.is_none_or(|after| tag > after) {
                tags.push(tag.to_owned());
            }
        }
        Ok(Some(tags))
    }

    /// The repositories behind one, in their order.
    pub(super) async fn repositories(
        &self,
        after: Option<&str>,
        most: usize,
    ) -> Result<Vec<Repository>> {
        let mut found = BTreeSet::new();
        let mut listed = self.list(&self.keys.all("catalog")?);
        while let Some(object) = listed.try_next().await? {
            let name = repository_in(self.keys.inside(&object.location));
            found.extend(name.filter(|name| after.is_none_or(|after| name.as_str() > after)));
        }
        Ok(found.into_iter().take(most).collect())
    }

    /// What is about a manifest, in the order of digests.
    pub(super) async fn referrers(
        &self,
        name: &Repository,
        subject: &Digest,
    ) -> Result<Vec<Descriptor>> {
        let below = self.keys.referrers(name, subject)?;
        let listed = self.list(&below);
        let mut found: Vec<Descriptor> = listed
            .map_ok(|object| async move { self.read(&object.location).await })
            .try_buffered(AT_ONCE)
            .try_filter_map(|read| async { Ok(read.map(|(referrer, _)| referrer)) })
            .try_collect()
            .await?;
        found.sort_by(|one, other| one.digest.cmp(&other.digest));
        Ok(found)
    }

    /// Removes a manifest and its tags.
    pub(super) async fn remove_manifest(
        &self,
        name: &Repository,
        digest: &Digest,
    ) -> Result<Removal> {
        let Some(record) = self.record(name, digest).await? else {
            return Ok(Removal::Unknown);
        };
        self.remove_tags(name, digest).await?;
        if let Some(subject) = &record.subject {
            self.delete(&self.keys.referrer(name, subject, digest)?).await?;
        }
        self.delete(&self.keys.link(name, digest)?).await?;
        self.delete(&self.keys.manifest(name, digest)?).await?;
        // Tags that came between.
        self.remove_tags(name, digest).await?;
        self.catalogue(name).await?;
        Ok(Removal::Done)
    }

    async fn remove_tags(&self, name: &Repository, digest: &Digest) -> Result<()> {
        let listed = self.list(&self.keys.tags(name)?);
        let of_it =
            |tagged: Option<&Descriptor>| tagged.is_some_and(|tagged| tagged.digest == *digest);
        listed
            .try_filter(|object| std::future::ready(object.size > 0))
            .try_for_each_concurrent(AT_ONCE, |object| async move {
                let Some(tag) = object.location.filename() else { return Ok(()) };
                self.turn_tag(name, tag, None, of_it).await.map(|_| ())
            })
            .await
    }

    /// Takes a repository without manifests out of the catalogue.
    pub(super) async fn catalogue(&self, name: &Repository) -> Result<()> {
        let below = self.keys.manifests(name)?;
        if self.any(&below).await? {
            return Ok(());
        }
        let key = self.keys.catalog(name)?;
        self.delete(&key).await?;
        // A manifest is written before its repository is listed: what came
        // between is seen here.
        if self.any(&below).await? {
            self.put_if(&key, PutPayload::new(), PutMode::Create).await?;
        }
        Ok(())
    }
}

/// All content that a manifest leads to.
fn leads(new: &NewManifest) -> BTreeSet<Digest> {
    let size = new.descriptor.size;
    let limits = Limits { document: size, index: size, ..Limits::default() };
    // Whoever gave it here has read it; what is no document leads nowhere.
    let node = Node::parse_within(&new.descriptor, new.bytes.to_vec(), &limits);
    let successors = node.as_ref().map(Node::successors).unwrap_or_default();
    successors.into_iter().map(|(_, blob)| blob.digest.clone()).collect()
}
