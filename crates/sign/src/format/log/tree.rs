//! Hash trees of logs (RFC 9162, 2.1).

use crate::format::hash::sha256_of;

/// Whether a tree of that size and root has the entry at that place (2.1.3.2).
pub(super) fn includes(
    entry: &[u8],
    index: u64,
    size: u64,
    hashes: &[Vec<u8>],
    root: &[u8],
) -> bool {
    if index >= size {
        return false;
    }
    let (mut own, mut last) = (index, size - 1);
    let mut hash = sha256_of(&[&[0], entry]);
    for other in hashes {
        if last == 0 {
            return false;
        }
        if own & 1 == 1 || own == last {
            hash = sha256_of(&[&[1], other, &hash]);
            while own & 1 == 0 && own != 0 {
                own >>= 1;
                last >>= 1;
            }
        } else {
            hash = sha256_of(&[&[1], &hash, other]);
        }
        own >>= 1;
        last >>= 1;
    }
    last == 0 && hash == *root
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The hash of a tree, and the way from one of its entries, as RFC 9162 defines
    /// them from above (2.1.1, 2.1.3.1).
    fn tree(entries: &[Vec<u8>], index: Option<usize>) -> ([u8; 32], Vec<Vec<u8>>) {
        if let [only] = entries {
            return (sha256_of(&[&[0], only]), Vec::new());
        }
        let half = entries.len().next_power_of_two() / 2;
        let (left, right) = entries.split_at(half);
        let (in_left, in_right) = match index {
            Some(index) if index < half => (Some(index), None),
            Some(index) => (None, Some(index - half)),
            None => (None, None),
        };
        let ((left, mut way), (right, other)) = (tree(left, in_left), tree(right, in_right));
        if in_left.is_some() {
            way.push(right.to_vec());
        } else if in_right.is_some() {
            way = other;
            way.push(left.to_vec());
        }
        (sha256_of(&[&[1], &left, &right]), way)
    }

    proptest! {
        #[test]
        fn what_is_there_is_found_and_nothing_else(size in 1usize..40, index in 0usize..40) {
            let index = index % size;
            let entries: Vec<Vec<u8>> = (0..size).map(|number| vec![number as u8; 3]).collect();
            let (root, way) = tree(&entries, Some(index));
            let (at, all) = (index as u64, size as u64);
            prop_assert!(includes(&entries[index], at, all, &way, &root));
            prop_assert!(!includes(b"other", at, all, &way, &root));
            prop_assert!(!includes(&entries[index], at + 1, all, &way, &root) || way.is_empty());
            prop_assert!(!includes(&entries[index], at, all * 2 + 2, &way, &root));
            for fault in 0..way.len() {
                let mut bad = way.clone();
                bad[fault][7] ^= 1;
                prop_assert!(!includes(&entries[index], at, all, &bad, &root));
                bad.remove(fault);
                prop_assert!(!includes(&entries[index], at, all, &bad, &root));
            }
            let longer = [way, vec![vec![0; 32]]].concat();
            prop_assert!(!includes(&entries[index], at, all, &longer, &root));
        }
    }
}
