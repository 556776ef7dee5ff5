//! Where a long list goes on: `Link` (RFC 8288; distribution-spec, "Listing
//! Tags").

use plimsoll_content::{Code, Error, Result};

use super::Url;

/// The next page, as an answer from `url` names it. It is on the same server:
/// a list that sends its reader elsewhere is refused.
pub fn next(url: &Url, header: &str) -> Result<Option<Url>> {
    for link in header.split(",<").flat_map(|part| part.split(", <")) {
        let link = link.trim().trim_start_matches('<');
        let Some((target, parameters)) = link.split_once('>') else { continue };
        let is_next = parameters.split(';').any(|parameter| {
            parameter.split_once('=').is_some_and(|(name, value)| {
                name.trim().eq_ignore_ascii_case("rel")
                    && value.trim().trim_matches('"').split(' ').any(|word| word == "next")
            })
        });
        if !is_next {
            continue;
        }
        let target = url.join(target)?;
        // Behind a proxy, a registry may not know that it is reached by TLS.
        if target.host() != url.host() {
            return Err(Error::new(Code::Registry, format!("going on with the list at {url}"))
                .found(format!("the next page at {target}"))
                .expected("one on the same server"));
        }
        return Ok(Some(Url::new(url.scheme(), url.host().clone(), target.path())));
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_on_the_same_server() {
        let url = Url::parse("https://a/v2/x/tags/list?n=2").expect("address");
        let next = |header: &str| next(&url, header).map(|found| found.map(|url| url.whole()));
        let page = "https://a/v2/x/tags/list?last=b&n=2";
        for header in [
            "</v2/x/tags/list?last=b&n=2>; rel=\"next\"",
            "<https://a/v2/x/tags/list?last=b&n=2>;rel=next",
            "<http://a/v2/x/tags/list?last=b&n=2>; rel=\"next\"",
            "</first>; rel=\"first\", </v2/x/tags/list?last=b&n=2>; title=x; rel=\"prev next\"",
        ] {
            assert_eq!(next(header).expect(header).as_deref(), Some(page), "{header}");
        }
        for none in ["", "</a>; rel=\"prev\"", "x", "</a>"] {
            assert_eq!(next(none).expect(none), None);
        }
        assert!(next("<https://b/v2/>; rel=next").is_err());
    }
}
