//! `plimsoll serve`: from the command line to the signal that ends it.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::schemas::check;
use crate::support::Sandbox;

/// The user `me` with the password `secret`.
const USERS: &str = "me:$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n";

struct Served {
    child: Child,
    host: String,
}

impl Served {
    fn new(sandbox: &Sandbox, words: &[&str]) -> Self {
        let words: Vec<_> =
            ["serve", "--listen", "127.0.0.1:0", "--json"].iter().chain(words).copied().collect();
        let mut command = sandbox.command(&words);
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started");
        let mut line = String::new();
        let output = child.stdout.as_mut().expect("a pipe");
        BufReader::new(output).read_line(&mut line).expect("a line");
        let report: Value = serde_json::from_str(&line).expect("JSON");
        check(&report);
        Self { child, host: report["address"].as_str().expect("an address").to_owned() }
    }

    /// Ends it by a signal, and gives what it told.
    fn ended(mut self) -> Vec<Value> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM).expect("a signal");
        let mut text = String::new();
        self.child.stderr.take().expect("a pipe").read_to_string(&mut text).expect("text");
        assert_eq!(self.child.wait().expect("ended").code(), Some(0), "{text}");
        text.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn images_are_pushed_pulled_listed_and_removed() {
    let sandbox = Sandbox::new();
    let digest = sandbox.image();
    let served = Served::new(&sandbox, &["registry"]);
    let place = format!("docker://{}/org/app", served.host);
    let image = format!("{place}:v1");
    sandbox.ok(&["push", "oci:images:v1", &image]);
    assert_eq!(sandbox.ok(&["ls", &place, "-q"]), "v1\n");
    assert!(sandbox.ok(&["pull", &image, "local:v1", "-q"]).contains(&digest));
    sandbox.ok(&["validate", "oci:registry/org/app:v1"]);
    assert!(sandbox.ok(&["inspect", "oci:registry/org/app:v1"]).contains("v1"));
    sandbox.write("note.txt", "hello");
    sandbox.ok(&["attach", &image, "note.txt", "--artifact-type", "application/x-note"]);
    assert!(sandbox.ok(&["referrers", &image]).contains("application/x-note"));
    sandbox.ok(&["tag", &image, "v2"]);
    sandbox.ok(&["rm", &image]);
    assert_eq!(sandbox.ok(&["ls", &place, "-q"]), "v2\n");
    sandbox.fails(3, &["pull", &image]);
    let told = served.ended();
    assert_eq!(told.last().map(|event| &event["event"]), Some(&"stopped".into()));
    let puts = told.iter().filter(|told| told["method"] == "PUT" && told["status"] == 201);
    assert!(puts.count() >= 3, "{told:?}");
}

#[test]
fn the_store_is_what_is_served_when_nothing_is_said() {
    let sandbox = Sandbox::new();
    sandbox.tree("tree");
    sandbox.ok(&["pack", "tree", "app:v1"]);
    let served = Served::new(&sandbox, &["--read-only"]);
    let registry = format!("docker://{}", served.host);
    assert_eq!(sandbox.ok(&["ls", &registry, "-q"]), "app\n");
    sandbox.ok(&["copy", &format!("{registry}/app:v1"), "oci:copy:v1"]);
    let refused = sandbox.fails(1, &["push", "app:v1", &format!("{registry}/app:v2")]);
    assert!(refused.contains("read-only"), "{refused}");
}

#[test]
fn users_log_in_and_others_stay_outside() {
    let sandbox = Sandbox::new();
    sandbox.image();
    sandbox.write("users", USERS);
    let auth = sandbox.path("auth.json").display().to_string();
    for way in ["basic", "token"] {
        let served = Served::new(
            &sandbox,
            &["registry", "--users", "users", "--auth", way, "--anonymous-pull"],
        );
        let image = format!("docker://{}/app:v1", served.host);
        let push = ["--authfile", &auth, "push", "oci:images:v1", &image];
        sandbox.fails(4, &push);
        let login = ["--authfile", &auth, "login", &served.host, "-u", "me", "--password-stdin"];
        let (code, text) = crate::registry::fed(sandbox.command(&login), "wrong");
        assert_eq!(code, 4, "{text}");
        let (code, text) = crate::registry::fed(sandbox.command(&login), "secret");
        assert_eq!(code, 0, "{text}");
        sandbox.ok(&push);
        fs::remove_file(&auth).expect("removed");
        sandbox.ok(&["--authfile", &auth, "pull", &image, "-q"]);
        let told = served.ended();
        assert!(told.iter().any(|told| told["user"] == "me"), "{way}");
        let all = format!("{told:?}");
        assert!(!all.contains("secret") && !all.contains("Bearer"), "{all}");
    }
}

#[test]
fn what_makes_no_sense_is_refused_before_it_listens() {
    let sandbox = Sandbox::new();
    sandbox.image();
    sandbox.write("users", "me:plain\n");
    sandbox.write("short", "short");
    sandbox.write("no.pem", "nothing");
    sandbox.write("good", USERS);
    for (code, words) in [
        (4, &["serve", "x", "--listen", "0.0.0.0:0"][..]),
        (2, &["serve", "x", "--listen", "nowhere"]),
        (2, &["serve", "x", "--listen", "127.0.0.1:99999"]),
        (2, &["serve", "images"]),
        (2, &["serve", "x", "--repository", "app"]),
        (2, &["serve", "oci:x", "--repository", "App"]),
        (2, &["serve", "store:app:v1"]),
        (2, &["serve", "oci:images:v1"]),
        (3, &["serve", "oci:none", "--read-only"]),
        (3, &["serve", "none", "--read-only"]),
        (2, &["serve", "x", "--anonymous-pull"]),
        (2, &["serve", "x", "--tls-cert", "no.pem"]),
        (6, &["serve", "x", "--tls-cert", "no.pem", "--tls-key", "no.pem"]),
        (6, &["serve", "x", "--users", "users"]),
        (3, &["serve", "x", "--users", "none"]),
        (2, &["serve", "x", "--users", "good", "--token-key", "short"]),
        (2, &["serve", "x", "--warning", "two\nlines"]),
        (2, &["serve", "x", "--max-blob", "much"]),
        (2, &["serve", "x", "--gc-every", "often"]),
    ] {
        let listen = ["--listen", "127.0.0.1:0"];
        let more = if words.contains(&"--listen") { &[][..] } else { &listen };
        let words: Vec<_> = words.iter().chain(more).copied().collect();
        let told = sandbox.fails(code, &words);
        assert!(!told.contains("plain\n") && !told.contains("me:"), "{told}");
    }
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("address").to_string();
    sandbox.fails(1, &["serve", "x", "--listen", &address]);
}
