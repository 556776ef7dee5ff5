//! Digests: content addresses, by the grammar of the image spec
//! (`descriptor.md`, "Digests").

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Code, Error, Hasher, Result, limits};

/// The algorithms that can be computed here: all that the image spec
/// registers.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Algorithm {
    /// SHA-256, the default of the spec (DE28).
    Sha256,
    /// SHA-512.
    Sha512,
    /// BLAKE3 with 256 bits of output.
    Blake3,
}

impl Algorithm {
    /// The name in a digest, before the colon.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
            Self::Blake3 => "blake3",
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Algorithm {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        [Self::Sha256, Self::Sha512, Self::Blake3]
            .into_iter()
            .find(|algorithm| algorithm.as_str() == text)
            .ok_or_else(|| {
                Error::new(Code::Usage, "choosing a digest algorithm")
                    .found(text)
                    .expected("sha256, sha512 or blake3")
            })
    }
}

/// A content address: an algorithm and what it gives for the content.
///
/// A value of this type always follows the grammar, so neither part can hold
/// a path separator or be empty. Digests of the registered algorithms have
/// the right length and case. Other algorithms are kept as they are written;
/// they can be carried and compared, not computed ([`Digest::algorithm`] is
/// `None`).
///
/// ```
/// use plimsoll_content::{Algorithm, Digest};
/// let digest: Digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855".parse()?;
/// assert_eq!(digest, Digest::of(Algorithm::Sha256, b""));
/// assert!("sha256:../../etc/passwd".parse::<Digest>().is_err());
/// assert_eq!("md5000+x:abc".parse::<Digest>()?.algorithm(), None);
/// # Ok::<(), plimsoll_content::Error>(())
/// ```
#[derive(Clone, Eq, Hash, PartialEq)]
pub struct Digest(Repr);

#[derive(Clone, Eq, Hash, PartialEq)]
enum Repr {
    Sha256([u8; 32]),
    Sha512([u8; 64]),
    Blake3([u8; 32]),
    Other { text: Box<str>, colon: usize },
}

impl Digest {
    /// The digest of some bytes.
    pub fn of(algorithm: Algorithm, bytes: &[u8]) -> Self {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(bytes);
        hasher.finish()
    }

    pub(crate) fn sha256(value: [u8; 32]) -> Self {
        Self(Repr::Sha256(value))
    }

    pub(crate) fn sha512(value: [u8; 64]) -> Self {
        Self(Repr::Sha512(value))
    }

    pub(crate) fn blake3(value: [u8; 32]) -> Self {
        Self(Repr::Blake3(value))
    }

    /// Whether a tag is made of a digest, as those are that say what is about an
    /// image where there is no list of referrers: `sha256-…`, `sha256-….sig`
    /// (distribution-spec, "Referrers Tag Schema").
    pub fn is_tag(tag: &str) -> bool {
        let start = tag.split('.').next().unwrap_or(tag);
        let Some((algorithm, encoded)) = start.split_once('-') else { return false };
        let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        // Of longer ones, the tag has the beginning.
        algorithm.parse::<Algorithm>().is_ok() && encoded.len() >= 64 && encoded.bytes().all(hex)
    }

    /// The algorithm, if it can be computed here.
    pub fn algorithm(&self) -> Option<Algorithm> {
        match self.0 {
            Repr::Sha256(_) => Some(Algorithm::Sha256),
            Repr::Sha512(_) => Some(Algorithm::Sha512),
            Repr::Blake3(_) => Some(Algorithm::Blake3),
            Repr::Other { .. } => None,
        }
    }

    /// The algorithm, or the error that content of this digest can not be
    /// proved. `what` says what it is the digest of.
    pub fn computable(&self, what: &str) -> Result<Algorithm> {
        self.algorithm().ok_or_else(|| {
            Error::new(Code::Unverifiable, format!("verifying {what} {self}"))
                .found(format!("algorithm {:?}", self.algorithm_name()))
                .expected("sha256, sha512 or blake3")
        })
    }

    /// The name of the algorithm: the part before the colon. It is safe as
    /// one component of a path.
    pub fn algorithm_name(&self) -> &str {
        match &self.0 {
            Repr::Sha256(_) => "sha256",
            Repr::Sha512(_) => "sha512",
            Repr::Blake3(_) => "blake3",
            Repr::Other { text, colon } => &text[..*colon],
        }
    }

    /// The encoded value: the part after the colon. It is safe as one
    /// component of a path.
    pub fn encoded(&self) -> String {
        match &self.0 {
            Repr::Sha256(value) | Repr::Blake3(value) => hex(value),
            Repr::Sha512(value) => hex(value),
            Repr::Other { text, colon } => text[colon + 1..].to_owned(),
        }
    }

    /// The first twelve characters of the encoded value, for people.
    pub fn short(&self) -> String {
        let mut text = self.encoded();
        text.truncate(12);
        text
    }
}

fn hex(value: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    value
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|nibble| char::from(DIGITS[usize::from(nibble)]))
        .collect()
}

/// Lower-case hexadecimal of exactly `N` bytes.
fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let text = text.as_bytes();
    if text.len() != 2 * N {
        return None;
    }
    let mut value = [0; N];
    for (byte, pair) in value.iter_mut().zip(text.chunks_exact(2)) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Some(value)
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl FromStr for Digest {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad = |expected: &str| {
            // A digest comes from outside: quote it, and not all of a long one.
            let shown: String = text.chars().take(100).collect();
            Error::new(Code::Malformed, "reading a digest")
                .found(format!("{shown:?}"))
                .expected(expected)
        };
        if text.len() > limits::DIGEST {
            return Err(bad("at most 255 characters"));
        }
        let Some(colon) = text.find(':') else {
            return Err(bad("ALGORITHM:VALUE"));
        };
        let (algorithm, encoded) = (&text[..colon], &text[colon + 1..]);
        match algorithm {
            "sha256" => unhex(encoded)
                .map(Self::sha256)
                .ok_or_else(|| bad("sha256: and 64 lower-case hexadecimal digits")),
            "sha512" => unhex(encoded)
                .map(Self::sha512)
                .ok_or_else(|| bad("sha512: and 128 lower-case hexadecimal digits")),
            "blake3" => unhex(encoded)
                .map(Self::blake3)
                .ok_or_else(|| bad("blake3: and 64 lower-case hexadecimal digits")),
            _ if !is_algorithm(algorithm) => {
                Err(bad("an algorithm of lower-case letters and digits, joined by one of + . _ -"))
            }
            _ if !is_encoded(encoded) => {
                Err(bad("a value of letters, digits, = _ or - after the colon"))
            }
            _ => Ok(Self(Repr::Other { text: text.into(), colon })),
        }
    }
}

fn is_algorithm(text: &str) -> bool {
    text.split(['+', '.', '_', '-']).all(|component| {
        !component.is_empty()
            && component.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    })
}

fn is_encoded(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"=_-".contains(&byte))
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::Other { text, .. } => f.write_str(text),
            _ => write!(f, "{}:{}", self.algorithm_name(), self.encoded()),
        }
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Ordered as the written form is, so that sorted lists look sorted.
impl Ord for Digest {
    fn cmp(&self, other: &Self) -> Ordering {
        self.algorithm_name()
            .cmp(other.algorithm_name())
            .then_with(|| self.encoded().cmp(&other.encoded()))
    }
}

impl PartialOrd for Digest {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn known_values() {
        assert_eq!(Digest::of(Algorithm::Sha256, b"").to_string(), format!("sha256:{EMPTY}"));
        assert_eq!(
            Digest::of(Algorithm::Blake3, b"").to_string(),
            "blake3:af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
        );
        assert!(Digest::of(Algorithm::Sha512, b"").to_string().starts_with("sha512:cf83e1357eef"));
    }

    #[test]
    fn dg01_to_dg04_refuses_what_is_outside_the_grammar() {
        for text in [
            "",
            ":",
            "sha256",
            "sha256:",
            ":abc",
            "sha256:../../../../x",
            "../../x:abc",
            "sha256:abc",
            &format!("sha256:{}", EMPTY.to_uppercase()),
            &format!("sha256:{EMPTY}0"),
            &format!("sha256:{}", &EMPTY[1..]),
            &format!("SHA256:{EMPTY}"),
            &format!("sha256:{}", "g".repeat(64)),
            &format!("sha256:{}", "٠".repeat(64)),
            &format!("blake3:{}", EMPTY.to_uppercase()),
            &format!("sha512:{EMPTY}"),
            "a++b:x",
            "+a:x",
            "a+:x",
            "a:x/y",
            "a:x.y",
            "a:x:y",
            "a b:x",
            "a:x\n",
            &format!("a:{}", "x".repeat(254)),
        ] {
            assert!(text.parse::<Digest>().is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn dg08_keeps_unknown_algorithms_as_written() {
        for text in [
            "sha256+b64u:LCa0a2j_xo_5m0U8HTBBNBNCLXBkg7-g-YpeiGJm564",
            "multihash+base58:QmRZxt2b1FVZPNqd8hsiykDL3TdBDeTSPX9Kv46HmX4Gx8",
            "md5:abc",
            "a.b_c-d:A=_-",
        ] {
            let digest: Digest = text.parse().expect(text);
            assert_eq!(digest.to_string(), text);
            assert_eq!(digest.algorithm(), None);
            assert_eq!(
                digest.computable("blob").expect_err("not computable").code(),
                Code::Unverifiable
            );
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_printing_is_its_inverse(text in "\\PC{0,80}") {
            if let Ok(digest) = text.parse::<Digest>() {
                prop_assert_eq!(digest.to_string(), text);
            }
        }

        #[test]
        fn parts_are_safe_path_components(text in "[a-z0-9+._-]{1,8}:[a-zA-Z0-9=_/.-]{1,8}") {
            if let Ok(digest) = text.parse::<Digest>() {
                for part in [digest.algorithm_name(), &digest.encoded()] {
                    prop_assert!(!part.is_empty() && !part.contains('/') && part != "." && part != "..");
                }
            }
        }
    }
}
