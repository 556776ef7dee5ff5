//! The budgets that hold for every document and blob, with their reasons.
//!
//! A budget is declared once ([`budgets!`](crate::budgets)), and can be listed
//! and set by its name. Budgets of tar entries live in `plimsoll-layer`, which
//! reads them. Nobody knows a budget but by being given it: places of content
//! carry those for documents ([`Source::limits`](crate::Source::limits)).

use crate::{Code, Error, Result};

/// The largest size a descriptor may announce: the spec's int64.
pub const SIZE: u64 = i64::MAX as u64;

/// The longest digest string, in bytes. The longest registered one is
/// `sha512:` with 128 digits; a file name must hold the encoded part.
pub const DIGEST: usize = 255;

/// The default of [`Limits::document`].
pub const DOCUMENT: u64 = 4 << 20;

/// The default of [`Limits::index`].
pub const INDEX: u64 = 8 << 20;

/// The default of [`Limits::config`].
pub const CONFIG: u64 = 8 << 20;

/// The default of [`Limits::layers`].
pub const LAYERS: usize = 1_000;

crate::budgets! {
    /// Adjustable budgets of reading documents.
    pub struct Limits {
        /// The largest manifest or other document that is read.
        document: u64 = DOCUMENT, "document", Bytes, u64::MAX,
            "more than registries must take, and nobody's image (CVE-2023-25153)";
        /// The largest index, of an image or of a layout.
        index: u64 = INDEX, "index", Bytes, u64::MAX,
            "it is held in memory";
        /// The largest image config.
        config: u64 = CONFIG, "config", Bytes, u64::MAX,
            "it is held in memory";
        /// How deep arrays and objects of a document may nest.
        json_depth: usize = 64, "json-depth", Levels, 127,
            "readers that recurse run out of stack";
        /// How many layers an image may have.
        layers: usize = LAYERS, "layers", Count, u64::MAX,
            "engines stop at 127 or 500";
        /// How deep indexes may nest.
        index_depth: usize = 8, "index-depth", Levels, 1_000,
            "two are seen in the wild";
        /// How many descriptors one walk visits before it gives up.
        index_visits: usize = 10_000, "index-visits", Count, u64::MAX,
            "indexes that list each other's children";
        /// How deep AppC images may depend on each other.
        dependencies: usize = 32, "dependencies", Levels, 1_000,
            "images that depend on themselves (CVE-2016-8579)";
        /// How many bytes of documents an archive without manifests may have in memory.
        archive_documents: u64 = 64 << 20, "archive-docs", Bytes, u64::MAX,
            "docker archives, whose manifests are made and whose names tell nothing";
    }
}

/// What a budget counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Levels of nesting.
    Levels,
    /// Things.
    Count,
}

impl Unit {
    /// The word for reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Levels => "levels",
            Self::Count => "count",
        }
    }
}

/// A budget as it is told and set.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Budget {
    /// The name by which it is set.
    pub name: &'static str,
    /// What it is of, in a sentence.
    pub what: &'static str,
    /// What holds now.
    pub value: u64,
    /// What holds unless it is set.
    pub default: u64,
    /// What can be set at most.
    pub most: u64,
    /// What it counts.
    pub unit: Unit,
    /// Why there is one.
    pub reason: &'static str,
}

impl Budget {
    /// The value that can be set instead, as the type that is needed.
    ///
    /// Errors with [`Code::Usage`] if it is more than can be held.
    pub fn checked<T: TryFrom<u64>>(&self, value: u64) -> Result<T> {
        T::try_from(value).ok().filter(|_| value <= self.most).ok_or_else(|| {
            Error::new(Code::Usage, format!("setting the limit {}", self.name))
                .found(value)
                .expected(format!("at most {}", self.most))
        })
    }
}

/// Declares a struct of budgets: each with its type, default, name, unit, what
/// can be set at most, and reason. It gets `Default`, `list` and `set`.
#[macro_export]
macro_rules! budgets {
    (
        $(#[$about:meta])*
        $vis:vis struct $limits:ident {
            $(
                #[doc = $what:literal]
                $field:ident: $type:ty = $default:expr, $name:literal, $unit:ident, $most:expr,
                    $reason:literal;
            )*
        }
    ) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        $vis struct $limits {
            $(
                #[doc = $what]
                #[doc = ""]
                #[doc = concat!("Its reason: ", $reason, ".")]
                pub $field: $type,
            )*
        }

        impl Default for $limits {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }

        impl $limits {
            /// All budgets, in the order in which they are declared.
            pub fn list(&self) -> Vec<$crate::limits::Budget> {
                vec![$(
                    $crate::limits::Budget {
                        name: $name,
                        what: $what.trim_ascii(),
                        value: self.$field as u64,
                        default: Self::default().$field as u64,
                        most: $most,
                        unit: $crate::limits::Unit::$unit,
                        reason: $reason,
                    },
                )*]
            }

            /// Sets the budget of that name; `false` if there is none.
            ///
            /// Errors with [`Code::Usage`]($crate::Code::Usage) if the value
            /// is more than can be held.
            pub fn set(&mut self, name: &str, value: u64) -> $crate::Result<bool> {
                for budget in self.list().iter().filter(|budget| budget.name == name) {
                    match name {
                        $($name => self.$field = budget.checked(value)?,)*
                        _ => {}
                    }
                    return Ok(true);
                }
                Ok(false)
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_are_listed_and_set_by_name() {
        let mut limits = Limits::default();
        for budget in limits.list() {
            assert_eq!(budget.value, budget.default);
            assert!(budget.default <= budget.most && budget.what.ends_with('.'), "{budget:?}");
            assert!(limits.set(budget.name, 7).expect("small"), "{budget:?}");
        }
        assert!(limits.list().iter().all(|budget| budget.value == 7));
        assert_eq!(limits.layers, 7);
        assert!(!limits.set("nothing", 7).expect("no error"));
        assert_eq!(limits.set("json-depth", 128).expect_err("too much").code(), Code::Usage);
        assert_eq!(limits.json_depth, 7);
    }
}
