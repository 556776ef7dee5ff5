//! The upper folder of an overlay as a layer. The kernel makes the upper
//! folders, on a mount as root and on one in a user namespace.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use plimsoll_content::{Code, Result};
use plimsoll_layer::diff::{self, Attributes, Changed, Diff, Upper};
use plimsoll_layer::tar::Entries;
use plimsoll_layer::{EntryKind, IdMap, IdRange, Limits, Root, pack};
use proptest::prelude::*;
use rustix::fd::AsFd;
use rustix::fs::{CWD, FileType, Mode, XattrFlags};
use tempfile::TempDir;

use crate::apply_support::{is_root, look, needs_root};
use crate::diff_support::{apply, assert_same, changes, list, plain, sh};

/// A lower and an upper folder, and what an overlay of both shows.
struct Overlay {
    folder: TempDir,
    attributes: Attributes,
}

impl Overlay {
    fn new(lower: &str) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        sh(folder.path(), "mkdir lower upper work merged seen");
        sh(&folder.path().join("lower"), lower);
        sh(folder.path(), "chmod --reference=lower upper; touch -r lower upper");
        Self { folder, attributes: Attributes::Trusted }
    }

    /// Changes the merged tree with a script, on a real mount; `false` if
    /// there can be none here.
    fn change(&mut self, attributes: Attributes, script: &str) -> bool {
        self.attributes = attributes;
        let (unshare, more) = match attributes {
            Attributes::Trusted if is_root() => (&["--mount"][..], ",redirect_dir=off"),
            Attributes::Trusted => return false,
            // Here redirects are off, and saying so is refused.
            Attributes::User => (&["--user", "--map-root-user", "--mount"][..], ",userxattr"),
        };
        let mount = format!(
            "set -e; umask 022
             mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work,index=off,metacopy=off{more} none merged || exit 77
             cd merged
             {script}
             cd ..
             cp -a merged/. seen/"
        );
        let done = Command::new("unshare")
            .args(unshare)
            .args(["sh", "-c", &mount])
            .current_dir(self.folder.path())
            .output()
            .expect("unshare starts");
        let refused = done.status.code() == Some(77) || done.stderr.starts_with(b"unshare: ");
        assert!(done.status.success() || refused, "{}", String::from_utf8_lossy(&done.stderr));
        self.relink();
        !refused
    }

    /// Joins the names of one file that the copy of the mount has apart. An
    /// overlay gives them different inodes once the kernel has had to forget
    /// what it knew of them, which it does when memory is short.
    fn relink(&self) {
        for (path, facts) in look(&self.path("upper")).0 {
            let (first, other) =
                (self.path("seen").join(&facts.group), self.path("seen").join(&path));
            if facts.kind != "file" || facts.group == path {
                continue;
            }
            let (Ok(one), Ok(two)) = (fs::metadata(&first), fs::metadata(&other)) else { continue };
            if one.ino() != two.ino() {
                let folder = other.parent().expect("a folder");
                let time = fs::metadata(folder).expect("there").modified().expect("a time");
                fs::remove_file(&other).expect("removed");
                fs::hard_link(&first, &other).expect("linked");
                fs::File::open(folder).expect("opened").set_modified(time).expect("set");
            }
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn diff(&self, minimize: bool) -> Result<(Diff, Vec<u8>)> {
        let (upper, lower) = (Root::open(&self.path("upper"))?, Root::open(&self.path("lower"))?);
        let how = Upper { attributes: self.attributes, minimize };
        diff::upper(upper.as_fd(), lower.as_fd(), Vec::new(), &plain(), how)
    }

    /// The layer, which must make what was seen of the lower tree.
    fn layer(&self, minimize: bool) -> (Diff, Vec<u8>) {
        let (diff, bytes) = self.diff(minimize).expect("a layer");
        sh(self.folder.path(), "rm -rf again; cp -a lower again");
        apply(&self.path("again"), &bytes);
        assert_same(&self.path("again"), &self.path("seen"), &bytes);
        assert!(!bytes.windows(8).any(|bytes| bytes == b".overlay"), "an attribute of overlays");
        (diff, bytes)
    }
}

/// Runs a test for mounts of both kinds, as far as there are any here.
fn both(lower: &str, script: &str, check: impl Fn(&Overlay)) {
    for attributes in [Attributes::Trusted, Attributes::User] {
        let mut overlay = Overlay::new(lower);
        if overlay.change(attributes, script) {
            check(&overlay);
        } else {
            skip(&format!("an overlay with {attributes:?} attributes"));
        }
    }
}

#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn skip(what: &str) {
    eprintln!("SKIP {what}");
}

#[test]
fn whiteouts_share_an_inode_and_are_no_hard_links() {
    both("touch a b c d; mkdir e; touch e/f", "rm a b c; rm -r e", |overlay| {
        let (diff, bytes) = overlay.layer(false);
        assert_eq!(list(&bytes), ["/", ".wh.a", ".wh.b", ".wh.c", ".wh.e"]);
        assert_eq!(changes(&diff), ["C /", "D a", "D b", "D c", "D e"]);
        let mut entries = Entries::new(&bytes[..], Limits::default());
        while let Some((entry, _)) = entries.next().expect("good") {
            assert!(!matches!(entry.kind, EntryKind::Hardlink { .. } | EntryKind::Char { .. }));
        }
    });
}

#[test]
fn an_opaque_folder_becomes_whiteouts_of_what_is_not_made_again() {
    let lower = "mkdir -p d/sub/deep d/other; touch d/sub/x d/sub/deep/y d/gone d/kept";
    let script = "rm -r d; mkdir -p d/sub; echo n > d/kept; echo n > d/sub/new";
    both(lower, script, |overlay| {
        let (_, bytes) = overlay.layer(false);
        assert_eq!(
            list(&bytes),
            [
                "/",
                "d/",
                "d/.wh.gone",
                "d/.wh.other",
                "d/kept",
                "d/sub/",
                "d/sub/.wh.deep",
                "d/sub/.wh.x",
                "d/sub/new"
            ]
        );
    });
}

#[test]
fn a_new_folder_hides_nothing() {
    // containers/storage#141: the kernel calls it opaque too.
    both("touch a", "mkdir -p n/m; rm a; mkdir a; touch a/b", |overlay| {
        assert_eq!(list(&overlay.layer(false).1), ["/", "a/", "a/b", "n/", "n/m/"]);
    });
}

#[test]
fn every_kind_of_change_comes_to_what_was_seen() {
    let lower = "mkdir -p etc/cron.d tmp usr/doc/a usr/doc/b opt; chmod 1777 tmp
        echo x > etc/passwd; echo x > etc/cron.d/x; ln -s usr link; echo y > usr/doc/a/y
        echo h > etc/h1; ln etc/h1 etc/h2; mkfifo opt/p; setfattr -n user.c -v 1 etc/passwd";
    let script = "echo more >> etc/passwd; rm -r etc/cron.d; echo file > etc/cron.d
        rm link; mkdir link; touch link/z; mv usr/doc/b usr/doc/c || true
        rm -r usr/doc/a; ln -s nowhere usr/doc/a; touch tmp/x; chmod 600 opt/p
        echo n > opt/n; ln opt/n opt/n2; touch -d @5 opt/n; chmod 2755 opt
        setfattr -n user.d -v 2 tmp; rm etc/h2; printf x > \"opt/$(printf 'a\\nb')\"";
    both(lower, script, |overlay| {
        overlay.layer(false);
        overlay.layer(true);
    });
}

#[test]
fn copied_up_parents_stay_and_unwritten_files_can_be_dropped() {
    let lower = "mkdir -p a/b; echo x > a/b/same; echo y > a/b/other; chmod 2750 a";
    both(lower, "true >> a/b/same; echo z >> a/b/other", |overlay| {
        assert_eq!(list(&overlay.layer(false).1), ["a/", "a/b/", "a/b/other", "a/b/same"]);
        assert_eq!(list(&overlay.layer(true).1), ["a/", "a/b/", "a/b/other"]);
    });
    both(lower, "true >> a/b/same", |overlay| {
        let (diff, bytes) = overlay.layer(true);
        assert!(diff.is_empty(), "{:?}", list(&bytes));
    });
}

#[test]
fn a_layer_after_the_one_that_hid_a_folder() {
    // buildkit#2614 and moby#37313: hidden in one layer, made anew and opaque
    // in the next, where there is nothing left to hide.
    both("mkdir -p d; touch keep", "rmdir d; mkdir d; touch d/x", |overlay| {
        sh(overlay.folder.path(), "rmdir lower/d; touch -r upper lower");
        let (_, bytes) = overlay.diff(false).expect("a layer");
        assert_eq!(list(&bytes), ["d/", "d/x"]);
    });
}

#[test]
fn an_opaque_folder_with_whiteouts_in_it() {
    // fuse-overlayfs#306 and #309: both say that the name is gone, once.
    if needs_root("attributes of overlays") {
        return;
    }
    let overlay = Overlay::new("mkdir d; touch d/a d/b");
    sh(
        &overlay.path("upper"),
        "mkdir d; mknod d/a c 0 0; setfattr -n trusted.overlay.opaque -v y d",
    );
    let (diff, bytes) = overlay.diff(false).expect("a layer");
    assert_eq!(list(&bytes), ["/", "d/", "d/.wh.a", "d/.wh.b"]);
    assert_eq!(diff.count(Changed::Removed), 2);
    // A whiteout of what is not there says nothing.
    sh(&overlay.path("upper"), "mknod never c 0 0");
    assert!(!list(&overlay.diff(false).expect("a layer").1).contains(&".wh.never".to_owned()));
}

#[test]
fn whiteouts_made_of_attributes_are_whiteouts() {
    let mut overlay = Overlay::new("mkdir d; touch d/a d/b");
    overlay.attributes = Attributes::User;
    sh(
        &overlay.path("upper"),
        "mkdir d; touch d/a; setfattr -n user.overlay.opaque -v x d
         setfattr -n user.overlay.whiteout -v y d/a",
    );
    let (_, bytes) = overlay.diff(false).expect("a layer");
    assert!(list(&bytes).ends_with(&["d/".to_owned(), "d/.wh.a".to_owned()]));
    // On the other kind of mount these are attributes like any other.
    overlay.attributes = Attributes::Trusted;
    let (_, bytes) = overlay.diff(false).expect("a layer");
    assert!(list(&bytes).ends_with(&["d/".to_owned(), "d/a".to_owned()]));
}

#[test]
fn files_without_content_and_moved_folders_are_refused() {
    for (make, attribute) in [
        ("truncate -s 100 x", "user.overlay.metacopy"),
        ("mkdir x", "user.overlay.redirect"),
        ("touch x", "user.overlay.redirect"),
    ] {
        let mut overlay = Overlay::new("mkdir d");
        overlay.attributes = Attributes::User;
        sh(&overlay.path("upper"), make);
        let path = overlay.path("upper").join("x");
        rustix::fs::setxattr(&path, attribute, b"/d", XattrFlags::empty()).expect("set");
        let error = overlay.diff(false).expect_err("refused");
        assert_eq!(error.code(), Code::Unrepresentable);
        assert!(error.headline().contains('x') && error.fix_text().is_some(), "{error}");
    }
}

#[test]
fn files_of_a_real_metacopy_mount_are_refused() {
    if needs_root("mounting an overlay") {
        return;
    }
    let overlay = Overlay::new("mkdir d; echo content > d/f");
    let script = "mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work,metacopy=on none merged || exit 77
        chmod 600 merged/d/f";
    let done = Command::new("unshare")
        .args(["--mount", "sh", "-ec", script])
        .current_dir(overlay.folder.path())
        .output()
        .expect("unshare starts");
    if done.status.code() == Some(77) {
        return;
    }
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let error = overlay.diff(false).expect_err("refused");
    assert!(error.headline().contains("d/f") && error.to_string().contains("metacopy"), "{error}");
}

#[test]
fn names_of_whiteouts_are_refused() {
    // What fuse-overlayfs leaves in its upper folders, among others.
    for name in [".wh.x", ".wh..opq", ".wh..wh..opq"] {
        let overlay = Overlay::new("mkdir d");
        fs::create_dir(overlay.path("upper").join("d")).expect("made");
        fs::write(overlay.path("upper").join("d").join(name), "").expect("written");
        let error = overlay.diff(false).expect_err("refused");
        assert_eq!(error.code(), Code::Unrepresentable);
        assert!(error.headline().contains(name), "{error}");
    }
}

#[test]
fn capabilities_of_the_namespace_become_plain_ones() {
    if needs_root("file capabilities") {
        return;
    }
    let overlay = Overlay::new("touch a");
    let path = overlay.path("upper").join("tool");
    fs::write(&path, "x").expect("written");
    // Revision 3, effective, cap_net_raw, set by the root of 100000.
    let value = [&[1, 0, 0, 3][..], &[0, 32, 0, 0], &[0; 12], &100_000u32.to_le_bytes()].concat();
    let name = "security.capability";
    rustix::fs::setxattr(&path, name, &value, XattrFlags::empty()).expect("set");
    let make = |root| {
        let ids = vec![IdRange::new(0, root, 65_536).expect("a range")];
        let map = IdMap::new(ids.clone(), ids).expect("a map");
        let options = pack::Options { map: Some(&map), owner: Some((0, 0)), ..plain() };
        let open = |name| Root::open(&overlay.path(name)).expect("opened");
        let (upper, lower) = (open("upper"), open("lower"));
        let how = Upper::default();
        diff::upper(upper.as_fd(), lower.as_fd(), Vec::new(), &options, how).expect("a layer")
    };
    let xattrs = |bytes: &[u8]| {
        let mut entries = Entries::new(bytes, Limits::default());
        let mut found = Vec::new();
        while let Some((entry, _)) = entries.next().expect("good") {
            found.extend(entry.xattrs);
        }
        found
    };
    let (_, bytes) = make(100_000);
    let plain = [&[1, 0, 0, 2][..], &[0, 32, 0, 0], &[0; 12]].concat();
    assert_eq!(xattrs(&bytes), [(name.as_bytes().to_vec(), plain)]);
    let (diff, bytes) = make(0);
    assert_eq!(xattrs(&bytes), []);
    assert_eq!(diff.packed.findings[0].name, "capability-left-out");
}

#[test]
fn char_devices_other_than_whiteouts_are_files() {
    if needs_root("devices") {
        return;
    }
    let overlay = Overlay::new("touch a");
    let make = |name: &str, device| {
        let path: &Path = &overlay.path("upper").join(name);
        let kind = FileType::CharacterDevice;
        rustix::fs::mknodat(CWD, path, kind, Mode::RUSR, device).expect("made");
    };
    make("null", rustix::fs::makedev(1, 3));
    make("a", 0);
    let (_, bytes) = overlay.diff(false).expect("a layer");
    assert_eq!(list(&bytes), ["/", ".wh.a", "null"]);
}

/// Commands for a shell that goes on when one fails.
fn commands(most: usize) -> impl Strategy<Value = String> {
    let path = || prop::collection::vec("[ab]", 1..4).prop_map(|parts| parts.join("/"));
    let command =
        (0u8..14, path(), path(), 0u8..3).prop_map(|(kind, one, two, number)| match kind {
            0 | 1 => format!("rm -rf {one}; echo {number} > {one}"),
            2..=4 => format!("mkdir -p {one}"),
            5 => format!("[ -L {one} ] || [ ! -f {one} ] || echo more >> {one}"),
            6 => format!("ln -Pf {one} {two}"),
            7 => format!("rm -rf {one}; ln -s {two} {one}"),
            8 | 9 => format!("rm -rf {one}"),
            10 => format!("mv -T {one} {two}"),
            11 => format!("[ -L {one} ] || chmod 75{number} {one}"),
            12 => format!("touch -c -h -d @{number} {one}"),
            _ => format!("rm -rf {one}; mkdir {one}; touch {one}/b"),
        });
    prop::collection::vec(command, 0..most)
        .prop_map(|commands| format!("(set +e\n{}\ntrue) 2>/dev/null", commands.join("\n")))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(25) })]

    #[test]
    fn random_changes_on_a_real_mount_come_to_what_was_seen(
        lower in commands(20),
        script in commands(12),
    ) {
        for attributes in [Attributes::Trusted, Attributes::User] {
            // An empty root is no lower layer: applying would give it a mode.
            let mut overlay = Overlay::new(&format!("touch keep\n{lower}"));
            if overlay.change(attributes, &script) {
                overlay.layer(false);
                overlay.layer(true);
            }
        }
    }
}
