//! A file tree as one file that the kernel mounts: an EROFS image, not
//! compressed, made out of a tar of the whole tree.
//!
//! What does not live here: mounting it, and where the tar comes from. The
//! format is that of `fs/erofs/erofs_fs.h` of Linux with blocks of 4 KiB:
//! the superblock, then all inodes with what is small enough behind them, then
//! the content of files and large folders, block by block. The same tar gives
//! the same bytes.

use std::collections::HashMap;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};

use plimsoll_content::{Code, Error, Result};

use crate::entry::{Entry, EntryKind};
use crate::limits::Limits;
use crate::path::RelPath;
use crate::tar::Entries;

/// The length of a block, in bytes.
const BLOCK: u64 = 4096;

/// Where the superblock lies, and how long it is.
const SUPER: (usize, usize) = (1024, 128);

/// How long an inode of the extended form is, in bytes.
const INODE: u64 = 64;

/// Inodes lie at multiples of this; their number is the multiple.
const SLOT: u64 = 32;

/// How long an entry of a folder is without its name, in bytes.
const DIRENT: usize = 12;

/// Content of up to this many bytes lies behind its inode.
const INLINE: u64 = 2048;

/// What was written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Written {
    /// How many files the tree has, each counted once.
    pub files: u64,
    /// The length of the image, in bytes.
    pub bytes: u64,
    /// Attributes that have no place in the format, by path and name.
    pub left_out: Vec<String>,
}

struct Node {
    entry: Entry,
    links: u32,
    /// What folders hold, by name.
    children: Vec<(Vec<u8>, usize)>,
    parent: usize,
    attributes: Vec<u8>,
    /// The length of the content: of a file, a link, a folder.
    size: u64,
    /// Whether the content lies behind the inode.
    inline: bool,
    /// Where the inode lies, in bytes.
    offset: u64,
    /// The first block of content that does not.
    block: u64,
}

/// Makes an image at the start of `out`, which must be empty, out of a plain
/// tar that has an entry for every file, the root and each folder before what
/// it holds, as exports write it. The tar is read twice.
///
/// # Errors
///
/// [`Code::Layer`] for a tar that is not like that, [`Code::Limit`] for what
/// the format has no room for.
pub fn write<R: Read + Seek, W: Write + Seek>(
    mut tar: R,
    out: W,
    identity: [u8; 16],
    limits: Limits,
) -> Result<(Written, W)> {
    let rewind = |tar: &mut R| {
        tar.rewind().map_err(|cause| Error::io("reading", "the tar of a file tree", cause))
    };
    rewind(&mut tar)?;
    let (mut nodes, order, left_out) = read(&mut tar, limits)?;
    let (meta, blocks) = place(&mut nodes)?;
    let failed = |cause: io::Error| Error::io("writing", "the image of a file system", cause);

    let mut area = vec![0u8; usize::try_from(meta).map_err(|_| too_large())?];
    superblock(&mut area, &nodes, blocks, identity)?;
    for node in &nodes {
        inode(&mut area, node)?;
    }
    let mut out = BufWriter::with_capacity(1 << 20, out);
    out.seek(SeekFrom::Start(meta)).map_err(failed)?;
    rewind(&mut tar)?;
    let mut entries = Entries::new(&mut tar, limits);
    let mut waiting = order.into_iter();
    while let Some((_, mut body)) = entries.next()? {
        // Another name of a file that was there before has no content.
        let Some(Some(number)) = waiting.next() else { continue };
        let node = &nodes[number];
        let mut content: Box<dyn Read + '_> = match &node.entry.kind {
            EntryKind::File { .. } => Box::new(&mut body),
            EntryKind::Symlink { target } => Box::new(&target[..]),
            EntryKind::Directory => Box::new(io::Cursor::new(folder(&nodes, number))),
            _ => continue,
        };
        if node.inline {
            let start = (node.offset + INODE) as usize + node.attributes.len();
            content.read_exact(&mut area[start..start + node.size as usize]).map_err(failed)?;
        } else {
            let copied = io::copy(&mut content, &mut out).map_err(failed)?;
            if copied != node.size {
                return Err(malformed(&node.entry.path, "content of another length"));
            }
            let rest = copied.next_multiple_of(BLOCK) - copied;
            out.write_all(&[0; BLOCK as usize][..rest as usize]).map_err(failed)?;
        }
    }
    out.rewind().and_then(|()| out.write_all(&area)).map_err(failed)?;
    let out = out.into_inner().map_err(|cause| failed(cause.into_error()))?;
    Ok((Written { files: nodes.len() as u64, bytes: blocks * BLOCK, left_out }, out))
}

fn too_large() -> Error {
    Error::new(Code::Limit, "making the image of a file system")
        .found("a larger tree than there is room for")
}

fn malformed(path: &RelPath, found: &str) -> Error {
    Error::new(Code::Layer, format!("reading {path} in the tar of a file tree")).found(found)
}

/// The nodes, and for each entry of the tar the node that it begins.
type Tree = (Vec<Node>, Vec<Option<usize>>, Vec<String>);

fn read<R: Read>(tar: R, limits: Limits) -> Result<Tree> {
    let mut nodes: Vec<Node> = Vec::new();
    let mut by_path: HashMap<RelPath, usize> = HashMap::new();
    let (mut order, mut left_out) = (Vec::new(), Vec::new());
    let mut entries = Entries::new(tar, limits);
    while let Some((entry, _)) = entries.next()? {
        let path = entry.path.clone();
        let parent = match path.parent() {
            None if nodes.is_empty() && entry.kind == EntryKind::Directory => 0,
            None => return Err(malformed(&path, "a root that is not the first, or no folder")),
            Some(parent) => *by_path
                .get(&parent)
                .filter(|parent| nodes[**parent].entry.kind == EntryKind::Directory)
                .ok_or_else(|| malformed(&path, "no folder around it"))?,
        };
        if by_path.contains_key(&path) {
            return Err(malformed(&path, "a second entry"));
        }
        let number = if let EntryKind::Hardlink { target } = &entry.kind {
            let number =
                *by_path.get(target).ok_or_else(|| malformed(&path, "a link to nothing"))?;
            if nodes[number].entry.kind == EntryKind::Directory {
                return Err(malformed(&path, "a hard link to a folder"));
            }
            nodes[number].links += 1;
            order.push(None);
            number
        } else {
            let size = match &entry.kind {
                EntryKind::File { size } => *size,
                EntryKind::Symlink { target } => target.len() as u64,
                _ => 0,
            };
            let directory = entry.kind == EntryKind::Directory;
            let attributes = attributes(&entry, &mut left_out)?;
            order.push(Some(nodes.len()));
            nodes.push(Node {
                entry,
                links: if directory { 2 } else { 1 },
                children: Vec::new(),
                parent,
                attributes,
                size,
                inline: false,
                offset: 0,
                block: 0,
            });
            if directory && !path.is_root() {
                nodes[parent].links += 1;
            }
            nodes.len() - 1
        };
        if let Some(name) = path.name() {
            nodes[parent].children.push((name.as_encoded_bytes().to_vec(), number));
        }
        by_path.insert(path, number);
    }
    if nodes.is_empty() {
        return Err(malformed(&RelPath::root(), "no entries"));
    }
    for (number, node) in nodes.iter_mut().enumerate() {
        if node.entry.kind == EntryKind::Directory {
            let parent = node.parent;
            node.children.push((b".".to_vec(), number));
            node.children.push((b"..".to_vec(), parent));
            node.children.sort();
            node.size = packed(&node.children).iter().map(|block| block.end).max().unwrap_or(0);
        }
    }
    Ok((nodes, order, left_out))
}

/// Extended attributes as they lie behind an inode.
fn attributes(entry: &Entry, left_out: &mut Vec<String>) -> Result<Vec<u8>> {
    const PREFIXES: &[(u8, &[u8])] = &[
        (1, b"user."),
        (2, b"system.posix_acl_access"),
        (3, b"system.posix_acl_default"),
        (4, b"trusted."),
        (6, b"security."),
    ];
    let mut bytes = Vec::new();
    for (name, value) in &entry.xattrs {
        let known = PREFIXES.iter().find_map(|(index, prefix)| {
            let rest = name.strip_prefix(*prefix)?;
            // Those of access lists are whole names, the others begin one.
            (rest.is_empty() != prefix.ends_with(b".")).then_some((*index, rest))
        });
        let Some((index, rest)) = known else {
            left_out.push(format!("{}: {}", entry.path, crate::path::shown(name)));
            continue;
        };
        let (Ok(name), Ok(length)) = (u8::try_from(rest.len()), u16::try_from(value.len())) else {
            return Err(malformed(&entry.path, "an attribute that is too long").recode(Code::Limit));
        };
        bytes.extend([name, index]);
        bytes.extend(length.to_le_bytes());
        bytes.extend_from_slice(rest);
        bytes.extend_from_slice(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    if !bytes.is_empty() {
        // The head: no filter, none shared.
        bytes.splice(0..0, [0; 12]);
    }
    Ok(bytes)
}

/// One block of a folder: its entries, and where it ends in the folder.
struct Packed {
    entries: std::ops::Range<usize>,
    end: u64,
}

/// How the entries of a folder fill blocks.
fn packed(children: &[(Vec<u8>, usize)]) -> Vec<Packed> {
    let mut blocks: Vec<Packed> = Vec::new();
    let (mut first, mut used) = (0, 0);
    for (n, (name, _)) in children.iter().enumerate() {
        let more = DIRENT + name.len();
        if used + more > BLOCK as usize {
            blocks
                .push(Packed { entries: first..n, end: blocks.len() as u64 * BLOCK + used as u64 });
            (first, used) = (n, 0);
        }
        used += more;
    }
    let end = blocks.len() as u64 * BLOCK + used as u64;
    blocks.push(Packed { entries: first..children.len(), end });
    blocks
}

/// The content of a folder.
fn folder(nodes: &[Node], number: usize) -> Vec<u8> {
    let children = &nodes[number].children;
    let mut bytes = Vec::new();
    for (n, block) in packed(children).into_iter().enumerate() {
        bytes.resize(n * BLOCK as usize, 0);
        let entries = &children[block.entries];
        let mut name_at = entries.len() * DIRENT;
        for (name, child) in entries {
            bytes.extend((nodes[*child].offset / SLOT).to_le_bytes());
            bytes.extend((name_at as u16).to_le_bytes());
            bytes.extend([kind(&nodes[*child].entry.kind).1, 0]);
            name_at += name.len();
        }
        for (name, _) in entries {
            bytes.extend_from_slice(name);
        }
    }
    bytes
}

/// The type of a file as in `st_mode`, and as folders tell it.
fn kind(kind: &EntryKind) -> (u16, u8) {
    match kind {
        EntryKind::File { .. } | EntryKind::Hardlink { .. } => (0o100_000, 1),
        EntryKind::Directory => (0o040_000, 2),
        EntryKind::Char { .. } => (0o020_000, 3),
        EntryKind::Block { .. } => (0o060_000, 4),
        EntryKind::Fifo => (0o010_000, 5),
        EntryKind::Symlink { .. } => (0o120_000, 7),
    }
}

/// Gives everything its place; the length of the part with inodes, in bytes,
/// and the number of blocks in all.
fn place(nodes: &mut [Node]) -> Result<(u64, u64)> {
    let mut at = (SUPER.0 + SUPER.1) as u64;
    for node in nodes.iter_mut() {
        let own = INODE + node.attributes.len() as u64;
        node.inline = node.size > 0 && node.size <= INLINE && own + node.size <= BLOCK;
        let whole = own + if node.inline { node.size } else { 0 };
        at = at.next_multiple_of(SLOT);
        // What lies behind an inode must not go on in the next block.
        if at % BLOCK + whole > BLOCK && whole <= BLOCK {
            at = at.next_multiple_of(BLOCK);
        }
        node.offset = at;
        at += whole;
    }
    let meta = at.next_multiple_of(BLOCK);
    let mut block = meta / BLOCK;
    for node in nodes.iter_mut().filter(|node| !node.inline && node.size > 0) {
        node.block = block;
        block += node.size.div_ceil(BLOCK);
    }
    if u32::try_from(block).is_err() { Err(too_large()) } else { Ok((meta, block)) }
}

fn superblock(area: &mut [u8], nodes: &[Node], blocks: u64, identity: [u8; 16]) -> Result<()> {
    const MAGIC: u32 = 0xe0f5_e1e2;
    // Times are those of the content.
    const MTIME: u32 = 2;
    let (start, length) = SUPER;
    let block = &mut area[start..start + length];
    let root = u16::try_from(nodes[0].offset / SLOT).map_err(|_| too_large())?;
    put(block, 0, &MAGIC.to_le_bytes());
    put(block, 8, &MTIME.to_le_bytes());
    put(block, 12, &[BLOCK.trailing_zeros() as u8]);
    put(block, 14, &root.to_le_bytes());
    put(block, 16, &(nodes.len() as u64).to_le_bytes());
    put(block, 36, &(blocks as u32).to_le_bytes());
    put(block, 48, &identity);
    Ok(())
}

fn inode(area: &mut [u8], node: &Node) -> Result<()> {
    const EXTENDED: u16 = 1;
    const FLAT_INLINE: u16 = 2 << 1;
    let format = EXTENDED | if node.inline { FLAT_INLINE } else { 0 };
    let attributes = match node.attributes.len() {
        0 => 0,
        length => u16::try_from((length - 12) / 4 + 1)
            .map_err(|_| malformed(&node.entry.path, "too many attributes").recode(Code::Limit))?,
    };
    let place = match node.entry.kind {
        EntryKind::Char { major, minor } | EntryKind::Block { major, minor } => {
            (minor & 0xff) | (major << 8) | ((minor & !0xff) << 12)
        }
        _ => node.block as u32,
    };
    let start = node.offset as usize;
    let bytes = &mut area[start..start + INODE as usize + node.attributes.len()];
    let entry = &node.entry;
    put(bytes, 0, &format.to_le_bytes());
    put(bytes, 2, &attributes.to_le_bytes());
    put(bytes, 4, &(kind(&entry.kind).0 | (entry.mode & 0o7777) as u16).to_le_bytes());
    put(bytes, 8, &node.size.to_le_bytes());
    put(bytes, 16, &place.to_le_bytes());
    put(bytes, 20, &((node.offset / SLOT) as u32).to_le_bytes());
    put(bytes, 24, &entry.uid.to_le_bytes());
    put(bytes, 28, &entry.gid.to_le_bytes());
    put(bytes, 32, &entry.mtime.seconds().to_le_bytes());
    put(bytes, 40, &entry.mtime.nanoseconds().to_le_bytes());
    put(bytes, 44, &node.links.to_le_bytes());
    put(bytes, INODE as usize, &node.attributes);
    Ok(())
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: usize, length: usize) -> Vec<(Vec<u8>, usize)> {
        (0..count).map(|n| (format!("{n:0length$}").into_bytes(), 0)).collect()
    }

    #[test]
    fn folders_fill_whole_blocks_and_no_name_is_cut() {
        for (count, length) in [(1, 1), (200, 8), (300, 255), (5_000, 20)] {
            let children = names(count, length);
            let blocks = packed(&children);
            let mut next = 0;
            for (n, block) in blocks.iter().enumerate() {
                assert_eq!(block.entries.start, next);
                next = block.entries.end;
                assert!(block.end > n as u64 * BLOCK && block.end <= (n as u64 + 1) * BLOCK);
            }
            assert_eq!(next, count);
        }
    }

    #[test]
    fn trees_that_are_none_are_refused() {
        let tar = vec![0u8; 1024];
        let out = io::Cursor::new(Vec::new());
        let error =
            write(io::Cursor::new(tar), out, [0; 16], Limits::default()).expect_err("empty");
        assert_eq!(error.code(), Code::Layer);
    }
}
