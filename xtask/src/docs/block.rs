//! The blocks of a document that hold commands.

/// A fenced block.
#[derive(Debug)]
pub(super) struct Block {
    /// What it says to run, in order.
    pub(super) commands: Vec<Command>,
}

/// One command and what is said about it.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Command {
    /// The line of the document on which it begins.
    pub(super) line: usize,
    /// For the shell.
    pub(super) text: String,
    /// What it prints; `None` where the document does not say.
    pub(super) output: Option<Vec<String>>,
    /// The exit code.
    pub(super) code: i32,
}

/// The blocks to run. An error has its line.
pub(super) fn blocks(text: &str) -> Result<Vec<Block>, (usize, String)> {
    let mut found = Vec::new();
    let mut open: Option<(&str, &str, usize, Vec<&str>)> = None;
    for (at, line) in text.lines().enumerate() {
        let bare = line.trim_start();
        match &mut open {
            None if bare.starts_with("```") => {
                let fence = &bare[..bare.len() - bare.trim_start_matches('`').len()];
                open = Some((fence, bare[fence.len()..].trim(), at + 1, Vec::new()));
            }
            None => {}
            Some((fence, marks, start, lines)) if line.trim() == *fence => {
                found.extend(block(marks, *start, lines)?);
                open = None;
            }
            Some((_, _, _, lines)) => lines.push(line),
        }
    }
    match open {
        Some((_, _, line, _)) => Err((line, "a block that does not end".into())),
        None => Ok(found),
    }
}

fn block(marks: &str, start: usize, lines: &[&str]) -> Result<Option<Block>, (usize, String)> {
    let mut words = marks.split([' ', ',']);
    let commands = match words.next() {
        Some("console") => console(start, lines)?,
        Some("sh") => vec![Command {
            line: start + 1,
            text: format!("set -e\n{}", lines.join("\n")),
            output: None,
            code: 0,
        }],
        Some("shell" | "bash") => {
            return Err((start, "mark commands as console, a script as sh".into()));
        }
        _ => return Ok(None),
    };
    Ok((!words.any(|word| word == "ignore")).then_some(Block { commands }))
}

fn console(start: usize, lines: &[&str]) -> Result<Vec<Command>, (usize, String)> {
    let mut commands: Vec<Command> = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let number = start + 1 + at;
        if let Some(text) = line.strip_prefix("$ ") {
            let text = text.to_owned();
            commands.push(Command { line: number, text, output: Some(Vec::new()), code: 0 });
            continue;
        }
        let Some(command) = commands.last_mut() else {
            return Err((number, "a console block begins with a command after \"$ \"".into()));
        };
        let output = command.output.get_or_insert_default();
        if let Some(more) = line.strip_prefix("> ").filter(|_| output.is_empty()) {
            command.text.push('\n');
            command.text.push_str(more);
        } else if let Some(code) = line.strip_prefix("? ").and_then(|code| code.parse().ok()) {
            command.code = code;
        } else {
            output.push((*line).to_owned());
        }
    }
    Ok(commands)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_have_their_output_code_and_line() {
        let text = "a\n\n```console\n$ one \\\n>   more\nout\n? 2\n$ two\n```\n";
        let blocks = blocks(text).expect("well-formed");
        assert_eq!(
            blocks[0].commands,
            [
                Command {
                    line: 4,
                    text: "one \\\n  more".into(),
                    output: Some(vec!["out".into()]),
                    code: 2
                },
                Command { line: 8, text: "two".into(), output: Some(vec![]), code: 0 },
            ]
        );
    }

    #[test]
    fn other_blocks_and_ignored_ones_are_left_alone() {
        let text = "```json\n{}\n```\n```sh ignore\nreboot\n```\n````text\n```sh\nno\n```\n````\n";
        assert!(blocks(text).expect("well-formed").is_empty());
    }

    #[test]
    fn mistakes_are_told_with_their_line() {
        assert_eq!(blocks("x\n```sh\n").expect_err("open").0, 2);
        assert_eq!(blocks("```console\nls\n```\n").expect_err("no command").0, 2);
        assert_eq!(blocks("```bash\nls\n```\n").expect_err("unknown mark").0, 1);
    }
}
