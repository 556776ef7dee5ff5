//! A document as it is written, for those who judge it: members that stand
//! twice are there twice, numbers keep their digits, and everything that is
//! wrong is told with its place.
//!
//! Nobody acts on a tree: what is acted on is a [`Document`](crate::Document).

use super::scan::{Problem, Scanner, Wrong};

/// How many flaws of a document are told.
pub(super) const KEPT: usize = 200;

/// A JSON value as it is written.
#[derive(Clone, Debug, PartialEq)]
pub enum Tree {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, with the digits it is written with.
    Number(String),
    /// A string. What has no place in one is replaced by U+FFFD.
    Text(String),
    /// An array.
    Array(Vec<Tree>),
    /// The members of an object, in their order; a name may stand twice.
    Object(Vec<(String, Tree)>),
}

impl Tree {
    /// The member of that name. Of several it is the last, as most readers
    /// have it.
    pub fn get(&self, name: &str) -> Option<&Tree> {
        self.members()?.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// The members, if this is an object.
    pub fn members(&self) -> Option<&[(String, Tree)]> {
        if let Self::Object(members) = self { Some(members) } else { None }
    }

    /// The elements, if this is an array.
    pub fn elements(&self) -> Option<&[Tree]> {
        if let Self::Array(elements) = self { Some(elements) } else { None }
    }

    /// The text, if this is a string.
    pub fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// What kind of value it is, in words.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "true or false",
            Self::Number(_) => "a number",
            Self::Text(_) => "a string",
            Self::Array(_) => "an array",
            Self::Object(_) => "an object",
        }
    }
}

/// Something wrong in a document.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Flaw {
    /// What kind of thing.
    pub kind: Wrong,
    /// Where, as a JSON pointer (RFC 6901).
    pub pointer: String,
    /// Where, in bytes.
    pub offset: usize,
    /// What was found.
    pub found: String,
    /// What was expected.
    pub expected: &'static str,
}

impl Flaw {
    pub(super) fn of(problem: Problem, pointer: String, offset: usize) -> Self {
        let Problem { kind, found, expected, .. } = problem;
        Self { kind, pointer, offset, found, expected }
    }
}

/// A document as it is written, with what is wrong with it.
#[derive(Clone, Debug)]
pub struct Survey {
    /// The value; `None` if the text is no JSON.
    pub tree: Option<Tree>,
    /// What is wrong, in the order of the text.
    pub flaws: Vec<Flaw>,
    /// How many more there are: hostile documents have one per byte.
    pub more: usize,
}

/// Reads a document to judge it. It goes on behind whatever is wrong, as long
/// as it is clear where; its memory is bounded by the length of the input.
pub fn survey(bytes: &[u8], depth: usize) -> Survey {
    let mut scanner = Scanner::new(bytes, depth);
    scanner.flaws = Some(Vec::new());
    let read = scanner.document();
    let (pointer, at) = (scanner.pointer(), scanner.at);
    let mut flaws = scanner.flaws.take().unwrap_or_default();
    let tree = match read {
        Ok(()) => scanner.tree.take(),
        Err(problem) => {
            let offset = problem.offset.unwrap_or(at);
            // A byte that is not UTF-8 where a value should be is both.
            let coded = std::str::from_utf8(bytes).err().map(|error| error.valid_up_to());
            if let Some(at) = coded.filter(|_| flaws.iter().all(|one| one.kind != Wrong::Encoding))
            {
                flaws.push(Flaw {
                    kind: Wrong::Encoding,
                    pointer: pointer.clone(),
                    offset: at,
                    found: "a byte that is not UTF-8".to_owned(),
                    expected: "UTF-8",
                });
            }
            flaws.push(Flaw::of(problem, pointer, offset));
            None
        }
    };
    Survey { tree, flaws, more: scanner.more }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(bytes: &[u8]) -> Vec<(Wrong, String)> {
        survey(bytes, 64).flaws.into_iter().map(|flaw| (flaw.kind, flaw.pointer)).collect()
    }

    #[test]
    fn tells_everything_with_its_place() {
        let text = b"\xef\xbb\xbf{\"a\":1,\"a\":[\"\xff\",\"\\ud800x\"],\"b/c\":{\"d\":1,\"d\":2}}";
        assert_eq!(
            told(text),
            [
                (Wrong::Mark, String::new()),
                (Wrong::Twice, "/a".to_owned()),
                (Wrong::Encoding, "/a/0".to_owned()),
                (Wrong::Surrogate, "/a/1".to_owned()),
                (Wrong::Twice, "/b~1c/d".to_owned()),
            ]
        );
        assert_eq!(told(b"{} x"), [(Wrong::Syntax, String::new())]);
        assert_eq!(told(b"{\"a\":[1,}"), [(Wrong::Syntax, "/a/1".to_owned())]);
        assert_eq!(
            told(b"\xff\xfe{\0}\0"),
            [(Wrong::Encoding, String::new()), (Wrong::Syntax, String::new())]
        );
        assert!(survey(&b"[".repeat(200_000), 64).tree.is_none());
    }

    #[test]
    fn keeps_what_is_written() {
        let tree = survey(b"{\"a\":1.50,\"a\":[null,true,\"\\u00e9\"]}", 64).tree.expect("a value");
        let members = tree.members().expect("an object");
        assert_eq!(members[0].1, Tree::Number("1.50".to_owned()));
        assert_eq!(
            tree.get("a"),
            Some(&Tree::Array(vec![Tree::Null, Tree::Bool(true), Tree::Text("é".to_owned())]))
        );
    }
}
