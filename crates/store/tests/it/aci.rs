//! App container images (AppC, DA13).

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use plimsoll_content::limits::Limits;
use plimsoll_content::{Algorithm, Code, Digest, Result, Source};
use plimsoll_layer::tar::Entries;
use plimsoll_layer::{EntryKind, Limits as LayerLimits};
use plimsoll_spec::{Config, Manifest};
use plimsoll_store::{Archive, Form, Reading};
use serde_json::{Value, json};

use crate::archive::{Raw, tar};
use crate::build::code;

/// A folder of images.
struct Images {
    folder: tempfile::TempDir,
}

impl Images {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("folder") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes `NAME.aci`, and gives its image id.
    fn write(&self, name: &str, manifest: &Value, files: &[Raw<'_>]) -> String {
        let bytes = aci(manifest, files);
        fs::write(self.path(&format!("{name}.aci")), &bytes).expect("written");
        format!("sha512-{}", Digest::of(Algorithm::Sha512, &bytes).encoded())
    }

    fn open(&self, name: &str) -> Result<Archive> {
        self.within(name, Limits::default())
    }

    fn within(&self, name: &str, limits: Limits) -> Result<Archive> {
        let path = self.path(&format!("{name}.aci"));
        Archive::open(&path, None, self.folder.path(), limits)
    }

    fn refused(&self, name: &str, expected: Code) -> String {
        let error = self.open(name).expect_err("refused");
        assert_eq!(error.code(), expected, "{error}");
        error.to_string()
    }
}

fn aci(manifest: &Value, files: &[Raw<'_>]) -> Vec<u8> {
    let manifest = manifest.to_string();
    let mut entries: Vec<Raw<'_>> =
        vec![("manifest", b'0', manifest.as_bytes()), ("rootfs", b'5', b"")];
    entries.extend_from_slice(files);
    tar(&entries)
}

fn manifest(name: &str, dependencies: Value) -> Value {
    json!({
        "acKind": "ImageManifest", "acVersion": "0.8.11", "name": format!("example.com/{name}"),
        "labels": [{"name": "os", "value": "linux"}, {"name": "arch", "value": "amd64"}],
        "dependencies": dependencies,
    })
}

fn on(names: &[&str]) -> Value {
    names.iter().map(|name| json!({"imageName": format!("example.com/{name}")})).collect()
}

/// The layers of the one image: of each the names and what they are.
fn layers(archive: &Archive) -> Vec<Vec<(String, String)>> {
    let source: &dyn Source = archive;
    let entry = &archive.catalog().entries()[0].descriptor.clone();
    let manifest = source.document::<Manifest>(entry).expect("manifest");
    let config = source.document::<Config>(&manifest.config).expect("config");
    assert_eq!(config.rootfs.diff_ids.len(), manifest.layers.len());
    let layers = manifest.layers.iter().zip(&config.rootfs.diff_ids);
    let mut all = Vec::new();
    for (layer, diff_id) in layers {
        assert_eq!(&layer.digest, diff_id);
        let bytes = source.open(layer).expect("there").read_all().expect("proved");
        let mut entries = Entries::new(&bytes[..], LayerLimits::default());
        let mut names = Vec::new();
        while let Some((entry, mut body)) = entries.next().expect("an archive") {
            let mut text = String::new();
            std::io::Read::read_to_string(&mut body, &mut text).expect("text");
            let what = match &entry.kind {
                EntryKind::Hardlink { target } => format!("= {target}"),
                EntryKind::Symlink { target } => format!("> {}", String::from_utf8_lossy(target)),
                EntryKind::Directory => "/".to_owned(),
                _ => text,
            };
            names.push((entry.path.to_string(), what));
        }
        all.push(names);
    }
    all
}

/// The one file of each layer.
fn tops(archive: &Archive) -> Vec<String> {
    layers(archive).iter().map(|names| names[1].1.clone()).collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, what)| ((*name).to_owned(), (*what).to_owned())).collect()
}

#[test]
fn what_lies_below_rootfs_is_the_layer_however_it_is_compressed() {
    let images = Images::new();
    let files: [Raw<'_>; 4] = [
        ("rootfs/etc/", b'5', b""),
        ("rootfs/etc/x", b'0', b"x"),
        ("rootfs/y", b'1', b"rootfs/etc/x"),
        ("rootfs/z", b'2', b"/etc/x"),
    ];
    let id = images.write("app", &manifest("app", json!([])), &files);
    let archive = images.open("app").expect("opened");
    assert_eq!(archive.form(), Form::Aci);
    let root = layers(&archive)[0][0].clone();
    assert_eq!(root.1, "/", "the folder itself");
    assert_eq!(
        layers(&archive)[0][1..],
        pairs(&[("etc", "/"), ("etc/x", "x"), ("y", "= etc/x"), ("z", "> /etc/x")])
    );
    let entry = archive.catalog().entries()[0].clone();
    assert_eq!(entry.name(), Some("example.com/app"));
    let manifest = (&archive as &dyn Source).document::<Manifest>(&entry.descriptor);
    assert_eq!(manifest.expect("manifest").annotations["appc.io/id"], id);
    for level in ["gzip:6", "zstd:3"] {
        let bytes = fs::read(images.path("app.aci")).expect("read");
        let level = level.parse().expect("a compression");
        let mut encoder = plimsoll_layer::codec::Encoder::new(level, Vec::new()).expect("encoder");
        encoder.write_all(&bytes).expect("written");
        fs::write(images.path("packed.aci"), encoder.finish().expect("finished")).expect("written");
        let packed = images.open("packed").expect("opened");
        assert_eq!(packed.catalog().entries(), archive.catalog().entries());
    }
    let file = fs::File::create(images.path("packed.aci")).expect("made");
    let mut encoder = bzip2::write::BzEncoder::new(file, bzip2::Compression::best());
    encoder.write_all(&fs::read(images.path("app.aci")).expect("read")).expect("written");
    encoder.finish().expect("finished");
    assert_eq!(
        images.open("packed").expect("opened").catalog().entries(),
        archive.catalog().entries()
    );
}

#[test]
fn dependencies_are_layers_below_in_the_order_of_the_specification() {
    let images = Images::new();
    let write = |name: &str, below: &[&str]| {
        let text = name.to_owned();
        images.write(name, &manifest(name, on(below)), &[("rootfs/file", b'0', text.as_bytes())])
    };
    write("a", &["b", "c"]);
    write("b", &[]);
    write("c", &["d"]);
    write("d", &[]);
    assert_eq!(tops(&images.open("a").expect("opened")), ["b", "d", "c", "a"]);
    write("b", &["d"]);
    let archive = images.open("a").expect("opened");
    assert_eq!(tops(&archive), ["d", "b", "d", "c", "a"]);
    let source: &dyn Source = &archive;
    let entry = archive.catalog().entries()[0].descriptor.clone();
    let manifest = source.document::<Manifest>(&entry).expect("manifest");
    let config = source.document::<Config>(&manifest.config).expect("config");
    assert_eq!(config.history.len(), 5);
    assert!(
        config.history[4].created_by.as_deref().expect("told").starts_with("aci example.com/a")
    );
}

#[test]
fn a_dependency_is_found_by_name_labels_id_and_size() {
    let images = Images::new();
    let labelled = |name: &str, version: &str| {
        let mut base = manifest("base", json!([]));
        base["labels"] = json!([{"name": "version", "value": version}]);
        images.write(name, &base, &[("rootfs/file", b'0', version.as_bytes())])
    };
    let (one, two) = (labelled("one", "1"), labelled("two", "2"));
    labelled("copy", "2");
    let app = |dependency: Value| {
        images.write(
            "app",
            &manifest("app", json!([dependency])),
            &[("rootfs/file", b'0', b"app")],
        );
    };
    let base = "example.com/base";
    app(json!({"imageName": base, "labels": [{"name": "version", "value": "2"}]}));
    assert_eq!(tops(&images.open("app").expect("the same twice is one")), ["2", "app"]);
    // An image that does not say what it runs on is for everything.
    let labels = json!([{"name": "version", "value": "1"}, {"name": "arch", "value": "amd64"}]);
    app(json!({"imageName": base, "labels": labels}));
    assert_eq!(tops(&images.open("app").expect("opened")), ["1", "app"]);
    for id in [&one[..], &one[..40]] {
        app(json!({"imageName": base, "imageID": id}));
        assert_eq!(tops(&images.open("app").expect("opened")), ["1", "app"]);
    }
    app(json!({"imageName": base}));
    let told = images.refused("app", Code::Reference);
    assert!(told.contains("one.aci"), "{told}");
    app(json!({"imageName": base, "imageID": two, "labels": [{"name": "version", "value": "1"}]}));
    let told = images.refused("app", Code::Digest);
    assert!(told.contains(&one), "{told}");
    app(json!({"imageName": "example.com/nothing"}));
    images.refused("app", Code::NotFound);
    app(json!({"imageName": base, "imageID": "sha512-short"}));
    images.refused("app", Code::Malformed);
    app(json!({"imageName": base, "imageID": format!("sha256-{}", "0".repeat(64))}));
    images.refused("app", Code::Malformed);
    let length = fs::metadata(images.path("one.aci")).expect("there").len();
    app(json!({"imageName": base, "imageID": one, "size": length}));
    images.open("app").expect("the right size");
    app(json!({"imageName": base, "imageID": one, "size": length + 1}));
    images.refused("app", Code::Size);
    // In another folder, if that is given.
    let other = Images::new();
    other.write("base", &manifest("elsewhere", json!([])), &[("rootfs/file", b'0', b"there")]);
    app(json!({"imageName": "example.com/elsewhere"}));
    images.refused("app", Code::NotFound);
    let folders = [other.folder.path().to_owned()];
    let reading =
        Reading { folders: &folders, ..Reading::new(images.folder.path(), Limits::default()) };
    let found = Archive::open_with(&images.path("app.aci"), &reading);
    assert_eq!(tops(&found.expect("found")), ["there", "app"]);
}

#[test]
fn da13_dependencies_end() {
    let images = Images::new();
    let write = |name: &str, below: &str| {
        images.write(name, &manifest(name, on(&[below])), &[("rootfs/x", b'0', b"")]);
    };
    write("a", "b");
    write("b", "a");
    images.refused("a", Code::Malformed);
    write("self", "self");
    images.refused("self", Code::Malformed);
    for number in 0..40 {
        write(&format!("n{number}"), &format!("n{}", number + 1));
    }
    images.write("n40", &manifest("n40", json!([])), &[("rootfs/x", b'0', b"")]);
    images.refused("n0", Code::Limit);
    assert_eq!(tops(&images.open("n20").expect("fewer")).len(), 21);
    // Few files that come to many layers.
    for number in 0..20 {
        let name = format!("m{number}");
        let below = format!("m{}", number + 1);
        let both = on(&[&below, &below]);
        images.write(&name, &manifest(&name, both), &[("rootfs/x", b'0', b"")]);
    }
    images.write("m20", &manifest("m20", json!([])), &[("rootfs/x", b'0', b"")]);
    images.refused("m0", Code::Limit);
}

#[test]
fn only_what_is_on_the_whitelist_is_in_the_image() {
    let images = Images::new();
    let files: [Raw<'_>; 6] = [
        ("rootfs/etc/", b'5', b""),
        ("rootfs/etc/hidden", b'0', b"content"),
        ("rootfs/etc/shown", b'1', b"rootfs/etc/hidden"),
        ("rootfs/etc/too", b'1', b"rootfs/etc/hidden"),
        ("rootfs/usr/lib/", b'5', b""),
        ("rootfs/usr/lib/x", b'0', b"x"),
    ];
    images.write("base", &manifest("base", json!([])), &files);
    let mut app = manifest("app", on(&["base"]));
    app["pathWhitelist"] = json!(["/etc/shown", "/etc/too", "/usr/lib/", "/own", "/absent"]);
    images.write("app", &app, &[("rootfs/own", b'0', b"own"), ("rootfs/other", b'0', b"other")]);
    let found = layers(&images.open("app").expect("opened"));
    assert_eq!(
        found[0][1..],
        pairs(&[
            ("etc", "/"),
            ("etc/shown", "content"),
            ("etc/too", "= etc/shown"),
            ("usr/lib", "/"),
        ])
    );
    assert_eq!(found[1][1..], pairs(&[("own", "own")]));
    // A list below the list: what both allow.
    let mut middle = manifest("middle", on(&["base"]));
    middle["pathWhitelist"] = json!(["/etc/hidden", "/etc/shown"]);
    images.write("middle", &middle, &[("rootfs/m", b'0', b"m")]);
    app["dependencies"] = on(&["middle"]);
    images.write("app", &app, &[("rootfs/own", b'0', b"own")]);
    let found = layers(&images.open("app").expect("opened"));
    assert_eq!(found[0][1..], pairs(&[("etc", "/"), ("etc/shown", "content")]));
    assert_eq!(found[1].len(), 1, "nothing but the folder");
    for (path, expected) in
        [("/../etc/passwd", Code::UnsafeEntry), ("etc", Code::Malformed), ("", Code::Malformed)]
    {
        app["pathWhitelist"] = json!([path]);
        images.write("app", &app, &[("rootfs/own", b'0', b"own")]);
        images.refused("app", expected);
    }
}

#[test]
fn the_owner_of_a_file_can_run_the_program() {
    let images = Images::new();
    let mut app = manifest("app", json!([]));
    app["app"] = json!({"exec": ["/ping"], "user": "/ping", "group": "daemon"});
    images.write("app", &app, &[("rootfs/ping", b'0', b"ping")]);
    let archive = images.open("app").expect("opened");
    let source: &dyn Source = &archive;
    let entry = archive.catalog().entries()[0].descriptor.clone();
    let manifest = source.document::<Manifest>(&entry).expect("manifest");
    let config = source.document::<Config>(&manifest.config).expect("config");
    let execution = config.config.as_ref().expect("told");
    assert_eq!(execution.user.as_deref(), Some("0:daemon"));
    images.write("app", &app, &[("rootfs/ping", b'2', b"/bin/busybox")]);
    images.refused("app", Code::NotFound);
    images.write("app", &app, &[("rootfs/other", b'0', b"")]);
    images.refused("app", Code::NotFound);
}

#[test]
fn what_is_no_such_image_is_refused() {
    let images = Images::new();
    let good = manifest("app", json!([]));
    let open = |entries: &[Raw<'_>]| {
        fs::write(images.path("x.aci"), tar(entries)).expect("written");
        let path = images.path("x.aci");
        Archive::open(&path, Some(Form::Aci), images.folder.path(), Limits::default())
    };
    let text = good.to_string();
    let manifest: Raw<'_> = ("manifest", b'0', text.as_bytes());
    let rootfs: Raw<'_> = ("rootfs", b'5', b"");
    open(&[manifest, rootfs]).expect("good");
    open(&[("./", b'5', b""), ("./manifest", b'0', text.as_bytes()), ("./rootfs/", b'5', b"")])
        .expect("good");
    assert_eq!(code(open(&[manifest])), Code::NotALayout);
    assert_eq!(code(open(&[rootfs])), Code::NotALayout);
    assert_eq!(code(open(&[manifest, ("rootfs", b'0', b"")])), Code::NotALayout);
    assert_eq!(code(open(&[manifest, rootfs, ("other", b'0', b"")])), Code::Malformed);
    assert_eq!(code(open(&[manifest, manifest, rootfs])), Code::UnsafeEntry);
    assert_eq!(code(open(&[rootfs, ("manifest", b'2', b"/etc/passwd")])), Code::UnsafeEntry);
    for (entry, expected) in [
        (("rootfs/../x", b'0', &b""[..]), Code::UnsafeEntry),
        (("rootfs/link", b'1', &b"manifest"[..]), Code::UnsafeEntry),
        (("rootfs/a/.wh.b", b'0', &b""[..]), Code::Unrepresentable),
        (("rootfs/.wh..wh..opq", b'0', &b""[..]), Code::Unrepresentable),
    ] {
        assert_eq!(code(open(&[manifest, rootfs, entry])), expected, "{}", entry.0);
    }
    let edit = |change: &dyn Fn(&mut Value)| {
        let mut manifest = good.clone();
        change(&mut manifest);
        images.write("app", &manifest, &[]);
        images.refused("app", Code::Malformed)
    };
    edit(&|manifest| manifest["acKind"] = json!("PodManifest"));
    edit(&|manifest| manifest["name"] = json!("Example.com/app"));
    edit(&|manifest| manifest["name"] = json!("../app"));
    edit(&|manifest| manifest["labels"] = json!([{"name": "name", "value": "x"}]));
    edit(&|manifest| manifest["App"] = json!({}));
    let twice = json!([{"name": "a", "value": "1"}, {"name": "a", "value": "2"}]);
    edit(&|manifest| manifest["labels"] = twice.clone());
    edit(&|manifest| manifest["annotations"] = twice.clone());
    let app = |name: &str, value: Value| {
        edit(&|manifest| {
            manifest["app"] = json!({"exec": ["x"], "user": "0", "group": "0"});
            manifest["app"][name] = value.clone();
        })
    };
    app("user", json!(""));
    app("group", json!("a:b"));
    app("workingDirectory", json!("../x"));
    app("mountPoints", json!([{"name": "x", "path": "/a/../../b"}]));
    app("environment", json!([{"name": "A=B", "value": ""}]));
    app("ports", json!([{"name": "x", "protocol": "tcp", "port": 0}]));
    app(
        "ports",
        json!([{"name": "x", "protocol": "tcp", "port": 65000, "count": 4_000_000_000u32}]),
    );
}
