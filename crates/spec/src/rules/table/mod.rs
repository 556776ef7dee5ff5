//! The rules, one table for each page of the image specification.
//!
//! Rows of the specification that can not be judged on one image at rest
//! (what a program must do, what a builder must have known) are not here.

pub(super) mod annotations;
pub(super) mod config;
pub(super) mod descriptor;
pub(super) mod general;
pub(super) mod image_index;
pub(super) mod layer;
pub(super) mod layout;
pub(super) mod manifest;

pub use annotations::*;
pub use config::*;
pub use descriptor::*;
pub use general::*;
pub use image_index::*;
pub use layer::*;
pub use layout::*;
pub use manifest::*;

/// Declares rules: each as a constant, and all as `TABLE`.
macro_rules! rules {
    ($(
        $id:ident $level:ident $word:literal [$($party:ident)+] $section:literal $about:ident
        $text:literal
        good: $good:literal
        bad: $bad:literal
    )+) => {
        $(
            #[doc = $text]
            pub static $id: super::super::Rule = super::super::Rule {
                id: stringify!($id),
                level: super::super::Level::$level,
                word: $word,
                parties: &[$(super::super::Party::$party),+],
                section: $section,
                about: super::super::About::$about,
                text: $text,
                good: $good,
                bad: $bad,
            };
        )+

        pub(in crate::rules) const TABLE: &[&super::super::Rule] = &[$(&$id),+];
    };
}
use rules;
