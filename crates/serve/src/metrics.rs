//! What is counted, and how Prometheus reads it (its text format 0.0.4).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::storage::Swept;

/// The upper ends of the times of requests, in milliseconds.
const BUCKETS: [u64; 8] = [1, 5, 25, 100, 500, 2_500, 10_000, 60_000];

/// What a registry counts.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    requests: Mutex<BTreeMap<(&'static str, &'static str, u16), u64>>,
    buckets: [AtomicU64; BUCKETS.len()],
    milliseconds: AtomicU64,
    count: AtomicU64,
    received: AtomicU64,
    sent: AtomicU64,
    pub(crate) connections: AtomicU64,
    pub(crate) accepted: AtomicU64,
    pub(crate) in_flight: AtomicU64,
    pub(crate) uploads: AtomicU64,
    collections: AtomicU64,
    collected_blobs: AtomicU64,
    collected_bytes: AtomicU64,
    collected_manifests: AtomicU64,
    collected_uploads: AtomicU64,
}

impl Metrics {
    /// A request is over.
    pub(crate) fn request(
        &self,
        method: &'static str,
        kind: &'static str,
        status: u16,
        took: Duration,
        received: u64,
        sent: u64,
    ) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        *requests.entry((method, kind, status)).or_default() += 1;
        drop(requests);
        let milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        for (bucket, most) in self.buckets.iter().zip(BUCKETS) {
            if milliseconds <= most {
                add(bucket, 1);
            }
        }
        add(&self.count, 1);
        add(&self.milliseconds, milliseconds);
        add(&self.received, received);
        add(&self.sent, sent);
    }

    /// Something was collected.
    pub(crate) fn swept(&self, swept: &Swept) {
        add(&self.collections, 1);
        add(&self.collected_blobs, swept.blobs);
        add(&self.collected_bytes, swept.bytes);
        add(&self.collected_manifests, swept.manifests);
        add(&self.collected_uploads, swept.uploads);
    }

    /// All of it, as text.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        let line = &mut text;
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone();
        head(line, "requests_total", "counter", "Requests that are over.");
        for ((method, kind, status), count) in requests {
            let labels = format!("method=\"{method}\",endpoint=\"{kind}\",status=\"{status}\"");
            let _ = writeln!(line, "{NAME}requests_total{{{labels}}} {count}");
        }
        head(line, "request_seconds", "histogram", "How long requests take, with their bodies.");
        for (bucket, most) in self.buckets.iter().zip(BUCKETS) {
            let (whole, rest) = (most / 1000, most % 1000);
            let count = read(bucket);
            let _ =
                writeln!(line, "{NAME}request_seconds_bucket{{le=\"{whole}.{rest:03}\"}} {count}");
        }
        let (count, sum) = (read(&self.count), read(&self.milliseconds));
        let _ = writeln!(line, "{NAME}request_seconds_bucket{{le=\"+Inf\"}} {count}");
        let _ = writeln!(line, "{NAME}request_seconds_sum {}.{:03}", sum / 1000, sum % 1000);
        let _ = writeln!(line, "{NAME}request_seconds_count {count}");
        for (name, kind, value, help) in [
            ("received_bytes_total", "counter", &self.received, "Bytes of bodies that came."),
            ("sent_bytes_total", "counter", &self.sent, "Bytes of bodies that were sent."),
            ("connections", "gauge", &self.connections, "Open connections."),
            ("connections_total", "counter", &self.accepted, "Connections that were taken."),
            ("requests_in_flight", "gauge", &self.in_flight, "Requests that are not over."),
            ("uploads_in_flight", "gauge", &self.uploads, "Blobs that are coming in."),
            ("collections_total", "counter", &self.collections, "Garbage collections."),
            ("collected_blobs_total", "counter", &self.collected_blobs, "Blobs collected."),
            ("collected_bytes_total", "counter", &self.collected_bytes, "Bytes collected."),
            (
                "collected_manifests_total",
                "counter",
                &self.collected_manifests,
                "Manifests without a tag taken away.",
            ),
            ("collected_uploads_total", "counter", &self.collected_uploads, "Uploads collected."),
        ] {
            head(line, name, kind, help);
            let _ = writeln!(line, "{NAME}{name} {}", read(value));
        }
        text
    }
}

const NAME: &str = "plimsoll_registry_";

fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(text, "# HELP {NAME}{name} {help}\n# TYPE {NAME}{name} {kind}");
}

fn add(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// One more of something, as long as this lives.
pub(crate) struct Gauge {
    metrics: Arc<Metrics>,
    which: fn(&Metrics) -> &AtomicU64,
}

impl Gauge {
    pub(crate) fn new(metrics: &Arc<Metrics>, which: fn(&Metrics) -> &AtomicU64) -> Self {
        add(which(metrics), 1);
        Self { metrics: Arc::clone(metrics), which }
    }
}

impl Drop for Gauge {
    fn drop(&mut self) {
        (self.which)(&self.metrics).fetch_sub(1, Ordering::Relaxed);
    }
}
