//! Starting things and looking at how they end.

use std::path::Path;
use std::process::{Command, Stdio};

/// How a process ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Output {
    /// The exit code; 128 and the number of the signal if one ended it.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Output {
    /// The output of a process that must have ended well.
    ///
    /// # Panics
    ///
    /// If it did not, with everything that it said.
    #[track_caller]
    pub fn good(self, what: &str) -> String {
        assert_eq!(self.code, 0, "{what}: {}{}", self.out, self.err);
        self.out
    }
}

/// Starts `command` with no input, and waits for it.
///
/// # Panics
///
/// If it cannot be started.
#[track_caller]
pub fn run(command: &mut Command) -> Output {
    use std::os::unix::process::ExitStatusExt as _;
    let output = command
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("starting {command:?}: {error}"));
    let status = output.status;
    Output {
        code: status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default()),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Runs a script that must end well, in `folder`, and gives what it printed.
///
/// # Panics
///
/// If it does not end well.
#[track_caller]
pub fn shell(folder: &Path, script: &str) -> String {
    let script = format!("set -eu\n{script}");
    run(Command::new("bash").args(["-c", &script]).current_dir(folder)).good(&script)
}
