//! Images of several layers, with real whiteouts made by other tools.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use plimsoll_interop::{Peer, Program, Scratch, debian_tar, is_root, peer, run, shell, skip, tree};

/// What a package manager and a careless person do to a root filesystem.
const FIRST: &str = "
    rm -rf usr/share/doc usr/share/man var/lib/apt/lists
    rm -f etc/motd etc/issue usr/bin/perl*
    rm -rf etc/cron.d && echo 'a file now' > etc/cron.d
    rm -f etc/issue.net && mkdir -p etc/issue.net/sub && echo x > etc/issue.net/sub/x
    ln -sfn ../tmp var/cache/apt
    echo more >> etc/profile
    chmod 4711 bin/ls; chown 12:34 usr/bin/id
    mkdir -p srv/new/deep && echo deep > srv/new/deep/file
    ln srv/new/deep/file srv/new/same
    ln -s ../nowhere srv/dangling
    setfattr -n user.colour -v blue srv/new/deep/file
    mkfifo srv/fifo; touch -d '1969-12-31 23:00:00.25 UTC' srv/fifo
    printf 'n' > \"$(printf 'srv/na\\nme')\"
";

/// What the next layer does on top of it.
const SECOND: &str = "
    rm -rf srv/new && mkdir srv/new && echo again > srv/new/file
    rm etc/cron.d && mkdir etc/cron.d && echo back > etc/cron.d/back
    rm -rf etc/issue.net
    rm -f srv/fifo srv/dangling
    mkdir usr/share/doc && echo doc > usr/share/doc/one
    rm -rf opt && ln -s srv opt
";

#[test]
fn layers_of_umoci_give_the_tree_that_umoci_gives() {
    let Some(archive) = debian_tar() else { return };
    let Some(umoci) = peer("umoci") else { return };
    if !is_root("a real root filesystem") {
        return;
    }
    let scratch = Scratch::new();
    let plimsoll = Program::new(scratch.path());
    let layout = scratch.text("images");
    let archive = archive.display().to_string();
    plimsoll.good(&["pack", &archive, &format!("oci:{layout}:one")]);

    let bundle = scratch.text("work");
    let ask = |arguments: &[&str]| {
        run(umoci.command().args(arguments)).good(&format!("umoci {}", arguments.join(" ")))
    };
    ask(&["unpack", "--image", &format!("{layout}:one"), &bundle]);
    for (script, tag) in [(FIRST, "two"), (SECOND, "three")] {
        shell(&scratch.join("work/rootfs"), script);
        let image = format!("{layout}:{tag}");
        ask(&["repack", "--refresh-bundle", "--image", &image, &bundle]);
    }
    // umoci writes no opaque whiteouts; GNU tar writes what it is told.
    shell(
        scratch.path(),
        "mkdir -p opaque/etc/apt opaque/usr/share/doc
         touch opaque/etc/apt/.wh..wh..opq opaque/usr/share/doc/.wh.one
         echo only > opaque/etc/apt/only
         tar -C opaque --numeric-owner --owner=0 --group=0 -cf opaque.tar etc usr",
    );
    let add = ["raw", "add-layer", "--image", &format!("{layout}:three"), "--tag", "four"];
    ask(&[&add[..], &[&scratch.text("opaque.tar")]].concat());

    for tag in ["two", "three", "four"] {
        compare(&plimsoll, &umoci, &scratch, &layout, tag);
    }
}

#[test]
fn layers_of_buildah_give_the_tree_that_umoci_gives() {
    let Some(buildah) = peer("buildah") else { return };
    let Some(umoci) = peer("umoci") else { return };
    let Some(archive) = debian_tar() else { return };
    if !is_root("buildah mount") {
        return;
    }
    let scratch = Scratch::new();
    let plimsoll = Program::new(scratch.path());
    let layout = scratch.text("images");
    plimsoll.good(&["pack", &archive.display().to_string(), &format!("oci:{layout}:one")]);

    // The overlay driver writes opaque whiteouts, vfs writes plain ones.
    for driver in ["overlay", "vfs"] {
        let keep = scratch.join(driver);
        let ask = |arguments: &[&str]| {
            let mut command = buildah.command();
            command.arg("--root").arg(keep.join("root")).arg("--runroot").arg(keep.join("run"));
            run(command.args(["--storage-driver", driver]).args(arguments))
        };
        let from = ask(&["from", "--name", "work", &format!("oci:{layout}:one")]);
        if from.code != 0 {
            skip(&format!("buildah with {driver} storage: {}", from.err.trim()));
            continue;
        }
        let mut tag = String::from(driver);
        for script in [FIRST, SECOND] {
            let mount = ask(&["mount", "work"]).good("buildah mount");
            shell(Path::new(mount.trim()), script);
            ask(&["umount", "work"]).good("buildah umount");
            tag.push('x');
            let to = format!("oci:{layout}:{tag}");
            ask(&["commit", "--quiet", "--format", "oci", "work", &to]).good("buildah commit");
            compare(&plimsoll, &umoci, &scratch, &layout, &tag);
            ask(&["rm", "work"]).good("buildah rm");
            ask(&["from", "--name", "work", &to]).good("buildah from");
        }
        let _ = ask(&["rm", "--all"]);
        let _ = ask(&["rmi", "--all", "--force"]);
    }
}

#[test]
fn images_of_skopeo_and_podman_give_the_tree_that_umoci_gives() {
    let (Some(skopeo), Some(podman), Some(umoci)) = (peer("skopeo"), peer("podman"), peer("umoci"))
    else {
        return;
    };
    let Some(archive) = debian_tar() else { return };
    if !is_root("a real root filesystem") {
        return;
    }
    let scratch = Scratch::new();
    let plimsoll = Program::new(scratch.path());
    let layout = scratch.text("images");
    let one = format!("oci:{layout}:one");
    plimsoll.good(&["pack", &archive.display().to_string(), &one]);

    // skopeo writes layers anew: in zstd, and by way of an archive for docker.
    let copy = |arguments: &[&str]| {
        run(skopeo.command().args(["--insecure-policy", "copy", "-q"]).args(arguments))
            .good("skopeo copy")
    };
    copy(&["--dest-compress-format", "zstd", &one, &format!("oci:{layout}:zstd")]);
    let saved = format!("docker-archive:{}:x:v1", scratch.text("saved.tar"));
    copy(&[&one, &saved]);
    copy(&[&saved, &format!("oci:{layout}:docker")]);
    // umoci of Debian reads no zstd; one image is compared with the other.
    plimsoll.good(&["unpack", &format!("oci:{layout}:zstd"), &scratch.text("zstd")]);
    plimsoll.good(&["unpack", &one, &scratch.text("gzip")]);
    tree::assert_equal(&scratch.join("zstd"), &scratch.join("gzip"));
    compare(&plimsoll, &umoci, &scratch, &layout, "docker");

    // podman commits what was done in a container's folder.
    let ask = |arguments: &[&str]| {
        let mut command = podman.command();
        command.arg("--root").arg(scratch.join("root")).arg("--runroot").arg(scratch.join("run"));
        run(command.args(["--storage-driver", "overlay"]).args(arguments))
    };
    let pulled = ask(&["pull", "-q", &one]);
    if pulled.code != 0 {
        skip(&format!("podman with overlay storage: {}", pulled.err.trim()));
        return;
    }
    let made = ask(&["create", "--name", "work", pulled.out.trim(), "true"]);
    made.good("podman create");
    let mount = ask(&["mount", "work"]).good("podman mount");
    shell(Path::new(mount.trim()), FIRST);
    ask(&["umount", "work"]).good("podman umount");
    let commit = ["commit", "-q", "--format", "oci", "work", "localhost/work:v1"];
    ask(&commit).good("podman commit");
    let to = format!("oci:{layout}:podman");
    ask(&["push", "-q", "localhost/work:v1", &to]).good("podman push");
    compare(&plimsoll, &umoci, &scratch, &layout, "podman");
    let _ = ask(&["rm", "--all", "--force"]);
    let _ = ask(&["rmi", "--all", "--force"]);
}

fn compare(plimsoll: &Program, umoci: &Peer, scratch: &Scratch, layout: &str, tag: &str) {
    let name = format!("oci:{layout}:{tag}");
    let (ours, theirs) =
        (scratch.text(&format!("ours-{tag}")), scratch.text(&format!("umoci-{tag}")));
    plimsoll.good(&["validate", &name]);
    plimsoll.good(&["unpack", &name, &ours]);
    let unpack = ["unpack", "--image", &format!("{layout}:{tag}"), &theirs];
    run(umoci.command().args(unpack)).good("umoci unpack");
    tree::assert_equal(Path::new(&ours), &Path::new(&theirs).join("rootfs"));
    // Flattened without unpacking, and taken apart by GNU tar, it is the same.
    shell(
        scratch.path(),
        &format!(
            "{} export {name} | {{ mkdir -p {ours}.tarred && tar -C {ours}.tarred --xattrs \
             --xattrs-include='*' --numeric-owner -xpf -; }}",
            plimsoll.path().display()
        ),
    );
    tree::assert_equal(Path::new(&format!("{ours}.tarred")), Path::new(&ours));
    crane(scratch, layout, tag, Path::new(&ours));
    shell(scratch.path(), &format!("rm -rf {ours} {ours}.tarred {theirs}"));
}

#[test]
fn owners_are_mapped_as_umoci_maps_them() {
    let Some(umoci) = peer("umoci") else { return };
    if !is_root("giving files away") {
        return;
    }
    let scratch = Scratch::new();
    let plimsoll = Program::new(scratch.path());
    shell(
        scratch.path(),
        "mkdir -p tree/bin tree/home/user; echo x > tree/bin/tool; chmod 4755 tree/bin/tool
         echo y > tree/home/user/file; chown -Rh 1000:500 tree/home/user; ln -s file tree/home/user/link
         chown -h 7:8 tree/home/user/link",
    );
    let layout = scratch.text("images");
    plimsoll.good(&["pack", "tree", &format!("oci:{layout}:v1")]);
    let maps = ["--uid-map", "0:100000:65536", "--gid-map", "0:200000:65536"];
    let image = format!("oci:{layout}:v1");
    plimsoll.good(&[&["unpack", &image, "ours"][..], &maps].concat());
    let (image, theirs) = (format!("{layout}:v1"), scratch.text("theirs"));
    let unpack = [&["unpack"][..], &maps, &["--image", &image, &theirs]].concat();
    run(umoci.command().args(&unpack)).good("umoci unpack");
    tree::assert_equal(&scratch.join("ours"), &Path::new(&theirs).join("rootfs"));
    // And back: the same image.
    let one = plimsoll.good(&["pack", "tree", &format!("oci:{layout}:one"), "-q"]);
    let back = format!("oci:{layout}:back");
    assert_eq!(plimsoll.good(&[&["pack", "ours", &back, "-q"][..], &maps].concat()), one);
}

/// crane flattens as well. It keeps neither the times nor the modes of folders
/// that only lower layers name, so content and kinds are compared.
fn crane(scratch: &Scratch, layout: &str, tag: &str, ours: &Path) {
    let (Some(crane), Some(skopeo)) = (peer("crane"), peer("skopeo")) else { return };
    let (archive, flat) = (scratch.text("docker.tar"), scratch.text("crane"));
    let copy = ["copy", "-q", &format!("oci:{layout}:{tag}"), &format!("docker-archive:{archive}")];
    run(skopeo.command().args(copy)).good("skopeo copy");
    shell(
        scratch.path(),
        &format!(
            "mkdir {flat} && {} export - - < {archive} | tar -C {flat} -xpf -",
            crane.path.display()
        ),
    );
    let content = |root: &Path| -> Vec<_> {
        let nodes = tree::list(root).into_iter();
        nodes.map(|(path, node)| (path, node.kind, node.content)).collect()
    };
    let (ours, theirs) = (content(ours), content(Path::new(&flat)));
    let lacks = |one: &[(PathBuf, &str, Vec<u8>)], two: &[(PathBuf, &str, Vec<u8>)]| -> Vec<_> {
        let two: BTreeSet<_> = two.iter().collect();
        one.iter().filter(|node| !two.contains(node)).map(|node| node.0.clone()).collect()
    };
    let (more, mut less) = (lacks(&ours, &theirs), lacks(&theirs, &ours));
    // What was in a folder that one layer makes a file of and the next a
    // folder again comes back in crane; in umoci, as here, it is gone.
    less.retain(|path| path != Path::new("etc/cron.d/e2scrub_all"));
    assert!(more.is_empty() && less.is_empty(), "{tag}: only here {more:?}, crane only {less:?}");
    shell(scratch.path(), &format!("rm -rf {flat} {archive}"));
}
