//! One pass over the text of a document, without recursion.
//!
//! It stops at the first thing that is wrong, or, for a survey
//! ([`super::survey`]), goes on wherever it is clear what follows, and keeps
//! what it read as a tree.

use std::collections::HashSet;

use super::tree::{Flaw, KEPT, Tree};

/// The name under which `serde_json` hides numbers of arbitrary precision;
/// as a member name it would turn its object into a number.
const NUMBER_TOKEN: &str = "$serde_json::private::Number";

/// What kind of thing is wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Wrong {
    /// The text is no JSON, or is more than one value.
    Syntax,
    /// A byte order mark in front.
    Mark,
    /// Bytes that are not UTF-8.
    Encoding,
    /// Half of a surrogate pair.
    Surrogate,
    /// A member name that stands twice in an object.
    Twice,
    /// Deeper nesting than the budget allows.
    Depth,
    /// A member name that some readers give a meaning of their own.
    Reserved,
}

pub(super) struct Problem {
    pub(super) kind: Wrong,
    pub(super) found: String,
    pub(super) expected: &'static str,
    pub(super) offset: Option<usize>,
}

fn problem(found: impl Into<String>, expected: &'static str) -> Problem {
    of(Wrong::Syntax, found, expected)
}

fn of(kind: Wrong, found: impl Into<String>, expected: &'static str) -> Problem {
    Problem { kind, found: found.into(), expected, offset: None }
}

enum Frame {
    Object { names: HashSet<String>, current: String, members: Vec<(String, Tree)> },
    Array { index: usize, elements: Vec<Tree> },
}

pub(super) struct Scanner<'a> {
    bytes: &'a [u8],
    pub(super) at: usize,
    frames: Vec<Frame>,
    depth: usize,
    /// What is wrong so far and did not stop it; `None` if everything does.
    pub(super) flaws: Option<Vec<Flaw>>,
    /// How many more there are than are told.
    pub(super) more: usize,
    /// The value, once it was read; only of a survey.
    pub(super) tree: Option<Tree>,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(bytes: &'a [u8], depth: usize) -> Self {
        Self { bytes, at: 0, frames: Vec::new(), depth, flaws: None, more: 0, tree: None }
    }

    pub(super) fn document(&mut self) -> Result<(), Problem> {
        if self.bytes.starts_with(b"\xef\xbb\xbf") {
            let expected = "UTF-8 text that starts with the value";
            self.wrong(of(Wrong::Mark, "a byte order mark", expected))?;
            self.at = 3;
        }
        if self.flaws.is_none()
            && let Err(error) = std::str::from_utf8(self.bytes)
        {
            self.at = error.valid_up_to();
            return Err(of(Wrong::Encoding, "a byte that is not UTF-8", "UTF-8"));
        }
        self.space();
        let mut more = self.value()?;
        while more || !self.frames.is_empty() {
            more = if more { self.inside()? } else { self.after()? };
        }
        self.space();
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(problem("something after the value", "the end of the document")),
        }
    }

    /// Notes what need not stop a survey.
    fn wrong(&mut self, problem: Problem) -> Result<(), Problem> {
        let count = self.flaws.as_ref().map(Vec::len);
        match count {
            None => return Err(problem),
            Some(count) if count >= KEPT => self.more += 1,
            Some(_) => {
                let (pointer, offset) = (self.pointer(), problem.offset.unwrap_or(self.at));
                self.flaws.get_or_insert_default().push(Flaw::of(problem, pointer, offset));
            }
        }
        Ok(())
    }

    /// Puts a value where it belongs.
    fn place(&mut self, value: impl FnOnce() -> Tree) {
        if self.flaws.is_none() {
            return;
        }
        match self.frames.last_mut() {
            None => self.tree = Some(value()),
            Some(Frame::Object { current, members, .. }) => {
                members.push((current.clone(), value()));
            }
            Some(Frame::Array { elements, .. }) => elements.push(value()),
        }
    }

    /// Reads the start of a value; `true` if it opened an object or array
    /// whose first element is to be read.
    fn value(&mut self) -> Result<bool, Problem> {
        match self.peek() {
            Some(open @ (b'{' | b'[')) => {
                if self.frames.len() >= self.depth {
                    let found = format!("deeper nesting than {} levels", self.depth);
                    return Err(of(Wrong::Depth, found, "fewer levels"));
                }
                self.at += 1;
                self.frames.push(if open == b'{' {
                    Frame::Object {
                        names: HashSet::new(),
                        current: String::new(),
                        members: Vec::new(),
                    }
                } else {
                    Frame::Array { index: 0, elements: Vec::new() }
                });
                Ok(true)
            }
            Some(b'"') => {
                let text = self.string()?;
                self.place(|| Tree::Text(text));
                Ok(false)
            }
            Some(b't') => self.word("true", || Tree::Bool(true)),
            Some(b'f') => self.word("false", || Tree::Bool(false)),
            Some(b'n') => self.word("null", || Tree::Null),
            Some(b'-' | b'0'..=b'9') => {
                let start = self.at;
                self.number()?;
                let (bytes, end) = (self.bytes, self.at);
                self.place(|| Tree::Number(String::from_utf8_lossy(&bytes[start..end]).into()));
                Ok(false)
            }
            Some(other) => Err(problem(shown(other), "a JSON value")),
            None => Err(problem("the end", "a JSON value")),
        }
    }

    /// The first element after an opening bracket, or its closing.
    fn inside(&mut self) -> Result<bool, Problem> {
        self.space();
        match (self.frames.last(), self.peek()) {
            (Some(Frame::Object { .. }), Some(b'}')) | (Some(Frame::Array { .. }), Some(b']')) => {
                Ok(self.close())
            }
            (Some(Frame::Object { .. }), _) => self.member(),
            _ => self.value(),
        }
    }

    /// What follows an element: a comma and the next one, or the closing.
    fn after(&mut self) -> Result<bool, Problem> {
        self.space();
        let byte = self.peek();
        match self.frames.last_mut() {
            Some(Frame::Object { .. }) => match byte {
                Some(b',') => {
                    self.at += 1;
                    self.space();
                    self.member()
                }
                Some(b'}') => Ok(self.close()),
                _ => Err(problem(byte.map_or("the end".into(), shown), "a comma or }")),
            },
            Some(Frame::Array { index, .. }) => match byte {
                Some(b',') => {
                    *index += 1;
                    self.at += 1;
                    self.space();
                    self.value()
                }
                Some(b']') => Ok(self.close()),
                _ => Err(problem(byte.map_or("the end".into(), shown), "a comma or ]")),
            },
            None => Ok(false),
        }
    }

    fn close(&mut self) -> bool {
        self.at += 1;
        match self.frames.pop() {
            Some(Frame::Object { members, .. }) => self.place(|| Tree::Object(members)),
            Some(Frame::Array { elements, .. }) => self.place(|| Tree::Array(elements)),
            None => {}
        }
        false
    }

    fn member(&mut self) -> Result<bool, Problem> {
        let start = self.at;
        if self.peek() != Some(b'"') {
            return Err(problem(self.peek().map_or("the end".into(), shown), "a member name"));
        }
        let name = self.string()?;
        if let Some(Frame::Object { names, current, .. }) = self.frames.last_mut() {
            let (reserved, twice) = (name == NUMBER_TOKEN, !names.insert(name.clone()));
            *current = name;
            if reserved {
                self.wrong(of(Wrong::Reserved, "a reserved member name", "any other name"))?;
            }
            if twice {
                self.wrong(Problem {
                    kind: Wrong::Twice,
                    found: "a member name that stands twice".into(),
                    expected: "each name once in an object (I-JSON)",
                    offset: Some(start),
                })?;
            }
        }
        self.space();
        if self.peek() != Some(b':') {
            return Err(problem(self.peek().map_or("the end".into(), shown), "a colon"));
        }
        self.at += 1;
        self.space();
        self.value()
    }

    fn string(&mut self) -> Result<String, Problem> {
        self.at += 1;
        let mut text = String::new();
        loop {
            let start = self.at;
            while self.peek().is_some_and(|byte| byte != b'"' && byte != b'\\' && byte >= 0x20) {
                self.at += 1;
            }
            // Whole slices between ASCII bytes of valid UTF-8 are valid.
            match std::str::from_utf8(&self.bytes[start..self.at]) {
                Ok(valid) => text.push_str(valid),
                Err(error) => {
                    let offset = Some(start + error.valid_up_to());
                    let found = of(Wrong::Encoding, "a byte that is not UTF-8", "UTF-8");
                    self.wrong(Problem { offset, ..found })?;
                    text.push_str(&String::from_utf8_lossy(&self.bytes[start..self.at]));
                }
            }
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(text);
                }
                Some(b'\\') => {
                    self.at += 1;
                    text.push(self.escape()?);
                }
                Some(control) => return Err(problem(shown(control), "an escape for it")),
                None => return Err(problem("the end in a string", "a closing quote")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, Problem> {
        let byte = self.peek();
        self.at += 1;
        Ok(match byte {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                let first = self.hex4()?;
                let code = match first {
                    0xD800..0xDC00 => self
                        .low_half()?
                        .map(|second| 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00)),
                    _ => Some(first),
                };
                match code.and_then(char::from_u32) {
                    Some(letter) => letter,
                    None => {
                        let half = "half of a surrogate pair";
                        self.wrong(of(Wrong::Surrogate, half, "both halves"))?;
                        char::REPLACEMENT_CHARACTER
                    }
                }
            }
            _ => return Err(problem("an unknown escape", r#"one of \" \\ \/ \b \f \n \r \t \u"#)),
        })
    }

    /// The second half of a surrogate pair, if it is there.
    fn low_half(&mut self) -> Result<Option<u32>, Problem> {
        let before = self.at;
        if !self.bytes[self.at..].starts_with(b"\\u") {
            return Ok(None);
        }
        self.at += 2;
        let second = self.hex4()?;
        if (0xDC00..0xE000).contains(&second) {
            return Ok(Some(second));
        }
        self.at = before;
        Ok(None)
    }

    fn hex4(&mut self) -> Result<u32, Problem> {
        let digits = self.bytes.get(self.at..self.at + 4).unwrap_or_default();
        if digits.len() != 4 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(problem("a broken \\u escape", "four hexadecimal digits"));
        }
        self.at += 4;
        Ok(digits.iter().fold(0, |value, digit| {
            value << 4 | char::from(*digit).to_digit(16).unwrap_or_default()
        }))
    }

    fn number(&mut self) -> Result<(), Problem> {
        let bad = || problem("a broken number", "a number as JSON writes it");
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits()?,
            _ => return Err(bad()),
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Problem> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == start {
            return Err(problem("a broken number", "a digit"));
        }
        Ok(())
    }

    fn word(&mut self, word: &str, value: impl FnOnce() -> Tree) -> Result<bool, Problem> {
        if !self.bytes[self.at..].starts_with(word.as_bytes()) {
            return Err(problem("an unknown word", "true, false or null"));
        }
        self.at += word.len();
        self.place(value);
        Ok(false)
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// Where the scanner stands, as a JSON pointer (RFC 6901), for people.
    pub(super) fn pointer_text(&self) -> String {
        if self.frames.is_empty() {
            return "the top".to_owned();
        }
        self.pointer().escape_debug().to_string()
    }

    /// The same for programs; empty at the top.
    pub(super) fn pointer(&self) -> String {
        self.frames
            .iter()
            .map(|frame| match frame {
                Frame::Object { current, .. } => {
                    format!("/{}", current.replace('~', "~0").replace('/', "~1"))
                }
                Frame::Array { index, .. } => format!("/{index}"),
            })
            .collect()
    }
}

fn shown(byte: u8) -> String {
    format!("{:?}", char::from(byte))
}
