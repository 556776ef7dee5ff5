//! `plimsoll kit`: conformance cases, against any implementation.

use std::path::PathBuf;
use std::time::Duration;

use plimsoll::content::{Code, Error, Result};
use plimsoll_kit::run::{self, Outcome, Verdict};
use plimsoll_kit::table::{self as kit_table, Column};
use plimsoll_kit::{Case, Peer, Role, Selection, case, export};
use serde::Serialize;

use crate::context::{Context, scratch};
use crate::out::{bytes, count, table};

/// Conformance cases for whoever makes, keeps or starts images: list them,
/// run them against any command, write them to files.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// List the cases
    Ls(Which),
    /// Run cases against a command. Exit code 1 unless all pass
    Run(Run),
    /// Run all cases against every tool that is installed, and print the
    /// verdicts as a document
    Table(Table),
    /// Write cases as plain files: recipes, layouts, archives, a list
    Export(Export),
    /// Print what readers of names must make of texts and documents, as JSON
    Vectors {
        /// Of what
        #[arg(value_enum)]
        of: Vectors,
    },
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Vectors {
    /// References, prefixes, records, documents of hosts, templates, and cases of zones
    Names,
    /// The files that the cases of zones begin with
    Zones,
}

#[derive(clap::Args, Clone, Debug)]
struct Which {
    /// Cases for a role: validator, builder, registry or engine
    #[arg(long, value_name = "ROLE")]
    role: Option<Role>,

    /// Cases about a rule, such as DE31
    #[arg(long, value_name = "ID")]
    rule: Vec<String>,

    /// Cases of this id, or whose id begins so
    #[arg(long, value_name = "ID")]
    case: Vec<String>,
}

#[derive(clap::Args, Debug)]
#[command(group = clap::ArgGroup::new("who").required(true).multiple(true))]
struct Run {
    #[command(flatten)]
    which: Which,

    /// The command, for sh, with {layout}, {tag}, {bundle}, {rootfs}, {out}, … in
    /// it; needs --role
    #[arg(long, value_name = "COMMAND", requires = "role", group = "who")]
    against: Option<String>,

    /// A ready-made adapter: plimsoll, umoci, skopeo, …
    #[arg(long, value_name = "NAME", group = "who")]
    adapter: Option<String>,

    /// The command prints JSON in which findings name their rule
    #[arg(long)]
    names_rules: bool,

    /// How long the command may take for a case, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    timeout: u64,

    /// The registry that the command reaches as {registry}, and that cases with
    /// requests of their own are run against
    #[arg(long, value_name = "HOST:PORT", group = "who")]
    registry: Option<String>,

    /// Tell of every case, not only of those that do not pass
    #[arg(long)]
    all: bool,

    /// Write the outcomes to this file too, as JSON
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
}

#[derive(clap::Args, Debug)]
struct Table {
    #[command(flatten)]
    which: Which,

    /// Only these adapters
    #[arg(long, value_name = "NAME")]
    adapter: Vec<String>,

    /// How long a command may take for a case, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    timeout: u64,
}

#[derive(clap::Args, Debug)]
struct Export {
    /// The folder, empty or not there yet
    #[arg(value_name = "DIR")]
    to: PathBuf,

    #[command(flatten)]
    which: Which,
}

impl Which {
    fn cases(&self) -> Result<Vec<Case>> {
        let selection =
            Selection { role: self.role, rules: self.rule.clone(), cases: self.case.clone() };
        selection.cases()
    }
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<u8> {
    match &args.what {
        What::Ls(which) => ls(which, context),
        What::Run(args) => against(args, context),
        What::Table(args) => print_table(args, context),
        What::Export(args) => write(args, context),
        What::Vectors { of } => {
            let text = match of {
                Vectors::Names => plimsoll_kit::vectors::NAMES,
                Vectors::Zones => plimsoll_kit::vectors::ZONES,
            };
            bytes(text.as_bytes()).map(|()| 0)
        }
    }
}

#[derive(Serialize)]
struct Listed<'a> {
    case: &'a str,
    role: Role,
    title: &'a str,
    rules: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<case::Verdict>,
}

#[derive(Serialize)]
struct List<'a> {
    cases: Vec<Listed<'a>>,
}

fn ls(which: &Which, context: &Context) -> Result<u8> {
    let cases = which.cases()?;
    let list = List {
        cases: cases
            .iter()
            .map(|case| Listed {
                case: &case.id,
                role: case.role,
                title: case.title(),
                rules: case.rules(),
                verdict: case.verdict(),
            })
            .collect(),
    };
    let ids: Vec<_> = cases.iter().map(|case| case.id.as_str()).collect();
    context.out.report("kit-ls", &list, &ids.join("\n"), |_| {
        let rows: Vec<_> = list
            .cases
            .iter()
            .map(|case| {
                let verdict = match case.verdict {
                    Some(case::Verdict::Breaks) => "breaks",
                    Some(case::Verdict::Holds) => "holds",
                    None => "",
                };
                let rules = match case.rules {
                    [first, _, ..] => format!("{first} +{}", case.rules.len() - 1),
                    rules => rules.join(""),
                };
                vec![case.case.to_owned(), rules, verdict.to_owned(), case.title.to_owned()]
            })
            .collect();
        table(&rows)
    })?;
    Ok(0)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    against: &'a str,
    total: usize,
    pass: usize,
    fail: usize,
    refused: usize,
    timeout: usize,
    not_applicable: usize,
    outcomes: &'a [Outcome],
}

fn against(args: &Run, context: &Context) -> Result<u8> {
    let mut peer = match &args.adapter {
        Some(name) => Peer::find(name)?,
        None => Peer::named("the command"),
    };
    if args.adapter.is_none() && args.against.is_none() {
        peer = peer.against(Role::Registry, "");
    }
    if let (Some(command), Some(role)) = (&args.against, args.which.role) {
        peer = peer.against(role, command);
    }
    if args.names_rules {
        peer = peer.saying_rules();
    }
    let mut cases = args.which.cases()?;
    cases.retain(|case| peer.plays(case.role));
    if cases.is_empty() {
        return Err(Error::new(Code::Usage, "running cases")
            .found(format!("none that {} can be asked for", peer.name)));
    }
    let options = options(args.timeout, args.registry.clone())?;
    let outcomes = run::run(&cases, &peer, &options, &context.watch)?;
    let number = |verdict| outcomes.iter().filter(|outcome| outcome.verdict == verdict).count();
    let report = Report {
        against: args
            .against
            .as_deref()
            .or(args.adapter.as_deref())
            .or(args.registry.as_deref())
            .unwrap_or(&peer.name),
        total: outcomes.len(),
        pass: number(Verdict::Pass),
        fail: number(Verdict::Fail),
        refused: number(Verdict::Refused),
        timeout: number(Verdict::Timeout),
        not_applicable: number(Verdict::NotApplicable),
        outcomes: &outcomes,
    };
    if let Some(path) = &args.save {
        let text = serde_json::to_string_pretty(&outcomes).map_err(|cause| {
            Error::new(Code::Bug, "writing outcomes").found(&cause).cause(cause)
        })?;
        std::fs::write(path, text + "\n")
            .map_err(|cause| Error::io("writing", path.display(), cause))?;
    }
    let good = report.pass + report.not_applicable == report.total;
    let word = if good { "pass" } else { "fail" };
    context.out.report("kit-run", &report, word, |style| {
        let shown = outcomes.iter().filter(|outcome| args.all || outcome.verdict != Verdict::Pass);
        let rows: Vec<_> = shown
            .map(|outcome| {
                let rule = outcome.rules.first().cloned().unwrap_or_default();
                let why = match &outcome.known {
                    Some(known) => format!("{} (known: {known})", outcome.why),
                    None => outcome.why.clone(),
                };
                vec![outcome.verdict.as_str().to_owned(), outcome.case.clone(), rule, why]
            })
            .collect();
        let sum = format!(
            "{}: {} pass, {} fail, {} refused, {} timed out, {} not applicable",
            count(report.total as u64, "case", "cases"),
            report.pass,
            report.fail,
            report.refused,
            report.timeout,
            report.not_applicable
        );
        let sum = if good { style.good(&sum) } else { style.error(&sum) };
        format!("{}{sum}\n", table(&rows))
    })?;
    Ok(u8::from(!good))
}

fn options(seconds: u64, registry: Option<String>) -> Result<run::Options> {
    let program =
        std::env::current_exe().map_err(|cause| Error::io("finding", "this program", cause))?;
    let limit = Duration::from_secs(seconds);
    Ok(run::Options { scratch: scratch(), limit, registry, program })
}

#[derive(Serialize)]
struct Tables {
    tools: Vec<Tool>,
}

#[derive(Serialize)]
struct Tool {
    name: String,
    version: String,
    outcomes: Vec<Outcome>,
}

fn print_table(args: &Table, context: &Context) -> Result<u8> {
    let cases = args.which.cases()?;
    let options = options(args.timeout, None)?;
    let mut columns = Vec::new();
    for (peer, version) in kit_table::installed(&options.scratch, &options.program)? {
        if !args.adapter.is_empty() && !args.adapter.contains(&peer.name) {
            continue;
        }
        let mut mine = cases.clone();
        mine.retain(|case| peer.plays(case.role));
        let outcomes = run::run(&mine, &peer, &options, &context.watch)?;
        columns.push(Column { peer, version, outcomes });
    }
    if !context.json {
        return bytes(kit_table::document(&cases, &columns).as_bytes()).map(|()| 0);
    }
    let tools = columns
        .into_iter()
        .map(|Column { peer, version, outcomes }| Tool { name: peer.name, version, outcomes })
        .collect();
    context.out.report("kit-table", &Tables { tools }, "", |_| String::new())?;
    Ok(0)
}

fn write(args: &Export, context: &Context) -> Result<u8> {
    let cases = args.which.cases()?;
    export::export(&cases, &args.to)?;
    if !context.json {
        let cases = count(cases.len() as u64, "case", "cases");
        return bytes(format!("{}  {cases}\n", args.to.display()).as_bytes()).map(|()| 0);
    }
    context.out.report("kit-export", &Exported { cases: cases.len() }, "", |_| String::new())?;
    Ok(0)
}

#[derive(Serialize)]
struct Exported {
    cases: usize,
}
