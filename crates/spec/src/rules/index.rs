//! Indexes, of images and of layouts.

use plimsoll_content::MediaType;
use plimsoll_content::json::Tree;

use super::descriptor::{self, Place};
use super::judge::{Judge, is_object, own_type, shown, text_of, value};
use super::manifest::{foreign, head};
use super::{Level, annotations, table};
use crate::annotations::{REF_NAME, is_ref_name};
use crate::graph::{Node, Role};
use crate::index::MEMBERS;

static ENTRY: Place = Place { descriptor: &table::IX7, media_type: None };
static SUBJECT: Place = Place { descriptor: &table::DE3, media_type: None };

/// Judges an index; `layout` says that it is the `index.json` of one.
pub(super) fn judge(judge: &mut Judge, tree: &Tree, layout: bool) {
    if !is_object(tree) {
        let rule = if layout { &table::LA9 } else { &table::IX2 };
        return judge.find(rule, "", tree.kind());
    }
    judge.lookalikes(tree, "", MEMBERS);
    head(
        judge,
        tree,
        [&table::IX2, &table::IX3, &table::IX4, &table::IX5],
        own_type(judge.is_docker(), true),
    );
    foreign(judge, tree, &["config", "layers", "fsLayers"]);
    let entries = match tree.get("manifests") {
        Some(Tree::Array(entries)) => entries.as_slice(),
        other => {
            let found = other.map_or("none".to_owned(), value);
            judge.find(&table::IX7, "/manifests", found.clone());
            if layout {
                judge.find(&table::LA9, "/manifests", found);
            }
            &[]
        }
    };
    judge.elements = entries.len();
    for (position, entry) in entries.iter().enumerate() {
        let here = format!("/manifests/{position}");
        let read = descriptor::judge(judge, entry, &here, &ENTRY);
        judge.lead(Role::Manifest, position, read);
        if judge.is_docker() {
            docker_entry(judge, entry, &here);
            continue;
        }
        let kind = text_of(entry, "mediaType").map(MediaType::from);
        if let Some(kind) = kind
            && !Node::is_document(&kind)
            && kind.is_well_formed()
        {
            // Layouts may list other things (LA16); who packs an index for
            // others should not.
            let level = if layout { Level::Note } else { Level::Warning };
            let found = shown(kind.as_str());
            let wanted = table::IX10.text;
            judge.find_as(&table::IX10, level, &format!("{here}/mediaType"), found, wanted);
        }
        if layout
            && let Some(Tree::Text(name)) =
                entry.get("annotations").and_then(|map| map.get(REF_NAME))
            && !is_ref_name(name)
        {
            let here = annotations::child(&format!("{here}/annotations"), REF_NAME);
            judge.find(&table::AN12, &here, shown(name));
        }
    }
    if judge.is_docker() {
        return;
    }
    if let Some(kind) = tree.get("artifactType") {
        descriptor::media_type(judge, kind, "/artifactType", &table::IX6);
        judge.artifact_type = text_of(tree, "artifactType").map(MediaType::from);
    }
    if let Some(subject) = tree.get("subject") {
        judge.subject = descriptor::judge(judge, subject, "/subject", &SUBJECT);
    }
    if let Some(map) = tree.get("annotations") {
        annotations::judge(judge, map, "/annotations", &table::IX26);
    }
}

/// In Docker's list every manifest has its platform.
fn docker_entry(judge: &mut Judge, entry: &Tree, at: &str) {
    if entry.members().is_some() && entry.get("platform").is_none() {
        judge.wrong(at, "no platform", "the platform that the manifest is for");
    }
}
