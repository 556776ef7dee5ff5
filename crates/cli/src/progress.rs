//! Progress on standard error: bars on a terminal, lines elsewhere.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use plimsoll::content::Watch;
use serde_json::json;

use crate::args::{Global, ProgressMode};

/// How often JSON lines tell how far a step is.
const OFTEN: Duration = Duration::from_millis(250);

/// A step on its way.
#[derive(Default)]
struct Step {
    what: String,
    total: Option<u64>,
    bytes: u64,
    told: Option<Instant>,
}

/// Shows progress, and notices interrupts.
pub(crate) struct Progress {
    mode: ProgressMode,
    quiet: bool,
    bar: Mutex<Option<ProgressBar>>,
    /// The step that JSON lines tell of.
    step: Mutex<Step>,
    pub(crate) interrupted: Arc<AtomicBool>,
}

impl Progress {
    pub(crate) fn new(global: &Global, interrupted: Arc<AtomicBool>) -> Self {
        let mode = match global.progress {
            ProgressMode::Auto if global.quiet || global.json => ProgressMode::None,
            ProgressMode::Auto if io::stderr().is_terminal() => ProgressMode::Bar,
            ProgressMode::Auto => ProgressMode::Plain,
            mode => mode,
        };
        Self {
            mode,
            quiet: global.quiet,
            bar: Mutex::new(None),
            step: Mutex::default(),
            interrupted,
        }
    }

    fn line(text: &str) {
        // Progress that nobody can see is no reason to fail.
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// Something that people may want to know.
    pub(crate) fn note(&self, text: &str) {
        if self.mode == ProgressMode::Json {
            Self::line(
                &json!({"schema": "plimsoll.progress/v1", "event": "note", "what": text})
                    .to_string(),
            );
        } else if !self.quiet {
            Self::line(text);
        }
    }

    fn step(&self) -> std::sync::MutexGuard<'_, Step> {
        self.step.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with_bar(&self, action: impl FnOnce(&mut Option<ProgressBar>)) {
        action(&mut self.bar.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Watch for Progress {
    fn begin(&self, what: &str, total: Option<u64>) {
        match self.mode {
            ProgressMode::Bar => self.with_bar(|bar| {
                let new = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
                let template = if total.is_some() {
                    "{msg:28!} [{bar:24}] {bytes:>10} of {total_bytes} {eta}"
                } else {
                    "{msg:28!} {bytes:>10} {elapsed}"
                };
                if let Ok(style) = ProgressStyle::with_template(template) {
                    new.set_style(style.progress_chars("=> "));
                }
                new.set_message(what.to_owned());
                *bar = Some(new);
            }),
            ProgressMode::Json => {
                let told = Some(Instant::now());
                *self.step() = Step { what: what.to_owned(), total, bytes: 0, told };
                Self::line(&json!({"schema": "plimsoll.progress/v1", "event": "begin", "what": what, "total": total}).to_string());
            }
            _ => {}
        }
    }

    fn advance(&self, bytes: u64) {
        if self.mode == ProgressMode::Bar {
            self.with_bar(|bar| {
                if let Some(bar) = bar {
                    bar.inc(bytes);
                }
            });
        } else if self.mode == ProgressMode::Json {
            let mut step = self.step();
            step.bytes = step.bytes.saturating_add(bytes);
            if step.told.is_some_and(|told| told.elapsed() >= OFTEN) {
                step.told = Some(Instant::now());
                Self::line(&json!({"schema": "plimsoll.progress/v1", "event": "progress", "what": step.what, "bytes": step.bytes, "total": step.total}).to_string());
            }
        }
    }

    fn end(&self, what: &str) {
        match self.mode {
            ProgressMode::Bar => self.with_bar(|bar| {
                if let Some(bar) = bar.take() {
                    bar.finish_and_clear();
                }
            }),
            ProgressMode::Plain => Self::line(what),
            ProgressMode::Json => {
                Self::line(
                    &json!({"schema": "plimsoll.progress/v1", "event": "end", "what": what})
                        .to_string(),
                );
            }
            _ => {}
        }
    }

    fn part(&self, what: &str) {
        match self.mode {
            ProgressMode::Plain => Self::line(what),
            ProgressMode::Json => {
                Self::line(
                    &json!({"schema": "plimsoll.progress/v1", "event": "end", "what": what})
                        .to_string(),
                );
            }
            _ => {}
        }
    }

    fn warn(&self, message: &str) {
        if self.mode == ProgressMode::Json {
            Self::line(
                &json!({"schema": "plimsoll.progress/v1", "event": "warning", "what": message})
                    .to_string(),
            );
        } else if !self.quiet {
            self.with_bar(|bar| match bar {
                Some(bar) => bar.suspend(|| Self::line(&format!("warning: {message}"))),
                None => Self::line(&format!("warning: {message}")),
            });
        }
    }

    fn interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }
}
