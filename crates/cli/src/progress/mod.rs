//! Progress on standard error: a line for each blob on a terminal, redrawn in
//! place; lines elsewhere; JSON lines on demand.
//!
//! Who moves bytes counts them without a lock; as long as there is a step, a
//! thread looks at them a few times a second. What that looks like on a
//! terminal is in `draw`.

mod draw;
mod step;

use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use plimsoll::content::{Part, Stage, Watch};
use serde_json::json;

use crate::args::{Global, ProgressMode};
use step::Step;

/// How often bars are drawn.
const REDRAW: Duration = Duration::from_millis(100);
/// How often JSON lines tell how far a step is.
const OFTEN: Duration = Duration::from_millis(250);
/// Shows progress, and notices interrupts.
pub(crate) struct Progress {
    mode: ProgressMode,
    quiet: bool,
    shared: Arc<Shared>,
    /// Who shows the current step.
    showing: Mutex<Option<JoinHandle<()>>>,
    pub(crate) interrupted: Arc<AtomicBool>,
}

/// What those who work and the one who shows it have in common.
struct Shared {
    /// What times are counted from.
    origin: Instant,
    /// How many bytes of the current step went by.
    moved: AtomicU64,
    step: Mutex<Step>,
    /// The step is over.
    over: Condvar,
}

impl Progress {
    pub(crate) fn new(global: &Global, interrupted: Arc<AtomicBool>) -> Self {
        let terminal = io::stderr().is_terminal();
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let mode = match global.progress {
            ProgressMode::Auto if global.quiet || global.json => ProgressMode::None,
            ProgressMode::Auto | ProgressMode::Bar if !terminal => ProgressMode::Plain,
            ProgressMode::Auto if dumb => ProgressMode::Plain,
            ProgressMode::Auto => ProgressMode::Bar,
            mode => mode,
        };
        Self {
            mode,
            quiet: global.quiet,
            shared: Arc::new(Shared {
                origin: Instant::now(),
                moved: AtomicU64::new(0),
                step: Mutex::default(),
                over: Condvar::new(),
            }),
            showing: Mutex::default(),
            interrupted,
        }
    }

    /// Something that people may want to know.
    pub(crate) fn note(&self, text: &str) {
        self.tell("note", text, text);
    }

    /// A line of its own, above what is drawn.
    fn tell(&self, event: &str, what: &str, text: &str) {
        if self.mode == ProgressMode::Json {
            step::event(event, what, json!({}));
        } else if !self.quiet {
            let mut step = self.step();
            step.clear();
            step::line(text);
        }
    }

    fn step(&self) -> MutexGuard<'_, Step> {
        self.shared.step()
    }

    /// How often the current step is shown, if it is.
    fn every(&self) -> Option<Duration> {
        match self.mode {
            ProgressMode::Bar => Some(REDRAW),
            ProgressMode::Json => Some(OFTEN),
            _ => None,
        }
    }

    /// Nobody shows the current step any more, and nothing of it is left.
    fn stop(&self) {
        let mut showing = self.showing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut step = self.step();
        step.live = false;
        step.clear();
        drop(step);
        self.shared.over.notify_all();
        if let Some(thread) = showing.take() {
            // It draws; if it has failed to, nothing is lost.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn step(&self) -> MutexGuard<'_, Step> {
        self.step.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows the step until it is over.
    fn show(&self, mode: ProgressMode, every: Duration) {
        let mut step = self.step();
        while step.live {
            let waited = self.over.wait_timeout(step, every);
            step = waited.unwrap_or_else(PoisonError::into_inner).0;
            let moved = self.moved.load(Ordering::Relaxed);
            match mode {
                _ if !step.live => {}
                ProgressMode::Bar => step.draw(self.origin.elapsed(), moved),
                _ => step.report(moved),
            }
        }
    }
}

impl Watch for Progress {
    fn begin(&self, what: &str, total: Option<u64>) {
        let Some(every) = self.every() else { return };
        // A step that failed may not have ended.
        self.stop();
        if self.mode == ProgressMode::Json {
            step::event("begin", what, json!({"total": total}));
        }
        let now = self.shared.origin.elapsed();
        self.shared.moved.store(0, Ordering::Relaxed);
        *self.step() = Step::new(what, total, now);
        let (shared, mode) = (Arc::clone(&self.shared), self.mode);
        let thread = Builder::new().name("progress".to_owned());
        // Where there can be no thread more, nothing is shown.
        *self.showing.lock().unwrap_or_else(PoisonError::into_inner) =
            thread.spawn(move || shared.show(mode, every)).ok();
    }

    fn advance(&self, bytes: u64) {
        self.shared.moved.fetch_add(bytes, Ordering::Relaxed);
    }

    fn end(&self, what: &str) {
        if self.every().is_some() {
            self.stop();
        }
        match self.mode {
            ProgressMode::Plain if !what.is_empty() => step::line(what),
            ProgressMode::Json => {
                let begun = std::mem::take(&mut self.step().what);
                let what = if what.is_empty() { &begun } else { what };
                step::event("end", what, json!({}));
            }
            _ => {}
        }
    }

    fn enter(&self, part: &Arc<Part>) {
        if self.every().is_none() {
            return;
        }
        if self.mode == ProgressMode::Json && part.stage() == Stage::Under {
            let more = json!({"blob": part.digest(), "total": part.size()});
            step::event("begin", &format!("copying {}", part.digest().short()), more);
        }
        self.step().parts.push(Arc::clone(part));
    }

    fn leave(&self, part: &Part, what: &str) {
        match self.mode {
            ProgressMode::Plain if !what.is_empty() => step::line(what),
            ProgressMode::Json => {
                let state = match part.stage() {
                    Stage::Under | Stage::Done => "done",
                    Stage::Exists => "exists",
                    Stage::Mounted => "mounted",
                    Stage::Failed => "failed",
                };
                let what = if what.is_empty() {
                    format!("{state} {}", part.digest())
                } else {
                    what.into()
                };
                step::event("end", &what, json!({"blob": part.digest(), "state": state}));
            }
            _ => {}
        }
    }

    fn warn(&self, message: &str) {
        self.tell("warning", message, &format!("warning: {message}"));
    }

    fn interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        // A step that failed is still there, and the error comes next.
        self.stop();
    }
}
