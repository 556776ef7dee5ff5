//! What docker's fingers write, and what comes of it.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::termios::tcsetwinsize;

use super::{image, packed};
use crate::support::{Sandbox, size, terminal};

const IMAGE: &str = "oci:images:app";

/// Runs a shell script in the image with flags; gives its output.
#[track_caller]
fn shell(sandbox: &Sandbox, flags: &[&str], script: &str) -> String {
    let words: Vec<_> =
        ["run"].iter().chain(flags).chain(&[IMAGE, "sh", "-c", script]).copied().collect();
    sandbox.ok(&words)
}

#[track_caller]
fn refused(sandbox: &Sandbox, flags: &[&str]) -> String {
    let words: Vec<_> = ["run"].iter().chain(flags).chain(&[IMAGE, "true"]).copied().collect();
    let errors = sandbox.fails(125, &words);
    assert!(!errors.contains("E_BUG"), "{errors}");
    errors
}

#[test]
fn words_behind_the_image_are_its_arguments_with_and_without_dashes() {
    let sandbox = Sandbox::new();
    let Some(()) = image(&sandbox, &["--entrypoint", "echo"]) else { return };
    for words in [
        &["run", "--rm", "-i", IMAGE, "a", "-e", "--json"][..],
        &["run", IMAGE, "--", "a", "-e", "--json"],
        &["run", IMAGE, "--rm", "a", "-e", "--json"],
    ] {
        assert_eq!(sandbox.ok(words), "a -e --json\n", "{words:?}");
    }
    assert_eq!(sandbox.ok(&["run", "--entrypoint", "", IMAGE, "id", "-u"]), "0\n");
}

/// A code of 2 could be the program's own.
#[test]
fn words_that_are_not_understood_are_125() {
    let sandbox = Sandbox::new();
    for words in [
        &["run"][..],
        &["run", "--nosuch", "oci:x:y"],
        &["run", "--memory", "10x", "oci:x:y"],
        &["--store", "s", "run", "--cpus", "0", "oci:x:y"],
        &["--quiet", "run", "-d", "oci:x:y", "sh"],
    ] {
        sandbox.fails(125, words);
    }
    sandbox.ok(&["run", "--help"]);
    sandbox.fails(2, &["pack", "--nosuch"]);
}

#[test]
fn environment_comes_from_files_flags_and_the_caller() {
    let sandbox = Sandbox::new();
    let Some(()) = image(&sandbox, &["-e", "A=image"]) else { return };
    sandbox
        .write("env", "\u{feff}# no\n\n  A=file\r\nB=two words # all of it\nC\nNOSUCH_VARIABLE\n");
    let mut command = sandbox.command(&[
        "run",
        "--env-file",
        "env",
        "-e",
        "A=flag",
        "-e",
        "D",
        "-e",
        "NOSUCH_VARIABLE",
        IMAGE,
        "env",
    ]);
    let output = command.env("C", "of caller").env("D", "4").output().expect("ran");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut lines: Vec<_> = text.lines().filter(|line| line.as_bytes()[1] == b'=').collect();
    lines.sort_unstable();
    assert_eq!(lines, ["A=flag", "B=two words # all of it", "C=of caller", "D=4"]);
    assert!(!text.contains("NOSUCH_VARIABLE"));
    sandbox.write("bad", "=x\n");
    assert!(refused(&sandbox, &["--env-file", "bad"]).contains("no name before the ="));
    assert!(refused(&sandbox, &["--env-file", "missing"]).contains("E_NOT_FOUND"));
}

#[test]
fn folders_and_files_of_the_machine_are_shown_where_they_should() {
    let sandbox = Sandbox::new();
    let Some(()) = image(&sandbox, &[]) else { return };
    sandbox.write("data/file", "outside\n");
    fs::set_permissions(sandbox.path("data"), fs::Permissions::from_mode(0o777)).expect("mode");
    let said = shell(
        &sandbox,
        &["-v", "./data:/mnt/a", "--volume", "./data/file:/etc/motd:ro"],
        "cat /mnt/a/file /etc/motd; echo new > /mnt/a/new; echo x > /etc/motd; ls -ld /mnt/a >/dev/null && echo fine",
    );
    assert_eq!(said, "outside\noutside\nfine\n");
    assert_eq!(fs::read_to_string(sandbox.path("data/new")).expect("written"), "new\n");
    let said = shell(&sandbox, &["-v", "./data:/d:ro"], "touch /d/x; cat /d/file; test ! -e /d/x");
    assert_eq!(said, "outside\n");
    assert!(!sandbox.path("data/x").exists());
    for (volume, why) in [
        ("data:/x", "the name of a volume"),
        ("./missing:/x", "E_NOT_FOUND"),
        ("./data:/proc/x", "the container's own mounts"),
        ("./data:/x:z", "option"),
        ("./data:x", "a relative path"),
    ] {
        let words = ["run", "-v", volume, IMAGE, "true"];
        let done = sandbox.run(&words);
        assert_eq!(done.code, 125, "{volume}");
        assert!(done.stderr.contains(why), "{volume}: {}", done.stderr);
    }
}

/// CVE-2019-19921 and its like: a target is found in the image's root.
#[test]
fn targets_that_are_links_stay_in_the_container() {
    let sandbox = Sandbox::new();
    let outside = sandbox.path("outside");
    fs::create_dir(&outside).expect("made");
    let Some(()) = image(&sandbox, &[]) else { return };
    std::os::unix::fs::symlink(&outside, sandbox.path("root/out")).expect("linked");
    std::os::unix::fs::symlink("../../../../../../tmp", sandbox.path("root/up")).expect("linked");
    packed(&sandbox, &[]);
    sandbox.write("data/file", "1\n");
    let done = sandbox.run(&["run", "-v", "./data:/up/x", IMAGE, "cat", "/tmp/x/file"]);
    assert_eq!((done.stdout.as_str(), done.code), ("1\n", 0), "{}", done.stderr);
    // A link to nowhere in the image is refused; outside, nothing is made.
    let done = sandbox.run(&["run", "-v", "./data:/out/x", IMAGE, "true"]);
    assert!(matches!(done.code, 0 | 125), "{}", done.stderr);
    assert_eq!(fs::read_dir(&outside).expect("listed").count(), 0);
    assert_eq!(mounts_of(&sandbox), "");
}

#[test]
fn volumes_without_a_source_last_as_long_as_the_run() {
    let sandbox = Sandbox::new();
    let Some(()) = image(&sandbox, &["--volume", "/home/app"]) else { return };
    sandbox.write("root/home/app/seed", "1");
    sandbox.write("data/file", "2");
    packed(&sandbox, &["--volume", "/home/app"]);
    for _ in 0..2 {
        let said = shell(
            &sandbox,
            &["-v", "/etc"],
            "ls /home/app; touch /etc/new; ls /etc/group /etc/new",
        );
        assert_eq!(said, "seed\n/etc/group\n/etc/new\n");
    }
    // One at the same place takes the place of the image's.
    assert_eq!(shell(&sandbox, &["-v", "./data:/home/app"], "ls /home/app"), "file\n");
    // And one below it is not hidden by it.
    let said = shell(&sandbox, &["-v", "./data:/home/app/d"], "cd /home/app; ls . d");
    assert_eq!(said, ".:\nd\nseed\n\nd:\nfile\n");
}

#[test]
fn a_read_only_root_keeps_what_memory_is_for() {
    let sandbox = Sandbox::new();
    let Some(()) = image(&sandbox, &[]) else { return };
    let script =
        "touch /x || echo refused; echo y > /run/y; cat /run/y; grep ' /run ' /proc/self/mounts";
    let said = shell(&sandbox, &["--read-only", "--tmpfs", "/run:size=64k,exec"], script);
    let mut lines = said.lines();
    assert_eq!((lines.next(), lines.next()), (Some("refused"), Some("y")));
    let mount = lines.next().expect("a mount");
    assert!(mount.contains("size=64k") && mount.contains("nosuid,nodev"), "{mount}");
    assert!(!mount.contains("noexec"), "{mount}");
    assert!(refused(&sandbox, &["--tmpfs", "/run:nosuch"]).contains("mounts["));
    assert!(refused(&sandbox, &["--tmpfs", "/proc"]).contains("own mounts"));
}

#[test]
fn capabilities_and_filters_are_as_asked() {
    let sandbox = Sandbox::new();
    let Some(()) = image(&sandbox, &[]) else { return };
    let set = |flags: &[&str]| {
        shell(&sandbox, flags, "grep CapBnd /proc/self/status").trim()[8..].to_owned()
    };
    assert_eq!(set(&[]), "00000000800405fb");
    assert_eq!(set(&["--cap-drop", "all"]), "0000000000000000");
    assert_eq!(set(&["--cap-drop", "ALL", "--cap-add", "CHOWN,cap_kill"]), "0000000000000021");
    assert!(refused(&sandbox, &["--cap-add", "NOSUCH"]).contains("no such capability"));
    let state = |flags: &[&str]| {
        shell(&sandbox, flags, "grep -E '^(NoNewPrivs|Seccomp):' /proc/self/status")
    };
    assert_eq!(state(&[]), "NoNewPrivs:\t0\nSeccomp:\t2\n");
    assert_eq!(state(&["--security-opt", "no-new-privileges"]), "NoNewPrivs:\t1\nSeccomp:\t2\n");
    assert_eq!(state(&["--seccomp", "unconfined"]), "NoNewPrivs:\t0\nSeccomp:\t0\n");
    assert_eq!(state(&["--security-opt", "seccomp=unconfined"]), "NoNewPrivs:\t0\nSeccomp:\t0\n");
    sandbox.write(
        "profile.json",
        r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","mkdirat"],
            "action":"SCMP_ACT_ERRNO","errnoRet":28,"args":null,"includes":{},"excludes":{}}]}"#,
    );
    let said = shell(&sandbox, &["--seccomp", "profile.json"], "mkdir /x 2>&1; true");
    assert!(said.contains("No space left"), "{said}");
    sandbox.write("profile.json", r#"{"defaultAction":"SCMP_ACT_ALLOW","listenerPath":"/x"}"#);
    assert!(refused(&sandbox, &["--seccomp", "profile.json"]).contains("listenerPath"));
    for option in ["label=disable", "apparmor=unconfined", "seccomp="] {
        assert!(refused(&sandbox, &["--security-opt", option]).contains("not done"));
    }
}

#[test]
fn limits_of_resources_are_set_or_refused_by_name() {
    let sandbox = Sandbox::new();
    let Some(()) = image(&sandbox, &[]) else { return };
    assert_eq!(
        shell(&sandbox, &["--ulimit", "nofile=100:200"], "ulimit -n; ulimit -Hn"),
        "100\n200\n"
    );
    for (flags, script, said, controller) in [
        (
            ["--memory", "32m"],
            "head -c 200m /dev/zero | tail > /dev/null; echo $?",
            "137\n",
            "memory",
        ),
        (["--pids-limit", "5"], "for i in 1 2 3 4 5 6 7; do sleep 1 & done", "", "processes"),
        (["--cpus", "0.5"], "echo ran", "ran\n", "processors"),
    ] {
        let words: Vec<_> =
            ["run"].iter().chain(&flags).chain(&[IMAGE, "sh", "-c", script]).copied().collect();
        let done = sandbox.run(&words);
        if done.code == 125 {
            assert!(done.stderr.contains("limiting the"), "{}", done.stderr);
            assert!(
                done.stderr.contains(controller) && done.stderr.contains(flags[0]),
                "{}",
                done.stderr
            );
            eprintln!("SKIP {flags:?}: {}", done.stderr.lines().next().unwrap_or_default());
            continue;
        }
        assert_eq!(done.stdout, said, "{flags:?}: {}", done.stderr);
        if flags[0] == "--pids-limit" {
            assert!(done.stderr.contains("can't fork"), "{}", done.stderr);
        }
    }
    assert!(our_cgroups().is_empty(), "{:?}", our_cgroups());
    for flags in [["--memory", "x"], ["--cpus", "0"], ["--pids-limit", "-5"]] {
        let words: Vec<_> = ["run"].iter().chain(&flags).chain(&[IMAGE, "true"]).copied().collect();
        assert!(matches!(sandbox.run(&words).code, 2 | 125), "{flags:?}");
    }
}

/// Mounts that this machine sees and that have to do with a test.
pub(super) fn mounts_of(sandbox: &Sandbox) -> String {
    let place = sandbox.path("store").display().to_string();
    let place = place.trim_end_matches("store");
    let all = fs::read_to_string("/proc/self/mountinfo").expect("mounts");
    all.lines().filter(|line| line.contains(place)).collect()
}

/// Cgroups of runs that have ended.
pub(super) fn our_cgroups() -> Vec<String> {
    let found = Command::new("find")
        .args(["/sys/fs/cgroup", "-maxdepth", "6", "-name", "plimsoll-*"])
        .output();
    let text = found
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default();
    let number = |path: &str| path.rsplit_once('-')?.1.parse::<u32>().ok();
    text.lines()
        .filter(|path| number(path).is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()))
        .map(str::to_owned)
        .collect()
}

#[test]
fn process_one_reaps_and_passes_on() {
    let sandbox = Sandbox::new();
    let Some(()) = image(&sandbox, &[]) else { return };
    // The orphan outlives its parent and would stay a zombie of a shell that sleeps.
    let script = "sh -c 'sh -c \"exit 3\" & exit 0'; sleep 0.3; \
                  grep -l '^State:.Z' /proc/[0-9]*/status; echo $$; exit 5";
    let done = sandbox.run(&["run", "--init", IMAGE, "sh", "-c", script]);
    assert_eq!((done.stdout.as_str(), done.code), ("2\n", 5), "{}", done.stderr);
    let done = sandbox.run(&["run", "--init", IMAGE, "sh", "-c", "kill -KILL $$"]);
    assert_eq!(done.code, 137, "{}", done.stderr);
    assert_eq!(sandbox.run(&["run", "--init", IMAGE, "/nosuch"]).code, 127);
    let done = sandbox.run(&["run", "--init", IMAGE, "cat", "/proc/1/exe"]);
    assert!(done.code == 1 && done.stdout.is_empty(), "{}", done.code);
    let mut child = sandbox
        .command(&[
            "run",
            "--init",
            IMAGE,
            "sh",
            "-c",
            "trap 'exit 9' TERM; echo r; while :; do sleep 0.05; done",
        ])
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut byte = [0];
    child.stdout.as_mut().expect("a pipe").read_exact(&mut byte).expect("ready");
    Command::new("kill").args(["-TERM", &child.id().to_string()]).status().expect("kill");
    assert_eq!(child.wait().expect("ended").code(), Some(9));
}

#[test]
fn a_terminal_has_the_callers_size_and_follows_it() {
    let sandbox = Sandbox::new();
    let Some(()) = image(&sandbox, &[]) else { return };
    let (master, slave) = terminal();
    tcsetwinsize(&master, size(30, 91)).expect("sized");
    let before = rustix::termios::tcgetattr(&slave).expect("state");
    let script = "tty; stty size; trap 'stty size; exit 6' WINCH; read line; echo \"got $line\"; while :; do sleep 0.05; done";
    let stream = || Stdio::from(slave.try_clone().expect("copied"));
    let mut child = sandbox
        .command(&["run", "-it", "--network=none", IMAGE, "sh", "-c", script])
        .stdin(stream())
        .stdout(stream())
        .stderr(stream())
        .spawn()
        .expect("starts");
    let mut reader = fs::File::from(master.try_clone().expect("copied"));
    let mut seen = String::new();
    let mut until = |text: &str| {
        let started = Instant::now();
        let mut buffer = [0; 512];
        while !seen.contains(text) {
            assert!(started.elapsed() < Duration::from_secs(20), "no {text:?} in {seen:?}");
            let mut wait = [rustix::event::PollFd::new(&reader, rustix::event::PollFlags::IN)];
            let second = rustix::event::Timespec { tv_sec: 1, tv_nsec: 0 };
            if rustix::event::poll(&mut wait, Some(&second)) == Ok(0) {
                continue;
            }
            let read = reader.read(&mut buffer).unwrap_or_else(|error| panic!("{error}: {seen:?}"));
            seen.push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
    };
    until("/dev/pts/0");
    until("30 91");
    fs::File::from(master.try_clone().expect("copied")).write_all(b"typed\r").expect("typed");
    until("got typed");
    tcsetwinsize(&master, size(17, 42)).expect("sized");
    // The test has no session on that terminal, so the kernel does not tell the program.
    Command::new("kill").args(["-WINCH", &child.id().to_string()]).status().expect("kill");
    until("17 42");
    assert_eq!(child.wait().expect("ended").code(), Some(6));
    let after = rustix::termios::tcgetattr(slave.as_fd()).expect("state");
    assert_eq!(after.local_modes, before.local_modes, "the terminal is as before");
}

#[test]
fn without_a_terminal_here_there_is_one_inside_all_the_same() {
    let sandbox = Sandbox::new();
    let Some(()) = image(&sandbox, &[]) else { return };
    let mut child = sandbox
        .command(&[
            "run",
            "-t",
            "-u",
            "app",
            IMAGE,
            "sh",
            "-c",
            "tty; stat -c %U $(tty); cat; exit 4",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    child.stdin.take().expect("a pipe").write_all(b"words\n").expect("written");
    let output = child.wait_with_output().expect("ended");
    let said = String::from_utf8_lossy(&output.stdout);
    if output.status.code() == Some(125) {
        return eprintln!("SKIP a terminal of another user: no ids for him");
    }
    assert!(
        said.contains("/dev/pts/0\r\n") && said.contains("app\r\n") && said.contains("words"),
        "{said:?}"
    );
    assert_eq!(output.status.code(), Some(4));
}

#[test]
fn an_image_without_an_emulator_is_told_from_one_for_the_wrong_platform() {
    let sandbox = Sandbox::new();
    sandbox.tree("tree");
    let platform = if cfg!(target_arch = "s390x") { "linux/riscv64" } else { "linux/s390x" };
    sandbox.ok(&[
        "pack",
        "tree",
        "oci:images:v1",
        "--platform",
        platform,
        "--entrypoint",
        "/bin/tool",
    ]);
    let errors = sandbox.fails(125, &["run", "oci:images:v1"]);
    assert!(errors.contains("E_PLATFORM") && errors.contains("this machine is"), "{errors}");
    assert!(errors.contains(&format!("--platform {platform}")), "{errors}");
    let done = sandbox.run(&["run", "--platform", platform, "oci:images:v1"]);
    // A script runs on any machine, if the kernel's list can not be seen.
    assert!(done.code != 0, "{}", done.stdout);
    if done.stderr.contains("E_PLATFORM") {
        assert!(done.stderr.contains("binfmt_misc"), "{}", done.stderr);
    }
}

#[test]
fn a_host_name_of_its_own_and_files_that_know_it() {
    let sandbox = Sandbox::new();
    let Some(()) = image(&sandbox, &[]) else { return };
    let said = shell(
        &sandbox,
        &["--network=none"],
        "hostname; cat /etc/hostname; grep -c \"$(hostname)\" /etc/hosts",
    );
    let lines: Vec<_> = said.lines().collect();
    assert_eq!((lines[0].len(), lines[0], lines[2]), (12, lines[1], "1"), "{said}");
    assert_eq!(shell(&sandbox, &["--hostname", "box"], "hostname"), "box\n");
    let said = shell(&sandbox, &["--network=host"], "hostname");
    assert_eq!(said.trim(), rustix::system::uname().nodename().to_string_lossy());
    // What an image has in their places gives way, and nothing outside is touched.
    std::os::unix::fs::symlink("/nowhere/at/all", sandbox.path("root/etc/hosts")).expect("linked");
    std::os::unix::fs::symlink(sandbox.path("victim"), sandbox.path("root/etc/hostname"))
        .expect("linked");
    sandbox.write("victim", "mine");
    packed(&sandbox, &[]);
    assert_eq!(
        shell(&sandbox, &[], "grep -c localhost /etc/hosts; wc -l < /etc/hostname"),
        "2\n1\n"
    );
    assert_eq!(fs::read_to_string(sandbox.path("victim")).expect("there"), "mine");
    assert_eq!(fs::metadata(sandbox.path("victim")).expect("there").nlink(), 1);
}
