//! Which entry of an index is for a platform (`image-index.md`).

use plimsoll_content::{Descriptor, Platform};

use crate::Index;

/// Whether something made for `offered` runs where `wanted` is asked for.
///
/// Operating system and architecture must be equal, aliases resolved. The
/// variant must be equal, or be one that the wanted one includes: arm v7 runs
/// v6 and v5, amd64 v3 runs v2 and v1. Features that are demanded must all be
/// wanted (IX20); a wanted version of the operating system must be equal.
pub fn matches(wanted: &Platform, offered: &Platform) -> bool {
    rank(wanted, offered).is_some()
}

/// The entry for `platform`: the one of the nearest variant, and of several
/// such the first (IX24). Entries without a platform are never chosen here.
pub fn select<'a>(index: &'a Index, platform: &Platform) -> Option<&'a Descriptor> {
    let mut best: Option<(u32, &Descriptor)> = None;
    for entry in &index.manifests {
        let Some(distance) = entry.platform.as_ref().and_then(|offered| rank(platform, offered))
        else {
            continue;
        };
        if best.is_none_or(|(nearest, _)| distance < nearest) {
            best = Some((distance, entry));
        }
    }
    best.map(|(_, entry)| entry)
}

/// How far the offered variant is from the wanted one; `None` if it does not
/// run there.
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
        return Some(0);
    }
    // Only families whose later members include the earlier ones have steps.
    let first = match wanted.architecture.as_str() {
        "amd64" => 1,
        "arm" => 5,
        "arm64" => 8,
        _ => return None,
    };
    let (wanted, offered) =
        (level(wanted.variant.as_deref(), first)?, level(offered.variant.as_deref(), first)?);
    wanted.checked_sub(offered)
}

/// `v7` as 700, `v8.1` as 801; the first of the family where none is said.
fn level(variant: Option<&str>, first: u32) -> Option<u32> {
    let Some(variant) = variant else {
        return Some(first * 100);
    };
    let (major, minor) = variant.strip_prefix('v')?.split_once('.').unwrap_or((&variant[1..], "0"));
    let (major, minor): (u32, u32) = (major.parse().ok()?, minor.parse().ok()?);
    (major < 1000 && minor < 100).then_some(major * 100 + minor)
}

#[cfg(test)]
mod tests {
    use plimsoll_content::{Algorithm, Descriptor};

    use super::*;
    use crate::media_type;

    fn platform(text: &str) -> Platform {
        text.parse().expect("a platform")
    }

    #[test]
    fn variants_include_earlier_ones() {
        for (wanted, offered, fits) in [
            ("linux/amd64", "linux/amd64", true),
            ("linux/amd64", "linux/arm64", false),
            ("linux/arm/v7", "linux/arm/v6", true),
            ("linux/arm/v6", "linux/arm/v7", false),
            ("linux/amd64/v3", "linux/amd64", true),
            ("linux/amd64", "linux/amd64/v3", false),
            ("linux/arm64/v8.2", "linux/arm64", true),
            ("linux/arm64", "linux/arm64/v8", true),
            ("linux/riscv64", "linux/riscv64/rva20u64", false),
            ("windows/amd64", "linux/amd64", false),
        ] {
            assert_eq!(
                matches(&platform(wanted), &platform(offered)),
                fits,
                "{wanted} on {offered}"
            );
        }
    }

    #[test]
    fn ix24_takes_the_nearest_and_of_equals_the_first() {
        let entry = |text: &str, bytes: &[u8]| Descriptor {
            platform: Some(platform(text)),
            ..Descriptor::of(media_type::MANIFEST, Algorithm::Sha256, bytes)
        };
        let demanding = Descriptor {
            platform: Some(Platform {
                os_features: vec!["erofs".into()],
                ..platform("linux/amd64")
            }),
            ..Descriptor::of(media_type::MANIFEST, Algorithm::Sha256, b"0")
        };
        let index = Index::new(vec![
            Descriptor { platform: None, ..entry("linux/arm", b"x") },
            demanding,
            entry("linux/arm/v6", b"1"),
            entry("linux/arm/v7", b"2"),
            entry("linux/arm/v7", b"3"),
            entry("linux/amd64", b"4"),
        ]);
        let chosen = |text| select(&index, &platform(text)).map(|entry| entry.digest.clone());
        assert_eq!(chosen("linux/arm"), Some(index.manifests[3].digest.clone()));
        assert_eq!(chosen("linux/arm/v6"), Some(index.manifests[2].digest.clone()));
        assert_eq!(chosen("linux/amd64"), Some(index.manifests[5].digest.clone()));
        assert_eq!(chosen("linux/s390x"), None);
    }
}
