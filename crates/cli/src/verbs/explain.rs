//! `plimsoll explain`: what an error code or a rule means.

use plimsoll::content::{Code, Error, Result};
use plimsoll::spec::rules::{self, Rule};
use serde_json::{Value, json};

use crate::context::Context;
use crate::out::table;

/// Tell what an error code means, or what a rule of the image specification
/// demands, with an example that follows it and one that breaks it. Without a
/// code, list them all.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// A code such as E_DIGEST, or a rule such as LY2
    #[arg(value_name = "CODE")]
    code: Option<String>,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<u8> {
    let Some(wanted) = &args.code else {
        return all(context);
    };
    if let Some(rule) = rules::find(wanted) {
        let report = json!({"codes": [], "rules": [of_rule(rule)]});
        context.out.report("explain", &report, rule.id, |_| text(rule))?;
        return Ok(0);
    }
    let code = Code::ALL
        .iter()
        .find(|code| code.as_str().eq_ignore_ascii_case(wanted))
        .ok_or_else(|| {
            Error::new(Code::NotFound, "explaining an error code or a rule")
                .found(format!("{wanted:?}"))
                .fix("plimsoll explain   lists them all")
        })?;
    let report = json!({"codes": [of_code(*code)], "rules": []});
    context.out.report("explain", &report, code.as_str(), |_| {
        format!("{code}  (exit code {})\n  {}\n", code.kind().exit_code(), code.explanation())
    })?;
    Ok(0)
}

fn all(context: &Context) -> Result<u8> {
    let codes: Vec<_> = Code::ALL.iter().copied().map(of_code).collect();
    let rules: Vec<_> = rules::all().map(of_rule).collect();
    let names = Code::ALL.iter().map(|code| code.as_str()).chain(rules::all().map(|rule| rule.id));
    let names: Vec<_> = names.collect();
    let report = json!({"codes": codes, "rules": rules});
    context.out.report("explain", &report, &names.join("\n"), |_| {
        let codes = Code::ALL.iter().map(|code| {
            let exit = format!("exit {}", code.kind().exit_code());
            vec![code.to_string(), exit, code.explanation().to_owned()]
        });
        let rules = rules::all()
            .map(|rule| vec![rule.id.to_owned(), rule.level.to_string(), rule.text.to_owned()]);
        format!(
            "Error codes\n{}\nRules of the image specification\n{}",
            table(&codes.collect::<Vec<_>>()),
            table(&rules.collect::<Vec<_>>())
        )
    })?;
    Ok(0)
}

fn of_code(code: Code) -> Value {
    json!({"code": code.as_str(), "exit": code.kind().exit_code(), "text": code.explanation()})
}

fn of_rule(rule: &Rule) -> Value {
    json!({
        "id": rule.id,
        "level": rule.level,
        "word": rule.word,
        "roles": rule.parties,
        "section": rule.section,
        "url": rule.url(),
        "text": rule.text,
        "good": rule.good,
        "bad": rule.bad,
    })
}

fn text(rule: &Rule) -> String {
    let roles: Vec<_> = rule.parties.iter().map(|party| party.as_str()).collect();
    let example = |text: &str| text.replace('\n', "\n         ");
    format!(
        "{}  {} ({}, for {})\n  {}\n  good:  {}\n  bad:   {}\n  read:  {}\n",
        rule.id,
        rule.level,
        rule.word,
        roles.join(", "),
        rule.text,
        example(rule.good),
        example(rule.bad),
        rule.url()
    )
}
