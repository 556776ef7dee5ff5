//! Two trees become a layer; every layer is applied, and must make the one of
//! the other.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

use plimsoll_content::Code;
use plimsoll_layer::diff::{self, Changed};
use plimsoll_layer::tar::Entries;
use plimsoll_layer::{Limits, Root, Timestamp, pack};
use rustix::fd::AsFd;

use crate::apply_support::needs_root;
use crate::diff_support::{Pair, changes, list, plain, set_time};

#[test]
fn equal_trees_give_an_empty_layer() {
    let pair = Pair::new("mkdir -p a/b; echo x > a/b/c; ln a/b/c d; ln -s x l; mkfifo p");
    let (diff, bytes) = pair.layer();
    assert!(diff.is_empty());
    assert!(diff.changes.is_empty());
    assert_eq!(bytes.len(), 1024);
}

#[test]
fn parents_come_with_what_changed_and_nothing_else_does() {
    let pair = Pair::new("mkdir -p a/b/c other; chmod 1777 a; echo x > a/b/c/f; echo y > other/f");
    pair.change("echo more >> a/b/c/f");
    let (diff, bytes) = pair.layer();
    assert_eq!(list(&bytes), ["a/", "a/b/", "a/b/c/", "a/b/c/f"]);
    assert_eq!(changes(&diff), ["C a/b/c/f"]);
    let mut entries = Entries::new(&bytes[..], Limits::default());
    let (entry, _) = entries.next().expect("good").expect("one");
    assert_eq!(entry.mode, 0o1777);
}

#[test]
fn whiteouts_are_explicit_and_come_before_their_siblings() {
    let pair = Pair::new("mkdir -p d/sub/deep; touch d/sub/deep/x d/!first d/gone gone; mkdir e");
    pair.change("rm -r d/sub d/gone gone; echo x > d/!first; echo y > d/-new; rmdir e");
    let (diff, bytes) = pair.layer();
    assert_eq!(
        list(&bytes),
        ["/", ".wh.e", ".wh.gone", "d/", "d/.wh.gone", "d/.wh.sub", "d/!first", "d/-new"]
    );
    // The times of the folders are others, too.
    assert_eq!(
        changes(&diff),
        ["C /", "C d", "C d/!first", "A d/-new", "D d/gone", "D d/sub", "D e", "D gone"]
    );
    let mut entries = Entries::new(&bytes[..], Limits::default());
    while let Some((entry, _)) = entries.next().expect("good") {
        if entry.path.to_string().contains(".wh.") {
            assert_eq!((entry.mode, entry.uid, entry.mtime), (0, 0, Timestamp::EPOCH));
        }
    }
}

#[test]
fn content_counts_whatever_the_times_say() {
    // kaniko#289: the same time and size, another content.
    let pair = Pair::new("echo one > f; touch -d @1000 f");
    pair.change("echo two > f; touch -d @1000 f");
    let (diff, bytes) = pair.layer();
    assert_eq!(list(&bytes), ["f"]);
    assert_eq!((diff.count(Changed::Changed), diff.compared), (1, 1));
}

#[test]
fn what_a_layer_says_of_a_file_is_compared() {
    for change in [
        "chmod 4755 f",
        "touch -d @5 f",
        "setfattr -n user.x -v 1 f",
        "touch -h -d @5 l",
        "ln -sfn y l; touch -h -d @1 l",
        "setfattr -n user.x -v 1 d",
        "chmod 700 d",
    ] {
        let pair = Pair::new("echo x > f; ln -s x l; mkdir d; touch -h -d @1 l d .");
        pair.change(&format!("{change}; touch -d @1 ."));
        let (diff, bytes) = pair.layer();
        assert_eq!(
            (diff.count(Changed::Changed), list(&bytes).len()),
            (1, 1),
            "{change}: {:?}",
            list(&bytes)
        );
    }
}

#[test]
fn types_replace_each_other_both_ways() {
    let kinds = ["echo x > X", "mkdir X; echo y > X/y", "ln -s y X", "mkfifo X"];
    for one in kinds {
        for two in kinds {
            let pair = Pair::new(&format!("mkdir d y; {}", one.replace('X', "d/x")));
            pair.change(&format!("rm -r d/x; {}", two.replace('X', "d/x")));
            let (_, bytes) = pair.layer();
            assert!(!list(&bytes).iter().any(|name| name.contains(".wh.")), "{one}, {two}");
        }
    }
}

#[test]
fn a_folder_over_a_link_is_a_folder() {
    // buildkit#2710
    let pair = Pair::new("mkdir real; echo x > real/f; ln -s real dir");
    pair.change("rm dir; mkdir dir; echo y > dir/f");
    let (_, bytes) = pair.layer();
    assert_eq!(list(&bytes), ["/", "dir/", "dir/f"]);
}

#[test]
fn a_new_name_brings_all_names_of_its_file() {
    let pair = Pair::new("mkdir a; echo x > a/one; ln a/one a/two; echo x > a/alone");
    pair.change("ln a/one b; ln a/alone c; touch -d @1 a .");
    let (diff, bytes) = pair.layer();
    assert_eq!(
        list(&bytes),
        ["/", "a/", "a/alone", "a/one", "a/two = a/one", "b = a/one", "c = a/alone"]
    );
    assert_eq!((diff.count(Changed::Added), diff.count(Changed::Changed)), (2, 5));
}

#[test]
fn groups_that_fall_apart_or_shrink_are_right() {
    let pair = Pair::new("echo x > a; touch -d @1 a; ln a b; ln a c; ln a d; touch -d @1 .");
    // A name less needs nothing but its whiteout.
    pair.change("rm d; touch -d @1 .");
    assert_eq!(list(&pair.layer().1), [".wh.d"]);
    // One becomes a file of its own: the others stay.
    pair.change("cp -a b x; mv x b; touch -d @1 .");
    assert_eq!(list(&pair.layer().1), [".wh.d", "b"]);
    // Two pairs of what was one file: the first stays.
    pair.change("ln -f b e; touch -d @1 .");
    assert_eq!(list(&pair.layer().1), [".wh.d", "b", "e = b"]);
    // A change to the content brings all names.
    pair.change("echo y > a; touch -d @1 .");
    assert_eq!(list(&pair.layer().1), [".wh.d", "a", "b", "c = a", "e = b"]);
}

#[test]
fn files_that_become_one_are_one() {
    let pair = Pair::new("echo x > a; cp -p a b; ln -s t l; cp -Pp l m; touch -d @1 .");
    pair.change("ln -f a b; ln -Pf l m; touch -d @1 .");
    assert_eq!(list(&pair.layer().1), ["a", "b = a", "l -> t", "m = l"]);
    // kaniko-project#947: targets are relative.
    assert!(!pair.layer().1.windows(4).any(|bytes| bytes == b"\0/a\0"));
}

#[test]
fn emptied_is_not_gone() {
    // stacker#627
    let pair = Pair::new("mkdir -p emptied gone; touch emptied/x gone/x");
    pair.change("rm emptied/x; rm -r gone");
    assert_eq!(list(&pair.layer().1), ["/", ".wh.gone", "emptied/", "emptied/.wh.x"]);
}

#[test]
fn nested_whiteouts_name_their_own_folders() {
    // moby#25086: a folder that is gone, and one whose name it begins.
    let pair = Pair::new("mkdir -p a/b a/bc a/b.d; touch a/b/x a/bc/x a/b.d/x");
    pair.change("rm -r a/b; rm a/bc/x a/b.d/x");
    assert_eq!(
        list(&pair.layer().1),
        ["a/", "a/.wh.b", "a/b.d/", "a/b.d/.wh.x", "a/bc/", "a/bc/.wh.x"]
    );
}

#[test]
fn a_folder_made_anew_loses_what_it_had() {
    let pair = Pair::new("mkdir -p d/sub; touch d/sub/x d/y");
    pair.change("rm -r d; mkdir d; touch d/z");
    assert_eq!(list(&pair.layer().1), ["/", "d/", "d/.wh.sub", "d/.wh.y", "d/z"]);
}

#[test]
fn wh16_names_of_whiteouts_are_refused() {
    let pair = Pair::new("mkdir d");
    fs::write(pair.new_tree().join("d/.wh.x"), "").expect("written");
    let error = pair.diff().expect_err("refused");
    assert_eq!(error.code(), Code::Unrepresentable);
    assert!(error.headline().contains("d/.wh.x"), "{error}");
    // Neither can their removal be said.
    let pair = Pair::new("mkdir d; touch d/.wh.x");
    pair.change("rm d/.wh.x");
    assert_eq!(pair.diff().expect_err("refused").code(), Code::Unrepresentable);
}

#[test]
fn a_name_too_long_to_be_whited_out_is_refused() {
    let longest = "n".repeat(251);
    let pair = Pair::new(&format!("touch {longest}"));
    pair.change(&format!("rm {longest}"));
    assert_eq!(list(&pair.layer().1), ["/".to_owned(), format!(".wh.{longest}")]);
    let longer = "n".repeat(252);
    let pair = Pair::new(&format!("touch {longer}"));
    pair.change(&format!("rm {longer}"));
    let error = pair.diff().expect_err("refused");
    assert_eq!(error.code(), Code::Unrepresentable);
    assert!(error.found_text().expect("found").contains("252"), "{error}");
}

#[test]
fn sockets_are_left_out_with_a_finding() {
    let pair = Pair::new("mkdir d; touch -d @1 d");
    let _socket = UnixListener::bind(pair.new_tree().join("d/s")).expect("made");
    pair.change("touch -d @1 d");
    let (diff, bytes) = pair.layer();
    assert_eq!(diff.packed.findings[0].name, "socket-left-out");
    assert_eq!(list(&bytes), [""; 0]);
}

#[test]
fn attributes_of_machines_are_not_changes() {
    let pair = Pair::new("mkdir d; echo x > f");
    for name in ["f", "d"] {
        let path = pair.new_tree().join(name);
        for attribute in ["user.overlay.opaque", "user.overlay.overlay.metacopy"] {
            let flags = rustix::fs::XattrFlags::empty();
            rustix::fs::setxattr(&path, attribute, b"y", flags).expect("set");
        }
    }
    assert!(pair.diff().expect("compared").0.is_empty());
    set_time(&pair.new_tree().join("f"), 5, 0);
    let (_, bytes) = pair.diff().expect("compared");
    assert!(!String::from_utf8_lossy(&bytes).contains("overlay"));
}

#[test]
fn mounts_are_left_out_and_hide_nothing() {
    if needs_root("mounting") {
        return;
    }
    let pair = Pair::new("mkdir -p proc/below; touch proc/file; chmod 555 proc; echo x > f");
    let point = pair.new_tree().join("proc");
    let flags = rustix::mount::MountFlags::empty();
    if rustix::mount::mount("none", &point, "tmpfs", flags, None).is_err() {
        return;
    }
    fs::write(point.join("secret"), "").expect("written");
    let target = pair.new_tree().join("f");
    let bound = rustix::mount::mount_bind("/etc/hostname", &target).is_ok();
    let compared = pair.diff();
    for point in [&point, &target] {
        let _ = rustix::mount::unmount(point, rustix::mount::UnmountFlags::DETACH);
    }
    let (diff, bytes) = compared.expect("compared");
    assert_eq!(list(&bytes), [""; 0]);
    let found: Vec<_> = diff.packed.findings.iter().map(|finding| finding.name).collect();
    assert_eq!(found, vec!["mount-left-out"; 1 + usize::from(bound)]);
}

#[test]
fn times_are_clamped_in_the_layer_and_layers_are_reproducible() {
    let pair = Pair::new("mkdir d; echo x > d/f");
    pair.change("echo y > d/g");
    let options = pack::Options { epoch: Some(1_000), ..plain() };
    let (old, new) = (Root::open(&pair.old()).expect("old"), Root::open(&pair.new_tree()));
    let new = new.expect("new");
    let make = || diff::trees(old.as_fd(), new.as_fd(), Vec::new(), &options).expect("compared").1;
    let bytes = make();
    assert_eq!(make(), bytes);
    let mut entries = Entries::new(&bytes[..], Limits::default());
    while let Some((entry, _)) = entries.next().expect("good") {
        assert!(entry.mtime <= Timestamp::from_seconds(1_000));
    }
}

#[test]
fn a_layer_of_everything_is_what_packing_gives() {
    let pair = Pair::new("touch -d @1 .");
    pair.change("mkdir -p a/b; echo x > a/b/c; ln a/b/c d; ln -s x l; mkfifo p; touch -d @1 .");
    let (_, bytes) = pair.diff().expect("compared");
    let root = Root::open(&pair.new_tree()).expect("opened");
    assert!(pack::tree(root.as_fd(), Vec::new(), &plain()).expect("packed").1 == bytes);
}

#[test]
fn links_out_of_the_tree_are_never_followed() {
    let pair = Pair::new("mkdir d; echo x > d/f");
    let outside = tempfile::tempdir().expect("folder");
    fs::write(outside.path().join("f"), "secret").expect("written");
    pair.change("rm -r d");
    symlink(outside.path(), pair.new_tree().join("d")).expect("linked");
    let (_, bytes) = pair.layer();
    assert!(!String::from_utf8_lossy(&bytes).contains("secret"));
}
