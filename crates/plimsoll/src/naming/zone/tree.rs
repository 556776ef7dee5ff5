//! The tree of files: content, and what those read who verify no signatures.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use plimsoll_content::{Code, Descriptor, Error, Result, Source, Watch, json};
use plimsoll_name::listing::{Listing, ref_of};
use plimsoll_name::publish::{self, Config, Wanted};
use plimsoll_spec::Node;
use plimsoll_store::reachable;
use serde_json::json;

use crate::transfer::check;

/// Brings all content of an image to the tree, proved.
pub(super) fn bring(
    source: &dyn Source,
    root: &Descriptor,
    site: &Path,
    watch: &dyn Watch,
) -> Result<()> {
    let all = reachable(source, root)?;
    if let Some(missing) = all.missing.first() {
        return Err(Error::new(Code::NotFound, format!("reading blob {}", missing.digest))
            .found("an image that is not complete")
            .expected("all that it refers to"));
    }
    for blob in &all.present {
        check(watch)?;
        let path = site.join(publish::cas_path(&blob.digest));
        if path.metadata().is_ok_and(|there| there.len() == blob.size) {
            continue;
        }
        let failed = |cause| Error::io("writing", path.display(), cause);
        let folder = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder).map_err(failed)?;
        watch.begin(&format!("copying {}", blob.digest.short()), Some(blob.size));
        let staged = folder.join(format!(".{}.part", std::process::id()));
        let write = || -> Result<()> {
            let mut file = File::create(&staged).map_err(failed)?;
            let mut reader = source.open(blob)?;
            io::copy(&mut reader, &mut file)
                .map_err(|cause| Error::io("copying", &blob.digest, cause))?;
            let _proof = reader.finish()?;
            file.sync_all().map_err(failed)?;
            fs::rename(&staged, &path).map_err(failed)
        };
        let written = write();
        if written.is_err() {
            let _ = fs::remove_file(&staged);
        }
        written?;
        watch.end(&format!("copied {}", blob.digest));
    }
    Ok(())
}

/// Brings the content to another tree.
pub(super) fn copy_content(from: &Path, to: &Path) -> Result<()> {
    for (rest, path) in files(&from.join("oci-cas"))? {
        link(&path, &to.join("oci-cas").join(rest))?;
    }
    Ok(())
}

/// The files that are marked in that way below a folder, by the path that they
/// stand for.
pub(super) fn marked(folder: &Path, mark: &str) -> Result<BTreeMap<String, PathBuf>> {
    let mut found = BTreeMap::new();
    for (rest, path) in files(folder)? {
        if let Some(rest) = rest.strip_suffix(mark)
            && (rest.is_empty() || rest.ends_with('/'))
        {
            found.insert(rest.trim_end_matches('/').to_owned(), path);
        }
    }
    Ok(found)
}

/// All files below a folder, by their relative paths. What begins with a dot
/// is half-written.
fn files(folder: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let mut found = BTreeMap::new();
    let mut ahead = vec![(folder.to_owned(), String::new())];
    while let Some((at, rest)) = ahead.pop() {
        let entries = match at.read_dir() {
            Ok(entries) => entries,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => continue,
            Err(cause) => return Err(Error::io("reading", at.display(), cause)),
        };
        for entry in entries.flatten() {
            let Ok(name) = entry.file_name().into_string() else { continue };
            if name.starts_with('.') {
                continue;
            }
            let rest = if rest.is_empty() { name } else { format!("{rest}/{name}") };
            if entry.path().is_dir() {
                ahead.push((entry.path(), rest));
            } else {
                found.insert(rest, entry.path());
            }
        }
    }
    Ok(found)
}

/// What is read without signatures: lists, and forms for older clients.
pub(super) fn unsigned(
    config: &Config,
    wanted: &Wanted,
    site: &Path,
    notes: &mut Vec<String>,
) -> Result<Vec<(String, Vec<u8>)>> {
    let mut out = Vec::new();
    let prefix = config.prefix()?;
    for (rest, bytes) in &wanted.listings {
        // For those who come by the host, the whole path is written.
        let whole = prefix.join(rest).path().to_owned();
        let parent = wanted.listings.keys().any(|other| {
            other.strip_prefix(rest.as_str()).is_some_and(|more| more.starts_with('/'))
        });
        if config.index.is_some() && !whole.is_empty() {
            if parent {
                notes.push(format!(
                    "{whole} is a folder of other names as well: who verifies no signatures does not find it"
                ));
            } else {
                out.push((publish::index_path(&whole), bytes.clone()));
            }
        }
        let list = Listing::parse(bytes)?;
        if config.formats.iter().any(|format| format == "v2") && !whole.is_empty() {
            registry(&whole, &list, site, &mut out)?;
        }
    }
    Ok(out)
}

/// The files that a client of registries asks for.
fn registry(
    path: &str,
    list: &Listing,
    site: &Path,
    out: &mut Vec<(String, Vec<u8>)>,
) -> Result<()> {
    let source = Cas(site.to_owned());
    let mut tags = Vec::new();
    out.push(("v2/index.html".to_owned(), b"{}".to_vec()));
    for entry in &list.manifests {
        for blob in reachable(&source, entry)?.present {
            let file = site.join(publish::cas_path(&blob.digest));
            let kind = if Node::is_document(&blob.media_type) { "manifests" } else { "blobs" };
            link(&file, &site.join(format!("v2/{path}/{kind}/{}", blob.digest)))?;
        }
        // The first of several images under a tag is as good as any: there is one for each.
        let Some(tag) = ref_of(entry).filter(|tag| tag.parse::<plimsoll_name::Tag>().is_ok())
        else {
            continue;
        };
        if tags.contains(&tag.to_owned()) {
            continue;
        }
        let bytes =
            (&source as &dyn Source).read(entry, "a manifest", plimsoll_content::limits::INDEX)?;
        out.push((format!("v2/{path}/manifests/{tag}"), bytes));
        tags.push(tag.to_owned());
    }
    tags.sort();
    out.push((
        format!("v2/{path}/tags/list"),
        json::canonical(&json!({"name": path, "tags": tags}))?,
    ));
    Ok(())
}

/// Gives a file a further name; a copy where that can not be.
fn link(from: &Path, to: &Path) -> Result<()> {
    let failed = |cause| Error::io("writing", to.display(), cause);
    if to.exists() {
        return Ok(());
    }
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    match fs::hard_link(from, to) {
        Ok(()) => Ok(()),
        Err(_) => fs::copy(from, to).map(|_| ()).map_err(failed),
    }
}

/// The content of a tree.
pub(super) struct Cas(pub(super) PathBuf);

impl Source for Cas {
    fn fetch(&self, blob: &Descriptor, from: u64) -> Result<plimsoll_content::Unverified<'_>> {
        use std::io::Seek;
        let path = self.0.join(publish::cas_path(&blob.digest));
        let mut file =
            File::open(&path).map_err(|cause| Error::io("reading", path.display(), cause))?;
        file.seek(io::SeekFrom::Start(from))
            .map_err(|cause| Error::io("reading", path.display(), cause))?;
        Ok(plimsoll_content::Unverified::new(file))
    }
}
