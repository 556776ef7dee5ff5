//! JSON as the image spec wants it: I-JSON (RFC 7493) when reading, one
//! canonical form (RFC 8785) when writing.
//!
//! `serde_json` makes the views. This module looks at the bytes before it,
//! because two readers that disagree about one document make two images out
//! of one digest: a member name that stands twice, a name that some readers
//! take for another one ([`refuse_lookalikes`]), a second value after the
//! first.

mod scan;
mod tree;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::limits::Limits;
use crate::{Code, Error, Result};
use scan::Scanner;

pub use scan::Wrong;
pub use tree::{Flaw, Survey, Tree, survey};

/// Checks that `bytes` are one I-JSON value: UTF-8 without a byte order
/// mark, no name twice in an object, no half of a surrogate pair, nesting at
/// most the default of [`Limits::json_depth`], nothing after the value.
///
/// It does not recurse, and its memory is bounded by the length of the input.
/// The error tells the JSON pointer and the byte offset.
pub fn check(what: &str, bytes: &[u8]) -> Result<()> {
    check_within(what, bytes, Limits::default().json_depth)
}

/// The same with another depth.
pub fn check_within(what: &str, bytes: &[u8], depth: usize) -> Result<()> {
    let mut scanner = Scanner::new(bytes, depth);
    scanner.document().map_err(|problem| {
        Error::new(Code::Malformed, format!("reading {what}"))
            .found(format!(
                "{} at {}, byte {}",
                problem.found,
                scanner.pointer_text(),
                problem.offset.unwrap_or(scanner.at)
            ))
            .expected(problem.expected)
    })
}

/// Refuses unknown members whose names some readers take for known ones.
///
/// Go's JSON reader ignores case, and folds `ſ` to `s` and `K` (Kelvin) to
/// `k`; it would read `LAYERS` as `layers`, we would not, and one digest
/// would name two images (hostile case JS02). `other` are the unknown
/// members of an object at `pointer`, `known` the names that have a meaning
/// there.
pub fn refuse_lookalikes(pointer: &str, other: &Map<String, Value>, known: &[&str]) -> Result<()> {
    let lookalike = other.keys().find(|name| lookalike(name, known).is_some());
    match lookalike {
        None => Ok(()),
        Some(name) => Err(Error::new(Code::Malformed, "reading member names")
            .found(format!("{name:?} at {:?}", if pointer.is_empty() { "/" } else { pointer }))
            .expected("no name that some readers take for another one by ignoring case")),
    }
}

/// The known name that some readers take `name` for.
pub fn lookalike<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let folded = fold(name);
    known.iter().copied().find(|known| fold(known) == folded)
}

fn fold(name: &str) -> String {
    name.chars()
        .map(|letter| match letter {
            'ſ' => 's',
            '\u{212a}' => 'k',
            letter => letter.to_ascii_lowercase(),
        })
        .collect()
}

/// The canonical form of a value: members sorted by their UTF-16 code units,
/// no white space, the shortest escapes (RFC 8785).
///
/// Numbers are written with the digits they were read with, so unknown
/// members keep their text; documents made here hold integers only.
pub fn canonical(value: &impl Serialize) -> Result<Vec<u8>> {
    let value = serde_json::to_value(value)
        .map_err(|cause| Error::new(Code::Bug, "writing a document").found(&cause).cause(cause))?;
    let mut out = Vec::new();
    write(&value, &mut out);
    Ok(out)
}

fn write(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
            out.push(b'{');
            for (n, (name, value)) in members.into_iter().enumerate() {
                if n > 0 {
                    out.push(b',');
                }
                write_string(name, out);
                out.push(b':');
                write(value, out);
            }
            out.push(b'}');
        }
        Value::Array(elements) => {
            out.push(b'[');
            for (n, element) in elements.iter().enumerate() {
                if n > 0 {
                    out.push(b',');
                }
                write(element, out);
            }
            out.push(b']');
        }
        Value::String(text) => write_string(text, out),
        Value::Number(number) => out.extend_from_slice(number.to_string().as_bytes()),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Null => out.extend_from_slice(b"null"),
    }
}

fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for letter in text.chars() {
        match letter {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\u{8}' => out.extend_from_slice(b"\\b"),
            '\u{c}' => out.extend_from_slice(b"\\f"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            control if control < ' ' => {
                out.extend_from_slice(format!("\\u{:04x}", u32::from(control)).as_bytes());
            }
            letter => out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refusal(bytes: &[u8]) -> String {
        check("a document", bytes).expect_err("refused").to_string()
    }

    #[test]
    fn accepts_what_json_is() {
        for good in [
            "{}",
            "[]",
            " {\"a\" : [1, -0.5e+3, true, false, null, \"\\u00e9\\ud83d\\ude00\"] }\n",
            "1",
            "\"x\"",
        ] {
            check("a document", good.as_bytes()).expect(good);
        }
    }

    #[test]
    fn js01_js03_refuses_a_name_that_stands_twice() {
        assert!(refusal(br#"{"layers":1,"layers":2}"#).contains("twice at /layers, byte 12"));
        assert!(refusal(br#"{"a":[{},{"b":1,"\u0062":2}]}"#).contains("/a/1/b"));
        check("a document", br#"[{"a":1},{"a":1}]"#).expect("two objects");
    }

    #[test]
    fn js05_refuses_deep_nesting_without_recursion() {
        assert!(refusal(&b"[".repeat(200_000)).contains("deeper nesting"));
        let deep = [b"[".repeat(64), b"]".repeat(64)].concat();
        check("a document", &deep).expect("64 levels");
    }

    #[test]
    fn js06_js07_js11_refuses_what_is_no_single_utf8_value() {
        for bad in [
            &b"{}{}"[..],
            b"{} x",
            b"\xef\xbb\xbf{}",
            b"\xff\xfe{\0}\0",
            b"\"\xc3\"",
            br#""\ud800""#,
            br#""\ud800A""#,
            br#""\udc00""#,
            b"{'a':1}",
            b"[1,]",
            b"{\"a\":1,}",
            b"// x\n{}",
            b"NaN",
            b"01",
            b"1.",
            b"-",
            b"+1",
            b"[1 2]",
            b"{\"a\" 1}",
            b"\"a\nb\"",
            b"",
            b" ",
            b"{",
            b"[",
            b"\"",
            b"tru",
            b"]",
        ] {
            assert!(check("a document", bad).is_err(), "{:?}", String::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn js02_refuses_names_that_go_reads_as_known_ones() {
        for name in ["LAYERS", "Layers", "layer\u{17f}"] {
            let other = Map::from_iter([(name.to_owned(), Value::Null)]);
            assert!(refuse_lookalikes("", &other, &["layers"]).is_err(), "{name}");
        }
        let other = Map::from_iter([("layer".to_owned(), Value::Null)]);
        refuse_lookalikes("", &other, &["layers"]).expect("another name");
    }

    #[test]
    fn canonical_form_is_sorted_and_keeps_digits() {
        let text = r#"{"b":1.50,"a":[{"z":null,"y":true}],"n":123456789012345678901234567890,"é":"\u0001\"","€":1e+400}"#;
        let value: Value = serde_json::from_str(text).expect("json");
        assert_eq!(
            String::from_utf8(canonical(&value).expect("written")).expect("UTF-8"),
            r#"{"a":[{"y":true,"z":null}],"b":1.50,"n":123456789012345678901234567890,"é":"\u0001\"","€":1e+400}"#
        );
    }

    proptest! {
        /// `serde_json` is the oracle for the grammar: whatever passes here
        /// must parse there, and what parses there must pass here unless it
        /// holds a name twice.
        #[test]
        fn agrees_with_serde_json(bytes in prop::collection::vec(prop::sample::select(br#"{}[]",:\u0dce8n1-.eE tr"#.to_vec()), 0..24)) {
            let ours = check("a document", &bytes);
            let theirs = serde_json::from_slice::<Value>(&bytes);
            match ours {
                Ok(()) => prop_assert!(theirs.is_ok(), "{:?}", theirs),
                Err(error) if theirs.is_ok() => prop_assert!(error.to_string().contains("twice"), "{}", error),
                Err(_) => {}
            }
        }

        #[test]
        fn never_panics(bytes: Vec<u8>) {
            let _ = check("a document", &bytes);
        }
    }
}
