//! Images in other forms, and with fewer layers, as everybody else sees them.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use plimsoll_interop::{
    Peer, Program, Scratch, busybox_rootfs, is_root, peer, peers, run, shell, skip, tree,
};

/// `oci:images:v1` of three layers, of which the second takes something away,
/// and `oci:images:all`, an index of it for two platforms.
fn images(scratch: &Scratch) -> Option<Program> {
    let plimsoll = Program::new(scratch.path());
    fs::create_dir(scratch.join("tree")).expect("a new folder");
    busybox_rootfs(&scratch.join("tree"))?;
    shell(
        scratch.path(),
        "seq 1 200000 >tree/srv/data/numbers; echo old >tree/srv/data/old; mkdir tree/srv/gone
         echo x >tree/srv/gone/x; ln tree/srv/data/old tree/srv/data/twin
         mkdir -p two/srv/data two/srv/gone three/srv/data
         touch two/srv/data/.wh.old two/srv/.wh.gone two/srv/data/.wh.numbers
         rmdir two/srv/gone; echo new >two/srv/data/new; echo third >three/srv/data/third
         chmod 700 two/srv/data; echo again >three/srv/data/old
         for n in two three; do tar --owner=0 --group=0 --sort=name -czf $n.tgz -C $n srv; done",
    );
    plimsoll.good(&["pack", "tree", "oci:images:base", "--cmd", "/bin/sh", "--owner", "0:0"]);
    plimsoll.good(&["append", "oci:images:base", "two.tgz", "three.tgz", "-t", "v1"]);
    plimsoll.good(&["edit", "oci:images:v1", "arm", "--set-platform", "linux/arm64"]);
    plimsoll.good(&["index", "create", "oci:images:all", "oci:images:v1", "oci:images:arm"]);
    Some(plimsoll)
}

fn skopeo(skopeo: &Peer, scratch: &Scratch, words: &[&str]) -> String {
    let mut command = skopeo.command();
    command.current_dir(scratch.path()).arg("--insecure-policy").args(words);
    run(&mut command).good(&format!("skopeo {}", words.join(" ")))
}

/// What we unpack an image to.
fn unpacked(plimsoll: &Program, scratch: &Scratch, reference: &str) -> std::path::PathBuf {
    let place = scratch.join("unpacked");
    let _ = fs::remove_dir_all(&place);
    plimsoll.good(&["unpack", reference, "unpacked"]);
    place
}

fn digest(plimsoll: &Program, reference: &str) -> String {
    plimsoll.good(&["inspect", "-q", reference]).trim().to_owned()
}

#[test]
fn skopeo_takes_dockers_form_of_us_and_gives_it() {
    let scratch = Scratch::new();
    let found = peers("skopeo");
    let Some(plimsoll) = images(&scratch) else { return };
    plimsoll.good(&["unpack", "oci:images:v1", "before"]);
    plimsoll.good(&["convert", "oci:images:v1", "dir:docker", "--to", "docker"]);
    plimsoll.good(&["convert", "oci:images:all", "dir:list", "--to", "docker"]);
    for (number, peer) in found.iter().enumerate() {
        let inspected = skopeo(peer, &scratch, &["inspect", "dir:docker"]);
        assert!(inspected.contains(&digest(&plimsoll, "dir:docker")), "{inspected}");
        // Its own way to OCI's form: the same layers and the same tree.
        let to = format!("oci:skopeo{number}:v1");
        skopeo(peer, &scratch, &["copy", "dir:docker", &to]);
        plimsoll.good(&["validate", &to]);
        tree::assert_equal(&scratch.join("before"), &unpacked(&plimsoll, &scratch, &to));
        // Its own way to Docker's form, and ours back: the image as it was.
        let theirs = format!("dir:v2s2-{number}");
        skopeo(peer, &scratch, &["copy", "--format", "v2s2", "oci:images:v1", &theirs]);
        let back = format!("oci:back{number}:v1");
        plimsoll.good(&["convert", &theirs, &back, "--to", "oci"]);
        let config = |reference: &str| plimsoll.good(&["show", reference, "config"]);
        assert_eq!(config(&back), config(&theirs));
        tree::assert_equal(&scratch.join("before"), &unpacked(&plimsoll, &scratch, &back));
        skopeo(peer, &scratch, &["copy", &back, &format!("dir:again{number}")]);
        // Lists, both ways.
        let (copied, index) = (format!("dir:list{number}"), format!("oci:index{number}:all"));
        skopeo(peer, &scratch, &["copy", "--all", "dir:list", &copied]);
        assert_eq!(digest(&plimsoll, &copied), digest(&plimsoll, "dir:list"));
        skopeo(peer, &scratch, &["copy", "--all", "dir:list", &index]);
        plimsoll.good(&["validate", &copied, &index]);
    }
    plimsoll.good(&["convert", "dir:list", "oci:round:all", "--to", "oci"]);
    assert_eq!(digest(&plimsoll, "oci:round:all"), digest(&plimsoll, "oci:images:all"));
}

#[test]
fn layers_in_another_compression_unpack_to_the_same_everywhere() {
    let scratch = Scratch::new();
    let Some(plimsoll) = images(&scratch) else { return };
    if !is_root("unpacking with other tools") {
        return;
    }
    plimsoll.good(&["unpack", "oci:images:v1", "before"]);
    for how in ["zstd", "none", "gzip:9"] {
        let tag = how.replace(':', "-");
        let name = format!("oci:{tag}:v1");
        plimsoll.good(&["convert", "oci:images:v1", &name, "--compression", how, "--recompress"]);
        everybody_unpacks(&plimsoll, &scratch, &tag, &scratch.join("before"));
        if let Some(peer) = peer("skopeo") {
            // Compressing anew means reading all, with the proof of the diff_ids.
            let again = format!("oci:skopeo-{tag}:v1");
            let words = ["copy", "--dest-compress", "--dest-compress-format", "gzip"];
            skopeo(&peer, &scratch, &[&words[..], &[&name, &again]].concat());
            // And what it makes of ours, we make the same of again.
            plimsoll.good(&["convert", &again, "oci:zz:v1", "--compression", "zstd"]);
            tree::assert_equal(
                &scratch.join("before"),
                &unpacked(&plimsoll, &scratch, "oci:zz:v1"),
            );
            fs::remove_dir_all(scratch.join("zz")).expect("removed");
        }
    }
}

#[test]
fn joined_layers_unpack_to_the_same_everywhere() {
    let scratch = Scratch::new();
    let Some(plimsoll) = images(&scratch) else { return };
    if !is_root("unpacking with other tools") {
        return;
    }
    plimsoll.good(&["unpack", "oci:images:v1", "before"]);
    for keep in ["0", "1"] {
        let name = format!("oci:keep{keep}:v1");
        plimsoll.good(&["squash", "oci:images:v1", "--keep", keep, "-t", &name]);
        plimsoll.good(&["validate", &name]);
        tree::assert_equal(&scratch.join("before"), &unpacked(&plimsoll, &scratch, &name));
        everybody_unpacks(&plimsoll, &scratch, &format!("keep{keep}"), &scratch.join("before"));
    }
}

/// The image `v1` of a layout, by umoci and podman.
fn everybody_unpacks(plimsoll: &Program, scratch: &Scratch, layout: &str, before: &Path) {
    for (at, umoci) in peers("umoci").into_iter().enumerate() {
        let bundle = scratch.text(&format!("umoci-{layout}-{at}"));
        let image = format!("{}:v1", scratch.text(layout));
        let done = run(umoci.command().args(["unpack", "--image", &image, &bundle]));
        if done.code != 0 && layout == "zstd" && done.err.contains("not correct mediatype") {
            skip(&format!("{} and zstd: it is too old for it", umoci.path.display()));
            continue;
        }
        done.good("umoci unpack");
        below(before, &Path::new(&bundle).join("rootfs"));
    }
    let Some(podman) = peer("podman") else { return };
    let ask = |words: &[&str]| {
        let mut command = podman.command();
        command.current_dir(scratch.path()).args(["--root", &scratch.text("podman")]);
        command.args(["--runroot", &scratch.text("podman-run"), "--storage-driver", "vfs"]);
        run(command.args(words)).good(&format!("podman {}", words.join(" ")))
    };
    let mounted = |id: &str| {
        let place = ask(&["image", "mount", id]);
        below(before, Path::new(place.trim()));
        ask(&["image", "unmount", id]);
        ask(&["rmi", "-f", id]);
    };
    let id = ask(&["pull", "-q", &format!("oci:{layout}:v1")]);
    mounted(id.trim());
    let archive = format!("docker-archive:{layout}.tar:example.test/app:v1");
    plimsoll.good(&["convert", &format!("oci:{layout}:v1"), &archive]);
    ask(&["load", "-q", "-i", &format!("{layout}.tar")]);
    mounted("example.test/app:v1");
    if let Some(crane) = peer("crane") {
        let words = ["validate", "--tarball", &scratch.text(&format!("{layout}.tar"))];
        run(crane.command().args(words)).good("crane validate");
    }
}

/// The root itself has no entry, so each tool gives it what it likes.
#[track_caller]
fn below(ours: &Path, theirs: &Path) {
    for folder in ["srv", "bin", "etc", "home"] {
        tree::assert_equal_below(&ours.join(folder), &theirs.join(folder));
    }
}

#[test]
fn crane_validates_what_we_convert() {
    let scratch = Scratch::new();
    let (Some(crane), Some(peer)) = (peer("crane"), peer("skopeo")) else { return };
    let Some(plimsoll) = images(&scratch) else { return };
    let registry = Registry::start(&crane, &scratch);
    plimsoll.good(&["convert", "oci:images:all", "dir:list", "--to", "docker"]);
    // Skopeo compresses on its way to a registry what is plain.
    let words = ["convert", "dir:list", "oci:index:all", "--to", "oci", "--recompress"];
    plimsoll.good(&[&words[..], &["--compression", "gzip:9"]].concat());
    plimsoll.good(&["convert", "dir:list", "oci:joined:all", "--to", "oci", "--squash"]);
    for from in ["dir:list", "oci:index:all", "oci:joined:all"] {
        let name = format!("{}/{}:v1", registry.address, from.replace(':', "-"));
        let to = format!("docker://{name}");
        let words = ["copy", "--all", "--dest-tls-verify=false", from, &to];
        skopeo(&peer, &scratch, &words);
        run(crane.command().args(["validate", "--insecure", "--remote", &name]))
            .good("crane validate");
        let digest = run(crane.command().args(["digest", "--insecure", &name])).good("crane");
        assert_eq!(digest.trim(), self::digest(&plimsoll, from));
    }
}

#[test]
fn other_algorithms_are_read_by_those_who_have_them() {
    let scratch = Scratch::new();
    let Some(regctl) = peer("regctl") else { return };
    let Some(plimsoll) = images(&scratch) else { return };
    plimsoll.good(&["convert", "oci:images:all", "oci:long:all", "--digest", "sha512"]);
    let name = format!("ocidir://{}:all", scratch.text("long"));
    let ask = |words: &[&str]| {
        let mut command = regctl.command();
        run(command.env("HOME", scratch.path()).args(words)).good(&words.join(" "))
    };
    assert_eq!(ask(&["image", "digest", &name]).trim(), digest(&plimsoll, "oci:long:all"));
    // All of it: manifests, configs and layers are read and proved.
    let copy = format!("ocidir://{}:all", scratch.text("copy"));
    ask(&["image", "copy", &name, &copy]);
    plimsoll.good(&["validate", "oci:copy:all"]);
    assert_eq!(digest(&plimsoll, "oci:copy:all"), digest(&plimsoll, "oci:long:all"));
}

/// Crane's own registry, on this machine.
struct Registry {
    process: Child,
    address: String,
}

impl Registry {
    fn start(crane: &Peer, scratch: &Scratch) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
        let address = free.expect("a free port").to_string();
        let process = crane
            .command()
            .args(["registry", "serve", "--address", &address])
            .current_dir(scratch.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        for _ in 0..100 {
            if std::net::TcpStream::connect(&address).is_ok() {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Self { process, address }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
