//! A shell for one document: an empty home, a quiet environment, and a memory
//! for the folder and the exported variables between commands.

use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::Outcome;

/// How a command begins and ends; its text comes in between, as an argument.
const FRAME: &str = r#"
exec 2>&1
[ ! -e "$PLIMSOLL_DOCS_STATE/environment" ] || . "$PLIMSOLL_DOCS_STATE/environment"
[ ! -e "$PLIMSOLL_DOCS_STATE/folder" ] || cd "$(cat "$PLIMSOLL_DOCS_STATE/folder")"
trap 'export -p > "$PLIMSOLL_DOCS_STATE/environment"; pwd > "$PLIMSOLL_DOCS_STATE/folder"' EXIT
eval "$1"
"#;

/// A place in which the commands of one document run.
pub(super) struct Shell {
    /// Home, with the working folder in it; and what lasts between commands.
    home: TempDir,
    state: TempDir,
    path: String,
}

impl Shell {
    /// A shell that finds programs in `programs` first.
    pub(super) fn new(programs: &Path) -> Outcome<Self> {
        let folder = || tempfile::tempdir().map_err(|error| format!("making a folder: {error}"));
        let rest = std::env::var("PATH").unwrap_or_else(|_| "/usr/bin:/bin".into());
        let path = format!("{}:{rest}", programs.display());
        Ok(Self { home: folder()?, state: folder()?, path })
    }

    /// Puts the files of a folder into the one in which commands begin.
    pub(super) fn bring(&self, folder: &Path) -> Outcome {
        let failed = |error| format!("copying {}: {error}", folder.display());
        for entry in std::fs::read_dir(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            std::fs::copy(entry.path(), self.home.path().join(entry.file_name()))
                .map_err(failed)?;
        }
        Ok(())
    }

    /// What `command` prints, both streams together, and its exit code.
    pub(super) fn run(&self, command: &str) -> Outcome<(String, i32)> {
        let output = Command::new("bash")
            .args(["--noprofile", "--norc", "-c", FRAME, "bash", command])
            .current_dir(self.home.path())
            .env_clear()
            .env("HOME", self.home.path())
            .env("PATH", &self.path)
            .env("PLIMSOLL_DOCS_STATE", self.state.path())
            .env("LC_ALL", "C.UTF-8")
            .env("TZ", "UTC")
            .env("TERM", "dumb")
            .env("NO_COLOR", "1")
            // A document shows what is left on a terminal at the end.
            .env("PLIMSOLL_PROGRESS", "none")
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("starting bash: {error}"))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        // A shell reports a signal as 128 and its number; here bash itself
        // would have to be killed.
        Ok((text, output.status.code().unwrap_or(-1)))
    }
}
