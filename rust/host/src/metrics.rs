//! Counters that the engine's thread keeps and any thread reads.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Upper bounds of the sync histogram's buckets, in microseconds; the last bucket has none.
pub const SYNC_BOUNDS_US: [u64; 8] = [50, 100, 250, 500, 1_000, 5_000, 25_000, 250_000];

/// Figures of the engine since the start of the process.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Commands applied.
    pub applied: AtomicU64,
    /// Commands refused, or with parameters that cannot be used.
    pub rejected: AtomicU64,
    /// Writes refused because the journal's reserve is low.
    pub unavailable: AtomicU64,
    /// Requests refused because the same made the engine panic a short while ago.
    pub poisoned: AtomicU64,
    /// Queries answered.
    pub queries: AtomicU64,
    /// Requests that wait.
    pub queued: AtomicU64,
    /// Turns of the engine's thread.
    pub turns: AtomicU64,
    /// Last sequence known durable.
    pub durable_sequence: AtomicU64,
    /// 1 while events wait because the feed cannot be written.
    pub feed_failing: AtomicU64,
    /// 0 while writes are refused: the disk is nearly full, or funds do not add up.
    pub writable: AtomicU64,
    /// 0 once funds did not add up.
    pub conserved: AtomicU64,
    /// Turns by the time that their commit took.
    pub syncs: [AtomicU64; SYNC_BOUNDS_US.len() + 1],
    /// Sum of these times in microseconds.
    pub sync_us: AtomicU64,
}

impl Metrics {
    pub(crate) fn turn(&self, commit: Duration) {
        let elapsed_us = u64::try_from(commit.as_micros()).unwrap_or(u64::MAX);
        let bucket = SYNC_BOUNDS_US.iter().position(|bound| elapsed_us <= *bound);
        self.syncs[bucket.unwrap_or(SYNC_BOUNDS_US.len())].fetch_add(1, Relaxed);
        self.sync_us.fetch_add(elapsed_us, Relaxed);
        self.turns.fetch_add(1, Relaxed);
    }
}
