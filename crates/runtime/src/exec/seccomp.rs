//! `linux.seccomp` as filters for the kernel.
//!
//! The compiler knows filters with one action for what matches and one for
//! the rest. A config can have more, so there is one filter for the question
//! "allowed or default", in which everything that has a rule passes, and on
//! top one for each action that restricts. Of all answers the kernel takes
//! the strictest, and of equally strict ones the newest filter's, so
//! installing in this order means what the config says.

use std::collections::BTreeMap;

use plimsoll_content::{Code, Error, Result};
use seccompiler::{
    BpfProgram, SeccompAction as Action, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule as Alternative, TargetArch,
};

use super::check::refuse;
use super::{ranges, syscalls};
use crate::spec::{Comparison, Seccomp, SeccompAction, SeccompArg, SeccompRule};
use crate::sys;

/// The error number where a config gives none.
const EPERM: u32 = libc::EPERM as u32;

/// A compiled filter.
pub(super) struct Filter(BpfProgram);

impl Filter {
    /// Puts it in force for this process and all that come from it.
    pub(super) fn install(&self) -> Result<()> {
        sys::install_filter(&self.0, 0)
            .map_err(|cause| Error::io("installing", "the seccomp filter", cause))
    }
}

/// Calls by number, each with the alternatives under which a rule holds; none
/// means always.
type Rules = BTreeMap<i64, Vec<Alternative>>;

/// Compiles a config, or refuses what the filters can not express.
///
/// Calls by another architecture than the machine's own end the process,
/// whatever `architectures` says: that is stricter, never looser.
pub(super) fn compile(seccomp: &Seccomp) -> Result<Vec<Filter>> {
    let default = action(seccomp.default_action, seccomp.default_errno_ret)
        .ok_or_else(|| refuse("linux.seccomp.defaultAction"))?;
    let mut passing = Rules::new();
    let mut strict: Vec<(Action, Rules)> = Vec::new();
    for (n, rule) in seccomp.syscalls.iter().enumerate() {
        let path = format!("linux.seccomp.syscalls[{n}]");
        let action = action(rule.action, rule.errno_ret)
            .filter(|action| *action != Action::Log)
            .ok_or_else(|| refuse(&format!("{path}.action")))?;
        if action == default {
            continue;
        }
        let restricts = action != Action::Allow;
        let numbers = numbers(rule, restricts && default == Action::Allow, &path)?;
        let alternatives = alternatives(rule, &path)?;
        for number in numbers {
            add(&mut passing, number, &alternatives);
            if restricts {
                let at =
                    strict.iter().position(|(known, _)| *known == action).unwrap_or_else(|| {
                        strict.push((action.clone(), Rules::new()));
                        strict.len() - 1
                    });
                add(&mut strict[at].1, number, &alternatives);
            }
        }
    }
    let mut filters = Vec::new();
    if default != Action::Allow {
        filters.push(build(passing, default, Action::Allow)?);
    }
    for (action, rules) in strict {
        filters.push(build(rules, Action::Allow, action)?);
    }
    Ok(filters)
}

fn action(action: SeccompAction, errno: Option<u32>) -> Option<Action> {
    Some(match action {
        SeccompAction::Allow => Action::Allow,
        SeccompAction::Errno => Action::Errno(errno.unwrap_or(EPERM)),
        SeccompAction::KillThread => Action::KillThread,
        SeccompAction::KillProcess => Action::KillProcess,
        SeccompAction::Trap => Action::Trap,
        SeccompAction::Log => Action::Log,
        // Need a process beside the container.
        SeccompAction::Trace | SeccompAction::Notify => return None,
    })
}

/// The numbers of the calls that this machine has. A name that is not known
/// may be passed over only where it would allow.
fn numbers(rule: &SeccompRule, must_exist: bool, path: &str) -> Result<Vec<i64>> {
    let mut numbers = Vec::new();
    for (n, name) in rule.names.iter().enumerate() {
        match syscalls::number(name) {
            Some(number) => numbers.push(number),
            None if must_exist => {
                return Err(refuse(&format!("{path}.names[{n}]")).found(format!("{name:?}")));
            }
            None => {}
        }
    }
    Ok(numbers)
}

/// The alternatives of one rule. Conditions on different arguments must all
/// hold; of several on the same argument one must (as in libseccomp's users).
fn alternatives(rule: &SeccompRule, path: &str) -> Result<Vec<Alternative>> {
    if rule.args.is_empty() {
        return Ok(Vec::new());
    }
    let conditions = rule
        .args
        .iter()
        .enumerate()
        .map(|(n, arg)| condition(arg).ok_or_else(|| refuse(&format!("{path}.args[{n}]"))))
        .collect::<Result<Vec<_>>>()?;
    let mut indexes: Vec<_> = rule.args.iter().map(|arg| arg.index).collect();
    indexes.sort_unstable();
    indexes.dedup();
    let groups = if indexes.len() == rule.args.len() {
        vec![conditions]
    } else {
        conditions.into_iter().map(|condition| vec![condition]).collect()
    };
    groups
        .into_iter()
        .map(|group| Alternative::new(group).map_err(|cause| refuse(path).found(cause)))
        .collect()
}

fn condition(arg: &SeccompArg) -> Option<SeccompCondition> {
    let (operator, value) = match arg.op {
        Comparison::Equal => (SeccompCmpOp::Eq, arg.value),
        Comparison::NotEqual => (SeccompCmpOp::Ne, arg.value),
        Comparison::Less => (SeccompCmpOp::Lt, arg.value),
        Comparison::LessOrEqual => (SeccompCmpOp::Le, arg.value),
        Comparison::Greater => (SeccompCmpOp::Gt, arg.value),
        Comparison::GreaterOrEqual => (SeccompCmpOp::Ge, arg.value),
        Comparison::MaskedEqual => (SeccompCmpOp::MaskedEq(arg.value), arg.value_two),
    };
    let index = u8::try_from(arg.index).ok()?;
    SeccompCondition::new(index, SeccompCmpArgLen::Qword, operator, value).ok()
}

/// Adds alternatives to a call; one without conditions takes in all others.
fn add(rules: &mut Rules, number: i64, alternatives: &[Alternative]) {
    match rules.entry(number) {
        std::collections::btree_map::Entry::Vacant(entry) => {
            entry.insert(alternatives.to_vec());
        }
        std::collections::btree_map::Entry::Occupied(mut entry) => {
            if alternatives.is_empty() {
                entry.get_mut().clear();
            } else if !entry.get().is_empty() {
                entry.get_mut().extend_from_slice(alternatives);
            }
        }
    }
}

fn build(rules: Rules, otherwise: Action, matching: Action) -> Result<Filter> {
    let failed = |cause: seccompiler::BackendError| {
        Error::new(Code::Runtime, "compiling the seccomp filter").found(cause)
    };
    let machine = TargetArch::try_from(std::env::consts::ARCH).map_err(failed)?;
    let (always, sometimes): (Rules, Rules) =
        rules.into_iter().partition(|(_, alternatives)| alternatives.is_empty());
    let numbers: Vec<_> = always.into_keys().filter_map(|number| number.try_into().ok()).collect();
    let answer = u32::from(matching.clone());
    SeccompFilter::new(sometimes, otherwise, matching, machine)
        .and_then(BpfProgram::try_from)
        .map(|program| Filter(ranges::before(&numbers, answer, program)))
        .map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seccomp(default: &str, rules: &str) -> Seccomp {
        let text = format!(r#"{{"defaultAction":"{default}","syscalls":[{rules}]}}"#);
        serde_json::from_str(&text).expect("a filter")
    }

    #[test]
    fn one_filter_for_the_default_and_one_for_each_stricter_action() {
        let rules = r#"{"names":["read","write","socketcall"],"action":"SCMP_ACT_ALLOW"},
            {"names":["clone3"],"action":"SCMP_ACT_ERRNO","errnoRet":38},
            {"names":["swapon"],"action":"SCMP_ACT_ERRNO"},
            {"names":["reboot"],"action":"SCMP_ACT_KILL_PROCESS"}"#;
        assert_eq!(compile(&seccomp("SCMP_ACT_ERRNO", rules)).expect("compiled").len(), 3);
    }

    /// What the kernel would answer to a call with these arguments.
    fn ask(program: &BpfProgram, architecture: u32, number: u32, arguments: [u64; 6]) -> u32 {
        let mut words = vec![number, architecture, 0, 0];
        words.extend(
            arguments.iter().flat_map(|argument| [*argument as u32, (*argument >> 32) as u32]),
        );
        let (mut at, mut value) = (0, 0);
        loop {
            let one = &program[at];
            at += 1 + match one.code {
                0x20 => {
                    value = words[one.k as usize / 4];
                    0
                }
                0x54 => {
                    value &= one.k;
                    0
                }
                0x05 => one.k as usize,
                0x15 => usize::from(if value == one.k { one.jt } else { one.jf }),
                0x25 => usize::from(if value > one.k { one.jt } else { one.jf }),
                0x35 => usize::from(if value >= one.k { one.jt } else { one.jf }),
                0x06 => return one.k,
                other => panic!("instruction {other:#x}"),
            };
        }
    }

    /// Against the compiler's own program, which asks for each number.
    #[test]
    fn ranges_answer_as_the_list_does() {
        let all: Vec<_> = syscalls::TABLE.iter().map(|row| row.0).collect();
        let machine = TargetArch::try_from(std::env::consts::ARCH).expect("known");
        let own = match machine {
            TargetArch::x86_64 => 0xc000_003e,
            TargetArch::aarch64 => 0xc000_00b7,
            TargetArch::riscv64 => 0xc000_00f3,
        };
        for seed in 0..20usize {
            let mut rules = Rules::new();
            for (at, name) in all.iter().enumerate() {
                let Some(number) = syscalls::number(name) else { continue };
                let condition = |value| {
                    let op = SeccompCmpOp::Eq;
                    let condition = SeccompCondition::new(1, SeccompCmpArgLen::Qword, op, value);
                    Alternative::new(vec![condition.expect("a condition")]).expect("a rule")
                };
                match at * (seed * 2 + 7) % (seed + 2) {
                    0 if seed > 0 => {}
                    1 if seed > 0 && at % 5 == 0 => {
                        add(&mut rules, number, &[condition(1), condition(7)]);
                    }
                    _ => add(&mut rules, number, &[]),
                }
            }
            let list = SeccompFilter::new(rules.clone(), Action::Errno(1), Action::Allow, machine);
            let list: BpfProgram = list.and_then(BpfProgram::try_from).expect("compiled");
            let Filter(found) = build(rules, Action::Errno(1), Action::Allow).expect("compiled");
            for number in (0..600).chain([0x4000_0000, 0x4000_0001, u32::MAX]) {
                for value in [0, 1, 7, 1 << 32 | 1] {
                    let arguments = [0, value, 0, 0, 0, 0];
                    let answer = ask(&found, own, number, arguments);
                    assert_eq!(answer, ask(&list, own, number, arguments), "{number} {value}");
                }
                assert_eq!(ask(&found, 0x4000_0003, number, [0; 6]), 0x8000_0000, "{number}");
            }
            assert!(seed != 0 || found.len() * 3 < list.len(), "{} {}", found.len(), list.len());
        }
    }

    #[test]
    fn what_would_be_looser_than_asked_for_is_refused() {
        for (default, rule) in [
            ("SCMP_ACT_NOTIFY", ""),
            ("SCMP_ACT_ERRNO", r#"{"names":["read"],"action":"SCMP_ACT_TRACE"}"#),
            ("SCMP_ACT_ALLOW", r#"{"names":["nosuch"],"action":"SCMP_ACT_ERRNO"}"#),
            (
                "SCMP_ACT_ALLOW",
                r#"{"names":["read"],"action":"SCMP_ACT_ERRNO",
                    "args":[{"index":6,"value":1,"op":"SCMP_CMP_EQ"}]}"#,
            ),
        ] {
            let error = compile(&seccomp(default, rule)).map(drop).expect_err(default);
            assert!(error.headline().contains("linux.seccomp"), "{error}");
        }
    }

    #[test]
    fn an_unconditional_rule_takes_in_the_conditional_ones() {
        let mut rules = Rules::new();
        let rule = |text: &str| serde_json::from_str::<SeccompRule>(text).expect("a rule");
        let some = rule(
            r#"{"names":["clone"],"action":"SCMP_ACT_ALLOW","args":[
                {"index":0,"value":1,"op":"SCMP_CMP_EQ"},{"index":0,"value":2,"op":"SCMP_CMP_EQ"}]}"#,
        );
        let some = alternatives(&some, "").expect("alternatives");
        assert_eq!(some.len(), 2);
        add(&mut rules, 1, &some);
        add(&mut rules, 1, &[]);
        add(&mut rules, 1, &some);
        assert!(rules[&1].is_empty());
    }
}
