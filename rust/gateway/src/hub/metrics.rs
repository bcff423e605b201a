//! Counters of a hub.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use crate::metrics::Latency;

/// Figures since the hub was opened.
#[derive(Debug, Default)]
pub struct HubMetrics {
    /// Open connections.
    pub connections: AtomicU64,
    /// Subscriptions of all connections.
    pub subscriptions: AtomicU64,
    /// Topics with subscribers, counted once per thread.
    pub topics: AtomicU64,
    /// Connections accepted.
    pub accepted: AtomicU64,
    /// Connections refused: too many, or a handshake that is none.
    pub refused: AtomicU64,
    /// Messages received.
    pub requests: AtomicU64,
    /// Publications taken in.
    pub publications: AtomicU64,
    /// Messages queued for subscribers.
    pub pushes: AtomicU64,
    /// Messages that replaced one that had not been read.
    pub conflated: AtomicU64,
    /// Frames written.
    pub frames_out: AtomicU64,
    /// Calls of the system that wrote.
    pub writes: AtomicU64,
    /// Bytes read.
    pub bytes_in: AtomicU64,
    /// Bytes written.
    pub bytes_out: AtomicU64,
    /// Connections closed because they read nothing, or slower than messages came.
    pub overflowed: AtomicU64,
    /// Connections closed because they were silent, or their handshake was slow.
    pub expired: AtomicU64,
    /// Connections closed because they broke the protocol or its limits.
    pub malformed: AtomicU64,
    /// How long requests took that a service answered.
    pub latency: Latency,
}

/// What somebody wrote, before it is counted.
#[derive(Debug, Default)]
pub(crate) struct Written {
    pub(crate) writes: u64,
    pub(crate) frames: u64,
    pub(crate) bytes: u64,
}

impl HubMetrics {
    pub(crate) fn add(&self, written: &Written) {
        self.writes.fetch_add(written.writes, Relaxed);
        self.frames_out.fetch_add(written.frames, Relaxed);
        self.bytes_out.fetch_add(written.bytes, Relaxed);
    }

    /// Name and value of each.
    pub fn snapshot(&self) -> Vec<(&'static str, u64)> {
        let counters = [
            ("connections", &self.connections),
            ("subscriptions", &self.subscriptions),
            ("topics", &self.topics),
            ("accepted_total", &self.accepted),
            ("refused_total", &self.refused),
            ("requests_total", &self.requests),
            ("publications_total", &self.publications),
            ("pushes_total", &self.pushes),
            ("conflated_total", &self.conflated),
            ("frames_out_total", &self.frames_out),
            ("writes_total", &self.writes),
            ("bytes_in_total", &self.bytes_in),
            ("bytes_out_total", &self.bytes_out),
            ("overflowed_total", &self.overflowed),
            ("expired_total", &self.expired),
            ("malformed_total", &self.malformed),
        ];
        let counters = counters.into_iter().map(|(name, counter)| (name, counter.load(Relaxed)));
        counters.chain(self.latency.snapshot()).collect()
    }
}
