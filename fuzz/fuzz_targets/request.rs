//! What clients ask a registry for: nothing panics, and what is understood can
//! be asked for again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll_registry::protocol::{ChunkRange, Endpoint, Page, Route, Wanted, header, query};

fuzz_target!(|text: &str| {
    let (path, rest) = text.split_once('?').unwrap_or((text, ""));
    if let Ok(route) = Route::parse(path, rest) {
        let again = match &route {
            Route::Base => Endpoint::Base.to_string(),
            Route::Blob(name, digest) => Endpoint::Blob(name, digest).to_string(),
            Route::Manifest(name, address, _) => Endpoint::Manifest(name, address).to_string(),
            Route::Tags(name, part) => {
                let page = Page { n: part.n, last: part.last.as_deref() };
                Endpoint::Tags(name, page).to_string()
            }
            _ => return,
        };
        let (path, rest) = again.split_once('?').unwrap_or((&again, ""));
        let understood = Route::parse(path, rest).expect("what was written here");
        assert_eq!(understood.repository(), route.repository());
    }
    for total in [0, 1, 10] {
        if let Wanted::Part(first, last) = Wanted::parse(text, total) {
            assert!(first <= last && last < total);
        }
    }
    let _ = (ChunkRange::parse(text), query::pairs(text), header::warn(text));
});
