//! What somebody wrote into a profile of system calls: nothing panics, and a filter that
//! is made of it is compiled or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll_runtime::exec;
use plimsoll_runtime::rootless::Mapping;
use plimsoll_runtime::seccomp_file::Profile;
use plimsoll_runtime::spec::Spec;

/// As little as the embedded runtime starts.
const CONFIG: &[u8] = br#"{"ociVersion":"1.2.0","root":{"path":"rootfs"},
    "process":{"user":{"uid":0,"gid":0},"args":["x"],"cwd":"/"},
    "mounts":[{"destination":"/dev","type":"tmpfs","source":"tmpfs"}],
    "linux":{"namespaces":[{"type":"pid"},{"type":"mount"}]}}"#;

fuzz_target!(|bytes: &[u8]| {
    let Ok(profile) = Profile::parse(bytes, (6, 1)) else { return };
    let mapping = Mapping::current().expect("a mapping");
    for capabilities in [&[][..], &["CAP_SYS_ADMIN".to_owned(), "CAP_BPF".to_owned()]] {
        for architecture in ["amd64", "arm64"] {
            let filter = profile.filter(architecture, capabilities).expect("an architecture");
            let mut spec = Spec::parse(CONFIG).expect("a config");
            exec::enforceable(&spec, &mapping).expect("enforced without the filter");
            spec.linux.as_mut().expect("there").seccomp = Some(filter);
            if let Err(error) = exec::enforceable(&spec, &mapping) {
                assert!(error.to_string().contains("seccomp"), "{error}");
            }
            // What is written is read as the same.
            let written = spec.to_bytes().expect("bytes");
            assert_eq!(Spec::parse(&written).expect("a config"), spec);
        }
    }
});
