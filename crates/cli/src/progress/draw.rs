//! The picture of a step: a line for each blob on its way, and one for all of
//! it. Numbers in, lines out: this file knows no clock and no terminal.

use std::sync::Arc;
use std::time::Duration;

use plimsoll::content::{Part, Stage};

use crate::out::{safe, size};

/// How many lines blobs have at most, whatever the terminal has.
const MOST: usize = 8;
/// The longest bar.
const BAR: usize = 26;
/// The shortest one that says anything.
const SHORT: usize = 8;

/// A step, as it is.
pub(super) struct Scene<'a> {
    /// What is done, in words.
    pub(super) what: &'a str,
    /// How many bytes there are, if that is known.
    pub(super) total: Option<u64>,
    /// How many of them are done.
    pub(super) bytes: u64,
    /// How many bytes a second go by, if that can be told yet.
    pub(super) rate: Option<u64>,
    /// For how long it has been going on.
    pub(super) elapsed: Duration,
    /// Its blobs, in the order in which they began.
    pub(super) parts: &'a [Arc<Part>],
}

/// The lines of a step for a terminal of that size; each is narrower than
/// the terminal, and there are fewer of them than it has rows.
pub(super) fn lines(scene: &Scene<'_>, columns: usize, rows: usize) -> Vec<String> {
    // The last column stays free: some terminals go on to the next line there.
    let width = columns.saturating_sub(1);
    let room = MOST.min(rows.saturating_sub(2));
    let mut lines: Vec<_> =
        shown(scene.parts, room).into_iter().map(|part| blob(part, width)).collect();
    lines.push(total(scene, width));
    lines
}

/// The parts that have a line: those on their way, and then the last ones
/// that are over.
fn shown(parts: &[Arc<Part>], room: usize) -> Vec<&Part> {
    let under = |part: &&Arc<Part>| part.stage() == Stage::Under;
    let flying = parts.iter().filter(under).count().min(room);
    let mut landed = room - flying;
    let mut flying = flying;
    let mut chosen: Vec<&Part> = Vec::new();
    for part in parts.iter().rev() {
        let left = if under(&part) { &mut flying } else { &mut landed };
        if *left > 0 {
            *left -= 1;
            chosen.push(part);
        }
    }
    chosen.reverse();
    chosen
}

fn blob(part: &Part, width: usize) -> String {
    let name = part.digest().short();
    let (bytes, all) = (part.bytes(), part.size());
    let word = match part.stage() {
        Stage::Under => {
            let counted = format!("{:>8} of {:>8}", size(bytes), size(all));
            let least = format!("{name}  {counted}");
            let bar = bar(bytes, all, width.saturating_sub(least.len() + 2));
            return fit(
                &if bar.is_empty() { least } else { format!("{name}  {bar}  {counted}") },
                width,
            );
        }
        Stage::Done => "done",
        Stage::Exists => "exists",
        Stage::Mounted => "mounted",
        Stage::Failed => "failed",
    };
    fit(&format!("{name}  {word:<7}  {:>8}", size(all)), width)
}

fn total(scene: &Scene<'_>, width: usize) -> String {
    let what = safe(scene.what);
    let counted = match scene.total {
        Some(total) => format!("{} of {}", size(scene.bytes.min(total)), size(total)),
        None => size(scene.bytes),
    };
    let over = scene.parts.iter().filter(|part| part.stage() != Stage::Under).count();
    // What there is no room for is left out, the least telling first.
    let mut more = Vec::new();
    if over > 0 {
        more.push(format!("{over} done"));
    }
    if let Some(rate) = scene.rate {
        more.push(format!("{}/s", size(rate)));
    }
    match (scene.total, scene.rate) {
        (Some(total), Some(rate)) if rate > 0 => {
            more.push(time(total.saturating_sub(scene.bytes) / rate));
        }
        (None, _) => more.push(time(scene.elapsed.as_secs())),
        _ => {}
    }
    let mut line = format!("{what}  {counted}");
    if let Some(total) = scene.total {
        let taken: usize = more.iter().map(|word| word.len() + 2).sum();
        let bar = bar(scene.bytes, total, width.saturating_sub(across(&line) + 2 + taken));
        if !bar.is_empty() {
            line = format!("{what}  {bar}  {counted}");
        }
    }
    for word in more {
        if across(&line) + 2 + word.len() <= width {
            line = format!("{line}  {word}");
        }
    }
    fit(&line, width)
}

/// A bar of at most that many columns, brackets included; nothing if there is
/// no room for one.
fn bar(bytes: u64, total: u64, room: usize) -> String {
    let room = room.min(BAR);
    if room < SHORT {
        return String::new();
    }
    let inner = room - 2;
    let filled = match u128::from(bytes.min(total)) * inner as u128 {
        _ if total == 0 => inner,
        product => usize::try_from(product / u128::from(total)).unwrap_or(inner),
    };
    let head = if filled < inner { ">" } else { "" };
    format!("[{}{head}{}]", "=".repeat(filled), " ".repeat(inner - filled - head.len()))
}

/// `4s`, `3m12s`, `2h05m`.
fn time(seconds: u64) -> String {
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, seconds) => format!("{minutes}m{seconds:02}s"),
        (hours, minutes, _) => format!("{hours}h{minutes:02}m"),
    }
}

/// The beginning of a text that is no wider than that.
fn fit(text: &str, width: usize) -> String {
    let mut taken = 0;
    text.chars()
        .take_while(|letter| {
            taken += columns(*letter);
            taken <= width
        })
        .collect()
}

/// How many columns a text takes at most.
pub(super) fn across(text: &str) -> usize {
    text.chars().map(columns).sum()
}

/// Letters of many scripts are two columns wide; which ones, terminals do not
/// agree on.
fn columns(letter: char) -> usize {
    if letter.is_ascii() { 1 } else { 2 }
}

#[cfg(test)]
mod tests {
    use plimsoll::content::{Algorithm, Digest};

    use super::*;

    fn part(text: &str, size: u64, bytes: u64) -> Arc<Part> {
        let part = Part::new(&Digest::of(Algorithm::Sha256, text.as_bytes()), size);
        part.add(bytes);
        part
    }

    fn settled(text: &str, size: u64, stage: Stage) -> Arc<Part> {
        let part = part(text, size, 0);
        part.settle(stage);
        part
    }

    fn scene(parts: &[Arc<Part>]) -> Scene<'_> {
        Scene {
            what: "copying blobs",
            total: Some(5_000_000),
            bytes: 2_500_000,
            rate: Some(100_000),
            elapsed: Duration::from_secs(3),
            parts,
        }
    }

    #[test]
    fn each_blob_has_a_line_and_all_of_them_the_last_one() {
        let parts = [
            settled("a", 300_000, Stage::Exists),
            settled("b", 1_200_000, Stage::Done),
            part("c", 2_000_000, 1_000_000),
            settled("d", 1_500_000, Stage::Mounted),
        ];
        assert_eq!(
            lines(&scene(&parts), 80, 24),
            [
                "ca978112ca1b  exists   300.0 kB",
                "3e23e8160039  done       1.2 MB",
                "2e7d2c03a950  [============>           ]    1.0 MB of   2.0 MB",
                "18ac3e7343f0  mounted    1.5 MB",
                "copying blobs  [=========>         ]  2.5 MB of 5.0 MB  3 done  100.0 kB/s  25s",
            ]
            .map(str::to_owned)
        );
    }

    #[test]
    fn lines_fit_into_any_terminal() {
        let parts: Vec<_> = (0..40)
            .map(|number| match number % 3 {
                0 => settled(&number.to_string(), u64::MAX, Stage::Failed),
                _ => part(&number.to_string(), u64::MAX, u64::MAX / 2),
            })
            .collect();
        let wide = "日本語\u{7}のイメージをコピーする";
        for columns in (0..90).chain([150, 400]) {
            for rows in [0, 1, 2, 3, 5, 9, 10, 11, 40] {
                for total in [None, Some(0), Some(u64::MAX)] {
                    let scene = Scene { what: wide, total, bytes: u64::MAX, ..scene(&parts) };
                    let lines = lines(&scene, columns, rows);
                    assert!(lines.len() <= 9 && lines.len() <= rows.max(2), "{columns}x{rows}");
                    for line in lines {
                        assert!(across(&line) < columns.max(1), "{columns}x{rows}: {line:?}");
                        assert!(!line.chars().any(char::is_control), "{line:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn blobs_on_their_way_come_before_those_that_are_over() {
        let mut parts: Vec<_> =
            (0..9).map(|number| settled(&number.to_string(), 10, Stage::Done)).collect();
        parts.insert(2, part("flying", 10, 5));
        let lines = lines(&scene(&parts), 80, 6);
        assert_eq!(lines.len(), 5);
        assert!(lines[0].contains("5 B of"), "{lines:?}");
        assert!(lines[1..4].iter().all(|line| line.contains("done")), "{lines:?}");
    }

    #[test]
    fn a_step_of_unknown_size_tells_how_long_it_takes() {
        let scene = Scene { total: None, rate: None, ..scene(&[]) };
        assert_eq!(lines(&scene, 80, 24), ["copying blobs  2.5 MB  3s".to_owned()]);
    }

    #[test]
    fn a_bar_is_full_at_the_end_only() {
        assert_eq!(bar(0, 10, 12), "[>         ]");
        assert_eq!(bar(9, 10, 12), "[=========>]");
        assert_eq!(bar(10, 10, 12), "[==========]");
        assert_eq!(bar(0, 0, 12), "[==========]");
        assert_eq!(bar(20, 10, 12), "[==========]");
        assert_eq!(bar(u64::MAX - 1, u64::MAX, 12), "[=========>]");
        assert_eq!(bar(1, 2, 7), "");
    }

    #[test]
    fn times_have_two_units() {
        assert_eq!([0, 59, 61, 7505].map(time), ["0s", "59s", "1m01s", "2h05m"]);
    }
}
