//! What somebody wrote into a file for `mirror`: nothing panics, and what is
//! chosen was there.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll::mirror::Plan;

fuzz_target!(|bytes: &[u8]| {
    let Ok(plan) = Plan::parse(bytes) else { return };
    let tags = ["latest", "v1.0.0", "v1.2.3-rc.1", "2", "1.10", "x-y_z"].map(str::to_owned);
    for entry in &plan.entries {
        let chosen = entry.choose(&tags);
        assert!(chosen.iter().all(|tag| tags.contains(tag)));
        assert!(entry.newest.is_none_or(|most| chosen.len() <= most));
    }
});
