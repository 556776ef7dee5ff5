//! Standard output: text with aligned columns, or one JSON document.

use std::io::{self, IsTerminal, Write};

use plimsoll::content::{Code, Error, Result};
use plimsoll::registry::client::Trail;
use serde::Serialize;
use serde_json::Value;

use crate::args::{ColorMode, Global};

/// Whether and how text is coloured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    color: bool,
}

impl Style {
    /// As the flag says; on its own, a terminal without `NO_COLOR` and with
    /// a `TERM` other than `dumb` gets colour.
    pub(crate) fn new(mode: ColorMode, terminal: bool) -> Self {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let color = match mode {
            ColorMode::Always => true,
            ColorMode::Never => false,
            ColorMode::Auto if set("NO_COLOR") => false,
            ColorMode::Auto if set("CLICOLOR_FORCE") => true,
            ColorMode::Auto => {
                terminal && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
            }
        };
        Self { color }
    }

    pub(crate) fn error(self, text: &str) -> String {
        self.paint("1;31", text)
    }

    pub(crate) fn good(self, text: &str) -> String {
        self.paint("32", text)
    }

    pub(crate) fn faint(self, text: &str) -> String {
        self.paint("2", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// What a verb prints, in the form that was asked for.
pub(crate) struct Output {
    json: bool,
    pub(crate) quiet: bool,
    trail: Trail,
    pub(crate) style: Style,
}

impl Output {
    pub(crate) fn new(global: &Global, trail: Trail) -> Self {
        let style = Style::new(global.color, io::stdout().is_terminal());
        Self { json: global.json, quiet: global.quiet, trail, style }
    }

    /// Prints a report: as JSON with the schema's name in front, as its one
    /// `essential` identifier, or as `text`.
    pub(crate) fn report(
        &self,
        verb: &str,
        report: &impl Serialize,
        essential: &str,
        text: impl FnOnce(Style) -> String,
    ) -> Result<()> {
        bytes(&self.rendered(verb, report, essential, text)?)
    }

    /// Prints a report as JSON, whatever was asked for globally.
    pub(crate) fn json_report(verb: &str, report: &impl Serialize) -> Result<()> {
        bytes(json(verb, report, &Trail::default())?.as_bytes())
    }

    /// The same on standard error, where standard output is an archive; that
    /// is all that the quiet want.
    pub(crate) fn report_aside(
        &self,
        verb: &str,
        report: &impl Serialize,
        essential: &str,
        text: impl FnOnce(Style) -> String,
    ) -> Result<()> {
        if self.quiet && !self.json {
            return Ok(());
        }
        let text = self.rendered(verb, report, essential, text)?;
        // Nobody may be listening; the archive is written all the same.
        let _ = io::stderr().lock().write_all(&text);
        Ok(())
    }

    fn rendered(
        &self,
        verb: &str,
        report: &impl Serialize,
        essential: &str,
        text: impl FnOnce(Style) -> String,
    ) -> Result<Vec<u8>> {
        if self.json {
            return Ok(json(verb, report, &self.trail)?.into_bytes());
        }
        if self.quiet {
            let end = if essential.is_empty() { "" } else { "\n" };
            return Ok(format!("{essential}{end}").into_bytes());
        }
        Ok(text(self.style).into_bytes())
    }
}

/// A report as one line of JSON, with the schema's name in front.
fn json(verb: &str, report: &impl Serialize, trail: &Trail) -> Result<String> {
    let mut members = serde_json::Map::new();
    members.insert("schema".to_owned(), Value::from(format!("plimsoll.{verb}/v1")));
    match serde_json::to_value(report) {
        Ok(Value::Object(rest)) => members.extend(rest),
        Ok(other) => {
            members.insert("value".to_owned(), other);
        }
        Err(cause) => {
            return Err(Error::new(Code::Bug, "writing a report").found(&cause).cause(cause));
        }
    }
    let steps = trail.steps();
    if !steps.is_empty() {
        let steps = serde_json::to_value(steps);
        members.extend(steps.ok().map(|steps| ("resolved".to_owned(), steps)));
    }
    let mut line = Value::Object(members).to_string();
    line.push('\n');
    Ok(line)
}

/// Writes to standard output. A reader that has gone away is no error.
pub(crate) fn bytes(bytes: &[u8]) -> Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::io("writing to", "standard output", error))
        }
        _ => Ok(()),
    }
}

/// Columns, aligned to the left, two spaces between them.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<_> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', width - cell.chars().count() + 2));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Text from outside as one line of harmless text.
pub(crate) fn safe(text: &str) -> String {
    plimsoll::layer::path::shown(text.as_bytes())
}

/// A number of things: `1 entry`, `2 entries`.
pub(crate) fn count(number: u64, one: &str, many: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {many}") }
}

/// A number of bytes for people: decimal units, as disks and registries count.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    #[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
    let mut value = bytes as f64 / 1000.0;
    let mut unit = 0;
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_one_decimal() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (999_999, "1.0 MB"),
            (170_401_280, "170.4 MB"),
            (u64::MAX, "18.4 EB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn columns_are_aligned() {
        let rows = [vec!["a".to_owned(), "b".to_owned()], vec!["ccc".to_owned(), String::new()]];
        assert_eq!(table(&rows), "a    b\nccc\n");
    }
}
