//! Which devices a container may use, as a program for the kernel: the new
//! hierarchy of cgroups has no files for it, but asks a program each time a
//! device is opened or made.
//!
//! The program goes through the rules from the last to the first. A rule that
//! is for the device decides about the ways of access that it names and no later
//! rule has decided about; a request is granted when all of its ways are. What is
//! not here: loading and attaching (`sys`), and which rules there are (`cgroup`).

use crate::spec::DeviceRule;

/// One instruction, as the kernel reads it (`struct bpf_insn`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(C)]
pub(crate) struct Instruction {
    code: u8,
    /// The register that is changed or compared, and, in the upper half, the one
    /// that is read.
    registers: u8,
    offset: i16,
    immediate: i32,
}

/// The answer of the program.
const ANSWER: u8 = 0;
/// What the program is asked about (`struct bpf_cgroup_dev_ctx`).
const CONTEXT: u8 = 1;
/// The kind of the device.
const KIND: u8 = 2;
/// The ways of access that no rule has decided about yet.
const OPEN: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;

// Codes of instructions (`linux/bpf.h`), all for 32 bits.
const LOAD: u8 = 0x61;
const MOVE: u8 = 0xb4;
const COPY: u8 = 0xbc;
const AND: u8 = 0x54;
const SHIFT_RIGHT: u8 = 0x74;
const UNLESS_EQUAL: u8 = 0x56;
const IF_EQUAL: u8 = 0x16;
const EXIT: u8 = 0x95;

// Kinds and ways of access (`enum bpf_devcg_*`).
const BLOCK: i32 = 1;
const CHARACTER: i32 = 2;
const MAKE: i32 = 1;
const READ: i32 = 2;
const WRITE: i32 = 4;

fn instruction(code: u8, register: u8, immediate: i32) -> Instruction {
    Instruction { code, registers: register, offset: 0, immediate }
}

/// The program for rules of which later ones win; what none allows is refused.
/// `None` if a rule can not be said: a kind or a way of access that is not known,
/// or a number that no device has.
pub(crate) fn program(rules: &[DeviceRule]) -> Option<Vec<Instruction>> {
    let load = |register: u8, offset| Instruction {
        code: LOAD,
        registers: CONTEXT << 4 | register,
        offset,
        immediate: 0,
    };
    let mut program = vec![
        load(KIND, 0),
        Instruction { code: COPY, registers: KIND << 4 | OPEN, offset: 0, immediate: 0 },
        instruction(AND, KIND, 0xffff),
        instruction(SHIFT_RIGHT, OPEN, 16),
        load(MAJOR, 4),
        load(MINOR, 8),
    ];
    for rule in rules.iter().rev() {
        one(&mut program, rule)?;
    }
    answer(&mut program, false);
    Some(program)
}

fn one(program: &mut Vec<Instruction>, rule: &DeviceRule) -> Option<()> {
    let kind = match rule.kind.as_deref() {
        None | Some("a") => None,
        Some("b") => Some(BLOCK),
        Some("c" | "u") => Some(CHARACTER),
        Some(_) => return None,
    };
    let mut access = 0;
    for way in rule.access.as_deref().unwrap_or("rwm").chars() {
        access |= match way {
            'm' => MAKE,
            'r' => READ,
            'w' => WRITE,
            _ => return None,
        };
    }
    let number = |number: Option<i64>| match number {
        // As elsewhere: all of them.
        None | Some(-1) => Some(None),
        Some(number) => i32::try_from(number).ok().filter(|number| *number >= 0).map(Some),
    };
    let asked = [(KIND, kind), (MAJOR, number(rule.major)?), (MINOR, number(rule.minor)?)];
    let mut past = Vec::new();
    for (register, wanted) in asked {
        if let Some(wanted) = wanted {
            past.push(program.len());
            program.push(instruction(UNLESS_EQUAL, register, wanted));
        }
    }
    if rule.allow {
        program.push(instruction(AND, OPEN, !access));
        past.push(program.len());
        program.push(instruction(UNLESS_EQUAL, OPEN, 0));
    } else {
        let copy =
            Instruction { code: COPY, registers: OPEN << 4 | ANSWER, offset: 0, immediate: 0 };
        program.push(copy);
        program.push(instruction(AND, ANSWER, access));
        past.push(program.len());
        program.push(instruction(IF_EQUAL, ANSWER, 0));
    }
    answer(program, rule.allow);
    let end = program.len();
    for jump in past {
        program[jump].offset = i16::try_from(end - jump - 1).ok()?;
    }
    Some(())
}

fn answer(program: &mut Vec<Instruction>, granted: bool) {
    program.push(instruction(MOVE, ANSWER, i32::from(granted)));
    program.push(instruction(EXIT, ANSWER, 0));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel would do, for the instructions that occur.
    fn ask(program: &[Instruction], kind: i32, access: i32, major: u32, minor: u32) -> bool {
        let context = [(access << 16 | kind) as u32, major, minor];
        let mut registers = [0u32; 6];
        let mut at = 0;
        loop {
            let Instruction { code, registers: pair, offset, immediate } = program[at];
            let (to, from) = (usize::from(pair & 15), usize::from(pair >> 4));
            let value = immediate as u32;
            let mut jump = false;
            match code {
                LOAD => registers[to] = context[offset as usize / 4],
                MOVE => registers[to] = value,
                COPY => registers[to] = registers[from],
                AND => registers[to] &= value,
                SHIFT_RIGHT => registers[to] >>= value,
                UNLESS_EQUAL => jump = registers[to] != value,
                IF_EQUAL => jump = registers[to] == value,
                EXIT => return registers[usize::from(ANSWER)] == 1,
                other => panic!("instruction {other:#x}"),
            }
            at += 1 + if jump { offset as usize } else { 0 };
        }
    }

    fn rule(allow: bool, text: &str) -> DeviceRule {
        let (kind, rest) = text.split_once(' ').expect("a kind");
        let (numbers, access) = rest.split_once(' ').expect("numbers");
        let (major, minor) = numbers.split_once(':').expect("two numbers");
        DeviceRule {
            allow,
            kind: Some(kind.to_owned()),
            major: major.parse().ok(),
            minor: minor.parse().ok(),
            access: Some(access.to_owned()),
            ..DeviceRule::default()
        }
    }

    #[test]
    fn the_last_rule_for_a_way_of_access_decides_about_it() {
        let rules = [
            rule(false, "a *:* rwm"),
            rule(true, "c *:* m"),
            rule(true, "c 1:3 rwm"),
            rule(true, "c 10:* rw"),
            rule(false, "c 10:200 w"),
            rule(true, "b 8:0 r"),
        ];
        let program = program(&rules).expect("a program");
        for (kind, access, major, minor, granted) in [
            (CHARACTER, READ, 1, 3, true),
            (CHARACTER, READ | WRITE | MAKE, 1, 3, true),
            (BLOCK, READ, 1, 3, false),
            (CHARACTER, READ, 1, 4, false),
            (CHARACTER, MAKE, 1, 4, true),
            (CHARACTER, READ | WRITE, 10, 1, true),
            (CHARACTER, READ, 10, 200, true),
            // Part of it is denied, so all of it is.
            (CHARACTER, READ | WRITE, 10, 200, false),
            (CHARACTER, WRITE, 10, 200, false),
            (CHARACTER, READ | MAKE, 10, 200, true),
            (BLOCK, READ, 8, 0, true),
            (BLOCK, READ | WRITE, 8, 0, false),
            (BLOCK, MAKE, 8, 0, false),
        ] {
            let said = ask(&program, kind, access, major, minor);
            assert_eq!(said, granted, "{kind} {access} {major}:{minor}");
        }
    }

    /// Against the plain meaning of the rules, for every request of a small world.
    #[test]
    fn every_request_gets_the_answer_of_the_rules() {
        let texts =
            ["a *:* rwm", "c 1:* r", "c 1:2 w", "b *:2 rw", "c *:* m", "a 2:* rwm", "b 1:1 m"];
        for seed in 0..2_000u32 {
            let pick = |n: u32| (seed.wrapping_mul(2_654_435_761).rotate_left(n * 5) >> 3) as usize;
            let rules: Vec<_> = (0..=(seed % 6))
                .map(|n| rule(pick(n) & 8 != 0, texts[pick(n + 7) % texts.len()]))
                .collect();
            let program = program(&rules).expect("a program");
            for number in 0..2 * 8 * 9u32 {
                let (kind, access) = ((number % 2) as i32 + 1, (number / 2 % 8) as i32);
                let (major, minor) = (number / 16 % 3, number / 48);
                let fits = |rule: &DeviceRule| {
                    let kind = match rule.kind.as_deref() {
                        Some("b") => kind == BLOCK,
                        Some("c") => kind == CHARACTER,
                        _ => true,
                    };
                    let same =
                        |wanted: Option<i64>, is: u32| wanted.is_none_or(|n| n == i64::from(is));
                    kind && same(rule.major, major) && same(rule.minor, minor)
                };
                let granted = [(MAKE, 'm'), (READ, 'r'), (WRITE, 'w')].iter().all(|(bit, way)| {
                    let names = |rule: &DeviceRule| {
                        rule.access.as_deref().is_some_and(|access| access.contains(*way))
                    };
                    access & bit == 0
                        || rules
                            .iter()
                            .rev()
                            .find(|rule| fits(rule) && names(rule))
                            .is_some_and(|rule| rule.allow)
                });
                // Nothing at all is asked for by nobody.
                if access != 0 {
                    let said = ask(&program, kind, access, major, minor);
                    assert_eq!(said, granted, "{rules:?}: {kind} {access} {major}:{minor}");
                }
            }
        }
    }

    #[test]
    fn what_can_not_be_said_is_no_program() {
        for text in ["x 1:1 r", "c 1:1 x", "c 4294967296:1 r", "c -2:1 r"] {
            assert!(program(&[rule(true, text)]).is_none(), "{text}");
        }
        assert!(program(&[]).is_some());
    }

    /// The kernel's own verifier takes it, where this user may ask.
    #[test]
    fn the_kernel_takes_the_program() {
        let rules = [rule(false, "a *:* rwm"), rule(true, "c 1:3 rwm"), rule(false, "c 5:* w")];
        match crate::sys::load_device_filter(&program(&rules).expect("a program")) {
            Ok(_) => {}
            Err(error) => {
                let known = [Some(libc::EPERM), Some(libc::ENOSYS)].contains(&error.raw_os_error());
                assert!(known, "{error}");
            }
        }
    }
}
