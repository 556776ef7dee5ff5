//! How long it takes until a process of a cached image has come and gone.
//!
//! A start takes milliseconds, so these jobs are not measured as the others
//! are: all of them are made ready once, on one file system, and then each
//! starts one process, in turns, many times. No shell and no `time` stands in
//! between, and the ratios are taken round by round.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use super::job::{Family, Job, Place, containerd, peers};
use super::measure::{Bed, Sample};
use super::report;
use super::workload::shell;
use crate::{Outcome, budget};

/// How often each command starts its process, if nobody says.
pub(super) const ROUNDS: usize = 60;

/// What podman needs where limits can not be raised.
const PODMAN: &str = "--network=none --ulimit nofile=1024:1024 --ulimit nproc=1000:1000";

/// The view of both kinds of cgroup side by side, with which crun refuses to start.
const BOTH: &str = "/sys/fs/cgroup/unified";

/// Set in the program that [`apart`] starts.
const APART: &str = "PLIMSOLL_BENCH_APART";

/// Where only a view without the new cgroups lets all runtimes start, starts the
/// whole benchmark anew in one; `None` where there is no need to.
pub(super) fn apart(arguments: &[String]) -> Option<Outcome> {
    if std::env::var_os(APART).is_some() || !Path::new(BOTH).is_dir() {
        return None;
    }
    shell("[ $(id -u) = 0 ]").ok()?;
    let program = std::env::current_exe().ok()?;
    let status = Command::new("unshare")
        .args(["-m", "sh", "-c", &format!("umount {BOTH}; exec \"$0\" bench \"$@\"")])
        .arg(program)
        .args(arguments)
        .env(APART, "1")
        .status();
    Some(match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("the benchmark in mounts of its own: {status}")),
        Err(error) => Err(format!("starting unshare: {error}")),
    })
}

/// Runs of `/bin/true`. The commands are words with single spaces between them.
pub(super) fn start(place: &Place<'_>) -> Outcome<Vec<Job>> {
    let (program, out) = (budget::release(), place.out.display());
    let (program, layout) = (program.display(), place.image.layout());
    let image = format!("oci:{layout}");
    let plimsoll = format!("{program} --store {out}/store run --network=none");
    let ours = format!("{plimsoll} {image} /bin/true");
    // The first job also makes what those after it start from.
    let bundle = format!("{program} --quiet bundle {image} {out}/b --entrypoint /bin/true");
    let mut jobs = vec![Job::new("plimsoll run", ours.clone()).after(format!("{ours}\n{bundle}"))];
    // How the number of layers counts is a law of our own.
    if place.workload.contains('-') {
        return Ok(jobs);
    }
    for (bwrap, version) in peers("bwrap") {
        let run = format!(
            "{} --bind {out}/b/rootfs / --proc /proc --dev /dev --unshare-all /bin/true",
            bwrap.display()
        );
        jobs.push(Job::new(format!("bwrap {version}, on a folder"), run));
    }
    for name in ["crun", "runc"] {
        for (runtime, version) in peers(name) {
            let runtime = runtime.display();
            let run = format!("{runtime} --root {out}/state run --bundle {out}/b c");
            jobs.push(Job::new(format!("{name} {version}, on a bundle"), run));
            let run = format!("{plimsoll} --runtime {runtime} {image} /bin/true");
            jobs.push(Job::new(format!("plimsoll run --runtime {name}"), run));
        }
    }
    for (podman, version) in peers("podman") {
        let podman = format!(
            "{} --root {out}/c --runroot {out}/run --storage-driver overlay --cgroup-manager=cgroupfs",
            podman.display()
        );
        let name = "localhost/bench";
        let pull = format!("{podman} pull -q {image} | xargs -I {{}} {podman} tag {{}} {name}");
        let run = format!("{podman} run -q --rm {PODMAN} {name} /bin/true");
        jobs.push(Job::new(format!("podman {version} run"), run).after(pull));
    }
    for (ctr, version) in peers("ctr") {
        jobs.extend(ctr_run(place, &ctr, &version)?);
    }
    Ok(jobs)
}

/// `ctr run`, with a containerd that has the image.
fn ctr_run(place: &Place<'_>, ctr: &Path, version: &str) -> Outcome<Option<Job>> {
    let Some(mut job) = containerd(place, ctr, version)? else { return Ok(None) };
    let ctr = format!("{} --address {}/c/sock", ctr.display(), place.out.display());
    // The daemon of the other task, with its import before the measured time.
    let started = job.setup.take().unwrap_or_default().replace("&& exit;", "&& break;");
    let started = started.trim_end().trim_end_matches("exit 1").replace("mkdir ", "mkdir -p ");
    job.setup = Some(format!(
        "{started}\n{}\n{ctr} image tag $({ctr} image ls -q | head -n 1) bench:start",
        job.command
    ));
    job.name = format!("ctr {version} run");
    job.command = format!("{ctr} run --rm bench:start c /bin/true");
    Ok(Some(job))
}

/// Makes all jobs ready, then starts each once a round.
pub(super) fn rounds(bed: &Bed, family: &Family, rounds: usize) -> Outcome<report::Result> {
    bed.renew()?;
    let mut result = report::Result::new(family);
    let ready = ready(family);
    let measured = ready.and_then(|ready| {
        for round in 1..=rounds {
            for ((job, ready), (_, samples)) in family.jobs.iter().zip(&ready).zip(&mut result.jobs)
            {
                if *ready {
                    samples.push(once(job)?);
                }
            }
            if round % 10 == 0 {
                eprintln!("bench: {} {round}/{rounds}", family.name);
            }
        }
        Ok(())
    });
    for job in &family.jobs {
        // What a peer leaves behind is on a file system that goes away.
        let _ = job.teardown.as_deref().map(shell);
    }
    measured.map(|()| result)
}

/// Which jobs can be measured: all that work once.
fn ready(family: &Family) -> Outcome<Vec<bool>> {
    let mut ready = Vec::new();
    for job in &family.jobs {
        let tried = job.setup.as_deref().map_or(Ok(()), shell).and_then(|()| once(job));
        match tried {
            Err(message) if job.name.starts_with("plimsoll run") && ready.is_empty() => {
                return Err(message);
            }
            Err(message) => {
                eprintln!("bench: {} {}: {message}", family.name, job.name);
                ready.push(false);
            }
            Ok(_) => ready.push(true),
        }
    }
    Ok(ready)
}

fn once(job: &Job) -> Outcome<Sample> {
    let mut words = job.command.split(' ');
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let start = Instant::now();
    let status = command.status().map_err(|error| format!("starting {}: {error}", job.name))?;
    let wall = start.elapsed().as_secs_f64();
    if status.success() {
        Ok(Sample { wall, ..Sample::default() })
    } else {
        Err(format!("{} failed: {status}", job.name))
    }
}
