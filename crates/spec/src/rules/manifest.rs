//! Manifests.

use plimsoll_content::MediaType;
use plimsoll_content::json::Tree;

use super::descriptor::{self, Place};
use super::judge::{Judge, is_object, own_type, text_of, value};
use super::{Rule, annotations, table};
use crate::graph::{Node, Role};
use crate::manifest::MEMBERS;
use crate::media_type::{self, LayerType};

static CONFIG: Place = Place { descriptor: &table::MA10, media_type: Some(&table::MA16) };
static LAYER: Place = Place { descriptor: &table::MA18, media_type: Some(&table::MA28) };
static SUBJECT: Place = Place { descriptor: &table::DE3, media_type: None };

/// Judges a manifest.
pub(super) fn judge(judge: &mut Judge, tree: &Tree) {
    if !is_object(tree) {
        return judge.find(&table::MA1, "", tree.kind());
    }
    judge.lookalikes(tree, "", MEMBERS);
    head(
        judge,
        tree,
        [&table::MA1, &table::MA2, &table::MA3, &table::MA4],
        own_type(judge.is_docker(), false),
    );
    foreign(judge, tree, &["manifests", "fsLayers"]);
    match tree.get("config") {
        None => judge.find(&table::MA10, "", "none"),
        Some(config) => {
            let config = descriptor::judge(judge, config, "/config", &CONFIG);
            judge.lead(Role::Config, 0, config);
        }
    }
    let layers = match tree.get("layers") {
        Some(Tree::Array(layers)) => layers.as_slice(),
        other => {
            judge.find(&table::MA18, "/layers", other.map_or("none".to_owned(), value));
            &[]
        }
    };
    judge.elements = layers.len();
    for (position, layer) in layers.iter().enumerate() {
        let layer = descriptor::judge(judge, layer, &format!("/layers/{position}"), &LAYER);
        judge.lead(Role::Layer, position, layer);
    }
    if judge.is_docker() {
        return;
    }
    if let Some(kind) = tree.get("artifactType") {
        descriptor::media_type(judge, kind, "/artifactType", &table::MA7);
        judge.artifact_type = text_of(tree, "artifactType").map(MediaType::from);
    }
    if let Some(subject) = tree.get("subject") {
        judge.subject = descriptor::judge(judge, subject, "/subject", &SUBJECT);
    }
    if let Some(map) = tree.get("annotations") {
        annotations::judge(judge, map, "/annotations", &table::MA30);
    }
    if matches!(tree.get("layers"), Some(Tree::Array(layers)) if layers.is_empty()) {
        judge.find(&table::MA19, "/layers", "an empty array");
    }
    purpose(judge, tree, layers);
}

/// `schemaVersion` and `mediaType`, by the rules for: there, right, there,
/// right.
pub(super) fn head(judge: &mut Judge, tree: &Tree, rules: [&'static Rule; 4], own: &str) {
    let [version, two, said, right] = rules;
    match tree.get("schemaVersion") {
        None => judge.find(version, "", "none"),
        Some(Tree::Number(digits)) if digits == "2" => {}
        Some(other) => judge.find(two, "/schemaVersion", value(other)),
    }
    match tree.get("mediaType") {
        // Docker's documents always say what they are.
        None if judge.is_docker() => judge.find(right, "", "none"),
        None => judge.find(said, "", "none"),
        Some(Tree::Text(text)) if text == own => {}
        Some(other) => {
            judge.find_as(right, right.level, "/mediaType", value(other), own);
            let known = other.text().is_some_and(|text| Node::is_document(&MediaType::from(text)));
            if known {
                judge.find(&table::MA5, "/mediaType", value(other));
            }
        }
    }
}

/// Members that another kind of document has.
pub(super) fn foreign(judge: &mut Judge, tree: &Tree, names: &[&str]) {
    for name in names {
        if tree.get(name).is_some() {
            let found = format!("the member {name}, which only another kind of document has");
            judge.find(&table::MA5, &format!("/{name}"), found);
        }
    }
}

/// What the manifest is for, an image or something else, and whether config
/// and layers are as that should have them.
fn purpose(judge: &mut Judge, tree: &Tree, layers: &[Tree]) {
    let artifact_type = text_of(tree, "artifactType");
    let Some(config) = tree.get("config").and_then(|config| text_of(config, "mediaType")) else {
        return;
    };
    let config_type = MediaType::from(config);
    let is_image_config = [media_type::CONFIG, media_type::DOCKER_CONFIG].contains(&config_type);
    let types: Vec<_> = layers
        .iter()
        .map(|layer| text_of(layer, "mediaType").map(MediaType::from).unwrap_or_default())
        .collect();
    let tar = |kind: &MediaType| LayerType::of(kind).is_some();

    if config_type == media_type::EMPTY && artifact_type.is_none() {
        let found = "none, beside an empty config";
        judge.find(&table::MA6, "/artifactType", found);
        judge.find(&table::MA33, "/artifactType", found);
    }
    if artifact_type.is_some_and(|kind| kind != config) && is_image_config {
        judge.find(&table::MA32, "/config/mediaType", format!("{config:?}, in an artifact"));
    }
    let is_artifact = artifact_type.is_some() || !is_image_config;
    if is_artifact && config_type != media_type::DOCKER_CONFIG {
        let empty =
            |layer: &Tree| matches!(layer.get("size"), Some(Tree::Number(size)) if size == "0");
        if layers.is_empty() || layers.len() == 1 && empty(&layers[0]) {
            judge.find(&table::MA34, "/layers", "no layer with content");
        }
    }
    if !is_image_config {
        // Layers of an image under a config that no engine knows.
        let image = artifact_type.is_none()
            && config_type != media_type::EMPTY
            && !types.is_empty()
            && types.iter().all(tar);
        if image {
            judge.find(&table::MA14, "/config/mediaType", format!("{config:?}"));
        }
        return;
    }
    if config_type == media_type::DOCKER_CONFIG {
        judge.find(&table::MA14, "/config/mediaType", format!("{config:?}"));
    }
    if artifact_type.is_none() && !types.is_empty() && !types.iter().any(tar) {
        let found = format!("{config:?}, and no layer of an image");
        judge.find(&table::MA15, "/config/mediaType", found.clone());
        judge.find(&table::AG1, "/config/mediaType", found);
    }
    for (position, kind) in types.iter().enumerate() {
        let here = format!("/layers/{position}/mediaType");
        match LayerType::of(kind) {
            Some(layer) if layer.nondistributable => {
                judge.find(&table::LY29, &here, format!("{:?}", kind.as_str()));
            }
            // Docker's names are similar; the gzip one is interchangeable (MT8).
            Some(layer) if layer.media_type() == *kind => {}
            _ if *kind == media_type::DOCKER_LAYER_GZIP => {}
            _ if artifact_type.is_some() || kind.as_str().is_empty() => {}
            _ => judge.find(&table::MA25, &here, super::judge::shown(kind.as_str())),
        }
    }
}
