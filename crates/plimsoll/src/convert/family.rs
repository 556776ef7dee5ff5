//! The two families of documents, and what changes on the way from one to the
//! other: media types, and, on the way to Docker's, what that has no place for.
//!
//! All of it happens in the JSON as it came. Members that are unknown here
//! stay. Configs are not touched: Docker's members (`container_config`,
//! `Healthcheck`, `OnBuild`, `Shell`, …) are legal in an OCI config, where
//! further members are allowed and ignored by whoever does not know them, and
//! everything in an OCI config is legal in Docker's. So an image keeps its id.

use std::fmt;
use std::str::FromStr;

use plimsoll_content::{Code, Error, MediaType, Result};
use plimsoll_spec::docker::is_docker;
use plimsoll_spec::{LayerType, media_type};
use serde_json::{Map, Value};

/// Whose documents they are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Family {
    /// The image specification's.
    Oci,
    /// Docker's, version 2, schema 2.
    Docker,
}

/// Members of manifests and indexes that only OCI has.
const OCI_ONLY: [&str; 3] = ["artifactType", "subject", "annotations"];

/// Members of descriptors that only OCI has. What is embedded in one (`data`)
/// is a blob as well, so nothing is lost with it.
const OCI_ONLY_OF_DESCRIPTORS: [&str; 3] = ["annotations", "artifactType", "data"];

impl Family {
    /// The family that a document belongs to.
    pub fn of(media_type: &MediaType) -> Self {
        if is_docker(media_type) { Self::Docker } else { Self::Oci }
    }

    /// What the document of that media type is called in this family.
    pub(crate) fn name(self, media_type: &MediaType) -> MediaType {
        let pairs = [
            (media_type::MANIFEST, media_type::DOCKER_MANIFEST),
            (media_type::INDEX, media_type::DOCKER_MANIFEST_LIST),
            (media_type::CONFIG, media_type::DOCKER_CONFIG),
        ];
        for (oci, docker) in pairs {
            if [&oci, &docker].contains(&media_type) {
                return if self == Self::Oci { oci } else { docker };
            }
        }
        media_type.clone()
    }

    /// What the layer of that media type is called in this family; `None` if
    /// the family has no such layers.
    fn layer_name(self, said: &MediaType) -> Option<MediaType> {
        let kind = LayerType::of(said)?;
        match self {
            Self::Oci => Some(kind.media_type()),
            Self::Docker => kind.docker_name(),
        }
    }

    /// Makes the JSON of a manifest one of this family. Gives what is lost.
    ///
    /// Errors with [`Code::Unrepresentable`] if the family has no such layers.
    pub(crate) fn manifest(
        self,
        manifest: &mut Map<String, Value>,
        said: &MediaType,
    ) -> Result<Vec<String>> {
        let crossing = self != Self::of(said);
        let mut lost = self.document(manifest, said);
        if let Some(config) = manifest.get_mut("config") {
            self.rename(config, |said| Some(self.name(said)))?;
            if crossing {
                lost.extend(self.strip(config, "config"));
            }
        }
        if let Some(Value::Array(layers)) = manifest.get_mut("layers") {
            for (position, layer) in layers.iter_mut().enumerate() {
                self.layer(layer, crossing, position)?;
                if crossing {
                    lost.extend(self.strip(layer, &format!("layer {}", position + 1)));
                }
            }
        }
        Ok(lost)
    }

    /// Gives a layer the name that it has in this family, if it has one.
    pub(crate) fn adopt(self, layer: &mut Value) -> Result<()> {
        self.layer(layer, false, 0)
    }

    /// Gives a layer its name in this family. One that has none stays in a
    /// document that was of this family before, and in OCI ones, where a
    /// layer may be anything.
    fn layer(self, layer: &mut Value, crossing: bool, position: usize) -> Result<()> {
        let strict = crossing && self == Self::Docker;
        self.rename(layer, |said| self.layer_name(said).or_else(|| (!strict).then(|| said.clone())))
            .map_err(|error| {
                error
                    .context(format!("converting layer {}", position + 1))
                    .fix("keep the image in OCI's form, which can hold any layer")
            })
    }

    /// Makes the JSON of an index one of this family. Gives what is lost.
    /// Its entries are for [`Family::entry`].
    pub(crate) fn index(self, index: &mut Map<String, Value>, said: &MediaType) -> Vec<String> {
        self.document(index, said)
    }

    /// Takes from an entry of an index what this family has no place for.
    pub(crate) fn entry(self, entry: &mut Value, position: usize) -> Vec<String> {
        self.strip(entry, &format!("entry {}", position + 1))
    }

    fn document(self, document: &mut Map<String, Value>, said: &MediaType) -> Vec<String> {
        if self == Self::of(said) {
            return Vec::new();
        }
        let name = self.name(said);
        document.insert("mediaType".to_owned(), Value::from(name.as_str()));
        if self == Self::Oci {
            return Vec::new();
        }
        OCI_ONLY.iter().filter_map(|member| gone(document, member, "")).collect()
    }

    fn strip(self, descriptor: &mut Value, place: &str) -> Vec<String> {
        let Value::Object(members) = descriptor else { return Vec::new() };
        if self == Self::Oci {
            return Vec::new();
        }
        let gone = OCI_ONLY_OF_DESCRIPTORS.iter().filter_map(|member| gone(members, member, place));
        gone.filter(|what| !what.ends_with(" data")).collect()
    }

    fn rename(
        self,
        descriptor: &mut Value,
        name: impl FnOnce(&MediaType) -> Option<MediaType>,
    ) -> Result<()> {
        let Some(said) = descriptor.get("mediaType").and_then(Value::as_str) else {
            return Ok(());
        };
        let said = MediaType::from(said);
        let new = name(&said).ok_or_else(|| {
            Error::new(Code::Unrepresentable, format!("converting to {self}"))
                .found(format!("media type {:?}", said.as_str()))
                .expected("a tar layer, plain or in gzip")
        })?;
        if new != said {
            descriptor["mediaType"] = Value::from(new.as_str());
        }
        Ok(())
    }
}

/// Leaves of a manifest of plain layers what a docker archive holds of it, so
/// that it is the one that is read out of the archive. Gives what is lost.
pub(crate) fn bare(manifest: &mut Map<String, Value>) -> Vec<String> {
    let mut lost = Vec::new();
    let mut keep = |members: &mut Map<String, Value>, known: &[&str], place: &str| {
        let others: Vec<_> =
            members.keys().filter(|name| !known.contains(&name.as_str())).cloned().collect();
        lost.extend(others.iter().filter_map(|member| gone(members, member, place)));
    };
    keep(manifest, &["schemaVersion", "mediaType", "config", "layers"], "");
    let descriptor = ["mediaType", "digest", "size"];
    if let Some(Value::Object(config)) = manifest.get_mut("config") {
        keep(config, &descriptor, "config");
    }
    let layers = manifest.get_mut("layers").and_then(Value::as_array_mut);
    for (position, layer) in layers.into_iter().flatten().enumerate() {
        if let Value::Object(layer) = layer {
            keep(layer, &descriptor, &format!("layer {}", position + 1));
            let plain = Value::from(media_type::DOCKER_LAYER.as_str());
            layer.insert("mediaType".to_owned(), plain);
        }
    }
    lost
}

/// Takes a member away, and says so if it said anything.
fn gone(members: &mut Map<String, Value>, member: &str, place: &str) -> Option<String> {
    let said = match members.remove(member)? {
        Value::Null => return None,
        Value::Object(entries) if entries.is_empty() => return None,
        Value::Object(entries) if member == "annotations" => {
            let names: Vec<_> = entries.keys().map(String::as_str).collect();
            format!("annotations ({})", names.join(", "))
        }
        Value::Object(subject) if member == "subject" => {
            let digest = subject.get("digest").and_then(Value::as_str).unwrap_or_default();
            format!("subject ({digest})")
        }
        _ => member.to_owned(),
    };
    Some(if place.is_empty() { said } else { format!("{place}: {said}") })
}

impl FromStr for Family {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "oci" | "oci1" => Ok(Self::Oci),
            "docker" | "v2s2" => Ok(Self::Docker),
            _ => Err(Error::new(Code::Usage, "choosing a form of images")
                .found(format!("{text:?}"))
                .expected("oci or docker")),
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Oci => "OCI's form",
            Self::Docker => "Docker's form",
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(members) => members,
            _ => panic!("an object"),
        }
    }

    #[test]
    fn to_docker_loses_what_it_has_no_place_for_and_back_loses_nothing() {
        let oci = json!({
            "schemaVersion": 2, "mediaType": media_type::MANIFEST.as_str(),
            "artifactType": "a/b", "x": 1.50,
            "subject": {"digest": "sha256:1", "mediaType": "a/b", "size": 1},
            "annotations": {"k": "v"},
            "config": {"mediaType": media_type::CONFIG.as_str(), "digest": "d", "size": 2, "data": "e30=", "x": 1},
            "layers": [
                {"mediaType": media_type::LAYER_GZIP.as_str(), "annotations": {"l": ""}, "urls": ["u"]},
                {"mediaType": media_type::LAYER_NONDISTRIBUTABLE.as_str(), "annotations": {}},
            ],
        });
        let mut manifest = object(oci.clone());
        let lost = Family::Docker.manifest(&mut manifest, &media_type::MANIFEST).expect("good");
        assert_eq!(
            lost,
            ["artifactType", "subject (sha256:1)", "annotations (k)", "layer 1: annotations (l)"]
        );
        assert_eq!(
            Value::Object(manifest.clone()),
            json!({
                "schemaVersion": 2, "mediaType": media_type::DOCKER_MANIFEST.as_str(), "x": 1.50,
                "config": {"mediaType": media_type::DOCKER_CONFIG.as_str(), "digest": "d", "size": 2, "x": 1},
                "layers": [
                    {"mediaType": media_type::DOCKER_LAYER_GZIP.as_str(), "urls": ["u"]},
                    {"mediaType": media_type::DOCKER_FOREIGN_LAYER.as_str()},
                ],
            })
        );
        // Twice is once.
        let docker = manifest.clone();
        let again = Family::Docker.manifest(&mut manifest, &media_type::DOCKER_MANIFEST);
        assert_eq!((again.expect("good"), &manifest), (Vec::new(), &docker));
        let back = Family::Oci.manifest(&mut manifest, &media_type::DOCKER_MANIFEST);
        assert_eq!(back.expect("good"), Vec::<String>::new());
        assert_eq!(manifest["mediaType"], media_type::MANIFEST.as_str());
        assert_eq!(manifest["layers"][1]["mediaType"], media_type::LAYER_NONDISTRIBUTABLE.as_str());
    }

    #[test]
    fn docker_has_no_place_for_layers_that_are_no_tar() {
        for odd in [
            "application/vnd.in-toto+json",
            "application/vnd.oci.image.layer.v1.tar+gzip+encrypted",
        ] {
            let odd = json!({"layers": [{"mediaType": odd}]});
            let refused = Family::Docker.manifest(&mut object(odd.clone()), &media_type::MANIFEST);
            assert_eq!(refused.expect_err("refused").code(), Code::Unrepresentable);
            let mut kept = object(odd.clone());
            Family::Oci.manifest(&mut kept, &media_type::DOCKER_MANIFEST).expect("kept");
            assert_eq!(kept["layers"], odd["layers"]);
        }
    }
}
