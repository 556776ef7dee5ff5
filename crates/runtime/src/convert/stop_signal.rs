//! `StopSignal`: a name or a number of a signal.

use plimsoll_content::{Code, Error, Result};

/// SIGTERM: what an image without `StopSignal` is asked to stop with.
pub(super) const DEFAULT: u8 = 15;

/// The last signal that Linux has.
const LAST: u8 = 64;

/// The first and the last signal that programs may use for themselves, as C
/// libraries count them: they keep 32 and 33.
const REAL_TIME: (u8, u8) = (34, 64);

const NAMES: &[(&str, u8)] = &[
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("IOT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("IO", 29),
    ("POLL", 29),
    ("PWR", 30),
    ("SYS", 31),
    ("RTMIN", REAL_TIME.0),
    ("RTMAX", REAL_TIME.1),
];

/// The number of a signal, as all Linux architectures but MIPS, SPARC and
/// PA-RISC have it: `SIGTERM`, `TERM`, `15`, `SIGRTMIN+3`, `SIGRTMAX-1`, in
/// upper or lower case.
///
/// Refuses what no signal is called or numbered (hostile case RT10).
pub fn stop_signal(text: &str) -> Result<u8> {
    number(text).filter(|number| (1..=LAST).contains(number)).ok_or_else(|| {
        let shown: String = text.chars().take(64).collect();
        Error::new(Code::Config, format!("stop signal {shown:?}: no such signal"))
            .expected("a name such as SIGTERM or SIGRTMIN+3, or a number from 1 to 64")
    })
}

fn number(text: &str) -> Option<u8> {
    if text.starts_with(|first: char| first.is_ascii_digit()) {
        return digits(text);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let real_time = if let Some(offset) = name.strip_prefix("RTMIN+") {
        REAL_TIME.0.checked_add(digits(offset)?)
    } else if let Some(offset) = name.strip_prefix("RTMAX-") {
        REAL_TIME.1.checked_sub(digits(offset)?)
    } else {
        return NAMES.iter().find(|(known, _)| *known == name).map(|(_, number)| *number);
    };
    real_time.filter(|number| (REAL_TIME.0..=REAL_TIME.1).contains(number))
}

fn digits(text: &str) -> Option<u8> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rt10_names_and_numbers_of_signals_and_nothing_else() {
        for (text, number) in [
            ("SIGTERM", 15),
            ("TERM", 15),
            ("sigquit", 3),
            ("15", 15),
            ("09", 9),
            ("64", 64),
            ("SIGRTMIN", 34),
            ("SIGRTMIN+3", 37),
            ("RTMIN+30", 64),
            ("SIGRTMAX", 64),
            ("SIGRTMAX-1", 63),
            ("SIGWINCH", 28),
        ] {
            assert_eq!(stop_signal(text).expect(text), number, "{text}");
        }
        for text in [
            "SIGRTMIN+99",
            "SIGRTMIN+31",
            "SIGRTMIN+256",
            "SIGRTMAX-31",
            "SIGRTMIN-1",
            "SIGRTMIN+-1",
            "SIGRTMIN+",
            "0",
            "65",
            "271",
            "-15",
            "+15",
            "15 ",
            "0x0f",
            "SIG",
            "SIG15",
            "SIGSIGTERM",
            "NOSUCH",
            "\0",
            "",
            "TÉRM",
        ] {
            assert_eq!(stop_signal(text).expect_err(text).code(), Code::Config, "{text}");
        }
    }
}
