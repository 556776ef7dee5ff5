//! `plimsoll login`: a login is checked and kept.

use std::sync::Arc;

use plimsoll::content::{Code, Error, Result};
use plimsoll::registries::KeptBy;
use plimsoll::registry::client::{Client, Credential, Keyring, Options, Secret};
use plimsoll::registry::protocol::{Host, Repository};
use serde_json::json;

use crate::context::Context;
use crate::verbs::secret::{ask, piped};

/// Keep a login for a registry.
///
/// The registry is asked whether it is good. It is kept by the credential helper
/// that registries.conf or auth.json names; without one, where podman and skopeo
/// look too (auth.json), in a file that only you may read, and not encrypted.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The registry
    #[arg(value_name = "HOST[:PORT]", value_parser = crate::args::registry_host)]
    registry: Host,

    /// The user
    #[arg(short, long)]
    username: Option<String>,

    /// Read the password from standard input
    #[arg(long)]
    password_stdin: bool,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<u8> {
    let user = match &args.username {
        Some(user) => user.clone(),
        None if args.password_stdin => {
            return Err(Error::new(Code::Usage, format!("logging in to {}", args.registry))
                .found("a password, and no user")
                .expected("--username USER with --password-stdin"));
        }
        None => ask("Username: ", true)?,
    };
    if user.is_empty() || user.contains(':') {
        return Err(Error::new(Code::Usage, format!("logging in to {}", args.registry))
            .found(format!("the user {user:?}"))
            .expected("a name without a colon"));
    }
    let password =
        Secret::new(if args.password_stdin { piped()? } else { ask("Password: ", false)? });
    let login = Typed(Credential::Basic { user: user.clone(), password: password.clone() });
    let mut options = Options { keyring: Arc::new(login), ..context.client.clone() };
    let (way, host) = context.home.registry(&args.registry)?;
    if way.may_be_insecure(&host) {
        options.insecure.push(args.registry.clone());
    }
    Client::new(options).check_login(&args.registry)?;
    let host = args.registry.to_string();
    let mut report = json!({"registry": host, "user": user});
    let kept = match context.logins.keep(&args.registry, &user, &password)? {
        KeptBy::File(file) => {
            let file = file.display().to_string();
            report["file"] = json!(file);
            format!("in {file}")
        }
        KeptBy::Helper(helper) => {
            report["helper"] = json!(helper);
            format!("by {helper}")
        }
    };
    context
        .out
        .report("login", &report, &host, |_| format!("logged in to {host}\nkept {kept}\n"))?;
    Ok(0)
}

/// What was just typed, for that registry alone: nobody else is asked.
struct Typed(Credential);

impl Keyring for Typed {
    fn find(&self, _: &Host, _: Option<&Repository>) -> Result<Credential> {
        Ok(self.0.clone())
    }
}
