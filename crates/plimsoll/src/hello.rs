//! The program of `plimsoll demo`: a few instructions for each platform,
//! assembled here, so that every machine packs the same bytes.

use plimsoll_content::Platform;

/// What the program prints.
pub const MESSAGE: &str = "hello from a plimsoll image\n";

/// The platforms there is a program for.
pub fn platforms() -> Vec<Platform> {
    ["amd64", "arm64", "riscv64"].map(|architecture| Platform::new("linux", architecture)).into()
}

/// A static ELF program for `platform` that prints [`MESSAGE`] and ends with
/// code 0; `None` for other platforms.
pub fn program(platform: &Platform) -> Option<Vec<u8>> {
    let length = MESSAGE.len() as u32;
    let (machine, code): (u16, Vec<u8>) =
        match (platform.os.as_str(), platform.architecture.as_str()) {
            ("linux", "amd64") => (62, amd64(length)),
            ("linux", "arm64") => (183, words(&arm64(length))),
            ("linux", "riscv64") => (243, words(&riscv64(length))),
            _ => return None,
        };
    Some(elf(machine, &code))
}

/// `write(1, message, length); exit(0)`. The message follows the code, 21
/// bytes behind the end of the `lea`.
fn amd64(length: u32) -> Vec<u8> {
    let mut code = vec![0xbf, 1, 0, 0, 0]; // mov edi, 1
    code.extend([0x48, 0x8d, 0x35, 21, 0, 0, 0]); // lea rsi, [rip + 21]
    code.push(0xba); // mov edx, length
    code.extend(length.to_le_bytes());
    code.extend([0xb8, 1, 0, 0, 0]); // mov eax, 1 (write)
    code.extend([0x0f, 0x05]); // syscall
    code.extend([0x31, 0xff]); // xor edi, edi
    code.extend([0xb8, 60, 0, 0, 0]); // mov eax, 60 (exit)
    code.extend([0x0f, 0x05]); // syscall
    code
}

fn arm64(length: u32) -> [u32; 8] {
    [
        0xd280_0020,               // mov x0, #1
        0x1000_00e1,               // adr x1, message (28 bytes on)
        0xd280_0002 | length << 5, // mov x2, #length
        0xd280_0808,               // mov x8, #64 (write)
        0xd400_0001,               // svc #0
        0xd280_0000,               // mov x0, #0
        0xd280_0ba8,               // mov x8, #93 (exit)
        0xd400_0001,               // svc #0
    ]
}

fn riscv64(length: u32) -> [u32; 9] {
    [
        0x0010_0513,                // li a0, 1
        0x0000_0597,                // auipc a1, 0
        0x0205_8593,                // addi a1, a1, 32: the message
        0x0000_0613 | length << 20, // li a2, length
        0x0400_0893,                // li a7, 64 (write)
        0x0000_0073,                // ecall
        0x0000_0513,                // li a0, 0
        0x05d0_0893,                // li a7, 93 (exit)
        0x0000_0073,                // ecall
    ]
}

fn words(code: &[u32]) -> Vec<u8> {
    code.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// A file of one segment: header, program header, code, message.
fn elf(machine: u16, code: &[u8]) -> Vec<u8> {
    const HEADERS: u64 = 64 + 56;
    const BASE: u64 = 0x40_0000;
    let length = HEADERS + code.len() as u64 + MESSAGE.len() as u64;
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    file.extend(2u16.to_le_bytes()); // an executable
    file.extend(machine.to_le_bytes());
    file.extend(1u32.to_le_bytes()); // version
    file.extend((BASE + HEADERS).to_le_bytes()); // entry point
    file.extend(64u64.to_le_bytes()); // program headers
    file.extend(0u64.to_le_bytes()); // no section headers
    file.extend(0u32.to_le_bytes()); // flags
    for half in [64u16, 56, 1, 0, 0, 0] {
        file.extend(half.to_le_bytes()); // sizes and counts of headers
    }
    file.extend(1u32.to_le_bytes()); // a segment to be loaded
    file.extend(5u32.to_le_bytes()); // readable, executable
    file.extend(0u64.to_le_bytes()); // from the start of the file
    file.extend(BASE.to_le_bytes());
    file.extend(BASE.to_le_bytes());
    file.extend(length.to_le_bytes());
    file.extend(length.to_le_bytes());
    file.extend(0x1000u64.to_le_bytes());
    file.extend(code);
    file.extend(MESSAGE.as_bytes());
    file
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn runs_on_this_machine() {
        let Some(program) = program(&Platform::host()) else {
            return; // No program for this platform: nothing to run.
        };
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("hello");
        std::fs::write(&path, program).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("set");
        let output = std::process::Command::new(&path).output().expect("started");
        assert_eq!(String::from_utf8_lossy(&output.stdout), MESSAGE);
        assert!(output.status.success());
    }

    #[test]
    fn there_is_a_program_for_each_platform() {
        assert!(platforms().iter().all(|platform| program(platform).is_some()));
        assert_eq!(program(&Platform::new("windows", "amd64")), None);
    }
}
