//! What resolving costs (C.10, C.11): requests, and bytes of documents. The
//! figures of the design are those of another client, over zones without a role
//! for cuts; none may be above them. `-- --nocapture` shows the table.

#![allow(clippy::print_stderr, reason = "the table is for whoever asks for it")]

use std::fmt::Write as _;

use plimsoll_name::tuf::Freshness;

use crate::world::{Client, NOW, Owner, World, image};

/// What a look-up cost: requests, and bytes.
type Cost = (usize, u64);

fn cost(world: &World, client: &Client, name: &str, days: i64) -> Cost {
    world.requests();
    *world.bytes.lock().expect("lock") = 0;
    let now = NOW.plus(days * plimsoll_name::time::DAY / 2);
    let found = client.at(world, name, now).expect(name);
    let asked = world.requests().iter().filter(|asked| !asked.starts_with("TXT ")).count();
    let bytes = *world.bytes.lock().expect("lock");
    // What is told is what it was.
    assert_eq!(found.cost, (asked as u64, bytes), "{name}");
    (asked, bytes)
}

/// A zone with so many repositories of one tag each, and one that was given away.
fn worlds(repositories: usize, cut: bool) -> World {
    let mut owner = Owner::new("example.com", "https://oci.example.com/", 1);
    for at in 0..repositories {
        owner.list(&format!("org/app-{at}"), vec![image("v1.0.0", "one")]);
    }
    let mut team = Owner::new("example.com/team", "https://images.team.example/", 50);
    team.list("app", vec![image("v2", "two")]);
    team.publish();
    if cut {
        owner.delegate("team", &team);
    }
    owner.publish();
    let mut world = World::default();
    crate::world::serve(&mut world, &owner, &team);
    world
}

#[test]
fn no_look_up_costs_more_than_it_should() {
    let mut table = String::from("| case | requests | bytes |\n|---|---|---|\n");
    let mut row = |case: &str, found: Cost, most: Cost| {
        let (requests, bytes) = found;
        writeln!(table, "| {case} | {requests} of {} | {bytes} of {} |", most.0, most.1)
            .expect("text");
        assert!(requests <= most.0 && bytes <= most.1, "{case}: {found:?}, more than {most:?}");
    };
    let own = "example.com/org/app-0:v1.0.0";
    let team = "example.com/team/app:v2";
    let world = worlds(1, false);
    let client = Client::default();
    row("own name, first contact", cost(&world, &client, own, 0), (7, 3_991));
    row("own name, warm", cost(&world, &client, own, 1), (4, 1_271));
    // The document of the host is remembered for a day; then it is asked again.
    row("own name, after three days", cost(&world, &client, own, 6), (4, 1_271));
    let world = worlds(1, true);
    let client = Client::default();
    cost(&world, &client, own, 0);
    row("given away, owner known", cost(&world, &client, team, 1), (9, 4_205));
    row("given away, warm", cost(&world, &client, team, 2), (7, 3_380));
    row("own name beside a cut, warm", cost(&world, &client, own, 2), (4, 1_271));
    // Where nobody may be asked, nobody is.
    let quiet = Client {
        freshness: Freshness::Offline,
        memory: client.memory.copied(),
        ..Client::default()
    };
    row("without a network", cost(&world, &quiet, team, 2), (0, 0));
    // Plain lists are as long as they are (C.11: 131 KB for 1,000), bins are not.
    for (repositories, most) in [(1_000, (7, 160_000)), (10_000, (9, 70_000))] {
        let world = worlds(repositories, true);
        let client = Client::default();
        let name = format!("example.com/org/app-{}:v1.0.0", repositories / 2);
        row(
            &format!("one of {repositories}, first contact"),
            cost(&world, &client, &name, 0),
            (most.0 + 1, most.1),
        );
        row(&format!("one of {repositories}, warm"), cost(&world, &client, &name, 1), (4, 1_271));
        let other = format!("example.com/org/app-{}:v1.0.0", repositories / 3);
        row(&format!("another of {repositories}"), cost(&world, &client, &other, 1), (4, 20_000));
    }
    eprintln!("{table}");
}
