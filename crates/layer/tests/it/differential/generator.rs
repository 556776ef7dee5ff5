//! Archives out of a number: the same number gives the same bytes. They mix
//! the dialects, and many are wrong in one or two places.

use crate::tar_raw::{self, END, Header, padded};

/// A small generator of numbers (SplitMix64).
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        // Neighbours must not be one step apart in the same row of numbers.
        let mut dice = Self(seed ^ 0x5bf0_3635_d1a5_44ef);
        dice.0 = dice.next().rotate_left(17) ^ seed;
        dice
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, most: usize) -> usize {
        (self.next() % most.max(1) as u64) as usize
    }

    /// Once in so many times.
    pub(super) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Style {
    V7,
    Ustar,
    Pax,
    Gnu,
}

/// One archive.
pub(super) fn archive(seed: u64) -> Vec<u8> {
    let mut dice = Dice::new(seed);
    let mut names: Vec<Vec<u8>> = Vec::new();
    let mut bytes = Vec::new();
    if dice.once_in(40) {
        let key = dice.of(&["comment", "path", "mtime", "uid", "hdrcharset"]);
        bytes.extend(tar_raw::extended(b'g', &tar_raw::record(key, b"1")));
    }
    for _ in 0..=dice.below(5) {
        bytes.extend(entry(&mut dice, &mut names));
    }
    match dice.below(60) {
        0 => {}
        1 => bytes.extend([0; 512]),
        2 => bytes.extend([&END[..], b"junk behind the end"].concat()),
        3 => {
            bytes.extend([0; 512]);
            bytes.extend(tar_raw::empty(b"behind"));
            bytes.extend(END);
        }
        4 => bytes.extend([0; 5120]),
        _ => bytes.extend(END),
    }
    if dice.once_in(3) {
        damage(&mut dice, &mut bytes);
    }
    bytes
}

/// Damages a good archive in ten places (TP37).
pub(super) fn mutated(seed: u64) -> Vec<u8> {
    let mut dice = Dice::new(seed);
    let mut names = Vec::new();
    let mut bytes = Vec::new();
    for _ in 0..8 {
        bytes.extend(sound(&mut dice, &mut names));
    }
    bytes.extend(END);
    for _ in 0..=dice.below(10) {
        damage(&mut dice, &mut bytes);
    }
    bytes
}

fn sound(dice: &mut Dice, names: &mut Vec<Vec<u8>>) -> Vec<u8> {
    let style = dice.of(&[Style::Ustar, Style::Pax, Style::Gnu]);
    let name = [b"dir/name", format!("{}", names.len()).as_bytes()].concat();
    let content = vec![b'c'; dice.below(700)];
    let kind = dice.of(b"005215036");
    let link = names.last().cloned().unwrap_or_else(|| b"x".to_vec());
    let mut parts = Vec::new();
    if style == Style::Pax {
        parts = tar_raw::pax(&[("mtime", b"1700000000.5"), ("path", &name), ("comment", b"fine")]);
    }
    let mut header = base(style, &name, kind);
    let held = kind == b'0';
    header.size(if held { content.len() as u64 } else { 0 });
    if matches!(kind, b'1' | b'2') {
        header.link(&link);
    }
    parts.extend(header.seal());
    if held {
        parts.extend(padded(&content));
        names.push(name);
    }
    parts
}

fn base(style: Style, name: &[u8], kind: u8) -> Header {
    let cut = &name[..name.len().min(100)];
    let mut header = match style {
        Style::Gnu => Header::gnu(cut, kind),
        _ => Header::new(cut, kind),
    };
    if style == Style::V7 {
        header.set(257, &[0; 8]);
    }
    header
}

fn name(dice: &mut Dice, names: &[Vec<u8>]) -> Vec<u8> {
    let long = dice.below(260);
    match dice.below(60) {
        0 => vec![b'n'; 99 + dice.below(4)],
        1 => [&vec![b'd'; 90][..], b"/", &vec![b'n'; long.min(250)]].concat(),
        2 => b"./a//b/".to_vec(),
        3 => b"/abs/olute".to_vec(),
        4 => b"\xe9t\xff\x01".to_vec(),
        5 => b"d/.wh.gone".to_vec(),
        6 => b"d/.wh..wh..opq".to_vec(),
        7 => b"../up".to_vec(),
        8 => b".".to_vec(),
        9 => b"".to_vec(),
        10 | 11 => names.get(dice.below(names.len())).cloned().unwrap_or_else(|| b"one".to_vec()),
        12 => b"a/b/".to_vec(),
        13 => b"sp ace\n\"q\\uote".to_vec(),
        14 => "größe/中".as_bytes().to_vec(),
        15 => b"a/./b/../c".to_vec(),
        _ => format!("f{}", dice.below(30)).into_bytes(),
    }
}

fn entry(dice: &mut Dice, names: &mut Vec<Vec<u8>>) -> Vec<u8> {
    let style = dice.of(&[
        Style::V7,
        Style::Ustar,
        Style::Ustar,
        Style::Pax,
        Style::Pax,
        Style::Gnu,
        Style::Gnu,
    ]);
    let name = name(dice, names);
    let kind = if dice.once_in(12) {
        dice.of(b"\x0077SZXVADKM")
    } else {
        dice.of(b"00000000555522211346\x00")
    };
    let content = vec![b'a' + (dice.below(26) as u8); dice.below(1_200)];
    let mut size = if matches!(kind, 0 | b'0' | b'7' | b'S') { content.len() as u64 } else { 0 };
    if dice.once_in(60) {
        size = dice.of(&[1, 512, 513, 1 << 20]);
    }
    let mut header = base(style, &name, kind);
    header.size(size).mode(dice.of(&[0o644, 0o755, 0o4755, 0o1777, 0, 0o100_644, 0o177_777]));
    header.id(108, dice.of(&[0, 1, 1000, 65534, 0o7_777_777]));
    header.id(116, dice.of(&[0, 5, 1000]));
    header.set(136, format!("{:011o}\0", dice.of(&[0u64, 1, 1_700_000_000, 1 << 32])).as_bytes());
    if matches!(kind, b'1' | b'2') {
        let target = match dice.below(20) {
            0 => b"../../up".to_vec(),
            1 => b"/abs/t".to_vec(),
            2 => vec![b't'; 100],
            3 => Vec::new(),
            _ => names.last().cloned().unwrap_or_else(|| b"t".to_vec()),
        };
        header.link(&target[..target.len().min(100)]);
    }
    if matches!(kind, b'3' | b'4') {
        header.set(329, b"0000001\0").set(337, b"0000377\0");
    }
    if style == Style::Ustar && dice.once_in(4) {
        header.set(345, b"pre/fix");
    }
    odd_field(dice, &mut header);
    let before = before(dice, style, &name, kind, content.len());
    names.push(name);
    let mut parts = before;
    parts.extend(header.seal());
    if size > 0 {
        parts.extend(padded(&content));
    }
    parts
}

/// Numbers as other writers write them, and as nobody should.
fn odd_field(dice: &mut Dice, header: &mut Header) {
    if !dice.once_in(10) {
        return;
    }
    let at = dice.of(&[100, 108, 116, 329, 337]);
    let value = dice.of(&[
        &b"    644 "[..],
        b"00000644",
        b"644\0\0\0\0\0",
        b"644\0junk",
        b"\0\0\0\0\0\0\0\0",
        b"-0000644",
        b"0x644\0\0\0",
        b"\x80\0\0\0\0\0\x01\x02",
        b"\xff\xff\xff\xff\xff\xff\xff\xfe",
        b"0000648\0",
        b"  \x00  644",
        b"+0000644",
    ]);
    match dice.below(6) {
        0 => header.set(136, &[[0xff; 8], *b"\xff\xff\xff\xfe----"].concat()[..12]),
        1 => header.set(124, &[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5]),
        2 => header
            .set(257, dice.of(&[&b"ustar  \0"[..], b"ustar\x0000", b"ustar 00", b"USTAR\x0000"])),
        3 => header.set(500, b"trailing fld"),
        _ => header.set(at, value),
    };
}

/// Headers that come before an entry's own.
fn before(dice: &mut Dice, style: Style, name: &[u8], kind: u8, length: usize) -> Vec<u8> {
    let mut parts = Vec::new();
    let long = name.len() > 100 && !dice.once_in(8);
    match style {
        Style::Gnu => {
            if long || dice.once_in(12) {
                let end: &[u8] = if dice.once_in(10) { b"" } else { b"\0" };
                parts.extend(tar_raw::extended(b'L', &[name, end].concat()));
            }
            if kind == b'2' && dice.once_in(5) {
                parts.extend(tar_raw::extended(b'K', b"long/link\0"));
            }
        }
        Style::Pax => {
            let mut records = Vec::new();
            if long || dice.once_in(6) {
                records.extend(tar_raw::record("path", name));
            }
            for _ in 0..dice.below(4) {
                records.extend(pax_record(dice, kind, length));
            }
            if dice.once_in(8) {
                records.extend(sparse_keys(dice, length));
            }
            if !records.is_empty() {
                parts.extend(tar_raw::extended(b'x', &records));
            }
        }
        _ => {}
    }
    if dice.once_in(80) {
        parts.extend(tar_raw::extended(dice.of(b"xLK"), &tar_raw::record("path", b"second")));
    }
    parts
}

fn pax_record(dice: &mut Dice, kind: u8, length: usize) -> Vec<u8> {
    let size = length.to_string();
    let (key, value): (&str, &[u8]) = match dice.below(16) {
        0 => ("size", size.as_bytes()),
        1 if dice.once_in(3) => {
            ("size", dice.of(&[&b"0"[..], b"-1", b"512", b"99999999999999999999"]))
        }
        2 => (
            "mtime",
            dice.of(&[&b"1.5"[..], b"-1", b"-1.5", b"1700000000.123456789", b"1e3", b"", b"1."]),
        ),
        3 => ("uid", dice.of(&[&b"70000"[..], b"4294967296", b"-1", b"007", b""])),
        4 => ("gid", dice.of(&[&b"3000000"[..], b"12x"])),
        5 if kind == b'2' || kind == b'1' => {
            ("linkpath", dice.of(&[&b"pax/target"[..], b"n\0ul", b"../x"]))
        }
        6 => ("uname", b"root"),
        7 => ("SCHILY.xattr.user.a", b"x\ny=\0z"),
        8 => ("hdrcharset", dice.of(&[&b"BINARY"[..], b"ISO-IR 10646 2000 UTF-8", b"odd"])),
        9 if dice.once_in(3) => {
            ("path", dice.of(&[&b"pax/name"[..], b"pax/dir/", b"n\0ul", b"", b"\xe9"]))
        }
        10 => ("atime", b"5"),
        11 => ("SCHILY.dev", b"7"),
        12 => ("SCHILY.devmajor", b"9"),
        13 => ("mode", b"0600"),
        14 => ("SCHILY.filetype", b"sparse"),
        _ => ("comment", b"text"),
    };
    let mut record = tar_raw::record(key, value);
    if dice.once_in(30) {
        let at = dice.below(record.len());
        record[at] = dice.of(b"09 \n=\0x-");
    }
    record
}

fn sparse_keys(dice: &mut Dice, length: usize) -> Vec<u8> {
    let real = length as u64 + dice.of(&[0, 0, 512, 4096]);
    let text = real.to_string();
    let map = format!("{},{length},{real},0", real - length as u64);
    let mut records = Vec::new();
    let mut put = |key: &str, value: &str| records.extend(tar_raw::record(key, value.as_bytes()));
    match dice.below(4) {
        0 => {
            put("GNU.sparse.size", &text);
            put("GNU.sparse.numblocks", "2");
            put("GNU.sparse.map", &map);
        }
        1 => {
            put("GNU.sparse.size", &text);
            put("GNU.sparse.numblocks", "1");
            put("GNU.sparse.offset", &(real - length as u64).to_string());
            put("GNU.sparse.numbytes", &length.to_string());
        }
        2 => {
            put("GNU.sparse.major", "1");
            put("GNU.sparse.minor", "0");
            put("GNU.sparse.name", "sparse/name");
            put("GNU.sparse.realsize", &text);
        }
        _ => put(dice.of(&["GNU.sparse.name", "GNU.sparse.realsize", "GNU.sparse.size"]), "7"),
    }
    records
}

/// Damages one byte or block; mostly with the checksum mended, without which
/// every reader refuses the header.
fn damage(dice: &mut Dice, bytes: &mut Vec<u8>) {
    if bytes.len() < 512 {
        return;
    }
    let block = dice.below(bytes.len() / 512) * 512;
    match dice.below(12) {
        0 => bytes.truncate(dice.below(bytes.len())),
        1 => {
            let copy = bytes[block..block + 512].to_vec();
            bytes.splice(block..block, copy);
        }
        2 => drop(bytes.drain(block..block + 512)),
        _ => {
            let header = bytes[block + 257..].starts_with(b"ustar") && !dice.once_in(12);
            let at = dice.of(&[
                0, 1, 99, 100, 106, 108, 115, 116, 124, 130, 135, 136, 147, 156, 157, 257, 263,
                265, 329, 336, 345, 386, 482, 483, 495, 500, 511,
            ]);
            let at = if header { at } else { dice.below(512) };
            bytes[block + at] = dice.of(b"\0 017568/.xgLKS\x80\xff\nA-");
            if header {
                tar_raw::seal(&mut bytes[block..block + 512]);
            }
        }
    }
}
