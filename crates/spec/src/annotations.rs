//! The annotation keys of the spec (`annotations.md`), and the grammar of
//! names in a layout.

/// When the image was made (RFC 3339).
pub const CREATED: &str = "org.opencontainers.image.created";
/// Who is responsible for it.
pub const AUTHORS: &str = "org.opencontainers.image.authors";
/// Where to read more.
pub const URL: &str = "org.opencontainers.image.url";
/// Where its documentation is.
pub const DOCUMENTATION: &str = "org.opencontainers.image.documentation";
/// Where its source is.
pub const SOURCE: &str = "org.opencontainers.image.source";
/// The version of the packaged software.
pub const VERSION: &str = "org.opencontainers.image.version";
/// The revision of the source.
pub const REVISION: &str = "org.opencontainers.image.revision";
/// Who distributes it.
pub const VENDOR: &str = "org.opencontainers.image.vendor";
/// Its licences (SPDX).
pub const LICENSES: &str = "org.opencontainers.image.licenses";
/// Its name in a layout; it counts only in `index.json` (LA19, AN11).
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// A title for people.
pub const TITLE: &str = "org.opencontainers.image.title";
/// A description for people.
pub const DESCRIPTION: &str = "org.opencontainers.image.description";
/// The digest of the immediate base image (AN13).
pub const BASE_DIGEST: &str = "org.opencontainers.image.base.digest";
/// The reference of the immediate base image (AN15).
pub const BASE_NAME: &str = "org.opencontainers.image.base.name";

/// The operating system of the image config, among the annotations of a
/// runtime config (CV11).
pub const OS: &str = "org.opencontainers.image.os";
/// The architecture of the image config (CV12).
pub const ARCHITECTURE: &str = "org.opencontainers.image.architecture";
/// The CPU variant of the image config (CV13).
pub const VARIANT: &str = "org.opencontainers.image.variant";
/// The version of the operating system of the image config (CV14).
pub const OS_VERSION: &str = "org.opencontainers.image.os.version";
/// The features of the operating system of the image config (CV15).
pub const OS_FEATURES: &str = "org.opencontainers.image.os.features";
/// The author of the image config (CV16).
pub const AUTHOR: &str = "org.opencontainers.image.author";
/// The stop signal of the image config (CV18).
pub const STOP_SIGNAL: &str = "org.opencontainers.image.stopSignal";
/// The exposed ports of the image config, joined by commas (CV31).
pub const EXPOSED_PORTS: &str = "org.opencontainers.image.exposedPorts";

/// All keys that the spec defines for images: nobody else's keys start with
/// `org.opencontainers` (AN5, AN6).
pub const ALL: &[&str] = &[
    CREATED,
    AUTHORS,
    URL,
    DOCUMENTATION,
    SOURCE,
    VERSION,
    REVISION,
    VENDOR,
    LICENSES,
    REF_NAME,
    TITLE,
    DESCRIPTION,
    BASE_DIGEST,
    BASE_NAME,
    OS,
    ARCHITECTURE,
    VARIANT,
    OS_VERSION,
    OS_FEATURES,
    AUTHOR,
    STOP_SIGNAL,
    EXPOSED_PORTS,
];

/// Whether `name` follows the grammar of names in a layout (AN12): runs of
/// letters and digits, joined by one of `- . _ : @ / +` or by `--`; at most
/// 255 bytes, so that the name can be one of a file.
///
/// Names are checked when they are written; what others wrote is read.
pub fn is_ref_name(name: &str) -> bool {
    (1..=255).contains(&name.len())
        && name.split(['.', '_', ':', '@', '/', '+']).all(|part| {
            let mut runs = part.split('-');
            // Two hyphens leave one empty run, three would leave two.
            let mut was_empty = true;
            let fits = runs.all(|run| {
                let empty = run.is_empty();
                let fits = !(empty && was_empty) && run.bytes().all(|b| b.is_ascii_alphanumeric());
                was_empty = empty;
                fits
            });
            fits && !was_empty
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an12_knows_names() {
        for good in ["v1", "app:v1.0", "host:5000/org/app:v1", "a--b", "A_1+x@y"] {
            assert!(is_ref_name(good), "{good}");
        }
        for bad in [
            "", "-a", "--a", "a-", "a--", "a/", "/a", "a//b", "a---b", "a-.b", "a/--b", "a b", "ä",
            "a..b", "a\n", "a\0", "../a", "-",
        ] {
            assert!(!is_ref_name(bad), "{bad:?}");
        }
        assert!(is_ref_name(&"a".repeat(255)) && !is_ref_name(&"a".repeat(256)));
    }
}
