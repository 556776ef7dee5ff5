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

/// Whether `name` follows the grammar of names in a layout (AN12): components
/// of letters and digits, joined by single `- . _ : @ /` or `+`, two of them
/// after another only as `--`.
///
/// Names are checked when they are written; what others wrote is read.
pub fn is_ref_name(name: &str) -> bool {
    let is_joint = |byte: u8| b"-._:@/+".contains(&byte);
    let bytes = name.as_bytes();
    let good = |byte: u8| byte.is_ascii_alphanumeric() || is_joint(byte);
    !bytes.is_empty()
        && bytes.len() <= 255
        && bytes.iter().all(|byte| good(*byte))
        && !is_joint(bytes[0])
        && !is_joint(bytes[bytes.len() - 1])
        && bytes.windows(2).all(|pair| {
            !(is_joint(pair[0]) && is_joint(pair[1])) || (pair[0] == b'-' && pair[1] == b'-')
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
        for bad in ["", "-a", "a/", "a//b", "a b", "ä", "a..b", "a\n"] {
            assert!(!is_ref_name(bad), "{bad:?}");
        }
    }
}
