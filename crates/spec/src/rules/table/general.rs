//! `considerations.md` and `artifacts-guidance.md`.

super::rules! {
    CO4 Error "MUST" [Builder Registry Engine] "considerations.md#json" Document
        "A document is one JSON value, as I-JSON (RFC 7493) has it: no byte order mark, whole surrogate pairs, nothing behind the value."
        good: r#"{"imageLayoutVersion": "1.0.0"}"#
        bad: r#"{"imageLayoutVersion": "1.0.0"} {}"#
    CO5 Error "MUST" [Builder Registry Engine] "considerations.md#json" Document
        "A document is written in UTF-8."
        good: r#"{"imageLayoutVersion": "1.0.0", "author": "ü, as the bytes C3 BC"}"#
        bad: r#"{"imageLayoutVersion": "1.0.0", "author": "ü, as the byte FC"}"#
    CO6 Warning "SHOULD" [Builder Registry Engine] "considerations.md#json" Document
        "Numbers are no larger and no finer than IEEE 754 doubles are."
        good: r#"{"imageLayoutVersion": "1.0.0", "number": 9007199254740991}"#
        bad: r#"{"imageLayoutVersion": "1.0.0", "number": 9007199254740993}"#
    CO7 Error "MUST NOT" [Builder Registry Engine] "considerations.md#json" Document
        "No member name stands twice in an object: readers disagree which of them counts."
        good: r#"{"imageLayoutVersion": "1.0.0"}"#
        bad: r#"{"imageLayoutVersion": "1.0.0", "imageLayoutVersion": "1.0.0"}"#
    AG1 Note "should not" [Builder] "artifacts-guidance.md" Manifest
        "The config of an artifact is not that of an image. Older artifacts are like that, and are read."
        good: r#"{"artifactType": "application/vnd.in-toto+json", "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", "size": 2}, "layers": [{"mediaType": "application/vnd.in-toto+json", "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", "size": 2}]}"#
        bad: r#"{"layers": [{"mediaType": "application/vnd.in-toto+json", "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", "size": 2}]}"#
}
