//! Chain ids and image ids (`config.md`, CF2).

use plimsoll_content::{Algorithm, Digest, Document};

use crate::Config;

/// The id of each stack of layers, from the lowest alone to all of them.
///
/// The first is the diff_id itself; each further one is the SHA-256 of
/// "chain id below, space, diff_id", whatever the algorithm of the diff_ids.
pub fn chain_ids(diff_ids: &[Digest]) -> Vec<Digest> {
    let mut chain: Vec<Digest> = Vec::with_capacity(diff_ids.len());
    for diff_id in diff_ids {
        let id = match chain.last() {
            None => diff_id.clone(),
            Some(below) => Digest::of(Algorithm::Sha256, format!("{below} {diff_id}").as_bytes()),
        };
        chain.push(id);
    }
    chain
}

/// The image id: the SHA-256 of the config, also where the manifest names it
/// by another algorithm.
pub fn image_id(config: &Document<Config>) -> Digest {
    config.digest(Algorithm::Sha256)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cf2_chains_by_the_text_of_digests() {
        assert!(chain_ids(&[]).is_empty());
        let layers: Vec<_> = [&b"a"[..], b"b", b"c"]
            .iter()
            .map(|bytes| Digest::of(Algorithm::Sha256, bytes))
            .collect();
        let chain = chain_ids(&layers);
        assert_eq!(chain[0], layers[0]);
        // python3: hashlib.sha256(b"sha256:… sha256:…")
        assert_eq!(
            chain[1].to_string(),
            "sha256:51c0c8ace48498d6f5fee6b0592cc06f2da0f3cbe09c5a34a97dce85c3889676"
        );
    }
}
