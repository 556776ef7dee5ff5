//! Names (NM).

use std::process::Command;

use crate::archive::Tar;
use crate::case::{image, layer, paths};
use crate::yard::{As, Yard};

const UNSAFE: &str = "E_UNSAFE_ENTRY";

#[test]
fn nm01_names_that_are_no_utf8() {
    let names: [&[u8]; 3] = [b"caf\xe9", b"sur\xed\xa0\x80rogate", b"over\xc0\xaflong"];
    let tar = names.iter().fold(Tar::new(), |tar, name| tar.file(name, "x"));
    layer(tar).accepted(|tree, _| {
        for name in names {
            assert_eq!(tree[&name.escape_ascii().to_string()].text(), "x");
        }
    });
}

#[test]
fn nm02_names_that_differ_in_case() {
    layer(Tar::new().file("a", "1").file("A", "2")).accepted(|tree, _| {
        assert_eq!((tree["a"].text(), tree["A"].text()), ("1".into(), "2".into()));
    });
}

#[test]
fn nm04_a_component_that_is_too_long() {
    layer(Tar::new().file("n".repeat(256), "")).refused(UNSAFE);
    layer(Tar::new().file("n".repeat(255), "")).accepted(|tree, _| assert_eq!(tree.len(), 2));
}

#[test]
fn nm05_a_path_that_is_too_long() {
    layer(Tar::new().file("ab/".repeat(1_400) + "x", "")).refused(UNSAFE);
}

#[test]
fn nm06_an_empty_name() {
    layer(Tar::new().file("", "x")).refused(UNSAFE);
    layer(Tar::new().pax("path", "").file("x", "x")).refused(UNSAFE);
}

#[test]
fn nm07_names_that_change_a_terminal() {
    // Every run checks that nothing of it is printed as it is.
    let name = "a\n\u{1b}[31mred\u{9b}2J\u{202e}";
    layer(Tar::new().file(name, "1").file(name, "2")).tolerated(&["duplicate-entry"], |tree, _| {
        assert_eq!(tree[&name.as_bytes().escape_ascii().to_string()].text(), "2");
    });
    layer(Tar::new().file(format!("../{name}"), "")).refused(UNSAFE);
    layer(Tar::new().hard(name, format!("x{name}"))).refused(UNSAFE);
}

#[test]
fn nm08_two_entries_for_one_path() {
    layer(Tar::new().file("a", "1").file("a", "2"))
        .tolerated(&["duplicate-entry"], |tree, _| assert_eq!(tree["a"].text(), "2"));
}

#[test]
fn nm10_a_hard_link_before_its_target() {
    layer(Tar::new().hard("b", "a").file("a", "")).refused(UNSAFE);
}

#[test]
fn nm11_a_hard_link_to_itself_to_a_folder_and_to_nothing() {
    layer(Tar::new().hard("a", "a")).refused(UNSAFE);
    layer(Tar::new().dir("d").hard("b", "d")).refused(UNSAFE);
    layer(Tar::new().hard("b", "no/where")).refused(UNSAFE);
}

#[test]
fn nm12_a_link_to_nothing_to_too_much_and_with_a_nul() {
    layer(Tar::new().link("l", "")).refused(UNSAFE);
    layer(Tar::new().link("l", "t".repeat(5_000))).refused(UNSAFE);
    layer(Tar::new().pax("linkpath", "a\0b").link("l", "a")).refused(UNSAFE);
}

#[test]
fn nm13_a_root_that_nobody_may_enter() {
    for mode in [0o700, 0o000, 0o500] {
        layer(Tar::new().mode(mode).dir(".").file("x", "1"))
            .accepted(|tree, _| assert_eq!(tree[""].mode, mode));
        // It is cleaned up as well.
        let tar = Tar::new().mode(mode).dir(".").mode(mode).dir("d").file("d/x", "1");
        layer(tar.file("../x", "")).refused(UNSAFE);
    }
}

#[test]
fn nm14_very_many_names_in_one_folder() {
    // A million in the long run; this is for every day.
    let tar = (0..20_000).fold(Tar::new(), |tar, number| tar.file(format!("d/{number}"), ""));
    layer(tar).large().accepted(|tree, _| assert_eq!(tree.len(), 20_002));
}

#[test]
fn nm15_a_file_system_without_inodes() {
    let layers = || {
        let tar = (0..400).fold(Tar::new(), |tar, number| tar.file(format!("d/{number}"), "x"));
        vec![tar.into()]
    };
    if As::all().len() == 1 {
        eprintln!("SKIP mounting a small file system: needs root");
        return;
    }
    for kind in ["tmpfs", "ext4"] {
        let yard = Yard::new(As::Root);
        yard.image(&layers());
        let (disk, place) = (yard.path("home/disk"), yard.path("home/small"));
        std::fs::create_dir(&place).expect("made");
        let shell = match kind {
            "tmpfs" => "mount -t tmpfs -o nr_inodes=200 none \"$2\"",
            _ => {
                "truncate -s 8M \"$1\" && mkfs.ext4 -q -N 200 \"$1\" && mount -o loop \"$1\" \"$2\" \
                 && rmdir \"$2/lost+found\""
            }
        };
        let made = Command::new("sh").args(["-c", shell, "sh"]).arg(&disk).arg(&place).output();
        if !made.as_ref().is_ok_and(|output| output.status.success()) {
            eprintln!("SKIP {kind} with few inodes: {made:?}");
            continue;
        }
        let done = yard.run(&["unpack", "oci:layout:v1", "home/small/root"]);
        let left = std::fs::read_dir(&place).expect("listed").count();
        let status = Command::new("umount").arg(&place).status().expect("started");
        assert!(status.success());
        assert_eq!(done.code, 5, "{kind}: {}", done.err);
        assert!(done.err.contains("error[E_SPACE]"), "{}", done.err);
        assert_eq!(left, 0, "nothing is left on {kind}");
        yard.intact(false);
    }
}

#[test]
fn nm08_and_in_two_layers_it_is_none() {
    image(|_| vec![Tar::new().file("a", "1").into(), Tar::new().file("a", "2").into()])
        .accepted(|tree, _| assert_eq!(paths(tree), "a"));
}
