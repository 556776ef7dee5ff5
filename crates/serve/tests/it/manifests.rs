//! Manifests: what is taken, what is refused, tags, referrers, removal.

use plimsoll_content::{Algorithm, Digest};
use plimsoll_serve::{Budget, Options};
use serde_json::{Value, json};

use crate::{INDEX, MANIFEST, Registry, descriptor, sha256};

#[test]
pub(crate) fn a_manifest_is_given_back_as_it_came_whatever_stands_in_it() {
    let registry = Registry::new();
    let mut manifest = registry.parts("a", b"layer");
    manifest["x-unknown"] = json!({"n": 1.50, "deep": [null]});
    // Odd but legal: blanks, the order of members, a number as it was written.
    let text = format!("\n{}  ", serde_json::to_string_pretty(&manifest).expect("JSON"));
    let put = registry.put("a", "v1", MANIFEST, text.as_bytes());
    let digest = sha256(text.as_bytes());
    assert_eq!(put.is(201).header("location"), format!("/v2/a/manifests/{digest}"));
    assert_eq!(put.header("docker-content-digest"), digest.to_string());
    assert_eq!(registry.get("/v2/a/manifests/v1").is(200).body, text.as_bytes());
}

#[test]
pub(crate) fn a_manifest_may_come_by_any_digest_and_with_tags() {
    let registry = Registry::new();
    let manifest = registry.parts("a", b"layer").to_string().into_bytes();
    for (number, algorithm) in
        [Algorithm::Sha256, Algorithm::Sha512, Algorithm::Blake3].into_iter().enumerate()
    {
        let digest = Digest::of(algorithm, &manifest);
        let reference = format!("{digest}?tag=x{number}&tag=y{number}&tag=x{number}");
        let put = registry.put("a", &reference, MANIFEST, &manifest);
        put.is(201);
        assert_eq!(put.headers["oci-tag"], [format!("x{number}"), format!("y{number}")]);
        for tag in ["x", "y"] {
            let answer = registry.get(&format!("/v2/a/manifests/{tag}{number}"));
            assert_eq!(answer.is(200).header("docker-content-digest"), digest.to_string());
        }
    }
    let wrong = sha256(b"other");
    registry.put("a", &wrong.to_string(), MANIFEST, &manifest).refused(400, "DIGEST_INVALID");
    registry.put("a", "md5:abc", MANIFEST, &manifest).refused(400, "DIGEST_INVALID");
    registry
        .put("a", &format!("{wrong}?tag=.x"), MANIFEST, &manifest)
        .refused(400, "MANIFEST_INVALID");
}

#[test]
pub(crate) fn what_it_leads_to_must_be_there() {
    let registry = Registry::new();
    let manifest = registry.parts("a", b"layer");
    let put = |name: &str, manifest: &Value| {
        registry.put(name, "v1", MANIFEST, manifest.to_string().as_bytes())
    };
    // In that very repository.
    let refused = put("b", &manifest);
    refused.refused(404, "MANIFEST_BLOB_UNKNOWN");
    registry.get("/v2/b/manifests/v1").is(404);
    let mut missing = manifest.clone();
    missing["layers"][0] = descriptor("application/vnd.oci.image.layer.v1.tar", b"other");
    put("a", &missing).refused(404, "MANIFEST_BLOB_UNKNOWN");
    let mut lies = manifest.clone();
    lies["layers"][0]["size"] = json!(4);
    put("a", &lies).refused(404, "MANIFEST_BLOB_UNKNOWN");
    // What may not be distributed lies elsewhere, what is embedded lies here.
    missing["layers"][0]["mediaType"] =
        json!("application/vnd.oci.image.layer.nondistributable.v1.tar");
    put("a", &missing).is(201);
    let mut embedded = manifest.clone();
    embedded["config"] = json!({"mediaType": "application/x", "data": "aGVsbG8=",
        "digest": sha256(b"hello").to_string(), "size": 5});
    put("a", &embedded).is(201);
    let index = json!({"schemaVersion": 2, "manifests": [descriptor(MANIFEST, b"none")]});
    registry
        .put("a", "v1", INDEX, index.to_string().as_bytes())
        .refused(404, "MANIFEST_BLOB_UNKNOWN");
    let sparse = Registry::with(Options { sparse: true, ..Options::default() });
    sparse.put("a", "v1", INDEX, index.to_string().as_bytes()).is(201);
}

#[test]
pub(crate) fn what_nobody_could_use_is_refused() {
    let registry = Registry::new();
    let manifest = registry.parts("a", b"layer");
    let text = manifest.to_string();
    let doubled =
        text.replacen("\"schemaVersion\":2", "\"schemaVersion\":2,\"schemaVersion\":2", 1);
    let mut both = manifest.clone();
    both["manifests"] = json!([]);
    for (media_type, bytes) in [
        (MANIFEST, String::new()),
        (MANIFEST, "{}".to_owned()),
        (MANIFEST, "[]".to_owned()),
        (MANIFEST, "<html>".to_owned()),
        (MANIFEST, doubled.clone()),
        (MANIFEST, both.to_string()),
        // It says of itself to be something else.
        (INDEX, text.clone()),
        ("application/vnd.example.other+json", text.clone()),
        ("application/vnd.example.other+json", "{\"a\":1,\"a\":2}".to_owned()),
        ("application/vnd.docker.distribution.manifest.v1+prettyjws", "{}".to_owned()),
        ("no type", text.clone()),
    ] {
        registry.put("a", "v1", media_type, bytes.as_bytes()).refused(400, "MANIFEST_INVALID");
    }
    registry.get("/v2/a/manifests/v1").is(404);
    let budget = Budget { manifest: 1 << 20, ..Budget::default() };
    let small = Registry::with(Options { budget, ..Options::default() });
    small.put("a", "v1", MANIFEST, &vec![b' '; (1 << 20) + 1]).refused(413, "SIZE_INVALID");
    // A kind that is not known here is kept as it is.
    let odd = b"{\"what\": [1.0, \"ever\"]}";
    registry.put("a", "odd", "application/vnd.example.other+json", odd).is(201);
    let answer = registry.get("/v2/a/manifests/odd");
    assert_eq!(
        (answer.is(200).header("content-type"), &answer.body[..]),
        ("application/vnd.example.other+json", &odd[..])
    );
    // Tools that were told nothing say nothing useful.
    let plain = registry.request("PUT", "/v2/a/manifests/plain", &[], text.as_bytes());
    plain.is(201);
    assert_eq!(registry.get("/v2/a/manifests/plain").header("content-type"), MANIFEST);
}

#[test]
pub(crate) fn manifests_of_four_megabytes_and_more_are_taken() {
    let registry = Registry::new();
    let mut manifest = registry.parts("a", b"layer");
    manifest["annotations"] = json!({"com.example.long": "x".repeat(5 << 20)});
    let bytes = manifest.to_string().into_bytes();
    registry.put("a", "v1", MANIFEST, &bytes).is(201);
    assert_eq!(registry.get("/v2/a/manifests/v1").is(200).body, bytes);
    // It is read again for the list of referrers and the like.
    registry.image("a", Some("v2"), b"other");
    registry.get("/v2/a/manifests/v1").is(200);
}

#[test]
pub(crate) fn a_tag_moves_and_what_it_stood_for_stays() {
    let registry = Registry::new();
    let (_, first) = registry.image("a", Some("v1"), b"first");
    let (_, second) = registry.image("a", Some("v1"), b"second");
    let tag = registry.get("/v2/a/manifests/v1");
    assert_eq!(tag.is(200).header("docker-content-digest"), second.to_string());
    registry.get(&format!("/v2/a/manifests/{first}")).is(200);
    registry.delete("/v2/a/manifests/v1").is(202);
    registry.get("/v2/a/manifests/v1").is(404);
    registry.delete("/v2/a/manifests/v1").refused(404, "MANIFEST_UNKNOWN");
    for digest in [&first, &second] {
        registry.get(&format!("/v2/a/manifests/{digest}")).is(200);
    }
}

#[test]
pub(crate) fn a_manifest_is_removed_with_its_tags_and_blobs_by_themselves() {
    let registry = Registry::new();
    let (manifest, digest) = registry.image("a", Some("v1"), b"layer");
    registry.put("a", "v2", MANIFEST, &manifest).is(201);
    let index = json!({"schemaVersion": 2, "mediaType": INDEX,
        "manifests": [descriptor(MANIFEST, &manifest)]})
    .to_string();
    registry.put("a", "all", INDEX, index.as_bytes()).is(201);
    // It is a manifest, and not to be removed as if it were a layer.
    registry.delete(&format!("/v2/a/blobs/{digest}")).refused(405, "UNSUPPORTED");
    registry.delete(&format!("/v2/a/manifests/{digest}")).is(202);
    for gone in [digest.to_string(), "v1".into(), "v2".into()] {
        registry.get(&format!("/v2/a/manifests/{gone}")).refused(404, "MANIFEST_UNKNOWN");
    }
    registry.delete(&format!("/v2/a/manifests/{digest}")).refused(404, "MANIFEST_UNKNOWN");
    registry.get("/v2/a/manifests/all").is(200);
    let layer = format!("/v2/a/blobs/{}", sha256(b"layer"));
    registry.get(&layer).is(200);
    registry.delete(&layer).is(202);
    registry.delete(&layer).refused(404, "BLOB_UNKNOWN");
    registry.get(&layer).refused(404, "BLOB_UNKNOWN");
    // It can come again.
    registry.image("a", Some("v1"), b"layer");
    registry.get("/v2/a/manifests/v1").is(200);
}

#[test]
fn registries_may_remove_nothing_or_take_nothing() {
    let registry = Registry::with(Options { delete: false, ..Options::default() });
    let (_, digest) = registry.image("a", Some("v1"), b"layer");
    for path in
        ["manifests/v1".to_owned(), format!("manifests/{digest}"), format!("blobs/{digest}")]
    {
        registry.delete(&format!("/v2/a/{path}")).refused(405, "UNSUPPORTED");
    }
    let begun = registry.send("POST", "/v2/a/blobs/uploads/", b"");
    registry.delete(begun.header("location")).is(204);
    let folder = registry.stopped();
    let storage = plimsoll_serve::storage::folder::Folder::tree(
        &folder.path().join("root"),
        plimsoll_store::Options::default(),
    );
    let options = Options { read_only: true, ..Options::default() };
    let registry = Registry::of(options, None, storage.expect("folder"), folder);
    registry.get("/v2/a/manifests/v1").is(200);
    registry.head(&format!("/v2/a/blobs/{}", sha256(b"layer"))).is(200);
    registry.send("POST", "/v2/a/blobs/uploads/", b"").refused(405, "UNSUPPORTED");
    registry.put("a", "v2", MANIFEST, b"{}").refused(405, "UNSUPPORTED");
    registry.delete("/v2/a/manifests/v1").refused(405, "UNSUPPORTED");
}
