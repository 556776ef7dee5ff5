//! Platforms: what a manifest runs on (`image-index.md`, "platform").

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Code, Error, Result, json};

/// An operating system and an architecture, with their refinements.
///
/// Values are GOOS and GOARCH names and are kept as they are written;
/// [`Platform::normalized`] gives the form in which they are compared.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Platform {
    /// The CPU architecture, as GOARCH: `amd64`, `arm64`, … (IX14).
    pub architecture: String,
    /// The operating system, as GOOS: `linux`, `windows`, … (IX16).
    pub os: String,
    /// The version of the operating system, such as `10.0.14393.1066`.
    #[serde(rename = "os.version", default, skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// Features of the operating system that are mandatory, such as `win32k`.
    #[serde(rename = "os.features", default, skip_serializing_if = "Vec::is_empty")]
    pub os_features: Vec<String>,
    /// The variant of the CPU, such as `v7` for arm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// Members that this version does not know, `features` (reserved, IX23)
    /// among them.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Platform {
    /// An operating system and an architecture without refinements.
    pub fn new(os: &str, architecture: &str) -> Self {
        Self { architecture: architecture.to_owned(), os: os.to_owned(), ..Self::default() }
    }

    /// Refuses members that some readers take for others
    /// ([`json::refuse_lookalikes`]).
    pub fn check(&self, pointer: &str) -> Result<()> {
        json::refuse_lookalikes(
            pointer,
            &self.other,
            &["architecture", "os", "os.version", "os.features", "variant"],
        )
    }

    /// The platform this program was built for.
    pub fn host() -> Self {
        Self::new(std::env::consts::OS, std::env::consts::ARCH).normalized()
    }

    /// The same platform with the usual aliases resolved, and with the
    /// variant left out where it is the one that is meant anyway: `x86_64` is
    /// `amd64`, `aarch64` is `arm64`, `arm64/v8` is `arm64`, `arm` is
    /// `arm/v7`, `macos` is `darwin`.
    pub fn normalized(&self) -> Self {
        let mut platform = self.clone();
        let (architecture, variant) =
            canonical(&self.architecture.to_ascii_lowercase(), self.variant.as_deref());
        platform.architecture = architecture;
        platform.variant = variant;
        platform.os = match self.os.to_ascii_lowercase().as_str() {
            "macos" => "darwin".to_owned(),
            os => os.to_owned(),
        };
        platform
    }
}

fn canonical(architecture: &str, variant: Option<&str>) -> (String, Option<String>) {
    let variant = variant.filter(|variant| !variant.is_empty()).map(str::to_ascii_lowercase);
    let (architecture, variant) = match (architecture, variant.as_deref()) {
        ("x86_64" | "x86-64" | "amd64", None | Some("v1")) => ("amd64", None),
        ("x86_64" | "x86-64", _) => ("amd64", variant),
        ("i386" | "i486" | "i586" | "i686" | "x86", _) => ("386", None),
        ("aarch64" | "arm64", None | Some("8" | "v8" | "v8.0")) => ("arm64", None),
        ("aarch64", _) => ("arm64", variant),
        ("armhf", _) => ("arm", Some("v7".to_owned())),
        ("armel", _) => ("arm", Some("v6".to_owned())),
        ("arm", None) => ("arm", Some("v7".to_owned())),
        ("arm", Some(digit @ ("5" | "6" | "7" | "8"))) => ("arm", Some(format!("v{digit}"))),
        ("powerpc64le" | "ppc64el", _) => ("ppc64le", variant),
        ("loong64" | "loongarch64", _) => ("loong64", variant),
        (other, _) => (other, variant),
    };
    (architecture.to_owned(), variant)
}

impl fmt::Display for Platform {
    /// `os/architecture`, or `os/architecture/variant`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

/// `linux/arm64`, `linux/arm/v7`, or an architecture alone, which means linux.
impl FromStr for Platform {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad = || {
            Error::new(Code::Usage, "reading a platform")
                .found(format!("{text:?}"))
                .expected("OS/ARCHITECTURE[/VARIANT], such as linux/arm64 or linux/arm/v7")
        };
        let parts: Vec<&str> = text.split('/').collect();
        let is_word = |part: &&str| {
            !part.is_empty()
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        };
        if !parts.iter().all(is_word) {
            return Err(bad());
        }
        let platform = match parts[..] {
            [architecture]
                if !["linux", "windows", "darwin", "freebsd"].contains(&architecture) =>
            {
                Self::new("linux", architecture)
            }
            [os, architecture] => Self::new(os, architecture),
            [os, architecture, variant] => {
                Self { variant: Some(variant.to_owned()), ..Self::new(os, architecture) }
            }
            _ => return Err(bad()),
        };
        Ok(platform.normalized())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        for (text, shown) in [
            ("linux/amd64", "linux/amd64"),
            ("linux/x86_64", "linux/amd64"),
            ("aarch64", "linux/arm64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/arm/6", "linux/arm/v6"),
            ("linux/amd64/v3", "linux/amd64/v3"),
            ("windows/amd64", "windows/amd64"),
        ] {
            assert_eq!(text.parse::<Platform>().expect(text).to_string(), shown);
        }
        for bad in ["", "linux", "linux/", "/amd64", "a/b/c/d", "linux/am d64"] {
            assert!(bad.parse::<Platform>().is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn keeps_dotted_and_unknown_members() {
        let text = r#"{"architecture":"amd64","features":["sse4"],"os":"windows","os.features":["win32k"],"os.version":"10.0","x":1}"#;
        let platform: Platform = serde_json::from_str(text).expect("valid");
        assert_eq!(platform.os_version.as_deref(), Some("10.0"));
        assert_eq!(serde_json::to_value(&platform).expect("json").to_string(), text);
    }
}
