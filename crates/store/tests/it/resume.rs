//! Parts of blobs that are kept for later.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use plimsoll_content::{Algorithm, Descriptor, MediaType, Resumed, Sink, Source, Unverified};
use plimsoll_store::{Collect, Layout};

const SIZE: usize = 3 << 20;

struct Bench {
    folder: tempfile::TempDir,
    content: Vec<u8>,
    blob: Descriptor,
}

impl Bench {
    fn new() -> (Self, Layout) {
        let folder = tempfile::tempdir().expect("a folder");
        let content: Vec<u8> = (0..SIZE).map(|at| (at * 31 % 251) as u8).collect();
        let blob = Descriptor::of(MediaType::from("a/b"), Algorithm::Sha256, &content);
        let layout = Layout::open_or_create(&folder.path().join("l")).expect("a layout");
        (Self { folder, content, blob }, layout)
    }

    fn staging(&self) -> PathBuf {
        self.folder.path().join("l/.plimsoll/staging")
    }

    fn names(&self) -> Vec<String> {
        let names = fs::read_dir(self.staging()).expect("a folder");
        names.map(|name| name.expect("a name").file_name().to_string_lossy().into()).collect()
    }

    /// Writes up to there, and breaks off.
    fn break_off(&self, layout: &Layout, at: usize) {
        let Resumed { mut ingest, kept } = layout.resume(&self.blob).expect("begun");
        let from = kept.map_or(0, |kept| kept.length as usize);
        ingest.write_all(&self.content[from..at]).expect("written");
        ingest.suspend();
    }

    /// Goes on to the end; gives how much was there.
    fn finish(&self, layout: &Layout) -> u64 {
        let Resumed { mut ingest, kept } = layout.resume(&self.blob).expect("begun");
        let kept = kept.expect("a part");
        let (length, part) = (kept.length, kept.bytes);
        let rest = Unverified::new(&self.content[length as usize..]).tee(&mut ingest);
        let (proof, reader) =
            part.then(rest).verify(&self.blob).expect("known").finish().expect("right");
        drop(reader);
        ingest.commit(proof).expect("published");
        length
    }
}

#[test]
fn what_broke_off_goes_on_and_is_proved_as_a_whole() {
    let (bench, layout) = Bench::new();
    bench.break_off(&layout, 1_000_000);
    assert_eq!(bench.names().len(), 1);
    assert!(!layout.has(&bench.blob).expect("asked"));
    bench.break_off(&layout, 2_000_000);
    assert_eq!(bench.finish(&layout), 2_000_000);
    assert_eq!(bench.names(), Vec::<String>::new());
    let bytes = layout.open(&bench.blob).expect("there").read_all().expect("right");
    assert!(bytes == bench.content);
    let path = bench.folder.path().join("l/blobs/sha256").join(bench.blob.digest.encoded());
    let mode = fs::metadata(path).expect("a blob").permissions().mode();
    assert_eq!(mode & 0o777, 0o644);
}

#[test]
fn what_is_dropped_is_gone() {
    let (bench, layout) = Bench::new();
    let Resumed { mut ingest, .. } = layout.resume(&bench.blob).expect("begun");
    ingest.write_all(&bench.content[..2_000_000]).expect("written");
    drop(ingest);
    assert_eq!(bench.names(), Vec::<String>::new());
}

#[test]
fn what_somebody_else_is_at_work_on_is_left_alone() {
    let (bench, layout) = Bench::new();
    let first = layout.resume(&bench.blob).expect("begun");
    let second = layout.resume(&bench.blob).expect("begun");
    assert!(second.kept.is_none());
    drop(second);
    assert_eq!(bench.names().len(), 1);
    drop(first);
    // Small blobs are not worth it.
    let small = Descriptor::of(MediaType::from("a/b"), Algorithm::Sha256, b"x");
    layout.resume(&small).expect("begun").ingest.suspend();
    assert_eq!(bench.names(), Vec::<String>::new());
}

#[test]
fn what_is_not_ours_alone_is_no_part() {
    let (bench, layout) = Bench::new();
    bench.break_off(&layout, 2_000_000);
    let part = bench.staging().join(&bench.names()[0]);
    let kept = |layout: &Layout| layout.resume(&bench.blob).expect("begun").kept.is_some();
    fs::hard_link(&part, bench.folder.path().join("link")).expect("a link");
    assert!(!kept(&layout));
    fs::remove_file(bench.folder.path().join("link")).expect("removed");
    fs::set_permissions(&part, fs::Permissions::from_mode(0o666)).expect("mode");
    assert!(!kept(&layout));
    fs::remove_file(&part).expect("removed");
    fs::write(bench.folder.path().join("elsewhere"), vec![7; 2_000_000]).expect("a file");
    std::os::unix::fs::symlink("../../../elsewhere", &part).expect("a link");
    assert!(!kept(&layout));
    assert_eq!(fs::read(bench.folder.path().join("elsewhere")).expect("a file")[0], 7);
}

#[test]
fn collecting_takes_parts_away_that_nobody_works_on() {
    let (bench, layout) = Bench::new();
    bench.break_off(&layout, 2_000_000);
    // Other writers leave it.
    drop(layout.begin().expect("begun"));
    assert_eq!(bench.names().len(), 1);
    let collected = layout.collect_with(&Collect { dry_run: true, before: None }).expect("told");
    assert_eq!(collected.leftovers.len(), 1);
    let collected = layout.collect_with(&Collect::default()).expect("collected");
    assert_eq!(collected.leftovers.len(), 1);
    assert_eq!(bench.names(), Vec::<String>::new());
}
