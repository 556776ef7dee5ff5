//! What was seen before: under each name the highest sequence of a trusted
//! signature. One small file, changed under a lock.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use plimsoll_content::{Code, Error, Result, json};
use plimsoll_sign::judge::Seen;
use plimsoll_store::write_file_atomic;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

/// The largest file.
const LIMIT: u64 = 16 << 20;

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    version: u32,
    sequences: Seen,
}

/// What was seen before. A file that is not there is the first time.
pub(crate) fn read(path: &Path) -> Result<Seen> {
    let failed = |cause| Error::io("reading", path.display(), cause);
    let file = match File::open(path) {
        Ok(file) => file,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Seen::new()),
        Err(cause) => return Err(failed(cause)),
    };
    let mut bytes = Vec::new();
    file.take(LIMIT).read_to_end(&mut bytes).map_err(failed)?;
    let doing = || format!("reading {}", path.display());
    json::check("what was seen", &bytes).map_err(|error| error.context(doing()))?;
    match serde_json::from_slice::<Kept>(&bytes) {
        Ok(kept) if kept.version == 1 => Ok(kept.sequences),
        Ok(kept) => Err(Error::new(Code::Malformed, doing())
            .found(format!("version {}", kept.version))
            .expected(1)),
        Err(cause) => Err(Error::new(Code::Malformed, doing()).found(&cause).cause(cause)),
    }
}

/// Keeps a sequence, unless a higher one is kept.
pub(crate) fn note(path: &Path, name: &str, sequence: u64) -> Result<()> {
    let failed = |cause| Error::io("writing", path.display(), cause);
    let folder = path.parent().unwrap_or(Path::new("."));
    let file_name = path.file_name().and_then(|name| name.to_str()).ok_or_else(|| {
        Error::new(Code::Usage, format!("writing {}", path.display())).expected("a file name")
    })?;
    std::fs::create_dir_all(folder).map_err(failed)?;
    let lock = folder.join(format!(".{file_name}.lock"));
    let lock = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(lock)
        .map_err(failed)?;
    flock(&lock, FlockOperation::LockExclusive).map_err(|errno| failed(errno.into()))?;
    let mut sequences = read(path)?;
    if sequences.get(name).is_some_and(|kept| *kept >= sequence) {
        return Ok(());
    }
    sequences.insert(name.to_owned(), sequence);
    let bytes = json::canonical(&Kept { version: 1, sequences })?;
    let handle = File::open(folder).map_err(failed)?;
    write_file_atomic(handle.as_fd(), file_name, &bytes, 0o600)
}
