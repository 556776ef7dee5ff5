//! One run of one job on a file system that nobody has used before.
//!
//! On an ext4 that was used, making files soon after deleting many is several
//! times dearer than on a new one, so a folder that is emptied again and again
//! would measure the order of the jobs. As root each run has a file system of
//! its own in a file; other users get an emptied folder.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use super::job::Job;
use super::workload::shell;
use crate::Outcome;

/// How large the file system may become; its file is sparse.
const SIZE: &str = "14G";

/// What one run took.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sample {
    /// Seconds.
    pub(super) wall: f64,
    /// Seconds of all processes, those of a daemon included.
    pub(super) cpu: f64,
    /// MiB of the largest process.
    pub(super) peak: f64,
    /// Bytes of the product.
    pub(super) product: Option<u64>,
}

/// Where the jobs work.
pub(super) struct Bed {
    folder: PathBuf,
    mounted: bool,
}

impl Bed {
    /// A place below that folder.
    pub(super) fn new(folder: &Path) -> Outcome<Self> {
        fs::create_dir_all(folder.join("out"))
            .map_err(|error| format!("making {}: {error}", folder.display()))?;
        let root = shell("[ $(id -u) = 0 ]").is_ok();
        if !root {
            eprintln!("bench: not root: one folder for all instead of new file systems");
        }
        if !Path::new("/usr/bin/time").is_file() {
            return Err("/usr/bin/time is missing; Debian has it in the package time".into());
        }
        Ok(Self { folder: folder.to_owned(), mounted: root })
    }

    /// Where it is.
    pub(super) fn out(&self) -> PathBuf {
        self.folder.join("out")
    }

    /// What the file system is, for the report.
    pub(super) fn about(&self) -> &'static str {
        if self.mounted { "new ext4 in a file for each run" } else { "an emptied folder" }
    }

    /// Runs a job once; with `sync`, until the file system has everything.
    pub(super) fn run(&self, job: &Job, sync: bool) -> Outcome<Sample> {
        self.renew()?;
        let out = self.out();
        if let Some(setup) = &job.setup {
            shell(setup)?;
        }
        shell(&format!("sync -f {}", out.display()))?;
        let sampled = self.timed(job, sync);
        if let Some(teardown) = &job.teardown {
            shell(teardown)?;
        }
        sampled
    }

    fn timed(&self, job: &Job, sync: bool) -> Outcome<Sample> {
        let failed = |error: std::io::Error| format!("running {}: {error}", job.name);
        let daemon = match &job.daemon {
            Some(file) => {
                let text = fs::read_to_string(file).map_err(failed)?;
                Some(text.trim().parse::<u32>().map_err(|error| format!("{text}: {error}"))?)
            }
            None => None,
        };
        let before = daemon.map_or(0.0, used);
        let usage = self.folder.join("usage");
        let said = self.folder.join("stderr");
        let script = if sync {
            format!("{{ {}; }} && sync -f {}", job.command, self.out().display())
        } else {
            job.command.clone()
        };
        let start = Instant::now();
        let status = Command::new("/usr/bin/time")
            .args(["-f", "%U %S %M", "-o"])
            .arg(&usage)
            .args(["sh", "-c", &script])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::from(File::create(&said).map_err(failed)?))
            .status()
            .map_err(failed)?;
        let wall = start.elapsed().as_secs_f64();
        if !status.success() {
            let said = fs::read_to_string(said).unwrap_or_default();
            let last: Vec<_> = said.lines().rev().take(3).collect();
            return Err(format!("{} failed: {}", job.name, last.join(" / ")));
        }
        let usage = fs::read_to_string(usage).map_err(failed)?;
        let mut words = usage.split_whitespace().map(|word| word.parse::<f64>().unwrap_or(0.0));
        let mut next = || words.next().unwrap_or_default();
        let cpu = next() + next() + daemon.map_or(0.0, |pid| used(pid) - before);
        let peak = (next() / 1024.0).max(daemon.map_or(0.0, high_water));
        let product = job.product.as_deref().map(size);
        Ok(Sample { wall, cpu, peak, product })
    }

    /// Gives the jobs a file system that nobody has used.
    pub(super) fn renew(&self) -> Outcome {
        let (out, image) = (self.out(), self.folder.join("image"));
        if !self.mounted {
            return shell(&format!("rm -rf {out} && mkdir {out}", out = out.display()));
        }
        self.leave();
        shell(&format!(
            "rm -f {image} && truncate -s {SIZE} {image}
             mkfs.ext4 -q -F -i 8192 -E lazy_itable_init=1,lazy_journal_init=1,nodiscard {image}
             mount -o loop,relatime,noinit_itable {image} {out}",
            image = image.display(),
            out = out.display(),
        ))
    }

    fn leave(&self) {
        let out = self.out();
        // Some engines leave mounts of their own below.
        let script = format!(
            "n=0; while mountpoint -q {out} && [ $n -lt 50 ]; do
               umount -R {out} 2>/dev/null || sleep 0.2; n=$((n + 1))
             done",
            out = out.display()
        );
        let _ = shell(&script);
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        if self.mounted {
            self.leave();
        }
        // Never below something that is still mounted.
        if shell(&format!("! mountpoint -q {}", self.out().display())).is_ok() {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

/// Seconds that a process and its children have used.
fn used(pid: u32) -> f64 {
    // In hundredths of a second on every Linux that there is.
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let behind = text.rsplit_once(')').map_or("", |(_, behind)| behind);
    let ticks = behind.split_whitespace().skip(11).take(4);
    ticks.map(|word| word.parse::<f64>().unwrap_or(0.0)).sum::<f64>() / 100.0
}

/// The most memory that a process has had, in MiB.
fn high_water(pid: u32) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    number.unwrap_or(0.0) / 1024.0
}

/// The bytes of all files below a folder.
fn size(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => size(&entry.path()),
            Ok(meta) => meta.len(),
            Err(_) => 0,
        })
        .sum()
}
