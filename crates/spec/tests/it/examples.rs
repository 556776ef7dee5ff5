//! Documents as publishers write them, of every kind the spec describes.

use plimsoll_content::Platform;
use plimsoll_spec::{Config, Index, LayoutHeader, Manifest, annotations, select};

use crate::{DIGEST, config, index, manifest, parsed};

#[test]
fn an_image_manifest_with_a_subject() {
    let document = parsed::<Manifest>(&format!(
        r#"{{
  "schemaVersion": 2,
  "mediaType": "application/vnd.oci.image.manifest.v1+json",
  "config": {{"mediaType": "application/vnd.oci.image.config.v1+json", "size": 7023, "digest": "{DIGEST}"}},
  "layers": [
    {{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "size": 32654, "digest": "{DIGEST}"}},
    {{"mediaType": "application/vnd.oci.image.layer.v1.tar+zstd", "size": 16724, "digest": "blake3:af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"}}
  ],
  "subject": {{"mediaType": "application/vnd.oci.image.manifest.v1+json", "size": 7682, "digest": "{DIGEST}"}},
  "annotations": {{"com.example.key1": "value1", "com.example.key2": ""}}
}}"#
    ));
    assert_eq!(document.layers[1].size, 16724);
    assert_eq!(document.kind(), "application/vnd.oci.image.config.v1+json");
    assert_eq!(document.subject.as_ref().expect("there").size, 7682);
    assert_eq!(document.annotations["com.example.key2"], "");
}

#[test]
fn ma36_artifacts_of_three_ages() {
    let empty = format!(
        r#"{{"mediaType":"application/vnd.oci.empty.v1+json","digest":"{DIGEST}","size":2,"data":"e30="}}"#
    );
    let declared = format!(
        r#"{{"schemaVersion":2,"artifactType":"application/vnd.example+type","config":{empty},"layers":[{empty}]}}"#
    );
    let document = parsed::<Manifest>(&declared);
    assert_eq!(document.kind(), "application/vnd.example+type");
    assert_eq!(document.config.embedded().expect("proved").as_deref(), Some(&b"{}"[..]));
    let by_config = manifest("").replace("vnd.oci.image.config.v1+json", "vnd.example.config.v1");
    assert_eq!(parsed::<Manifest>(&by_config).kind(), "application/vnd.example.config.v1");
    // Before the empty type there were artifacts that posed as images.
    let posing = config(r#","created":"0001-01-01T00:00:00Z","config":{},"history":[{"created":"0001-01-01T00:00:00Z"}]"#)
        .replace("\"amd64\"", "\"\"")
        .replace("\"linux\"", "\"\"");
    assert_eq!(parsed::<Config>(&posing).platform(), Platform::default());
}

#[test]
fn an_index_with_platforms_attestations_and_another_index() {
    let document = parsed::<Index>(&format!(
        r#"{{
  "schemaVersion": 2,
  "mediaType": "application/vnd.oci.image.index.v1+json",
  "manifests": [
    {{"mediaType": "application/vnd.oci.image.manifest.v1+json", "size": 7143, "digest": "{DIGEST}",
      "platform": {{"architecture": "ppc64le", "os": "linux"}}}},
    {{"mediaType": "application/vnd.oci.image.manifest.v1+json", "size": 500, "digest": "{DIGEST}",
      "annotations": {{"vnd.docker.reference.type": "attestation-manifest"}},
      "platform": {{"architecture": "unknown", "os": "unknown"}}}},
    {{"mediaType": "application/vnd.oci.image.index.v1+json", "size": 600, "digest": "{DIGEST}"}},
    {{"mediaType": "application/xml", "size": 7143, "digest": "{DIGEST}"}},
    {{"mediaType": "application/vnd.oci.image.manifest.v1+json", "size": 7682, "digest": "{DIGEST}",
      "platform": {{"architecture": "amd64", "os": "linux", "os.version": "6", "os.features": [], "features": ["sse4"]}}}}
  ],
  "annotations": {{"org.opencontainers.image.ref.name": "v1"}}
}}"#
    ));
    let found = select::select(&document, &Platform::new("linux", "amd64")).expect("there");
    assert_eq!(found.size, 7682);
    assert!(select::select(&document, &Platform::new("linux", "riscv64")).is_none());
    assert_eq!(document.annotations[annotations::REF_NAME], "v1");
}

#[test]
fn indexes_of_nothing() {
    assert!(parsed::<Index>(r#"{"schemaVersion":2,"manifests":[]}"#).manifests.is_empty());
    // Go writes an empty list so where nobody made one; everybody reads it so.
    assert!(parsed::<Index>(r#"{"schemaVersion":2,"manifests":null}"#).manifests.is_empty());
    assert!(parsed::<Manifest>(&manifest("").replace("[]", "null")).layers.is_empty());
    assert!(
        parsed::<Index>(&index(r#","annotations":null,"subject":null"#)).annotations.is_empty()
    );
}

#[test]
fn a_config_with_every_member() {
    let document = parsed::<Config>(&format!(
        r#"{{
  "created": "2015-10-31T22:22:56.015925234Z",
  "author": "A <a@example.com>",
  "architecture": "arm", "os": "linux", "variant": "v6", "os.version": "5", "os.features": ["f"],
  "config": {{
    "User": "alice", "ExposedPorts": {{"8080/tcp": {{}}}},
    "Env": ["PATH=/bin", "FOO=oci=is"], "Entrypoint": ["/bin/app"], "Cmd": ["--foreground"],
    "Volumes": {{"/var/data": {{}}}}, "WorkingDir": "/home/alice",
    "Labels": {{"com.example.version": "1"}}, "StopSignal": "SIGRTMIN+3",
    "Memory": 2048, "MemorySwap": 4096, "CpuShares": 8, "Healthcheck": {{}}
  }},
  "rootfs": {{"type": "layers", "diff_ids": ["{DIGEST}", "{DIGEST}"]}},
  "history": [
    {{"created": "2015-10-31T22:22:54Z", "created_by": "ADD x in /", "author": "a", "comment": "c"}},
    {{"created": "2015-10-31T22:22:55Z", "created_by": "CMD", "empty_layer": true}},
    {{"comment": "imported"}}
  ]
}}"#
    ));
    let execution = document.config.as_ref().expect("there");
    assert_eq!(execution.user.as_deref(), Some("alice"));
    assert_eq!(execution.env[1], "FOO=oci=is");
    assert_eq!(execution.stop_signal.as_deref(), Some("SIGRTMIN+3"));
    assert_eq!(execution.other.len(), 4);
    assert_eq!(document.history.iter().filter(|step| !step.empty_layer).count(), 2);
    assert_eq!(document.platform().to_string(), "linux/arm/v6");
    assert_eq!(document.platform().os_features, ["f"]);
}

#[test]
fn cf3_null_in_a_config_means_absent() {
    let document = parsed::<Config>(&config(
        r#","created":null,"author":null,"os.version":null,"os.features":null,"variant":null,"config":{"User":null,"ExposedPorts":null,"Env":null,"Entrypoint":null,"Cmd":null,"Volumes":null,"WorkingDir":null,"Labels":null,"StopSignal":null,"ArgsEscaped":null},"history":null"#,
    ));
    assert_eq!(
        document.view(),
        &Config {
            config: Some(plimsoll_spec::Execution::default()),
            ..parsed::<Config>(&config("")).view().clone()
        }
    );
    assert!(parsed::<Config>(&config(r#","config":null"#)).config.is_none());
}

#[test]
fn gr09_null_steps_of_a_history_are_empty_ones() {
    let document = parsed::<Config>(&config(
        r#","history":[null,{"created":null,"created_by":null,"author":null,"comment":null,"empty_layer":null},{"empty_layer":true}]"#,
    ));
    assert_eq!(document.history.len(), 3);
    assert_eq!(document.history[0], document.history[1]);
    assert!(!document.history[0].empty_layer);
}

#[test]
fn a_config_without_execution_parameters() {
    assert!(parsed::<Config>(&config("")).config.is_none());
    let document = parsed::<Config>(&config(r#","config":{}"#));
    assert_eq!(document.config, Some(plimsoll_spec::Execution::default()));
}

#[test]
fn la7_the_header_of_a_layout_with_more_in_it() {
    let header = parsed::<LayoutHeader>("{\"imageLayoutVersion\": \"1.0.0\", \"made-by\": 1}\n");
    assert_eq!(header.image_layout_version, LayoutHeader::VERSION);
    assert_eq!(header.other.len(), 1);
}
