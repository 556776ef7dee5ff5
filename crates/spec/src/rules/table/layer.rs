//! `layer.md`.

super::rules! {
    LY1 Error "MUST" [Builder] "layer.md#distributable-format" Layer
        "A layer is a tar archive, compressed as its media type says. What all readers take in the same way although it is odd is a warning."
        good: "an archive in gzip, announced as tar+gzip, that ends with two blocks of zeros"
        bad: "an archive that is cut off, or in gzip and announced as tar"
    LY2 Error "MUST NOT" [Builder] "layer.md#distributable-format" Layer
        "A layer has no two entries for one path; `./a`, `a` and `a/` are one path. The same entry for a folder twice is a warning."
        good: "etc/\netc/motd"
        bad: "etc/\netc/motd\netc/motd"
    LY12 Error "implied" [Builder] "layer.md#hardlinks" Layer
        "A hard link is of type 1 and leads to a file, never to a folder, that the layer has before it or a lower layer has."
        good: "bin/sh\nbin/bash link to bin/sh"
        bad: "bin/bash link to bin/sh, which no layer has"
    LY20 Error "SHOULD" [Engine] "layer.md#whiteouts" Layer
        "A whiteout names a file: `.wh.` alone is invalid."
        good: "etc/.wh.motd"
        bad: "etc/.wh."
    LY21 Error "implied" [Builder] "layer.md#whiteouts" Layer
        "Names that start with `.wh.` are whiteouts: no folder and no file of an image can have such a name."
        good: "etc/.wh.motd, an empty file"
        bad: "etc/.wh.motd/x, or etc/.wh..wh.x, which has no meaning"
    LY24 Error "implied" [Builder] "layer.md#whiteouts" Layer
        "A whiteout is a regular file without content, whatever it removes."
        good: "etc/.wh.motd, of 0 bytes"
        bad: "etc/.wh.motd, of 5 bytes"
    LY29 Warning "SHOULD NOT" [Builder] "layer.md#non-distributable-layers" Manifest
        "New images have no non-distributable layers."
        good: r#"{"layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", "size": 2}]}"#
        bad: r#"{"layers": [{"mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", "size": 2}]}"#
}
