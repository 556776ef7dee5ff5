//! The demo does what it shows.

use crate::support::Sandbox;

#[test]
fn the_demo_gives_the_same_digest_here() {
    let sandbox = Sandbox::new();
    let text = sandbox.ok(&["demo", "here"]);
    assert!(text.contains("the same on every machine"), "{text}");
    assert!(text.contains("hello from a plimsoll image") || text.contains("10 of 11"), "{text}");
    let report = sandbox.json(&["demo", "again"]);
    assert_eq!(report["steps"][0]["exit"], 0);
    assert!(text.contains("assurance  zone-tofu"), "{text}");
    let digest = report["digest"].as_str().expect("a digest");
    assert!(text.contains(digest));
    assert_eq!(sandbox.ok(&["inspect", "oci:here/images:hello", "-q"]).trim(), digest);
}
