//! The image configs in which engines differ, run by each of them: what every
//! process says of itself, and why where it is not the same.
//!
//! The configs are those of the table that `crates/runtime` holds its
//! conversion to (`convert.golden`).

use std::fs;
use std::os::unix::fs::PermissionsExt;

use plimsoll_interop::{Peer, Program, Scratch, busybox_rootfs, is_root, peer, run, shell, skip};
use serde_json::{Value, json};

use crate::containerd::Containerd;

const TABLE: &str = include_str!("../../../crates/runtime/tests/it/convert.golden");

/// The program of all images: what it was started with.
const PROGRAM: &str = r#"#!/bin/sh
echo "words ${0##*/} $*"
echo "ids $(id -u):$(id -g) $(id -G)"
echo "env $(env | grep -E '^(A|B|HOME|PATH)=' | sort | tr '\n' ' ')"
echo "in $(pwd)"
grep -E '^(CapInh|CapEff)' /proc/self/status
ls -ld /data /cache 2>/dev/null | cut -c1-10
ls /data /cache 2>/dev/null
exit 0
"#;

const PASSWD: &str = "root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n";
const GROUP: &str = "root:x:0:\napp:x:1000:\nextra:x:2000:app\nextra2:x:2001:app,root\n";

/// A difference that is known. They are told in `docs/reference/engines.md`.
struct Known {
    /// Words of the config; an empty one fits every config.
    config: &'static str,
    engine: &'static str,
    /// What differs, and what the engine says there, to the letter.
    part: &'static str,
    says: &'static str,
    why: &'static str,
}

const fn known(
    config: &'static str,
    engine: &'static str,
    part: &'static str,
    says: &'static str,
    why: &'static str,
) -> Known {
    Known { config, engine, part, says, why }
}

const PATHS: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

const KNOWN: &[Known] = &[
    known(
        "",
        "umoci",
        "CapInh",
        "CapInh:\t0000000020000420",
        "handed on to every program (CVE-2022-24769)",
    ),
    known("", "umoci", "CapEff", "CapEff:\t0000000020000420", "ordinary users get them too"),
    known(
        "",
        "umoci",
        "rest",
        "drwxr-x---/data:",
        "root without CAP_DAC_OVERRIDE can not look into the folder",
    ),
    known(
        "Volumes",
        "umoci",
        "rest",
        "drwxrwxrwtdrwxr-x---/cache:/data:",
        "volumes are empty, in memory",
    ),
    known(
        "HOME=",
        "umoci",
        "env",
        "env HOME=/home/app {PATHS}",
        "HOME of the image is overwritten by that of /etc/passwd",
    ),
    known("NOEQUALS", "podman", "refused", "", "an entry without = is dropped"),
    known(
        "\"app:\"",
        "podman",
        "ids",
        "ids 1000:1000 1000",
        "a user with an empty group has no further groups",
    ),
    known("\"app:\"", "containerd", "ids", "ids 1000:0 0 2000 2001", "an empty group is group 0"),
    known(
        "\":extra\"",
        "containerd",
        "ids",
        "ids 0:2000 2000 2001",
        "the groups of the user beside the one that is named",
    ),
    known(
        "\"app:extra\"",
        "containerd",
        "ids",
        "ids 1000:2000 2000 2001",
        "the groups of the user beside the one that is named",
    ),
    known(
        "",
        "containerd",
        "CapEff",
        "CapEff:\t00000000a80425fb",
        "CAP_MKNOD, CAP_NET_RAW and CAP_AUDIT_WRITE more",
    ),
    known("\"Env\"", "containerd", "refused", "refused", "no PATH where there are other variables"),
    known("Volumes", "containerd", "rest", "drwxr-x---/data:seed", "volumes are not made"),
];

/// What comes of each config here, in the order of the table.
const OURS: &str = include_str!("conversion.golden");

/// What two outcomes differ in, and what the other one says there.
fn differences(ours: &str, theirs: &str) -> Vec<(String, String)> {
    if ours == "refused" || theirs == "refused" {
        let said = if theirs == "refused" { theirs } else { "" };
        return if ours == theirs {
            Vec::new()
        } else {
            vec![("refused".to_owned(), said.to_owned())]
        };
    }
    let parts = |text: &str| -> std::collections::BTreeMap<String, String> {
        let mut parts = std::collections::BTreeMap::new();
        for part in text.split(" | ") {
            let name = part.split([' ', ':']).next().unwrap_or_default();
            let known = ["words", "ids", "env", "in", "CapInh", "CapEff"].contains(&name);
            let name = if known { name } else { "rest" };
            let whole: &mut String = parts.entry(name.to_owned()).or_default();
            whole.push_str(part);
        }
        parts
    };
    let (ours, theirs) = (parts(ours), parts(theirs));
    let names: std::collections::BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
    names
        .into_iter()
        .filter(|name| ours.get(*name) != theirs.get(*name))
        .map(|name| (name.clone(), theirs.get(name).cloned().unwrap_or_default()))
        .collect()
}

/// What came of a config: `refused`, or what the process said.
fn outcome(code: i32, out: &str) -> String {
    let said: Vec<_> = out.lines().map(|line| line.trim_end().trim_end_matches('\r')).collect();
    if code == 0 && !said.is_empty() { said.join(" | ") } else { "refused".to_owned() }
}

/// Adds an image to a layout for each config, under the number of the config.
fn images(scratch: &Scratch, plimsoll: &Program) -> Option<Vec<Value>> {
    let root = scratch.join("tree");
    fs::create_dir(&root).expect("a new folder");
    busybox_rootfs(&root)?;
    for tool in ["tr", "cut"] {
        std::os::unix::fs::symlink("busybox", root.join("bin").join(tool)).expect("a link");
    }
    for path in ["bin/x", "e"] {
        fs::write(root.join(path), PROGRAM).expect("written");
        fs::set_permissions(root.join(path), fs::Permissions::from_mode(0o755)).expect("own");
    }
    fs::write(root.join("etc/passwd"), PASSWD).expect("written");
    fs::write(root.join("etc/group"), GROUP).expect("written");
    fs::create_dir(root.join("data")).expect("made");
    fs::write(root.join("data/seed"), "").expect("written");
    shell(&root, "chown 1000:1000 data; chmod 750 data");
    plimsoll.good(&["pack", "tree", "oci:images:base"]);
    let read = |path: &str| -> Value {
        serde_json::from_slice(&fs::read(scratch.join(path)).expect("there")).expect("JSON")
    };
    let blob = |digest: &Value| {
        format!("images/blobs/{}", digest.as_str().expect("a digest").replace(':', "/"))
    };
    let add = |value: &Value| -> Value {
        let text = value.to_string();
        fs::write(scratch.join("blob"), &text).expect("written");
        let sum = shell(scratch.path(), "sha256sum blob | cut -d' ' -f1");
        let sum = sum.trim();
        fs::rename(scratch.join("blob"), scratch.join(&format!("images/blobs/sha256/{sum}")))
            .expect("moved");
        json!({"digest": format!("sha256:{sum}"), "size": text.len()})
    };
    let mut index = read("images/index.json");
    let base = index["manifests"][0].clone();
    let manifest = read(&blob(&base["digest"]));
    let config = read(&blob(&manifest["config"]["digest"]));
    let cases: Vec<Value> = TABLE
        .lines()
        .filter(|line| line.starts_with('{'))
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    for (number, case) in cases.iter().enumerate() {
        let mut config = config.clone();
        config["config"] = case.clone();
        let mut manifest = manifest.clone();
        let added = add(&config);
        manifest["config"]["digest"] = added["digest"].clone();
        manifest["config"]["size"] = added["size"].clone();
        let added = add(&manifest);
        let mut entry = base.clone();
        entry["digest"] = added["digest"].clone();
        entry["size"] = added["size"].clone();
        entry["annotations"]["org.opencontainers.image.ref.name"] = json!(format!("c{number}"));
        index["manifests"].as_array_mut().expect("a list").push(entry);
    }
    fs::write(scratch.join("images/index.json"), index.to_string()).expect("written");
    Some(cases)
}

/// umoci's bundle, started by runc.
fn umoci(scratch: &Scratch, umoci: &Peer, runc: &Peer, number: usize) -> String {
    let bundle = scratch.text(&format!("umoci-{number}"));
    let image = format!("{}:c{number}", scratch.text("images"));
    let unpacked = run(umoci.command().args(["unpack", "--image", &image, &bundle]));
    if unpacked.code != 0 {
        return "refused".to_owned();
    }
    let path = format!("{bundle}/config.json");
    let mut config: Value =
        serde_json::from_slice(&fs::read(&path).expect("a config")).expect("JSON");
    // It asks for a terminal in any case, and there is none.
    config["process"]["terminal"] = json!(false);
    fs::write(&path, config.to_string()).expect("written");
    let mut command = runc.command();
    command.arg("--root").arg(scratch.join("runc")).args(["run", "--bundle", &bundle]);
    let done = run(command.arg(format!("conversion-{number}-{}", std::process::id())));
    outcome(done.code, &done.out)
}

fn podman(scratch: &Scratch, podman: &Peer, number: usize) -> String {
    let mut command = podman.command();
    command.arg("--root").arg(scratch.join("p-root")).arg("--runroot").arg(scratch.join("p-run"));
    command.args(["--storage-driver", "vfs", "--runtime", "runc", "--cgroup-manager=cgroupfs"]);
    command.args(["run", "-q", "--rm", "--network=none", "--ulimit", "nofile=1024:1024"]);
    let image = format!("oci:{}:c{number}", scratch.text("images"));
    let done = run(command.args(["--ulimit", "nproc=1000:1000", &image]));
    outcome(done.code, &done.out)
}

/// containerd with all images.
fn imported(scratch: &Scratch, plimsoll: &Program) -> Option<Containerd> {
    let there = Containerd::start(scratch)?;
    plimsoll.good(&["copy", "--all", "oci:images", "oci-archive:all.tar"]);
    let archive = scratch.text("all.tar");
    let words = ["image", "import", "--base-name", "conversion", "--snapshotter", "native"];
    match there.listens.then(|| there.ctr(&[&words[..], &[archive.as_str()]].concat())) {
        Some(done) if done.code == 0 => Some(there),
        other => {
            skip(&format!("containerd here: {}", other.map_or(String::new(), |done| done.err)));
            None
        }
    }
}

fn in_containerd(containerd: &Containerd, number: usize) -> String {
    let (image, id) = (format!("conversion:c{number}"), format!("c{number}"));
    let done = containerd.ctr(&["run", "--rm", "--snapshotter", "native", &image, &id]);
    outcome(done.code, &done.out)
}

#[test]
fn each_difference_between_engines_has_a_reason() {
    if !is_root("users of the image") {
        return;
    }
    let scratch = Scratch::new();
    let plimsoll = Program::copied(scratch.path());
    let Some(cases) = images(&scratch, &plimsoll) else { return };
    let tools = (peer("umoci"), peer("runc"), peer("podman"));
    let containerd = imported(&scratch, &plimsoll);
    let (mut wrong, mut used) = (Vec::new(), vec![false; KNOWN.len()]);
    for (number, case) in cases.iter().enumerate() {
        let text = case.to_string();
        let image = format!("oci:images:c{number}");
        let done = plimsoll.run(&["run", "--network=none", &image]);
        let ours = outcome(done.code, &done.out);
        if OURS.lines().nth(number) != Some(&ours) {
            wrong.push(format!("{text}: not what conversion.golden says\n  plimsoll   {ours}"));
        }
        let mut theirs = Vec::new();
        if let (Some(tool), Some(runc)) = (&tools.0, &tools.1) {
            theirs.push(("umoci", umoci(&scratch, tool, runc, number)));
        }
        if let Some(tool) = &tools.2 {
            theirs.push(("podman", podman(&scratch, tool, number)));
        }
        if let Some(containerd) = &containerd {
            theirs.push(("containerd", in_containerd(containerd, number)));
        }
        for (engine, said) in theirs {
            for (part, says) in differences(&ours, &said) {
                let known = KNOWN.iter().position(|known| {
                    text.contains(known.config)
                        && known.engine == engine
                        && known.part == part
                        && known.says.replace("{PATHS}", PATHS) == says
                });
                match known {
                    Some(known) => used[known] = true,
                    None => wrong
                        .push(format!("{text}: {part}\n  plimsoll   {ours}\n  {engine:10} {said}")),
                }
            }
        }
    }
    assert!(wrong.is_empty(), "differences without a reason:\n{}", wrong.join("\n"));
    for (Known { config, engine, why, .. }, used) in KNOWN.iter().zip(used) {
        if !used {
            skip(&format!("{engine} here no longer differs in {config:?}: {why}"));
        }
    }
}
