//! Source files as the checks see them: the code without comments, texts and
//! unit tests, line by line.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Outcome, workspace};

/// A file of the repository.
pub(crate) struct Source {
    /// Its path below the workspace.
    pub(crate) path: PathBuf,
    /// What it holds.
    pub(crate) text: String,
}

impl Source {
    /// Whether the file lies below `folder`.
    pub(crate) fn below(&self, folder: impl AsRef<Path>) -> bool {
        self.path.starts_with(folder)
    }

    /// Whether the file's name ends so.
    pub(crate) fn is(&self, extension: &str) -> bool {
        self.path.extension().is_some_and(|found| found == extension)
    }
}

/// The text files that git has or would take, by path.
pub(crate) fn all() -> Outcome<Vec<Source>> {
    let root = workspace();
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(&root)
        .output()
        .map_err(|error| format!("starting git: {error}"))?;
    if !output.status.success() {
        return Err("git ls-files failed: is this a clone?".into());
    }
    let mut paths: Vec<PathBuf> = output
        .stdout
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
        .map(|name| PathBuf::from(String::from_utf8_lossy(name).into_owned()))
        .collect();
    paths.sort();
    paths.dedup();
    // What is listed may have been removed a moment ago; what is no text is
    // nothing to check.
    Ok(paths
        .into_iter()
        .filter(|path| !root.join(path).is_symlink())
        .filter_map(|path| {
            let text = std::fs::read_to_string(root.join(&path)).ok()?;
            Some(Source { path, text })
        })
        .collect())
}

/// The code of a Rust file, with as many lines as the file has: comments,
/// texts and modules under `#[cfg(test)]` are blank.
pub(crate) fn code(text: &str) -> Vec<String> {
    let mut bare = blank(text);
    blank_tests(&mut bare);
    String::from_utf8_lossy(&bare).lines().map(str::to_owned).collect()
}

/// The same with the unit tests left in.
pub(crate) fn code_with_tests(text: &str) -> Vec<String> {
    String::from_utf8_lossy(&blank(text)).lines().map(str::to_owned).collect()
}

/// Overwrites comments and the insides of texts with spaces.
fn blank(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut bare = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = match bytes[at] {
            b'/' if bytes[at..].starts_with(b"//") => line_end(bytes, at),
            b'/' if bytes[at..].starts_with(b"/*") => comment_end(bytes, at),
            b'"' => text_end(bytes, at),
            b'r' if !part_of_name(bytes, at) => match raw_end(bytes, at) {
                Some(end) => end,
                None => {
                    at += 1;
                    continue;
                }
            },
            b'\'' => match letter_end(bytes, at) {
                Some(end) => end,
                None => {
                    at += 1;
                    continue;
                }
            },
            _ => {
                at += 1;
                continue;
            }
        };
        for byte in &mut bare[at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end;
    }
    bare
}

fn line_end(bytes: &[u8], at: usize) -> usize {
    bytes[at..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |length| at + length)
}

fn comment_end(bytes: &[u8], mut at: usize) -> usize {
    let mut depth = 0;
    while at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if bytes[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    bytes.len()
}

fn text_end(bytes: &[u8], mut at: usize) -> usize {
    at += 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// The end of `r"..."` or `r#"..."#` at `at`, if there is one.
fn raw_end(bytes: &[u8], at: usize) -> Option<usize> {
    let hashes = bytes[at + 1..].iter().take_while(|byte| **byte == b'#').count();
    let open = at + 1 + hashes;
    if bytes.get(open) != Some(&b'"') {
        return None;
    }
    let mut close = vec![b'"'];
    close.resize(1 + hashes, b'#');
    let inside = &bytes[open + 1..];
    let length = inside.windows(close.len()).position(|window| window == close);
    Some(length.map_or(bytes.len(), |length| open + 1 + length + close.len()))
}

/// Whether the `r` at `at` ends a longer name; `br"..."` is no such case.
fn part_of_name(bytes: &[u8], at: usize) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    match at.checked_sub(1).map(|before| bytes[before]) {
        Some(b'b' | b'c') => at >= 2 && is_word(bytes[at - 2]),
        Some(byte) => is_word(byte),
        None => false,
    }
}

/// The end of a character literal at `at`; `None` for a lifetime.
fn letter_end(bytes: &[u8], at: usize) -> Option<usize> {
    if bytes.get(at + 1) == Some(&b'\\') {
        let from = (at + 3).min(bytes.len());
        return bytes[from..].iter().position(|byte| *byte == b'\'').map(|end| from + end + 1);
    }
    // One character of up to four bytes, then the closing quote.
    let close = bytes[at + 1..].iter().take(5).position(|byte| *byte == b'\'')?;
    let one = std::str::from_utf8(&bytes[at + 1..=at + close]).ok()?;
    (one.chars().count() == 1).then_some(at + close + 2)
}

/// Overwrites `#[cfg(test)] mod name { ... }`.
fn blank_tests(bare: &mut [u8]) {
    const MARK: &[u8] = b"#[cfg(test)]";
    let mut at = 0;
    while let Some(found) = find(bare, at, MARK) {
        let mut end = found + MARK.len();
        let mut depth = 0_usize;
        while end < bare.len() {
            match bare[end] {
                b'{' => depth += 1,
                b'}' if depth == 1 => break,
                b'}' => depth = depth.saturating_sub(1),
                b';' if depth == 0 => break,
                _ => {}
            }
            end += 1;
        }
        let end = (end + 1).min(bare.len());
        for byte in &mut bare[found..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end;
    }
}

fn find(bytes: &[u8], from: usize, wanted: &[u8]) -> Option<usize> {
    let rest = bytes.get(from..)?;
    rest.windows(wanted.len()).position(|window| window == wanted).map(|found| from + found)
}

/// Whether `word` stands in `line` and neither begins nor ends inside of a
/// longer name.
pub(crate) fn has_word(line: &str, word: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    line.match_indices(word).any(|(at, _)| {
        let before = at.checked_sub(1).map(|before| line.as_bytes()[before]);
        let after = line.as_bytes().get(at + word.len()).copied();
        let starts = !before.is_some_and(is_word) || !is_word(word.as_bytes()[0]);
        let ends = !after.is_some_and(is_word) || !word.bytes().last().is_some_and(is_word);
        starts && ends
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_texts_are_blank() {
        let text = "let a = \"unsafe \\\" x\"; // unsafe\n/* unsafe /* y */ */ unsafe { r#\"unsafe\"# }\nlet c = '\"'; let l: &'a str = b'x'; unsafe\n";
        let lines = code(text);
        assert_eq!(lines.len(), 3);
        assert!(!has_word(&lines[0], "unsafe"), "{:?}", lines[0]);
        assert_eq!(lines[1].matches("unsafe").count(), 1, "{:?}", lines[1]);
        assert!(has_word(&lines[2], "unsafe"), "{:?}", lines[2]);
        assert!(has_word(&lines[2], "str"));
    }

    #[test]
    fn raw_texts_end_at_their_own_fence() {
        let lines = code("let bar = br##\"a\"# unsafe\"##; after\nlet for_r = 1;\n");
        assert!(!has_word(&lines[0], "unsafe"));
        assert!(has_word(&lines[0], "after"));
        assert!(has_word(&lines[1], "for_r"));
    }

    #[test]
    fn unit_tests_are_left_out_and_what_follows_is_not() {
        let text =
            "fn a() {}\n#[cfg(test)]\nmod tests {\n  fn b() { panic!() }\n}\nfn c() { exit() }\n";
        let lines = code(text);
        assert!(lines[0].contains("fn a"));
        assert!(!lines.join("").contains("panic"));
        assert!(lines[5].contains("exit"));
        assert!(code_with_tests(text).join("").contains("panic"));
        let file = code("#[cfg(test)]\nmod tests;\nfn after() {}\n");
        assert!(file[2].contains("after"));
    }

    #[test]
    fn words_are_whole() {
        assert!(has_word("std::env::var(x)", "env::var"));
        assert!(!has_word("my_env::var(x)", "env::var"));
        assert!(!has_word("unsafe_code", "unsafe"));
        assert!(has_word("println!(", "println!"));
        assert!(!has_word("eprintln!(", "println!"));
    }
}
