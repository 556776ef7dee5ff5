//! App container images (AppC, `.aci`): what their manifest says, and what of
//! it an OCI image can say.
//!
//! The archive around the manifest is not here, nor is how dependencies are
//! found.

mod image;

use std::collections::BTreeSet;

use plimsoll_content::limits::Limits;
use plimsoll_content::{Code, Error, Platform, Result, View, json};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::null;

pub use image::{ID, LABEL, Lost, NAME, Owner};

/// The manifest of an app container image.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageManifest {
    /// Always `ImageManifest`.
    pub ac_kind: String,
    /// The version of the specification.
    #[serde(default)]
    pub ac_version: String,
    /// What the image is called, as a rule below a domain.
    pub name: String,
    /// What else tells it from others of that name: `version`, `os`, `arch`, …
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "null::is_default")]
    pub labels: Vec<Named>,
    /// How it is started; others may only depend on an image without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<App>,
    /// The images below, the lowest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "null::is_default")]
    pub dependencies: Vec<Dependency>,
    /// The only paths that are in the tree in the end, if there are any.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "null::is_default")]
    pub path_whitelist: Vec<String>,
    /// What else is said about it.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "null::is_default")]
    pub annotations: Vec<Named>,
    /// Other members.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A name and a value: a label, an annotation, a variable.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Named {
    /// The name.
    pub name: String,
    /// The value.
    pub value: String,
}

/// How an image is started.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct App {
    /// The program and its arguments.
    #[serde(default, deserialize_with = "null::is_default")]
    pub exec: Vec<String>,
    /// Who runs it: a name, a number, or a file that belongs to him.
    #[serde(default)]
    pub user: String,
    /// The group: a name, a number, or a file that belongs to it.
    #[serde(default)]
    pub group: String,
    /// Further groups.
    #[serde(
        rename = "supplementaryGIDs",
        alias = "supplementaryGids",
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null::is_default"
    )]
    pub supplementary_gids: Vec<u32>,
    /// The environment.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "null::is_default")]
    pub environment: Vec<Named>,
    /// The folder in which it starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_directory: Option<String>,
    /// Where data from outside is expected.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "null::is_default")]
    pub mount_points: Vec<MountPoint>,
    /// The ports that it listens on.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "null::is_default")]
    pub ports: Vec<Port>,
    /// What is run before and after it.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "null::is_default")]
    pub event_handlers: Vec<Value>,
    /// What it may do and use.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "null::is_default")]
    pub isolators: Vec<Value>,
    /// Free text under free names.
    #[serde(default, deserialize_with = "null::is_default")]
    pub user_annotations: std::collections::BTreeMap<String, String>,
    /// Free text under free names.
    #[serde(default, deserialize_with = "null::is_default")]
    pub user_labels: std::collections::BTreeMap<String, String>,
    /// Other members.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// Where data from outside is expected.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MountPoint {
    /// What it is called.
    pub name: String,
    /// Where it is in the tree.
    pub path: String,
    /// Whether it is only read.
    #[serde(default, deserialize_with = "null::is_default")]
    pub read_only: bool,
}

/// One port, or several in a row.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Port {
    /// What it is called.
    pub name: String,
    /// As a rule `tcp` or `udp`.
    pub protocol: String,
    /// The first one.
    pub port: u32,
    /// How many there are; 0 as well as 1 mean one.
    #[serde(default, deserialize_with = "null::is_default")]
    pub count: u32,
    /// Whether somebody else listens before the program starts.
    #[serde(default, deserialize_with = "null::is_default")]
    pub socket_activated: bool,
}

/// An image below.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Dependency {
    /// What it is called.
    pub image_name: String,
    /// The digest of its uncompressed archive, or the beginning of that:
    /// `sha512-…`.
    #[serde(rename = "imageID", default, skip_serializing_if = "Option::is_none")]
    pub image_id: Option<String>,
    /// The labels that it has.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "null::is_default")]
    pub labels: Vec<Named>,
    /// How long its file is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

/// How many ports an app may have: all of three protocols.
const PORTS: u64 = 3 * 65_535;

/// What image ids begin with; no other algorithm is allowed.
const SHA512: &str = "sha512-";

impl ImageManifest {
    /// The value of that label.
    pub fn label(&self, name: &str) -> Option<&str> {
        value(&self.labels, name)
    }

    /// The value of that annotation.
    pub fn annotation(&self, name: &str) -> Option<&str> {
        value(&self.annotations, name)
    }

    /// What the image runs on, as Go names it; `None` if it does not say both.
    pub fn platform(&self) -> Option<Platform> {
        let (os, arch) = (self.label("os")?, self.label("arch")?);
        let (arch, variant) = match arch {
            "i386" => ("386", None),
            "x86_64" => ("amd64", None),
            "aarch64" => ("arm64", None),
            "aarch64_be" => ("arm64be", None),
            "armv6l" => ("arm", Some("v6")),
            "armv7l" => ("arm", Some("v7")),
            "armv7b" => ("armbe", Some("v7")),
            other => (other, None),
        };
        Some(Platform { variant: variant.map(str::to_owned), ..Platform::new(os, arch) })
    }

    /// Whether it is what the dependency asks for, by name and labels. An
    /// image that names no `os` or `arch` is for all of them.
    pub fn answers(&self, dependency: &Dependency) -> bool {
        self.name == dependency.image_name
            && dependency.labels.iter().all(|asked| match self.label(&asked.name) {
                Some(value) => value == asked.value,
                None => matches!(asked.name.as_str(), "os" | "arch"),
            })
    }
}

impl Dependency {
    /// The hexadecimal digits that the image id begins with.
    ///
    /// Errors with [`Code::Malformed`] if it is no such id.
    pub fn id_digits(&self) -> Result<Option<&str>> {
        let Some(id) = &self.image_id else { return Ok(None) };
        let digits = id.strip_prefix(SHA512).filter(|digits| {
            (16..=128).contains(&digits.len())
                && digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        });
        digits.map(Some).ok_or_else(|| {
            let shown: String = id.chars().take(140).collect();
            Error::new(Code::Malformed, format!("reading dependency {:?}", self.image_name))
                .found(format!("the image id {shown:?}"))
                .expected("sha512- and 16 to 128 hexadecimal digits")
        })
    }
}

impl View for ImageManifest {
    const NAME: &'static str = "an AppC image manifest";

    fn limit(limits: &Limits) -> u64 {
        limits.config
    }

    fn check(&self) -> Result<()> {
        let bad = |found: String, expected: &str| {
            Error::new(Code::Malformed, format!("reading {}", Self::NAME))
                .found(found)
                .expected(expected)
        };
        if self.ac_kind != "ImageManifest" {
            return Err(bad(format!("acKind {:?}", self.ac_kind), "ImageManifest"));
        }
        let names = self.dependencies.iter().map(|dependency| &dependency.image_name);
        for name in names.chain([&self.name]) {
            if !is_identifier(name) {
                let shown: String = name.chars().take(100).collect();
                return Err(bad(
                    format!("the name {shown:?}"),
                    "small letters and digits, with single - . _ ~ or / between them",
                ));
            }
        }
        json::refuse_lookalikes("", &self.other, MEMBERS)?;
        unique("labels", &self.labels)?;
        unique("annotations", &self.annotations)?;
        if self.labels.iter().any(|label| label.name == "name") {
            return Err(bad("a label called name".to_owned(), "another name for a label"));
        }
        for dependency in &self.dependencies {
            unique("labels of a dependency", &dependency.labels)?;
            dependency.id_digits()?;
        }
        self.app.as_ref().map_or(Ok(()), App::check)
    }
}

const MEMBERS: &[&str] = &[
    "acKind",
    "acVersion",
    "name",
    "labels",
    "app",
    "dependencies",
    "pathWhitelist",
    "annotations",
];

impl App {
    fn check(&self) -> Result<()> {
        let known = [
            "exec",
            "user",
            "group",
            "supplementaryGIDs",
            "environment",
            "workingDirectory",
            "mountPoints",
            "ports",
            "eventHandlers",
            "isolators",
            "userAnnotations",
            "userLabels",
        ];
        json::refuse_lookalikes("/app", &self.other, &known)?;
        let bad = |found: String, expected: &str| {
            Err(Error::new(Code::Malformed, "reading the app of an AppC image manifest")
                .found(found)
                .expected(expected))
        };
        if self.user.is_empty() || self.group.is_empty() {
            return bad("no user or no group".to_owned(), "both: they are required");
        }
        if self.user.contains(':') || self.group.contains(':') {
            return bad("a colon in user or group".to_owned(), "a name, a number or a path");
        }
        for variable in &self.environment {
            if variable.name.is_empty() || variable.name.contains(['=', '\0']) {
                return bad(format!("a variable {:?}", variable.name), "a name without =");
            }
        }
        unique("environment", &self.environment)?;
        let paths = self.mount_points.iter().map(|point| &point.path);
        for path in paths.chain(&self.working_directory) {
            if !path.starts_with('/') || path.split('/').any(|part| part == "..") {
                return bad(format!("the path {path:?}"), "an absolute path");
            }
        }
        let all: u64 = self.ports.iter().map(|port| u64::from(port.count.max(1))).sum();
        if all > PORTS {
            return bad(format!("{all} ports"), "no more than there are");
        }
        for port in &self.ports {
            let last = u64::from(port.port) + u64::from(port.count.max(1)) - 1;
            if port.port == 0 || last > 65_535 {
                return bad(
                    format!("{} ports from {} on", port.count.max(1), port.port),
                    "ports from 1 to 65535",
                );
            }
        }
        Ok(())
    }
}

fn value<'a>(list: &'a [Named], name: &str) -> Option<&'a str> {
    list.iter().find(|one| one.name == name).map(|one| one.value.as_str())
}

fn unique(what: &str, list: &[Named]) -> Result<()> {
    let mut seen = BTreeSet::new();
    match list.iter().find(|one| !seen.insert(&one.name)) {
        None => Ok(()),
        Some(twice) => Err(Error::new(Code::Malformed, format!("reading {what}"))
            .found(format!("{:?} twice", twice.name))
            .expected("each once")),
    }
}

/// `^[a-z0-9]+([-._~/][a-z0-9]+)*$`
fn is_identifier(name: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let mut before = b'/';
    for byte in name.bytes() {
        if !word(byte) && (!b"-._~/".contains(&byte) || !word(before)) {
            return false;
        }
        before = byte;
    }
    word(before) && !name.is_empty() && name.len() <= 255
}
