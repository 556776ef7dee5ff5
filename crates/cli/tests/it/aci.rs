//! App container images, as places to read from.

use std::fs;
use std::io::Write as _;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::old::{Content, file, tar};
use crate::schema1::gzip;
use crate::support::Sandbox;

fn manifest() -> Value {
    json!({
        "acKind": "ImageManifest", "acVersion": "0.8.11", "name": "example.com/worker",
        "labels": [
            {"name": "version", "value": "1.0.0"}, {"name": "os", "value": "linux"},
            {"name": "arch", "value": "amd64"}, {"name": "env", "value": "canary"},
        ],
        "app": {
            "exec": ["/bin/worker", "--quiet"], "user": "100", "group": "300",
            "supplementaryGIDs": [400, 500], "workingDirectory": "/opt/work",
            "environment": [{"name": "DEBUG", "value": "true"}, {"name": "A", "value": "b=c"}],
            "mountPoints": [{"name": "work", "path": "/var/work", "readOnly": true}],
            "ports": [
                {"name": "health", "port": 4000, "protocol": "tcp", "socketActivated": true},
                {"name": "data", "port": 20000, "count": 3, "protocol": "udp"},
            ],
            "eventHandlers": [{"name": "pre-start", "exec": ["/x"]}],
            "isolators": [{"name": "resource/cpu", "value": {"limit": "1"}}],
            "userLabels": {"tier": "back"}, "userAnnotations": {"note": "x"},
        },
        "annotations": [
            {"name": "created", "value": "2014-10-27T19:32:27Z"},
            {"name": "authors", "value": "nobody"},
            {"name": "homepage", "value": "https://example.com"},
            {"name": "example.com/own", "value": "kept"}, {"name": "bare", "value": "kept too"},
        ],
    })
}

fn aci(manifest: &Value, tool: &str) -> Vec<u8> {
    tar(&[
        ("rootfs", Content::Folder),
        ("rootfs/opt/work", Content::Folder),
        ("rootfs/bin/worker", Content::File(tool.as_bytes().to_vec(), 0o4755)),
        ("manifest", file(manifest.to_string())),
    ])
}

#[test]
fn an_image_keeps_how_it_is_started_and_what_it_is_called() {
    let sandbox = Sandbox::new();
    sandbox.write("app.aci", gzip(&aci(&manifest(), "tool")));
    let report = sandbox.json(&["copy", "aci:app.aci", "oci:out:app"]);
    let told = report["warnings"].to_string();
    for lost in [
        "isolators: resource/cpu",
        "eventHandlers: pre-start",
        "supplementaryGIDs, kept as an annotation: 400, 500",
        "readOnly of mountPoints: work",
        "socketActivated of ports: health",
    ] {
        assert!(told.contains(lost), "{lost}: {told}");
    }
    sandbox.ok(&["validate", "oci:out:app"]);
    let config: Value =
        serde_json::from_str(&sandbox.ok(&["show", "oci:out:app", "config"])).expect("JSON");
    assert_eq!(
        config["config"],
        json!({
            "Entrypoint": ["/bin/worker", "--quiet"], "Env": ["DEBUG=true", "A=b=c"],
            "User": "100:300", "WorkingDir": "/opt/work", "Volumes": {"/var/work": {}},
            "ExposedPorts": {"4000/tcp": {}, "20000/udp": {}, "20001/udp": {}, "20002/udp": {}},
            "Labels": {"tier": "back"},
        })
    );
    assert_eq!((&config["os"], &config["architecture"]), (&json!("linux"), &json!("amd64")));
    assert_eq!(config["author"], json!("nobody"));
    let inspected = sandbox.json(&["inspect", "oci:out:app"]);
    let annotations = &inspected["annotations"];
    for (name, value) in [
        ("appc.io/name", "example.com/worker"),
        ("appc.io/label/version", "1.0.0"),
        ("appc.io/label/env", "canary"),
        ("appc.io/supplementary-gids", "400,500"),
        ("appc.io/annotation/bare", "kept too"),
        ("example.com/own", "kept"),
        ("note", "x"),
        ("org.opencontainers.image.version", "1.0.0"),
        ("org.opencontainers.image.created", "2014-10-27T19:32:27Z"),
        ("org.opencontainers.image.url", "https://example.com"),
    ] {
        assert_eq!(annotations[name], json!(value), "{name}");
    }
    // In a list of images, the labels are what one is found by.
    let entry = &sandbox.layout("out").index()["manifests"][0];
    assert_eq!(entry["annotations"]["env"], json!("canary"));
    assert_eq!(entry["platform"], json!({"architecture": "amd64", "os": "linux"}));
    sandbox.ok(&["unpack", "aci:app.aci", "tree"]);
    assert_eq!(fs::read(sandbox.path("tree/bin/worker")).expect("read"), b"tool");
    sandbox.ok(&["bundle", "./app.aci", "bundle"]);
    let spec: Value =
        serde_json::from_slice(&fs::read(sandbox.path("bundle/config.json")).expect("read"))
            .expect("JSON");
    assert_eq!(spec["process"]["args"], json!(["/bin/worker", "--quiet"]));
    assert_eq!(spec["process"]["user"]["uid"], json!(100));
    assert_eq!(spec["process"]["user"]["gid"], json!(300));
    assert_eq!(spec["process"]["cwd"], json!("/opt/work"));
}

#[test]
fn it_is_found_however_it_is_named_and_packed() {
    let sandbox = Sandbox::new();
    let plain = aci(&manifest(), "tool");
    sandbox.write("plain.aci", &plain);
    sandbox.write("packed.aci", gzip(&plain));
    sandbox.write("odd", gzip(&plain));
    let digest = sandbox.ok(&["inspect", "-q", "aci:plain.aci"]);
    for place in ["aci:packed.aci", "./plain.aci", "./packed.aci", "./odd", "aci:odd"] {
        assert_eq!(sandbox.ok(&["inspect", "-q", place]), digest, "{place}");
    }
    for file in ["plain.aci", "packed.aci", "odd"] {
        let loaded = sandbox.ok(&["load", "-i", file]);
        assert_eq!(loaded, "Loaded image: example.com/worker:1.0.0\n", "{file}");
    }
    assert_eq!(sandbox.ok(&["inspect", "-q", "example.com/worker:1.0.0"]), digest);
    let mut child = sandbox
        .command(&["copy", "aci:-", "oci:piped"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("started");
    child.stdin.take().expect("a pipe").write_all(&gzip(&plain)).expect("written");
    assert!(child.wait_with_output().expect("waited").status.success());
    assert_eq!(sandbox.ok(&["inspect", "-q", "oci:piped"]), digest);
    // It is not written.
    let errors = sandbox.fails(2, &["copy", "./plain.aci", "aci:new.aci"]);
    assert!(errors.contains("only read"), "{errors}");
    let errors = sandbox.fails(2, &["edit", "./plain.aci", "--label", "a=b"]);
    assert!(errors.contains("plimsoll copy"), "{errors}");
    sandbox.fails(2, &["copy", "./plain.aci", "./new.aci"]);
}

#[test]
fn what_it_depends_on_lies_below_it() {
    let sandbox = Sandbox::new();
    let mut base = manifest();
    base["name"] = json!("example.com/base");
    base.as_object_mut().expect("an object").remove("app");
    sandbox.write("below/base.aci", gzip(&aci(&base, "old tool")));
    let mut top = manifest();
    top["dependencies"] = json!([{"imageName": "example.com/base"}]);
    top["pathWhitelist"] = json!(["/bin/worker"]);
    sandbox.write(
        "app.aci",
        tar(&[
            ("manifest", file(top.to_string())),
            ("rootfs", Content::Folder),
            ("rootfs/other", file("left out")),
        ]),
    );
    let errors = sandbox.fails(3, &["inspect", "aci:app.aci"]);
    assert!(errors.contains("--aci-path"), "{errors}");
    sandbox.ok(&["copy", "aci:app.aci", "oci:out:app", "--aci-path", "below"]);
    assert_eq!(sandbox.layout("out").only().0["layers"].as_array().map(Vec::len), Some(2));
    sandbox.ok(&["unpack", "oci:out:app", "tree"]);
    assert_eq!(fs::read(sandbox.path("tree/bin/worker")).expect("read"), b"old tool");
    assert!(!sandbox.path("tree/other").exists());
    assert!(!sandbox.path("tree/opt").exists());
    let done = sandbox
        .command(&["inspect", "-q", "./app.aci"])
        .env("PLIMSOLL_ACI_PATH", "elsewhere:below")
        .output()
        .expect("started");
    assert!(!done.status.success(), "a folder that is not there is told");
    let done = sandbox
        .command(&["inspect", "-q", "./app.aci"])
        .env("PLIMSOLL_ACI_PATH", ".:below")
        .output()
        .expect("started");
    assert!(done.status.success());
}
