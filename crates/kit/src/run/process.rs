//! Commands with a time limit, and templates with their places filled in.

use std::fs::{self, File};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use plimsoll_content::{Code, Error, Result, Watch};
use rustix::process::{Pid, Signal, kill_process_group};

/// How long between two looks at a process. A case takes longer than that.
const PAUSE: Duration = Duration::from_millis(5);

/// How much of what a process says is kept.
const MOST: usize = 1 << 20;

/// How a command ended.
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    /// Its exit code, 128 and the number of the signal, or nothing if its
    /// time was over.
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ended {
    /// The last thing that it said of an error, in one line.
    pub(crate) fn last_words(&self) -> String {
        let lines = || {
            let said = [&self.err, &self.out].into_iter().flat_map(|text| text.lines().rev());
            said.map(str::trim).filter(|line| !line.is_empty())
        };
        // Some tools explain at length behind the error itself.
        let is_error = |line: &&str| {
            let line = line.to_ascii_lowercase();
            ["error", "fatal"].iter().any(|word| line.contains(word))
        };
        let line = lines().find(is_error).or_else(|| lines().next()).unwrap_or("no word of why");
        let code = self.code.unwrap_or_default();
        format!("exit code {code}: {}", shown(line))
    }
}

/// A line of somebody else's as harmless text of sensible length.
pub(crate) fn shown(line: &str) -> String {
    let text = plimsoll_layer::path::shown(line.as_bytes());
    if text.chars().count() > 160 { text.chars().take(159).chain(['…']).collect() } else { text }
}

/// Fills in the places of a template, each value quoted for `sh`.
pub(crate) fn filled(template: &str, places: &[(&str, String)]) -> String {
    let mut text = template.to_owned();
    for (name, value) in places {
        text = text.replace(&format!("{{{name}}}"), &quoted(value));
    }
    text
}

/// A word for `sh`.
pub(crate) fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Runs a script in a folder, with the folder `home` beside it as home, for
/// at most that long. Whatever it leaves running is ended, also when `watch`
/// says to stop.
pub(crate) fn run(
    script: &str,
    folder: &Path,
    limit: Duration,
    watch: &dyn Watch,
) -> Result<Ended> {
    let (out, err) = (folder.join("stdout"), folder.join("stderr"));
    let mut child = start(script, folder, &out, &err)?;
    let begin = Instant::now();
    let code = loop {
        let ended = child.try_wait().map_err(|cause| Error::io("waiting for", "sh", cause))?;
        if let Some(status) = ended {
            break Some(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default()));
        }
        if begin.elapsed() > limit {
            break None;
        }
        if watch.interrupted() {
            end(&mut child);
            return Err(Error::new(Code::Interrupted, "running a case").found("a signal"));
        }
        std::thread::sleep(PAUSE);
    };
    end(&mut child);
    let text = |path: &Path| {
        let mut bytes = fs::read(path).unwrap_or_default();
        bytes.truncate(MOST);
        String::from_utf8_lossy(&bytes).into_owned()
    };
    Ok(Ended { code, out: text(&out), err: text(&err) })
}

/// Starts a script in a process group of its own.
pub(crate) fn start(script: &str, folder: &Path, out: &Path, err: &Path) -> Result<Child> {
    let made = |path: &Path| {
        File::create(path).map_err(|cause| Error::io("making", path.display(), cause))
    };
    let home = folder.join("home");
    fs::create_dir_all(&home).map_err(|cause| Error::io("making", home.display(), cause))?;
    Command::new("sh")
        .args(["-ec", script])
        .current_dir(folder)
        .env("HOME", &home)
        .env("XDG_DATA_HOME", home.join("data"))
        .env("XDG_CACHE_HOME", home.join("cache"))
        .env("XDG_CONFIG_HOME", home.join("config"))
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .stdout(made(out)?)
        .stderr(made(err)?)
        .process_group(0)
        .spawn()
        .map_err(|cause| Error::io("starting", "sh", cause))
}

/// Ends a process with all that it started.
pub(crate) fn end(child: &mut Child) {
    if let Some(group) = Pid::from_raw(child.id() as i32) {
        let _ = kill_process_group(group, Signal::KILL);
    }
    let _ = child.wait();
}
