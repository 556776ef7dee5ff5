//! The names of headers, as they are sent.

use std::borrow::Cow;

use super::date::http_date;

/// The digest of what is sent or was stored.
pub const CONTENT_DIGEST: &str = "Docker-Content-Digest";
/// The version of the protocol, for clients of docker.
pub const API_VERSION: &str = "Docker-Distribution-Api-Version";
/// The subject of a manifest that was stored: the registry lists referrers.
pub const SUBJECT: &str = "OCI-Subject";
/// The filters that a list of referrers went through.
pub const FILTERS_APPLIED: &str = "OCI-Filters-Applied";
/// The tags that a manifest was given while it was stored by its digest.
pub const TAG: &str = "OCI-Tag";
/// The smallest chunk that an upload takes.
pub const CHUNK_MIN_LENGTH: &str = "OCI-Chunk-Min-Length";

/// The longest text of a warning that is passed on.
const WARNING: usize = 512;

/// What a `Warning` header tells people: `299 - "TEXT"` (distribution-spec,
/// "Warnings"). Other codes are for caches.
pub fn warning(value: &str) -> Option<Cow<'_, str>> {
    let text = value.trim().strip_prefix("299 ")?.split_once(' ')?.1.trim();
    let text = text.strip_prefix('"')?.strip_suffix('"')?;
    if text.is_empty() || text.len() > WARNING || text.chars().any(char::is_control) {
        return None;
    }
    if text.contains('\\') {
        let mut plain = String::new();
        let mut characters = text.chars();
        while let Some(c) = characters.next() {
            plain.extend(if c == '\\' { characters.next() } else { Some(c) });
        }
        return Some(plain.into());
    }
    Some(text.into())
}

/// The header that tells people something: [`warning`] reads it back. `None`
/// if it is too long, or holds what no header may.
pub fn warn(text: &str) -> Option<String> {
    let plain = text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    if text.is_empty() || text.len() > WARNING || !plain {
        return None;
    }
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    Some(format!("299 - \"{escaped}\""))
}

/// The media type of a `Content-Type`, without its parameters, in lower case.
pub fn media_type(value: &str) -> String {
    value.split(';').next().unwrap_or(value).trim().to_ascii_lowercase()
}

/// The seconds that a `Retry-After` asks for. A date is held against the
/// `Date` of the same answer: the clock of the other end says both.
pub fn retry_after(value: &str, date: Option<&str>) -> Option<u64> {
    if let Ok(seconds) = value.trim().parse() {
        return Some(seconds);
    }
    let (then, now) = (http_date(value)?, http_date(date?)?);
    Some(u64::try_from(then - now).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_text_of_code_299() {
        assert_eq!(warning("299 - \"old tag\"").as_deref(), Some("old tag"));
        assert_eq!(warning("299 - \"say \\\"hi\\\"\"").as_deref(), Some("say \"hi\""));
        for other in ["199 - \"x\"", "299 - x", "299 - \"\"", "299", "299 - \"a\u{1b}[2J\""] {
            assert_eq!(warning(other), None, "{other}");
        }
    }

    #[test]
    fn warnings_come_back_as_they_were() {
        for text in ["old tag", "say \"hi\"", "a\\b"] {
            assert_eq!(warning(&warn(text).expect(text)).as_deref(), Some(text));
        }
        for bad in ["", "a\r\nb", "\u{e9}", &"x".repeat(513)] {
            assert_eq!(warn(bad), None, "{bad}");
        }
    }

    #[test]
    fn parameters_of_media_types_are_left_out() {
        assert_eq!(media_type("Text/HTML; charset=utf-8"), "text/html");
    }

    #[test]
    fn the_time_to_come_back_is_in_seconds_or_a_date() {
        let (then, now) = ("Wed, 21 Oct 2026 07:28:00 GMT", "Wed, 21 Oct 2026 07:27:15 GMT");
        assert_eq!(retry_after(" 7 ", None), Some(7));
        assert_eq!(retry_after(then, Some(now)), Some(45));
        assert_eq!(retry_after(now, Some(then)), Some(0));
        assert_eq!(retry_after(then, None), None);
        assert_eq!(retry_after("soon", Some(now)), None);
    }
}
