//! How long it takes until a process of a cached image has come and gone: ten
//! times in a row, so that the start of the measuring itself does not count.

use std::path::Path;

use super::job::{Job, Place, containerd, peers};
use crate::{Outcome, budget};

/// How many processes one sample has.
const TIMES: &str = "1 2 3 4 5 6 7 8 9 10";

/// What podman needs where limits can not be raised.
const PODMAN: &str = "--network=none --ulimit nofile=1024:1024 --ulimit nproc=1000:1000";

pub(super) fn often(command: &str) -> String {
    format!("for n in {TIMES}; do {command} || exit 1; done")
}

/// Ten runs of `/bin/true`, the image unpacked before.
pub(super) fn start(place: &Place<'_>) -> Outcome<Vec<Job>> {
    let (program, out) = (budget::release(), place.out.display());
    let (program, layout) = (program.display(), place.image.layout());
    let image = format!("oci:{layout}");
    let ours = format!("{program} --store {out}/store run --network=none {image} /bin/true");
    let mut jobs = vec![Job::new("plimsoll run", often(&ours)).after(&ours)];
    let bundle = format!("{program} --quiet bundle {image} {out}/b --entrypoint /bin/true");
    for name in ["runc", "crun"] {
        for (runtime, version) in peers(name) {
            let run = format!("{} --root {out}/state run --bundle {out}/b c$n", runtime.display());
            jobs.push(Job::new(format!("{name} {version}"), often(&run)).after(&bundle));
        }
    }
    for (bwrap, version) in peers("bwrap") {
        let run = format!(
            "{} --bind {out}/b/rootfs / --proc /proc --dev /dev --unshare-all /bin/true",
            bwrap.display()
        );
        jobs.push(Job::new(format!("bwrap {version}"), often(&run)).after(&bundle));
    }
    for (podman, version) in peers("podman") {
        let podman = format!(
            "{} --root {out}/c --runroot {out}/run --storage-driver overlay --cgroup-manager=cgroupfs",
            podman.display()
        );
        let run = format!("{podman} run -q --rm {PODMAN} $(cat {out}/id) /bin/true");
        let pull = format!("{podman} pull -q {image} > {out}/id && {run}");
        jobs.push(Job::new(format!("podman {version} run"), often(&run)).after(pull));
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
    let started = started.trim_end().trim_end_matches("exit 1").to_owned();
    job.setup = Some(format!("{started}\n{}", job.command));
    job.name = format!("ctr {version} run");
    let image = format!("$({ctr} image ls -q | head -n 1)");
    job.command = often(&format!("{ctr} run --rm {image} c$n /bin/true"));
    Ok(Some(job))
}
