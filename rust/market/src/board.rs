//! The board: every market's candles, last price and newest deals, kept up deal by deal.
//!
//! Invariant: the four series of a market hold the same deals, each in the bucket of its second, minute,
//! hour and local day; what [`Board::take_changes`] gave is what a store has, unless it was put back.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use viabtc_engine::Decimal;

use crate::candle::Candle;
use crate::deals::{Deal, RECENT_MAX, Recent};
use crate::interval::{Bucket, Interval};
use crate::series::Series;
use crate::zone::{DAY, Zone};

/// Longest list that `market.deals` gives.
pub const DEALS_LIMIT_MAX: usize = RECENT_MAX;

/// How far back the price before the first bucket of days is looked for.
pub(crate) const DAYS_BACK: i64 = 30 * DAY;

/// Lengths of candles that are kept; all others are built from them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Resolution {
    /// `1s`
    Second,
    /// `1m`
    Minute,
    /// `1h`
    Hour,
    /// `1d`: local days.
    Day,
}

impl Resolution {
    /// Shortest first.
    pub const ALL: [Resolution; 4] =
        [Resolution::Second, Resolution::Minute, Resolution::Hour, Resolution::Day];

    /// The end of the Redis key, and the name in other stores.
    pub const fn name(self) -> &'static str {
        match self {
            Resolution::Second => "1s",
            Resolution::Minute => "1m",
            Resolution::Hour => "1h",
            Resolution::Day => "1d",
        }
    }
}

/// How long candles are kept, and how a market begins. The names are the original's keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// Candles of a second, in seconds.
    pub sec_max: i64,
    /// Candles of a minute, in minutes.
    pub min_max: i64,
    /// Candles of an hour, in hours.
    pub hour_max: i64,
    /// Whether the first candles of a listed market open, and have their low, at 0 as the original's do.
    pub first_candle_zero: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options { sec_max: 604_800, min_max: 525_600, hour_max: 87_600, first_candle_zero: false }
    }
}

impl Options {
    /// First time whose candles are kept at `now`; `None` for days, which stay.
    pub fn kept_from(&self, resolution: Resolution, now: i64) -> Option<i64> {
        match resolution {
            Resolution::Second => Some(now - self.sec_max),
            Resolution::Minute => Some(now.div_euclid(60) * 60 - self.min_max * 60),
            Resolution::Hour => Some(now.div_euclid(3_600) * 3_600 - self.hour_max * 3_600),
            Resolution::Day => None,
        }
    }
}

/// One market.
#[derive(Clone, Debug, Default)]
pub(crate) struct Market {
    name: Box<str>,
    /// Known from the list, not from a deal.
    is_listed: bool,
    /// With the digits of the message; `None` before the first deal.
    pub(crate) last: Option<Decimal>,
    pub(crate) series: [Series; 4],
    recent: Recent,
    /// Newest deals that no store has.
    unsaved_deals: usize,
    has_changed: bool,
}

impl Market {
    pub(crate) fn series(&self, resolution: Resolution) -> &Series {
        &self.series[resolution as usize]
    }
}

/// What changed in a market since it was last taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Changes {
    /// Place of the market.
    pub market: usize,
    /// Times of the changed candles by [`Resolution`], ascending.
    pub candles: [Vec<i64>; 4],
    /// How many of the newest deals are new; at most [`RECENT_MAX`].
    pub deals: usize,
}

/// Everything that market queries are answered from.
#[derive(Clone, Debug)]
pub struct Board {
    options: Options,
    zone: Zone,
    markets: Vec<Market>,
    places: BTreeMap<Box<str>, usize>,
    /// The local day of the last deal.
    today: Bucket,
}

impl Board {
    /// Without markets.
    pub fn new(options: Options, zone: Zone) -> Board {
        let today = Interval::Days { count: 1, phase: 0 }.bucket(0, &zone);
        Board { options, zone, markets: Vec::new(), places: BTreeMap::new(), today }
    }

    /// How long candles are kept.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// What local days are.
    pub fn zone(&self) -> &Zone {
        &self.zone
    }

    /// Makes a market known before its first deal; its place.
    pub fn list(&mut self, name: &str) -> usize {
        let place = self.place_or_new(name);
        self.markets[place].is_listed = true;
        place
    }

    /// The place of a market, new when a deal is the first that is heard of it.
    pub fn place_or_new(&mut self, name: &str) -> usize {
        if let Some(place) = self.place(name) {
            return place;
        }
        let place = self.markets.len();
        // A new market is written to the store even before it trades.
        self.markets.push(Market { name: name.into(), has_changed: true, ..Market::default() });
        self.places.insert(name.into(), place);
        place
    }

    /// The place of a known market.
    pub fn place(&self, name: &str) -> Option<usize> {
        self.places.get(name).copied()
    }

    /// Names of all markets, by place.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.markets.iter().map(|market| &*market.name)
    }

    pub(crate) fn market(&self, place: usize) -> &Market {
        &self.markets[place]
    }

    /// Counts a deal into the market at `place`; false when it was there already.
    ///
    /// # Panics
    /// When the deal is not valid.
    pub fn apply(&mut self, place: usize, deal: &Deal) -> bool {
        assert!(deal.is_valid(), "whoever reads deals checks them");
        let second = deal.second();
        if !(self.today.start..self.today.end).contains(&second) {
            self.today = Interval::Days { count: 1, phase: 0 }.bucket(second, &self.zone);
        }
        let market = &mut self.markets[place];
        if market.recent.holds(deal) {
            return false;
        }
        let is_zero = self.options.first_candle_zero && market.is_listed;
        let first = if is_zero { Decimal::ZERO } else { deal.price };
        let previous = market.last.unwrap_or(first);
        let turnover = product(deal.price, deal.amount);
        let buckets = [
            second,
            second.div_euclid(60) * 60,
            second.div_euclid(3_600) * 3_600,
            self.today.start,
        ];
        for (series, bucket) in market.series.iter_mut().zip(buckets) {
            series.entry(bucket, previous).add(deal.price, deal.amount, turnover);
        }
        market.last = Some(deal.price);
        market.recent.push(*deal);
        market.unsaved_deals = (market.unsaved_deals + 1).min(RECENT_MAX);
        market.has_changed = true;
        true
    }

    /// Drops candles that are older than the options keep them.
    pub fn clean(&mut self, now: i64) {
        for resolution in Resolution::ALL {
            let Some(from) = self.options.kept_from(resolution, now) else { continue };
            for market in &mut self.markets {
                market.series[resolution as usize].drop_before(from);
            }
        }
    }

    /// Last price with the digits that it was given with; `None` before the first deal.
    pub fn last(&self, place: usize) -> Option<Decimal> {
        self.markets[place].last
    }

    /// The largest id of a deal in any market; 0 before the first.
    pub fn last_deal(&self) -> u64 {
        self.markets.iter().map(|market| market.recent.id_max()).max().unwrap_or(0)
    }

    /// At most `limit` deals, newest first, up to one whose id is `last_id` or less.
    pub fn deals(&self, place: usize, limit: usize, last_id: u64) -> impl Iterator<Item = &Deal> {
        let newest = self.markets[place].recent.newest_first();
        newest.take_while(move |deal| deal.id > last_id).take(limit)
    }

    /// The newest `count` deals, the oldest of them first.
    pub fn newest_deals(&self, place: usize, count: usize) -> impl Iterator<Item = &Deal> {
        self.markets[place].recent.newest(count)
    }

    /// All candles of one length, ascending.
    pub fn candles(&self, place: usize, resolution: Resolution) -> &Series {
        self.markets[place].series(resolution)
    }

    /// One candle.
    pub fn candle(&self, place: usize, resolution: Resolution, time: i64) -> Option<&Candle> {
        self.markets[place].series(resolution).get(time)
    }

    /// Puts a stored candle back; it does not count as changed.
    pub fn restore_candle(
        &mut self,
        place: usize,
        resolution: Resolution,
        time: i64,
        candle: Candle,
    ) {
        self.markets[place].series[resolution as usize].restore(time, candle);
    }

    /// First second of the candle of `resolution` that `time` lies in.
    pub fn bucket_start(&self, resolution: Resolution, time: i64) -> i64 {
        match resolution {
            Resolution::Second => time,
            Resolution::Minute => time.div_euclid(60) * 60,
            Resolution::Hour => time.div_euclid(3_600) * 3_600,
            Resolution::Day => self.zone.day_start(self.zone.day_of(time)),
        }
    }

    /// Makes the candles of each length that has none from those of the next shorter one. Each goes by the
    /// second that it begins at: where hours do not begin at midnight, days want minutes.
    pub fn derive_longer(&mut self, place: usize) {
        for (shorter, &longer) in (0..).zip(&Resolution::ALL[1..]) {
            let series = &self.markets[place].series;
            if series[longer as usize].iter().len() > 0 {
                continue;
            }
            let mut joined: Vec<(i64, Candle)> = Vec::new();
            for (time, candle) in series[shorter].iter() {
                let start = self.bucket_start(longer, time);
                match joined.last_mut() {
                    Some((last, all)) if *last == start => all.join(candle),
                    _ => joined.push((start, *candle)),
                }
            }
            for (time, candle) in joined {
                self.markets[place].series[longer as usize].restore(time, candle);
            }
        }
    }

    /// Puts a stored deal back; the oldest comes first.
    pub fn restore_deal(&mut self, place: usize, deal: Deal) {
        self.markets[place].recent.push(deal);
    }

    /// Puts a stored last price back; 0 is what stores hold of markets without a deal.
    pub fn restore_last(&mut self, place: usize, last: Decimal) {
        self.markets[place].last = (last.coefficient != 0).then_some(last);
    }

    /// What changed since the last call, by market; a market without changes is left out.
    pub fn take_changes(&mut self) -> Vec<Changes> {
        let mut all = Vec::new();
        for (place, market) in self.markets.iter_mut().enumerate() {
            if !core::mem::take(&mut market.has_changed) {
                continue;
            }
            let candles = market.series.each_mut().map(Series::take_changed);
            let deals = core::mem::take(&mut market.unsaved_deals);
            all.push(Changes { market: place, candles, deals });
        }
        all
    }

    /// Says that the store did not take `changes`.
    pub fn put_back(&mut self, changes: &[Changes]) {
        for change in changes {
            let market = &mut self.markets[change.market];
            for (series, times) in market.series.iter_mut().zip(&change.candles) {
                times.iter().for_each(|time| series.note(*time));
            }
            market.unsaved_deals = (market.unsaved_deals + change.deals).min(RECENT_MAX);
            market.has_changed = true;
        }
    }

    /// Says that the store has nothing of what the board holds.
    pub fn put_back_all(&mut self) {
        for market in &mut self.markets {
            market.series.iter_mut().for_each(Series::note_all);
            market.unsaved_deals = market.recent.len();
            market.has_changed = true;
        }
    }
}

/// price x amount, cut to 34 digits; scales that add up to more than 38 lose the digits beyond.
fn product(price: Decimal, amount: Decimal) -> Decimal {
    let scale = u32::from(price.scale) + u32::from(amount.scale);
    match u8::try_from(scale) {
        Ok(scale) if scale <= 38 => Decimal::product(price.coefficient, amount.coefficient, scale),
        _ => {
            // Foreign texts only: the matching engine's scales add up to 20 at most.
            let cut = Decimal { coefficient: price.units_floor(18), scale: 18 };
            let amount = Decimal { coefficient: amount.units_floor(20), scale: 20 };
            Decimal::product(cut.coefficient, amount.coefficient, 38)
        }
    }
}
