//! Layers of many compressed blocks, read by other people's tools.

use std::path::Path;

use plimsoll_interop::{Program, Scratch, is_root, peer, peers, run, shell, skip, tree};

#[test]
fn every_tool_reads_layers_of_many_blocks() {
    let scratch = Scratch::new();
    let plimsoll = Program::new(scratch.path());
    // More than two blocks of any format: 45 MB.
    shell(
        scratch.path(),
        "mkdir -p tree/usr && seq 1 3000000 >tree/usr/numbers
         yes 0123456789abcdef | head -c 22000000 >tree/usr/much || true
         head -c 1500000 /dev/urandom >tree/usr/noise",
    );
    let layout = scratch.text("images");
    for compression in ["gzip:6", "zstd:3", "zstd:12"] {
        let tag = compression.replace(':', "-");
        let name = format!("oci:{layout}:{tag}");
        let words = ["pack", &scratch.text("tree"), &name, "--compression", compression, "-j", "3"];
        plimsoll.good(&[&words[..], &["--owner", "0:0"]].concat());
        plimsoll.good(&["validate", &name]);

        let shown = plimsoll.good(&["show", &name]);
        let manifest: serde_json::Value = serde_json::from_str(&shown).expect("a manifest");
        let digest = manifest["layers"][0]["digest"].as_str().expect("a digest").to_owned();
        let blob = format!("{layout}/blobs/sha256/{}", digest.trim_start_matches("sha256:"));
        let tool = compression.split(':').next().expect("a name");
        if let Some(tool) = peer(tool) {
            // Checksums of all members or frames, and what is in them.
            shell(
                scratch.path(),
                &format!(
                    "{0} -dc <{blob} | tar -xOf - usr/numbers | cmp - tree/usr/numbers
                     {0} -tq <{blob}",
                    tool.path.display()
                ),
            );
        }
        if !is_root("unpacking with other tools") {
            continue;
        }
        for (at, umoci) in peers("umoci").into_iter().enumerate() {
            let bundle = scratch.text(&format!("umoci-{at}-{tag}"));
            let words = ["unpack", "--image", &format!("{layout}:{tag}"), &bundle];
            let done = run(umoci.command().args(words));
            if done.code != 0 && tool == "zstd" && done.err.contains("not correct mediatype") {
                skip(&format!("{} and zstd: it is too old for it", umoci.path.display()));
                continue;
            }
            done.good(&format!("{umoci:?} {words:?}"));
            same(&scratch.join("tree"), &Path::new(&bundle).join("rootfs"));
        }
        if let Some(skopeo) = peer("skopeo") {
            // Compressing anew means reading all of it, and proving the diff_id.
            let again = format!("oci:{}:x", scratch.text(&format!("skopeo-{tag}")));
            let words = ["--insecure-policy", "copy", "--dest-compress-format", "gzip"];
            run(skopeo.command().args(words).args(["--dest-compress", &name, &again]))
                .good("skopeo copy");
            plimsoll.good(&["unpack", &again, &scratch.text(&format!("again-{tag}"))]);
            same(&scratch.join("tree"), &scratch.join(&format!("again-{tag}")));
        }
        if let Some(podman) = peer("podman") {
            let root = scratch.text("podman");
            let ask = |words: &[&str]| {
                let mut command = podman.command();
                command.args(["--root", &root, "--runroot", &scratch.text("podman-run")]);
                run(command.args(["--storage-driver", "vfs"]).args(words))
            };
            let id = ask(&["pull", "-q", &name]).good("podman pull");
            let place = ask(&["image", "mount", id.trim()]).good("podman image mount");
            same(&scratch.join("tree"), Path::new(place.trim()));
            ask(&["image", "unmount", id.trim()]).good("podman image unmount");
            ask(&["rmi", "-f", id.trim()]).good("podman rmi");
        }
    }
}

/// The root itself has no entry, so each tool gives it what it likes.
#[track_caller]
fn same(ours: &Path, theirs: &Path) {
    tree::assert_equal_below(&ours.join("usr"), &theirs.join("usr"));
}
