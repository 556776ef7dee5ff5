//! GNU tar as a reader: its long listing with quoted names, and the content
//! of all files in a row.

use std::path::Path;
use std::process::Command;

use plimsoll_content::{Algorithm, Digest};

use super::Reading;

/// What GNU tar makes of each archive; nothing at all where it is missing.
pub(super) fn all(archives: &[Vec<u8>]) -> Vec<Option<Reading>> {
    let here = Command::new("tar").arg("--version").output();
    let gnu = here.is_ok_and(|output| output.stdout.starts_with(b"tar (GNU tar)"));
    if !gnu {
        eprintln!("skipped in part: no GNU tar here");
        return Vec::new();
    }
    let half = archives.len().div_ceil(2).max(1);
    std::thread::scope(|scope| {
        let parts: Vec<_> = archives
            .chunks(half)
            .map(|part| {
                scope.spawn(|| {
                    let folder = tempfile::tempdir().expect("a folder");
                    part.iter().map(|archive| read(folder.path(), archive)).collect::<Vec<_>>()
                })
            })
            .collect();
        parts.into_iter().flat_map(|part| part.join().expect("no panic")).collect()
    })
}

fn read(folder: &Path, archive: &[u8]) -> Option<Reading> {
    let (lines, output) = started(folder, archive, &["-xOvvf"])?;
    let content = Digest::of(Algorithm::Sha256, &output).encoded().clone();
    Some(Reading { lines, content: Some(content) })
}

/// What GNU tar says while it really extracts. With `-O` it skips what it
/// takes for the content of links and pipes, and in earnest it does not.
pub(super) fn extracted(archive: &[u8]) -> Option<Vec<String>> {
    let folder = tempfile::tempdir().expect("a folder");
    let target = folder.path().join("target");
    std::fs::create_dir(&target).expect("made");
    let target = target.display().to_string();
    let (lines, _) = started(folder.path(), archive, &["-C", &target, "-xvvf"])?;
    Some(lines)
}

fn started(folder: &Path, archive: &[u8], how: &[&str]) -> Option<(Vec<String>, Vec<u8>)> {
    let (file, index) = (folder.join("a.tar"), folder.join("index"));
    std::fs::write(&file, archive).expect("written");
    let output = Command::new("tar")
        .args(["--numeric-owner", "--full-time", "--quoting-style=c", "--index-file"])
        .arg(&index)
        .args(how)
        .arg(&file)
        .env("TZ", "UTC")
        .env("LC_ALL", "C")
        .current_dir(folder)
        .output()
        .expect("started");
    // A finding such as an end marker that is missing is no refusal.
    if !output.status.success() {
        return None;
    }
    let text = std::fs::read_to_string(&index).unwrap_or_default();
    let lines = text.lines().filter(|line| !line.contains(" Creating directory: "));
    Some((lines.map(line).collect(), output.stdout))
}

/// `-rw-r--r-- 0/0 5 2001-09-09 01:46:40 "name"`, in our form.
fn line(text: &str) -> String {
    let odd = || format!("odd line {text}");
    let Some((front, names)) = text.split_once('"') else { return odd() };
    let words: Vec<&str> = front.split_ascii_whitespace().collect();
    let [mode, owner, size, day, clock] = words[..] else { return odd() };
    let (name, rest) = unquote(names);
    let link = rest.split_once('"').map(|(_, rest)| unquote(rest).0).unwrap_or_default();
    let Some(time) = seconds(day, clock) else { return odd() };
    let (path, owner) = (normal(&name), owner.replace('/', " "));
    let bits = format!("{:o}", bits(&mode.as_bytes()[1..]));
    match mode.as_bytes()[0] {
        b'-' | b'C' => format!("f {path} {bits} {owner} {time} {size}"),
        b'd' => format!("d {path} {bits} {owner} {time}"),
        b'l' => format!("l {path} {owner} {time} {}", hex(&link)),
        b'h' => format!("h {path} {}", normal(&link)),
        b'c' => format!("c {path} {bits} {owner} {time} {}", size.replace(',', ":")),
        b'b' => format!("b {path} {bits} {owner} {time} {}", size.replace(',', ":")),
        b'p' => format!("p {path} {bits} {owner} {time}"),
        _ => odd(),
    }
}

fn hex(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "-".to_owned();
    }
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

fn normal(name: &[u8]) -> String {
    let parts = name.split(|byte| *byte == b'/').filter(|part| !matches!(*part, b"" | b"."));
    hex(&parts.collect::<Vec<_>>().join(&b'/'))
}

/// Undoes the quoting of C up to the closing quote; gives the rest as well.
fn unquote(text: &str) -> (Vec<u8>, &str) {
    let bytes = text.as_bytes();
    let (mut found, mut at) = (Vec::new(), 0);
    while at < bytes.len() && bytes[at] != b'"' {
        if bytes[at] != b'\\' {
            found.push(bytes[at]);
            at += 1;
            continue;
        }
        let digits =
            bytes[at + 1..].iter().take(3).take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 3 {
            let value = bytes[at + 1..at + 4]
                .iter()
                .fold(0, |value, digit| value * 8 + u32::from(digit - b'0'));
            found.push(value as u8);
            at += 4;
        } else {
            found.push(match bytes[at + 1] {
                b'n' => b'\n',
                b't' => b'\t',
                b'r' => b'\r',
                b'a' => 7,
                b'b' => 8,
                b'f' => 12,
                b'v' => 11,
                other => other,
            });
            at += 2;
        }
    }
    (found, text.get(at + 1..).unwrap_or_default())
}

/// The mode that `rwsr-xr-t` stands for.
fn bits(text: &[u8]) -> u32 {
    let mut mode = 0;
    for (place, letter) in text.iter().take(9).enumerate() {
        let special = [0, 0, 0o4000, 0, 0, 0o2000, 0, 0, 0o1000][place];
        let plain = 0o400 >> place;
        mode |= match letter {
            b's' | b't' => special | plain,
            b'S' | b'T' => special,
            b'-' => 0,
            _ => plain,
        };
    }
    mode
}

/// Seconds since 1970 of a date (by the rule for the Gregorian calendar) and
/// a time of day in UTC.
fn seconds(day: &str, clock: &str) -> Option<i64> {
    let (negative, day) = day.strip_prefix('-').map_or((false, day), |day| (true, day));
    let mut parts = day.split('-').map(str::parse::<i64>);
    let (year, month, day) = (parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
    let year = if negative { -year } else { year };
    let clock = clock.split('.').next()?;
    let mut parts = clock.split(':').map(str::parse::<i64>);
    let (hour, minute, second) = (parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
    // Years that begin in March make the leap day the last one.
    let (year, month) = if month < 3 { (year - 1, month + 9) } else { (year, month - 3) };
    let leaps = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let days = year * 365 + leaps + (month * 153 + 2) / 5 + day - 1 - 719_468;
    Some(days * 86_400 + hour * 3_600 + minute * 60 + second)
}
