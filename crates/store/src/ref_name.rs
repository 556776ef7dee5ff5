//! Names in a layout.

use plimsoll_content::{Code, Error, Result};
use plimsoll_spec::annotations;

/// Refuses a name that the image spec would not have written (AN12).
///
/// It is asked where names are given. Names that others gave are read
/// whatever they look like.
pub fn check_ref_name(name: &str) -> Result<()> {
    if annotations::is_ref_name(name) {
        return Ok(());
    }
    // A name comes from outside: quote it, and not all of a long one.
    let shown: String = name.chars().take(100).collect();
    Err(Error::new(Code::Reference, "naming an image in a layout")
        .found(format!("{shown:?}"))
        .expected(
            "letters and digits, with single - . _ : @ + or / between them (or --), as in app:v1.0",
        ))
}
