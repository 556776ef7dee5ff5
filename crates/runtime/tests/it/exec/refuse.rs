//! Configs that ask for what is not enforced.

use std::path::Path;
use std::process::{Command, Stdio};

use plimsoll_runtime::spec::Spec;
use serde_json::{Value, json};

use super::support::{Caller, Done, Image, callers};

/// Sets the member at a JSON pointer, whose parent must be there.
fn with(spec: &Spec, pointer: &str, value: Value) -> Spec {
    let mut document = serde_json::to_value(spec).expect("a document");
    let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
    match document.pointer_mut(parent).expect("a parent") {
        Value::Array(list) => list.push(value),
        parent => parent[name] = value,
    }
    Spec::parse(&serde_json::to_vec(&document).expect("bytes")).expect("a config")
}

#[test]
fn what_is_not_enforced_is_refused_by_its_path() {
    // An ordinary user, if there is one: no cgroup is his.
    let Some(caller) = callers().pop() else { return };
    let image = Image::new(caller);
    let spec = image.spec(&["true"]);
    for (pointer, value, path) in [
        ("/hooks", json!({}), "hooks"),
        ("/vm", json!({}), "vm"),
        ("/domainname", json!("d"), "domainname"),
        ("/process/apparmorProfile", json!("p"), "process.apparmorProfile"),
        ("/process/selinuxLabel", json!("l"), "process.selinuxLabel"),
        ("/process/oomScoreAdj", json!(0), "process.oomScoreAdj"),
        ("/process/scheduler", json!({}), "process.scheduler"),
        ("/process/capabilities/bounding/0", json!("CAP_X"), "process.capabilities.bounding[11]"),
        ("/process/rlimits", json!([{"type":"RLIMIT_X","soft":1,"hard":1}]), "process.rlimits[0]"),
        ("/linux/intelRdt", json!({}), "linux.intelRdt"),
        ("/linux/sysctl", json!({}), "linux.sysctl"),
        ("/linux/cgroupsPath", json!("/x"), "linux.cgroupsPath"),
        ("/linux/resources", json!({"blockIO":{}}), "linux.resources.blockIO"),
        ("/linux/resources", json!({"memory":{"swap":1}}), "linux.resources.memory.swap"),
        ("/linux/resources", json!({"devices":[{"allow":true}]}), "linux.resources.devices"),
        ("/linux/namespaces/0", json!({"type":"user"}), "linux.namespaces[6]"),
        ("/linux/namespaces/0", json!({"type":"time"}), "linux.namespaces[6]"),
        ("/linux/namespaces/0/path", json!("/proc/1/ns/pid"), "linux.namespaces[0].path"),
        ("/linux/rootfsPropagation", json!("shared"), "linux.rootfsPropagation"),
        ("/linux/seccomp/listenerPath", json!("/x"), "linux.seccomp.listenerPath"),
        ("/linux/seccomp/flags", json!([]), "linux.seccomp.flags"),
        (
            "/linux/devices",
            json!([{"path":"/tmp/d","type":"c","major":1,"minor":3}]),
            "linux.devices[0].path",
        ),
        (
            "/mounts/0",
            json!({"destination":"/x","type":"ext4","source":"/dev/sda"}),
            "mounts[6].type",
        ),
        (
            "/mounts/0",
            json!({"destination":"/x","type":"tmpfs","options":["tmpcopyup"]}),
            "mounts[6].options",
        ),
        (
            "/mounts/0",
            json!({"destination":"/x","type":"bind","source":"/etc","options":["rshared"]}),
            "mounts[6].options",
        ),
    ] {
        let reason = image.run(&with(&spec, pointer, value)).refused();
        let sentence =
            format!("config.json asks for {path}, which the embedded runtime does not enforce");
        assert!(reason.contains(&sentence), "{pointer}: {reason}");
        assert!(reason.contains("use --runtime runc"), "{pointer}: {reason}");
    }
}

#[test]
fn what_nothing_can_be_started_without_must_be_there() {
    let Some(caller) = callers().pop() else { return };
    let image = Image::new(caller);
    let spec = image.spec(&["true"]);
    for (pointer, value, path) in [
        ("/process/args", json!([]), "process.args"),
        ("/process/args", json!([""]), "process.args"),
        ("/process/cwd", json!("tmp"), "process.cwd"),
        ("/linux/namespaces", json!([{"type":"mount"}]), "linux.namespaces"),
        ("/linux/namespaces", json!([{"type":"pid"}]), "linux.namespaces"),
        ("/mounts", json!([]), "mounts: tmpfs at /dev"),
        ("/mounts/0", json!({"destination":"/x","type":"bind","source":"x"}), "mounts[6].source"),
        ("/mounts/0", json!({"destination":"x","type":"tmpfs"}), "mounts[6].destination"),
        ("/mounts/0", json!({"destination":"/","type":"tmpfs"}), "mounts[6].destination"),
    ] {
        let reason = image.run(&with(&spec, pointer, value)).refused();
        assert!(reason.contains(&format!("config.json lacks {path}")), "{pointer}: {reason}");
    }
}

#[test]
fn limits_are_set_and_not_raised() {
    let Some(caller) = callers().pop() else { return };
    let image = Image::new(caller);
    let spec = image.spec(&["sh", "-c", "ulimit -n"]);
    let limit = |n: u64| json!([{"type":"RLIMIT_NOFILE","soft":n,"hard":n}]);
    assert_eq!(image.run(&with(&spec, "/process/rlimits", limit(100))).good(), "100\n");
    let reason = image.run(&with(&spec, "/process/rlimits", limit(u64::MAX - 1))).refused();
    assert!(reason.contains("setting limit RLIMIT_NOFILE"), "{reason}");
}

#[test]
fn device_rules_that_capabilities_would_undo_are_refused_outside_of_user_namespaces() {
    for caller in callers() {
        let image = Image::new(caller);
        let spec = image.spec(&["true"]);
        let spec = with(&spec, "/process/capabilities/bounding/0", json!("CAP_MKNOD"));
        let done = image.run(&spec);
        // Root needs a cgroup that filters devices; users have no devices to make.
        if caller == Caller::Root && done.code == 125 {
            assert!(!Path::new("/sys/fs/cgroup/devices/devices.deny").exists());
            assert!(done.refused().contains("CAP_MKNOD"));
        } else {
            done.good();
        }
    }
}

/// In the new hierarchy of cgroups, which has no files for devices, a program filters them.
#[test]
fn devices_are_filtered_without_the_old_controller() {
    let (fuse, new) = ("/dev/fuse", "/sys/fs/cgroup/unified");
    let Some(caller) = callers().into_iter().find(|caller| *caller == Caller::Root) else { return };
    let pure = Path::new("/sys/fs/cgroup/cgroup.procs").exists();
    if !(pure || Path::new(new).is_dir()) || !Path::new(fuse).exists() {
        eprintln!("SKIP devices in new cgroups: no such hierarchy, or no {fuse}");
        return;
    }
    let image = Image::new(caller);
    // Its own file system with devices, so that nothing but the filter holds them back.
    let script = "mkdir -p /m; mount -t tmpfs none /m; mknod /m/null c 1 3; mknod /m/fuse c 10 229
        echo x > /m/null && echo null; (: < /m/fuse) 2>/dev/null && echo fuse; exit 0";
    let mut spec = image.spec(&["sh", "-c", script]);
    for set in ["bounding", "permitted", "effective"] {
        for name in ["CAP_MKNOD", "CAP_SYS_ADMIN"] {
            spec = with(&spec, &format!("/process/capabilities/{set}/0"), json!(name));
        }
    }
    let spec = with(&spec, "/linux/seccomp", Value::Null);
    let run = |spec: &Spec| {
        let started = image.command(spec, &[]);
        let mut command = Command::new("unshare");
        let hide = "umount /sys/fs/cgroup/devices 2>/dev/null; exec \"$@\"";
        command.args(["-m", "sh", "-c", hide, "sh"]).arg(started.get_program());
        Done::of({
            command.args(started.get_args()).stdin(Stdio::null());
            command
        })
    };
    let closed = run(&spec);
    if closed.code == 125 && closed.stderr.contains("linux.resources.devices") {
        eprintln!("SKIP devices in new cgroups: {}", closed.stderr);
        return;
    }
    assert_eq!(closed.good(), "null\n");
    let rule = |allow, access: &str| json!({"allow": allow, "type": "c", "major": 10, "minor": 229, "access": access});
    let open = with(&spec, "/linux/resources", json!({"devices": [rule(true, "rw")]}));
    assert_eq!(run(&open).good(), "null\nfuse\n");
    let later = json!({"devices": [rule(true, "rw"), rule(false, "r")]});
    assert_eq!(run(&with(&spec, "/linux/resources", later)).good(), "null\n");
    let left = std::fs::read_dir(if pure { "/sys/fs/cgroup" } else { new }).expect("listed");
    let left =
        left.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with("plimsoll-"));
    let left: Vec<_> = left.map(|entry| entry.path()).collect();
    assert!(
        left.iter().all(|path| {
            std::fs::read_to_string(path.join("cgroup.procs")).is_ok_and(|text| !text.is_empty())
        }),
        "{left:?}"
    );
}

#[test]
fn a_filter_answers_each_call_as_the_config_says() {
    for caller in callers() {
        let image = Image::new(caller);
        let spec = image.spec(&["sh", "-c", "mkdir /tmp/a; ln /bin/sh /tmp/b; exit 0"]);
        let filter = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
            {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28},
            {"names": ["link", "linkat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 122}]});
        let done = image.run(&with(&spec, "/linux/seccomp", filter));
        assert!(done.stderr.contains("No space left on device"), "{done:?}");
        assert!(done.stderr.contains("quota exceeded"), "{done:?}");
        let filter = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
            {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_KILL_PROCESS"}]});
        let spec = image.spec(&["mkdir", "/tmp/a"]);
        assert_eq!(image.run(&with(&spec, "/linux/seccomp", filter)).code, 128 + 31, "{caller:?}");
    }
}
