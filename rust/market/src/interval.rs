//! Intervals of candles that can be asked for, and their grids of buckets.
//!
//! | interval in seconds | condition | grid |
//! | --- | --- | --- |
//! | 1 to 59 | divides 60 | UTC |
//! | 60 to 3599 | multiple of 60, divides 3600 | UTC |
//! | 3600 to 86399 | multiple of 3600, divides 86400 | steps from each local midnight |
//! | 86400 to 604799 | multiple of 86400 | local days, counted from 1970-01-01 |
//! | 604800 | | weeks from Monday, local |
//! | 2592000 | | calendar months, local |

use crate::board::Resolution;
use crate::zone::{DAY, Zone};

const MINUTE: i64 = 60;
const HOUR: i64 = 3_600;
const WEEK: i64 = 7 * DAY;
const MONTH: i64 = 30 * DAY;

/// 1970-01-01 was a Thursday: three days after a Monday.
const MONDAY: i64 = 3;

/// An interval that can be asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Interval {
    /// So many seconds.
    Seconds(i64),
    /// Whole minutes, in seconds.
    Minutes(i64),
    /// Whole hours, in seconds.
    Hours(i64),
    /// Days; a week begins on Monday.
    Days {
        /// How many.
        count: i64,
        /// Days between the epoch and the start of a bucket before it.
        phase: i64,
    },
    /// A calendar month.
    Month,
}

/// One bucket of a grid; empty where a zone skipped a day.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bucket {
    /// First second.
    pub start: i64,
    /// First second of the next bucket.
    pub end: i64,
    /// Number of its local day: the first one for grids of days, the one that it lies in for hours.
    day: i64,
}

impl Interval {
    /// The interval of so many seconds; `None` when there is none.
    pub fn new(seconds: i64) -> Option<Interval> {
        let divides = |whole: i64| whole % seconds == 0;
        let is_multiple = |part: i64| seconds % part == 0;
        match seconds {
            1..MINUTE => divides(MINUTE).then_some(Interval::Seconds(seconds)),
            MINUTE..HOUR => {
                (is_multiple(MINUTE) && divides(HOUR)).then_some(Interval::Minutes(seconds))
            }
            HOUR..DAY => (is_multiple(HOUR) && divides(DAY)).then_some(Interval::Hours(seconds)),
            DAY..WEEK => {
                let count = seconds / DAY;
                is_multiple(DAY).then_some(Interval::Days { count, phase: 0 })
            }
            WEEK => Some(Interval::Days { count: 7, phase: MONDAY }),
            MONTH => Some(Interval::Month),
            _ => None,
        }
    }

    /// The candles that it is built from.
    pub fn resolution(self) -> Resolution {
        match self {
            Interval::Seconds(_) => Resolution::Second,
            Interval::Minutes(_) => Resolution::Minute,
            Interval::Hours(_) => Resolution::Hour,
            Interval::Days { .. } | Interval::Month => Resolution::Day,
        }
    }

    /// The bucket that holds `time`.
    pub fn bucket(self, time: i64, zone: &Zone) -> Bucket {
        match self {
            Interval::Seconds(step) | Interval::Minutes(step) => {
                let start = time.div_euclid(step) * step;
                Bucket { start, end: start + step, day: 0 }
            }
            Interval::Hours(step) => {
                let today = zone.day_of(time);
                // In zones of half hours the last hour of a day reaches into the next.
                let day = if time < first_hour(today + 1, zone) { today } else { today + 1 };
                let first = first_hour(day, zone);
                hours(first + (time - first).div_euclid(step) * step, step, day, zone)
            }
            Interval::Days { count, phase } => {
                let day = (zone.day_of(time) + phase).div_euclid(count) * count - phase;
                days(day, day + count, zone)
            }
            Interval::Month => month(zone.day_of(time), zone),
        }
    }

    /// The bucket that follows.
    pub fn next(self, bucket: &Bucket, zone: &Zone) -> Bucket {
        match self {
            Interval::Seconds(step) | Interval::Minutes(step) => {
                Bucket { start: bucket.end, end: bucket.end + step, day: 0 }
            }
            Interval::Hours(step) => {
                let is_last = bucket.end == first_hour(bucket.day + 1, zone);
                hours(bucket.end, step, bucket.day + i64::from(is_last), zone)
            }
            Interval::Days { count, .. } => days(bucket.day + count, bucket.day + 2 * count, zone),
            Interval::Month => month(next_month(bucket.day), zone),
        }
    }
}

/// The first whole hour of UTC that ends behind a day's start: grids of hours consist of whole candles.
fn first_hour(day: i64, zone: &Zone) -> i64 {
    zone.day_start(day).div_euclid(HOUR) * HOUR
}

/// A bucket of hours, cut where the next day's grid begins.
fn hours(start: i64, step: i64, day: i64, zone: &Zone) -> Bucket {
    Bucket { start, end: (start + step).min(first_hour(day + 1, zone)), day }
}

fn days(first: i64, next: i64, zone: &Zone) -> Bucket {
    Bucket { start: zone.day_start(first), end: zone.day_start(next), day: first }
}

fn month(day: i64, zone: &Zone) -> Bucket {
    let first = day - day_of_month(day);
    days(first, next_month(day), zone)
}

/// First day of the month after that of `day`.
fn next_month(day: i64) -> i64 {
    // No month has more than 31 days, and none of two has fewer together.
    let later = day - day_of_month(day) + 31;
    later - day_of_month(later)
}

/// Days since the first of the month, from 0.
///
/// Years are counted from 1 March, so that the leap day is the last of a year: then the months have 31,
/// 30, 31, 30, 31 days over and over, which is 153 days in five months.
fn day_of_month(day: i64) -> i64 {
    const DAYS_FROM_MARCH_0000: i64 = 719_468;
    const ERA: i64 = 146_097;
    let in_era = (day + DAYS_FROM_MARCH_0000).rem_euclid(ERA);
    let year = (in_era - in_era / 1_460 + in_era / 36_524 - in_era / (ERA - 1)) / 365;
    let in_year = in_era - (365 * year + year / 4 - year / 100);
    let month = (5 * in_year + 2) / 153;
    in_year - (153 * month + 2) / 5
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_those_of_the_table() {
        let second = [1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30];
        let minute = [60, 120, 180, 240, 300, 360, 600, 720, 900, 1_200, 1_800];
        let hour = [3_600, 7_200, 10_800, 14_400, 21_600, 28_800, 43_200];
        let days = [86_400, 172_800, 259_200, 345_600, 432_000, 518_400, 604_800, 2_592_000];
        let known: alloc::vec::Vec<i64> =
            second.into_iter().chain(minute).chain(hour).chain(days).collect();
        for seconds in -10..3_000_000 {
            assert_eq!(Interval::new(seconds).is_some(), known.contains(&seconds), "{seconds}");
        }
        assert_eq!((Interval::new(i64::MAX), Interval::new(i64::MIN)), (None, None));
    }

    #[test]
    fn months_have_the_days_of_the_calendar() {
        let mut day = 0;
        for year in 1970..2110 {
            let is_leap = year % 4 == 0 && year % 100 != 0;
            let february = if is_leap || year == 2000 { 29 } else { 28 };
            for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
                for of_month in 0..length {
                    assert_eq!(day_of_month(day + of_month), of_month, "day {day} of {year}");
                    assert_eq!(next_month(day + of_month), day + length);
                }
                day += length;
            }
        }
    }

    #[test]
    fn weeks_begin_on_monday() {
        // 2026-11-23 was a Monday.
        let bucket = Interval::new(WEEK).unwrap().bucket(1_795_426_496, &Zone::utc());
        assert_eq!((bucket.start, bucket.end), (1_795_392_000, 1_795_392_000 + WEEK));
        let bucket = Interval::new(MONTH).unwrap().bucket(1_795_426_496, &Zone::utc());
        assert_eq!(bucket.start, 1_793_491_200);
    }

    #[test]
    fn buckets_tile_the_time_in_every_zone() {
        let zones = [
            Zone::utc(),
            // 29 March and 25 October 2026 in Berlin.
            Zone::new(3_600, &[(1_774_746_000, 7_200), (1_792_890_000, 3_600)]).unwrap(),
            // Kolkata: half an hour.
            Zone::new(19_800, &[]).unwrap(),
            // Apia skipped 30 December 2011.
            Zone::new(-36_000, &[(1_325_239_200, 50_400)]).unwrap(),
            // Lord Howe: half an hour's change.
            Zone::new(39_600, &[(1_774_746_000, 37_800)]).unwrap(),
        ];
        for zone in &zones {
            for seconds in
                [1, 30, 60, 1_800, 3_600, 7_200, 43_200, 86_400, 259_200, 604_800, 2_592_000]
            {
                let interval = Interval::new(seconds).unwrap();
                for around in [1_774_746_000, 1_792_890_000, 1_325_239_200] {
                    let mut bucket = interval.bucket(around - 3 * DAY, zone);
                    assert!(bucket.start <= around - 3 * DAY && around - 3 * DAY < bucket.end);
                    for _ in 0..200 {
                        let next = interval.next(&bucket, zone);
                        assert_eq!(next.start, bucket.end, "{seconds} {zone:?}");
                        assert!(next.end >= next.start);
                        for inside in [next.start, next.end - 1] {
                            if next.start < next.end {
                                let same = interval.bucket(inside, zone);
                                let times = (next.start, next.end);
                                assert_eq!((same.start, same.end), times, "{seconds} {zone:?}");
                            }
                        }
                        bucket = next;
                    }
                }
            }
        }
    }
}
