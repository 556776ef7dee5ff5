//! Our registry as other people's clients see it, and as the conformance
//! suite of the distribution specification judges it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use plimsoll_interop::{Peer, Program, Scratch, is_root, peer, peers, run};
use serde_json::Value;

use crate::containerd::Containerd;
use crate::registry::{HTPASSWD, certificates, digest, images};

/// A registry of ours that ends with this.
struct Served {
    child: Child,
    host: String,
}

impl Served {
    fn start(scratch: &Scratch, words: &[&str]) -> Self {
        let mut command = Program::new(scratch.path()).command();
        command.args(["serve", "--listen", "127.0.0.1:0", "--json"]).args(words);
        let log = fs::File::create(scratch.join("serve.log")).expect("a file");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().expect("the registry starts");
        let mut line = String::new();
        let out = child.stdout.as_mut().expect("a pipe");
        BufReader::new(out).read_line(&mut line).expect("a line");
        let report: Value = serde_json::from_str(&line).expect("JSON");
        let host = report["address"].as_str().expect("an address").to_owned();
        Self { child, host }
    }

    fn at(&self, rest: &str) -> String {
        format!("docker://{}/{rest}", self.host)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a client that keeps what it keeps in the scratch folder.
#[track_caller]
fn ask(scratch: &Scratch, client: &Peer, words: &[&str]) -> String {
    let mut command = client.command();
    command.env("HOME", scratch.path()).current_dir(scratch.path()).args(words);
    run(&mut command).good(&format!("{} {}", client.name, words.join(" ")))
}

fn bare(reference: &str) -> &str {
    reference.strip_prefix("docker://").expect("a scheme")
}

#[test]
fn the_conformance_suite_finds_nothing_and_leaves_out_nothing() {
    let Some(suite) = peer("conformance") else { return };
    for (number, words) in [
        &["folder", "--sparse"][..],
        &["oci:layout", "--sparse"],
        &["store:", "--sparse"],
        &["folder", "--sparse", "--users", "users", "--auth", "basic", "--gc-every", "1s"],
        &["folder", "--sparse", "--users", "users", "--auth", "token", "--anonymous-pull"],
    ]
    .iter()
    .enumerate()
    {
        let scratch = Scratch::new();
        fs::write(scratch.join("users"), HTPASSWD).expect("a file");
        let served = Served::start(&scratch, words);
        let results = scratch.join("results");
        fs::create_dir(&results).expect("a folder");
        let mut command = suite.command();
        command.env_clear().current_dir(scratch.path());
        for (name, value) in [
            ("OCI_REGISTRY", served.host.as_str()),
            ("OCI_TLS", "disabled"),
            ("OCI_VERSION", "1.1+dev"),
            ("OCI_DATA_SPARSE", "true"),
            ("OCI_USERNAME", if number > 2 { "me" } else { "" }),
            ("OCI_PASSWORD", if number > 2 { "hunter2" } else { "" }),
            ("OCI_RESULTS_DIR", &results.display().to_string()),
        ] {
            command.env(name, value);
        }
        let told = run(&mut command).good("conformance");
        let count = |what: &str| {
            let line = told.lines().find(|line| line.trim_start().starts_with(what));
            let line = line.unwrap_or_else(|| panic!("no {what}: {told}"));
            let number = line.rsplit_once(':').map_or("", |(_, number)| number.trim());
            number.parse::<u32>().expect("a number")
        };
        let (all, pass) = (count("Total."), count("Pass."));
        assert!(all == pass && all > 1000, "{words:?}: {told}");
    }
}

#[test]
fn the_kit_gets_back_what_it_stores() {
    let scratch = Scratch::new();
    let served = Served::start(&scratch, &["folder"]);
    let plimsoll = Program::new(scratch.path());
    let told =
        plimsoll.good(&["kit", "run", "--role", "registry", "--registry", &served.host, "--json"]);
    let report: Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!((&report["pass"], &report["fail"]), (&23.into(), &0.into()), "{report:#}");
}

#[test]
fn skopeo_pushes_lists_pulls_and_removes() {
    let scratch = Scratch::new();
    let served = Served::start(&scratch, &["folder"]);
    let plimsoll = images(&scratch);
    let ours = digest(&plimsoll, "oci:images:v1");
    for (at, skopeo) in peers("skopeo").iter().enumerate() {
        let (name, back) = (served.at(&format!("skopeo{at}/app:v1")), format!("oci:back{at}:v1"));
        let copy = ["--insecure-policy", "copy", "--all", "--preserve-digests"];
        let to = ["--dest-tls-verify=false", "oci:images:v1", &name];
        ask(&scratch, skopeo, &[&copy[..], &to].concat());
        assert_eq!(digest(&plimsoll, &name), ours);
        let tags = ask(
            &scratch,
            skopeo,
            &["list-tags", "--tls-verify=false", name.trim_end_matches(":v1")],
        );
        assert!(tags.contains("\"v1\""), "{tags}");
        ask(&scratch, skopeo, &[&copy[..], &["--src-tls-verify=false", &name, &back]].concat());
        assert_eq!(digest(&plimsoll, &back), ours);
        // docker's forms too, by conversion.
        let docker = served.at(&format!("skopeo{at}/docker:v1"));
        let copy = ["--insecure-policy", "copy", "--format", "v2s2", "--dest-tls-verify=false"];
        ask(&scratch, skopeo, &[&copy[..], &["oci:images:amd64", &docker]].concat());
        plimsoll.good(&["pull", &docker, &format!("docker{at}:v1")]);
        ask(&scratch, skopeo, &["delete", "--tls-verify=false", &name]);
        assert_eq!(plimsoll.run(&["inspect", &name]).code, 3);
    }
}

#[test]
fn crane_pushes_copies_validates_and_removes() {
    let scratch = Scratch::new();
    let Some(crane) = peer("crane") else { return };
    let served = Served::start(&scratch, &["folder"]);
    let plimsoll = images(&scratch);
    plimsoll.good(&["copy", "oci:images:v1", "oci:one:v1"]);
    let (name, copy) = (served.at("crane/app:v1"), served.at("crane/copy:v2"));
    let crane = |words: &[&str]| ask(&scratch, &crane, &[&["--insecure"], words].concat());
    crane(&["push", "--index", "one", bare(&name)]);
    crane(&["copy", bare(&name), bare(&copy)]);
    crane(&["validate", "--remote", bare(&copy)]);
    assert_eq!(crane(&["ls", bare(&served.at("crane/copy"))]), "v2\n");
    assert_eq!(crane(&["catalog", &served.host]), "crane/app\ncrane/copy\n");
    let found = crane(&["digest", bare(&copy)]);
    plimsoll.good(&["validate", &copy]);
    crane(&["delete", bare(&copy)]);
    let by_digest = format!("{}@{}", bare(&served.at("crane/copy")), found.trim());
    crane(&["validate", "--remote", &by_digest]);
    crane(&["delete", &by_digest]);
    assert_eq!(plimsoll.run(&["inspect", &format!("docker://{by_digest}")]).code, 3);
}

#[test]
fn oras_and_regctl_attach_discover_copy_and_remove() {
    let scratch = Scratch::new();
    let served = Served::start(&scratch, &["folder"]);
    let plimsoll = images(&scratch);
    if let Some(oras) = peer("oras") {
        let oras = |words: &[&str]| ask(&scratch, &oras, words);
        let (name, copy) = (served.at("oras/a:v1"), served.at("oras/b:v1"));
        let plain = "--plain-http";
        oras(&["push", plain, bare(&name), "--artifact-type", "a/b", "sbom.json"]);
        oras(&["attach", plain, bare(&name), "--artifact-type", "c/d", "sbom.json"]);
        let words = ["cp", "-r", "--from-plain-http", "--to-plain-http", bare(&name), bare(&copy)];
        oras(&words);
        for name in [&name, &copy] {
            let found = oras(&["discover", plain, bare(name), "--format", "json"]);
            assert!(found.contains("c/d"), "{found}");
            assert!(plimsoll.good(&["referrers", name]).contains("c/d"));
        }
        fs::create_dir(scratch.join("pulled")).expect("a folder");
        oras(&["pull", plain, bare(&copy), "-o", "pulled"]);
        assert_eq!(fs::read_to_string(scratch.join("pulled/sbom.json")).expect("a file"), "{}");
        oras(&["manifest", "delete", "-f", plain, bare(&copy)]);
        assert_eq!(plimsoll.run(&["inspect", &copy]).code, 3);
    }
    if let Some(regctl) = peer("regctl") {
        let host = format!("reg={},tls=disabled", served.host);
        let regctl = |words: &[&str]| ask(&scratch, &regctl, &[&["--host", &host], words].concat());
        let (name, copy) = (served.at("regctl/a:v1"), served.at("regctl/b:v1"));
        regctl(&["image", "copy", "--referrers", "ocidir://images:v1", bare(&name)]);
        assert_eq!(digest(&plimsoll, &name), digest(&plimsoll, "oci:images:v1"));
        regctl(&["image", "copy", "--referrers", bare(&name), bare(&copy)]);
        let tree = regctl(&["artifact", "tree", bare(&copy)]);
        assert!(tree.contains("application/vnd.example.sbom"), "{tree}");
        // By the API for tags, which many registries do not have.
        regctl(&["tag", "delete", bare(&copy)]);
        assert_eq!(plimsoll.run(&["inspect", &copy]).code, 3);
        assert_eq!(regctl(&["tag", "ls", bare(&served.at("regctl/a"))]), "v1\n");
    }
}

#[test]
fn podman_and_buildah_pull_change_and_push() {
    let scratch = Scratch::new();
    if !is_root("podman and buildah") {
        return;
    }
    let served = Served::start(&scratch, &["folder"]);
    let plimsoll = images(&scratch);
    let name = served.at("org/app:v1");
    plimsoll.good(&["push", "oci:images:v1", &name]);
    for (tool, storage) in [("podman", "pstore"), ("buildah", "bstore")] {
        let Some(peer) = peer(tool) else { continue };
        let (root, runroot) = (scratch.text(storage), scratch.text(&format!("{storage}-run")));
        let own = ["--root", &root, "--runroot", &runroot, "--storage-driver", "vfs"];
        let tool = |words: &[&str]| ask(&scratch, &peer, &[&own[..], words].concat());
        let to = served.at(&format!("{}/app:v2", peer.name));
        if peer.name == "podman" {
            tool(&["pull", "-q", "--tls-verify=false", bare(&name)]);
            tool(&["push", "-q", "--tls-verify=false", bare(&name), &to]);
            let many = served.at("podman/many:v1");
            tool(&["manifest", "create", "many"]);
            tool(&["manifest", "add", "--all", "--tls-verify=false", "many", &name]);
            tool(&["manifest", "push", "--all", "--tls-verify=false", "many", &many]);
            plimsoll.good(&["validate", &many]);
            let tags = ["search", "--tls-verify=false", "--list-tags"];
            let found = tool(&[&tags[..], &[bare(&served.at("podman/app"))]].concat());
            assert!(found.contains("v2"), "{found}");
        } else {
            let work = tool(&["from", "--tls-verify=false", &name]);
            let work = work.lines().last().expect("a name").to_owned();
            tool(&["config", "--label", "a=b", &work]);
            tool(&["commit", "-q", &work, "changed"]);
            tool(&["push", "-q", "--tls-verify=false", "changed", &to]);
            tool(&["rm", "-a"]);
        }
        plimsoll.good(&["validate", &to]);
        tool(&["rmi", "-af"]);
    }
}

#[test]
fn containerd_pulls_all_platforms_and_pushes_them() {
    let scratch = Scratch::new();
    if !is_root("containerd") {
        return;
    }
    let Some(containerd) = Containerd::start(&scratch) else { return };
    let served = Served::start(&scratch, &["folder"]);
    let plimsoll = images(&scratch);
    let (name, to) = (served.at("org/app:v1"), served.at("ctr/app:v2"));
    plimsoll.good(&["push", "oci:images:v1", &name]);
    assert!(containerd.listens, "containerd does not listen");
    let pull = ["images", "pull", "--plain-http", "--all-platforms", "--snapshotter", "native"];
    let ended = [
        containerd.ctr(&[&pull[..], &[bare(&name)]].concat()),
        containerd.ctr(&["images", "tag", bare(&name), bare(&to)]),
        containerd.ctr(&["images", "push", "--plain-http", bare(&to)]),
    ];
    for ended in ended {
        ended.good("ctr");
    }
    assert_eq!(digest(&plimsoll, &to), digest(&plimsoll, "oci:images:v1"));
}

#[test]
fn logins_over_tls_are_as_clients_have_them() {
    let scratch = Scratch::new();
    if peer("openssl").is_none() {
        return;
    }
    certificates(&scratch);
    fs::write(scratch.join("users"), HTPASSWD).expect("a file");
    let plimsoll = images(&scratch);
    let ours = digest(&plimsoll, "oci:images:v1");
    for way in ["basic", "token"] {
        let tls = ["--tls-cert", "s.crt", "--tls-key", "s.key"];
        let served = Served::start(
            &scratch,
            &[&["folder", "--users", "users", "--auth", way][..], &tls].concat(),
        );
        let folder = scratch.join(&format!(".config/containers/certs.d/{}", served.host));
        fs::create_dir_all(&folder).expect("folders");
        fs::copy(scratch.join("ca.crt"), folder.join("ca.crt")).expect("a file");
        let certs = folder.display().to_string();
        let name = served.at(&format!("{way}/app:v1"));
        let refused = plimsoll.run(&["push", "oci:images:v1", &name]);
        assert!(refused.code == 4 && refused.err.contains("plimsoll login"), "{refused:?}");
        if let Some(skopeo) = peer("skopeo") {
            let auth = scratch.text(&format!("{way}.json"));
            let login = ["login", "-u", "me", "-p", "hunter2", "--authfile", &auth];
            ask(&scratch, &skopeo, &[&login[..], &["--cert-dir", &certs, &served.host]].concat());
            let copy = ["--insecure-policy", "copy", "--all", "--preserve-digests"];
            let to = ["--dest-authfile", &auth, "--dest-cert-dir", &certs, "oci:images:v1", &name];
            ask(&scratch, &skopeo, &[&copy[..], &to].concat());
            plimsoll.good(&["pull", &name, "back:v1", "--authfile", &auth]);
            assert_eq!(digest(&plimsoll, "back:v1"), ours);
        }
        if let Some(oras) = peer("oras") {
            let name = served.at(&format!("{way}/note:v1"));
            let login = ["-u", "me", "-p", "hunter2", "--ca-file", "ca.crt"];
            let push = ["push", bare(&name), "--artifact-type", "a/b", "sbom.json"];
            ask(&scratch, &oras, &[&push[..], &login].concat());
            ask(&scratch, &oras, &[&["discover", bare(&name)][..], &login].concat());
        }
        let log = fs::read_to_string(scratch.join("serve.log")).expect("a log");
        assert!(log.contains("\"user\":\"me\"") && !log.contains("hunter2"), "{log}");
    }
}

#[test]
fn a_layout_under_skopeo_and_umoci_is_served_at_the_same_time() {
    let scratch = Scratch::new();
    let (Some(umoci), Some(skopeo)) = (peer("umoci"), peer("skopeo")) else { return };
    let plimsoll = images(&scratch);
    let served = Served::start(&scratch, &["oci:images"]);
    let copy = ["--insecure-policy", "copy", "oci:images:amd64", "oci:images:skopeo"];
    ask(&scratch, &skopeo, &copy);
    ask(&scratch, &umoci, &["tag", "--image", "images:arm64", "umoci"]);
    let tags = plimsoll.good(&["ls", "-q", &served.at("images")]);
    assert!(tags.contains("skopeo\n") && tags.contains("umoci\n"), "{tags}");
    plimsoll.good(&["push", "oci:images:v1", &served.at("images:pushed")]);
    let listed = ask(&scratch, &umoci, &["ls", "--layout", "images"]);
    assert!(listed.contains("pushed"), "{listed}");
    plimsoll.good(&["fsck", "oci:images"]);
}
