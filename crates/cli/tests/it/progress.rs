//! What is shown while content is on its way: on a terminal, in a pipe, as JSON.

use std::fs::File;
use std::io::Read;
use std::process::Stdio;
use std::time::Duration;

use rustix::termios::tcsetwinsize;
use serde_json::Value;

use crate::schemas::check;
use crate::server::Server;
use crate::support::{Sandbox, size, terminal};

/// A sandbox with an image of two large layers in a registry from which they
/// come slowly; gives the short digests of the layers, and how long they are.
fn sandbox() -> (Sandbox, Server, String, Vec<String>) {
    let sandbox = Sandbox::new();
    let server = Server::spoilt(|seen, _, mut reply| {
        if seen.is("GET", "/blobs/") && reply.body.len() > 100_000 {
            reply.pace = Some(Duration::from_millis(60));
        }
        reply
    });
    let name = format!("docker://{}/org/app:v1", server.host);
    for (seed, tree) in [(1u32, "base"), (2, "more")] {
        let mut state = seed;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .take(700_000)
        .collect();
        sandbox.write(&format!("{tree}/{tree}"), noise);
    }
    sandbox.ok(&["pack", "base", "oci:images:v1", "--compression", "none"]);
    sandbox.ok(&["append", "oci:images:v1", "more", "--compression", "none"]);
    sandbox.ok(&["push", "oci:images:v1", &name]);
    let (manifest, _) = sandbox.layout("images").only();
    let layers = manifest["layers"].as_array().expect("layers").iter();
    let digests = layers.map(|layer| layer["digest"].as_str().expect("a digest").to_owned());
    let digests = digests.collect();
    (sandbox, server, name, digests)
}

fn short(digest: &str) -> &str {
    &digest["sha256:".len()..][..12]
}

/// Runs a command on a terminal, which must succeed; gives all that it wrote.
fn shown(sandbox: &Sandbox, words: &[&str], rows: u16, columns: u16) -> String {
    let (master, slave) = terminal();
    tcsetwinsize(&master, size(rows, columns)).expect("sized");
    let stream = || Stdio::from(slave.try_clone().expect("copied"));
    let mut child = sandbox
        .command(words)
        .env("TERM", "xterm")
        .env("NO_COLOR", "1")
        .stdout(stream())
        .stderr(stream())
        .spawn()
        .expect("starts");
    drop(slave);
    let mut text = Vec::new();
    let mut master = File::from(master);
    let mut buffer = [0; 4096];
    // The kernel says EIO when nobody has the other end any more.
    while let Ok(length @ 1..) = master.read(&mut buffer) {
        text.extend_from_slice(&buffer[..length]);
    }
    let text = String::from_utf8(text).expect("text");
    assert!(child.wait().expect("ended").success(), "{text:?}");
    text
}

/// What a terminal shows: it knows no more than what progress needs.
#[derive(Default)]
struct Screen {
    lines: Vec<String>,
    row: usize,
    column: usize,
    /// Every picture that a pause could have shown.
    pictures: Vec<Vec<String>>,
}

impl Screen {
    fn of(text: &str) -> Self {
        let mut screen = Self::default();
        let mut rest = text.chars().peekable();
        while let Some(letter) = rest.next() {
            match letter {
                '\r' => screen.column = 0,
                '\n' => screen.row += 1,
                '\x1b' => {
                    assert_eq!(rest.next(), Some('['), "{text:?}");
                    let mut number = String::new();
                    while let Some(digit) = rest.next_if(char::is_ascii_digit) {
                        number.push(digit);
                    }
                    screen.escape(rest.next().expect("a letter"), &number);
                }
                other => screen.put(other),
            }
        }
        screen
    }

    fn escape(&mut self, letter: char, number: &str) {
        let column = self.column;
        match letter {
            'A' => {
                self.row = self.row.checked_sub(number.parse().expect("a number")).expect("room");
            }
            'K' => self.line().truncate(column),
            'J' => {
                self.line().truncate(column);
                self.lines.truncate(self.row + 1);
                self.pictures.push(self.lines.clone());
            }
            other => panic!("{other:?}"),
        }
    }

    fn line(&mut self) -> &mut String {
        while self.lines.len() <= self.row {
            self.lines.push(String::new());
        }
        &mut self.lines[self.row]
    }

    fn put(&mut self, letter: char) {
        let column = self.column;
        let line = self.line();
        let kept: String = line.chars().take(column).collect();
        let rest: String = line.chars().skip(column + 1).collect();
        *line = format!("{kept}{letter}{rest}");
        self.column += 1;
    }
}

#[test]
fn a_terminal_shows_each_blob_and_all_of_them_in_place() {
    let (sandbox, _server, name, layers) = sandbox();
    let text = shown(&sandbox, &["pull", &name, "app:v1"], 24, 80);
    let screen = Screen::of(&text);
    let both = screen.pictures.iter().find(|lines| {
        layers.iter().all(|layer| {
            let mut of = lines.iter().filter(|line| line.starts_with(short(layer)));
            of.any(|line| line.contains("=>") && line.contains(" of 703.0 kB"))
        })
    });
    let both = both.unwrap_or_else(|| panic!("{:#?}", screen.pictures));
    let total = both.last().expect("a line");
    assert!(total.starts_with("copying blobs  ["), "{total:?}");
    assert!(total.contains(" of 1.4 MB  1 done  "), "{total:?}");
    assert!(both.len() <= 4, "{both:?}");
    // Nothing of it is left, and nothing but the report has been added.
    let left = screen.lines.join("\n");
    assert!(!left.contains("copying") && !left.contains("=>"), "{left}");
    assert_eq!(
        screen.lines[0],
        sandbox.ok(&["pull", &name, "app:v1"]).lines().next().expect("a line")
    );
}

#[test]
fn a_small_terminal_is_not_overflowed() {
    let (sandbox, _server, name, _) = sandbox();
    let text = shown(&sandbox, &["pull", &name, "--unpack", "out"], 3, 30);
    let screen = Screen::of(&text);
    let pictures: Vec<_> = screen.pictures.iter().filter(|lines| lines.len() > 1).collect();
    assert!(!pictures.is_empty(), "{text:?}");
    for lines in pictures {
        assert!(lines.len() == 2 && lines.iter().all(|line| line.len() < 30), "{lines:?}");
        assert!(lines[1].starts_with("reading layers"), "{lines:?}");
    }
}

#[test]
fn a_pipe_gets_lines_and_json_names_the_blobs() {
    let (sandbox, _server, name, layers) = sandbox();
    let plain = sandbox.run(&["pull", &name, "app:v1"]).stderr;
    assert!(!plain.contains(['\x1b', '\r']), "{plain:?}");
    for layer in &layers {
        assert!(plain.contains(&format!("copied {layer}\n")), "{plain}");
    }
    let lines = |words: &[&str]| {
        let words: Vec<_> = words.iter().copied().chain(["--progress", "json"]).collect();
        let done = sandbox.run(&words);
        assert_eq!(done.code, 0, "{}", done.stderr);
        let lines = done.stderr.lines().map(|line| {
            let line: Value = serde_json::from_str(line).expect("JSON");
            check(&line);
            line
        });
        lines.collect::<Vec<_>>()
    };
    let of = |lines: &[Value], event: &str, layer: &str| {
        let mut found = lines.iter().filter(|line| line["event"] == event && line["blob"] == layer);
        found.next().cloned()
    };
    let first = lines(&["copy", &name, "oci:copied:v1"]);
    let again = lines(&["copy", &name, "oci:copied:v2"]);
    let unpacked = lines(&["pull", &name, "--unpack", "out"]);
    for layer in &layers {
        for lines in [&first, &unpacked] {
            assert_eq!(of(lines, "begin", layer).expect("a line")["total"], 702_976);
            let on = of(lines, "progress", layer).expect("a line");
            assert!(on["bytes"].as_u64().expect("a number") < 702_976, "{on}");
            assert_eq!(of(lines, "end", layer).expect("a line")["state"], "done");
        }
        assert_eq!(of(&again, "begin", layer), None);
        assert_eq!(of(&again, "end", layer).expect("a line")["state"], "exists");
    }
    let step = first.iter().find(|line| line["event"] == "progress" && line["blob"].is_null());
    assert!(step.expect("a line")["bytes"].as_u64().expect("a number") > 0);
}
