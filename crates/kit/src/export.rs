//! Cases as plain files, for people who run them from another language.
//!
//! `docs/format/kit.md` says what lies where.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use plimsoll_content::{Code, Error, Result};
use plimsoll_layer::tar::Writer;
use plimsoll_layer::{Entry, EntryKind, RelPath, Timestamp};
use serde_json::{Value, json};

use crate::case::Case;
use crate::embedded;
use crate::recipe::Layout;

impl Layout {
    /// Writes it into a folder, which is made.
    pub fn write(&self, to: &Path) -> Result<()> {
        let failed = |path: &Path, cause| Error::io("writing", path.display(), cause);
        fs::create_dir_all(to).map_err(|cause| failed(to, cause))?;
        for folder in &self.folders {
            let path = to.join(folder);
            fs::create_dir_all(&path).map_err(|cause| failed(&path, cause))?;
        }
        for (name, bytes) in &self.files {
            let path = to.join(name);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent).map_err(|cause| failed(parent, cause))?;
            }
            fs::write(&path, bytes).map_err(|cause| failed(&path, cause))?;
        }
        Ok(())
    }

    /// Writes it as an archive, `oci-layout` first, as streams need it.
    pub fn archive(&self) -> Result<Vec<u8>> {
        let mut writer = Writer::new(Vec::new());
        let first = ["oci-layout", "index.json"];
        let named = |name: &&str| self.files.get_key_value(*name);
        let head = first.iter().filter_map(named);
        let rest = self.files.iter().filter(|(name, _)| !first.contains(&name.as_str()));
        let entry = |path: &str, kind, mode| -> Result<Entry> {
            Ok(Entry {
                path: RelPath::parse(path.as_bytes())?,
                kind,
                mode,
                uid: 0,
                gid: 0,
                mtime: Timestamp::EPOCH,
                xattrs: Vec::new(),
            })
        };
        for (name, bytes) in head {
            let kind = EntryKind::File { size: bytes.len() as u64 };
            writer.append(&entry(name, kind, 0o644)?, &bytes[..])?;
        }
        for folder in &self.folders {
            writer.append(&entry(folder, EntryKind::Directory, 0o755)?, &[][..])?;
        }
        for (name, bytes) in rest {
            let kind = EntryKind::File { size: bytes.len() as u64 };
            writer.append(&entry(name, kind, 0o644)?, &bytes[..])?;
        }
        writer.finish()
    }
}

/// Writes cases below a folder that is empty or not there yet: for each its
/// recipe, its layout as a folder and as an archive; and a list of all.
pub fn export(cases: &[Case], to: &Path) -> Result<()> {
    let failed = |path: &Path, cause| Error::io("writing", path.display(), cause);
    fs::create_dir_all(to).map_err(|cause| failed(to, cause))?;
    let mut entries = fs::read_dir(to).map_err(|cause| failed(to, cause))?;
    if entries.next().is_some() {
        return Err(Error::new(Code::Exists, "exporting cases")
            .found(format!("something in {}", to.display()))
            .expected("an empty folder, or none"));
    }
    let mut listed = Vec::new();
    for case in cases {
        let folder = to.join(&case.id);
        let layout = case.layout()?;
        layout.write(&folder.join("layout"))?;
        let path = folder.join("image.tar");
        fs::write(&path, layout.archive()?).map_err(|cause| failed(&path, cause))?;
        let recipe = embedded::cases()?.iter().find(|(id, _)| *id == case.id);
        let recipe = recipe.map(|(_, text)| text.as_str()).unwrap_or_default();
        let path = folder.join("case.json");
        fs::write(&path, recipe).map_err(|cause| failed(&path, cause))?;
        listed.push(entry(case, &layout));
    }
    let path = to.join("cases.json");
    let list = json!({"schema": "plimsoll.kit.cases/v1", "cases": listed});
    let text = format!("{list:#}\n");
    fs::File::create(&path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|cause| failed(&path, cause))
}

/// A case in the list.
fn entry(case: &Case, layout: &Layout) -> Value {
    let parts: serde_json::Map<String, Value> = layout
        .digests
        .iter()
        .map(|(name, digest)| (name.clone(), Value::from(digest.to_string())))
        .collect();
    json!({
        "id": case.id,
        "role": case.role,
        "title": case.title(),
        "rules": case.rules(),
        "verdict": case.verdict(),
        "also": case.also(),
        "layout": format!("{}/layout", case.id),
        "archive": format!("{}/image.tar", case.id),
        "tag": crate::case::TAG,
        "parts": parts,
    })
}
