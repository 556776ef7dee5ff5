//! Known values of chain ids; made with Python's hashlib from the text
//! "chain id below, space, diff_id".

use plimsoll_content::{Algorithm, Digest};
use plimsoll_spec::{Config, chain_ids, image_id};

use crate::{config, parsed};

fn texts(chain: &[Digest]) -> Vec<String> {
    chain.iter().map(ToString::to_string).collect()
}

fn sha256(bytes: &[u8]) -> Digest {
    Digest::of(Algorithm::Sha256, bytes)
}

#[test]
fn cf2_known_values() {
    assert!(chain_ids(&[]).is_empty());
    let (a, b, c) = (sha256(b"a"), sha256(b"b"), sha256(b"c"));
    let expected = [
        "sha256:ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb",
        "sha256:51c0c8ace48498d6f5fee6b0592cc06f2da0f3cbe09c5a34a97dce85c3889676",
        "sha256:2fce7f8ce91bcf0a1428b36e1024639fdbd9469eea762dba98aa749631885106",
    ];
    assert_eq!(texts(&chain_ids(std::slice::from_ref(&a))), expected[..1]);
    assert_eq!(texts(&chain_ids(&[a.clone(), b.clone()])), expected[..2]);
    assert_eq!(texts(&chain_ids(&[a, b, c])), expected);
}

#[test]
fn cf2_one_layer_twice_has_two_ids() {
    let chain = chain_ids(&[sha256(b"a"), sha256(b"a")]);
    assert_eq!(
        chain[1].to_string(),
        "sha256:d76fa7fcc3c98373e78d03a76c1447a1bec04bf49a44cb1f098bd84523f8450f"
    );
}

#[test]
fn cf2_the_chain_is_sha256_whatever_the_layers_use() {
    let chain = chain_ids(&[
        Digest::of(Algorithm::Sha512, b"a"),
        sha256(b"b"),
        "later+x:AbC_-=".parse().expect("an unknown algorithm"),
    ]);
    assert_eq!(
        texts(&chain)[1..],
        [
            "sha256:bebc49748e82b3f7b34ecb64293958026a94a7b429fbffb8f34aad5ba2b71603",
            "sha256:0577c75acec08bd40a3b3f700884bbeb50e6c7523537bc7d8936a9e44cd2f3b0",
        ]
    );
    assert_eq!(chain[0].algorithm(), Some(Algorithm::Sha512));
}

#[test]
fn cf2_the_image_id_is_of_the_bytes_as_they_came() {
    let text = config(" \n");
    assert_eq!(image_id(&parsed::<Config>(&text)), sha256(text.as_bytes()));
}
