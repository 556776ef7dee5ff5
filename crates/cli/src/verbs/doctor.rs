//! `plimsoll doctor`: what this machine can do, and which limits hold.

use std::path::Path;

use plimsoll::content::Result;
use plimsoll::content::limits::{Budget, Unit};
use plimsoll::doctor::{self, Check, Level};
use serde::Serialize;

use crate::context::Context;
use crate::out::table;

/// Check what this machine can do, or list the limits for input.
///
/// What can be tried is tried, where the local store is or will be. Exit code
/// 1 if hardly anything would work.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// List every limit for input from outside: its value, and why it is there
    #[arg(long)]
    limits: bool,
}

#[derive(Serialize)]
struct Report {
    level: Level,
    checks: Vec<Check>,
}

#[derive(Serialize)]
struct LimitsReport {
    limits: Vec<Limit>,
}

#[derive(Serialize)]
struct Limit {
    name: &'static str,
    value: u64,
    default: u64,
    most: u64,
    unit: &'static str,
    what: &'static str,
    reason: &'static str,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<u8> {
    if args.limits {
        return limits(context);
    }
    let store = context.home.store_path();
    let there = store.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("."));
    let checks = doctor::doctor(there)?;
    let level = checks.iter().map(|check| check.level).max().unwrap_or(Level::Ok);
    let report = Report { level, checks };
    let word = match level {
        Level::Ok => "ok",
        Level::Warning => "warning",
        Level::Error => "error",
    };
    context.out.report("doctor", &report, word, |style| {
        let rows: Vec<_> = report
            .checks
            .iter()
            .map(|check| vec![check.name.to_owned(), check.found.clone(), check.means.clone()])
            .collect();
        let lines = table(&rows);
        let marks = report.checks.iter().map(|check| match check.level {
            Level::Ok => style.good("ok  "),
            Level::Warning => "warn".to_owned(),
            Level::Error => style.error("bad "),
        });
        let mut text = String::new();
        for (mark, line) in marks.zip(lines.lines()) {
            text.push_str(&format!("{mark}  {line}\n"));
        }
        text
    })?;
    Ok(u8::from(level == Level::Error))
}

fn limits(context: &Context) -> Result<u8> {
    let list = context.limits.list();
    let limits = list
        .iter()
        .map(|&Budget { name, what, value, default, most, unit, reason }| Limit {
            name,
            value,
            default,
            most,
            unit: unit.as_str(),
            what,
            reason,
        })
        .collect();
    context.out.report("limits", &LimitsReport { limits }, "", |_| {
        let heading = ["limit", "value", "of", "why"].map(str::to_owned).to_vec();
        let rows = list.iter().map(|budget| {
            let what = budget.what.trim_end_matches('.').to_owned();
            vec![budget.name.to_owned(), shown(budget), what, budget.reason.to_owned()]
        });
        table(&std::iter::once(heading).chain(rows).collect::<Vec<_>>())
    })?;
    Ok(0)
}

/// A value with its unit, as it can be set.
fn shown(budget: &Budget) -> String {
    let value = budget.value;
    if budget.unit != Unit::Bytes {
        return value.to_string();
    }
    [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)]
        .iter()
        .find(|(_, shift)| value != 0 && value.is_multiple_of(1 << shift))
        .map_or_else(|| format!("{value}B"), |(unit, shift)| format!("{}{unit}", value >> shift))
}
