//! The files of `cases/` and `peers/`, as the build packed them.

use std::io::Read as _;
use std::sync::OnceLock;

use plimsoll_content::{Code, Error, Result};
use plimsoll_layer::Limits;
use plimsoll_layer::codec::{Decoder, Format};

/// The path of a file without its end, and its text; by path.
pub(crate) type Files = Vec<(String, String)>;

/// The cases, and the recipes that they are based on.
pub(crate) fn cases() -> Result<&'static Files> {
    static FILES: OnceLock<Files> = OnceLock::new();
    once(&FILES, include_bytes!(concat!(env!("OUT_DIR"), "/cases")))
}

/// The adapters.
pub(crate) fn peers() -> Result<&'static Files> {
    static FILES: OnceLock<Files> = OnceLock::new();
    once(&FILES, include_bytes!(concat!(env!("OUT_DIR"), "/peers")))
}

fn once(files: &'static OnceLock<Files>, packed: &[u8]) -> Result<&'static Files> {
    if let Some(files) = files.get() {
        return Ok(files);
    }
    let unpacked = unpack(packed)?;
    Ok(files.get_or_init(|| unpacked))
}

fn unpack(packed: &[u8]) -> Result<Files> {
    let mut text = String::new();
    Decoder::new(Format::Gzip, packed, &Limits::default())?
        .read_to_string(&mut text)
        .map_err(|cause| Error::io("unpacking", "the cases", cause))?;
    let mut parts = text.split_terminator('\0');
    let mut files = Files::new();
    while let Some(name) = parts.next() {
        let text = parts.next().ok_or_else(|| {
            Error::new(Code::Bug, "unpacking the cases").found(format!("{name} without a text"))
        })?;
        files.push((name.to_owned(), text.to_owned()));
    }
    Ok(files)
}
