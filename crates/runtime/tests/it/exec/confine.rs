//! What images try to reach from inside, and what they may not change.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use plimsoll_runtime::overlay;
use plimsoll_runtime::spec::{Mount, Spec};
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};

use super::support::{Caller, Image, callers};

#[test]
fn paths_are_hidden_and_protected() {
    for caller in callers() {
        let image = Image::new(caller);
        let out = image.shell(
            "for f in /proc/kcore /proc/keys /proc/timer_list; do [ -e $f ] && cat $f; done
             ls /proc/acpi /sys/firmware 2>/dev/null | grep -v :
             for f in /proc/sys/kernel/domainname /proc/sysrq-trigger /sys/x; do
                 (echo x > $f) 2>/dev/null && echo wrote $f; done; echo done",
        );
        assert_eq!(out.good().trim(), "done", "{caller:?}");
    }
}

#[test]
fn devices_are_the_default_ones_and_work() {
    for caller in callers() {
        let image = Image::new(caller);
        let out =
            image.shell("ls /dev; head -c 4 /dev/zero | wc -c; echo > /dev/null; ls /dev/pts/");
        assert_eq!(
            out.good(),
            "fd\nfull\nmqueue\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\nstdout\ntty\nurandom\n\
             zero\n4\nptmx\n",
            "{caller:?}"
        );
    }
}

#[test]
fn cve_2022_0492_device_files_of_an_image_are_dead_and_none_can_be_made() {
    for caller in callers().into_iter().filter(|caller| *caller == Caller::Root) {
        let image = Image::new(caller);
        // The null device under another name: harmless should it work.
        let mode = Mode::from_raw_mode(0o666);
        mknodat(CWD, image.inside("disk"), FileType::CharacterDevice, mode, makedev(1, 3))
            .expect("made");
        let done = image.shell("cat /disk; mknod /tmp/disk c 1 3; mkdir /sys/fs/cgroup/x; exit 3");
        assert_eq!((done.code, done.stdout.as_str()), (3, ""));
        assert_eq!(done.stderr.lines().count(), 3, "{}", done.stderr);
        assert!(done.stderr.contains("/disk': Permission denied"), "{}", done.stderr);
    }
}

#[test]
fn cve_2019_5736_this_program_can_not_be_reached_through_proc() {
    for caller in callers() {
        let image = Image::new(caller);
        let program = image.path().join("execute");
        let before = fs::read(&program).expect("read");
        image.script("bin/script", "#!/proc/self/exe\n");
        symlink("/proc/self/exe", image.inside("bin/linked")).expect("linked");
        for args in [&["/proc/self/exe", "x"][..], &["script"], &["linked"], &["/proc/1/exe"]] {
            let done = image.run(&image.spec(args));
            assert_eq!(done.code, 126, "{args:?} {caller:?}: {done:?}");
        }
        assert!(before == fs::read(&program).expect("read"));
    }
}

#[test]
fn cve_2019_5736_a_program_that_was_replaced_meanwhile_is_copied() {
    for caller in callers() {
        let image = Image::new(caller);
        let spec = image.spec(&["echo", "runs"]);
        assert_eq!(image.run_with(&spec, &["--unlinked"]).good(), "runs\n", "{caller:?}");
    }
}

#[test]
fn cve_2024_21626_a_working_folder_in_proc_leads_nowhere() {
    for caller in callers() {
        let image = Image::new(caller);
        for number in 3..40 {
            for path in ["/proc/self/fd/", "/proc/1/fd/", "/proc/thread-self/fd/"] {
                let mut spec = image.spec(&["pwd"]);
                spec.process.as_mut().expect("a process").cwd = format!("{path}{number}");
                image.run(&spec).refused();
            }
        }
        symlink("/proc/self/fd/7", image.inside("work")).expect("linked");
        symlink("/proc/self/cwd", image.inside("cwd")).expect("linked");
        symlink("/proc/self/root", image.inside("root")).expect("linked");
        for path in ["/work", "/cwd", "/root", "/root/.."] {
            let mut spec = image.spec(&["pwd"]);
            spec.process.as_mut().expect("a process").cwd = path.to_owned();
            image.run(&spec).refused();
        }
    }
}

/// All paths below a folder with what they hold.
fn listing(folder: &Path) -> Vec<String> {
    let mut list = Vec::new();
    for entry in fs::read_dir(folder).expect("listed") {
        let path = entry.expect("entry").path();
        let data = path.symlink_metadata().expect("metadata");
        list.push(format!("{} {:?} {}", path.display(), data.permissions(), data.len()));
        if data.is_dir() {
            list.extend(listing(&path));
        }
    }
    list.sort();
    list
}

#[test]
fn cve_2025_31133_mount_points_that_are_links_lead_nowhere_outside() {
    for caller in callers() {
        let outside = tempfile::tempdir().expect("folder");
        fs::create_dir(outside.path().join("null")).expect("made");
        fs::write(outside.path().join("kept"), "host").expect("written");
        let host = listing(outside.path());
        for (name, target) in [
            ("proc", outside.path().display().to_string()),
            ("sys", "../../../../../../".to_owned()),
            ("dev", outside.path().display().to_string()),
            ("dev", "/".to_owned()),
            ("dev", "/proc/self/root".to_owned()),
            ("dev", "/etc".to_owned()),
            ("proc", "/etc".to_owned()),
        ] {
            let image = Image::new(caller);
            fs::remove_dir(image.inside(name)).expect("removed");
            symlink(&target, image.inside(name)).expect("linked");
            let done = image.run(&image.spec(&["true"]));
            assert!(matches!(done.code, 0 | 125), "{name} -> {target} {caller:?}: {done:?}");
            if name == "proc" {
                assert_eq!(done.code, 125, "{name} -> {target}");
            }
            assert_eq!(listing(outside.path()), host, "{name} -> {target} {caller:?}");
        }
    }
}

fn bind(spec: &mut Spec, source: &Path, destination: &str, options: &[&str]) {
    spec.mounts.push(Mount {
        destination: destination.to_owned(),
        kind: Some("bind".to_owned()),
        source: Some(source.display().to_string()),
        options: options.iter().map(|&option| option.to_owned()).collect(),
        ..Mount::default()
    });
}

#[test]
fn bind_mounts_are_resolved_in_the_root_and_may_be_read_only() {
    for caller in callers() {
        let image = Image::new(caller);
        let source = image.path().join("volume");
        fs::create_dir(&source).expect("made");
        fs::write(source.join("file"), "content\n").expect("written");
        symlink("/../../../../../../../tmp/x", image.inside("data")).expect("linked");
        fs::create_dir(image.inside("tmp/x")).expect("made");
        let script =
            "cat /tmp/x/file /one; (echo >> /tmp/x/file) 2>/dev/null || echo no; touch /new/y";
        let mut spec = image.spec(&["sh", "-c", script]);
        bind(&mut spec, &source, "/data", &["rbind", "ro"]);
        bind(&mut spec, &source.join("file"), "/one", &["bind", "ro"]);
        bind(&mut spec, &source, "/new", &["rbind"]);
        assert_eq!(image.run(&spec).good(), "content\ncontent\nno\n", "{caller:?}");
        assert!(source.join("y").exists());
        let mut spec = image.spec(&["true"]);
        symlink("/nowhere", image.inside("dangling")).expect("linked");
        bind(&mut spec, &source, "/dangling/deep", &["rbind"]);
        image.run(&spec).refused();
    }
}

#[test]
fn a_read_only_root_is_read_only() {
    for caller in callers() {
        let image = Image::new(caller);
        let script = "touch /x 2>/dev/null || echo no; touch /dev/shm/x && echo yes";
        let mut spec = image.spec(&["sh", "-c", script]);
        spec.root.as_mut().expect("a root").readonly = true;
        assert_eq!(image.run(&spec).good(), "no\nyes\n", "{caller:?}");
    }
}

#[test]
fn an_overlay_takes_the_writes_and_leaves_no_mount() {
    for caller in callers() {
        let image = Image::new(caller);
        if let Err(error) = overlay::supported(image.path())
            && caller == Caller::Root
        {
            eprintln!("SKIP overlays: {error}");
            return;
        }
        for name in ["upper", "work", "extra"] {
            fs::create_dir(image.path().join(name)).expect("made");
        }
        fs::write(image.path().join("extra/top"), "top\n").expect("written");
        let at = |name: &str| image.path().join(name).display().to_string();
        let overlay = format!("{}:{},{},{}", at("extra"), at("rootfs"), at("upper"), at("work"));
        let spec = image.spec(&["sh", "-c", "cat /top; echo > /new; echo changed >> /etc/passwd"]);
        let before = fs::read(image.inside("etc/passwd")).expect("read");
        assert_eq!(image.run_with(&spec, &["--overlay", &overlay]).good(), "top\n", "{caller:?}");
        assert_eq!(fs::read(image.inside("etc/passwd")).expect("read"), before);
        assert!(!image.inside("new").exists() && image.path().join("upper/new").exists());
        let mounts = fs::read_to_string("/proc/self/mounts").expect("read");
        assert!(!mounts.contains(&at("")), "{mounts}");
    }
}
