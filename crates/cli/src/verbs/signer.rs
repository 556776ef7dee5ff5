//! Keys for signing: one of this machine, or a program that holds it (`exec:PROGRAM`).

use std::io::{self, Read as _, Write as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use plimsoll::content::{Code, Error, Result};
use plimsoll::sign::key::external::{self, Described, LONGEST};
use plimsoll::sign::key::{Algorithm, KeyPair, PublicKey};
use plimsoll::sign::write::{Local, SigningKey};
use ring::rand::SystemRandom;

use crate::context::Context;
use crate::verbs::key;

/// What a key begins with that a program holds.
const EXEC: &str = "exec:";

/// How long a program may take: somebody may have to touch something.
const PATIENCE: Duration = Duration::from_mins(2);

/// A key that signs.
pub(crate) enum Signer {
    /// One of this machine.
    Own { pair: KeyPair, random: SystemRandom },
    /// One that a program holds.
    Program { program: String, described: Described },
}

impl Signer {
    /// The key that somebody wrote.
    pub(crate) fn find(context: &Context, text: &str) -> Result<Self> {
        let Some(program) = text.strip_prefix(EXEC) else {
            let pair = key::private(context, text)?;
            return Ok(Self::Own { pair, random: SystemRandom::new() });
        };
        if program.is_empty() {
            return Err(Error::new(Code::Usage, "choosing a key").expected("exec:PROGRAM"));
        }
        let answer = ask(program, external::describe()?)?;
        let described =
            external::described(&answer).map_err(|error| error.context(asking(program)))?;
        Ok(Self::Program { program: program.to_owned(), described })
    }
}

impl SigningKey for Signer {
    fn public(&self) -> &PublicKey {
        match self {
            Self::Own { pair, .. } => pair.public(),
            Self::Program { described, .. } => &described.public,
        }
    }

    fn algorithm(&self) -> Algorithm {
        match self {
            Self::Own { pair, .. } => pair.algorithm(),
            // There is one at least.
            Self::Program { described, .. } => described.algorithms[0],
        }
    }

    fn sign_with(&self, algorithm: Algorithm, message: &[u8]) -> Result<Vec<u8>> {
        let (program, described) = match self {
            Self::Own { pair, random } => {
                return Local { pair, random }.sign_with(algorithm, message);
            }
            Self::Program { program, described } => (program, described),
        };
        if !described.algorithms.contains(&algorithm) {
            let all: Vec<_> = described.algorithms.iter().map(|one| one.as_str()).collect();
            return Err(Error::new(Code::Usage, asking(program))
                .found(all.join(", "))
                .expected(algorithm.as_str()));
        }
        let answer = ask(program, external::sign(algorithm, message)?)?;
        external::signed(&answer, &described.public, algorithm, message)
            .map_err(|error| error.context(asking(program)))
    }
}

fn asking(program: &str) -> String {
    format!("asking the signer {program:?}")
}

/// Waits for a program that has answered, and not for ever.
fn end(child: &mut Child) -> io::Result<ExitStatus> {
    for _ in 0..100 {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        thread::sleep(Duration::from_millis(20));
    }
    child.kill()?;
    child.wait()
}

/// One question to a program, by its standard input, and its answer. Nothing of it stands
/// among its arguments, which everybody on the machine may read.
fn ask(program: &str, question: Vec<u8>) -> Result<Vec<u8>> {
    let failed = |cause| Error::io("running", program, cause);
    let mut child = Command::new(program)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let (input, output) = (child.stdin.take(), child.stdout.take());
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        // It need not read all of it; what it answers counts.
        let writing = input.map(|mut input| {
            thread::spawn(move || {
                let _ = input.write_all(&question);
            })
        });
        let mut answer = Vec::new();
        let most = LONGEST as u64 + 1;
        let read = output.map(|output| output.take(most).read_to_end(&mut answer));
        drop(writing);
        let _ = tell.send(read.transpose().map(|_| answer));
    });
    let answer = told.recv_timeout(PATIENCE);
    if answer.is_err()
        || answer.as_ref().is_ok_and(|it| it.as_ref().is_ok_and(|it| it.len() > LONGEST))
    {
        let _ = child.kill();
    }
    let status = end(&mut child).map_err(failed)?;
    let answer = answer.map_err(|_| {
        Error::new(Code::Failed, asking(program))
            .found(format!("no answer in {} seconds", PATIENCE.as_secs()))
    })?;
    let answer = answer.map_err(failed)?;
    // What it says itself is better than its code.
    if status.success() || !answer.is_empty() {
        return Ok(answer);
    }
    Err(Error::new(Code::Failed, asking(program))
        .found(format!("it ended with {status}"))
        .expected("an answer"))
}
