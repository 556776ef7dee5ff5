//! Archives that a verb writes, to a file or to standard output.

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use plimsoll::content::{Code, Error, Result};
use plimsoll::store::StagedFile;

use crate::context::Context;

/// The file that is meant, where `-` is standard output.
pub(crate) fn file(named: Option<&Path>) -> Option<&Path> {
    named.filter(|path| *path != Path::new("-"))
}

/// Writes an archive to a file, which appears when it is whole, or to standard
/// output, where it ends early if nobody reads it any more: then there is no
/// result, which is nobody's fault.
pub(crate) fn write<T>(
    file: Option<&Path>,
    context: &Context,
    write: impl FnOnce(&mut dyn Write) -> Result<T>,
) -> Result<Option<T>> {
    if let Some(path) = file {
        let mut staged = StagedFile::beside(path)?.flushed(context.home.flush());
        let done = write(&mut staged)
            .map_err(|error| error.context(format!("writing {}", path.display())))?;
        staged.publish()?;
        return Ok(Some(done));
    }
    if io::stdout().is_terminal() {
        return Err(Error::new(Code::Usage, "writing a tar archive")
            .found("a terminal")
            .expected("a file or a pipe")
            .fix("-o FILE   names a file; | tar t   lists the archive"));
    }
    let mut out = io::BufWriter::with_capacity(1 << 17, io::stdout().lock());
    let done = write(&mut out).and_then(|done| {
        out.flush().map_err(|cause| Error::io("writing to", "standard output", cause))?;
        Ok(done)
    });
    match done {
        Ok(done) => Ok(Some(done)),
        Err(error) if is_broken_pipe(&error) => {
            // What waits in the buffer has nowhere to go.
            let _ = out.into_parts();
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Whether nobody reads any more, which is their affair.
fn is_broken_pipe(error: &Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
        {
            return true;
        }
        cause = error.source();
    }
    false
}
