//! Networks of runs: connected where something carries packets, said where
//! nothing does, and never that of the machine unasked.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::image;
use crate::support::Sandbox;

const IMAGE: &str = "oci:images:app";

/// Whether a program that carries packets works here; says so if not.
fn connected(sandbox: &Sandbox) -> bool {
    let done = sandbox.run(&["run", IMAGE, "route", "-n"]);
    let works = done.code == 0 && !done.stderr.contains("network: none");
    if !works {
        eprintln!("SKIP networks: {}", done.stderr.lines().next().unwrap_or_default());
    }
    works
}

#[test]
fn without_a_helper_there_is_no_network_and_one_line_says_so() {
    let sandbox = Sandbox::new();
    let Some(()) = image(&sandbox, &[]) else { return };
    let listed = ["ls", "/sys/class/net"];
    let mut command = sandbox.command(&[&["run", IMAGE][..], &listed].concat());
    let output = command.env("PATH", "/nowhere").output().expect("ran");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "lo\n", "{errors}");
    let lines: Vec<_> = errors.lines().filter(|line| line.contains("network")).collect();
    assert!(
        lines.len() == 1 && lines[0].contains("network: none (no slirp4netns or pasta found"),
        "{errors}"
    );
    // What was asked for is not worth a word.
    let done = sandbox.run(&[&["run", "--network=none", IMAGE][..], &listed].concat());
    assert_eq!((done.stdout.as_str(), done.stderr.as_str()), ("lo\n", ""));
    // A port that leads nowhere is an error, and so is one of another network.
    let mut command = sandbox.command(&["run", "-p", "8080:80", IMAGE, "true"]);
    let output = command.env("PATH", "/nowhere").output().expect("ran");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(125) && errors.contains("publishing ports"), "{errors}");
    for network in ["--network=none", "--network=host"] {
        let errors = sandbox.fails(125, &["run", network, "-p", "8080:80", IMAGE, "true"]);
        assert!(errors.contains("--network=auto"), "{errors}");
    }
}

#[test]
fn the_network_of_the_machine_is_there_only_when_asked_for() {
    let sandbox = Sandbox::new();
    let Some(()) = image(&sandbox, &[]) else { return };
    let own = std::fs::read_link("/proc/self/ns/net").expect("a namespace");
    let inside = |words: &[&str]| {
        let words: Vec<_> = ["run"]
            .iter()
            .chain(words)
            .chain(&[IMAGE, "readlink", "/proc/self/ns/net"])
            .copied()
            .collect();
        sandbox.ok(&words).trim().to_owned()
    };
    assert_eq!(Path::new(&inside(&["--network=host"])), own);
    assert_ne!(Path::new(&inside(&["--network=none"])), own);
    assert_ne!(Path::new(&inside(&[])), own);
}

#[test]
fn services_of_this_machine_stay_out_of_reach_and_ports_lead_in() {
    let sandbox = Sandbox::new();
    let Some(()) = image(&sandbox, &[]) else { return };
    if !connected(&sandbox) {
        return;
    }
    let said = sandbox.ok(&[
        "run",
        IMAGE,
        "sh",
        "-c",
        "grep -c ^nameserver /etc/resolv.conf; route -n | grep -c ^0.0.0.0",
    ]);
    assert_eq!(said, "1\n1\n");
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let port = listener.local_addr().expect("an address").port();
    let script = format!(
        "for host in 127.0.0.1 10.0.2.2 $(route -n | grep ^0.0.0.0 | tr -s ' ' | cut -d' ' -f2); \
         do wget -T 2 -q -O - http://$host:{port}/ && echo reached; done; true"
    );
    assert_eq!(sandbox.ok(&["run", IMAGE, "sh", "-c", &script]), "");
    let free = TcpListener::bind("127.0.0.1:0").expect("bound").local_addr().expect("bound").port();
    let published = format!("127.0.0.1:{free}:80");
    let mut child = sandbox
        .command(&["run", "-p", &published, IMAGE, "sh", "-c", "echo from inside | nc -l -p 80"])
        .stdin(Stdio::null())
        .spawn()
        .expect("starts");
    let started = Instant::now();
    let mut text = String::new();
    while text.is_empty() && started.elapsed() < Duration::from_secs(20) {
        if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", free)) {
            let _ = stream.set_read_timeout(Some(Duration::from_secs(2)));
            let _ = stream.read_to_string(&mut text);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(text, "from inside\n");
    let _ = child.kill();
    let _ = child.wait();
    let helper = format!("/proc/{}/fd/", child.id());
    let left = || {
        let found = Command::new("ps").args(["-eo", "args"]).output().expect("ps");
        String::from_utf8_lossy(&found.stdout).lines().any(|line| line.contains(&helper))
    };
    while left() && started.elapsed() < Duration::from_secs(40) {
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(!left(), "what carried packets is still there");
}
