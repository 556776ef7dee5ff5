//! Writes the list of public suffixes in the short form that `plimsoll-name`
//! reads, from the file that publicsuffix.org hands out.

use std::collections::BTreeMap;
use std::path::Path;

use crate::{Outcome, workspace};

const TARGET: &str = "crates/name/src/suffix/rules.txt";

const HEAD: &str = "\
The public suffix list of publicsuffix.org, in a short form made by
`cargo xtask suffixes LIST`. The list is subject to the terms of the Mozilla
Public License, v. 2.0: https://mozilla.org/MPL/2.0/. It says of itself:
";

#[derive(Default)]
struct Node {
    kind: Kind,
    below: BTreeMap<String, Node>,
}

#[derive(Clone, Copy, Default, PartialEq)]
enum Kind {
    #[default]
    Between,
    Rule,
    Exception,
}

pub(crate) fn run(arguments: &[String]) -> Outcome {
    let [list] = arguments else { return Err("usage: cargo xtask suffixes LIST".into()) };
    let text = std::fs::read_to_string(list).map_err(|error| format!("{list}: {error}"))?;
    let short = shortened(&text)?;
    let target: &Path = &workspace().join(TARGET);
    std::fs::write(target, &short).map_err(|error| format!("{}: {error}", target.display()))?;
    println!("{TARGET}: {} bytes", short.len());
    Ok(())
}

fn shortened(list: &str) -> Outcome<String> {
    let mut root = Node::default();
    let mut told = String::new();
    for line in list.lines().map(str::trim) {
        if line.starts_with("// VERSION:") || line.starts_with("// COMMIT:") {
            told.push_str(line.trim_start_matches("// "));
            told.push('\n');
        }
        let rule = line.split_whitespace().next().unwrap_or_default();
        if rule.is_empty() || rule.starts_with("//") {
            continue;
        }
        let (rule, kind) = match rule.strip_prefix('!') {
            Some(rule) => (rule, Kind::Exception),
            None => (rule, Kind::Rule),
        };
        let mut node = &mut root;
        for label in rule.rsplit('.') {
            node = node.below.entry(ascii(&label.to_lowercase())?).or_default();
        }
        node.kind = kind;
    }
    let mut out = format!("{HEAD}{told}\n");
    write(&root, &mut out);
    out.push('\n');
    Ok(out)
}

fn write(node: &Node, out: &mut String) {
    for (at, (label, child)) in node.below.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        match child.kind {
            Kind::Between => out.push('.'),
            Kind::Exception => out.push('!'),
            Kind::Rule => {}
        }
        out.push_str(label);
        if !child.below.is_empty() {
            out.push('(');
            write(child, out);
            out.push(')');
        }
    }
}

/// A label as it stands in the DNS (RFC 3492).
fn ascii(label: &str) -> Outcome<String> {
    if label.is_ascii() {
        return Ok(label.to_owned());
    }
    let digit = |value: u32| {
        char::from(if value < 26 { b'a' + value as u8 } else { b'0' + (value - 26) as u8 })
    };
    let letters: Vec<u32> = label.chars().map(u32::from).collect();
    let plain: String = label.chars().filter(char::is_ascii).collect();
    let mut out = format!("xn--{plain}{}", if plain.is_empty() { "" } else { "-" });
    let (mut next, mut delta, mut bias, mut done) = (128u32, 0u32, 72u32, plain.len() as u32);
    let start = done;
    while (done as usize) < letters.len() {
        let least = letters.iter().copied().filter(|letter| *letter >= next).min();
        let least = least.ok_or_else(|| format!("{label}: no letter left"))?;
        delta += (least - next) * (done + 1);
        next = least;
        for letter in &letters {
            if *letter < next {
                delta += 1;
            }
            if *letter != next {
                continue;
            }
            let mut rest = delta;
            for base in (36u32..).step_by(36) {
                let threshold = base.saturating_sub(bias).clamp(1, 26);
                if rest < threshold {
                    break;
                }
                out.push(digit(threshold + (rest - threshold) % (36 - threshold)));
                rest = (rest - threshold) / (36 - threshold);
            }
            out.push(digit(rest));
            // The bias follows what was seen.
            let mut damped = if done == start { delta / 700 } else { delta / 2 };
            damped += damped / (done + 1);
            let mut steps = 0;
            while damped > 455 {
                damped /= 35;
                steps += 36;
            }
            bias = steps + 36 * damped / (damped + 38);
            delta = 0;
            done += 1;
        }
        delta += 1;
        next += 1;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_become_a_tree() {
        let short =
            shortened("// VERSION: 1\ncom\n*.ck\n!www.ck\n公司.cn\na.b.com // x\n").expect("list");
        assert!(
            short.contains("VERSION: 1\n\n.ck(*,!www),.cn(xn--55qx5d),com(.b(a))\n"),
            "{short}"
        );
        assert_eq!(ascii("bücher").as_deref(), Ok("xn--bcher-kva"));
        assert_eq!(ascii("食狮").as_deref(), Ok("xn--85x722f"));
        assert_eq!(ascii("straße").as_deref(), Ok("xn--strae-oqa"));
    }
}
