//! Images that run: the same in the embedded runtime as in others.

#[path = "../../common/busybox.rs"]
mod busybox;
mod flags;
mod leaks;
mod mount;
mod names;
mod network;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use crate::support::{Done, Sandbox};

/// What the image has of it.
const TOOLS: &[&str] = &[
    "sh", "id", "env", "pwd", "cat", "ls", "sleep", "true", "kill", "touch", "stat", "grep",
    "echo", "mkdir", "head", "tail", "tty", "stty", "hostname", "wc", "mknod", "mount", "readlink",
    "wget", "route", "dd", "nc", "tr", "cut", "find", "cp", "ln", "rm", "chown", "umount",
];

/// A small root filesystem with a user, groups and a shell; `None` with the
/// reason printed where there is no static busybox or no namespaces.
pub(crate) fn image(sandbox: &Sandbox, more: &[&str]) -> Option<()> {
    let busybox = busybox::path()?;
    let root = sandbox.path("root");
    for folder in ["bin", "etc", "tmp", "home/app"] {
        fs::create_dir_all(root.join(folder)).expect("made");
    }
    fs::copy(busybox, root.join("bin/busybox")).expect("copied");
    for name in TOOLS {
        std::os::unix::fs::symlink("busybox", root.join("bin").join(name)).expect("linked");
    }
    sandbox.write(
        "root/etc/passwd",
        "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000:App:/home/app:/bin/sh\n",
    );
    sandbox.write(
        "root/etc/group",
        "root:x:0:\napp:x:1000:\nextra:x:2000:app\nextra2:x:2001:root,app\n",
    );
    fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777)).expect("mode");
    packed(sandbox, more);
    let done = sandbox.run(&["run", "oci:images:app", "--", "/bin/true"]);
    if done.stderr.contains("E_USERNS") {
        eprintln!("SKIP running images: {}", done.stderr);
        return None;
    }
    Some(())
}

/// Packs the root filesystem, as it is by now.
pub(crate) fn packed(sandbox: &Sandbox, more: &[&str]) {
    let words: Vec<_> = ["pack", "root", "oci:images:app", "--owner", "0:0"]
        .into_iter()
        .chain(more.iter().copied())
        .collect();
    sandbox.ok(&words);
}

#[test]
fn user_groups_environment_and_folder_are_the_images() {
    let sandbox = Sandbox::new();
    let words = [
        "-u",
        "app",
        "-e",
        "GREETING=hi there",
        "-w",
        "/home/app",
        "--entrypoint",
        "/bin/sh",
        "--entrypoint",
        "-c",
        "--cmd",
        "id; pwd; echo $GREETING $HOME; exit 7",
    ];
    let Some(()) = image(&sandbox, &words) else { return };
    let done = sandbox.run(&["run", "oci:images:app"]);
    assert_eq!(
        done.stdout,
        "uid=1000(app) gid=1000(app) groups=1000(app),2000(extra),2001(extra2)\n/home/app\nhi there /home/app\n",
        "{}",
        done.stderr
    );
    assert_eq!(done.code, 7);
    let done = sandbox.run(&["run", "-e", "GREETING=ho", "oci:images:app", "--", "echo $GREETING"]);
    assert_eq!((done.stdout.as_str(), done.code), ("ho\n", 0), "{}", done.stderr);
}

#[test]
fn exit_codes_are_dockers() {
    let sandbox = Sandbox::new();
    let Some(()) = image(&sandbox, &[]) else { return };
    for (code, words) in [
        (0, &["/bin/true"][..]),
        (42, &["sh", "-c", "exit 42"]),
        // Process 1 can not be ended by its own kind, so these are further ones.
        (143, &["sh", "-c", "sh -c 'kill -TERM $$'; exit $?"]),
        (137, &["sh", "-c", "sh -c 'kill -KILL $$'; exit $?"]),
        (127, &["/bin/nothing"]),
        (127, &["nothing"]),
        (126, &["/etc/passwd"]),
    ] {
        let words: Vec<_> =
            ["run", "oci:images:app", "--"].into_iter().chain(words.iter().copied()).collect();
        let done = sandbox.run(&words);
        assert_eq!(done.code, code, "{words:?}: {}", done.stderr);
    }
    let errors = sandbox.fails(125, &["run", "oci:images:app"]);
    assert!(errors.contains("neither Entrypoint nor Cmd") && errors.contains("--"), "{errors}");
    sandbox.fails(125, &["run", "oci:images:nope"]);
    let errors = sandbox.fails(125, &["run", "-u", "nosuch", "oci:images:app", "--", "/bin/true"]);
    assert!(errors.contains("nosuch"), "{errors}");
}

#[test]
fn nothing_that_is_written_reaches_the_store() {
    let sandbox = Sandbox::new();
    let Some(()) = image(&sandbox, &[]) else { return };
    sandbox.ok(&[
        "run",
        "oci:images:app",
        "--",
        "sh",
        "-c",
        "echo x > /new; echo y > /etc/passwd; rm /bin/env; chmod 777 /etc",
    ]);
    let done = sandbox.run(&[
        "run",
        "oci:images:app",
        "--",
        "sh",
        "-c",
        "test ! -e /new && test -e /bin/env && grep -q app /etc/passwd && stat -c %a /etc",
    ]);
    assert_eq!((done.stdout.as_str(), done.code), ("755\n", 0), "{}", done.stderr);
    sandbox.ok(&["validate", "oci:images:app"]);
}

/// Also volumes and the files in `/etc`, which are mounted from the store.
#[test]
fn the_store_may_be_named_from_the_folder_one_is_in() {
    let sandbox = Sandbox::new();
    let Some(()) = image(&sandbox, &[]) else { return };
    for store in ["here/store", "./here/../store"] {
        let words = [
            "--store",
            store,
            "run",
            "-v",
            "/data",
            "oci:images:app",
            "sh",
            "-c",
            "cat /etc/hosts; touch /data/x",
        ];
        assert!(sandbox.ok(&words).contains("localhost"), "{store}");
        assert_eq!(fs::read_dir(sandbox.path(store).join("run")).expect("listed").count(), 0);
    }
}

#[test]
fn input_output_and_errors_are_the_callers() {
    let sandbox = Sandbox::new();
    let Some(()) = image(&sandbox, &[]) else { return };
    let mut child = sandbox
        .command(&["run", "oci:images:app", "--", "sh", "-c", "cat; echo err >&2"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    std::io::Write::write_all(&mut child.stdin.take().expect("a pipe"), b"through\n")
        .expect("written");
    let done = Done::of(&child.wait_with_output().expect("waited"));
    assert_eq!(done.stdout, "through\n");
    assert!(done.stderr.ends_with("err\n"), "{}", done.stderr);
}

#[test]
fn a_signal_reaches_the_process_and_leaves_nothing() {
    let sandbox = Sandbox::new();
    let Some(()) = image(&sandbox, &[]) else { return };
    let mut child = sandbox
        .command(&[
            "run",
            "oci:images:app",
            "--",
            "sh",
            "-c",
            "trap 'echo got it; exit 9' TERM; echo ready; while :; do sleep 0.1; done",
        ])
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut stdout = std::io::BufReader::new(child.stdout.take().expect("a pipe"));
    let mut line = String::new();
    std::io::BufRead::read_line(&mut stdout, &mut line).expect("a line");
    assert_eq!(line, "ready\n");
    let status =
        Command::new("kill").args(["-TERM", &child.id().to_string()]).status().expect("kill");
    assert!(status.success());
    line.clear();
    std::io::BufRead::read_line(&mut stdout, &mut line).expect("a line");
    assert_eq!(line, "got it\n");
    assert_eq!(child.wait().expect("waited").code(), Some(9));
}

#[test]
fn whiteouts_of_upper_layers_count_when_running() {
    let sandbox = Sandbox::new();
    let Some(()) = image(&sandbox, &[]) else { return };
    sandbox.write("top.d/opt/new", "1");
    let tar = "mkdir -p w/etc w/bin w/home && touch w/etc/.wh.group w/home/.wh..wh..opq && echo top > w/etc/motd && tar -C w -cf w.tar .";
    assert!(
        Command::new("sh")
            .args(["-c", tar])
            .current_dir(sandbox.path("."))
            .status()
            .expect("sh")
            .success()
    );
    let layout = sandbox.layout("images");
    let (mut manifest, mut config) = layout.only();
    let bytes = fs::read(sandbox.path("w.tar")).expect("read");
    let layer = layout.add("application/vnd.oci.image.layer.v1.tar", &bytes);
    config["rootfs"]["diff_ids"].as_array_mut().expect("ids").push(layer["digest"].clone());
    config["history"] = serde_json::json!([]);
    manifest["layers"].as_array_mut().expect("layers").push(layer);
    layout.replace("app", manifest, &config);
    for _ in 0..2 {
        let done = sandbox.run(&[
            "run",
            "--network=none",
            "oci:images:app",
            "--",
            "sh",
            "-c",
            "cat /etc/motd; ls /home; ls /etc; stat -c %a /tmp",
        ]);
        assert_eq!(
            (done.stdout.as_str(), done.code),
            ("top\nhostname\nhosts\nmotd\npasswd\n1777\n", 0),
            "{}",
            done.stderr
        );
    }
}

#[test]
fn an_image_for_another_platform_says_so() {
    let sandbox = Sandbox::new();
    sandbox.tree("tree");
    sandbox.ok(&[
        "pack",
        "tree",
        "oci:images:v1",
        "--platform",
        "linux/s390x",
        "--entrypoint",
        "/bin/tool",
    ]);
    let errors = sandbox.fails(125, &["run", "oci:images:v1"]);
    assert!(errors.contains("E_PLATFORM") && errors.contains("linux/s390x"), "{errors}");
}

#[test]
fn volumes_are_seeded_and_forgotten() {
    let sandbox = Sandbox::new();
    let Some(()) = image(&sandbox, &["--volume", "/home/app"]) else { return };
    sandbox.write("root/home/app/seed", "1");
    sandbox.ok(&["pack", "root", "oci:images:app", "--owner", "0:0", "--volume", "/home/app"]);
    for _ in 0..2 {
        let done = sandbox.run(&[
            "run",
            "oci:images:app",
            "--",
            "sh",
            "-c",
            "ls /home/app; touch /home/app/new",
        ]);
        assert_eq!((done.stdout.as_str(), done.code), ("seed\n", 0), "{}", done.stderr);
    }
}
