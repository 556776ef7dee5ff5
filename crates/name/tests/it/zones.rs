//! Zones, from the owner to the client.

use plimsoll_content::{Code, Digest};
use plimsoll_name::chain::Way;
use plimsoll_name::crypto::Secret;
use plimsoll_name::publish::Profile;
use plimsoll_name::time::{DAY, Time};
use plimsoll_name::tuf::Freshness;
use plimsoll_name::{Assurance, memory};

use crate::world::{Client, NOW, Owner, World, for_platform, image, serve, told, two_zones};

fn digest(text: &str) -> Digest {
    image("", text).digest
}

#[test]
fn each_spelling_means_the_same() {
    let (world, ..) = two_zones();
    let client = Client::default();
    let by_digest = format!("example.com/org/app@{}", digest("one"));
    let both = format!("example.com/org/app:v1.0.0@{}", digest("one"));
    for (name, level) in [
        ("example.com/org/app:v1.0.0", Assurance::ZoneTofu),
        ("example.com/org/app,version=v1.0.0,os=linux,arch=amd64", Assurance::ZoneTofu),
        ("EXAMPLE.com./org/app#v1.0.0", Assurance::ZoneTofu),
        ("example.com/org/app", Assurance::ZoneTofu),
        (&by_digest, Assurance::Digest),
        (&both, Assurance::Digest),
    ] {
        let found = client.resolve(&world, name).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(found.descriptor.digest, digest("one"), "{name}");
        assert_eq!(found.assurance, level, "{name}");
        assert!(found.notes.is_empty(), "{:?}", found.notes);
        assert_eq!(
            found.cas[0].as_str(),
            "https://oci.example.com/oci-cas/{algorithm}/{encoded:2}/{encoded}"
        );
    }
    let moved = format!("example.com/org/app:v1.0.0@{}", digest("other"));
    let error = told(client.resolve(&world, &moved));
    assert!(error.contains("E_NOT_FOUND"), "{error}");
}

#[test]
fn a_delegatee_lives_alone() {
    let (mut world, mut owner, mut team) = two_zones();
    let untouched = owner.tree.clone();
    let client = Client::default();
    let name = "example.com/team/app:v2";
    let found = client.resolve(&world, name).expect("resolved");
    assert_eq!(found.descriptor.digest, digest("two"));
    let prefixes: Vec<_> = found.zones.iter().map(|zone| zone.prefix.as_str()).collect();
    assert_eq!(prefixes, ["example.com", "example.com/team"]);
    assert_eq!(
        found.cas[0].as_str(),
        "https://images.team.example/oci-cas/{algorithm}/{encoded:2}/{encoded}"
    );

    // It publishes.
    team.list("app", vec![image("v2", "three")]);
    team.publish();
    serve(&mut world, &owner, &team);
    assert_eq!(client.resolve(&world, name).expect("new").descriptor.digest, digest("three"));

    // It replaces all of its keys.
    let stale = team.tree.clone();
    team.rotate(99);
    team.list("app", vec![image("v2", "four")]);
    team.publish();
    serve(&mut world, &owner, &team);
    let found = client.resolve(&world, name).expect("rotated");
    assert_eq!(found.descriptor.digest, digest("four"));
    assert_eq!(found.zones[1].root_version, 2);
    assert_eq!(
        Client::default().resolve(&world, name).expect("new client").descriptor.digest,
        digest("four")
    );

    // It moves to another host; its old one only says where.
    let root_only: std::collections::BTreeMap<_, _> = {
        team.config.metadata =
            vec!["https://new.team.example/zone/metadata/".parse().expect("address")];
        team.config.targets =
            vec!["https://new.team.example/zone/targets/".parse().expect("address")];
        team.config.moved = true;
        team.list("app", vec![image("v2", "five")]);
        team.publish();
        team.tree
            .iter()
            .filter(|(path, _)| path.ends_with(".root.json"))
            .map(|(a, b)| (a.clone(), b.clone()))
            .collect()
    };
    world.serve("https://images.team.example/", &root_only);
    world.serve("https://new.team.example/", &team.tree);
    assert_eq!(client.resolve(&world, name).expect("moved").descriptor.digest, digest("five"));
    assert_eq!(
        Client::default().resolve(&world, name).expect("new client").descriptor.digest,
        digest("five")
    );
    // Who knows it needs the old host no more.
    world.web.retain(|address, _| !address.starts_with("https://images.team.example/"));
    world.broken.push("https://images.team.example/".to_owned());
    assert_eq!(
        client.resolve(&world, name).expect("moved for good").descriptor.digest,
        digest("five")
    );
    world.broken.clear();

    // What it was before is refused.
    world.serve("https://new.team.example/", &stale);
    let error = told(client.resolve(&world, name));
    assert!(error.contains("E_ZONE"), "{error}");
    assert_eq!(owner.tree, untouched);

    // The owner takes it back.
    world.serve("https://new.team.example/", &team.tree);
    owner.wanted.cuts.clear();
    owner.publish();
    world.serve("https://oci.example.com/", &owner.tree);
    let error = client.resolve(&world, name).expect_err("gone");
    assert_eq!(error.code(), Code::NotFound);
    assert!(error.to_string().contains("zone example.com"), "{error}");
}

#[test]
fn an_owner_gives_a_part_to_others_instead() {
    let (mut world, mut owner, team) = two_zones();
    let client = Client::default();
    let name = "example.com/team/app:v2";
    client.resolve(&world, name).expect("resolved");
    let mut others = Owner::new("example.com/team", "https://others.example/", 77);
    others.list("app", vec![image("v2", "others")]);
    others.publish();
    owner.delegate("team", &others);
    owner.publish();
    serve(&mut world, &owner, &team);
    world.serve("https://others.example/", &others.tree);
    assert_eq!(client.resolve(&world, name).expect("others").descriptor.digest, digest("others"));
}

#[test]
fn keys_at_several_places_sign_in_rounds() {
    let mut owner = Owner::with("example.com", "https://oci.example.com/", 3, Profile::Team);
    owner.list("app", vec![image("v1", "one")]);
    let mut plan = owner.plan(NOW);
    plan.sign(&owner.secrets[3..]).expect("signed");
    let missing = plan.missing();
    assert_eq!(missing.len(), 1, "{missing:?}");
    assert_eq!(
        (missing[0].role.as_str(), missing[0].signatures, missing[0].keys.len()),
        ("root", 2, 3)
    );
    // The plan goes to other machines, and comes back.
    let text = serde_json::to_vec(&plan).expect("json");
    let mut away: plimsoll_name::publish::Plan = serde_json::from_slice(&text).expect("json");
    away.sign(&owner.secrets[..1]).expect("signed");
    assert_eq!(away.missing()[0].signatures, 1);
    assert_eq!(away.clone().into_files().expect_err("one of two").code(), Code::Zone);
    away.sign(&owner.secrets[2..3]).expect("signed");
    assert!(away.missing().is_empty());
    away.files = plan.files;
    owner.tree.extend(away.into_files().expect("complete"));

    // Day by day, one key is enough.
    owner.secrets.remove(0);
    owner.secrets.remove(0);
    owner.secrets.remove(0);
    owner.list("app", vec![image("v1", "two")]);
    owner.publish();
    let mut world = World::default();
    world.serve("https://oci.example.com/", &owner.tree);
    let said = owner.tree[".well-known/image-names"].clone();
    world.web.insert("https://example.com/.well-known/image-names".to_owned(), said);
    let found = Client::default().resolve(&world, "example.com/app:v1").expect("resolved");
    assert_eq!(found.descriptor.digest, digest("two"));
    // A root that only one of them signed is none.
    owner.config.days.root = 300;
    owner.config.days.root = 3000;
    let mut plan = owner.plan(NOW.plus(300 * DAY));
    plan.sign(&owner.secrets).expect("signed");
    assert!(plan.missing().iter().any(|missing| missing.role == "root, as it was"));
}

#[test]
fn nothing_is_signed_anew_without_a_reason() {
    let (_, mut owner, _) = two_zones();
    let before = owner.tree.clone();
    owner.publish();
    let changed: Vec<_> = owner
        .tree
        .iter()
        .filter(|(path, bytes)| before.get(*path) != Some(*bytes))
        .map(|(path, _)| path.as_str())
        .collect();
    assert_eq!(changed, ["zone/metadata/timestamp.json"]);
    // The timestamp is the last file of all.
    owner.list("org/app", vec![image("v1.0.0", "new")]);
    let mut plan = owner.plan(NOW);
    plan.sign(&owner.secrets).expect("signed");
    let files: Vec<_> =
        plan.into_files().expect("complete").into_iter().map(|(path, _)| path).collect();
    assert_eq!(files.last().map(String::as_str), Some("zone/metadata/timestamp.json"));
    let place = |end: &str| files.iter().position(|path| path.ends_with(end)).expect(end);
    assert!(
        place(".app") < place("targets.json") && place("targets.json") < place("snapshot.json")
    );
    // Half a year later the rest is renewed as well.
    owner.publish_at(NOW.plus(300 * DAY));
    assert!(owner.tree.contains_key("zone/metadata/2.root.json"));
}

#[test]
fn a_crash_at_any_file_leaves_a_zone_that_resolves() {
    let (mut world, mut owner, team) = two_zones();
    let before = owner.tree.clone();
    let client = Client::default();
    client.resolve(&world, "example.com/org/app:v1.0.0").expect("old");
    owner.rotate(9);
    owner.list("org/app", vec![image("v1.0.0", "new")]);
    let mut plan = owner.plan(NOW);
    plan.sign(&owner.secrets).expect("signed");
    let files = plan.into_files().expect("complete");
    let root = files.iter().position(|(path, _)| path.ends_with("2.root.json")).expect("a root");
    assert_eq!(root + 2, files.len(), "only the timestamp comes after the root");
    for cut in 0..=root {
        let mut tree = before.clone();
        tree.extend(files[..cut].iter().cloned());
        world.serve("https://oci.example.com/", &tree);
        let memory = Client { memory: client.memory.copied(), ..Client::default() };
        let found = memory.resolve(&world, "example.com/org/app:v1.0.0").expect("old state");
        assert_eq!(found.descriptor.digest, digest("one"));
    }
    owner.tree.extend(files);
    serve(&mut world, &owner, &team);
    assert_eq!(
        client.resolve(&world, "example.com/org/app:v1.0.0").expect("new").descriptor.digest,
        digest("new")
    );
}

#[test]
fn many_repositories_are_spread_over_bins() {
    for (count, bins) in [(1_000, 0), (1_001, 256), (10_000, 256)] {
        let mut owner = Owner::new("example.com", "https://oci.example.com/", 1);
        for at in 0..count {
            owner.list(&format!("org/app{at}"), vec![image("v1", "one")]);
        }
        owner.publish();
        let mut world = World::default();
        world.serve("https://oci.example.com/", &owner.tree);
        let said = owner.tree[".well-known/image-names"].clone();
        world.web.insert("https://example.com/.well-known/image-names".to_owned(), said);
        let there = owner.tree.keys().filter(|path| path.contains(".bin-")).count();
        assert_eq!(there, bins, "{count} repositories");
        let client = Client::default();
        client.resolve(&world, "example.com/org/app77:v1").expect("resolved");
        let size = |end: &str| {
            owner
                .tree
                .iter()
                .filter(|(path, _)| path.ends_with(end))
                .map(|(_, bytes)| bytes.len())
                .max()
        };
        let (targets, snapshot) =
            (size("1.targets.json").expect("targets"), size("1.snapshot.json").expect("snapshot"));
        // The figures of the design: 131 kB for 1,000 in one file; 8 kB of snapshot for 256 bins.
        match count {
            1_000 => assert!(targets < 160_000, "{targets}"),
            _ => assert!(snapshot < 10_000 && targets < 50_000, "{snapshot} {targets}"),
        }
        let (requests, bytes) = (world.requests().len(), *world.bytes.lock().expect("lock"));
        assert!(requests <= 12, "{requests} requests");
        assert!(bytes < 220_000, "{count}: {bytes} bytes");
        let error = client.resolve(&world, "example.com/org/nothing:v1").expect_err("absent");
        assert_eq!(error.code(), Code::NotFound);
    }
}

/// The figures of the design's cost table, which were measured on another
/// client: requests, and bytes of answers.
#[test]
fn costs_no_more_than_the_table_says() {
    let count = |world: &World| {
        let all = world.requests();
        let bytes = std::mem::take(&mut *world.bytes.lock().expect("lock"));
        (all.iter().filter(|one| one.starts_with("GET")).count(), bytes)
    };
    let mut owner = Owner::new("example.com", "https://oci.example.com/", 1);
    owner.list("org/app", vec![image("v1", "one")]);
    owner.publish();
    let mut world = World::default();
    world.serve("https://oci.example.com/", &owner.tree);
    world.web.insert(
        "https://example.com/.well-known/image-names".to_owned(),
        owner.tree[".well-known/image-names"].clone(),
    );
    let client = Client::default();
    client.resolve(&world, "example.com/org/app:v1").expect("cold");
    let cold = count(&world);
    client.resolve(&world, "example.com/org/app:v1").expect("warm");
    let warm = count(&world);
    let (world, ..) = two_zones();
    let client = Client::default();
    client.resolve(&world, "example.com/org/app:v1.0.0").expect("parent");
    count(&world);
    client.resolve(&world, "example.com/team/app:v2").expect("child");
    let child = count(&world);
    client.resolve(&world, "example.com/team/app:v2").expect("child again");
    let again = count(&world);
    println!("cold {cold:?}, warm {warm:?}, delegated {child:?}, again {again:?}");
    assert!(cold.0 <= 7 && cold.1 <= 3_991, "{cold:?}");
    assert!(warm.0 <= 4 && warm.1 <= 1_271, "{warm:?}");
    assert!(child.0 <= 9 && child.1 <= 4_205, "{child:?}");
    assert!(again.0 <= 7 && again.1 <= 3_380, "{again:?}");
    let offline = Client { freshness: Freshness::Offline, ..client };
    offline.resolve(&world, "example.com/team/app:v2").expect("offline");
    assert_eq!(count(&world), (0, 0));
    let late = offline.at(&world, "example.com/team/app:v2", NOW.plus(400 * DAY));
    assert!(told(late).contains("expired"));
    let stale = Client { freshness: Freshness::Stale, ..offline };
    let found = stale.at(&world, "example.com/team/app:v2", NOW.plus(400 * DAY)).expect("stale");
    assert!(found.notes.iter().any(|note| note.contains("has expired")), "{:?}", found.notes);
    assert_eq!(count(&world), (0, 0));
}

#[test]
fn platforms_and_labels_choose() {
    let mut owner = Owner::new("example.com", "https://oci.example.com/", 1);
    let mut beta = image("v2", "beta");
    beta.annotations.insert("channel".to_owned(), "beta".to_owned());
    owner.list(
        "app",
        vec![
            for_platform("v1", "amd", "linux/amd64"),
            for_platform("v1", "arm", "linux/arm64"),
            image("v2", "stable"),
            beta,
        ],
    );
    owner.publish();
    let mut world = World::default();
    world.serve("https://oci.example.com/", &owner.tree);
    world.web.insert(
        "https://example.com/.well-known/image-names".to_owned(),
        owner.tree[".well-known/image-names"].clone(),
    );
    let client = Client::default();
    for (labels, text) in
        [("v1,arch=amd64", "amd"), ("v1,arch=aarch64", "arm"), ("v2,channel=beta", "beta")]
    {
        let found = client.resolve(&world, &format!("example.com/app:{labels}")).expect(labels);
        assert_eq!(found.descriptor.digest, digest(text), "{labels}");
    }
    let error = told(client.resolve(&world, "example.com/app:v1"));
    assert!(error.contains("several images") && error.contains("for linux/arm64"), "{error}");
    let error = told(client.resolve(&world, "example.com/app:v1,arch=s390x"));
    assert!(error.contains("E_NOT_FOUND"), "{error}");
}

#[test]
fn what_is_known_is_told_and_forgotten() {
    let (mut world, _, team) = two_zones();
    let client = Client::default();
    client.resolve(&world, "example.com/team/app:v2").expect("resolved");
    let known = memory::all(&client.memory).expect("listed");
    let prefixes: Vec<_> = known.iter().map(|known| known.prefix.as_str()).collect();
    assert_eq!(prefixes, ["example.com", "example.com/team"]);
    assert_eq!(known[0].since, NOW);
    // Somebody else has the domain now.
    let mut other = Owner::new("example.com", "https://oci.example.com/", 200);
    other.list("org/app", vec![image("v1", "other")]);
    other.publish();
    serve(&mut world, &other, &team);
    let later = Time(NOW.0 + 2 * DAY);
    assert!(told(client.at(&world, "example.com/org/app:v1", later)).contains("E_ZONE"));
    memory::forget(&client.memory, &"example.com".parse().expect("prefix")).expect("forgotten");
    assert!(memory::all(&client.memory).expect("listed").is_empty());
    let found = client.at(&world, "example.com/org/app:v1", later).expect("anew");
    assert_eq!((found.assurance, found.way), (Assurance::ZoneTofu, Way::Announcement));
}

#[test]
fn an_owner_may_end_his_zone() {
    let (mut world, mut owner, team) = two_zones();
    let client = Client::default();
    client.resolve(&world, "example.com/org/app:v1.0.0").expect("known");
    owner.config.retired = true;
    owner.publish();
    let said = owner.tree.insert(".well-known/image-names".to_owned(), Vec::new());
    let later = Time(NOW.0 + 2 * DAY);
    // First the root says so, while the zone is still announced,
    world.serve("https://oci.example.com/", &owner.tree);
    client.at(&world, "example.com/org/app:v1.0.0", NOW).expect("still there");
    // then the host has none.
    drop((said, team));
    world.web.retain(|address, _| !address.contains("well-known"));
    world.registries.insert("example.com/org/app:v1.0.0".to_owned(), image("", "registry"));
    let found = client.at(&world, "example.com/org/app:v1.0.0", later).expect("a registry");
    assert_eq!((found.assurance, found.way), (Assurance::Tls, Way::Registry));
}

#[test]
fn keys_are_read_from_their_own_form() {
    let secret = Secret::new([5; 32]);
    let pem = secret.to_pem();
    assert_eq!(Secret::from_pem(&pem).expect("key").public(), secret.public());
}
