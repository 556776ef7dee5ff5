//! `plimsoll logout`: a login is forgotten.

use plimsoll::content::{Code, Error, Result};
use plimsoll::registries::KeptBy;
use plimsoll::registry::protocol::Host;
use serde_json::json;

use crate::context::Context;

/// Forget the login for a registry.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The registry
    #[arg(value_name = "HOST[:PORT]", value_parser = crate::args::registry_host)]
    registry: Host,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<u8> {
    let host = args.registry.to_string();
    let forgotten = context.logins.forget(&args.registry)?;
    if forgotten.is_empty() {
        let mut error = Error::new(Code::NotFound, format!("forgetting the login for {host}"))
            .found("none, in files and with credential helpers");
        for file in &context.logins.files {
            error = error.tried(file.display());
        }
        return Err(error);
    }
    let (mut files, mut helpers) = (Vec::new(), Vec::new());
    for kept in forgotten {
        match kept {
            KeptBy::File(file) => files.push(file),
            KeptBy::Helper(helper) => helpers.push(helper),
        }
    }
    let report = json!({"registry": host, "files": files, "helpers": helpers});
    context.out.report("logout", &report, &host, |_| format!("logged out of {host}\n"))?;
    Ok(0)
}
