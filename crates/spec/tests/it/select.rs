//! Choosing by platform.

use plimsoll_content::{Algorithm, Code, Descriptor, Platform};
use plimsoll_spec::select::{matches, platforms, require, select};
use plimsoll_spec::{Index, media_type};

fn platform(text: &str) -> Platform {
    text.parse().expect("a platform")
}

/// An index with one entry for each platform; `-` is an entry without one.
fn index(entries: &[&str]) -> Index {
    let entry = |(position, text): (usize, &&str)| Descriptor {
        platform: (*text != "-").then(|| {
            // As others write it, aliases included.
            let mut parts = text.split('/');
            let mut part = || parts.next().map(str::to_owned);
            let (os, architecture) = (part().expect("os"), part().expect("architecture"));
            Platform { variant: part(), ..Platform::new(&os, &architecture) }
        }),
        ..Descriptor::of(media_type::MANIFEST, Algorithm::Sha256, &[position as u8])
    };
    Index::new(entries.iter().enumerate().map(entry).collect())
}

#[track_caller]
fn chosen(index: &Index, wanted: &Platform) -> Option<usize> {
    let found = select(index, wanted)?;
    index.manifests.iter().position(|entry| entry.digest == found.digest)
}

#[test]
fn ix21_variants_include_earlier_ones() {
    for (wanted, offered, fits) in [
        ("linux/amd64", "linux/amd64", true),
        ("linux/amd64", "linux/arm64", false),
        ("linux/amd64", "linux/386", false),
        ("linux/arm64", "linux/arm/v7", false),
        ("windows/amd64", "linux/amd64", false),
        ("linux/amd64/v3", "linux/amd64", true),
        ("linux/amd64/v3", "linux/amd64/v2", true),
        ("linux/amd64", "linux/amd64/v2", false),
        ("linux/arm/v7", "linux/arm/v6", true),
        ("linux/arm/v7", "linux/arm/v5", true),
        ("linux/arm/v6", "linux/arm/v7", false),
        ("linux/arm/v6", "linux/arm", false),
        ("linux/arm64/v8.2", "linux/arm64", true),
        ("linux/arm64/v8.2", "linux/arm64/v8.10", false),
        ("linux/arm64/v8.10", "linux/arm64/v8.2", true),
        ("linux/arm64", "linux/arm64/v8", true),
        ("linux/arm64", "linux/arm64/v8.1", false),
        ("linux/arm64/v9", "linux/arm64/v8.5", true),
        ("linux/arm64/v9", "linux/arm64/v8.6", false),
        ("linux/arm64/v9.1", "linux/arm64/v8.6", true),
        ("linux/arm64/v8.9", "linux/arm64/v9", false),
        ("linux/riscv64", "linux/riscv64/rva20u64", true),
        ("linux/riscv64/rva20u64", "linux/riscv64", true),
        ("linux/riscv64/rva22u64", "linux/riscv64/rva20u64", true),
        ("linux/riscv64/rva20u64", "linux/riscv64/rva22u64", false),
        ("linux/ppc64le/power9", "linux/ppc64le", true),
        ("linux/ppc64le/power9", "linux/ppc64le/power10", false),
        ("linux/ppc64le/power10", "linux/ppc64le/power9", true),
        ("linux/mips64le/hardfloat", "linux/mips64le/hardfloat", true),
        ("linux/mips64le", "linux/mips64le/hardfloat", false),
        ("linux/amd64/odd", "linux/amd64/odd", true),
        ("linux/amd64/odd", "linux/amd64", false),
        ("linux/amd64/v3", "linux/amd64/odd", false),
    ] {
        assert_eq!(matches(&platform(wanted), &platform(offered)), fits, "{offered} on {wanted}");
    }
}

#[test]
fn ix24_the_first_of_several() {
    let index = index(&["linux/arm64", "linux/amd64", "linux/amd64", "linux/x86_64"]);
    assert_eq!(chosen(&index, &platform("linux/amd64")), Some(1));
}

#[test]
fn the_nearest_variant_before_the_first() {
    let index = index(&["-", "linux/arm/v5", "linux/arm/v6", "linux/arm/v7", "linux/arm"]);
    for (wanted, expected) in [
        ("linux/arm", Some(3)),
        ("linux/arm/v8", Some(3)),
        ("linux/arm/v7", Some(3)),
        ("linux/arm/v6", Some(2)),
        ("linux/arm/v5", Some(1)),
        ("linux/arm64", None),
    ] {
        assert_eq!(chosen(&index, &platform(wanted)), expected, "{wanted}");
    }
}

#[test]
fn aliases_are_resolved_on_both_sides() {
    let index = index(&["linux/aarch64", "Linux/X86_64", "linux/armhf"]);
    assert_eq!(chosen(&index, &platform("linux/arm64/v8")), Some(0));
    assert_eq!(chosen(&index, &platform("linux/amd64")), Some(1));
    assert_eq!(chosen(&index, &platform("linux/arm/v7")), Some(2));
}

#[test]
fn ix19_ix20_a_feature_that_is_not_there_excludes_an_entry() {
    let mut index = index(&["linux/amd64", "linux/amd64"]);
    let demanding = index.manifests[0].platform.as_mut().expect("there");
    demanding.os_features = vec!["erofs".to_owned()];
    let mut wanted = platform("linux/amd64");
    assert_eq!(chosen(&index, &wanted), Some(1));
    wanted.os_features = vec!["other".to_owned(), "erofs".to_owned()];
    assert_eq!(chosen(&index, &wanted), Some(0));
}

#[test]
fn ix18_a_version_counts_where_it_is_asked_for() {
    let mut index = index(&["windows/amd64", "windows/amd64"]);
    for (entry, version) in index.manifests.iter_mut().zip(["10.0.14393.1066", "10.0.17763.1"]) {
        entry.platform.as_mut().expect("there").os_version = Some(version.to_owned());
    }
    let mut wanted = platform("windows/amd64");
    assert_eq!(chosen(&index, &wanted), Some(0));
    wanted.os_version = Some("10.0.17763.1".to_owned());
    assert_eq!(chosen(&index, &wanted), Some(1));
}

#[test]
fn an_error_lists_what_is_there_and_is_harmless_to_print() {
    let wanted = platform("linux/s390x");
    let text = |entries: &[&str]| {
        let error = require(&index(entries), &wanted).expect_err("not there");
        assert_eq!(error.code(), Code::Platform);
        (error.found_text().expect("said").to_owned(), error.fix_text().map(str::to_owned))
    };
    assert_eq!(text(&[]), ("none".to_owned(), None));
    let (found, fix) = text(&["linux/arm/v7", "linux/amd64", "linux/amd64", "-", "-"]);
    assert_eq!(found, "linux/arm/v7, linux/amd64, 2 entries that do not say");
    assert!(fix.expect("said").contains("--platform linux/arm/v7"));
    assert_eq!(text(&["-"]).0, "1 entry that does not say");
    let many: Vec<_> = (0..20).map(|n| format!("linux/x{n}")).collect();
    let (found, _) = text(&many.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(found.ends_with("linux/x11, 8 more"), "{found}");
    let hostile = index(&["linux\u{1b}[31m\n/\u{202e}x"]);
    assert!(platforms(&hostile)[0].chars().all(|letter| !letter.is_control()));
    assert!(!platforms(&hostile)[0].contains('\u{202e}'));
    assert!(require(&index(&["linux/s390x"]), &wanted).is_ok());
}

#[test]
fn ix12_entries_of_unknown_types_stand_back() {
    let mut index = index(&["linux/amd64", "linux/amd64"]);
    index.manifests[0].media_type = "application/vnd.example.thing".into();
    let wanted = platform("linux/amd64");
    assert_eq!(chosen(&index, &wanted), Some(1));
    index.manifests[1].media_type = "application/vnd.example.thing".into();
    assert_eq!(chosen(&index, &wanted), Some(0), "to be told what it is");
}
