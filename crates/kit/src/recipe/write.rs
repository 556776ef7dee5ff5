//! Documents of recipes as bytes: references to other parts become
//! descriptors, digests and sizes, and JSON that is wrong stays wrong.
//!
//! Members are written in the order of their names, without blanks.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use plimsoll_content::{Algorithm, Code, Digest, Error, Result};
use serde_json::{Map, Value};

use super::node::Blob;
use super::tar;

/// Looks up what a part became.
pub(crate) type Lookup<'a> = dyn FnMut(&str) -> Result<Blob> + 'a;

/// Writes a value with its references filled in.
pub(crate) fn write(value: &Value, pretty: bool, parts: &mut Lookup<'_>) -> Result<Vec<u8>> {
    let mut writer = Writer { out: Vec::new(), pretty, depth: 0, parts };
    writer.value(value)?;
    if pretty {
        writer.out.push(b'\n');
    }
    Ok(writer.out)
}

struct Writer<'a, 'b> {
    out: Vec<u8>,
    pretty: bool,
    depth: usize,
    parts: &'a mut Lookup<'b>,
}

impl Writer<'_, '_> {
    fn value(&mut self, value: &Value) -> Result<()> {
        match value {
            Value::Array(items) => {
                self.open(b'[');
                let mut written = 0;
                for item in items {
                    let (item, times) = repeated(item);
                    for _ in 0..times {
                        self.next(written);
                        self.value(item)?;
                        written += 1;
                    }
                }
                self.close(b']', written == 0);
                Ok(())
            }
            Value::Object(map) => self.object(map),
            other => {
                self.out.extend(other.to_string().into_bytes());
                Ok(())
            }
        }
    }

    fn object(&mut self, map: &Map<String, Value>) -> Result<()> {
        let word = |key: &str| map.get(key).and_then(Value::as_str);
        if let Some(text) = word("$raw") {
            self.out.extend(text.as_bytes());
        } else if let Some(text) = word("$hex") {
            self.out.extend(tar::hex(text)?);
        } else if let Some(bytes) = map.get("$text") {
            let text = String::from_utf8_lossy(&tar::content(bytes)?).into_owned();
            self.out.extend(Value::from(text).to_string().into_bytes());
        } else if let Some(name) = word("$digest") {
            let blob = (self.parts)(name)?;
            let digest = match word("$algorithm") {
                Some(algorithm) => Digest::of(algorithm.parse::<Algorithm>()?, &blob.bytes),
                None => blob.digest,
            };
            let mut text = digest.to_string();
            if map.get("$upper") == Some(&Value::Bool(true)) {
                let (algorithm, encoded) = text.split_once(':').unwrap_or((&text, ""));
                text = format!("{algorithm}:{}", encoded.to_uppercase());
            }
            self.out.extend(Value::from(text).to_string().into_bytes());
        } else if let Some(name) = word("$diffId") {
            let digest = (self.parts)(name)?.diff_id.to_string();
            self.out.extend(Value::from(digest).to_string().into_bytes());
        } else if let Some(name) = word("$size") {
            let size = (self.parts)(name)?.bytes.len();
            self.out.extend(size.to_string().into_bytes());
        } else if let Some(name) = word("$data") {
            let data = STANDARD.encode((self.parts)(name)?.bytes);
            self.out.extend(Value::from(data).to_string().into_bytes());
        } else {
            self.members(map)?;
        }
        Ok(())
    }

    fn members(&mut self, map: &Map<String, Value>) -> Result<()> {
        let mut members = map.clone();
        members.remove("$members");
        if let Some(name) = map.get("$ref") {
            let name = name.as_str().ok_or_else(|| wrong("$ref", name))?;
            let blob = (self.parts)(name)?;
            members.remove("$ref");
            let descriptor = [
                ("mediaType", Value::from(blob.media_type)),
                ("digest", Value::from(blob.digest.to_string())),
                ("size", Value::from(blob.bytes.len())),
            ];
            for (key, value) in descriptor {
                members.entry(key).or_insert(value);
            }
        }
        members.retain(|_, value| !is_absent(value));
        if let Some(name) = members.keys().find(|name| name.starts_with('$')) {
            return Err(wrong("a member", name));
        }
        // In the order of names, whatever map the parser is built with.
        let mut sorted: Vec<_> = members.iter().collect();
        sorted.sort_by_key(|(name, _)| *name);
        let raw = map.get("$members").and_then(Value::as_str);
        self.open(b'{');
        for (at, (name, value)) in sorted.iter().enumerate() {
            self.next(at);
            self.out.extend(Value::from(name.as_str()).to_string().into_bytes());
            self.out.extend(if self.pretty { &b": "[..] } else { b":" });
            self.value(value)?;
        }
        if let Some(raw) = raw {
            self.next(sorted.len());
            self.out.extend(raw.as_bytes());
        }
        self.close(b'}', sorted.is_empty() && raw.is_none());
        Ok(())
    }

    fn open(&mut self, bracket: u8) {
        self.out.push(bracket);
        self.depth += 1;
    }

    fn next(&mut self, at: usize) {
        if at > 0 {
            self.out.push(b',');
        }
        self.line();
    }

    fn close(&mut self, bracket: u8, empty: bool) {
        self.depth -= 1;
        if !empty {
            self.line();
        }
        self.out.push(bracket);
    }

    fn line(&mut self) {
        if self.pretty {
            self.out.push(b'\n');
            self.out.extend(b"  ".repeat(self.depth));
        }
    }
}

/// An element of a list, and how many times it stands there.
fn repeated(item: &Value) -> (&Value, usize) {
    let times = item.get("$times").and_then(Value::as_u64);
    match (item.get("$of"), times) {
        (Some(of), Some(times)) if times <= MOST => (of, times as usize),
        _ => (item, 1),
    }
}

/// How many times something may stand in a list.
const MOST: u64 = 100_000;

/// Whether a value stands for a member that is not there.
fn is_absent(value: &Value) -> bool {
    value.get("$absent") == Some(&Value::Bool(true))
}

fn wrong(what: &str, found: impl std::fmt::Display) -> Error {
    Error::new(Code::Malformed, format!("reading {what} in a recipe")).found(found)
}
