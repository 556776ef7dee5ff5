//! `plimsoll key`: keys for signing.

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};
use plimsoll::content::{Code, Error, Result};
use plimsoll::sign::key::{self, KeyPair, Kind, PublicKey};
use plimsoll::trust::keys::write_pair;
use plimsoll::trust::policy;
use ring::rand::SystemRandom;
use serde_json::json;

use crate::context::Context;
use crate::out::{self, safe, table};
use crate::verbs::secret::passphrase;

/// Make, list, read and remove keys for signing.
///
/// A private key is kept as cosign keeps it, encrypted by a passphrase, beside the
/// local store or in PLIMSOLL_KEYS. PLIMSOLL_PASSPHRASE or COSIGN_PASSWORD is the
/// passphrase, if one of them is set; it may be empty.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Make a key
    New {
        /// What it is called
        #[arg(value_name = "NAME")]
        name: String,

        /// What kind of key; P-256 is what all tools read
        #[arg(long = "type", value_name = "TYPE", value_enum, default_value_t = KindArg::P256)]
        kind: KindArg,

        /// Write NAME.key and NAME.pub into this folder, as cosign would
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
    /// List the keys
    Ls,
    /// Print a public key
    Export {
        /// Which
        #[arg(value_name = "KEY")]
        key: String,

        /// The private key instead, encrypted as it is kept
        #[arg(long)]
        private: bool,
    },
    /// Keep a key that is in a file: cosign's, PKCS #8, SEC1, or a public one
    Import {
        /// The file
        #[arg(value_name = "FILE")]
        file: PathBuf,

        /// What it is to be called
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Remove a key, private and public
    Rm {
        /// Which
        #[arg(value_name = "NAME")]
        name: String,
    },
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum KindArg {
    /// ECDSA on NIST P-256
    P256,
    /// ECDSA on NIST P-384
    P384,
    /// Ed25519
    Ed25519,
}

pub(crate) fn run(args: Args, context: &Context) -> Result<u8> {
    match args.what {
        What::New { name, kind, out } => {
            let kind = match kind {
                KindArg::P256 => Kind::P256,
                KindArg::P384 => Kind::P384,
                KindArg::Ed25519 => Kind::Ed25519,
            };
            let pair = KeyPair::generate(kind, &SystemRandom::new())?;
            let secret = passphrase(&name, true)?;
            let file = match out {
                None => context.keys.keep(&name, &pair, &secret)?,
                Some(folder) => {
                    let private = folder.join(format!("{name}.key"));
                    let public = folder.join(format!("{name}.pub"));
                    write_pair(&private, &public, &pair, &secret)?;
                    private
                }
            };
            made(context, &name, pair.public(), true, &file)
        }
        What::Ls => {
            let keys = context.keys.list()?;
            let names: Vec<_> = keys.iter().map(|key| key.name.as_str()).collect();
            context.out.report("key", &json!({"keys": keys}), &names.join("\n"), |style| {
                let row = |key: &plimsoll::trust::keys::Kept| {
                    let private = if key.private { "private" } else { "public" };
                    vec![
                        safe(&key.name),
                        key.kind.clone(),
                        key.fingerprint.clone(),
                        private.to_owned(),
                    ]
                };
                let rows: Vec<_> = keys.iter().map(row).collect();
                if rows.is_empty() { style.faint("no keys\n") } else { table(&rows) }
            })?;
            Ok(0)
        }
        What::Export { key, private } => {
            if private {
                out::bytes(context.keys.sealed(&key)?.as_bytes())?;
            } else {
                out::bytes(context.keys.public(&key)?.to_pem().as_bytes())?;
            }
            Ok(0)
        }
        What::Import { file, name } => import(context, &file, &name),
        What::Rm { name } => {
            context.keys.remove(&name)?;
            let report = json!({"removed": name});
            context.out.report("key", &report, &name, |_| format!("removed {name}\n"))?;
            Ok(0)
        }
    }
}

fn import(context: &Context, file: &std::path::Path, name: &str) -> Result<u8> {
    let text = policy::text(file)?;
    let shown = file.display().to_string();
    if text.contains("-----BEGIN PUBLIC KEY-----") {
        let key = PublicKey::from_pem(&text).map_err(|error| error.context(&shown))?;
        let kept = context.keys.keep_public(name, &key)?;
        return made(context, name, &key, false, &kept);
    }
    let secret =
        if key::is_encrypted(&text) { passphrase(&shown, false)? } else { passphrase(name, true)? };
    let pair = key::open(&text, &secret).map_err(|error| match error.code() {
        Code::Passphrase => error,
        _ => error.context(format!("reading {shown}")),
    })?;
    let kept = context.keys.keep(name, &pair, &secret)?;
    made(context, name, pair.public(), true, &kept)
}

fn made(
    context: &Context,
    name: &str,
    key: &PublicKey,
    private: bool,
    file: &std::path::Path,
) -> Result<u8> {
    let kind = key.kind().as_str();
    let fingerprint = key.fingerprint();
    let report = json!({
        "keys": [{"name": name, "kind": kind, "fingerprint": fingerprint, "private": private}],
        "file": file,
    });
    context.out.report("key", &report, &fingerprint, |_| {
        format!("{}  {kind}  {fingerprint}\nkept in {}\n", safe(name), file.display())
    })?;
    Ok(0)
}

/// A private key for signing.
pub(crate) fn private(context: &Context, name: &str) -> Result<KeyPair> {
    if name.is_empty() {
        return Err(Error::new(Code::Usage, "choosing a key").expected("--key KEY"));
    }
    context.keys.private(name, &|| passphrase(name, false))
}
