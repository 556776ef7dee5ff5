//! What becomes of an image in `unpack` and in `validate`, as root and as an
//! ordinary user.

use crate::archive::Layer;
use crate::yard::{As, Done, Tree, Yard};

/// Bytes that are not what they should be, or unsafe to use.
const REFUSED: i32 = 6;

const UNPACK: &[&str] = &["unpack", "oci:layout:v1", "root"];
const VALIDATE: &[&str] = &["validate", "oci:layout:v1"];

/// An attack: how its layers are made, given the victim.
pub(crate) struct Case<F> {
    make: F,
    small: bool,
}

/// An image of these layers.
pub(crate) fn image<F: Fn(&Yard) -> Vec<Layer>>(make: F) -> Case<F> {
    Case { make, small: true }
}

/// An image of one layer that needs nothing of the victim.
pub(crate) fn layer(layer: impl Into<Layer>) -> Case<impl Fn(&Yard) -> Vec<Layer>> {
    let layer = layer.into();
    image(move |_| vec![layer.clone()])
}

impl<F: Fn(&Yard) -> Vec<Layer>> Case<F> {
    /// It is large, and may take its time and memory.
    pub(crate) fn large(self) -> Self {
        Self { small: false, ..self }
    }

    fn each(&self, look: impl Fn(&Yard, &dyn Fn(&[&str]) -> Done)) {
        for who in As::all() {
            let yard = Yard::new(*who);
            let layers = (self.make)(&yard);
            let small = self.small && layers.iter().all(|layer| layer.blob.len() <= 1 << 20);
            yard.image(&layers);
            look(&yard, &|words| if small { yard.run_small(words) } else { yard.run(words) });
        }
    }

    /// Neither verb takes it, and nothing is left of it.
    pub(crate) fn refused(self, code: &str) {
        self.each(|yard, run| {
            unpack_refuses(yard, run, code);
            validate_refuses(yard, run);
        });
    }

    /// Unpacking refuses it. It shows only when links are followed, so
    /// validating does not see it.
    pub(crate) fn refused_by_unpack(self, code: &str) {
        self.each(|yard, run| {
            unpack_refuses(yard, run, code);
            let done = run(VALIDATE);
            assert!(matches!(done.code, 0 | REFUSED), "{}", done.err);
            yard.intact(false);
        });
    }

    /// Both verbs take it.
    pub(crate) fn accepted(self, check: impl Fn(&Tree, As)) {
        self.accepted_with(&[], check);
    }

    /// Both verbs take it, and tell what they found.
    pub(crate) fn accepted_with(self, findings: &[&str], check: impl Fn(&Tree, As)) {
        self.each(|yard, run| {
            let done = run(VALIDATE);
            assert_eq!(done.code, 0, "validate as {:?}: {}{}", yard.who, done.out, done.err);
            unpack_accepts(yard, run, findings, &check);
        });
    }

    /// Engines write such layers: unpacking takes it and says so, validating
    /// refuses it.
    pub(crate) fn tolerated(self, findings: &[&str], check: impl Fn(&Tree, As)) {
        self.each(|yard, run| {
            validate_refuses(yard, run);
            unpack_accepts(yard, run, findings, &check);
        });
    }
}

fn unpack_refuses(yard: &Yard, run: &dyn Fn(&[&str]) -> Done, code: &str) {
    let done = run(UNPACK);
    assert!(!matches!(done.code, 0 | -1), "unpack as {:?} did not refuse: {}", yard.who, done.err);
    assert!(done.err.contains(&format!("error[{code}]")), "as {:?}: {}", yard.who, done.err);
    yard.intact(false);
}

fn validate_refuses(yard: &Yard, run: &dyn Fn(&[&str]) -> Done) {
    let done = run(VALIDATE);
    assert!(matches!(done.code, 1 | REFUSED), "validate: {} {}{}", done.code, done.out, done.err);
    yard.intact(false);
}

fn unpack_accepts(
    yard: &Yard,
    run: &dyn Fn(&[&str]) -> Done,
    findings: &[&str],
    check: &dyn Fn(&Tree, As),
) {
    let done = run(UNPACK);
    assert_eq!(done.code, 0, "unpack as {:?}: {}", yard.who, done.err);
    for finding in findings {
        assert!(done.err.contains(&format!("({finding})")), "no {finding}: {}", done.err);
    }
    yard.intact(true);
    check(&yard.tree(), yard.who);
}

/// The paths of a tree, joined by spaces.
pub(crate) fn paths(tree: &Tree) -> String {
    let paths: Vec<_> = tree.keys().filter(|path| !path.is_empty()).cloned().collect();
    paths.join(" ")
}
