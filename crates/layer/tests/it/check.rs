//! Whether entries make sense together, told without making files.

use plimsoll_content::{Code, Result};
use plimsoll_layer::{Check, Limits};

use crate::apply_support::Tar;

/// Checks layers; gives the names of what was found in the last one.
fn check(layers: &[Tar]) -> Result<Vec<&'static str>> {
    let mut check = Check::new();
    let mut found = Vec::new();
    for layer in layers {
        let bytes = layer.clone().done();
        let mut entries = plimsoll_layer::tar::Entries::new(&bytes[..], Limits::default());
        while let Some((entry, _)) = entries.next()? {
            check.entry(&entry)?;
        }
        found = check.end_layer().iter().map(|finding| finding.name).collect();
    }
    Ok(found)
}

fn refused(layers: &[Tar]) -> bool {
    check(layers).is_err_and(|error| error.code() == Code::UnsafeEntry)
}

#[test]
fn a_sound_image_has_no_findings() {
    let lower = Tar::new().dir(".").dir("d").file("d/f", "1").hard("d/h", "d/f").link("l", "d");
    let upper = Tar::new().file("d/.wh.f", "").hard("x", "d/h").file("l/through", "").dir("e");
    assert_eq!(check(&[lower, upper]).expect("sound"), [""; 0]);
    // A folder may come behind what it holds.
    assert_eq!(check(&[Tar::new().file("a/b/c", "").dir("a/b").dir("a")]).expect("sound"), [""; 0]);
}

#[test]
fn nm08_every_second_entry_for_a_path_is_found() {
    for layer in [
        Tar::new().file("a", "").file("./a", ""),
        Tar::new().dir("a").dir("a"),
        Tar::new().file("a/b", "").file("a", ""),
        Tar::new().file("d/.wh.a", "").file("d/.wh.a", ""),
    ] {
        assert_eq!(check(&[Tar::new().dir("d"), layer]).expect("found"), ["duplicate-entry"]);
    }
    assert!(Check::is_error("duplicate-entry") && !Check::is_error("aufs-private"));
}

#[test]
fn tr08_tr23_nm10_nm11_what_applying_would_refuse_is_refused() {
    let lower = || Tar::new().dir("d").file("f", "").link("l", "d");
    for upper in [
        Tar::new().file("l/.wh.x", ""),
        Tar::new().file("x", "").file("x/y", ""),
        Tar::new().hard("h", "nowhere"),
        Tar::new().hard("h", "d"),
        Tar::new().hard("h", "late").file("late", ""),
        Tar::new().file(".wh.", ""),
    ] {
        assert!(refused(&[lower(), upper]));
    }
    // What lies below a link is not known without following it.
    assert!(check(&[lower(), Tar::new().hard("h", "l/x")]).is_ok());
    // A file of a lower layer makes way.
    assert!(check(&[lower(), Tar::new().file("f/x", "")]).is_ok());
}

#[test]
fn wh03_wh04_wh12_whiteouts_that_say_too_much_are_found() {
    let found = |layer: Tar| check(&[layer]).expect("found");
    assert_eq!(found(Tar::new().file("d/.wh..wh.x", "")), ["whiteout-unknown"]);
    assert_eq!(found(Tar::new().file("d/.wh.x", "content")), ["whiteout-not-empty"]);
    assert_eq!(found(Tar::new().dir(".wh..wh.plnk")), ["aufs-private"]);
}

#[test]
fn what_a_skipped_layer_holds_is_not_known() {
    let mut check = Check::new();
    check.skip_layer();
    let bytes = Tar::new().hard("h", "somewhere").done();
    let mut entries = plimsoll_layer::tar::Entries::new(&bytes[..], Limits::default());
    let (entry, _) = entries.next().expect("good").expect("one");
    check.entry(&entry).expect("it may be there");
}
