//! Images as docker had them before their ids were digests: one layer each,
//! on top of a parent, with a JSON document that says how both came about.
//!
//! They stand in the folders of docker archives from before docker 1.10, and
//! as text in the history of schema 1 manifests. Of such a chain, the config
//! of an image is made here; which layers it has, whoever reads them knows.

use plimsoll_content::limits::Limits;
use plimsoll_content::{Digest, Result, View, json};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::config::{Config, Execution, OWN};
use crate::config::MEMBERS;
use crate::{History, RootFs, null};

/// One image of a chain. Every member may be `null` or absent.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct V1Image {
    /// The id, chosen at random.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The id of the image below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// When it was made (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// What was said when it was committed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// The architecture, as GOARCH; the oldest images do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
    /// The operating system, as GOOS; the oldest images do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os: Option<String>,
    /// Its version.
    #[serde(rename = "os.version", default, skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// Its mandatory features.
    #[serde(
        rename = "os.features",
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null::is_default"
    )]
    pub os_features: Vec<String>,
    /// The variant of the CPU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// How it is started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<Execution>,
    /// The container that was committed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// How that container was started; its command is how the layer was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_config: Option<Execution>,
    /// The version of docker that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docker_version: Option<String>,
    /// Whether the layer is empty and only there because each step had to
    /// have one.
    #[serde(
        default,
        skip_serializing_if = "null::is_false",
        deserialize_with = "null::is_default"
    )]
    pub throwaway: bool,
    /// Members that this version does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// What is about a layer of the chain, or computed from it, and so says
/// nothing about an image: docker leaves it out as well. `Size` is that of
/// the files alone: layers that only remove files have 0.
const GONE: &[&str] = &["Size", "parent_id", "layer_id"];

impl V1Image {
    /// What the history of an image says about this part of it.
    pub fn step(&self, empty_layer: bool) -> History {
        let command = self.container_config.as_ref().and_then(|config| config.cmd.as_ref());
        History {
            created: self.created.clone(),
            created_by: command.map(|words| words.join(" ")).filter(|text| !text.is_empty()),
            author: self.author.clone().filter(|text| !text.is_empty()),
            comment: self.comment.clone().filter(|text| !text.is_empty()),
            empty_layer,
            other: Map::new(),
        }
    }

    /// The config of the image that has this on top. Where it says of no
    /// platform, it is docker's first one: linux/amd64.
    pub fn into_config(self, diff_ids: Vec<Digest>, history: Vec<History>) -> Config {
        let mut other = self.other;
        other.retain(|name, _| !GONE.contains(&name.as_str()));
        let said = |text: Option<String>| text.filter(|text| !text.is_empty());
        Config {
            created: self.created,
            author: said(self.author),
            architecture: said(self.architecture).unwrap_or_else(|| "amd64".to_owned()),
            os: said(self.os).unwrap_or_else(|| "linux".to_owned()),
            os_version: self.os_version,
            os_features: self.os_features,
            variant: self.variant,
            config: self.config,
            rootfs: RootFs { diff_ids, ..RootFs::default() },
            history,
            id: None,
            parent: None,
            comment: said(self.comment),
            container: self.container,
            container_config: self.container_config,
            docker_version: self.docker_version,
            other,
        }
    }
}

impl View for V1Image {
    const NAME: &'static str = "a Docker v1 image";

    fn limit(limits: &Limits) -> u64 {
        limits.config
    }

    fn check(&self) -> Result<()> {
        json::refuse_lookalikes("", &self.other, &[MEMBERS, OWN, &["throwaway"]].concat())?;
        for (pointer, execution) in
            [("/config", &self.config), ("/container_config", &self.container_config)]
        {
            execution.as_ref().map_or(Ok(()), |execution| execution.check(pointer))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_content::Document;

    use super::*;

    #[test]
    fn a_chain_ends_in_a_config() {
        let text = br##"{"id":"b","parent":"a","created":"2014-05-06T07:08:09.1Z","Size":7,
            "container":"c","docker_version":"1.0.0","author":"","checksum":"tarsum",
            "container_config":{"Hostname":"x","Cmd":["/bin/sh","-c","#(nop) CMD [sh]"],"Memory":0},
            "config":{"Env":null,"Cmd":["sh"],"Volumes":null,"PortSpecs":null},
            "architecture":"amd64","os":"linux","layer_id":"l","throwaway":null}"##;
        let image = Document::<V1Image>::parse(&text[..]).expect("read");
        let step = image.step(true);
        assert_eq!(step.created_by.as_deref(), Some("/bin/sh -c #(nop) CMD [sh]"));
        assert_eq!((step.author, step.empty_layer), (None, true));
        let config = image.view().clone().into_config(Vec::new(), vec![image.step(true)]);
        let config = Document::new(config).expect("written");
        let text = String::from_utf8(config.bytes().to_vec()).expect("text");
        for gone in ["\"id\"", "\"parent\"", "Size", "layer_id", "throwaway"] {
            assert!(!text.contains(gone), "{gone}: {text}");
        }
        for kept in ["checksum", "Hostname", "\"container\":\"c\"", "\"Cmd\":[\"sh\"]"] {
            assert!(text.contains(kept), "{kept}: {text}");
        }
    }

    #[test]
    fn the_oldest_images_are_for_dockers_first_platform() {
        let config = V1Image::default().into_config(Vec::new(), Vec::new());
        assert_eq!((config.os.as_str(), config.architecture.as_str()), ("linux", "amd64"));
    }
}
