//! What was noticed on the way: all of it in reports, a line for each kind
//! to whoever watches.

use plimsoll_content::Watch;
use plimsoll_layer::finding::Finding;

/// Tells `watch` of each kind of finding once, with its first example, and
/// gives all of them in words. `place` says what they are about.
pub(crate) fn all(place: &str, findings: &[Finding], watch: &dyn Watch) -> Vec<String> {
    let mut told: Vec<&str> = Vec::new();
    for finding in findings {
        if told.contains(&finding.name) {
            continue;
        }
        told.push(finding.name);
        let more = findings.iter().filter(|other| other.name == finding.name).count() - 1;
        match more {
            0 => watch.warn(&format!("{place}{finding}")),
            _ => watch.warn(&format!("{place}{finding}, and {more} more like it")),
        }
    }
    findings.iter().map(|finding| format!("{place}{finding}")).collect()
}
