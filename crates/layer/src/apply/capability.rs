//! The two forms of file capabilities: of the machine, as layers have them
//! (version 2), and of a user namespace whose root has a certain id (version
//! 3, with that id behind the rest).

/// The version is in the last byte of the first word.
const VERSION: usize = 3;

/// How long version 2 is.
const PLAIN: usize = 20;

/// Capabilities of the machine as those of the namespace of `root`; `None` if
/// they are anything else.
pub(crate) fn of_namespace(value: &[u8], root: u32) -> Option<Vec<u8>> {
    if value.len() != PLAIN || value[VERSION] != 2 {
        return None;
    }
    let mut namespaced = value.to_vec();
    namespaced[VERSION] = 3;
    namespaced.extend(root.to_le_bytes());
    Some(namespaced)
}

/// Makes capabilities those of the machine: `true` if they are now, or are of
/// no known form. Those of another namespace than `root`'s mean nothing
/// elsewhere: `false`.
pub(crate) fn globalise(value: &mut Vec<u8>, root: u32) -> bool {
    if value.len() != PLAIN + 4 || value[VERSION] != 3 {
        return true;
    }
    if value[PLAIN..] != root.to_le_bytes() {
        return false;
    }
    value.truncate(PLAIN);
    value[VERSION] = 2;
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_go_into_a_namespace_and_back() {
        let plain = [&[1, 0, 0, 2][..], &[7; 16]].concat();
        let inside = of_namespace(&plain, 100_000).expect("plain");
        assert_eq!((inside.len(), inside[3]), (24, 3));
        for (before, root, after) in [
            (&plain, 0, Some(&plain)),
            (&inside, 100_000, Some(&plain)),
            (&inside, 0, None),
            (&b"odd".to_vec(), 0, Some(&b"odd".to_vec())),
        ] {
            let mut value = before.clone();
            assert_eq!(globalise(&mut value, root).then_some(&value), after);
        }
        for other in [&inside[..], &plain[..19], b""] {
            assert_eq!(of_namespace(other, 1), None);
        }
    }
}
