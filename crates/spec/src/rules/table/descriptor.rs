//! `descriptor.md`.

super::rules! {
    DE3 Error "REQUIRED" [Builder] "descriptor.md#properties" Descriptor
        "A descriptor has a `mediaType`."
        good: r#"{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip"}"#
        bad: "without mediaType"
    DE4 Error "MUST" [Builder Registry Engine] "descriptor.md#properties" Descriptor
        "The `mediaType` is `type/subtype` as RFC 6838 names them: each side starts with a letter or digit and has at most 127 characters."
        good: r#"{"mediaType": "application/vnd.example.data.v1+json"}"#
        bad: r#"{"mediaType": "application vnd.example"}"#
    DE5 Error "REQUIRED" [Builder] "descriptor.md#properties" Descriptor
        "A descriptor has a `digest`, which is a string."
        good: r#"{"digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}"#
        bad: "without digest"
    DE7 Error "REQUIRED" [Builder] "descriptor.md#properties" Descriptor
        "A descriptor has a `size`: how many bytes the content has, as a whole number below 2^63."
        good: r#"{"size": 2}"#
        bad: r#"{"size": "2"}"#
    DE9 Error "MUST NOT" [Builder Registry Engine] "descriptor.md#properties" Descriptor
        "The `size` is not negative."
        good: r#"{"size": 2}"#
        bad: r#"{"size": -1}"#
    DE11 Error "MUST" [Builder] "descriptor.md#properties" Descriptor
        "Each entry of `urls` is a URI (RFC 3986)."
        good: r#"{"urls": ["https://example.com/blob"]}"#
        bad: r#"{"urls": ["example.com/a blob"]}"#
    DE12 Warning "SHOULD" [Builder] "descriptor.md#properties" Descriptor
        "The entries of `urls` use http or https."
        good: r#"{"urls": ["https://example.com/blob"]}"#
        bad: r#"{"urls": ["ftp://example.com/blob"]}"#
    DE13 Error "MUST" [Builder Registry Engine] "descriptor.md#properties" Descriptor
        "The `annotations` of a descriptor follow the rules of annotations."
        good: r#"{"annotations": {"com.example.key": "value"}}"#
        bad: r#"{"annotations": {"com.example.key": 1}}"#
    DE14 Error "MUST" [Builder] "descriptor.md#properties" Descriptor
        "`data` is base64 in the standard alphabet, with padding (RFC 4648, section 4)."
        good: r#"{"data": "e30="}"#
        bad: r#"{"data": "e30"}"#
    DE15 Error "MUST" [Builder] "descriptor.md#properties" Descriptor
        "`data` decodes to the very content that the descriptor points at."
        good: r#"{"data": "e30="}"#
        bad: r#"{"data": "W10="}"#
    DE17 Error "MUST" [Builder] "descriptor.md#properties" Descriptor
        "The `artifactType` of a descriptor is a media type as RFC 6838 names them."
        good: r#"{"artifactType": "application/vnd.example.sbom.v1"}"#
        bad: r#"{"artifactType": "sbom"}"#
    DE19 Note "implied" [Builder] "descriptor.md#properties" Image
        "The `artifactType` of a descriptor repeats what its manifest is: its own `artifactType`, or the media type of its config."
        good: "the descriptor and the manifest both say application/vnd.example.sbom.v1"
        bad: "the descriptor says application/vnd.example.sbom.v1, the manifest another type"
    DE20 Warning "SHOULD" [Builder] "descriptor.md#properties" Image
        "A descriptor that points at the manifest of an image has a `platform`."
        good: r#"an entry of index.json with "platform": {"architecture": "arm64", "os": "linux"}"#
        bad: "an entry of index.json without platform, for an image for linux/arm64"
    DE21 Error "MUST" [Builder Registry Engine] "descriptor.md#digests" Descriptor
        "A digest is an algorithm (lower-case letters and digits, joined by one of `+ . _ -`), a colon, and letters, digits, `=`, `_` or `-`."
        good: r#"{"digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}"#
        bad: r#"{"digest": "sha256:../../etc/passwd"}"#
    DE22 Error "MAY" [Builder Registry Engine] "descriptor.md#digests" Descriptor
        "Where an algorithm allows fewer characters behind the colon than the grammar of digests does, the digest has no others: hexadecimal digits for sha256, sha512 and blake3."
        good: r#"{"digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}"#
        bad: r#"{"digest": "sha256:zz136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}"#
    DE23 Note "SHOULD" [Builder Registry Engine] "descriptor.md#digests" Image
        "A digest of an algorithm that is unknown here is accepted if it follows the grammar; its content can not be proved."
        good: "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a, which is proved"
        bad: "multihash+base58:QmRZxt2b1FVZPNqd8hsiykDL3TdBDeTSPX9Kv46HmX4Gx8, which nobody here can prove"
    DE30 Error "MUST" [Builder Registry Engine] "descriptor.md#sha-256" Descriptor
        "A sha256 digest has exactly 64 lower-case hexadecimal digits."
        good: r#"{"digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}"#
        bad: r#"{"digest": "sha256:44136fa355b3678a"}"#
    DE31 Error "MUST NOT" [Builder Registry Engine] "descriptor.md#sha-256" Descriptor
        "A sha256 digest has no upper-case digits."
        good: r#"{"digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}"#
        bad: r#"{"digest": "sha256:44136FA355B3678A1146AD16F7E8649E94FB4FC21FE77E8310C060F61CAAFF8A"}"#
    DE33 Error "MUST" [Builder Registry Engine] "descriptor.md#sha-512" Descriptor
        "A sha512 digest has exactly 128 lower-case hexadecimal digits."
        good: r#"{"digest": "sha512:27c74670adb75075fad058d5ceaf7b20c4e7786c83bae8a32f626f9782af34c9a33c2046ef60fd2a7878d378e29fec851806bbd9a67878f3a9f1cda4830763fd"}"#
        bad: r#"{"digest": "sha512:27c74670adb75075fad058d5ceaf7b20"}"#
    DE34 Error "MUST NOT" [Builder Registry Engine] "descriptor.md#sha-512" Descriptor
        "A sha512 digest has no upper-case digits."
        good: r#"{"digest": "sha512:27c74670adb75075fad058d5ceaf7b20c4e7786c83bae8a32f626f9782af34c9a33c2046ef60fd2a7878d378e29fec851806bbd9a67878f3a9f1cda4830763fd"}"#
        bad: r#"{"digest": "sha512:27C74670ADB75075FAD058D5CEAF7B20C4E7786C83BAE8A32F626F9782AF34C9A33C2046EF60FD2A7878D378E29FEC851806BBD9A67878F3A9F1CDA4830763FD"}"#
    DE37 Error "MUST" [Builder Registry Engine] "descriptor.md#blake3" Descriptor
        "A blake3 digest has exactly 64 lower-case hexadecimal digits."
        good: r#"{"digest": "blake3:b2b6eb6a76aa98c6e8ce5e84c6b4bb1ee4dd0ee2f0e0ac3b0b9e4e0e2e0d5c5f"}"#
        bad: r#"{"digest": "blake3:b2b6eb6a"}"#
    DE38 Error "MUST NOT" [Builder Registry Engine] "descriptor.md#blake3" Descriptor
        "A blake3 digest has no upper-case digits."
        good: r#"{"digest": "blake3:b2b6eb6a76aa98c6e8ce5e84c6b4bb1ee4dd0ee2f0e0ac3b0b9e4e0e2e0d5c5f"}"#
        bad: r#"{"digest": "blake3:B2B6EB6A76AA98C6E8CE5E84C6B4BB1EE4DD0EE2F0E0AC3B0B9E4E0E2E0D5C5F"}"#
    DE43 Warning "SHOULD" [Builder] "descriptor.md#embedded-content" Image
        "A document that embeds content in `data` stays below 4 MiB, which is what registries must take."
        good: "a manifest of 2 kB that embeds a config of 1 kB"
        bad: "a manifest of 5 MiB that embeds its layers"
}
