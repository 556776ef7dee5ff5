//! Reproducible by contract: the bytes of layers are the same in all versions
//! of Plimsoll. If these digests change, so do those of everybody's images:
//! `docs/format/bytes.md` says what that takes.

use std::fs::{self, Permissions};
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use plimsoll_content::{Algorithm, Digest};
use plimsoll_layer::codec::Compression;
use plimsoll_layer::pack::{self, Options};
use plimsoll_layer::{Limits, Root, codec};
use rustix::fd::AsFd;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};

/// The digest of the uncompressed layer.
const PLAIN: &str = "sha256:9844bbab257a3f0fa4782f7b6919655e60e05e07856eaf74ab2a3e1ccac317fc";

/// The digests of the compressed one.
const PACKED: [(&str, &str); 7] = [
    ("gzip:0", "sha256:1c21656486cc05c63a093787be0fc1f47ae59cb348ebd20cf1aae245cf00776b"),
    ("gzip:1", "sha256:462538134950dc5160e94d5bf0af8285aaa091bced022a458a1a1fd76edadd91"),
    ("gzip:6", "sha256:c39c4fdc4d8fe306f170bdd108f2e6f8bdcb6c8941af9eb744560c95d093c994"),
    ("gzip:9", "sha256:670fa0bb80e4759fa34046f3f84371c37b27a9bb44be2ab78475d34787a0c43d"),
    ("zstd:3", "sha256:583c6fd6c189db8f11da3c4bd6e59bb6a602d535011777f226f9e2f33d2e3d6e"),
    ("zstd:9", "sha256:7b4df58316db70774f3e8003d8d47f6366eb33b12151a30f0447b3a28b4c0230"),
    ("zstd:19", "sha256:4a4ef0956c4a06222a8c1d01a8b17f6124322886915c2a77085a5eea06b752bb"),
];

#[test]
fn layers_have_the_bytes_that_they_always_had_with_any_number_of_threads() {
    let folder = tempfile::tempdir().expect("folder");
    make(folder.path());
    let root = Root::open(folder.path()).expect("opened");
    let pack = |compression: Compression, threads: usize| {
        let options = Options { compression, threads, owner: Some((0, 0)), ..Options::default() };
        let (packed, bytes) = pack::tree(root.as_fd(), Vec::new(), &options).expect("packed");
        assert_eq!(packed.diff_id.to_string(), PLAIN);
        bytes
    };
    let plain = pack(Compression::None, 8);
    assert_eq!(Digest::of(Algorithm::Sha256, &plain).to_string(), PLAIN);
    let mut wrong = Vec::new();
    for (name, digest) in PACKED {
        let compression: Compression = name.parse().expect("known");
        for threads in [1, 2, 8] {
            let bytes = pack(compression, threads);
            let found = Digest::of(Algorithm::Sha256, &bytes).to_string();
            if found != digest {
                wrong.push(format!("(\"{name}\", \"{found}\") with {threads} threads"));
            }
            if threads == 1 {
                let mut read = Vec::new();
                let decoder =
                    codec::Decoder::new(compression.format(), &bytes[..], &Limits::default());
                decoder.expect("started").read_to_end(&mut read).expect("our own");
                assert!(read == plain, "{name} reads back");
            }
        }
    }
    assert!(wrong.is_empty(), "the bytes of layers changed:\n{}", wrong.join("\n"));
}

/// One of everything that compressors treat differently, with more content
/// than one block of any format holds.
fn make(root: &Path) {
    let mut state = 1_u32;
    let mut next = move |below: u32| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) % below
    };
    let words: Vec<String> = (0..2_000)
        .map(|_| (0..2 + next(8)).map(|_| char::from(b'a' + next(26) as u8)).collect())
        .collect();
    let mut text = String::new();
    while text.len() < 2_600_000 {
        // Small numbers more often, as in real text.
        let word = next(2_000).min(next(2_000)).min(next(2_000));
        text.push_str(&words[word as usize]);
        text.push(if next(12) == 0 { '\n' } else { ' ' });
    }
    let noise: Vec<u8> = (0..700_000).map(|_| next(256) as u8).collect();
    let mut repeated = noise[..60_000].repeat(600);
    for _ in 0..2_000 {
        let place = next(repeated.len() as u32);
        repeated[place as usize] = next(256) as u8;
    }
    for path in ["bin", "etc", "var", "var/lib", "var/lib/deep"] {
        fs::create_dir(root.join(path)).expect("made");
    }
    for (path, content, mode) in [
        ("bin/tool", &noise[..], 0o755),
        ("bin/raised", b"", 0o4755),
        ("etc/words", text.as_bytes(), 0o644),
        ("etc/zeros", &vec![0; 300_000], 0o600),
        ("var/lib/big", &repeated, 0o640),
        ("var/lib/deep/\u{e9}", b"not ASCII\n", 0o644),
    ] {
        fs::write(root.join(path), content).expect("written");
        fs::set_permissions(root.join(path), Permissions::from_mode(mode)).expect("set");
    }
    symlink("tool", root.join("bin/link")).expect("linked");
    symlink("x".repeat(150), root.join("bin/far")).expect("linked");
    fs::hard_link(root.join("bin/tool"), root.join("var/same")).expect("linked");
    for (seconds, path) in [
        "bin/tool",
        "bin/raised",
        "bin/link",
        "bin/far",
        "etc/words",
        "etc/zeros",
        "var/lib/big",
        "var/lib/deep/\u{e9}",
        "var/lib/deep",
        "var/lib",
        "var",
        "etc",
        "bin",
    ]
    .iter()
    .enumerate()
    {
        if root.join(path).symlink_metadata().expect("there").is_dir() {
            let mode = if *path == "var/lib/deep" { 0o1777 } else { 0o755 };
            fs::set_permissions(root.join(path), Permissions::from_mode(mode)).expect("set");
        }
        // One with a fraction, one before 1970.
        let time = Timespec {
            tv_sec: if *path == "etc" { -1 } else { 1_700_000_000 + seconds as i64 },
            tv_nsec: if *path == "bin/tool" { 123_456_789 } else { 0 },
        };
        let times = Timestamps { last_access: time, last_modification: time };
        utimensat(CWD, root.join(path), &times, AtFlags::SYMLINK_NOFOLLOW).expect("set");
    }
}
