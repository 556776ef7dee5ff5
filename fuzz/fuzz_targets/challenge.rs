//! What a registry writes into the headers of its answers: nothing panics, and
//! no address that is read can hold a second line.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll_registry::protocol::{ContentRange, UploadRange, Url, challenges, header, next};

fuzz_target!(|text: &str| {
    if let Ok(found) = challenges(text) {
        assert!(found.len() <= 16);
        assert!(found.iter().all(|challenge| challenge.parameters.len() <= 32));
    }
    let base = Url::parse("https://registry.example/v2/a/tags/list").expect("an address");
    for url in [Url::parse(text), base.join(text)].into_iter().flatten() {
        assert!(url.whole().bytes().all(|byte| byte.is_ascii_graphic()));
    }
    if let Ok(Some(url)) = next(&base, text) {
        assert_eq!(url.host(), base.host());
    }
    let _ = (ContentRange::parse(text), UploadRange::parse(text), header::warning(text));
});
