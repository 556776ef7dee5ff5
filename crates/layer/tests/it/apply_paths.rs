//! Hostile paths and links (TR): whatever a layer says, nothing outside of
//! the root changes. `Yard::apply` compares the neighbours after each.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use plimsoll_content::Code;

use crate::apply_support::{Tar, Yard, apply, found, look, options};

fn refused(layers: &[Tar]) -> Code {
    Yard::new().apply(layers).expect_err("refused").code()
}

#[test]
fn tr01_tr03_a_name_with_two_dots_is_refused() {
    for name in ["../outside/x", "a/../../x", "a/..", ".."] {
        assert_eq!(refused(&[Tar::new().file(name, "evil")]), Code::UnsafeEntry, "{name}");
    }
}

#[test]
fn tr02_an_absolute_name_is_taken_below_the_root() {
    let yard = Yard::new();
    yard.apply(&[Tar::new().file("/etc/x", "fine").file("//y", "")]).expect("applied");
    assert_eq!(yard.paths(), "etc etc/x y");
}

#[test]
fn tr04_a_link_to_outside_leads_to_a_place_inside() {
    let yard = Yard::new();
    let outside = yard.outside_text();
    let layer = Tar::new().link("l", &outside).file("l/victim", "evil").file("l/new/x", "evil");
    yard.apply(&[layer]).expect("applied");
    assert_eq!(yard.read(&format!("{}/victim", &outside[1..])), "evil");
}

#[test]
fn tr05_a_relative_link_to_outside_leads_to_a_place_inside() {
    let yard = Yard::new();
    let layer = Tar::new().dir("a").link("a/l", "../../../../outside").file("a/l/victim", "evil");
    yard.apply(&[layer]).expect("applied");
    assert_eq!(yard.read("outside/victim"), "evil");
}

#[test]
fn tr06_a_link_is_replaced_and_never_written_through() {
    let yard = Yard::new();
    let target = format!("{}/victim", yard.outside_text());
    let layers = [Tar::new().link("v", &target).file("v", "mine"), Tar::new().link("v", &target)];
    let done = yard.apply(&layers[..1]).expect("applied");
    assert_eq!(found(&done), ["duplicate-entry"]);
    assert_eq!(yard.tree().get("v").kind, "file");
    assert_eq!(yard.read("v"), "mine");
    let upper = Tar::new().file("v", "again");
    yard.apply(&[layers[1].clone(), upper]).expect("applied");
    assert_eq!(yard.tree().get("v").kind, "file");
    assert_eq!(yard.read("v"), "again");
}

#[test]
fn tr07_a_link_in_a_lower_layer_leads_to_a_place_inside() {
    let yard = Yard::new();
    let outside = yard.outside_text();
    let layers = [Tar::new().link("l", &outside), Tar::new().file("l/victim", "evil")];
    yard.apply(&layers).expect("applied");
    assert_eq!(yard.read(&format!("{}/victim", &outside[1..])), "evil");
    assert_eq!(yard.tree().get("l").kind, "link");
}

#[test]
fn links_of_the_image_are_followed_as_in_a_chroot() {
    let yard = Yard::new();
    let layers = [
        Tar::new().dir("usr").dir("usr/lib").link("lib", "usr/lib").link("usr/l", "/lib/."),
        Tar::new().file("lib/a", "1").file("usr/l/b", "2").file("lib/c/d", "3"),
    ];
    yard.apply(&layers).expect("applied");
    assert_eq!(yard.paths(), "lib usr usr/l usr/lib usr/lib/a usr/lib/b usr/lib/c usr/lib/c/d");
}

#[test]
fn tr08_a_whiteout_through_a_link_removes_nothing() {
    for name in ["l/.wh.victim", "l/.wh..wh..opq", "l/deep/.wh.twin", "l/deep/.wh..wh..opq"] {
        let yard = Yard::new();
        let lower =
            Tar::new().link("l", &yard.outside_text()).link("m", "inside").file("inside/x", "");
        let error = yard.apply(&[lower, Tar::new().file(name, "")]).expect_err("refused");
        assert_eq!(error.code(), Code::UnsafeEntry, "{name}");
        assert!(yard.paths().contains("inside/x"));
    }
}

#[test]
fn a_whiteout_removes_a_link_and_not_what_it_leads_to() {
    let yard = Yard::new();
    let lower = Tar::new().link("l", &yard.outside_text()).dir("d").file("d/x", "").link("m", "d");
    yard.apply(&[lower, Tar::new().file(".wh.l", "").file(".wh.m", "")]).expect("applied");
    assert_eq!(yard.paths(), "d d/x");
}

#[test]
fn tr10_a_root_that_is_no_folder_is_refused() {
    let yard = Yard::new();
    let target = yard.outside_text();
    for name in [".", "./", "/"] {
        assert!(yard.apply(&[Tar::new().link(name, &target)]).is_err(), "{name}");
        assert!(yard.apply(&[Tar::new().file(name, "x")]).is_err(), "{name}");
    }
    assert_eq!(yard.tree().get("").kind, "folder");
}

#[test]
fn tr12_a_folder_replaces_a_link_and_changes_nothing_behind_it() {
    let yard = Yard::new();
    let lower = Tar::new().link("l", &yard.outside_text());
    let folder = Tar::new().mode(0o777).dir("l").file("l/x", "");
    yard.apply(&[lower, folder]).expect("applied");
    assert_eq!(yard.tree().get("l").mode, 0o777);
    assert_eq!(yard.paths(), "l l/x");
}

#[test]
fn tr13_tr14_the_target_of_a_hard_link_lies_inside_or_nowhere() {
    let yard = Yard::new();
    let victim = format!("{}/victim", yard.outside_text());
    for target in [&victim[..], "../outside/victim", "../../x", "outside/victim"] {
        let layer = Tar::new().hard("h", target).file("h", "evil");
        assert_eq!(
            yard.apply(&[layer]).expect_err("refused").code(),
            Code::UnsafeEntry,
            "{target}"
        );
    }
}

#[test]
fn tr15_the_target_of_a_hard_link_is_not_found_through_a_link_to_outside() {
    let yard = Yard::new();
    let layer = Tar::new().link("l", &yard.outside_text()).hard("h", "l/victim").file("h", "evil");
    assert_eq!(yard.apply(&[layer]).expect_err("refused").code(), Code::UnsafeEntry);
    let inside = Tar::new().file("d/x", "1").link("m", "/d").hard("h", "m/x");
    Yard::new().apply(&[inside]).expect("a link inside is followed");
}

#[test]
fn tr16_a_hard_link_to_a_link_is_one_to_the_link_itself() {
    let yard = Yard::new();
    let target = format!("{}/victim", yard.outside_text());
    let layer = Tar::new().link("l", &target).hard("h", "l");
    yard.apply(std::slice::from_ref(&layer)).expect("applied");
    assert_eq!(yard.tree().get("l").names, 2);
    assert_eq!(yard.tree().get("h").kind, "link");
    yard.apply(&[Tar::new().file("h", "mine")]).expect("applied");
    assert_eq!(yard.read("h"), "mine");
    assert_eq!(yard.tree().get("l").kind, "link");
}

#[test]
fn tr20_no_folder_is_made_outside() {
    let yard = Yard::new();
    let layer = Tar::new().link("l", &yard.outside_text()).file("l/new/deep/x", "");
    yard.apply(&[layer]).expect("applied");
}

#[test]
fn tr21_a_hard_link_is_not_found_in_the_folder_of_the_process() {
    let here = fs::read_dir(".").expect("listed").map(|entry| entry.expect("listed"));
    let mut files = here.filter(|entry| entry.file_type().expect("known").is_file());
    let name = files.next().expect("a file").file_name().into_string().expect("a plain name");
    assert_eq!(refused(&[Tar::new().hard("h", &name)]), Code::UnsafeEntry);
}

#[test]
fn tr22_the_last_layer_wins_and_old_children_are_gone() {
    let yard = Yard::new();
    let folder = |child: &str| Tar::new().dir("a").file(&format!("a/{child}"), "").dir("a/d");
    let layers = [folder("one"), Tar::new().file("a", "file"), folder("two")];
    yard.apply(&layers[..2]).expect("applied");
    assert_eq!(yard.paths(), "a");
    yard.apply(&layers[2..]).expect("applied");
    assert_eq!(yard.paths(), "a a/d a/two");
    let all = Yard::new();
    all.apply(&layers).expect("applied");
    assert_eq!(all.paths(), "a a/d a/two");
}

#[test]
fn tr23_a_file_that_is_a_folder_in_the_same_layer_is_refused() {
    assert_eq!(refused(&[Tar::new().file("x", "").file("x/y", "")]), Code::UnsafeEntry);
    assert_eq!(refused(&[Tar::new().fifo("x").dir("x/y")]), Code::UnsafeEntry);
    let upper = Tar::new().file("x", "").file("x/y", "");
    assert_eq!(refused(&[Tar::new().dir("d"), upper]), Code::UnsafeEntry);
    let yard = Yard::new();
    yard.apply(&[Tar::new().file("x", ""), Tar::new().file("x/y", "")]).expect("replaced");
    assert_eq!(yard.paths(), "x x/y");
}

#[test]
fn tr24_a_loop_of_links_is_refused_at_once() {
    let layer = Tar::new().link("a", "b").link("b", "a").file("a/x", "");
    assert_eq!(refused(&[layer]), Code::UnsafeEntry);
    assert_eq!(refused(&[Tar::new().link("a", "a/a/a").file("a/x", "")]), Code::UnsafeEntry);
}

#[test]
fn tr26_a_concurrent_swap_reaches_nothing_outside() {
    let yard = Yard::new();
    let root = yard.root();
    symlink(yard.outside(), root.join("swap")).expect("linked");
    fs::create_dir(root.join("dir")).expect("made");
    let stop = std::sync::atomic::AtomicBool::new(false);
    let swaps = std::sync::atomic::AtomicU64::new(0);
    let layer = (0..300).fold(Tar::new(), |tar, number| {
        tar.mode(0o777)
            .dir("dir")
            .file(&format!("dir/{number}"), "evil")
            .file("dir/victim", "evil")
            .file("dir/deep/.wh.twin", "")
            .file(".wh.dir", "")
    });
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let done = rustix::fs::renameat_with(
                    rustix::fs::CWD,
                    root.join("dir"),
                    rustix::fs::CWD,
                    root.join("swap"),
                    rustix::fs::RenameFlags::EXCHANGE,
                );
                if done.is_ok() {
                    swaps.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                }
            }
        });
        // A few seconds every day; PLIMSOLL_SWAP_SECONDS makes it longer.
        let seconds = std::env::var("PLIMSOLL_SWAP_SECONDS").unwrap_or_default();
        let end = Instant::now() + Duration::from_secs(seconds.parse().unwrap_or(3));
        while Instant::now() < end {
            // What comes of it inside is anybody's guess.
            let _ = yard.apply(std::slice::from_ref(&layer));
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    let swaps = swaps.into_inner();
    assert!(swaps > 1_000, "only {swaps} swaps");
    println!("tr26: {swaps} swaps");
}

#[test]
fn tr29_a_hard_link_to_a_lower_layer_is_the_same_file() {
    let yard = Yard::new();
    yard.apply(&[Tar::new().file("a", "same"), Tar::new().hard("d/b", "a")]).expect("applied");
    assert_eq!(yard.tree().get("d/b").group, "a");
    assert_eq!(yard.tree().get("a").names, 2);
}

#[test]
fn tr31_the_root_and_its_parent_can_not_be_whited_out() {
    for name in [".wh.", ".wh..", ".wh...", "a/.wh...", "a/.wh."] {
        let layers = [Tar::new().file("a/x", ""), Tar::new().file(name, "")];
        assert_eq!(refused(&layers), Code::UnsafeEntry, "{name}");
    }
}

#[test]
fn tr32_names_are_normalised_before_they_are_compared() {
    let yard = Yard::new();
    let layer = Tar::new().dir("./a//").file("a/./b", "1").file(".//a///b", "2").file("c/", "3");
    let done = yard.apply(&[layer]);
    // A file with a trailing slash is read differently by common readers.
    match done {
        Ok(done) => {
            assert!(found(&done).contains(&"duplicate-entry"));
            assert_eq!(yard.read("a/b"), "2");
        }
        Err(error) => assert_eq!(error.code(), Code::UnsafeEntry),
    }
}

#[test]
fn tr33_a_thousand_levels_take_linear_time() {
    let yard = Yard::new();
    let mut layer = Tar::new();
    let mut path = String::new();
    for _ in 0..1_000 {
        path.push_str("d/");
        layer = layer.dir(&path);
    }
    layer = layer.file(&format!("{path}x"), "deep").file(&format!("{path}y"), "deep");
    let begin = time_on_processor();
    yard.apply(std::slice::from_ref(&layer)).expect("applied");
    // Once more over what is there, and away with it.
    yard.apply(&[layer, Tar::new().file(".wh.d", "")]).expect("applied");
    // A tenth of a second when optimised; a quadratic walk takes minutes here.
    let taken = time_on_processor().saturating_sub(begin);
    assert!(taken < Duration::from_secs(5), "{taken:?}");
    assert_eq!(yard.paths(), "");
}

#[test]
fn a_root_that_is_used_already_counts_as_a_lower_layer() {
    let folder = tempfile::tempdir().expect("folder");
    fs::create_dir(folder.path().join("a")).expect("made");
    fs::write(folder.path().join("a/old"), "").expect("written");
    let layer = Tar::new().dir("a").file("a/new", "").file("a/.wh.old", "");
    apply(folder.path(), &[layer], options()).expect("applied");
    let paths: Vec<_> = look(folder.path()).0.into_keys().collect();
    assert_eq!(paths, ["", "a", "a/new"]);
}

/// How long this thread has run; waiting for a busy disk does not count.
fn time_on_processor() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let time = text.split(' ').next().and_then(|first| first.parse().ok());
    Duration::from_nanos(time.unwrap_or(0))
}
