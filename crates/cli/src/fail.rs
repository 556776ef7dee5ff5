//! How errors look: for people in lines, for programs as one JSON document,
//! always on standard error.

use std::error::Error as _;
use std::io::{self, Write};

use plimsoll::content::{Code, Error};
use serde_json::json;

use crate::out::Style;

/// Shows the error, and in JSON the exit code that will follow.
///
/// The form is `error[CODE]: headline`, then only those of the lines
/// `while`, `found`, `wanted`, `tried`, `cause` and `fix` that apply.
pub(crate) fn report(error: &Error, exit: u8, json: bool, verbose: bool, style: Style) {
    let mut stderr = io::stderr().lock();
    // Nobody may be listening; the exit code is then all that is left.
    let _ = if json {
        as_json(error, exit, &mut stderr)
    } else {
        as_text(error, verbose, style, &mut stderr)
    };
}

fn as_text(error: &Error, verbose: bool, style: Style, out: &mut impl Write) -> io::Result<()> {
    let code = error.code();
    writeln!(out, "{}: {}", style.error(&format!("error[{code}]")), error.headline())?;
    for context in error.contexts() {
        writeln!(out, "  while: {context}")?;
    }
    if let Some(found) = error.found_text() {
        writeln!(out, "  found: {found}")?;
    }
    if let Some(expected) = error.expected_text() {
        writeln!(out, "  wanted: {expected}")?;
    }
    for tried in error.tried_texts() {
        writeln!(out, "  tried: {tried}")?;
    }
    if verbose {
        let mut cause = error.source();
        while let Some(next) = cause {
            writeln!(out, "  cause: {next}")?;
            cause = next.source();
        }
    }
    if let Some(fix) = error.fix_text() {
        writeln!(out, "  fix:   {fix}")?;
    }
    if code != Code::Usage {
        writeln!(out, "  more:  plimsoll explain {code}")?;
    }
    Ok(())
}

fn as_json(error: &Error, exit: u8, out: &mut impl Write) -> io::Result<()> {
    let mut document = json!({
        "schema": "plimsoll.error/v1",
        "code": error.code().as_str(),
        "exit": exit,
        "message": error.headline(),
    });
    for (name, text) in [
        ("found", error.found_text()),
        ("expected", error.expected_text()),
        ("fix", error.fix_text()),
    ] {
        if let Some(text) = text {
            document[name] = json!(text);
        }
    }
    for (name, texts) in [("while", error.contexts()), ("tried", error.tried_texts())] {
        if !texts.is_empty() {
            document[name] = json!(texts);
        }
    }
    writeln!(out, "{document}")
}
