//! How the monitor and init say what went wrong: one JSON object on a pipe
//! that a successful `execve` closes unwritten.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};

use plimsoll_content::{Code, Error};
use serde::{Deserialize, Serialize};

use super::{FAILED, NOT_EXECUTABLE, NOT_FOUND, NotStarted};

/// No report is longer; what comes is cut there.
const LIMIT: u64 = 1 << 20;

/// An error on its way between processes.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Report {
    exit: u8,
    headline: String,
    context: Vec<String>,
    found: Option<String>,
    expected: Option<String>,
    tried: Vec<String>,
    fix: Option<String>,
}

impl Report {
    /// Writes to the pipe. There is nobody to tell when that fails.
    pub(super) fn send(self, pipe: impl AsFd) {
        let bytes = serde_json::to_vec(&self).unwrap_or_default();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            match rustix::io::write(&pipe, rest) {
                Ok(written) => rest = &rest[written..],
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return,
            }
        }
    }

    /// Reads the pipe to its end. All writers must be gone or have executed.
    pub(super) fn receive(pipe: OwnedFd) -> Result<Option<Self>, Error> {
        let doing = "reading what the monitor process reports";
        let mut bytes = Vec::new();
        File::from(pipe)
            .take(LIMIT)
            .read_to_end(&mut bytes)
            .map_err(|cause: io::Error| Error::new(Code::Runtime, doing).found(cause))?;
        if bytes.is_empty() {
            return Ok(None);
        }
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|cause| Error::new(Code::Bug, doing).found(cause))
    }
}

impl From<NotStarted> for Report {
    fn from(not_started: NotStarted) -> Self {
        let NotStarted { exit, error } = not_started;
        Self {
            exit,
            headline: error.headline().to_owned(),
            context: error.contexts().to_vec(),
            found: error.found_text().map(ToOwned::to_owned),
            expected: error.expected_text().map(ToOwned::to_owned),
            tried: error.tried_texts().to_vec(),
            fix: error.fix_text().map(ToOwned::to_owned),
        }
    }
}

impl From<Report> for NotStarted {
    fn from(report: Report) -> Self {
        let (exit, code) = match report.exit {
            NOT_FOUND => (NOT_FOUND, Code::NotFound),
            NOT_EXECUTABLE => (NOT_EXECUTABLE, Code::Permission),
            _ => (FAILED, Code::Runtime),
        };
        let mut error = Error::new(code, report.headline);
        if let Some(found) = report.found {
            error = error.found(found);
        }
        if let Some(expected) = report.expected {
            error = error.expected(expected);
        }
        for tried in report.tried {
            error = error.tried(tried);
        }
        if let Some(fix) = report.fix {
            error = error.fix(fix);
        }
        for context in report.context {
            error = error.context(context);
        }
        Self { exit, error }
    }
}
