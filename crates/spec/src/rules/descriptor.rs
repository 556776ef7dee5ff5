//! Descriptors, wherever they stand.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use plimsoll_content::json::Tree;
use plimsoll_content::{Algorithm, Descriptor, Digest, MediaType, limits};

use super::judge::{Judge, shown, text_of, value};
use super::{Rule, annotations, platform, table, text};

/// The rules that hold where a descriptor stands.
pub(super) struct Place {
    /// That there is a descriptor.
    pub(super) descriptor: &'static Rule,
    /// What its media type is called, beside the rule for all descriptors.
    pub(super) media_type: Option<&'static Rule>,
}

/// A document that is a descriptor.
pub(super) static ALONE: Place = Place { descriptor: &table::DE3, media_type: None };

const MEMBERS: &[&str] =
    &["mediaType", "digest", "size", "urls", "annotations", "data", "platform", "artifactType"];

/// Judges a descriptor; gives it as far as what it points at can be found.
pub(super) fn judge(judge: &mut Judge, tree: &Tree, at: &str, place: &Place) -> Option<Descriptor> {
    if tree.members().is_none() {
        judge.find(place.descriptor, at, tree.kind());
        return None;
    }
    judge.lookalikes(tree, at, MEMBERS);
    let below = |name: &str| format!("{at}/{name}");
    match tree.get("mediaType") {
        Some(Tree::Text(text)) => {
            if !MediaType::from(text.as_str()).is_well_formed() {
                judge.find(&table::DE4, &below("mediaType"), shown(text));
                if let Some(rule) = place.media_type {
                    judge.find(rule, &below("mediaType"), shown(text));
                }
            }
        }
        other => judge.find(&table::DE3, at, told(other)),
    }
    let digest = match tree.get("digest") {
        Some(Tree::Text(text)) => digest(judge, text, &below("digest")),
        other => {
            judge.find(&table::DE5, at, told(other));
            None
        }
    };
    let size = size(judge, tree.get("size"), at);
    if let Some(urls) = tree.get("urls") {
        self::urls(judge, urls, &below("urls"));
    }
    if let Some(map) = tree.get("annotations") {
        annotations::judge(judge, map, &below("annotations"), &table::DE13);
    }
    if let Some(data) = tree.get("data") {
        embedded(judge, data, &below("data"), digest.as_ref(), size);
    }
    if let Some(tree) = tree.get("platform") {
        platform::judge(judge, tree, &below("platform"));
    }
    if let Some(kind) = tree.get("artifactType") {
        media_type(judge, kind, &below("artifactType"), &table::DE17);
    }
    let text = |name: &str| text_of(tree, name).map(str::to_owned);
    let mut descriptor =
        Descriptor::new(text("mediaType").unwrap_or_default().into(), digest?, size?);
    descriptor.data = text("data");
    descriptor.artifact_type = text("artifactType").map(MediaType::from);
    descriptor.platform = tree.get("platform").and_then(platform::read);
    let urls = tree.get("urls").and_then(Tree::elements).unwrap_or_default();
    descriptor.urls = urls.iter().filter_map(Tree::text).map(str::to_owned).collect();
    let annotations = tree.get("annotations").and_then(Tree::members).unwrap_or_default();
    descriptor.annotations = annotations
        .iter()
        .filter_map(|(name, value)| Some((name.clone(), value.text()?.to_owned())))
        .collect();
    Some(descriptor)
}

/// A media type on its own.
pub(super) fn media_type(judge: &mut Judge, tree: &Tree, at: &str, rule: &'static Rule) {
    let good = tree.text().is_some_and(|text| MediaType::from(text).is_well_formed());
    if !good {
        judge.find(rule, at, value(tree));
    }
}

/// Judges a digest; gives it if it is one.
pub(super) fn digest(judge: &mut Judge, text: &str, at: &str) -> Option<Digest> {
    if let Ok(digest) = text.parse() {
        return Some(digest);
    }
    let registered = [
        (Algorithm::Sha256, 64, &table::DE30, &table::DE31),
        (Algorithm::Sha512, 128, &table::DE33, &table::DE34),
        (Algorithm::Blake3, 64, &table::DE37, &table::DE38),
    ];
    let found = shown(text);
    let Some((name, encoded)) = text.split_once(':') else {
        judge.find(&table::DE21, at, found);
        return None;
    };
    // The grammar of all digests; a name that is not registered stands for any.
    let general = format!("x:{encoded}").parse::<Digest>().is_ok()
        && (registered.iter().any(|(known, ..)| known.as_str() == name)
            || format!("{name}:x").parse::<Digest>().is_ok());
    if !general && text.len() <= limits::DIGEST {
        judge.find(&table::DE21, at, found);
        return None;
    }
    for (algorithm, length, exact, upper) in registered {
        if algorithm.as_str() != name {
            continue;
        }
        let hex = encoded.bytes().all(|byte| byte.is_ascii_hexdigit());
        let upper_case = encoded.bytes().any(|byte| matches!(byte, b'A'..=b'F'));
        if hex && upper_case {
            judge.find(upper, at, found.clone());
        }
        if encoded.len() != length || !hex {
            judge.find(exact, at, found.clone());
        }
        if !hex {
            judge.find(&table::DE22, at, found);
        }
        return None;
    }
    judge.wrong(at, format!("{} characters", text.len()), "a digest of at most 255");
    None
}

fn size(judge: &mut Judge, tree: Option<&Tree>, at: &str) -> Option<u64> {
    let here = format!("{at}/size");
    let Some(Tree::Number(digits)) = tree else {
        judge.find(&table::DE7, at, told(tree));
        return None;
    };
    if digits.starts_with('-') && digits.bytes().any(|byte| (b'1'..=b'9').contains(&byte)) {
        judge.find(&table::DE9, &here, shown(digits));
        return None;
    }
    let size = digits.parse().ok().filter(|size| *size <= limits::SIZE);
    if size.is_none() {
        judge.find(&table::DE7, &here, shown(digits));
    }
    size
}

fn urls(judge: &mut Judge, tree: &Tree, at: &str) {
    let Some(elements) = tree.elements() else {
        return judge.find(&table::DE11, at, tree.kind());
    };
    for (position, element) in elements.iter().enumerate() {
        let here = format!("{at}/{position}");
        match element {
            Tree::Text(url) if !text::is_uri(url) => judge.find(&table::DE11, &here, shown(url)),
            Tree::Text(url) if !text::is_web(url) => judge.find(&table::DE12, &here, shown(url)),
            Tree::Text(_) => {}
            other => judge.find(&table::DE11, &here, other.kind()),
        }
    }
}

fn embedded(judge: &mut Judge, tree: &Tree, at: &str, digest: Option<&Digest>, size: Option<u64>) {
    let bytes = tree.text().and_then(|text| STANDARD.decode(text).ok());
    let Some(bytes) = bytes else {
        let found = tree.text().map_or(tree.kind().to_owned(), |_| "no base64".to_owned());
        return judge.find(&table::DE14, at, found);
    };
    if size.is_some_and(|size| size != bytes.len() as u64) {
        return judge.find(&table::DE15, at, format!("{} bytes", bytes.len()));
    }
    let Some((digest, algorithm)) = digest.and_then(|one| Some((one, one.algorithm()?))) else {
        return;
    };
    let found = Digest::of(algorithm, &bytes);
    if found != *digest {
        judge.find(&table::DE15, at, format!("content with the digest {found}"));
    }
}

fn told(tree: Option<&Tree>) -> String {
    tree.map_or("none".to_owned(), value)
}
