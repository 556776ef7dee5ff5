//! Traced runs: which system calls a program makes, and what happens when one
//! of them fails or is the last thing it does.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::{Output, Peer, Program, run};

/// The calls that change something, or tell whether something may be changed.
pub const CALLS: &str = "openat,mkdirat,renameat,renameat2,unlinkat,linkat,fchmod,fchmodat,\
                         fsync,syncfs,write,pwrite64,ftruncate,flock,copy_file_range,sendfile";

/// One system call of a traced run.
#[derive(Clone, Debug)]
pub struct Call {
    /// Its name.
    pub name: String,
    /// How many of that name the same thread had made, itself included.
    pub ordinal: usize,
    /// Everything after the name, with the paths of file descriptors.
    pub rest: String,
}

impl Call {
    /// Whether it changes files: not the opening of one that is there, and
    /// not what a program says.
    pub fn changes(&self) -> bool {
        match self.name.as_str() {
            "openat" => self.rest.contains("O_CREAT"),
            "write" => !self.rest.starts_with("(1<") && !self.rest.starts_with("(2<"),
            "flock" => false,
            _ => true,
        }
    }

    /// Whether the program was told that it worked.
    pub fn worked(&self) -> bool {
        !self.rest.contains(" = -1 ")
    }
}

/// Runs the program under `strace`, and gives how it ended and what it did.
pub fn trace(strace: &Peer, program: &Program, words: &[&str], log: &Path) -> (Output, Vec<Call>) {
    let output = run(traced(strace, program, log, &[]).args(words));
    let text = fs::read_to_string(log).expect("strace writes its log");
    let mut ordinals: HashMap<(String, String), usize> = HashMap::new();
    let calls = text
        .lines()
        .filter_map(|line| {
            let (thread, call) = line.split_once(' ')?;
            let (name, rest) = call.trim_start().split_once('(')?;
            if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
                return None;
            }
            let ordinal = ordinals.entry((thread.to_owned(), name.to_owned())).or_default();
            *ordinal += 1;
            Some(Call { name: name.to_owned(), ordinal: *ordinal, rest: format!("({rest}") })
        })
        .collect();
    (output, calls)
}

/// Runs the program, and lets that call fail with an error
/// (`error=ENOSPC`) or end it (`signal=KILL`).
pub fn inject(
    strace: &Peer,
    program: &Program,
    words: &[&str],
    call: &Call,
    what: &str,
    log: &Path,
) -> Output {
    let inject = format!("inject={}:{what}:when={}", call.name, call.ordinal);
    run(traced(strace, program, log, &["-e", &inject]).args(words))
}

fn traced(strace: &Peer, program: &Program, log: &Path, more: &[&str]) -> Command {
    let mut command = strace.command();
    command.env_clear().envs(program.environment());
    command.current_dir(log.parent().expect("a log lies in a folder"));
    command.args(["-f", "-qq", "-y", "-s", "4", "-e", &format!("trace={CALLS}")]);
    command.args(more).arg("-o").arg(log).arg(program.path());
    command
}
