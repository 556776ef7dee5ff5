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

/// The way back; `None` if they are not those of that namespace.
pub(crate) fn of_machine(value: &[u8], root: u32) -> Option<Vec<u8>> {
    let (plain, id) = value.split_at_checked(PLAIN)?;
    if id != root.to_le_bytes() || plain[VERSION] != 3 {
        return None;
    }
    let mut plain = plain.to_vec();
    plain[VERSION] = 2;
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_go_into_a_namespace_and_back() {
        let plain = [&[1, 0, 0, 2][..], &[7; 16]].concat();
        let inside = of_namespace(&plain, 100_000).expect("plain");
        assert_eq!((inside.len(), inside[3]), (24, 3));
        assert_eq!(of_machine(&inside, 100_000), Some(plain.clone()));
        assert_eq!(of_machine(&inside, 0), None);
        assert_eq!(of_machine(&plain, 0), None);
        for other in [&inside[..], &plain[..19], b""] {
            assert_eq!(of_namespace(other, 1), None);
        }
    }
}
