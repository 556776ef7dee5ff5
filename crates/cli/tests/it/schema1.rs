//! Docker schema 1, as `dir:` folders and layouts have it.

use std::fs;

use plimsoll::content::{Algorithm, Digest};
use plimsoll::layer::codec::Encoder;
use serde_json::{Value, json};

use crate::old::{Content, file, tar};
use crate::server::Server;
use crate::support::{Sandbox, sha256};

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let level = "gzip:6".parse().expect("a compression");
    let mut encoder = Encoder::new(level, Vec::new()).expect("an encoder");
    encoder.write_all(bytes).expect("written");
    encoder.finish().expect("finished")
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let word = group.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte));
        let word = word << (8 * (3 - group.len()));
        for place in 0..=group.len() {
            let index = (word >> (18 - 6 * place)) & 63;
            text.push(char::from(LETTERS[usize::try_from(index).expect("small")]));
        }
    }
    text
}

/// An image of two layers and two steps without one, the uppermost first, and
/// its blobs.
struct Old {
    manifest: String,
    blobs: Vec<(String, Vec<u8>)>,
    layers: Vec<Vec<u8>>,
}

fn old() -> Old {
    let base = tar(&[("etc", Content::Folder), ("etc/motd", file("old\n"))]);
    let top = tar(&[("etc/.wh.motd", file("")), ("bin/tool", file("tool"))]);
    let empty = gzip(&[0; 1024]);
    let blobs: Vec<_> =
        [gzip(&base), empty, gzip(&top)].into_iter().map(|blob| (sha256(&blob), blob)).collect();
    let id = |number: u8| format!("{number:064x}");
    let step = |number: u8, command: &str| {
        let mut step = json!({
            "id": id(number), "created": format!("2015-01-02T03:04:0{number}Z"),
            "container_config": {"Cmd": ["/bin/sh", "-c", command]},
        });
        if number > 1 {
            step["parent"] = json!(id(number - 1));
        }
        step
    };
    let mut steps =
        [step(1, "base"), step(2, "#(nop) ENV A=b"), step(3, "top"), step(4, "#(nop) CMD")];
    steps[1]["throwaway"] = json!(true);
    steps[3]["throwaway"] = json!(true);
    steps[3]["architecture"] = json!("amd64");
    steps[3]["os"] = json!("linux");
    steps[3]["docker_version"] = json!("1.9.1");
    steps[3]["config"] = json!({"Cmd": ["/bin/tool"], "Env": ["A=b"], "User": "3:4"});
    let order = [0, 1, 2, 1];
    let manifest = json!({
        "schemaVersion": 1, "name": "library/old", "tag": "latest", "architecture": "amd64",
        "fsLayers": order.iter().rev().map(|n| json!({"blobSum": blobs[*n].0})).collect::<Vec<_>>(),
        "history": steps
            .iter()
            .rev()
            .map(|step| json!({"v1Compatibility": step.to_string()}))
            .collect::<Vec<_>>(),
    });
    let manifest = serde_json::to_string_pretty(&manifest).expect("JSON");
    Old { manifest, blobs, layers: vec![base, top] }
}

/// As a registry signs it: the payload without its end, the signatures, the end.
fn signed(payload: &str) -> String {
    let start = payload.strip_suffix("\n}").expect("an object");
    let protected = json!({
        "formatLength": start.len(), "formatTail": base64(b"\n}"), "time": "2016-01-02T03:04:05Z"
    });
    let signature = json!([{
        "header": {"jwk": {"kty": "EC"}, "alg": "ES256"},
        "signature": "AAAA", "protected": base64(protected.to_string().as_bytes()),
    }]);
    format!("{start},\n   \"signatures\": {signature}\n}}")
}

impl Old {
    /// What skopeo copies out of an old registry.
    fn dir(&self, sandbox: &Sandbox, name: &str, manifest: &str) {
        sandbox.write(&format!("{name}/version"), "Directory Transport Version: 1.1\n");
        sandbox.write(&format!("{name}/manifest.json"), manifest);
        for (digest, blob) in &self.blobs {
            sandbox.write(&format!("{name}/{}", digest.replace("sha256:", "")), blob);
        }
    }

    fn layout(&self, sandbox: &Sandbox, digest: &str, manifest: &str, kind: &str) {
        let index = json!({"schemaVersion": 2, "manifests": [{
            "mediaType": format!("application/vnd.docker.distribution.manifest.v1+{kind}"),
            "digest": digest, "size": manifest.len(),
            "annotations": {"org.opencontainers.image.ref.name": "v1"},
        }]});
        sandbox.write("old/oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#);
        sandbox.write("old/index.json", index.to_string());
        let name = |digest: &str| format!("old/blobs/{}", digest.replace(':', "/"));
        sandbox.write(&name(digest), manifest);
        for (digest, blob) in &self.blobs {
            sandbox.write(&name(digest), blob);
        }
    }
}

#[test]
fn a_signed_manifest_has_the_digest_of_what_is_signed() {
    let (sandbox, old) = (Sandbox::new(), old());
    let digest = format!("{}\n", sha256(old.manifest.as_bytes()));
    let signed = signed(&old.manifest);
    old.dir(&sandbox, "plain", &old.manifest);
    old.dir(&sandbox, "signed", &signed);
    for (place, bytes) in
        [("dir:plain", &old.manifest), ("dir:signed", &signed), ("./signed", &signed)]
    {
        assert_eq!(sandbox.ok(&["inspect", "-q", place]), digest, "{place}");
        assert_eq!(&sandbox.ok(&["show", place]), bytes, "the bytes as they came");
        sandbox.ok(&["validate", place]);
    }
    // By the bytes, and by what is signed in them, as registries have it.
    old.layout(&sandbox, digest.trim(), &signed, "prettyjws");
    assert_eq!(sandbox.ok(&["inspect", "-q", "oci:old:v1"]), digest);
    sandbox.ok(&["validate", "oci:old:v1"]);
    let whole = sha256(signed.as_bytes());
    old.layout(&sandbox, &whole, &signed, "prettyjws");
    assert_eq!(sandbox.ok(&["inspect", "-q", "oci:old:v1"]).trim(), whole);
    old.layout(&sandbox, digest.trim(), &old.manifest, "json");
    sandbox.ok(&["validate", "oci:old:v1"]);
    let other = sha256(b"other");
    old.layout(&sandbox, &other, &signed, "prettyjws");
    let errors = sandbox.fails(6, &["inspect", "oci:old:v1"]);
    assert!(errors.contains("without the signatures"), "{errors}");
}

#[test]
fn an_image_is_looked_at_unpacked_and_run_as_it_was() {
    let (sandbox, old) = (Sandbox::new(), old());
    old.dir(&sandbox, "old", &signed(&old.manifest));
    let listed = sandbox.json(&["ls", "dir:old"]);
    assert_eq!(listed["images"][0]["kind"], json!("image"));
    assert_eq!(listed["images"][0]["platforms"], json!(["linux/amd64"]));
    let inspected = sandbox.json(&["inspect", "dir:old"]);
    let image = &inspected["images"][0];
    assert_eq!(image["config"]["User"], json!("3:4"));
    assert!(image.get("configDigest").is_none());
    let layers: Vec<_> = image["layers"].as_array().expect("layers").iter().collect();
    assert_eq!(layers.len(), 2);
    assert_eq!(layers[1]["digest"], json!(old.blobs[2].0));
    assert_eq!(layers[1]["size"], json!(old.blobs[2].1.len()));
    assert!(layers[1].get("diffId").is_none(), "not known before it is read");
    let steps = sandbox.json(&["history", "dir:old"]);
    let empty: Vec<_> =
        steps["steps"].as_array().expect("steps").iter().map(|step| &step["emptyLayer"]).collect();
    assert_eq!(empty, [&json!(true), &json!(false), &json!(true), &json!(false)]);
    let config: Value =
        serde_json::from_str(&sandbox.ok(&["show", "dir:old", "config"])).expect("JSON");
    let diff_ids: Vec<_> =
        old.layers.iter().map(|layer| json!(Digest::of(Algorithm::Sha256, layer))).collect();
    assert_eq!(config["rootfs"]["diff_ids"], json!(diff_ids));
    assert_eq!(config["config"]["Env"], json!(["A=b"]));
    sandbox.ok(&["unpack", "dir:old", "out"]);
    assert_eq!(fs::read(sandbox.path("out/bin/tool")).expect("read"), b"tool");
    assert!(!sandbox.path("out/etc/motd").exists(), "removed by the layer above");
    sandbox.ok(&["export", "dir:old", "-o", "out.tar"]);
    sandbox.ok(&["bundle", "dir:old", "bundle"]);
    let spec: Value =
        serde_json::from_slice(&fs::read(sandbox.path("bundle/config.json")).expect("read"))
            .expect("JSON");
    assert_eq!(spec["process"]["args"], json!(["/bin/tool"]));
    assert_eq!(spec["process"]["user"]["uid"], json!(3));
}

#[test]
fn nobody_writes_schema_1() {
    let (sandbox, old) = (Sandbox::new(), old());
    let digest = sha256(old.manifest.as_bytes());
    old.layout(&sandbox, &digest, &old.manifest, "json");
    sandbox.image();
    for words in [
        &["copy", "oci:old:v1", "oci:new"][..],
        &["copy", "oci:old:v1", "dir:new"],
        &["edit", "oci:old:v1", "--label", "a=b"],
        &["append", "oci:old:v1", "tree"],
        &["index", "create", "oci:new:v1", "oci:old:v1"],
        &["rebase", "oci:images:v1", "--old-base", "oci:old:v1", "--new-base", "oci:images:v1"],
    ] {
        let errors = sandbox.fails(1, words);
        assert!(errors.contains("plimsoll convert"), "{words:?}: {errors}");
    }
    assert!(!sandbox.path("new").exists());
    // Its layers are needed, those of steps without one as well.
    let junk = sandbox.layout("old").blob_path(&sha256(b"junk"));
    fs::write(&junk, "junk").expect("written");
    sandbox.ok(&["gc", "oci:old"]);
    assert!(!junk.exists());
    sandbox.ok(&["validate", "oci:old:v1"]);
    assert!(sandbox.layout("old").blob_path(&old.blobs[1].0).exists());
    sandbox.ok(&["fsck", "oci:old"]);
}

#[test]
fn it_is_converted_to_what_it_was_seen_as() {
    let (sandbox, old) = (Sandbox::new(), old());
    old.dir(&sandbox, "old", &signed(&old.manifest));
    let report = sandbox.json(&["convert", "dir:old", "oci:new:v1"]);
    assert_eq!(report["from"], json!(sha256(old.manifest.as_bytes())));
    sandbox.ok(&["validate", "oci:new:v1"]);
    let (manifest, _) = sandbox.layout("new").only();
    assert_eq!(manifest["mediaType"], json!("application/vnd.oci.image.manifest.v1+json"));
    let layers: Vec<_> =
        manifest["layers"].as_array().expect("a list").iter().map(|one| &one["digest"]).collect();
    assert_eq!(layers, [&json!(old.blobs[0].0), &json!(old.blobs[2].0)], "the blobs as they are");
    let config = sandbox.ok(&["show", "dir:old", "config"]);
    assert_eq!(sandbox.ok(&["show", "oci:new:v1", "config"]), config);
    // Every other form, and by way of a manifest list.
    sandbox.ok(&["convert", "dir:old", "oci:docker:v1", "--to", "docker"]);
    sandbox.ok(&["convert", "dir:old", "oci:zstd:v1", "--compression", "zstd"]);
    sandbox.ok(&["copy", "dir:old", "docker-archive:new.tar:app:v1"]);
    for place in ["oci:docker:v1", "oci:zstd:v1", "docker-archive:new.tar"] {
        sandbox.ok(&["validate", place]);
        assert_eq!(sandbox.ok(&["show", place, "config"]), config, "{place}");
    }
    let whole = signed(&old.manifest);
    let list = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.list.v2+json",
        "manifests": [{
            "mediaType": "application/vnd.docker.distribution.manifest.v1+prettyjws",
            "digest": sha256(old.manifest.as_bytes()), "size": whole.len(),
            "platform": {"os": "linux", "architecture": "amd64"},
        }],
    });
    let hex = |digest: &str| digest.replace("sha256:", "");
    let name = format!("old/{}.manifest.json", hex(&sha256(old.manifest.as_bytes())));
    sandbox.write(&name, whole);
    sandbox.write("old/manifest.json", list.to_string());
    sandbox.ok(&["validate", "dir:old"]);
    sandbox.ok(&["convert", "dir:old", "oci:list:v1", "--to", "oci"]);
    sandbox.ok(&["validate", "oci:list:v1"]);
    let inspected = sandbox.json(&["inspect", "oci:list:v1"]);
    assert_eq!(inspected["images"][0]["layers"].as_array().map(Vec::len), Some(2));
    let errors = sandbox.fails(1, &["copy", "dir:old", "oci:copied"]);
    assert!(errors.contains("plimsoll convert"), "{errors}");
}

#[test]
fn what_is_wrong_in_a_schema_1_image_is_told() {
    let (sandbox, old) = (Sandbox::new(), old());
    let place = |name: &str, manifest: &str| {
        old.dir(&sandbox, name, manifest);
        format!("dir:{name}")
    };
    // Something else than what is signed.
    let forged = signed(&old.manifest).replace("\"signatures\"", "\"more\": 1, \"signatures\"");
    sandbox.fails(6, &["inspect", &place("forged", &forged)]);
    let edit = |change: &dyn Fn(&mut Value)| {
        let mut manifest: Value = serde_json::from_str(&old.manifest).expect("JSON");
        change(&mut manifest);
        manifest.to_string()
    };
    let mut number = 0;
    let mut refused = |change: &dyn Fn(&mut Value)| {
        number += 1;
        let place = place(&format!("d{number}"), &edit(change));
        sandbox.fails(6, &["inspect", &place])
    };
    refused(&|manifest| manifest["history"] = json!([]));
    refused(&|manifest| manifest["fsLayers"][0]["blobSum"] = json!("sha256:../../etc/passwd"));
    refused(&|manifest| manifest["config"] = json!({}));
    let errors = refused(&|manifest| {
        manifest["history"].as_array_mut().expect("a list").swap(0, 1);
    });
    assert!(errors.contains("the layer below"), "{errors}");
    refused(&|manifest| manifest["history"][0]["v1Compatibility"] = json!("nothing"));
    // A blob that is damaged or missing is found, a missing one of a step
    // without a layer is no loss.
    let place = place("blobs", &old.manifest);
    let blob = |n: usize| sandbox.path("blobs").join(old.blobs[n].0.replace("sha256:", ""));
    fs::remove_file(blob(1)).expect("removed");
    sandbox.ok(&["validate", &place]);
    fs::write(blob(2), "damaged").expect("written");
    let told = sandbox.run(&["validate", &place]);
    assert_eq!(told.code, 6, "{}{}", told.stdout, told.stderr);
    sandbox.fails(6, &["unpack", &place, "out"]);
    assert!(!sandbox.path("out").exists());
    fs::remove_file(blob(0)).expect("removed");
    sandbox.ok(&["inspect", &place]);
    sandbox.fails(3, &["unpack", &place, "out"]);
}

#[test]
fn a_registry_has_it_by_the_digest_of_what_is_signed() {
    let (sandbox, old) = (Sandbox::new(), old());
    let signed = signed(&old.manifest);
    let digest = sha256(old.manifest.as_bytes());
    for (says, digest_said) in [(true, digest.clone()), (false, digest.clone())] {
        let server = Server::spoilt(move |_, _, mut reply| {
            if !says {
                reply.headers.retain(|(name, _)| name != "Docker-Content-Digest");
            }
            reply
        });
        for (_, blob) in &old.blobs {
            server.add_blob(blob);
        }
        let kind = "application/vnd.docker.distribution.manifest.v1+prettyjws";
        {
            let mut content = server.content();
            content.manifests.insert(digest_said.clone(), (kind.into(), signed.clone().into()));
            content.tags.insert(("org/old".into(), "v1".into()), digest_said);
        }
        let name = format!("docker://{}/org/old:v1", server.host);
        assert_eq!(sandbox.ok(&["inspect", "-q", &name]).trim(), digest);
        assert_eq!(sandbox.ok(&["show", &name]), signed, "the bytes as they came");
        let by_digest = format!("docker://{}/org/old@{digest}", server.host);
        assert_eq!(sandbox.ok(&["inspect", "-q", &by_digest]).trim(), digest);
        let out = format!("out-{says}");
        sandbox.ok(&["unpack", &name, &out]);
        assert_eq!(fs::read(sandbox.path(&out).join("bin/tool")).expect("read"), b"tool");
        sandbox.ok(&["convert", &name, &format!("oci:new-{says}:v1")]);
        sandbox.ok(&["fsck", &format!("oci:new-{says}")]);
        let refused = sandbox.fails(1, &["copy", &name, "oci:copied:v1"]);
        assert!(refused.contains("plimsoll convert"), "{refused}");
        // Something else is not what was asked for.
        let other = old.manifest.replace("library/old", "library/new");
        server.content().manifests.insert(digest.clone(), (kind.into(), other.into()));
        sandbox.fails(6, &["inspect", &by_digest]);
    }
}
