//! Paths and links (TR).

use std::os::unix::fs::symlink;

use crate::archive::{Layer, Tar};
use crate::case::{image, layer, paths};
use crate::yard::{As, Yard};

const UNSAFE: &str = "E_UNSAFE_ENTRY";

fn inside(outside: &str) -> String {
    outside[1..].to_owned()
}

#[test]
fn tr01_a_name_that_leads_up() {
    layer(Tar::new().file("../outside/x", "evil")).refused(UNSAFE);
}

#[test]
fn tr02_an_absolute_name() {
    layer(Tar::new().file("/etc/x", "fine"))
        .accepted_with(&["path-absolute"], |tree, _| assert_eq!(paths(tree), "etc etc/x"));
    image(|yard| vec![Tar::new().file(format!("{}/victim", yard.outside()), "evil").into()])
        .accepted(|_, _| {});
}

#[test]
fn tr03_a_name_that_leads_up_from_below() {
    layer(Tar::new().file("a/../../x", "evil")).refused(UNSAFE);
}

#[test]
fn tr04_a_file_behind_a_link_to_outside() {
    image(|yard| {
        let outside = yard.outside();
        vec![Tar::new().link("l", &outside).file("l/victim", "evil").into()]
    })
    .accepted(|tree, _| {
        let victim = tree.iter().find(|(path, _)| path.ends_with("/outside/victim"));
        assert_eq!(victim.expect("inside").1.text(), "evil");
    });
}

#[test]
fn tr05_a_file_behind_a_relative_link_to_outside() {
    layer(Tar::new().dir("a").link("a/l", "../../../../outside").file("a/l/victim", "evil"))
        .accepted(|tree, _| assert_eq!(tree["outside/victim"].text(), "evil"));
}

#[test]
fn tr06_a_file_over_a_link_to_a_file_outside() {
    let make = |yard: &Yard| {
        let victim = format!("{}/victim", yard.outside());
        Tar::new().link("v", victim)
    };
    image(move |yard| vec![make(yard).file("v", "mine").into()])
        .tolerated(&["duplicate-entry"], |tree, _| assert_eq!(tree["v"].text(), "mine"));
    image(move |yard| vec![make(yard).into(), Tar::new().file("v", "mine").into()])
        .accepted(|tree, _| assert_eq!((tree["v"].kind, tree["v"].text()), ('f', "mine".into())));
}

#[test]
fn tr07_a_link_in_one_layer_and_a_file_behind_it_in_the_next() {
    image(|yard| {
        let lower = Tar::new().link("l", yard.outside());
        vec![lower.into(), Tar::new().file("l/victim", "evil").into()]
    })
    .accepted(|tree, _| {
        assert_eq!(tree["l"].kind, 'l');
        assert!(tree.keys().any(|path| path.ends_with("/outside/victim")));
    });
}

#[test]
fn tr08_a_whiteout_behind_a_link() {
    for name in ["l/.wh.victim", "l/deep/.wh.twin", "l/.wh..wh..opq"] {
        image(|yard| {
            let lower = Tar::new().link("l", yard.outside());
            vec![lower.into(), Tar::new().file(name, "").into()]
        })
        .refused(UNSAFE);
    }
}

#[test]
fn tr10_a_root_that_is_a_link() {
    for name in [".", "./", "/"] {
        image(|yard| vec![Tar::new().link(name, yard.outside()).into()]).refused(UNSAFE);
    }
}

#[test]
fn tr12_a_folder_over_a_link_to_a_folder_outside() {
    image(|yard| {
        let lower = Tar::new().link("l", yard.outside());
        vec![lower.into(), Tar::new().mode(0o777).dir("l").file("l/x", "").into()]
    })
    .accepted(|tree, _| {
        assert_eq!((tree["l"].kind, tree["l"].mode), ('d', 0o777));
        assert_eq!(paths(tree), "l l/x");
    });
}

#[test]
fn tr13_a_hard_link_to_an_absolute_path_outside() {
    image(|yard| {
        let victim = format!("{}/victim", yard.outside());
        vec![Tar::new().hard("h", victim).file("h", "evil").into()]
    })
    .refused(UNSAFE);
    // The same path inside is what is meant.
    image(|yard| {
        let victim = format!("{}/victim", yard.outside());
        vec![Tar::new().file(inside(&victim), "mine").hard("h", victim).into()]
    })
    .accepted(|tree, _| assert_eq!((tree["h"].text(), tree["h"].names), ("mine".into(), 2)));
}

#[test]
fn tr14_a_hard_link_that_leads_up() {
    layer(Tar::new().hard("h", "../outside/victim")).refused(UNSAFE);
}

#[test]
fn tr15_a_hard_link_to_a_file_behind_a_link() {
    image(|yard| {
        let tar = Tar::new().link("l", yard.outside()).hard("h", "l/victim").file("h", "evil");
        vec![tar.into()]
    })
    .refused_by_unpack(UNSAFE);
}

#[test]
fn tr16_a_hard_link_to_a_link() {
    image(|yard| {
        let victim = format!("{}/victim", yard.outside());
        let lower = Tar::new().link("l", victim).hard("h", "l");
        vec![lower.into(), Tar::new().file("h", "mine").into()]
    })
    .accepted(|tree, _| assert_eq!((tree["h"].text(), tree["l"].kind), ("mine".into(), 'l')));
}

#[test]
fn tr20_folders_that_a_path_implies_behind_a_link() {
    image(|yard| vec![Tar::new().link("l", yard.outside()).file("l/new/deep/x", "").into()])
        .accepted(|tree, _| assert!(tree.keys().any(|path| path.ends_with("outside/new/deep/x"))));
}

#[test]
fn tr21_a_hard_link_to_a_name_in_the_folder_of_the_process() {
    for target in ["layout/index.json", "outside/victim", "home/out"] {
        layer(Tar::new().hard("h", target)).refused(UNSAFE);
    }
}

#[test]
fn tr22_a_folder_that_is_a_file_and_a_folder_again() {
    let folder = |child: &str| Tar::new().dir("a").file(format!("a/{child}"), "");
    image(move |_| {
        let layers = [folder("old"), Tar::new().file("a", "file"), folder("new")];
        layers.map(Into::into).to_vec()
    })
    .accepted(|tree, _| assert_eq!(paths(tree), "a a/new"));
}

#[test]
fn tr23_a_file_that_is_also_a_folder() {
    layer(Tar::new().file("x", "").file("x/y", "")).refused(UNSAFE);
}

#[test]
fn tr24_a_loop_of_links() {
    layer(Tar::new().link("a", "b").link("b", "a").file("a/x", "")).refused_by_unpack(UNSAFE);
}

#[test]
fn tr26_folders_and_links_that_change_places_meanwhile() {
    // What is staged has a private name; an attacker that finds it swaps.
    let yard = Yard::new(As::all()[0]);
    let mut tar = Tar::new();
    for number in 0..200 {
        tar = tar.mode(0o777).dir("dir").file(format!("dir/{number}"), "evil");
        tar = tar.file("dir/victim", "evil").file("dir/deep/twin", "evil");
    }
    yard.image(&[tar.into()]);
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let names = std::fs::read_dir(yard.path("")).expect("listed");
                for staged in names.flatten().map(|entry| entry.path()) {
                    if ["home", "layout", "outside"].iter().any(|known| staged.ends_with(known)) {
                        continue;
                    }
                    let _ = symlink(yard.outside(), staged.join("swap"));
                    let (one, two) = (staged.join("dir"), staged.join("swap"));
                    let flags = rustix::fs::RenameFlags::EXCHANGE;
                    let cwd = rustix::fs::CWD;
                    for _ in 0..1_000 {
                        let _ = rustix::fs::renameat_with(cwd, &one, cwd, &two, flags);
                    }
                }
            }
        });
        for _ in 0..10 {
            // What comes of it inside is anybody's guess.
            let done = yard.run(&["unpack", "oci:layout:v1", "root"]);
            assert!(matches!(done.code, 0..=6), "{}: {}", done.code, done.err);
            let _ = std::fs::remove_dir_all(yard.path("root"));
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    // What was swapped while it was removed is still there, and goes when
    // somebody stages there again.
    let _ = std::fs::remove_dir_all(yard.path("root"));
    let done = yard.run(&["unpack", "oci:layout:v1", "root"]);
    assert!(matches!(done.code, 0..=6), "{}: {}", done.code, done.err);
    let _ = std::fs::remove_dir_all(yard.path("root"));
    yard.intact(false);
}

#[test]
fn tr27_a_destination_that_is_there_already() {
    for who in As::all() {
        let yard = Yard::new(*who);
        yard.image(&[Tar::new().file("x", "").into()]);
        let words = &["unpack", "oci:layout:v1", "root"];
        symlink(yard.outside(), yard.path("root")).expect("linked");
        let done = yard.run_small(words);
        assert!(done.code != 0 && done.err.contains("E_EXISTS"), "{}: {}", done.code, done.err);
        std::fs::remove_file(yard.path("root")).expect("still a link");
        let done = yard.run_small(&["unpack", "oci:layout:v1", "outside"]);
        assert!(done.code != 0 && done.err.contains("E_EXISTS"), "{}: {}", done.code, done.err);
        yard.intact(false);
    }
}

#[test]
fn tr29_a_hard_link_to_a_file_of_a_lower_layer() {
    image(|_| vec![Tar::new().file("a", "same").into(), Tar::new().hard("d/b", "a").into()])
        .accepted(|tree, _| {
            assert_eq!((tree["a"].names, tree["d/b"].names), (2, 2));
            assert_eq!(tree["d/b"].text(), "same");
        });
}

#[test]
fn tr31_a_whiteout_of_the_root_or_above_it() {
    for name in [".wh..", ".wh...", "a/.wh...", ".wh."] {
        image(|_| vec![Tar::new().file("a/x", "").into(), Tar::new().file(name, "").into()])
            .refused(UNSAFE);
    }
}

#[test]
fn tr32_one_name_in_several_spellings() {
    let tar = Tar::new().file("a/b", "1").file(".//a///./b", "2");
    layer(tar).tolerated(&["duplicate-entry"], |tree, _| assert_eq!(tree["a/b"].text(), "2"));
    layer(Tar::new().file("c/", "a file, or a folder?")).refused(UNSAFE);
}

#[test]
fn tr33_a_thousand_levels() {
    let (mut tar, mut path) = (Tar::new(), String::new());
    for level in 0..1_000 {
        path.push_str("d/");
        tar = tar.dir(&path);
        if level % 10 == 0 {
            tar = tar.file(format!("{path}x"), "wide as well");
        }
    }
    let layers: [Layer; 2] = [tar.into(), Tar::new().file(".wh.d", "").into()];
    image(move |_| layers.to_vec()).accepted(|tree, _| assert_eq!(paths(tree), ""));
}

#[test]
fn tr35_names_of_other_systems() {
    let mut tar = Tar::new();
    for name in [r"C:\x", r"\\?\x", "CON", "COM\u{b9}", "a:b", r"..\x", "nul.txt"] {
        tar = tar.file(name, "bytes");
    }
    layer(tar).accepted(|tree, _| assert_eq!(tree.len(), 8));
}
