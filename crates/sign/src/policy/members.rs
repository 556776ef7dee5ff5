//! Members of a policy, read strictly: what is unknown may be a condition.

use plimsoll_content::{Code, Error, Result, json};
use serde_json::{Map, Value};

/// How deep a policy may nest.
const DEPTH: usize = 16;

/// The longest policy.
pub(super) const LONGEST: usize = 4 << 20;

/// An object of a policy, of which every member has to be taken.
pub(super) struct Members<'a> {
    at: String,
    left: Map<String, Value>,
    doing: &'a str,
}

/// The text of a policy.
pub(super) fn parse<'a>(doing: &'a str, bytes: &[u8]) -> Result<Members<'a>> {
    let bad = |error: Error| error.recode(Code::Policy).context(doing);
    if bytes.len() > LONGEST {
        return Err(Error::new(Code::Policy, doing)
            .found(format!("{} bytes", bytes.len()))
            .expected(format!("at most {LONGEST}")));
    }
    json::check_within("a policy", bytes, DEPTH).map_err(bad)?;
    let value = serde_json::from_slice(bytes)
        .map_err(|cause| Error::new(Code::Policy, doing).found(cause))?;
    Members::of(doing, String::new(), value)
}

impl<'a> Members<'a> {
    pub(super) fn of(doing: &'a str, at: String, value: Value) -> Result<Self> {
        match value {
            Value::Object(left) => Ok(Self { at, left, doing }),
            _ => Err(Error::new(Code::Policy, doing)
                .found(format!("something else at {:?}", if at.is_empty() { "/" } else { &at }))
                .expected("an object")),
        }
    }

    pub(super) fn error(&self, name: &str, found: impl std::fmt::Display) -> Error {
        Error::new(Code::Policy, self.doing).found(format!("{found} at {:?}", self.path(name)))
    }

    fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.at)
    }

    /// A member, whatever it is.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.left.remove(name)
    }

    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.error(name, "no string").expected("a string")),
        }
    }

    pub(super) fn texts(&mut self, name: &str) -> Result<Option<Vec<String>>> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let texts: Option<Vec<_>> = value
            .as_array()
            .and_then(|all| all.iter().map(|value| value.as_str().map(str::to_owned)).collect());
        match texts {
            Some(texts) if !texts.is_empty() => Ok(Some(texts)),
            _ => Err(self.error(name, "no strings").expected("an array of strings, not empty")),
        }
    }

    pub(super) fn number(&mut self, name: &str) -> Result<Option<u64>> {
        match self.take(name) {
            None => Ok(None),
            Some(value) => match value.as_u64() {
                Some(number) => Ok(Some(number)),
                None => Err(self.error(name, &value).expected("a whole number")),
            },
        }
    }

    /// One word of several.
    pub(super) fn word<T: Copy>(&mut self, name: &str, words: &[(&str, T)]) -> Result<Option<T>> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        match words.iter().find(|(word, _)| *word == text) {
            Some((_, meaning)) => Ok(Some(*meaning)),
            None => {
                let all: Vec<_> = words.iter().map(|(word, _)| *word).collect();
                Err(self.error(name, format!("{text:?}")).expected(all.join(", ")))
            }
        }
    }

    pub(super) fn object(&mut self, name: &str) -> Result<Option<Members<'a>>> {
        let path = self.path(name);
        self.take(name).map(|value| Members::of(self.doing, path, value)).transpose()
    }

    /// The objects of an array.
    pub(super) fn objects(&mut self, name: &str) -> Result<Option<Vec<Members<'a>>>> {
        let path = self.path(name);
        match self.take(name) {
            None => Ok(None),
            Some(Value::Array(all)) => all
                .into_iter()
                .enumerate()
                .map(|(at, value)| Members::of(self.doing, format!("{path}/{at}"), value))
                .collect::<Result<Vec<_>>>()
                .map(Some),
            Some(_) => Err(self.error(name, "no array").expected("an array")),
        }
    }

    /// All members that are left, each an object.
    pub(super) fn rest(self) -> Result<Vec<(String, Members<'a>)>> {
        let Self { at, left, doing } = self;
        left.into_iter()
            .map(|(name, value)| {
                let path = format!("{at}/{name}");
                Members::of(doing, path, value).map(|members| (name, members))
            })
            .collect()
    }

    /// All members that are left.
    pub(super) fn values(self) -> Vec<(String, Value)> {
        self.left.into_iter().collect()
    }

    /// That nothing is left.
    pub(super) fn end(&self) -> Result<()> {
        match self.left.keys().next() {
            None => Ok(()),
            Some(name) => Err(self
                .error(name, "an unknown member")
                .expected("only members that are known: others could be conditions")),
        }
    }

    pub(super) fn needs<T>(&self, name: &str, value: Option<T>) -> Result<T> {
        value.ok_or_else(|| self.error(name, "nothing").expected("it is required"))
    }
}
