//! Credential helpers: programs `docker-credential-NAME` that keep logins. A
//! word says what is wanted; what it is about goes in, an answer comes out.

use std::io::{self, Read, Write};
use std::process::{Command, Stdio};

use plimsoll_content::{Code, Error, Result};
use plimsoll_registry::authfile;
use plimsoll_registry::client::{Credential, Secret};
use serde_json::json;

/// The longest answer that is read.
const ANSWER: u64 = 1 << 20;

/// What a helper says if it does not know a registry.
const UNKNOWN: &str = "credentials not found";

/// The program of a helper.
pub(super) fn program(name: &str) -> String {
    format!("docker-credential-{name}")
}

/// Asks for the login for a registry. `None` if it knows nothing.
pub(super) fn get(name: &str, server: &str) -> Result<Option<Credential>> {
    let doing = format!("asking {} for {server}", program(name));
    match talk(name, "get", server.as_bytes(), &doing)? {
        Some(answer) => authfile::from_helper(name, &answer).map(Some),
        None => Ok(None),
    }
}

/// Lets it keep a login.
pub(super) fn store(name: &str, server: &str, user: &str, password: &Secret) -> Result<()> {
    let login = json!({"ServerURL": server, "Username": user, "Secret": password.reveal()});
    let doing = format!("keeping the login for {server} with {}", program(name));
    talk(name, "store", login.to_string().as_bytes(), &doing).map(|_| ())
}

/// Lets it forget a login. `false` if it knew nothing.
pub(super) fn erase(name: &str, server: &str) -> Result<bool> {
    if get(name, server)?.is_none() {
        return Ok(false);
    }
    let doing = format!("forgetting the login for {server} with {}", program(name));
    Ok(talk(name, "erase", server.as_bytes(), &doing)?.is_some())
}

/// Runs it with a word; `None` if it does not know the registry. What it says
/// may be a secret, and is in no error.
fn talk(name: &str, word: &str, input: &[u8], doing: &str) -> Result<Option<Vec<u8>>> {
    let program = program(name);
    // A helper that is missing is no image that is missing.
    let failed = |cause: io::Error| {
        let found = match cause.kind() {
            io::ErrorKind::NotFound => format!("no program {program} on the PATH"),
            _ => format!("{program}: {cause}"),
        };
        Error::new(Code::Auth, doing)
            .found(found)
            .expected("the credential helper that the settings of this machine name")
            .cause(cause)
    };
    let mut child = Command::new(&program)
        .arg(word)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that does not listen may know nothing all the same.
        let _ = stdin.write_all(input);
    }
    let mut answer = Vec::new();
    let read = match child.stdout.take() {
        Some(stdout) => stdout.take(ANSWER).read_to_end(&mut answer),
        None => Ok(0),
    };
    let status = child.wait().map_err(failed)?;
    read.map_err(failed)?;
    if status.success() {
        return Ok(Some(answer));
    }
    if String::from_utf8_lossy(&answer).to_ascii_lowercase().contains(UNKNOWN) {
        return Ok(None);
    }
    Err(Error::new(Code::Auth, doing).found(status).expected("an answer"))
}
