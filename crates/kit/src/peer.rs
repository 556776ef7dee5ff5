//! Peers: how other tools are asked, as data in `peers/*.json`.
//!
//! Commands are templates for `sh`. What a template may say is in
//! `docs/engines/kit.md`; what an answer is worth is decided in [`crate::run`].

use std::collections::BTreeMap;

use plimsoll_content::{Code, Error, Result};
use serde::Deserialize;

use crate::case::{Ask, Role};
use crate::embedded;

/// A tool, and how each role is asked of it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Peer {
    /// What people call it.
    #[serde(skip)]
    pub name: String,
    /// The command that prints its version; its first word is the program.
    pub version: String,
    /// What runs beside all cases: it writes the address that it serves into
    /// the file `{ready}`.
    pub(crate) service: Option<String>,
    /// What each command begins with.
    pub(crate) prelude: String,
    validator: Option<Adapter>,
    builder: Option<Adapter>,
    registry: Option<Adapter>,
    engine: Option<Adapter>,
    /// Why it does not do what a case expects, by the id of the case or the
    /// start of ids.
    known: BTreeMap<String, String>,
}

/// How one role is asked.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Adapter {
    pub(crate) command: String,
    /// For engines: the command that makes a bundle, if it is another one.
    bundle: Option<String>,
    /// For builders: what asks for each option, with `{value}` in it.
    pub(crate) options: BTreeMap<String, String>,
    /// Whether what it prints is JSON that names rules.
    pub(crate) says_rules: bool,
}

impl Peer {
    /// A peer of which nothing else is known.
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// All ready-made peers, by name.
    pub fn all() -> Result<Vec<Self>> {
        embedded::peers()?
            .iter()
            .map(|(name, text)| {
                let peer: Self = serde_json::from_str(text).map_err(|cause| {
                    Error::new(Code::Malformed, format!("reading peer {name}"))
                        .found(&cause)
                        .cause(cause)
                })?;
                Ok(Self { name: name.clone(), ..peer })
            })
            .collect()
    }

    /// The ready-made peer of that name.
    pub fn find(name: &str) -> Result<Self> {
        let all = Self::all()?;
        let names: Vec<_> = all.iter().map(|peer| peer.name.clone()).collect();
        all.into_iter().find(|peer| peer.name == name).ok_or_else(|| {
            Error::new(Code::NotFound, "choosing an adapter").found(name).expected(names.join(", "))
        })
    }

    /// The same peer with another command for a role, or one that is not
    /// ready-made with nothing but that.
    #[must_use]
    pub fn against(mut self, role: Role, command: &str) -> Self {
        let adapter = self.adapter_mut(role).get_or_insert_default();
        command.clone_into(&mut adapter.command);
        adapter.bundle = None;
        self
    }

    /// Whether its answers name rules.
    #[must_use]
    pub fn saying_rules(mut self) -> Self {
        if let Some(adapter) = &mut self.validator {
            adapter.says_rules = true;
        }
        self
    }

    /// Whether it can be asked for a role at all.
    pub fn plays(&self, role: Role) -> bool {
        self.adapter(role).is_some()
    }

    pub(crate) fn adapter(&self, role: Role) -> Option<&Adapter> {
        match role {
            Role::Validator => self.validator.as_ref(),
            Role::Builder => self.builder.as_ref(),
            Role::Registry => self.registry.as_ref(),
            Role::Engine => self.engine.as_ref(),
        }
    }

    fn adapter_mut(&mut self, role: Role) -> &mut Option<Adapter> {
        match role {
            Role::Validator => &mut self.validator,
            Role::Builder => &mut self.builder,
            Role::Registry => &mut self.registry,
            Role::Engine => &mut self.engine,
        }
    }

    /// Why it is known not to do what a case expects.
    pub fn known(&self, case: &str) -> Option<&str> {
        let longest = self.known.iter().filter(|(start, _)| case.starts_with(start.as_str()));
        longest.max_by_key(|(start, _)| start.len()).map(|(_, why)| why.as_str())
    }

    /// The cases, or starts of ids, of which something is known.
    pub fn known_cases(&self) -> impl Iterator<Item = &str> {
        self.known.keys().map(String::as_str)
    }
}

impl Adapter {
    pub(crate) fn template(&self, ask: Ask) -> &str {
        match (ask, &self.bundle) {
            (Ask::Bundle, Some(bundle)) => bundle,
            _ => &self.command,
        }
    }
}
