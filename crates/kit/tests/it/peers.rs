//! The adapters that come with the kit.

use plimsoll_kit::{Peer, Role, case};

#[test]
fn every_reason_is_about_cases_that_are_there() {
    let cases = case::all().expect("read");
    for peer in Peer::all().expect("read") {
        for start in peer.known_cases() {
            let about = cases
                .iter()
                .filter(|case| case.id.starts_with(start))
                .any(|case| peer.plays(case.role));
            assert!(about, "{}: nothing begins with {start}", peer.name);
        }
    }
}

#[test]
fn the_longest_start_gives_the_reason() {
    let crane = Peer::find("crane").expect("there");
    let general = crane.known("layers/file-twice").expect("known");
    let own = crane.known("layers/zstd").expect("known");
    assert_ne!(general, own);
    assert!(own.contains("MA26"), "{own}");
    assert_eq!(crane.known("builders/files/plain"), None);
}

#[test]
fn each_role_has_a_peer_beside_ours() {
    let peers = Peer::all().expect("read");
    for role in Role::ALL {
        let number = peers.iter().filter(|peer| peer.plays(*role)).count();
        assert!(number >= 3, "{role}: {number}");
    }
    assert_eq!(Peer::find("nobody").expect_err("none").code().as_str(), "E_NOT_FOUND");
}
