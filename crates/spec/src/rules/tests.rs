//! The table against the list of ids, and the examples against the judge.

use plimsoll_content::json::{self, Tree};

use super::*;

const DIGEST: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

/// Every id there is. A rule is added here and in its table; none is renamed.
const IDS: &str = "
    DE3 DE4 DE5 DE7 DE9 DE11 DE12 DE13 DE14 DE15 DE17 DE19 DE20 DE21 DE22 DE23 DE30 DE31 DE33 DE34
    DE37 DE38 DE43
    LA2 LA4 LA5 LA6 LA8 LA9 LA11 LA12 LA13 LA14
    MA1 MA2 MA3 MA4 MA5 MA6 MA7 MA10 MA14 MA15 MA16 MA17 MA18 MA19 MA25 MA28 MA30 MA32 MA33 MA34
    IX2 IX3 IX4 IX5 IX6 IX7 IX10 IX13 IX14 IX15 IX16 IX17 IX22 IX23 IX26
    LY1 LY2 LY12 LY20 LY21 LY24 LY29
    CF4 CF5 CF6 CF9 CF11 CF12 CF13 CF15 CF16 CF17 CF19 CF20 CF22 CF23
    AN1 AN2 AN3 AN4 AN5 AN6 AN7 AN9 AN12 AN15 AN16 AN19
    CO4 CO5 CO6 CO7
    AG1";

#[test]
fn the_ids_are_those_of_the_list() {
    let listed: Vec<_> = IDS.split_ascii_whitespace().collect();
    let there: Vec<_> = all().map(|rule| rule.id).collect();
    assert_eq!(there, listed);
    for rule in all() {
        assert!(!rule.parties.is_empty() && rule.text.ends_with('.'), "{}", rule.id);
        assert!(rule.section.contains(".md"), "{}", rule.id);
        assert_eq!(find(&rule.id.to_lowercase()), Some(rule));
    }
}

fn base(about: About) -> Option<(Kind, String)> {
    let config = format!(
        r#"{{"digest":"{DIGEST}","mediaType":"application/vnd.oci.image.config.v1+json","size":2}}"#
    );
    let layer = format!(
        r#"{{"digest":"{DIGEST}","mediaType":"application/vnd.oci.image.layer.v1.tar","size":2}}"#
    );
    let index = r#"{"manifests":[],"mediaType":"application/vnd.oci.image.index.v1+json","schemaVersion":2}"#;
    Some(match about {
        About::Descriptor => {
            (Kind::Descriptor, format!(r#"{{"digest":"{DIGEST}","mediaType":"a/b","size":2}}"#))
        }
        About::Manifest => (
            Kind::Manifest,
            format!(
                r#"{{"config":{config},"layers":[{layer}],"mediaType":"application/vnd.oci.image.manifest.v1+json","schemaVersion":2}}"#
            ),
        ),
        About::Index => (Kind::Index, index.to_owned()),
        About::LayoutIndex => (Kind::LayoutIndex, index.to_owned()),
        About::Config => (
            Kind::Config,
            r#"{"architecture":"amd64","os":"linux","rootfs":{"diff_ids":[],"type":"layers"}}"#
                .to_owned(),
        ),
        About::LayoutHeader => (Kind::LayoutHeader, r#"{"imageLayoutVersion":"1.0.0"}"#.to_owned()),
        About::Document | About::Layer | About::Layout | About::Image => return None,
    })
}

/// The base with the members of the example, or without one.
fn example(rule: &Rule, text: &str) -> Option<(Kind, Vec<u8>)> {
    if rule.about == About::Document {
        // In words, as no string of ours can hold it.
        let broken = text.contains("as the byte FC");
        let kind = if rule.id.starts_with("AN") { Kind::Descriptor } else { Kind::LayoutHeader };
        let bytes = if broken { text.replace('ü', "\u{1}").into_bytes() } else { text.into() };
        return Some((kind, bytes.iter().map(|b| if *b == 1 { 0xfc } else { *b }).collect()));
    }
    let (kind, base) = base(rule.about)?;
    let mut whole: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(&base).expect("a base");
    if let Some(member) = text.strip_prefix("without ") {
        whole.remove(member).expect("a member of the base");
    } else if let Ok(members) = serde_json::from_str::<serde_json::Map<_, _>>(text) {
        whole.extend(members);
    } else {
        return Some((kind, text.into()));
    }
    Some((kind, serde_json::to_vec(&whole).expect("written")))
}

#[test]
fn bases_are_without_any_finding() {
    for about in [
        About::Descriptor,
        About::Manifest,
        About::Index,
        About::LayoutIndex,
        About::Config,
        About::LayoutHeader,
    ] {
        let (kind, text) = base(about).expect("a base");
        let report = validate(text.as_bytes(), kind);
        assert!(report.findings.is_empty(), "{about:?}: {:?}", report.findings);
    }
}

#[test]
fn examples_are_what_they_say() {
    let mut tried = 0;
    for rule in all() {
        let Some((kind, good)) = example(rule, rule.good) else { continue };
        let report = validate(&good, kind);
        assert!(!report.breaks(rule.id), "{}: good: {:?}", rule.id, report.findings);
        let (kind, bad) = example(rule, rule.bad).expect("the same kind");
        let report = validate(&bad, kind);
        assert!(report.breaks(rule.id), "{}: bad: {:?}", rule.id, report.findings);
        tried += 1;
    }
    assert!(tried > 75, "{tried}");
}

#[test]
fn goes_on_behind_everything_and_tells_where() {
    let text = r#"{"schemaVersion":1,"mediaType":"x","config":{"size":-1,"digest":"SHA256:00"},
        "layers":[null,{"mediaType":"a b","digest":"sha256:AB","size":1.5}],"annotations":{"a":1,"a":2}}"#;
    let report = validate(text.as_bytes(), Kind::Manifest);
    let told: Vec<_> = report
        .findings
        .iter()
        .filter_map(|one| Some((one.rule?.id, one.pointer.clone()?)))
        .collect();
    for wanted in [
        ("CO7", "/annotations/a"),
        ("AN3", "/annotations/a"),
        ("MA2", "/schemaVersion"),
        ("MA4", "/mediaType"),
        ("DE3", "/config"),
        ("DE9", "/config/size"),
        ("DE21", "/config/digest"),
        ("MA18", "/layers/0"),
        ("DE4", "/layers/1/mediaType"),
        ("MA28", "/layers/1/mediaType"),
        ("DE30", "/layers/1/digest"),
        ("DE31", "/layers/1/digest"),
        ("DE7", "/layers/1/size"),
        ("AN1", "/annotations/a"),
        ("MA30", "/annotations/a"),
    ] {
        assert!(told.contains(&(wanted.0, wanted.1.to_owned())), "{wanted:?} in {told:?}");
    }
    assert!(!report.is_valid());
}

#[test]
fn memory_is_bounded() {
    let entries = vec![r#"{"digest":"x","size":-1}"#; 10_000].join(",");
    let text = format!(r#"{{"schemaVersion":2,"manifests":[{entries}]}}"#);
    let report = validate(text.as_bytes(), Kind::Index);
    assert!(report.findings.len() < 100, "{}", report.findings.len());
    assert!(report.findings.iter().any(|one| one.found == "9980 more of these"));
}

#[test]
fn docker_documents_follow_their_own_rules() {
    let text = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json",
        "config":{{"mediaType":"application/vnd.docker.container.image.v1+json","digest":"{DIGEST}","size":2}},
        "layers":[{{"mediaType":"application/vnd.docker.image.rootfs.diff.tar.gzip","digest":"{DIGEST}","size":2}}]}}"#
    );
    let report = validate(text.as_bytes(), Kind::DockerManifest);
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    // The same document is no OCI manifest.
    assert!(validate(text.as_bytes(), Kind::Manifest).breaks("MA4"));
    let untyped =
        text.replace(r#""mediaType":"application/vnd.docker.distribution.manifest.v2+json","#, "");
    let report = validate(untyped.as_bytes(), Kind::DockerManifest);
    assert!(!report.is_valid() && report.findings.iter().all(|one| one.rule.is_none()));
}

#[test]
fn what_reading_refuses_is_told() {
    for (text, kind) in [
        (r#"{"imageLayoutVersion":"1.0.0","ImageLayoutVersion":"2.0.0"}"#, Kind::LayoutHeader),
        (
            r#"{"architecture":"amd64","os":"linux","RootFS":{},"rootfs":{"type":"layers","diff_ids":[]}}"#,
            Kind::Config,
        ),
        (
            r#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]},"history":7}"#,
            Kind::Config,
        ),
    ] {
        assert!(!validate(text.as_bytes(), kind).is_valid(), "{text}");
    }
    let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
    let report = validate(deep.as_bytes(), Kind::Index);
    assert!(report.findings.iter().any(|one| one.code == plimsoll_content::Code::Limit));
}

#[test]
fn trees_of_any_bytes_are_judged_without_a_panic() {
    use proptest::prelude::*;
    let words: Vec<&str> = r#"{ } [ ] , : "a" "size" "digest" "sha256:x" "layers" "manifests" "config" "rootfs" "history" "annotations" null true -1 1e999 2 "mediaType" "platform" "os" "data" "e30=" "urls""#
        .split(' ')
        .collect();
    proptest!(|(picked in prop::collection::vec(prop::sample::select(words), 0..40))| {
        let text = picked.concat();
        for kind in [
            Kind::Descriptor, Kind::Manifest, Kind::Index, Kind::LayoutIndex, Kind::Config,
            Kind::LayoutHeader, Kind::DockerManifest, Kind::DockerManifestList, Kind::DockerConfig,
        ] {
            let report = validate(text.as_bytes(), kind);
            // What reads is what the judge took for a document too.
            if json::survey(text.as_bytes(), 64).tree.is_none() {
                prop_assert!(!report.is_valid());
            }
        }
    });
    assert_eq!(json::survey(b"1", 64).tree, Some(Tree::Number("1".to_owned())));
}
