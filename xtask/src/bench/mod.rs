//! The benchmark: this program and its peers, at the same tasks, on the same
//! machine, in turns.
//!
//! What lives here: the order of the runs. The workloads are in `workload`,
//! the commands in `job`, a single run in `measure`, the figures in `report`.

mod archive;
mod job;
mod measure;
mod report;
mod start;
mod verify;
mod workload;

use std::fs;
use std::path::PathBuf;

use serde_json::json;

use crate::{Outcome, budget, option, workspace};
use job::{Family, Job};
use measure::Bed;

const USAGE: &str = "\
usage: cargo xtask bench [OPTION]...

  --rounds N   how often each command runs [default: 5; 60 to start a process]
  --only A,B   tasks, or single commands (`TASK:COMMAND`), whose names hold one
               of the words; ours always runs, for the ratios
  --quick      small workloads and one round: does it work at all?
  --sync       count the time until the file system has everything for all
  --list       name the tasks, and end
  --json       print the results as one JSON document
  --write      keep the results in benches/RESULTS.md (one run of all tasks)
  --dir DIR    where workloads are kept [default: target/bench]
  --bed DIR    where the jobs work [default: below the folder for temporary files]
  --no-build   measure the release build that is there";

/// Runs the benchmark.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    let (rounds, rest) = option(arguments, "--rounds")?;
    let (only, rest) = option(&rest, "--only")?;
    let (kept, rest) = option(&rest, "--dir")?;
    let (bed, rest) = option(&rest, "--bed")?;
    let known = ["--quick", "--sync", "--list", "--json", "--write", "--no-build"];
    if let Some(unknown) = rest.iter().find(|word| !known.contains(&word.as_str())) {
        return Err(format!("unknown argument {unknown}\n{USAGE}"));
    }
    let has = |flag: &str| rest.iter().any(|word| word == flag);
    let quick = has("--quick");
    let said = rounds
        .map(|text| text.parse::<usize>().map_err(|_| format!("--rounds {text} is no number")));
    let said = said.transpose()?;
    let rounds = said.unwrap_or(if quick { 1 } else { 5 });
    let words: Vec<String> =
        only.iter().flat_map(|words| words.split(',')).map(str::to_owned).collect();
    if has("--list") {
        for task in job::tasks() {
            println!("{:<22} {}", task.name, task.workload.about);
        }
        return Ok(());
    }
    if let Some(done) = start::apart(arguments) {
        return done;
    }
    if !has("--no-build") {
        budget::build_release()?;
    }
    let kept = kept.map_or_else(|| workspace().join("target/bench"), PathBuf::from);
    let bed = Bed::new(&bed.map_or_else(
        || std::env::temp_dir().join(format!("plimsoll-bench-{}", std::process::id())),
        PathBuf::from,
    ))?;
    let mut results = Vec::new();
    for task in job::tasks() {
        let named = |word: &String| {
            let (name, _) = word.split_once(':').unwrap_or((word, ""));
            task.name.contains(name)
        };
        if !words.is_empty() && !words.iter().any(named) {
            continue;
        }
        let Some(mut family) = task.prepare(&kept, &bed.out(), quick)? else { continue };
        choose(&mut family, &words);
        let result = if family.starts {
            start::rounds(&bed, &family, said.unwrap_or(if quick { 3 } else { start::ROUNDS }))?
        } else {
            rounds_of(&bed, &family, rounds, has("--sync"))?
        };
        if !has("--json") {
            println!("{}", result.table());
        }
        results.push(result);
    }
    let machine = report::machine(bed.about());
    if has("--json") {
        let results: Vec<_> = results.iter().map(report::Result::json).collect();
        let whole = json!({ "machine": machine, "rounds": rounds, "results": results });
        println!("{whole:#}");
    } else {
        println!("{}", report::sentence(&machine));
    }
    if has("--write") {
        let mut text =
            format!("{}\n{} rounds; {}.\n", report::HEAD, rounds, report::sentence(&machine));
        for result in &results {
            text.push('\n');
            text.push_str(&result.table());
        }
        let path = workspace().join(report::RESULTS);
        fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

/// Leaves out the commands that were not asked for.
fn choose(family: &mut Family, words: &[String]) {
    let name = family.name.clone();
    let mut first = true;
    family.jobs.retain(|job: &Job| {
        let ours = std::mem::take(&mut first);
        let wanted = words.iter().any(|word| match word.split_once(':') {
            Some((task, command)) => name.contains(task) && job.name.contains(command),
            None => name.contains(word.as_str()),
        });
        ours || words.is_empty() || wanted
    });
}

/// Every command once, then every command again.
fn rounds_of(bed: &Bed, family: &Family, rounds: usize, sync: bool) -> Outcome<report::Result> {
    let mut result = report::Result::new(family);
    for round in 1..=rounds {
        for (job, (_, samples)) in family.jobs.iter().zip(&mut result.jobs) {
            match bed.run(job, sync) {
                Ok(sample) => {
                    eprintln!(
                        "bench: {} {round}/{rounds} {}: {:.2} s, {:.0} MiB",
                        family.name, job.name, sample.wall, sample.peak
                    );
                    samples.push(sample);
                }
                // A peer that can not do it is no reason to know nothing.
                Err(message) if !job.name.starts_with("plimsoll") => {
                    eprintln!("bench: {} {}: {message}", family.name, job.name);
                }
                Err(message) => return Err(message),
            }
        }
    }
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_stays_and_the_others_are_chosen() {
        let job = |name: &str| Job::new(name, "true".into());
        let family = |words: &[&str]| {
            let mut family = Family {
                name: "unpack/tiny".into(),
                about: String::new(),
                starts: false,
                jobs: vec![job("plimsoll unpack"), job("umoci 1 unpack"), job("tar")],
            };
            choose(&mut family, &words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
            family.jobs.into_iter().map(|job| job.name).collect::<Vec<_>>()
        };
        assert_eq!(family(&[]).len(), 3);
        assert_eq!(family(&["tiny"]).len(), 3);
        assert_eq!(family(&["tiny:tar"]), ["plimsoll unpack", "tar"]);
        assert_eq!(family(&["big:tar", "tiny:umoci"]), ["plimsoll unpack", "umoci 1 unpack"]);
    }

    #[test]
    fn unknown_arguments_are_refused() {
        assert!(run(&["--frobnicate".into()]).expect_err("refused").contains("--frobnicate"));
        assert!(run(&["--rounds".into(), "x".into()]).is_err());
    }
}
