//! Collecting: removing what nothing leads to, while any number of servers
//! store.
//!
//! Nobody holds a lock. Whoever stores first writes the link of the content
//! anew and then asks whether the content is condemned; a collection first
//! condemns and then looks at the links again. Whatever comes between whatever,
//! one of the two sees the other:
//!
//! 1. Old content that no manifest leads to, and of which no link is young, may
//!    go. Its links are remembered with their ETags.
//! 2. It is condemned: a mark is written, if there is none.
//! 3. Manifests and links are looked at once more. What is led to by now, or
//!    whose links are not the remembered ones, is let off.
//! 4. The links of the others are removed, then their content, then the marks.
//!
//! A mark counts for ten minutes, so that a killed collection is in nobody's
//! way; a collection removes nothing that it condemned more than five minutes
//! ago.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{ObjectMeta, PutMode, PutPayload};
use plimsoll_content::{Digest, Result};
use plimsoll_registry::protocol::Repository;
use tokio::time::Instant;

use super::blobs::{CONDEMNED, is_older};
use super::keys::{digest_in, repository_in};
use super::manifests::Record;
use super::objects::{AT_ONCE, Objects, Wrote, unique};
use crate::storage::{Sweep, Swept};

/// How much is condemned at once.
pub(super) const BATCH: usize = 500;

/// How long after it was condemned content may be removed.
pub(super) const REMOVE: Duration = Duration::from_mins(5);

/// What is known of manifests from the last time; what is written anew has
/// another version.
#[derive(Debug, Default)]
pub(super) struct Known {
    records: Mutex<HashMap<String, (Version, Arc<Record>)>>,
    /// What tags stand for.
    tags: Mutex<HashMap<String, (Version, Digest)>>,
}

impl Known {
    fn tags(&self) -> MutexGuard<'_, HashMap<String, (Version, Digest)>> {
        self.tags.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a tag stands for, if it is of that version still.
    pub(super) fn tag(&self, key: &Path, version: &Version) -> Option<Digest> {
        let tags = self.tags();
        let (known, digest) = tags.get(key.as_ref())?;
        (known == version).then(|| digest.clone())
    }

    pub(super) fn remember(&self, tag: &Path, version: Version, digest: &Digest) {
        self.tags().insert(tag.to_string(), (version, digest.clone()));
    }
}

/// What tells one writing of an object from the next.
pub(super) type Version = (Option<String>, i64);

pub(super) fn version(object: &ObjectMeta) -> Version {
    (object.e_tag.clone(), object.last_modified.timestamp_millis())
}

/// Content that may go.
struct Candidate {
    digest: Digest,
    size: u64,
    links: BTreeMap<Path, Version>,
}

impl Objects {
    pub(super) async fn collect(&self, sweep: Sweep, known: &Known) -> Result<Swept> {
        let mut swept = Swept::default();
        self.old_marks().await?;
        swept.uploads = self.old_uploads(sweep.uploads).await?;
        if let Some(before) = sweep.untagged {
            self.untag(before, known, &mut swept).await?;
        }
        let led = self.led(known, true).await?;
        let mut batch = Vec::new();
        let mut contents = self.list(&self.keys.all("blobs")?);
        while let Some(object) = contents.try_next().await? {
            let digest = digest_in(self.keys.inside(&object.location));
            let Some(digest) = digest.filter(|digest| !led.contains(digest)) else { continue };
            if object.last_modified.timestamp() >= sweep.blobs {
                continue;
            }
            let links = self.link_versions(&digest).await?;
            // The age of a link has milliseconds.
            let young = |version: &Version| version.1.div_euclid(1000) >= sweep.blobs;
            if !links.values().any(young) {
                batch.push(Candidate { digest, size: object.size, links });
            }
            if batch.len() == BATCH {
                self.remove(std::mem::take(&mut batch), known, &mut swept).await?;
            }
        }
        self.remove(batch, known, &mut swept).await?;
        Ok(swept)
    }

    /// All that a manifest of any repository leads to, with the manifests
    /// themselves. With `tidy`, the catalogue is made to say the same.
    async fn led(&self, known: &Known, tidy: bool) -> Result<HashSet<Digest>> {
        let mut led = HashSet::new();
        let mut seen = HashMap::new();
        let mut repositories: BTreeSet<Repository> = BTreeSet::new();
        let listed = self.list(&self.keys.all("manifests")?);
        let mut read = listed
            .map_ok(|object| async move {
                let record = self.record_of(&object, known).await?;
                Ok((object, record))
            })
            .try_buffer_unordered(AT_ONCE);
        while let Some((object, record)) = read.try_next().await? {
            let key = self.keys.inside(&object.location);
            led.extend(digest_in(key));
            repositories.extend(repository_in(key));
            let Some(record) = record else { continue };
            led.extend(record.leads.iter().cloned());
            seen.insert(object.location.to_string(), (version(&object), record));
        }
        drop(read);
        *known.records.lock().unwrap_or_else(PoisonError::into_inner) = seen;
        if tidy {
            self.tidy(repositories).await?;
        }
        Ok(led)
    }

    /// What is kept of a manifest; what was read before is not read again.
    pub(super) async fn record_of(
        &self,
        object: &ObjectMeta,
        known: &Known,
    ) -> Result<Option<Arc<Record>>> {
        let version = version(object);
        {
            let records = known.records.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((other, record)) = records.get(object.location.as_ref())
                && *other == version
            {
                return Ok(Some(Arc::clone(record)));
            }
        }
        let read = self.read::<Record>(&object.location).await?;
        Ok(read.map(|(record, _)| Arc::new(record)))
    }

    /// Mends a catalogue in which a killed server left something out, or let
    /// something stay.
    async fn tidy(&self, there: BTreeSet<Repository>) -> Result<()> {
        let listed = self.repositories(None, usize::MAX).await?;
        let listed: BTreeSet<_> = listed.into_iter().collect();
        for missing in there.difference(&listed) {
            self.put_if(&self.keys.catalog(missing)?, PutPayload::new(), PutMode::Create).await?;
        }
        for empty in listed.difference(&there) {
            self.catalogue(empty).await?;
        }
        Ok(())
    }

    async fn link_versions(&self, digest: &Digest) -> Result<BTreeMap<Path, Version>> {
        let listed = self.list(&self.keys.links(digest)?);
        listed.map_ok(|link| (link.location.clone(), version(&link))).try_collect().await
    }

    /// Removes what may go, but for what somebody relies on by now.
    async fn remove(
        &self,
        candidates: Vec<Candidate>,
        known: &Known,
        swept: &mut Swept,
    ) -> Result<()> {
        if candidates.is_empty() {
            return Ok(());
        }
        let begun = Instant::now();
        let mut condemned = Vec::new();
        let mut marks = stream::iter(candidates)
            .map(|candidate| async move {
                let wrote = self.condemn(&candidate.digest).await?;
                Ok::<_, plimsoll_content::Error>((candidate, wrote))
            })
            .buffer_unordered(AT_ONCE);
        while let Some((candidate, wrote)) = marks.try_next().await? {
            match wrote {
                Wrote::Yes => condemned.push(candidate),
                // Another collection is at it.
                Wrote::Lost => swept.busy += 1,
            }
        }
        drop(marks);
        let led = self.led(known, false).await;
        let mut ended = led.as_ref().map(|_| ()).map_err(|_| ());
        for candidate in condemned {
            if let (Ok(led), Ok(())) = (&led, ended)
                && !led.contains(&candidate.digest)
            {
                match self.remove_content(&candidate, begun).await {
                    Ok(true) => {
                        swept.blobs += 1;
                        swept.bytes += candidate.size;
                    }
                    Ok(false) => {}
                    Err(error) => {
                        // The marks have to go all the same.
                        self.delete(&self.keys.condemned(&candidate.digest)?).await?;
                        ended = Err(());
                        drop(error);
                        continue;
                    }
                }
            }
            self.delete(&self.keys.condemned(&candidate.digest)?).await?;
        }
        led.map(|_| ())
    }

    pub(super) async fn condemn(&self, digest: &Digest) -> Result<Wrote> {
        let payload = PutPayload::from(unique()?.into_bytes());
        self.put_if(&self.keys.condemned(digest)?, payload, PutMode::Create).await
    }

    /// Removes condemned content, unless somebody relies on it by now.
    async fn remove_content(&self, candidate: &Candidate, begun: Instant) -> Result<bool> {
        if self.link_versions(&candidate.digest).await? != candidate.links {
            return Ok(false);
        }
        if begun.elapsed() > REMOVE {
            return Ok(false);
        }
        for link in candidate.links.keys() {
            self.delete(link).await?;
        }
        self.delete(&self.keys.content(&candidate.digest)?).await?;
        Ok(true)
    }

    /// Removes the marks of collections that never came to their end.
    async fn old_marks(&self) -> Result<()> {
        let listed = self.list(&self.keys.all("condemned")?);
        listed
            .try_filter(|mark| std::future::ready(is_older(mark, CONDEMNED)))
            .try_for_each(|mark| async move { self.delete(&mark.location).await })
            .await
    }

    /// Removes uploads to which nothing came since a time.
    async fn old_uploads(&self, before: i64) -> Result<u64> {
        let mut uploads: BTreeMap<String, (i64, Vec<Path>)> = BTreeMap::new();
        let mut listed = self.list(&self.keys.all("uploads")?);
        while let Some(object) = listed.try_next().await? {
            let Some(name) = self.keys.inside(&object.location).split('/').nth(1) else { continue };
            let (last, keys) = uploads.entry(name.to_owned()).or_insert((i64::MIN, Vec::new()));
            *last = (*last).max(object.last_modified.timestamp());
            keys.push(object.location);
        }
        let mut removed = 0;
        for (name, (_, keys)) in uploads.iter().filter(|(_, (last, _))| *last < before) {
            // First what makes it an upload.
            self.delete(&self.keys.session(name)?).await?;
            for key in keys {
                self.delete(key).await?;
            }
            removed += 1;
        }
        Ok(removed)
    }
}
