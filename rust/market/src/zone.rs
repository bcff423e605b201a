//! Local days: a table of offsets from UTC, made by the caller from the time zone's rules.
//!
//! Invariant: day numbers of ascending times ascend, except where a zone turned its clocks back over
//! midnight; a day's start is the first instant that bears its date.

use alloc::vec;
use alloc::vec::Vec;

/// Seconds of a day without a change of the clocks.
pub const DAY: i64 = 86_400;

/// No zone is farther from UTC.
const OFFSET_MAX: i64 = 26 * 3_600;

/// From when on which offset holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Span {
    /// First second.
    from: i64,
    /// Seconds east of UTC.
    offset: i64,
}

/// A time zone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Zone {
    /// Ascending; the first begins at the beginning of time.
    spans: Vec<Span>,
}

impl Zone {
    /// Days begin at midnight UTC.
    pub fn utc() -> Zone {
        Zone { spans: vec![Span { from: i64::MIN, offset: 0 }] }
    }

    /// A zone that is `first` seconds east of UTC, and changes at each of `changes`: `(time, seconds
    /// east)`. `None` when times do not ascend or an offset is more than 26 hours.
    pub fn new(first: i64, changes: &[(i64, i64)]) -> Option<Zone> {
        let mut spans = vec![Span { from: i64::MIN, offset: first }];
        spans.extend(changes.iter().map(|&(from, offset)| Span { from, offset }));
        let is_ascending = spans.windows(2).all(|pair| pair[0].from < pair[1].from);
        let is_bounded = spans.iter().all(|span| span.offset.abs() <= OFFSET_MAX);
        (is_ascending && is_bounded).then_some(Zone { spans })
    }

    /// Number of the local day that `time` lies in; 1970-01-01 is 0.
    pub fn day_of(&self, time: i64) -> i64 {
        let offset = self.spans[self.span_at(time)].offset;
        (time + offset).div_euclid(DAY)
    }

    /// First second of a local day: midnight, or what the clocks show instead where they skip it.
    pub fn day_start(&self, day: i64) -> i64 {
        let local = day * DAY;
        let mut index = self.span_at(local - OFFSET_MAX);
        loop {
            let span = self.spans[index];
            let start = span.from.max(local - span.offset);
            match self.spans.get(index + 1) {
                Some(next) if next.from <= start => index += 1,
                _ => return start,
            }
        }
    }

    fn span_at(&self, time: i64) -> usize {
        self.spans.partition_point(|span| span.from <= time) - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Berlin in 2026: one hour east, two from 29 March to 25 October.
    fn berlin() -> Zone {
        Zone::new(3_600, &[(1_774_746_000, 7_200), (1_792_890_000, 3_600)]).unwrap()
    }

    #[test]
    fn days_of_23_and_25_hours() {
        let zone = berlin();
        let spring = zone.day_of(1_774_746_000);
        assert_eq!(zone.day_start(spring), 1_774_738_800);
        assert_eq!(zone.day_start(spring + 1) - zone.day_start(spring), 23 * 3_600);
        let autumn = zone.day_of(1_792_890_000);
        assert_eq!(zone.day_start(autumn + 1) - zone.day_start(autumn), 25 * 3_600);
        assert_eq!(zone.day_start(autumn) - zone.day_start(autumn - 1), DAY);
    }

    #[test]
    fn every_second_lies_behind_the_start_of_its_day() {
        let zone = berlin();
        let mut time = 1_774_600_000;
        while time < 1_793_100_000 {
            let day = zone.day_of(time);
            assert!(zone.day_start(day) <= time && time < zone.day_start(day + 1), "{time}");
            time += 1_799;
        }
    }

    #[test]
    fn a_skipped_midnight_begins_the_day_where_the_clocks_go_on() {
        // Clocks go from 00:00 to 01:00.
        let zone = Zone::new(-10_800, &[(10 * DAY + 10_800, -7_200)]).unwrap();
        assert_eq!(zone.day_start(10), 10 * DAY + 10_800);
        assert_eq!(zone.day_of(10 * DAY + 10_800), 10);
        assert_eq!(zone.day_of(10 * DAY + 10_799), 9);
    }

    #[test]
    fn a_repeated_midnight_begins_the_day_the_first_time() {
        // Clocks go from 00:01 back to 23:01.
        let zone = Zone::new(0, &[(10 * DAY + 60, -3_600)]).unwrap();
        assert_eq!(zone.day_start(10), 10 * DAY);
        assert_eq!(zone.day_of(10 * DAY + 61), 9);
    }

    #[test]
    fn a_table_that_is_none_is_refused() {
        assert!(Zone::new(0, &[(5, 0), (5, 1)]).is_none());
        assert!(Zone::new(26 * 3_600 + 1, &[]).is_none());
    }
}
