//! Discovery as App Container images have it (appc/spec, discovery.md): tags in
//! the head of a web page say where archives and keys are.
//!
//! It is asked for only by those who want it: pages are written by many hands, and
//! the whole name is told to whoever has them. Prefixes end between two parts here,
//! values do not lead out of their place, and only the head of a page is read.

use plimsoll_content::{Code, Error, Platform, Result};

use crate::lookup::{Ask, Lookup};
use crate::path::Prefix;
use crate::{Address, Reference, Template};

/// Reads the template of a tag: it has `{ext}`, and a name fills it in with slashes.
///
/// Errors as [`Template::parse`] does.
pub fn template(text: &str) -> Result<Template> {
    if !text.contains("{ext}") {
        return Err(crate::bad("a template of archives", text, "{ext} in it: aci, or aci.asc"));
    }
    Template::parse(&text.replace("{name}", "{+name}"))
}

/// A page that says where the archives of the names below a prefix are.
///
/// Errors if the template is none.
pub fn page(prefix: &Prefix, text: &str) -> Result<String> {
    template(text)?;
    let text = text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;");
    Ok(format!(
        "<!DOCTYPE html>\n<html><head><title>{prefix}</title>\n<meta name=\"ac-discovery\" content=\"{prefix} {text}\">\n</head><body></body></html>\n"
    ))
}

/// The largest page, in bytes.
pub const LIMIT: u64 = 256 << 10;

/// How many tags of a page are looked at.
const TAGS: usize = 256;

/// Where the archive of an image is, and what vouches for it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Archive {
    /// The archive.
    pub archive: Address,
    /// Its signature.
    pub signature: Address,
    /// Files of keys that are said to sign it.
    pub keys: Vec<Address>,
    /// The page that says so.
    pub page: Address,
}

/// What the tags of a page say.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Page {
    /// Prefixes of names, and templates of archives.
    pub images: Vec<(Prefix, Template)>,
    /// Prefixes of names, and files of keys.
    pub keys: Vec<(Prefix, Address)>,
}

impl Page {
    /// Reads the head of a page. What is in the body was perhaps written by
    /// somebody else (C.14, 23); what is no tag of ours is passed over.
    pub fn read(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let mut page = Self::default();
        for (name, content) in metas(&text).into_iter().take(TAGS) {
            let mut words = content.split_ascii_whitespace();
            let (Some(prefix), Some(place), None) = (words.next(), words.next(), words.next())
            else {
                continue;
            };
            let Ok(prefix) = prefix.trim_end_matches('/').parse::<Prefix>() else { continue };
            match name.as_str() {
                "ac-discovery" => {
                    page.images.extend(template(place).ok().map(|template| (prefix, template)));
                }
                "ac-discovery-pubkeys" => {
                    page.keys.extend(place.parse().ok().map(|keys| (prefix, keys)));
                }
                _ => {}
            }
        }
        page
    }

    /// What the page says of a name: the longest prefix counts.
    fn of(&self, name: &Reference, platform: &Platform, page: &Address) -> Option<Archive> {
        let covers = |prefix: &Prefix| prefix.covers(&name.prefix()).then_some(prefix.len());
        let images = self.images.iter();
        let (_, template) = images
            .filter_map(|(prefix, template)| Some((covers(prefix)?, template)))
            .max_by_key(|(length, _)| *length)?;
        let labels = &name.labels;
        let os = labels.os.as_deref().unwrap_or(platform.os.as_str());
        let arch = labels.arch.as_deref().unwrap_or(platform.architecture.as_str());
        let variant = labels.variant.as_deref().or(platform.variant.as_deref());
        let arch = match (arch, variant) {
            ("arm64", _) => "aarch64",
            ("386", _) => "i386",
            ("arm", Some("v6")) => "armv6l",
            ("arm", _) => "armv7l",
            (other, _) => other,
        };
        let version = name.which.as_ref().map_or("latest", |which| which.as_str());
        let whole = name.name();
        let expand = |ext: &str| {
            let values = [
                ("name", whole.as_str()),
                ("version", version),
                ("os", os),
                ("arch", arch),
                ("ext", ext),
            ];
            template.expand(page, &values).ok()
        };
        let keys = self.keys.iter().filter(|(prefix, _)| covers(prefix).is_some());
        Some(Archive {
            archive: expand("aci")?,
            signature: expand("aci.asc")?,
            keys: keys.map(|(_, keys)| keys.clone()).collect(),
            page: page.clone(),
        })
    }
}

/// Asks the pages at a name and above it where its archive is; `None` if none of
/// them says anything.
///
/// Errors if a page can not be had: that is not the same as its saying nothing.
pub fn discover(
    lookup: &dyn Lookup,
    name: &Reference,
    platform: &Platform,
) -> Result<Option<Archive>> {
    let owner = name.host.domain_name().filter(|_| name.host.is_discoverable());
    let owner = owner.ok_or_else(|| {
        Error::new(Code::Discovery, format!("asking the pages of {}", name.host))
            .found("a host that has no pages: a number, or one with a port")
            .expected("a domain")
    })?;
    let mut path = name.path.as_str();
    loop {
        let page = Address::new(name.host.clone(), &format!("/{path}"))?;
        let ask = Ask {
            address: &page,
            query: Some("ac-discovery=1"),
            what: "a page with tags of AppC",
            accept: "text/html",
            limit: LIMIT,
            named: true,
            owner: Some(owner),
        };
        if let Some(got) = lookup.get(&ask)?
            && let Some(found) = Page::read(&got.bytes).of(name, platform, &page)
        {
            return Ok(Some(found));
        }
        if path.is_empty() {
            return Ok(None);
        }
        path = path.rsplit_once('/').map_or("", |(above, _)| above);
    }
}

/// Names and contents of `meta` tags before anything that begins a body.
fn metas(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = text;
    loop {
        let Some((before, behind)) = rest.split_once('<') else { return found };
        // Text outside of a tag is of a body.
        if !before.trim_start_matches('\u{feff}').trim().is_empty() {
            return found;
        }
        if let Some(comment) = behind.strip_prefix("!--") {
            let Some((_, next)) = comment.split_once("-->") else { return found };
            rest = next;
            continue;
        }
        if behind.starts_with(['!', '?']) {
            let Some((_, next)) = behind.split_once('>') else { return found };
            rest = next;
            continue;
        }
        let end =
            behind.find(|c: char| !c.is_ascii_alphanumeric() && c != '/').unwrap_or(behind.len());
        let tag = behind[..end].to_ascii_lowercase();
        let Some((attributes, next)) = attributes(&behind[end..]) else { return found };
        rest = next;
        match tag.as_str() {
            "html" | "head" | "link" | "base" | "meta" | "meta/" | "link/" | "base/" => {}
            // What is in these is text, up to their end.
            "title" | "style" | "script" | "noscript" | "template" => {
                let close = format!("</{tag}");
                let Some(at) = rest.to_ascii_lowercase().find(&close) else { return found };
                let Some((_, next)) = rest[at..].split_once('>') else { return found };
                rest = next;
            }
            _ => return found,
        }
        let value = |name: &str| {
            attributes.iter().find(|(own, _)| own == name).map(|(_, value)| value.clone())
        };
        if tag.starts_with("meta")
            && let (Some(name), Some(content)) = (value("name"), value("content"))
        {
            found.push((name.to_ascii_lowercase(), content));
        }
    }
}

/// The attributes of a tag, and what is behind it.
fn attributes(text: &str) -> Option<(Vec<(String, String)>, &str)> {
    let mut list = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
        if let Some(behind) = rest.strip_prefix('>') {
            return Some((list, behind));
        }
        let end = rest.find(|c: char| c.is_ascii_whitespace() || "=>/".contains(c))?;
        let name = rest[..end].to_ascii_lowercase();
        rest = rest[end..].trim_start();
        let mut value = "";
        if let Some(behind) = rest.strip_prefix('=') {
            let behind = behind.trim_start();
            (value, rest) = match behind.chars().next()? {
                quote @ ('"' | '\'') => behind[1..].split_once(quote)?,
                _ => {
                    let end = behind.find(|c: char| c.is_ascii_whitespace() || c == '>')?;
                    behind.split_at(end)
                }
            };
        } else if end == 0 {
            // Neither a name nor a value: no tag that is well made.
            return None;
        }
        // The first of two counts.
        if list.iter().all(|(own, _)| *own != name) {
            list.push((name, value.replace("&amp;", "&")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAG: &str = r#"<meta name="ac-discovery" content="example.com/org/app https://cdn.example.net/{os}/{arch}/{name}-{version}.{ext}">"#;

    fn found(html: &str, name: &str) -> Option<String> {
        let page: Address = "https://example.com/org/app".parse().expect("an address");
        let platform: Platform = "linux/amd64".parse().expect("a platform");
        let name: Reference = name.parse().expect("a name");
        Page::read(html.as_bytes()).of(&name, &platform, &page).map(|it| it.archive.to_string())
    }

    #[test]
    fn tags_say_where_archives_are() {
        let html = format!(
            "<!DOCTYPE html>\n<html lang=en><head><!-- a --><title>x < y</title>{TAG}</head>"
        );
        let at = |rest: &str| Some(format!("https://cdn.example.net/{rest}"));
        assert_eq!(
            found(&html, "example.com/org/app,version=v1.0.0,arch=aarch64"),
            at("linux/aarch64/example.com/org/app-v1.0.0.aci")
        );
        assert_eq!(
            found(&html, "example.com/org/app"),
            at("linux/amd64/example.com/org/app-latest.aci")
        );
        assert!(found(&html, "example.com/org/app/part").is_some());
        // Not half a part, and not what is beside it.
        assert_eq!(found(&html, "example.com/org/application"), None);
        assert_eq!(found(&html, "example.com/org"), None);
        // Templates that lead elsewhere than they say, or nowhere.
        for bad in [
            "http://cdn.example.net/{name}.{ext}",
            "https://{name}/x.{ext}",
            "file:///{name}.{ext}",
            "https://cdn.example.net/{name}.aci",
            "https://cdn.example.net/{x}.{ext}",
        ] {
            let html = format!(r#"<meta name=ac-discovery content="example.com {bad}">"#);
            assert_eq!(found(&html, "example.com/org/app"), None, "{bad}");
        }
        let keys = r"<meta content='example.com https://example.com/keys.gpg' name='ac-discovery-pubkeys'/>";
        let page = Page::read(format!("{keys}{TAG}").as_bytes());
        assert_eq!((page.keys.len(), page.images.len()), (1, 1));
    }

    #[test]
    fn a23_only_the_head_of_a_page_is_read() {
        for before in [
            "<body>",
            "<html><body><p>",
            "<p>a comment:",
            "text that somebody wrote ",
            "<head></head>",
            "<div>",
            "<form><input value='",
            "<!-- ",
            "<title>",
            "<script>var x = '",
            "<noscript>",
            "<meta name='description' content=\"",
            "<img src=x>",
        ] {
            let html = format!("<html>{before}{TAG}");
            assert_eq!(found(&html, "example.com/org/app"), None, "{before}");
        }
        let long = format!("<html>{}{TAG}", "<meta name=a content=b>".repeat(TAGS));
        assert_eq!(found(&long, "example.com/org/app"), None);
    }
}
