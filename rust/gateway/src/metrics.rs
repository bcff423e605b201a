//! Counters of a port.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Upper bounds of the buckets of [`Latency`] in microseconds, and the names of what they count.
const BUCKETS: [(u64, &str); 10] = [
    (50, "request_us_bucket_50"),
    (100, "request_us_bucket_100"),
    (250, "request_us_bucket_250"),
    (500, "request_us_bucket_500"),
    (1_000, "request_us_bucket_1000"),
    (2_500, "request_us_bucket_2500"),
    (10_000, "request_us_bucket_10000"),
    (50_000, "request_us_bucket_50000"),
    (250_000, "request_us_bucket_250000"),
    (1_000_000, "request_us_bucket_1000000"),
];

/// How long requests took from being read to their answer, of those that a backend answered.
#[derive(Debug, Default)]
pub struct Latency {
    /// Requests by the first bound that they keep; the last has none.
    counts: [AtomicU64; BUCKETS.len() + 1],
    sum_us: AtomicU64,
}

impl Latency {
    pub(crate) fn record(&self, took: Duration) {
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BUCKETS.iter().position(|(bound, _)| took_us <= *bound);
        self.counts[bucket.unwrap_or(BUCKETS.len())].fetch_add(1, Relaxed);
        self.sum_us.fetch_add(took_us, Relaxed);
    }

    /// Name and value of each: requests at or below each bound, and the sum of all times.
    pub(crate) fn snapshot(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let names = BUCKETS.iter().map(|(_, name)| *name).chain(["request_us_bucket_inf"]);
        let sums = self.counts.iter().scan(0, |sum, count| {
            *sum += count.load(Relaxed);
            Some(*sum)
        });
        names.zip(sums).chain([("request_us_total", self.sum_us.load(Relaxed))])
    }
}

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
    /// How long requests took.
    pub latency: Latency,
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
        let counters = counters.into_iter().map(|(name, counter)| (name, counter.load(Relaxed)));
        counters.chain(self.latency.snapshot()).collect()
    }
}

pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_count_what_took_no_longer_than_their_bound() {
        let latency = Latency::default();
        for took_us in [0, 50, 51, 1_000_000, 1_000_001] {
            latency.record(Duration::from_micros(took_us));
        }
        let values: Vec<_> = latency.snapshot().collect();
        assert_eq!(values[0], ("request_us_bucket_50", 2));
        assert_eq!(values[1], ("request_us_bucket_100", 3));
        let last = [
            ("request_us_bucket_1000000", 4),
            ("request_us_bucket_inf", 5),
            ("request_us_total", 2_000_102),
        ];
        assert_eq!(values[BUCKETS.len() - 1..], last);
    }
}
