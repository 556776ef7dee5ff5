//! The tree of files that a web server hands out.

use plimsoll_content::{Digest, Document, Result};
use serde_json::Map;

use super::{Config, TARGETS};
use crate::announcement::{
    Announcement, CAS_TEMPLATE, Engine, INDEX_TEMPLATE, RefEngines, RootFile, ZonePlace,
};

/// The files of a target: both forms in which clients ask for it.
pub fn target_paths(path: &str, hash: &str) -> [String; 2] {
    let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
    let joint = if folder.is_empty() { "" } else { "/" };
    [format!("{TARGETS}/{folder}{joint}{hash}.{file}"), format!("{TARGETS}/{hash}.{path}")]
}

/// The file of a blob.
pub fn cas_path(digest: &Digest) -> String {
    let encoded = digest.encoded();
    let start: String = encoded.chars().take(2).collect();
    format!("oci-cas/{}/{start}/{encoded}", digest.algorithm_name())
}

/// The file of a list, for those who verify no signatures.
pub fn index_path(path: &str) -> String {
    format!("oci-index/{path}")
}

/// The document that the host of a zone gives: `/.well-known/image-names`.
pub fn announcement(config: &Config, root: Option<RootFile>) -> Result<Vec<u8>> {
    let prefix = config.prefix()?;
    let zone = ZonePlace { root, ..config.place()? };
    let index = config.index.as_ref().map(|index| Engine::new(INDEX_TEMPLATE, index.as_str()));
    let said = Announcement {
        schema_version: 1,
        host: prefix.host().to_string(),
        max_age: Some(86_400),
        critical: Vec::new(),
        zone: (!config.retired).then_some(zone),
        routes: Vec::new(),
        ref_engines: index.into_iter().collect(),
        cas_engines: vec![Engine::new(CAS_TEMPLATE, config.cas.as_str())],
        other: Map::new(),
    };
    Ok(Document::new(said)?.bytes().to_vec())
}

/// The older document: `/.well-known/oci-host-ref-engines`. Some of its readers
/// fail over protocols that they do not know: there is one.
pub fn ref_engines(config: &Config) -> Result<Option<Vec<u8>>> {
    let Some(index) = &config.index else { return Ok(None) };
    // Some of its readers replace `{path}` as text, and know no `+`; to the
    // others it is the same file of a web server, coded.
    let index = index.as_str().replace("{+path}", "{path}");
    let said = RefEngines {
        ref_engines: vec![Engine::new(INDEX_TEMPLATE, &index)],
        cas_engines: vec![Engine::new(CAS_TEMPLATE, config.cas.as_str())],
        other: Map::new(),
    };
    Ok(Some(Document::new(said)?.bytes().to_vec()))
}
