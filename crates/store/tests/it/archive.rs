//! Images in tar archives: read in place and as a stream, written, and
//! hostile ones (DA01 to DA14, hostile cases of archives).

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use plimsoll_content::limits::Limits;
use plimsoll_content::{
    Algorithm, Code, Descriptor, Digest, Quiet, Result, Sealing, Sink, Source, Tag,
};
use plimsoll_spec::{Index, media_type};
use plimsoll_store::{
    Archive, Dir, DirWriter, DockerWriter, Form, Layout, OciWriter, Output, Received, reachable,
    receive,
};

use crate::build::{Place, code, image, index, put, read};

/// One entry of a tar archive: name, type, content or target of a link.
pub(crate) type Raw<'a> = (&'a str, u8, &'a [u8]);

/// An archive by hand: names that no good writer would write.
pub(crate) fn tar(entries: &[Raw<'_>]) -> Vec<u8> {
    let mut archive = Vec::new();
    for (name, kind, content) in entries {
        let mut header = [0u8; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[100..108].copy_from_slice(b"0000644\0");
        header[108..124].copy_from_slice(b"0000000\x000000000\0");
        let (size, link) = if *kind == b'0' { (content.len(), &b""[..]) } else { (0, *content) };
        header[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
        header[136..148].copy_from_slice(b"00000000000\0");
        header[156] = *kind;
        header[157..157 + link.len()].copy_from_slice(link);
        header[257..265].copy_from_slice(b"ustar\x0000");
        header[148..156].copy_from_slice(b"        ");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        archive.extend_from_slice(&header);
        if *kind == b'0' {
            archive.extend_from_slice(content);
            archive.resize(archive.len().next_multiple_of(512), 0);
        }
    }
    archive.resize(archive.len() + 1024, 0);
    archive
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    Digest::of(Algorithm::Sha256, bytes).encoded()
}

fn config(layers: &[&[u8]]) -> Vec<u8> {
    let diff_ids: Vec<_> =
        layers.iter().map(|layer| format!("\"sha256:{}\"", sha256(layer))).collect();
    format!(
        r#"{{"architecture":"amd64","os":"linux","rootfs":{{"diff_ids":[{}],"type":"layers"}}}}"#,
        diff_ids.join(",")
    )
    .into_bytes()
}

/// The two ways of reading an archive: in place, and as it goes by.
pub(crate) fn both(
    bytes: &[u8],
    form: Option<Form>,
) -> (Result<Archive>, Result<(Place, Received)>) {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("archive");
    fs::write(&path, bytes).expect("written");
    let opened = Archive::open(&path, form, folder.path(), Limits::default());
    let place = Place::new();
    let received =
        receive(bytes, "-", form, &place.layout, &Limits::default(), &Quiet).map(|received| {
            assert!(place.staging_is_empty());
            (place, received)
        });
    (opened, received)
}

pub(crate) fn refused(bytes: &[u8], expected: Code) {
    let (opened, received) = both(bytes, None);
    assert_eq!(code(opened), expected, "in place");
    assert_eq!(code(received.map(|_| ())), expected, "as a stream");
}

/// A docker archive whose `manifest.json` names this layer path.
fn docker(layer: &str, more: &[Raw<'_>]) -> Vec<u8> {
    let content = b"layer";
    let config = config(&[content]);
    let name = format!("{}.json", sha256(&config));
    let list = format!(r#"[{{"Config":"{name}","Layers":[{layer:?}],"RepoTags":["app:v1"]}}]"#);
    let mut entries: Vec<Raw<'_>> =
        vec![(&name, b'0', &config), ("manifest.json", b'0', list.as_bytes())];
    entries.extend_from_slice(more);
    tar(&entries)
}

#[test]
fn a_docker_archive_is_the_same_image_in_place_and_as_a_stream() {
    let bytes = docker("x/layer.tar", &[("x/layer.tar", b'0', b"layer")]);
    let (opened, received) = both(&bytes, None);
    let opened = opened.expect("opened");
    let (place, received) = received.expect("received");
    assert_eq!((opened.form(), received.form), (Form::Docker, Form::Docker));
    let entry = opened.catalog().find_name("app:v1").expect("named");
    assert_eq!(received.catalog.entries(), std::slice::from_ref(&entry));
    assert_eq!(entry.descriptor.media_type, media_type::DOCKER_MANIFEST);
    for (source, what) in [(&opened as &dyn Source, "archive"), (&place.layout, "layout")] {
        let all = reachable(source, &entry.descriptor).expect(what);
        assert_eq!((all.present.len(), all.missing.len()), (3, 0), "{what}");
        let layer = &all.present[2];
        assert_eq!(layer.digest.encoded(), sha256(b"layer"), "the diff_id");
        assert_eq!(source.open(layer).expect("opened").read_all().expect("proved"), b"layer");
    }
}

#[test]
fn da01_da02_layers_lie_in_the_archive_or_nowhere() {
    refused(&docker("../../l.tar", &[("../../l.tar", b'0', b"layer")]), Code::UnsafeEntry);
    refused(&docker("../../l.tar", &[("l.tar", b'0', b"layer")]), Code::UnsafeEntry);
    refused(&docker("/etc/passwd", &[]), Code::UnsafeEntry);
    refused(&docker("etc/passwd", &[]), Code::NotFound);
}

#[test]
fn da03_da04_links_lead_into_the_archive_and_end() {
    refused(&docker("l.tar", &[("l.tar", b'2', b"/etc/passwd")]), Code::UnsafeEntry);
    refused(&docker("l.tar", &[("l.tar", b'2', b"../passwd")]), Code::UnsafeEntry);
    refused(&docker("l.tar", &[("l.tar", b'2', b"l.tar")]), Code::UnsafeEntry);
    let names: Vec<_> = (0..13).map(|number| format!("l{number}.tar")).collect();
    let mut chain: Vec<Raw<'_>> =
        names.windows(2).map(|pair| (&*pair[0], b'2', pair[1].as_bytes())).collect();
    chain.push((&names[12], b'0', b"layer"));
    refused(&docker("l0.tar", &chain), Code::UnsafeEntry);
    let (opened, received) = both(&docker("l5.tar", &chain), None);
    assert_eq!(opened.expect("few links").catalog().entries().len(), 1);
    received.expect("few links");
}

#[test]
fn da05_old_docker_links_one_layer_to_another() {
    let more: [Raw<'_>; 2] =
        [("x/layer.tar", b'0', b"layer"), ("y/layer.tar", b'2', b"../x/layer.tar")];
    let (opened, received) = both(&docker("y/layer.tar", &more), None);
    opened.expect("in place");
    received.expect("as a stream");
}

#[test]
fn da06_documents_are_no_links() {
    let archive = tar(&[("manifest.json", b'2', b"real.json"), ("real.json", b'0', b"[]")]);
    refused(&archive, Code::UnsafeEntry);
    let archive = tar(&[("manifest.json", b'2', b"/etc/passwd")]);
    refused(&archive, Code::UnsafeEntry);
    let archive = tar(&[
        ("oci-layout", b'0', br#"{"imageLayoutVersion":"1.0.0"}"#),
        ("index.json", b'2', b"/etc/passwd"),
    ]);
    refused(&archive, Code::UnsafeEntry);
}

#[test]
fn da08_a_config_is_what_its_name_says() {
    let config = config(&[]);
    let name = format!("{}.json", "0".repeat(64));
    let list = format!(r#"[{{"Config":"{name}","Layers":[],"RepoTags":null}}]"#);
    let archive = tar(&[(&name, b'0', &config), ("manifest.json", b'0', list.as_bytes())]);
    refused(&archive, Code::Digest);
}

#[test]
fn da09_names_are_names() {
    for name in ["a\\nb:v1", "../../etc:v1", "", "a b:v1", "\\u001b[31m:v1", &"a".repeat(300)] {
        let config = config(&[]);
        let list = format!(r#"[{{"Config":"c","Layers":[],"RepoTags":["{name}"]}}]"#);
        let archive = tar(&[("c", b'0', &config), ("manifest.json", b'0', list.as_bytes())]);
        refused(&archive, Code::Malformed);
    }
}

#[test]
fn da10_manifest_json_counts_and_the_rest_is_told() {
    let more: [Raw<'_>; 2] =
        [("l.tar", b'0', b"layer"), ("repositories", b'0', br#"{"other":{"v9":"abc"}}"#)];
    let (opened, received) = both(&docker("l.tar", &more), None);
    let opened = opened.expect("opened");
    assert!(opened.findings()[0].contains("other:v9"), "{:?}", opened.findings());
    assert_eq!(opened.catalog().entries()[0].name(), Some("app:v1"));
    assert_eq!(received.expect("received").1.findings, opened.findings());
}

#[test]
fn gr07_layers_pair_with_diff_ids() {
    let config = config(&[b"layer", b"other"]);
    let list = r#"[{"Config":"c","Layers":["l.tar"],"RepoTags":[]}]"#;
    let archive = tar(&[
        ("c", b'0', &config),
        ("manifest.json", b'0', list.as_bytes()),
        ("l.tar", b'0', b"layer"),
    ]);
    refused(&archive, Code::Malformed);
}

#[test]
fn gr08_a_wrong_layer_is_never_taken() {
    let archive = docker("l.tar", &[("l.tar", b'0', b"lAyer")]);
    let (opened, received) = both(&archive, None);
    let opened = opened.expect("nothing is read yet");
    let all = reachable(&opened, &opened.catalog().entries()[0].descriptor).expect("listed");
    assert_eq!(code(opened.open(&all.present[2]).expect("there").read_all()), Code::Digest);
    assert_eq!(code(received.map(|_| ())), Code::DiffId);
}

/// The name and content of a file.
type Named = (String, Vec<u8>);

/// A layout with two images and an index, as entries of an archive.
fn layout() -> (Place, Vec<Descriptor>, Vec<Named>) {
    let place = Place::new();
    let (one, two) = (image(&place.layout, "one"), image(&place.layout, "two"));
    let both = index(&place.layout, vec![one.clone(), two]);
    place.layout.tag("v1", &both).expect("named");
    place.layout.tag("one", &one).expect("named");
    let mut files: Vec<Named> = ["oci-layout", "index.json"]
        .map(|name| (name.to_owned(), fs::read(place.path(name)).expect("read")))
        .into();
    for digest in place.layout.inventory().expect("listed").blobs {
        let name = format!("blobs/sha256/{}", digest.encoded());
        files.push((name.clone(), fs::read(place.path(&name)).expect("read")));
    }
    (place, vec![both, one], files)
}

fn entries(files: &[Named]) -> Vec<Raw<'_>> {
    files.iter().map(|(name, content)| (&**name, b'0', &**content)).collect()
}

#[test]
fn da11_blobs_come_in_any_order() {
    let (_, roots, mut files) = layout();
    for _ in 0..files.len() {
        files.rotate_left(1);
        let (opened, received) = both(&tar(&entries(&files)), None);
        let opened = opened.expect("opened");
        let (place, received) = received.expect("received");
        assert_eq!(received.catalog.entries(), opened.catalog().entries());
        for source in [&opened as &dyn Source, &place.layout] {
            let all = reachable(source, &roots[0]).expect("walked");
            assert_eq!((all.present.len(), all.missing.len()), (7, 0));
        }
    }
}

#[test]
fn da11_duplicates_links_and_hostile_names_are_refused() {
    let (_, _, files) = layout();
    let good = entries(&files);
    let with = |more: Raw<'_>| {
        let mut entries = good.clone();
        entries.push(more);
        tar(&entries)
    };
    refused(&with(good[2]), Code::UnsafeEntry);
    refused(&with(("index.json", b'0', b"{}")), Code::UnsafeEntry);
    refused(&with(("blobs/sha256/../../x", b'0', b"x")), Code::UnsafeEntry);
    refused(&with(("../x", b'0', b"x")), Code::UnsafeEntry);
    // What is no blob by its name is nobody's business.
    let (opened, received) = both(&with(("blobs/sha256/ABC", b'0', b"x")), None);
    opened.expect("opened");
    assert_eq!(received.expect("received").1.findings.len(), 1);
    // A link in the place of a blob.
    let name = files[2].0.clone();
    let mut linked = good.clone();
    linked[2] = (&name, b'2', b"/etc/passwd");
    let (opened, received) = both(&tar(&linked), None);
    let opened = opened.expect("nothing is read yet");
    let digest = format!("sha256:{}", &name["blobs/sha256/".len()..]).parse().expect("a digest");
    let blob = Descriptor::new(media_type::LAYER, digest, files[2].1.len() as u64);
    assert_eq!(code(opened.fetch(&blob, 0)), Code::UnsafeEntry);
    let (place, _) = received.expect("what is missing shows when it is looked for");
    assert!(!place.layout.has(&blob).expect("looked"));
}

#[test]
fn a_blob_that_is_not_its_name_is_not_kept() {
    let (_, _, mut files) = layout();
    files[2].1[0] ^= 1;
    let (opened, received) = both(&tar(&entries(&files)), None);
    opened.expect("nothing is read yet");
    assert_eq!(code(received.map(|_| ())), Code::Digest);
}

#[test]
fn newer_docker_writes_a_layout_and_a_list_and_both_are_read() {
    let config = config(&[b"layer"]);
    let blob = |bytes: &[u8]| format!("blobs/sha256/{}", sha256(bytes));
    let describe = |kind: &plimsoll_content::MediaType, bytes: &[u8]| {
        let blob = Descriptor::of(kind.clone(), Algorithm::Sha256, bytes);
        serde_json::to_string(&blob).expect("json")
    };
    let manifest = format!(
        r#"{{"config":{},"layers":[{}],"mediaType":"{}","schemaVersion":2}}"#,
        describe(&media_type::CONFIG, &config),
        describe(&media_type::LAYER, b"layer"),
        media_type::MANIFEST
    );
    let index = format!(
        r#"{{"manifests":[{}],"schemaVersion":2}}"#,
        describe(&media_type::MANIFEST, manifest.as_bytes())
    );
    let list = format!(
        r#"[{{"Config":"{}","RepoTags":["app:v1"],"Layers":["{}"]}}]"#,
        blob(&config),
        blob(b"layer")
    );
    let archive = tar(&[
        ("blobs", b'5', b""),
        ("blobs/sha256", b'5', b""),
        (&blob(&config), b'0', &config),
        (&blob(b"layer"), b'0', b"layer"),
        (&blob(manifest.as_bytes()), b'0', manifest.as_bytes()),
        ("index.json", b'0', index.as_bytes()),
        ("manifest.json", b'0', list.as_bytes()),
        ("oci-layout", b'0', br#"{"imageLayoutVersion":"1.0.0"}"#),
        ("repositories", b'0', br#"{"app":{"v1":"x"}}"#),
    ]);
    for (form, expected, name) in [
        (None, Form::Oci, None),
        (Some(Form::Oci), Form::Oci, None),
        (Some(Form::Docker), Form::Docker, Some("app:v1")),
    ] {
        let (opened, received) = both(&archive, form);
        let opened = opened.expect("opened");
        let (place, received) = received.expect("received");
        assert_eq!((opened.form(), received.form), (expected, expected));
        assert_eq!(received.catalog.entries(), opened.catalog().entries());
        let entry = &received.catalog.entries()[0];
        assert_eq!(entry.name(), name);
        let all = reachable(&place.layout, &entry.descriptor).expect("walked");
        assert_eq!((all.present.len(), all.missing.len()), (3, 0));
        assert_eq!(all.present[1].digest.encoded(), sha256(&config), "the image id");
    }
}

#[test]
fn builders_write_compressed_layers_into_docker_archives() {
    use plimsoll_layer::codec::{Compression, Encoder};
    let mut encoder = Encoder::new(Compression::Gzip { level: 6 }, Vec::new()).expect("an encoder");
    encoder.write_all(b"layer").expect("written");
    let layer = encoder.finish().expect("ended");
    let config = config(&[b"layer"]);
    let (id, file) = (format!("sha256:{}", sha256(&config)), format!("{}.tar.gz", sha256(&layer)));
    let list = format!(r#"[{{"Config":"{id}","RepoTags":["app:v1"],"Layers":["{file}"]}}]"#);
    let archive = tar(&[
        (&id, b'0', &config),
        (&file, b'0', &layer),
        ("manifest.json", b'0', list.as_bytes()),
    ]);
    let (opened, received) = both(&archive, None);
    let opened = opened.expect("opened");
    let (place, received) = received.expect("received");
    assert_eq!(received.catalog.entries(), opened.catalog().entries());
    for source in [&opened as &dyn Source, &place.layout] {
        let all = reachable(source, &received.catalog.entries()[0].descriptor).expect("walked");
        let found = &all.present[2];
        assert_eq!(found.media_type, media_type::DOCKER_LAYER_GZIP);
        assert_eq!(found.digest.encoded(), sha256(&layer));
        assert_eq!(source.open(found).expect("there").read_all().expect("proved"), layer);
    }
}

#[test]
fn da12_what_is_compressed_and_no_archive_is_refused_at_once() {
    use plimsoll_layer::codec::{Compression, Encoder};
    let mut encoder = Encoder::new(Compression::Gzip { level: 1 }, Vec::new()).expect("an encoder");
    encoder.write_all(&vec![0; 64 << 20]).expect("written");
    refused(&encoder.finish().expect("ended"), Code::Layer);
    refused(b"\xfd7zXZ\0", Code::Layer);
}

#[test]
fn da14_an_archive_that_is_cut_off_is_refused_and_leaves_no_temporary_file() {
    let (_, _, files) = layout();
    let whole = tar(&entries(&files));
    for length in [0, 100, 512, 600, 1024, 1500, whole.len() / 2] {
        let (opened, received) = both(&whole[..length], None);
        assert!(opened.is_err(), "{length}");
        assert!(received.is_err(), "{length}");
    }
    let place = Place::new();
    let cut = &whole[..whole.len() / 2 + 100];
    assert!(receive(cut, "-", None, &place.layout, &Limits::default(), &Quiet).is_err());
    assert!(place.staging_is_empty());
}

#[test]
fn compressed_archives_read_the_same() {
    use plimsoll_layer::codec::{Compression, Encoder};
    let (_, roots, files) = layout();
    for compression in [Compression::Gzip { level: 6 }, Compression::Zstd { level: 3 }] {
        let mut encoder = Encoder::new(compression, Vec::new()).expect("an encoder");
        encoder.write_all(&tar(&entries(&files))).expect("written");
        let bytes = encoder.finish().expect("ended");
        let (opened, received) = both(&bytes, None);
        let all = reachable(&opened.expect("opened"), &roots[0]).expect("walked");
        assert_eq!(all.missing.len(), 0, "{compression}");
        assert_eq!(received.expect("received").1.stored.len(), 7, "{compression}");
        // Damage at the end is noticed, though all blobs are before it.
        let (opened, received) = both(&bytes[..bytes.len() - 6], None);
        assert!(opened.is_err() && received.is_err(), "{compression}");
    }
}

fn write(place: &Place, root: &Descriptor, output: Output) -> Result<()> {
    let writer = OciWriter::new(output);
    let layout = &place.layout;
    for blob in reachable(layout, root)?.present {
        (&writer as &dyn Sink).write(&blob, &read(layout, &blob)?)?;
    }
    writer.tag("v1", root)?;
    writer.publish()
}

#[test]
fn the_same_image_gives_the_same_archive_through_a_file_and_a_stream() {
    let (place, roots, _) = layout();
    let folder = tempfile::tempdir().expect("folder");
    let path = |name: &str| folder.path().join(name);
    let out = |name: &str| File::create(path(name)).expect("a file");
    write(&place, &roots[0], Output::file(&path("file")).expect("new")).expect("written");
    let stream = Output::stream(Box::new(out("stream")), "-", folder.path());
    write(&place, &roots[0], stream).expect("written");
    // The same with sizes that are known only at the end.
    for name in ["late-file", "late-stream"] {
        let output = match name {
            "late-file" => Output::file(&path(name)).expect("new"),
            _ => Output::stream(Box::new(out(name)), "-", folder.path()),
        };
        let writer = OciWriter::new(output);
        for blob in reachable(&place.layout, &roots[0]).expect("walked").present {
            let bytes = read(&place.layout, &blob).expect("read");
            let mut ingest = writer.begin().expect("begun");
            ingest.write_all(&bytes).expect("written");
            let reader = plimsoll_content::Unverified::new(&bytes[..]).verify(&blob);
            let (proof, _) = reader.expect("known").finish().expect("proved");
            ingest.commit(proof).expect("kept");
        }
        writer.tag("v1", &roots[0]).expect("named");
        writer.publish().expect("published");
    }
    let first = fs::read(path("file")).expect("read");
    for name in ["stream", "late-file", "late-stream"] {
        assert_eq!(fs::read(path(name)).expect("read"), first, "{name}");
    }
    assert_eq!(names(folder.path()), ["file", "late-file", "late-stream", "stream"]);
    let error = Output::file(&path("file")).expect_err("nothing is overwritten");
    assert_eq!(error.code(), Code::Exists);
}

#[test]
fn a_docker_archive_takes_plain_layers_and_lists_images() {
    let folder = tempfile::tempdir().expect("folder");
    let layer = Descriptor::of(media_type::LAYER, Algorithm::Sha256, b"layer");
    let text = config(&[b"layer"]);
    let config = Descriptor::of(media_type::DOCKER_CONFIG, Algorithm::Sha256, &text);
    let manifest = plimsoll_spec::docker::Manifest::new(
        config.clone(),
        vec![Descriptor { media_type: media_type::DOCKER_LAYER, ..layer.clone() }],
    );
    let manifest = plimsoll_content::Document::new(manifest).expect("canonical");
    let image = manifest.descriptor(media_type::DOCKER_MANIFEST, Algorithm::Sha256);
    let mut written = Vec::new();
    for name in ["file", "stream"] {
        let path = folder.path().join(name);
        let output = match name {
            "file" => Output::file(&path).expect("new"),
            _ => Output::stream(Box::new(File::create(&path).expect("made")), "-", folder.path()),
        };
        let writer = DockerWriter::new(output);
        let sink: &dyn Sink = &writer;
        assert_eq!(code(writer.tag("app:v1", &image)), Code::NotFound);
        let zipped = Descriptor { media_type: media_type::LAYER_GZIP, ..layer.clone() };
        assert_eq!(code(sink.write(&zipped, b"layer")), Code::Unrepresentable);
        // The size is known at the end only; what comes twice lies there once.
        for _ in 0..2 {
            let mut sealing = Sealing::new(sink.begin().expect("begun"), Algorithm::Sha256);
            sealing.write_all(b"layer").expect("written");
            let (proof, ingest) = sealing.finish(media_type::LAYER);
            ingest.commit(proof).expect("kept");
            sink.write(&config, &text).expect("kept");
        }
        assert_eq!(writer.layer(&layer.digest), Some(5));
        sink.write(&image, manifest.bytes()).expect("remembered");
        writer.tag("app:v1", &image).expect("listed");
        writer.tag("app:v2", &image).expect("listed");
        writer.publish().expect("published");
        let archive = Archive::open(&path, None, folder.path(), Limits::default()).expect("read");
        let catalog = archive.catalog();
        let names: Vec<_> = catalog.entries().iter().map(|entry| entry.name()).collect();
        assert_eq!(names, [Some("app:v1"), Some("app:v2")]);
        assert_eq!(catalog.entries()[0].descriptor.digest, image.digest);
        written.push(fs::read(&path).expect("read"));
    }
    assert_eq!(written[0], written[1]);
}

#[test]
fn long_names_and_late_sizes_fit() {
    // The name of a sha512 blob needs a longer header than was left room for.
    let folder = tempfile::tempdir().expect("folder");
    let bytes = vec![7; 300_000];
    let blob = Descriptor::of(media_type::LAYER, Algorithm::Sha512, &bytes);
    let path = folder.path().join("archive");
    let writer = OciWriter::new(Output::file(&path).expect("new"));
    let mut ingest = writer.begin().expect("begun");
    ingest.write_all(&bytes).expect("written");
    let reader = plimsoll_content::Unverified::new(&bytes[..]).verify(&blob).expect("known");
    ingest.commit(reader.finish().expect("proved").0).expect("kept");
    writer.add(&blob).expect("listed");
    writer.publish().expect("published");
    let archive = Archive::open(&path, None, folder.path(), Limits::default()).expect("opened");
    let found = archive.open(&blob).expect("there").read_all().expect("proved");
    assert_eq!(found, bytes);
}

#[test]
fn a_blob_that_fails_is_taken_back_from_a_file_and_ends_a_stream() {
    let (place, roots, _) = layout();
    let folder = tempfile::tempdir().expect("folder");
    let broken = Descriptor::of(media_type::LAYER, Algorithm::Sha256, b"right");
    let fail = |writer: &OciWriter| {
        let mut ingest = writer.receive(&broken).expect("begun");
        ingest.write_all(b"wro").expect("written");
    };
    let path = folder.path().join("file");
    let writer = OciWriter::new(Output::file(&path).expect("new"));
    fail(&writer);
    let bytes = read(&place.layout, &roots[1]).expect("read");
    (&writer as &dyn Sink).write(&roots[1], &bytes).expect("goes on");
    writer.publish().expect("published");
    let archive = Archive::open(&path, None, folder.path(), Limits::default()).expect("opened");
    assert_eq!(archive.open(&roots[1]).expect("there").read_all().expect("proved"), bytes);
    let stream = Output::stream(Box::new(Vec::new()), "-", folder.path());
    let writer = OciWriter::new(stream);
    fail(&writer);
    assert_eq!(code((&writer as &dyn Sink).write(&roots[1], &bytes)), Code::Failed);
    assert_eq!(code(writer.publish()), Code::Failed);
}

#[test]
fn dropped_archives_and_folders_leave_nothing() {
    let folder = tempfile::tempdir().expect("folder");
    let writer = OciWriter::new(Output::file(&folder.path().join("x")).expect("new"));
    drop(writer);
    drop(DirWriter::create(&folder.path().join("y")).expect("new"));
    assert_eq!(names(folder.path()), [""; 0]);
}

#[test]
fn a_dir_folder_holds_nested_images() {
    let (place, roots, _) = layout();
    let folder = tempfile::tempdir().expect("folder");
    let path: PathBuf = folder.path().join("dir");
    let writer = DirWriter::create(&path).expect("new");
    for blob in reachable(&place.layout, &roots[0]).expect("walked").present {
        let bytes = read(&place.layout, &blob).expect("read");
        (&writer as &dyn Sink).write(&blob, &bytes).expect("written");
    }
    writer.publish(&roots[0]).expect("published");
    assert_eq!(
        fs::read(path.join("manifest.json")).expect("read"),
        read(&place.layout, &roots[0]).expect("read")
    );
    assert_eq!(
        fs::read(path.join("version")).expect("read"),
        b"Directory Transport Version: 1.1\n"
    );
    assert!(path.join(format!("{}.manifest.json", roots[1].digest.encoded())).is_file());
    let dir = Dir::open(&path, Limits::default()).expect("opened");
    let root = dir.catalog().entries()[0].descriptor.clone();
    assert_eq!(root.digest, roots[0].digest);
    let source: &dyn Source = &dir;
    assert_eq!(source.document::<Index>(&root).expect("read").manifests.len(), 2);
    assert_eq!(reachable(source, &root).expect("walked").missing.len(), 0);
    // Links lead nowhere.
    let hex = roots[1].digest.encoded();
    let name = path.join(format!("{hex}.manifest.json"));
    fs::remove_file(&name).expect("removed");
    std::os::unix::fs::symlink("/etc/passwd", &name).expect("a link");
    assert_eq!(code(dir.fetch(&roots[1], 0)), Code::UnsafeEntry);
}

#[test]
fn gr05_referrers_of_referrers_end() {
    use plimsoll_store::{Referrers, closure};
    let place = Place::new();
    let layout: &Layout = &place.layout;
    let start = image(layout, "one");
    layout.tag("v1", &start).expect("named");
    let empty = put(layout, b"{}");
    let mut subject = start.clone();
    let mut listed = Vec::new();
    for _ in 0..5 {
        let text = format!(
            r#"{{"config":{config},"layers":[],"mediaType":"{kind}","schemaVersion":2,"subject":{subject}}}"#,
            config = serde_json::to_string(&empty).expect("json"),
            kind = media_type::MANIFEST,
            subject = serde_json::to_string(&subject).expect("json"),
        );
        subject = Descriptor::of(media_type::MANIFEST, Algorithm::Sha256, text.as_bytes());
        (layout as &dyn Sink).write(&subject, text.as_bytes()).expect("written");
        layout.add(&subject).expect("listed");
        listed.push(subject.digest.clone());
    }
    let tag = format!("sha256-{}.sig", start.digest.encoded());
    let signature = image(layout, "signature");
    layout.tag(&tag, &signature).expect("named");
    let referrers = Referrers::of(layout, &layout.catalog().expect("read")).expect("found");
    let all = closure(layout, &start, Some(&referrers)).expect("walked");
    let found: Vec<_> = all.referrers.iter().map(|one| one.digest.clone()).collect();
    assert_eq!(found, listed);
    assert_eq!(all.named.len(), 1);
    assert_eq!(all.named[0].name(), Some(&*tag));
    assert!(all.reachable.present.iter().any(|blob| blob.digest == signature.digest));
    let alone = closure(layout, &start, None).expect("walked");
    assert_eq!((alone.referrers.len(), alone.reachable.present.len()), (0, 3));
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .expect("listed")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}
