//! Lists: tags and repositories in pages, referrers.

use serde_json::{Value, json};

use crate::{INDEX, MANIFEST, Registry, descriptor, sha256};

#[test]
pub(crate) fn tags_come_in_order_and_in_pages() {
    let registry = Registry::new();
    registry.get("/v2/a/tags/list").refused(404, "NAME_UNKNOWN");
    let (manifest, _) = registry.image("a", None, b"layer");
    assert_eq!(registry.get("/v2/a/tags/list").is(200).json(), json!({"name": "a", "tags": []}));
    for tag in ["v10", "V1", "v2", "_x", "a..b-"] {
        registry.put("a", tag, MANIFEST, &manifest).is(201);
    }
    let all = ["V1", "_x", "a..b-", "v10", "v2"];
    let answer = registry.get("/v2/a/tags/list");
    assert_eq!(answer.is(200).json()["tags"], json!(all));
    assert_eq!(answer.header("link"), "");
    let mut next = "/v2/a/tags/list?n=2".to_owned();
    let mut seen: Vec<Value> = Vec::new();
    let mut pages = 0;
    while !next.is_empty() {
        let answer = registry.get(&next);
        let tags = answer.is(200).json()["tags"].as_array().cloned().expect("a list");
        assert!(tags.len() <= 2);
        seen.extend(tags);
        pages += 1;
        let link = answer.header("link");
        let link = link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\""));
        next = link.unwrap_or_default().to_owned();
    }
    assert_eq!((json!(seen), pages), (json!(all), 3));
    let listed = |query: &str| {
        registry.get(&format!("/v2/a/tags/list?{query}")).is(200).json()["tags"].clone()
    };
    assert_eq!(listed("last=a..b-"), json!(["v10", "v2"]));
    assert_eq!(listed("last=between"), json!(["v10", "v2"]), "it need not be there");
    assert_eq!(listed("n=0"), json!([]));
    assert_eq!(listed("n=100000&last=v2"), json!([]));
    registry.get("/v2/a/tags/list?n=x").refused(400, "UNSUPPORTED");
}

#[test]
pub(crate) fn the_catalogue_has_the_repositories_that_hold_manifests() {
    let registry = Registry::new();
    for name in ["org", "org/app", "org/app/blobs", "b"] {
        registry.image(name, Some("v1"), b"layer");
    }
    registry.blob("only-a-blob", b"x");
    let listed = |query: &str| registry.get(&format!("/v2/_catalog{query}"));
    assert_eq!(
        listed("").is(200).json()["repositories"],
        json!(["b", "org", "org/app", "org/app/blobs"])
    );
    let page = listed("?n=2");
    assert_eq!(page.json()["repositories"], json!(["b", "org"]));
    assert_eq!(page.header("link"), "</v2/_catalog?n=2&last=org>; rel=\"next\"");
    assert_eq!(listed("?last=org/app").json()["repositories"], json!(["org/app/blobs"]));
    if !registry.in_folder() {
        return;
    }
    // Each of them is a layout of its own.
    for layout in ["org", "org/app", "org/app/_blobs"] {
        plimsoll_store::Layout::open(&registry.root().join(layout)).expect("a layout");
    }
}

#[test]
pub(crate) fn referrers_are_listed_before_and_after_their_subject() {
    let registry = Registry::new();
    let subject = registry.parts("a", b"layer").to_string().into_bytes();
    let digest = sha256(&subject);
    let referrers = |query: &str| registry.get(&format!("/v2/a/referrers/{digest}{query}"));
    let none = referrers("");
    assert_eq!(none.is(200).header("content-type"), INDEX);
    assert_eq!(none.json()["manifests"], json!([]));
    assert_eq!(
        (&none.json()["schemaVersion"], &none.json()["mediaType"]),
        (&json!(2), &json!(INDEX))
    );
    let about = |extra: Value| {
        let mut manifest = registry.parts("a", b"note");
        manifest["subject"] = descriptor(MANIFEST, &subject);
        for (name, value) in extra.as_object().expect("members") {
            manifest[name] = value.clone();
        }
        manifest.to_string().into_bytes()
    };
    let typed =
        about(json!({"artifactType": "application/vnd.example.note", "annotations": {"a": "b"}}));
    let plain = about(json!({"annotations": {"c": "d"}}));
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [], "artifactType": "application/vnd.example.set",
        "subject": descriptor(MANIFEST, &subject)}).to_string().into_bytes();
    for (media_type, bytes) in [(MANIFEST, &typed), (MANIFEST, &plain), (INDEX, &index)] {
        let put = registry.put("a", &sha256(bytes).to_string(), media_type, bytes);
        assert_eq!(put.is(201).header("oci-subject"), digest.to_string());
    }
    let mut expected = [
        (&typed, MANIFEST, "application/vnd.example.note", Some(json!({"a": "b"}))),
        // What its config is, where it says nothing itself.
        (&plain, MANIFEST, "application/vnd.oci.empty.v1+json", Some(json!({"c": "d"}))),
        (&index, INDEX, "application/vnd.example.set", None),
    ]
    .map(|(bytes, media_type, kind, annotations)| {
        let mut listed = descriptor(media_type, bytes);
        listed["artifactType"] = json!(kind);
        if let Some(annotations) = annotations {
            listed["annotations"] = annotations;
        }
        listed
    });
    expected.sort_by_key(|listed| listed["digest"].to_string());
    assert_eq!(referrers("").is(200).json()["manifests"], json!(expected));
    registry.put("a", "v1", MANIFEST, &subject).is(201);
    assert_eq!(referrers("").is(200).json()["manifests"], json!(expected));
    let filtered = referrers("?artifactType=application/vnd.example.note");
    assert_eq!(filtered.header("oci-filters-applied"), "artifactType");
    assert_eq!(filtered.json()["manifests"].as_array().map(Vec::len), Some(1));
    assert_eq!(referrers("?artifactType=application/none").json()["manifests"], json!([]));
    registry.delete(&format!("/v2/a/manifests/{}", sha256(&typed))).is(202);
    assert_eq!(referrers("").json()["manifests"].as_array().map(Vec::len), Some(2));
    registry.get(&format!("/v2/none/referrers/{digest}")).is(200);
    registry.get("/v2/a/referrers/v1").refused(400, "DIGEST_INVALID");
}
