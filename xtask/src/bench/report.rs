//! What came out: medians, and ratios taken round by round, so that what
//! else the machine did in a round falls on both sides of a ratio.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use super::job::Family;
use super::measure::Sample;

/// Where the last results are kept in the repository.
pub(super) const RESULTS: &str = "benches/RESULTS.md";

/// All runs of a family: for each job, one sample for each round.
pub(super) struct Result {
    pub(super) name: String,
    pub(super) about: String,
    pub(super) jobs: Vec<(String, Vec<Sample>)>,
    /// Whether each sample is one start of a process.
    pub(super) starts: bool,
}

impl Result {
    pub(super) fn new(family: &Family) -> Self {
        Self {
            name: family.name.clone(),
            about: family.about.clone(),
            jobs: family.jobs.iter().map(|job| (job.name.clone(), Vec::new())).collect(),
            starts: family.starts,
        }
    }

    /// The family as a table.
    pub(super) fn table(&self) -> String {
        if self.starts {
            return self.of_starts();
        }
        let products = self.jobs.iter().flat_map(|(_, samples)| samples);
        let products = products.clone().any(|sample| sample.product.is_some());
        let mut text = format!("### {}\n\n{}\n\n", self.name, self.about);
        text.push_str(
            "| command | wall s | min to max | cpu s | peak MiB | wall ratio | cpu ratio |",
        );
        text.push_str(if products { " MB made |\n" } else { "\n" });
        text.push_str("|---|---:|---|---:|---:|---:|---:|");
        text.push_str(if products { "---:|\n" } else { "\n" });
        for row in self.rows() {
            let _ = write!(
                text,
                "| {} | {:.2} | {:.2} to {:.2} | {:.2} | {:.0} | {:.2} | {:.2} |",
                row.name, row.wall, row.least, row.most, row.cpu, row.peak, row.walls, row.cpus
            );
            if products {
                let made = row.product.map(megabytes);
                let _ = write!(text, " {} |", made.unwrap_or_default());
            }
            text.push('\n');
        }
        text
    }

    /// A table of milliseconds.
    fn of_starts(&self) -> String {
        let mut text = format!("### {}\n\n{}\n\n", self.name, self.about);
        text.push_str(
            "| command | starts | median ms | least ms | nine of ten below ms | ratio |\n",
        );
        text.push_str("|---|---:|---:|---:|---:|---:|\n");
        for row in self.rows() {
            let [wall, least, tenth] = [row.wall, row.least, row.tenth].map(|time| time * 1e3);
            let _ = writeln!(
                text,
                "| {} | {} | {wall:.1} | {least:.1} | {tenth:.1} | {:.2} |",
                row.name, row.count, row.walls
            );
        }
        text
    }

    /// The family as data.
    pub(super) fn json(&self) -> Value {
        let jobs = self.rows().into_iter().map(|row| {
            json!({
                "name": row.name, "wall": row.wall, "wallLeast": row.least, "wallMost": row.most,
                "cpu": row.cpu, "peakMiB": row.peak, "wallRatio": row.walls, "cpuRatio": row.cpus,
                "bytes": row.product,
            })
        });
        json!({ "name": self.name, "about": self.about, "jobs": jobs.collect::<Vec<_>>() })
    }

    fn rows(&self) -> Vec<Row<'_>> {
        let Some((_, ours)) = self.jobs.first() else { return Vec::new() };
        self.jobs
            .iter()
            .filter(|(_, samples)| !samples.is_empty())
            .map(|(name, samples)| {
                let of = |pick: fn(&Sample) -> f64| samples.iter().map(pick).collect::<Vec<_>>();
                let ratio = |pick: fn(&Sample) -> f64| {
                    median(
                        samples.iter().zip(ours).map(|(one, our)| pick(one) / pick(our)).collect(),
                    )
                };
                let walls = of(|sample| sample.wall);
                Row {
                    name,
                    least: walls.iter().copied().fold(f64::INFINITY, f64::min),
                    most: walls.iter().copied().fold(0.0, f64::max),
                    tenth: below(walls.clone()),
                    count: walls.len(),
                    wall: median(walls),
                    cpu: median(of(|sample| sample.cpu)),
                    peak: median(of(|sample| sample.peak)),
                    walls: ratio(|sample| sample.wall),
                    cpus: ratio(|sample| sample.cpu.max(0.01)),
                    product: samples.last().and_then(|sample| sample.product),
                }
            })
            .collect()
    }
}

struct Row<'a> {
    name: &'a str,
    wall: f64,
    least: f64,
    most: f64,
    tenth: f64,
    count: usize,
    cpu: f64,
    peak: f64,
    walls: f64,
    cpus: f64,
    product: Option<u64>,
}

/// Millions of bytes, with one decimal.
pub(super) fn megabytes(bytes: u64) -> String {
    let tenths = (bytes + 50_000) / 100_000;
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// The middle one, or the mean of the two in the middle.
fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    let (low, high) = (numbers.len().saturating_sub(1) / 2, numbers.len() / 2);
    match (numbers.get(low), numbers.get(high)) {
        (Some(low), Some(high)) => f64::midpoint(*low, *high),
        _ => f64::NAN,
    }
}

/// What nine of ten do not exceed.
fn below(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    let at = (numbers.len() * 9).div_ceil(10).saturating_sub(1);
    numbers.get(at).copied().unwrap_or(f64::NAN)
}

/// The day, and what the machine is.
pub(super) fn machine(bed: &str) -> Value {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        let value = line.split_once([':', '=']).map_or("?", |(_, value)| value);
        value.trim().trim_matches('"').to_owned()
    };
    let today = Command::new("date").args(["-u", "+%F"]).output();
    let today = today.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let memory = field(&read("/proc/meminfo"), "MemTotal");
    let memory = memory.split(' ').next().and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0);
    json!({
        "date": today.unwrap_or_default(),
        "processor": field(&read("/proc/cpuinfo"), "model name"),
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "memoryGiB": memory >> 20,
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "system": field(&read("/etc/os-release"), "PRETTY_NAME"),
        "fileSystem": bed,
        "load": read("/proc/loadavg").split(' ').next().unwrap_or("?"),
    })
}

/// The same as a sentence.
pub(super) fn sentence(machine: &Value) -> String {
    let text = |name: &str| machine[name].to_string().trim_matches('"').to_owned();
    format!(
        "{}: {}, {} cores, {} GiB; {}, kernel {}; {}; load {} at the end",
        text("date"),
        text("processor"),
        text("cores"),
        text("memoryGiB"),
        text("system"),
        text("kernel"),
        text("fileSystem"),
        text("load"),
    )
}

/// What the file in the repository says before the tables.
pub(super) const HEAD: &str = "\
# Last results

Written by `cargo xtask bench --write`; `CONTRIBUTING.md` says how to repeat it.
Each round runs every command once, each on a new file system; the figures are
medians. A ratio is that of a command to Plimsoll's, taken round by round: 4.5
means that Plimsoll needed the same time 4.5 times less. Ratios carry over to
other machines, seconds do not.

What is not the same on both sides: Plimsoll verifies the digest of each blob
and the diff_id of each layer before anything is visible. tar and bsdtar verify
nothing; podman and containerd store the image as well. Nobody waits for the
disk, unless the run says `--sync`.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_in_the_middle() {
        assert!((median(vec![3.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
        assert!((median(vec![4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < 1e-9);
        assert!(median(Vec::new()).is_nan());
        assert!((below((1..=10).map(f64::from).collect()) - 9.0).abs() < 1e-9);
        assert!((below(vec![7.0]) - 7.0).abs() < 1e-9);
    }

    #[test]
    fn ratios_are_taken_round_by_round() {
        let sample = |wall| Sample { wall, cpu: wall, peak: 1.0, product: None };
        let result = Result {
            name: "a".into(),
            about: "b".into(),
            starts: false,
            // The machine was three times slower in the second round.
            jobs: vec![
                ("ours".into(), vec![sample(1.0), sample(3.0), sample(1.0)]),
                ("peer".into(), vec![sample(2.0), sample(6.0), sample(2.0)]),
            ],
        };
        let rows = result.rows();
        assert!((rows[1].walls - 2.0).abs() < 1e-9);
        assert!(result.table().contains("| peer | 2.00 | 2.00 to 6.00 |"));
    }
}
