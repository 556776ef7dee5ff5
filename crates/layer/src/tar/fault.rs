//! What is wrong with a header, before it is known which entry it belongs to.

use plimsoll_content::{Code, Error};

/// A fault found deep inside a header; `entries` adds where that was.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) code: Code,
    pub(super) found: String,
    pub(super) expected: String,
}

pub(super) type Result<T> = std::result::Result<T, Fault>;

impl Fault {
    /// The archive is malformed.
    pub(super) fn layer(found: impl Into<String>, expected: impl Into<String>) -> Self {
        Self { code: Code::Layer, found: found.into(), expected: expected.into() }
    }

    /// Common readers would read this differently, or it would reach outside.
    pub(super) fn hostile(found: impl Into<String>, expected: impl Into<String>) -> Self {
        Self { code: Code::UnsafeEntry, found: found.into(), expected: expected.into() }
    }

    /// A budget is exceeded.
    pub(super) fn limit(found: impl Into<String>, expected: impl Into<String>) -> Self {
        Self { code: Code::Limit, found: found.into(), expected: expected.into() }
    }
}

/// An error of `RelPath::parse`. Its headline would repeat the path.
impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self {
            code: error.code(),
            found: error.found_text().unwrap_or_default().to_owned(),
            expected: error.expected_text().unwrap_or_default().to_owned(),
        }
    }
}
