//! Names, from the zone of an owner to a process, through folders that stand
//! for web servers.

use std::fs;

use serde_json::Value;

use crate::schemas::check;
use crate::support::{Done, Sandbox};

const RULES: &str = r#"
dns = false
[[site]]
base = "https://example.com/"
folder = "owner/site"
[[site]]
base = "https://oci.example.com/"
folder = "owner/site"
[[site]]
base = "https://images.team.example/"
folder = "team/site"
"#;

/// `example.com`, published, with one image, and its delegatee.
fn owner() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.tree("tree");
    sandbox.ok(&["pack", "tree", "oci:images:v1", "--entrypoint", "/bin/tool"]);
    sandbox.ok(&[
        "name",
        "init",
        "example.com",
        "--url",
        "https://oci.example.com/",
        "--zone",
        "owner",
    ]);
    sandbox.ok(&["name", "add", "example.com/org/app:v1", "oci:images:v1", "--zone", "owner"]);
    sandbox.ok(&["name", "publish", "--zone", "owner"]);
    fs::create_dir_all(sandbox.path("config/plimsoll")).expect("a folder");
    let rules =
        RULES.replace("folder = \"", &format!("folder = \"{}/", sandbox.path("").display()));
    fs::write(sandbox.path("config/plimsoll/names.toml"), rules).expect("rules");
    sandbox
}

fn digest(sandbox: &Sandbox, reference: &str) -> String {
    sandbox.ok(&["inspect", reference, "-q"]).trim().to_owned()
}

#[test]
fn each_spelling_resolves_and_is_pulled() {
    let sandbox = owner();
    let image = digest(&sandbox, "oci:images:v1");
    let by_digest = format!("example.com/org/app@{image}");
    for name in [
        "example.com/org/app:v1",
        &by_digest,
        "example.com/org/app,version=v1,os=linux,arch=amd64",
        "EXAMPLE.com./org/app#v1",
    ] {
        let report = sandbox.json(&["resolve", name]);
        check(&report);
        assert_eq!(report["names"][0]["descriptor"]["digest"], *image, "{name}");
        let target = format!("oci:out:{}", name.len());
        sandbox.ok(&["copy", name, &target]);
        assert_eq!(digest(&sandbox, &target), image, "{name}");
    }
    sandbox.ok(&["pull", "example.com/org/app:v1"]);
    assert_eq!(digest(&sandbox, "store:example.com/org/app:v1"), image);
    let report = sandbox.json(&["resolve", "--all", "example.com/org/app"]);
    check(&report);
    assert_eq!(report["names"][0]["images"][0]["which"], "v1");
    let text = sandbox.ok(&["resolve", "example.com/org/app:v1"]);
    assert!(
        text.contains("assurance  zone-tofu") && text.contains("whoever answered first"),
        "{text}"
    );
    let done = sandbox.run(&["resolve", "example.com/org/nothing:v1"]);
    assert_eq!((done.code, done.stdout.as_str()), (3, ""), "{}", done.stderr);
    let done = sandbox.run(&["resolve", "org/app"]);
    assert_eq!(done.code, 2, "{}", done.stderr);
}

#[test]
fn a_delegatee_publishes_alone_until_it_is_taken_back() {
    let sandbox = owner();
    let owner = |words: &[&str]| sandbox.ok(&[words, &["--zone", "owner"]].concat());
    let team = |words: &[&str]| sandbox.ok(&[words, &["--zone", "team"]].concat());
    team(&["name", "init", "example.com/team", "--url", "https://images.team.example/"]);
    team(&["name", "add", "example.com/team/app:v2", "oci:images:v1"]);
    team(&["name", "publish"]);
    owner(&[
        "name",
        "delegate",
        "example.com/team",
        "--root",
        "team/site/zone/metadata/1.root.json",
        "--url",
        "https://images.team.example/",
    ]);
    owner(&["name", "publish"]);
    let name = "example.com/team/app:v2";
    let report = sandbox.json(&["resolve", name]);
    assert_eq!(report["names"][0]["zones"][1]["prefix"], "example.com/team");
    // All keys at once, the root's among them.
    team(&["name", "rotate", "all"]);
    fs::write(sandbox.path("tree/new"), "x").expect("a file");
    sandbox.ok(&["pack", "tree", "oci:images:v3", "--entrypoint", "/bin/tool"]);
    team(&["name", "add", name, "oci:images:v3"]);
    team(&["name", "publish"]);
    check(&sandbox.json(&["name", "check", "--zone", "team"]));
    let report = sandbox.json(&["resolve", name]);
    assert_eq!(report["names"][0]["descriptor"]["digest"], *digest(&sandbox, "oci:images:v3"));
    assert_eq!(report["names"][0]["zones"][1]["rootVersion"], 2);
    sandbox.ok(&["unpack", name, "rootfs"]);
    assert!(sandbox.path("rootfs/new").exists());
    owner(&["name", "revoke", "example.com/team"]);
    owner(&["name", "publish"]);
    let done = sandbox.run(&["resolve", name]);
    assert_eq!(done.code, 3, "{}", done.stderr);
}

#[test]
fn what_is_changed_on_the_way_is_refused() {
    let sandbox = owner();
    let name = "example.com/org/app:v1";
    sandbox.ok(&["resolve", name]);
    // A list that was changed after it was signed,
    let site = sandbox.path("owner/site/zone/targets/oci-index/org");
    let list = fs::read_dir(&site).expect("a folder").flatten().next().expect("a list").path();
    let good = fs::read(&list).expect("a list");
    fs::write(&list, String::from_utf8(good.clone()).expect("text").replace("v1", "v9"))
        .expect("changed");
    let fresh = sandbox
        .command(&["resolve", name])
        .env("PLIMSOLL_NAMES_STATE", sandbox.path("fresh"))
        .output()
        .expect("run");
    assert_eq!(fresh.status.code(), Some(8), "{}", String::from_utf8_lossy(&fresh.stderr));
    fs::write(&list, good).expect("restored");
    // content that is another,
    let image = digest(&sandbox, "oci:images:v1");
    let hex = image.strip_prefix("sha256:").expect("sha256");
    let blob = sandbox.path(&format!("owner/site/oci-cas/sha256/{}/{hex}", &hex[..2]));
    let content = fs::read(&blob).expect("a blob");
    fs::write(&blob, vec![b' '; content.len()]).expect("changed");
    let done = sandbox.run(&["copy", name, "oci:bad"]);
    assert_eq!(done.code, 6, "{}", done.stderr);
    let report = sandbox.run(&["name", "check", "--zone", "owner"]);
    assert_eq!(report.code, 1, "{}", report.stdout);
    fs::write(&blob, content).expect("restored");
    // a zone that is gone, and one that is another.
    let announced = sandbox.path("owner/site/.well-known/image-names");
    let said = fs::read(&announced).expect("said");
    fs::remove_file(&announced).expect("gone");
    let later = |seconds: &str| {
        let output =
            sandbox.command(&["resolve", name]).env("PLIMSOLL_NOW", seconds).output().expect("run");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let now: u64 =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("time").as_secs();
    let (code, error) = later(&(now + 3600).to_string());
    assert_eq!(code, Some(8), "{error}");
    fs::write(&announced, said).expect("restored");
    let (code, error) = later(&(now + 100 * 86_400).to_string());
    assert!(code == Some(8) && error.contains("expired"), "{error}");
    // Who knows better says so.
    let report = sandbox.json(&["name", "forget", "example.com"]);
    check(&report);
    assert_eq!(report["lines"][0], "forgot example.com");
}

#[test]
fn locks_and_exports_need_no_owner() {
    let sandbox = owner();
    let name = "example.com/org/app:v1";
    let image = digest(&sandbox, "oci:images:v1");
    sandbox.ok(&["resolve", name, "--lock"]);
    let first = fs::read(sandbox.path("names.lock")).expect("a lock");
    check(&sandbox.json(&["name", "export", "exported", name]));
    // The owner says something else by now.
    sandbox.ok(&["name", "add", name, "oci:images:v1", "--zone", "owner"]);
    fs::remove_dir_all(sandbox.path("owner/site/zone")).expect("gone");
    fs::remove_dir_all(sandbox.path("owner/site/.well-known")).expect("gone");
    let report = sandbox.json(&["resolve", name, "--locked"]);
    check(&report);
    let entry = &report["names"][0];
    assert_eq!(
        (&entry["descriptor"]["digest"], &entry["way"], &entry["requests"]),
        (&Value::from(image.clone()), &Value::from("lock"), &Value::from(0))
    );
    sandbox.ok(&["copy", name, "oci:locked:v1", "--locked"]);
    assert_eq!(digest(&sandbox, "oci:locked:v1"), image);
    let done = sandbox.run(&["resolve", "example.com/org/other:v1", "--locked"]);
    assert_eq!(done.code, 3, "{}", done.stderr);
    let report = sandbox.json(&["resolve", name, "--names", "exported/names.toml"]);
    assert_eq!(report["names"][0]["descriptor"]["digest"], *image);
    // Offline, what is remembered counts as long as it is good.
    sandbox.ok(&["resolve", name, "--offline"]);
    assert_eq!(fs::read(sandbox.path("names.lock")).expect("a lock"), first);
}

#[test]
fn several_keys_sign_in_rounds() {
    let sandbox = Sandbox::new();
    sandbox.tree("tree");
    sandbox.ok(&["pack", "tree", "oci:images:v1", "--entrypoint", "/bin/tool"]);
    let zone = |words: &[&str]| sandbox.run(&[words, &["--zone", "zone"]].concat());
    assert_eq!(
        zone(&[
            "name",
            "init",
            "example.com",
            "--url",
            "https://oci.example.com/",
            "--profile",
            "team"
        ])
        .code,
        0
    );
    assert_eq!(zone(&["name", "add", "example.com/app:v1", "oci:images:v1"]).code, 0);
    // Two of the keys of the root are elsewhere.
    for key in ["root-2.pem", "root-3.pem"] {
        fs::rename(sandbox.path("zone/keys").join(key), sandbox.path(key)).expect("moved");
    }
    let first = zone(&["name", "publish"]);
    assert_eq!(first.code, 1, "{}", first.stdout);
    assert!(first.stdout.contains("1.root.json: 1 more of role root"), "{}", first.stdout);
    assert!(!sandbox.path("zone/site/zone").exists() && sandbox.path("zone/pending.json").exists());
    let second = zone(&["name", "publish", "--key", "root-3.pem"]);
    assert_eq!(second.code, 0, "{}{}", second.stdout, second.stderr);
    assert!(sandbox.path("zone/site/zone/metadata/timestamp.json").exists());
    assert!(!sandbox.path("zone/pending.json").exists());
    check(&sandbox.json(&["name", "publish", "--zone", "zone"]));
    let done = zone(&["name", "init", "example.com", "--url", "https://oci.example.com/"]);
    assert_eq!(done.code, 1, "{}", done.stderr);
}

#[test]
fn rules_are_kept() {
    let sandbox = owner();
    let rules = fs::read_to_string(sandbox.path("config/plimsoll/names.toml")).expect("rules");
    let name = "example.com/org/app:v1";
    let with = |more: &str| {
        fs::write(sandbox.path("rules.toml"), format!("{rules}{more}")).expect("rules");
        sandbox.run(&["resolve", name, "--names", "rules.toml"])
    };
    let done = with("[[prefix]]\nmatch = \"example.com\"\nmin = \"zone-anchored\"\n");
    assert!(done.code == 7 && done.stderr.contains("E_ASSURANCE"), "{}", done.stderr);
    let done = with("[[prefix]]\nmatch = \"example.com\"\nblocked = true\n");
    assert!(done.code == 7 && done.stderr.contains("blocked"), "{}", done.stderr);
    let done = with("[[prefix]]\nmatch = \"example.com\"\nunknown = true\n");
    assert!(done.stderr.contains("E_MALFORMED"), "{}", done.stderr);
    let done = sandbox.run(&["resolve", name, "--names", "missing.toml"]);
    assert_eq!(done.code, 3, "{}", done.stderr);
    let root = fs::read(sandbox.path("owner/site/zone/metadata/1.root.json")).expect("a root");
    let root = plimsoll::content::Digest::of(plimsoll::content::Algorithm::Sha256, &root);
    fs::remove_dir_all(sandbox.path("state")).expect("forgotten");
    let done = with(&format!(
        "[[prefix]]\nmatch = \"example.com\"\nroot = \"{root}\"\nmin = \"zone-anchored\"\n"
    ));
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(done.stdout.contains("zone-anchored"), "{}", done.stdout);
}

/// The program with keys and a passphrase, whatever comes of it.
fn signing(sandbox: &Sandbox, words: &[&str]) -> Done {
    let mut command = sandbox.command(words);
    for variable in ["PLIMSOLL_POLICY", "COSIGN_PASSWORD"] {
        command.env_remove(variable);
    }
    let keys = sandbox.path("keys");
    let command = command.env("PLIMSOLL_PASSPHRASE", "correct horse").env("PLIMSOLL_KEYS", keys);
    Done::of(&command.output().expect("started"))
}

#[test]
fn signatures_travel_with_names() {
    let sandbox = owner();
    let name = "example.com/org/app:v1";
    let good = |words: &[&str]| {
        let done = signing(&sandbox, words);
        assert_eq!(done.code, 0, "{words:?}: {}{}", done.stdout, done.stderr);
        done.stdout
    };
    let refused = |code: i32, words: &[&str]| {
        let done = signing(&sandbox, words);
        assert_eq!(done.code, code, "{words:?}: {}{}", done.stdout, done.stderr);
        done.stderr
    };
    let publish = || {
        good(&["name", "add", name, "oci:images:v1", "--zone", "owner"]);
        good(&["name", "publish", "--zone", "owner"]);
    };
    for key in ["a", "b"] {
        good(&["key", "new", key]);
    }
    // What is signed and not published is not signed for others.
    good(&["sign", "oci:images:v1", "--key", "a", "--as", name]);
    let error = refused(7, &["verify", name, "--key", "a"]);
    assert!(error.contains("E_UNSIGNED"), "{error}");
    publish();
    let verified = good(&["verify", name, "--key", "a", "--json"]);
    let verified: Value = serde_json::from_str(&verified).expect("JSON");
    check(&verified);
    assert_eq!(verified["images"][0]["needs"][0]["met"], true);
    let forms: Vec<_> = verified["images"][0]["results"]
        .as_array()
        .expect("results")
        .iter()
        .map(|r| &r["form"])
        .collect();
    assert!(
        forms.contains(&&Value::from("sigstore-bundle"))
            && forms.contains(&&Value::from("cosign-simple")),
        "{forms:?}"
    );
    refused(7, &["verify", name, "--key", "b"]);
    // Where it goes, its signatures go.
    good(&["pull", name, "--trust-key", "a"]);
    good(&["verify", &format!("store:{name}"), "--key", "a"]);
    good(&["unpack", name, "rootfs", "--trust-key", "a"]);
    good(&["copy", name, "oci:out:v1", "--referrers"]);
    good(&["verify", "oci:out:v1", "--key", "a", "--as", name]);
    // A further one is added to those that are there,
    good(&["rm", &format!("store:{name}")]);
    good(&["pack", "tree", "oci:again:v1", "--entrypoint", "/bin/tool"]);
    good(&["sign", "oci:again:v1", "--key", "b", "--as", name]);
    good(&["name", "add", name, "oci:again:v1", "--zone", "owner"]);
    good(&["name", "publish", "--zone", "owner"]);
    for key in ["a", "b"] {
        good(&["verify", name, "--key", key]);
    }
    // in the tree of those who ask a registry too,
    let image = digest(&sandbox, "oci:images:v1");
    let list = fs::read(sandbox.path(&format!("owner/site/v2/org/app/referrers/{image}")));
    let list: Value = serde_json::from_slice(&list.expect("a list")).expect("JSON");
    assert_eq!(list["manifests"].as_array().map(Vec::len), Some(2), "{list}");
    for entry in list["manifests"].as_array().expect("a list") {
        assert_eq!(entry["artifactType"], "application/vnd.dev.sigstore.bundle.v0.3+json");
        let path = format!(
            "owner/site/v2/org/app/manifests/{}",
            entry["digest"].as_str().expect("digest")
        );
        assert!(sandbox.path(&path).exists(), "{path}");
    }
    // and they are no images.
    let report = sandbox.json(&["resolve", "--all", "example.com/org/app"]);
    assert_eq!(report["names"][0]["images"].as_array().map(Vec::len), Some(1), "{report}");
    let report = sandbox.json(&["name", "check", "--zone", "owner"]);
    assert!(report["lines"][0].as_str().is_some_and(|line| line.contains("1 images")), "{report}");
    // A lock keeps them,
    good(&["resolve", name, "--lock"]);
    good(&["verify", name, "--locked", "--key", "b"]);
    // and with the image they go.
    fs::write(sandbox.path("tree/new"), "x").expect("a file");
    good(&["pack", "tree", "oci:images:v2", "--entrypoint", "/bin/tool"]);
    good(&["name", "add", name, "oci:images:v2", "--zone", "owner"]);
    good(&["name", "publish", "--zone", "owner"]);
    let error = refused(7, &["verify", name, "--key", "a"]);
    assert!(error.contains("E_UNSIGNED"), "{error}");
    let list = fs::read_to_string(sandbox.path("owner/repositories/org/app/@index.json"));
    assert!(!list.expect("a list").contains("sha256-"));
}

/// `example.com` with a signed image, for whose signers `words` say.
fn signed_by(key: &str) -> Sandbox {
    let sandbox = owner();
    let name = "example.com/org/app:v1";
    for key in ["a", "b"] {
        good(&sandbox, &["key", "new", key]);
    }
    good(&sandbox, &["sign", "oci:images:v1", "--key", key, "--as", name]);
    good(&sandbox, &["name", "add", name, "oci:images:v1", "--zone", "owner"]);
    sandbox
}

fn good(sandbox: &Sandbox, words: &[&str]) -> String {
    let done = signing(sandbox, words);
    assert_eq!(done.code, 0, "{words:?}: {}{}", done.stdout, done.stderr);
    done.stdout
}

fn refused(sandbox: &Sandbox, code: i32, words: &[&str]) -> String {
    let done = signing(sandbox, words);
    assert_eq!(done.code, code, "{words:?}: {}{}", done.stdout, done.stderr);
    done.stderr
}

#[test]
fn the_owner_of_a_name_says_whose_signatures_count() {
    let sandbox = signed_by("a");
    let name = "example.com/org/app:v1";
    let says = |prefix: &str, more: &[&str]| {
        let words = ["name", "signers", prefix, "--zone", "owner"];
        let said = good(&sandbox, &[&words, more, &["--json"]].concat());
        check(&serde_json::from_str(&said).expect("JSON"));
        good(&sandbox, &["name", "publish", "--zone", "owner"]);
    };
    let verify = ["verify", name, "--trust-key", "ns:example.com/"];
    // A zone that says nothing lets nobody pass.
    good(&sandbox, &["name", "publish", "--zone", "owner"]);
    let error = refused(&sandbox, 7, &verify);
    assert!(error.contains("says nothing of signatures"), "{error}");
    says("example.com/org", &["--key", "a"]);
    let report: Value =
        serde_json::from_str(&good(&sandbox, &[&verify[..], &["--json"]].concat())).expect("JSON");
    check(&report);
    let need = &report["images"][0]["needs"][0];
    assert!(
        need["signers"][0]["name"].as_str().expect("a name").starts_with("ns:example.com/org ")
    );
    // A policy says the same, and holds for whatever place the image comes from.
    let policy = |of: &str, more: &str| {
        let text = format!(
            r#"{{"version":1,"rules":[{{"scope":"example.com","require":[{{"kind":"signature","of":["{of}"]{more}}}]}}]}}"#
        );
        sandbox.write("trust.json", text);
    };
    policy("ns:example.com/", "");
    good(&sandbox, &["pull", name, "--policy", "trust.json"]);
    good(&sandbox, &["verify", &format!("store:{name}"), "--policy", "trust.json"]);
    good(&sandbox, &["unpack", name, "one", "--policy", "trust.json"]);
    let shown = good(&sandbox, &["policy", "show", "--policy", "trust.json"]);
    assert!(shown.contains("1 of ns:example.com/"), "{shown}");
    policy("ns:example.com/org", "");
    good(&sandbox, &["verify", name, "--policy", "trust.json"]);
    policy("ns:other.example/", "");
    let error = refused(&sandbox, 7, &["verify", name, "--policy", "trust.json"]);
    assert!(error.contains("not below other.example/"), "{error}");
    for bad in ["ns:", "ns:example.com/app:v1", "ns:*.example.com"] {
        policy(bad, "");
        let error = refused(&sandbox, 2, &["verify", name, "--policy", "trust.json"]);
        assert!(error.contains("E_POLICY"), "{error}");
    }
    // As many as the zone asks for, and as many as the policy does.
    policy("ns:example.com/", r#","threshold":2"#);
    refused(&sandbox, 7, &["verify", name, "--policy", "trust.json"]);
    says("example.com/org", &["--key", "a", "--key", "b", "--threshold", "2"]);
    refused(&sandbox, 7, &verify);
    // Another key, and so the old one counts no more: for copies as well.
    says("example.com/org", &["--key", "b"]);
    let error = refused(&sandbox, 7, &verify);
    assert!(error.contains("E_UNTRUSTED"), "{error}");
    policy("ns:example.com/", "");
    refused(&sandbox, 7, &["verify", &format!("store:{name}"), "--policy", "trust.json"]);
    refused(&sandbox, 7, &["unpack", name, "two", "--policy", "trust.json"]);
    assert!(!sandbox.path("two").exists());
    // Somebody whom this version can not verify does not count, and is named.
    let signers = |of: &str| {
        sandbox.write("owner/signers.json", format!(
            r#"{{"schemaVersion":1,"rules":[{{"prefix":"example.com","threshold":1,"of":[{of}]}}]}}"#
        ));
        good(&sandbox, &["name", "publish", "--zone", "owner"]);
    };
    signers(r#"{"kind":"openpgp","fingerprint":"8B862190"}"#);
    let error = refused(&sandbox, 7, &verify);
    assert!(error.contains("openpgp is not verified here"), "{error}");
    // A prefix outside of the zone is not published.
    let words = ["name", "signers", "example.net", "--key", "a", "--zone", "owner"];
    let error = refused(&sandbox, 8, &words);
    assert!(error.contains("E_ZONE"), "{error}");
}

#[test]
fn only_a_zone_that_holds_says_who_signs() {
    let sandbox = signed_by("a");
    let name = "example.com/org/app:v1";
    good(&sandbox, &["name", "signers", "example.com", "--key", "a", "--zone", "owner"]);
    good(&sandbox, &["name", "publish", "--zone", "owner"]);
    let verify = ["verify", name, "--trust-key", "ns:example.com/"];
    good(&sandbox, &verify);
    good(&sandbox, &[&verify[..], &["--offline"]].concat());
    // What has expired is shown to those who want that, and vouches for nobody.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("time");
    let mut command = sandbox.command(&[&verify[..], &["--offline", "--allow-stale"]].concat());
    let later = (now.as_secs() + 100 * 86_400).to_string();
    let done = Done::of(&command.env("PLIMSOLL_NOW", later).output().expect("started"));
    assert!(done.code == 7 && done.stderr.contains("which has expired"), "{}", done.stderr);
    // Signers that were changed on the way,
    let path = sandbox.path("owner/site/zone/targets/policy");
    let file =
        fs::read_dir(path).expect("a folder").next().expect("a file").expect("a file").path();
    let bytes = fs::read(&file).expect("signers");
    fs::write(&file, String::from_utf8(bytes.clone()).expect("text").replace("exact", "exbct"))
        .expect("changed");
    fs::remove_dir_all(sandbox.path("state")).expect("forgotten");
    let error = refused(&sandbox, 8, &verify);
    assert!(error.contains("E_ZONE"), "{error}");
    fs::write(&file, bytes).expect("restored");
    good(&sandbox, &verify);
    // and a domain that has no zone.
    let said = sandbox.path("owner/site/.well-known/image-names");
    let text = fs::read_to_string(&said).expect("said");
    let mut value: Value = serde_json::from_str(&text).expect("JSON");
    value.as_object_mut().expect("an object").remove("zone");
    fs::write(&said, value.to_string()).expect("changed");
    fs::remove_dir_all(sandbox.path("state")).expect("forgotten");
    let error = refused(&sandbox, 7, &verify);
    assert!(error.contains("no zone of example.com/org/app"), "{error}");
}

#[test]
fn below_a_cut_the_delegatee_says_who_signs() {
    let sandbox = signed_by("a");
    let name = "example.com/team/app:v2";
    let team = |words: &[&str]| good(&sandbox, &[words, &["--zone", "team"]].concat());
    let owner = |words: &[&str]| good(&sandbox, &[words, &["--zone", "owner"]].concat());
    team(&["name", "init", "example.com/team", "--url", "https://images.team.example/"]);
    good(&sandbox, &["pack", "tree", "oci:images:v2", "--entrypoint", "/bin/tool"]);
    good(&sandbox, &["sign", "oci:images:v2", "--key", "b", "--as", name]);
    team(&["name", "add", name, "oci:images:v2"]);
    team(&["name", "signers", "example.com/team", "--key", "b"]);
    team(&["name", "publish"]);
    let root = "team/site/zone/metadata/1.root.json";
    let url = "https://images.team.example/";
    owner(&["name", "delegate", "example.com/team", "--root", root, "--url", url]);
    owner(&["name", "signers", "example.com", "--key", "a"]);
    owner(&["name", "publish"]);
    let verify = ["verify", name, "--trust-key", "ns:example.com/"];
    good(&sandbox, &verify);
    good(&sandbox, &["verify", "example.com/org/app:v1", "--trust-key", "ns:example.com/"]);
    // What the owner keeps for himself is demanded as well.
    owner(&["name", "signers", "example.com", "--key", "a", "--and-below"]);
    owner(&["name", "publish"]);
    refused(&sandbox, 7, &verify);
    good(&sandbox, &["sign", "oci:images:v2", "--key", "a", "--as", name]);
    team(&["name", "add", name, "oci:images:v2"]);
    team(&["name", "publish"]);
    good(&sandbox, &verify);
    // The team says nothing for others.
    let words = ["name", "signers", "example.com/org", "--key", "b", "--zone", "team"];
    refused(&sandbox, 8, &words);
}

#[test]
fn keys_of_a_zone_may_be_encrypted() {
    let sandbox = Sandbox::new();
    let url = "https://oci.example.com/";
    let zone = |words: &[&str]| signing(&sandbox, &[words, &["--zone", "zone"]].concat());
    let done = zone(&["name", "init", "example.com", "--url", url, "--encrypt"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    let key = fs::read_to_string(sandbox.path("zone/keys/zone.pem")).expect("a key");
    assert!(key.starts_with("-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----"), "{key}");
    assert_eq!(zone(&["name", "publish"]).code, 0);
    let mut command = sandbox.command(&["name", "publish", "--zone", "zone"]);
    let wrong = Done::of(&command.env("PLIMSOLL_PASSPHRASE", "wrong").output().expect("started"));
    assert!(wrong.code != 0 && wrong.stderr.contains("E_PASSPHRASE"), "{}", wrong.stderr);
    let root = fs::read(sandbox.path("zone/site/zone/metadata/1.root.json")).expect("a root");
    let done = zone(&["name", "rotate", "all", "--encrypt"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    let done = zone(&["name", "publish"]);
    assert_eq!(done.code, 0, "{}{}", done.stdout, done.stderr);
    let new = fs::read(sandbox.path("zone/site/zone/metadata/2.root.json")).expect("a root");
    assert_ne!(root, new);
    // A key of `key new` signs too, if it is of the one kind that zones have.
    for (kind, code) in [("ed25519", 0), ("p256", 1)] {
        assert_eq!(signing(&sandbox, &["key", "new", kind, "--type", kind]).code, 0);
        let path = format!("keys/{kind}.key");
        let done = zone(&["name", "publish", "--key", &path]);
        assert_eq!(done.code != 0, code != 0, "{}{}", done.stdout, done.stderr);
    }
}

#[test]
fn pages_tell_clients_of_appc_where_archives_are() {
    let sandbox = owner();
    let template = "https://cdn.example.net/aci/{name}-{version}-{os}-{arch}.{ext}";
    let name = "example.com/org/app,version=v1,os=linux,arch=amd64";
    let asked = sandbox.run(&["resolve", "--appc", name]);
    assert_eq!(asked.code, 3, "{}", asked.stderr);
    sandbox.ok(&["name", "publish", "--zone", "owner", "--ac-discovery", template]);
    let report = sandbox.json(&["resolve", "--appc", name]);
    check(&report);
    let found = &report["names"][0]["archive"];
    let archive = "https://cdn.example.net/aci/example.com/org/app-v1-linux-amd64.aci";
    assert_eq!(found["archive"], archive);
    assert_eq!(found["signature"], format!("{archive}.asc"));
    assert_eq!(sandbox.ok(&["resolve", "--appc", "-q", name]).trim(), archive);
    // It stays so with the next publication; names are what they were.
    sandbox.ok(&["name", "publish", "--zone", "owner"]);
    let page = fs::read_to_string(sandbox.path("owner/site/org/app/index.html")).expect("a page");
    assert!(page.contains(&format!("content=\"example.com/org/app {template}\"")), "{page}");
    sandbox.ok(&["resolve", name]);
    for bad in ["http://cdn.example.net/{name}.{ext}", "https://cdn.example.net/{name}"] {
        let done = sandbox.run(&["name", "publish", "--zone", "owner", "--ac-discovery", bad]);
        assert_eq!(done.code, 2, "{bad}: {}", done.stderr);
    }
}
