//! A place for one attack: an image, the destination, and beside it a victim
//! that must not change; and the program, run as root and as an ordinary user,
//! with little memory and little time.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use plimsoll::content::{Algorithm, Digest};
use serde_json::{Value, json};

use crate::archive::Layer;

/// An id that belongs to nobody.
const ORDINARY: u32 = 12_345;

/// How long a refusal of a small input may take. Loaded machines get three
/// tries; what hangs, hangs three times.
const TIME: Duration = Duration::from_secs(1);
const TRIES: u32 = 3;

/// Writable memory that a process may have, in KiB: `RLIMIT_DATA` counts all
/// private mappings, so that one byte more is refused by the kernel.
const MEMORY: &str = "131072";

/// As whom the program runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum As {
    Root,
    Ordinary,
}

impl As {
    /// All that this process can be.
    pub(crate) fn all() -> &'static [Self] {
        if rustix::process::geteuid().is_root() {
            &[Self::Root, Self::Ordinary]
        } else {
            &[Self::Ordinary]
        }
    }
}

pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

pub(crate) struct Yard {
    folder: tempfile::TempDir,
    pub(crate) who: As,
    before: Tree,
}

impl Yard {
    pub(crate) fn new(who: As) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("own");
        let outside = path.join("outside");
        fs::create_dir_all(outside.join("deep/er")).expect("made");
        fs::create_dir(path.join("home")).expect("made");
        fs::write(outside.join("victim"), "precious").expect("written");
        fs::hard_link(outside.join("victim"), outside.join("deep/twin")).expect("linked");
        fs::write(outside.join("deep/er/x"), "precious too").expect("written");
        symlink("victim", outside.join("pointer")).expect("linked");
        fs::set_permissions(outside.join("victim"), fs::Permissions::from_mode(0o640))
            .expect("own");
        let mut yard = Self { folder, who, before: Tree::new() };
        yard.give(path_of(&yard.folder));
        yard.before = look(&outside);
        yard
    }

    /// Makes the user the owner of all that lies there, so that an attack
    /// would work if it were tried.
    fn give(&self, path: &Path) {
        if self.who == As::Ordinary && rustix::process::geteuid().is_root() {
            let id = ORDINARY.to_string();
            let status =
                Command::new("chown").args(["-hR", &format!("{id}:{id}")]).arg(path).status();
            assert!(status.expect("chown starts").success());
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn outside(&self) -> String {
        self.path("outside").display().to_string()
    }

    /// Writes a layout with one image, `oci:layout:v1`.
    pub(crate) fn image(&self, layers: &[Layer]) {
        self.image_of(layers, &json!({}));
    }

    /// The same with these members of its config.
    pub(crate) fn image_of(&self, layers: &[Layer], more: &Value) {
        let blobs = self.path("layout/blobs/sha256");
        fs::create_dir_all(&blobs).expect("made");
        let add = |media_type: &str, bytes: &[u8]| {
            let digest = Digest::of(Algorithm::Sha256, bytes);
            fs::write(blobs.join(digest.encoded()), bytes).expect("written");
            json!({"mediaType": media_type, "digest": digest.to_string(), "size": bytes.len()})
        };
        let listed: Vec<_> =
            layers.iter().map(|layer| add(layer.media_type, &layer.blob)).collect();
        let digest = |layer: &Layer| Digest::of(Algorithm::Sha256, &layer.plain).to_string();
        let mut config = json!({
            "architecture": match std::env::consts::ARCH {
                "aarch64" => "arm64",
                "riscv64" => "riscv64",
                _ => "amd64",
            },
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": layers.iter().map(digest).collect::<Vec<_>>()},
        });
        for (name, value) in more.as_object().into_iter().flatten() {
            config[name] = value.clone();
        }
        let config = add("application/vnd.oci.image.config.v1+json", config.to_string().as_bytes());
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let manifest =
            json!({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": listed});
        let mut manifest = add(kind, manifest.to_string().as_bytes());
        manifest["annotations"] = json!({"org.opencontainers.image.ref.name": "v1"});
        let index = json!({"schemaVersion": 2, "manifests": [manifest]});
        fs::write(self.path("layout/index.json"), index.to_string()).expect("written");
        fs::write(self.path("layout/oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)
            .expect("written");
        self.give(&self.path("layout"));
    }

    /// Runs the program without limits.
    pub(crate) fn run(&self, words: &[&str]) -> Done {
        self.start("exec \"$@\"", words, Duration::from_mins(5)).0
    }

    /// Runs the program with forty descriptors open that it was not asked to
    /// look at: the folder outside, and the root of this machine.
    pub(crate) fn run_with_descriptors(&self, words: &[&str]) -> Done {
        let open = |n: u32| {
            format!("eval \"exec {n}<{}\";", if n.is_multiple_of(2) { "/" } else { "outside" })
        };
        // Shells take one digit only; the rest is inherited from another shell's.
        let script: String = (3..10).map(open).collect();
        let script = format!(
            "{script} exec bash -c 'for n in {{10..40}}; do eval \"exec $n</\"; done; exec \"$@\"' sh \"$@\""
        );
        self.start(&script, words, Duration::from_mins(1)).0
    }

    /// Runs the program with the limits that hold for small inputs: memory
    /// and time on the processor for all of them, and time on the clock for
    /// refusals (what is accepted has to wait for a disk that may be busy).
    pub(crate) fn run_small(&self, words: &[&str]) -> Done {
        let most = if optimised() { TIME } else { 5 * TIME };
        let script = format!("ulimit -d {MEMORY}; ulimit -t {}; exec \"$@\"", most.as_secs());
        let mut tries = TRIES;
        loop {
            tries -= 1;
            let (done, time) = self.start(&script, words, Duration::from_secs(20));
            if done.code == 0 || time <= most {
                return done;
            }
            assert!(tries > 0, "{words:?} took {time:?}, three times: {}", done.err);
        }
    }

    fn start(&self, script: &str, words: &[&str], most: Duration) -> (Done, Duration) {
        let mut command = Command::new("sh");
        command.args(["-c", script, "sh"]);
        if self.who == As::Ordinary && rustix::process::geteuid().is_root() {
            let id = ORDINARY.to_string();
            command.args(["setpriv", "--reuid", &id, "--regid", &id, "--clear-groups", "--"]);
        }
        let (out, err) = (self.path("home/out"), self.path("home/err"));
        command
            .arg(program())
            .args(words)
            .current_dir(self.folder.path())
            .env_clear()
            .env(
                "PATH",
                format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", self.path("home/bin").display()),
            )
            .env("HOME", self.path("home"))
            .env("PLIMSOLL_STORE", self.path("home/store"))
            .stdin(Stdio::null())
            .stdout(fs::File::create(&out).expect("made"))
            .stderr(fs::File::create(&err).expect("made"));
        let begin = Instant::now();
        let mut child = command.spawn().expect("sh starts");
        let status = loop {
            if let Some(status) = child.try_wait().expect("ours") {
                break status;
            }
            if begin.elapsed() > most {
                child.kill().expect("ours");
                child.wait().expect("ours");
                panic!("{words:?} hangs");
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        let time = begin.elapsed();
        let text = |path| String::from_utf8_lossy(&fs::read(path).expect("read")).into_owned();
        let done = Done { code: status.code().unwrap_or(-1), out: text(out), err: text(err) };
        assert!(!done.err.contains("panicked"), "{words:?}: {}", done.err);
        assert!(!done.err.contains(['\u{1b}', '\u{202e}']), "{words:?}: {:?}", done.err);
        assert!(!done.out.contains(['\u{1b}', '\u{202e}']), "{words:?}: {:?}", done.out);
        (done, time)
    }

    /// Whatever was tried: nothing outside changed, nothing lies beside.
    pub(crate) fn intact(&self, root: bool) {
        assert!(look(&self.path("outside")) == self.before, "something outside changed");
        let mut expected = vec!["home", "layout", "outside"];
        if root {
            expected.push("root");
        }
        let mut names: Vec<_> = fs::read_dir(self.folder.path())
            .expect("listed")
            .map(|entry| entry.expect("listed").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        assert_eq!(names, expected, "as {:?}: what lies there", self.who);
    }

    /// What the destination holds.
    pub(crate) fn tree(&self) -> Tree {
        look(&self.path("root"))
    }
}

impl Drop for Yard {
    /// Folders that their owner may not enter must not survive the test.
    fn drop(&mut self) {
        let _ = Command::new("chmod").args(["-R", "u+rwX"]).arg(self.folder.path()).output();
    }
}

fn path_of(folder: &tempfile::TempDir) -> &Path {
    folder.path()
}

/// Whether the program is one that people use. The other one is given more
/// time and less to do; `cargo xtask hostile` and CI have this one.
pub(crate) fn optimised() -> bool {
    !cfg!(debug_assertions) || std::env::var_os("PLIMSOLL_BIN").is_some()
}

/// A copy of the program that any user can start.
pub(crate) fn program() -> &'static Path {
    static COPY: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = COPY.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("own");
        let path = folder.path().join("plimsoll");
        let built = std::env::var_os("PLIMSOLL_BIN");
        let built = built.unwrap_or_else(|| env!("CARGO_BIN_EXE_plimsoll").into());
        fs::copy(built, &path).expect("the program can be copied");
        (folder, path)
    });
    path
}

/// All that can be seen of a file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Facts {
    pub(crate) kind: char,
    pub(crate) mode: u32,
    pub(crate) owner: (u32, u32),
    pub(crate) time: (i64, i64),
    pub(crate) names: u64,
    pub(crate) content: Vec<u8>,
}

impl Facts {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.content).into_owned()
    }
}

/// A file tree by path, odd bytes escaped; the root has the empty path.
pub(crate) type Tree = BTreeMap<String, Facts>;

pub(crate) fn look(root: &Path) -> Tree {
    let mut tree = Tree::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(path) = waiting.pop() {
        let name = path.strip_prefix(root).expect("below").as_os_str().as_bytes();
        let data = fs::symlink_metadata(&path).expect("there");
        let (kind, content) = match data.mode() & 0o170_000 {
            0o040_000 => {
                let entries = fs::read_dir(&path).into_iter().flatten();
                waiting.extend(entries.map(|entry| entry.expect("listed").path()));
                ('d', Vec::new())
            }
            0o120_000 => ('l', fs::read_link(&path).expect("read").as_os_str().as_bytes().to_vec()),
            0o100_000 => ('f', fs::read(&path).unwrap_or_default()),
            0o010_000 => ('p', Vec::new()),
            0o020_000 => ('c', Vec::new()),
            0o060_000 => ('b', Vec::new()),
            _ => ('?', Vec::new()),
        };
        let facts = Facts {
            kind,
            mode: data.mode() & 0o7777,
            owner: (data.uid(), data.gid()),
            time: (data.mtime(), data.mtime_nsec()),
            names: if kind == 'd' { 0 } else { data.nlink() },
            content,
        };
        tree.insert(name.escape_ascii().to_string(), facts);
    }
    tree
}
