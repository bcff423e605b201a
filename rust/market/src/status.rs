//! What the queries for k-lines and figures answer with.

use viabtc_engine::Decimal;

use crate::board::{Board, DAYS_BACK, Resolution};
use crate::candle::Candle;
use crate::interval::Interval;
use crate::zone::DAY;

/// `market.status`
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Status {
    /// Last price; `None` before the first deal.
    pub last: Option<Decimal>,
    /// The period as one candle; `None` when nothing was traded in it.
    pub candle: Option<Candle>,
}

/// `market.status_today`
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Today {
    /// Prices of the local day so far, or all the close of the last day that traded; `None` when none of
    /// the last 30 did.
    pub prices: Option<Candle>,
    /// Volume and turnover of the last 24 hours; `None` when nothing was traded in them.
    pub sums: Option<Candle>,
}

impl Board {
    /// Figures of the last `period` seconds; `None` when the period is no such.
    ///
    /// The first minute that is not whole is made of seconds, the rest of minutes.
    pub fn status(&self, place: usize, period: i64, now: i64) -> Option<Status> {
        if !(1..=self.options().sec_max).contains(&period) {
            return None;
        }
        let market = self.market(place);
        Some(Status { last: market.last, candle: self.recent_candle(place, period, now) })
    }

    /// Figures of the local day that `now` lies in.
    pub fn today(&self, place: usize, now: i64) -> Today {
        let days = self.market(place).series(Resolution::Day);
        let start = self.zone().day_start(self.zone().day_of(now));
        let prices = days
            .get(start)
            .copied()
            .or_else(|| days.close_before(start - DAYS_BACK, start).map(Candle::flat));
        Today { prices, sums: self.recent_candle(place, DAY, now) }
    }

    fn recent_candle(&self, place: usize, period: i64, now: i64) -> Option<Candle> {
        let market = self.market(place);
        let start = now - period;
        let minute = start.div_euclid(60) * 60 + 60;
        let seconds = market.series(Resolution::Second).joined(start, minute);
        let minutes = market.series(Resolution::Minute).joined(minute, now);
        match (seconds, minutes) {
            (Some(mut all), Some(later)) => {
                all.join(&later);
                Some(all)
            }
            (seconds, minutes) => seconds.or(minutes),
        }
    }

    /// Visits the candles of `interval` from the one that holds `start` to the last that begins at or
    /// before `end`, ascending. Empty ones have the price before them and no volume; those before the
    /// first known price are left out.
    ///
    /// `start` is raised to what is kept, `end` is lowered to `now`. False when nothing can be asked so.
    pub fn kline(
        &self,
        place: usize,
        (start, end): (i64, i64),
        interval: i64,
        now: i64,
        visit: &mut dyn FnMut(i64, &Candle),
    ) -> bool {
        let end = end.min(now);
        if start <= 0 || end <= 0 || start > end {
            return false;
        }
        let Some(interval) = Interval::new(interval) else { return false };
        let resolution = interval.resolution();
        let series = self.market(place).series(resolution);
        let kept_from = self.options().kept_from(resolution, now);
        let start = kept_from.map_or(start, |kept_from| start.max(kept_from));
        let mut bucket = interval.bucket(start, self.zone());
        let back = kept_from.unwrap_or(match interval {
            Interval::Month => start - DAYS_BACK,
            _ => bucket.start - DAYS_BACK,
        });
        let mut previous = series.close_before(back, bucket.start);
        // Days of a month are not shown beyond the end; other buckets are complete.
        let last = if interval == Interval::Month { end + 1 } else { i64::MAX };
        while bucket.start <= end {
            if bucket.start < bucket.end {
                let candle = series
                    .joined(bucket.start, bucket.end.min(last))
                    .or(previous.map(Candle::flat));
                if let Some(candle) = candle {
                    visit(bucket.start, &candle);
                    previous = Some(candle.close());
                }
            }
            bucket = interval.next(&bucket, self.zone());
        }
        true
    }
}
