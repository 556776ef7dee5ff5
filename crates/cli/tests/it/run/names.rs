//! Names that an owner gives a meaning: resolved, judged, fetched and run by one
//! command, and not run where nobody vouches for them.

use std::fs;

use super::image;
use crate::support::Sandbox;

/// `example.com`, published to a folder that stands for its web servers.
fn owner(sandbox: &Sandbox) -> Option<String> {
    image(sandbox, &["--entrypoint", "id", "--cmd", "-u"])?;
    let zone = |words: &[&str]| sandbox.ok(&[words, &["--zone", "owner"]].concat());
    zone(&["name", "init", "example.com", "--url", "https://oci.example.com/"]);
    zone(&["name", "add", "example.com/org/app:v1", "oci:images:app"]);
    zone(&["name", "publish"]);
    let site = sandbox.path("owner/site").display().to_string();
    let rules = ["https://example.com/", "https://oci.example.com/"]
        .map(|base| format!("[[site]]\nbase = \"{base}\"\nfolder = \"{site}\"\n"));
    sandbox.write("config/plimsoll/names.toml", format!("dns = false\n{}", rules.concat()));
    Some(sandbox.ok(&["inspect", "oci:images:app", "-q"]).trim().to_owned())
}

#[test]
fn every_spelling_of_a_name_runs_if_somebody_vouches_for_it() {
    let sandbox = Sandbox::new();
    let Some(digest) = owner(&sandbox) else { return };
    let spellings = [
        "example.com/org/app:v1",
        "example.com/org/app,version=v1",
        "example.com/org/app,version=v1,os=linux",
        "EXAMPLE.com./org/app#v1",
    ];
    for name in spellings {
        let refused = sandbox.fails(125, &["run", "--network=none", name]);
        assert!(refused.contains("E_ASSURANCE") && refused.contains("zone-tofu"), "{refused}");
        assert!(refused.contains("run --unverified"), "{refused}");
        let said = sandbox.ok(&["run", "--network=none", "--unverified", name]);
        assert_eq!(said, "0\n", "{name}");
    }
    // Who has the digest needs nobody else, and who has it already neither.
    let by_digest = format!("example.com/org/app@{digest}");
    assert_eq!(sandbox.ok(&["run", "--network=none", &by_digest]), "0\n");
    sandbox.ok(&["pull", spellings[0]]);
    assert_eq!(sandbox.ok(&["run", "--network=none", spellings[0]]), "0\n");
    sandbox.ok(&["rm", "store:example.com/org/app:v1"]);
    sandbox.fails(125, &["run", "--network=none", spellings[0]]);
    // A lock file says once what all later runs mean.
    sandbox.ok(&["resolve", spellings[0], "--lock"]);
    assert_eq!(sandbox.ok(&["run", "--network=none", "--locked", spellings[0]]), "0\n");
}

#[test]
fn what_vouches_for_a_name_is_a_rule_a_root_or_a_policy() {
    let sandbox = Sandbox::new();
    let Some(_) = owner(&sandbox) else { return };
    let name = "example.com/org/app:v1";
    let file = sandbox.path("config/plimsoll/names.toml");
    let rules = fs::read_to_string(&file).expect("rules");
    let rule = |text: &str| {
        sandbox
            .write("rules.toml", format!("{rules}[[prefix]]\nmatch = \"example.com\"\n{text}\n"));
        sandbox.run(&["run", "--network=none", "--names", "rules.toml", name])
    };
    let done = rule("min = \"zone-tofu\"");
    assert_eq!((done.stdout.as_str(), done.code), ("0\n", 0), "{}", done.stderr);
    let done = rule("min = \"zone-anchored\"");
    assert!(done.code == 125 && done.stderr.contains("E_ASSURANCE"), "{}", done.stderr);
    // The policy of this machine is asked without a word, and decides.
    sandbox.fails(125, &["run", "--network=none", name]);
    sandbox.write("config/plimsoll/trust.json", "{\"version\":1,\"default\":\"reject\"}");
    let refused = sandbox.fails(125, &["run", "--network=none", name]);
    assert!(!refused.contains("E_ASSURANCE"), "{refused}");
    sandbox.write("config/plimsoll/trust.json", "{\"version\":1,\"default\":\"accept\"}");
    assert_eq!(sandbox.ok(&["run", "--network=none", name]), "0\n");
    // It is for names: places that are said are as before.
    sandbox.write("config/plimsoll/trust.json", "{\"version\":1,\"default\":\"reject\"}");
    assert_eq!(sandbox.ok(&["run", "--network=none", "oci:images:app"]), "0\n");
    assert_eq!(sandbox.ok(&["run", "--network=none", "--unverified", name]), "0\n");
    sandbox.fails(125, &["run", "--unverified", "--verify", name]);

    // A root that was vouched for once is remembered, so this is last.
    fs::remove_file(sandbox.path("config/plimsoll/trust.json")).expect("there");
    let root = fs::read(sandbox.path("owner/site/zone/metadata/1.root.json")).expect("a root");
    let root = plimsoll::content::Digest::of(plimsoll::content::Algorithm::Sha256, &root);
    let done = rule(&format!("root = \"{root}\""));
    assert_eq!((done.stdout.as_str(), done.code), ("0\n", 0), "{}", done.stderr);
}
