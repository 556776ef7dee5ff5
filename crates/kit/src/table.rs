//! The verdicts on several tools in one table, as a document.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use plimsoll_content::Result;

use crate::case::{Case, Role};
use crate::peer::Peer;
use crate::run::{Outcome, Verdict, version};

/// A tool that is here, and what it made of the cases.
#[derive(Clone, Debug)]
pub struct Column {
    /// The tool.
    pub peer: Peer,
    /// What it says its version is.
    pub version: String,
    /// What came of the cases for the roles that it plays.
    pub outcomes: Vec<Outcome>,
}

/// How long a tool may take to tell its version.
const TIME: Duration = Duration::from_secs(10);

/// The ready-made peers that are installed, with their versions.
pub fn installed(scratch: &Path, program: &Path) -> Result<Vec<(Peer, String)>> {
    let mut found = Vec::new();
    for peer in Peer::all()? {
        if let Some(version) = version(&peer, scratch, program, TIME)? {
            found.push((peer, version));
        }
    }
    Ok(found)
}

/// The document: how many cases each tool passes, and every case that one of
/// them does not.
pub fn document(cases: &[Case], columns: &[Column]) -> String {
    let mut text = String::from(HEAD);
    let _ = writeln!(
        text,
        "\n| tool | role | cases | pass | fail | refused | time | does not apply |\n\
         |---|---|---|---|---|---|---|---|"
    );
    for column in columns {
        for role in Role::ALL.iter().filter(|role| column.peer.plays(**role)) {
            let number = |verdict: Option<Verdict>| {
                let mine = column.outcomes.iter().filter(|outcome| outcome.role == *role);
                mine.filter(|outcome| verdict.is_none_or(|verdict| verdict == outcome.verdict))
                    .count()
            };
            let _ = writeln!(
                text,
                "| {} | {role} | {} | {} | {} | {} | {} | {} |",
                column.version,
                number(None),
                number(Some(Verdict::Pass)),
                number(Some(Verdict::Fail)),
                number(Some(Verdict::Refused)),
                number(Some(Verdict::Timeout)),
                number(Some(Verdict::NotApplicable)),
            );
        }
    }
    for role in Role::ALL {
        self::role(&mut text, *role, cases, columns);
    }
    known(&mut text, columns);
    text
}

fn role(text: &mut String, role: Role, cases: &[Case], columns: &[Column]) {
    let players: Vec<_> = columns.iter().filter(|column| column.peer.plays(role)).collect();
    let mine: Vec<_> = cases.iter().filter(|case| case.role == role).collect();
    if mine.is_empty() {
        return;
    }
    let mut rows = String::new();
    let mut rest = 0;
    for case in &mine {
        let verdicts: Vec<_> = players
            .iter()
            .map(|column| {
                let outcome = column.outcomes.iter().find(|outcome| outcome.case == case.id);
                outcome.map_or(Verdict::NotApplicable, |outcome| outcome.verdict)
            })
            .collect();
        if verdicts.iter().all(|verdict| matches!(verdict, Verdict::Pass | Verdict::NotApplicable))
        {
            rest += 1;
            continue;
        }
        let words: Vec<_> = verdicts.iter().map(|verdict| word(*verdict)).collect();
        let rule = case.rules().first().map_or("", String::as_str);
        let _ = writeln!(rows, "| `{}` | {rule} | {} |", case.id, words.join(" | "));
    }
    let _ = writeln!(text, "\n## Cases for a {role}\n");
    if !rows.is_empty() {
        let names: Vec<_> = players.iter().map(|column| column.peer.name.as_str()).collect();
        let _ = writeln!(text, "| case | rule | {} |", names.join(" | "));
        let _ = writeln!(text, "|---|---|{}", "---|".repeat(players.len()));
        let _ = writeln!(text, "{rows}");
    }
    let _ = writeln!(text, "No tool here fails the rest, {rest} of {} cases.", mine.len());
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Fail => "**fail**",
        Verdict::Refused => "*refused*",
        Verdict::Timeout => "**time**",
        Verdict::NotApplicable => "–",
    }
}

/// Why tools do not pass, where that is known.
fn known(text: &mut String, columns: &[Column]) {
    text.push_str("\n## Why, where it is known\n\n");
    for column in columns {
        for case in column.peer.known_cases() {
            let hit = column.outcomes.iter().any(|outcome| {
                outcome.known.is_some() && outcome.known.as_deref() == column.peer.known(case)
            });
            if hit {
                let why = column.peer.known(case).unwrap_or_default();
                let _ = writeln!(text, "- {}, `{case}`: {why}", column.peer.name);
            }
        }
    }
}

const HEAD: &str = "\
# What tools make of the conformance cases

Made by `plimsoll kit table`, which asks every tool that it has an adapter for
and finds on the path; [how the kit works](../engines/kit.md). Anyone can make
the table anew, and run each case alone with `plimsoll kit run`.

What a word means:

- **pass**: it does what the case expects.
- **fail**: it does something else, such as accepting what breaks a MUST.
- *refused*: it refuses what it should take. For optional things, such as a second
  digest algorithm, that is no fault, only a thing to know.
- **time**: it was still at it when its time was over.
- –: it can not be asked for that, or nobody can tell: tools that name no rules
  can not be held to a SHOULD.

The cases are written beside Plimsoll, which therefore passes them all: where it
did not, it was mended, or the case was. A case that asks for more than the
specification does is a bug; please report it.

As validators stand here also tools that only copy or unpack: what they refuse,
they would not let through.
";
