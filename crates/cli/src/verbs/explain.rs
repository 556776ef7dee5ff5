//! `plimsoll explain`: what an error code means.

use plimsoll::content::{Code, Error, Result};
use serde_json::json;

use crate::context::Context;
use crate::out::table;

/// Tell what an error code means. Without a code, list them all.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// A code such as E_DIGEST
    #[arg(value_name = "CODE")]
    code: Option<String>,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<u8> {
    let Some(wanted) = &args.code else {
        let codes: Vec<_> = Code::ALL
            .iter()
            .map(|code| json!({"code": code.as_str(), "exit": code.kind().exit_code(), "text": code.explanation()}))
            .collect();
        let names: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        context.out.report("explain", &json!({"codes": codes}), &names.join("\n"), |_| {
            let rows: Vec<_> = Code::ALL
                .iter()
                .map(|code| {
                    let exit = format!("exit {}", code.kind().exit_code());
                    vec![code.to_string(), exit, code.explanation().to_owned()]
                })
                .collect();
            table(&rows)
        })?;
        return Ok(0);
    };
    let code = Code::ALL
        .iter()
        .find(|code| code.as_str().eq_ignore_ascii_case(wanted))
        .ok_or_else(|| {
            Error::new(Code::NotFound, "explaining an error code")
                .found(format!("{wanted:?}"))
                .fix("plimsoll explain   lists them all")
        })?;
    let exit = code.kind().exit_code();
    let report =
        json!({"codes": [{"code": code.as_str(), "exit": exit, "text": code.explanation()}]});
    context.out.report("explain", &report, code.as_str(), |_| {
        format!("{code}  (exit code {exit})\n  {}\n", code.explanation())
    })?;
    Ok(0)
}
