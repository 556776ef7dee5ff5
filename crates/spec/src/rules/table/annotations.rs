//! `annotations.md`.

super::rules! {
    AN1 Error "MUST" [Builder Registry Engine] "annotations.md#rules" Descriptor
        "Annotations are a map of strings to strings."
        good: r#"{"annotations": {"com.example.key": "value"}}"#
        bad: r#"{"annotations": {"com.example.key": 1}}"#
    AN2 Error "MUST" [Builder] "annotations.md#rules" Descriptor
        "Each annotation has a value; it may be the empty string."
        good: r#"{"annotations": {"com.example.key": ""}}"#
        bad: r#"{"annotations": {"com.example.key": null}}"#
    AN3 Error "MUST" [Builder Registry Engine] "annotations.md#rules" Document
        "Each key stands once in its map."
        good: r#"{"mediaType": "a/b", "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", "size": 2, "annotations": {"com.example.key": "1"}}"#
        bad: r#"{"mediaType": "a/b", "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", "size": 2, "annotations": {"com.example.key": "1", "com.example.key": "2"}}"#
    AN4 Warning "SHOULD" [Builder] "annotations.md#rules" Descriptor
        "Keys are named by a domain, written backwards."
        good: r#"{"annotations": {"com.example.key": "value"}}"#
        bad: r#"{"annotations": {"key": "value"}}"#
    AN5 Warning "MUST NOT" [Builder] "annotations.md#rules" Descriptor
        "Nobody but the OCI specifications names keys under `org.opencontainers`."
        good: r#"{"annotations": {"com.example.created": "today"}}"#
        bad: r#"{"annotations": {"org.opencontainers.mine": "value"}}"#
    AN6 Warning "MUST NOT" [Builder] "annotations.md#rules" Descriptor
        "Nobody but the image specification names keys under `org.opencontainers.image`."
        good: r#"{"annotations": {"org.opencontainers.image.title": "value"}}"#
        bad: r#"{"annotations": {"org.opencontainers.image.mine": "value"}}"#
    AN7 Error "MUST" [Builder] "annotations.md#rules" Descriptor
        "Where there are no annotations, the member is left out or is an empty map."
        good: r#"{"annotations": {}}"#
        bad: r#"{"annotations": null}"#
    AN9 Note "implied" [Builder] "annotations.md#pre-defined-annotation-keys" Descriptor
        "`created` is a date and time (RFC 3339), `licenses` an SPDX expression, `base.digest` a digest."
        good: r#"{"annotations": {"org.opencontainers.image.created": "2024-05-01T12:00:00Z", "org.opencontainers.image.licenses": "MIT OR Apache-2.0"}}"#
        bad: r#"{"annotations": {"org.opencontainers.image.created": "yesterday"}}"#
    AN12 Warning "SHOULD" [Builder] "annotations.md#pre-defined-annotation-keys" LayoutIndex
        "The names of a layout (`ref.name`) are letters and digits, joined by one of `- . _ : @ / +` or by `--`."
        good: r#"{"manifests": [{"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", "size": 2, "annotations": {"org.opencontainers.image.ref.name": "app:v1"}}]}"#
        bad: r#"{"manifests": [{"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", "size": 2, "annotations": {"org.opencontainers.image.ref.name": "app v1"}}]}"#
    AN15 Warning "SHOULD" [Builder] "annotations.md#pre-defined-annotation-keys" Descriptor
        "`base.name` is a reference, as the distribution specification writes them."
        good: r#"{"annotations": {"org.opencontainers.image.base.name": "registry.example.com/base:v1", "org.opencontainers.image.base.digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}}"#
        bad: r#"{"annotations": {"org.opencontainers.image.base.name": "https://registry.example.com/Base", "org.opencontainers.image.base.digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}}"#
    AN16 Warning "SHOULD" [Builder] "annotations.md#pre-defined-annotation-keys" Descriptor
        "`base.name` is complete: it names its registry."
        good: r#"{"annotations": {"org.opencontainers.image.base.name": "docker.io/library/debian:12", "org.opencontainers.image.base.digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}}"#
        bad: r#"{"annotations": {"org.opencontainers.image.base.name": "debian:12", "org.opencontainers.image.base.digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}}"#
    AN19 Warning "SHOULD" [Builder] "annotations.md#pre-defined-annotation-keys" Descriptor
        "Beside `base.name` there is `base.digest`."
        good: r#"{"annotations": {"org.opencontainers.image.base.name": "docker.io/library/debian:12", "org.opencontainers.image.base.digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}}"#
        bad: r#"{"annotations": {"org.opencontainers.image.base.name": "docker.io/library/debian:12"}}"#
}
