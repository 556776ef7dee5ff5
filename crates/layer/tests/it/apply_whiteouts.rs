//! Whiteouts (WH): they hide what lower layers have, whatever comes first.

use plimsoll_content::Code;

use crate::apply_support::{Tar, Yard, found, is_root};

fn lower() -> Tar {
    Tar::new()
        .dir("d")
        .file("d/a", "1")
        .mode(0o700)
        .dir("d/sub")
        .file("d/sub/x", "1")
        .file("top", "1")
        .link("l", "d")
}

fn applied(upper: Tar) -> Yard {
    let yard = Yard::new();
    yard.apply(&[lower(), upper]).expect("applied");
    yard
}

#[test]
fn an_explicit_whiteout_hides_a_file_and_itself() {
    assert_eq!(applied(Tar::new().file("d/.wh.a", "")).paths(), "d d/sub d/sub/x l top");
    assert_eq!(applied(Tar::new().file(".wh.d", "")).paths(), "l top");
}

#[test]
fn an_opaque_whiteout_hides_all_that_lower_layers_have_in_a_folder() {
    assert_eq!(applied(Tar::new().file("d/.wh..wh..opq", "")).paths(), "d l top");
    assert_eq!(applied(Tar::new().file("d/sub/.wh..wh..opq", "")).paths(), "d d/a d/sub l top");
}

#[test]
fn wh01_wh02_whiteouts_of_nothing_and_dots_are_refused() {
    for name in [".wh.", ".wh..", ".wh...", "d/.wh.", "d/.wh...", "d/.wh.a/b"] {
        let error = Yard::new().apply(&[lower(), Tar::new().file(name, "")]).expect_err(name);
        assert_eq!(error.code(), Code::UnsafeEntry, "{name}");
    }
}

#[test]
fn wh03_wh12_private_names_of_aufs_are_left_out_and_hide_nothing() {
    let yard = Yard::new();
    let upper = Tar::new()
        .dir(".wh..wh.plnk")
        .file(".wh..wh.plnk/12.34", "x")
        .file(".wh..wh.aufs", "")
        .dir("d/.wh..wh.orph")
        .file("d/.wh..wh.a", "");
    let done = yard.apply(&[lower(), upper]).expect("applied");
    assert_eq!(found(&done), ["aufs-private"; 5]);
    assert_eq!(done[1].whiteouts, 0);
    assert_eq!(yard.paths(), "d d/a d/sub d/sub/x l top");
}

#[test]
fn wh04_a_whiteout_that_is_no_empty_file_counts() {
    let yard = Yard::new();
    let upper = Tar::new().file(".wh.top", "content").dir("d/.wh.a");
    let done = yard.apply(&[lower(), upper]).expect("applied");
    assert_eq!(found(&done), ["whiteout-not-empty"; 2]);
    assert_eq!(done[1].whiteouts, 2);
    assert_eq!(yard.paths(), "d d/sub d/sub/x l");
}

#[test]
fn wh06_wh11_whiteouts_of_what_is_not_there_are_accepted() {
    let upper = Tar::new()
        .file(".wh.nothing", "")
        .file("no/where/.wh.x", "")
        .file("no/.wh..wh..opq", "")
        .file("top/.wh.x", "")
        .dir("new")
        .file("new/.wh..wh..opq", "");
    assert_eq!(applied(upper).paths(), "d d/a d/sub d/sub/x l new top");
}

/// Each set of entries, in both orders, must give one tree.
#[test]
fn wh08_wh09_wh10_wh18_the_order_in_a_layer_does_not_matter() {
    type Add = fn(Tar) -> Tar;
    let cases: [(&[Add], &str); 10] = [
        (&[|t| t.file(".wh.top", ""), |t| t.file("top", "2")], "d d/a d/sub d/sub/x l top"),
        (&[|t| t.file("d/.wh.a", ""), |t| t.link("d/a", "x")], "d d/a d/sub d/sub/x l top"),
        (&[|t| t.file("d/.wh..wh..opq", ""), |t| t.file("d/b", "2")], "d d/b l top"),
        (
            &[|t| t.file("d/.wh..wh..opq", ""), |t| t.dir("d"), |t| t.file("d/a", "2")],
            "d d/a l top",
        ),
        (&[|t| t.file(".wh..wh..opq", ""), |t| t.file("d/sub/y", "2")], "d d/sub d/sub/y"),
        (&[|t| t.file(".wh.d", ""), |t| t.file("d/sub/y", "2")], "d d/sub d/sub/y l top"),
        (&[|t| t.file("d/.wh..wh..opq", ""), |t| t.file("d/sub/y", "2")], "d d/sub d/sub/y l top"),
        (
            &[|t| t.file("d/.wh.sub", ""), |t| t.dir("d/sub"), |t| t.file("d/sub/y", "2")],
            "d d/a d/sub d/sub/y l top",
        ),
        (&[|t| t.file(".wh.d", ""), |t| t.file("d/sub/.wh..wh..opq", "")], "l top"),
        (&[|t| t.file(".wh.d", ""), |t| t.file("d", "file")], "d l top"),
    ];
    for (adds, paths) in cases {
        let forward = adds.iter().fold(Tar::new(), |tar, add| add(tar));
        let backward = adds.iter().rev().fold(Tar::new(), |tar, add| add(tar));
        let (forward, backward) = (applied(forward), applied(backward));
        assert_eq!(forward.paths(), paths);
        assert_eq!(backward.paths(), paths);
        let same = |yard: &Yard| {
            let mut tree = yard.tree();
            // Which of two layers without an entry for the root touched it.
            tree.0.remove("");
            tree
        };
        assert_eq!(same(&forward), same(&backward), "{paths}");
    }
}

#[test]
fn a_folder_that_is_hidden_and_implied_again_has_nothing_of_the_old_one() {
    let yard = applied(Tar::new().file("d/sub/y", "2").file("d/.wh.sub", ""));
    let sub = yard.tree().get("d/sub").clone();
    assert_eq!((sub.mode, sub.time.seconds()), (0o755, 0));
    let kept = applied(Tar::new().file("d/sub/y", "2")).tree().get("d/sub").clone();
    assert_eq!((kept.mode, kept.time.seconds()), (0o700, 1_000_000_000));
}

#[test]
fn a_whiteout_hides_nothing_of_its_own_layer_in_the_lowest_layer_either() {
    let yard = Yard::new();
    let layer =
        Tar::new().file("a", "").file(".wh.a", "").file("d/x", "").file("d/.wh..wh..opq", "");
    yard.apply(&[layer]).expect("applied");
    assert_eq!(yard.paths(), "a d d/x");
}

#[test]
fn wh13_other_names_of_a_hidden_file_keep_the_content() {
    let yard = Yard::new();
    let lower = Tar::new().file("a", "same").hard("b", "a").hard("d/c", "a");
    yard.apply(&[lower, Tar::new().file(".wh.a", "")]).expect("applied");
    assert_eq!(yard.read("b"), "same");
    assert_eq!(yard.tree().get("b").names, 2);
    assert_eq!(yard.tree().get("d/c").group, "b");
}

#[test]
fn wh15_private_attributes_of_overlay_mounts_are_left_out() {
    let yard = Yard::new();
    let layer = Tar::new()
        .xattr("trusted.overlay.opaque", "y")
        .dir("d")
        .xattr("user.overlay.whiteout", "y")
        .xattr("user.kept", "1")
        .file("d/f", "")
        .xattr("trusted.overlay.redirect", "/etc")
        .file("d/g", "");
    let done = yard.apply(&[layer]).expect("applied");
    assert_eq!(found(&done).iter().filter(|name| **name == "xattr-dropped").count(), 3);
    let tree = yard.tree();
    assert!(tree.get("d").xattrs.is_empty());
    assert_eq!(tree.get("d/f").xattrs, [(b"user.kept".to_vec(), b"1".to_vec())]);
}

#[test]
fn folders_keep_their_times_when_a_layer_changes_what_is_in_them() {
    let yard = applied(Tar::new().file("d/.wh.a", "").file("d/sub/y", "").time(5).file("z", ""));
    for path in ["d", "d/sub"] {
        assert_eq!(yard.tree().get(path).time.seconds(), 1_000_000_000, "{path}");
    }
    if is_root() {
        assert_eq!(yard.tree().get("").owner, (0, 0));
    }
}
