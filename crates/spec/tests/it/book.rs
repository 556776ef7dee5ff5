//! The page of the rules is the table of the rules.

use std::fs;
use std::path::Path;

use plimsoll_spec::rules;

const BEGIN: &str = "<!-- rules: begin";
const END: &str = "<!-- rules: end -->";

/// The pages of the specification, by the letters of their rules.
const PAGES: &[(&str, &str)] = &[
    ("DE", "Descriptors"),
    ("LA", "Layouts"),
    ("MA", "Manifests"),
    ("IX", "Indexes"),
    ("LY", "Layers"),
    ("CF", "Configs"),
    ("AN", "Annotations"),
    ("CO", "All documents"),
    ("AG", "Artifacts"),
];

fn table() -> String {
    let mut text = String::new();
    for (letters, name) in PAGES {
        text.push_str(&format!(
            "\n## {name}\n\n| rule | level | word | for | demands |\n|---|---|---|---|---|\n"
        ));
        for rule in rules::all().filter(|rule| rule.id.starts_with(letters)) {
            let roles: Vec<_> = rule.parties.iter().map(|party| party.as_str()).collect();
            text.push_str(&format!(
                "| [{}]({}) | {} | {} | {} | {} |\n",
                rule.id,
                rule.url(),
                rule.level,
                rule.word,
                if roles.len() == 3 { "all".to_owned() } else { roles.join(", ") },
                rule.text.replace('|', "\\|")
            ));
        }
    }
    text.push('\n');
    text
}

#[test]
fn the_book_lists_every_rule() {
    assert!(rules::all().all(|rule| PAGES.iter().any(|(page, _)| rule.id.starts_with(page))));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/rules.md");
    let page = fs::read_to_string(&path).expect("the page");
    let begin = page.find(BEGIN).expect("a beginning");
    let begin = begin + page[begin..].find('\n').expect("a line") + 1;
    let end = page.find(END).expect("an end");
    let right = format!("{}{}{}", &page[..begin], table(), &page[end..]);
    if std::env::var_os("PLIMSOLL_BLESS").is_some() {
        fs::write(&path, right).expect("written");
        return;
    }
    assert!(page == right, "PLIMSOLL_BLESS=1 cargo test -p plimsoll-spec book   writes it anew");
}
