//! Whiteouts (WH).

use crate::archive::{Layer, Tar};
use crate::case::{image, paths};
use crate::yard::{As, Yard};

const UNSAFE: &str = "E_UNSAFE_ENTRY";

fn lower() -> Layer {
    Tar::new()
        .dir("d")
        .file("d/a", "1")
        .file("d/b", "1")
        .file("top", "1")
        .hard("twin", "top")
        .into()
}

/// An upper layer over one with `d/a`, `d/b`, `top` and `twin`.
fn over(upper: Tar) -> crate::case::Case<impl Fn(&Yard) -> Vec<Layer>> {
    let upper = Layer::from(upper);
    image(move |_| vec![lower(), upper.clone()])
}

#[test]
fn wh01_a_whiteout_of_nothing() {
    over(Tar::new().file("d/.wh.", "")).refused(UNSAFE);
}

#[test]
fn wh02_a_whiteout_of_a_dot_or_two() {
    over(Tar::new().file("d/.wh..", "")).refused(UNSAFE);
    over(Tar::new().file("d/.wh...", "")).refused(UNSAFE);
}

#[test]
fn wh03_a_private_name_that_means_nothing() {
    over(Tar::new().file("d/.wh..wh.a", ""))
        .tolerated(&["aufs-private"], |tree, _| assert_eq!(paths(tree), "d d/a d/b top twin"));
}

#[test]
fn wh04_a_whiteout_with_content() {
    over(Tar::new().file("d/.wh.a", "content"))
        .tolerated(&["whiteout-not-empty"], |tree, _| assert_eq!(paths(tree), "d d/b top twin"));
}

#[test]
fn wh06_a_whiteout_of_what_is_not_there() {
    over(Tar::new().file("d/.wh.none", "").file("no/where/.wh.x", ""))
        .accepted(|tree, _| assert_eq!(paths(tree), "d d/a d/b top twin"));
}

#[test]
fn wh08_a_whiteout_behind_an_entry_of_the_same_layer() {
    over(Tar::new().file("d/a", "2").file("d/.wh.a", ""))
        .accepted(|tree, _| assert_eq!(tree["d/a"].text(), "2"));
}

#[test]
fn wh09_an_opaque_root() {
    over(Tar::new().file("new", "2").file(".wh..wh..opq", ""))
        .accepted(|tree, _| assert_eq!(paths(tree), "new"));
}

#[test]
fn wh10_an_opaque_mark_behind_what_its_folder_holds() {
    for first in [true, false] {
        let mark = |tar: Tar| tar.file("d/.wh..wh..opq", "");
        let tar = if first { mark(Tar::new()) } else { Tar::new() };
        let tar = tar.dir("d").file("d/new", "2");
        over(if first { tar } else { mark(tar) })
            .accepted(|tree, _| assert_eq!(paths(tree), "d d/new top twin"));
    }
}

#[test]
fn wh11_an_opaque_mark_in_a_new_folder() {
    over(Tar::new().dir("new").file("new/.wh..wh..opq", "").file("new/x", ""))
        .accepted(|tree, _| assert_eq!(paths(tree), "d d/a d/b new new/x top twin"));
}

#[test]
fn wh12_the_private_files_of_aufs() {
    let tar = Tar::new().dir(".wh..wh.plnk").file(".wh..wh.plnk/1.2", "x").file(".wh..wh.aufs", "");
    over(tar.dir(".wh..wh.orph")).accepted_with(&["aufs-private"], |tree, _| {
        assert_eq!(paths(tree), "d d/a d/b top twin");
    });
}

#[test]
fn wh13_a_whiteout_of_one_of_two_names() {
    over(Tar::new().file(".wh.top", "")).accepted(|tree, _| {
        assert_eq!((tree["twin"].text(), tree["twin"].names), ("1".into(), 1));
    });
}

#[test]
fn wh15_attributes_of_overlay_mounts() {
    let mut tar = Tar::new();
    for name in ["opaque", "redirect", "metacopy", "origin", "upper", "impure", "nlink"] {
        tar = tar.pax(&format!("SCHILY.xattr.trusted.overlay.{name}"), "y");
        tar = tar.pax(&format!("SCHILY.xattr.user.overlay.{name}"), "y");
        tar = tar.dir(format!("x/{name}"));
    }
    for who in As::all() {
        let yard = Yard::new(*who);
        yard.image(&[tar.clone().into()]);
        let done = yard.run_small(&["unpack", "oci:layout:v1", "root"]);
        assert!(done.code == 0 && done.err.contains("(xattr-dropped)"), "{}", done.err);
        for name in ["opaque", "redirect", "metacopy", "origin", "upper", "impure", "nlink"] {
            let path = yard.path("root/x").join(name);
            let mut list = [0; 4096];
            let length = rustix::fs::llistxattr(&path, &mut list[..]).unwrap_or(0);
            let text = String::from_utf8_lossy(&list[..length]).into_owned();
            assert!(!text.contains("overlay"), "{text}");
        }
        yard.intact(true);
    }
}

#[test]
fn wh16_a_file_to_pack_that_is_named_as_a_whiteout() {
    for name in [".wh.x", ".wh..wh..opq"] {
        let yard = Yard::new(As::all()[0]);
        yard.image(&[lower()]);
        std::fs::create_dir(yard.path("home/tree")).expect("made");
        std::fs::write(yard.path("home/tree").join(name), "").expect("written");
        let done = yard.run_small(&["pack", "home/tree", "oci:layout:v2"]);
        assert_eq!(done.code, 1, "{}", done.err);
        assert!(done.err.contains("E_UNREPRESENTABLE") && done.err.contains(name), "{}", done.err);
        yard.intact(false);
    }
}

#[test]
fn wh18_a_whiteout_and_another_type_at_its_path() {
    over(Tar::new().file(".wh.d", "").file("d", "file"))
        .accepted(|tree, _| assert_eq!((tree["d"].kind, paths(tree)), ('f', "d top twin".into())));
    over(Tar::new().link("top", "d").file(".wh.top", ""))
        .accepted(|tree, _| assert_eq!(tree["top"].kind, 'l'));
}
