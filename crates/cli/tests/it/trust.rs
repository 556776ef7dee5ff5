//! Keys, signatures and policies from the command line.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::schemas::check;
use crate::server::{Reply, Server};
use crate::support::{Done, Sandbox};

pub(crate) const NAME: &str = "example.com/org/app:v1";

/// The program with a passphrase, whatever comes of it.
pub(crate) fn run(sandbox: &Sandbox, words: &[&str]) -> Done {
    let mut command = sandbox.command(words);
    for variable in ["PLIMSOLL_POLICY", "PLIMSOLL_KEYS", "COSIGN_PASSWORD"] {
        command.env_remove(variable);
    }
    command.env("PLIMSOLL_PASSPHRASE", "correct horse").env("XDG_CONFIG_HOME", sandbox.path("xdg"));
    Done::of(&command.output().expect("started"))
}

pub(crate) fn ok(sandbox: &Sandbox, words: &[&str]) -> String {
    let done = run(sandbox, words);
    assert_eq!(done.code, 0, "{words:?}: {}{}", done.stdout, done.stderr);
    done.stdout
}

pub(crate) fn report(sandbox: &Sandbox, words: &[&str]) -> Value {
    let words: Vec<_> = words.iter().copied().chain(["--json"]).collect();
    let done = run(sandbox, &words);
    let report = serde_json::from_str(&done.stdout).expect("one document");
    check(&report);
    report
}

/// Fails with that exit code and that error code.
pub(crate) fn fails(sandbox: &Sandbox, exit: i32, code: &str, words: &[&str]) -> String {
    let done = run(sandbox, words);
    assert_eq!(done.code, exit, "{words:?}: {}{}", done.stdout, done.stderr);
    assert!(done.stderr.contains(&format!("error[{code}]")), "{words:?}: {}", done.stderr);
    done.stderr
}

/// A sandbox with `oci:images:v1` and two keys, `a` and `b`.
pub(crate) fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.image();
    ok(&sandbox, &["key", "new", "a"]);
    ok(&sandbox, &["key", "new", "b", "--type", "ed25519"]);
    sandbox
}

fn policy(sandbox: &Sandbox, name: &str, mut change: impl FnMut(&mut Value)) -> String {
    let pem = |key: &str| ok(sandbox, &["key", "export", key]);
    let mut policy = json!({
        "version": 1,
        "keys": {"a": {"pem": pem("a")}, "b": {"pem": pem("b")}},
        "rules": [{"scope": "example.com/org/", "require": [
            {"kind": "signature", "of": ["key:a"], "name": "exact"}]}],
    });
    change(&mut policy);
    sandbox.write(name, policy.to_string());
    name.to_owned()
}

#[test]
fn keys_are_made_kept_and_removed() {
    let sandbox = sandbox();
    let file = sandbox.path("keys/a.key");
    assert_eq!(fs::metadata(&file).expect("a key").permissions().mode() & 0o777, 0o600);
    assert!(fs::read_to_string(&file).expect("text").contains("ENCRYPTED SIGSTORE PRIVATE KEY"));
    for words in [&["key", "ls"][..], &["key", "new", "c", "--type", "p384"], &["key", "rm", "c"]] {
        report(&sandbox, words);
    }
    let public = ok(&sandbox, &["key", "export", "a"]);
    assert!(public.starts_with("-----BEGIN PUBLIC KEY-----\n"));
    let sealed = ok(&sandbox, &["key", "export", "a", "--private"]);
    sandbox.write("elsewhere.key", &sealed);
    sandbox.write("elsewhere.pub", &public);
    ok(&sandbox, &["key", "import", "elsewhere.key", "d"]);
    ok(&sandbox, &["key", "import", "elsewhere.pub", "e"]);
    assert_eq!(ok(&sandbox, &["key", "export", "d"]), public);
    assert_eq!(
        ok(&sandbox, &["key", "ls", "-q"]).lines().collect::<Vec<_>>(),
        ["a", "b", "d", "e"]
    );
    ok(&sandbox, &["key", "new", "out", "--out", "."]);
    assert!(sandbox.path("out.key").exists() && sandbox.path("out.pub").exists());
    // What is there stays.
    fails(&sandbox, 1, "E_EXISTS", &["key", "new", "a"]);
    fails(&sandbox, 2, "E_USAGE", &["key", "new", "../x"]);
    fails(&sandbox, 3, "E_NOT_FOUND", &["key", "rm", "nobody"]);
    let wrong = sandbox
        .command(&["sign", "oci:images:v1", "--key", "a", "--as", NAME])
        .env("PLIMSOLL_PASSPHRASE", "wrong")
        .output()
        .expect("started");
    let done = Done::of(&wrong);
    assert_eq!(done.code, 4, "{}", done.stderr);
    assert!(done.stderr.contains("E_PASSPHRASE") && !done.stderr.contains("wrong\n"));
}

#[test]
fn each_way_not_to_be_trusted_has_its_code() {
    let sandbox = sandbox();
    let verify = |more: &[&'static str]| {
        let words = ["verify", "oci:images:v1", "--key", "a"];
        words.iter().copied().chain(more.iter().copied()).collect::<Vec<_>>()
    };
    let told = fails(&sandbox, 7, "E_UNSIGNED", &verify(&[]));
    assert!(told.contains("no signature"), "{told}");
    let signed = report(&sandbox, &["sign", "oci:images:v1", "--key", "a", "--as", NAME]);
    assert_eq!(signed["images"][0]["signatures"].as_array().expect("all").len(), 2);
    let good = report(&sandbox, &verify(&["--as", NAME]));
    assert_eq!((&good["trusted"], &good["images"][0]["trusted"]), (&true.into(), &true.into()));
    assert_eq!(good["images"][0]["results"][0]["signed"]["names"][0], NAME);
    // What was not looked at is never claimed (t03).
    let unchecked = good["images"][0]["notChecked"].to_string();
    assert!(unchecked.contains("transparency logs") && unchecked.contains("revocation"));
    fails(&sandbox, 7, "E_UNTRUSTED", &["verify", "oci:images:v1", "--key", "b"]);
    fails(&sandbox, 7, "E_SIGNED_NAME", &verify(&["--as", "example.com/org/other:v1"]));
    fails(&sandbox, 7, "E_UNTRUSTED", &verify(&["--trust-key", "b", "--threshold", "2"]));
    ok(&sandbox, &["sign", "oci:images:v1", "--key", "b", "--as", NAME]);
    ok(&sandbox, &["key", "new", "c"]);
    ok(&sandbox, &verify(&["--trust-key", "b", "--threshold", "2"]));
    fails(
        &sandbox,
        7,
        "E_SIGNATURE_LIMIT",
        &["verify", "oci:images:v1", "--key", "c", "--limit", "signatures=1"],
    );
    assert_eq!(ok(&sandbox, &verify(&["-q"])).lines().count(), 1);
    // A policy that is for other images, and one that refuses.
    let file = policy(&sandbox, "trust.json", |_| {});
    fails(&sandbox, 7, "E_REJECTED", &["verify", "oci:images:v1", "--policy", &file]);
    ok(&sandbox, &["verify", "oci:images:v1", "--policy", &file, "--as", NAME]);
    fails(
        &sandbox,
        7,
        "E_REJECTED",
        &["verify", "oci:images:v1", "--policy", &file, "--as", "example.com/organ/app:v1"],
    );
    let bad = policy(&sandbox, "bad.json", |policy| policy["later"] = true.into());
    fails(&sandbox, 2, "E_POLICY", &["verify", "oci:images:v1", "--policy", &bad]);
    fails(&sandbox, 2, "E_USAGE", &["verify", "oci:images:v1"]);
}

#[test]
fn t13_what_has_expired_or_goes_back_is_refused() {
    let sandbox = sandbox();
    let sign = |more: &[&'static str]| {
        let words = ["sign", "oci:images:v1", "--key", "a", "--as", NAME];
        words.iter().copied().chain(more.iter().copied()).collect::<Vec<_>>()
    };
    ok(&sandbox, &sign(&["--expires", "30d", "--sequence", "12"]));
    let file = policy(&sandbox, "trust.json", |policy| {
        policy["rules"][0]["require"][0]["rollback"] = "refuse".into();
    });
    let verify = ["verify", "oci:images:v1", "--policy", &file, "--as", NAME];
    let report = report(&sandbox, &verify);
    assert_eq!(report["trusted"], true, "{report}");
    let later: Vec<_> = verify.iter().copied().chain(["--at", "2099-01-01T00:00:00Z"]).collect();
    let told = fails(&sandbox, 7, "E_EXPIRED", &later);
    assert!(told.contains("expired at"), "{told}");
    // Another image, signed before, under the same name.
    sandbox.write("old/file", "old");
    sandbox.ok(&["pack", "old", "oci:images:old"]);
    ok(&sandbox, &["sign", "oci:images:old", "--key", "a", "--as", NAME, "--sequence", "11"]);
    let old = ["verify", "oci:images:old", "--policy", &file, "--as", NAME];
    let told = fails(&sandbox, 7, "E_ROLLBACK", &old);
    assert!(told.contains("sequence 11, after 12"), "{told}");
    fs::remove_file(sandbox.path("seen.json")).expect("kept");
    ok(&sandbox, &old);
    ok(&sandbox, &verify);
    fails(&sandbox, 7, "E_ROLLBACK", &old);
}

#[test]
fn nothing_is_left_of_what_is_not_trusted() {
    let sandbox = sandbox();
    let before = sandbox.names();
    let untrusted = |words: &[&str]| {
        let words: Vec<_> = words.iter().copied().chain(["--trust-key", "a"]).collect();
        let done = run(&sandbox, &words);
        let wanted = if words[0] == "run" { [7, 125] } else { [7, 7] };
        assert!(wanted.contains(&done.code), "{words:?}: {}", done.stderr);
        assert!(done.stderr.contains("E_UNSIGNED"), "{words:?}: {}", done.stderr);
    };
    untrusted(&["copy", "oci:images:v1", "oci:elsewhere:v1"]);
    untrusted(&["copy", "oci:images:v1", "oci-archive:x.tar"]);
    untrusted(&["copy", "oci:images:v1", "docker-archive:x.tar"]);
    untrusted(&["copy", "oci:images:v1", "dir:x"]);
    untrusted(&["unpack", "oci:images:v1", "out"]);
    untrusted(&["bundle", "oci:images:v1", "out"]);
    untrusted(&["run", "oci:images:v1"]);
    assert_eq!(sandbox.names(), before);
    ok(&sandbox, &["sign", "oci:images:v1", "--key", "a"]);
    ok(&sandbox, &["copy", "oci:images:v1", "dir:x", "--trust-key", "a"]);
    ok(&sandbox, &["unpack", "oci:images:v1", "out", "--trust-key", "a"]);
    // Trust is in bytes, not in a place: one byte of the manifest more.
    let layout = sandbox.layout("images");
    let digest = sandbox.ok(&["inspect", "oci:images:v1", "-q"]);
    let mut bytes = layout.blob(digest.trim());
    bytes.push(b' ');
    let mut changed = layout.add("application/vnd.oci.image.manifest.v1+json", &bytes);
    changed["annotations"] = json!({"org.opencontainers.image.ref.name": "v2"});
    let mut index = layout.index();
    index["manifests"].as_array_mut().expect("entries").push(changed);
    layout.set_index(&index);
    fails(&sandbox, 7, "E_UNSIGNED", &["unpack", "oci:images:v2", "no", "--trust-key", "a"]);
    assert!(!sandbox.path("no").exists());
}

#[test]
fn signatures_travel_with_copies_through_every_kind_of_place() {
    let sandbox = sandbox();
    ok(&sandbox, &["sign", "oci:images:v1", "--key", "a", "--as", NAME]);
    let server = Server::new();
    let remote = format!("docker://{}/org/app:v1", server.host);
    let mut from = "oci:images:v1".to_owned();
    for to in ["oci-archive:a.tar:v1", "oci:second:v1", &remote, "store:app:v1", "oci:last:v1"] {
        ok(&sandbox, &["copy", &from, to, "--trust-key", "a", "--as", NAME]);
        let report = report(&sandbox, &["verify", to, "--key", "a", "--as", NAME]);
        let results = report["images"][0]["results"].as_array().expect("results");
        assert_eq!(results.len(), 2, "{to}: {report}");
        assert!(results.iter().all(|result| result["verdict"] == "accepted"), "{to}: {report}");
        from = to.to_owned();
    }
    // A pipe.
    let saved = ["copy", "oci:images:v1", "oci-archive:p.tar:v1", "--referrers"];
    ok(&sandbox, &saved);
    let mut command =
        sandbox.command(&["copy", "oci-archive:-:v1", "oci:piped:v1", "--trust-key", "a"]);
    command.stdin(fs::File::open(sandbox.path("p.tar")).expect("an archive"));
    assert_eq!(Done::of(&command.output().expect("started")).code, 0);
    let mut command =
        sandbox.command(&["copy", "oci-archive:-:v1", "oci:none:v1", "--trust-key", "b"]);
    command.stdin(fs::File::open(sandbox.path("p.tar")).expect("an archive"));
    let done = Done::of(&command.output().expect("started"));
    assert_eq!(done.code, 7, "{}", done.stderr);
    assert!(!sandbox.path("none").exists());
    // Several at once: what is about others is no image.
    ok(&sandbox, &["copy", "oci:images", "oci:all", "--all", "--trust-key", "a"]);
    assert!(sandbox.ok(&["ls", "oci:all"]).contains(".sig"));
    sandbox.ok(&["copy", "oci:images:v1", "oci:images:sha256-evil"]);
    sandbox.write("evil/file", "evil");
    sandbox.ok(&["pack", "evil", "oci:images:evil"]);
    fails(
        &sandbox,
        7,
        "E_UNSIGNED",
        &["copy", "oci:images", "oci:no", "--all", "--trust-key", "a"],
    );
}

/// All four combinations of an index and what it lists (t25).
#[test]
fn t25_a_signed_index_vouches_for_what_it_lists_and_not_the_other_way_round() {
    let sandbox = sandbox();
    sandbox.tree("both/linux/amd64");
    sandbox.tree("both/linux/arm64");
    let platforms = ["--platform", "linux/amd64,linux/arm64"];
    sandbox.ok(&["pack", "both", "oci:images:both", platforms[0], platforms[1]]);
    for name in ["whole", "part"] {
        sandbox.ok(&["copy", "oci:images:both", &format!("oci:{name}:v1")]);
    }
    let sign = |name: &str| ["sign".to_owned(), name.to_owned(), "--key".into(), "a".into()];
    let signed = |name: &str, more: &[&str]| {
        let words = sign(name);
        let words: Vec<_> = words.iter().map(String::as_str).chain(more.iter().copied()).collect();
        report(&sandbox, &words)["images"][0]["signatures"].as_array().expect("all").len()
    };
    // The index and its two children, in one form: there is no name to sign.
    assert_eq!(signed("oci:images:both", &[]), 3);
    assert_eq!(signed("oci:whole:v1", &["--no-recursive"]), 1);
    let index = sandbox.layout("part").index();
    let children = sandbox
        .layout("part")
        .document(index["manifests"][0]["digest"].as_str().expect("a digest"));
    let child = |at: usize| {
        let digest = children["manifests"][at]["digest"].as_str().expect("a digest");
        format!("oci:part@{digest}")
    };
    assert_eq!(signed(&child(0), &[]), 1);
    let verify = |place: &str, more: &[&str]| {
        let words: Vec<_> =
            ["verify", place, "--key", "a"].iter().copied().chain(more.iter().copied()).collect();
        run(&sandbox, &words).code
    };
    assert_eq!(verify("oci:images:both", &[]), 0);
    assert_eq!(verify("oci:images:both", &["--platform", "linux/arm64"]), 0);
    assert_eq!(verify("oci:whole:v1", &[]), 0);
    assert_eq!(verify("oci:whole:v1", &["--platform", "linux/arm64"]), 0);
    assert_eq!(verify("oci:part:v1", &[]), 7);
    let platform = |at: usize| {
        let of = &children["manifests"][at]["platform"];
        format!("linux/{}", of["architecture"].as_str().expect("a word"))
    };
    assert_eq!(verify("oci:part:v1", &["--platform", &platform(0)]), 0);
    assert_eq!(verify("oci:part:v1", &["--platform", &platform(1)]), 7);
    let unpack = |at: usize, to: &str| {
        let words = ["unpack", "oci:part:v1", to, "--platform", &platform(at), "--trust-key", "a"];
        run(&sandbox, &words).code
    };
    assert_eq!((unpack(0, "good"), unpack(1, "bad")), (0, 7));
    assert!(!sandbox.path("bad").exists());
    // A child that is not in the verified index is only itself.
    assert_eq!(verify(&child(1), &[]), 7);
    fails(&sandbox, 7, "E_UNSIGNED", &["copy", "oci:part:v1", "oci:x:v1", "--trust-key", "a"]);
}

#[test]
fn t04_attestations_are_asked_for_by_type() {
    let sandbox = sandbox();
    ok(&sandbox, &["sign", "oci:images:v1", "--key", "a", "--as", NAME]);
    sandbox.write("p.json", r#"{"buildDefinition":{"buildType":"https://example.com/b"}}"#);
    let attach =
        ["attach", "oci:images:v1", "--predicate", "p.json", "--type", "slsaprovenance1", "--key"];
    let attach: Vec<_> = attach.iter().copied().chain(["a"]).collect();
    report(&sandbox, &attach);
    let verify = |kind: &'static str| {
        ["verify", "oci:images:v1", "--key", "a", "--require-attestation", kind]
    };
    ok(&sandbox, &verify("slsaprovenance1"));
    ok(&sandbox, &verify("https://slsa.dev/provenance/v1"));
    fails(&sandbox, 7, "E_UNSIGNED", &verify("spdx"));
    let file = |value: &str, name: &str| {
        policy(&sandbox, name, |policy| {
            policy["rules"][0]["require"].as_array_mut().expect("all").push(json!({
                "kind": "attestation", "of": ["key:a"], "predicateType": "slsaprovenance1",
                "checks": {"/buildDefinition/buildType": value},
            }));
        })
    };
    let (good, bad) = (file("https://example.com/b", "g.json"), file("https://x", "b.json"));
    ok(&sandbox, &["verify", "oci:images:v1", "--policy", &good, "--as", NAME]);
    fails(&sandbox, 7, "E_UNSIGNED", &["verify", "oci:images:v1", "--policy", &bad, "--as", NAME]);
    // An attestation alone is no signature (t06).
    sandbox.write("only/file", "x");
    sandbox.ok(&["pack", "only", "oci:attested:v1"]);
    let words: Vec<_> = attach
        .iter()
        .map(|word| if *word == "oci:images:v1" { "oci:attested:v1" } else { word })
        .collect();
    ok(&sandbox, &words);
    fails(&sandbox, 7, "E_UNSIGNED", &["verify", "oci:attested:v1", "--key", "a"]);
}

#[test]
fn policies_say_which_rule_is_for_an_image() {
    let sandbox = sandbox();
    let file = policy(&sandbox, "trust.json", |_| {});
    let shown = report(&sandbox, &["policy", "show", "--policy", &file]);
    assert_eq!(shown["rules"][0]["scope"], "example.com/org/");
    let name = format!("docker://{NAME}");
    let checked = report(&sandbox, &["policy", "check", &name, "--policy", &file]);
    assert_eq!(checked["scope"], "example.com/org/");
    let other =
        report(&sandbox, &["policy", "check", "docker://example.com/x:v1", "--policy", &file]);
    assert_eq!((&other["scope"], &other["require"][0]["kind"]), (&Value::Null, &"reject".into()));
    // A policy of the containers tools, and the same in our form.
    sandbox.write("a.pub", ok(&sandbox, &["key", "export", "a"]));
    let containers = json!({
        "default": [{"type": "reject"}],
        "transports": {"docker": {"example.com/org": [{"type": "sigstoreSigned", "keyPath": "a.pub"}]}},
    });
    sandbox.write("policy.json", containers.to_string());
    ok(&sandbox, &["policy", "import", "--policy", "policy.json", "-o", "imported.json"]);
    ok(&sandbox, &["sign", "oci:images:v1", "--key", "a", "--as", NAME]);
    for file in ["policy.json", "imported.json"] {
        let words = ["verify", "oci:images:v1", "--policy", file, "--as"];
        let with = |name: &'static str| words.iter().copied().chain([name]).collect::<Vec<_>>();
        ok(&sandbox, &with(NAME));
        fails(&sandbox, 7, "E_SIGNED_NAME", &with("example.com/org/app:v2"));
        fails(&sandbox, 7, "E_REJECTED", &with("example.com/other/app:v1"));
    }
    // The policy of the user holds if none is named.
    ok(&sandbox, &["policy", "import", "--trust-key", "a", "oci:", "-o", "own.json"]);
    fs::create_dir_all(sandbox.path("xdg/plimsoll")).expect("a folder");
    fs::rename(sandbox.path("own.json"), sandbox.path("xdg/plimsoll/trust.json")).expect("moved");
    ok(&sandbox, &["verify", "oci:images:v1", "--as", NAME]);
    fails(&sandbox, 7, "E_SIGNED_NAME", &["unpack", "oci:images:v1", "out", "--verify"]);
}

/// What a registry does not tell is never taken for "there is none".
#[test]
fn t31_an_error_of_a_registry_is_not_unsigned() {
    let sandbox = sandbox();
    for (status, part, exit) in [
        (500, "/referrers/", 5),
        (503, ".sig", 5),
        (401, "/referrers/", 4),
        (401, ".att", 4),
        (403, ".sig", 4),
        (404, "/referrers/", 0),
    ] {
        let server =
            Server::spoilt(
                move |seen, _, reply| {
                    if seen.is("GET", part) { Reply::new(status, b"{}") } else { reply }
                },
            );
        let name = format!("docker://{}/org/app:v1", server.host);
        let spoilt = |words: &[&str]| run(&sandbox, words);
        ok(&sandbox, &["copy", "oci:images:v1", &name]);
        if exit == 0 {
            ok(&sandbox, &["sign", &name, "--key", "a"]);
        }
        let done = spoilt(&["verify", &name, "--key", "a"]);
        assert_eq!(done.code, exit, "{status} {part}: {}", done.stderr);
        assert!(!done.stderr.contains("E_UNSIGNED"), "{status} {part}: {}", done.stderr);
    }
}

/// A tag that moves between two questions (t24): it is asked for once.
#[test]
fn t24_what_was_verified_is_what_comes() {
    let sandbox = sandbox();
    sandbox.write("evil/file", "evil");
    sandbox.ok(&["pack", "evil", "oci:images:evil"]);
    let evil = sandbox.ok(&["inspect", "oci:images:evil", "-q"]).trim().to_owned();
    let bytes = sandbox.layout("images").blob(&evil);
    let server = Server::spoilt(move |seen, before, reply| {
        // The second time, the tag stands for something else.
        if seen.method != "PUT" && seen.path.ends_with("/manifests/v1") && before > 0 {
            return Reply::new(200, &bytes)
                .with("Content-Type", "application/vnd.oci.image.manifest.v1+json")
                .with("Docker-Content-Digest", &evil);
        }
        reply
    });
    let name = format!("docker://{}/org/app:v1", server.host);
    ok(&sandbox, &["copy", "oci:images:evil", &name.replace(":v1", ":evil")]);
    ok(&sandbox, &["sign", "oci:images:v1", "--key", "a", "--as", &name["docker://".len()..]]);
    ok(&sandbox, &["copy", "oci:images:v1", &name, "--referrers"]);
    let asked = server.count("GET", "/manifests/v1");
    ok(&sandbox, &["pull", &name, "good:v1", "--trust-key", "a"]);
    assert_eq!(server.count("GET", "/manifests/v1") - asked, 1);
    let good = sandbox.ok(&["inspect", "oci:images:v1", "-q"]);
    assert_eq!(sandbox.ok(&["inspect", "good:v1", "-q"]), good);
    // By now it is the other one, which nobody signed.
    fails(&sandbox, 7, "E_UNSIGNED", &["pull", &name, "bad:v1", "--trust-key", "a"]);
    fails(&sandbox, 7, "E_UNSIGNED", &["pull", &name, "--unpack", "out", "--trust-key", "a"]);
    assert!(!sandbox.path("out").exists());
    sandbox.fails(3, &["inspect", "bad:v1"]);
}

/// Other bytes for a digest (t12), and a list without end (t11).
#[test]
fn t12_t11_registries_that_lie_or_never_end_are_endured() {
    let sandbox = sandbox();
    let server = Server::spoilt(|seen, _, reply| {
        // Each signature is another one than its digest says.
        if seen.is("GET", "/blobs/") && reply.body.starts_with(b"{\"dsseEnvelope") {
            let mut body = reply.body.clone();
            let last = body.len() - 1;
            body[last - 1] ^= 1;
            return Reply { body, ..reply };
        }
        reply
    });
    let name = format!("docker://{}/org/app:v1", server.host);
    ok(&sandbox, &["copy", "oci:images:v1", &name]);
    ok(&sandbox, &["sign", &name, "--key", "a", "--form", "sigstore-bundle"]);
    let told = run(&sandbox, &["verify", &name, "--key", "a"]);
    assert_eq!(told.code, 7, "{}", told.stderr);
    assert!(told.stdout.contains("digest") || told.stdout.contains("sha256"), "{}", told.stdout);
    let endless = Server::spoilt(|seen, _, reply| {
        if !seen.is("GET", "/referrers/") {
            return reply;
        }
        let page = seen.path.split_once("page=").map_or(0, |(_, page)| page.parse().unwrap_or(0));
        let body = br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
        let path = seen.path.split('?').next().unwrap_or_default();
        Reply::new(200, body)
            .with("Content-Type", "application/vnd.oci.image.index.v1+json")
            .with("Link", format!("<{path}?page={}>; rel=\"next\"", page + 1))
    });
    let name = format!("docker://{}/org/app:v1", endless.host);
    ok(&sandbox, &["copy", "oci:images:v1", &name]);
    let asked = endless.count("GET", "/referrers/");
    fails(&sandbox, 7, "E_SIGNATURE_LIMIT", &["verify", &name, "--key", "a"]);
    assert!(endless.count("GET", "/referrers/") - asked <= 33);
}

/// Several images in one command, one with bundles and one of the old kind (t10).
#[test]
fn t10_each_image_is_judged_by_what_it_has() {
    let sandbox = sandbox();
    sandbox.write("two/file", "two");
    sandbox.ok(&["pack", "two", "oci:images:v2"]);
    let sign = |image: &str, form: &str| {
        ok(&sandbox, &["sign", image, "--key", "a", "--as", NAME, "--form", form]);
    };
    sign("oci:images:v1", "cosign-simple");
    sign("oci:images:v2", "sigstore-bundle");
    for order in [["oci:images:v1", "oci:images:v2"], ["oci:images:v2", "oci:images:v1"]] {
        let words = ["verify", order[0], order[1], "--key", "a", "--as", NAME];
        assert_eq!(report(&sandbox, &words)["trusted"], true);
        fails(&sandbox, 7, "E_UNTRUSTED", &["verify", order[0], order[1], "--key", "b"]);
    }
}

#[test]
fn ten_signatures_are_verified_at_once() {
    let sandbox = sandbox();
    for _ in 0..5 {
        ok(&sandbox, &["sign", "oci:images:v1", "--key", "a", "--as", NAME]);
        ok(&sandbox, &["sign", "oci:images:v1", "--key", "b", "--as", NAME]);
    }
    let words = ["verify", "oci:images:v1", "--key", "a", "--trust-key", "b", "--threshold", "2"];
    let report = report(&sandbox, &words);
    // Of the old kind there are as many; of bundles, those of Ed25519 are equal
    // bytes each time.
    assert!(report["images"][0]["results"].as_array().expect("all").len() >= 10);
    assert_eq!(report["trusted"], true);
}
