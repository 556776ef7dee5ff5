//! Documents of every kind: nothing panics, the bytes stay what they were,
//! and what is written in the canonical form reads as the same and is written
//! as the same again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll_content::{Descriptor, Digest, Document, View, json};
use plimsoll_spec::{Config, Index, LayoutHeader, Manifest};

fuzz_target!(|bytes: &[u8]| {
    if json::check("a document", bytes).is_ok() {
        serde_json::from_slice::<serde_json::Value>(bytes).expect("what we accept is JSON");
    }
    read::<Index>(bytes);
    read::<Manifest>(bytes);
    read::<Config>(bytes);
    read::<LayoutHeader>(bytes);
    if let Ok(descriptor) = serde_json::from_slice::<Descriptor>(bytes) {
        let written = json::canonical(&descriptor).expect("a descriptor can be written");
        let again: Descriptor = serde_json::from_slice(&written).expect("and read again");
        let _: &Digest = &again.digest;
        assert_eq!(json::canonical(&again).expect("written"), written);
    }
});

fn read<T: View + Clone + PartialEq + std::fmt::Debug>(bytes: &[u8]) {
    let Ok(document) = Document::<T>::parse(bytes) else { return };
    assert_eq!(&document.bytes()[..], bytes);
    // Numbers that no canonical form can hold are an error, not a change.
    let Ok(written) = Document::new(document.view().clone()) else { return };
    let again = Document::<T>::parse(written.bytes().clone()).expect("what we write we read");
    let twice = Document::new(again.view().clone()).expect("and write again");
    assert_eq!(twice.bytes(), written.bytes());
}
