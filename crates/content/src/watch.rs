//! Progress and interruption of long operations, in one object.

/// Who watches a long operation, and may stop it.
///
/// Calls come from several threads, once per chunk of work.
pub trait Watch: Send + Sync {
    /// A step begins: `what` in words, and its size in bytes if it is known.
    fn begin(&self, what: &str, total: Option<u64>);

    /// That many more bytes of the current step are done.
    fn advance(&self, bytes: u64);

    /// The step is done; `what` in words for those who read lines.
    fn end(&self, what: &str);

    /// A part of the step is done; `what` in words for those who read lines.
    fn part(&self, _what: &str) {}

    /// Something that the caller should know, though nothing failed.
    fn warn(&self, message: &str);

    /// Whether the operation is to stop at the next chunk.
    fn interrupted(&self) -> bool {
        false
    }
}

/// Nobody watches.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quiet;

impl Watch for Quiet {
    fn begin(&self, _: &str, _: Option<u64>) {}
    fn advance(&self, _: u64) {}
    fn end(&self, _: &str) {}
    fn warn(&self, _: &str) {}
}
