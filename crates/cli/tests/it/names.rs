//! Names without a scheme, and the settings of registries on the real program.

use serde_json::Value;

use crate::schemas::check;
use crate::server::Server;
use crate::support::Sandbox;

/// A sandbox with an image `oci:images:v1`, and a registry that has it as
/// `org/app:v1`; gives its digest as well.
fn sandbox() -> (Sandbox, Server, String) {
    let sandbox = Sandbox::new();
    sandbox.tree("tree");
    let digest = sandbox.ok(&["pack", "tree", "oci:images:v1", "-q"]).trim().to_owned();
    let server = Server::new();
    sandbox.ok(&["push", "oci:images:v1", &format!("docker://{}/org/app:v1", server.host)]);
    (sandbox, server, digest)
}

fn settings(sandbox: &Sandbox, text: &str) {
    sandbox.write("config/containers/registries.conf", text);
}

#[test]
fn a_name_is_one_of_the_store_and_then_one_of_its_registry() {
    let (sandbox, server, digest) = sandbox();
    let name = format!("{}/org/app:v1", server.host);
    let asked = || server.seen().len();
    for words in [
        &["inspect", &name][..],
        &["show", &name, "manifest"],
        &["validate", &name],
        &["copy", &name, "oci:copied:v1"],
        &["unpack", &name, "out"],
        &["export", &name, "-o", "out.tar"],
        &["history", &name],
        &["referrers", &name],
        &["save", &name, "-o", "app.tar"],
        &["convert", &name, "oci:converted:v1", "--compression", "none"],
        &["edit", &name, "oci:edited:v1", "--label", "a=b"],
    ] {
        let before = asked();
        let done = sandbox.run(words);
        assert_eq!(done.code, 0, "{words:?}: {}", done.stderr);
        assert!(asked() > before, "{words:?}");
        let told = format!("{name} -> {digest}  (registry: docker://{name})");
        assert!(done.stderr.contains(&told), "{words:?}: {}", done.stderr);
    }
    let report = sandbox.json(&["inspect", &name]);
    check(&report);
    assert_eq!(report["resolved"][0]["by"][0], "registry");
    assert_eq!(report["resolved"][0]["digest"], digest);
    let listed = sandbox.json(&["ls", &name]);
    assert_eq!(listed["images"][0]["digest"], digest);
    let repository = format!("{}/org/app", server.host);
    assert_eq!(sandbox.ok(&["ls", "-q", &repository]), "v1\n");
    // No tag is latest, and told too.
    let latest = format!("docker://{repository}:latest");
    sandbox.ok(&["push", "oci:images:v1", &latest]);
    let report = sandbox.json(&["inspect", &repository]);
    assert_eq!(
        (&report["resolved"][0]["name"], &report["resolved"][0]["place"]),
        (&repository.clone().into(), &latest.into())
    );
    // By its digest, and then from the store.
    sandbox.ok(&["inspect", &format!("{repository}@{digest}")]);
    sandbox.ok(&["pull", &name]);
    let before = asked();
    let report = sandbox.json(&["inspect", &name]);
    check(&report);
    assert_eq!(report["resolved"][0]["by"][0], "store");
    let done = sandbox.run(&["inspect", &name]);
    assert!(!done.stderr.contains("->"), "{}", done.stderr);
    assert_eq!(asked(), before);
    // It stays so for a name that the registry has too, and moves there.
    sandbox.fails(3, &["inspect", &format!("{repository}:v9")]);
}

#[test]
fn what_is_changed_or_removed_by_a_name_is_ours() {
    let (sandbox, server, _) = sandbox();
    let name = format!("{}/org/app:v1", server.host);
    let before = server.seen().len();
    sandbox.fails(3, &["rm", &name]);
    sandbox.fails(3, &["tag", &name, "v2"]);
    sandbox.fails(3, &["edit", &name, "--label", "a=b"]);
    sandbox.write("file", "x");
    sandbox.fails(3, &["attach", &name, "file", "--artifact-type", "a/b"]);
    sandbox.ok(&["pack", "tree", &name]);
    assert_eq!(server.seen().len(), before);
}

#[test]
fn short_names_mean_what_is_written_down_and_nothing_else() {
    let (sandbox, server, digest) = sandbox();
    let said = sandbox.fails(3, &["inspect", "app:v1"]);
    assert!(!said.contains("docker.io"), "{said}");
    let said = sandbox.fails(2, &["pull", "app:v1"]);
    assert!(said.contains("docker://docker.io/app:v1"), "{said}");
    settings(&sandbox, &format!("[aliases]\napp = '{}/org/app'\n", server.host));
    let report = sandbox.json(&["inspect", "app:v1"]);
    check(&report);
    assert_eq!(report["resolved"][0]["by"], serde_json::json!(["alias", "registry"]));
    assert_eq!(report["resolved"][0]["digest"], digest);
    sandbox.ok(&["inspect", &format!("app@{digest}")]);
    // One that does not have it, and one that does.
    let other = Server::new();
    settings(
        &sandbox,
        &format!("unqualified-search-registries = ['{}', '{}']\n", other.host, server.host),
    );
    let report = sandbox.json(&["inspect", "org/app:v1"]);
    check(&report);
    assert_eq!(report["resolved"][0]["by"], serde_json::json!(["search", "registry"]));
    assert_eq!(
        report["resolved"][0]["tried"][0]["place"],
        format!("docker://{}/org/app:v1", other.host)
    );
    sandbox.fails(3, &["inspect", "org/app:v9"]);
    sandbox.ok(&["pull", "org/app:v1"]);
    assert_eq!(sandbox.ok(&["ls", "-q"]), format!("{}/org/app:v1\n", server.host));
    let enforcing = "\nshort-name-mode = 'enforcing'\n";
    settings(&sandbox, &format!("unqualified-search-registries = ['a.test', 'b.test']{enforcing}"));
    sandbox.fails(2, &["inspect", "other:v1"]);
}

#[test]
fn mirrors_are_read_and_what_is_blocked_is_not() {
    let (sandbox, server, digest) = sandbox();
    let gone = "127.0.0.1:1";
    settings(
        &sandbox,
        &format!(
            "[[registry]]\nprefix = 'name.test/org'\nlocation = '{host}/other'\n\
             [[registry.mirror]]\nlocation = '{gone}/m'\n\
             [[registry.mirror]]\nlocation = '{host}/org'\n\
             [[registry]]\nprefix = '*.evil.test'\nblocked = true\n",
            host = server.host
        ),
    );
    let report = sandbox.json(&["pull", "name.test/org/app:v1"]);
    check(&report);
    let step = &report["resolved"][0];
    assert_eq!((&step["by"][0], &step["digest"]), (&"mirror".into(), &digest.clone().into()));
    assert_eq!(step["place"], format!("docker://{}/org/app:v1", server.host));
    assert_eq!(step["tried"][0]["place"], format!("docker://{gone}/m/app:v1"));
    // It is kept under its own name.
    assert_eq!(sandbox.ok(&["ls", "-q"]), "name.test/org/app:v1\n");
    let done = sandbox.run(&["unpack", "docker://name.test/org/app:v1", "out"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(done.stderr.contains("mirror: docker://"), "{}", done.stderr);
    // What is changed is what is at the location.
    sandbox.fails(3, &["tag", "docker://name.test/org/app:v1", "v2"]);
    // Pushes go to the location alone.
    sandbox.ok(&["push", "name.test/org/app:v1"]);
    sandbox.ok(&["tag", "docker://name.test/org/app:v1", "v2"]);
    assert!(server.content().tags.contains_key(&("other/app".into(), "v2".into())));
    assert!(server.content().tags.contains_key(&("other/app".into(), "v1".into())));
    for words in [
        &["pull", "a.evil.test/app:v1"][..],
        &["push", "oci:images:v1", "a.evil.test/app:v1"],
        &["inspect", "docker://a.b.evil.test/app:v1"],
        &["ls", "docker://a.evil.test"],
    ] {
        let said = sandbox.fails(4, words);
        assert!(said.contains("E_BLOCKED") && said.contains("evil.test"), "{said}");
    }
    settings(&sandbox, "[[registry]]\nblocked = true\n");
    let said = sandbox.fails(6, &["pull", "docker://name.test/org/app:v1"]);
    assert!(said.contains("registries.conf"), "{said}");
    // Who asks no registry does not mind.
    sandbox.ok(&["ls"]);
}

#[test]
fn settings_are_read_in_their_order() {
    let (sandbox, server, _) = sandbox();
    let alias = |to: &str| format!("[aliases]\nthing = '{to}'\n");
    let right = format!("{}/org/app", server.host);
    settings(&sandbox, &alias("wrong.test/a"));
    sandbox.write("config/containers/registries.conf.d/50.conf", alias("wrong.test/b"));
    sandbox.write("config/containers/registries.conf.d/90.conf", alias(&right));
    sandbox.write("config/containers/registries.conf.d/99.txt", alias("wrong.test/c"));
    sandbox.ok(&["inspect", "thing:v1"]);
    std::fs::remove_dir_all(sandbox.path("config")).expect("removed");
    sandbox.write("other.conf", alias(&right));
    let named = |file: &str| {
        let mut command = sandbox.command(&["inspect", "thing:v1"]);
        command.env("CONTAINERS_REGISTRIES_CONF", sandbox.path(file));
        command.output().expect("started").status.code()
    };
    assert_eq!(named("other.conf"), Some(0));
    assert_eq!(named("none.conf"), Some(3));
}

#[test]
fn offline_nothing_is_asked_and_the_store_is_there() {
    let (sandbox, server, _) = sandbox();
    let name = format!("{}/org/app:v1", server.host);
    let before = server.seen().len();
    let said = sandbox.fails(5, &["inspect", &name, "--offline"]);
    assert!(said.contains("E_OFFLINE") && said.contains("/v2/org/app/manifests/v1"), "{said}");
    sandbox.fails(5, &["pull", &name, "--offline"]);
    sandbox.fails(5, &["push", "oci:images:v1", &format!("docker://{name}"), "--offline"]);
    sandbox.fails(5, &["ls", &format!("docker://{}", server.host), "--offline"]);
    assert_eq!(server.seen().len(), before);
    let error: Value =
        serde_json::from_str(&sandbox.fails(5, &["inspect", &name, "--offline", "--json"]))
            .expect("one document");
    check(&error);
    sandbox.ok(&["pull", &name]);
    let before = server.seen().len();
    sandbox.ok(&["--offline", "inspect", &name]);
    sandbox.ok(&["--offline", "unpack", &name, "out"]);
    assert_eq!(server.seen().len(), before);
}
