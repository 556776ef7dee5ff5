//! Who judges: takes findings, and reads the text of documents.

use plimsoll_content::json::{self, Survey, Tree, Wrong};
use plimsoll_content::limits::Limits;
use plimsoll_content::{Code, Descriptor, Document, Error, MediaType, View};

use super::report::{Finding, Findings, Image, Lead, Report};
use super::{Kind, Level, Rule, table};
use crate::graph::Role;
use crate::{Config, Index, LayoutHeader, Manifest, docker, media_type};

/// The longest piece of foreign text that a finding quotes.
const QUOTED: usize = 100;

/// Judges one document.
pub(super) struct Judge {
    findings: Findings,
    /// Docker's documents have Docker's rules: what is wrong there is told
    /// without a rule, and what merely should be otherwise is not told.
    docker: bool,
    leads: Vec<Lead>,
    pub(super) elements: usize,
    pub(super) artifact_type: Option<MediaType>,
    pub(super) subject: Option<Descriptor>,
    pub(super) image: Option<Image>,
}

impl Judge {
    pub(super) fn new(docker: bool) -> Self {
        Self {
            findings: Findings::default(),
            docker,
            leads: Vec::new(),
            elements: 0,
            artifact_type: None,
            subject: None,
            image: None,
        }
    }

    /// Notes what the document points at, if that can be read.
    pub(super) fn lead(&mut self, role: Role, position: usize, found: Option<Descriptor>) {
        if let Some(descriptor) = found {
            self.leads.push(Lead { role, position, descriptor });
        }
    }

    pub(super) fn is_docker(&self) -> bool {
        self.docker
    }

    /// A rule is broken at `at`.
    pub(super) fn find(&mut self, rule: &'static Rule, at: &str, found: impl Into<String>) {
        self.push(Finding::of(rule, Code::Malformed, found).at(at));
    }

    /// The same, with what was wanted and how bad it is.
    pub(super) fn find_as(
        &mut self,
        rule: &'static Rule,
        level: Level,
        at: &str,
        found: impl Into<String>,
        wanted: &str,
    ) {
        self.push(Finding::of(rule, Code::Malformed, found).at(at).level(level).wanted(wanted));
    }

    /// Something is wrong that no rule has words for: a wrong type as a rule.
    pub(super) fn wrong(&mut self, at: &str, found: impl Into<String>, wanted: &str) {
        self.push(Finding::new(Code::Malformed, found, wanted).at(at));
    }

    pub(super) fn push(&mut self, finding: Finding) {
        if !self.docker {
            return self.findings.push(finding);
        }
        if finding.level == Level::Error {
            self.findings.push(Finding { rule: None, ..finding });
        }
    }

    /// Reads the text; gives the tree if it is JSON.
    pub(super) fn text(&mut self, bytes: &[u8], depth: usize) -> Option<Tree> {
        let Survey { tree, flaws, more } = json::survey(bytes, depth);
        for flaw in flaws {
            // A key of annotations or labels that stands twice breaks two rules.
            let annotation = flaw.kind == Wrong::Twice && is_annotation(&flaw.pointer);
            let rule = match flaw.kind {
                Wrong::Syntax | Wrong::Mark | Wrong::Surrogate => Some(&table::CO4),
                Wrong::Encoding => Some(&table::CO5),
                Wrong::Twice => Some(&table::CO7),
                Wrong::Depth | Wrong::Reserved => None,
            };
            let code = if flaw.kind == Wrong::Depth { Code::Limit } else { Code::Malformed };
            let found = match flaw.kind {
                Wrong::Twice => format!("{} ({})", flaw.found, shown(last(&flaw.pointer))),
                _ => flaw.found,
            };
            let finding = Finding {
                rule,
                pointer: Some(flaw.pointer),
                offset: Some(flaw.offset as u64),
                ..Finding::new(code, found, flaw.expected)
            };
            if annotation && !self.docker {
                self.findings.push(Finding {
                    rule: Some(&table::AN3),
                    wanted: table::AN3.text.to_owned(),
                    ..finding.clone()
                });
            }
            // I-JSON is no rule of Docker's, but two readings of one digest
            // are as bad there.
            self.findings.push(Finding { rule: finding.rule.filter(|_| !self.docker), ..finding });
        }
        if more > 0 {
            let found = format!("{more} more flaws of the text");
            self.findings.push(Finding::new(Code::Malformed, found, "a document without them"));
        }
        if let Some(tree) = &tree {
            self.numbers(tree, &mut String::new());
        }
        tree
    }

    /// Numbers that other readers hold as something else (CO6).
    fn numbers(&mut self, tree: &Tree, at: &mut String) {
        let length = at.len();
        match tree {
            Tree::Number(digits) => {
                if !super::text::is_double(digits) {
                    self.find(&table::CO6, at, shown(digits));
                }
            }
            Tree::Array(elements) => {
                for (position, element) in elements.iter().enumerate() {
                    at.push_str(&format!("/{position}"));
                    self.numbers(element, at);
                    at.truncate(length);
                }
            }
            Tree::Object(members) => {
                for (name, member) in members {
                    at.push('/');
                    at.push_str(&name.replace('~', "~0").replace('/', "~1"));
                    self.numbers(member, at);
                    at.truncate(length);
                }
            }
            Tree::Null | Tree::Bool(_) | Tree::Text(_) => {}
        }
    }

    /// Members that some readers take for others (hostile case JS02).
    pub(super) fn lookalikes(&mut self, tree: &Tree, at: &str, known: &[&str]) {
        for (name, _) in tree.members().unwrap_or_default() {
            if !known.contains(&name.as_str())
                && let Some(other) = json::lookalike(name, known)
            {
                let found = format!("the member {}", shown(name));
                let wanted = format!("no name that some readers take for {other}");
                self.push(Finding::new(Code::Malformed, found, wanted).at(at));
            }
        }
    }

    /// What reading refuses and no rule has told yet.
    pub(super) fn read(&mut self, bytes: &[u8], kind: Kind, limits: &Limits) {
        if self.findings.has_errors() {
            return;
        }
        let refused = match kind {
            Kind::Descriptor => None,
            Kind::Manifest | Kind::DockerManifest => refusal::<Manifest>(bytes, limits),
            Kind::Index | Kind::LayoutIndex | Kind::DockerManifestList => {
                refusal::<Index>(bytes, limits)
            }
            Kind::Config => refusal::<Config>(bytes, limits),
            Kind::DockerConfig => refusal::<docker::Config>(bytes, limits),
            Kind::LayoutHeader => refusal::<LayoutHeader>(bytes, limits),
        };
        if let Some(error) = refused {
            let found = error.found_text().unwrap_or(error.headline()).to_owned();
            let wanted = error.expected_text().unwrap_or_default().to_owned();
            self.findings.push(Finding::new(error.code(), found, wanted));
        }
    }

    pub(super) fn finish(self) -> Report {
        Report {
            findings: self.findings.into_vec(),
            leads: self.leads,
            elements: self.elements,
            artifact_type: self.artifact_type,
            subject: self.subject,
            image: self.image,
        }
    }
}

fn refusal<T: View>(bytes: &[u8], limits: &Limits) -> Option<Error> {
    Document::<T>::parse_within(bytes, limits).err()
}

/// Text from outside: quoted, harmless, and not all of a long one.
pub(super) fn shown(text: &str) -> String {
    let mut cut: String = text.chars().take(QUOTED).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    format!("{cut:?}")
}

/// What kind of value it is, and which, as far as it is short.
pub(super) fn value(tree: &Tree) -> String {
    match tree {
        Tree::Text(text) => shown(text),
        Tree::Number(digits) => digits.chars().take(QUOTED).collect(),
        Tree::Bool(flag) => flag.to_string(),
        other => other.kind().to_owned(),
    }
}

/// What a whole document is at least.
pub(super) fn is_object(tree: &Tree) -> bool {
    matches!(tree, Tree::Object(_))
}

/// The media type that a document of that family says.
pub(super) fn own_type(docker: bool, index: bool) -> &'static str {
    static TYPES: [MediaType; 4] = [
        media_type::MANIFEST,
        media_type::INDEX,
        media_type::DOCKER_MANIFEST,
        media_type::DOCKER_MANIFEST_LIST,
    ];
    TYPES[usize::from(docker) * 2 + usize::from(index)].as_str()
}

/// A string without meaning is as bad as none.
pub(super) fn text_of<'a>(tree: &'a Tree, name: &str) -> Option<&'a str> {
    tree.get(name).and_then(Tree::text).filter(|text| !text.is_empty())
}

fn is_annotation(pointer: &str) -> bool {
    let mut parts = pointer.rsplit('/').skip(1);
    matches!(parts.next(), Some("annotations" | "Labels"))
}

fn last(pointer: &str) -> &str {
    pointer.rsplit('/').next().unwrap_or_default()
}
