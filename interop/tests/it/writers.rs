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

/// The figures of a size: how many system calls `tag`, `ls` and `gc` make.
#[test]
fn cost_grows_no_faster_than_the_layout() {
    let Some(strace) = plimsoll_interop::peer("strace") else { return };
    let scratch = Scratch::new();
    let program = image(&scratch);
    let mut costs = Vec::new();
    // Ten times as many names, blobs and entries.
    let sizes = if std::env::var("PLIMSOLL_EXHAUSTIVE").is_ok_and(|value| value == "1") {
        [1_000, 10_000]
    } else {
        [100, 1_000]
    };
    for size in sizes {
        let layout = format!("images{size}");
        program.good(&["pack", "tree0", &format!("oci:{layout}:first")]);
        grow(&scratch.join(&layout), size);
        let mut row = Vec::new();
        for words in [vec!["tag"], vec!["ls", "-q"], vec!["gc"], vec!["fsck"]] {
            let mut command = strace.command();
            command.env_clear().envs(program.environment()).current_dir(scratch.path());
            let log = scratch.join("count");
            command.args(["-f", "-c", "-o"]).arg(&log).arg(program.path()).args(&words);
            match words[0] {
                "tag" => command.args([format!("oci:{layout}:first"), "again".to_owned()]),
                _ => command.arg(format!("oci:{layout}")),
            };
            let start = std::time::Instant::now();
            let done = run(&mut command);
            if done.err.contains("ptrace") {
                skip("tracing: not allowed here");
                return;
            }
            assert_eq!(done.code, 0, "{words:?}: {}", done.err);
            let text = fs::read_to_string(&log).expect("strace writes its table");
            // The columns are: % time, seconds, usecs/call, calls, errors, syscall.
            let total = text.lines().rev().find(|line| line.ends_with("total")).expect("a total");
            let calls: u64 =
                total.split_whitespace().nth(3).and_then(|word| word.parse().ok()).expect("calls");
            row.push((words[0].to_owned(), calls, start.elapsed()));
        }
        costs.push((size, row));
    }
    println!("| verb | calls at {} | calls at {} | ratio | time, traced |", sizes[0], sizes[1]);
    println!("|---|---|---|---|---|");
    for ((verb, small, _), (_, large, time)) in costs[0].1.iter().zip(&costs[1].1) {
        let tenths = large * 10 / small;
        println!("| {verb} | {small} | {large} | {}.{} | {time:?} |", tenths / 10, tenths % 10);
        // Ten times the size may not cost more than that, and some.
        assert!(*large < small * 13, "{verb}: {small} calls, then {large}");
    }
}

/// Adds that many images with blobs of their own, and half as many blobs that
/// nothing leads to.
fn grow(layout: &Path, count: usize) {
    const SCRIPT: &str = r#"
import hashlib, json, os, sys
layout, count = sys.argv[1], int(sys.argv[2])
def put(data):
    digest = hashlib.sha256(data).hexdigest()
    with open(os.path.join(layout, "blobs/sha256", digest), "wb") as file:
        file.write(data)
    return {"digest": "sha256:" + digest, "size": len(data)}
path = os.path.join(layout, "index.json")
index = json.load(open(path))
for number in range(count):
    config = {"architecture": "amd64", "os": "linux", "author": str(number),
              "rootfs": {"type": "layers", "diff_ids": []}}
    config = {"mediaType": "application/vnd.oci.image.config.v1+json",
              **put(json.dumps(config).encode())}
    kind = "application/vnd.oci.image.manifest.v1+json"
    manifest = {"schemaVersion": 2, "mediaType": kind, "config": config, "layers": []}
    name = {"org.opencontainers.image.ref.name": "t%d" % number}
    index["manifests"].append({"mediaType": kind, "annotations": name,
                               **put(json.dumps(manifest).encode())})
    if number % 2 == 0:
        put(b"loose %d" % number)
json.dump(index, open(path, "w"))
"#;
    run(Command::new("python3").args(["-c", SCRIPT]).arg(layout).arg(count.to_string()))
        .good("python3");
}
