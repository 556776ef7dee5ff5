//! Changes to an image config: what is named is set, nothing else is touched.

use plimsoll_content::{Code, Error, Result};
use plimsoll_spec::Config;
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
}

impl Edit {
    /// Makes the changes in `config`.
    pub fn apply(&self, config: &mut Config) -> Result<()> {
        if let Some(author) = &self.author {
            config.author = Some(author.clone());
        }
        if self.touches_execution() {
            let execution = config.config.get_or_insert_default();
            set(&mut execution.entrypoint, self.entrypoint.as_ref());
            set(&mut execution.cmd, self.cmd.as_ref());
            set(&mut execution.user, self.user.as_ref());
            set(&mut execution.working_dir, self.working_dir.as_ref());
            set(&mut execution.stop_signal, self.stop_signal.as_ref());
            for entry in &self.env {
                let (name, _) = pair("environment entry", entry)?;
                let same = |old: &String| old.split_once('=').is_some_and(|(old, _)| old == name);
                match execution.env.iter_mut().find(|old| same(old)) {
                    Some(old) => old.clone_from(entry),
                    None => execution.env.push(entry.clone()),
                }
            }
            for label in &self.labels {
                let (name, value) = pair("label", label)?;
                execution.labels.insert(name.to_owned(), value.to_owned());
            }
            for port in &self.ports {
                execution.exposed_ports.insert(port_key(port)?, Value::Object(Map::new()));
            }
            for volume in &self.volumes {
                if !volume.starts_with('/') {
                    return Err(Error::new(Code::Usage, "setting a volume")
                        .found(format!("{volume:?}"))
                        .expected("an absolute path"));
                }
                execution.volumes.insert(volume.clone(), Value::Object(Map::new()));
            }
        }
        Ok(())
    }

    fn touches_execution(&self) -> bool {
        self.entrypoint.is_some()
            || self.cmd.is_some()
            || self.user.is_some()
            || self.working_dir.is_some()
            || self.stop_signal.is_some()
            || ![&self.env, &self.labels, &self.ports, &self.volumes].into_iter().all(Vec::is_empty)
    }
}

fn set<T: Clone>(field: &mut Option<T>, value: Option<&T>) {
    if let Some(value) = value {
        *field = Some(value.clone());
    }
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
        let text = r#"{"architecture":"amd64","config":{"Cmd":["old"],"Env":["A=1","B=2"],"Healthcheck":{"x":1.0}},"os":"linux","rootfs":{"diff_ids":[],"type":"layers"}}"#;
        let mut config: Config = serde_json::from_str(text).expect("config");
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
            r#"{"architecture":"amd64","config":{"Cmd":["old"],"Entrypoint":["/app"],"Env":["A=3","B=2","C=4"],"ExposedPorts":{"80/tcp":{}},"Healthcheck":{"x":1.0}},"os":"linux","rootfs":{"diff_ids":[],"type":"layers"}}"#
        );
        for bad in ["=x", "x"] {
            assert!(Edit { env: vec![bad.into()], ..Edit::default() }.apply(&mut config).is_err());
        }
    }
}
