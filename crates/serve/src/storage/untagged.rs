//! Which manifests nobody needs any more: those without a tag to which nothing
//! leads that stays.
//!
//! What does not live here: where manifests are, and who removes them.

use std::collections::{HashMap, HashSet};

use plimsoll_content::Digest;

/// A manifest of a repository.
#[derive(Debug)]
pub(crate) struct Member {
    /// Its digest.
    pub(crate) digest: Digest,
    /// What it leads to; what is no manifest among it means nothing.
    pub(crate) leads: Vec<Digest>,
    /// What it is about.
    pub(crate) subject: Option<Digest>,
    /// Whether it stays by itself: it has a tag, or is young.
    pub(crate) stays: bool,
}

/// The manifests that do not stay. One that stays keeps what it leads to, what
/// it is about, and what is about it.
pub(crate) fn unneeded(members: &[Member]) -> HashSet<Digest> {
    let places: HashMap<&Digest, usize> =
        members.iter().enumerate().map(|(at, member)| (&member.digest, at)).collect();
    let mut about: HashMap<&Digest, Vec<usize>> = HashMap::new();
    for (at, member) in members.iter().enumerate() {
        if let Some(subject) = &member.subject {
            about.entry(subject).or_default().push(at);
        }
    }
    let mut stays: Vec<bool> = members.iter().map(|member| member.stays).collect();
    let mut next: Vec<usize> = (0..members.len()).filter(|at| stays[*at]).collect();
    while let Some(at) = next.pop() {
        let member = &members[at];
        let led = member.leads.iter().chain(&member.subject);
        let led = led.filter_map(|digest| places.get(digest).copied());
        let about = about.get(&member.digest).into_iter().flatten().copied();
        for other in led.chain(about) {
            if !std::mem::replace(&mut stays[other], true) {
                next.push(other);
            }
        }
    }
    let gone = members.iter().zip(stays).filter(|(_, stays)| !stays);
    gone.map(|(member, _)| member.digest.clone()).collect()
}

#[cfg(test)]
mod tests {
    use plimsoll_content::Algorithm;

    use super::*;

    fn digest(name: &str) -> Digest {
        Digest::of(Algorithm::Sha256, name.as_bytes())
    }

    fn member(name: &str, leads: &[&str], subject: &str, stays: bool) -> Member {
        Member {
            digest: digest(name),
            leads: leads.iter().map(|name| digest(name)).collect(),
            subject: (!subject.is_empty()).then(|| digest(subject)),
            stays,
        }
    }

    #[test]
    fn what_stays_keeps_its_children_its_subject_and_its_referrers() {
        let members = [
            member("index", &["child", "layer"], "", true),
            member("child", &["layer"], "", false),
            member("signature of child", &[], "child", false),
            member("signature of that", &[], "signature of child", false),
            member("young referrer", &[], "subject", true),
            member("subject", &["leaf"], "", false),
            member("leaf", &[], "", false),
            member("old", &["old child"], "", false),
            member("old child", &[], "", false),
            member("old signature", &[], "old", false),
            member("lost signature", &[], "not there", false),
        ];
        let expected = ["old", "old child", "old signature", "lost signature"].map(digest);
        assert_eq!(unneeded(&members), HashSet::from(expected));
        assert!(unneeded(&[]).is_empty());
    }

    #[test]
    fn circles_of_what_nothing_leads_to_go() {
        let circle = |stays| [member("a", &["b"], "", false), member("b", &["a"], "", stays)];
        assert_eq!(unneeded(&circle(false)).len(), 2);
        assert!(unneeded(&circle(true)).is_empty());
    }
}
