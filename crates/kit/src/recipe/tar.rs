//! Tar archives out of recipes, wrong ones included.
//!
//! The writer of `plimsoll-layer` refuses what a case may need (names that
//! lead out, wrong checksums, odd types), so the blocks are put together
//! here, field by field. What a reader makes of them is no concern of this
//! file.

use plimsoll_content::{Code, Error, Result};
use serde::Deserialize;
use serde_json::{Map, Value};

/// The size of a block, and of a header.
const BLOCK: usize = 512;

/// When files were changed, unless a recipe says otherwise: a full second
/// that no tool takes for its own default.
const MTIME: &str = "1500000000";

/// One entry of a layer, as a recipe writes it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Entry {
    /// The name; one that ends in `/` is a folder unless `flag` says more.
    path: String,
    content: Value,
    mode: Option<String>,
    uid: u64,
    gid: u64,
    uname: String,
    gname: String,
    mtime: Option<String>,
    symlink: Option<String>,
    hardlink: Option<String>,
    char: Option<[u32; 2]>,
    block: Option<[u32; 2]>,
    fifo: bool,
    flag: Option<String>,
    xattrs: Map<String, Value>,
    pax: Map<String, Value>,
    /// A header for all that follows, and nothing else.
    global: Map<String, Value>,
    /// Bytes of the header that are overwritten before it is sealed, by offset.
    header: Map<String, Value>,
    /// What the header says, whatever the content is.
    size: Option<u64>,
    /// Written as it is instead of the right one.
    checksum: Option<String>,
    /// Bytes in place of an entry.
    bytes: Value,
}

/// Writes the blocks of all entries, without the end of the archive.
pub(crate) fn blocks(entries: &[Entry]) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    for entry in entries {
        entry.write(&mut out)?;
    }
    Ok(out)
}

impl Entry {
    fn write(&self, out: &mut Vec<u8>) -> Result<()> {
        if !self.bytes.is_null() {
            out.extend(content(&self.bytes)?);
            return Ok(());
        }
        if !self.global.is_empty() {
            extended(b'g', &records(&self.global)?, out);
            return Ok(());
        }
        let body = content(&self.content)?;
        let mut pax = Vec::new();
        for (name, value) in &self.xattrs {
            record(&format!("SCHILY.xattr.{name}"), &content(value)?, &mut pax);
        }
        let mut header = [0; BLOCK];
        let (flag, link) = self.kind();
        let (prefix, name) = if self.path.len() <= 100 {
            ("", self.path.as_str())
        } else if let Some(split) = split(&self.path) {
            split
        } else {
            record("path", self.path.as_bytes(), &mut pax);
            ("", cut(&self.path, 100))
        };
        put(&mut header, 0, name.as_bytes());
        put(&mut header, 345, prefix.as_bytes());
        let mode = self.mode.clone().unwrap_or_else(|| default_mode(flag).to_owned());
        put(&mut header, 100, format!("{mode:0>7}\0").as_bytes());
        for (at, key, value) in [(108, "uid", self.uid), (116, "gid", self.gid)] {
            if value > 0o7_777_777 {
                record(key, value.to_string().as_bytes(), &mut pax);
            }
            put(&mut header, at, format!("{:07o}\0", value.min(0o7_777_777)).as_bytes());
        }
        let size = self.size.unwrap_or(body.len() as u64);
        put(&mut header, 124, format!("{size:011o}\0").as_bytes());
        let mtime = self.mtime.as_deref().unwrap_or(MTIME);
        let seconds = mtime.parse::<u64>().unwrap_or_else(|_| {
            record("mtime", mtime.as_bytes(), &mut pax);
            0
        });
        put(&mut header, 136, format!("{seconds:011o}\0").as_bytes());
        header[156] = flag;
        if link.len() > 100 {
            record("linkpath", link.as_bytes(), &mut pax);
        }
        put(&mut header, 157, cut(link, 100).as_bytes());
        put(&mut header, 257, b"ustar\x0000");
        put(&mut header, 265, cut(&self.uname, 31).as_bytes());
        put(&mut header, 297, cut(&self.gname, 31).as_bytes());
        if let Some([major, minor]) = self.char.or(self.block) {
            put(&mut header, 329, format!("{major:07o}\0").as_bytes());
            put(&mut header, 337, format!("{minor:07o}\0").as_bytes());
        }
        for (at, bytes) in &self.header {
            let at = at
                .parse()
                .ok()
                .filter(|at| *at < BLOCK)
                .ok_or_else(|| wrong("a place in a header", at))?;
            put(&mut header, at, &content(bytes)?);
        }
        seal(&mut header, self.checksum.as_deref());
        pax.extend(records(&self.pax)?);
        if !pax.is_empty() {
            extended(b'x', &pax, out);
        }
        out.extend(header);
        padded(&body, out);
        Ok(())
    }

    fn kind(&self) -> (u8, &str) {
        let given = self.flag.as_deref().and_then(|flag| flag.bytes().next());
        let (flag, link) = match (&self.symlink, &self.hardlink) {
            (Some(target), _) => (b'2', target.as_str()),
            (_, Some(target)) => (b'1', target.as_str()),
            _ if self.char.is_some() => (b'3', ""),
            _ if self.block.is_some() => (b'4', ""),
            _ if self.fifo => (b'6', ""),
            _ if self.path.ends_with('/') => (b'5', ""),
            _ => (b'0', ""),
        };
        (given.unwrap_or(flag), link)
    }
}

fn default_mode(flag: u8) -> &'static str {
    match flag {
        b'5' => "755",
        b'2' => "777",
        _ => "644",
    }
}

/// Bytes as recipes write them: text, `{"hex": …}`, `{"repeat": [text, n]}`,
/// or a list of these, one after another. Nothing is no bytes.
pub(crate) fn content(value: &Value) -> Result<Vec<u8>> {
    Ok(match value {
        Value::Null => Vec::new(),
        Value::String(text) => text.clone().into_bytes(),
        Value::Array(parts) => {
            let mut bytes = Vec::new();
            for part in parts {
                bytes.extend(content(part)?);
            }
            bytes
        }
        Value::Object(map) if map.len() == 1 => match map.iter().next() {
            Some((key, Value::String(text))) if key == "hex" => hex(text)?,
            Some((key, Value::Array(pair))) if key == "repeat" => match &pair[..] {
                [text, Value::Number(times)] => {
                    let times = times.as_u64().filter(|times| *times <= 1 << 24);
                    let times = times.ok_or_else(|| wrong("a number of times", value))?;
                    content(text)?.repeat(times as usize)
                }
                _ => return Err(wrong("bytes", value)),
            },
            _ => return Err(wrong("bytes", value)),
        },
        _ => return Err(wrong("bytes", value)),
    })
}

/// Bytes in hexadecimal digits; spaces do not count.
pub(crate) fn hex(text: &str) -> Result<Vec<u8>> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .filter(|digit| *digit != ' ')
        .map(|digit| digit.to_digit(16).map(|value| value as u8))
        .collect();
    match digits {
        Some(digits) if digits.len().is_multiple_of(2) => {
            Ok(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
        }
        _ => Err(wrong("hexadecimal digits", text)),
    }
}

fn wrong(what: &str, found: impl std::fmt::Display) -> Error {
    Error::new(Code::Malformed, format!("reading {what} in a recipe")).found(found)
}

fn put(header: &mut [u8; BLOCK], at: usize, bytes: &[u8]) {
    let end = BLOCK.min(at + bytes.len());
    header[at..end].copy_from_slice(&bytes[..end - at]);
}

fn seal(header: &mut [u8; BLOCK], checksum: Option<&str>) {
    put(header, 148, b"        ");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    let text = checksum.map_or_else(|| format!("{sum:06o}\0 "), ToOwned::to_owned);
    put(header, 148, text.as_bytes());
}

fn padded(body: &[u8], out: &mut Vec<u8>) {
    out.extend(body);
    out.resize(out.len().next_multiple_of(BLOCK), 0);
}

/// A header that holds records, for the next entry or for all.
fn extended(flag: u8, records: &[u8], out: &mut Vec<u8>) {
    let mut header = [0; BLOCK];
    put(&mut header, 0, b"records");
    put(&mut header, 100, b"0000644\0");
    put(&mut header, 108, b"0000000\0");
    put(&mut header, 116, b"0000000\0");
    put(&mut header, 124, format!("{:011o}\0", records.len()).as_bytes());
    put(&mut header, 136, b"00000000000\0");
    header[156] = flag;
    put(&mut header, 257, b"ustar\x0000");
    seal(&mut header, None);
    out.extend(header);
    padded(records, out);
}

fn records(map: &Map<String, Value>) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for (key, value) in map {
        record(key, &content(value)?, &mut bytes);
    }
    Ok(bytes)
}

/// A record: its own length in decimal, the key, the value.
fn record(key: &str, value: &[u8], out: &mut Vec<u8>) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length += 1;
    }
    out.extend(format!("{length} {key}=").into_bytes());
    out.extend(value);
    out.push(b'\n');
}

/// A long name as prefix and name, if ustar can hold it so.
fn split(path: &str) -> Option<(&str, &str)> {
    let at = path.char_indices().rev().map(|(at, _)| at).find(|at| {
        path.as_bytes()[*at] == b'/' && *at <= 155 && (1..=100).contains(&(path.len() - at - 1))
    })?;
    Some((&path[..at], &path[at + 1..]))
}

/// The start of a text, in whole characters.
fn cut(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use plimsoll_layer::tar::Entries;
    use plimsoll_layer::{EntryKind, Limits};

    use super::*;

    fn made(text: &str) -> Vec<u8> {
        let entries: Vec<Entry> = serde_json::from_str(text).expect("entries");
        let mut bytes = blocks(&entries).expect("made");
        bytes.extend([0; 2 * BLOCK]);
        bytes
    }

    #[test]
    fn a_reader_finds_what_the_recipe_says() {
        let long = format!("{}/{}", "d".repeat(120), "f".repeat(90));
        let text = format!(
            r#"[{{"path": "etc/", "mode": "1777"}},
                {{"path": "etc/x", "content": [{{"hex": "00 ff"}}, {{"repeat": ["ab", 2]}}],
                  "uid": 3000000, "gid": 7, "mtime": "-1.5", "xattrs": {{"user.a": "b"}}}},
                {{"path": "{long}", "hardlink": "etc/x"}}]"#
        );
        let archive = made(&text);
        let mut entries = Entries::new(&archive[..], Limits::default());
        let (folder, _) = entries.next().expect("read").expect("one");
        assert_eq!((folder.mode, folder.kind), (0o1777, EntryKind::Directory));
        let (file, mut body) = entries.next().expect("read").expect("two");
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut body, &mut content).expect("read");
        assert_eq!(content, b"\x00\xffabab");
        assert_eq!((file.uid, file.gid, file.mtime.seconds()), (3_000_000, 7, -2));
        assert_eq!(file.xattrs, [(b"user.a".to_vec(), b"b".to_vec())]);
        let (link, _) = entries.next().expect("read").expect("three");
        assert_eq!(link.path.as_bytes(), long.as_bytes());
        assert!(matches!(link.kind, EntryKind::Hardlink { .. }));
        assert!(entries.next().expect("read").is_none());
    }

    #[test]
    fn headers_can_be_wrong() {
        let archive = made(r#"[{"path": "a", "checksum": "000000\u0000 "}]"#);
        assert!(Entries::new(&archive[..], Limits::default()).next().is_err());
        let archive = made(r#"[{"path": "a", "header": {"0": "../b"}}]"#);
        assert!(Entries::new(&archive[..], Limits::default()).next().is_err());
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [r#"{"hex": "0"}"#, r#"{"repeat": ["a", -1]}"#, "1", r#"{"a": 1}"#] {
            let value = serde_json::from_str(text).expect("JSON");
            assert!(content(&value).is_err(), "{text}");
        }
    }
}
