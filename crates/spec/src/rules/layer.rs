//! What the findings in layers mean, by their names.
//!
//! What finds them is the room of layers, which knows no rules.

use plimsoll_content::Code;

use super::{Level, Rule, table};

/// The rule that is broken, how bad it is, and the code. What the specification
/// leaves open is an error where readers make different trees of it.
pub fn layer_finding(name: &str) -> (Option<&'static Rule>, Level, Code) {
    use Code::{Layer, UnsafeEntry};
    match name {
        "duplicate-entry" => (Some(&table::LY2), Level::Error, Layer),
        "duplicate-folder" => (Some(&table::LY2), Level::Warning, Layer),
        "whiteout-not-empty" => (Some(&table::LY24), Level::Error, Layer),
        "whiteout-unknown" => (Some(&table::LY21), Level::Error, Layer),
        "whiteout-folder" => (Some(&table::LY21), Level::Error, UnsafeEntry),
        "whiteout-bare" => (Some(&table::LY20), Level::Error, UnsafeEntry),
        "hardlink-to-folder" | "hardlink-to-nothing" => {
            (Some(&table::LY12), Level::Error, UnsafeEntry)
        }
        "whiteout-below-link" | "file-as-folder" => (None, Level::Error, UnsafeEntry),
        "folder-implied" => (None, Level::Note, Layer),
        _ if ["tar-", "gzip-", "zstd-"].iter().any(|start| name.starts_with(start)) => {
            (Some(&table::LY1), Level::Warning, Layer)
        }
        _ => (None, Level::Warning, Layer),
    }
}
