//! The table of hostile inputs: every row of `docs/reference/hostile.md` has
//! tests of its name, and they pass, as root and as an ordinary user.
//!
//! A test is about the ids that its name begins with, so that
//! `tr04_a_link_to_outside` and `tp06_to_tp08_records` are found.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::{Outcome, budget, workspace};

/// Where the rows are.
const LIST: &str = "docs/reference/hostile.md";

/// The test programs: the package, its target, and whether it runs as an
/// ordinary user by itself when it is started by root.
const PROGRAMS: &[(&str, &str, bool)] = &[
    ("plimsoll-layer", "it", false),
    ("plimsoll-store", "it", false),
    ("plimsoll-cli", "hostile", true),
];

/// An id that belongs to nobody.
const ORDINARY: &str = "12345";

/// What became of the tests of one row.
#[derive(Default)]
struct Row {
    right: String,
    tests: BTreeSet<String>,
    passed: u32,
    failed: Vec<String>,
}

/// Runs all tests with an id, and prints the table, with `--json` for programs.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    let as_json = match arguments {
        [] => false,
        [one] if one == "--json" => true,
        _ => return Err("the only argument is --json".into()),
    };
    let mut rows = rows()?;
    budget::build_release()?;
    let root = is_root();
    let mut unknown = BTreeSet::new();
    for (package, target, itself) in PROGRAMS {
        let program = build(package, target)?;
        let names: Vec<String> =
            listed(&program)?.into_iter().filter(|name| !ids(name).is_empty()).collect();
        for id in names.iter().flat_map(|name| ids(name)) {
            // Other lists have ids of this form too.
            if !rows.contains_key(&id) && rows.keys().any(|known| known[..2] == id[..2]) {
                unknown.insert(id);
            }
        }
        take(
            &mut rows,
            &start(&program, &folder(package), &names, None)?,
            if root { "root" } else { "user" },
        );
        if root && !itself {
            let place = tempfile::tempdir().map_err(|error| format!("a folder: {error}"))?;
            let copy = open_to_all(&program, place.path())?;
            take(&mut rows, &start(&copy, place.path(), &names, Some(ORDINARY))?, "user");
        }
    }
    print(&rows, root, as_json);
    let missing: Vec<_> =
        rows.iter().filter(|(_, row)| row.tests.is_empty()).map(|(id, _)| &id[..]).collect();
    let failed: Vec<_> =
        rows.iter().filter(|(_, row)| !row.failed.is_empty()).map(|(id, _)| &id[..]).collect();
    let mut wrong = Vec::new();
    for (what, ids) in [("without a test", missing), ("failed", failed)] {
        if !ids.is_empty() {
            wrong.push(format!("{what}: {}", ids.join(", ")));
        }
    }
    if !unknown.is_empty() {
        let unknown: Vec<_> = unknown.into_iter().collect();
        wrong.push(format!("not in {LIST}: {}", unknown.join(", ")));
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
}

/// The rows by id, from lines such as `| TR04 | contained | ... |`.
fn rows() -> Outcome<BTreeMap<String, Row>> {
    let text =
        fs::read_to_string(workspace().join(LIST)).map_err(|error| format!("{LIST}: {error}"))?;
    let mut rows = BTreeMap::new();
    for line in text.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, id, right, _, _] = cells[..] else { continue };
        if !is_id(id) {
            continue;
        }
        let row = Row { right: right.to_owned(), ..Row::default() };
        if rows.insert(id.to_owned(), row).is_some() {
            return Err(format!("{LIST} has two rows {id}"));
        }
    }
    if rows.is_empty() { Err(format!("{LIST} has no rows")) } else { Ok(rows) }
}

fn is_id(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == 4
        && bytes[..2].iter().all(u8::is_ascii_uppercase)
        && bytes[2..].iter().all(u8::is_ascii_digit)
}

/// The ids that the name of a test, without its modules, begins with.
fn ids(name: &str) -> Vec<String> {
    let own = name.rsplit("::").next().unwrap_or(name);
    let mut found: Vec<String> = Vec::new();
    let mut range = false;
    for word in own.split('_') {
        let id = word.to_ascii_uppercase();
        if !is_id(&id) || word != id.to_ascii_lowercase() {
            if word == "to" && !found.is_empty() {
                range = true;
                continue;
            }
            break;
        }
        if let (true, Some(first)) = (range, found.last()) {
            let number = |id: &str| id[2..].parse::<u32>().unwrap_or(0);
            let between = number(first) + 1..number(&id);
            let between: Vec<_> =
                between.map(|number| format!("{}{number:02}", &id[..2])).collect();
            found.extend(between);
        }
        range = false;
        found.push(id);
    }
    found
}

fn folder(package: &str) -> PathBuf {
    workspace().join("crates").join(package.trim_start_matches("plimsoll-"))
}

/// Builds a test program; gives where it lies.
fn build(package: &str, target: &str) -> Outcome<PathBuf> {
    let output = Command::new(env!("CARGO"))
        .args(["test", "--locked", "--no-run", "--message-format=json", "--package", package])
        .args(["--test", target])
        .current_dir(workspace())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("starting cargo: {error}"))?;
    if !output.status.success() {
        return Err(format!("building the tests of {package} failed"));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let messages = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    messages
        .filter(|message| message["target"]["name"] == target)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .ok_or_else(|| format!("cargo names no test program {target} of {package}"))
}

/// The names of all tests of a program.
fn listed(program: &Path) -> Outcome<Vec<String>> {
    let output = Command::new(program)
        .arg("--list")
        .output()
        .map_err(|error| format!("starting {}: {error}", program.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect())
}

/// Runs the named tests; gives what is printed.
fn start(program: &Path, folder: &Path, names: &[String], user: Option<&str>) -> Outcome<String> {
    let mut command = match user {
        Some(id) => {
            let mut command = Command::new("setpriv");
            command.args(["--reuid", id, "--regid", id, "--clear-groups"]).arg(program);
            command.env("HOME", folder);
            command
        }
        None => Command::new(program),
    };
    let output = command
        .arg("--exact")
        .args(names)
        .env("PLIMSOLL_BIN", budget::release())
        .current_dir(folder)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("starting {command:?}: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !text.contains("test result: ") {
        return Err(format!("{command:?} ended with {} and no result:\n{text}", output.status));
    }
    if !output.status.success() {
        eprintln!("{text}");
    }
    Ok(text)
}

/// Takes in lines such as `test paths::tr04_name ... ok`.
fn take(rows: &mut BTreeMap<String, Row>, output: &str, who: &str) {
    for line in output.lines() {
        let Some((name, verdict)) =
            line.strip_prefix("test ").and_then(|line| line.split_once(" ... "))
        else {
            continue;
        };
        for id in ids(name) {
            let Some(row) = rows.get_mut(&id) else { continue };
            row.tests.insert(name.to_owned());
            match verdict {
                "ok" => row.passed += 1,
                _ => row.failed.push(format!("{name} as {who}: {verdict}")),
            }
        }
    }
}

fn print(rows: &BTreeMap<String, Row>, root: bool, as_json: bool) {
    let good = rows.values().filter(|row| row.failed.is_empty() && row.passed > 0).count();
    if as_json {
        let rows: Vec<_> = rows
            .iter()
            .map(|(id, row)| {
                json!({
                    "id": id, "right": row.right, "tests": row.tests,
                    "passed": row.passed, "failed": row.failed,
                })
            })
            .collect();
        println!("{}", json!({"asRoot": root, "rows": rows, "good": good}));
        return;
    }
    println!("id    right      tests  runs passed");
    for (id, row) in rows {
        let verdict = if row.failed.is_empty() {
            String::new()
        } else {
            format!("  FAILED {}", row.failed.join(", "))
        };
        println!("{id}  {:<10} {:>4} {:>6}{verdict}", row.right, row.tests.len(), row.passed);
    }
    let who = if root { "as root and as an ordinary user" } else { "as an ordinary user only" };
    println!("hostile: {good} of {} rows pass, {who}", rows.len());
}

/// A copy of the program that any user can start.
fn open_to_all(program: &Path, place: &Path) -> Outcome<PathBuf> {
    use std::os::unix::fs::PermissionsExt as _;
    let failed = |error: std::io::Error| format!("copying {}: {error}", program.display());
    fs::set_permissions(place, fs::Permissions::from_mode(0o755)).map_err(failed)?;
    let copy = place.join("tests");
    fs::copy(program, &copy).map_err(failed)?;
    Ok(copy)
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output();
    output.is_ok_and(|output| output.stdout.starts_with(b"0\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_tests_begin_with_ids() {
        assert_eq!(ids("paths::tr04_a_link"), ["TR04"]);
        assert_eq!(ids("tr01_tr03_names"), ["TR01", "TR03"]);
        assert_eq!(ids("tp06_to_tp08_records"), ["TP06", "TP07", "TP08"]);
        for name in ["a_link", "tr4_x", "TR04_x", "x::y", "to_tr04", "cz1_2"] {
            assert!(ids(name).is_empty(), "{name}");
        }
    }

    #[test]
    fn the_list_has_every_family() {
        let rows = rows().expect("read");
        for family in ["TR", "TP", "WH", "NM", "MD", "CZ"] {
            assert!(rows.keys().filter(|id| id.starts_with(family)).count() > 10, "{family}");
        }
    }

    #[test]
    fn results_are_counted_by_row() {
        let mut rows = rows().expect("read");
        take(&mut rows, "test a::tr01_tr03_x ... ok\ntest b::tr03_y ... FAILED\nnoise", "root");
        assert_eq!((rows["TR01"].passed, rows["TR01"].failed.len()), (1, 0));
        assert_eq!((rows["TR03"].passed, rows["TR03"].failed.len()), (1, 1));
        assert_eq!(rows["TR03"].tests.len(), 2);
    }
}
