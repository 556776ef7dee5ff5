//! The real program.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::{Output, run};

/// The program, with a folder of its own for everything it keeps.
#[derive(Clone, Debug)]
pub struct Program {
    path: PathBuf,
    home: PathBuf,
}

impl Program {
    /// The program, which keeps its store and cache in `home`.
    ///
    /// It is the one that `PLIMSOLL_BIN` names; else the one beside the test
    /// program, built first if it is not there.
    pub fn new(home: &Path) -> Self {
        Self { path: built().to_owned(), home: home.to_owned() }
    }

    /// The program, from a copy that any user can read and start.
    pub fn copied(home: &Path) -> Self {
        let path = home.join("plimsoll");
        std::fs::copy(built(), &path).expect("the program can be copied");
        Self { path, home: home.to_owned() }
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A command that starts it in a quiet environment.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.env_clear().envs(self.environment()).current_dir(&self.home);
        command
    }

    /// That environment.
    pub fn environment(&self) -> Vec<(&'static str, PathBuf)> {
        vec![
            ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into()),
            ("HOME", self.home.clone()),
            ("XDG_DATA_HOME", self.home.join("data")),
            ("XDG_CACHE_HOME", self.home.join("cache")),
            ("XDG_RUNTIME_DIR", self.home.join("runtime")),
            ("LC_ALL", "C.UTF-8".into()),
        ]
    }

    /// Runs it with these arguments.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> Output {
        run(self.command().args(arguments))
    }

    /// Runs it with these arguments, which must work; gives its output.
    #[track_caller]
    pub fn good(&self, arguments: &[&str]) -> String {
        self.run(arguments).good(&format!("plimsoll {}", arguments.join(" ")))
    }
}

fn built() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        if let Some(path) = std::env::var_os("PLIMSOLL_BIN") {
            return PathBuf::from(path).canonicalize().expect("PLIMSOLL_BIN names the program");
        }
        let test = std::env::current_exe().expect("a running program has a path");
        // target/PROFILE/deps/it-HASH
        let profile = test.ancestors().nth(2).expect("tests lie two folders deep").to_owned();
        let program = profile.join("plimsoll");
        if !program.is_file() {
            let mut cargo = Command::new(env!("CARGO"));
            cargo.args(["build", "--quiet", "--package=plimsoll-cli"]);
            if profile.ends_with("release") {
                cargo.arg("--release");
            }
            run(cargo.current_dir(env!("CARGO_MANIFEST_DIR"))).good("building the program");
        }
        program
    })
}
