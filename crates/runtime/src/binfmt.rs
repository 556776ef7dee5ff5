//! Emulators: what this machine starts programs of another architecture with
//! (`binfmt_misc`).

use std::fs;
use std::io::Read;
use std::path::Path;

/// Where the kernel lists them.
const FOLDER: &str = "/proc/sys/fs/binfmt_misc";

/// No entry is longer.
const ENTRY: u64 = 4096;

/// Architectures of image configs with what their programs say of themselves:
/// class (1: 32 bits, 2: 64), byte order (1: little, 2: big), machine.
const ELF: &[(&str, u8, u8, u16)] = &[
    ("386", 1, 1, 3),
    ("amd64", 2, 1, 62),
    ("arm", 1, 1, 40),
    ("arm64", 2, 1, 183),
    ("loong64", 2, 1, 258),
    ("mips", 1, 2, 8),
    ("mipsle", 1, 1, 8),
    ("mips64", 2, 2, 8),
    ("mips64le", 2, 1, 8),
    ("ppc64", 2, 2, 21),
    ("ppc64le", 2, 1, 21),
    ("riscv64", 2, 1, 243),
    ("s390x", 2, 2, 22),
];

/// What is known about programs of an architecture.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Emulator {
    /// This one starts them.
    Found {
        /// The path of its program.
        interpreter: String,
        /// Whether it was opened when it was registered (flag F), so that it
        /// need not be in the image.
        everywhere: bool,
    },
    /// None is registered.
    Missing,
    /// The kernel's list is not to be seen here.
    Unknown,
}

/// Looks for the emulator of an architecture, by its name in image configs.
pub fn emulator(architecture: &str) -> Emulator {
    emulator_in(Path::new(FOLDER), architecture)
}

fn emulator_in(folder: &Path, architecture: &str) -> Emulator {
    let Some(header) = header(architecture) else { return Emulator::Unknown };
    if !folder.join("register").exists() {
        return Emulator::Unknown;
    }
    let Ok(entries) = fs::read_dir(folder) else { return Emulator::Unknown };
    let found =
        entries.flatten().filter(|entry| entry.file_name() != "register").find_map(|entry| {
            let mut text = String::new();
            fs::File::open(entry.path()).ok()?.take(ENTRY).read_to_string(&mut text).ok()?;
            matching(&text, &header)
        });
    found.unwrap_or(Emulator::Missing)
}

/// The first bytes of a program of the architecture.
fn header(architecture: &str) -> Option<[u8; 20]> {
    let (_, class, order, machine) = ELF.iter().find(|(name, ..)| *name == architecture)?;
    let number =
        |number: u16| if *order == 1 { number.to_le_bytes() } else { number.to_be_bytes() };
    let mut header = [0; 20];
    header[..7].copy_from_slice(&[0x7f, b'E', b'L', b'F', *class, *order, 1]);
    // An executable.
    header[16..18].copy_from_slice(&number(2));
    header[18..].copy_from_slice(&number(*machine));
    Some(header)
}

/// The emulator that an entry of the kernel's list is, if it is for `header`.
fn matching(entry: &str, header: &[u8]) -> Option<Emulator> {
    let mut lines = entry.lines();
    if lines.next() != Some("enabled") {
        return None;
    }
    let (mut interpreter, mut flags, mut magic, mut mask) = (None, "", None, None);
    for line in lines {
        match line.split_once(' ')? {
            ("interpreter", path) => interpreter = Some(path.to_owned()),
            ("flags:", text) => flags = text,
            ("offset", "0") => {}
            ("magic", digits) => magic = bytes(digits),
            ("mask", digits) => mask = bytes(digits),
            _ => return None,
        }
    }
    let magic = magic?;
    let mask = mask.unwrap_or_else(|| vec![0xff; magic.len()]);
    let fits = magic.len() == mask.len()
        && magic.len() <= header.len()
        && magic
            .iter()
            .zip(&mask)
            .zip(header)
            .all(|((magic, mask), byte)| byte & mask == magic & mask);
    fits.then(|| Emulator::Found {
        interpreter: interpreter.unwrap_or_default(),
        everywhere: flags.contains('F'),
    })
}

fn bytes(digits: &str) -> Option<Vec<u8>> {
    let digits = digits.as_bytes();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const QEMU: &str = "enabled\ninterpreter /usr/bin/qemu-aarch64\nflags: OCF\noffset 0\n\
        magic 7f454c460201010000000000000000000200b700\nmask ffffffffffffff00fffffffffffffffffeffffff\n";

    #[test]
    fn an_emulator_is_known_by_what_it_starts_and_not_by_its_name() {
        let folder = tempfile::tempdir().expect("folder");
        let emulator = |architecture| emulator_in(folder.path(), architecture);
        assert_eq!(emulator("arm64"), Emulator::Unknown);
        fs::write(folder.path().join("register"), "").expect("written");
        assert_eq!(emulator("arm64"), Emulator::Missing);
        fs::write(folder.path().join("x"), QEMU).expect("written");
        let everywhere = true;
        let interpreter = "/usr/bin/qemu-aarch64".to_owned();
        assert_eq!(emulator("arm64"), Emulator::Found { interpreter, everywhere });
        assert_eq!(emulator("s390x"), Emulator::Missing);
        assert_eq!(emulator("nosuch"), Emulator::Unknown);
        fs::write(folder.path().join("x"), QEMU.replace("enabled", "disabled")).expect("written");
        assert_eq!(emulator("arm64"), Emulator::Missing);
    }
}
