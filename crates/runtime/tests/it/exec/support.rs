//! An image of busybox, and the program that runs it.

#![allow(clippy::print_stderr, reason = "tests say what they skip")]

use std::fs;
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use plimsoll_runtime::convert::{IdMappings, Overrides, Users, to_runtime};
use plimsoll_runtime::rootless::{self, Status};
use plimsoll_runtime::spec::Spec;
use plimsoll_runtime::user::User;
use plimsoll_spec::Config;
use rustix::process::geteuid;
use tempfile::TempDir;

const BUSYBOX: &str = "/bin/busybox";

const TOOLS: &[&str] = &[
    "cat", "echo", "env", "grep", "head", "hostname", "id", "ifconfig", "kill", "ln", "ls",
    "mkdir", "mknod", "mount", "pwd", "readlink", "sh", "sleep", "stat", "touch", "true", "umount",
    "wc",
];

/// An ordinary user without any range of subordinate ids.
const NOBODY: u32 = 65_534;

/// Who starts the container.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Caller {
    /// Root, without a user namespace.
    Root,
    /// Whoever runs the tests, in a user namespace.
    Own,
    /// An ordinary user in a user namespace where he is alone.
    Alone,
}

/// All callers that this machine and the user of the tests allow for.
pub(crate) fn callers() -> Vec<Caller> {
    let content = fs::read(BUSYBOX).unwrap_or_default();
    let found = |text: &[u8]| content.windows(text.len()).any(|window| window == text);
    if content.is_empty() || found(b"/lib64/ld-linux") || found(b"/lib/ld-musl") {
        eprintln!("SKIP running images: there is no static {BUSYBOX}");
        return Vec::new();
    }
    if geteuid().is_root() {
        let status = fs::read_to_string("/proc/self/status").expect("status");
        let sets = status.lines().find_map(|line| line.strip_prefix("CapEff:")).expect("set");
        if u64::from_str_radix(sets.trim(), 16).expect("a number") & (1 << 21) == 0 {
            eprintln!("SKIP running images: root without CAP_SYS_ADMIN");
            return Vec::new();
        }
        return vec![Caller::Root, Caller::Alone];
    }
    match rootless::status() {
        Status::Unavailable(why) => {
            eprintln!("SKIP running images: no user namespaces: {why}");
            Vec::new()
        }
        _ => vec![Caller::Own],
    }
}

/// A bundle of busybox, owned by its caller.
pub(crate) struct Image {
    pub(crate) caller: Caller,
    folder: TempDir,
}

impl Image {
    pub(crate) fn new(caller: Caller) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("mode");
        let root = folder.path().join("rootfs");
        for name in ["bin", "dev", "etc", "proc", "sys", "tmp"] {
            fs::create_dir_all(root.join(name)).expect("made");
        }
        copy(Path::new(BUSYBOX), &root.join("bin/busybox"));
        for tool in TOOLS {
            symlink("busybox", root.join("bin").join(tool)).expect("linked");
        }
        fs::write(root.join("etc/passwd"), "root:x:0:0::/:/bin/sh\n").expect("written");
        // The build folder may be closed to the caller.
        copy(&driver(), &folder.path().join("execute"));
        Self { caller, folder }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A path in the root filesystem, as the host sees it.
    pub(crate) fn inside(&self, path: &str) -> PathBuf {
        self.folder.path().join("rootfs").join(path)
    }

    pub(crate) fn script(&self, path: &str, text: &str) {
        let draft = self.path().join("draft");
        fs::write(&draft, text).expect("written");
        fs::set_permissions(&draft, fs::Permissions::from_mode(0o755)).expect("mode");
        copy(&draft, &self.inside(path));
    }

    /// The runtime config that the conversion makes for a command.
    pub(crate) fn spec(&self, args: &[&str]) -> Spec {
        let config = Config {
            architecture: match std::env::consts::ARCH {
                "x86_64" => "amd64",
                "aarch64" => "arm64",
                other => other,
            }
            .to_owned(),
            os: "linux".to_owned(),
            ..Config::default()
        };
        let user = User {
            uid: 0,
            gid: 0,
            additional_gids: vec![0],
            home: "/".to_owned(),
            findings: Vec::new(),
        };
        let users = match self.caller {
            Caller::Root => Users::Host,
            // Which ids there are is not known before; root's is enough to convert.
            Caller::Own | Caller::Alone => Users::Entered(IdMappings::only(0, 0)),
        };
        let args = args.iter().map(|&arg| arg.to_owned()).collect();
        let overrides = Overrides { args, users, ..Overrides::default() };
        to_runtime(&config, &user, &overrides).expect("a config").spec
    }

    /// The command that runs a config, as the caller.
    pub(crate) fn command(&self, spec: &Spec, options: &[&str]) -> Command {
        fs::write(self.path().join("config.json"), spec.to_bytes().expect("bytes"))
            .expect("written");
        if self.caller == Caller::Alone {
            let status = Command::new("chown")
                .args(["-R", "-h", &format!("{NOBODY}:{NOBODY}")])
                .arg(self.path())
                .status()
                .expect("chown runs");
            assert!(status.success());
        }
        let mut command = Command::new(self.path().join("execute"));
        command.args(options).stdin(Stdio::null());
        if self.caller != Caller::Root {
            command.arg("--rootless");
        }
        if self.caller == Caller::Alone {
            command.uid(NOBODY).gid(NOBODY);
        }
        command.arg(self.path());
        command
    }

    pub(crate) fn run(&self, spec: &Spec) -> Done {
        self.run_with(spec, &[])
    }

    pub(crate) fn run_with(&self, spec: &Spec, options: &[&str]) -> Done {
        Done::of(self.command(spec, options))
    }

    /// Runs a script with the shell of the image.
    pub(crate) fn shell(&self, script: &str) -> Done {
        self.run(&self.spec(&["sh", "-c", script]))
    }
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Done {
    pub(crate) fn of(mut command: Command) -> Self {
        let output = command.output().expect("runs");
        Self {
            code: output.status.code().unwrap_or_else(|| -output.status.signal().expect("signal")),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The command ran in the container and ended well; gives what it said.
    #[track_caller]
    pub(crate) fn good(self) -> String {
        assert_eq!((self.code, self.stderr.as_str()), (0, ""), "{}", self.stdout);
        self.stdout
    }

    /// Nothing was started; gives the reason.
    #[track_caller]
    pub(crate) fn refused(self) -> String {
        assert_eq!((self.code, self.stdout.as_str()), (125, ""), "{}", self.stderr);
        self.stderr
    }
}

/// Starts a command that says a line when it is ready.
pub(crate) fn start(mut command: Command) -> Child {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
    let mut byte = [0];
    let output = child.stdout.as_mut().expect("a pipe");
    if output.read_exact(&mut byte).is_err() {
        let done = child.wait_with_output().expect("ends");
        panic!("{}: {}", done.status, String::from_utf8_lossy(&done.stderr));
    }
    child
}

/// Copies in a process of its own: what another test starts meanwhile would
/// inherit the handle, and what is open for writing can not be executed.
fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-p").args([from, to]).status().expect("cp runs");
    assert!(status.success());
}

/// The example of this crate, which cargo builds with the tests.
fn driver() -> PathBuf {
    let tests = std::env::current_exe().expect("this program");
    let path = tests.parent().and_then(Path::parent).expect("a folder").join("examples/execute");
    assert!(path.exists(), "build the example first: cargo build -p plimsoll-runtime --examples");
    path
}
