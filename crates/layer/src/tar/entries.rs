//! Reading archives: one entry after another, in bounded memory.

use std::ffi::OsStr;
use std::fmt;
use std::io::{Read, Seek};

use plimsoll_content::{Code, Error, Result};

use super::block::{self, Block, Checksum};
use super::body::{Body, Content};
use super::fault::Fault;
use super::input::Input;
use super::interpret::{self, Before, Meaning};
use super::pax::{self, Pax};
use super::sparse::{Form, Lines, Map};
use crate::entry::{Entry, EntryKind};
use crate::finding::{Finding, Findings};
use crate::limits::Limits;
use crate::path::shown;

/// The entries of an archive, one after another.
///
/// After an error nothing more can be read.
pub struct Entries<R> {
    pub(super) input: Input<R>,
    pub(super) content: Content,
    limits: Limits,
    strict: bool,
    findings: Findings,
    state: State,
    /// How many headers were seen, extended ones included.
    count: u64,
    /// Where the first header of the entry begins that is or was read.
    header: u64,
    /// Kept from entry to entry, so that they are not allocated anew.
    extension: Vec<u8>,
    long_name: Vec<u8>,
    long_link: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Reading,
    Ended,
    Failed,
}

/// Which extended headers came before the one that is read.
#[derive(Clone, Copy, Debug, Default)]
struct Extended {
    name: bool,
    link: bool,
    pax: bool,
}

impl<R: Read + Seek> Entries<R> {
    /// Passes over content by seeking, which is for those who want to know
    /// where the content of each entry lies ([`Entries::position`] right
    /// behind [`Entries::next`]).
    ///
    /// Content that is cut off at the end of the file is then not noticed:
    /// the caller compares its place with the length of the file.
    pub fn seeking(self) -> Self {
        Self { input: self.input.seeking(), ..self }
    }
}

impl<R: Read> Entries<R> {
    /// Starts to read an archive. Nothing is read yet.
    pub fn new(reader: R, limits: Limits) -> Self {
        Self {
            input: Input::new(reader, limits.bytes),
            content: Content::default(),
            limits,
            strict: false,
            findings: Findings::default(),
            state: State::Reading,
            count: 0,
            header: 0,
            extension: Vec::new(),
            long_name: Vec::new(),
            long_link: Vec::new(),
        }
    }

    /// Refuses types of entries that have no place in a layer, which are
    /// skipped with a finding otherwise (TP22, TP38).
    pub fn strict(self) -> Self {
        Self { strict: true, ..self }
    }

    /// How many bytes of the archive were taken so far.
    pub fn position(&self) -> u64 {
        self.input.position()
    }

    /// Where in the archive the entry begins that was read last, with the
    /// headers that belong to it, or the one that could not be read.
    pub fn header(&self) -> u64 {
        self.header
    }

    /// Gives the reader back where it is, for those who stop before the end.
    pub fn stop(self) -> (R, Vec<Finding>) {
        (self.input.into_reader(), self.findings.into_vec())
    }

    /// The next entry with its content; `None` behind the last. What is left
    /// of the content of the entry before is skipped.
    ///
    /// Errors with [`Code::Layer`] if the archive is malformed or ends too
    /// early, with [`Code::UnsafeEntry`] if common readers would extract
    /// different trees or the entry would reach outside, with
    /// [`Code::Limit`] if a budget is exceeded.
    #[expect(clippy::should_implement_trait, reason = "a body borrows the archive")]
    pub fn next(&mut self) -> Result<Option<(Entry, Body<'_, R>)>> {
        match self.state {
            State::Ended => return Ok(None),
            State::Failed => {
                return Err(Error::new(Code::Usage, "reading an archive")
                    .found("one that could not be read before"));
            }
            State::Reading => {}
        }
        self.state = State::Failed;
        let entry = self.advance()?;
        self.state = if entry.is_some() { State::Reading } else { State::Ended };
        Ok(entry.map(|entry| (entry, Body::new(&mut self.input, &mut self.content))))
    }

    /// Reads to the end of the stream, checks what is left of the archive on
    /// the way, and gives the reader back.
    pub fn finish(mut self) -> Result<(R, Vec<Finding>)> {
        while self.next()?.is_some() {}
        // Tools pad archives to full records with zeros. Common readers stop
        // at the end marker and agree to ignore whatever is behind it.
        loop {
            let position = self.input.position();
            let rest = self.input.fill()?;
            if rest.is_empty() {
                break;
            }
            let odd = rest.iter().position(|byte| *byte != 0);
            let length = rest.len();
            self.input.consume(length);
            if let Some(odd) = odd {
                let at = position + odd as u64;
                self.findings.note("tar-after-end", || {
                    let what =
                        format!("bytes behind the end marker, from byte {at} on, are ignored");
                    Finding::new("tar-after-end", what).at_byte(at)
                });
            }
        }
        Ok((self.input.into_reader(), self.findings.into_vec()))
    }

    fn advance(&mut self) -> Result<Option<Entry>> {
        self.content.skip(&mut self.input)?;
        let mut before = Extended::default();
        self.header = self.input.position();
        loop {
            let offset = self.input.position();
            self.findings.stand_at(Some(self.header));
            let Some(block) = self.input.block()?.map(Block) else {
                end_of_headers(before, offset)?;
                self.findings.push(Finding::new("tar-no-end", "the archive has no end marker"));
                return Ok(None);
            };
            if block.is_zero() {
                end_of_headers(before, offset)?;
                return self.end_marker(offset);
            }
            self.count += 1;
            if self.count > self.limits.entries {
                return Err(Error::new(Code::Limit, format!("reading header at byte {offset}"))
                    .found("one entry more")
                    .expected(format!("at most {} in a layer", self.limits.entries)));
            }
            let at = |fault: Fault, name: &[u8]| located(fault, name, offset);
            self.checksum(&block)
                .and_then(|()| interpret::check_numbers(&block))
                .map_err(|fault| at(fault, block.text(block::NAME)))?;
            match block.kind() {
                b'x' | b'g' | b'L' | b'K' => {
                    self.extended(&block, &mut before)
                        .map_err(|error| error.at(block.text(block::NAME), offset))?;
                }
                _ => {
                    if let Some(entry) = self.entry(&block, before, offset)? {
                        within(&entry, &self.limits)?;
                        return Ok(Some(entry));
                    }
                    before = Extended::default();
                    self.header = self.input.position();
                }
            }
        }
    }

    fn checksum(&mut self, block: &Block) -> Result<(), Fault> {
        match block.checksum() {
            Checksum::Right => Ok(()),
            Checksum::Signed => {
                self.findings.note("tar-signed-checksum", || {
                    Finding::new("tar-signed-checksum", "a checksum is that of signed bytes")
                });
                Ok(())
            }
            Checksum::Wrong => Err(Fault::layer(
                "a wrong checksum",
                "a tar header: the archive is damaged, or is none",
            )),
        }
    }

    /// Reads a header that says something about the next one.
    fn extended(&mut self, block: &Block, before: &mut Extended) -> Result<(), Trouble> {
        let (kind, size) = (block.kind(), interpret::size(block)?);
        // Readers disagree about which of two headers counts.
        let clash = match kind {
            b'L' => before.name || before.pax,
            b'K' => before.link || before.pax,
            _ => before.name || before.link || before.pax,
        };
        if clash {
            return Err(Fault::hostile(
                format!(
                    "a header of type {} behind another one for the same entry",
                    char::from(kind)
                ),
                "one PAX header, or at most one long name and one long link",
            )
            .into());
        }
        if size > self.limits.extension {
            return Err(Fault::limit(
                format!("an extended header of {size} bytes"),
                format!("at most {}", self.limits.extension),
            )
            .into());
        }
        let (bytes, name) = match kind {
            b'L' => (&mut self.long_name, Some(&mut before.name)),
            b'K' => (&mut self.long_link, Some(&mut before.link)),
            _ => (&mut self.extension, None),
        };
        let padded = size + block::padding(size);
        self.input.take(bytes, padded as usize, "an extended header")?;
        // Python reads records, and GNU tar names, that go on in the padding.
        if bytes[size as usize..].iter().any(|byte| *byte != 0) {
            return Err(Fault::hostile(
                "an extended header with something in its padding",
                "zeros, up to a full block",
            )
            .into());
        }
        bytes.truncate(size as usize);
        match name {
            Some(present) => {
                *present = true;
                let length = block::until_nul(bytes).len();
                if length == 0 || bytes[length..].iter().any(|byte| *byte != 0) {
                    return Err(Fault::hostile(
                        "a long name that is empty, or with a NUL inside",
                        "a name that all readers end at the same place",
                    )
                    .into());
                }
                bytes.truncate(length);
            }
            None if kind == b'g' => pax::check_global(bytes)?,
            None => before.pax = true,
        }
        Ok(())
    }

    /// Reads an entry's header; `None` if it is skipped.
    fn entry(&mut self, block: &Block, before: Extended, offset: u64) -> Result<Option<Entry>> {
        let at = |fault: Fault, name: &[u8]| located(fault, name, offset);
        let pax = if before.pax {
            let pax = Pax::parse(&self.extension, &self.limits, &mut self.findings);
            Some(pax.map_err(|fault| at(fault, block.text(block::NAME)))?)
        } else {
            None
        };
        let keys = pax.as_ref().and_then(|pax| pax.sparse.as_ref());
        let listed = keys.filter(|keys| !keys.map.is_empty()).map(|keys| keys.map.clone());
        let before = Before {
            name: before.name.then_some(&self.long_name),
            link: before.link.then_some(&self.long_link),
            pax,
        };
        // The name is needed for errors, and `meaning` takes what it is made of.
        let name = &mut self.content.name;
        name.clear();
        name.extend_from_slice(&interpret::name(block, &before));
        let meaning = interpret::meaning(block, before, self.strict, &mut self.findings)
            .map_err(|fault| at(fault, name))?;
        let (entry, stored, form) = match meaning {
            Meaning::Entry { entry, stored, form } => (entry, stored, form),
            Meaning::Other { stored } => {
                self.content.start(stored, stored, false);
                self.input.charge(0, stored).map_err(|error| self.content.located(error))?;
                self.content.skip(&mut self.input)?;
                return Ok(None);
            }
        };
        let real = if let EntryKind::File { size } = entry.kind { size } else { 0 };
        self.input
            .charge(real.saturating_sub(stored), stored)
            .map_err(|error| self.content.located(error))?;
        let mut held = stored;
        if form != Form::None {
            held = self
                .map(block, form, listed.as_deref(), real, stored)
                .map_err(|trouble| trouble.at(&self.content.name, offset))?;
        }
        self.content.start(real, held, form != Form::None);
        Ok(Some(entry))
    }

    /// Reads the map of a sparse file; gives how many bytes of data follow.
    fn map(
        &mut self,
        block: &Block,
        form: Form,
        listed: Option<&[u64]>,
        real: u64,
        stored: u64,
    ) -> Result<u64, Trouble> {
        let mut map = Map::new(&mut self.content.segments, real, &self.limits);
        let mut held = stored;
        match form {
            Form::None => {}
            Form::Records => {
                for piece in listed.unwrap_or_default().chunks_exact(2) {
                    map.push(piece[0], piece[1])?;
                }
            }
            Form::Blocks => {
                let mut ended = map.push_fields(&block.0[block::SPARSE])?;
                let mut more = block.0[block::SPARSE_MORE] != 0;
                // Each block counts: even empty pieces have an end.
                while more {
                    let Some(next) = self.input.block()? else {
                        return Err(self.input.truncated("the map of a sparse file").into());
                    };
                    if ended {
                        return Err(Fault::hostile(
                            "a map of a sparse file that goes on behind its end",
                            "one end",
                        )
                        .into());
                    }
                    ended = map.push_fields(&next[block::PIECES])?;
                    more = next[block::PIECES_MORE] != 0;
                }
            }
            Form::Content => {
                let mut lines = Lines::default();
                // The number of pieces comes first.
                let (mut wanted, mut offset) = (None::<u64>, None);
                while wanted != Some(0) {
                    held = held.checked_sub(block::SIZE as u64).ok_or_else(|| {
                        Fault::layer("a map of a sparse file longer than its content", "less")
                    })?;
                    let Some(next) = self.input.block()? else {
                        return Err(self.input.truncated("the map of a sparse file").into());
                    };
                    for byte in next {
                        let Some(value) = lines.push(byte)? else { continue };
                        match (&mut wanted, offset.take()) {
                            (None, _) => {
                                if value > self.limits.sparse as u64 {
                                    return Err(Fault::limit(
                                        format!("a sparse file of {value} pieces"),
                                        format!("at most {}", self.limits.sparse),
                                    )
                                    .into());
                                }
                                wanted = Some(value);
                            }
                            (Some(_), None) => offset = Some(value),
                            (Some(left), Some(offset)) => {
                                map.push(offset, value)?;
                                *left -= 1;
                            }
                        }
                        if wanted == Some(0) {
                            break;
                        }
                    }
                }
            }
        }
        map.finish(held)?;
        Ok(held)
    }

    /// One zero block was read: another one must follow. Readers disagree
    /// whether entries behind a single one belong to the archive.
    fn end_marker(&mut self, offset: u64) -> Result<Option<Entry>> {
        match self.input.block()? {
            Some(block) if Block(block).is_zero() => {}
            Some(_) => {
                return Err(Error::new(
                    Code::UnsafeEntry,
                    format!("reading the archive at byte {offset}"),
                )
                .found("a single zero block, and more behind it")
                .expected("two at the end: readers disagree where this archive ends"));
            }
            None => {
                self.findings.push(Finding::new("tar-no-end", "the end marker is cut in half"));
            }
        }
        Ok(None)
    }
}

impl<R> fmt::Debug for Entries<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Entries({} headers, {:?})", self.count, self.state)
    }
}

/// Budgets that are lower than what any path and link may be.
fn within(entry: &Entry, limits: &Limits) -> Result<()> {
    let name = entry.path.components().map(OsStr::len).max().unwrap_or(0);
    let link = if let EntryKind::Symlink { target } = &entry.kind { target.len() } else { 0 };
    let path = entry.path.as_bytes().len();
    for (what, length, most) in [
        ("path", path, limits.path),
        ("name", name, limits.name),
        ("link target", link, limits.link),
    ] {
        if length > most {
            return Err(Error::new(Code::Limit, format!("reading entry {}", entry.path))
                .found(format!("a {what} of {length} bytes"))
                .expected(format!("at most {most}")));
        }
    }
    Ok(())
}

/// Extended headers need something to extend (TP32).
fn end_of_headers(before: Extended, offset: u64) -> Result<()> {
    if before.name || before.link || before.pax {
        return Err(Error::new(Code::Layer, format!("reading the archive at byte {offset}"))
            .found("an end behind an extended header")
            .expected("the entry that it belongs to"));
    }
    Ok(())
}

/// A fault whose place is not known yet, or an error of the stream itself.
enum Trouble {
    Fault(Fault),
    Error(Error),
}

impl Trouble {
    fn at(self, name: &[u8], offset: u64) -> Error {
        match self {
            Self::Fault(fault) => located(fault, name, offset),
            Self::Error(error) => error.context(headline(name, offset)),
        }
    }
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

fn located(fault: Fault, name: &[u8], offset: u64) -> Error {
    Error::new(fault.code, headline(name, offset)).found(fault.found).expected(fault.expected)
}

fn headline(name: &[u8], offset: u64) -> String {
    let name = &name[..name.len().min(crate::limits::PATH)];
    format!("reading entry {} (header at byte {offset} of the archive)", shown(name))
}
