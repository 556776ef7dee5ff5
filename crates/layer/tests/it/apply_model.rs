//! Random layers against a model that has no files: all whiteouts of a layer
//! first, then its entries in order. Whatever order the archive has, the
//! applier must come to the same tree.

use std::collections::{BTreeMap, BTreeSet};

use plimsoll_content::Code;
use proptest::prelude::*;

use crate::apply_support::{Tar, Yard};

#[derive(Clone, Debug)]
enum Op {
    File,
    Folder(u32),
    Hide,
    HideAll,
}

type Layer = Vec<(String, Op)>;

/// What is at a path: a file of that number, or a folder of that mode.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Kind {
    File(usize),
    Folder(u32),
}

type Model = BTreeMap<String, Kind>;

fn remove(model: &mut Model, path: &str) {
    model.remove(path);
    hide_all(model, path);
}

fn hide_all(model: &mut Model, path: &str) {
    model.retain(|other, _| !other.strip_prefix(path).is_some_and(|rest| rest.starts_with('/')));
}

/// Applies a layer; `None` if it has a file where it needs a folder.
fn apply(model: &mut Model, layer: &Layer, number: usize) -> Option<()> {
    for (path, op) in layer {
        match op {
            Op::Hide => remove(model, path),
            Op::HideAll => hide_all(model, path),
            _ => {}
        }
    }
    let mut own = BTreeSet::new();
    for (index, (path, op)) in layer.iter().enumerate() {
        let kind = match op {
            Op::File => Kind::File(number * 100 + index),
            Op::Folder(mode) => Kind::Folder(*mode),
            _ => continue,
        };
        for (end, _) in path.match_indices('/') {
            let parent = &path[..end];
            match model.get(parent) {
                Some(Kind::Folder(_)) => {}
                Some(Kind::File(_)) if own.contains(parent) => return None,
                _ => {
                    model.insert(parent.to_owned(), Kind::Folder(0o755));
                    own.insert(parent.to_owned());
                }
            }
        }
        let merges = matches!((model.get(path), &kind), (Some(Kind::Folder(_)), Kind::Folder(_)));
        if !merges {
            remove(model, path);
        }
        model.insert(path.clone(), kind);
        own.insert(path.clone());
    }
    Some(())
}

fn tar(layer: &Layer, number: usize) -> Tar {
    let mut tar = Tar::new();
    for (index, (path, op)) in layer.iter().enumerate() {
        let (folder, name) = path.rsplit_once('/').map_or(("", &path[..]), |(a, b)| (a, b));
        tar = match op {
            Op::File => tar.file(path, (number * 100 + index).to_string()),
            Op::Folder(mode) => tar.mode(*mode).dir(path),
            Op::Hide => tar.file(&format!("{folder}/.wh.{name}"), ""),
            Op::HideAll => tar.file(&format!("{path}/.wh..wh..opq"), ""),
        };
    }
    tar
}

fn found(yard: &Yard) -> Model {
    let tree = yard.tree();
    let files = tree.0.iter().filter(|(path, _)| !path.is_empty());
    files
        .map(|(path, facts)| {
            let kind = match facts.kind {
                "file" => {
                    let text = String::from_utf8_lossy(&facts.content);
                    Kind::File(text.parse().expect("a number"))
                }
                _ => Kind::Folder(facts.mode),
            };
            (path.clone(), kind)
        })
        .collect()
}

fn layers() -> impl Strategy<Value = Vec<Layer>> {
    let path = prop::collection::vec("[abc]", 1..4).prop_map(|parts| parts.join("/"));
    let op = prop_oneof![
        3 => Just(Op::File),
        2 => prop_oneof![Just(0o700), Just(0o711), Just(0o555)].prop_map(Op::Folder),
        2 => Just(Op::Hide),
        1 => Just(Op::HideAll),
    ];
    prop::collection::vec(prop::collection::vec((path, op), 0..8), 1..4)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn layers_come_to_what_the_model_says(layers in layers()) {
        let mut model = Model::new();
        let expected = layers
            .iter()
            .enumerate()
            .try_for_each(|(number, layer)| apply(&mut model, layer, number));
        let tars: Vec<_> = layers.iter().enumerate().map(|(number, layer)| tar(layer, number)).collect();
        let yard = Yard::new();
        match (yard.apply(&tars), expected) {
            (Ok(_), Some(())) => prop_assert_eq!(found(&yard), model),
            (Err(error), None) => prop_assert_eq!(error.code(), Code::UnsafeEntry),
            (applied, expected) => prop_assert!(false, "{applied:?} but {expected:?}"),
        }
    }

    #[test]
    fn links_come_to_what_the_model_says(bytes in prop::collection::vec(any::<u8>(), 0..90)) {
        crate::links_model::check(&bytes);
    }
}
