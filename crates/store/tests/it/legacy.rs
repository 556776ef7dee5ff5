//! Archives of docker before 1.10: folders of one layer each, and
//! `repositories`.

use std::io::Write;

use plimsoll_content::{Code, Digest, Source};
use plimsoll_spec::{Config, Manifest, media_type};
use plimsoll_store::{Form, reachable};

use crate::archive::{Raw, both, refused, sha256, tar};
use crate::build::code;

/// The name and content of a file, and whether it is a link.
type Named = (String, u8, Vec<u8>);

fn id(number: usize) -> String {
    format!("{number:064x}")
}

/// The folder of an image. An old docker writes the keys in that order.
fn folder(number: usize, parent: Option<usize>, command: &str, layer: &[u8]) -> Vec<Named> {
    let own = id(number);
    let parent = parent.map_or(String::new(), |parent| format!(r#""parent":"{}","#, id(parent)));
    let json = format!(
        r#"{{"id":"{own}",{parent}"created":"2014-10-01T20:46:0{number}.8Z","container":"c{number}","container_config":{{"Hostname":"h","Cmd":["/bin/sh","-c","{command}"],"Image":"x"}},"docker_version":"1.2.0","author":"nobody","config":{{"Hostname":"h","User":"7:8","Env":["A=b"],"Cmd":["run","{number}"],"Volumes":null,"ExposedPorts":{{"80/tcp":{{}}}},"WorkingDir":"/w","Entrypoint":null,"OnBuild":[]}},"architecture":"amd64","os":"linux","Size":{}}}"#,
        layer.len()
    );
    vec![
        (format!("{own}/"), b'5', Vec::new()),
        (format!("{own}/VERSION"), b'0', b"1.0".to_vec()),
        (format!("{own}/json"), b'0', json.into_bytes()),
        (format!("{own}/layer.tar"), b'0', layer.to_vec()),
    ]
}

fn repositories(names: &[(&str, &str, usize)]) -> Named {
    let mut all = serde_json::Map::new();
    for (name, tag, number) in names {
        let tags = all.entry(*name).or_insert_with(|| serde_json::json!({}));
        tags[*tag] = serde_json::Value::from(id(*number));
    }
    ("repositories".to_owned(), b'0', serde_json::to_vec(&all).expect("json"))
}

fn archive(files: &[Named]) -> Vec<u8> {
    let entries: Vec<Raw<'_>> =
        files.iter().map(|(name, kind, content)| (&**name, *kind, &**content)).collect();
    tar(&entries)
}

fn layer(name: &str) -> Vec<u8> {
    tar(&[(name, b'0', name.as_bytes())])
}

/// Three images on one another, the middle one a step without a layer, and
/// two names.
fn chain() -> Vec<Named> {
    let mut files = folder(3, Some(2), "touch top", &layer("top"));
    files.extend(folder(1, None, "add base", &layer("base")));
    files.extend(folder(2, Some(1), "#(nop) CMD [x]", &[0; 1024]));
    files.push(repositories(&[("app", "v1", 3), ("example.com/app", "latest", 3)]));
    files
}

/// The configs and layers of the images, both ways of reading compared.
fn images(files: &[Named]) -> Vec<(Option<String>, Config, Vec<Vec<u8>>)> {
    let (opened, received) = both(&archive(files), None);
    let opened = opened.expect("opened");
    let (place, received) = received.expect("received");
    assert_eq!((opened.form(), received.form), (Form::Docker, Form::Docker));
    assert_eq!(opened.catalog().entries(), received.catalog.entries());
    let mut images = Vec::new();
    for entry in opened.catalog().entries() {
        let mut seen = Vec::new();
        for source in [&opened as &dyn Source, &place.layout] {
            let all = reachable(source, &entry.descriptor).expect("walked");
            assert!(all.missing.is_empty(), "{:?}", all.missing);
            let manifest = source.document::<Manifest>(&entry.descriptor).expect("manifest");
            let config = source.document::<Config>(&manifest.config).expect("config");
            let layers: Vec<_> = manifest
                .layers
                .iter()
                .map(|layer| source.open(layer).expect("there").read_all().expect("proved"))
                .collect();
            seen.push((entry.name().map(str::to_owned), config.view().clone(), layers));
        }
        assert_eq!(seen[0], seen[1]);
        images.push(seen.remove(0));
    }
    images
}

#[test]
fn a_chain_is_an_image_in_any_order_of_entries() {
    let mut files = chain();
    let wanted = images(&files);
    assert_eq!(wanted.len(), 2, "two names");
    let (name, config, layers) = &wanted[0];
    assert_eq!(name.as_deref(), Some("app:v1"));
    assert_eq!(wanted[1].0.as_deref(), Some("example.com/app:latest"));
    assert_eq!(layers, &[layer("base"), layer("top")]);
    let diff_ids: Vec<_> = config.rootfs.diff_ids.iter().map(Digest::encoded).collect();
    assert_eq!(diff_ids, [sha256(&layers[0]), sha256(&layers[1])]);
    let steps: Vec<_> = config
        .history
        .iter()
        .map(|step| (step.created_by.as_deref().expect("told"), step.empty_layer))
        .collect();
    let told = [
        ("/bin/sh -c add base", false),
        ("/bin/sh -c #(nop) CMD [x]", true),
        ("/bin/sh -c touch top", false),
    ];
    assert_eq!(steps, told);
    assert_eq!(config.created.as_deref(), Some("2014-10-01T20:46:03.8Z"));
    let execution = config.config.as_ref().expect("config");
    assert_eq!(execution.cmd.as_deref(), Some(&["run".to_owned(), "3".to_owned()][..]));
    assert_eq!(execution.user.as_deref(), Some("7:8"));
    assert!(execution.exposed_ports.contains_key("80/tcp"));
    for _ in 0..files.len() {
        files.rotate_left(1);
        assert_eq!(images(&files), wanted);
    }
    let prefixed: Vec<_> =
        files.iter().map(|(name, kind, text)| (format!("./{name}"), *kind, text.clone())).collect();
    assert_eq!(images(&prefixed), wanted);
}

#[test]
fn without_names_the_images_are_what_nothing_lies_on() {
    let mut files = chain();
    files.pop();
    files.extend(folder(4, Some(1), "other", &layer("other")));
    let found = images(&files);
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(|(name, ..)| name.is_none()));
    files.push(repositories(&[("app", "base", 1), ("app", "top", 3)]));
    let names: Vec<_> = images(&files).into_iter().map(|(name, ..)| name).collect();
    assert_eq!(names, [Some("app:base".to_owned()), Some("app:top".to_owned()), None]);
}

#[test]
fn da05_one_file_is_the_layer_of_several_images() {
    let mut files = folder(1, None, "base", &layer("base"));
    files.extend(folder(2, Some(1), "again", b""));
    files.extend(folder(3, Some(2), "and again", b""));
    files.push(repositories(&[("app", "v1", 3)]));
    files[7].1 = b'2';
    files[7].2 = format!("../{}/layer.tar", id(1)).into_bytes();
    files[11].1 = b'1';
    files[11].2 = format!("{}/layer.tar", id(1)).into_bytes();
    // A document can have several names as well.
    let (json, version) = (files[6].clone(), files[5].clone());
    files[6] = (json.0, b'1', b"elsewhere".to_vec());
    files.push(("elsewhere".to_owned(), b'0', json.2));
    assert_eq!(version.2, b"1.0");
    let found = images(&files);
    assert_eq!(found[0].2, [layer("base"), layer("base"), layer("base")]);
    files[7].2 = b"/etc/passwd".to_vec();
    refused(&archive(&files), Code::UnsafeEntry);
    files[7].2 = b"../../layer.tar".to_vec();
    refused(&archive(&files), Code::UnsafeEntry);
}

#[test]
fn a_step_is_empty_if_its_layer_is() {
    let throwaway = |content: &[u8]| {
        let mut files = folder(1, None, "x", content);
        let json = String::from_utf8(files[2].2.clone()).expect("text");
        files[2].2 = json.replacen('{', r#"{"throwaway":true,"#, 1).into_bytes();
        files
    };
    let steps = |files: &[Named]| {
        let (_, config, layers) = images(files).remove(0);
        (config.history[0].empty_layer, layers.len())
    };
    // What is said to be empty and is not counts: docker applies it too.
    assert_eq!(steps(&throwaway(&layer("file"))), (false, 1));
    let (opened, _) = both(&archive(&throwaway(&layer("file"))), None);
    assert!(opened.expect("opened").findings()[0].contains("is said to be empty"));
    let mut none = throwaway(b"");
    none.pop();
    assert_eq!(steps(&none), (true, 0));
    for size in [0, 512, 1024, 10_240] {
        assert_eq!(steps(&folder(1, None, "x", &vec![0; size])), (true, 0), "{size}");
    }
    // Folders and whiteouts have no size, and are something.
    let whiteout = tar(&[(".wh.x", b'0', b"")]);
    assert_eq!(steps(&folder(1, None, "x", &whiteout)), (false, 1));
}

#[test]
fn a_compressed_layer_is_inflated_for_its_diff_id() {
    let mut packed = flate2(&layer("base"));
    let files = folder(1, None, "x", &packed);
    let (opened, received) = both(&archive(&files), None);
    let opened = opened.expect("opened");
    let all = reachable(&opened, &opened.catalog().entries()[0].descriptor).expect("walked");
    assert_eq!(all.present[2].media_type, media_type::DOCKER_LAYER_GZIP);
    let config = (&opened as &dyn Source).document::<Config>(&all.present[1]).expect("config");
    assert_eq!(config.rootfs.diff_ids[0].encoded(), sha256(&layer("base")));
    assert_eq!(code(received.map(|_| ())), Code::Unrepresentable);
    packed.truncate(20);
    packed.resize(packed.len() + 2048, 7);
    let (opened, _) = both(&archive(&folder(1, None, "x", &packed)), None);
    assert_eq!(code(opened), Code::Layer);
}

fn flate2(bytes: &[u8]) -> Vec<u8> {
    let level = "gzip:6".parse().expect("a compression");
    let mut encoder = plimsoll_layer::codec::Encoder::new(level, Vec::new()).expect("encoder");
    encoder.write_all(bytes).expect("written");
    encoder.finish().expect("finished")
}

#[test]
fn parents_that_lead_in_a_circle_or_nowhere_are_refused() {
    let mut circle = folder(1, Some(2), "a", &layer("a"));
    circle.extend(folder(2, Some(1), "b", &layer("b")));
    refused(&archive(&circle), Code::Malformed);
    circle.push(repositories(&[("app", "v1", 1)]));
    refused(&archive(&circle), Code::Malformed);
    refused(&archive(&folder(1, Some(1), "a", &layer("a"))), Code::Malformed);
    refused(&archive(&folder(1, Some(9), "a", &layer("a"))), Code::NotFound);
    let mut unknown = folder(1, None, "a", &layer("a"));
    unknown.push(repositories(&[("app", "v1", 9)]));
    refused(&archive(&unknown), Code::NotFound);
    let mut bare = folder(1, None, "a", &layer("a"));
    bare.pop();
    bare.push(repositories(&[("app", "v1", 1)]));
    refused(&archive(&bare), Code::NotFound);
}

#[test]
fn ids_are_what_their_folders_are_called() {
    let mut lying = folder(1, None, "a", &layer("a"));
    let other = lying[2].2.clone();
    for file in &mut lying {
        file.0 = file.0.replace(&id(1), &id(2));
    }
    lying[2].2 = other;
    refused(&archive(&lying), Code::Malformed);
    for parent in ["../../etc", "/etc", "a/b", ".."] {
        let mut files = folder(1, None, "a", &layer("a"));
        let json = String::from_utf8(files[2].2.clone()).expect("text");
        files[2].2 = json.replacen('{', &format!("{{\"parent\":{parent:?},"), 1).into_bytes();
        refused(&archive(&files), Code::UnsafeEntry);
    }
    let mut files = folder(1, None, "a", &layer("a"));
    files.push(("repositories".to_owned(), b'0', br#"{"app":{"v1":"../x"}}"#.to_vec()));
    refused(&archive(&files), Code::UnsafeEntry);
    files.pop();
    files.push(("repositories".to_owned(), b'0', br#"{"../app":{"v1":"x"}}"#.to_vec()));
    refused(&archive(&files), Code::Malformed);
    // Two parents are two images of one digest for two readers.
    let mut files = chain();
    let json = String::from_utf8(files[2].2.clone()).expect("text");
    files[2].2 = json.replacen('{', r#"{"parent":"x","#, 1).into_bytes();
    refused(&archive(&files), Code::Malformed);
}

#[test]
fn documents_of_long_chains_have_a_budget() {
    let mut files: Vec<Named> = Vec::new();
    for number in 0..40 {
        files.extend(folder(number, number.checked_sub(1), &"x".repeat(300), b""));
    }
    let names: Vec<_> = (0..40).map(|number| format!("v{number}")).collect();
    let all: Vec<_> =
        names.iter().enumerate().map(|(number, name)| ("app", &**name, number)).collect();
    files.push(repositories(&all));
    let bytes = archive(&files);
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("archive");
    std::fs::write(&path, bytes).expect("written");
    let open = |limits| plimsoll_store::Archive::open(&path, None, folder.path(), limits);
    let limits = plimsoll_content::limits::Limits::default();
    assert_eq!(open(limits).expect("within").catalog().entries().len(), 40);
    let small = plimsoll_content::limits::Limits { archive_documents: 200_000, ..limits };
    assert_eq!(code(open(small)), Code::Limit);
    let short = plimsoll_content::limits::Limits { layers: 39, ..limits };
    assert_eq!(code(open(short)), Code::Limit);
}
