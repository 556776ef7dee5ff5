//! Other runtimes: `runc`, `crun`, or any program with the same command line,
//! started on a bundle.
//!
//! The runtime does everything; this room starts it, passes signals on to it,
//! tells failures of the runtime from those of the program that it ran, and
//! removes what it may leave behind.

use std::ffi::{CString, OsStr};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::process::{Command, Stdio};

use plimsoll_content::{Code, Error};
use rustix::process::Pid;
use serde::Deserialize;

use crate::convert::ROOTFS;
use crate::exec::{Exit, FAILED, NOT_EXECUTABLE, NOT_FOUND, NotStarted, Root};
use crate::signal::{Keys, Relay};
use crate::sys;

/// How much of a runtime's log is read, in bytes.
const LOG: u64 = 1 << 20;

/// The longest id of a container, in bytes. It names a folder.
const ID: usize = 128;

/// Runs the bundle in the folder `bundle` by `RUNTIME run` and waits for its
/// end.
///
/// A `root` that is a mount appears as the bundle's folder `rootfs`, for the runtime
/// and nobody else; one that is a folder must be that one. `runtime` is a path, or a
/// name that is looked up as a shell would. `state` is a folder of the caller's own in
/// which the runtime keeps its notes (`--root`; made if it is missing), `id` the name of
/// the container there: letters, digits, `-`, `_` and `.`. Standard input, output and
/// error are the caller's; signals that arrive meanwhile go to the runtime, which hands
/// them on.
///
/// # Errors
///
/// What the runtime says it could not do, as [`Code::Runtime`], with 126 or
/// 127 where it says that of the program in the bundle; [`Code::NotFound`] if
/// there is no such runtime.
pub fn run(
    runtime: impl AsRef<OsStr>,
    bundle: &Path,
    root: Root,
    id: &str,
    state: &Path,
) -> Result<Exit, NotStarted> {
    let runtime = runtime.as_ref();
    check(id)?;
    let name = Path::new(runtime).display();
    let mut private = fs::DirBuilder::new();
    match private.mode(0o700).create(state) {
        Err(cause) if cause.kind() != io::ErrorKind::AlreadyExists => {
            return Err(Error::io("making folder", state.display(), cause).into());
        }
        _ => {}
    }
    // Some runtimes change to the bundle before they look at the other paths.
    let absolute = |path: &Path| {
        path.canonicalize().map_err(|cause| Error::io("finding", path.display(), cause))
    };
    let (bundle, state) = (absolute(bundle)?, absolute(state)?);
    let log = state.join(format!("{id}.log"));
    let mut command = Command::new(runtime);
    command
        .arg("--root")
        .arg(&state)
        .arg("--log")
        .arg(&log)
        .args(["--log-format", "json", "run", "--bundle"])
        .arg(&bundle)
        .arg(id);
    if let Root::Mounted { tree, .. } = root {
        let over = bundle.join(ROOTFS);
        let failed = |cause| Error::io("making folder", over.display(), cause);
        fs::create_dir(&over).map_err(failed)?;
        let over = CString::new(over.as_os_str().as_bytes())
            .map_err(|cause| failed(io::Error::other(cause)))?;
        sys::mount_for(&mut command, tree, over);
    }
    // The runtime gets the three standard streams and no more.
    sys::close_on_exec_from_three()
        .map_err(|cause| Error::io("closing descriptors for", &name, cause))?;
    let relay = Relay::start().map_err(|cause| Error::io("starting", &name, cause))?;
    let child = command.spawn().map_err(|cause| start_error(&name, cause))?;
    let pid = Pid::from_raw(child.id() as i32)
        .ok_or_else(|| Error::new(Code::Bug, "reading the number of the runtime's process"))?;
    let code = relay
        .wait(pid, Keys::Shared, || false)
        .map_err(|cause| Error::io("waiting for", &name, cause));
    drop(relay);
    let complaint = complaint(&log);
    let _ = fs::remove_file(&log);
    clean_up(runtime, &state, id);
    match (code?, complaint) {
        (code, Some(complaint)) if code != 0 => Err(not_started(&name, &complaint)),
        (code, _) => Ok(Exit { code }),
    }
}

/// Refuses what would be no name of a folder, or an option to the runtime.
fn check(id: &str) -> Result<(), Error> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let starts = id.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric());
    if starts && id.len() <= ID && id.bytes().all(plain) {
        return Ok(());
    }
    Err(Error::new(Code::Usage, "naming a container")
        .found(format!("{id:?}"))
        .expected("letters, digits, -, _ and ., a letter or digit first, at most 128"))
}

fn start_error(name: &impl std::fmt::Display, cause: io::Error) -> Error {
    let missing = cause.kind() == io::ErrorKind::NotFound;
    let error = Error::io("starting the runtime", name, cause);
    if missing {
        error.fix("install it, give its path with --runtime, or leave --runtime out")
    } else {
        error
    }
}

/// The last error in the log of a runtime.
fn complaint(log: &Path) -> Option<String> {
    #[derive(Deserialize)]
    struct Line {
        level: String,
        msg: String,
    }
    let mut text = Vec::new();
    File::open(log).ok()?.take(LOG).read_to_end(&mut text).ok()?;
    text.split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<Line>(line).ok())
        .filter(|line| matches!(line.level.as_str(), "error" | "fatal" | "panic" | "ERROR"))
        .map(|line| line.msg)
        .next_back()
}

/// Runtimes tell by their texts alone whether the program was the problem.
fn not_started(name: &impl std::fmt::Display, complaint: &str) -> NotStarted {
    let text = complaint.to_ascii_lowercase();
    let of_program = text.contains("exec: ") || text.contains("executable");
    let exit = if of_program && (text.contains("not found") || text.contains("no such file")) {
        NOT_FOUND
    } else if of_program
        && (text.contains("permission denied")
            || text.contains("not permitted")
            || text.contains("format error"))
    {
        NOT_EXECUTABLE
    } else {
        FAILED
    };
    let found = plimsoll_layer::path::shown(complaint.as_bytes());
    let error = Error::new(Code::Runtime, format!("starting the process with {name}")).found(found);
    NotStarted { exit, error }
}

/// Runtimes remove what they made when the process has ended, unless they
/// were killed themselves.
fn clean_up(runtime: &OsStr, state: &Path, id: &str) {
    if !state.join(id).exists() {
        return;
    }
    let _ = Command::new(runtime)
        .arg("--root")
        .arg(state)
        .args(["delete", "--force", id])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A runtime of three lines, as a script.
    fn fake(folder: &Path, script: &str) -> std::path::PathBuf {
        let path = folder.join("fake");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("executable");
        path
    }

    /// One test, because only one runtime at a time is waited for.
    #[test]
    fn tells_the_runtimes_failures_from_the_programs_and_cleans_up() {
        let folder = tempfile::tempdir().expect("folder");
        let state = folder.path().join("state");
        let root = || Root::Folder(folder.path().join(ROOTFS));
        let run =
            |script: &str| run(fake(folder.path(), script), folder.path(), root(), "c1", &state);
        let says = |text: &str| {
            run(&format!(r#"echo '{{"level":"error","msg":"{text}"}}' > "$4"; exit 1"#))
        };

        let asked = r#"test "$1 $3 $5 $6 $7 $8 ${10}" = "--root --log --log-format json run --bundle c1" && exit 7"#;
        assert_eq!(run(asked).expect("ran").code, 7);
        assert_eq!(run("kill -9 $$").expect("ran").code, 137);
        let warned = run(r#"echo '{"level":"warning","msg":"x"}' > "$4"; exit 1"#);
        assert_eq!(warned.expect("the program's own").code, 1);
        for (text, exit) in [
            (r#"exec: \"x\": executable file not found in $PATH"#, NOT_FOUND),
            (r#"exec: \"/x\": stat /x: no such file or directory"#, NOT_FOUND),
            ("executable file `x` not found in $PATH: No such file or directory", NOT_FOUND),
            (r#"exec: \"/x\": permission denied"#, NOT_EXECUTABLE),
            ("open executable: Operation not permitted", NOT_EXECUTABLE),
            ("mounting /nosuch: no such file or directory", FAILED),
        ] {
            let not_started = says(text).expect_err(text);
            assert_eq!(not_started.exit, exit, "{text}");
            assert_eq!(not_started.error.code(), Code::Runtime);
        }
        let forgetful = r#"case "$3" in
            delete) test "$4 $5" = "--force c1" && rmdir "$2/c1" ;;
            *) mkdir "$2/c1"; exit 5 ;;
        esac"#;
        assert_eq!(run(forgetful).expect("ran").code, 5);
        assert_eq!(fs::read_dir(&state).expect("listed").count(), 0, "nothing is left");

        let here = Path::new(".");
        let missing = super::run("/nosuch/runtime", here, root(), "c1", here).expect_err("missing");
        assert_eq!((missing.error.code(), missing.exit), (Code::NotFound, FAILED));
    }

    #[test]
    fn refuses_ids_that_are_options_or_paths() {
        let here = Path::new(".");
        for id in ["", "-x", "../x", "a/b", ".", "a b", &"a".repeat(129)] {
            let not_started =
                run("/nosuch/runtime", here, Root::Folder(ROOTFS.into()), id, here).expect_err(id);
            assert_eq!(not_started.error.code(), Code::Usage, "{id:?}");
        }
    }
}
