//! What owners of domains say: records, documents, templates and metadata of
//! zones. Nothing panics; what is printed is read again as the same; templates
//! lead nowhere else than they say.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll_name::announcement::Announcement;
use plimsoll_name::appc::Page;
use plimsoll_name::record::Record;
use plimsoll_name::signers::Signers;
use plimsoll_name::tuf::{Metadata, Root, Snapshot, Targets, Timestamp};
use plimsoll_name::{Address, Host, Template};

fuzz_target!(|input: (u8, &[u8])| {
    let (kind, bytes) = input;
    let text = String::from_utf8_lossy(bytes);
    match kind % 6 {
        0 => {
            if let Ok(record) = Record::parse(&text) {
                assert_eq!(Record::parse(&record.to_text()).ok(), Some(record));
            }
        }
        1 => {
            let host: Host = "example.com".parse().expect("a host");
            let _ = Announcement::parse(bytes, &host);
            let _ = Signers::parse(bytes, &"example.com".parse().expect("a prefix"));
        }
        2 => {
            let base: Address = "https://example.com/.well-known/x".parse().expect("an address");
            let (template, value) = text.split_once('\n').unwrap_or((&text, "a/b"));
            let Ok(template) = Template::parse(template) else { return };
            let expand = |value: &str| {
                let values = [
                    ("host", "example.com"),
                    ("path", value),
                    ("digest", value),
                    ("algorithm", "sha256"),
                    ("encoded", "abcd"),
                    ("name", value),
                    ("fragment", value),
                ];
                template.expand(&base, &values)
            };
            if let (Ok(one), Ok(other)) = (expand(value), expand("neutral")) {
                assert_eq!(one.host(), other.host());
                assert!(!one.path().split('/').any(|part| part == ".."));
            }
        }
        3 => {
            if let Ok(root) = Metadata::<Root>::parse(bytes) {
                let _ = root.verify(&root.keys, &root.roles["root"], "itself");
            }
            let _ = Metadata::<Timestamp>::parse(bytes);
            let _ = Metadata::<Snapshot>::parse(bytes);
        }
        4 => {
            // Whatever a page says, it says it of whole parts and by https.
            let page = Page::read(bytes);
            assert!(page.images.iter().all(|(_, template)| template.as_str().starts_with("https://")
                || !template.as_str().contains(':')));
        }
        _ => {
            if let Ok(targets) = Metadata::<Targets>::parse(bytes) {
                for role in targets.delegations.iter().flat_map(|all| &all.roles) {
                    let _ = role.covers("oci-index/org/app");
                }
            }
        }
    }
});
