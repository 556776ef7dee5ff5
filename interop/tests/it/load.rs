//! Many at once: a thousand connections that pull while a hundred push, against
//! our registry and against Debian's, one after the other in one run.
//!
//! A slice of it runs always. `PLIMSOLL_LOAD_SECONDS=120` makes it long; the
//! figures are printed.

use std::fs;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use plimsoll_interop::{Program, Scratch, peer, skip};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::raw::{Connection, Server, free, noise, say};

const PULLING: usize = 1000;
const PUSHING: usize = 100;

/// What came of it.
struct Figures {
    pulls: u64,
    bytes: u64,
    pushes: u64,
    errors: Vec<String>,
    seconds: f64,
    memory: u64,
}

impl Figures {
    #[allow(clippy::cast_precision_loss, reason = "figures for people")]
    fn line(&self, name: &str) -> String {
        format!(
            "{name}: {:.0} pulls/s, {:.0} MB/s, {:.0} pushes/s, {} errors, {:.0} MB of memory at most",
            self.pulls as f64 / self.seconds,
            self.bytes as f64 / 1e6 / self.seconds,
            self.pushes as f64 / self.seconds,
            self.errors.len(),
            self.memory as f64 / 1e6,
        )
    }
}

fn seconds() -> u64 {
    let said = std::env::var("PLIMSOLL_LOAD_SECONDS");
    said.map_or(3, |said| said.parse().expect("PLIMSOLL_LOAD_SECONDS is a number"))
}

/// Lets this process, and the servers that it starts, have enough connections.
fn room() -> bool {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let wanted = 8192;
    if maximum.is_some_and(|most| most < wanted) {
        skip("load: too few open files are allowed");
        return false;
    }
    setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum }).is_ok()
}

fn load(server: &Server) -> Figures {
    let image = [noise(1, 2_000), noise(2, 64 << 10), noise(3, 512 << 10)];
    let image: Vec<&[u8]> = image.iter().map(Vec::as_slice).collect();
    let mut first = Connection::open(&server.host).expect("connected");
    first.push("pulled", "v1", &image).expect("pushed");
    drop(first);
    let (pulls, bytes, pushes) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let (errors, over) = (Mutex::new(Vec::new()), AtomicBool::new(false));
    let begun = Instant::now();
    let told = |error: std::io::Error| {
        let mut errors = errors.lock().expect("lock");
        errors.push(error.to_string());
        over.store(errors.len() > 1000, Ordering::Relaxed);
    };
    std::thread::scope(|scope| {
        let small = || std::thread::Builder::new().stack_size(512 << 10);
        for _ in 0..PULLING {
            let pull = || {
                let mut connection = None;
                while !over.load(Ordering::Relaxed) {
                    let pulled = taken(&mut connection, &server.host)
                        .and_then(|connection| connection.pull("pulled", "v1", &image));
                    match pulled {
                        Ok(length) => {
                            pulls.fetch_add(1, Ordering::Relaxed);
                            bytes.fetch_add(length, Ordering::Relaxed);
                        }
                        Err(error) => {
                            connection = None;
                            told(error);
                        }
                    }
                }
            };
            small().spawn_scoped(scope, pull).expect("a thread");
        }
        for number in 0..PUSHING {
            let (pushes, over, told, image) = (&pushes, &over, &told, &image);
            let push = move || {
                let mut connection = None;
                let name = format!("pushed/{number}");
                let mut count = 0_u64;
                while !over.load(Ordering::Relaxed) {
                    let layer = noise(1 << 40 | (number as u64) << 20 | count, 16 << 10);
                    let pushed = taken(&mut connection, &server.host).and_then(|connection| {
                        connection.push(&name, &format!("v{count}"), &[image[0], &layer])
                    });
                    match pushed {
                        Ok(()) => {
                            pushes.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(error) => {
                            connection = None;
                            told(error);
                        }
                    }
                    count += 1;
                }
            };
            small().spawn_scoped(scope, push).expect("a thread");
        }
        while begun.elapsed() < Duration::from_secs(seconds()) && !over.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(100));
        }
        over.store(true, Ordering::Relaxed);
    });
    Figures {
        pulls: pulls.into_inner(),
        bytes: bytes.into_inner(),
        pushes: pushes.into_inner(),
        errors: errors.into_inner().expect("lock"),
        seconds: begun.elapsed().as_secs_f64(),
        memory: server.memory(),
    }
}

/// The connection that is there, or a new one.
fn taken<'c>(
    connection: &'c mut Option<Connection>,
    host: &str,
) -> std::io::Result<&'c mut Connection> {
    if connection.is_none() {
        *connection = Some(Connection::open(host)?);
    }
    connection.as_mut().ok_or_else(|| std::io::ErrorKind::NotConnected.into())
}

#[test]
fn a_thousand_pull_and_a_hundred_push_and_nobody_meets_an_error() {
    if !room() {
        return;
    }
    let scratch = Scratch::new();
    let host = free();
    let mut command = Program::new(scratch.path()).command();
    command.args(["serve", "ours", "-q", "--listen", &host]);
    let ours = load(&Server::start(&scratch, command, &host));
    say(&ours.line("plimsoll serve"));
    fs::remove_dir_all(scratch.join("ours")).expect("removed");
    if let Some(docker) = peer("docker-registry") {
        let host = free();
        let config = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\nstorage:\n  \
             filesystem: {{rootdirectory: {}}}\nhttp: {{addr: {host}}}\n",
            scratch.text("theirs")
        );
        fs::write(scratch.join("registry.yml"), config).expect("a file");
        let mut command = Command::new(&docker.path);
        command.arg("serve").arg(scratch.join("registry.yml"));
        let theirs = load(&Server::start(&scratch, command, &host));
        say(&theirs.line("docker-registry"));
    }
    assert!(ours.errors.is_empty(), "{:?}", &ours.errors[..ours.errors.len().min(10)]);
    assert!(ours.pulls > 0 && ours.pushes > 0);
}
