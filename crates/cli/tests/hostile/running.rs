//! Images that are run (RT): what is refused is refused before anything
//! starts, and what starts changes nothing outside.

#![allow(clippy::print_stderr, reason = "tests say what they skip")]

use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::archive::{Layer, Tar};
use crate::busybox;
use crate::yard::{As, Done, Yard, program};

const RUN: &[&str] = &["run", "--no-sync", "--network=none", "oci:layout:v1"];

/// What `run` says when something went wrong before the process.
const NOT_STARTED: i32 = 125;

/// The files of a usual image, without any program.
fn files() -> Tar {
    Tar::new()
        .dir("etc")
        .file("etc/passwd", "root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n")
        .file("etc/group", "root:x:0:\napp:x:1000:\nextra:x:2000:app,root\n")
}

/// The same with a shell; nothing where there is none.
fn programs(tar: Tar) -> Option<Tar> {
    let shell = fs::read(busybox::path()?).expect("read");
    let mut tar = tar.dir("bin").mode(0o755).file("bin/busybox", shell);
    for name in [
        "sh", "id", "cat", "ls", "mkdir", "mount", "pwd", "touch", "grep", "echo", "ln", "tr",
        "cut",
    ] {
        tar = tar.link(format!("bin/{name}"), "busybox");
    }
    Some(tar)
}

/// A layer; one with programs is not compressed, which takes most of the time.
fn layer(tar: Tar) -> Layer {
    let plain = tar.done();
    if plain.len() <= 1 << 20 {
        return plain.into();
    }
    Layer::new("application/vnd.oci.image.layer.v1.tar", plain.clone(), plain)
}

/// Runs an image as everybody that there is.
fn each(tar: impl Fn(&Yard) -> Tar, execution: &Value, look: impl Fn(&Yard, Done)) {
    for who in As::all() {
        let yard = Yard::new(*who);
        let layer = layer(tar(&yard));
        let small = layer.blob.len() <= 1 << 20;
        yard.image_of(&[layer], &json!({"config": execution}));
        let done = if small { yard.run_small(RUN) } else { yard.run(RUN) };
        if done.err.contains("making a user namespace") {
            eprintln!("SKIP as {who:?}: {}", done.err.lines().next().unwrap_or_default());
            continue;
        }
        look(&yard, done);
        yard.intact(false);
    }
}

/// Nothing is started, for a reason that says this.
fn refused(tar: impl Fn(&Yard) -> Tar, execution: &Value, why: &str) {
    each(tar, execution, |yard, done| {
        assert_eq!(
            done.code, NOT_STARTED,
            "{execution} as {:?}: {}{}",
            yard.who, done.out, done.err
        );
        assert!(done.err.contains(why), "{execution} as {:?}: {}", yard.who, done.err);
        assert_eq!(done.out, "");
    });
}

/// Whatever comes of it, it is over soon, and nothing outside has changed.
fn harmless(tar: impl Fn(&Yard) -> Tar, execution: &Value) {
    each(tar, execution, |yard, done| {
        assert!(
            matches!(done.code, 0 | NOT_STARTED),
            "as {:?}: {} {}",
            yard.who,
            done.code,
            done.err
        );
        assert!(!done.out.contains("precious"), "{}", done.out);
        assert!(!done.err.contains("E_BUG"), "{}", done.err);
    });
}

fn shell(script: &str) -> Value {
    json!({"Cmd": ["/bin/sh", "-c", script]})
}

#[test]
fn rt01_a_number_that_is_cut_read_as_a_name_or_signed() {
    for user in [
        "4294967296",
        "4294967295",
        "2147483648",
        "2147483648:2147483648",
        "-1",
        "0x0",
        " 0",
        "+0",
        "0 ",
        "1000:4294967296",
        "99999999999999999999",
        "0:-1",
    ] {
        let tar = |_: &Yard| {
            // Names that would make root out of each of them.
            let all = ["4294967296", "4294967295", "2147483648", "-1", "0x0", " 0", "+0"];
            let lines = all.map(|name| format!("{name}:x:0:0::/:/bin/sh\n")).concat();
            Tar::new().dir("etc").file("etc/passwd", lines)
        };
        refused(tar, &json!({"User": user, "Cmd": ["/bin/true"]}), "");
    }
}

#[test]
fn rt02_an_account_whose_number_wraps_to_root() {
    for number in ["4294967296", "-1", "4294967295", "0x0", "", "18446744073709551616"] {
        let tar = |_: &Yard| {
            let line = format!("app:x:{number}:{number}::/:/bin/sh\n");
            Tar::new().dir("etc").file("etc/passwd", line)
        };
        refused(tar, &json!({"User": "app", "Cmd": ["/bin/true"]}), "/etc/passwd");
    }
    let Some(_) = busybox::path() else { return };
    let tar = |_: &Yard| {
        programs(Tar::new().dir("etc").file("etc/passwd", "1000:x:0:0::/:/bin/sh\n"))
            .expect("a shell")
    };
    each(tar, &json!({"User": "1000", "Cmd": ["id", "-u"]}), |yard, done| match yard.who {
        As::Root => assert_eq!((done.out.as_str(), done.code), ("1000\n", 0), "{}", done.err),
        // Alone in his user namespace, nobody can be number 1000.
        As::Ordinary => assert_eq!(done.code, NOT_STARTED, "{}", done.err),
    });
}

#[test]
fn rt03_a_user_database_that_hangs_leads_out_or_has_no_end() {
    let app = json!({"User": "app", "Cmd": ["/bin/true"]});
    let passwd = |make: fn(Tar, &Yard) -> Tar| {
        refused(move |yard: &Yard| make(Tar::new().dir("etc"), yard), &app, "");
    };
    passwd(|tar, _| tar.entry(b'6', "etc/passwd", "", ""));
    passwd(|tar, _| tar.dir("etc/passwd"));
    passwd(|tar, _| tar.link("etc/passwd", "passwd"));
    passwd(|tar, _| tar.link("etc/passwd", "/dev/zero"));
    passwd(|tar, _| tar.link("etc/passwd", "/proc/self/fd/0"));
    passwd(|tar, yard| tar.link("etc/passwd", format!("{}/victim", yard.outside())));
    passwd(|tar, _| tar.link("etc/passwd", "../../../../../../../../etc/passwd"));
    passwd(|tar, _| {
        tar.at(329, "0000001\0").at(337, "0000005\0").entry(b'3', "etc/passwd", "", "")
    });
    passwd(|tar, _| tar.file("etc/passwd", "app:x:0:0::/\0:/bin/sh\n"));
    passwd(|tar, _| tar.file("etc/passwd", "app:x:0:0::/a=b\u{1}:/bin/sh\n".repeat(20_000)));
    passwd(|tar, _| tar.file("etc/passwd", "a".repeat(12 << 20)));
    passwd(|tar, _| tar.file("etc/passwd", "app:x:0"));
    passwd(|tar, _| tar.file("etc", "a file where a folder should be"));
    let group = json!({"User": "0:wheel", "Cmd": ["/bin/true"]});
    let fifo = |_: &Yard| Tar::new().dir("etc").entry(b'6', "etc/group", "", "");
    refused(fifo, &group, "not a regular file");
}

#[test]
fn rt03_links_in_the_image_lead_to_its_own_files() {
    let Some(_) = busybox::path() else { return };
    let tar = |_: &Yard| {
        let tar = Tar::new().dir("etc").dir("nix").file("nix/pw", "app:x:0:0::/at/home:/bin/sh\n");
        programs(tar.link("etc/passwd", "/nix/pw")).expect("a shell")
    };
    let execution = json!({"User": "app", "Cmd": ["/bin/sh", "-c", "echo $HOME"]});
    each(tar, &execution, |_, done| {
        assert_eq!((done.out.as_str(), done.code), ("/at/home\n", 0), "{}", done.err);
    });
}

#[test]
fn rt04_a_working_folder_that_leads_out() {
    let long = format!("/{}", "a/".repeat(2_500));
    for folder in ["tmp", "../..", "./x", &long, "/etc/passwd", "/etc/passwd/x", "/a\0b", "/loop/x"]
    {
        let tar = |_: &Yard| files().link("loop", "loop");
        refused(tar, &json!({"WorkingDir": folder, "Cmd": ["/bin/true"]}), "");
    }
    let Some(_) = busybox::path() else { return };
    let tar = |yard: &Yard| {
        let tar = files().link("out", yard.outside()).link("up", "../../../..").link("root", "/");
        programs(tar).expect("a shell")
    };
    for folder in ["/out", "/out/new", "/up/new", "/root/x", "/proc/1/root", "/proc/self/cwd/../.."]
    {
        harmless(tar, &json!({"WorkingDir": folder, "Cmd": ["/bin/touch", "made"]}));
    }
}

/// CVE-2024-21626: descriptors that were open when the program was started
/// lead nowhere, and do not arrive in the container.
#[test]
fn rt19_descriptors_of_the_caller() {
    let Some(_) = busybox::path() else { return };
    for who in As::all() {
        let yard = Yard::new(*who);
        let tar = programs(files()).expect("a shell");
        let layer: Layer = tar.into();
        yard.image_of(
            std::slice::from_ref(&layer),
            &json!({"config": shell("ls -1 /proc/self/fd | grep -v 3")}),
        );
        let done = yard.run_with_descriptors(RUN);
        if done.err.contains("making a user namespace") {
            continue;
        }
        // The fourth is the folder that `ls` reads.
        assert_eq!((done.out.as_str(), done.code), ("0\n1\n2\n", 0), "{}", done.err);
        for number in 3..41 {
            // Both kinds of descriptor are tried with and without a way up.
            let up = if number % 4 < 2 { "" } else { "/../.." };
            let folder = format!("/proc/self/fd/{number}{up}");
            let words = json!(["cat", "victim", "../victim", "etc/shadow"]);
            let execution = json!({"WorkingDir": folder, "Cmd": words});
            yard.image_of(std::slice::from_ref(&layer), &json!({"config": execution}));
            let done = yard.run_with_descriptors(RUN);
            assert!(done.code != 0 && done.out.is_empty(), "{folder}: {}", done.out);
        }
        yard.intact(false);
    }
}

#[test]
fn rt05_places_that_mounts_need_are_links_or_files() {
    let Some(_) = busybox::path() else { return };
    let script = "echo x > /proc/x; echo x > /dev/x; echo x > /sys/x; echo x > /etc/x; cat /etc/victim; true";
    for name in ["dev", "proc", "sys", "etc"] {
        let plain = || programs(Tar::new()).expect("a shell");
        harmless(|yard: &Yard| plain().link(name, yard.outside()), &shell(script));
        harmless(|_: &Yard| plain().link(name, "/"), &shell(script));
        harmless(|_: &Yard| plain().link(name, "../../../../../../../.."), &shell(script));
        harmless(|_: &Yard| plain().link(name, "/proc/self/root"), &shell(script));
        harmless(|_: &Yard| plain().file(name, "a file"), &shell(script));
        harmless(|_: &Yard| plain().entry(b'6', name, "", ""), &shell(script));
    }
    for (name, target) in [
        ("dev/null", "/etc/passwd"),
        ("dev/pts", "/"),
        ("dev/shm", "/etc"),
        ("dev/mqueue", "/"),
        ("dev/console", "/etc/passwd"),
        ("dev/ptmx", "/etc/passwd"),
        ("proc/kcore", "/etc/passwd"),
        ("proc/sys", "/etc"),
        ("sys/firmware", "/etc"),
        ("etc/hosts", "/etc/passwd"),
    ] {
        let tar = move |_: &Yard| {
            let folder = name.split('/').next().expect("a folder");
            programs(Tar::new().dir(folder).link(name, target)).expect("a shell")
        };
        harmless(tar, &shell(script));
    }
}

#[test]
fn rt06_volumes_that_hide_the_own_mounts_or_lead_out() {
    for volume in ["/", "../x", "/proc", "/proc/sys", "/sys/kernel", "/dev", "/a/../../b", "a", ""]
    {
        refused(|_: &Yard| files(), &json!({"Volumes": {volume: {}}, "Cmd": ["/bin/true"]}), "");
    }
    let many: serde_json::Map<_, _> = (0..20_000).map(|n| (format!("/v{n}"), json!({}))).collect();
    refused(|_: &Yard| files(), &json!({"Volumes": many, "Cmd": ["/bin/true"]}), "");
    let Some(_) = busybox::path() else { return };
    let tar = |yard: &Yard| {
        let tar = files().link("data", yard.outside()).link("up", "/../../../tmp");
        programs(tar.link("deep", format!("{}/deep/er", yard.outside()))).expect("a shell")
    };
    for volume in ["/data", "/data/x", "/up/x", "/deep", "/deep/x/y"] {
        let script = format!("touch {volume}/made; ls {volume}; true");
        let mut execution = shell(&script);
        execution["Volumes"] = json!({volume: {}});
        harmless(tar, &execution);
    }
}

#[test]
fn rt07_entries_of_the_environment_without_one_meaning() {
    for entry in ["NO_EQUALS", "=x", "A=\0", "", "A\0B=c"] {
        refused(|_: &Yard| files(), &json!({"Env": [entry], "Cmd": ["/bin/true"]}), "");
    }
    let many: Vec<_> =
        (0..200_000).map(|n| format!("V{n}=0123456789012345678901234567890")).collect();
    refused(|_: &Yard| files(), &json!({"Env": many, "Cmd": ["/bin/true"]}), "");
    refused(
        |_: &Yard| files(),
        &json!({"Env": [format!("A={}", "x".repeat(200_000))], "Cmd": ["/bin/true"]}),
        "",
    );
    let Some(_) = busybox::path() else { return };
    // What is for the program is not for us.
    let execution = json!({"Env": ["LD_PRELOAD=/evil.so", "PLIMSOLL_STORE=/x", "HOME=/y", "PATH=/bin"],
        "Cmd": ["/bin/sh", "-c", "echo $LD_PRELOAD $PLIMSOLL_STORE $HOME"]});
    each(
        |_: &Yard| programs(files()).expect("a shell"),
        &execution,
        |_, done| {
            assert_eq!((done.out.as_str(), done.code), ("/evil.so /x /y\n", 0), "{}", done.err);
        },
    );
}

#[test]
fn rt08_rt11_words_for_other_engines_are_never_commands() {
    let Some(_) = busybox::path() else { return };
    for who in As::all() {
        let yard = Yard::new(*who);
        let touch = format!("touch {}/made", yard.outside());
        let execution = json!({
            "Cmd": ["/bin/echo", "ran"],
            "Labels": {"io.containerd.runc.v2.binary": "/bin/sh", "com.example.hooks.prestart": touch,
                "org.criu.config": "/etc/passwd", "run.oci.handler": "krun", "module.wasm.image/variant": "compat"},
            "Healthcheck": {"Test": ["CMD-SHELL", touch], "Interval": 1},
            "OnBuild": [format!("RUN {touch}")],
            "Shell": ["/bin/sh", "-c", touch],
            "ArgsEscaped": true,
        });
        yard.image_of(&[layer(programs(files()).expect("a shell"))], &json!({"config": execution}));
        let done = yard.run(RUN);
        if done.err.contains("making a user namespace") {
            continue;
        }
        assert_eq!((done.out.as_str(), done.code), ("ran\n", 0), "{}", done.err);
        yard.intact(false);
    }
}

#[test]
fn rt09_commands_that_are_none() {
    for execution in [
        json!({}),
        json!({"Cmd": []}),
        json!({"Entrypoint": [""]}),
        json!({"Entrypoint": ["", "x"]}),
        json!({"Cmd": ["a\u{0}b"]}),
        json!({"Cmd": "true"}),
        json!({"Cmd": [1]}),
        json!({"Entrypoint": {"a": 1}}),
        json!({"Cmd": ["/bin/true", "x".repeat(2 << 20)]}),
    ] {
        refused(|_: &Yard| files(), &execution, "");
    }
}

#[test]
fn rt10_rt12_stop_signals_and_ports_that_do_not_exist() {
    for signal in ["SIGRTMIN+99", "0", "65", "-1", "SIGNOSUCH", "SIGTERM\u{0}"] {
        refused(|_: &Yard| files(), &json!({"StopSignal": signal, "Cmd": ["/bin/true"]}), "");
    }
    let Some(_) = busybox::path() else { return };
    let execution = json!({"Cmd": ["/bin/echo", "ran"],
        "ExposedPorts": {"99999/tcp": {}, "1-65535/xxx": {}, "80/tcp": {}, "\u{1b}[2J": {}}});
    each(
        |_: &Yard| programs(files()).expect("a shell"),
        &execution,
        |_, done| {
            assert_eq!((done.out.as_str(), done.code), ("ran\n", 0), "{}", done.err);
            assert!(done.err.contains("99999"), "{}", done.err);
        },
    );
}

#[test]
fn rt14_rt15_capabilities_are_not_inherited_and_the_group_comes_first() {
    let Some(_) = busybox::path() else { return };
    let execution = shell("grep -E '^(CapInh|CapAmb|Groups)' /proc/self/status");
    each(
        |_: &Yard| programs(files()).expect("a shell"),
        &execution,
        |yard, done| {
            let zero = "0000000000000000";
            // Alone in his user namespace, nobody has further groups.
            let groups = if yard.who == As::Root { "0 2000" } else { "" };
            let said = done.out.replace(" \n", "\n");
            let said =
                said.replace("Groups:\t0\n", "Groups:\n").replace("Groups:\t\n", "Groups:\n");
            let expected = match groups {
                "" => format!("Groups:\nCapInh:\t{zero}\nCapAmb:\t{zero}\n"),
                groups => format!("Groups:\t{groups}\nCapInh:\t{zero}\nCapAmb:\t{zero}\n"),
            };
            assert!(
                said == expected
                    || yard.who == As::Ordinary && said.contains(&format!("CapInh:\t{zero}")),
                "{said}"
            );
            assert_eq!(done.code, 0, "{}", done.err);
        },
    );
}

#[test]
fn rt16_an_image_for_another_machine() {
    for (os, architecture) in
        [("linux", "s390x"), ("windows", "amd64"), ("plan9", "amd64"), ("linux", "nosuch")]
    {
        for who in As::all() {
            let yard = Yard::new(*who);
            yard.image_of(
                &[files().into()],
                &json!({"os": os, "architecture": architecture, "config": {"Cmd": ["/bin/true"]}}),
            );
            let done = yard.run_small(RUN);
            assert_eq!(done.code, NOT_STARTED, "{os}/{architecture}: {}", done.err);
            assert!(
                done.err.contains("E_PLATFORM") || done.err.contains("user namespace"),
                "{}",
                done.err
            );
        }
    }
}

/// CVE-2019-5736: nothing in the container can run or change this program.
#[test]
fn rt17_the_own_program_as_the_image_s() {
    let before = fs::read(program()).expect("read");
    let bare = |_: &Yard| files();
    for execution in [
        json!({"Entrypoint": ["/proc/self/exe"], "Cmd": ["version"]}),
        json!({"Entrypoint": ["/proc/1/exe"], "Cmd": ["version"]}),
        json!({"Entrypoint": ["/proc/self/fd/3"], "Cmd": ["version"]}),
    ] {
        each(bare, &execution, |_, done| {
            assert!(matches!(done.code, 125..=127), "{}: {}{}", done.code, done.out, done.err);
            assert_eq!(done.out, "");
        });
    }
    let script = |_: &Yard| files().mode(0o755).file("run", "#!/proc/self/exe version\n");
    each(script, &json!({"Entrypoint": ["/run"]}), |_, done| {
        assert!(matches!(done.code, 125..=127), "{}: {}", done.code, done.err);
        assert_eq!(done.out, "");
    });
    assert!(fs::read(program()).expect("read") == before, "the program was changed");
}

/// CVE-2022-0492: no cgroup can be made or changed inside.
#[test]
fn rt18_cgroups_are_out_of_reach() {
    let Some(_) = busybox::path() else { return };
    let script = "mkdir /sys/fs/cgroup/x || echo no; mkdir /c; mount -t cgroup -o memory none /c || echo no; \
                  mount -t cgroup2 none /c || echo no; mount -t tmpfs none /c || echo no; \
                  echo 1 > /proc/sys/kernel/core_pattern || echo no; echo c > /proc/sysrq-trigger || echo no";
    each(
        |_: &Yard| programs(files()).expect("a shell"),
        &shell(script),
        |_, done| {
            assert_eq!(done.out, "no\n".repeat(6), "{}", done.err);
        },
    );
}

/// CVE-2023-27561, CVE-2025-31133: links that change while mounts are made
/// are looked at once, by handle; here the change is there from the start.
#[test]
fn rt20_masked_paths_and_targets_behind_links() {
    let Some(_) = busybox::path() else { return };
    let tar = |yard: &Yard| {
        let tar = files().link("proc", "/fake").dir("fake").link("fake/sys", yard.outside());
        let tar =
            tar.link("fake/kcore", format!("{}/victim", yard.outside())).link("fake/self", "/");
        programs(tar).expect("a shell")
    };
    harmless(tar, &shell("cat /proc/kcore; echo x > /proc/sys/new; true"));
}

/// Who has no ids but his own sees all files as his, and the owners that the
/// image names are recorded as other tools do.
#[test]
fn owners_that_do_not_exist_are_recorded() {
    let Some(_) = busybox::path() else { return };
    let tar = |_: &Yard| {
        let tar = files().owner(1000, 70_000).file("theirs", "x").dir("folder");
        programs(tar.owner(0, 0)).expect("a shell")
    };
    each(tar, &shell("ls -ln /theirs | tr -s ' ' | cut -d' ' -f3,4; cat /theirs"), |yard, done| {
        let owner = if yard.who == As::Root { "1000 70000" } else { "0 0" };
        assert_eq!((done.out, done.code), (format!("{owner}\nx"), 0), "{}", done.err);
        if yard.who == As::Ordinary {
            let cache = yard.path("home/store/cache/layers-single");
            let words = ["-R", "-n", "user.rootlesscontainers", "--absolute-names"];
            let found = std::process::Command::new("getfattr").args(words).arg(&cache).output();
            let Ok(found) = found else { return eprintln!("SKIP recorded owners: no getfattr") };
            let text = String::from_utf8_lossy(&found.stdout);
            assert!(text.contains("diff/theirs"), "{text}");
        }
    });
}

#[test]
fn refusals_take_less_than_a_second() {
    let started = Instant::now();
    let yard = Yard::new(As::all()[0]);
    let tar = Tar::new().dir("etc").entry(b'6', "etc/passwd", "", "");
    yard.image_of(&[tar.into()], &json!({"config": {"User": "app", "Cmd": ["/bin/true"]}}));
    let done = yard.run_small(RUN);
    assert!(done.code == NOT_STARTED && done.err.contains("not a regular file"), "{}", done.err);
    assert!(started.elapsed() < Duration::from_secs(10));
}
