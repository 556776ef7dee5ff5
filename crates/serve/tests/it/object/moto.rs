//! A server that speaks S3, for these tests alone: moto, a Python package, on
//! loopback. It is found in the folder that `interop/setup` fills, or by
//! `PLIMSOLL_MOTO`, the Python that has it.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use plimsoll_serve::storage::object::{Bucket, Settings};

use crate::client::Client;

/// It ends when nobody holds its standard input any more.
const PROGRAM: &str = "\
import os, sys, threading
from moto.server import main
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
main(['-H', '127.0.0.1', '-p', '0'])
";

struct Moto {
    /// Held, for its standard input.
    _child: Child,
    url: String,
}

/// Starts it once, for all tests.
fn moto() -> Option<&'static Moto> {
    static MOTO: OnceLock<Option<Moto>> = OnceLock::new();
    MOTO.get_or_init(start).as_ref()
}

fn python() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("PLIMSOLL_MOTO") {
        return Some(path.into());
    }
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or(home)?;
    Some(cache.join("plimsoll-peers/bin/moto-python")).filter(|path| path.is_file())
}

#[allow(clippy::print_stderr)] // What is left out has to be said.
fn start() -> Option<Moto> {
    let Some(python) = python() else {
        let required = std::env::var_os("PLIMSOLL_REQUIRE_PEERS").is_some_and(|value| value == "1");
        assert!(!required, "moto is missing; interop/setup installs it");
        eprintln!("SKIP: moto is not installed");
        return None;
    };
    let mut child = Command::new(python)
        .args(["-c", PROGRAM])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("moto starts");
    let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
    let url = lines
        .by_ref()
        .map_while(Result::ok)
        .find_map(|line| line.split_once("Running on ").map(|(_, url)| url.trim().to_owned()));
    // It says a line for each request, and must not wait for a reader.
    std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
    Some(Moto { _child: child, url: url.expect("its address") })
}

/// A bucket of its own for each test.
fn settings(url: &str, bucket: &str) -> Settings {
    let variables = [
        ("AWS_ENDPOINT_URL", url),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "someone"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
    ];
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let variables = variables.into_iter().map(owned).collect();
    Settings { variables, redirect: false, ..Settings::at(bucket).expect("a bucket") }
}

fn fresh() -> Option<Settings> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let moto = moto()?;
    let bucket = format!("test-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    let address = moto.url.strip_prefix("http://").expect("http").parse().expect("an address");
    Client::new(address).send("PUT", &format!("/{bucket}"), b"").is(200);
    Some(settings(&moto.url, &bucket))
}

pub(super) fn bucket() -> Option<Bucket> {
    Some(Bucket::s3(&fresh()?).expect("a bucket"))
}

pub(super) fn redirecting() -> Option<Bucket> {
    Some(Bucket::s3(&Settings { redirect: true, ..fresh()? }).expect("a bucket"))
}

pub(super) fn at(url: &str, bucket: &str) -> Bucket {
    Bucket::s3(&settings(url, bucket)).expect("a bucket")
}
