//! Taking manifests without a tag out of their repositories, while any number
//! of servers store.
//!
//! As with content ([`collect`](super::collect)), nobody holds a lock, and what
//! protects content protects manifests too. Whoever stores a manifest, leads to
//! one or asks whether it is there writes its link anew, and then asks whether
//! it is condemned; here it is condemned first, and then everything is looked
//! at again. The content itself goes with the collection of content.

use std::collections::{HashMap, HashSet};

use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use plimsoll_content::{Descriptor, Digest, Result};
use plimsoll_registry::protocol::Repository;
use tokio::time::Instant;

use super::collect::{BATCH, Known, REMOVE, Version, version};
use super::keys::digest_in;
use super::objects::{AT_ONCE, Objects, Wrote};
use crate::storage::Swept;
use crate::storage::untagged::{Member, unneeded};

impl Objects {
    /// Takes out what nobody needs and is older than that, in all repositories.
    pub(super) async fn untag(&self, before: i64, known: &Known, swept: &mut Swept) -> Result<()> {
        for name in self.repositories(None, usize::MAX).await? {
            let mut members = self.members(&name, before, known).await?;
            // Links are looked at only where it matters.
            let mut old: HashMap<Digest, Version> = HashMap::new();
            let mut young = HashSet::new();
            for digest in unneeded(&members) {
                let link = self.head(&self.keys.link(&name, &digest)?).await?;
                match link {
                    Some(link) if link.last_modified.timestamp() < before => {
                        old.insert(digest, version(&link));
                    }
                    _ => {
                        young.insert(digest);
                    }
                }
            }
            for member in &mut members {
                member.stays |= young.contains(&member.digest);
            }
            let gone = unneeded(&members);
            let mut old: Vec<_> =
                old.into_iter().filter(|(digest, _)| gone.contains(digest)).collect();
            let before_this = swept.manifests;
            while !old.is_empty() {
                let rest = old.split_off(old.len().min(BATCH));
                self.take_out(&name, before, old, known, swept).await?;
                old = rest;
            }
            if swept.manifests > before_this {
                self.catalogue(&name).await?;
            }
        }
        Ok(())
    }

    /// The manifests of a repository. Those stay that have a tag, and those
    /// that were written at that time or later.
    async fn members(&self, name: &Repository, before: i64, known: &Known) -> Result<Vec<Member>> {
        // Tags first: what gets one later has been written anew by then.
        let tagged = self.tagged(name, known).await?;
        let listed = self.list(&self.keys.manifests(name)?);
        let read = listed
            .map_ok(|object| async move {
                let record = self.record_of(&object, known).await?;
                Ok((object, record))
            })
            .try_buffer_unordered(AT_ONCE);
        let members = read.try_filter_map(|(object, record)| {
            let digest = digest_in(self.keys.inside(&object.location));
            let member = digest.zip(record).map(|(digest, record)| Member {
                stays: tagged.contains(&digest) || object.last_modified.timestamp() >= before,
                leads: record.leads.iter().cloned().collect(),
                subject: record.subject.clone(),
                digest,
            });
            std::future::ready(Ok(member))
        });
        members.try_collect().await
    }

    /// What the tags of a repository stand for.
    async fn tagged(&self, name: &Repository, known: &Known) -> Result<HashSet<Digest>> {
        let listed = self.list(&self.keys.tags(name)?);
        listed
            .try_filter(|object| std::future::ready(object.size > 0))
            .map_ok(|object| async move {
                let version = version(&object);
                if let Some(digest) = known.tag(&object.location, &version) {
                    return Ok(Some(digest));
                }
                let read = self.read::<Descriptor>(&object.location).await?;
                let digest = read.map(|(target, _)| target.digest);
                if let Some(digest) = &digest {
                    known.remember(&object.location, version, digest);
                }
                Ok(digest)
            })
            .try_buffer_unordered(AT_ONCE)
            .try_filter_map(|digest| std::future::ready(Ok(digest)))
            .try_collect()
            .await
    }

    /// Takes out what nobody needs, but for what somebody relies on by now.
    async fn take_out(
        &self,
        name: &Repository,
        before: i64,
        old: Vec<(Digest, Version)>,
        known: &Known,
        swept: &mut Swept,
    ) -> Result<()> {
        let begun = Instant::now();
        let mut marks = stream::iter(old)
            .map(|(digest, version)| async move {
                let wrote = self.condemn(&digest).await?;
                Ok::<_, plimsoll_content::Error>((digest, version, wrote))
            })
            .buffer_unordered(AT_ONCE);
        let mut condemned = Vec::new();
        let mut marked = Ok(());
        while let Some(mark) = marks.next().await {
            match mark {
                Ok((digest, version, Wrote::Yes)) => condemned.push((digest, version)),
                // Another collection is at it.
                Ok((_, _, Wrote::Lost)) => swept.busy += 1,
                Err(error) => marked = Err(error),
            }
        }
        drop(marks);
        let mut done = match marked {
            Ok(()) => self.members(name, before, known).await.map(|members| unneeded(&members)),
            Err(error) => Err(error),
        };
        for (digest, version) in condemned {
            if let Ok(gone) = &done
                && gone.contains(&digest)
                && begun.elapsed() <= REMOVE
            {
                match self.take_one_out(name, &digest, &version, known).await {
                    Ok(true) => swept.manifests += 1,
                    Ok(false) => {}
                    // The marks have to go all the same.
                    Err(error) => done = Err(error),
                }
            }
            self.delete(&self.keys.condemned(&digest)?).await?;
        }
        done.map(|_| ())
    }

    async fn take_one_out(
        &self,
        name: &Repository,
        digest: &Digest,
        wanted: &Version,
        known: &Known,
    ) -> Result<bool> {
        let link = self.keys.link(name, digest)?;
        let manifest: Path = self.keys.manifest(name, digest)?;
        if self.head(&link).await?.is_none_or(|found| version(&found) != *wanted) {
            return Ok(false);
        }
        let Some(object) = self.head(&manifest).await? else { return Ok(false) };
        let Some(record) = self.record_of(&object, known).await? else { return Ok(false) };
        if let Some(subject) = &record.subject {
            self.delete(&self.keys.referrer(name, subject, digest)?).await?;
        }
        self.delete(&link).await?;
        self.delete(&manifest).await?;
        Ok(true)
    }
}
