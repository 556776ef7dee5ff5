//! The process: how it starts, what it has, how it ends.

use std::fs;
use std::os::fd::OwnedFd;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::process::{Pid, Signal, kill_process};

use super::support::{Caller, Done, Image, callers, start};

#[test]
fn the_exit_code_is_that_of_the_process() {
    for caller in callers() {
        let image = Image::new(caller);
        for code in [0, 1, 7, 125, 255] {
            assert_eq!(image.shell(&format!("exit {code}")).code, code, "{caller:?}");
        }
    }
}

#[test]
fn what_can_not_be_executed_is_126_and_what_is_not_there_127() {
    for caller in callers() {
        let image = Image::new(caller);
        image.script("bin/broken", "no first line\n");
        image.script("bin/lost", "#!/bin/nosuch\n");
        for (program, code, found) in [
            ("/etc/passwd", 126, "no permission to execute it"),
            ("/etc", 126, "a folder"),
            ("broken", 126, "neither a program for this machine"),
            ("lost", 127, "interpreter"),
            ("nosuch", 127, "no such program in PATH"),
            ("passwd", 127, "no such program in PATH"),
            ("/bin/nosuch", 127, "no such file"),
        ] {
            let done = image.run(&image.spec(&[program]));
            assert_eq!(done.code, code, "{program} {caller:?}: {}", done.stderr);
            assert!(done.stderr.contains(found), "{program}: {}", done.stderr);
        }
    }
}

#[test]
fn programs_are_found_by_the_path_of_the_config_and_never_by_the_working_folder() {
    for caller in callers() {
        let image = Image::new(caller);
        fs::create_dir(image.inside("opt")).expect("made");
        image.script("opt/tool", "#!/bin/sh\necho \"$0\" \"$@\"\n");
        let mut spec = image.spec(&["tool", "a b", ""]);
        let process = spec.process.as_mut().expect("a process");
        process.cwd = "/opt".to_owned();
        process.env = vec!["PATH=:.:opt:/bin".to_owned()];
        assert_eq!(image.run(&spec).code, 127, "{caller:?}");
        spec.process.as_mut().expect("a process").env = vec!["PATH=/bin:/opt/".to_owned()];
        assert_eq!(image.run(&spec).good(), "/opt/tool a b \n");
    }
}

#[test]
fn environment_folder_umask_and_host_name_are_those_of_the_config() {
    for caller in callers() {
        let image = Image::new(caller);
        let mut spec = image.spec(&["sh", "-c", "echo $A; pwd; umask; hostname; env | wc -l"]);
        spec.hostname = Some("box".to_owned());
        let process = spec.process.as_mut().expect("a process");
        process.cwd = "/tmp".to_owned();
        process.env = ["PATH=/bin", "A=one", "HOME=/x"].map(str::to_owned).into();
        // The shell adds PWD, and busybox's SHLVL.
        assert_eq!(image.run(&spec).good(), "one\n/tmp\n0022\nbox\n5\n");
        spec.process.as_mut().expect("a process").user.umask = Some(0o027);
        assert!(image.run(&spec).good().contains("\n0027\n"));
    }
}

#[test]
fn a_missing_working_folder_is_made_only_if_asked_for() {
    for caller in callers() {
        let image = Image::new(caller);
        let mut spec = image.spec(&["stat", "-c", "%a %u %g", "."]);
        spec.process.as_mut().expect("a process").cwd = "/srv/deep".to_owned();
        assert!(image.run(&spec).refused().contains("entering working folder /srv/deep"));
        assert!(!image.inside("srv").exists());
        assert_eq!(image.run_with(&spec, &["--make-cwd"]).good(), "755 0 0\n", "{caller:?}");
        spec.process.as_mut().expect("a process").cwd = "/etc/passwd".to_owned();
        image.run_with(&spec, &["--make-cwd"]).refused();
    }
}

#[test]
fn only_three_descriptors_arrive() {
    for caller in callers() {
        let image = Image::new(caller);
        let command = image.command(&image.spec(&["sh", "-c", "ls /proc/1/fd; true"]), &[]);
        // Without CLOEXEC: the command inherits them, as from a careless parent.
        let folder = || openat(CWD, "/", OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty());
        let leaked: Vec<OwnedFd> = (0..20).map(|_| folder().expect("opened")).collect();
        let done = Done::of(command);
        drop(leaked);
        assert_eq!(done.good(), "0\n1\n2\n", "{caller:?}");
    }
}

#[test]
fn rt14_capabilities_filter_and_privileges_are_those_of_the_config() {
    for caller in callers() {
        let image = Image::new(caller);
        let mut spec =
            image.spec(&["grep", "-E", "^(Cap|NoNewPrivs|Seccomp:)", "/proc/self/status"]);
        let expected = |effective: &str, no_new: u8| {
            format!(
                "CapInh:\t{0:016}\nCapPrm:\t{effective}\nCapEff:\t{effective}\n\
                 CapBnd:\t00000000800405fb\nCapAmb:\t{0:016}\nNoNewPrivs:\t{no_new}\nSeccomp:\t2\n",
                0
            )
        };
        assert_eq!(image.run(&spec).good(), expected("00000000800405fb", 0), "{caller:?}");
        spec.process.as_mut().expect("a process").no_new_privileges = true;
        assert_eq!(image.run(&spec).good(), expected("00000000800405fb", 1));
        if caller == Caller::Root {
            let process = spec.process.as_mut().expect("a process");
            process.user.uid = 1000;
            process.no_new_privileges = false;
            assert_eq!(image.run(&spec).good(), expected("0000000000000000", 0));
        }
    }
}

#[test]
fn user_and_groups_are_those_of_the_config() {
    for caller in callers() {
        let image = Image::new(caller);
        let mut spec = image.spec(&["id"]);
        let user = &mut spec.process.as_mut().expect("a process").user;
        (user.uid, user.gid, user.additional_gids) = (1000, 1001, vec![1001, 2000]);
        let done = image.run(&spec);
        match caller {
            Caller::Root => {
                assert_eq!(done.good(), "uid=1000 gid=1001 groups=1001,2000\n");
            }
            Caller::Alone => {
                let why = done.refused();
                assert!(why.contains("no range in /etc/subuid"), "{why}");
                assert!(why.contains("image wants uid 1000"), "{why}");
            }
            Caller::Own => {
                assert!(done.code == 0 || done.stderr.contains("image wants uid"), "{done:?}");
            }
        }
    }
}

#[test]
fn a_user_can_open_the_pipes_at_its_standard_streams() {
    // The pipes belong to the user of the tests: nobody else can give them away.
    for caller in callers().into_iter().filter(|caller| *caller != Caller::Alone) {
        let image = Image::new(caller);
        let mut spec = image.spec(&["sh", "-c", "echo out > /dev/stdout"]);
        if caller == Caller::Root {
            spec.process.as_mut().expect("a process").user.uid = 1000;
        }
        assert_eq!(image.run(&spec).good(), "out\n");
    }
}

#[test]
fn forbidden_calls_fail_and_the_network_is_empty() {
    for caller in callers() {
        let image = Image::new(caller);
        assert_eq!(image.shell("umount /proc").code, 1);
        assert_eq!(image.shell("mount -t tmpfs x /tmp").code, 1);
        let devices = image.shell("ls /sys/class/net; ifconfig lo | grep UP").good();
        assert!(devices.starts_with("lo\n") && devices.contains("UP LOOPBACK"), "{devices}");
    }
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(child.id() as i32).expect("a number")
}

fn descendants(of: u32) -> Vec<u32> {
    let path = format!("/proc/{of}/task/{of}/children");
    let text = fs::read_to_string(path).unwrap_or_default();
    let children: Vec<u32> = text.split_whitespace().map(|pid| pid.parse().expect("pid")).collect();
    children.iter().flat_map(|pid| [vec![*pid], descendants(*pid)].concat()).collect()
}

#[track_caller]
fn soon(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn signals_are_passed_on() {
    for caller in callers() {
        let image = Image::new(caller);
        for (name, signal) in [("TERM", Signal::TERM), ("HUP", Signal::HUP), ("USR1", Signal::USR1)]
        {
            if ignored_here(signal) {
                continue;
            }
            let script = format!("trap 'exit 9' {name}; echo; while true; do sleep 0.01; done");
            let mut child = start(image.command(&image.spec(&["sh", "-c", &script]), &[]));
            kill_process(pid(&child), signal).expect("sent");
            assert_eq!(child.wait().expect("ends").code(), Some(9), "{name} {caller:?}");
        }
    }
}

/// Whether whoever runs the tests has them ignore a signal, as `nohup` does:
/// then it stays ignored, and nothing is passed on.
fn ignored_here(signal: Signal) -> bool {
    let status = fs::read_to_string("/proc/self/status").expect("a status");
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:\t")).expect("a mask");
    let mask = u64::from_str_radix(mask, 16).expect("a number");
    mask & (1 << (signal.as_raw() - 1)) != 0
}

#[test]
fn a_signal_that_ends_the_process_is_128_and_its_number() {
    for caller in callers() {
        let image = Image::new(caller);
        let mut child =
            start(image.command(&image.spec(&["sh", "-c", "echo; exec sleep 60"]), &[]));
        let process = descendants(child.id()).pop().expect("a process");
        kill_process(Pid::from_raw(process as i32).expect("a number"), Signal::KILL).expect("sent");
        assert_eq!(child.wait().expect("ends").code(), Some(137), "{caller:?}");
    }
}

#[test]
fn the_container_ends_with_its_caller() {
    for caller in callers() {
        let image = Image::new(caller);
        let mut child =
            start(image.command(&image.spec(&["sh", "-c", "echo; exec sleep 61"]), &[]));
        let below = descendants(child.id());
        assert!(below.len() >= 2, "{below:?}");
        kill_process(pid(&child), Signal::KILL).expect("sent");
        child.wait().expect("ends");
        soon("the container lives on", || {
            below.iter().all(|pid| {
                let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
                status.is_empty() || status.contains("State:\tZ")
            })
        });
    }
}

#[test]
fn starts_from_a_process_with_busy_threads() {
    // Making a user namespace takes a process with one.
    for caller in callers().into_iter().filter(|caller| *caller == Caller::Root) {
        let image = Image::new(caller);
        let spec = image.spec(&["echo", "x"]);
        for _ in 0..20 {
            assert_eq!(image.run_with(&spec, &["--threads"]).good(), "x\n");
        }
    }
}

#[test]
fn an_ignored_signal_stays_ignored() {
    for caller in callers() {
        let image = Image::new(caller);
        let spec = image.spec(&["sh", "-c", "trap 'exit 9' HUP; echo; sleep 0.3; exit 3"]);
        let inner = image.command(&spec, &[]);
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "trap '' HUP; exec \"$@\"", "sh"]);
        command.arg(inner.get_program()).args(inner.get_args());
        if caller == Caller::Alone {
            // Only the signal is of interest, and std hides the user of a command.
            continue;
        }
        let mut child = start(command);
        kill_process(pid(&child), Signal::HUP).expect("sent");
        assert_eq!(child.wait().expect("ends").code(), Some(3), "{caller:?}");
    }
}
