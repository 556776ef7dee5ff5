//! Secrets that people type, or that come through a pipe or the environment.
//! They are never words of a command line, which everybody can read.

use std::io::{self, BufRead, IsTerminal, Read, Write};

use plimsoll::content::{Code, Error, Result};
use plimsoll::sign::key::Passphrase;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

/// The longest password.
const PASSWORD: u64 = 64 << 10;

/// The passphrase of a key: from the environment, under our name or cosign's, or
/// typed; `twice` for a new one.
pub(crate) fn passphrase(key: &str, twice: bool) -> Result<Passphrase> {
    for name in ["PLIMSOLL_PASSPHRASE", "COSIGN_PASSWORD"] {
        match std::env::var(name) {
            Ok(text) => return Ok(Passphrase::new(text)),
            Err(std::env::VarError::NotPresent) => {}
            Err(std::env::VarError::NotUnicode(_)) => {
                return Err(Error::new(Code::Passphrase, format!("reading {name}"))
                    .found("bytes that are no text"));
            }
        }
    }
    if !io::stdin().is_terminal() {
        return Err(Error::new(Code::Passphrase, format!("asking for the passphrase of {key}"))
            .found("nobody at a terminal")
            .expected("PLIMSOLL_PASSPHRASE, which may be empty"));
    }
    let typed = Passphrase::new(ask(&format!("Passphrase of {key}: "), false)?);
    if twice {
        let again = Passphrase::new(ask("Once more: ", false)?);
        if *typed != *again {
            return Err(Error::new(Code::Passphrase, format!("choosing a passphrase for {key}"))
                .found("two different ones"));
        }
    }
    Ok(typed)
}

/// All of standard input but the line break at its end.
pub(crate) fn piped() -> Result<String> {
    let mut text = String::new();
    io::stdin()
        .lock()
        .take(PASSWORD)
        .read_to_string(&mut text)
        .map_err(|cause| Error::io("reading the password from", "standard input", cause))?;
    Ok(text
        .strip_suffix('\n')
        .map_or(&*text, |text| text.strip_suffix('\r').unwrap_or(text))
        .to_owned())
}

/// A line that somebody types, seen or not.
pub(crate) fn ask(what: &str, seen: bool) -> Result<String> {
    let input = io::stdin();
    if !input.is_terminal() {
        return Err(Error::new(Code::Usage, "asking for a user and a password")
            .found("nobody at a terminal")
            .expected("--username USER --password-stdin"));
    }
    let failed = |cause: io::Error| Error::io("reading from", "the terminal", cause);
    let _ = write!(io::stderr(), "{what}");
    let old = tcgetattr(&input).map_err(|errno| failed(errno.into()))?;
    if !seen {
        let mut dark = old.clone();
        dark.local_modes.remove(LocalModes::ECHO);
        dark.local_modes.insert(LocalModes::ECHONL);
        tcsetattr(&input, OptionalActions::Flush, &dark).map_err(|errno| failed(errno.into()))?;
    }
    let mut line = String::new();
    let read = input.lock().take(PASSWORD).read_line(&mut line);
    if !seen {
        // Whatever happened, the terminal is as it was.
        let _ = tcsetattr(&input, OptionalActions::Flush, &old);
    }
    read.map_err(failed)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
