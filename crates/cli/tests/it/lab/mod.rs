//! The lab: two domains with web servers and an authority of their own, and a DNS
//! in the clear or signed. Owners publish, and the program finds its way, from
//! the name to a process.

mod ca;
mod dns;
mod web;

use std::fs;

use serde_json::Value;

use crate::run;
use crate::support::{Done, Sandbox};
use ca::Authority;
use dns::Dns;
use web::Web;

const NAME: &str = "example.com/org/app:v1.0.0";
const TEAM: &str = "example.com/team/app:v2";

struct Lab {
    sandbox: Sandbox,
    owner: Web,
    team: Web,
    dns: Dns,
    /// Whether images can be run here.
    runs: bool,
}

impl Lab {
    /// `example.com` with one signed image, published; its servers, and the DNS.
    fn new(signed: bool) -> Self {
        let sandbox = Sandbox::new();
        let authority = Authority::new();
        sandbox.write("ca.pem", authority.pem());
        let site = sandbox.path("owner/site");
        let hosts = [("example.com", site.clone()), ("oci.example.com", site)];
        let owner = Web::new(&authority, &hosts);
        let [old, new] = ["old", "new"].map(|folder| sandbox.path(folder));
        let hosts = [("images.team.example", old), ("cdn.team.example", new)];
        let team = Web::new(&authority, &hosts);
        let dns = Dns::new("example.com", "v=imn1; id=none", signed);
        let mut rules =
            format!("[dns]\nservers = [\"{}\"]\nanchors = [\"{}\"]\n", dns.address, Dns::anchor());
        for (host, web) in [
            ("example.com", &owner),
            ("oci.example.com", &owner),
            ("images.team.example", &team),
            ("cdn.team.example", &team),
        ] {
            let address = web.address;
            rules.push_str(&format!("[[host]]\nname = \"{host}\"\naddress = \"{address}\"\n"));
        }
        sandbox.write("config/plimsoll/names.toml", rules);
        let mut lab = Self { sandbox, owner, team, dns, runs: false };
        lab.runs = run::image(&lab.sandbox, &["--cmd", "echo", "--cmd", "it runs"]).is_some();
        if !lab.runs {
            lab.sandbox.tree("root");
            lab.sandbox.ok(&["pack", "root", "oci:images:app"]);
        }
        for key in ["a", "b"] {
            lab.good(&["key", "new", key]);
        }
        let url = "https://oci.example.com/";
        lab.good(&["name", "init", "example.com", "--url", url, "--zone", "owner"]);
        lab.good(&["name", "signers", "example.com", "--key", "a", "--zone", "owner"]);
        lab.list("owner", NAME, "a");
        let record = lab.publish("owner");
        // As the program says that the record may be.
        let text = record.split('"').nth(1).expect("a record").to_owned();
        lab.dns.set(&text);
        lab
    }

    fn run(&self, words: &[&str]) -> Done {
        let mut command = self.sandbox.command(words);
        for variable in ["PLIMSOLL_POLICY", "COSIGN_PASSWORD", "https_proxy", "HTTPS_PROXY"] {
            command.env_remove(variable);
        }
        let command = command
            .env("PLIMSOLL_PASSPHRASE", "correct horse")
            .env("PLIMSOLL_KEYS", self.sandbox.path("keys"))
            .env("SSL_CERT_FILE", self.sandbox.path("ca.pem"));
        Done::of(&command.output().expect("started"))
    }

    fn good(&self, words: &[&str]) -> String {
        let done = self.run(words);
        assert_eq!(done.code, 0, "{words:?}: {}{}", done.stdout, done.stderr);
        done.stdout
    }

    fn refused(&self, code: i32, words: &[&str]) -> String {
        let done = self.run(words);
        assert_eq!(done.code, code, "{words:?}: {}{}", done.stdout, done.stderr);
        done.stderr
    }

    /// Lists the image, as it is by now, under a name that a key has signed.
    fn list(&self, zone: &str, name: &str, key: &str) {
        self.good(&["sign", "oci:images:app", "--key", key, "--as", name]);
        self.good(&["name", "add", name, "oci:images:app", "--zone", zone]);
    }

    /// Publishes, and gives what the program says of it.
    fn publish(&self, zone: &str) -> String {
        self.good(&["name", "publish", "--zone", zone])
    }

    /// Another image under the same reference.
    fn change(&self, text: &str) -> String {
        self.sandbox.write("root/etc/motd", text);
        self.good(&["pack", "root", "oci:images:app", "--cmd", "echo", "--cmd", text, "-q"])
            .trim()
            .to_owned()
    }

    fn resolve(&self, name: &str) -> Value {
        let text = self.good(&["resolve", name, "--json"]);
        let report: Value = serde_json::from_str(&text).expect("JSON");
        crate::schemas::check(&report);
        report["names"][0].clone()
    }

    fn forget(&self) {
        fs::remove_dir_all(self.sandbox.path("state")).expect("forgotten");
    }
}

/// All of it, as the owner, his delegatee and a user have it.
fn lives(signed: bool) {
    let lab = Lab::new(signed);
    let level = if signed { "zone-anchored" } else { "zone-tofu" };
    let found = lab.resolve(NAME);
    assert_eq!((&found["assurance"], &found["way"]), (&Value::from(level), &Value::from("dns")));
    let image = found["descriptor"]["digest"].as_str().expect("a digest").to_owned();
    // Each spelling resolves, is pulled, verified, and runs.
    let spellings = [
        NAME.to_owned(),
        format!("example.com/org/app@{image}"),
        format!("{NAME}@{image}"),
        "example.com/org/app,version=v1.0.0,os=linux".to_owned(),
        "EXAMPLE.com./org/app#v1.0.0".to_owned(),
    ];
    for (at, name) in spellings.iter().enumerate() {
        assert_eq!(lab.resolve(name)["descriptor"]["digest"], *image, "{name}");
        let target = format!("oci:pulled:{at}");
        lab.good(&["copy", name, &target, "--trust-key", "ns:example.com/"]);
        assert_eq!(lab.good(&["inspect", &target, "-q"]).trim(), image, "{name}");
        lab.good(&["verify", name, "--trust-key", "a"]);
        lab.refused(7, &["verify", name, "--trust-key", "b"]);
        if lab.runs {
            assert_eq!(
                lab.good(&["run", name, "--trust-key", "ns:example.com/"]),
                "it runs\n",
                "{name}"
            );
            lab.refused(125, &["run", name, "--trust-key", "b"]);
        }
    }
    lab.good(&["pull", NAME, "--trust-key", "ns:example.com/"]);
    // Nobody was asked for what only the host needs to know.
    let discovery =
        lab.owner.asked().into_iter().filter(|(asked, _)| asked.contains(".well-known"));
    assert_eq!(discovery.filter(|(asked, _)| asked.contains("app")).count(), 0);

    // The owner gives a part away, once.
    let old = "https://images.team.example/";
    let second = lab.change("second");
    lab.good(&["name", "init", "example.com/team", "--url", old, "--zone", "team"]);
    lab.good(&["name", "signers", "example.com/team", "--key", "b", "--zone", "team"]);
    lab.list("team", TEAM, "b");
    lab.good(&["name", "publish", "--zone", "team", "--out", "old"]);
    let root = "old/zone/metadata/1.root.json";
    let words = ["name", "delegate", "example.com/team", "--root", root, "--url", old];
    lab.good(&[&words[..], &["--zone", "owner"]].concat());
    lab.publish("owner");
    let found = lab.resolve(TEAM);
    assert_eq!(found["descriptor"]["digest"], *second);
    assert_eq!(
        (&found["zones"][1]["prefix"], &found["assurance"]),
        (&Value::from("example.com/team"), &Value::from(level))
    );
    lab.good(&["verify", TEAM, "--trust-key", "ns:example.com/"]);
    let stamp =
        fs::read(lab.sandbox.path("owner/site/zone/metadata/timestamp.json")).expect("read");

    // From now on it publishes alone,
    let third = lab.change("third");
    lab.list("team", TEAM, "b");
    lab.good(&["name", "publish", "--zone", "team", "--out", "old"]);
    assert_eq!(lab.resolve(TEAM)["descriptor"]["digest"], *third);
    // with new keys, the root's among them,
    lab.good(&["name", "rotate", "all", "--zone", "team"]);
    let fourth = lab.change("fourth");
    lab.list("team", TEAM, "b");
    lab.good(&["name", "publish", "--zone", "team", "--out", "old"]);
    let found = lab.resolve(TEAM);
    assert_eq!(
        (&found["descriptor"]["digest"], &found["zones"][1]["rootVersion"]),
        (&Value::from(fourth.clone()), &Value::from(2))
    );
    // and at another host; the old one only says where.
    let settings = fs::read_to_string(lab.sandbox.path("team/zone.json")).expect("settings");
    let mut settings: Value =
        serde_json::from_str(&settings.replace("images.team", "cdn.team")).expect("JSON");
    settings["moved"] = true.into();
    lab.sandbox.write("team/zone.json", settings.to_string());
    copy_tree(&lab.sandbox.path("old"), &lab.sandbox.path("new"));
    let fifth = lab.change("fifth");
    lab.list("team", TEAM, "b");
    lab.good(&["name", "publish", "--zone", "team", "--out", "new"]);
    fs::remove_dir_all(lab.sandbox.path("old")).expect("gone");
    for version in 1..=3 {
        let file = format!("zone/metadata/{version}.root.json");
        let bytes = fs::read(lab.sandbox.path(&format!("new/{file}"))).expect("a root");
        lab.sandbox.write(&format!("old/{file}"), bytes);
    }
    for _ in ["who knows it", "who does not"] {
        lab.team.asked();
        let found = lab.resolve(TEAM);
        assert_eq!(found["descriptor"]["digest"], *fifth);
        let place = found["zones"][1]["metadata"].as_str().expect("an address");
        assert!(place.starts_with("https://cdn.team.example/"), "{place}");
        let asked = lab.team.asked();
        let at_old = |(asked, _): &&(String, u64)| asked.starts_with("images.");
        assert!(
            asked.iter().filter(at_old).all(|(asked, _)| asked.ends_with(".root.json")),
            "{asked:?}"
        );
        if lab.runs {
            let words = ["run", TEAM, "--trust-key", "ns:example.com/team/"];
            assert_eq!(lab.good(&words), "fifth\n");
        }
        lab.forget();
    }
    // All that without any act of the owner,
    let now = fs::read(lab.sandbox.path("owner/site/zone/metadata/timestamp.json")).expect("read");
    assert_eq!(now, stamp);
    // who takes it back.
    lab.resolve(TEAM);
    lab.good(&["name", "revoke", "example.com/team", "--zone", "owner"]);
    lab.publish("owner");
    let error = lab.refused(3, &["resolve", TEAM]);
    assert!(error.contains("no such repository"), "{error}");
    assert_eq!(lab.resolve(NAME)["descriptor"]["digest"], *image);
}

fn copy_tree(from: &std::path::Path, to: &std::path::Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder").flatten() {
        let there = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_tree(&entry.path(), &there);
        } else {
            fs::copy(entry.path(), there).expect("copied");
        }
    }
}

#[test]
fn two_domains_live_with_a_dns_in_the_clear() {
    lives(false);
}

#[test]
fn two_domains_live_with_a_signed_dns() {
    lives(true);
}

#[test]
fn a1_a16_what_fails_or_lies_ends_the_search() {
    let lab = Lab::new(true);
    let first = lab.resolve(NAME);
    // A record that was changed on its way: not the same as none.
    lab.dns.forge(true);
    lab.forget();
    let error = lab.refused(8, &["resolve", NAME]);
    assert!(error.contains("E_DISCOVERY") && error.contains("_image-names.example.com"), "{error}");
    assert_eq!(
        lab.owner.asked().iter().filter(|(asked, _)| asked.starts_with("example.com")).count(),
        0
    );
    lab.dns.forge(false);
    // A root that the record does not know, proved by DNSSEC.
    let other = plimsoll::content::Digest::of(plimsoll::content::Algorithm::Sha256, b"other");
    lab.dns.set(&format!("v=imn1; zone=https://oci.example.com/zone/; root={other}"));
    lab.refused(8, &["resolve", NAME]);
    // No record, and a web server that fails: the registry is not asked instead.
    lab.dns.set("v=spf1 -all");
    lab.owner.set("example.com", None);
    lab.forget();
    let error = lab.refused(5, &["resolve", NAME]);
    assert!(error.contains("503"), "{error}");
    let asked = lab.owner.asked();
    assert!(asked.iter().all(|(asked, _)| !asked.contains("/v2/")), "{asked:?}");
    lab.owner.set("example.com", Some(lab.sandbox.path("owner/site")));
    // A certificate of somebody whom nobody trusts.
    let stranger = Authority::new();
    let good = fs::read(lab.sandbox.path("ca.pem")).expect("a certificate");
    lab.sandbox.write("ca.pem", stranger.pem());
    lab.owner.asked();
    let error = lab.refused(5, &["resolve", NAME]);
    assert!(error.contains("certificate"), "{error}");
    assert_eq!(lab.owner.asked(), []);
    lab.sandbox.write("ca.pem", good);
    // A DNS that does not answer is no DNS without a record.
    let rules = fs::read_to_string(lab.sandbox.path("config/plimsoll/names.toml")).expect("rules");
    let silent = rules.replace(&lab.dns.address.to_string(), "127.0.0.1:9");
    lab.sandbox.write("silent.toml", silent);
    lab.forget();
    let error = lab.refused(5, &["resolve", NAME, "--names", "silent.toml"]);
    assert!(error.contains("dns = false"), "{error}");
    // All is as it was.
    assert_eq!(lab.resolve(NAME)["descriptor"], first["descriptor"]);
}
