//! Lists: tags (end-8), referrers (end-12), and the catalogue.

use hyper::{Method, StatusCode};
use plimsoll_content::Digest;
use plimsoll_registry::protocol::{Endpoint, Page, Part, Repository, header};
use plimsoll_spec::{Index, media_type};
use serde_json::json;

use crate::reply::{Refusal, Replied, Reply};
use crate::service::{Asked, unknown_name};

/// How many entries a page of a list has at most.
const PAGE: usize = 1000;

impl Asked<'_> {
    pub(crate) async fn tags(&mut self, name: Repository, part: Part) -> Replied {
        self.allow(&[Method::GET, Method::HEAD])?;
        // One more than is shown tells whether there is more. Without a
        // number, all of them are wanted.
        let most = part.n.map(|n| n.min(PAGE));
        let ask = most.map_or(usize::MAX, |most| most.saturating_add(1));
        let tags =
            self.service.storage.tags(&name, part.last, ask).await.map_err(Refusal::fault)?;
        let mut tags = tags.ok_or_else(|| unknown_name(&name))?;
        let more = cut(&mut tags, most);
        let mut reply = Reply::new(StatusCode::OK);
        if let (true, Some(last)) = (more, tags.last()) {
            reply = reply
                .header("Link", link(&Endpoint::Tags(&name, Page { n: most, last: Some(last) })));
        }
        Ok(reply.json("application/json", &json!({"name": name.as_str(), "tags": tags})))
    }

    pub(crate) async fn catalog(&mut self, part: Part) -> Replied {
        self.allow(&[Method::GET, Method::HEAD])?;
        let most = Some(part.n.unwrap_or(PAGE).min(PAGE));
        let ask = most.map_or(usize::MAX, |most| most.saturating_add(1));
        let names =
            self.service.storage.repositories(part.last, ask).await.map_err(Refusal::fault)?;
        let mut names: Vec<_> = names.iter().map(ToString::to_string).collect();
        let more = cut(&mut names, most);
        let mut reply = Reply::new(StatusCode::OK);
        if let (true, Some(last)) = (more, names.last()) {
            reply =
                reply.header("Link", link(&Endpoint::Catalog(Page { n: most, last: Some(last) })));
        }
        Ok(reply.json("application/json", &json!({"repositories": names})))
    }

    pub(crate) async fn referrers(
        &mut self,
        name: Repository,
        subject: Digest,
        kinds: Vec<String>,
    ) -> Replied {
        self.allow(&[Method::GET, Method::HEAD])?;
        let mut found =
            self.service.storage.referrers(&name, &subject).await.map_err(Refusal::fault)?;
        let mut reply = Reply::new(StatusCode::OK);
        if !kinds.is_empty() {
            found.retain(|referrer| {
                let kind = referrer.artifact_type.as_ref();
                kind.is_some_and(|kind| kinds.iter().any(|wanted| *kind == wanted.as_str()))
            });
            reply = reply.header(header::FILTERS_APPLIED, "artifactType");
        }
        Ok(reply.json(media_type::INDEX.as_str(), &Index::new(found)))
    }
}

/// Leaves at most so many, and says whether there were more.
fn cut(list: &mut Vec<String>, most: Option<usize>) -> bool {
    let Some(most) = most else { return false };
    let more = list.len() > most;
    list.truncate(most);
    more
}

/// Where the list goes on (RFC 8288).
fn link(next: &Endpoint<'_>) -> String {
    format!("<{next}>; rel=\"next\"")
}
