//! What is told about requests and about the registry. Who listens writes it.

use std::net::SocketAddr;
use std::time::Duration;

use serde::Serialize;

/// Somebody who is told what happens. Calls come from many threads and must
/// not take long.
pub trait Log: Send + Sync {
    /// A request is over.
    fn request(&self, request: &Request);

    /// Something else that the operator should know.
    fn event(&self, event: &Event);
}

/// A request that is over. What comes from the client is as it came.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// When it came, in milliseconds since 1970.
    pub time: u64,
    /// From where.
    pub remote: SocketAddr,
    /// Who asked, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The method.
    pub method: String,
    /// The path and the query.
    pub path: String,
    /// The status of the answer.
    pub status: u16,
    /// The bytes of its body that came.
    pub received: u64,
    /// The bytes of the answer's body that were sent.
    pub sent: u64,
    /// How long it took, in microseconds, until the last byte had gone.
    pub micros: u64,
    /// What the client calls itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Why it failed, where that is no matter of the client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Something that happened.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// What, in a word.
    pub event: &'static str,
    /// What there is to say about it.
    pub text: String,
}

impl Event {
    pub(crate) fn new(event: &'static str, text: impl Into<String>) -> Self {
        Self { event, text: text.into() }
    }
}

/// Nobody listens.
#[derive(Clone, Copy, Debug)]
pub struct Silent;

impl Log for Silent {
    fn request(&self, _: &Request) {}
    fn event(&self, _: &Event) {}
}

pub(crate) fn microseconds(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
