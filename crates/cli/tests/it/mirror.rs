//! `mirror`: many images from place to place.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use crate::schemas::check;
use crate::server::{Reply, Server};
use crate::support::Sandbox;

/// A registry with `org/app` as v1.0.0, v1.1.0, v1.2.0-rc1, v2.0.0 (an index for
/// two platforms) and latest.
fn sandbox() -> (Sandbox, Server) {
    let sandbox = Sandbox::new();
    let server = Server::new();
    let place = format!("docker://{}/org/app", server.host);
    for (version, content) in [("v1.0.0", "1"), ("v1.1.0", "11"), ("v1.2.0-rc1", "12")] {
        sandbox.write("tree/file", content);
        sandbox.ok(&["pack", "tree", &format!("oci:images:{version}")]);
        sandbox.ok(&["push", &format!("oci:images:{version}"), &format!("{place}:{version}")]);
    }
    for arch in ["amd64", "arm64", "s390x"] {
        sandbox.write("tree/file", arch);
        let platform = format!("linux/{arch}");
        sandbox.ok(&["pack", "tree", &format!("oci:images:{arch}"), "--platform", &platform]);
    }
    let parts = ["oci:images:amd64", "oci:images:arm64", "oci:images:s390x"];
    sandbox.ok(&["index", "create", "oci:images:multi", parts[0], parts[1], parts[2]]);
    sandbox.write("sbom.json", "{}");
    sandbox.ok(&["attach", "oci:images:multi", "sbom.json", "--artifact-type", "a/b"]);
    for tag in ["v2.0.0", "latest"] {
        sandbox.ok(&["push", "--referrers", "oci:images:multi", &format!("{place}:{tag}")]);
    }
    (sandbox, server)
}

fn states(report: &Value) -> Vec<(String, String)> {
    let images = report["images"].as_array().expect("images").iter();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    images
        .map(|image| {
            let tag = text(&image["to"]);
            (tag.rsplit(':').next().unwrap_or_default().to_owned(), text(&image["state"]))
        })
        .collect()
}

#[test]
fn what_a_file_says_is_brought_once() {
    let (sandbox, from) = sandbox();
    let to = Server::new();
    let plan = format!(
        "to = 'docker://{to}/copies'\n\
         [[image]]\nfrom = '{from}/org/app'\nversions = '^1'\n\
         [[image]]\nfrom = '{from}/org/app'\ntags = ['lat*']\nto = '{to}/other/app'\nreferrers = true\n",
        to = to.host,
        from = from.host
    );
    sandbox.write("plan.toml", plan);
    let tried = sandbox.json(&["mirror", "plan.toml", "--dry-run"]);
    check(&tried);
    let all = |state: &str| {
        let tags = ["v1.0.0", "v1.1.0", "latest"];
        tags.map(|tag| (tag.to_owned(), state.to_owned())).to_vec()
    };
    assert_eq!(states(&tried), all("planned"));
    assert!(to.content().tags.is_empty() && to.content().blobs.is_empty());
    let report = sandbox.json(&["mirror", "plan.toml"]);
    check(&report);
    assert_eq!(states(&report), all("copied"));
    let source = from.content();
    let copied = to.content();
    let of = |name: &str, tag: &str| (name.to_owned(), tag.to_owned());
    for (there, here) in [
        (of("copies/org/app", "v1.0.0"), of("org/app", "v1.0.0")),
        (of("copies/org/app", "v1.1.0"), of("org/app", "v1.1.0")),
        (of("other/app", "latest"), of("org/app", "latest")),
    ] {
        assert_eq!(copied.tags.get(&there), source.tags.get(&here), "{there:?}");
    }
    drop((source, copied));
    let referrers = format!("docker://{}/other/app:latest", to.host);
    assert_eq!(sandbox.ok(&["-q", "referrers", &referrers]).lines().count(), 1);
    // Again, nothing is to be done.
    let puts = to.seen().iter().filter(|seen| seen.method == "PUT").count();
    let again = sandbox.json(&["mirror", "plan.toml"]);
    assert_eq!(states(&again), all("present"));
    assert_eq!(again["bytes"], 0);
    let text = sandbox.ok(&["mirror", "plan.toml"]);
    assert!(text.ends_with("copied 0 images, 0 B; 3 there already; 0 failed\n"), "{text}");
    let blobs = |seen: &crate::server::Seen| seen.method == "PUT" && seen.path.contains("/blobs/");
    let sent = to.seen().into_iter().filter(blobs).count();
    assert!(sent <= puts);
}

#[test]
fn what_fails_stops_nothing_and_is_in_the_exit_code() {
    let (sandbox, from) = sandbox();
    let broken = Arc::new(AtomicBool::new(true));
    let of_server = Arc::clone(&broken);
    let to = Server::spoilt(move |seen, _, reply| {
        let wrong = seen.path.ends_with("/manifests/v1.0.0");
        if wrong && of_server.load(Ordering::SeqCst) {
            return Reply::new(403, b"{}");
        }
        reply
    });
    let plan = format!(
        "[[image]]\nfrom = '{from}/org/app'\ntags = ['v1.0.0', 'v1.1.0']\nto = '{to}'\n",
        to = to.host,
        from = from.host
    );
    sandbox.write("plan.toml", &plan);
    let done = sandbox.run(&["mirror", "plan.toml", "--json"]);
    let report: Value = serde_json::from_str(&done.stdout).expect("a report");
    check(&report);
    assert_eq!(done.code, 4, "{report:#}");
    let found = states(&report);
    assert_eq!(found[0], ("v1.0.0".into(), "failed".into()));
    assert_eq!(found[1], ("v1.1.0".into(), "copied".into()));
    assert_eq!(report["images"][0]["error"]["code"], "E_AUTH");
    // Failures of several kinds.
    let more =
        format!("{plan}[[image]]\nfrom = '{}/org/app:none'\nto = '{}'\n", from.host, to.host);
    sandbox.write("more.toml", more);
    assert_eq!(sandbox.run(&["mirror", "more.toml"]).code, 1);
    broken.store(false, Ordering::SeqCst);
    let report = sandbox.json(&["mirror", "plan.toml"]);
    assert_ne!(states(&report)[0].1, "failed");
    assert_eq!(states(&report)[1].1, "present");
}

#[test]
fn some_platforms_come_and_the_index_stays() {
    let (sandbox, from) = sandbox();
    let name = format!("{}/org/app:v2.0.0", from.host);
    let plan = format!(
        "platforms = ['linux/amd64', 'linux/arm64']\n[[image]]\nfrom = '{name}'\nto = 'oci:some'\n"
    );
    sandbox.write("plan.toml", plan);
    check(&sandbox.json(&["mirror", "plan.toml"]));
    let some = format!("oci:some:{name}");
    assert_eq!(
        sandbox.ok(&["-q", "inspect", &some]),
        sandbox.ok(&["-q", "inspect", "oci:images:multi"])
    );
    for (arch, code) in [("amd64", 0), ("arm64", 0), ("s390x", 3)] {
        let out = format!("out-{arch}");
        let words = ["unpack", &some, &out, "--platform", &format!("linux/{arch}")];
        assert_eq!(sandbox.run(&words).code, code, "{arch}");
    }
    // The same by the other verbs, and only what is there.
    let both = "linux/amd64,linux/arm64";
    sandbox.ok(&["copy", &name, "oci:again:v2", "--platform", both, "--referrers"]);
    assert_eq!(sandbox.ok(&["-q", "referrers", "oci:again:v2"]).lines().count(), 1);
    sandbox.fails(3, &["copy", &name, "oci:none:v2", "--platform", "linux/amd64,linux/riscv64"]);
    sandbox.fails(1, &["save", &name, "--format", "docker", "-o", "a.tar", "--platform", both]);
    // One platform is that image alone.
    sandbox.ok(&["copy", &name, "oci:one:v2", "--platform", "linux/arm64"]);
    assert_eq!(
        sandbox.ok(&["-q", "inspect", "oci:one:v2"]),
        sandbox.ok(&["-q", "inspect", "oci:images:arm64"])
    );
}

#[test]
fn what_can_not_be_mirrored_is_said() {
    let (sandbox, from) = sandbox();
    let source = format!("from = '{}/org/app", from.host);
    for (text, code) in [
        ("to = 'oci:x'\n", 2),
        ("[[image]]\nfrom = 'a.test/x'\nto = 'b.test'\ntag = 'v1'\n", 6),
        (&format!("[[image]]\n{source}'\nto = 'oci:x'\n"), 2),
        (&format!("[[image]]\n{source}:v1.0.0'\nto = 'oci:x'\ntags = ['*']\n"), 2),
        (&format!("[[image]]\n{source}'\nto = 'oci:x:one'\ntags = ['*']\n"), 2),
        (&format!("[[image]]\n{source}'\nto = 'oci:x'\ntags = ['gone', 'v1.*']\n"), 3),
        ("[[image]]\nfrom = './x'\nto = 'oci:x'\ntags = ['*']\n", 2),
    ] {
        sandbox.write("plan.toml", text);
        sandbox.fails(code, &["mirror", "plan.toml"]);
    }
    sandbox.fails(3, &["mirror", "none.toml"]);
}

#[test]
fn a_layout_is_mirrored_to_a_registry() {
    let (sandbox, _from) = sandbox();
    let to = Server::new();
    let plan = format!(
        "{{\"image\": [{{\"from\": \"oci:images\", \"to\": \"{}/all\", \"tags\": [\"v*\"]}}]}}",
        to.host
    );
    sandbox.write("plan.json", plan);
    let report = sandbox.json(&["sync", "plan.json"]);
    check(&report);
    assert_eq!(report["images"].as_array().map(Vec::len), Some(3));
    assert_eq!(to.content().tags.len(), 3);
}
