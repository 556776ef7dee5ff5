//! `image-layout.md`.

super::rules! {
    LA2 Error "MUST" [Builder] "image-layout.md#content" Layout
        "The folder `blobs` exists; it may be empty."
        good: "oci-layout, index.json, blobs/"
        bad: "oci-layout, index.json"
    LA4 Error "MUST" [Builder] "image-layout.md#oci-layout-file" Layout
        "The file `oci-layout` exists."
        good: "oci-layout, index.json, blobs/"
        bad: "index.json, blobs/"
    LA5 Error "MUST" [Builder] "image-layout.md#oci-layout-file" LayoutHeader
        "`oci-layout` is a JSON object."
        good: r#"{"imageLayoutVersion": "1.0.0"}"#
        bad: r#"["1.0.0"]"#
    LA6 Error "MUST" [Builder] "image-layout.md#oci-layout-file" LayoutHeader
        "`oci-layout` has the member `imageLayoutVersion`, which is 1.0.0."
        good: r#"{"imageLayoutVersion": "1.0.0"}"#
        bad: r#"{"imageLayoutVersion": "2.0.0"}"#
    LA8 Error "MUST" [Builder] "image-layout.md#indexjson-file" Layout
        "The file `index.json` exists: it is the entry point."
        good: "oci-layout, index.json, blobs/"
        bad: "oci-layout, blobs/"
    LA9 Error "MUST" [Builder] "image-layout.md#indexjson-file" LayoutIndex
        "`index.json` is an image index, as a JSON object."
        good: r#"{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []}"#
        bad: "[]"
    LA11 Error "MUST" [Builder Registry Engine] "image-layout.md#blobs" Layout
        "The content of `blobs/ALGORITHM/ENCODED` has the digest `ALGORITHM:ENCODED`."
        good: "blobs/sha256/44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a, which holds {}"
        bad: "the same file, which holds []"
    LA12 Error "MUST" [Builder Registry Engine] "image-layout.md#blobs" Layout
        "Names of folders and files under `blobs` are the two parts of a digest."
        good: "blobs/sha256/44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
        bad: "blobs/sha256/README.txt"
    LA13 Note "MAY" [Builder] "image-layout.md#blobs" Layout
        "Blobs that nothing refers to may be there; nobody needs them."
        good: "each blob is reached from index.json"
        bad: "a blob that is left of an image whose name was taken away"
    LA14 Error "MAY" [Builder] "image-layout.md#blobs" Image
        "Blobs that are referred to may be absent, but the image can not be used without its config and layers. Where an index lists what is not there, this is a warning."
        good: "config and layers of the manifest lie in blobs/"
        bad: "blobs/ holds the manifest, and not its layer"
}
