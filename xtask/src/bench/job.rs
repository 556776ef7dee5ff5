//! What is measured: the commands of this program and of its peers for the
//! same task. Peers that are not here are left out with a word.
//!
//! A family is one task (`unpack`, `pack`) on one workload. To measure another
//! task, add a function that gives its jobs and a line in `tasks`.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::archive::TAG;
use super::report;
use super::start::start;
use super::verify::verify;
use super::workload::{Image, WORKLOADS, Workload};
use crate::{Outcome, budget};

/// One command that is measured.
pub(super) struct Job {
    pub(super) name: String,
    /// A script that runs before, outside of the measured time.
    pub(super) setup: Option<String>,
    /// The script that is measured.
    pub(super) command: String,
    /// A file with the number of a process that does part of the work.
    pub(super) daemon: Option<PathBuf>,
    /// A script that runs after, outside of the measured time.
    pub(super) teardown: Option<String>,
    /// A folder whose size is part of the result.
    pub(super) product: Option<PathBuf>,
}

/// Jobs that do the same, ours first: the others are compared with it.
pub(super) struct Family {
    pub(super) name: String,
    pub(super) about: String,
    pub(super) jobs: Vec<Job>,
    /// Whether each sample is one start of a process (see `start`).
    pub(super) starts: bool,
}

/// A task on a workload, not prepared yet.
pub(super) struct Task {
    pub(super) name: String,
    pub(super) workload: &'static Workload,
    jobs: fn(&Place<'_>) -> Outcome<Vec<Job>>,
    pub(super) starts: bool,
}

/// Where the jobs of a family work.
pub(super) struct Place<'a> {
    pub(super) image: &'a Image,
    pub(super) workload: &'static str,
    /// The new file system of each job.
    pub(super) out: &'a Path,
    quick: bool,
}

/// All tasks, in their order.
pub(super) fn tasks() -> Vec<Task> {
    let deep = |workload: &&Workload| matches!(workload.name, "layers-101" | "layers-600");
    let unpacks = WORKLOADS.iter().filter(|workload| !deep(workload)).map(|workload| Task {
        name: format!("unpack/{}", workload.name),
        workload,
        jobs: unpack,
        starts: false,
    });
    let pack = |workload: &'static Workload| Task {
        name: format!("pack/{}", workload.name),
        workload,
        jobs: pack,
        starts: false,
    };
    let repack = |workload: &'static Workload| Task {
        name: format!("repack/{}", workload.name),
        workload,
        jobs: repack,
        starts: false,
    };
    let real =
        || WORKLOADS.iter().filter(|workload| matches!(workload.name, "debian" | "development"));
    let few = |workload: &&Workload| workload.name == "debian" || deep(workload);
    let run = WORKLOADS.iter().filter(few).map(|workload| Task {
        name: format!("run/{}", workload.name),
        workload,
        jobs: start,
        starts: true,
    });
    let tiny = WORKLOADS.iter().filter(|workload| workload.name == "tiny");
    let verify = tiny.map(|workload| Task {
        name: "verify/tiny".to_owned(),
        workload,
        jobs: verify,
        starts: false,
    });
    unpacks.chain(real().map(pack)).chain(real().map(repack)).chain(run).chain(verify).collect()
}

impl Task {
    /// Makes the workload and names the commands; `None` has said `SKIP`.
    pub(super) fn prepare(&self, kept: &Path, out: &Path, quick: bool) -> Outcome<Option<Family>> {
        let Some(image) = self.workload.get(kept, quick)? else { return Ok(None) };
        let workload = self.workload.name;
        let jobs = (self.jobs)(&Place { image: &image, workload, out, quick })?;
        let about = format!(
            "{}{}; {} layer(s), {} MB compressed",
            self.workload.about,
            if quick { " (reduced by --quick)" } else { "" },
            image.layers,
            report::megabytes(image.compressed)
        );
        Ok(Some(Family { name: self.name.clone(), about, jobs, starts: self.starts }))
    }
}

impl Job {
    pub(super) fn new(name: impl Into<String>, command: String) -> Self {
        Self {
            name: name.into(),
            setup: None,
            command,
            daemon: None,
            teardown: None,
            product: None,
        }
    }

    pub(super) fn after(mut self, setup: impl Into<String>) -> Self {
        self.setup = Some(setup.into());
        self
    }
}

/// From a layout to a root filesystem, or to what an engine mounts as one.
fn unpack(place: &Place<'_>) -> Outcome<Vec<Job>> {
    let program = budget::release();
    let (image, out) = (place.image, place.out.display());
    let layout = image.layout();
    let mut jobs = vec![Job::new(
        "plimsoll unpack",
        format!("{} unpack --quiet oci:{layout} {out}/root", program.display()),
    )];
    // Laws of our own cost have no peers.
    if place.workload.contains('-') {
        return Ok(jobs);
    }
    for (umoci, version) in peers("umoci") {
        let umoci = umoci.display();
        jobs.push(Job::new(
            format!("umoci {version} unpack"),
            format!("{umoci} unpack --image {layout} {out}/bundle"),
        ));
        jobs.push(Job::new(
            format!("umoci {version} raw unpack"),
            format!("{umoci} raw unpack --image {layout} {out}/root"),
        ));
    }
    if image.layers == 1 {
        let layer = image.layer();
        for (name, options) in [("tar", "xzpf"), ("bsdtar", "-xzpf")] {
            for (tool, version) in peers(name) {
                jobs.push(
                    Job::new(
                        format!("{name} {version} {options}"),
                        format!("{} {options} {layer} -C {out}/root", tool.display()),
                    )
                    .after(format!("mkdir {out}/root")),
                );
            }
        }
    }
    for (podman, version) in peers("podman") {
        jobs.push(Job::new(
            format!("podman {version} pull"),
            format!(
                "{} --root {out}/c --runroot {out}/run --storage-driver overlay pull -q oci:{layout}",
                podman.display()
            ),
        ));
    }
    if matches!(place.workload, "debian" | "development") {
        for (ctr, version) in peers("ctr") {
            jobs.extend(containerd(place, &ctr, &version)?);
        }
    }
    Ok(jobs)
}

/// `ctr image import`, which also unpacks, with a containerd of its own.
pub(super) fn containerd(place: &Place<'_>, ctr: &Path, version: &str) -> Outcome<Option<Job>> {
    let Some((containerd, _)) = peers("containerd").into_iter().next() else { return Ok(None) };
    let out = place.out.display();
    let archive = place.image.archive()?;
    let setup = format!(
        "mkdir {out}/c
         printf 'version = 2\\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\\n' > {out}/c/config
         {daemon} --config {out}/c/config --root {out}/c/root --state {out}/c/state \
           --address {out}/c/sock >{out}/c/log 2>&1 </dev/null &
         echo $! > {out}/c/pid
         for n in $(seq 100); do {ctr} --address {out}/c/sock version >/dev/null 2>&1 && exit; sleep 0.1; done
         exit 1",
        daemon = containerd.display(),
        ctr = ctr.display(),
    );
    let mut job = Job::new(
        format!("ctr {version} image import"),
        format!(
            "{} --address {out}/c/sock image import --base-name bench {archive}",
            ctr.display()
        ),
    )
    .after(setup);
    job.daemon = Some(place.out.join("c/pid"));
    job.teardown = Some(format!(
        "kill $(cat {out}/c/pid); while kill -0 $(cat {out}/c/pid) 2>/dev/null; do sleep 0.1; done"
    ));
    Ok(Some(job))
}

/// From a root filesystem to a layout: one layer, gzip at level 6.
#[expect(clippy::unnecessary_wraps, reason = "as the jobs of all tasks")]
fn pack(place: &Place<'_>) -> Outcome<Vec<Job>> {
    let (program, out) = (budget::release(), place.out.display());
    let layer = place.image.layer();
    let tree = format!("mkdir {out}/tree && tar -xzpf {layer} -C {out}/tree && sync -f {out}");
    let product = |mut job: Job| {
        job.product = Some(place.out.join("images/blobs"));
        job
    };
    let mut jobs = vec![product(
        Job::new(
            "plimsoll pack",
            format!(
                "{} pack --quiet --compression gzip:6 {out}/tree oci:{out}/images:{TAG}",
                program.display()
            ),
        )
        .after(&tree),
    )];
    for (umoci, version) in peers("umoci") {
        let umoci = umoci.display();
        jobs.push(product(
            Job::new(
                format!("umoci {version} repack"),
                format!("{umoci} repack --image {out}/images:{TAG} {out}/bundle"),
            )
            .after(format!(
                "{umoci} init --layout {out}/images
                 {umoci} new --image {out}/images:{TAG}
                 {umoci} unpack --image {out}/images:{TAG} {out}/bundle
                 tar -xzpf {layer} -C {out}/bundle/rootfs
                 sync -f {out}"
            )),
        ));
    }
    for (buildah, version) in peers("buildah") {
        let buildah = format!(
            "{} --root {out}/c --runroot {out}/run --storage-driver overlay",
            buildah.display()
        );
        jobs.push(product(
            Job::new(
                format!("buildah {version} commit"),
                format!("{buildah} commit --quiet --disable-compression=false bench oci:{out}/images:{TAG}"),
            )
            .after(format!(
                "{buildah} from --name bench scratch
                 tar -xzpf {layer} -C $({buildah} mount bench)
                 sync -f {out}"
            )),
        ));
    }
    if !place.quick {
        jobs.push(
            Job::new("tar | gzip -6", format!("tar -C {out}/tree -c . | gzip -6 > {out}/layer"))
                .after(&tree),
        );
    }
    Ok(jobs)
}

/// A layer of what changed in an unpacked image: a folder more (what Debian has
/// below `/usr/share`), another one less.
#[expect(clippy::unnecessary_wraps, reason = "as the jobs of all tasks")]
fn repack(place: &Place<'_>) -> Outcome<Vec<Job>> {
    let (program, out) = (budget::release(), place.out.display());
    let program = program.display();
    let layout = place.image.folder();
    let copy = format!("cp -a {} {out}/images", layout.display());
    let change = |root: String| {
        format!(
            "cp -a {root}/usr/share {root}/opt/more && rm -r {root}/usr/share/doc
             echo changed >> {root}/etc/passwd && sync -f {out}"
        )
    };
    // Level 3 makes as many bytes as umoci does at what it calls 6.
    let ours = |level: u8| {
        Job::new(
            match level {
                6 => "plimsoll repack".to_owned(),
                _ => format!("plimsoll repack, gzip:{level}"),
            },
            format!(
                "{program} repack --quiet --compression gzip:{level} {out}/bundle oci:{out}/images:new"
            ),
        )
        .after(format!(
            "{copy}
             {program} bundle --quiet --entrypoint /bin/sh oci:{out}/images:{TAG} {out}/bundle
             {}",
            change(format!("{out}/bundle/rootfs"))
        ))
    };
    let mut jobs = vec![ours(6), ours(3)];
    for (umoci, version) in peers("umoci") {
        let umoci = umoci.display();
        jobs.push(
            Job::new(
                format!("umoci {version} repack"),
                format!("{umoci} repack --image {out}/images:new {out}/bundle"),
            )
            .after(format!(
                "{copy}
                 {umoci} unpack --image {out}/images:{TAG} {out}/bundle
                 {}",
                change(format!("{out}/bundle/rootfs"))
            )),
        );
    }
    for (buildah, version) in peers("buildah") {
        let buildah = format!(
            "{} --root {out}/c --runroot {out}/run --storage-driver overlay",
            buildah.display()
        );
        jobs.push(
            Job::new(
                format!("buildah {version} commit"),
                format!("{buildah} commit --quiet --disable-compression=false bench oci:{out}/images:new"),
            )
            .after(format!(
                "{copy}
                 {buildah} from --name bench oci:{out}/images:{TAG}
                 {}",
                change(format!("$({buildah} mount bench)"))
            )),
        );
    }
    Ok(jobs)
}

/// The tools of that name here, the newest first, with their versions:
/// Debian's, and what `interop/setup` has built.
pub(super) fn peers(name: &str) -> Vec<(PathBuf, String)> {
    let home = std::env::var_os("HOME").unwrap_or_else(|| "/root".into());
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map_or_else(|| Path::new(&home).join(".cache"), PathBuf::from);
    let folders = [cache.join("plimsoll-peers/bin"), "/usr/bin".into(), "/bin".into()];
    let mut found: Vec<(PathBuf, String)> = Vec::new();
    for path in folders.iter().map(|folder| folder.join(name)).filter(|path| path.is_file()) {
        let version = version(&path);
        if !found.iter().any(|(_, known)| *known == version) {
            found.push((path, version));
        }
    }
    if found.is_empty() {
        eprintln!("bench: SKIP {name}: not here; interop/setup installs it");
    }
    found
}

/// The first word of what a tool says of its version that has a digit first.
fn version(path: &Path) -> String {
    let output = Command::new(path).arg("--version").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let text = text.unwrap_or_default();
    let number = |word: &&str| word.starts_with(|letter: char| letter.is_ascii_digit());
    let word = text.split_whitespace().find(number).unwrap_or("?");
    word.split(['~', '+']).next().unwrap_or(word).to_owned()
}
