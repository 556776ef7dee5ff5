//! All budgets for input from outside, of documents, layers and signatures, by
//! name.

use plimsoll_content::limits::{Budget, Limits as Documents, Unit};
use plimsoll_content::{Code, Error, Result};
use plimsoll_layer::Limits as Layers;
use plimsoll_sign::Limits as Signatures;

/// All budgets.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Limits {
    /// Those for documents, which [`Home`](crate::place::Home) carries.
    pub documents: Documents,
    /// Those for layers.
    pub layers: Layers,
    /// Those for signatures.
    pub signatures: Signatures,
}

impl Limits {
    /// All budgets, those for documents first.
    pub fn list(&self) -> Vec<Budget> {
        let all = [self.documents.list(), self.layers.list(), self.signatures.list()];
        all.into_iter().flatten().collect()
    }

    /// Sets budgets as `NAME=VALUE`, several divided by commas. A value may
    /// have a unit of bytes: `64KiB`, `2GiB`, `1TB`.
    ///
    /// Errors with [`Code::Usage`] if it is not that, if there is no such
    /// budget, or if the value is more than can be held.
    pub fn set(&mut self, text: &str) -> Result<()> {
        let doing = || format!("setting the limit {text:?}");
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').ok_or_else(|| {
                Error::new(Code::Usage, doing())
                    .found("no = in it")
                    .expected("NAME=VALUE, such as layer-bytes=2GiB")
            })?;
            let (name, value) = (name.trim(), value.trim());
            let Some(unit) =
                self.list().iter().find(|budget| budget.name == name).map(|budget| budget.unit)
            else {
                let names: Vec<_> = self.list().iter().map(|budget| budget.name).collect();
                return Err(Error::new(Code::Usage, doing())
                    .found(format!("no limit is called {name:?}"))
                    .expected(names.join(", "))
                    .fix("plimsoll doctor --limits   tells what each is"));
            };
            let value = number(value, unit).ok_or_else(|| {
                Error::new(Code::Usage, doing()).found(format!("{value:?}")).expected(match unit {
                    Unit::Bytes => "a number of bytes, such as 1048576, 64KiB or 2GiB",
                    _ => "a whole number",
                })
            })?;
            let _ = self.documents.set(name, value)?
                || self.layers.set(name, value)?
                || self.signatures.set(name, value)?;
        }
        Ok(())
    }
}

/// A number of bytes as people write it: `1048576`, `64KiB`, `20GB`.
pub fn bytes(text: &str) -> Option<u64> {
    number(text, Unit::Bytes)
}

/// A number, with a unit if it is one of bytes.
fn number(text: &str, unit: Unit) -> Option<u64> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let factor: u64 = match (&text[digits.len()..], unit) {
        ("", _) | ("B", Unit::Bytes) => 1,
        (_, Unit::Levels | Unit::Count) => return None,
        ("KiB" | "K", _) => 1 << 10,
        ("MiB" | "M", _) => 1 << 20,
        ("GiB" | "G", _) => 1 << 30,
        ("TiB" | "T", _) => 1 << 40,
        ("kB" | "KB", _) => 1_000,
        ("MB", _) => 1_000_000,
        ("GB", _) => 1_000_000_000,
        ("TB", _) => 1_000_000_000_000,
        _ => return None,
    };
    // `parse` takes a sign.
    let digits = Some(digits).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_values_are_read() {
        let mut limits = Limits::default();
        let mut names: Vec<_> = limits.list().iter().map(|budget| budget.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), limits.list().len());
        limits.set("entries=7, layer-bytes=2GiB,document=1MB").expect("good");
        limits.set("").expect("nothing");
        assert_eq!((limits.layers.entries, limits.layers.bytes), (7, 2 << 30));
        assert_eq!(limits.documents.document, 1_000_000);
        for bad in [
            "entries",
            "nothing=1",
            "entries=",
            "entries=-1",
            "entries=+1",
            "entries=1K",
            "document=1XB",
            "path=5000",
            "json-depth=200",
            "index=99999999999TiB",
        ] {
            assert_eq!(limits.set(bad).expect_err(bad).code(), Code::Usage);
        }
    }
}
