//! Checkpoints: what a log signs of its tree, as a signed note of lines of text
//! (C2SP signed-note and tlog-checkpoint).

use super::signed_by;
use crate::format::root::Log;
use crate::reason::{Reason, Why, quoted};
use crate::text;

/// The longest checkpoint, and how many signatures it may have.
const LONGEST: usize = 64 << 10;
const SIGNATURES: usize = 64;

/// A tree that a log has signed.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Checkpoint {
    /// How many entries it has.
    pub(super) size: u64,
    /// Its hash.
    pub(super) root: Vec<u8>,
}

impl Checkpoint {
    /// Reads a checkpoint that the log has signed. Signatures by others, witnesses
    /// among them, count for nothing here.
    pub(super) fn verify(note: &str, log: &Log) -> Result<Self, Reason> {
        let bad = |text: &str| Reason::malformed(format!("a checkpoint {text}"));
        if note.len() > LONGEST {
            return Err(Reason::new(Why::Limit, format!("a checkpoint of {} bytes", note.len())));
        }
        // The text ends with an empty line; its line feed is signed.
        let at = note.rfind("\n\n").ok_or_else(|| bad("without signatures"))?;
        let (text, signatures) = (&note[..=at], &note[at + 2..]);
        let mut lines = text.split_terminator('\n');
        let mut line = || lines.next().filter(|line| !line.is_empty());
        let origin = line().ok_or_else(|| bad("without its origin"))?;
        let size = line().ok_or_else(|| bad("without its size"))?;
        let canonical = size == "0" || !size.starts_with('0');
        let digits = size.bytes().all(|byte| byte.is_ascii_digit());
        let size = size.parse().ok().filter(|_| canonical && digits);
        let size = size.ok_or_else(|| bad("with a size that is no number"))?;
        let root = line().and_then(text::base64).filter(|root| root.len() == 32);
        let root = root.ok_or_else(|| bad("with a root that is no hash"))?;
        let body = signatures.strip_suffix('\n').ok_or_else(|| bad("that is cut off"))?;
        let mut signed = false;
        for (number, line) in body.split('\n').enumerate() {
            let parts = line.strip_prefix("\u{2014} ").and_then(|rest| rest.rsplit_once(' '));
            let (name, encoded) = parts.ok_or_else(|| bad("with a line that is no signature"))?;
            let made = text::base64(encoded).filter(|made| made.len() > 4);
            let made = made.ok_or_else(|| bad("with a signature that is none"))?;
            if number == SIGNATURES {
                return Err(Reason::new(Why::Limit, "a checkpoint of too many signatures"));
            }
            let (hint, made) = made.split_at(4);
            if hint != log.hint || !is_of(name, origin, log) {
                continue;
            }
            if !signed_by(&log.key, text.as_bytes(), made) {
                let text = "a checkpoint is not signed by its log, or changed since";
                return Err(Reason::new(Why::Log, text));
            }
            signed = true;
        }
        if signed {
            return Ok(Self { size, root });
        }
        let text = format!("a checkpoint of {} without a signature of its log", quoted(origin));
        Err(Reason::new(Why::Log, text))
    }
}

/// Whether a signature by that name is one of the log, and the tree one of its trees:
/// logs of version 1 add the number of the tree to their name.
fn is_of(name: &str, origin: &str, log: &Log) -> bool {
    let tree = origin.strip_prefix(name);
    let named = match tree.map(|tree| tree.strip_prefix(" - ")) {
        Some(Some(number)) => {
            !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
        }
        Some(None) => tree == Some(""),
        None => false,
    };
    named && (log.name.is_empty() || log.name == name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use ring::rand::SystemRandom;

    use super::*;
    use crate::format::root::Span;
    use crate::key::KeyPair;

    fn log(kind: crate::key::Kind) -> (KeyPair, Log) {
        let pair = KeyPair::generate(kind, &SystemRandom::new()).expect("a key");
        let key = pair.public().clone();
        let hint = vec![1, 2, 3, 4];
        let name = "log.example".to_owned();
        (pair, Log { name, id: vec![1, 2, 3, 4, 5], hint, key, holds: Span::default() })
    }

    fn line(name: &str, hint: &[u8], made: &[u8]) -> String {
        format!("\u{2014} {name} {}\n", text::to_base64(&[hint, made].concat()))
    }

    #[test]
    fn what_the_log_signed_is_read_and_all_else_refused() {
        for kind in [crate::key::Kind::P256, crate::key::Kind::P384, crate::key::Kind::Ed25519] {
            let (pair, log) = log(kind);
            let root = text::to_base64(&[7; 32]);
            let sign =
                |text: &str| pair.sign(text.as_bytes(), &SystemRandom::new()).expect("signed");
            let note = |text: &str, name: &str, hint: &[u8]| {
                format!("{text}\n{}", line(name, hint, &sign(text)))
            };
            let good = format!("log.example\n5\n{root}\n");
            let own = &log.hint[..];
            let found = Checkpoint::verify(&note(&good, "log.example", own), &log).expect("good");
            assert_eq!((found.size, found.root), (5, vec![7; 32]));
            let tree = format!("log.example - 77\n5\n{root}\nTimestamp: 9\n");
            assert!(Checkpoint::verify(&note(&tree, "log.example", own), &log).is_ok());
            // Others may sign too, before or after.
            let other = line("witness.example/w1", &[9; 4], &[0; 72]);
            let both = format!("{good}\n{other}{}", line("log.example", own, &sign(&good)));
            assert!(Checkpoint::verify(&both, &log).is_ok());
            let twice = format!("{both}{}", line("log.example", own, &[0; 70]));
            for bad in [
                note(&good, "other.example", own),
                note(&good, "log.example", &[4, 3, 2, 1]),
                note(&good.replace('5', "6"), "log.example", own).replacen('6', "5", 1),
                note(&good.replace("\n5\n", "\n05\n"), "log.example", own),
                note(&good.replace("\n5\n", "\n+5\n"), "log.example", own),
                note(&good.replace("\n5\n", "\n"), "log.example", own),
                note(&good.replace("log.example\n", ""), "log.example", own),
                note(&good.replace("log.example", "other.example"), "log.example", own),
                note(&good.replace("log.example", "log.example - x"), "log.example", own),
                note(&good.replace(&root, "AAAA"), "log.example", own),
                format!("{good}\n{other}"),
                format!("{good}\n"),
                good.clone(),
                twice,
                note(&good, "log.example", own).trim_end().to_owned(),
                String::new(),
            ] {
                assert!(Checkpoint::verify(&bad, &log).is_err(), "{bad}");
            }
        }
    }

    proptest! {
        #[test]
        fn never_panics(note: String) {
            let (_, log) = log(crate::key::Kind::Ed25519);
            prop_assert!(Checkpoint::verify(&note, &log).is_err());
        }
    }
}
