//! A tree against its recorded state: what changed is found without reading
//! everything, and without trust in times that programs can set.

use std::cell::Cell;
use std::path::Path;

use plimsoll_content::Result;
use plimsoll_layer::Root;
use plimsoll_layer::diff::{self, Changed, Diff, Since, State};
use rustix::fd::AsFd;

use crate::apply_support::is_root;
use crate::diff_support::{Pair, handle, list, plain, sh};

fn record(tree: &Path) -> State {
    let root = Root::open(tree).expect("opened");
    let (state, findings) = State::record(root.as_fd(), b"about").expect("recorded");
    assert!(findings.is_empty());
    let bytes = state.to_bytes();
    let back = State::parse(&bytes).expect("read");
    assert_eq!(back, state);
    assert_eq!(back.about(), b"about");
    back
}

/// What changed, and whether the tree as it was had to be asked for.
fn since(state: &State, tree: &Path, base: &Path, how: Since) -> Result<(Diff, Vec<u8>, bool)> {
    let root = Root::open(tree)?;
    let asked = Cell::new(false);
    let base = || {
        asked.set(true);
        handle(base)
    };
    let (diff, next, bytes) = diff::since(state, root.as_fd(), base, Vec::new(), &plain(), how)?;
    // What was just compared has not changed since.
    let again = || panic!("nothing is left to be compared");
    let (none, ..) =
        diff::since(&next, root.as_fd(), again, Vec::new(), &plain(), Since::default())?;
    assert!(none.is_empty());
    Ok((diff, bytes, asked.get()))
}

fn quick(state: &State, pair: &Pair) -> (Diff, Vec<u8>, bool) {
    since(state, &pair.new_tree(), &pair.old(), Since::default()).expect("compared")
}

const TREE: &str = "mkdir -p a/b; for n in 1 2 3; do echo $n > a/b/$n; done; ln a/b/1 l; ln -s x y;
    setfattr -n user.note -v x a/b/2; touch -d @1000 a/b/1 a/b/2 a/b/3 a/b a .";

#[test]
fn an_unchanged_tree_is_not_read() {
    let pair = Pair::new(TREE);
    let state = record(&pair.new_tree());
    let (diff, bytes, asked) = quick(&state, &pair);
    assert!(diff.is_empty() && !asked, "{:?}", list(&bytes));
    assert_eq!(diff.compared, 0);
    let (diff, _, asked) =
        since(&state, &pair.new_tree(), &pair.old(), Since { paranoid: true }).expect("compared");
    assert!(diff.is_empty() && asked);
    assert_eq!(diff.compared, 4);
}

#[test]
fn a_time_set_back_does_not_hide_a_change() {
    let pair = Pair::new(TREE);
    let state = record(&pair.new_tree());
    pair.change("printf '9\\n' > a/b/3; touch -d @1000 a/b/3");
    let (diff, bytes, _) = quick(&state, &pair);
    assert_eq!(list(&bytes), ["a/", "a/b/", "a/b/3"]);
    assert_eq!(diff.count(Changed::Changed), 1);
    pair.check(&bytes);
}

#[test]
fn a_mode_there_and_back_is_no_change() {
    let pair = Pair::new(TREE);
    let state = record(&pair.new_tree());
    pair.change("chmod 600 a/b/2; chmod 644 a/b/2; ln a/b/3 z; rm z; touch -d @1000 .");
    let (diff, bytes, asked) = quick(&state, &pair);
    assert!(diff.is_empty() && asked, "{:?}", list(&bytes));
    assert_eq!(diff.compared, 2);
}

#[test]
fn a_copied_tree_has_not_changed() {
    let pair = Pair::new(TREE);
    let state = record(&pair.new_tree());
    sh(&pair.new_tree(), "cd ..; cp -a new copy; rm -rf new; mv copy new");
    let (diff, bytes, asked) = quick(&state, &pair);
    assert!(diff.is_empty() && asked, "{:?}", list(&bytes));
    pair.change("echo x >> a/b/2");
    let (_, bytes, _) = quick(&state, &pair);
    assert_eq!(list(&bytes), ["a/", "a/b/", "a/b/2"]);
    pair.check(&bytes);
}

#[test]
fn a_change_right_after_recording_is_found() {
    // A change within one tick of the file system's clock would bear the time
    // that was recorded: recording waits until the tick is over.
    for _ in 0..30 {
        let pair = Pair::new("echo old > f; touch -d @1 f .");
        let file = pair.new_tree().join("f");
        std::fs::write(&file, "mid\n").expect("written");
        crate::diff_support::set_time(&file, 1, 0);
        sh(&pair.old(), "cp -p ../new/f f");
        let state = record(&pair.new_tree());
        std::fs::write(&file, "new\n").expect("written");
        crate::diff_support::set_time(&file, 1, 0);
        let (diff, bytes, _) = quick(&state, &pair);
        assert_eq!((list(&bytes), diff.count(Changed::Changed)), (vec!["f".to_owned()], 1));
    }
}

#[test]
fn a_change_while_comparing_is_an_error() {
    let pair = Pair::new(TREE);
    let state = record(&pair.new_tree());
    pair.change("chmod 600 a/b/2; chmod 644 a/b/2");
    let root = Root::open(&pair.new_tree()).expect("opened");
    let base = || {
        // By now the tree was looked at.
        pair.change("echo changed >> a/b/2");
        handle(&pair.old())
    };
    let done = diff::since(&state, root.as_fd(), base, Vec::new(), &plain(), Since::default());
    let error = done.map(|_| ()).expect_err("changed");
    assert!(error.to_string().contains("a/b/2"), "{error}");
}

#[test]
fn folders_that_keep_their_owner_out_are_left_alone() {
    if is_root() {
        return;
    }
    let pair = Pair::new("mkdir closed; echo x > closed/f; echo y > g; touch -d @1 .");
    pair.change("chmod 0 closed");
    let state = record(&pair.new_tree());
    pair.change("echo z > g; touch -d @1 .");
    let (_, bytes, _) = quick(&state, &pair);
    assert_eq!(list(&bytes), ["g"]);
    pair.change("chmod 755 closed");
    let state = record(&pair.new_tree());
    pair.change("chmod 0 closed");
    let done = since(&state, &pair.new_tree(), &pair.old(), Since::default());
    pair.change("chmod 755 closed");
    assert!(done.is_err(), "what is in it can not be known");
}

#[test]
fn states_are_small() {
    let pair = Pair::new(
        "for n in $(seq 100 400); do mkdir -p usr/share/doc/p$n; echo > usr/share/doc/p$n/x; done",
    );
    let state = record(&pair.new_tree());
    let length = state.to_bytes().len();
    assert!(length < state.len() * 40, "{length} bytes for {} names", state.len());
}
