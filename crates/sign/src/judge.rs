//! When it is enough: a policy, what was found, and the time give a verdict with
//! all of its reasons.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use plimsoll_content::{Code, Descriptor, Error};
use serde::Serialize;

use crate::claim::{Form, Saying, Seconds, Signer, VerifiedClaim};
use crate::keyless::Check;
use crate::limits::Limits;
use crate::policy::{
    self, Action, Enforcement, Facet, Policy, Requirement, Signed, TimeRule, ZoneRule, Zoned,
};
use crate::reason::{Reason, Why, quoted};
use crate::scheme::{Candidate, SCHEMES, Scheme, Subject};

/// A clock that shows an earlier time is not set, and nothing that depends on
/// the time can be judged.
pub const CLOCK: Seconds = 1_735_689_600;

/// As of when something is judged.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Moment {
    /// Now, by the clock of this machine, which may not be set.
    Clock(Seconds),
    /// Moment a time that somebody has named.
    Given(Seconds),
}

impl Moment {
    /// The time.
    pub fn seconds(self) -> Seconds {
        match self {
            Self::Clock(time) | Self::Given(time) => time,
        }
    }
}

impl From<Seconds> for Moment {
    fn from(time: Seconds) -> Self {
        Self::Clock(time)
    }
}

/// How far clocks may differ.
const SKEW: Seconds = 300;

/// What was found about some content.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// What may be a signature, in the order in which it was found.
    pub candidates: Vec<Candidate>,
    /// Why not all of it was looked at.
    pub cut: Option<String>,
}

/// The highest sequence that was seen under each name.
pub type Seen = BTreeMap<String, u64>;

/// What became of one candidate.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// Its form, if it is one that is known here.
    pub form: Option<Form>,
    /// Where it was found.
    pub place: String,
    /// Whether it counts.
    pub counts: bool,
    /// Why it does not.
    pub reason: Option<Reason>,
    /// What is wrong with it all the same, where a rule lets that pass.
    pub not_enforced: Vec<Reason>,
    /// What is signed, where the signature holds.
    pub signed: Option<VerifiedClaim>,
}

/// What became of one requirement.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Need {
    /// What is asked for, in words.
    pub what: String,
    /// From how many signers.
    pub threshold: usize,
    /// Who has signed.
    pub signers: Vec<Signer>,
    /// What signatures may lack, although rules usually ask for it.
    pub not_enforced: Vec<Facet>,
    /// Whether that is enough.
    pub met: bool,
}

/// A verdict with its reasons.
#[derive(Debug)]
pub struct Judgement {
    /// The scope of the rule; `None` is the default of the policy.
    pub rule: Option<String>,
    /// Each candidate.
    pub outcomes: Vec<Outcome>,
    /// Each requirement.
    pub needs: Vec<Need>,
    /// The verdict.
    pub verdict: Result<Trusted, Error>,
}

/// The proof that a policy lets some content pass. Only a judgement makes it.
///
/// ```compile_fail
/// use plimsoll_sign::judge::Trusted;
/// fn forge(descriptor: plimsoll_content::Descriptor) -> Trusted {
///     Trusted { descriptor, newest: None } // the fields are private
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Trusted {
    descriptor: Descriptor,
    newest: Option<(String, u64)>,
}

impl Trusted {
    /// The content.
    pub fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    /// A sequence to be kept as seen under a name.
    pub fn newest(&self) -> Option<&(String, u64)> {
        self.newest.as_ref()
    }
}

/// Judges some content. It looks at every candidate for every requirement, and
/// gives all reasons.
pub fn judge(
    policy: &Policy,
    subject: &Subject,
    evidence: &Evidence,
    at: impl Into<Moment>,
    seen: &Seen,
    limits: &Limits,
) -> Judgement {
    let at = at.into();
    let (rule, require) = policy.rule(&subject.asked);
    let most = limits.candidates.min(evidence.candidates.len());
    let (looked_at, over) = evidence.candidates.split_at(most);
    let mut outcomes: Vec<_> = looked_at.iter().map(not_asked).collect();
    let mut judge = Judge { subject, candidates: looked_at, at, seen, limits, newest: None };
    let mut needs = Vec::new();
    let mut denied: Option<Error> = None;
    let cut = if over.is_empty() {
        evidence.cut.clone()
    } else {
        Some(format!("more than {most} signatures"))
    };
    for requirement in require {
        let (need, error) = match requirement {
            Requirement::Accept => (Need::of("nothing", true), None),
            Requirement::Reject => {
                (Need::of("no image at all", false), Some(rejected(subject, rule.is_some())))
            }
            Requirement::Unsupported(what) => (
                Need::of(what, false),
                Some(
                    refusal(Code::Rejected, subject)
                        .found(format!("a rule that asks for {what}, which is not verified here")),
                ),
            ),
            Requirement::Signed(signed) => judge.signed(signed, &mut outcomes, cut.as_deref()),
        };
        needs.push(need);
        denied = denied.or(error);
    }
    outcomes.extend(over.first().map(|candidate| Outcome {
        reason: Some(Reason::new(Why::Limit, cut.unwrap_or_default())),
        ..not_asked(candidate)
    }));
    let met = !needs.is_empty() && needs.iter().all(|need| need.met);
    let verdict = match denied {
        None if met => Ok(Trusted { descriptor: subject.descriptor.clone(), newest: judge.newest }),
        Some(error) => Err(error),
        None => Err(rejected(subject, rule.is_some())),
    };
    Judgement { rule: rule.map(|rule| rule.written.clone()), outcomes, needs, verdict }
}

impl Need {
    fn of(what: &str, met: bool) -> Self {
        Self {
            what: what.to_owned(),
            threshold: 0,
            signers: Vec::new(),
            not_enforced: Vec::new(),
            met,
        }
    }
}

fn scheme(candidate: &Candidate) -> Option<&'static dyn Scheme> {
    SCHEMES.into_iter().find(|scheme| scheme.reads(candidate))
}

fn not_asked(candidate: &Candidate) -> Outcome {
    let form = scheme(candidate).map(Scheme::form);
    if let Some(broken) = &candidate.broken {
        return Outcome {
            form,
            place: candidate.place.clone(),
            counts: false,
            reason: Some(Reason::malformed(broken)),
            not_enforced: Vec::new(),
            signed: None,
        };
    }
    let text = match form {
        Some(_) => "no rule asks for it".to_owned(),
        None => format!("{}, which is not read here", quoted(&candidate.media_type)),
    };
    Outcome {
        form,
        place: candidate.place.clone(),
        counts: false,
        reason: Some(Reason::new(Why::Form, text)),
        not_enforced: Vec::new(),
        signed: None,
    }
}

struct Judge<'a> {
    subject: &'a Subject,
    candidates: &'a [Candidate],
    at: Moment,
    seen: &'a Seen,
    limits: &'a Limits,
    newest: Option<(String, u64)>,
}

impl Judge<'_> {
    fn signed(
        &mut self,
        signed: &Signed,
        outcomes: &mut [Outcome],
        cut: Option<&str>,
    ) -> (Need, Option<Error>) {
        let mut whole = signed.clone();
        let mut denied = None;
        for zone in &signed.zones {
            match self.zone(zone, signed, outcomes, cut) {
                Ok(rules) => {
                    for rule in rules {
                        whole.of.extend(rule.of.iter().cloned());
                        whole.forms_of.extend(rule.forms_of.clone());
                    }
                }
                Err(error) => denied = denied.or(Some(error)),
            }
        }
        let (need, error) = self.enough(&whole, outcomes, cut);
        // What the owner of the name misses is nearer than that nobody else signed.
        (need, error.map(|error| denied.unwrap_or(error)))
    }

    /// What the owner of a name demands, if all of it is met.
    fn zone<'z>(
        &mut self,
        zone: &'z Zoned,
        signed: &Signed,
        outcomes: &mut [Outcome],
        cut: Option<&str>,
    ) -> Result<&'z [ZoneRule], Error> {
        let silent = |why: &str| {
            refusal(Code::Untrusted, self.subject)
                .found(why)
                .expected(format!("the signers of ns:{}", zone.prefix))
        };
        let rules = match &zone.says {
            None => return Err(silent("nobody who was asked about them")),
            Some(Err(why)) => return Err(silent(why)),
            Some(Ok(rules)) if rules.is_empty() => return Err(silent("nothing")),
            Some(Ok(rules)) => rules,
        };
        let mut seen = outcomes.to_vec();
        for rule in rules {
            let rule = Signed {
                threshold: rule.threshold,
                of: rule.of.clone(),
                forms_of: rule.forms_of.clone(),
                name: rule.name.clone(),
                zones: Vec::new(),
                ..signed.clone()
            };
            if let (_, Some(error)) = self.enough(&rule, &mut seen, cut) {
                // It counts for nothing yet; why it does not is told.
                for (outcome, seen) in outcomes.iter_mut().zip(seen).filter(|(_, it)| !it.counts) {
                    *outcome = seen;
                }
                return Err(error);
            }
        }
        Ok(rules)
    }

    fn enough(
        &mut self,
        signed: &Signed,
        outcomes: &mut [Outcome],
        cut: Option<&str>,
    ) -> (Need, Option<Error>) {
        let mut signers: BTreeMap<String, Signer> = BTreeMap::new();
        let mut reasons = Vec::new();
        for (candidate, outcome) in self.candidates.iter().zip(outcomes) {
            let Some(scheme) = scheme(candidate) else { continue };
            if candidate.broken.is_some() {
                reasons.extend(outcome.reason.clone());
                continue;
            }
            let mut not_enforced = Vec::new();
            let of = in_form(signed, scheme.form());
            let (claim, reason) = if signed.forms.contains(&scheme.form()) && !of.is_empty() {
                match scheme.verify(candidate, self.subject, &of, self.limits) {
                    Ok(claim) => {
                        let reason = self.counts(signed, &claim, &mut not_enforced).err();
                        (Some(claim), reason)
                    }
                    Err(reason) => (None, Some(reason)),
                }
            } else {
                (None, Some(Reason::new(Why::Form, "a form that the rule does not allow")))
            };
            if outcome.counts {
                // Another requirement took it; this one may as well.
            } else if reason.is_none() {
                *outcome = Outcome {
                    counts: true,
                    reason: None,
                    not_enforced,
                    signed: claim.clone(),
                    ..outcome.clone()
                };
            } else if outcome.reason.as_ref().map(|old| old.why)
                <= reason.as_ref().map(|new| new.why)
            {
                outcome.reason.clone_from(&reason);
                outcome.signed.clone_from(&claim);
            }
            match (claim, reason) {
                (Some(claim), None) => {
                    self.note(signed, &claim);
                    signers.insert(claim.signer.id.clone(), claim.signer.clone());
                }
                (_, Some(reason)) => reasons.push(reason),
                (None, None) => {}
            }
        }
        let names: BTreeSet<_> = signed.of.iter().map(|one| one.name.clone()).collect();
        let mut names: Vec<_> = names.into_iter().collect();
        names.extend(signed.zones.iter().map(|zone| format!("ns:{}", zone.prefix)));
        let what = match &signed.of_type {
            None => format!("a signature of {}", names.join(", ")),
            Some(kind) => format!("an attestation {kind} of {}", names.join(", ")),
        };
        let met = signers.len() >= signed.threshold;
        let error = (!met).then(|| self.denied(signed, &what, signers.len(), &reasons, cut));
        let signers = signers.into_values().collect();
        let not_enforced = signed.enforce.lets_pass();
        (Need { what, threshold: signed.threshold, signers, not_enforced, met }, error)
    }

    /// Whether a verified claim is one that the requirement asks for.
    fn counts(
        &self,
        signed: &Signed,
        claim: &VerifiedClaim,
        not_enforced: &mut Vec<Reason>,
    ) -> Result<(), Reason> {
        kind(signed, claim)?;
        if let Saying::Signature = claim.saying {
            signed
                .name
                .allows(&claim.names, &self.subject.asked)
                .map_err(|text| Reason::new(Why::Name, text))?;
        }
        witnessed(signed.time, claim)?;
        let mut doubts = claim.doubts.clone();
        doubts.extend(self.in_time(signed, claim)?);
        for (facet, reason) in doubts {
            match signed.enforce.of(facet) {
                Action::Enforce => return Err(reason),
                Action::Log => not_enforced.push(reason),
                Action::Skip => {}
            }
        }
        if signed.rollback {
            let name = self.subject.asked.to_string();
            let newest = self.seen.get(&name).copied();
            match (claim.sequence, newest) {
                (None, _) => {
                    let text = "no sequence is signed, and the rule refuses to go back";
                    return Err(Reason::new(Why::Check, text));
                }
                (Some(own), Some(newest)) if own < newest => {
                    return Err(Reason::new(
                        Why::RolledBack,
                        format!("sequence {own}, after {newest} was seen for {name}"),
                    ));
                }
                (Some(_), _) => {}
            }
        }
        Ok(())
    }

    /// What the time makes of it; what a rule can not let pass is an error.
    fn in_time(
        &self,
        signed: &Signed,
        claim: &VerifiedClaim,
    ) -> Result<Vec<(Facet, Reason)>, Reason> {
        let at = self.at.seconds();
        let Enforcement { time, expiry, .. } = signed.enforce;
        let depends = (claim.expires.is_some() && expiry == Action::Enforce)
            || (claim.certified.is_some() && time == Action::Enforce)
            || signed.max_age.is_some();
        if depends && matches!(self.at, Moment::Clock(time) if time < CLOCK) {
            let text = "it depends on the time, and the clock of this machine is not set";
            return Err(Reason::new(Why::NotYet, text));
        }
        if let Some(issued) = claim.issued.filter(|issued| *issued > at.saturating_add(SKEW))
            && depends
        {
            return Err(Reason::new(Why::NotYet, format!("issued at {issued}, and it is {at}")));
        }
        let mut wrong = Vec::new();
        if let Some((begin, end)) = claim.certified {
            let mut push = |why, text| {
                wrong.push((Facet::AuthenticTimestamp, Reason::new(why, text)));
            };
            if at < begin {
                push(Why::NotYet, format!("its certificates hold from {begin} on, and it is {at}"));
            }
            if at > end {
                push(Why::Expired, format!("its certificates held until {end}, and it is {at}"));
            }
        }
        if let Some(expires) = claim.expires.filter(|expires| at > *expires) {
            let text = format!("expired at {expires}, and it is {at}");
            wrong.push((Facet::Expiry, Reason::new(Why::Expired, text)));
        }
        if let Some(most) = signed.max_age {
            let age = claim.issued.map(|issued| at.saturating_sub(issued));
            match age {
                None => {
                    let text = "no time is signed, and the rule asks for its age";
                    return Err(Reason::new(Why::Expired, text));
                }
                Some(age) if age > most => {
                    let text = format!("{age} seconds old, more than {most}");
                    return Err(Reason::new(Why::Expired, text));
                }
                Some(_) => {}
            }
        }
        Ok(wrong)
    }

    /// Keeps the highest sequence of what counts.
    fn note(&mut self, signed: &Signed, claim: &VerifiedClaim) {
        let Some(own) = claim.sequence.filter(|_| signed.rollback) else { return };
        if self.newest.as_ref().is_none_or(|(_, newest)| own > *newest) {
            self.newest = Some((self.subject.asked.to_string(), own));
        }
    }

    /// Why there is not enough: the reason that was nearest to success.
    fn denied(
        &self,
        signed: &Signed,
        what: &str,
        found: usize,
        reasons: &[Reason],
        cut: Option<&str>,
    ) -> Error {
        let nearest = reasons.iter().max_by_key(|reason| reason.why);
        let attested = signed.of_type.is_some();
        let code = match (found, nearest, cut) {
            (1.., ..) => Code::Untrusted,
            (0, _, Some(_)) => Code::SignatureLimit,
            (0, Some(reason), None) => reason.why.code(),
            (0, None, None) => Code::Unsigned,
        };
        let told = match (found, nearest, cut) {
            (1.., ..) => format!("{found} of {} signers", signed.threshold),
            (0, _, Some(cut)) => cut.to_owned(),
            (0, Some(reason), None) => match reasons.len() {
                1 => reason.text.clone(),
                more => format!("{} (the nearest of {more})", reason.text),
            },
            (0, None, None) if attested => "no attestation".to_owned(),
            (0, None, None) => "no signature".to_owned(),
        };
        refusal(code, self.subject).found(told).expected(what)
    }
}

/// Those whose signatures of that form count.
fn in_form(signed: &Signed, form: Form) -> Cow<'_, [policy::Trusted]> {
    if signed.forms_of.is_empty() {
        return Cow::Borrowed(&signed.of);
    }
    let counts = |one: &&policy::Trusted| {
        signed.forms_of.get(&one.name).is_none_or(|all| all.contains(&form))
    };
    Cow::Owned(signed.of.iter().filter(counts).cloned().collect())
}

/// Whether a claim says what is asked for.
fn kind(signed: &Signed, claim: &VerifiedClaim) -> Result<(), Reason> {
    match (&signed.of_type, &claim.saying) {
        (None, Saying::Signature) => Ok(()),
        (None, Saying::Attestation { predicate_type, .. }) => Err(Reason::new(
            Why::Type,
            format!("an attestation {}, no signature", quoted(predicate_type)),
        )),
        (Some(_), Saying::Signature) => Err(Reason::new(Why::Type, "a signature, no attestation")),
        (Some(wanted), Saying::Attestation { predicate_type, predicate }) => {
            if wanted != predicate_type {
                return Err(Reason::new(
                    Why::Type,
                    format!("an attestation {}, not {wanted}", quoted(predicate_type)),
                ));
            }
            for check in &signed.checks {
                let found = predicate.pointer(&check.pointer);
                if found != Some(&check.value) {
                    let found = found.map_or_else(|| "nothing".to_owned(), ToString::to_string);
                    return Err(Reason::new(
                        Why::Check,
                        format!("{} at {}, not {}", quoted(&found), check.pointer, check.value),
                    ));
                }
            }
            Ok(())
        }
    }
}

/// Whether somebody else has seen it, as the rule asks.
fn witnessed(rule: TimeRule, claim: &VerifiedClaim) -> Result<(), Reason> {
    let (wanted, what) = match rule {
        TimeRule::Any => return Ok(()),
        TimeRule::Timestamp => (Check::Timestamp, "time stamp of a trusted authority"),
        TimeRule::Log => (Check::Log, "entry of a trusted log"),
    };
    if claim.vouched.checked.contains(&wanted) {
        return Ok(());
    }
    Err(Reason::new(Why::Time, format!("no {what}, which the rule asks for")))
}

fn refusal(code: Code, subject: &Subject) -> Error {
    Error::new(code, format!("verifying {} ({})", subject.asked, subject.descriptor.digest))
}

fn rejected(subject: &Subject, rule: bool) -> Error {
    let found = if rule { "a rule that refuses it" } else { "no rule that is for it" };
    refusal(Code::Rejected, subject)
        .found(found)
        .fix("plimsoll policy check REF   tells which rule")
}
