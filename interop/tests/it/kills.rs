//! Our registry, killed again and again while clients push: they go on where
//! they were, and nothing that was said to be stored is missing or wrong.
//!
//! `PLIMSOLL_KILLS=200` makes it long.

use std::io;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use plimsoll_interop::{Program, Scratch};

use crate::bucket;
use crate::raw::{Connection, Server, free, noise, say, sha256};

const WRITERS: u64 = 6;

/// The length of a layer: several pieces of an upload, and enough that a kill
/// comes in the middle.
const LAYER: usize = 600_000;

const CHUNK: usize = 150_000;

fn kills() -> u64 {
    let said = std::env::var("PLIMSOLL_KILLS");
    said.map_or(10, |said| said.parse().expect("PLIMSOLL_KILLS is a number"))
}

/// What the writers say.
#[derive(Default)]
struct Told {
    /// Images that were said to be stored: the repository, the seed.
    stored: Mutex<Vec<(u64, u64)>>,
    /// Uploads that went on behind their first byte.
    resumed: AtomicU64,
    over: AtomicBool,
}

/// Does something until it works; the server is away now and then.
fn insist<T>(
    told: &Told,
    host: &str,
    work: impl Fn(&mut Connection) -> io::Result<T>,
) -> Option<T> {
    let begun = Instant::now();
    loop {
        let tried = Connection::open(host).and_then(|mut connection| work(&mut connection));
        match tried {
            Ok(done) => return Some(done),
            Err(_) if told.over.load(Ordering::Relaxed) => return None,
            Err(error) => assert!(begun.elapsed() < Duration::from_mins(1), "{error}"),
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Pushes a blob in chunks. After each break it is asked how far it came.
fn push_blob(told: &Told, host: &str, name: &str, bytes: &[u8]) -> Option<()> {
    loop {
        let place = insist(told, host, |connection| {
            let path = format!("/v2/{name}/blobs/uploads/");
            Ok(connection.ask("POST", &path, "", b"")?.is(202)?.place())
        })?;
        let mut breaks = 0;
        let ended = insist(told, host, |connection| {
            let answer = connection.get(&place)?;
            if answer.status == 404 {
                // Gone, and not because it was ended: or its end was not heard.
                return Ok(false);
            }
            let answer = answer.is(204)?;
            let last: usize = answer.header("range")[2..].parse().map_err(io::Error::other)?;
            let mut at = if last == 0 { 0 } else { last + 1 };
            if at > 0 {
                told.resumed.fetch_add(1, Ordering::Relaxed);
            }
            while bytes.len() - at > CHUNK {
                let range = format!("Content-Range: {at}-{}\r\n", at + CHUNK - 1);
                connection.ask("PATCH", &place, &range, &bytes[at..at + CHUNK])?.is(202)?;
                at += CHUNK;
            }
            connection.end_blob(&place, bytes, &bytes[at..])?;
            Ok(true)
        })?;
        let path = format!("/v2/{name}/blobs/{}", sha256(bytes));
        let there = insist(told, host, |connection| {
            let answer = connection.get(&path)?;
            match answer.status {
                200 | 307 => Ok(true),
                404 => Ok(false),
                _ => answer.is(200).map(|_| true),
            }
        })?;
        assert!(there || !ended, "{path} was said to be stored");
        if there {
            return Some(());
        }
        breaks += 1;
        assert!(breaks < 100, "{path}");
    }
}

fn name(writer: u64) -> String {
    format!("kill/w{}", writer % 3)
}

fn write(told: &Told, host: &str, writer: u64) {
    for seed in 0.. {
        let (config, layer) = image(writer, seed);
        let name = name(writer);
        let pushed = push_blob(told, host, &name, &config)
            .and_then(|()| push_blob(told, host, &name, &layer))
            .and_then(|()| {
                insist(told, host, |connection| {
                    let manifest = crate::raw::manifest(&[&config, &layer]);
                    connection.push_manifest(&name, &format!("w{writer}-{seed}"), &manifest)
                })
            });
        if pushed.is_none() || told.over.load(Ordering::Relaxed) {
            return;
        }
        told.stored.lock().expect("lock").push((writer, seed));
    }
}

fn image(writer: u64, seed: u64) -> (Vec<u8>, Vec<u8>) {
    (noise(writer << 32 | seed << 1, 1000), noise(writer << 32 | seed << 1 | 1, LAYER))
}

/// Kills and starts; gives how many images were stored.
fn kill(scratch: &Scratch, command: impl Fn(&str) -> Command, pause: u64) -> Told {
    let host = free();
    let told = Told::default();
    let mut server = Some(Server::start(scratch, command(&host), &host));
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (told, host) = (&told, &host);
            scope.spawn(move || write(told, host, writer));
        }
        for number in 0..kills() {
            std::thread::sleep(Duration::from_millis(pause + number * 37 % pause));
            drop(server.take());
            server = Some(Server::start(scratch, command(&host), &host));
        }
        // Everybody is to come to an end once more.
        std::thread::sleep(Duration::from_millis(4 * pause));
        told.over.store(true, Ordering::Relaxed);
    });
    let mut connection = Connection::open(&host).expect("connected");
    let stored = told.stored.lock().expect("lock");
    for &(writer, seed) in stored.iter() {
        let (config, layer) = image(writer, seed);
        let pulled =
            connection.pull(&name(writer), &format!("w{writer}-{seed}"), &[&config, &layer]);
        pulled.unwrap_or_else(|error| panic!("w{writer}-{seed}: {error}"));
    }
    say(&format!(
        "{} kills: {} images stored, {} times an upload went on",
        kills(),
        stored.len(),
        told.resumed.load(Ordering::Relaxed)
    ));
    assert!(!stored.is_empty());
    drop(stored);
    told
}

#[test]
fn a_registry_in_a_folder_is_killed_and_loses_nothing() {
    let scratch = Scratch::new();
    let plimsoll = Program::new(scratch.path());
    kill(
        &scratch,
        |host| {
            let mut command = plimsoll.command();
            command.args(["serve", "folder", "-q", "--listen", host]);
            command
        },
        100,
    );
    for writer in 0..3 {
        plimsoll.good(&["fsck", &format!("oci:folder/{}", name(writer))]);
    }
}

#[test]
fn a_registry_in_a_bucket_is_killed_and_loses_nothing() {
    let scratch = Scratch::new();
    let Some(bucket) = bucket::Bucket::new(&scratch) else { return };
    kill(&scratch, |host| bucket.serve(&["-q", "--no-redirect", "--listen", host]), 500);
}
