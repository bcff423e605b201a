//! Balance updates already seen: the window in which an update takes effect once.
//!
//! A key is kept as 128 bits of its hash: about 50 bytes of memory per update. Keys are forgotten in the
//! order in which they were remembered, by logged time, so that replay forgets exactly what life forgot.

use alloc::collections::VecDeque;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::digest::{mix, mix_bytes};
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

/// The remembered keys.
#[derive(Clone, Debug)]
pub struct Updates {
    window: i64,
    times: HashMap<UpdateKey, Time, FixedState>,
    by_time: VecDeque<(Time, UpdateKey)>,
    digest: u64,
}

impl Updates {
    /// Remembers each key for `window` microseconds.
    pub fn new(window: i64) -> Updates {
        Updates {
            window,
            times: HashMap::with_hasher(FixedState::default()),
            by_time: VecDeque::new(),
            digest: 0,
        }
    }

    /// Whether the key was seen within the window before `now`.
    pub(crate) fn is_seen(&self, key: UpdateKey, now: Time) -> bool {
        self.times.get(&key).is_some_and(|time| !self.is_over(*time, now))
    }

    /// Forgets what is over at `time`, then remembers a key that is not seen.
    pub(crate) fn remember(&mut self, key: UpdateKey, time: Time) {
        while let Some(&(oldest, old)) = self.by_time.front()
            && self.is_over(oldest, time)
        {
            self.by_time.pop_front();
            self.times.remove(&old);
            self.digest = self.digest.wrapping_sub(number(old, oldest));
        }
        let previous = self.times.insert(key, time);
        assert!(previous.is_none(), "a key is remembered once");
        self.by_time.push_back((time, key));
        self.digest = self.digest.wrapping_add(number(key, time));
    }

    /// Every key with its time, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Time, UpdateKey)> + '_ {
        self.by_time.iter().copied()
    }

    pub(crate) fn digest(&self) -> u64 {
        self.digest
    }

    /// Number of keys.
    pub fn len(&self) -> usize {
        self.by_time.len()
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.by_time.is_empty()
    }

    fn is_over(&self, time: Time, now: Time) -> bool {
        now.0.saturating_sub(time.0) > self.window
    }
}

pub(crate) fn number(key: UpdateKey, time: Time) -> u64 {
    mix(0x55, &[key.0 as u64, (key.0 >> 64) as u64, time.0.cast_unsigned()])
}
