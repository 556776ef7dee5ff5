//! Lists: tags, repositories, what is about a manifest.

use std::sync::Arc;

use plimsoll_content::{Code, Descriptor, Digest, Document, Error, Resolve, Result, Source};
use plimsoll_spec::{Index, media_type};
use serde::Deserialize;

use super::auth::Scope;
use super::mirrors;
use super::remote::Remote;
use super::wire::{Answer, Method, Request};
use super::{Client, locked};
use crate::protocol::{Endpoint, Host, Page, Tag, Url, next};

/// How many entries one page is asked for.
const PAGE: usize = 1_000;

/// How many pages a list may have: a list without end is none.
const PAGES: usize = 10_000;

/// The largest page.
const LIMIT: u64 = 8 << 20;

#[derive(Deserialize)]
struct Tags {
    tags: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Repositories {
    repositories: Option<Vec<String>>,
}

/// The tag under which clients without the referrers API look
/// (distribution-spec, "Referrers Tag Schema").
pub fn fallback_tag(subject: &Digest) -> String {
    let cut = |text: &str, length: usize| -> String { text.chars().take(length).collect() };
    format!("{}-{}", cut(subject.algorithm_name(), 32), cut(&subject.encoded(), 64))
}

impl Client {
    /// The names of all repositories of a registry, as it gives them; what is
    /// no name is left out.
    pub fn catalogue(&self, host: &Host) -> Result<Vec<String>> {
        let doing = format!("listing the repositories of {host}");
        let contact = self.contact(host)?;
        let endpoint = Endpoint::Catalog(Page { n: Some(PAGE), last: None });
        let url = Url::new(contact.scheme, host.api(), endpoint.to_string());
        let mut names = Vec::new();
        self.pages(host, &Scope::catalogue(), url, &doing, |bytes| {
            let page: Repositories = json(&doing, bytes)?;
            let named = page.repositories.unwrap_or_default();
            names.extend(
                named
                    .into_iter()
                    .filter(|name| name.parse::<crate::protocol::Repository>().is_ok()),
            );
            Ok(())
        })
        .map_err(|error| match error.code() {
            Code::NotFound => error.expected("a registry that lists its repositories: many do not"),
            _ => error,
        })?;
        Ok(names)
    }

    /// Reads a list page by page.
    fn pages(
        &self,
        host: &Host,
        scope: &Scope,
        first: Url,
        doing: &str,
        page: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        self.pages_within(PAGES, host, scope, first, doing, page)
    }

    /// The same with another number of pages.
    fn pages_within(
        &self,
        pages: usize,
        host: &Host,
        scope: &Scope,
        first: Url,
        doing: &str,
        mut page: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let mut url = first;
        for _ in 0..pages {
            let answer = self.ask(host, scope, Request::new(Method::GET, url.clone()))?;
            if answer.status != 200 {
                return Err(self.refusal(host, scope, answer, doing));
            }
            let answer = answer.no_page(doing)?;
            let following = following(&answer, &url)?;
            page(&answer.read(LIMIT, "a list")?)?;
            match following {
                None => return Ok(()),
                Some(same) if same == url => break,
                Some(other) => url = other,
            }
        }
        Err(Error::new(Code::Limit, doing).found("a list without end").tried(url))
    }
}

fn following(answer: &Answer, url: &Url) -> Result<Option<Url>> {
    for header in answer.headers("link") {
        if let Some(found) = next(url, header)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn json<'a, T: Deserialize<'a>>(doing: &str, bytes: &'a [u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|cause| {
        Error::new(Code::Registry, doing).found(&cause).expected("a list").cause(cause)
    })
}

impl Remote {
    /// The tags, as the registry gives them; what is no tag is left out.
    pub fn tags(&self) -> Result<Vec<Tag>> {
        let doing = format!("listing the tags of {self}");
        let url = self.url(&Endpoint::Tags(&self.name, Page { n: Some(PAGE), last: None }))?;
        let mut tags = Vec::new();
        self.client.pages(&self.host, &self.pull, url, &doing, |bytes| {
            let page: Tags = json(&doing, bytes)?;
            tags.extend(page.tags.unwrap_or_default().iter().filter_map(|tag| tag.parse().ok()));
            Ok(())
        })?;
        Ok(tags)
    }

    /// The tags that are made of the digest of `subject` and an ending, as
    /// signatures of old registries have them. The tags are asked for once.
    pub fn digest_tags(&self, subject: &Digest) -> Result<Vec<Tag>> {
        let mut known = locked(&self.digest_tags);
        let all = match &*known {
            Some(all) => Arc::clone(all),
            None => {
                let tags = match self.tags() {
                    Ok(tags) => tags,
                    Err(error) if matches!(error.code(), Code::NotFound | Code::Auth) => Vec::new(),
                    Err(error) => return Err(error),
                };
                let tags =
                    Arc::new(tags.into_iter().filter(|tag| tag.as_str().contains('-')).collect());
                Arc::clone(known.insert(tags))
            }
        };
        let prefix = format!("{}-{}.", subject.algorithm_name(), subject.encoded());
        Ok(all.iter().filter(|tag| tag.as_str().starts_with(&prefix)).cloned().collect())
    }

    /// What is about a manifest, as the registry lists it: by the referrers
    /// API, or else under the fallback tag.
    pub fn referrers(&self, subject: &Digest) -> Result<Vec<Descriptor>> {
        self.referrers_within(subject, PAGES)
    }

    /// The same, for those who do not want to read a list of more than so many
    /// pages.
    ///
    /// Errors with [`Code::Limit`] if it is longer.
    pub fn referrers_within(&self, subject: &Digest, pages: usize) -> Result<Vec<Descriptor>> {
        if let Some(mirror) = self.chosen() {
            match mirror.referrers_within(subject, pages) {
                Ok(found) if !found.is_empty() => return Ok(found),
                Err(error) if mirrors::stops(&error) => return Err(error),
                // A mirror need not have what is about an image.
                _ => {}
            }
        }
        let doing = format!("listing the referrers of {self}@{subject}");
        let mut found = Vec::new();
        let limits = self.limits();
        let url = self.url(&Endpoint::Referrers(&self.name, subject, None))?;
        let listed =
            self.client.pages_within(pages, &self.host, &self.pull, url, &doing, |bytes| {
                let page = Document::<Index>::parse_within(bytes.to_vec(), &limits)?;
                found.extend(page.manifests.iter().cloned());
                Ok(())
            });
        match listed {
            Ok(()) => {}
            Err(error)
                if matches!(error.code(), Code::NotFound | Code::NotARegistry | Code::Registry) =>
            {
                match self.resolve(&fallback_tag(subject)) {
                    Ok(list) if list.media_type == media_type::INDEX => {
                        let index = (self as &dyn Source).document::<Index>(&list)?;
                        found.clone_from(&index.manifests);
                    }
                    Ok(_) => {}
                    Err(error) if error.code() == Code::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
            Err(error) => return Err(error),
        }
        Ok(found)
    }
}
