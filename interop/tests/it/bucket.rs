//! Our registry in an object store: moto speaks S3 on loopback. The program has
//! to be built with the feature `s3`; else this is left out.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use plimsoll_interop::{Program, Scratch, peer, run, skip};

use crate::raw::{Connection, Server, free};

/// It ends when nobody holds its standard input any more.
const MOTO: &str = "\
import os, sys, threading
from moto.server import main
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
main(['-H', '127.0.0.1', '-p', '0'])
";

/// A bucket in a server that ends with this.
pub(crate) struct Bucket {
    moto: Child,
    plimsoll: Program,
    url: String,
}

impl Bucket {
    /// Starts a server with an empty bucket; `None` has said `SKIP`.
    pub(crate) fn new(scratch: &Scratch) -> Option<Self> {
        let plimsoll = Program::new(scratch.path());
        // No bucket at all: it ends with one error or the other.
        let refused = plimsoll.run(&["serve", "s3://", "--listen", "127.0.0.1:0"]);
        if refused.err.contains("without object stores") {
            skip("object store: the program was built without the feature s3");
            return None;
        }
        let mut moto = Command::new(peer("moto-python")?.path)
            .args(["-c", MOTO])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("moto starts");
        let mut lines = BufReader::new(moto.stderr.take().expect("a pipe")).lines();
        let url = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.split_once("Running on ").map(|(_, url)| url.trim().to_owned()));
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        let url = url.expect("its address");
        let host = url.strip_prefix("http://").expect("http");
        let mut connection = Connection::open(host).expect("connected");
        connection.ask("PUT", "/bucket", "", b"").and_then(|made| made.is(200)).expect("made");
        Some(Self { moto, plimsoll, url })
    }

    /// A command that serves it.
    pub(crate) fn serve(&self, words: &[&str]) -> Command {
        let mut command = self.plimsoll.command();
        command
            .args(["serve", "s3://bucket/registry"])
            .args(words)
            .env("AWS_ENDPOINT_URL", &self.url)
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "someone")
            .env("AWS_SECRET_ACCESS_KEY", "secret");
        command
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        let _ = self.moto.kill();
        let _ = self.moto.wait();
    }
}

#[test]
fn the_conformance_suite_finds_nothing_in_a_bucket() {
    let scratch = Scratch::new();
    let (Some(suite), Some(bucket)) = (peer("conformance"), Bucket::new(&scratch)) else { return };
    // The suite wants the digest of a blob in the last answer, which is the
    // store's where clients are sent there.
    let host = free();
    let words = ["-q", "--listen", &host, "--sparse", "--no-redirect"];
    let server = Server::start(&scratch, bucket.serve(&words), &host);
    let results = scratch.join("results");
    std::fs::create_dir(&results).expect("a folder");
    let mut command = suite.command();
    command.env_clear().current_dir(scratch.path());
    for (name, value) in [
        ("OCI_REGISTRY", server.host.as_str()),
        ("OCI_TLS", "disabled"),
        ("OCI_VERSION", "1.1+dev"),
        ("OCI_DATA_SPARSE", "true"),
        ("OCI_RESULTS_DIR", &results.display().to_string()),
    ] {
        command.env(name, value);
    }
    let told = run(&mut command).good("conformance");
    let count = |what: &str| {
        let line = told.lines().find(|line| line.trim_start().starts_with(what));
        let number = line.and_then(|line| line.rsplit_once(':')).map_or("", |(_, number)| number);
        number.trim().parse::<u32>().unwrap_or_else(|_| panic!("no {what}: {told}"))
    };
    let (all, pass) = (count("Total."), count("Pass."));
    assert!(all == pass && all > 1000, "{told}");
}

#[test]
fn clients_push_to_one_server_and_pull_from_another() {
    let scratch = Scratch::new();
    let Some(bucket) = Bucket::new(&scratch) else { return };
    let plimsoll = crate::registry::images(&scratch);
    let ours = crate::registry::digest(&plimsoll, "oci:images:v1");
    let servers = [free(), free()]
        .map(|host| Server::start(&scratch, bucket.serve(&["-q", "--listen", &host]), &host));
    let name = |at: usize, rest: &str| format!("docker://{}/{rest}", servers[at].host);
    plimsoll.good(&["push", "oci:images:v1", &name(0, "org/app:v1")]);
    plimsoll.good(&["pull", &name(1, "org/app:v1"), "back:v1"]);
    assert_eq!(crate::registry::digest(&plimsoll, "back:v1"), ours);
    if let Some(skopeo) = peer("skopeo") {
        let mut copy = skopeo.command();
        copy.env("HOME", scratch.path()).current_dir(scratch.path());
        copy.args(["--insecure-policy", "copy", "--all", "--preserve-digests"]);
        copy.args(["--src-tls-verify=false", "--dest-tls-verify=false"]);
        copy.args([&name(1, "org/app:v1"), &name(0, "org/copy:v2")]);
        run(&mut copy).good("skopeo copy");
        plimsoll.good(&["validate", &name(1, "org/copy:v2")]);
    }
    plimsoll.good(&["rm", &name(1, "org/app:v1")]);
    assert_eq!(plimsoll.run(&["inspect", &name(0, "org/app:v1")]).code, 3);
}
