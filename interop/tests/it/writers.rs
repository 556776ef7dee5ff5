//! Eight writers, readers and a collector on one layout; and how other tools
//! fare at it.
//!
//! `PLIMSOLL_ROUNDS=20` says how many rounds; the default keeps CI quick.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use plimsoll_interop::{Peer, Program, Scratch, peers, run, skip};

const WRITERS: usize = 8;

fn rounds(default: usize) -> usize {
    std::env::var("PLIMSOLL_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn quiet(mut command: Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("it starts")
}

/// The names in `index.json`, as anybody reads them.
fn names(layout: &Path) -> BTreeSet<String> {
    let Ok(bytes) = fs::read(layout.join("index.json")) else { return BTreeSet::new() };
    let Ok(index) = serde_json::from_slice::<serde_json::Value>(&bytes) else {
        return BTreeSet::new();
    };
    let entries = index["manifests"].as_array().cloned().unwrap_or_default();
    entries
        .iter()
        .filter_map(|entry| entry["annotations"]["org.opencontainers.image.ref.name"].as_str())
        .map(str::to_owned)
        .collect()
}

fn image(scratch: &Scratch) -> Program {
    let program = Program::new(scratch.path());
    for number in 0..WRITERS {
        let folder = scratch.join(&format!("tree{number}"));
        fs::create_dir(&folder).expect("a folder");
        fs::write(folder.join("file"), format!("{number}")).expect("a file");
    }
    program
}

#[test]
fn eight_writers_keep_eight_names_while_gc_and_readers_run() {
    let scratch = Scratch::new();
    let program = image(&scratch);
    let rounds = rounds(3);
    for round in 0..rounds {
        let layout = format!("images{round}");
        program.good(&["pack", "tree0", &format!("oci:{layout}:first")]);
        let stop = scratch.join("stop");
        let _ = fs::remove_file(&stop);
        let others: Vec<_> = [vec!["gc"], vec!["ls"], vec!["fsck"]]
            .into_iter()
            .map(|words| {
                let place = format!("oci:{layout}");
                let (program, stop) = (program.clone(), stop.clone());
                std::thread::spawn(move || {
                    let mut times = 0;
                    while !stop.exists() {
                        let words: Vec<_> = words.iter().copied().chain([&*place]).collect();
                        let done = program.run(&words);
                        // A collector may wait in vain while others write.
                        let busy = done.code == 5 && done.err.contains("E_LOCKED");
                        assert!(done.code == 0 || busy, "{words:?}: {}{}", done.out, done.err);
                        times += 1;
                    }
                    times
                })
            })
            .collect();
        let writers: Vec<_> = (0..WRITERS)
            .map(|number| {
                let mut command = program.command();
                command.args(["pack", "-q", &format!("tree{number}")]);
                command.arg(format!("oci:{layout}:v{number}"));
                command.args(["--label", &format!("round={round}")]);
                quiet(command)
            })
            .collect();
        for mut writer in writers {
            assert!(writer.wait().expect("it ends").success());
        }
        fs::write(&stop, "").expect("written");
        let times: Vec<usize> =
            others.into_iter().map(|other| other.join().expect("no half of anything")).collect();
        let expected: BTreeSet<_> =
            (0..WRITERS).map(|number| format!("v{number}")).chain(["first".to_owned()]).collect();
        assert_eq!(names(&scratch.join(&layout)), expected, "round {round}");
        program.good(&["fsck", &format!("oci:{layout}")]);
        println!("round {round}: 8 of 8, beside gc, ls and fsck {times:?} times");
    }
}

/// Starts eight of `command` at once, and gives how many said that they
/// worked and how many names there are in the end.
fn score(layout: &Path, command: &dyn Fn(usize) -> Command) -> (usize, usize) {
    let children: Vec<_> = (0..WRITERS).map(|number| quiet(command(number))).collect();
    let worked = children
        .into_iter()
        .map(|mut child| child.wait().expect("it ends").success())
        .filter(|worked| *worked)
        .count();
    let wanted: BTreeSet<_> = (0..WRITERS).map(|number| format!("v{number}")).collect();
    (worked, names(layout).intersection(&wanted).count())
}

/// The other tools' results are printed and not judged: they are theirs.
#[test]
fn eight_writers_with_other_tools_for_comparison() {
    let scratch = Scratch::new();
    let program = image(&scratch);
    for number in 0..WRITERS {
        program.good(&["pack", &format!("tree{number}"), &format!("oci:from:v{number}")]);
    }
    let from = scratch.text("from");
    let rounds = rounds(2);
    let mut table: Vec<(String, Vec<(usize, usize)>)> = Vec::new();
    let mut measure = |name: String, make: &dyn Fn(&str, usize) -> Command, seed: bool| {
        let mut scores = Vec::new();
        for round in 0..rounds {
            let tool: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
            let layout = format!("{}-{round}", scratch.text(&tool.to_lowercase()));
            if seed {
                program.good(&["pack", "tree0", &format!("oci:{layout}:first")]);
            }
            scores.push(score(Path::new(&layout), &|number| make(&layout, number)));
        }
        table.push((name, scores));
    };
    measure(
        "plimsoll pack".to_owned(),
        &|layout, number| {
            let mut command = program.command();
            command.args(["pack", &format!("tree{number}"), &format!("oci:{layout}:v{number}")]);
            command
        },
        false,
    );
    measure(
        "plimsoll tag".to_owned(),
        &|layout, number| {
            let mut command = program.command();
            command.args(["tag", &format!("oci:{layout}:first"), &format!("v{number}")]);
            command
        },
        true,
    );
    let version = |peer: &Peer| {
        let ask = |word: &str| {
            let said = run(peer.command().env("HOME", scratch.path()).arg(word));
            format!("{} {} ", said.out, said.err)
        };
        let said = ask("--version") + &ask("version");
        let is_number = |word: &&str| {
            let digits = word.trim_start_matches('v');
            word.contains('.') && digits.starts_with(|c: char| c.is_ascii_digit())
        };
        said.split_whitespace().find(is_number).unwrap_or("?").to_owned()
    };
    for skopeo in peers("skopeo") {
        measure(
            format!("skopeo {} copy", version(&skopeo)),
            &|layout, number| {
                let mut command = skopeo.command();
                command.args(["--insecure-policy", "copy", &format!("oci:{from}:v{number}")]);
                command.arg(format!("oci:{layout}:v{number}"));
                command
            },
            false,
        );
    }
    for umoci in peers("umoci") {
        measure(
            format!("umoci {} tag", version(&umoci)),
            &|layout, number| {
                let mut command = umoci.command();
                command.args(["tag", "--image", &format!("{layout}:first"), &format!("v{number}")]);
                command
            },
            true,
        );
    }
    for oras in peers("oras") {
        measure(
            format!("oras {} tag", version(&oras)),
            &|layout, number| {
                let mut command = oras.command();
                command.args(["tag", "--oci-layout", &format!("{layout}:first")]);
                command.arg(format!("v{number}"));
                command
            },
            true,
        );
    }
    for regctl in peers("regctl") {
        measure(
            format!("regctl {} image copy", version(&regctl)),
            &|layout, number| {
                let mut command = regctl.command();
                command.env("HOME", scratch.path()).args(["image", "copy"]);
                command.arg(format!("ocidir://{from}:v{number}"));
                command.arg(format!("ocidir://{layout}:v{number}"));
                command
            },
            false,
        );
    }
    if peers("crane").is_empty() {
        skip("crane: it copies to layouts from registries only");
    }
    println!(
        "| eight writers of one layout | names kept of 8, each round | said that they worked |"
    );
    println!("|---|---|---|");
    for (name, scores) in &table {
        let kept: Vec<_> = scores.iter().map(|(_, kept)| kept.to_string()).collect();
        let worked: Vec<_> = scores.iter().map(|(worked, _)| worked.to_string()).collect();
        println!("| {name} | {} | {} |", kept.join(", "), worked.join(", "));
    }
    for (name, scores) in table.iter().filter(|(name, _)| name.starts_with("plimsoll")) {
        assert!(scores.iter().all(|score| *score == (8, 8)), "{name}: {scores:?}");
    }
}
