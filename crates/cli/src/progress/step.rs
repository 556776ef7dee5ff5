//! A step on its way: what is known of it, and what the terminal shows of it.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use plimsoll::content::{Part, Stage};
use serde_json::{Value, json};

use super::draw::{self, Scene};

/// Over which time the speed is an average.
const STEADY: Duration = Duration::from_secs(3);
/// The size of a terminal that does not tell.
const SIZE: (usize, usize) = (80, 24);

/// A step on its way, and what is on the terminal of it.
#[derive(Default)]
pub(super) struct Step {
    /// Whether it is on its way still.
    pub(super) live: bool,
    pub(super) what: String,
    total: Option<u64>,
    began: Duration,
    pub(super) parts: Vec<Arc<Part>>,
    /// How many bytes JSON lines have told of each part, and of the step.
    told: (Vec<u64>, u64),
    speed: Speed,
    /// How wide the lines on the terminal are.
    drawn: Vec<usize>,
}

/// How fast bytes go by, lately.
#[derive(Default)]
pub(super) struct Speed {
    at: Duration,
    moved: u64,
    rate: Option<f64>,
}

impl Speed {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is shown with one decimal"
    )]
    fn at(&mut self, now: Duration, moved: u64) -> Option<u64> {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        if passed > 0.0 {
            let latest = moved.saturating_sub(self.moved) as f64 / passed;
            let weight = (-passed / STEADY.as_secs_f64()).exp();
            let rate = self.rate.map_or(latest, |rate| rate * weight + latest * (1.0 - weight));
            *self = Self { at: now, moved, rate: Some(rate) };
        }
        self.rate.map(|rate| rate as u64)
    }
}

/// The size of the terminal: columns and rows.
fn terminal() -> (usize, usize) {
    match rustix::termios::tcgetwinsize(io::stderr()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col.into(), size.ws_row.into()),
        _ => SIZE,
    }
}

impl Step {
    /// One that begins at that time.
    pub(super) fn new(what: &str, total: Option<u64>, now: Duration) -> Self {
        let speed = Speed { at: now, ..Speed::default() };
        Self { live: true, what: what.to_owned(), total, began: now, speed, ..Self::default() }
    }

    pub(super) fn draw(&mut self, now: Duration, moved: u64) {
        let (columns, rows) = terminal();
        let rate = self.speed.at(now, moved);
        let lines = draw::lines(
            &Scene {
                what: &self.what,
                total: self.total,
                bytes: bytes(&self.parts, moved),
                rate,
                elapsed: now.saturating_sub(self.began),
                parts: &self.parts,
            },
            columns,
            rows,
        );
        let mut text = self.home(columns);
        for (at, line) in lines.iter().enumerate() {
            text.push_str(if at == 0 { "" } else { "\r\n" });
            text.push_str(line);
            text.push_str("\x1b[K");
        }
        text.push_str("\x1b[J");
        self.drawn = lines.iter().map(|line| draw::across(line)).collect();
        show(&text);
    }

    /// What leads from the end of what is drawn to its beginning. A terminal
    /// that has become narrower has broken its lines.
    fn home(&self, columns: usize) -> String {
        let rows: usize =
            self.drawn.iter().map(|width| width.div_ceil(columns.max(1)).max(1)).sum();
        match rows.saturating_sub(1) {
            0 => "\r".to_owned(),
            up => format!("\r\x1b[{up}A"),
        }
    }

    /// Takes away what is drawn.
    pub(super) fn clear(&mut self) {
        if !self.drawn.is_empty() {
            show(&format!("{}\x1b[J", self.home(terminal().0)));
            self.drawn.clear();
        }
    }

    /// Tells JSON lines how far everything is that has moved.
    pub(super) fn report(&mut self, moved: u64) {
        let (told, all) = &mut self.told;
        told.resize(self.parts.len(), 0);
        for (part, told) in self.parts.iter().zip(told) {
            let bytes = part.bytes();
            if part.stage() == Stage::Under && *told != bytes {
                *told = bytes;
                let more = json!({"blob": part.digest(), "bytes": bytes, "total": part.size()});
                event("progress", &format!("copying {}", part.digest().short()), more);
            }
        }
        let bytes = bytes(&self.parts, moved);
        if std::mem::replace(all, bytes) != bytes {
            let more = json!({"bytes": bytes, "total": self.total});
            event("progress", &self.what, more);
        }
    }
}

/// How many bytes of a step are done: those of its parts, if it has some.
fn bytes(parts: &[Arc<Part>], moved: u64) -> u64 {
    if parts.is_empty() {
        return moved;
    }
    parts.iter().fold(0, |sum, part| sum.saturating_add(part.bytes()))
}

fn show(text: &str) {
    let mut stderr = io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}

/// A line of its own.
pub(super) fn line(text: &str) {
    // Progress that nobody can see is no reason to fail.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// A JSON line.
pub(super) fn event(event: &str, what: &str, more: Value) {
    let mut members = json!({"schema": "plimsoll.progress/v1", "event": event, "what": what});
    if let (Value::Object(members), Value::Object(more)) = (&mut members, more) {
        members.extend(more);
    }
    line(&members.to_string());
}
