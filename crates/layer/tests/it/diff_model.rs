//! Random trees, changed at random: the layer of the changes, applied to the
//! tree as it was, makes the tree that it is now.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use plimsoll_layer::Root;
use plimsoll_layer::diff::{self, Since, State};
use proptest::prelude::*;
use rustix::fd::AsFd;
use rustix::fs::{CWD, FileType, Mode, XattrFlags};

use crate::apply_support::{is_root, look};
use crate::diff_support::{Pair, handle, list, plain, set_time};

#[derive(Clone, Debug)]
enum Op {
    Write(String, u8),
    Append(String),
    Folder(String),
    Link(String, String),
    Hard(String, String),
    Pipe(String),
    Remove(String),
    Rename(String, String),
    Mode(String, u32),
    Owner(String, u32),
    Time(String, i64, i64),
    Attribute(String, u8),
}

/// Does what can be done; what can not (there is no such file) is no change.
fn perform(root: &Path, op: &Op) {
    let at = |path: &str| root.join(path);
    let clear = |path: &str| {
        let path = at(path);
        let _ = if path.is_dir() && !path.is_symlink() {
            fs::remove_dir_all(&path)
        } else {
            fs::remove_file(&path)
        };
    };
    match op {
        Op::Write(path, number) => {
            if at(path).is_symlink() || !at(path).is_file() {
                clear(path);
            }
            let _ = fs::write(at(path), [*number; 3]);
        }
        Op::Append(path) if !at(path).is_symlink() && at(path).is_file() => {
            let _ = File::options()
                .append(true)
                .open(at(path))
                .and_then(|mut file| file.write_all(b"more"));
        }
        Op::Folder(path) => drop(fs::create_dir(at(path))),
        Op::Link(target, path) => {
            clear(path);
            let _ = symlink(target, at(path));
        }
        Op::Hard(from, to)
            if (!at(from).is_dir() || at(from).is_symlink())
                && at(from).symlink_metadata().is_ok()
                && !to.starts_with(from.as_str()) =>
        {
            clear(to);
            let _ = fs::hard_link(at(from), at(to));
        }
        Op::Pipe(path) => {
            let mode = Mode::from_raw_mode(0o644);
            let _ = rustix::fs::mknodat(CWD, at(path), FileType::Fifo, mode, 0);
        }
        Op::Remove(path) => clear(path),
        Op::Rename(from, to) => drop(fs::rename(at(from), at(to))),
        Op::Mode(path, mode) if !at(path).is_symlink() => {
            let folder = if at(path).is_dir() { 0o700 } else { 0o600 };
            let _ = fs::set_permissions(at(path), fs::Permissions::from_mode(mode | folder));
        }
        Op::Owner(path, owner) if is_root() => {
            let _ = std::os::unix::fs::lchown(at(path), Some(*owner), Some(*owner / 2));
        }
        Op::Time(path, seconds, nanoseconds) if at(path).symlink_metadata().is_ok() => {
            set_time(&at(path), *seconds, *nanoseconds);
        }
        Op::Attribute(path, value) if !at(path).is_symlink() => {
            let flags = XattrFlags::empty();
            let _ = rustix::fs::setxattr(at(path), "user.note", &[*value], flags);
        }
        _ => {}
    }
}

fn ops(length: usize) -> impl Strategy<Value = Vec<Op>> {
    let path = || {
        prop_oneof![
            prop::collection::vec("[ab]", 1..4).prop_map(|parts| parts.join("/")),
            Just("b.c".to_owned()),
        ]
    };
    let time = prop_oneof![Just(0i64), Just(1_000_000_000), -5i64..5];
    let op = prop_oneof![
        4 => (path(), 0u8..3).prop_map(|(path, number)| Op::Write(path, number)),
        1 => path().prop_map(Op::Append),
        4 => path().prop_map(Op::Folder),
        1 => (path(), path()).prop_map(|(target, path)| Op::Link(target, path)),
        3 => (path(), path()).prop_map(|(from, to)| Op::Hard(from, to)),
        1 => path().prop_map(Op::Pipe),
        2 => path().prop_map(Op::Remove),
        2 => (path(), path()).prop_map(|(from, to)| Op::Rename(from, to)),
        1 => (path(), prop_oneof![Just(0o755u32), Just(0o4711), Just(0o1777)])
            .prop_map(|(path, mode)| Op::Mode(path, mode)),
        1 => (path(), 0u32..3).prop_map(|(path, owner)| Op::Owner(path, owner)),
        3 => (path(), time, 0i64..2).prop_map(|(path, seconds, nanoseconds)| {
            Op::Time(path, seconds, nanoseconds)
        }),
        1 => (path(), 0u8..2).prop_map(|(path, value)| Op::Attribute(path, value)),
    ];
    prop::collection::vec(op, 0..length)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(150) })]

    #[test]
    fn a_diff_makes_the_one_tree_of_the_other(before in ops(25), after in ops(12)) {
        // An empty root is no lower layer: applying would give it a mode and time.
        let pair = Pair::new("touch keep");
        for op in &before {
            perform(&pair.new_tree(), op);
        }
        crate::diff_support::sh(&pair.old(), "cd ..; rm -rf old; cp -a new old");
        let root = Root::open(&pair.new_tree()).expect("opened");
        let (state, _) = State::record(root.as_fd(), b"").expect("recorded");
        let state = State::parse(&state.to_bytes()).expect("read back");
        for op in &after {
            perform(&pair.new_tree(), op);
        }
        let unchanged = look(&pair.old()) == look(&pair.new_tree());
        let (diff, bytes) = pair.layer();
        prop_assert_eq!(diff.is_empty(), unchanged);

        // The recorded state leads to the same layer, byte for byte; files that
        // were compared are the only reason to ask for the tree as it was.
        for paranoid in [false, true] {
            let base = || handle(&pair.old());
            let how = Since { paranoid };
            let (_, next, again) =
                diff::since(&state, root.as_fd(), base, Vec::new(), &plain(), how).expect("compared");
            prop_assert_eq!(list(&again), list(&bytes));
            prop_assert!(again == bytes);
            let none = || panic!("nothing is left to be compared");
            let how = Since::default();
            let (diff, ..) =
                diff::since(&next, root.as_fd(), none, Vec::new(), &plain(), how).expect("compared");
            prop_assert!(diff.is_empty());
        }
    }
}
