//! Findings as SARIF 2.1.0, which code scanning services read.

use std::collections::BTreeMap;

use plimsoll::content::Code;
use plimsoll::spec::rules;
use plimsoll::validate::{Finding, Level};
use serde_json::{Value, json};

use super::One;

/// The whole document.
pub(super) fn document(images: &[One]) -> String {
    let mut rules: Vec<Value> = rules::all().map(rule).collect();
    let mut index: BTreeMap<String, usize> =
        rules::all().enumerate().map(|(at, rule)| (rule.id.to_owned(), at)).collect();
    let mut results = Vec::new();
    for image in images {
        for finding in &image.report.findings {
            let id = finding.rule.unwrap_or(finding.code);
            let at = *index.entry(id.to_owned()).or_insert_with(|| {
                rules.push(code(id));
                rules.len() - 1
            });
            results.push(result(&image.reference, finding, id, at));
        }
    }
    let document = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "plimsoll",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    format!("{document:#}\n")
}

fn rule(rule: &rules::Rule) -> Value {
    let roles: Vec<_> = rule.parties.iter().map(|party| party.as_str()).collect();
    let help = format!("{}\n\nGood: {}\n\nBad: {}", rule.text, rule.good, rule.bad);
    let marked = format!(
        "{}\n\n**Good**\n\n```\n{}\n```\n\n**Bad**\n\n```\n{}\n```",
        rule.text, rule.good, rule.bad
    );
    json!({
        "id": rule.id,
        "shortDescription": {"text": rule.text},
        "fullDescription": {"text": format!("{} ({}, {})", rule.text, rule.word, rule.section)},
        "helpUri": rule.url(),
        "help": {"text": help, "markdown": marked},
        "defaultConfiguration": {"level": level(rule.level)},
        "properties": {"tags": roles},
    })
}

/// What has no rule in the specification, under its error code.
fn code(id: &str) -> Value {
    let text =
        Code::ALL.iter().find(|code| code.as_str() == id).map_or(id, |code| code.explanation());
    json!({
        "id": id,
        "shortDescription": {"text": text},
        "help": {"text": text},
        "defaultConfiguration": {"level": "error"},
    })
}

fn result(reference: &str, finding: &Finding, id: &str, index: usize) -> Value {
    let blob = finding
        .digest
        .as_ref()
        .map(|digest| format!("blobs/{}/{}", digest.algorithm_name(), digest.encoded()));
    let file = finding.file.clone().or(blob).unwrap_or_else(|| "index.json".to_owned());
    let mut physical = json!({"artifactLocation": {"uri": encoded(&file)}});
    // An offset in a layer is one in its plain archive, not in the file.
    if let (Some(offset), None) = (finding.offset, finding.name) {
        physical["region"] = json!({"byteOffset": offset, "byteLength": 0});
    }
    let mut steps = vec![reference.to_owned(), finding.location.clone()];
    steps.extend(finding.entry.clone().or(finding.pointer.clone()).filter(|step| !step.is_empty()));
    let name = steps.join(": ");
    let members = [
        ("code", Some(finding.code.to_owned())),
        ("name", finding.name.map(str::to_owned)),
        ("digest", finding.digest.as_ref().map(ToString::to_string)),
        ("pointer", finding.pointer.clone()),
        ("entry", finding.entry.clone()),
    ];
    let mut properties = serde_json::Map::new();
    for (key, value) in members {
        if let Some(value) = value {
            properties.insert(key.to_owned(), value.into());
        }
    }
    if let Some(offset) = finding.offset {
        properties.insert("offset".to_owned(), offset.into());
    }
    json!({
        "ruleId": id,
        "ruleIndex": index,
        "level": level(finding.level),
        "message": {"text": format!("{name}: {}", finding.message)},
        "locations": [{
            "physicalLocation": physical,
            "logicalLocations": [{"fullyQualifiedName": name, "kind": "object"}],
        }],
        "properties": properties,
    })
}

fn level(level: Level) -> &'static str {
    level.as_str()
}

/// A path as a relative URI.
fn encoded(path: &str) -> String {
    let mut uri = String::new();
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/=".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    uri
}
