//! Candles of one market and one length, by time.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use viabtc_engine::Decimal;

use crate::candle::Candle;

/// Candles in ascending order of their times; nearly every deal meets the last of them.
#[derive(Clone, Debug, Default)]
pub struct Series {
    candles: VecDeque<(i64, Candle)>,
    /// Times of candles that changed since they were last taken; may repeat. Compacted before it is twice
    /// as long as the series, so that a store that is away costs no more than the candles themselves.
    changed: Vec<i64>,
}

impl Series {
    /// The candle of the bucket at `time`, made with all prices `previous` when there is none.
    pub(crate) fn entry(&mut self, time: i64, previous: Decimal) -> &mut Candle {
        self.note(time);
        let index = match self.candles.back() {
            Some((last, _)) if *last == time => self.candles.len() - 1,
            Some((last, _)) if *last > time => {
                let index = self.first_from(time);
                if self.candles[index].0 != time {
                    self.candles.insert(index, (time, Candle::flat(previous)));
                }
                index
            }
            _ => {
                self.candles.push_back((time, Candle::flat(previous)));
                self.candles.len() - 1
            }
        };
        &mut self.candles[index].1
    }

    /// Puts a stored candle back, replacing one of the same time.
    pub(crate) fn restore(&mut self, time: i64, candle: Candle) {
        let index = self.first_from(time);
        match self.candles.get_mut(index) {
            Some(entry) if entry.0 == time => entry.1 = candle,
            _ => self.candles.insert(index, (time, candle)),
        }
    }

    /// Drops candles before `time`.
    pub(crate) fn drop_before(&mut self, time: i64) {
        let count = self.first_from(time);
        self.candles.drain(..count);
        self.changed.retain(|changed| *changed >= time);
    }

    /// Place of the first candle at or after `time`.
    pub(crate) fn first_from(&self, time: i64) -> usize {
        match self.candles.back() {
            Some((last, _)) if *last < time => self.candles.len(),
            _ => self.candles.partition_point(|(other, _)| *other < time),
        }
    }

    /// Candles with `start <= time < end`, ascending.
    pub(crate) fn range(&self, start: i64, end: i64) -> impl Iterator<Item = (i64, &Candle)> {
        self.candles
            .range(self.first_from(start)..)
            .map(|(time, candle)| (*time, candle))
            .take_while(move |(time, _)| *time < end)
    }

    /// The candles of `start <= time < end` as one; `None` without any.
    pub(crate) fn joined(&self, start: i64, end: i64) -> Option<Candle> {
        let mut candles = self.range(start, end);
        let mut all = *candles.next()?.1;
        candles.for_each(|(_, candle)| all.join(candle));
        Some(all)
    }

    /// Price after the last candle with `start <= time < end`.
    pub(crate) fn close_before(&self, start: i64, end: i64) -> Option<Decimal> {
        let (time, candle) = self.candles.get(self.first_from(end).checked_sub(1)?)?;
        (*time >= start).then(|| candle.close())
    }

    /// All of them, ascending.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (i64, &Candle)> + DoubleEndedIterator {
        self.candles.iter().map(|(time, candle)| (*time, candle))
    }

    /// Times that changed since the last call, ascending.
    pub(crate) fn take_changed(&mut self) -> Vec<i64> {
        let mut changed = core::mem::take(&mut self.changed);
        changed.sort_unstable();
        changed.dedup();
        changed
    }

    /// Notes that the candle at `time` differs from what is stored.
    pub(crate) fn note(&mut self, time: i64) {
        if self.changed.last() == Some(&time) {
            return;
        }
        if self.changed.len() > 2 * self.candles.len() + 8 {
            self.changed = self.take_changed();
        }
        self.changed.push(time);
    }

    pub(crate) fn note_all(&mut self) {
        self.changed = self.candles.iter().map(|(time, _)| *time).collect();
    }

    pub(crate) fn get(&self, time: i64) -> Option<&Candle> {
        let (found, candle) = self.candles.get(self.first_from(time))?;
        (*found == time).then_some(candle)
    }
}
