//! Names: nothing panics, printing is the inverse of reading, and what is
//! printed is canonical.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll_name::Reference;

fuzz_target!(|text: &str| {
    for read in [text.parse::<Reference>(), Reference::parse_relaxed(text)].into_iter().flatten() {
        let printed = read.to_string();
        let again = Reference::parse_relaxed(&printed).expect("what is printed is read");
        assert_eq!(again, read);
        assert_eq!(again.to_string(), printed);
        assert!(!read.path.as_str().split('/').any(|part| part.is_empty() || part == ".."));
    }
});
