//! `config.md`.

super::rules! {
    CF4 Error "implied" [Builder] "config.md#properties" Config
        "`created`, of the image and in its history, is a date and time as RFC 3339 writes them."
        good: r#"{"created": "2024-05-01T12:00:00Z"}"#
        bad: r#"{"created": "1 May 2024"}"#
    CF5 Error "REQUIRED" [Builder] "config.md#properties" Config
        "A config has an `architecture`. One that Go does not know (GOARCH) is a warning."
        good: r#"{"architecture": "amd64"}"#
        bad: "without architecture"
    CF6 Error "REQUIRED" [Builder] "config.md#properties" Config
        "A config has an `os`. One that Go does not know (GOOS) is a warning."
        good: r#"{"os": "linux"}"#
        bad: "without os"
    CF9 Warning "SHOULD" [Builder Engine] "config.md#properties" Config
        "The `variant` of a config is in the table of the specification, or is one of Go's."
        good: r#"{"architecture": "arm64", "variant": "v8"}"#
        bad: r#"{"architecture": "arm64", "variant": "cortex-a53"}"#
    CF11 Warning "implied" [Builder Engine] "config.md#properties" Image
        "The names of `User` are in /etc/passwd and /etc/group of the image."
        good: r#""User": "app", and a line app:x:1000:1000::/: in /etc/passwd"#
        bad: r#""User": "app", and no such line"#
    CF12 Error "implied" [Engine] "config.md#properties" Config
        "The keys of `ExposedPorts` are port/tcp, port/udp or a port. Another protocol or a range is a warning."
        good: r#"{"config": {"ExposedPorts": {"80/tcp": {}, "53/udp": {}, "8080": {}}}}"#
        bad: r#"{"config": {"ExposedPorts": {"http": {}}}}"#
    CF13 Error "implied" [Builder] "config.md#properties" Config
        "The entries of `Env` are NAME=VALUE, with a name."
        good: r#"{"config": {"Env": ["PATH=/bin", "EMPTY="]}}"#
        bad: r#"{"config": {"Env": ["PATH"]}}"#
    CF15 Error "MUST" [Builder Registry Engine] "config.md#properties" Config
        "`Labels` follow the rules of annotations."
        good: r#"{"config": {"Labels": {"com.example.key": "value"}}}"#
        bad: r#"{"config": {"Labels": {"com.example.key": true}}}"#
    CF16 Error "implied" [Engine] "config.md#properties" Config
        "`StopSignal` is the name of a signal, such as SIGKILL or SIGRTMIN+3. A number, or a name without SIG, is a warning."
        good: r#"{"config": {"StopSignal": "SIGQUIT"}}"#
        bad: r#"{"config": {"StopSignal": "SIGSTOPPED"}}"#
    CF17 Note "should not" [Builder] "config.md#properties" Config
        "New builders do not write `ArgsEscaped`."
        good: r#"{"config": {"Cmd": ["/bin/sh"]}}"#
        bad: r#"{"config": {"ArgsEscaped": true}}"#
    CF19 Error "REQUIRED" [Builder] "config.md#properties" Config
        "A config has a `rootfs`."
        good: r#"{"rootfs": {"type": "layers", "diff_ids": []}}"#
        bad: "without rootfs"
    CF20 Error "MUST" [Builder] "config.md#properties" Config
        "The `type` of the rootfs is layers."
        good: r#"{"rootfs": {"type": "layers", "diff_ids": []}}"#
        bad: r#"{"rootfs": {"type": "squashfs", "diff_ids": []}}"#
    CF22 Error "REQUIRED" [Builder] "config.md#properties" Config
        "The rootfs has `diff_ids`: the digests of the uncompressed layers of the manifest, from the bottom up, one for each."
        good: r#"{"rootfs": {"type": "layers", "diff_ids": []}}"#
        bad: r#"{"rootfs": {"type": "layers", "diff_ids": null}}"#
    CF23 Warning "implied" [Builder] "config.md#properties" Config
        "Where there is a `history`, its entries without `empty_layer` are one for each layer."
        good: r#"{"history": [{"created_by": "ENV A=b", "empty_layer": true}]}"#
        bad: r#"{"history": [{"created_by": "COPY . /"}], "rootfs": {"type": "layers", "diff_ids": []}}"#
}
