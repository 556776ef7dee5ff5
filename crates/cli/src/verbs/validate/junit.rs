//! Findings as JUnit XML, which CI systems show as tests: one suite for each
//! reference, one test for each rule.

use plimsoll::content::Code;
use plimsoll::spec::rules::Rule;
use plimsoll::validate::{Finding, Selection};

use super::{One, id, place};

/// The whole document.
pub(super) fn document(images: &[One], rules: &[&Rule], selection: &Selection) -> String {
    let mut suites = String::new();
    let (mut tests, mut failures) = (0, 0);
    for image in images {
        let mut cases = String::new();
        let (mut number, mut failed) = (0, 0);
        let mut one = |group: &str, name: &str, findings: &[&Finding]| {
            let bad = findings.iter().any(|finding| selection.counts(finding.level));
            cases.push_str(&case(group, name, findings, bad));
            number += 1;
            failed += usize::from(bad);
        };
        for rule in rules {
            let broken: Vec<_> =
                image.report.findings.iter().filter(|one| one.rule == Some(rule.id)).collect();
            let group = rule.id.trim_end_matches(|digit: char| digit.is_ascii_digit());
            one(group, &format!("{} {}", rule.id, rule.text), &broken);
        }
        for code in Code::ALL {
            let found: Vec<_> = image
                .report
                .findings
                .iter()
                .filter(|one| one.rule.is_none() && one.code == code.as_str())
                .collect();
            if !found.is_empty() {
                one("E", &format!("{code} {}", code.explanation()), &found);
            }
        }
        suites.push_str(&format!(
            "  <testsuite name=\"{}\" tests=\"{number}\" failures=\"{failed}\" errors=\"0\" skipped=\"0\">\n{cases}  </testsuite>\n",
            escaped(&image.reference)
        ));
        (tests, failures) = (tests + number, failures + failed);
    }
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"plimsoll validate\" tests=\"{tests}\" failures=\"{failures}\" errors=\"0\">\n{suites}</testsuites>\n"
    )
}

fn case(group: &str, name: &str, findings: &[&Finding], bad: bool) -> String {
    let head = format!(
        "    <testcase classname=\"plimsoll.validate.{}\" name=\"{}\"",
        escaped(group),
        escaped(name)
    );
    let Some(first) = findings.first() else { return format!("{head}/>\n") };
    let lines: Vec<_> = findings
        .iter()
        .map(|finding| {
            let blob = finding.digest.as_ref().map(|digest| format!(" ({digest})"));
            format!(
                "{}[{}]: {}: {}{}",
                finding.level,
                id(finding),
                place(finding),
                finding.message,
                blob.unwrap_or_default()
            )
        })
        .collect();
    let text = escaped(&lines.join("\n"));
    if bad {
        format!(
            "{head}>\n      <failure type=\"{}\" message=\"{}\">{text}</failure>\n    </testcase>\n",
            first.code,
            escaped(&first.message)
        )
    } else {
        format!("{head}>\n      <system-out>{text}</system-out>\n    </testcase>\n")
    }
}

/// Text as XML 1.0 takes it: what has no place there becomes U+FFFD.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            '\t' => out.push_str("&#9;"),
            letter if letter < ' ' || matches!(letter, '\u{fffe}' | '\u{ffff}') => {
                out.push(char::REPLACEMENT_CHARACTER);
            }
            letter => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_is_harmless_in_xml() {
        assert_eq!(escaped("a<b>&\"\u{1}\n]]>"), "a&lt;b&gt;&amp;&quot;\u{fffd}&#10;]]&gt;");
    }
}
