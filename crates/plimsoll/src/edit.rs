//! Changes to an image config: what is named is set, nothing else is touched.
//!
//! They are made in the JSON as it came, not in a view of it: members that
//! are unknown here, `null` and the digits of numbers stay.

use std::fmt;
use std::str::FromStr;

use plimsoll_content::{Code, Error, Platform, Result};
use serde_json::{Map, Value};

/// What to change in a config. `None` and empty lists leave a field alone.
#[derive(Clone, Debug, Default)]
pub struct Edit {
    /// The program that is started, with its fixed arguments.
    pub entrypoint: Option<Vec<String>>,
    /// The arguments that a caller may replace.
    pub cmd: Option<Vec<String>>,
    /// Environment entries `NAME=VALUE`; one of the same name is replaced.
    pub env: Vec<String>,
    /// Who runs the program: `user`, `uid`, `user:group`, ….
    pub user: Option<String>,
    /// The folder in which the program starts.
    pub working_dir: Option<String>,
    /// Labels `NAME=VALUE`; one of the same name is replaced.
    pub labels: Vec<String>,
    /// Ports such as `80/tcp`.
    pub ports: Vec<String>,
    /// Folders that are to be volumes.
    pub volumes: Vec<String>,
    /// The signal that asks the program to stop.
    pub stop_signal: Option<String>,
    /// Who made the image.
    pub author: Option<String>,
    /// When the image was made (RFC 3339).
    pub created: Option<String>,
    /// What the image runs on.
    pub platform: Option<Platform>,
    /// What is taken away, before anything is set.
    pub unset: Vec<Unset>,
}

/// Something to take away from a config: a whole field (`cmd`, `env`), or one
/// entry of it (`env:PATH`, `label:org.example.x`, `expose:80/tcp`).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Unset {
    field: &'static Field,
    entry: Option<String>,
}

/// A field that can be taken away.
#[derive(Debug, Eq, PartialEq)]
struct Field {
    /// Its words; the first is ours.
    words: &'static [&'static str],
    /// Its member, in `config` or at the top.
    member: &'static str,
    /// Whether it lies at the top of the document.
    top: bool,
    /// Whether it has entries with names.
    entries: bool,
}

const fn field(words: &'static [&'static str], member: &'static str, entries: bool) -> Field {
    Field { words, member, top: false, entries }
}

const FIELDS: &[Field] = &[
    field(&["entrypoint"], "Entrypoint", false),
    field(&["cmd"], "Cmd", false),
    field(&["env"], "Env", true),
    field(&["user"], "User", false),
    field(&["workdir", "workingdir"], "WorkingDir", false),
    field(&["label", "labels"], "Labels", true),
    field(&["expose", "port", "ports"], "ExposedPorts", true),
    field(&["volume", "volumes"], "Volumes", true),
    field(&["stop-signal"], "StopSignal", false),
    field(&["healthcheck"], "Healthcheck", false),
    field(&["onbuild"], "OnBuild", false),
    field(&["shell"], "Shell", false),
    // Of the manifest.
    field(&["annotation", "annotations"], ANNOTATIONS, true),
    Field { words: &["author"], member: "author", top: true, entries: false },
    Field { words: &["created"], member: "created", top: true, entries: false },
    Field { words: &["variant"], member: "variant", top: true, entries: false },
    Field { words: &["os.version"], member: "os.version", top: true, entries: false },
    Field { words: &["os.features"], member: "os.features", top: true, entries: false },
];

const ANNOTATIONS: &str = "annotations";

impl FromStr for Unset {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (word, entry) = match text.split_once(':') {
            Some((word, entry)) => (word, Some(entry)),
            None => (text, None),
        };
        let found = FIELDS.iter().find(|field| field.words.contains(&word));
        match (found, entry) {
            (Some(field), None) => Ok(Self { field, entry: None }),
            (Some(field), Some(entry)) if field.entries && !entry.is_empty() => {
                let entry = match field.member {
                    "ExposedPorts" => port_key(entry)?,
                    _ => entry.to_owned(),
                };
                Ok(Self { field, entry: Some(entry) })
            }
            _ => {
                let words: Vec<_> = FIELDS.iter().map(|field| field.words[0]).collect();
                Err(Error::new(Code::Usage, "reading what to unset")
                    .found(format!("{text:?}"))
                    .expected(format!(
                        "one of {}; env, label, expose, volume and annotation also with :NAME",
                        words.join(", ")
                    )))
            }
        }
    }
}

impl fmt::Display for Unset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.field.words[0])?;
        self.entry.as_ref().map_or(Ok(()), |entry| write!(f, ":{entry}"))
    }
}

impl Edit {
    /// Makes the changes in `config`, the JSON of an image config.
    ///
    /// Errors if a member that is to be changed is not of its kind.
    pub fn apply(&self, config: &mut Map<String, Value>) -> Result<()> {
        for unset in &self.unset {
            if unset.field.member == ANNOTATIONS {
                continue;
            }
            if unset.field.top {
                config.remove(unset.field.member);
            } else if let Some(Value::Object(execution)) = config.get_mut("config") {
                unset.apply(execution);
            }
        }
        for (member, text) in [("author", &self.author), ("created", &self.created)] {
            set_text(config, member, text.as_ref());
        }
        if let Some(platform) = &self.platform {
            set_text(config, "os", Some(&platform.os));
            set_text(config, "architecture", Some(&platform.architecture));
            if platform.variant.is_none() {
                config.remove("variant");
            }
            set_text(config, "variant", platform.variant.as_ref());
        }
        if self.touches_execution() {
            self.execution(object(config, "config")?)?;
        }
        Ok(())
    }

    /// Takes away and sets annotations, in the JSON of a manifest or index.
    pub fn annotate(
        &self,
        document: &mut Map<String, Value>,
        annotations: &plimsoll_content::Annotations,
    ) -> Result<()> {
        for unset in self.unset.iter().filter(|unset| unset.field.member == ANNOTATIONS) {
            unset.apply(document);
        }
        if !annotations.is_empty() {
            let members = object(document, ANNOTATIONS)?;
            for (name, value) in annotations {
                members.insert(name.clone(), Value::from(value.clone()));
            }
        }
        Ok(())
    }

    fn execution(&self, execution: &mut Map<String, Value>) -> Result<()> {
        for (member, words) in [("Entrypoint", &self.entrypoint), ("Cmd", &self.cmd)] {
            if let Some(words) = words {
                execution.insert(member.to_owned(), Value::from(words.clone()));
            }
        }
        set_text(execution, "User", self.user.as_ref());
        set_text(execution, "WorkingDir", self.working_dir.as_ref());
        set_text(execution, "StopSignal", self.stop_signal.as_ref());
        for entry in &self.env {
            let (name, _) = pair("environment entry", entry)?;
            let list = array(execution, "Env")?;
            match list.iter_mut().find(|old| is_variable(old, name)) {
                Some(old) => *old = Value::from(entry.clone()),
                None => list.push(Value::from(entry.clone())),
            }
        }
        for label in &self.labels {
            let (name, value) = pair("label", label)?;
            object(execution, "Labels")?.insert(name.to_owned(), Value::from(value));
        }
        for port in &self.ports {
            let key = port_key(port)?;
            object(execution, "ExposedPorts")?
                .entry(key)
                .or_insert_with(|| Value::Object(Map::new()));
        }
        for volume in &self.volumes {
            if !volume.starts_with('/') {
                return Err(Error::new(Code::Usage, "setting a volume")
                    .found(format!("{volume:?}"))
                    .expected("an absolute path"));
            }
            object(execution, "Volumes")?
                .entry(volume.clone())
                .or_insert_with(|| Value::Object(Map::new()));
        }
        Ok(())
    }

    /// Whether nothing of a config is to be changed.
    fn touches_execution(&self) -> bool {
        self.entrypoint.is_some()
            || self.cmd.is_some()
            || self.user.is_some()
            || self.working_dir.is_some()
            || self.stop_signal.is_some()
            || ![&self.env, &self.labels, &self.ports, &self.volumes].into_iter().all(Vec::is_empty)
    }
}

impl Unset {
    fn apply(&self, members: &mut Map<String, Value>) {
        match (&self.entry, members.get_mut(self.field.member)) {
            (None, _) => {
                members.remove(self.field.member);
            }
            (Some(entry), Some(Value::Object(entries))) => {
                entries.remove(entry);
            }
            (Some(entry), Some(Value::Array(entries))) => {
                entries.retain(|old| !is_variable(old, entry));
            }
            _ => {}
        }
    }
}

fn is_variable(entry: &Value, name: &str) -> bool {
    entry.as_str().is_some_and(|entry| entry.split('=').next() == Some(name))
}

fn set_text(members: &mut Map<String, Value>, member: &str, text: Option<&String>) {
    if let Some(text) = text {
        members.insert(member.to_owned(), Value::from(text.clone()));
    }
}

/// The object at `member`, made if it is absent or `null`.
pub(crate) fn object<'a>(
    members: &'a mut Map<String, Value>,
    member: &str,
) -> Result<&'a mut Map<String, Value>> {
    let value = members.entry(member).or_insert(Value::Null);
    if value.is_null() {
        *value = Value::Object(Map::new());
    }
    value.as_object_mut().ok_or_else(|| other_kind(member, "an object"))
}

/// The array at `member`, made if it is absent or `null`.
pub(crate) fn array<'a>(
    members: &'a mut Map<String, Value>,
    member: &str,
) -> Result<&'a mut Vec<Value>> {
    let value = members.entry(member).or_insert(Value::Null);
    if value.is_null() {
        *value = Value::Array(Vec::new());
    }
    value.as_array_mut().ok_or_else(|| other_kind(member, "an array"))
}

fn other_kind(member: &str, expected: &str) -> Error {
    Error::new(Code::Malformed, "changing an image")
        .found(format!("a member {member:?} of another kind"))
        .expected(expected)
}

/// A time of RFC 3339, as it is written in documents: in UTC.
pub fn time(text: &str) -> Result<String> {
    text.parse::<jiff::Timestamp>().map(|time| time.to_string()).map_err(|cause| {
        Error::new(Code::Usage, "reading a time")
            .found(format!("{text:?}"))
            .expected("RFC 3339, such as 2024-01-31T12:00:00Z, or seconds since 1970")
            .cause(cause)
    })
}

/// `NAME=VALUE` with a name.
pub fn pair<'a>(what: &str, text: &'a str) -> Result<(&'a str, &'a str)> {
    text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(|| {
        Error::new(Code::Usage, format!("reading {what}"))
            .found(format!("{text:?}"))
            .expected("NAME=VALUE")
    })
}

/// `PORT`, `PORT/tcp` or `PORT/udp`, always written with the protocol.
fn port_key(text: &str) -> Result<String> {
    let (port, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    match port.parse::<u16>() {
        Ok(port) if port > 0 && ["tcp", "udp", "sctp"].contains(&protocol) => {
            Ok(format!("{port}/{protocol}"))
        }
        _ => Err(Error::new(Code::Usage, "exposing a port")
            .found(format!("{text:?}"))
            .expected("a port from 1 to 65535, with /tcp or /udp")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_named_stays() {
        let text = r#"{"architecture":"amd64","config":{"Cmd":["old"],"Env":["A=1","B=2"],"Healthcheck":{"x":1.0},"Labels":null},"os":"linux","rootfs":{"diff_ids":[],"type":"layers"}}"#;
        let mut config: Map<String, Value> = serde_json::from_str(text).expect("config");
        let edit = Edit {
            entrypoint: Some(vec!["/app".into()]),
            env: vec!["A=3".into(), "C=4".into()],
            ports: vec!["80".into()],
            ..Edit::default()
        };
        edit.apply(&mut config).expect("good");
        let written =
            String::from_utf8(plimsoll_content::json::canonical(&config).expect("written"))
                .expect("UTF-8");
        assert_eq!(
            written,
            r#"{"architecture":"amd64","config":{"Cmd":["old"],"Entrypoint":["/app"],"Env":["A=3","B=2","C=4"],"ExposedPorts":{"80/tcp":{}},"Healthcheck":{"x":1.0},"Labels":null},"os":"linux","rootfs":{"diff_ids":[],"type":"layers"}}"#
        );
        for bad in ["=x", "x"] {
            assert!(Edit { env: vec![bad.into()], ..Edit::default() }.apply(&mut config).is_err());
        }
    }

    #[test]
    fn unsets_fields_and_entries() {
        let text = r#"{"architecture":"arm","author":"a","config":{"Cmd":["x"],"Env":["A=1","AB=2"],"ExposedPorts":{"80/tcp":{}},"Labels":{"a":"1","b":"2"},"User":"u"},"created":"x","os":"linux","variant":"v7"}"#;
        let mut config: Map<String, Value> = serde_json::from_str(text).expect("config");
        let unset = ["cmd", "env:A", "label:a", "expose:80", "author", "created", "volume"];
        let edit = Edit {
            unset: unset.iter().map(|text| text.parse().expect("good")).collect(),
            platform: Some("linux/amd64".parse().expect("good")),
            ..Edit::default()
        };
        edit.apply(&mut config).expect("good");
        assert_eq!(
            Value::Object(config).to_string(),
            r#"{"architecture":"amd64","config":{"Env":["AB=2"],"ExposedPorts":{},"Labels":{"b":"2"},"User":"u"},"os":"linux"}"#
        );
        for bad in ["", "x", "cmd:x", "env:", "expose:x", "user:0"] {
            assert!(bad.parse::<Unset>().is_err(), "{bad}");
        }
    }

    #[test]
    fn refuses_members_of_another_kind() {
        let mut config: Map<String, Value> =
            serde_json::from_str(r#"{"config":{"Env":{"A":1}}}"#).expect("config");
        let edit = Edit { env: vec!["A=1".into()], ..Edit::default() };
        assert_eq!(edit.apply(&mut config).expect_err("no list").code(), Code::Malformed);
    }
}
