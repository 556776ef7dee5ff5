//! Platforms, of descriptors and of configs.

use plimsoll_content::Platform;
use plimsoll_content::json::Tree;

use super::judge::{Judge, shown, text_of, value};
use super::{Level, table};

/// What Go builds for (GOOS), and what it did.
const OS: &[&str] = &[
    "aix",
    "android",
    "darwin",
    "dragonfly",
    "freebsd",
    "hurd",
    "illumos",
    "ios",
    "js",
    "linux",
    "nacl",
    "netbsd",
    "openbsd",
    "plan9",
    "solaris",
    "wasip1",
    "windows",
    "zos",
];

/// What Go builds for (GOARCH), and names it reserves.
const ARCHITECTURE: &[&str] = &[
    "386",
    "amd64",
    "amd64p32",
    "arm",
    "armbe",
    "arm64",
    "arm64be",
    "loong64",
    "mips",
    "mipsle",
    "mips64",
    "mips64le",
    "mips64p32",
    "mips64p32le",
    "ppc",
    "ppc64",
    "ppc64le",
    "riscv",
    "riscv64",
    "s390",
    "s390x",
    "sparc",
    "sparc64",
    "wasm",
];

/// How bad it is that Go does not know the word. What builders write for "runs
/// nowhere", beside images proper, is a note.
pub(super) fn unknown(word: &str) -> Level {
    if word == "unknown" { Level::Note } else { Level::Warning }
}

pub(super) fn is_os(os: &str) -> bool {
    OS.contains(&os)
}

pub(super) fn is_architecture(architecture: &str) -> bool {
    ARCHITECTURE.contains(&architecture)
}

/// Whether the variant is in the table of the specification, or is a value
/// that Go has for the architecture.
pub(super) fn is_variant(architecture: &str, variant: &str) -> bool {
    let number = |text: &str| {
        !text.is_empty() && text.len() <= 2 && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    let step = |prefix: &str| variant.strip_prefix(prefix);
    match architecture {
        "arm" => matches!(variant, "v5" | "v6" | "v7" | "v8"),
        "arm64" => step("v").is_some_and(|step| match step.split_once('.') {
            Some((major, minor)) => matches!(major, "8" | "9") && number(minor),
            None => matches!(step, "8" | "9"),
        }),
        "amd64" => matches!(variant, "v1" | "v2" | "v3" | "v4"),
        "386" => matches!(variant, "sse2" | "softfloat"),
        "ppc64" | "ppc64le" => step("power").is_some_and(number),
        "riscv64" => step("rva").and_then(|step| step.strip_suffix("u64")).is_some_and(number),
        "mips" | "mipsle" | "mips64" | "mips64le" => matches!(variant, "hardfloat" | "softfloat"),
        "wasm" => matches!(variant, "satconv" | "signext"),
        _ => false,
    }
}

/// Judges the `platform` of a descriptor.
pub(super) fn judge(judge: &mut Judge, tree: &Tree, at: &str) {
    if tree.members().is_none() {
        judge.find_as(&table::IX14, Level::Error, at, tree.kind(), "an object");
        judge.find_as(&table::IX16, Level::Error, at, tree.kind(), "an object");
        return;
    }
    judge.lookalikes(tree, at, &["architecture", "os", "os.version", "os.features", "variant"]);
    let told = |tree: &Tree, name: &str| tree.get(name).map_or("none".to_owned(), value);
    let architecture = tree.get("architecture").and_then(Tree::text);
    match architecture {
        None => judge.find(&table::IX14, at, told(tree, "architecture")),
        Some(name) if !is_architecture(name) => {
            let here = format!("{at}/architecture");
            judge.find_as(&table::IX15, unknown(name), &here, shown(name), table::IX15.text);
        }
        Some(_) => {}
    }
    match tree.get("os").and_then(Tree::text) {
        None => judge.find(&table::IX16, at, told(tree, "os")),
        Some(name) if !is_os(name) => {
            let here = format!("{at}/os");
            judge.find_as(&table::IX17, unknown(name), &here, shown(name), table::IX17.text);
        }
        Some(_) => {}
    }
    match tree.get("variant") {
        None => {}
        Some(Tree::Text(variant)) => {
            if let Some(architecture) = architecture
                && !variant.is_empty()
                && !is_variant(architecture, variant)
            {
                judge.find(&table::IX22, &format!("{at}/variant"), shown(variant));
            }
        }
        Some(other) => judge.wrong(&format!("{at}/variant"), other.kind(), "a string"),
    }
    refinements(judge, tree, at, false);
    if tree.get("features").is_some() {
        judge.find(&table::IX23, &format!("{at}/features"), "a member that is reserved");
    }
}

/// The platform, as far as it is one; of a descriptor or of a config.
pub(super) fn read(tree: &Tree) -> Option<Platform> {
    let text = |name: &str| text_of(tree, name).map(str::to_owned);
    let mut platform = Platform::new(&text("os")?, &text("architecture")?);
    platform.variant = text("variant");
    platform.os_version = text("os.version");
    let features = tree.get("os.features").and_then(Tree::elements).unwrap_or_default();
    platform.os_features = features.iter().filter_map(Tree::text).map(str::to_owned).collect();
    Some(platform)
}

/// Version and features of the operating system; `null` is allowed in configs.
pub(super) fn refinements(judge: &mut Judge, tree: &Tree, at: &str, null: bool) {
    match tree.get("os.version") {
        None | Some(Tree::Text(_)) => {}
        Some(Tree::Null) if null => {}
        Some(other) => judge.wrong(&format!("{at}/os.version"), other.kind(), "a string"),
    }
    match tree.get("os.features") {
        None => {}
        Some(Tree::Null) if null => {}
        Some(features) => strings(judge, features, &format!("{at}/os.features")),
    }
}

/// An array of strings.
pub(super) fn strings(judge: &mut Judge, tree: &Tree, at: &str) {
    let Some(elements) = tree.elements() else {
        return judge.wrong(at, tree.kind(), "an array of strings");
    };
    for (position, element) in elements.iter().enumerate() {
        if element.text().is_none() {
            judge.wrong(&format!("{at}/{position}"), element.kind(), "a string");
        }
    }
}
