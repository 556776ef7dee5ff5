//! Which entry of an index is for a platform (`image-index.md`).
//!
//! One level only: an entry may be another index, which whoever can fetch it
//! asks again. Entries without a platform are never chosen here; what they
//! run on stands in their config, which again takes fetching.

use plimsoll_content::{Code, Descriptor, Error, Platform, Result};

use crate::Index;
use crate::graph::Node;

/// How many of the platforms that are there an error lists.
const SHOWN: usize = 12;

/// Whether something made for `offered` runs where `wanted` is asked for.
///
/// Operating system and architecture must be equal, aliases resolved: a
/// 64-bit processor that also runs 32-bit programs is no reason to choose
/// them unasked. The variant must be equal, or be one that the wanted one
/// includes (IX21): arm v7 runs v6 and v5, amd64 v3 runs v2 and v1, arm64
/// v9.0 runs v8.5. Features that are demanded must all be wanted (IX19,
/// IX20); a wanted version of the operating system must be equal (IX18).
pub fn matches(wanted: &Platform, offered: &Platform) -> bool {
    rank(wanted, offered).is_some()
}

/// The entry for `platform`: the one of the nearest variant, and of several
/// such the first (IX24).
///
/// Entries of a media type that is unknown here are no error and stand back
/// (IX12): one of them is chosen only where no image fits, so that whoever
/// looks into it can tell what it is.
pub fn select<'a>(index: &'a Index, platform: &Platform) -> Option<&'a Descriptor> {
    let known = |entry: &&Descriptor| Node::is_document(&entry.media_type);
    let entries = index.manifests.iter();
    nearest(entries.clone().filter(known), platform).or_else(|| nearest(entries, platform))
}

fn nearest<'a>(
    entries: impl Iterator<Item = &'a Descriptor>,
    platform: &Platform,
) -> Option<&'a Descriptor> {
    let mut best: Option<(u32, &Descriptor)> = None;
    for entry in entries {
        let Some(rank) = entry.platform.as_ref().and_then(|offered| rank(platform, offered)) else {
            continue;
        };
        if best.is_none_or(|(highest, _)| rank > highest) {
            best = Some((rank, entry));
        }
    }
    best.map(|(_, entry)| entry)
}

/// As [`select`], with an error ([`Code::Platform`]) that lists what is there.
pub fn require<'a>(index: &'a Index, platform: &Platform) -> Result<&'a Descriptor> {
    select(index, platform).ok_or_else(|| {
        let there = platforms(index);
        let unsaid = index.manifests.iter().filter(|entry| entry.platform.is_none()).count();
        let mut found = there.iter().take(SHOWN).cloned().collect::<Vec<_>>();
        if there.len() > SHOWN {
            found.push(format!("{} more", there.len() - SHOWN));
        }
        match unsaid {
            0 if found.is_empty() => found.push("none".to_owned()),
            0 => {}
            1 => found.push("1 entry that does not say".to_owned()),
            _ => found.push(format!("{unsaid} entries that do not say")),
        }
        let error = Error::new(Code::Platform, "choosing an entry of an index by platform")
            .found(found.join(", "))
            .expected(platform);
        match there.first() {
            Some(first) => error.fix(format!("--platform {first}   takes what is there")),
            None => error,
        }
    })
}

/// The platforms that an index has something for, each once, in its order,
/// harmless to print.
pub fn platforms(index: &Index) -> Vec<String> {
    let mut there: Vec<String> = Vec::new();
    for platform in index.manifests.iter().filter_map(|entry| entry.platform.as_ref()) {
        let text = platform.to_string().escape_debug().to_string();
        if !there.contains(&text) {
            there.push(text);
        }
    }
    there
}

/// How near the offered variant is to the wanted one, more being nearer;
/// `None` if it does not run there.
fn rank(wanted: &Platform, offered: &Platform) -> Option<u32> {
    let (wanted, offered) = (wanted.normalized(), offered.normalized());
    if wanted.os != offered.os || wanted.architecture != offered.architecture {
        return None;
    }
    if !offered.os_features.iter().all(|feature| wanted.os_features.contains(feature)) {
        return None;
    }
    if wanted.os_version.is_some() && wanted.os_version != offered.os_version {
        return None;
    }
    if wanted.variant == offered.variant {
        return Some(u32::MAX);
    }
    let architecture = wanted.architecture.as_str();
    let most = level(architecture, wanted.variant.as_deref())?;
    let level = level(architecture, offered.variant.as_deref())?;
    let fits = match (most, level) {
        // Armv9.n includes Armv8.(n + 5), and nothing of Armv8 beyond that.
        ((9, most), (8, minor)) if architecture == "arm64" => minor <= most + 5,
        _ => level <= most,
    };
    fits.then_some(level.0 * 1000 + level.1)
}

/// Major and minor step of a variant in its family, where later ones include
/// earlier ones; without a variant it is the first of the family that Go
/// builds for.
fn level(architecture: &str, variant: Option<&str>) -> Option<(u32, u32)> {
    let (prefix, first, suffix) = match architecture {
        "amd64" => ("v", 1, ""),
        "arm" => ("v", 7, ""),
        "arm64" => ("v", 8, ""),
        "ppc64le" => ("power", 8, ""),
        "riscv64" => ("rva", 20, "u64"),
        _ => return None,
    };
    let Some(variant) = variant else {
        return Some((first, 0));
    };
    let step = variant.strip_prefix(prefix)?.strip_suffix(suffix)?;
    let (major, minor) = step.split_once('.').unwrap_or((step, "0"));
    let number = |text: &str| -> Option<u32> {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        (digits && text.len() <= 3).then(|| text.parse().ok()).flatten()
    };
    Some((number(major)?, number(minor)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_variants_have_no_step() {
        for variant in ["", "v", "v+7", "7v", "v7.", "v.7", "v9999", "vé", "rva20"] {
            for architecture in ["amd64", "arm", "arm64", "ppc64le", "riscv64", "x"] {
                assert_eq!(level(architecture, Some(variant)), None, "{architecture}/{variant}");
            }
        }
        assert_eq!(level("arm64", Some("v8.5")), Some((8, 5)));
        assert_eq!(level("riscv64", Some("rva22u64")), Some((22, 0)));
    }
}
