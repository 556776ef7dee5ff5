//! Old forms of images, as places like all others.

use std::fs;
use std::io::Write as _;
use std::process::Stdio;

use plimsoll::layer::tar::Writer;
use plimsoll::layer::{Entry, EntryKind, RelPath, Timestamp};
use serde_json::{Value, json};

use crate::support::Sandbox;

/// What an archive holds under a name.
pub(crate) enum Content {
    Folder,
    File(Vec<u8>, u32),
    Link(&'static str),
}

pub(crate) fn file(content: impl AsRef<[u8]>) -> Content {
    Content::File(content.as_ref().to_vec(), 0o644)
}

/// A tar archive of these entries.
pub(crate) fn tar(entries: &[(&str, Content)]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for (name, content) in entries {
        let (kind, mode, bytes) = match content {
            Content::Folder => (EntryKind::Directory, 0o755, &[][..]),
            Content::File(bytes, mode) => {
                (EntryKind::File { size: bytes.len() as u64 }, *mode, &bytes[..])
            }
            Content::Link(target) => {
                (EntryKind::Symlink { target: target.as_bytes().to_vec() }, 0o777, &[][..])
            }
        };
        let entry = Entry {
            path: RelPath::parse(name.as_bytes()).expect("a path"),
            kind,
            mode,
            uid: 0,
            gid: 0,
            mtime: Timestamp::default(),
            xattrs: Vec::new(),
        };
        writer.append(&entry, bytes).expect("written");
    }
    writer.finish().expect("finished")
}

/// What docker 1.9 saves of an image of two layers and a step without one.
fn saved() -> Vec<u8> {
    let id = |number: u8| format!("{number:064x}");
    let json = |number: u8, command: &str| {
        let mut json = json!({
            "id": id(number), "created": "2015-01-02T03:04:05Z", "architecture": "amd64",
            "os": "linux", "container_config": {"Cmd": ["/bin/sh", "-c", command]},
            "config": {"Cmd": ["/bin/tool"], "Env": ["A=b"], "WorkingDir": "/w", "User": "1:2"},
        });
        if number > 1 {
            json["parent"] = json!(id(number - 1));
        }
        file(json.to_string())
    };
    let base = tar(&[("etc", Content::Folder), ("etc/motd", file("old\n"))]);
    let top = tar(&[("bin/tool", Content::File(b"#!/bin/sh\n".to_vec(), 0o755))]);
    let names: Vec<String> = (1..=3)
        .flat_map(|number| {
            ["VERSION", "json", "layer.tar"].map(|name| format!("{}/{name}", id(number)))
        })
        .collect();
    tar(&[
        (&names[0], file("1.0")),
        (&names[1], json(1, "add base")),
        (&names[2], file(base)),
        (&names[3], file("1.0")),
        (&names[4], json(2, "#(nop) ENV A=b")),
        (&names[5], file([0; 1024])),
        (&names[6], file("1.0")),
        (&names[7], json(3, "add tool")),
        (&names[8], file(top)),
        ("repositories", file(json!({"app": {"v1": id(3)}}).to_string())),
    ])
}

#[test]
fn archives_of_docker_before_1_10_are_images() {
    let sandbox = Sandbox::new();
    sandbox.write("old.tar", saved());
    let digest = sandbox.ok(&["inspect", "-q", "docker-archive:old.tar"]);
    for place in ["./old.tar", "docker-archive:old.tar:app:v1", "./old.tar:app:v1"] {
        assert_eq!(sandbox.ok(&["inspect", "-q", place]), digest, "{place}");
        sandbox.ok(&["validate", place]);
    }
    let listed = sandbox.json(&["ls", "./old.tar"]);
    assert_eq!(listed["images"][0]["name"], json!("app:v1"), "{listed}");
    let steps = sandbox.json(&["history", "./old.tar"]);
    let steps: Vec<_> = steps["steps"]
        .as_array()
        .expect("steps")
        .iter()
        .map(|step| (step["createdBy"].as_str().expect("told").to_owned(), &step["emptyLayer"]))
        .collect();
    assert_eq!(steps.len(), 3);
    assert_eq!(steps[1], ("/bin/sh -c #(nop) ENV A=b".to_owned(), &json!(true)));
    sandbox.ok(&["unpack", "./old.tar", "out"]);
    assert_eq!(fs::read(sandbox.path("out/etc/motd")).expect("read"), b"old\n");
    assert_eq!(fs::read(sandbox.path("out/bin/tool")).expect("read"), b"#!/bin/sh\n");
    // In place, through a pipe, and compressed: the same image.
    sandbox.ok(&["copy", "docker-archive:old.tar", "oci:place"]);
    assert_eq!(sandbox.ok(&["inspect", "-q", "oci:place:app:v1"]), digest);
    let mut child = sandbox
        .command(&["load", "-q"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("started");
    child.stdin.take().expect("a pipe").write_all(&saved()).expect("written");
    let done = child.wait_with_output().expect("waited");
    assert!(done.status.success());
    assert_eq!(String::from_utf8_lossy(&done.stdout), digest);
    // What docker of today loads is made of it, with the same config.
    sandbox.ok(&["copy", "./old.tar", "docker-archive:new.tar"]);
    let config = |place: &str| -> Value {
        serde_json::from_str(&sandbox.ok(&["show", place, "config"])).expect("JSON")
    };
    assert_eq!(config("./new.tar:app:v1"), config("./old.tar"));
    assert_eq!(config("./old.tar")["config"]["User"], json!("1:2"));
}

#[test]
fn what_is_wrong_in_an_old_archive_is_told() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "loop.tar",
        tar(&[
            ("a/json", file(r#"{"id":"a","parent":"b"}"#)),
            ("a/layer.tar", file([0; 1024])),
            ("b/json", file(r#"{"id":"b","parent":"a"}"#)),
            ("b/layer.tar", file([0; 1024])),
        ]),
    );
    let errors = sandbox.fails(6, &["inspect", "./loop.tar"]);
    assert!(errors.contains("parents that end"), "{errors}");
    sandbox.write(
        "alone.tar",
        tar(&[("a/json", file(r#"{"id":"a","parent":"b"}"#)), ("a/layer.tar", file([0; 1024]))]),
    );
    let errors = sandbox.fails(3, &["inspect", "./alone.tar"]);
    assert!(errors.contains("b/json") && errors.contains("parent of image"), "{errors}");
    sandbox.write(
        "out.tar",
        tar(&[("a/json", file("{}")), ("a/layer.tar", Content::Link("../../etc/passwd"))]),
    );
    sandbox.fails(6, &["inspect", "./out.tar"]);
}
