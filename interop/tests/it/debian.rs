//! A real Debian root filesystem goes in, and comes out of every tool alike.

use std::path::Path;
use std::process::Command;

use plimsoll_interop::{Program, Scratch, debian_tar, is_root, peer, peers, run, shell, tree};

#[test]
fn a_debian_root_filesystem_is_the_same_through_every_tool() {
    let Some(archive) = debian_tar() else { return };
    if !is_root("a real root filesystem") {
        return;
    }
    let scratch = Scratch::new();
    let plimsoll = Program::new(scratch.path());
    let layout = scratch.text("images");
    let name = format!("oci:{layout}:debian");
    shell(
        scratch.path(),
        &format!(
            "mkdir tree && tar -C tree --numeric-owner --xattrs --xattrs-include='*' -xpf {}",
            archive.display()
        ),
    );
    let entries = tree::list(&scratch.join("tree")).len();
    assert!(entries > 5_000, "a root filesystem of {entries} entries");

    plimsoll.good(&["pack", &scratch.text("tree"), &name]);
    plimsoll.good(&["validate", &name]);
    plimsoll.good(&["unpack", &name, &scratch.text("ours")]);
    tree::assert_equal_below(&scratch.join("ours"), &scratch.join("tree"));

    // The archive says the same as the folder that it was unpacked to.
    let from_archive = format!("oci:{layout}:archive");
    plimsoll.good(&["pack", &archive.display().to_string(), &from_archive]);
    plimsoll.good(&["unpack", &from_archive, &scratch.text("archived")]);
    tree::assert_equal_below(&scratch.join("archived"), &scratch.join("tree"));

    for (at, umoci) in peers("umoci").into_iter().enumerate() {
        let bundle = scratch.text(&format!("umoci{at}"));
        let unpack = ["unpack", "--image", &format!("{layout}:debian"), &bundle];
        run(umoci.command().args(unpack)).good(&format!("{umoci:?} unpack"));
        tree::assert_equal_below(&scratch.join("ours"), &Path::new(&bundle).join("rootfs"));
    }

    if let Some(skopeo) = peer("skopeo") {
        let copy = scratch.text("copied");
        let arguments = ["copy", &name, &format!("oci:{copy}:debian")];
        run(skopeo.command().arg("--insecure-policy").args(arguments)).good("skopeo copy");
        let digest = |layout: &str| {
            let name = format!("oci:{layout}:debian");
            plimsoll.good(&["inspect", "-q", &name])
        };
        assert_eq!(digest(&layout), digest(&copy), "skopeo copies our image unchanged");
    }
}

#[test]
fn the_digest_is_the_same_under_every_umask_zone_locale_and_folder() {
    let Some(archive) = debian_tar() else { return };
    if !is_root("a real root filesystem") {
        return;
    }
    let scratch = Scratch::new();
    let plimsoll = Program::new(scratch.path());
    let archive = archive.display();
    shell(
        scratch.path(),
        &format!(
            "for place in tree other/place/tree; do mkdir -p $place
             tar -C $place --numeric-owner --xattrs --xattrs-include='*' -xpf {archive}; done"
        ),
    );
    let pack = |before: &str, tree: &str, layout: &str| {
        let program = plimsoll.path().display();
        let script = format!("{before}\nexec {program} pack -q {tree} oci:{layout}:debian");
        let mut command = Command::new("bash");
        command.args(["-c", &script]).current_dir(scratch.path());
        run(command.env_clear().envs(plimsoll.environment())).good(&script)
    };
    let first = pack("", "tree", "one");
    let second = pack(
        "umask 077; export TZ=Asia/Tokyo LC_ALL=tr_TR.UTF-8 LANG=de_DE USER=x HOSTNAME=y; cd other",
        "place/tree",
        "two",
    );
    assert_eq!(first, second);
    let third = pack("umask 0; sleep 1.1", "tree/", "one");
    assert_eq!(first, third);
}
