//! Names, zones and the DNS against implementations of other people: python-tuf,
//! dnspython, the TUF conformance suite, oci-discovery, nginx, nsd, skopeo, crane
//! and cosign.
//!
//! Python finds its modules by `PLIMSOLL_NAMES_PYTHON`, the python of a virtual
//! environment with `tuf`, `dnspython` and `uritemplate`; the suite lies at
//! `PLIMSOLL_TUF_CONFORMANCE`, oci-discovery at `PLIMSOLL_OCI_DISCOVERY`.
//! CONTRIBUTING.md tells how to have them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use plimsoll_interop::{Program, Scratch, is_root, peer, run, skip};

/// A python that has the modules.
fn python(what: &str) -> Option<PathBuf> {
    let named = std::env::var_os("PLIMSOLL_NAMES_PYTHON").map(PathBuf::from);
    let path = named.unwrap_or_else(|| PathBuf::from("python3"));
    let found = Command::new(&path).args(["-c", "import tuf, dns.dnssec"]).output();
    if found.is_ok_and(|done| done.status.success()) {
        return Some(path);
    }
    skip(&format!("{what}: PLIMSOLL_NAMES_PYTHON names no python with tuf and dnspython"));
    None
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("python").join(name)
}

/// An example of `plimsoll-registry`, which is built.
fn example(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    run(Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--package", "plimsoll-registry", "--example", name])
        .current_dir(&root))
    .good("building an example");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(root.join("target"), PathBuf::from);
    target.join("debug/examples").join(name)
}

fn rules(scratch: &Scratch, sites: &[(&str, &str)]) {
    let mut text = String::from("dns = false\n");
    for (base, folder) in sites {
        text.push_str(&format!("[[site]]\nbase = \"{base}\"\nfolder = \"{folder}\"\n"));
    }
    fs::write(scratch.join("names.toml"), text).expect("rules");
}

fn program(scratch: &Scratch) -> Program {
    let plimsoll = Program::new(scratch.path());
    plimsoll.good(&["-q", "demo", &scratch.text("demo")]);
    plimsoll
}

#[test]
fn python_tuf_believes_our_zones() {
    let Some(python) = python("zones for python-tuf") else { return };
    let scratch = Scratch::new();
    let plimsoll = program(&scratch);
    let (zone, team, image) = (
        scratch.text("zone"),
        scratch.text("team"),
        format!("oci:{}/images:hello", scratch.text("demo")),
    );
    let good = |words: &[&str]| plimsoll.good(words);
    good(&[
        "name",
        "init",
        "example.com/team",
        "--url",
        "https://t.example/",
        "--zone",
        &team,
        "--profile",
        "team",
    ]);
    good(&["name", "add", "example.com/team/app:v1", &image, "--zone", &team]);
    good(&["name", "publish", "--zone", &team]);
    good(&["name", "init", "example.com", "--url", "https://oci.example.com/", "--zone", &zone]);
    good(&["name", "add", "example.com/org/app:v1", &image, "--zone", &zone]);
    let root = format!("{team}/site/zone/metadata/1.root.json");
    good(&[
        "name",
        "delegate",
        "example.com/team",
        "--root",
        &root,
        "--url",
        "https://t.example/",
        "--zone",
        &zone,
    ]);
    good(&["name", "publish", "--zone", &zone]);
    // New keys, and a new root.
    good(&["name", "rotate", "all", "--zone", &zone]);
    good(&["name", "publish", "--zone", &zone]);
    let digest = plimsoll.good(&["-q", "inspect", &image]);
    let said = run(Command::new(python)
        .arg(script("tuf_reads.py"))
        .arg(format!("{zone}/site"))
        .args(["oci-index/org/app", "zones/team.root.json", "oci-index/nothing"]))
    .good("python-tuf");
    let expected = format!(
        "oci-index/org/app {}\nzones/team.root.json root\noci-index/nothing absent\n",
        digest.trim()
    );
    assert_eq!(said, expected);
}

#[test]
fn zones_of_python_tuf_resolve() {
    let Some(python) = python("zones of python-tuf") else { return };
    let scratch = Scratch::new();
    let plimsoll = program(&scratch);
    let image = format!("oci:{}/images:hello", scratch.text("demo"));
    let (zone, site) = (scratch.text("zone"), scratch.text("site"));
    // The list and the content are made here, the zone there.
    plimsoll.good(&[
        "name",
        "init",
        "example.com/team",
        "--url",
        "https://team.example/",
        "--zone",
        &zone,
    ]);
    plimsoll.good(&["name", "add", "example.com/team/app:v1", &image, "--zone", &zone]);
    plimsoll.good(&["name", "publish", "--zone", &zone]);
    run(Command::new(python)
        .arg(script("tuf_writes.py"))
        .args([
            &site,
            "example.com",
            &format!("{zone}/repositories/app/@index.json"),
            "org/app",
            "team",
        ])
        .arg(format!("{zone}/site/zone/metadata/1.root.json"))
        .args(["https://team.example/zone/metadata/", "https://team.example/zone/targets/"]))
    .good("python-tuf");
    rules(&scratch, &[("https://example.com/", "site"), ("https://team.example/", "zone/site")]);
    let names = scratch.text("names.toml");
    let digest = plimsoll.good(&["-q", "inspect", &image]);
    for name in ["example.com/org/app:v1", "example.com/team/app:v1"] {
        assert_eq!(plimsoll.good(&["-q", "resolve", name, "--names", &names]), digest, "{name}");
    }
    plimsoll.good(&[
        "copy",
        "example.com/team/app:v1",
        &format!("oci:{}:v1", scratch.text("out")),
        "--names",
        &names,
    ]);
}

#[test]
fn dnssec_is_told_apart() {
    let Some(python) = python("a signed DNS") else { return };
    let said = run(Command::new(python).arg(script("dns_lab.py")).arg(example("dns_txt")));
    assert_eq!(said.good("dnspython").trim(), "ok");
}

#[test]
fn the_tuf_conformance_suite_passes() {
    let Some(suite) = std::env::var_os("PLIMSOLL_TUF_CONFORMANCE") else {
        return skip("the TUF conformance suite: PLIMSOLL_TUF_CONFORMANCE is not set");
    };
    let Some(python) = python("the TUF conformance suite") else { return };
    let done = run(Command::new(python)
        .args(["-m", "pytest", "-q", "tuf_conformance", "--entrypoint"])
        .arg(example("tuf_conformance"))
        .current_dir(suite));
    let said = done.good("pytest");
    assert!(said.contains(" passed") && !said.contains("failed"), "{said}");
}

/// The lines of the book for nginx: what stands there is what is tried.
fn locations() -> String {
    let book = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/registries/zones.md");
    let text = fs::read_to_string(book).expect("the book");
    let (_, rest) = text.split_once("```nginx\n").expect("lines for nginx");
    rest.split("```").next().expect("their end").to_owned()
}

#[test]
fn other_clients_read_what_is_published() {
    let what = "names in a network of their own";
    if !is_root(what) {
        return;
    }
    for tool in ["nginx", "nsd", "ldns-signzone", "drill", "openssl", "ip", "unshare"] {
        if peer(tool).is_none() {
            return;
        }
    }
    let scratch = Scratch::new();
    let plimsoll = program(&scratch);
    fs::write(scratch.join("locations.conf"), locations()).expect("written");
    let lab = scratch.join("lab");
    fs::create_dir(&lab).expect("a folder");
    fs::rename(scratch.join("locations.conf"), lab.join("locations.conf")).expect("moved");
    let mut command = Command::new("unshare");
    command.args(["-nm", "--fork", "--kill-child", "bash", "-c", include_str!("names.sh")]);
    command.env_clear().envs(plimsoll.environment());
    command.env("LAB", &lab).env("PLIMSOLL", plimsoll.path());
    command.env("IMAGE", format!("oci:{}/images:hello", scratch.text("demo")));
    let mut expected = vec!["ours by DNSSEC".to_owned(), "ours unpacked and verified".to_owned()];
    let first = "example.com/org/app:v1.0.0";
    match std::env::var_os("PLIMSOLL_OCI_DISCOVERY") {
        Some(checkout) => {
            command.env("DISCOVERY", checkout);
            let theirs = "e9770a03fbdccdd4632895151a93f9af58bbe2c91fdfaaf73160648d250e6ec3";
            expected.insert(0, format!("theirs sha256:{theirs}"));
            expected.insert(1, "theirs by tls".to_owned());
            expected.push("oci-discovery python3".to_owned());
            if let Some(python) = std::env::var_os("PLIMSOLL_NAMES_PYTHON") {
                let name = Path::new(&python).file_name().expect("a name").to_string_lossy();
                expected.push(format!("oci-discovery {name}"));
                command.env("PYTHON", &python);
            }
        }
        None => skip("oci-discovery: PLIMSOLL_OCI_DISCOVERY names no checkout of it"),
    }
    for (tool, variable, names) in [
        ("skopeo", "SKOPEO", &[first, "example.com/team/app:v2"][..]),
        ("crane", "CRANE", &[first]),
        ("cosign", "COSIGN", &[first]),
    ] {
        if let Some(peer) = peer(tool) {
            command.env(variable, &peer.path);
            expected.extend(names.iter().map(|name| format!("{tool} {name}")));
        }
    }
    expected.push("a false record is refused".to_owned());
    let done = run(&mut command);
    let lines: Vec<_> = done.out.lines().map(str::to_owned).collect();
    let err = fs::read_to_string(lab.join("nginx.err")).unwrap_or_default();
    assert_eq!(lines, expected, "{}{err}", done.err);
    assert_eq!(done.code, 0, "{}", done.err);
}
