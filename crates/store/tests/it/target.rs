use std::fs;

use plimsoll_content::{Code, Resolve, Tag};
use plimsoll_store::{Layout, Target};

use crate::build::{code, image, read};

#[test]
fn a_new_layout_appears_as_a_whole_or_not_at_all() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("image");
    let target = Target::open(&path).expect("staged");
    image(target.layout(), "a");
    assert!(!path.exists());
    drop(target);
    assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 0);

    let target = Target::open(&path).expect("staged");
    let a = image(target.layout(), "a");
    target.layout().tag("v1", &a).expect("named");
    let layout = target.publish().expect("published");
    assert_eq!(layout.path(), path);
    assert_eq!(layout.resolve("v1").expect("there").digest, a.digest);
    assert_eq!(Layout::open(&path).expect("there").resolve("v1").expect("there").digest, a.digest);
    assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 1);
}

#[test]
fn an_old_layout_is_written_in_place() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("image");
    Layout::create(&path).expect("made");
    let target = Target::open(&path).expect("opened");
    let a = image(target.layout(), "a");
    target.layout().tag("v1", &a).expect("named");
    assert_eq!(Layout::open(&path).expect("there").resolve("v1").expect("there").digest, a.digest);
    target.publish().expect("nothing to do");
    fs::create_dir(folder.path().join("other")).expect("made");
    fs::write(folder.path().join("other/file"), "").expect("written");
    assert_eq!(code(Target::open(&folder.path().join("other"))), Code::NotALayout);
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).expect("made");
    drop(Target::open(&empty).expect("an empty folder will do"));
    assert_eq!(fs::read_dir(&empty).expect("listed").count(), 0);
    Target::open(&empty).expect("staged").publish().expect("published");
    Layout::open(&empty).expect("a layout");
}

#[test]
fn of_two_new_layouts_at_one_place_both_images_stay() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("image");
    let first = Target::open(&path).expect("staged");
    let second = Target::open(&path).expect("staged");
    let (a, b) = (image(first.layout(), "a"), image(second.layout(), "b"));
    first.layout().tag("a", &a).expect("named");
    second.layout().tag("b", &b).expect("named");
    first.publish().expect("published");
    let layout = second.publish().expect("joined");
    assert_eq!(layout.path(), path);
    for (name, target) in [("a", &a), ("b", &b)] {
        assert_eq!(layout.resolve(name).expect(name).digest, target.digest);
        assert!(layout.reachable(target).expect("walked").missing.is_empty());
        read(&layout, target).expect("whole");
    }
    assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 1);
}
