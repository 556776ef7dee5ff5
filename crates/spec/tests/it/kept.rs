//! Unknown members, media types and algorithms survive the way through the
//! view (CF24, CO2, JS13).

use plimsoll_content::{Document, View, json};
use plimsoll_spec::{Config, Index, LayoutHeader, Manifest, docker};
use serde_json::Value;

use crate::{DIGEST, config, index, manifest, parsed};

/// Numbers that no double holds, of every kind that `serde_json` treats in
/// its own way.
const UNKNOWN: &str = r#""x-deep":{"a":[1.50,-0,18446744073709551617,-9223372036854775809,0.1234567890123456789,1e+400,{"b":null,"c":true}],"é":"\u0001"}"#;

/// A canonical text is written again as it was.
#[track_caller]
fn survives<T: View>(text: &str) {
    let document = parsed::<T>(text);
    assert_eq!(&document.bytes()[..], text.as_bytes());
    let again = json::canonical(document.view()).expect("written");
    assert_eq!(String::from_utf8(again).expect("UTF-8"), text);
}

fn descriptors() -> (String, String) {
    let plain = format!(r#"{{"digest":"{DIGEST}","mediaType":"a/b","size":2,{UNKNOWN}}}"#);
    let odd = format!(
        r#"{{"annotations":{{"k":""}},"artifactType":"future","data":"not base64","digest":"later+x:AbC_-=","mediaType":"no media type","platform":{{"architecture":"amd64","features":["sse4"],"os":"linux","os.features":["f"],"os.version":"1","variant":"v9",{UNKNOWN}}},"size":9223372036854775807,"urls":["x"],{UNKNOWN}}}"#
    );
    (plain, odd)
}

#[test]
fn in_a_manifest() {
    let (plain, odd) = descriptors();
    survives::<Manifest>(&format!(
        r#"{{"annotations":{{"k":"v"}},"artifactType":"x/y","config":{odd},"layers":[{plain},{odd}],"mediaType":"application/vnd.oci.image.manifest.v1+json","schemaVersion":2,"subject":{odd},{UNKNOWN}}}"#
    ));
}

#[test]
fn in_an_index() {
    let (plain, odd) = descriptors();
    survives::<Index>(&format!(
        r#"{{"artifactType":"x/y","manifests":[{odd},{plain}],"schemaVersion":2,"subject":{plain},{UNKNOWN}}}"#
    ));
}

#[test]
fn in_the_header_of_a_layout() {
    survives::<LayoutHeader>(&format!(r#"{{"imageLayoutVersion":"1.0.0",{UNKNOWN}}}"#));
}

#[test]
fn cf18_in_a_config_reserved_members_too() {
    survives::<Config>(&format!(
        r#"{{"architecture":"amd64","config":{{"ArgsEscaped":true,"Cmd":["a"],"CpuShares":1,"ExposedPorts":{{"80/tcp":{{{UNKNOWN}}}}},"Healthcheck":{{"Interval":1e+400}},"Labels":{{"l":"v"}},"Memory":18446744073709551617,"MemorySwap":0,"User":"u","Volumes":{{"/v":{{}}}},{UNKNOWN}}},"history":[{{"created_by":"x","empty_layer":true,{UNKNOWN}}},{{{UNKNOWN}}}],"os":"linux","os.features":["f"],"os.version":"1","rootfs":{{"diff_ids":["{DIGEST}","later+x:AbC_-="],"type":"layers",{UNKNOWN}}},"variant":"v9",{UNKNOWN}}}"#
    ));
}

#[test]
fn in_docker_documents() {
    let (plain, odd) = descriptors();
    survives::<docker::Manifest>(&format!(
        r#"{{"annotations":{{"k":"v"}},"config":{odd},"layers":[{plain}],"mediaType":"application/vnd.docker.distribution.manifest.v2+json","schemaVersion":2,{UNKNOWN}}}"#
    ));
    survives::<docker::ManifestList>(&format!(
        r#"{{"manifests":[{odd}],"mediaType":"application/vnd.docker.distribution.manifest.list.v2+json","schemaVersion":2,{UNKNOWN}}}"#
    ));
    let execution = format!(
        r#"{{"ArgsEscaped":false,"Healthcheck":{{"Interval":9223372036854775807,"Retries":3,"StartInterval":1,"StartPeriod":0,"Test":["NONE"],"Timeout":-1,{UNKNOWN}}},"Hostname":"h","OnBuild":["RUN x"],"Shell":["sh"],"StopTimeout":10,"Tty":false,{UNKNOWN}}}"#
    );
    survives::<docker::Config>(&format!(
        r#"{{"Size":18446744073709551617,"architecture":"amd64","comment":"c","config":{execution},"container":"c","container_config":{execution},"docker_version":"20","history":[{{"empty_layer":true,{UNKNOWN}}}],"id":"i","os":"linux","parent":"p","rootfs":{{"diff_ids":["{DIGEST}"],"type":"layers",{UNKNOWN}}},{UNKNOWN}}}"#
    ));
}

#[test]
fn an_edit_changes_what_it_names_and_nothing_else() {
    let text = manifest(&format!(
        r#","mediaType":"application/vnd.oci.image.manifest.v1+json",{UNKNOWN}"#
    ));
    let mut edited = parsed::<Manifest>(&text).view().clone();
    edited.annotations.insert("k".to_owned(), "v".to_owned());
    let written = Document::new(edited).expect("written");
    let mut expected: Value = serde_json::from_str(&text).expect("JSON");
    expected["annotations"] = serde_json::json!({"k": "v"});
    assert_eq!(
        String::from_utf8_lossy(written.bytes()),
        String::from_utf8_lossy(&json::canonical(&expected).expect("written"))
    );
}

/// `flatten` buffers what it does not know, and numbers of arbitrary
/// precision travel in disguise: members with types of their own must still
/// be read, in whatever order they stand.
#[test]
fn known_members_are_read_after_and_between_unknown_ones() {
    let size = format!(r#"{{{UNKNOWN},"size":7,"n":1.5,"digest":"{DIGEST}","mediaType":"a/b"}}"#);
    let text = format!(
        r#"{{{UNKNOWN},"layers":[{size}],"a":1,"config":{size},"z":-0,"schemaVersion":2}}"#
    );
    let document = parsed::<Manifest>(&text);
    assert_eq!((document.schema_version, document.layers[0].size), (2, 7));
    let text = format!(r#"{{{UNKNOWN},"manifests":[{size}],"n":1e9,"schemaVersion":2}}"#);
    assert_eq!(parsed::<Index>(&text).manifests[0].size, 7);
    let text = config(&format!(
        r#",{UNKNOWN},"history":[{{"n":1,"empty_layer":true}}],"config":{{"n":1,"ArgsEscaped":true,"Healthcheck":{{"n":1,"Retries":3}},"StopTimeout":4}}"#
    ));
    let document = parsed::<Config>(&text);
    assert!(document.history[0].empty_layer);
    assert_eq!(document.config.as_ref().expect("there").args_escaped, Some(true));
    let document = parsed::<docker::Config>(&text);
    let execution = document.config.as_ref().expect("there");
    assert_eq!(execution.stop_timeout, Some(4));
    assert_eq!(execution.healthcheck.as_ref().expect("there").retries, Some(3));
}

#[test]
fn js14_strange_names_are_data() {
    for name in ["__proto__", "", "\\u0000", "$serde_json", &"k".repeat(1 << 16)] {
        parsed::<Manifest>(&manifest(&format!(r#","{name}":1"#)));
        parsed::<Index>(&index(&format!(r#","{name}":{{}}"#)));
        parsed::<Config>(&config(&format!(r#","{name}":[]"#)));
    }
}
