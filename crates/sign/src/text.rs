//! Bytes as text: base64 and PEM, read strictly.
//!
//! Every byte string has one spelling. A reader that forgives a missing `=` or
//! white space verifies what another one refuses.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use plimsoll_content::{Code, Error, Result};
use zeroize::Zeroizing;

/// Base64 with padding (RFC 4648, 4), canonical.
pub fn base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// Writes base64 with padding.
pub fn to_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Base64url without padding (RFC 4648, 5; RFC 7515, 2), canonical.
pub fn base64url(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// Writes base64url without padding.
pub fn to_base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The longest PEM text that is read.
pub const PEM: usize = 64 << 10;

/// Reads the one block of a PEM text (RFC 7468): its label and content.
///
/// Errors with [`Code::Malformed`]; the text is never part of the message, since
/// it may be secret.
pub fn pem(what: &str, text: &str) -> Result<(String, Zeroizing<Vec<u8>>)> {
    let mut blocks = pem_blocks(what, text)?;
    match (blocks.pop(), blocks.is_empty()) {
        (Some(block), true) => Ok(block),
        _ => Err(malformed(what).found("several PEM blocks, or none").expected("one")),
    }
}

/// The same for texts of several blocks.
pub fn pem_blocks(what: &str, text: &str) -> Result<Vec<(String, Zeroizing<Vec<u8>>)>> {
    if text.len() > PEM {
        return Err(Error::new(Code::Limit, format!("reading {what}"))
            .found(format!("{} bytes", text.len()))
            .expected(format!("at most {PEM} bytes")));
    }
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(label) =
            line.trim_end().strip_prefix("-----BEGIN ").and_then(|rest| rest.strip_suffix("-----"))
        else {
            continue;
        };
        let end = format!("-----END {label}-----");
        let mut body = Zeroizing::new(String::new());
        loop {
            let line = lines
                .next()
                .ok_or_else(|| malformed(what).found("a PEM block without an end"))?
                .trim();
            if line == end {
                break;
            }
            body.push_str(line);
        }
        let content = base64(&body)
            .ok_or_else(|| malformed(what).found("a PEM block that is not canonical base64"))?;
        blocks.push((label.to_owned(), Zeroizing::new(content)));
    }
    if blocks.is_empty() {
        return Err(malformed(what).found("no PEM block").expected("-----BEGIN …-----"));
    }
    Ok(blocks)
}

/// Writes a PEM block.
pub fn to_pem(label: &str, content: &[u8]) -> Zeroizing<String> {
    let body = Zeroizing::new(to_base64(content));
    let mut text = Zeroizing::new(format!("-----BEGIN {label}-----\n"));
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = more;
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

fn malformed(what: &str) -> Error {
    Error::new(Code::Malformed, format!("reading {what}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn base64_has_one_spelling() {
        assert_eq!(base64("Zg=="), Some(b"f".to_vec()));
        for bad in ["Zg", "Zg=", "Zh==", "Zg==\n", " Zg==", "Zg== ", "Z-__"] {
            assert_eq!(base64(bad), None, "{bad:?}");
        }
        assert_eq!(base64url("Zg"), Some(b"f".to_vec()));
        for bad in ["Zg==", "Zh", "Zg\n", "Z+"] {
            assert_eq!(base64url(bad), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn pem_is_read_as_it_is_written(content: Vec<u8>) {
            let text = to_pem("A KEY", &content);
            let (label, read) = pem("a key", &text).expect("a block");
            prop_assert_eq!((label.as_str(), &*read), ("A KEY", &content));
        }

        #[test]
        fn never_panics(text: String) {
            let _ = pem("a key", &text);
        }
    }
}
