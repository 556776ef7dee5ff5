//! What is refused, by rule and hostile case.

use plimsoll_content::{Code, limits};
use plimsoll_spec::{Config, Index, LayoutHeader, Manifest, docker};

use crate::{DIGEST, config, index, manifest, parsed, refused};

#[test]
fn ma1_ma2_ix2_ix3_another_schema_version() {
    for version in ["1", "3", "0", "-2", "2.0", "2e0", "\"2\"", "null", "4294967298", "true"] {
        let schema = format!("\"schemaVersion\":{version}");
        let said = |text: String| text.replace("\"schemaVersion\":2", &schema);
        assert_eq!(refused::<Manifest>(&said(manifest(""))).code(), Code::Malformed);
        assert_eq!(refused::<Index>(&said(index(""))).code(), Code::Malformed);
    }
}

#[test]
fn ma1_ma10_ma18_ix2_ix7_cf5_cf6_cf19_cf22_la6_a_missing_member_is_named() {
    let missing = |text: &str, member: &str| {
        let mut value: serde_json::Map<_, _> = serde_json::from_str(text).expect("JSON");
        assert!(value.remove(member).is_some());
        serde_json::to_string(&value).expect("JSON")
    };
    let named = |error: plimsoll_content::Error, member: &str| {
        assert_eq!(error.code(), Code::Malformed);
        assert!(error.to_string().contains(&format!("`{member}`")), "{error}");
    };
    for member in ["schemaVersion", "config", "layers"] {
        named(refused::<Manifest>(&missing(&manifest(""), member)), member);
    }
    for member in ["schemaVersion", "manifests"] {
        named(refused::<Index>(&missing(&index(""), member)), member);
    }
    for member in ["architecture", "os", "rootfs"] {
        named(refused::<Config>(&missing(&config(""), member)), member);
    }
    named(refused::<LayoutHeader>("{}"), "imageLayoutVersion");
    for member in ["type", "diff_ids"] {
        let rootfs = missing(&format!(r#"{{"type":"layers","diff_ids":["{DIGEST}"]}}"#), member);
        let text = format!(r#"{{"architecture":"a","os":"b","rootfs":{rootfs}}}"#);
        named(refused::<Config>(&text), member);
    }
    for member in ["mediaType", "digest", "size"] {
        let text = manifest("");
        let start = text.find("{\"mediaType").expect("there");
        let end = start + text[start..].find('}').expect("there") + 1;
        let text = text.replace(&text[start..end], &missing(&text[start..end], member));
        named(refused::<Manifest>(&text), member);
    }
}

#[test]
fn js10_another_type_than_the_member_has() {
    for (member, values) in [
        ("layers", &["{}", "1", "\"\"", "[null]", "[1]", "[[]]"][..]),
        ("config", &["null", "[]", "1", "{}"]),
        ("annotations", &["[]", "{\"a\":null}", "{\"a\":1}", "{\"a\":{}}"]),
        ("subject", &["[]", "{}", "1"]),
        ("artifactType", &["1", "[]"]),
        ("mediaType", &["1", "[]"]),
    ] {
        for value in values {
            let mut text: serde_json::Value = serde_json::from_str(&manifest("")).expect("JSON");
            text[member] = serde_json::from_str(value).expect("JSON");
            assert_eq!(refused::<Manifest>(&text.to_string()).code(), Code::Malformed);
        }
    }
    for more in [
        r#""config":[]"#,
        r#""history":{}"#,
        r#""history":[1]"#,
        r#""history":[{"empty_layer":0}]"#,
        r#""os.features":"f""#,
        r#""config":{"Cmd":"sh"}"#,
        r#""config":{"Env":{}}"#,
        r#""config":{"Labels":{"a":1}}"#,
        r#""config":{"Volumes":["/v"]}"#,
        r#""config":{"ArgsEscaped":1}"#,
    ] {
        assert_eq!(refused::<Config>(&config(&format!(",{more}"))).code(), Code::Malformed);
    }
    for text in ["[]", "null", "1", "\"\"", "{}", ""] {
        refused::<Manifest>(text);
        refused::<Index>(text);
        refused::<Config>(text);
        refused::<LayoutHeader>(text);
    }
}

#[test]
fn ma4_ix5_another_media_type() {
    for media_type in [
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.oci.image.config.v1+json",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
        "Application/vnd.oci.image.manifest.v1+json",
        "",
        "x",
    ] {
        let error = refused::<Manifest>(&manifest(&format!(r#","mediaType":"{media_type}""#)));
        assert_eq!(error.code(), Code::Malformed);
        assert!(error.to_string().contains("mediaType"), "{error}");
    }
    for media_type in ["application/vnd.oci.image.manifest.v1+json", "x"] {
        refused::<Index>(&index(&format!(r#","mediaType":"{media_type}""#)));
    }
    parsed::<Manifest>(&manifest(r#","mediaType":null"#));
}

#[test]
fn ma5_gr01_a_document_that_is_two_things() {
    for member in ["manifests", "fsLayers"] {
        for value in ["[]", "null", "{}"] {
            let error = refused::<Manifest>(&manifest(&format!(r#","{member}":{value}"#)));
            assert!(error.to_string().contains(member), "{error}");
        }
    }
    for member in ["config", "layers", "fsLayers"] {
        let error = refused::<Index>(&index(&format!(r#","{member}":null"#)));
        assert!(error.to_string().contains(member), "{error}");
    }
}

#[test]
fn js01_js03_a_name_that_stands_twice() {
    refused::<Manifest>(&manifest(r#","layers":[]"#));
    refused::<Manifest>(&manifest(r#","l\u0061yers":[]"#));
    refused::<Config>(&config(r#","x":{"a":1,"a":1}"#));
}

#[test]
fn js02_a_name_that_go_reads_as_another() {
    for name in
        ["LAYERS", "layerſ", "Config", "SchemaVersion", "MEDIATYPE", "Manifests", "FSLayers"]
    {
        refused::<Manifest>(&manifest(&format!(r#","{name}":[]"#)));
    }
    for name in ["MANIFESTS", "Layers", "Subject"] {
        refused::<Index>(&index(&format!(r#","{name}":[]"#)));
    }
    for member in [
        r#""RootFS":{}"#,
        r#""OS":"x""#,
        r#""config":{"cmd":["x"]}"#,
        r#""config":{"STOPſignal":"x"}"#,
        r#""history":[{"EmptyLayer":true,"Empty_Layer":true}]"#,
    ] {
        let error = refused::<Config>(&config(&format!(",{member}")));
        assert!(error.to_string().contains("ignoring case"), "{error}");
    }
    refused::<Config>(&config("").replace("\"type\"", "\"Diff_Ids\":[],\"type\""));
    let inner = |text: String| text.replace("\"size\":2", "\"size\":2,\"Size\":3");
    let error = refused::<Manifest>(&inner(manifest("")));
    assert!(error.to_string().contains("/config"), "{error}");
    let error = refused::<Index>(&inner(index("")));
    assert!(error.to_string().contains("/manifests/0"), "{error}");
    let error = refused::<Index>(&index("").replace("\"os\"", "\"OS\":\"x\",\"os\""));
    assert!(error.to_string().contains("/manifests/0/platform"), "{error}");
    refused::<Manifest>(&manifest(&format!(
        r#","subject":{{"mediaType":"a/b","digest":"{DIGEST}","size":2,"DIGEST":""}}"#
    )));
    refused::<LayoutHeader>(r#"{"imageLayoutVersion":"1.0.0","imagelayoutversion":"2"}"#);
    refused::<docker::Config>(&config(r#","Container":"x""#));
    refused::<docker::Config>(&config(r#","config":{"healthcheck":{}}"#));
    refused::<docker::Config>(&config(r#","config":{"Healthcheck":{"test":[]}}"#));
    parsed::<Config>(&config(r#","Container":"x""#));
}

#[test]
fn cf20_cf21_another_kind_of_root() {
    for kind in ["", "Layers", "layers+base", "diffs"] {
        let text = config("").replace("\"layers\"", &format!("\"{kind}\""));
        let error = refused::<Config>(&text);
        assert!(error.to_string().contains("rootfs.type"), "{error}");
        refused::<docker::Config>(&text);
    }
}

#[test]
fn la6_another_version_of_the_layout() {
    for version in ["1.0.1", "2.0.0", "1.0", "", " 1.0.0"] {
        let error = refused::<LayoutHeader>(&format!(r#"{{"imageLayoutVersion":"{version}"}}"#));
        assert_eq!(error.code(), Code::NotALayout);
    }
    parsed::<LayoutHeader>(r#"{"imageLayoutVersion":"1.0.0"}"#);
}

#[test]
fn dg01_to_dg06_a_digest_outside_the_grammar() {
    for digest in ["sha256:../../../../x", "", "sha256:", "../x:a", &DIGEST.to_uppercase()] {
        refused::<Manifest>(&manifest("").replace(DIGEST, digest));
        refused::<Index>(&index("").replace(DIGEST, digest));
        refused::<Config>(&config("").replace(DIGEST, digest));
    }
}

#[test]
fn de9_js08_a_size_that_is_none() {
    for size in ["-1", "2.0", "2e0", "\"2\"", "9223372036854775808", "1e400", "-0", "null"] {
        refused::<Manifest>(&manifest("").replace("\"size\":2", &format!("\"size\":{size}")));
    }
}

#[test]
fn gr06_more_layers_than_any_image_has() {
    let layers = |count| {
        let layer = format!(r#"{{"mediaType":"a/b","digest":"{DIGEST}","size":2}}"#);
        let layers = vec![layer; count].join(",");
        manifest("").replace("\"layers\":[]", &format!("\"layers\":[{layers}]"))
    };
    assert_eq!(parsed::<Manifest>(&layers(limits::LAYERS)).layers.len(), limits::LAYERS);
    assert_eq!(refused::<Manifest>(&layers(limits::LAYERS + 1)).code(), Code::Limit);
    let diff_ids = |count| {
        let digests = vec![format!("\"{DIGEST}\""); count].join(",");
        config("").replace(&format!("[\"{DIGEST}\"]"), &format!("[{digests}]"))
    };
    parsed::<Config>(&diff_ids(limits::LAYERS));
    assert_eq!(refused::<Config>(&diff_ids(limits::LAYERS + 1)).code(), Code::Limit);
}

#[test]
fn js09_more_bytes_than_any_document_has() {
    let long =
        |limit: u64| format!(r#","x":"{}""#, "x".repeat(usize::try_from(limit).expect("fits")));
    assert_eq!(refused::<Manifest>(&manifest(&long(limits::DOCUMENT))).code(), Code::Limit);
    assert_eq!(refused::<Index>(&index(&long(limits::INDEX))).code(), Code::Limit);
    assert_eq!(refused::<Config>(&config(&long(limits::CONFIG))).code(), Code::Limit);
    parsed::<Manifest>(&manifest(&long(limits::DOCUMENT - 1000)));
}

#[test]
fn what_is_refused_when_read_is_not_written() {
    use plimsoll_content::Document;
    let odd = Index { schema_version: 3, ..Index::default() };
    assert_eq!(Document::new(odd).expect_err("version").code(), Code::Malformed);
    let odd = Index {
        other: serde_json::Map::from_iter([("layers".to_owned(), serde_json::Value::Null)]),
        ..Index::default()
    };
    assert_eq!(Document::new(odd).expect_err("both").code(), Code::Malformed);
}
