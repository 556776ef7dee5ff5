//! `manifest.md`.

super::rules! {
    MA1 Error "REQUIRED" [Builder] "manifest.md#image-manifest-property-descriptions" Manifest
        "A manifest has a `schemaVersion`."
        good: r#"{"schemaVersion": 2}"#
        bad: "without schemaVersion"
    MA2 Error "MUST" [Builder] "manifest.md#image-manifest-property-descriptions" Manifest
        "The `schemaVersion` of a manifest is the number 2."
        good: r#"{"schemaVersion": 2}"#
        bad: r#"{"schemaVersion": 1}"#
    MA3 Warning "SHOULD" [Builder] "manifest.md#image-manifest-property-descriptions" Manifest
        "A manifest has its `mediaType`."
        good: r#"{"mediaType": "application/vnd.oci.image.manifest.v1+json"}"#
        bad: "without mediaType"
    MA4 Error "MUST" [Builder] "manifest.md#image-manifest-property-descriptions" Manifest
        "The `mediaType` of a manifest is application/vnd.oci.image.manifest.v1+json."
        good: r#"{"mediaType": "application/vnd.oci.image.manifest.v1+json"}"#
        bad: r#"{"mediaType": "application/vnd.docker.distribution.manifest.v2+json"}"#
    MA5 Error "implied" [Registry Engine] "manifest.md#image-manifest-property-descriptions" Manifest
        "A document is one thing: a manifest has no `manifests`, an index no `config` and no `layers`, and `mediaType` agrees with the descriptor (CVE-2021-41190)."
        good: r#"{"layers": []}"#
        bad: r#"{"manifests": []}"#
    MA6 Error "MUST" [Builder] "manifest.md#image-manifest-property-descriptions" Manifest
        "`artifactType` is set where the config has the empty media type."
        good: r#"{"artifactType": "application/vnd.example.sbom.v1", "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", "size": 2}}"#
        bad: r#"{"config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", "size": 2}}"#
    MA7 Error "MUST" [Builder] "manifest.md#image-manifest-property-descriptions" Manifest
        "The `artifactType` of a manifest is a media type as RFC 6838 names them."
        good: r#"{"artifactType": "application/vnd.example.sbom.v1", "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", "size": 2}}"#
        bad: r#"{"artifactType": "sbom", "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", "size": 2}}"#
    MA10 Error "REQUIRED" [Builder] "manifest.md#image-manifest-property-descriptions" Manifest
        "A manifest has a `config`, which is a descriptor."
        good: r#"{"config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", "size": 2}}"#
        bad: "without config"
    MA14 Warning "SHOULD" [Builder] "manifest.md#image-manifest-property-descriptions" Manifest
        "The config of a portable container image is application/vnd.oci.image.config.v1+json."
        good: r#"{"config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", "size": 2}}"#
        bad: r#"{"config": {"mediaType": "application/vnd.docker.container.image.v1+json", "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", "size": 2}}"#
    MA15 Warning "SHOULD" [Builder] "manifest.md#guidelines-for-artifact-usage" Manifest
        "A portable artifact chooses the media type of its config as the guidelines for artifacts say: its own, or the empty one."
        good: r#"{"artifactType": "application/vnd.in-toto+json", "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", "size": 2}, "layers": [{"mediaType": "application/vnd.in-toto+json", "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", "size": 2}]}"#
        bad: r#"{"layers": [{"mediaType": "application/vnd.in-toto+json", "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", "size": 2}]}"#
    MA16 Error "MUST" [Builder] "manifest.md#image-manifest-property-descriptions" Manifest
        "The media type of the config is one as RFC 6838 names them."
        good: r#"{"config": {"mediaType": "application/vnd.example.config.v1+json", "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", "size": 2}}"#
        bad: r#"{"config": {"mediaType": "config", "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", "size": 2}}"#
    MA17 Note "recommended" [Builder] "manifest.md#image-manifest-property-descriptions" Image
        "A config says enough of its layers, by their diff_ids, to give the image an id of its own."
        good: r#"a config with "rootfs": {"type": "layers", "diff_ids": ["sha256:…"]}"#
        bad: "two images with different layers, and {} as the config of both"
    MA18 Error "MUST" [Builder] "manifest.md#image-manifest-property-descriptions" Manifest
        "`layers` is an array, and each of its elements a descriptor."
        good: r#"{"layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", "size": 2}]}"#
        bad: r#"{"layers": ["sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"]}"#
    MA19 Warning "SHOULD" [Builder] "manifest.md#image-manifest-property-descriptions" Manifest
        "`layers` has at least one element."
        good: r#"{"layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", "size": 2}]}"#
        bad: r#"{"layers": []}"#
    MA25 Warning "SHOULD" [Builder] "manifest.md#image-manifest-property-descriptions" Manifest
        "The layers of a portable image have a media type of the specification: tar, tar+gzip or tar+zstd."
        good: r#"{"layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+zstd", "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", "size": 2}]}"#
        bad: r#"{"layers": [{"mediaType": "application/vnd.example.layer.squashfs", "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", "size": 2}]}"#
    MA28 Error "MUST" [Builder] "manifest.md#image-manifest-property-descriptions" Manifest
        "The media type of a layer is one as RFC 6838 names them."
        good: r#"{"layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", "size": 2}]}"#
        bad: r#"{"layers": [{"mediaType": "tar", "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", "size": 2}]}"#
    MA30 Error "MUST" [Builder Registry Engine] "manifest.md#image-manifest-property-descriptions" Manifest
        "The `annotations` of a manifest follow the rules of annotations."
        good: r#"{"annotations": {"com.example.key": "value"}}"#
        bad: r#"{"annotations": ["com.example.key=value"]}"#
    MA32 Error "MUST" [Builder] "manifest.md#guidelines-for-artifact-usage" Manifest
        "Where a manifest packs something else than an image, as its `artifactType` says, the config has a media type of its own or the empty one."
        good: r#"{"artifactType": "application/vnd.example.sbom.v1", "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", "size": 2}}"#
        bad: r#"{"artifactType": "application/vnd.example.sbom.v1"}"#
    MA33 Error "MUST" [Builder] "manifest.md#guidelines-for-artifact-usage" Manifest
        "An artifact whose config is the empty one has an `artifactType`."
        good: r#"{"artifactType": "application/vnd.example.sbom.v1", "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", "size": 2}}"#
        bad: r#"{"config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", "size": 2}}"#
    MA34 Warning "SHOULD" [Builder] "manifest.md#guidelines-for-artifact-usage" Manifest
        "An artifact without blobs lists one layer all the same, which is not empty: the empty descriptor."
        good: r#"{"artifactType": "application/vnd.example.sbom.v1", "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", "size": 2}, "layers": [{"mediaType": "application/vnd.oci.empty.v1+json", "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", "size": 2}]}"#
        bad: r#"{"artifactType": "application/vnd.example.sbom.v1", "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", "size": 2}, "layers": []}"#
}
