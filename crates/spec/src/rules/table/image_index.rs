//! `image-index.md`.

super::rules! {
    IX2 Error "REQUIRED" [Builder] "image-index.md#image-index-property-descriptions" Index
        "An index has a `schemaVersion`."
        good: r#"{"schemaVersion": 2}"#
        bad: "without schemaVersion"
    IX3 Error "MUST" [Builder] "image-index.md#image-index-property-descriptions" Index
        "The `schemaVersion` of an index is the number 2."
        good: r#"{"schemaVersion": 2}"#
        bad: r#"{"schemaVersion": "2"}"#
    IX4 Warning "SHOULD" [Builder] "image-index.md#image-index-property-descriptions" Index
        "An index has its `mediaType`."
        good: r#"{"mediaType": "application/vnd.oci.image.index.v1+json"}"#
        bad: "without mediaType"
    IX5 Error "MUST" [Builder] "image-index.md#image-index-property-descriptions" Index
        "The `mediaType` of an index is application/vnd.oci.image.index.v1+json."
        good: r#"{"mediaType": "application/vnd.oci.image.index.v1+json"}"#
        bad: r#"{"mediaType": "application/json"}"#
    IX6 Error "MUST" [Builder] "image-index.md#image-index-property-descriptions" Index
        "The `artifactType` of an index is a media type as RFC 6838 names them."
        good: r#"{"artifactType": "application/vnd.example.set.v1"}"#
        bad: r#"{"artifactType": "a set"}"#
    IX7 Error "MUST" [Builder] "image-index.md#image-index-property-descriptions" Index
        "`manifests` is an array of descriptors, possibly an empty one."
        good: r#"{"manifests": []}"#
        bad: r#"{"manifests": null}"#
    IX10 Warning "SHOULD" [Builder] "image-index.md#image-index-property-descriptions" Index
        "The entries of a portable index are manifests and indexes. In `index.json` of a layout other things are a note."
        good: r#"{"manifests": [{"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", "size": 2}]}"#
        bad: r#"{"manifests": [{"mediaType": "application/xml", "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", "size": 2}]}"#
    IX13 Warning "SHOULD" [Builder] "image-index.md#image-index-property-descriptions" Image
        "An entry for an image has the `platform` that the image is for, as its config says."
        good: r#"an entry with "platform": {"architecture": "arm64", "os": "linux"}, for an image for linux/arm64"#
        bad: r#"an entry with "platform": {"architecture": "amd64", "os": "linux"}, for an image for linux/arm64"#
    IX14 Error "REQUIRED" [Builder] "image-index.md#image-index-property-descriptions" Descriptor
        "A `platform` has an `architecture`."
        good: r#"{"platform": {"architecture": "arm64", "os": "linux"}}"#
        bad: r#"{"platform": {"os": "linux"}}"#
    IX15 Warning "SHOULD" [Builder Engine] "image-index.md#image-index-property-descriptions" Descriptor
        "The `architecture` of a platform is one that Go knows (GOARCH)."
        good: r#"{"platform": {"architecture": "amd64", "os": "linux"}}"#
        bad: r#"{"platform": {"architecture": "x86_64", "os": "linux"}}"#
    IX16 Error "REQUIRED" [Builder] "image-index.md#image-index-property-descriptions" Descriptor
        "A `platform` has an `os`."
        good: r#"{"platform": {"architecture": "arm64", "os": "linux"}}"#
        bad: r#"{"platform": {"architecture": "arm64"}}"#
    IX17 Warning "SHOULD" [Builder Engine] "image-index.md#image-index-property-descriptions" Descriptor
        "The `os` of a platform is one that Go knows (GOOS)."
        good: r#"{"platform": {"architecture": "amd64", "os": "darwin"}}"#
        bad: r#"{"platform": {"architecture": "amd64", "os": "macos"}}"#
    IX22 Warning "SHOULD" [Builder] "image-index.md#platform-variants" Descriptor
        "The `variant` of a platform is in the table of the specification, or is one of Go's."
        good: r#"{"platform": {"architecture": "arm", "os": "linux", "variant": "v7"}}"#
        bad: r#"{"platform": {"architecture": "arm", "os": "linux", "variant": "armv7l"}}"#
    IX23 Note "RESERVED" [Builder] "image-index.md#image-index-property-descriptions" Descriptor
        "A `platform` has no member `features`: it is reserved for later versions."
        good: r#"{"platform": {"architecture": "amd64", "os": "linux"}}"#
        bad: r#"{"platform": {"architecture": "amd64", "os": "linux", "features": ["sse4"]}}"#
    IX26 Error "MUST" [Builder Registry Engine] "image-index.md#image-index-property-descriptions" Index
        "The `annotations` of an index follow the rules of annotations."
        good: r#"{"annotations": {}}"#
        bad: r#"{"annotations": {"com.example.key": null}}"#
}
