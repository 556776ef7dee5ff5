//! Keys elsewhere: in hardware, in a cloud, behind an agent. A program that somebody
//! names holds the key, and answers two questions, each by one JSON object
//! (`docs/format/signatures.md`). Here are the words; who starts programs is the caller.
//!
//! What it answers is not believed: a signature counts if its key has made it.

use plimsoll_content::{Code, Error, Result, json};
use ring::digest;
use serde_json::{Map, Value};

use super::{Algorithm, PublicKey};
use crate::text;

/// The version of the words, which each question names.
pub const PROTOCOL: &str = "plimsoll-signer/v1";

/// The longest answer that is read.
pub const LONGEST: usize = 64 << 10;

/// What a program says of its key.
#[derive(Clone, Debug)]
pub struct Described {
    /// The key.
    pub public: PublicKey,
    /// How it signs; the first is what it does where a form leaves the choice.
    pub algorithms: Vec<Algorithm>,
}

/// Asks what key it is.
pub fn describe() -> Result<Vec<u8>> {
    question(&[("do", "describe".into())])
}

/// Asks for a signature over a message. A key that never sees messages signs the hash of
/// it, where the algorithm has one.
pub fn sign(algorithm: Algorithm, message: &[u8]) -> Result<Vec<u8>> {
    let hash = match algorithm {
        Algorithm::EcdsaP384Sha384 | Algorithm::RsaPssSha384 => Some(("sha384", &digest::SHA384)),
        Algorithm::RsaPssSha512 => Some(("sha512", &digest::SHA512)),
        Algorithm::Ed25519 => None,
        _ => Some(("sha256", &digest::SHA256)),
    };
    let digest = hash.map_or(Value::Null, |(name, hash)| {
        let hash = digest::digest(hash, message);
        let hex = hash.as_ref().iter().map(|byte| format!("{byte:02x}"));
        format!("{name}:{}", hex.collect::<String>()).into()
    });
    question(&[
        ("do", "sign".into()),
        ("algorithm", algorithm.as_str().into()),
        ("message", text::to_base64(message).into()),
        ("digest", digest),
    ])
}

fn question(members: &[(&str, Value)]) -> Result<Vec<u8>> {
    let mut question: Map<String, Value> =
        members.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    question.insert("protocol".to_owned(), PROTOCOL.into());
    let mut line = json::canonical(&Value::Object(question))?;
    line.push(b'\n');
    Ok(line)
}

/// Reads the answer to [`describe`].
pub fn described(answer: &[u8]) -> Result<Described> {
    let answer = object(answer)?;
    let pem = member(&answer, "publicKey")?;
    let public = PublicKey::from_pem(pem).map_err(|error| error.context(DOING))?;
    let names = answer.get("algorithms").and_then(Value::as_array);
    let names = names.ok_or_else(|| bad("no algorithms"))?;
    // One that is not known here is of no use, and no harm.
    let algorithms: Vec<_> = names
        .iter()
        .filter_map(|name| Algorithm::named(name.as_str()?))
        .filter(|algorithm| algorithm.kind() == public.kind())
        .collect();
    if algorithms.is_empty() {
        let kind = public.kind().as_str();
        return Err(bad(&format!("no algorithm of a {kind} key that is known here")));
    }
    Ok(Described { public, algorithms })
}

/// Reads the answer to [`sign`], and holds it against the key.
///
/// Errors with [`Code::Signature`] if the key has not made it.
pub fn signed(
    answer: &[u8],
    public: &PublicKey,
    algorithm: Algorithm,
    message: &[u8],
) -> Result<Vec<u8>> {
    let answer = object(answer)?;
    let signature = text::base64(member(&answer, "signature")?)
        .ok_or_else(|| bad("a signature that is not canonical base64"))?;
    if public.verifies(algorithm, message, &signature) {
        return Ok(signature);
    }
    Err(Error::new(Code::Signature, DOING)
        .found(format!("a signature that {} has not made", public.fingerprint()))
        .expected(format!("one with {}", algorithm.as_str())))
}

const DOING: &str = "reading the answer of a signer";

fn bad(found: &str) -> Error {
    Error::new(Code::Malformed, DOING).found(found)
}

fn object(answer: &[u8]) -> Result<Map<String, Value>> {
    if answer.len() > LONGEST {
        return Err(Error::new(Code::Limit, DOING)
            .found(format!("more than {LONGEST} bytes"))
            .expected("one JSON object"));
    }
    json::check("the answer", answer).map_err(|error| error.context(DOING))?;
    match serde_json::from_slice(answer) {
        Ok(Value::Object(members)) => match members.get("error").and_then(Value::as_str) {
            Some(told) => Err(Error::new(Code::Failed, "asking a signer")
                .found(format!("{:?}", told.chars().take(200).collect::<String>()))),
            None => Ok(members),
        },
        _ => Err(bad("something else").expected("one JSON object")),
    }
}

fn member<'a>(answer: &'a Map<String, Value>, name: &str) -> Result<&'a str> {
    answer.get(name).and_then(Value::as_str).ok_or_else(|| bad(&format!("no {name}")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use ring::rand::SystemRandom;
    use serde_json::json;

    use super::*;
    use crate::key::{KeyPair, Kind};

    fn pair() -> KeyPair {
        KeyPair::generate(Kind::P256, &SystemRandom::new()).expect("a key")
    }

    #[test]
    fn an_answer_is_held_against_the_key() {
        let pair = pair();
        let own = json!({"publicKey": pair.public().to_pem(),
            "algorithms": ["of-the-future", "ed25519", "ecdsa-sha2-256-nistp256"]});
        let found = described(own.to_string().as_bytes()).expect("described");
        assert_eq!(found.algorithms, [Algorithm::EcdsaP256Sha256]);
        let answer = |signature: &[u8]| {
            json!({"signature": text::to_base64(signature)}).to_string().into_bytes()
        };
        let way = Algorithm::EcdsaP256Sha256;
        let good = answer(&pair.sign(b"m", &SystemRandom::new()).expect("signed"));
        assert!(signed(&good, pair.public(), way, b"m").is_ok());
        for (answer, message) in [(good.clone(), b"n"), (answer(b"x"), b"m")] {
            let error = signed(&answer, pair.public(), way, message).expect_err("not made");
            assert_eq!(error.code(), Code::Signature);
        }
        // An answer that is as long as it may be, and one byte more.
        let mut long = good;
        long.resize(LONGEST, b' ');
        assert!(signed(&long, pair.public(), way, b"m").is_ok());
        long.push(b' ');
        let error = signed(&long, pair.public(), way, b"m").expect_err("too long");
        assert_eq!(error.code(), Code::Limit);
    }

    #[test]
    fn what_is_no_answer_is_told() {
        let pem = pair().public().to_pem();
        for bad in [
            json!([]),
            json!({}),
            json!({"publicKey": pem}),
            json!({"publicKey": pem, "algorithms": []}),
            json!({"publicKey": pem, "algorithms": ["ed25519"]}),
            json!({"publicKey": "x", "algorithms": ["ecdsa-sha2-256-nistp256"]}),
            json!({"error": "locked"}),
        ] {
            assert!(described(bad.to_string().as_bytes()).is_err(), "{bad}");
        }
        assert!(described(b"").is_err() && described(b"{\"a\":1,\"a\":2}").is_err());
        let asked = String::from_utf8(sign(Algorithm::RsaPssSha384, b"m").expect("asked"));
        let asked: Value = serde_json::from_str(&asked.expect("text")).expect("JSON");
        assert_eq!(asked["protocol"], PROTOCOL);
        assert!(asked["digest"].as_str().expect("a digest").starts_with("sha384:"));
    }

    proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            let _ = described(&bytes);
            let _ = signed(&bytes, pair().public(), Algorithm::Ed25519, b"m");
        }
    }
}
