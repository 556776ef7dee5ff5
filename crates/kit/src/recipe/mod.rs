//! Recipes: images in a few lines of JSON, and the layouts they become.
//!
//! A recipe is a base and what is different. Its parts refer to each other by
//! name, and every address is computed up to `index.json`, so that a flaw is
//! the one that is written down and no other. `docs/format/kit.md` has the
//! form. What a case expects of whom is not here.

mod node;
mod tar;
mod write;

use std::collections::{BTreeMap, BTreeSet};

use plimsoll_content::{Code, Digest, Error, Result};
use serde::Deserialize;
use serde_json::{Map, Value};

use node::{Blob, Node};
use tar::content;

/// How an image is made.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Recipe {
    /// The recipe that this one changes.
    base: Option<String>,
    /// Parts, or what is different in those of the base.
    nodes: BTreeMap<String, Node>,
    /// Values by the name of a part, `#`, and a pointer into its document.
    set: Map<String, Value>,
    /// Places in documents that are taken away.
    remove: Vec<String>,
    /// What is done to the files of the layout at the end.
    files: Vec<FileEdit>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
enum FileEdit {
    /// A file, or a folder with all that is in it.
    Remove(String),
    /// A file with these bytes.
    Write {
        path: String,
        bytes: Value,
    },
    Folder(String),
    Rename {
        from: String,
        to: String,
    },
}

/// A layout in memory.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    /// Folders, by the path below the layout.
    pub folders: BTreeSet<String>,
    /// Files, by the path below the layout.
    pub files: BTreeMap<String, Vec<u8>>,
    /// What each part of the recipe is called by its content.
    pub digests: BTreeMap<String, Digest>,
    /// The media type of each part.
    pub media_types: BTreeMap<String, String>,
    /// The bytes of each part as its digest says, stored or not.
    blobs: BTreeMap<String, Vec<u8>>,
}

/// Gives the recipes that others are based on.
pub(crate) type Bases<'a> = dyn Fn(&str) -> Result<Recipe> + 'a;

/// How many recipes may stand on each other.
const DEPTH: usize = 8;

impl Recipe {
    /// Makes the layout.
    pub(crate) fn make(&self, bases: &Bases<'_>) -> Result<Layout> {
        let nodes = self.nodes(bases, 0)?;
        let mut maker = Maker { nodes: &nodes, made: BTreeMap::new(), open: Vec::new() };
        for name in nodes.keys() {
            maker.blob(name)?;
        }
        let mut layout = Layout::default();
        layout.folders.insert("blobs".to_owned());
        for (name, blob) in &maker.made {
            layout.digests.insert(name.clone(), blob.digest.clone());
            layout.media_types.insert(name.clone(), blob.media_type.clone());
            layout.blobs.insert(name.clone(), blob.bytes.clone());
            let folder = format!("blobs/{}", blob.digest.algorithm_name());
            let path = match name.as_str() {
                "index" => "index.json".to_owned(),
                "oci-layout" => name.clone(),
                _ => format!("{folder}/{}", blob.digest.encoded()),
            };
            if path.starts_with("blobs/") {
                layout.folders.insert(folder);
            }
            if let Some(bytes) = &blob.stored {
                layout.files.insert(path, bytes.clone());
            }
        }
        self.edit_files(bases, &mut layout, 0)?;
        Ok(layout)
    }

    /// The parts of the base with those of this recipe.
    fn nodes(&self, bases: &Bases<'_>, depth: usize) -> Result<BTreeMap<String, Node>> {
        if depth > DEPTH {
            return Err(wrong("a base", "one that stands on itself"));
        }
        let mut nodes = match &self.base {
            Some(base) => bases(base)?.nodes(bases, depth + 1)?,
            None => BTreeMap::new(),
        };
        for (name, node) in &self.nodes {
            let node = nodes.get(name).map_or_else(|| node.clone(), |base| base.merged(node));
            nodes.insert(name.clone(), node);
        }
        for (place, value) in &self.set {
            let (document, pointer) = document(&mut nodes, place)?;
            set(document, pointer, value).ok_or_else(|| wrong("a place", place))?;
        }
        for place in &self.remove {
            let (document, pointer) = document(&mut nodes, place)?;
            remove(document, pointer).ok_or_else(|| wrong("a place", place))?;
        }
        Ok(nodes)
    }

    fn edit_files(&self, bases: &Bases<'_>, layout: &mut Layout, depth: usize) -> Result<()> {
        if let Some(base) = self.base.as_ref().filter(|_| depth <= DEPTH) {
            bases(base)?.edit_files(bases, layout, depth + 1)?;
        }
        for edit in &self.files {
            match edit {
                FileEdit::Remove(path) => {
                    let path = &layout.expand(path)?;
                    let below = format!("{path}/");
                    let gone = |name: &String| name == path || name.starts_with(&below);
                    layout.files.retain(|name, _| !gone(name));
                    layout.folders.retain(|name| !gone(name));
                }
                FileEdit::Write { path, bytes } => {
                    layout.files.insert(path.clone(), content(bytes)?);
                }
                FileEdit::Folder(path) => {
                    layout.folders.insert(path.clone());
                }
                FileEdit::Rename { from, to } => {
                    let from = layout.expand(from)?;
                    let bytes = layout.files.remove(&from).ok_or_else(|| wrong("a file", &from))?;
                    layout.files.insert(layout.expand(to)?, bytes);
                }
            }
        }
        Ok(())
    }
}

/// An archive of these entries, as a recipe writes them.
pub(crate) fn archive(entries: &Value) -> Result<Vec<u8>> {
    let entries: Vec<tar::Entry> = serde_json::from_value(entries.clone())
        .map_err(|cause| wrong("entries", &cause).cause(cause))?;
    let mut bytes = tar::blocks(&entries)?;
    bytes.extend([0; 1024]);
    Ok(bytes)
}

impl Layout {
    /// The bytes of a part, as its digest says.
    pub fn blob(&self, part: &str) -> Option<&Vec<u8>> {
        self.blobs.get(part)
    }

    /// A path with `{part}` in it: the encoded part of its digest.
    fn expand(&self, path: &str) -> Result<String> {
        let mut text = path.to_owned();
        for (name, digest) in &self.digests {
            text = text.replace(&format!("{{{name}}}"), &digest.encoded());
        }
        if text.contains('{') { Err(wrong("a path", path)) } else { Ok(text) }
    }
}

/// Makes parts when they are asked for, each once.
struct Maker<'a> {
    nodes: &'a BTreeMap<String, Node>,
    made: BTreeMap<String, Blob>,
    /// Parts that are being made, to see circles.
    open: Vec<String>,
}

impl Maker<'_> {
    fn blob(&mut self, name: &str) -> Result<Blob> {
        if let Some(blob) = self.made.get(name) {
            return Ok(blob.clone());
        }
        let node = self.nodes.get(name).ok_or_else(|| wrong("a reference", name))?;
        if self.open.iter().any(|open| open == name) {
            return Err(wrong("a reference", format!("{name}, which leads to itself")));
        }
        self.open.push(name.to_owned());
        let document = match &node.document {
            Some(value) => write::write(value, node.pretty, &mut |part| self.blob(part))?,
            None => Vec::new(),
        };
        self.open.pop();
        let blob = node.blob(name, document)?;
        self.made.insert(name.to_owned(), blob.clone());
        Ok(blob)
    }
}

/// The document of `part#/pointer`, and the pointer.
fn document<'n, 'p>(
    nodes: &'n mut BTreeMap<String, Node>,
    place: &'p str,
) -> Result<(&'n mut Value, &'p str)> {
    let (name, pointer) = place.split_once('#').ok_or_else(|| wrong("a place", place))?;
    let document = nodes.get_mut(name).and_then(|node| node.document.as_mut());
    Ok((document.ok_or_else(|| wrong("a place", place))?, pointer))
}

/// Sets what a pointer leads to; `-` at the end adds to a list.
fn set(document: &mut Value, pointer: &str, value: &Value) -> Option<()> {
    let Some((parent, last)) = pointer.rsplit_once('/') else {
        *document = value.clone();
        return pointer.is_empty().then_some(());
    };
    match document.pointer_mut(parent)? {
        Value::Object(map) => {
            map.insert(last.replace("~1", "/").replace("~0", "~"), value.clone());
        }
        Value::Array(items) if last == "-" => items.push(value.clone()),
        Value::Array(items) => *items.get_mut(last.parse::<usize>().ok()?)? = value.clone(),
        _ => return None,
    }
    Some(())
}

/// Takes away what a pointer leads to. In a descriptor that is still a
/// reference, the member is marked as one not to be filled in.
fn remove(document: &mut Value, pointer: &str) -> Option<()> {
    let (parent, last) = pointer.rsplit_once('/')?;
    match document.pointer_mut(parent)? {
        Value::Object(map) => {
            let name = last.replace("~1", "/").replace("~0", "~");
            if map.contains_key("$ref") {
                map.insert(name, serde_json::json!({"$absent": true}));
            } else {
                map.remove(&name)?;
            }
        }
        Value::Array(items) => {
            let at = last.parse::<usize>().ok().filter(|at| *at < items.len())?;
            items.remove(at);
        }
        _ => return None,
    }
    Some(())
}

fn wrong(what: &str, found: impl std::fmt::Display) -> Error {
    Error::new(Code::Malformed, format!("finding {what} in a recipe")).found(found)
}
