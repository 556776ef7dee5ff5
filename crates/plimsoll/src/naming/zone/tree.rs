//! The tree of files: content, and what those read who verify no signatures.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use plimsoll_content::{Algorithm, Code, Descriptor, Document, Error, Result, Source, Watch, json};
use plimsoll_name::listing::{Listing, REF_NAME, ref_of};
use plimsoll_name::publish::{self, Config, Wanted};
use plimsoll_registry::client::fallback_tag;
use plimsoll_spec::{Index, Node, media_type};
use plimsoll_store::{closure, reachable};
use serde_json::json;

use crate::image;
use crate::place::{Opened, registry::listed_subject};
use crate::transfer::check;

/// Brings an image to the tree, proved, and what is about it: signatures and
/// the like. Gives the entries of what is about it, by refs that are made of
/// digests.
pub(super) fn bring(image: &Opened, site: &Path, watch: &dyn Watch) -> Result<Vec<Descriptor>> {
    let source = image.source();
    let about = image.held().about()?;
    let all = closure(source, &image.root, Some(&*about))?;
    if let Some(missing) = all.reachable.missing.first() {
        return Err(Error::new(Code::NotFound, format!("reading blob {}", missing.digest))
            .found("an image that is not complete")
            .expected("all that it refers to"));
    }
    for blob in &all.reachable.present {
        check(watch)?;
        let path = site.join(publish::cas_path(&blob.digest));
        if path.metadata().is_ok_and(|there| there.len() == blob.size) {
            continue;
        }
        watch.begin(&format!("copying {}", blob.digest.short()), Some(blob.size));
        stage(&path, |file| {
            let mut reader = source.open(blob)?;
            io::copy(&mut reader, file)
                .map_err(|cause| Error::io("copying", &blob.digest, cause))?;
            reader.finish().map(|_| ())
        })?;
        watch.end(&format!("copied {}", blob.digest));
    }
    let mut lists: BTreeMap<String, Vec<Descriptor>> = BTreeMap::new();
    for referrer in &all.referrers {
        let node = image::node(source, referrer)?;
        let Some(subject) = node.subject() else { continue };
        let list = lists.entry(fallback_tag(&subject.digest)).or_default();
        list.push(described(referrer, &node));
    }
    let mut entries = Vec::new();
    for (tag, list) in lists {
        entries.push(list_of(site, &tag, list)?);
    }
    // What is listed under a tag of that kind was read above, and is listed anew.
    let others =
        all.named.into_iter().filter(|entry| entry.name().is_some_and(|it| it.contains('.')));
    entries.extend(others.map(|entry| entry.descriptor));
    Ok(entries)
}

/// A referrer as lists of them have it (distribution-spec, "Listing Referrers").
fn described(referrer: &Descriptor, node: &Node) -> Descriptor {
    let mut entry =
        Descriptor::new(referrer.media_type.clone(), referrer.digest.clone(), referrer.size);
    let (kind, annotations) = match node {
        Node::Manifest(manifest) => (Some(manifest.kind().clone()), &manifest.annotations),
        Node::Index(index) => (index.artifact_type.clone(), &index.annotations),
        Node::Schema1(_) | Node::Opaque => return entry,
    };
    entry.artifact_type = kind;
    entry.annotations.clone_from(annotations);
    entry
}

/// Writes a list of referrers to the tree, and gives its entry.
fn list_of(site: &Path, tag: &str, mut list: Vec<Descriptor>) -> Result<Descriptor> {
    list.sort_by(|one, other| one.digest.cmp(&other.digest));
    list.dedup_by(|one, other| one.digest == other.digest);
    let list = Document::new(Index::new(list))?;
    let mut entry = list.descriptor(media_type::INDEX, Algorithm::Sha256);
    stage(&site.join(publish::cas_path(&entry.digest)), |file| {
        file.write_all(list.bytes()).map_err(|cause| Error::io("writing", tag, cause))
    })?;
    entry.annotations.insert(REF_NAME.to_owned(), tag.to_owned());
    Ok(entry)
}

/// Adds what is about an image to what is listed about images. Lists of
/// referrers are joined: nothing that was published is lost by adding.
pub(super) fn attach(
    site: &Path,
    all: &mut Vec<Descriptor>,
    entries: Vec<Descriptor>,
) -> Result<()> {
    let source = Cas(site.to_owned());
    for mut entry in entries {
        let tag = ref_of(&entry).unwrap_or_default().to_owned();
        let at = all.iter().position(|other| ref_of(other) == Some(&tag));
        if let Some(at) = at {
            let old = all.remove(at);
            if let (Node::Index(old), Node::Index(new)) =
                (image::node(&source, &old)?, image::node(&source, &entry)?)
            {
                let list = [&old.manifests[..], &new.manifests[..]].concat();
                entry = list_of(site, &tag, list)?;
            }
        }
        all.push(entry);
    }
    Ok(())
}

/// Takes off the list what is about images that are listed no more.
pub(super) fn prune(site: &Path, list: &mut Listing) -> Result<()> {
    let mut attached = list.attached();
    if attached.is_empty() {
        return Ok(());
    }
    let source = Cas(site.to_owned());
    list.manifests = list.images().cloned().collect();
    let mut ahead = list.manifests.clone();
    let mut seen = BTreeSet::new();
    while let Some(start) = ahead.pop() {
        for blob in reachable(&source, &start)?.present {
            if !Node::is_document(&blob.media_type) || !seen.insert(blob.digest.clone()) {
                continue;
            }
            let whole = format!("{}-{}.", blob.digest.algorithm_name(), blob.digest.encoded());
            let short = fallback_tag(&blob.digest);
            let about = |entry: &mut Descriptor| {
                ref_of(entry).is_some_and(|tag| tag == short || tag.starts_with(&whole))
            };
            // What is about it may have something about itself.
            for entry in attached.extract_if(.., about) {
                ahead.push(entry.clone());
                list.manifests.push(entry);
            }
        }
    }
    Ok(())
}

/// Writes a file whole, with the folders above it.
fn stage(path: &Path, fill: impl FnOnce(&mut File) -> Result<()>) -> Result<()> {
    let failed = |cause| Error::io("writing", path.display(), cause);
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(failed)?;
    let staged = folder.join(format!(".{}.part", std::process::id()));
    let write = || -> Result<()> {
        let mut file = File::create(&staged).map_err(failed)?;
        fill(&mut file)?;
        file.sync_all().map_err(failed)?;
        fs::rename(&staged, path).map_err(failed)
    };
    let written = write();
    if written.is_err() {
        let _ = fs::remove_file(&staged);
    }
    written
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
    let mut types = BTreeMap::new();
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
        let first = whole.split('/').next().unwrap_or_default();
        if let Some(template) = &config.appc
            && !whole.is_empty()
            && !["zone", "v2", "oci-cas", "oci-index"].contains(&first)
        {
            let page = plimsoll_name::appc::page(&prefix.join(rest), template)?;
            out.push((format!("{whole}/index.html"), page.into_bytes()));
        }
        let list = Listing::parse(bytes)?;
        if config.formats.iter().any(|format| format == "v2") && !whole.is_empty() {
            registry(&whole, &list, site, &mut out, &mut types)?;
        }
    }
    if !types.is_empty() {
        let lines = types.iter().map(|(path, kind)| format!("\"{path}\" \"{kind}\";\n"));
        out.push((TYPES.to_owned(), lines.collect::<String>().into_bytes()));
    }
    Ok(out)
}

/// What each manifest of the tree is, as lines of an nginx `map`: a client of
/// registries goes by its content type.
const TYPES: &str = "v2/types.conf";

/// The files that a client of registries asks for, and what the manifests among
/// them are.
fn registry(
    path: &str,
    list: &Listing,
    site: &Path,
    out: &mut Vec<(String, Vec<u8>)>,
    types: &mut BTreeMap<String, String>,
) -> Result<()> {
    let source = Cas(site.to_owned());
    let mut tags = Vec::new();
    out.push(("v2/index.html".to_owned(), b"{}".to_vec()));
    for entry in &list.manifests {
        for blob in reachable(&source, entry)?.present {
            let file = site.join(publish::cas_path(&blob.digest));
            let kind = if Node::is_document(&blob.media_type) { "manifests" } else { "blobs" };
            let place = format!("v2/{path}/{kind}/{}", blob.digest);
            link(&file, &site.join(&place))?;
            if kind == "manifests" {
                types.insert(format!("/{place}"), plain(&blob));
            }
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
        if let Some(subject) = listed_subject(tag, entry) {
            let place = format!("v2/{path}/referrers/{subject}");
            types.insert(format!("/{place}"), plain(entry));
            out.push((place, bytes.clone()));
        }
        types.insert(format!("/v2/{path}/manifests/{tag}"), plain(entry));
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

/// A media type that may stand in a file of settings.
fn plain(blob: &Descriptor) -> String {
    let good = |c: &char| c.is_ascii_alphanumeric() || "/+-._".contains(*c);
    blob.media_type.as_str().chars().filter(good).collect()
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
