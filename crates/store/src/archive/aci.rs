//! App container images (AppC), as OCI images.
//!
//! Such an archive holds `manifest` and the tree `rootfs/`. What is below
//! `rootfs/` becomes a layer, in the order of the archive, with all that the
//! entries say; so do the images that it depends on, the lowest first. All
//! layers lie in one temporary file without a name.
//!
//! What is on a whitelist is decided while a layer is written: every image is
//! filtered by its own list and by those of all images on top of it, so
//! nothing has to be removed afterwards.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::rc::Rc;
use std::sync::Arc;

use plimsoll_content::limits::Limits;
use plimsoll_content::{
    Algorithm, Code, Descriptor, Digest, Document, Error, Hasher, Platform, Result,
};
use plimsoll_layer::RelPath;
use plimsoll_spec::annotations::REF_NAME;
use plimsoll_spec::appc::ImageManifest;
use plimsoll_spec::{History, Manifest, media_type};

use super::members::{Member, Members, Piece, Span};
use crate::archive::aci_layer::{Layers, Whitelist};
use crate::archive::aci_search::Search;
use crate::check_ref_name;

pub(super) const MANIFEST: &str = "manifest";
pub(super) const ROOTFS: &str = "rootfs";

/// What is said of images that do not say what they run on.
const PLATFORM: (&str, &str) = ("linux", "amd64");

/// One archive.
pub(super) struct Part {
    pub(super) shown: String,
    pub(super) file: Arc<File>,
    pub(super) length: u64,
    pub(super) members: Members<Span>,
    pub(super) manifest: Document<ImageManifest>,
    /// The digest of the uncompressed archive.
    pub(super) id: Digest,
}

/// What an archive and all that it depends on come to.
pub(super) struct Image {
    pub(super) file: File,
    pub(super) layers: BTreeMap<Digest, Span>,
    pub(super) documents: BTreeMap<Digest, Arc<[u8]>>,
    pub(super) entry: Descriptor,
    pub(super) findings: Vec<String>,
}

/// Whether an archive looks like one of AppC.
pub(super) fn is_one<T: Clone>(members: &Members<T>) -> bool {
    members.has(MANIFEST) && members.names().any(|name| is_rootfs(name.as_bytes()))
}

/// Whether an entry may be in such an archive.
pub(super) fn belongs(name: &RelPath) -> bool {
    name.as_bytes() == MANIFEST.as_bytes() || is_rootfs(name.as_bytes())
}

fn is_rootfs(name: &[u8]) -> bool {
    name.strip_prefix(ROOTFS.as_bytes()).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

impl Part {
    /// An uncompressed archive with these members. Nothing may lie beside
    /// `manifest` and `rootfs`.
    pub(super) fn new(
        shown: &str,
        file: Arc<File>,
        length: u64,
        members: Members<Span>,
        limits: &Limits,
    ) -> Result<Self> {
        let doing = || format!("reading AppC image {shown}");
        let stranger = members.names().find(|name| !name.is_root() && !belongs(name));
        if let Some(stranger) = stranger {
            return Err(Error::new(Code::Malformed, doing())
                .found(format!("an entry {stranger}"))
                .expected("manifest and rootfs, and nothing beside them"));
        }
        let rootfs = members.get(ROOTFS);
        if rootfs.is_some_and(|member| !matches!(member, Member::Other("a folder")))
            || !is_one(&members)
        {
            return Err(Error::new(Code::NotALayout, doing())
                .found("no file manifest, or no folder rootfs")
                .expected("an app container image"));
        }
        let span = members.file(MANIFEST)?.unwrap_or(Span { offset: 0, size: 0 });
        if span.size > limits.config {
            return Err(Error::new(Code::Limit, doing())
                .found(format!("a manifest of {} bytes", span.size))
                .expected(format!("at most {} bytes", limits.config)));
        }
        let failed = |cause| Error::io("reading", shown, cause);
        let mut bytes = Vec::new();
        Piece::new(&file, span, 0).read_to_end(&mut bytes).map_err(failed)?;
        let manifest = Document::parse_within(bytes, limits).map_err(|e| e.context(doing()))?;
        let mut hasher = Hasher::new(Algorithm::Sha512);
        let whole = Span { offset: 0, size: length };
        io::copy(&mut Piece::new(&file, whole, 0), &mut hasher).map_err(failed)?;
        let id = hasher.finish();
        Ok(Self { shown: shown.to_owned(), file, length, members, manifest, id })
    }

    /// The image id, as manifests write it.
    pub(super) fn id(&self) -> String {
        format!("sha512-{}", self.id.encoded())
    }

    fn step(&self) -> History {
        let version = self.manifest.label("version");
        let version = version.map_or(String::new(), |version| format!(" {version}"));
        History {
            created: self.manifest.annotation("created").map(str::to_owned),
            created_by: Some(format!("aci {}{version} {}", self.manifest.name, self.id())),
            author: self.manifest.annotation("authors").map(str::to_owned),
            ..History::default()
        }
    }
}

/// The image of `top` and of all that it depends on, which lies in `folders`.
pub(super) fn read(
    top: Part,
    scratch: &std::path::Path,
    folders: &[std::path::PathBuf],
    limits: Limits,
) -> Result<Image> {
    let top = Rc::new(top);
    let wanted = top.manifest.app.iter().flat_map(|app| [&app.user, &app.group]);
    let wanted = wanted.filter(|name| name.starts_with('/'));
    let mut building = Building {
        search: Search::new(folders, scratch, limits),
        layers: Layers::new(scratch, wanted.map(String::as_str))?,
        limits,
        stack: Vec::new(),
        above: Vec::new(),
        order: Vec::new(),
        history: Vec::new(),
        platform: None,
    };
    building.gather(&top)?;
    let Building { search, layers, order, history, platform, .. } = building;
    let mut findings = search.findings;
    let platform = top.manifest.platform().or(platform).unwrap_or_else(|| {
        let os = top.manifest.label("os").unwrap_or(PLATFORM.0);
        let arch = PLATFORM.1;
        findings.push(format!("it says of no os and arch: it becomes one for {os}/{arch}"));
        Platform::new(os, arch)
    });
    let diff_ids = order.iter().map(|layer: &Descriptor| layer.digest.clone()).collect();
    let owner = |path: &str| layers.owner(path);
    let (config, lost) = top.manifest.config(&platform, diff_ids, history, &owner)?;
    findings.extend(lost.into_iter().map(|lost| format!("an OCI image can not say: {lost}")));
    if top.manifest.app.is_none() {
        findings.push("it has no app, so nothing says what is run".to_owned());
    }
    let config = Document::new(config)?;
    let named = config.descriptor(media_type::CONFIG, Algorithm::Sha256);
    let mut manifest = Manifest::new(named.clone(), order);
    manifest.annotations = top.manifest.annotations(&top.id());
    let manifest = Document::new(manifest)?;
    let mut entry = manifest.descriptor(media_type::MANIFEST, Algorithm::Sha256);
    let documents = [
        (named.digest, Arc::clone(config.bytes())),
        (entry.digest.clone(), Arc::clone(manifest.bytes())),
    ];
    entry.annotations = top.manifest.listed();
    entry.platform = Some(platform);
    let version = top.manifest.label("version").map_or(String::new(), |text| format!(":{text}"));
    let name = format!("{}{version}", top.manifest.name);
    if check_ref_name(&name).is_ok() {
        entry.annotations.insert(REF_NAME.to_owned(), name);
    }
    let (file, layers) = layers.into_file();
    Ok(Image { file, layers, documents: documents.into(), entry, findings })
}

struct Building<'a> {
    search: Search<'a>,
    layers: Layers,
    limits: Limits,
    /// The images on the way from the top to here.
    stack: Vec<Digest>,
    /// The whitelists of those.
    above: Vec<Rc<Whitelist>>,
    /// The layers, from the bottom up, and how they came about.
    order: Vec<Descriptor>,
    history: Vec<History>,
    /// What an image below says of its platform, the uppermost one.
    platform: Option<Platform>,
}

impl Building<'_> {
    /// What the image depends on in its order, each with what that depends on
    /// before it, then the image itself (`ace.md`, "Filesystem Setup").
    fn gather(&mut self, part: &Rc<Part>) -> Result<()> {
        let doing = || format!("reading what {} depends on", part.shown);
        if self.stack.contains(&part.id) {
            return Err(Error::new(Code::Malformed, doing())
                .found(format!("{} again", part.manifest.name))
                .expected("dependencies that end"));
        }
        if self.stack.len() > self.limits.dependencies {
            return Err(Error::new(Code::Limit, doing())
                .found(format!("more than {} images below one another", self.limits.dependencies))
                .expected("fewer"));
        }
        let whitelist = Whitelist::new(&part.manifest.path_whitelist)
            .map_err(|error| error.context(format!("reading pathWhitelist of {}", part.shown)))?;
        self.stack.push(part.id.clone());
        let filters = self.above.len();
        self.above.extend(whitelist.map(Rc::new));
        for dependency in &part.manifest.dependencies {
            let below = self.search.find(dependency).map_err(|error| error.context(doing()))?;
            self.gather(&below)?;
        }
        let most = self.limits.layers;
        if self.order.len() >= most {
            return Err(Error::new(Code::Limit, doing())
                .found(format!("more than {most} layers"))
                .expected("fewer"));
        }
        let layer = self
            .layers
            .layer(part, &self.above)
            .map_err(|error| error.context(format!("making a layer of {}", part.shown)))?;
        self.order.push(layer);
        self.history.push(part.step());
        if let Some(platform) = part.manifest.platform() {
            self.platform = Some(platform);
        }
        self.above.truncate(filters);
        self.stack.pop();
        Ok(())
    }
}
