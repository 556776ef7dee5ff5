//! Answers of the DNS: nothing panics, and nothing is proved by chance.
#![no_main]

use std::sync::Mutex;

use libfuzzer_sys::fuzz_target;
use plimsoll_content::Result;
use plimsoll_name::dns::{Anchor, Exchange, txt};
use plimsoll_name::record::Security;
use plimsoll_name::time::Time;

/// Gives the input as answers, in pieces, each behind the question.
struct Pieces<'a>(Mutex<&'a [u8]>);

impl Exchange for Pieces<'_> {
    fn ask(&self, query: &[u8]) -> Result<Vec<u8>> {
        let mut rest = self.0.lock().expect("one thread");
        let length = rest.first().map_or(0, |first| usize::from(*first) * 4).min(rest.len());
        let (piece, behind) = rest.split_at(length);
        *rest = behind;
        let mut answer = query.to_vec();
        answer[2] |= 0x80;
        answer[7] = piece.get(1).copied().unwrap_or(0);
        answer[9] = piece.get(2).copied().unwrap_or(0);
        answer.truncate(query.len() - 11);
        answer.extend_from_slice(piece.get(3..).unwrap_or_default());
        Ok(answer)
    }
}

fuzz_target!(|bytes: &[u8]| {
    let pieces = Pieces(Mutex::new(bytes));
    if let Ok(found) = txt(&pieces, "_image-names.example.com", &Anchor::root(), Time(1_795_662_000)) {
        assert_eq!(found.security, Security::Insecure);
    }
});
