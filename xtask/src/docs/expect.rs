//! Comparing what was printed with what a document says, wildcards included.

/// What stands for any number of lines.
const LINES: &str = "...";

/// What stands for anything inside of a line.
const INSIDE: &str = "[..]";

/// Whether `output` is what `expected` says; the error shows both.
pub(super) fn compare(expected: &[String], output: &str) -> Result<(), String> {
    let printed: Vec<&str> = output.lines().map(str::trim_end).collect();
    // A blank line before the end of a block is for the reader.
    let mut wanted: Vec<&str> = expected.iter().map(|line| line.trim_end()).collect();
    while wanted.last().is_some_and(|line| line.is_empty()) && printed.len() < wanted.len() {
        wanted.pop();
    }
    if lines(&wanted, &printed) {
        return Ok(());
    }
    let mut shown = String::from("expected (-) is not what was printed (+)\n");
    for (sign, side) in [('-', &wanted), ('+', &printed)] {
        for line in side {
            shown.push(sign);
            shown.push_str(line);
            shown.push('\n');
        }
    }
    Err(shown)
}

/// Matches line by line; on a mismatch the last [`LINES`] takes one more.
fn lines(wanted: &[&str], printed: &[&str]) -> bool {
    matches(
        wanted.len(),
        printed.len(),
        |at| wanted[at] == LINES,
        |at, line| inside(wanted[at], printed[line]),
    )
}

/// The same inside of a line, where the pieces between wildcards are texts.
fn inside(wanted: &str, printed: &str) -> bool {
    let mut pieces = wanted.split(INSIDE);
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = printed.strip_prefix(first) else { return false };
    let mut pieces: Vec<_> = pieces.collect();
    let Some(last) = pieces.pop() else { return rest.is_empty() };
    for piece in pieces {
        match rest.find(piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// The usual matching of one wildcard kind, in quadratic time at worst.
fn matches(
    wanted: usize,
    printed: usize,
    wild: impl Fn(usize) -> bool,
    same: impl Fn(usize, usize) -> bool,
) -> bool {
    let (mut at, mut line) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while line < printed {
        if at < wanted && wild(at) {
            retry = Some((at, line));
            at += 1;
        } else if at < wanted && same(at, line) {
            at += 1;
            line += 1;
        } else if let Some((star, taken)) = retry {
            retry = Some((star, taken + 1));
            at = star + 1;
            line = taken + 1;
        } else {
            return false;
        }
    }
    (at..wanted).all(wild)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(expected: &str, output: &str) -> bool {
        let expected: Vec<String> = expected.lines().map(str::to_owned).collect();
        compare(&expected, output).is_ok()
    }

    #[test]
    fn plain_lines_must_be_equal() {
        assert!(same("a\nb", "a\nb\n"));
        assert!(!same("a\nb", "a\n"));
        assert!(!same("a", "a\nb\n"));
        assert!(same("", ""));
        assert!(same("a\n\n", "a\n"), "a blank line at the end of a block is no output");
    }

    #[test]
    fn dots_stand_for_any_lines() {
        assert!(same("...", "a\nb\n"));
        assert!(same("a\n...\nb", "a\nb\n"));
        assert!(same("...\nb\n...\nd", "a\nb\nb\nc\nd\n"));
        assert!(!same("a\n...\nb", "a\nc\n"));
    }

    #[test]
    fn brackets_stand_for_anything_in_a_line() {
        assert!(same("sha256:[..] x [..]", "sha256:abc x 1\n"));
        assert!(same("[..]b[..]", "aab\n"));
        assert!(!same("a[..]b", "ab c\n"));
        assert!(!same("aa[..]aa", "aaa\n"), "pieces do not overlap");
    }
}
