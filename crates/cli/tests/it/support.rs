//! A folder of its own for each test, and the program in it.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use plimsoll::content::{Algorithm, Descriptor, Digest, MediaType};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::Winsize;
use serde_json::Value;

pub(crate) struct Sandbox {
    folder: tempfile::TempDir,
}

pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("permissions");
        Self { folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
        command.args(words).current_dir(self.folder.path());
        for variable in [
            "SOURCE_DATE_EPOCH",
            "PLIMSOLL_JSON",
            "PLIMSOLL_PLATFORM",
            "PLIMSOLL_PROGRESS",
            "PLIMSOLL_JOBS",
            "PLIMSOLL_COLOR",
            "PLIMSOLL_LIMITS",
            "PLIMSOLL_NAMES",
            "PLIMSOLL_NAMES_STATE",
            "PLIMSOLL_LOCKED",
            "PLIMSOLL_NOW",
        ] {
            command.env_remove(variable);
        }
        command.env_remove("CONTAINERS_REGISTRIES_CONF");
        command.env("XDG_CONFIG_HOME", self.path("config"));
        command.env("XDG_CACHE_HOME", self.path("cache"));
        command.env("XDG_STATE_HOME", self.path("state"));
        command.env("PLIMSOLL_STORE", self.path("store"));
        command
    }

    /// Runs the program, whatever comes of it.
    pub(crate) fn run(&self, words: &[&str]) -> Done {
        Done::of(&self.command(words).output().expect("the program starts"))
    }

    /// Runs the program, which must succeed, and gives its output.
    pub(crate) fn ok(&self, words: &[&str]) -> String {
        let done = self.run(words);
        assert_eq!(done.code, 0, "{words:?}: {}", done.stderr);
        done.stdout
    }

    /// Runs the program with `--json`, which must succeed.
    pub(crate) fn json(&self, words: &[&str]) -> Value {
        let words: Vec<_> = words.iter().copied().chain(["--json"]).collect();
        serde_json::from_str(&self.ok(&words)).expect("one JSON document")
    }

    /// Runs the program, which must fail with that code, and gives its errors.
    pub(crate) fn fails(&self, code: i32, words: &[&str]) -> String {
        let done = self.run(words);
        assert_eq!(done.code, code, "{words:?}: {}{}", done.stdout, done.stderr);
        done.stderr
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        fs::write(path, content).expect("a file");
    }

    /// A small folder with a bit of everything that an ordinary user can make.
    pub(crate) fn tree(&self, name: &str) {
        self.write(&format!("{name}/etc/motd"), "hello\n");
        self.write(&format!("{name}/bin/tool"), "#!/bin/sh\n");
        self.write(&format!("{name}/a b/ünï\nx"), "odd name");
        let root = self.path(name);
        fs::set_permissions(root.join("bin/tool"), fs::Permissions::from_mode(0o4755))
            .expect("mode");
        fs::hard_link(root.join("etc/motd"), root.join("etc/motd2")).expect("hard link");
        std::os::unix::fs::symlink("../etc/motd", root.join("bin/link")).expect("link");
    }

    /// `tree`, packed as `oci:images:v1`; gives the manifest's digest.
    pub(crate) fn image(&self) -> String {
        self.tree("tree");
        self.ok(&["pack", "tree", "oci:images:v1", "-q"]).trim().to_owned()
    }

    pub(crate) fn layout(&self, name: &str) -> Layout {
        Layout(self.path(name))
    }

    /// What lies in the sandbox, staging folders and hidden files included.
    pub(crate) fn names(&self) -> Vec<String> {
        names(self.folder.path())
    }
}

pub(crate) fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

impl Done {
    pub(crate) fn of(output: &Output) -> Self {
        use std::os::unix::process::ExitStatusExt;
        Self {
            code: output.status.code().unwrap_or_else(|| 128 + output.status.signal().unwrap_or(0)),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// A layout in the hands of a test, which may break it.
pub(crate) struct Layout(PathBuf);

impl Layout {
    pub(crate) fn index(&self) -> Value {
        serde_json::from_slice(&fs::read(self.0.join("index.json")).expect("index.json"))
            .expect("JSON")
    }

    pub(crate) fn set_index(&self, index: &Value) {
        fs::write(self.0.join("index.json"), index.to_string()).expect("written");
    }

    pub(crate) fn blob_path(&self, digest: &str) -> PathBuf {
        let (algorithm, encoded) = digest.split_once(':').expect("a digest");
        self.0.join("blobs").join(algorithm).join(encoded)
    }

    pub(crate) fn blob(&self, digest: &str) -> Vec<u8> {
        fs::read(self.blob_path(digest)).expect("a blob")
    }

    pub(crate) fn document(&self, digest: &str) -> Value {
        serde_json::from_slice(&self.blob(digest)).expect("JSON")
    }

    /// Adds a blob, and gives its descriptor.
    pub(crate) fn add(&self, media_type: &str, bytes: &[u8]) -> Value {
        let descriptor = Descriptor::of(MediaType::from(media_type), Algorithm::Sha256, bytes);
        let path = self.blob_path(&descriptor.digest.to_string());
        if !path.exists() {
            fs::write(path, bytes).expect("written");
        }
        serde_json::to_value(descriptor).expect("JSON")
    }

    /// The manifest and config of the only image.
    pub(crate) fn only(&self) -> (Value, Value) {
        let manifest =
            self.document(self.index()["manifests"][0]["digest"].as_str().expect("a digest"));
        let config = self.document(manifest["config"]["digest"].as_str().expect("a digest"));
        (manifest, config)
    }

    /// Replaces the images by one of these documents, called `name`.
    pub(crate) fn replace(&self, name: &str, mut manifest: Value, config: &Value) {
        let text = config.to_string();
        let kind = manifest["config"]["mediaType"].as_str().expect("a type").to_owned();
        manifest["config"] = self.add(&kind, text.as_bytes());
        self.replace_manifest(name, &manifest);
    }

    pub(crate) fn replace_manifest(&self, name: &str, manifest: &Value) {
        let kind = manifest["mediaType"]
            .as_str()
            .unwrap_or("application/vnd.oci.image.manifest.v1+json")
            .to_owned();
        let mut descriptor = self.add(&kind, manifest.to_string().as_bytes());
        descriptor["annotations"] = serde_json::json!({"org.opencontainers.image.ref.name": name});
        let mut index = self.index();
        index["manifests"] = serde_json::json!([descriptor]);
        self.set_index(&index);
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    Digest::of(Algorithm::Sha256, bytes).to_string()
}

/// A terminal as a person has one, and its other end as a file.
pub(crate) fn terminal() -> (OwnedFd, OwnedFd) {
    let master =
        openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("pty");
    grantpt(&master).expect("granted");
    unlockpt(&master).expect("unlocked");
    let name = ptsname(&master, Vec::new()).expect("a name");
    let slave = fs::File::options().read(true).write(true).open(name.to_str().expect("text"));
    (master, slave.expect("opened").into())
}

/// The size of a terminal.
pub(crate) fn size(rows: u16, columns: u16) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}

/// Whether the test runs as root; tests that need it say what they skip.
pub(crate) fn is_root(what: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("SKIP {what}: needs root");
    }
    root
}
