//! The threats of the design (C.14), each by its number. Numbers that are
//! about single documents are tested beside them (`a7_…`, `a15_…`, `a17_…`, `a18_…`,
//! `a21_…`, `a22_…`, `a23_…`); those about connections in `plimsoll-registry`.

use plimsoll_content::{Algorithm, Code, Digest};
use plimsoll_name::Assurance;
use plimsoll_name::chain::Way;
use plimsoll_name::record::Security;
use plimsoll_name::rules::{Mirror, Rule, Rules};
use plimsoll_name::time::{DAY, Time};

use crate::world::{Client, NOW, Owner, World, image, serve, told, two_zones};

const NAME: &str = "example.com/org/app:v1.0.0";
const SAID: &str = "https://example.com/.well-known/image-names";

fn later(days: i64) -> Time {
    NOW.plus(days * DAY)
}

#[test]
fn a1_a_broken_https_is_never_an_absence() {
    let mut world = World::default();
    world.registries.insert("example.com/org/app:v1.0.0".to_owned(), image("", "registry"));
    world.broken.push(SAID.to_owned());
    let error = told(Client::default().resolve(&world, NAME));
    assert!(error.contains("E_NETWORK"), "{error}");
    // Nothing else was asked, and nothing was asked in the clear.
    let asked = world.requests();
    assert_eq!(asked, ["TXT _image-names.example.com", &format!("GET {SAID}")]);
}

#[test]
fn a2_a_zone_that_was_seen_can_not_be_taken_away() {
    let (mut world, ..) = two_zones();
    let client = Client::default();
    client.resolve(&world, NAME).expect("resolved");
    world.web.clear();
    world.registries.insert("example.com/org/app:v1.0.0".to_owned(), image("", "false"));
    let error = told(client.at(&world, NAME, later(3)));
    assert!(error.contains("E_DISCOVERY") && error.contains("announced any more"), "{error}");
    // Nor be replaced by a document without one.
    world.web.insert(SAID.to_owned(), br#"{"schemaVersion":1,"host":"example.com"}"#.to_vec());
    let error = told(client.at(&world, NAME, later(6)));
    assert!(error.contains("E_DISCOVERY"), "{error}");
}

#[test]
fn a3_older_metadata_is_refused() {
    let (mut world, mut owner, team) = two_zones();
    let old = owner.tree.clone();
    let client = Client::default();
    owner.list("org/app", vec![image("v1.0.0", "new")]);
    owner.publish();
    serve(&mut world, &owner, &team);
    client.resolve(&world, NAME).expect("new");
    world.serve("https://oci.example.com/", &old);
    let error = told(client.resolve(&world, NAME));
    assert!(error.contains("E_ZONE") && error.contains("version 1, expected version 2"), "{error}");
}

#[test]
fn a4_time_ends_what_is_held_back() {
    let (world, ..) = two_zones();
    let client = Client::default();
    client.resolve(&world, NAME).expect("fresh");
    let error = told(client.at(&world, NAME, later(91)));
    assert!(error.contains("E_ZONE") && error.contains("expired"), "{error}");
    assert!(told(Client::default().at(&world, NAME, later(91))).contains("expired"));
}

#[test]
fn a5_files_of_different_times_do_not_go_together() {
    let (mut world, mut owner, team) = two_zones();
    let old = owner.tree.clone();
    owner.list("org/app", vec![image("v1.0.0", "new")]);
    owner.list("org/other", vec![image("v1", "other")]);
    owner.publish();
    serve(&mut world, &owner, &team);
    let base = "https://oci.example.com/";
    for (path, swapped) in [
        ("zone/metadata/2.snapshot.json", "zone/metadata/1.snapshot.json"),
        ("zone/metadata/2.targets.json", "zone/metadata/1.targets.json"),
        ("zone/metadata/timestamp.json", "zone/metadata/2.snapshot.json"),
    ] {
        let mut tree = owner.tree.clone();
        let other = owner.tree[swapped].clone();
        assert_ne!(tree.insert(path.to_owned(), other.clone()), Some(other));
        world.serve(base, &tree);
        let error = told(Client::default().resolve(&world, NAME));
        assert!(error.contains("E_ZONE"), "{path}: {error}");
    }
    // The list of the repository as it was before.
    let mut tree = owner.tree.clone();
    let before = old.iter().find(|(path, _)| path.contains(".app")).expect("a list").1.clone();
    for (path, bytes) in &mut tree {
        if path.contains(".app") {
            bytes.clone_from(&before);
        }
    }
    world.serve(base, &tree);
    let error = told(Client::default().resolve(&world, NAME));
    // It is longer than what is listed.
    assert!(error.contains("E_LIMIT") || error.contains("E_ZONE"), "{error}");
}

#[test]
fn a6_versions_that_ran_ahead_are_reset_by_new_keys() {
    let (mut world, mut owner, team) = two_zones();
    for day in 0..20 {
        owner.list("org/app", vec![image("v1.0.0", &format!("day {day}"))]);
        owner.publish();
    }
    serve(&mut world, &owner, &team);
    let client = Client::default();
    assert!(client.resolve(&world, NAME).expect("ahead").zones[0].timestamp_version > 20);
    // New keys, and the versions from the beginning.
    let roots: Vec<_> = owner
        .tree
        .iter()
        .filter(|(path, _)| path.ends_with("root.json"))
        .map(|(a, b)| (a.clone(), b.clone()))
        .collect();
    owner.tree.clear();
    owner.tree.extend(roots);
    owner.rotate(9);
    owner.list("org/app", vec![image("v1.0.0", "new")]);
    owner.publish();
    serve(&mut world, &owner, &team);
    let found = client.resolve(&world, NAME).expect("reset");
    assert_eq!((found.zones[0].root_version, found.zones[0].timestamp_version), (2, 1));
}

#[test]
fn a8_a_zone_serves_no_other_prefix() {
    let (mut world, mut owner, team) = two_zones();
    // The same zone under another prefix: its root says whose it is.
    let place = plimsoll_name::announcement::ZonePlace {
        prefix: "example.com/other".to_owned(),
        ..team.place()
    };
    owner.wanted.cuts.insert("other".to_owned(), (team.root_bytes(1), place));
    owner.publish();
    serve(&mut world, &owner, &team);
    let error = told(Client::default().resolve(&world, "example.com/other/app:v2"));
    assert!(error.contains("E_ZONE") && error.contains("a root about example.com/team"), "{error}");
    // A document of one host at another.
    world
        .web
        .insert("https://evil.example/.well-known/image-names".to_owned(), world.web[SAID].clone());
    let error = told(Client::default().resolve(&world, "evil.example/org/app:v1.0.0"));
    assert!(
        error.contains("E_DISCOVERY") && error.contains("evil.example, which was asked"),
        "{error}"
    );
}

#[test]
fn a9_what_a_delegatee_lists_elsewhere_is_out_of_reach() {
    let (mut world, mut owner, mut team) = two_zones();
    team.list("../org/app", vec![image("v1.0.0", "false")]);
    team.list("org/app", vec![image("v1.0.0", "false")]);
    team.publish();
    serve(&mut world, &owner, &team);
    let found = Client::default().resolve(&world, NAME).expect("the owner's");
    assert_eq!(found.descriptor.digest, image("", "one").digest);
    // A cut that claims what is not below it is refused by the publisher,
    let other = Owner::new("example.com/elsewhere", "https://x.example/", 9);
    owner.wanted.cuts.insert("mine".to_owned(), (vec![], other.place()));
    let plan = plimsoll_name::publish::Plan::new(&owner.config, &owner.wanted, &|_| Ok(None), NOW);
    assert_eq!(plan.expect_err("refused").code(), Code::Zone);
}

#[test]
fn a10_a_broken_delegatee_breaks_nobody_else() {
    let (mut world, mut owner, mut team) = two_zones();
    let mut others = Owner::new("example.com/others", "https://others.example/", 70);
    others.list("app", vec![image("v3", "three")]);
    others.publish();
    owner.delegate("others", &others);
    owner.publish();
    serve(&mut world, &owner, &team);
    world.serve("https://others.example/", &others.tree);
    let healthy = |world: &World, what: &str| {
        let found = Client::default().at(world, "example.com/others/app:v3", NOW);
        assert_eq!(found.expect(what).descriptor.digest, image("", "three").digest, "{what}");
        Client::default().at(world, NAME, NOW).expect(what);
        told(Client::default().at(world, "example.com/team/app:v2", NOW));
    };
    // Roles that are called as those of others are no matter: each zone has its own.
    let mut below = Owner::new("example.com/team/below", "https://below.example/", 90);
    below.list("app", vec![image("v4", "four")]);
    below.publish();
    team.delegate("below", &below);
    team.list("others/app", vec![image("v3", "false")]);
    team.publish();
    assert!(
        team.tree.keys().chain(owner.tree.keys()).filter(|it| it.ends_with(".zones.json")).count()
            > 1
    );
    world.serve("https://images.team.example/", &team.tree);
    world.serve("https://below.example/", &below.tree);
    for (name, text) in [
        ("example.com/others/app:v3", "three"),
        ("example.com/team/below/app:v4", "four"),
        (NAME, "one"),
    ] {
        let found = Client::default().resolve(&world, name).expect(name);
        assert_eq!(found.descriptor.digest, image("", text).digest, "{name}");
    }
    // Expired,
    team.publish_at(NOW.plus(-1000 * DAY));
    world.serve("https://images.team.example/", &team.tree);
    healthy(&world, "expired");
    // lists what it may not, under a role that is called as that of others,
    for path in ["zone/metadata/timestamp.json", "zone/metadata/1.root.json"] {
        let mut tree = others.tree.clone();
        tree.insert(path.to_owned(), b"{\"signatures\":[],\"signed\":{}}".to_vec());
        world.serve("https://images.team.example/", &tree);
        healthy(&world, path);
    }
    // gone, or without an end.
    world.serve("https://images.team.example/", &std::collections::BTreeMap::new());
    healthy(&world, "gone");
    let endless = [("zone/metadata/timestamp.json".to_owned(), vec![b' '; 20_000])];
    world.serve("https://images.team.example/", &endless.into_iter().collect());
    healthy(&world, "endless");
}

#[test]
fn a11_a_cut_can_not_be_hidden() {
    let (mut world, owner, team) = two_zones();
    let zones = owner.tree.iter().find(|(path, _)| path.ends_with(".zones.json")).expect("cuts");
    let text = String::from_utf8(zones.1.clone())
        .expect("text")
        .replace("zones/team.root.json", "zones/tean.root.json");
    let mut tree = owner.tree.clone();
    tree.insert(zones.0.clone(), text.into_bytes());
    world.serve("https://oci.example.com/", &tree);
    let error = told(Client::default().resolve(&world, "example.com/team/app:v2"));
    assert!(error.contains("E_ZONE") && error.contains("signatures"), "{error}");
    drop(team);
}

#[test]
fn a12_the_keys_of_every_day_list_nothing() {
    let mut owner = Owner::with(
        "example.com",
        "https://oci.example.com/",
        3,
        plimsoll_name::publish::Profile::Team,
    );
    owner.list("org/app", vec![image("v1.0.0", "one")]);
    owner.publish();
    let mut world = World::default();
    world.serve("https://oci.example.com/", &owner.tree);
    world.web.insert(SAID.to_owned(), owner.tree[".well-known/image-names"].clone());
    let client = Client::default();
    client.resolve(&world, NAME).expect("resolved");
    // A thief of the online key signs whatever he is asked for.
    owner.list("org/app", vec![image("v1.0.0", "false")]);
    let mut plan = owner.plan(NOW);
    plan.sign(&owner.secrets[4..]).expect("signed");
    assert_eq!(plan.missing()[0].role, "targets");
    for pending in plan.metadata {
        let bytes = plimsoll_content::json::canonical(&pending.envelope).expect("json");
        owner.tree.insert(pending.file, bytes);
    }
    owner.tree.extend(plan.files);
    world.serve("https://oci.example.com/", &owner.tree);
    for client in [client, Client::default()] {
        let error = told(client.resolve(&world, NAME));
        assert!(error.contains("E_ZONE") && error.contains("good signatures of 0 keys"), "{error}");
    }
}

#[test]
fn a13_what_first_contact_can_not_know_is_told() {
    let (world, owner, _) = two_zones();
    let found = Client::default().resolve(&world, NAME).expect("first");
    assert_eq!(found.assurance, Assurance::ZoneTofu);
    assert!(found.assurance.caveat().expect("a caveat").contains("whoever answered first"));
    // A pin is a better ground, and a demand for one is kept.
    let rule = |minimum, root| Rules {
        rules: vec![Rule {
            prefix: Some("example.com".parse().expect("prefix")),
            minimum,
            root,
            from: "names.toml".to_owned(),
            ..Rule::default()
        }],
    };
    let strict = Client { rules: rule(Some(Assurance::ZoneAnchored), None), ..Client::default() };
    let error = told(strict.resolve(&world, NAME));
    assert!(
        error.contains("E_ASSURANCE") && error.contains("zone-anchored, as names.toml demands"),
        "{error}"
    );
    let pinned = Client {
        rules: rule(Some(Assurance::ZoneAnchored), Some(owner.root_file().digest)),
        ..Client::default()
    };
    assert_eq!(pinned.resolve(&world, NAME).expect("pinned").assurance, Assurance::ZoneAnchored);
    let child = pinned.resolve(&world, "example.com/team/app:v2").expect("below a pin");
    assert_eq!(child.assurance, Assurance::ZoneAnchored);
    let wrong = Digest::of(Algorithm::Sha256, b"another");
    let error =
        told(Client { rules: rule(None, Some(wrong)), ..Client::default() }.resolve(&world, NAME));
    assert!(error.contains("E_ZONE") && error.contains("vouched for"), "{error}");
}

#[test]
fn a14_a_stolen_domain_is_known_to_those_who_knew_it() {
    let (mut world, _, team) = two_zones();
    let client = Client::default();
    client.resolve(&world, NAME).expect("before");
    let mut thief = Owner::new("example.com", "https://oci.example.com/", 66);
    thief.list("org/app", vec![image("v1.0.0", "stolen")]);
    thief.publish();
    serve(&mut world, &thief, &team);
    let error = told(client.at(&world, NAME, later(2)));
    assert!(error.contains("E_ZONE"), "{error}");
    // Who comes new is not protected, and is told so.
    let found = Client::default().resolve(&world, NAME).expect("new");
    assert_eq!(found.assurance, Assurance::ZoneTofu);
    assert!(found.assurance.caveat().is_some());
}

fn dns(world: &mut World, security: Security, text: &str) {
    world.dns.insert("_image-names.example.com".to_owned(), (security, vec![text.to_owned()]));
}

#[test]
fn a15_a_record_without_dnssec_leads_nowhere_else() {
    let (mut world, owner, _) = two_zones();
    let mut thief = Owner::new("example.com", "https://evil.example/", 66);
    thief.list("org/app", vec![image("v1.0.0", "stolen")]);
    thief.publish();
    world.serve("https://evil.example/", &thief.tree);
    dns(&mut world, Security::Insecure, "v=imn1; zone=https://evil.example/zone/");
    let found = Client::default().resolve(&world, NAME).expect("the owner's");
    assert_eq!(found.descriptor.digest, image("", "one").digest);
    assert!(found.notes[0].contains("counts only with DNSSEC"), "{:?}", found.notes);
    // It may lead to the domain itself, and may show that something is wrong.
    let root = owner.root_file().digest;
    dns(
        &mut world,
        Security::Insecure,
        &format!("v=imn1; zone=https://oci.example.com/zone/; root={root}"),
    );
    let found = Client::default().resolve(&world, NAME).expect("by the DNS");
    assert_eq!((found.way, found.assurance), (Way::Dns, Assurance::ZoneTofu));
    let other = Digest::of(Algorithm::Sha256, b"another");
    dns(&mut world, Security::Insecure, &format!("v=imn1; root={other}"));
    let error = told(Client::default().resolve(&world, NAME));
    assert!(error.contains("E_DISCOVERY") && error.contains("in the DNS"), "{error}");
    // With DNSSEC it is a ground.
    dns(
        &mut world,
        Security::Secure,
        &format!("v=imn1; zone=https://evil.example/zone/; root={}", thief.root_file().digest),
    );
    let found = Client::default().resolve(&world, NAME).expect("the owner of the DNS decides");
    assert_eq!((found.way, found.assurance), (Way::Dns, Assurance::ZoneAnchored));
    dns(&mut world, Security::Secure, &format!("v=imn1; root={root}"));
    let found = Client::default().resolve(&world, NAME).expect("anchored");
    assert_eq!((found.way, found.assurance), (Way::Announcement, Assurance::ZoneAnchored));
}

#[test]
fn a16_a_false_answer_of_the_dns_ends_the_chain() {
    let (mut world, ..) = two_zones();
    world.bogus.push("_image-names.example.com".to_owned());
    let error = told(Client::default().resolve(&world, NAME));
    assert!(error.contains("DNSSEC shows to be false"), "{error}");
}

#[test]
fn a17_nobody_is_asked_above_the_owner() {
    let mut world = World::default();
    world.registries.insert("foo.co.uk/app:latest".to_owned(), image("", "x"));
    world.registries.insert("user.github.io/app:latest".to_owned(), image("", "x"));
    world.registries.insert("a.b.example.com/app:latest".to_owned(), image("", "x"));
    for (name, hosts) in [
        ("foo.co.uk/app", vec!["foo.co.uk"]),
        ("user.github.io/app", vec!["user.github.io"]),
        ("a.b.example.com/app", vec!["a.b.example.com", "b.example.com", "example.com"]),
    ] {
        Client::default().resolve(&world, name).expect(name);
        let asked = world.requests();
        let engines: Vec<_> = asked
            .iter()
            .filter_map(|one| {
                one.strip_prefix("GET https://")?.strip_suffix("/.well-known/oci-host-ref-engines")
            })
            .collect();
        assert_eq!(engines, hosts);
        // Zones are never asked for above the host.
        assert_eq!(asked.iter().filter(|one| one.ends_with("/.well-known/image-names")).count(), 1);
        assert_eq!(asked.iter().filter(|one| one.starts_with("TXT")).count(), 1);
    }
}

#[test]
fn a20_a_redirect_leads_to_no_other_owner() {
    let (mut world, ..) = two_zones();
    world.web.insert("https://evil.example/x".to_owned(), world.web[SAID].clone());
    world.redirects.insert(SAID.to_owned(), "https://evil.example/x".to_owned());
    let error = told(Client::default().resolve(&world, NAME));
    assert!(error.contains("a redirect to evil.example"), "{error}");
    let said = world.web[SAID].clone();
    world.web.insert("https://www.example.com/x".to_owned(), said);
    world.redirects.insert(SAID.to_owned(), "https://www.example.com/x".to_owned());
    Client::default().resolve(&world, NAME).expect("the same owner");
}

#[test]
fn a24_two_images_under_one_ref_are_an_error() {
    let (mut world, mut owner, team) = two_zones();
    owner.list("org/app", vec![image("v1.0.0", "one"), image("v1.0.0", "two")]);
    owner.publish();
    serve(&mut world, &owner, &team);
    let error = told(Client::default().resolve(&world, NAME));
    assert!(error.contains("E_DISCOVERY") && error.contains("several images"), "{error}");
    owner.list("org/app", vec![image("v1.0.0", "one"), image("v1.0.0", "one")]);
    owner.publish();
    serve(&mut world, &owner, &team);
    Client::default().resolve(&world, NAME).expect("the same twice");
}

/// `/p0/p1/…`, of that depth.
fn steps(depth: u8) -> String {
    (0..depth).fold(String::new(), |path, at| path + &format!("/p{at}"))
}

#[test]
fn a25_chains_have_an_end() {
    // Ten zones below each other, of which eight are followed.
    let mut world = World::default();
    let mut below: Option<Owner> = None;
    for depth in (0..10).rev() {
        let path = steps(depth);
        let mut owner = Owner::new(
            &format!("example.com{path}"),
            &format!("https://z{depth}.example/"),
            depth + 1,
        );
        match &below {
            Some(child) => owner.delegate(&format!("p{depth}"), child),
            None => owner.list("app", vec![image("v1", "deep")]),
        }
        owner.publish();
        world.serve(&format!("https://z{depth}.example/"), &owner.tree);
        if depth == 0 {
            world.web.insert(SAID.to_owned(), owner.tree[".well-known/image-names"].clone());
        }
        below = Some(owner);
    }
    let path = steps(9);
    let error = told(Client::default().resolve(&world, &format!("example.com{path}/app:v1")));
    assert!(error.contains("E_LIMIT"), "{error}");
    assert!(world.requests().len() <= 70);
    // A cut can not lead to where it came from: its prefix would have to grow.
    let (_, owner, _) = two_zones();
    assert!(
        !owner.config.prefix().expect("prefix").is_above(&"example.com".parse().expect("prefix"))
    );
}

#[test]
fn a26_what_others_are_shown_is_told_by_lock_files() {
    let (mut world, owner, team) = two_zones();
    let first = Client::default().resolve(&world, NAME).expect("one view");
    let mut other = Owner::new("example.com", "https://oci.example.com/", 1);
    other.list("org/app", vec![image("v1.0.0", "another view")]);
    other.publish();
    serve(&mut world, &other, &team);
    let second = Client::default().resolve(&world, NAME).expect("another view");
    let lock = |found| {
        let mut lock = plimsoll_name::lock::Lock::default();
        lock.note(found, NOW);
        lock.to_bytes().expect("written")
    };
    assert_ne!(lock(&first), lock(&second));
    let again = plimsoll_name::lock::Lock::parse(&lock(&first)).expect("read");
    assert_eq!(again.to_bytes().expect("written"), lock(&first));
    assert_eq!(
        again.find(&NAME.parse().expect("name")).expect("there").descriptor.digest,
        first.descriptor.digest
    );
    assert!(Assurance::ZoneAnchored.caveat().expect("a caveat").contains("comparing lock files"));
    drop(owner);
}

#[test]
fn a28_hosts_are_asked_for_themselves_and_not_for_names() {
    let (world, ..) = two_zones();
    Client::default().resolve(&world, NAME).expect("resolved");
    for asked in world.requests() {
        let before = asked.contains("well-known") || asked.starts_with("TXT");
        assert!(!before || !asked.contains("org"), "{asked}");
    }
}

#[test]
fn rules_block_mirror_and_demand() {
    let (mut world, ..) = two_zones();
    let rule = |prefix: &str| Rule {
        prefix: Some(prefix.parse().expect("prefix")),
        from: "names.toml".to_owned(),
        ..Rule::default()
    };
    let mirror = |resolve| Mirror {
        host: "mirror.example:5000".parse().expect("host"),
        base: "cache/org".to_owned(),
        resolve,
    };
    let client = |rules: Vec<Rule>| Client { rules: Rules { rules }, ..Client::default() };
    let blocked = Rule { blocked: Some(true), ..rule("example.com") };
    let open = Rule { blocked: Some(false), ..rule("example.com/org") };
    assert!(
        told(client(vec![blocked.clone()]).resolve(&world, NAME)).contains("blocked by names.toml")
    );
    assert!(world.requests().is_empty());
    client(vec![blocked, open]).resolve(&world, NAME).expect("allowed");
    // A mirror has the content first, and says what a name means only if it may.
    world
        .registries
        .insert("mirror.example:5000/cache/org/app:v1.0.0".to_owned(), image("", "mirrored"));
    let found = client(vec![Rule { mirrors: vec![mirror(false)], ..rule("example.com/org") }])
        .resolve(&world, NAME)
        .expect("zone");
    assert_eq!(found.descriptor.digest, image("", "one").digest);
    assert_eq!(found.registries[0].1, "cache/org/app");
    let found = client(vec![Rule { mirrors: vec![mirror(true)], ..rule("example.com/org") }])
        .resolve(&world, NAME)
        .expect("mirror");
    assert_eq!((found.descriptor.digest, found.way), (image("", "mirrored").digest, Way::Rules));
}

#[test]
fn older_ways_lead_to_the_same() {
    // oci-discovery: engines of the host, relative to their document.
    let mut world = World::default();
    world.web.insert(
        "https://example.com/.well-known/oci-host-ref-engines".to_owned(),
        br#"{"refEngines":[{"protocol":"unknown","uri":"x"},{"protocol":"oci-index-template-v1","uri":"https://{host}/oci-index/{path}"}],
            "casEngines":[{"protocol":"oci-cas-template-v1","uri":"/cas/{algorithm}/{encoded:2}/{encoded}"}]}"#.to_vec(),
    );
    let list = plimsoll_name::listing::Listing::new(vec![image("1.0", "old")], Vec::new());
    let list = plimsoll_content::json::canonical(&list).expect("json");
    world.web.insert("https://example.com/oci-index/a%2Fb".to_owned(), list);
    let found = Client::default().resolve(&world, "example.com/a/b#1.0").expect("resolved");
    assert_eq!((found.way, found.assurance), (Way::RefEngines, Assurance::Tls));
    assert_eq!(found.cas[0].as_str(), "https://example.com/cas/{algorithm}/{encoded:2}/{encoded}");
    assert!(found.assurance.caveat().expect("a caveat").contains("web server"));
    // A route of the host to a registry.
    let mut world = World::default();
    world.web.insert(
        SAID.to_owned(),
        br#"{"schemaVersion":1,"host":"example.com","routes":[{"prefix":"example.com/legacy","refEngines":[
            {"protocol":"oci-distribution-v1","uri":"https://registry.example.net/v2/mirror/legacy/"}]}]}"#.to_vec(),
    );
    world
        .registries
        .insert("registry.example.net/mirror/legacy/app:v1".to_owned(), image("", "routed"));
    world.registries.insert("example.com/legacyx/app:v1".to_owned(), image("", "own"));
    let found = Client::default().resolve(&world, "example.com/legacy/app:v1").expect("routed");
    assert_eq!(
        (found.way, found.registries[0].1.as_str()),
        (Way::Announcement, "mirror/legacy/app")
    );
    let found = Client::default().resolve(&world, "example.com/legacyx/app:v1").expect("own");
    assert_eq!(found.way, Way::Registry);
    // A critical member that is unknown stops everything.
    world.web.insert(
        SAID.to_owned(),
        br#"{"schemaVersion":1,"host":"example.com","critical":["x"]}"#.to_vec(),
    );
    assert!(
        told(Client::default().resolve(&world, "example.com/legacy/app:v1"))
            .contains("critical member")
    );
    // Today's registries: nothing is published, which is remembered.
    let mut world = World::default();
    world.registries.insert("example.com/app:v1".to_owned(), image("", "today"));
    world.registries.insert("plain.example:5000/app:v1".to_owned(), image("", "plain"));
    let client = Client::default();
    assert_eq!(
        client.resolve(&world, "example.com/app:v1").expect("today").assurance,
        Assurance::Tls
    );
    assert_eq!(world.requests().len(), 4);
    client.resolve(&world, "example.com/app:v1").expect("again");
    assert_eq!(world.requests(), ["MANIFEST example.com/app v1"]);
    let found = client.resolve(&world, "plain.example:5000/app:v1");
    assert!(told(found).contains("E_ASSURANCE"));
}
