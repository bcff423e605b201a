//! Counters of a port.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// Figures since the port was opened.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Open connections.
    pub connections: AtomicU64,
    /// Connections accepted.
    pub accepted: AtomicU64,
    /// Connections closed at once because there were too many, or that could not be accepted.
    pub refused: AtomicU64,
    /// Requests handed to a backend.
    pub requests: AtomicU64,
    /// Answers written.
    pub answers: AtomicU64,
    /// Requests or frames that could not be understood.
    pub malformed: AtomicU64,
    /// Requests for methods that do not exist.
    pub not_found: AtomicU64,
    /// Requests whose backend could not be reached.
    pub unavailable: AtomicU64,
    /// Requests that were not answered in time.
    pub timed_out: AtomicU64,
    /// Connections closed because they did not read, or held most when all together held too much.
    pub overflowed: AtomicU64,
    /// Connections closed because they were silent or slow.
    pub expired: AtomicU64,
    /// Datagrams dropped: incomplete, malformed, or answers that no datagram carries.
    pub dropped_datagrams: AtomicU64,
    /// Bytes read.
    pub bytes_in: AtomicU64,
    /// Bytes written.
    pub bytes_out: AtomicU64,
}

impl Metrics {
    /// Name and value of each.
    pub fn snapshot(&self) -> Vec<(&'static str, u64)> {
        let counters = [
            ("connections", &self.connections),
            ("accepted_total", &self.accepted),
            ("refused_total", &self.refused),
            ("requests_total", &self.requests),
            ("answers_total", &self.answers),
            ("malformed_total", &self.malformed),
            ("not_found_total", &self.not_found),
            ("unavailable_total", &self.unavailable),
            ("timed_out_total", &self.timed_out),
            ("overflowed_total", &self.overflowed),
            ("expired_total", &self.expired),
            ("dropped_datagrams_total", &self.dropped_datagrams),
            ("bytes_in_total", &self.bytes_in),
            ("bytes_out_total", &self.bytes_out),
        ];
        counters.into_iter().map(|(name, counter)| (name, counter.load(Relaxed))).collect()
    }
}

pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}
