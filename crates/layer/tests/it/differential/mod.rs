//! What we read is what others read: archives of a seeded generator, by us,
//! GNU tar, libarchive (the heart of bsdtar) and Python.
//!
//! The rule: if we accept an archive, every reader that accepts it has the
//! same entries with the same attributes and content. So an archive of which
//! two readers make different trees is one that we must refuse.
//!
//! `PLIMSOLL_DIFFERENTIAL_INPUTS` and `PLIMSOLL_DIFFERENTIAL_SEED` make the
//! run longer or other than that of every day; what disagrees is written to
//! the folder `PLIMSOLL_DIFFERENTIAL_KEEP`.

#![allow(clippy::print_stderr, clippy::print_stdout, reason = "scores are for people")]

mod generator;
mod gnu;
mod umoci;

use std::collections::BTreeMap;
use std::io::Read as _;
use std::process::Command;

use plimsoll_content::{Algorithm, Digest, Error};
use plimsoll_layer::tar::Entries;
use plimsoll_layer::{Entry, EntryKind, Limits};

const ORACLES: &str = include_str!("oracles.py");

/// How many archives one Python process reads.
const BATCH: u64 = 2_000;

/// What a reader made of an archive: a line for each entry, or nothing.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Reading {
    lines: Vec<String>,
    /// The digest of all content in a row, where single files have none.
    content: Option<String>,
}

/// An entry as a line, in the form that the script writes.
fn line(entry: &Entry, content: &[u8], with_digest: bool) -> String {
    let hex = |bytes: &[u8]| match bytes {
        [] => "-".to_owned(),
        _ => bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}")),
    };
    let path = hex(entry.path.as_bytes());
    let (owner, time) = (format!("{} {}", entry.uid, entry.gid), entry.mtime.seconds());
    let mode = format!("{:o}", entry.mode);
    match &entry.kind {
        EntryKind::File { size } if with_digest => {
            let digest = Digest::of(Algorithm::Sha256, content);
            format!("f {path} {mode} {owner} {time} {size} {}", digest.encoded())
        }
        EntryKind::File { size } => format!("f {path} {mode} {owner} {time} {size}"),
        EntryKind::Directory => format!("d {path} {mode} {owner} {time}"),
        EntryKind::Symlink { target } => format!("l {path} {owner} {time} {}", hex(target)),
        EntryKind::Hardlink { target } => format!("h {path} {}", hex(target.as_bytes())),
        EntryKind::Char { major, minor } => {
            format!("c {path} {mode} {owner} {time} {major}:{minor}")
        }
        EntryKind::Block { major, minor } => {
            format!("b {path} {mode} {owner} {time} {major}:{minor}")
        }
        EntryKind::Fifo => format!("p {path} {mode} {owner} {time}"),
    }
}

/// Our own reading: the lines with digests, and those without.
fn ours(archive: &[u8]) -> Result<(Reading, Reading), Error> {
    let limits = Limits { bytes: 1 << 26, ..Limits::default() };
    let mut entries = Entries::new(archive, limits).strict();
    let (mut full, mut bare, mut all) = (Reading::default(), Reading::default(), Vec::new());
    while let Some((entry, mut body)) = entries.next()? {
        let mut content = Vec::new();
        body.read_to_end(&mut content).map_err(|cause| Error::io("reading", "a body", cause))?;
        full.lines.push(line(&entry, &content, true));
        bare.lines.push(line(&entry, &content, false));
        all.extend(content);
    }
    entries.finish()?;
    bare.content = Some(Digest::of(Algorithm::Sha256, &all).encoded().clone());
    Ok((full, bare))
}

/// What Python and libarchive make of a batch.
fn scripted(archives: &[Vec<u8>]) -> Option<BTreeMap<(usize, String), Option<Reading>>> {
    let folder = tempfile::tempdir().expect("a folder");
    let (script, list) = (folder.path().join("oracles.py"), folder.path().join("archives"));
    std::fs::write(&script, ORACLES).expect("written");
    let mut bytes = Vec::new();
    for archive in archives {
        bytes.extend((archive.len() as u64).to_le_bytes());
        bytes.extend(archive);
    }
    std::fs::write(&list, bytes).expect("written");
    let output = Command::new("python3").arg(&script).arg(&list).output().ok()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        eprintln!("skipped: no Python with libarchive here: {errors}");
        return None;
    }
    let text = String::from_utf8(output.stdout).expect("plain text");
    let mut found = BTreeMap::new();
    let mut key = None;
    for line in text.lines() {
        if let Some(head) = line.strip_prefix("= ") {
            let mut words = head.split(' ');
            let number = words.next().and_then(|word| word.parse().ok()).expect("a number");
            let name = words.next().expect("a name").to_owned();
            let reading = (words.next() == Some("ok")).then(Reading::default);
            key = Some((number, name));
            found.insert(key.clone().expect("just set"), reading);
        } else if let Some(Some(reading)) = key.as_ref().and_then(|key| found.get_mut(key)) {
            reading.lines.push(line.to_owned());
        }
    }
    Some(found)
}

/// How the readers compare over many archives.
#[derive(Debug, Default)]
struct Score {
    inputs: u64,
    accepted: u64,
    compared: BTreeMap<String, u64>,
    /// Archives that we refuse because others read them differently.
    ambiguous: u64,
    /// Archives that we alone refuse, by what is said about them.
    alone: BTreeMap<String, u64>,
}

fn compare(
    seeds: std::ops::Range<u64>,
    make: fn(u64) -> Vec<u8>,
    score: &mut Score,
) -> Vec<String> {
    let archives: Vec<Vec<u8>> = seeds.clone().map(make).collect();
    let Some(others) = scripted(&archives) else { return Vec::new() };
    let listed = gnu::all(&archives);
    let mut wrong = Vec::new();
    for (number, archive) in archives.iter().enumerate() {
        let seed = seeds.start + number as u64;
        let mut readings: Vec<(&str, &Reading)> = Vec::new();
        for name in ["python", "libarchive"] {
            if let Some(Some(reading)) = others.get(&(number, name.to_owned())) {
                readings.push((name, reading));
            }
        }
        score.inputs += 1;
        let ours = match ours(archive) {
            Ok(ours) => ours,
            Err(error) => {
                let differ = readings.windows(2).any(|pair| pair[0].1 != pair[1].1);
                score.ambiguous += u64::from(differ);
                if readings.len() == 2 && !differ && listed.get(number).is_some_and(Option::is_some)
                {
                    let why = error.found_text().unwrap_or_default();
                    let why: String =
                        why.chars().filter(|letter| !letter.is_ascii_digit()).collect();
                    *score.alone.entry(why).or_default() += 1;
                }
                continue;
            }
        };
        score.accepted += 1;
        if let Some(Some(reading)) = listed.get(number) {
            readings.push(("gnu", reading));
        }
        for (name, reading) in readings {
            *score.compared.entry(name.to_owned()).or_default() += 1;
            let own = if name == "gnu" { &ours.1 } else { &ours.0 };
            if own == reading || known(name, archive, own, reading) {
                continue;
            }
            if let Some(folder) = std::env::var_os("PLIMSOLL_DIFFERENTIAL_KEEP") {
                let path = std::path::Path::new(&folder).join(format!("{seed}-{name}.tar"));
                std::fs::write(path, archive).expect("written");
            }
            let pairs = own.lines.iter().map(Some).chain(std::iter::repeat(None));
            let theirs = reading.lines.iter().map(Some).chain(std::iter::repeat(None));
            let first = pairs.zip(theirs).take(own.lines.len().max(reading.lines.len()));
            let first = first.into_iter().find(|(own, their)| own != their);
            wrong.push(match first {
                Some((own, their)) => format!("seed {seed}, {name}: we {own:?}, they {their:?}"),
                None => format!("seed {seed}, {name}: other content"),
            });
        }
    }
    wrong
}

/// Readings of others that are known to differ, and why ours is right.
fn known(name: &str, archive: &[u8], own: &Reading, reading: &Reading) -> bool {
    if own.content == reading.content && known_lines(name, &own.lines, &reading.lines) {
        return true;
    }
    // What `-O` skips, `-x` does not.
    name == "gnu"
        && own.lines.len() >= reading.lines.len()
        && gnu::extracted(archive).is_none_or(|lines| known_lines(name, &own.lines, &lines))
}

fn known_lines(name: &str, own: &[String], their: &[String]) -> bool {
    own.len() == their.len()
        && own.iter().zip(their).all(|(own, their)| {
            let own: Vec<_> = own.split(' ').collect();
            let their: Vec<_> = their.split(' ').collect();
            // libarchive makes no hard link of those below either, but an
            // empty file, or nothing.
            let empty = their[0] == "?" || their[0] == "f" && their.get(6) == Some(&"0");
            if name == "libarchive" && own[0] == "h" && empty && own[1] == their[1] {
                return true;
            }
            own.len() == their.len()
                && own
                    .iter()
                    .zip(&their)
                    .enumerate()
                    .all(|(place, (a, b))| a == b || known_word(name, own[0], place, a, b))
        })
}

fn known_word(name: &str, kind: &str, place: usize, own: &str, their: &str) -> bool {
    let time = if kind == "l" { 4 } else { 5 };
    let own_time = own.parse::<i64>().ok().filter(|_| place == time);
    match (name, own_time) {
        // Before 1970, libarchive reads -1.5 as half a second after -1, and
        // GNU tar lists (but does not set) it so. POSIX has plain decimals.
        ("libarchive" | "gnu", Some(own)) => own < 0 && their.parse() == Ok(own + 1),
        // Python's numbers have no end; ours are those of the kernel, with a
        // finding (`time-clamped`).
        ("python", Some(own)) => own == i64::MIN || own == i64::MAX,
        // libarchive loses the target of a link whose header has none beside
        // that of a PAX header. Go writes those (all that is not ASCII is left
        // out of its headers), so images have them.
        ("libarchive", None) => kind == "l" && place == 5 && their == "-",
        _ => false,
    }
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().expect(variable))
}

fn run(what: &str, make: fn(u64) -> Vec<u8>, inputs: u64) {
    let seed = number("PLIMSOLL_DIFFERENTIAL_SEED", 1);
    let (mut score, mut wrong) = (Score::default(), Vec::new());
    let first = seed << 32;
    let mut done = 0;
    while done < inputs {
        let count = BATCH.min(inputs - done);
        wrong.extend(compare(first + done..first + done + count, make, &mut score));
        done += count;
    }
    println!(
        "differential {what}: seed {seed}, {} inputs, {} accepted, compared {:?}, {} ambiguous and refused, \
         {} disagreements",
        score.inputs,
        score.accepted,
        score.compared,
        score.ambiguous,
        wrong.len()
    );
    for (why, count) in &score.alone {
        println!("differential {what}: {count} refused by us alone: {why}");
    }
    let shown: Vec<_> = wrong.iter().take(40).cloned().collect();
    assert!(wrong.is_empty(), "{} disagreements:\n{}", wrong.len(), shown.join("\n"));
}

#[test]
fn archives_of_all_dialects_are_read_as_others_do_or_refused() {
    run("dialects", generator::archive, number("PLIMSOLL_DIFFERENTIAL_INPUTS", 400));
}

#[test]
fn tp37_mutated_archives_are_read_as_others_do_or_refused() {
    run("mutations", generator::mutated, number("PLIMSOLL_DIFFERENTIAL_INPUTS", 400));
}
