//! The examples in the documents, run against the program.
//!
//! A block marked `console` holds commands (`$ ` and, for further lines,
//! `> `), each with what it prints. `...` alone stands for any lines, `[..]`
//! for anything inside of a line, and `? 3` at the end for the exit code. A
//! block marked `sh` is a script that must end well. A block marked with
//! `ignore` behind either word is left alone, which is for what needs a
//! network or would start this very test.
//!
//! The blocks of one document run one after another, in an empty folder that
//! is also the home; directory and exported variables last until its end. If a
//! folder lies beside a document that has its name, what is in it is there too.

mod block;
mod expect;
mod shell;

use std::path::{Path, PathBuf};

use crate::{Outcome, budget, option, sources, workspace};

use block::Block;
use shell::Shell;

/// Runs the examples of the named documents, or of all.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    let (program, named) = option(arguments, "--bin")?;
    let program = match program.or_else(|| std::env::var("PLIMSOLL_BIN").ok()) {
        Some(path) => PathBuf::from(path),
        None => {
            budget::build_release()?;
            budget::release()
        }
    };
    let program = program
        .canonicalize()
        .map_err(|error| format!("{} is not there ({error}); build it first", program.display()))?;
    let folder = program.parent().unwrap_or(Path::new("/")).to_owned();
    let mut failed = Vec::new();
    let mut count = 0;
    for path in documents(&named)? {
        let text = std::fs::read_to_string(workspace().join(&path))
            .map_err(|error| format!("{}: {error}", path.display()))?;
        let blocks = block::blocks(&text)
            .map_err(|(line, problem)| format!("{}:{line}: {problem}", path.display()))?;
        if blocks.is_empty() {
            continue;
        }
        let beside = workspace().join(path.with_extension(""));
        let (ran, problems) = document(&blocks, &folder, &beside)?;
        count += ran;
        println!("docs: {}: {ran} commands", path.display());
        for (line, problem) in problems {
            println!("docs: {}:{line}: {problem}", path.display());
            failed.push(format!("{}:{line}", path.display()));
        }
    }
    println!("docs: {count} commands, {} failed", failed.len());
    if failed.is_empty() { Ok(()) } else { Err(failed.join(", ")) }
}

fn documents(named: &[String]) -> Outcome<Vec<PathBuf>> {
    if !named.is_empty() {
        return Ok(named.iter().map(PathBuf::from).collect());
    }
    let mut paths: Vec<_> = sources::all()?
        .into_iter()
        .filter(|source| source.is("md"))
        .filter(|source| source.below("docs") || source.path.as_os_str() == "README.md")
        .map(|source| source.path)
        .collect();
    paths.sort();
    Ok(paths)
}

/// What one document's commands did: how many ran, and what went wrong where.
type Ran = (usize, Vec<(usize, String)>);

fn document(blocks: &[Block], programs: &Path, beside: &Path) -> Outcome<Ran> {
    let shell = Shell::new(programs)?;
    if beside.is_dir() {
        shell.bring(beside)?;
    }
    let mut problems = Vec::new();
    let mut ran = 0;
    for command in blocks.iter().flat_map(|block| &block.commands) {
        ran += 1;
        let (output, code) = shell.run(&command.text)?;
        if code != command.code {
            problems.push((
                command.line,
                format!("exit code {code}, expected {}; printed:\n{output}", command.code),
            ));
        } else if let Some(expected) = &command.output
            && let Err(difference) = expect::compare(expected, &output)
        {
            problems.push((command.line, difference));
        }
    }
    Ok((ran, problems))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ran(text: &str) -> Ran {
        let blocks = block::blocks(text).expect("well-formed");
        document(&blocks, Path::new("/nowhere"), Path::new("/nowhere")).expect("run")
    }

    #[test]
    fn good_examples_pass() {
        let text = "\
# Title

```console
$ echo one; echo two >&2
one
two
$ mkdir a && cd a && export WORD=x
$ pwd | sed 's,.*/,,'; echo $WORD
a
[..]
$ seq 100
1
...
100
$ (exit 3)
? 3
```

```sh
test \"$WORD\" = x
echo whatever
```
";
        let (count, problems) = ran(text);
        assert_eq!(problems, []);
        assert_eq!(count, 6);
    }

    #[test]
    fn wrong_output_and_wrong_codes_are_found_with_their_line() {
        let text = "```console\n$ echo one\ntwo\n$ false\n```\n```sh\nfalse\ntrue\n```\n";
        let (_, problems) = ran(text);
        let lines: Vec<_> = problems.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [2, 4, 7]);
        assert!(problems[0].1.contains("+one"), "{}", problems[0].1);
    }

    #[test]
    fn home_is_empty_and_private() {
        let (_, problems) =
            ran("```console\n$ ls -A ~; ls -A\n$ echo $TZ $LC_ALL\nUTC C.UTF-8\n```\n");
        assert_eq!(problems, []);
    }
}
