//! The calls that a filter answers whatever their arguments are, found by halving.
//!
//! The compiler asks for one number after another: for a list of some hundred
//! calls that are two thousand instructions, which the kernel has to translate at
//! each start, and to go through at each call. Here neighbouring numbers are one
//! range, and a range is found in a few steps; what is in none goes on to the
//! compiler's instructions.

use crate::sys::Instruction;

/// How many instructions of a compiled filter refuse other architectures. What
/// follows them loads the number of the call.
pub(super) const ARCHITECTURE: usize = 3;

// Codes of instructions (`linux/bpf_common.h`).
const LOAD: u16 = 0x20;
const JUMP: u16 = 0x05;
const IF_GREATER: u16 = 0x25;
const UNLESS_LESS: u16 = 0x35;
const RETURN: u16 = 0x06;

/// Where the number of the call lies (`struct seccomp_data`).
const NUMBER: u32 = 0;

/// Stands for a jump behind the last range until the length is known.
const BEHIND: u32 = u32::MAX;

/// A compiled filter that gives `answer` for the numbers first, which are in order.
pub(super) fn before(numbers: &[u32], answer: u32, filter: Vec<Instruction>) -> Vec<Instruction> {
    let ranges = ranges(numbers);
    if ranges.is_empty() || filter.len() < ARCHITECTURE {
        return filter;
    }
    let mut found = halved(&ranges, answer);
    let length = found.len();
    for (at, instruction) in found.iter_mut().enumerate() {
        if instruction.code == JUMP && instruction.k == BEHIND {
            instruction.k = (length - at - 1) as u32;
        }
    }
    let mut whole = filter;
    let load = instruction(LOAD, 0, 0, NUMBER);
    whole.splice(ARCHITECTURE..ARCHITECTURE, [load].into_iter().chain(found));
    whole
}

/// First and last number of each run without a gap.
fn ranges(numbers: &[u32]) -> Vec<(u32, u32)> {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *number == *last + 1 => *last = *number,
            _ => ranges.push((*number, *number)),
        }
    }
    ranges
}

fn halved(ranges: &[(u32, u32)], answer: u32) -> Vec<Instruction> {
    if let [(first, last)] = ranges {
        return vec![
            instruction(UNLESS_LESS, 0, 2, *first),
            instruction(IF_GREATER, 1, 0, *last),
            instruction(RETURN, 0, 0, answer),
            instruction(JUMP, 0, 0, BEHIND),
        ];
    }
    let (low, high) = ranges.split_at(ranges.len() / 2);
    let (first, low, high) = (high[0].0, halved(low, answer), halved(high, answer));
    // Conditional jumps reach 255 instructions, the other kind reaches them all.
    let mut both =
        vec![instruction(UNLESS_LESS, 0, 1, first), instruction(JUMP, 0, 0, low.len() as u32)];
    both.extend(low);
    both.extend(high);
    both
}

fn instruction(code: u16, jt: u8, jf: u8, k: u32) -> Instruction {
    Instruction { code, jt, jf, k }
}
