//! Bundles that real programs have changed, repacked, and read by other tools.

use std::path::Path;

use plimsoll_interop::{
    Peer, Program, Scratch, busybox_rootfs, is_root, peer, peers, run, shell, skip, tree,
};

/// What a distribution might have, in small.
const BASE: &str =
    "mkdir -p usr/bin usr/share/doc/a usr/share/man/man1 var/lib/apt/lists var/cache/apt
    mkdir -p etc/cron.d opt srv; echo hello > etc/motd; echo job > etc/cron.d/job
    for n in 1 2 3; do echo $n > usr/share/doc/a/$n; done; ln usr/share/doc/a/1 usr/share/doc/one
    echo page > usr/share/man/man1/ls.1; echo list > var/lib/apt/lists/x
    echo 'umask 022' > etc/profile; echo id > usr/bin/id; echo deb > var/cache/apt/deb
    echo pass > opt/p; chmod 755 usr/bin/id; chown 1:2 opt; chmod 2775 opt; echo ls > bin/lsof";

/// What busybox does to a root filesystem, step by step: each is a layer.
const STEPS: [&str; 5] = [
    "busybox rm -rf usr/share/doc/a usr/share/man var/lib/apt/lists etc/motd
     busybox rm -rf etc/cron.d && echo 'a file now' > etc/cron.d
     busybox mv etc/profile etc/profile.old; busybox rm -rf var/cache/apt; busybox ln -s ../tmp var/cache/apt
     busybox mkdir -p srv/new/deep && echo deep > srv/new/deep/file
     busybox ln srv/new/deep/file srv/new/same; busybox ln -s ../nowhere srv/dangling
     setfattr -n user.colour -v blue srv/new/deep/file; busybox mkfifo srv/fifo
     busybox touch -d '1969-12-31 23:00:00' srv/fifo; busybox chmod 4711 bin/lsof
     busybox chown 12:34 usr/bin/id; busybox mknod srv/null c 1 3; busybox mknod srv/loop b 7 0
     printf n > \"$(printf 'srv/na\\nme')\"; printf l > \"$(printf 'srv/\\351')\"",
    // A name more for an old file, a folder over a link, a file over a folder.
    "busybox ln srv/new/deep/file srv/third; busybox rm srv/dangling
     busybox mkdir srv/dangling; echo x > srv/dangling/x
     busybox rm var/cache/apt; busybox mkdir var/cache/apt; echo y > var/cache/apt/y
     busybox rm -r srv/new/deep; echo now a file > srv/new/deep
     busybox mv usr/share usr/moved",
    // Hidden before, made anew: nothing of the lower layers may come back.
    "busybox mkdir -p usr/share/doc; echo doc > usr/share/doc/one
     busybox rm etc/cron.d; busybox mkdir etc/cron.d; echo back > etc/cron.d/back
     busybox rm -r srv/dangling; busybox ln -s new srv/dangling
     busybox rm -r opt; busybox ln -s srv opt; busybox rm srv/loop",
    // Emptied, gone, and the content of one of the same length at the same time.
    "busybox rm etc/cron.d/back; busybox rm -r var/cache/apt
     busybox touch -r etc/profile.old then; busybox cp etc/profile.old o
     busybox tr a-z A-Z < o > etc/profile.old; busybox touch -r then etc/profile.old
     busybox rm then o; busybox chmod 1770 srv; busybox chown -h 5:6 srv/dangling",
    "busybox rm -r srv; busybox mkdir srv; busybox chmod 755 .",
];

#[test]
fn other_tools_unpack_a_repacked_bundle_to_what_is_in_it() {
    if peer("busybox").is_none() || peer("setfattr").is_none() {
        return;
    }
    if !is_root("owners and devices") {
        return;
    }
    let scratch = Scratch::new();
    let root = scratch.join("tree");
    std::fs::create_dir(&root).expect("made");
    if busybox_rootfs(&root).is_none() {
        return;
    }
    shell(&root, BASE);
    let plimsoll = Program::new(scratch.path());
    let layout = scratch.text("images");
    let name = format!("oci:{layout}:v0");
    plimsoll.good(&["pack", &scratch.text("tree"), &name, "--entrypoint", "/bin/sh"]);
    let bundle = scratch.text("work");
    plimsoll.good(&["bundle", &format!("oci:{layout}:v0"), &bundle]);
    for (number, step) in STEPS.iter().enumerate() {
        shell(&scratch.join("work/rootfs"), step);
        let tag = format!("v{}", number + 1);
        let name = format!("oci:{layout}:{tag}");
        plimsoll.good(&["repack", &bundle, &name, "--refresh"]);
        let again = plimsoll.good(&["repack", &bundle, &format!("oci:{layout}:same")]);
        assert!(again.contains("nothing changed"), "{again}");
        plimsoll.good(&["validate", &name]);
        let rootfs = scratch.join("work/rootfs");
        let ours = scratch.text("ours");
        plimsoll.good(&["unpack", &name, &ours]);
        tree::assert_equal(Path::new(&ours), &rootfs);
        shell(scratch.path(), "rm -rf ours");
        for umoci in peers("umoci") {
            let theirs = scratch.text("umoci");
            let unpack = ["unpack", "--image", &format!("{layout}:{tag}"), &theirs];
            run(umoci.command().args(unpack)).good(&format!("{umoci:?} unpack"));
            tree::assert_equal(&scratch.join("umoci/rootfs"), &rootfs);
            shell(scratch.path(), "rm -rf umoci");
        }
    }
    if let Some(skopeo) = peer("skopeo") {
        let to = format!("oci:{}:v", scratch.text("copied"));
        let from = format!("oci:{layout}:v5");
        run(skopeo.command().args(["--insecure-policy", "copy", &from, &to])).good("skopeo copy");
        let digest = |name: &str| plimsoll.good(&["inspect", "-q", name]);
        assert_eq!(digest(&from), digest(&to), "skopeo copies our image unchanged");
    }
    if let Some(podman) = peer("podman") {
        podman_shows(&podman, &scratch, &format!("oci:{layout}:v5"), &scratch.join("work/rootfs"));
    }
}

/// What podman mounts of an image is what lies at `rootfs`.
fn podman_shows(podman: &Peer, scratch: &Scratch, name: &str, rootfs: &Path) {
    for driver in ["overlay", "vfs"] {
        let keep = scratch.join(&format!("podman-{driver}"));
        let ask = |arguments: &[&str]| {
            let mut command = podman.command();
            command.arg("--root").arg(keep.join("root")).arg("--runroot").arg(keep.join("run"));
            run(command.args(["--storage-driver", driver]).args(arguments))
        };
        let pulled = ask(&["pull", "--quiet", name]);
        if pulled.code != 0 {
            skip(&format!("podman with {driver} storage: {}", pulled.err.trim()));
            continue;
        }
        let mount = ask(&["image", "mount", pulled.out.trim()]).good("podman image mount");
        let (mut theirs, mut ours) = (tree::list(Path::new(mount.trim())), tree::list(rootfs));
        for tree in [&mut theirs, &mut ours] {
            // The root is podman's own: mode 0555, whatever an image says.
            tree.remove(Path::new(""));
        }
        assert_eq!(tree::differences(&ours, &theirs), [""; 0], "podman with {driver} storage");
        let _ = ask(&["image", "unmount", "--all", "--force"]);
        let _ = ask(&["rmi", "--all", "--force"]);
    }
}

#[test]
fn umoci_goes_on_where_we_stopped_and_we_where_it_did() {
    if !is_root("bundles of root") {
        return;
    }
    for umoci in peers("umoci") {
        let scratch = Scratch::new();
        let root = scratch.join("tree");
        std::fs::create_dir(&root).expect("made");
        if busybox_rootfs(&root).is_none() {
            return;
        }
        let plimsoll = Program::new(scratch.path());
        let layout = scratch.text("images");
        let name = |tag: &str| format!("oci:{layout}:{tag}");
        let ask = |arguments: &[&str]| {
            run(umoci.command().args(arguments)).good(&format!("umoci {}", arguments.join(" ")))
        };
        let tree_text = scratch.text("tree");
        plimsoll.good(&["pack", &tree_text, &name("v1"), "--entrypoint", "/bin/sh"]);
        plimsoll.good(&["bundle", &name("v1"), &scratch.text("ours")]);
        shell(&scratch.join("ours/rootfs"), "rm -r srv; echo 1 >> etc/passwd; ln etc/group etc/g");
        plimsoll.good(&["repack", &scratch.text("ours"), &name("v2")]);

        ask(&["unpack", "--image", &format!("{layout}:v2"), &scratch.text("theirs")]);
        shell(
            &scratch.join("theirs/rootfs"),
            "mkdir -p srv/x; echo 2 >> etc/passwd; rm etc/g
             # umoci rounds times to seconds.
             find . -exec touch -h -d @1000000000 {} +",
        );
        ask(&["repack", "--image", &format!("{layout}:v3"), &scratch.text("theirs")]);

        plimsoll.good(&["bundle", &name("v3"), &scratch.text("third")]);
        tree::assert_equal(&scratch.join("third/rootfs"), &scratch.join("theirs/rootfs"));
        shell(&scratch.join("third/rootfs"), "rm -r srv/x; echo 3 >> etc/passwd");
        plimsoll.good(&["repack", &scratch.text("third"), &name("v4")]);
        plimsoll.good(&["validate", &name("v4")]);
        ask(&["unpack", "--image", &format!("{layout}:v4"), &scratch.text("last")]);
        tree::assert_equal(&scratch.join("last/rootfs"), &scratch.join("third/rootfs"));
    }
}

#[test]
fn an_ordinary_user_repacks_what_umoci_unpacks_alike() {
    let Some(umoci) = peer("umoci") else { return };
    let Some(setpriv) = peer("setpriv") else { return };
    if !is_root("becoming an ordinary user") {
        return;
    }
    let scratch = Scratch::new();
    let root = scratch.join("tree");
    std::fs::create_dir(&root).expect("made");
    if busybox_rootfs(&root).is_none() {
        return;
    }
    shell(&root, "chown 1000:1000 home/app; chown 0:2000 srv/data; chmod 2775 srv/data");
    let plimsoll = Program::copied(scratch.path());
    let layout = scratch.text("images");
    plimsoll.good(&[
        "pack",
        &scratch.text("tree"),
        &format!("oci:{layout}:v1"),
        "--entrypoint",
        "/bin/sh",
    ]);
    shell(scratch.path(), "chown -R 65534:65534 . && chmod 755 .");
    let program = plimsoll.path().display();
    let script = format!(
        "set -e; umask 022; {program} bundle oci:{layout}:v1 work
         cd work/rootfs; echo x > home/app/new; rm etc/group; chmod 700 srv/data; cd ../..
         {program} repack work oci:{layout}:v2"
    );
    let mut command = setpriv.command();
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-c", &script]);
    command.current_dir(scratch.path()).env_clear().envs(plimsoll.environment());
    run(&mut command).good(&script);
    // For root, owners are those of the image, and new files are root's.
    for (tool, out) in [("ours", "ours"), ("umoci", "umoci/rootfs")] {
        if tool == "ours" {
            plimsoll.good(&["unpack", &format!("oci:{layout}:v2"), &scratch.text("ours")]);
        } else {
            let unpack = ["unpack", "--image", &format!("{layout}:v2"), &scratch.text("umoci")];
            run(umoci.command().args(unpack)).good("umoci unpack");
        }
        let found = tree::list(&scratch.join(out));
        let owner = |path: &str| {
            let node = &found[Path::new(path)];
            (node.uid, node.gid, node.mode)
        };
        assert_eq!(owner("home/app"), (1000, 1000, 0o755), "{tool}");
        assert_eq!(owner("home/app/new"), (0, 0, 0o644), "{tool}");
        assert_eq!(owner("srv/data"), (0, 2000, 0o2700), "{tool}");
        assert!(!found.contains_key(Path::new("etc/group")), "{tool}");
    }
    tree::assert_equal(&scratch.join("ours"), &scratch.join("umoci/rootfs"));
}
