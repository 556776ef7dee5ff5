//! The list of a layout in memory: `index.json` is read into lines once, for
//! as long as the file has the same bytes. A line keeps its text, so that what
//! this version does not know stays.

use std::fmt;
use std::sync::{Arc, PoisonError};

use plimsoll_content::{Code, Descriptor, Digest, Error, Result, json};
use plimsoll_spec::annotations::REF_NAME;
use serde_json::{Map, Value};

use super::{INDEX, Layout};

/// The member of `index.json` that is the list.
const LIST: &str = "manifests";

/// One line of the list.
pub struct Line {
    /// In the canonical form.
    text: Box<[u8]>,
    descriptor: Descriptor,
}

impl Line {
    /// The line of a descriptor.
    pub(super) fn new(descriptor: Descriptor) -> Result<Arc<Self>> {
        Ok(Arc::new(Self { text: json::canonical(&descriptor)?.into(), descriptor }))
    }

    /// The line of a value in which something was changed.
    pub(super) fn of(value: &Value) -> Result<Arc<Self>> {
        let text = json::canonical(value)?;
        let descriptor = serde_json::from_slice(&text).map_err(bug)?;
        Ok(Arc::new(Self { text: text.into(), descriptor }))
    }

    /// Everything that it says.
    pub(super) fn value(&self) -> Result<Value> {
        serde_json::from_slice(&self.text).map_err(bug)
    }

    /// What it points at, with the name.
    pub fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    /// Its digest.
    pub fn digest(&self) -> &Digest {
        &self.descriptor.digest
    }

    /// Its name.
    pub fn name(&self) -> Option<&str> {
        self.descriptor.annotations.get(REF_NAME).map(String::as_str)
    }
}

impl PartialEq for Line {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.text))
    }
}

fn bug(cause: serde_json::Error) -> Error {
    Error::new(Code::Bug, format!("changing a line of {INDEX}")).found(&cause).cause(cause)
}

/// All of them, with what stands beside them.
#[derive(Debug)]
pub(super) struct Lines {
    /// The file.
    pub(super) bytes: Vec<u8>,
    pub(super) lines: Vec<Arc<Line>>,
    /// The other members.
    members: Map<String, Value>,
}

impl Lines {
    /// The lines, to be changed.
    pub(super) fn to_lines(&self) -> Vec<Arc<Line>> {
        let mut lines = Vec::with_capacity(room(self.lines.len() + 1));
        lines.extend_from_slice(&self.lines);
        lines
    }

    /// Other lines beside the same members.
    pub(super) fn with(&self, lines: Vec<Arc<Line>>) -> Result<Self> {
        // The list stands where its name belongs. What is around it is written on its own:
        // members that nobody here knows may hold lists of that name, too.
        let (before, behind): (Map<_, _>, Map<_, _>) =
            self.members.clone().into_iter().partition(|(name, _)| name.as_str() < LIST);
        let (before, behind) = (json::canonical(&before)?, json::canonical(&behind)?);
        let inner = |object: &[u8]| object[1..object.len() - 1].to_vec();
        let (before, behind) = (inner(&before), inner(&behind));
        let length: usize = lines.iter().map(|line| line.text.len() + 1).sum();
        let around = before.len() + behind.len() + LIST.len() + 8;
        let mut bytes = Vec::with_capacity(room(around + length));
        bytes.push(b'{');
        if !before.is_empty() {
            bytes.extend_from_slice(&before);
            bytes.push(b',');
        }
        bytes.extend_from_slice(format!("\"{LIST}\":[").as_bytes());
        for (number, line) in lines.iter().enumerate() {
            if number > 0 {
                bytes.push(b',');
            }
            bytes.extend_from_slice(&line.text);
        }
        bytes.push(b']');
        if !behind.is_empty() {
            bytes.push(b',');
            bytes.extend_from_slice(&behind);
        }
        bytes.push(b'}');
        Ok(Self { bytes, lines, members: self.members.clone() })
    }
}

/// The room for so much. A list that grows line by line would else ask for a
/// little more each time than what it has just given back, which an allocator
/// can not use again.
fn room(length: usize) -> usize {
    length.next_power_of_two()
}

impl Layout {
    /// What `index.json` lists now. Lines that stay when it changes stay the
    /// same ones in memory, if this layout changed it.
    pub fn lines(&self) -> Result<Vec<Arc<Line>>> {
        self.listed().map(|listed| listed.to_lines())
    }

    pub(super) fn listed(&self) -> Result<Arc<Lines>> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(last) = last
            && self.index_is(&last.bytes)?
        {
            return Ok(last);
        }
        let listed = Arc::new(self.read_lines(self.read_index_bytes()?)?);
        self.keep(&listed);
        Ok(listed)
    }

    /// What the file says as long as it has these bytes.
    pub(super) fn keep(&self, listed: &Arc<Lines>) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(listed));
    }

    fn read_lines(&self, bytes: Vec<u8>) -> Result<Lines> {
        let index = self.parse_index(&bytes)?;
        let mut members: Map<String, Value> = serde_json::from_slice(&bytes).map_err(|cause| {
            Error::new(Code::Malformed, format!("reading {INDEX}")).found(&cause).cause(cause)
        })?;
        // Some writers put null for an empty list.
        let values = match members.remove(LIST) {
            Some(Value::Array(values)) => values,
            _ => Vec::new(),
        };
        let lines = values.into_iter().zip(index.view().manifests.iter().cloned());
        let lines = lines
            .map(|(value, descriptor)| {
                Ok(Arc::new(Line { text: json::canonical(&value)?.into(), descriptor }))
            })
            .collect::<Result<_>>()?;
        Ok(Lines { bytes, lines, members })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lists_of_that_name_in_other_members_stay_what_they_are() {
        let descriptor: Descriptor = serde_json::from_value(json!({
            "mediaType": "a/b", "size": 1, "digest": format!("sha256:{}", "0".repeat(64)),
        }))
        .expect("a descriptor");
        let line = Line::new(descriptor).expect("a line");
        for members in [
            json!({"schemaVersion": 2}),
            json!({"schemaVersion": 2, "zz": {"manifests": []}}),
            json!({"a": {"manifests": []}, "b": "\"manifests\":["}),
            json!({}),
        ] {
            let Value::Object(members) = members else { unreachable!("an object") };
            let old = Lines { bytes: Vec::new(), lines: Vec::new(), members: members.clone() };
            for count in 0..3 {
                let new = old.with(vec![Arc::clone(&line); count]).expect("written");
                let mut whole = members.clone();
                whole.insert(LIST.into(), vec![line.value().expect("a value"); count].into());
                assert_eq!(new.bytes, json::canonical(&whole).expect("written"));
            }
        }
    }
}
