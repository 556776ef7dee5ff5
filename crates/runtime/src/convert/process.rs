//! `process`: command, environment, working folder, capabilities (CV4 to
//! CV10).

use std::collections::HashMap;

use plimsoll_content::{Code, Error, Result};
use plimsoll_spec::Execution;

use super::{Overrides, users};
use crate::capability;
use crate::spec::Process;
use crate::user::User;

/// What an image without `PATH` gets.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What a process with a terminal gets as `TERM`: what the programs of every
/// distribution know.
const TERM: &str = "xterm";

/// The longest argument or environment entry, in bytes: MAX_ARG_STRLEN of
/// Linux without the NUL. A longer one cannot be executed.
const STRING: usize = 131_071;

/// How many bytes all arguments and entries may have together: Linux gives
/// them three quarters of 8 MiB at most, whatever the limits are.
const STRINGS: usize = 6 << 20;

/// How many characters of a text go into a message.
const SHOWN: usize = 80;

pub(super) fn process(
    execution: &Execution,
    user: &User,
    overrides: &Overrides,
    findings: &mut Vec<String>,
) -> Result<Process> {
    let args = args(execution, overrides)?;
    let env = env(execution, user, overrides, findings)?;
    let total: usize = args.iter().chain(&env).map(|text| text.len() + 1 + size_of::<u64>()).sum();
    if total > STRINGS {
        return Err(Error::new(Code::Limit, "collecting command and environment of the image")
            .found(format!("{total} bytes"))
            .expected(format!("at most {STRINGS} bytes, which Linux can pass to a program")));
    }
    Ok(Process {
        terminal: overrides.tty,
        user: users::process_user(user, overrides, findings)?,
        args,
        env,
        cwd: cwd(execution, overrides)?,
        capabilities: Some(capability::sets(user.uid, &overrides.capabilities)?),
        no_new_privileges: overrides.no_new_privileges,
        rlimits: overrides.rlimits.clone(),
        ..Process::default()
    })
}

/// `Entrypoint` and then `Cmd` (CV9, CV10), or what the caller put in their
/// places, as `docker run` does.
fn args(execution: &Execution, overrides: &Overrides) -> Result<Vec<String>> {
    let own = |list: &Option<Vec<String>>| list.clone().unwrap_or_default();
    let (entrypoint, cmd) = match &overrides.entrypoint {
        None => (own(&execution.entrypoint), own(&execution.cmd)),
        Some(none) if none.iter().all(String::is_empty) => (Vec::new(), Vec::new()),
        Some(entrypoint) => (entrypoint.clone(), Vec::new()),
    };
    let cmd = if overrides.args.is_empty() { cmd } else { overrides.args.clone() };
    let args = [entrypoint, cmd].concat();
    match args.first().map(String::as_str) {
        None if overrides.entrypoint.is_some() => {
            return Err(Error::new(
                Code::Config,
                "no entrypoint and no command: give --entrypoint, or to run a command after \"--\"",
            ));
        }
        None => {
            return Err(Error::new(
                Code::Config,
                "image config has neither Entrypoint nor Cmd: give --entrypoint, or to run a command after \"--\"",
            ));
        }
        Some("") => {
            return Err(Error::new(Code::Config, "the image's command is an empty string")
                .expected("the name of a program")
                .fix("give a command after \"--\", or --entrypoint"));
        }
        Some(_) => {}
    }
    for arg in &args {
        check("argument", arg)?;
    }
    Ok(args)
}

/// The image's entries as they are, of several with one name the last; then
/// the caller's, which win; then `PATH`, `HOME` and `TERM` where nobody gave
/// them (CV4, CV6 to CV8).
fn env(
    execution: &Execution,
    user: &User,
    overrides: &Overrides,
    findings: &mut Vec<String>,
) -> Result<Vec<String>> {
    let mut last: HashMap<&str, (usize, bool)> = HashMap::new();
    let entries = execution.env.iter().map(|entry| ("Env entry", entry));
    let all: Vec<_> = entries.chain(overrides.env.iter().map(|entry| ("--env", entry))).collect();
    let mut twice = Vec::new();
    for (n, (what, entry)) in all.iter().enumerate() {
        let name = name(what, entry)?;
        let ours = n < execution.env.len();
        if let Some((_, true)) = last.insert(name, (n, ours))
            && ours
            && !twice.contains(&name)
        {
            twice.push(name);
        }
    }
    for name in twice.iter().take(20) {
        let name: String = name.chars().take(SHOWN).collect();
        findings.push(format!("Env has {name:?} more than once: the last entry counts"));
    }
    let mut env: Vec<String> = all
        .iter()
        .enumerate()
        .filter(|(n, (_, entry))| {
            let name = entry.split_once('=').map_or("", |(name, _)| name);
            last.get(name).is_some_and(|(last, _)| last == n)
        })
        .map(|(_, (_, entry))| (*entry).clone())
        .collect();
    if !last.contains_key("PATH") {
        env.push(format!("PATH={PATH}"));
    }
    if !last.contains_key("HOME") {
        env.push(format!("HOME={}", user.home));
    }
    if overrides.tty && !last.contains_key("TERM") {
        env.push(format!("TERM={TERM}"));
    }
    Ok(env)
}

/// The name in `NAME=value`. Refuses what programs would read differently
/// from one another (hostile case RT07).
fn name<'a>(what: &str, entry: &'a str) -> Result<&'a str> {
    check(what, entry)?;
    let refuse = |found: &str| {
        Error::new(Code::Config, format!("{what} {:?}", start(entry)))
            .found(found)
            .expected("NAME=value")
    };
    match entry.split_once('=') {
        None => Err(refuse("no =")),
        Some(("", _)) => Err(refuse("no name before the =")),
        Some((name, _)) => Ok(name),
    }
}

/// `WorkingDir` as it is (CV5).
fn cwd(execution: &Execution, overrides: &Overrides) -> Result<String> {
    let cwd = overrides.workdir.as_ref().or(execution.working_dir.as_ref());
    let cwd = match cwd.map(String::as_str) {
        None | Some("") => return Ok("/".to_owned()),
        Some(cwd) => cwd,
    };
    let refuse = |found: &str, expected: &str| {
        Err(Error::new(Code::Config, format!("working folder {:?}", start(cwd)))
            .found(found)
            .expected(expected))
    };
    if !cwd.starts_with('/') {
        return refuse("a relative path", "an absolute path");
    }
    if cwd.contains('\0') || cwd.len() >= plimsoll_layer::limits::PATH {
        return refuse("a path that no folder can have", "no NUL, at most 4095 bytes");
    }
    // Links of /proc lead to open folders of the runtime (CVE-2024-21626).
    // Runtimes check again, as the image may hold links that lead there.
    let mut parts: Vec<&str> = Vec::new();
    for part in cwd.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    if let ["proc", _, ..] = parts[..] {
        return refuse("a place in /proc", "a folder of the image");
    }
    Ok(cwd.to_owned())
}

fn check(what: &str, text: &str) -> Result<()> {
    if text.contains('\0') {
        return Err(Error::new(Code::Config, format!("{what} {:?}", start(text)))
            .found("a NUL")
            .expected("none: the rest would be cut off"));
    }
    if text.len() > STRING {
        return Err(Error::new(Code::Limit, format!("{what} {:?}…", start(text)))
            .found(format!("{} bytes", text.len()))
            .expected(format!("at most {STRING} bytes, which Linux can pass to a program")));
    }
    Ok(())
}

fn start(text: &str) -> String {
    text.chars().take(SHOWN).collect()
}
