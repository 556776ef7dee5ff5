//! What owners of domains say, as they were asked lately or are now.

use plimsoll_content::{Document, Result};

use super::Chain;
use crate::announcement::{self, Announcement, RefEngines};
use crate::lookup::{Ask, Got};
use crate::memory;
use crate::record::{LABEL, Record, Security};
use crate::time::DAY;
use crate::{Address, Host};

/// For how long it is remembered that something is not there, in seconds.
const ABSENT: u64 = 3600;

impl Chain<'_> {
    pub(super) fn record(&self, host: &Host) -> Result<Option<(Record, Security)>> {
        let name = format!("{LABEL}.{host}");
        let question = format!("txt {name}");
        let kept = memory::answer(self.shelf, &question, self.now, self.offline())?;
        let (text, security) = if let Some(kept) = kept {
            let security =
                if kept.from == "secure" { Security::Secure } else { Security::Insecure };
            (kept.text, security)
        } else if self.offline() {
            return Ok(None);
        } else {
            let found = self.lookup.txt(&name)?;
            let record = Record::find(found.texts.iter().map(Vec::as_slice))?;
            let text = record.map(|record| record.to_text());
            let until = self.now.plus(found.ttl.clamp(60, DAY as u64) as i64);
            let from = if found.security == Security::Secure { "secure" } else { "insecure" };
            memory::keep(self.shelf, &question, text.as_deref(), from, until)?;
            (text, found.security)
        };
        match text {
            Some(text) => Ok(Some((Record::parse(&text)?, security))),
            None => Ok(None),
        }
    }

    pub(super) fn announcement(
        &self,
        host: &Host,
    ) -> Result<Option<(Got, Document<Announcement>)>> {
        let address = Address::new(host.clone(), announcement::WELL_KNOWN)?;
        let accept = format!("{}, application/json", announcement::MEDIA_TYPE);
        self.document(
            &address,
            "what a host says of its names",
            &accept,
            |bytes| Announcement::parse(bytes, host),
            |said| said.max_age,
        )
    }

    pub(super) fn ref_engines(&self, host: &Host) -> Result<Option<(Got, Document<RefEngines>)>> {
        let address = Address::new(host.clone(), announcement::REF_ENGINES)?;
        let accept = format!("{}, application/json", announcement::REF_ENGINES_TYPE);
        self.document(&address, "ref-engines", &accept, |bytes| Document::parse(bytes), |_| None)
    }

    pub(super) fn ask<'b>(
        &self,
        address: &'b Address,
        what: &'b str,
        accept: &'b str,
        limit: u64,
        owner: Option<&'b str>,
    ) -> Ask<'b> {
        let named = *address.host() == self.name.host;
        Ask { address, query: None, what, accept, limit, named, owner }
    }

    /// A document of a host, as it was answered lately or is now.
    fn document<T>(
        &self,
        address: &Address,
        what: &str,
        accept: &str,
        parse: impl Fn(&[u8]) -> Result<Document<T>>,
        max_age: impl Fn(&T) -> Option<u64>,
    ) -> Result<Option<(Got, Document<T>)>> {
        let question = address.to_string();
        if let Some(kept) = memory::answer(self.shelf, &question, self.now, self.offline())? {
            let Some(text) = kept.text else { return Ok(None) };
            let got = Got { bytes: text.into_bytes(), address: kept.from.parse()?, max_age: None };
            let document = parse(&got.bytes)?;
            return Ok(Some((got, document)));
        }
        if self.offline() {
            return Ok(None);
        }
        let owner = address.host().domain_name();
        let ask = self.ask(address, what, accept, announcement::LIMIT, owner);
        let Some(got) = self.lookup.get(&ask)? else {
            let until = self.now.plus(ABSENT as i64);
            memory::keep(self.shelf, &question, None, "", until)?;
            return Ok(None);
        };
        let document = parse(&got.bytes)?;
        let age = got.max_age.or(max_age(&document)).unwrap_or(ABSENT).clamp(300, 7 * DAY as u64);
        if let Ok(text) = str::from_utf8(&got.bytes) {
            let until = self.now.plus(age as i64);
            memory::keep(self.shelf, &question, Some(text), &got.address.to_string(), until)?;
        }
        Ok(Some((got, document)))
    }
}
