//! Image configs to runtime configs: the table of cases in which engines
//! differ, the rules CV1 to CV39, and hostile configs.

use std::fs;

use plimsoll_content::{Code, Result};
use plimsoll_layer::Root;
use plimsoll_runtime::convert::{
    Conversion, IdMappings, Network, Overrides, SystemCalls, Users, to_runtime, volume,
};
use plimsoll_runtime::spec::{NamespaceKind, Process, Spec};
use plimsoll_runtime::user::{self, User};
use plimsoll_spec::{Config, Execution};
use serde_json::{Value, json};

const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

fn config(execution: Value) -> Config {
    serde_json::from_value(json!({
        "architecture": "amd64", "os": "linux", "config": execution,
        "rootfs": {"type": "layers", "diff_ids": []},
    }))
    .expect("a config")
}

fn app() -> User {
    User {
        uid: 1000,
        gid: 1000,
        additional_gids: vec![1000, 2000, 2001],
        home: "/home/app".to_owned(),
        findings: Vec::new(),
    }
}

fn convert(execution: Value, overrides: &Overrides) -> Result<Conversion> {
    to_runtime(&config(execution), &app(), overrides)
}

fn plain(execution: Value) -> Conversion {
    convert(execution, &Overrides::default()).expect("converted")
}

fn process(conversion: &Conversion) -> &Process {
    conversion.spec.process.as_ref().expect("a process")
}

fn refusal(execution: Value, overrides: &Overrides) -> String {
    let error = convert(execution, overrides).expect_err("refused");
    format!("{}: {error}", error.code())
}

fn strings(list: &[&str]) -> Vec<String> {
    list.iter().map(ToString::to_string).collect()
}

/// The 31 images on which umoci, podman and containerd were compared, and
/// what we make of each. The columns: what the image says, and then
/// `uid:gid groups | args | env | cwd`, or the error; `!` per finding.
#[test]
fn gives_what_the_table_of_all_images_says() {
    let folder = tempfile::tempdir().expect("folder");
    fs::create_dir(folder.path().join("etc")).expect("made");
    let passwd = "root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n";
    let group = "root:x:0:\napp:x:1000:\nextra:x:2000:app\nextra2:x:2001:app,root\n";
    fs::write(folder.path().join("etc/passwd"), passwd).expect("written");
    fs::write(folder.path().join("etc/group"), group).expect("written");
    let root = Root::open(folder.path()).expect("opened");
    let golden = include_str!("convert.golden");
    let mut made = String::new();
    for line in golden.lines().filter(|line| !line.starts_with("    ")) {
        made += line;
        made += "\n    ";
        if line.starts_with('#') || line.is_empty() {
            made.truncate(made.len() - 4);
            continue;
        }
        let execution: Value = serde_json::from_str(line).expect("JSON");
        made += &outcome(&root, execution);
        made += "\n";
    }
    assert_eq!(made, golden, "\n{made}");
}

fn outcome(root: &Root, execution: Value) -> String {
    let name = execution.get("User").and_then(Value::as_str).unwrap_or_default().to_owned();
    let converted = user::resolve(root, &name)
        .and_then(|user| to_runtime(&config(execution), &user, &Overrides::default()));
    let conversion = match converted {
        Ok(conversion) => conversion,
        Err(error) => return format!("{}: {error}", error.code()),
    };
    let process = process(&conversion);
    let env = process.env.join(" ").replace(PATH, "PATH=…");
    let mut text = format!(
        "{}:{} {:?} | {} | {env} | {}",
        process.user.uid,
        process.user.gid,
        process.user.additional_gids,
        process.args.join(" "),
        process.cwd
    );
    if !conversion.volumes.is_empty() {
        text = format!("{text} | volumes {}", conversion.volumes.join(" "));
    }
    if conversion.stop_signal != 15 {
        text = format!("{text} | stop {}", conversion.stop_signal);
    }
    text + &" !".repeat(conversion.findings.len())
}

#[test]
fn cv1_the_default_config_is_complete_and_stays_the_same() {
    let conversion = plain(json!({"Cmd": ["/bin/true"]}));
    let bytes = conversion.spec.to_bytes().expect("written");
    assert_eq!(Spec::parse(&bytes).expect("read"), conversion.spec);
    assert!(conversion.spec.unknown().is_empty());
    assert_eq!(bytes, plain(json!({"Cmd": ["/bin/true"]})).spec.to_bytes().expect("written"));

    let mut value: Value = serde_json::from_slice(&bytes).expect("JSON");
    // The filter has tests of its own.
    value["linux"]["seccomp"]["syscalls"] = json!([]);
    let defaults = json!([
        "CAP_CHOWN",
        "CAP_DAC_OVERRIDE",
        "CAP_FOWNER",
        "CAP_FSETID",
        "CAP_KILL",
        "CAP_SETGID",
        "CAP_SETUID",
        "CAP_SETPCAP",
        "CAP_NET_BIND_SERVICE",
        "CAP_SYS_CHROOT",
        "CAP_SETFCAP",
    ]);
    let expected = json!({
        "ociVersion": "1.0.2",
        "root": {"path": "rootfs"},
        "process": {
            "user": {"uid": 1000, "gid": 1000, "umask": 18, "additionalGids": [1000, 2000, 2001]},
            "args": ["/bin/true"],
            "env": [PATH, "HOME=/home/app"],
            "cwd": "/",
            "capabilities": {
                "bounding": defaults, "effective": [], "permitted": [],
                "inheritable": [], "ambient": [],
            },
        },
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc",
             "options": ["nosuid", "noexec", "nodev"]},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
             "options": ["nosuid", "noexec", "strictatime", "mode=755", "size=65536k"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
             "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
            {"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
             "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]},
            {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue",
             "options": ["nosuid", "noexec", "nodev"]},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs",
             "options": ["nosuid", "noexec", "nodev", "ro"]},
        ],
        "annotations": {
            "org.opencontainers.image.os": "linux",
            "org.opencontainers.image.architecture": "amd64",
        },
        "linux": {
            "namespaces": [
                {"type": "pid"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"},
                {"type": "cgroup"}, {"type": "network"},
            ],
            "resources": {"devices": [{"allow": false, "access": "rwm"}]},
            "seccomp": {
                "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1,
                "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [],
            },
            "maskedPaths": [
                "/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys",
                "/proc/latency_stats", "/proc/sched_debug", "/proc/scsi", "/proc/timer_list",
                "/proc/timer_stats", "/sys/dev/block", "/sys/devices/virtual/powercap",
                "/sys/firmware", "/sys/fs/selinux",
            ],
            "readonlyPaths": [
                "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger",
            ],
        },
    });
    assert_eq!(value, expected, "{value:#}");
}

#[test]
fn cv2_cv9_cv10_arguments_replace_cmd_and_an_entrypoint_drops_it() {
    let image = json!({"Entrypoint": ["/e", "1"], "Cmd": ["c"]});
    let bare = json!({});
    let args = |image: &Value, entrypoint: Option<&[&str]>, args: &[&str]| {
        let overrides = Overrides {
            entrypoint: entrypoint.map(strings),
            args: strings(args),
            ..Overrides::default()
        };
        convert(image.clone(), &overrides).map(|conversion| process(&conversion).args.join(" "))
    };
    for (entrypoint, given, expected) in [
        (None, &[][..], "/e 1 c"),
        (None, &["a", "b"], "/e 1 a b"),
        (Some(&["/x"][..]), &[], "/x"),
        (Some(&["/x"]), &["a"], "/x a"),
        (Some(&[]), &["a", ""], "a "),
        (Some(&[""]), &["a"], "a"),
    ] {
        assert_eq!(args(&image, entrypoint, given).expect("args"), expected);
    }
    assert_eq!(args(&bare, None, &["a"]).expect("args"), "a");
    assert_eq!(
        args(&bare, None, &[]).expect_err("nothing").to_string(),
        "image config has neither Entrypoint nor Cmd: give --entrypoint, or to run a command after \"--\""
    );
    assert!(args(&image, Some(&[""]), &[]).is_err());
}

#[test]
fn rt09_commands_that_no_kernel_starts_are_refused() {
    let none = Overrides::default();
    for image in [
        json!({"Entrypoint": [], "Cmd": []}),
        json!({"Entrypoint": null}),
        json!({"Entrypoint": [""]}),
        json!({"Entrypoint": ["a\u{0}b"]}),
        json!({"Cmd": ["a", "\u{0}"]}),
    ] {
        assert!(refusal(image.clone(), &none).starts_with("E_CONFIG"), "{image}");
    }
    for image in [
        json!({"Entrypoint": ["x".repeat(2 << 20)]}),
        json!({"Cmd": vec!["x"; 700_000]}),
        json!({"Cmd": vec!["x".repeat(100_000); 100]}),
    ] {
        assert!(refusal(image, &none).starts_with("E_LIMIT"));
    }
    assert!(serde_json::from_value::<Execution>(json!({"Cmd": [1]})).is_err());
    assert!(serde_json::from_value::<Execution>(json!({"Cmd": "sh"})).is_err());
    convert(json!({"Cmd": ["x".repeat(131_071)]}), &none).expect("what Linux takes");
}

#[test]
fn cv4_cv6_cv8_the_environment_is_the_images_and_defaults_fill_gaps() {
    let env = |image: &[&str], ours: &[&str], tty| {
        let overrides = Overrides { env: strings(ours), tty, ..Overrides::default() };
        let conversion =
            convert(json!({"Cmd": ["x"], "Env": image}), &overrides).expect("converted");
        (process(&conversion).env.clone(), conversion.findings.len())
    };
    assert_eq!(env(&[], &[], false), (strings(&[PATH, "HOME=/home/app"]), 0));
    assert_eq!(env(&[], &[], true), (strings(&[PATH, "HOME=/home/app", "TERM=xterm"]), 0));
    let verbatim =
        ["B= x=y ", "A=", "PATH=", "HOME=/h", "TERM=t", "L=a\nb", "é=ü", " =", "LD_PRELOAD=/x"];
    assert_eq!(env(&verbatim, &[], true), (strings(&verbatim), 0));
    // Of several entries with one name the last counts, with a finding.
    assert_eq!(
        env(&["PATH=/a", "X=1", "PATH=/b", "PATH=/c", "HOME=/"], &[], false),
        (strings(&["X=1", "PATH=/c", "HOME=/"]), 1)
    );
    // The caller's entries win without one.
    assert_eq!(
        env(&["X=1", "Y=2", "HOME=/"], &["X=3", "PATH=/p", "Z=4", "Z=5"], false),
        (strings(&["Y=2", "HOME=/", "X=3", "PATH=/p", "Z=5"]), 0)
    );
}

#[test]
fn rt07_entries_that_programs_read_differently_are_refused_by_name() {
    let none = Overrides::default();
    let image = |entry: &str| json!({"Cmd": ["x"], "Env": ["GOOD=1", entry]});
    assert_eq!(
        refusal(image("NOEQUALS"), &none),
        r#"E_CONFIG: Env entry "NOEQUALS": found no =, expected NAME=value"#
    );
    assert!(refusal(image(""), &none).contains(r#"Env entry "": found no ="#));
    assert!(refusal(image("=x"), &none).contains("found no name before the ="));
    assert!(refusal(image("A=b\0c"), &none).contains(r#"Env entry "A=b\0c": found a NUL"#));
    let ours = Overrides { env: strings(&["OURS"]), ..Overrides::default() };
    assert!(refusal(image("A=b"), &ours).contains(r#"--env "OURS": found no ="#));
    assert!(refusal(image(&format!("A={}", "x".repeat(10 << 20))), &none).starts_with("E_LIMIT"));
    let many: Vec<_> = (0..400_000).map(|n| format!("N{n}=")).collect();
    assert!(refusal(json!({"Cmd": ["x"], "Env": many}), &none).starts_with("E_LIMIT"));
    let same: Vec<_> = (0..100_000).map(|n| format!("A={n}")).collect();
    let conversion = plain(json!({"Cmd": ["x"], "Env": same}));
    assert_eq!(process(&conversion).env[0], "A=99999");
    assert_eq!(conversion.findings.len(), 1);
}

#[test]
fn cv5_rt04_the_working_folder_is_absolute_and_verbatim() {
    let none = Overrides::default();
    let image = |cwd: &str| json!({"Cmd": ["x"], "WorkingDir": cwd});
    for (cwd, expected) in [
        ("", "/"),
        ("/", "/"),
        ("/a/../b//c/", "/a/../b//c/"),
        ("/proc", "/proc"),
        ("/../..", "/../.."),
    ] {
        assert_eq!(process(&plain(image(cwd))).cwd, expected);
    }
    assert_eq!(process(&plain(json!({"Cmd": ["x"]}))).cwd, "/");
    let ours = Overrides { workdir: Some("/w".to_owned()), ..Overrides::default() };
    assert_eq!(process(&convert(image("/x"), &ours).expect("converted")).cwd, "/w");
    for cwd in [
        "a",
        "./a",
        "../..",
        "/a\0",
        "/proc/self/fd/7",
        "/proc/./1/root",
        "/x/../proc//self/cwd",
        &format!("/{}", "a/".repeat(2500)),
    ] {
        assert!(refusal(image(cwd), &none).starts_with("E_CONFIG"), "{cwd:?}");
    }
}

#[test]
fn cv11_to_cv20_cv31_the_image_is_described_by_annotations() {
    let mut config = config(json!({
        "Cmd": ["x"], "StopSignal": "SIGQUIT",
        "ExposedPorts": {"80/tcp": {}, "53/udp": {}, "99999/tcp": {}},
        "Labels": {"a": "b", "org.opencontainers.image.author": "the label", "empty": ""},
    }));
    config.variant = Some("v3".to_owned());
    config.os_version = Some("6.1".to_owned());
    config.os_features = strings(&["one", "two"]);
    config.author = Some("the config".to_owned());
    config.created = Some("2026-01-02T03:04:05.6Z".to_owned());
    let overrides = Overrides {
        annotations: [("mine".to_owned(), "1".to_owned())].into(),
        ..Overrides::default()
    };
    let conversion = to_runtime(&config, &app(), &overrides).expect("converted");
    let prefix = "org.opencontainers.image.";
    let expected = [
        ("a", "b"),
        ("empty", ""),
        ("mine", "1"),
        (&format!("{prefix}architecture"), "amd64"),
        (&format!("{prefix}author"), "the label"),
        (&format!("{prefix}created"), "2026-01-02T03:04:05.6Z"),
        (&format!("{prefix}exposedPorts"), "53/udp,80/tcp,99999/tcp"),
        (&format!("{prefix}os"), "linux"),
        (&format!("{prefix}os.features"), "one,two"),
        (&format!("{prefix}os.version"), "6.1"),
        (&format!("{prefix}stopSignal"), "SIGQUIT"),
        (&format!("{prefix}variant"), "v3"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(conversion.spec.annotations, expected.into());
    assert_eq!(conversion.stop_signal, 3);
    assert_eq!(
        conversion.findings,
        [r#"exposed port "99999/tcp" is none; it is only carried over"#]
    );
}

#[test]
fn rt08_labels_give_no_orders_to_runtimes() {
    let labels = json!({
        "run.oci.handler": "krun",
        "run.oci.hooks.stderr": "/etc/x",
        "org.criu.config": "/x",
        "org.systemd.property.ExecStart": "'/x'",
        "io.katacontainers.config.hypervisor.path": "/x",
        "": "nameless",
        "io.containerd.image.x": "data",
        "run.ocixyz": "data",
    });
    let conversion = plain(json!({"Cmd": ["x"], "Labels": labels}));
    let names: Vec<_> = conversion.spec.annotations.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "io.containerd.image.x",
            "org.opencontainers.image.architecture",
            "org.opencontainers.image.os",
            "run.ocixyz"
        ]
    );
    assert_eq!(conversion.findings.len(), 6);
    assert!(conversion.spec.other.is_empty(), "no hooks");
}

#[test]
fn rt06_volumes_stay_below_the_root_and_off_the_own_mounts() {
    let none = Overrides::default();
    let image = |path: &str| json!({"Cmd": ["x"], "Volumes": {path: {}}});
    for path in [
        "",
        "/",
        "//.",
        "data",
        "./data",
        "../x",
        "/../x",
        "/a/..",
        "/proc",
        "/proc/",
        "/proc/self/fd",
        "/./sys/kernel",
        "/dev",
        "/a\0b",
        &"/a".repeat(2048),
    ] {
        assert!(refusal(image(path), &none).starts_with("E_CONFIG"), "{path:?}");
    }
    let many: serde_json::Map<_, _> = (0..100_000).map(|n| (format!("/v{n}"), json!({}))).collect();
    assert!(refusal(json!({"Cmd": ["x"], "Volumes": many}), &none).starts_with("E_LIMIT"));
}

#[test]
fn cv30_cv33_volumes_are_told_in_normal_form_a_folder_before_what_it_holds() {
    let volumes = json!({"/b/c": {}, "/a/": {}, "//a": {}, "/b": {}, "/dev/shm/x": {}, "/b-c": {}});
    let conversion = plain(json!({"Cmd": ["x"], "Volumes": volumes}));
    assert_eq!(conversion.volumes, ["/a", "/b", "/b-c", "/b/c", "/dev/shm/x"]);
    let mount = volume(&conversion.volumes[0], "volumes/0");
    assert_eq!((mount.destination.as_str(), mount.source.as_deref()), ("/a", Some("volumes/0")));
}

#[test]
fn rt10_a_stop_signal_that_does_not_exist_is_refused() {
    for text in ["SIGRTMIN+99", "0", "65"] {
        let refusal = refusal(json!({"Cmd": ["x"], "StopSignal": text}), &Overrides::default());
        assert!(refusal.starts_with(&format!("E_CONFIG: stop signal {text:?}")), "{refusal}");
    }
    assert_eq!(plain(json!({"Cmd": ["x"], "StopSignal": ""})).stop_signal, 15);
}

#[test]
fn rt11_health_checks_and_triggers_are_not_executed() {
    let conversion = plain(json!({
        "Cmd": ["x"], "Healthcheck": {"Test": ["CMD", "/evil"]}, "OnBuild": ["RUN /evil"],
        "Shell": ["/evil"], "ArgsEscaped": true,
    }));
    let text = String::from_utf8(conversion.spec.to_bytes().expect("written")).expect("UTF-8");
    assert!(!text.contains("evil"));
}

#[test]
fn only_linux_images_become_linux_configs() {
    for os in ["windows", "", "Linux", "freebsd"] {
        let config = Config { os: os.to_owned(), ..config(json!({"Cmd": ["x"]})) };
        let error = to_runtime(&config, &app(), &Overrides::default()).expect_err(os);
        assert_eq!(error.code(), Code::Platform);
    }
}

#[test]
fn an_ordinary_user_gets_a_user_namespace_and_what_it_can_hold() {
    let image = json!({"Cmd": ["x"]});
    let with = |users, network| Overrides { users, network, ..Overrides::default() };
    let root = User { uid: 0, gid: 0, additional_gids: vec![0, 2001], ..app() };
    let only = Users::New(IdMappings::only(1001, 1002));

    let error = convert(image.clone(), &with(only.clone(), Network::Private)).expect_err("app");
    assert_eq!(error.code(), Code::UserNamespace);
    assert_eq!(
        error.to_string(),
        "no user namespace with more ids for uid 1001, so only uid 0 of the image can exist: \
         found image wants uid 1000"
    );

    let conversion =
        to_runtime(&config(image.clone()), &root, &with(only, Network::Private)).expect("root");
    let linux = conversion.spec.linux.as_ref().expect("linux");
    assert!(linux.has(NamespaceKind::User) && linux.resources.is_none());
    assert_eq!((linux.uid_mappings[0].host_id, linux.gid_mappings[0].host_id), (1001, 1002));
    assert!(process(&conversion).user.additional_gids.is_empty());
    assert_eq!(
        conversion.findings,
        ["supplementary groups 2001 are left out: the user namespace does not have them"]
    );
    let options = |conversion: &Conversion, destination: &str| {
        let mut mounts = conversion.spec.mounts.iter();
        let mount = mounts.find(|mount| mount.destination == destination).expect("mounted");
        format!("{} {}", mount.kind.as_deref().unwrap_or_default(), mount.options.join(","))
    };
    assert!(!options(&conversion, "/dev/pts").contains("gid="));
    assert!(options(&conversion, "/sys").starts_with("sysfs"));

    let mut range = IdMappings::only(0, 0);
    for mapping in [&mut range.uids[0], &mut range.gids[0]] {
        mapping.size = 2001;
    }
    range.setgroups = true;
    let entered = with(Users::Entered(range), Network::Inherited);
    let conversion = convert(image, &entered).expect("app");
    let linux = conversion.spec.linux.as_ref().expect("linux");
    assert!(!linux.has(NamespaceKind::User) && !linux.has(NamespaceKind::Network));
    assert!(linux.uid_mappings.is_empty() && linux.resources.is_none());
    assert!(linux.masked_paths.contains(&"/sys/fs/cgroup".to_owned()));
    assert_eq!(process(&conversion).user.additional_gids, [1000, 2000]);
    assert_eq!(conversion.findings.len(), 1);
    assert!(options(&conversion, "/dev/pts").contains("gid=5"));
    assert_eq!(options(&conversion, "/sys"), "bind rbind,rprivate,nosuid,noexec,nodev,ro");
}

#[test]
fn rt14_root_holds_the_default_capabilities_and_nothing_is_inheritable() {
    let root = User { uid: 0, ..app() };
    let conversion = to_runtime(&config(json!({"Cmd": ["x"]})), &root, &Overrides::default());
    let conversion = conversion.expect("converted");
    let sets = process(&conversion).capabilities.as_ref().expect("sets");
    assert_eq!(sets.effective.len(), 11);
    assert_eq!((&sets.effective, &sets.permitted), (&sets.bounding, &sets.bounding));
    assert!(sets.inheritable.is_empty() && sets.ambient.is_empty());
}

#[test]
fn the_callers_wishes_reach_the_config() {
    let overrides = Overrides {
        hostname: Some("box".to_owned()),
        tty: true,
        read_only: true,
        no_new_privileges: true,
        seccomp: SystemCalls::Unfiltered,
        network: Network::Joined("/run/netns/x".to_owned()),
        cgroup: true,
        mounts: vec![volume("/data", "/srv")],
        ..Overrides::default()
    };
    let conversion = convert(json!({"Cmd": ["x"]}), &overrides).expect("converted");
    let spec = &conversion.spec;
    assert_eq!(spec.hostname.as_deref(), Some("box"));
    assert!(process(&conversion).terminal && process(&conversion).no_new_privileges);
    assert!(spec.root.as_ref().expect("root").readonly);
    let linux = spec.linux.as_ref().expect("linux");
    assert!(linux.seccomp.is_none());
    let joined: Vec<_> = linux.namespaces.iter().filter_map(|n| n.path.as_deref()).collect();
    assert_eq!(joined, ["/run/netns/x"]);
    let destinations: Vec<_> =
        spec.mounts.iter().map(|mount| mount.destination.as_str()).skip(6).collect();
    assert_eq!(destinations, ["/sys/fs/cgroup", "/data"]);
}
