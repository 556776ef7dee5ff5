//! The same process from the same image, whoever starts it.

use std::fs;
use std::io::Read as _;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use plimsoll_interop::{
    Output, Peer, Program, Scratch, busybox_rootfs, is_root, peer, run, shell, skip,
};

/// What the process says of itself. It ends with code 7.
const SCRIPT: &str = r#"
echo "args $0 $*"
id
pwd
echo "FOO=$FOO HOME=$HOME PATH=$PATH"
grep -E '^(Cap|NoNewPrivs|Groups|Seccomp:)' /proc/self/status
ls -ld /tmp /srv/data /etc/passwd | sort
echo written > /tmp/x && cat /tmp/x
ls /proc/sys/kernel/ostype
exit 7
"#;

struct Case {
    scratch: Scratch,
    plimsoll: Program,
    layout: String,
}

impl Case {
    fn new() -> Option<Self> {
        let scratch = Scratch::new();
        let plimsoll = Program::copied(scratch.path());
        let root = scratch.join("tree");
        fs::create_dir(&root).expect("a new folder");
        busybox_rootfs(&root)?;
        if rustix::process::geteuid().is_root() {
            shell(&root, "chown -R 1000:1000 home/app srv/data");
        }
        let layout = scratch.text("images");
        for (tag, user) in [("app", "app"), ("root", ""), ("group", "app:extra"), ("uid", "1234")] {
            let name = format!("oci:{layout}:{tag}");
            let mut arguments = vec!["pack", "tree", &name];
            for word in ["/bin/sh", "-c", SCRIPT] {
                arguments.extend(["--entrypoint", word]);
            }
            arguments.extend([
                "--cmd",
                "zero",
                "--cmd",
                "one two",
                "-e",
                "FOO=a b",
                "-w",
                "/srv/data",
            ]);
            if !user.is_empty() {
                arguments.extend(["-u", user]);
            }
            plimsoll.good(&arguments);
        }
        Some(Self { scratch, plimsoll, layout })
    }

    fn run(&self, tag: &str, options: &[&str]) -> Output {
        let name = format!("oci:{}:{tag}", self.layout);
        self.plimsoll.run(&[&["run"], options, &[&name]].concat())
    }

    /// The bundle that we make, started by another runtime.
    fn bundle(&self, tag: &str, runtime: &Peer) -> Output {
        let bundle = self.scratch.text(&format!("bundle-{tag}-{}", runtime.name));
        self.plimsoll.good(&["bundle", &format!("oci:{}:{tag}", self.layout), &bundle]);
        let mut command = runtime.command();
        command.arg("--root").arg(self.scratch.join("state")).args(["run", "--bundle", &bundle]);
        run(command.arg(format!("interop-{tag}-{}", std::process::id())))
    }
}

/// What the two said, and how they ended, is the same.
#[track_caller]
fn assert_same(ours: &Output, theirs: &Output, who: &str) {
    assert_eq!(ours.out, theirs.out, "{who}: {}{}", ours.err, theirs.err);
    assert_eq!(ours.code, theirs.code, "{who}: {}", theirs.err);
}

#[test]
fn the_process_is_the_one_that_the_config_asks_for() {
    if !is_root("users of the image") {
        return;
    }
    let Some(case) = Case::new() else { return };
    let app = case.run("app", &[]);
    assert_eq!(app.code, 7, "{}{}", app.out, app.err);
    let lines: Vec<_> = app.out.lines().collect();
    assert_eq!(lines[0], "args zero one two");
    assert_eq!(lines[1], "uid=1000(app) gid=1000(app) groups=1000(app),2000(extra),2001(more)");
    assert_eq!(lines[2], "/srv/data");
    assert_eq!(
        lines[3],
        "FOO=a b HOME=/home/app PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    );
    assert!(app.out.contains("CapEff:\t0000000000000000"), "{}", app.out);
    assert!(app.out.contains("written"), "{}", app.out);

    let root = case.run("root", &[]);
    assert!(
        root.out.contains("uid=0(root) gid=0(root) groups=0(root),2002(rootish)"),
        "{}",
        root.out
    );
    assert!(root.out.contains("CapEff:\t00000000800405fb"), "{}", root.out);
    let group = case.run("group", &[]);
    assert!(
        group.out.contains("uid=1000(app) gid=2000(extra) groups=2000(extra)"),
        "{}",
        group.out
    );
    let number = case.run("uid", &[]);
    assert!(number.out.contains("uid=1234 gid=0(root)"), "{}", number.out);
}

#[test]
fn arguments_replace_the_default_ones_and_nothing_stays() {
    if !is_root("users of the image") {
        return;
    }
    let Some(case) = Case::new() else { return };
    let name = format!("oci:{}:app", case.layout);
    let before = case.plimsoll.good(&["validate", &name]);
    let ran = case.plimsoll.run(&["run", &name, "--", "other", "words"]);
    assert_eq!((ran.code, ran.out.lines().next()), (7, Some("args other words")), "{}", ran.err);
    assert_eq!(case.plimsoll.good(&["validate", &name]), before);
    let again = case.run("app", &[]);
    assert!(!again.err.contains("/tmp/x"), "{}", again.err);
}

#[test]
fn runc_and_crun_start_the_same_process() {
    if !is_root("runtimes") {
        return;
    }
    let Some(case) = Case::new() else { return };
    for name in ["runc", "crun"] {
        let Some(runtime) = peer(name) else { continue };
        let runtime = apart(&case.scratch, runtime);
        let path = runtime.path.display().to_string();
        for tag in ["app", "root", "group", "uid"] {
            let theirs = case.bundle(tag, &runtime);
            if theirs.code != 7 && cannot_run_here(&theirs) {
                skip(&format!("{name} here: {}", theirs.err.trim()));
                break;
            }
            let ours = case.run(tag, &[]);
            assert_same(&ours, &theirs, &format!("{name} on our bundle of {tag}"));
            let external = case.run(tag, &["--runtime", &path]);
            assert_same(&ours, &external, &format!("--runtime {name} with {tag}"));
        }
    }
}

/// crun refuses to start where both kinds of cgroup are mounted: there it runs
/// without a view of the new one.
fn apart(scratch: &Scratch, runtime: Peer) -> Peer {
    const BOTH: &str = "/sys/fs/cgroup/unified";
    if runtime.name != "crun" || !Path::new(BOTH).is_dir() {
        return runtime;
    }
    let path = scratch.join("crun");
    let real = runtime.path.display();
    let script = format!(
        "#!/bin/sh\nexec unshare -m sh -c 'umount {BOTH}; exec {real} \"$@\"' crun \"$@\"\n"
    );
    fs::write(&path, script).expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("own");
    Peer { path, ..runtime }
}

/// What kernels and sandboxes refuse to a runtime, whatever the bundle says.
fn cannot_run_here(output: &Output) -> bool {
    ["cgroup", "Operation not permitted", "RLIM"].iter().any(|word| output.err.contains(word))
}

#[test]
fn podman_starts_the_same_process() {
    if !is_root("podman with storage of its own") {
        return;
    }
    let Some(podman) = peer("podman") else { return };
    let Some(case) = Case::new() else { return };
    for tag in ["app", "root", "group"] {
        let mut command = podman.command();
        command.arg("--root").arg(case.scratch.join("root"));
        command.arg("--runroot").arg(case.scratch.join("run"));
        command.args(["--storage-driver", "vfs", "--runtime", "runc", "--cgroup-manager=cgroupfs"]);
        command.args(["run", "-q", "--rm", "--network=none", "--ulimit", "nofile=1024:1024"]);
        command.args(["--ulimit", "nproc=1000:1000", &format!("oci:{}:{tag}", case.layout)]);
        let theirs = run(&mut command);
        if theirs.code == 125 || theirs.code == 126 {
            skip(&format!("podman run here: {}", theirs.err.trim()));
            return;
        }
        let (mut ours, mut theirs) = (case.run(tag, &[]), theirs);
        if tag == "root" {
            // Without a user in the config podman leaves the group 0 out of
            // the supplementary ones; the runtime spec puts it in.
            without_groups(&mut ours);
            without_groups(&mut theirs);
        }
        assert_same(&ours, &theirs, &format!("podman with {tag}"));
    }
}

fn without_groups(output: &mut Output) {
    let said = output.out.lines().filter(|line| !line.starts_with("Groups:"));
    let said: Vec<_> = said.map(|line| line.split(" groups=").next().unwrap_or(line)).collect();
    output.out = said.join("\n");
}

#[test]
fn codes_and_signals_are_passed_on() {
    if !is_root("users of the image") {
        return;
    }
    let Some(case) = Case::new() else { return };
    let name = format!("oci:{}:sh", case.layout);
    case.plimsoll.good(&["pack", "tree", &name, "--entrypoint", "/bin/sh"]);
    for (script, code) in [("exit 0", 0), ("exit 255", 255), ("sh -c 'kill -9 $$'; exit $?", 137)] {
        let ran = case.plimsoll.run(&["run", &name, "--", "-c", script]);
        assert_eq!(ran.code, code, "{script}: {}", ran.err);
    }
    let name = format!("oci:{}:none", case.layout);
    case.plimsoll.good(&["pack", "tree", &name]);
    let ran = case.plimsoll.run(&["run", &name, "--", "/no/such/program"]);
    assert_eq!(ran.code, 127, "{}", ran.err);
    let ran = case.plimsoll.run(&["run", &name, "--", "/etc/passwd"]);
    assert_eq!(ran.code, 126, "{}", ran.err);
    let ran = case.plimsoll.run(&["run", &name]);
    assert!(ran.code != 0 && ran.err.contains("--"), "{}", ran.err);
}

/// The words before a program that an ordinary user starts: as root, the account that
/// `interop/setup` makes; otherwise the own one.
fn ordinary(case: &Case) -> Option<Vec<String>> {
    const ACCOUNT: &str = "plimsoll-interop";
    let root = rustix::process::geteuid().is_root();
    shell(case.scratch.path(), "mkdir -m 700 -p user/runtime user");
    let mut words: Vec<String> = Vec::new();
    if root {
        if run(Command::new("id").arg(ACCOUNT)).code != 0 {
            skip("an ordinary user: interop/setup makes the account when run as root");
            return None;
        }
        shell(case.scratch.path(), &format!("chown -R {ACCOUNT}: user"));
        words.extend(["runuser", "-u", ACCOUNT, "--"].map(str::to_owned));
    }
    words.extend(["env", "-i"].map(str::to_owned));
    for (name, value) in case.plimsoll.environment() {
        let value = value.display().to_string();
        let own = value.replace(&case.scratch.text(""), &case.scratch.text("user/"));
        words.push(format!("{name}={own}"));
    }
    if run(Command::new(&words[0]).args(&words[1..]).args(["unshare", "-Ur", "true"])).code != 0 {
        skip("an ordinary user: this kernel gives no user namespaces");
        return None;
    }
    Some(words)
}

/// As root, who can lend the user a tun device in mounts of the test's own.
#[test]
fn pasta_carries_the_packets_of_an_ordinary_user() {
    if !is_root("lending a device") || peer("pasta").is_none() {
        return;
    }
    let Some(case) = Case::new() else { return };
    let Some(ordinary) = ordinary(&case) else { return };
    let lend = "rm -f tun; mknod tun c 10 200 && chmod 666 tun \
        && mount --bind tun /dev/net/tun && exec \"$@\"";
    let start = |flags: &[&str], script: &str| {
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-c", lend, "sh"]).args(&ordinary);
        command.arg(case.plimsoll.path()).arg("run").args(flags).args(["--entrypoint", "/bin/sh"]);
        command.args([&format!("oci:{}:root", case.layout), "--", "-c", script]);
        command.current_dir(case.scratch.path()).stdin(Stdio::null());
        command
    };
    let routes = fs::read_to_string("/proc/net/route").unwrap_or_default();
    if !Path::new("/dev/net/tun").exists() || routes.lines().count() < 2 {
        skip("pasta: this machine has no tun device, or no network");
        return;
    }
    let said = run(&mut start(&[], "cat /proc/net/route /etc/resolv.conf"));
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(!said.err.contains("network: none"), "{}", said.err);
    assert!(
        said.out.lines().any(|line| line.split('\t').nth(1) == Some("00000000")),
        "{}",
        said.out
    );
    assert!(said.out.contains("nameserver 169.254.1.1"), "{}", said.out);

    let free = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
    let port = free.expect("an address").port();
    let publish = format!("127.0.0.1:{port}:80");
    let mut child = start(&["-p", &publish], "echo from inside | busybox nc -l -p 80");
    let mut child = child.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts");
    let (started, mut text) = (Instant::now(), String::new());
    while text.is_empty() && started.elapsed() < Duration::from_secs(20) {
        if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) {
            let _ = stream.set_read_timeout(Some(Duration::from_secs(2)));
            let _ = stream.shutdown(Shutdown::Write);
            let _ = stream.read_to_string(&mut text);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let _ = child.kill();
    let _ = child.wait();
    assert_eq!(text, "from inside\n");
}

#[test]
fn an_ordinary_user_gets_the_same_process() {
    let Some(case) = Case::new() else { return };
    let root = rustix::process::geteuid().is_root();
    let Some(ordinary) = ordinary(&case) else { return };
    let start = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(&ordinary[0]);
        run(command.args(&ordinary[1..]).arg(program).args(arguments).current_dir("/"))
    };
    let program = case.plimsoll.path().display().to_string();
    for tag in ["app", "root", "group"] {
        let name = format!("oci:{}:{tag}", case.layout);
        let ours = start(&program, &["run", &name]);
        assert_eq!(ours.code, 7, "{}{}", ours.out, ours.err);
        if root {
            // Owners and capabilities look the same from inside.
            assert_same(&ours, &case.run(tag, &[]), &format!("rootless {tag}"));
        }
        if peer("runc").is_some() {
            let external = start(&program, &["run", "--runtime", "runc", &name]);
            if external.code != 7 && cannot_run_here(&external) {
                skip(&format!("rootless runc here: {}", external.err.trim()));
            } else {
                assert_same(&ours, &external, &format!("rootless --runtime runc with {tag}"));
            }
        }
    }
}
