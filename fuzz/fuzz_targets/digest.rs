//! Digests: nothing panics, printing is the inverse of reading, and both parts
//! are safe as a component of a path.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll_content::Digest;

fuzz_target!(|text: &str| {
    let Ok(digest) = text.parse::<Digest>() else { return };
    assert_eq!(digest.to_string(), text);
    for part in [digest.algorithm_name(), &digest.encoded()] {
        assert!(!part.is_empty() && part != "." && part != "..");
        assert!(!part.contains(['/', '\0', '\\']));
    }
});
