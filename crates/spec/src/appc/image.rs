//! An app container image as an OCI image: config and annotations, and what
//! is lost.

use std::collections::BTreeMap;

use plimsoll_content::{Annotations, Digest, Platform};
use serde_json::{Map, Value, json};

use super::{App, ImageManifest, Named};
use crate::annotations as oci;
use crate::{Config, Execution, History, RootFs};

/// The annotation that holds the name of the image.
pub const NAME: &str = "appc.io/name";
/// The annotation that holds its image id.
pub const ID: &str = "appc.io/id";
/// What annotations that hold a label begin with.
pub const LABEL: &str = "appc.io/label/";

/// What annotations begin with that hold an annotation without a domain.
const ANNOTATION: &str = "appc.io/annotation/";
/// The annotation that holds the further groups, divided by commas.
const GROUPS: &str = "appc.io/supplementary-gids";

/// What an OCI image can not say, in words.
pub type Lost = Vec<String>;

/// Whom the files belong to that stand for user and group.
pub type Owner<'a> = &'a dyn Fn(&str) -> plimsoll_content::Result<(u32, u32)>;

impl ImageManifest {
    /// The annotations of the manifest; `id` is the image id.
    pub fn annotations(&self, id: &str) -> Annotations {
        let mut annotations = Annotations::new();
        let mut put = |name: &str, value: &str| {
            annotations.entry(name.to_owned()).or_insert_with(|| value.to_owned());
        };
        put(NAME, &self.name);
        put(ID, id);
        for Named { name, value } in &self.labels {
            put(&format!("{LABEL}{name}"), value);
            if name == "version" {
                put(oci::VERSION, value);
            }
        }
        for Named { name, value } in &self.annotations {
            match name.as_str() {
                "created" => put(oci::CREATED, value),
                "authors" => put(oci::AUTHORS, value),
                "homepage" => put(oci::URL, value),
                "documentation" => put(oci::DOCUMENTATION, value),
                domain if domain.contains(['.', '/']) => put(domain, value),
                bare => put(&format!("{ANNOTATION}{bare}"), value),
            }
        }
        if let Some(app) = &self.app {
            if !app.supplementary_gids.is_empty() {
                let groups: Vec<_> = app.supplementary_gids.iter().map(u32::to_string).collect();
                put(GROUPS, &groups.join(","));
            }
            for (name, value) in &app.user_annotations {
                put(name, value);
            }
        }
        annotations
    }

    /// The labels by which others find the image in a list, under their own
    /// names; version and platform have their place elsewhere.
    pub fn listed(&self) -> Annotations {
        let own = |label: &&Named| !["version", "os", "arch"].contains(&label.name.as_str());
        let listed = self.labels.iter().filter(own);
        listed.map(|label| (label.name.clone(), label.value.clone())).collect()
    }

    /// The config, and what it can not say. `owner` tells whom a file of the
    /// tree belongs to.
    pub fn config(
        &self,
        platform: &Platform,
        diff_ids: Vec<Digest>,
        history: Vec<History>,
        owner: Owner<'_>,
    ) -> plimsoll_content::Result<(Config, Lost)> {
        let mut config = Config {
            created: self.annotation("created").map(str::to_owned),
            author: self.annotation("authors").map(str::to_owned),
            rootfs: RootFs { diff_ids, ..RootFs::default() },
            history,
            ..Config::new(platform)
        };
        let mut lost = Lost::new();
        if let Some(app) = &self.app {
            config.config = Some(app.execution(owner, &mut lost)?);
        }
        Ok((config, lost))
    }
}

impl App {
    fn execution(&self, owner: Owner<'_>, lost: &mut Lost) -> plimsoll_content::Result<Execution> {
        let user = if self.user.starts_with('/') {
            owner(&self.user)?.0.to_string()
        } else {
            self.user.clone()
        };
        let group = if self.group.starts_with('/') {
            owner(&self.group)?.1.to_string()
        } else {
            self.group.clone()
        };
        let mut named = |what: &str, names: Vec<String>| {
            if !names.is_empty() {
                lost.push(format!("{what}: {}", names.join(", ")));
            }
        };
        let name = |value: &Value| {
            value.get("name").and_then(Value::as_str).unwrap_or("without a name").to_owned()
        };
        named("isolators", self.isolators.iter().map(name).collect());
        named("eventHandlers", self.event_handlers.iter().map(name).collect());
        named(
            "supplementaryGIDs, kept as an annotation",
            self.supplementary_gids.iter().map(u32::to_string).collect(),
        );
        let read_only = self.mount_points.iter().filter(|point| point.read_only);
        named("readOnly of mountPoints", read_only.map(|point| point.name.clone()).collect());
        let activated = self.ports.iter().filter(|port| port.socket_activated);
        named("socketActivated of ports", activated.map(|port| port.name.clone()).collect());
        let ports = self.exposed(&mut named);
        let nothing = || Value::Object(Map::new());
        Ok(Execution {
            user: Some(format!("{user}:{group}")),
            exposed_ports: ports.into_iter().map(|port| (port, nothing())).collect(),
            env: self.environment.iter().map(|one| format!("{}={}", one.name, one.value)).collect(),
            entrypoint: (!self.exec.is_empty()).then(|| self.exec.clone()),
            volumes: self
                .mount_points
                .iter()
                .map(|point| (point.path.clone(), json!({})))
                .collect(),
            working_dir: self.working_directory.clone(),
            labels: self.user_labels.clone().into_iter().collect::<BTreeMap<_, _>>(),
            ..Execution::default()
        })
    }

    /// Every port of a range by itself, as OCI has them.
    fn exposed(&self, lost: &mut dyn FnMut(&str, Vec<String>)) -> Vec<String> {
        let mut ports = Vec::new();
        for port in &self.ports {
            let protocol = port.protocol.to_ascii_lowercase();
            if !["tcp", "udp", "sctp"].contains(&protocol.as_str()) {
                lost("ports of another protocol than tcp, udp or sctp", vec![port.name.clone()]);
                continue;
            }
            let all = port.port..port.port.saturating_add(port.count.max(1));
            ports.extend(all.map(|number| format!("{number}/{protocol}")));
        }
        ports
    }
}
