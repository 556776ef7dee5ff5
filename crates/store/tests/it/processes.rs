//! Several processes on one layout, and processes that are killed.
//!
//! The test binary runs itself: [`child`] does what the environment says.

use std::env;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use plimsoll_content::{Resolve, Sink, Tag};
use plimsoll_store::{Layout, StagedDir, Target};

use crate::build::{image, read, snapshot};

const TASK: &str = "PLIMSOLL_TEST_TASK";

fn spawn(task: &str, path: &Path, number: usize) -> Child {
    Command::new(env::current_exe().expect("this binary"))
        .args(["--exact", "processes::child", "--nocapture"])
        .env(TASK, format!("{task} {number} {}", path.display()))
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .spawn()
        .expect("started")
}

/// What the other processes do; in the tests' own process, nothing.
#[test]
fn child() {
    let Ok(task) = env::var(TASK) else { return };
    let mut words = task.splitn(3, ' ');
    let mut word = || words.next().expect("three words");
    let (task, number, path) = (word(), word(), word());
    let path = Path::new(path);
    match task {
        "tag" => {
            let layout = Layout::open_or_create(path).expect("opened");
            for round in 0..10 {
                let target = image(&layout, &format!("{number} {round}"));
                layout.tag(&format!("t{number}-{round}"), &target).expect("named");
            }
        }
        "create" => {
            let target = Target::open(path).expect("opened");
            let image = image(target.layout(), number);
            target.layout().tag(&format!("t{number}"), &image).expect("named");
            target.publish().expect("published");
        }
        "umask" => {
            rustix::process::umask(rustix::fs::Mode::from_raw_mode(number.parse().expect("bits")));
            let target = Target::open(path).expect("opened");
            let image = image(target.layout(), "a");
            target.layout().tag("v1", &image).expect("named");
            target.publish().expect("published");
        }
        "forever" => {
            let layout = Layout::open(path).expect("opened");
            for round in 0.. {
                let _writing = layout.writing().expect("guarded");
                let target = image(&layout, &format!("{number} {round}"));
                layout.tag(&format!("t{}", round % 5), &target).expect("named");
            }
        }
        "stage" => {
            for round in 0.. {
                let Ok(staged) = StagedDir::beside(&path.join(format!("r{round}"))) else {
                    continue;
                };
                for name in ["a", "b", "c"] {
                    fs::create_dir(staged.path().join(name)).expect("made");
                    let mut file =
                        fs::File::create(staged.path().join(name).join("f")).expect("made");
                    file.write_all(&[7; 1000]).expect("written");
                }
                staged.publish().expect("published");
            }
        }
        other => panic!("no task {other}"),
    }
}

fn finish(children: Vec<Child>) {
    for mut child in children {
        assert!(child.wait().expect("waited").success());
    }
}

#[test]
fn modes_do_not_depend_on_the_umask() {
    let folder = tempfile::tempdir().expect("folder");
    let modes = |umask: usize| {
        let path = folder.path().join(umask.to_string());
        finish(vec![spawn("umask", &path, umask)]);
        let mut modes: Vec<_> = snapshot(&path)
            .into_iter()
            // Locks are nobody's content.
            .filter(|(path, ..)| !path.components().any(|part| part.as_os_str() == ".plimsoll"))
            .map(|(file, mode, content)| {
                (file.strip_prefix(&path).expect("below").to_owned(), mode, content)
            })
            .collect();
        modes.push(("".into(), fs::metadata(&path).expect("there").permissions().mode(), vec![]));
        modes
    };
    let usual = modes(0o022);
    assert_eq!(usual.len(), 8);
    for (path, mode, _) in &usual {
        assert!([0o100_644, 0o40_755].contains(&(mode & !0o2020)), "{}: {mode:o}", path.display());
    }
    assert!(usual == modes(0o077) && usual == modes(0o000) && usual == modes(0o027));
}

#[test]
fn st06_eight_writers_lose_no_name() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("image");
    finish((0..8).map(|number| spawn("tag", &path, number)).collect());
    let layout = Layout::open(&path).expect("opened");
    assert_eq!(layout.entries().expect("listed").len(), 80);
    for number in 0..8 {
        for round in 0..10 {
            let target = layout.resolve(&format!("t{number}-{round}")).expect("kept");
            assert!(layout.reachable(&target).expect("walked").missing.is_empty());
        }
    }
    assert!(layout.unreachable().expect("found").is_empty());
}

#[test]
fn st06_eight_makers_of_one_new_layout_lose_no_image() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("image");
    finish((0..8).map(|number| spawn("create", &path, number)).collect());
    let layout = Layout::open(&path).expect("opened");
    for number in 0..8 {
        let target = layout.resolve(&format!("t{number}")).expect("kept");
        assert!(layout.reachable(&target).expect("walked").missing.is_empty());
    }
    assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 1);
}

#[test]
fn st07_collecting_while_others_write_removes_nothing_of_theirs() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("image");
    let layout = Layout::create(&path).expect("made");
    let mut writers: Vec<_> = (0..2).map(|number| spawn("forever", &path, number)).collect();
    let mut removed = 0;
    for _ in 0..10 {
        removed += layout.collect().expect("its turn comes").len();
        for entry in layout.entries().expect("listed") {
            let reachable = layout.reachable(&entry.descriptor).expect("walked");
            // The name may have moved on, and its old content been removed,
            // between listing and walking; what is named now is whole.
            let name = entry.name().expect("named");
            if layout.resolve(name).expect("there").digest == entry.descriptor.digest {
                assert!(reachable.missing.is_empty());
            }
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    for writer in &mut writers {
        writer.kill().expect("killed");
        writer.wait().expect("waited");
    }
    assert!(removed > 0, "names moved on, so there was something to remove");
    layout.collect().expect("nobody writes");
    for entry in layout.entries().expect("listed") {
        assert!(layout.reachable(&entry.descriptor).expect("walked").missing.is_empty());
    }
}

#[test]
fn st01_st10_a_killed_writer_leaves_a_good_layout_and_no_lock() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("image");
    let layout = Layout::create(&path).expect("made");
    for round in 0..25 {
        let mut writer = spawn("forever", &path, round);
        // From before the first write to some dozens of images.
        std::thread::sleep(Duration::from_millis(2 + 3 * round as u64));
        writer.kill().expect("killed");
        writer.wait().expect("waited");
        let layout = Layout::open(&path).expect("whole");
        for entry in layout.entries().expect("listed") {
            let reachable = layout.reachable(&entry.descriptor).expect("walked");
            assert!(reachable.missing.is_empty());
            for blob in &reachable.present {
                read(&layout, blob).expect("whole");
            }
        }
        for digest in layout.inventory().expect("listed").blobs {
            let file = path.join("blobs/sha256").join(digest.encoded());
            let bytes = fs::read(file).expect("read");
            assert_eq!(
                plimsoll_content::Digest::of(plimsoll_content::Algorithm::Sha256, &bytes),
                digest
            );
        }
    }
    drop(layout.begin().expect("no lock is left"));
    let staging = path.join(".plimsoll/staging");
    assert_eq!(fs::read_dir(staging).expect("listed").count(), 0, "leftovers were swept");
    layout.collect().expect("no lock is left");
}

#[test]
fn st12_a_killed_unpacking_leaves_nothing_or_all() {
    let folder = tempfile::tempdir().expect("folder");
    for round in 0..15 {
        let mut child = spawn("stage", folder.path(), 0);
        std::thread::sleep(Duration::from_millis(3 + 2 * round));
        child.kill().expect("killed");
        child.wait().expect("waited");
        for entry in fs::read_dir(folder.path()).expect("listed") {
            let entry = entry.expect("entry");
            if entry.file_name().to_string_lossy().starts_with('r') {
                for name in ["a/f", "b/f", "c/f"] {
                    let bytes = fs::read(entry.path().join(name)).expect("whole");
                    assert_eq!(bytes.len(), 1000);
                }
            }
        }
    }
    StagedDir::sweep(folder.path()).expect("swept");
    for entry in fs::read_dir(folder.path()).expect("listed") {
        assert!(entry.expect("entry").file_name().to_string_lossy().starts_with('r'));
    }
}
