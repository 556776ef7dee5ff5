//! Paths of a file tree: relative, bytes, never pointing out of it.

use std::borrow::Borrow;
use std::ffi::OsStr;
use std::fmt::{self, Write as _};
use std::os::unix::ffi::OsStrExt;

use plimsoll_content::{Code, Error, Result};

use crate::limits;

/// A path below the root of a file tree, in one normal form.
///
/// Components are bytes, joined by one `/`; none is empty, `.` or `..`, none
/// holds a NUL. The empty path is the root itself. Ordering is by bytes of
/// whole components, so that a folder comes right before what it holds.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct RelPath(Vec<u8>);

impl RelPath {
    /// The root of the tree.
    pub const fn root() -> Self {
        Self(Vec::new())
    }

    /// Reads a path as archives write it: leading slashes, `./`, repeated and
    /// trailing slashes are dropped.
    ///
    /// Refuses `..`, NUL, components above NAME_MAX and paths above
    /// [`limits::PATH`] (hostile cases TR01 to TR03, NM04, NM05, TP09).
    pub fn parse(text: &[u8]) -> Result<Self> {
        let bad = |found: &str, expected: &str| {
            Error::new(Code::UnsafeEntry, format!("reading path {}", shown(text)))
                .found(found)
                .expected(expected)
        };
        if text.len() > limits::PATH {
            return Err(bad(&format!("{} bytes", text.len()), "at most 4096 bytes"));
        }
        if text.contains(&0) {
            return Err(bad("a NUL byte", "none: readers would cut the path there"));
        }
        let mut path = Vec::with_capacity(text.len());
        for component in text.split(|byte| *byte == b'/') {
            match component {
                b"" | b"." => {}
                b".." => return Err(bad("a component ..", "a path that stays below the root")),
                _ if component.len() > limits::NAME => {
                    return Err(bad("a component above 255 bytes", "a name that a file can have"));
                }
                _ => {
                    if !path.is_empty() {
                        path.push(b'/');
                    }
                    path.extend_from_slice(component);
                }
            }
        }
        Ok(Self(path))
    }

    /// The bytes, without a leading or trailing slash.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether this is the root of the tree.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The components, from the top down.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &OsStr> {
        self.0
            .split(|byte| *byte == b'/')
            .filter(|component| !component.is_empty())
            .map(OsStr::from_bytes)
    }

    /// The last component; `None` for the root.
    pub fn name(&self) -> Option<&OsStr> {
        self.components().next_back()
    }

    /// The path without its last component; `None` for the root.
    pub fn parent(&self) -> Option<Self> {
        if self.is_root() {
            return None;
        }
        let end = self.0.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        Some(Self(self.0[..end].to_vec()))
    }

    /// The path of `name` in this folder. `name` must be one component, as
    /// directory listings give it.
    pub fn join(&self, name: &OsStr) -> Self {
        let mut path = self.0.clone();
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name.as_bytes());
        Self(path)
    }

    /// Whether this path is `other` or lies below it.
    pub fn starts_with(&self, other: &Self) -> bool {
        other.is_root()
            || self
                .0
                .strip_prefix(&other.0[..])
                .is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
    }
}

impl Ord for RelPath {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        // A slash ends a component, so it counts as less than any byte in one.
        let order = |byte: &u8| if *byte == b'/' { 0 } else { *byte };
        self.0.iter().map(order).cmp(other.0.iter().map(order))
    }
}

impl PartialOrd for RelPath {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Borrow<[u8]> for RelPath {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() { f.write_str("/") } else { f.write_str(&shown(&self.0)) }
    }
}

/// Bytes of a path as one line of harmless text: what is not printable UTF-8
/// is escaped (hostile case NM07).
pub fn shown(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        for letter in chunk.valid().chars() {
            if letter.is_control() || is_bidi(letter) || letter == '\\' {
                text.extend(letter.escape_default());
            } else {
                text.push(letter);
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

fn is_bidi(letter: char) -> bool {
    matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_normal_form() {
        for (text, normal) in [
            (&b"a/b"[..], &b"a/b"[..]),
            (b"./a//b/", b"a/b"),
            (b"/etc/passwd", b"etc/passwd"),
            (b".", b""),
            (b"/", b""),
            (b"", b""),
            (b"...", b"..."),
            (b"\xe9", b"\xe9"),
        ] {
            assert_eq!(RelPath::parse(text).expect("good").as_bytes(), normal);
        }
    }

    #[test]
    fn tr01_tr03_nm04_nm05_tp09_refused() {
        for text in
            [&b"../x"[..], b"a/../../x", b"a/..", b"a\0b", &[b'x'; 256], &b"ab/".repeat(1366)]
        {
            assert_eq!(RelPath::parse(text).expect_err("unsafe").code(), Code::UnsafeEntry);
        }
    }

    #[test]
    fn a_folder_comes_right_before_what_it_holds() {
        let mut paths: Vec<_> = ["a-b", "a/b", "a", "a.c"]
            .map(|text| RelPath::parse(text.as_bytes()).expect("good"))
            .into();
        paths.sort();
        let sorted: Vec<_> = paths.iter().map(ToString::to_string).collect();
        assert_eq!(sorted, ["a", "a/b", "a-b", "a.c"]);
    }

    #[test]
    fn nm07_printing_is_harmless() {
        assert_eq!(shown(b"a\n\x1b[31m\xff\\\xe2\x80\xae"), r"a\n\u{1b}[31m\xff\\\u{202e}");
    }
}
