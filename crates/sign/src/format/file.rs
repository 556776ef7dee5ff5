//! Files of signatures, as skopeo and podman keep them beside an image: an OpenPGP
//! message, or a head that names another form.

use plimsoll_content::Annotations;
use serde_json::Value;

use super::parse::{exactly, object, string};
use crate::limits::Limits;
use crate::reason::{Reason, quoted};
use crate::scheme::{Candidate, GPG};
use crate::text;

/// What such a file holds. One that is not read is a candidate as well, and broken.
pub fn candidate(bytes: &[u8], place: &str, limits: &Limits) -> Candidate {
    let candidate = |media_type: &str, bytes: &[u8], annotations| Candidate {
        media_type: media_type.to_owned(),
        bytes: bytes.into(),
        annotations,
        place: place.to_owned(),
        broken: None,
    };
    let gpg = |bytes: &[u8]| candidate(GPG, bytes, Annotations::new());
    // No OpenPGP message begins with a zero.
    let Some(named) = bytes.strip_prefix(&[0]) else { return gpg(bytes) };
    let end = named.iter().take(64).position(|byte| *byte == b'\n');
    let (name, body) = match end {
        Some(end) => (&named[..end], &named[end + 1..]),
        None => (&b""[..], named),
    };
    let read = match name {
        b"simple-signing" => return gpg(body),
        b"sigstore-json" => sigstore(body, limits),
        other => {
            let other = quoted(&String::from_utf8_lossy(other));
            Err(Reason::malformed(format!("a file of the form {other}, which is not read here")))
        }
    };
    match read {
        Ok((kind, payload, annotations)) => candidate(&kind, &payload, annotations),
        Err(reason) => {
            Candidate { broken: Some(reason.text), ..candidate("", bytes, Annotations::new()) }
        }
    }
}

/// A signature of sigstore: what it would be as a layer.
fn sigstore(body: &[u8], limits: &Limits) -> Result<(String, Vec<u8>, Annotations), Reason> {
    let what = "the file";
    let file = object(what, body, limits.depth)?;
    exactly(what, &file, &["mimeType", "payload", "annotations"])?;
    let payload = text::base64(string(what, &file, "payload")?)
        .ok_or_else(|| Reason::malformed("the file: payload is not canonical base64"))?;
    let annotations = match file.get("annotations") {
        Some(Value::Object(all)) => all
            .iter()
            .map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
            .collect::<Option<Annotations>>(),
        _ => None,
    };
    let annotations = annotations
        .ok_or_else(|| Reason::malformed("the file: annotations are no strings by names"))?;
    Ok((string(what, &file, "mimeType")?.to_owned(), payload, annotations))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(bytes: &[u8]) -> Candidate {
        candidate(bytes, "a file", &Limits::default())
    }

    #[test]
    fn a_file_says_which_form_it_has() {
        let good = br#"{"mimeType":"a/b","payload":"eA==","annotations":{"n":"v"}}"#;
        let found = read(&[&b"\0sigstore-json\n"[..], good].concat());
        assert_eq!((found.media_type.as_str(), &found.bytes[..]), ("a/b", &b"x"[..]));
        assert_eq!(found.annotations["n"], "v");
        assert_eq!(read(b"\x90rest").media_type, GPG);
        assert_eq!(&read(b"\0simple-signing\n\x90rest").bytes[..], b"\x90rest");
        for bad in [
            &b"\0"[..],
            b"\0sigstore-json",
            b"\0sigstore-json\n",
            b"\0sigstore-json\n{}",
            b"\0unknown\nx",
            br#"{"mimeType":"a/b","payload":"eA","annotations":{}}"#,
            br#"{"mimeType":"a/b","payload":"eA==","annotations":{"n":1}}"#,
            br#"{"mimeType":"a/b","payload":"eA==","annotations":{},"more":1}"#,
            br#"{"mimeType":"a/b","payload":"eA==","payload":"eQ==","annotations":{}}"#,
        ] {
            let whole = if bad.starts_with(b"{") {
                [&b"\0sigstore-json\n"[..], bad].concat()
            } else {
                bad.to_vec()
            };
            assert!(read(&whole).broken.is_some(), "{}", String::from_utf8_lossy(bad));
        }
    }

    proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            read(&bytes);
            read(&[&b"\0"[..], &bytes].concat());
            read(&[&b"\0sigstore-json\n"[..], &bytes].concat());
        }
    }
}
