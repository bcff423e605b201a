//! Balance updates already seen: the window in which an update takes effect once. Orders that take effect
//! once are remembered in the same way, with what became of them: [`crate::once`].
//!
//! A key is kept as 128 bits of its hash: 45 to 58 bytes of memory per update, index included. Keys are
//! forgotten in the order in which they were remembered, by logged time, so that replay forgets exactly what
//! life forgot.

use crate::book::Index;
use crate::chunks::Chunks;
use crate::digest::{mix, mix_bytes, weigh};
use crate::ids::{Time, UserId};

/// Bytes of a reason that are compared. Source: the original's key holds 32.
const REASON_BYTES_COMPARED: usize = 32;

/// Identity of an update: user, asset, reason and number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct UpdateKey(pub(crate) u128);

impl UpdateKey {
    /// The asset is named by its name, whose meaning outlives a configuration.
    pub(crate) fn new(user: UserId, asset_name: &str, reason: &str, reason_id: u64) -> UpdateKey {
        let compared = &reason.as_bytes()[..reason.len().min(REASON_BYTES_COMPARED)];
        let half = |domain| {
            let asset = mix_bytes(domain, asset_name.as_bytes());
            let reason = mix_bytes(domain, compared);
            mix(domain, &[u64::from(user.0), reason_id, asset, reason])
        };
        UpdateKey(u128::from(half(0x51)) << 64 | u128::from(half(0x52)))
    }
}

/// No record.
const NONE: u32 = u32::MAX;

/// What is kept beside a key.
pub(crate) trait Remembered: Copy {
    /// The number in the digest of a key that has `number` by itself.
    fn number(&self, number: u64) -> u64;
}

/// Of a balance update nothing is.
impl Remembered for () {
    fn number(&self, number: u64) -> u64 {
        number
    }
}

/// A remembered key: 32 bytes, and what is kept beside it.
#[derive(Clone, Copy, Debug)]
struct Record<T> {
    /// Halves of the key, upper one first.
    key: [u64; 2],
    time: Time,
    kept: T,
    /// The next younger one; of a free record, the next free one.
    next: u32,
}

impl<T> Record<T> {
    fn key(&self) -> UpdateKey {
        UpdateKey(u128::from(self.key[0]) << 64 | u128::from(self.key[1]))
    }
}

/// The remembered keys.
#[derive(Clone, Debug)]
pub struct Updates<T = ()> {
    window: i64,
    records: Chunks<Record<T>>,
    index: Index,
    oldest: u32,
    youngest: u32,
    free: u32,
    length: usize,
    digest: u64,
}

// What is kept is this crate's business; that keys are counted is everybody's.
#[expect(private_bounds, reason = "nobody else keeps anything")]
impl<T: Remembered> Updates<T> {
    /// Remembers each key for `window` microseconds.
    pub fn new(window: i64) -> Updates<T> {
        Updates {
            window,
            records: Chunks::new(),
            index: Index::new(),
            oldest: NONE,
            youngest: NONE,
            free: NONE,
            length: 0,
            digest: 0,
        }
    }

    /// Whether the key was seen within the window before `now`.
    pub(crate) fn is_seen(&self, key: UpdateKey, now: Time) -> bool {
        self.seen(key, now).is_some()
    }

    /// When the key was seen within the window before `now`, and what is kept beside it.
    pub(crate) fn seen(&self, key: UpdateKey, now: Time) -> Option<(Time, T)> {
        let record = self.records.get(self.find(key)?);
        (!self.is_over(record.time, now)).then_some((record.time, record.kept))
    }

    /// Whether the next key that is remembered takes the place of another.
    pub(crate) fn is_any_over(&self, now: Time) -> bool {
        self.oldest != NONE && self.is_over(self.records.get(self.oldest).time, now)
    }

    /// Forgets what is over at `time`, then remembers a key that is not seen.
    pub(crate) fn remember(&mut self, key: UpdateKey, time: Time, kept: T) {
        while self.oldest != NONE && self.is_over(self.records.get(self.oldest).time, time) {
            self.forget_oldest();
        }
        assert!(self.find(key).is_none(), "a key is remembered once");
        let halves = [(key.0 >> 64) as u64, key.0 as u64];
        let record = Record { key: halves, time, kept, next: NONE };
        let place = if self.free == NONE {
            self.records.push(record)
        } else {
            let place = self.free;
            let free = self.records.get_mut(place);
            self.free = free.next;
            *free = record;
            place
        };
        if self.oldest == NONE {
            self.oldest = place;
        } else {
            self.records.get_mut(self.youngest).next = place;
        }
        self.youngest = place;
        self.length += 1;
        let records = &self.records;
        self.index.insert(halves[1], place, |a, b| records.get(a).key == records.get(b).key);
        self.digest = self.digest.wrapping_add(kept.number(number(key, time)));
    }

    /// Forgets a key, if it is remembered; those before it are looked at one by one.
    pub(crate) fn forget(&mut self, key: UpdateKey) {
        let Some(place) = self.find(key) else { return };
        if place == self.oldest {
            return self.forget_oldest();
        }
        let mut before = self.oldest;
        while self.records.get(before).next != place {
            before = self.records.get(before).next;
        }
        let record = self.records.get_mut(place);
        let (time, next) = (record.time, record.next);
        record.next = self.free;
        self.free = place;
        self.records.get_mut(before).next = next;
        if place == self.youngest {
            self.youngest = before;
        }
        self.index.remove(key.0 as u64, place);
        self.length -= 1;
        self.digest = self.digest.wrapping_sub(number(key, time));
    }

    /// Asks memory for where a key is looked up, and where the one goes that it displaces; for
    /// [`crate::warm`].
    pub(crate) fn prefetch(&self, key: UpdateKey) {
        self.index.prefetch(key.0 as u64);
        self.index.prefetch_displaced(key.0 as u64);
    }

    /// Every key with its time and what is kept beside it, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Time, UpdateKey, T)> + '_ {
        let mut next = self.oldest;
        core::iter::from_fn(move || {
            if next == NONE {
                return None;
            }
            let record = self.records.get(next);
            next = record.next;
            Some((record.time, record.key(), record.kept))
        })
    }

    pub(crate) fn digest(&self) -> u64 {
        self.digest
    }

    /// Number of keys.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    fn find(&self, key: UpdateKey) -> Option<u32> {
        self.index.find(key.0 as u64, |place| self.records.get(place).key() == key)
    }

    fn forget_oldest(&mut self) {
        let place = self.oldest;
        let record = self.records.get_mut(place);
        let (key, time, kept) = (record.key(), record.time, record.kept);
        self.oldest = record.next;
        record.next = self.free;
        self.free = place;
        if self.oldest == NONE {
            self.youngest = NONE;
        }
        self.index.remove(key.0 as u64, place);
        self.length -= 1;
        self.digest = self.digest.wrapping_sub(kept.number(number(key, time)));
    }

    fn is_over(&self, time: Time, now: Time) -> bool {
        now.0.saturating_sub(time.0) > self.window
    }
}

pub(crate) fn number(key: UpdateKey, time: Time) -> u64 {
    weigh([key.0 as u64, (key.0 >> 64) as u64, time.0.cast_unsigned(), 0x55])
}
