//! The header of a layout.

use plimsoll_content::json::Tree;

use super::judge::{Judge, is_object, value};
use super::table;
use crate::LayoutHeader;

/// Judges `oci-layout`.
pub(super) fn judge(judge: &mut Judge, tree: &Tree) {
    if !is_object(tree) {
        return judge.find(&table::LA5, "", tree.kind());
    }
    judge.lookalikes(tree, "", &["imageLayoutVersion"]);
    match tree.get("imageLayoutVersion") {
        Some(Tree::Text(version)) if version == LayoutHeader::VERSION => {}
        None => judge.find(&table::LA6, "", "none"),
        Some(other) => judge.find(&table::LA6, "/imageLayoutVersion", value(other)),
    }
}
