//! Finds the program in the root filesystem and becomes it.

use std::ffi::CString;
use std::io;

use plimsoll_content::{Code, Error};
use plimsoll_layer::path::shown;
use rustix::fs::{Access, FileType, access, stat};

use super::{FAILED, NOT_EXECUTABLE, NOT_FOUND, NotStarted};
use crate::spec::Process;
use crate::sys;

/// Replaces this process by the program; comes back when there is none.
///
/// A name without a slash is looked for in the folders of `PATH` as the
/// config sets it, with the rights of the user. Relative and empty folders
/// of `PATH` are passed over: they would mean the working folder.
pub(super) fn execute(process: &Process) -> NotStarted {
    let name = &process.args[0];
    let (Some(args), Some(env)) = (c_strings(&process.args), c_strings(&process.env)) else {
        return Error::new(Code::Bug, "starting the program").found("a NUL byte").into();
    };
    let mut seen = None;
    for candidate in candidates(name, &process.env) {
        let Ok(path) = CString::new(candidate.as_str()) else { continue };
        let error = sys::execve(&path, &args, &env);
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                // The file is there, so what is not there is what it needs to run.
                if stat(&candidate).is_ok() {
                    seen = Some((
                        candidate,
                        "the interpreter or loader it names is not there".to_owned(),
                        NOT_FOUND,
                    ));
                    break;
                }
            }
            io::ErrorKind::PermissionDenied => {
                let folder = stat(&candidate)
                    .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory);
                let executable = access(&candidate, Access::EXEC_OK).is_ok();
                let why = match (folder, executable) {
                    (true, _) => "a folder",
                    (_, true) => "permission denied, though its mode allows it",
                    (_, false) => "no permission to execute it",
                };
                seen.get_or_insert((candidate, why.to_owned(), NOT_EXECUTABLE));
            }
            _ => {
                let why = if error.raw_os_error() == Some(libc::ENOEXEC) {
                    "neither a program for this machine nor a script with #!".to_owned()
                } else {
                    error.to_string()
                };
                seen = Some((candidate, why, NOT_EXECUTABLE));
                break;
            }
        }
    }
    let doing = format!("starting {} in the container", shown(name.as_bytes()));
    let (error, exit) = match seen {
        Some((path, why, exit)) => (
            Error::new(Code::Runtime, doing).found(format!("{}: {why}", shown(path.as_bytes()))),
            exit,
        ),
        None if name.contains('/') => {
            (Error::new(Code::Runtime, doing).found("no such file"), NOT_FOUND)
        }
        None => {
            let path = search_path(&process.env).unwrap_or_default();
            let found = format!("no such program in PATH {path:?}");
            (Error::new(Code::Runtime, doing).found(found), NOT_FOUND)
        }
    };
    debug_assert_ne!(exit, FAILED);
    NotStarted { exit, error }
}

fn c_strings(texts: &[String]) -> Option<Vec<CString>> {
    texts.iter().map(|text| CString::new(text.as_str()).ok()).collect()
}

fn candidates(name: &str, env: &[String]) -> Vec<String> {
    if name.contains('/') {
        return vec![name.to_owned()];
    }
    search_path(env)
        .unwrap_or_default()
        .split(':')
        .filter(|folder| folder.starts_with('/'))
        .map(|folder| format!("{}/{name}", folder.trim_end_matches('/')))
        .collect()
}

/// The last `PATH` of an environment: the one that programs see.
fn search_path(env: &[String]) -> Option<&str> {
    env.iter().rev().find_map(|entry| entry.strip_prefix("PATH="))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_absolute_folders_are_searched() {
        let env = ["PATH=/x".to_owned(), "PATH=/bin::.:rel:/usr/bin/:/".to_owned()];
        assert_eq!(candidates("sh", &env), ["/bin/sh", "/usr/bin/sh", "/sh"]);
        assert_eq!(candidates("./sh", &env), ["./sh"]);
        assert!(candidates("sh", &[]).is_empty());
    }
}
