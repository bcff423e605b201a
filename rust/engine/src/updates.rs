//! Balance updates already seen: the window in which an update takes effect once.
//!
//! Keys are forgotten in the order in which they were remembered, by logged time, so that replay forgets
//! exactly what life forgot.

use alloc::boxed::Box;
use alloc::collections::VecDeque;

use foldhash::fast::FixedState;
use hashbrown::HashSet;

use crate::ids::{AssetId, Time, UserId};

/// Bytes of a reason that are compared. Source: the original's key holds 32.
const REASON_BYTES_COMPARED: usize = 32;

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Key {
    user: UserId,
    asset: AssetId,
    reason: Box<[u8]>,
    reason_id: u64,
}

/// The remembered keys.
#[derive(Clone, Debug)]
pub struct Updates {
    window: i64,
    keys: HashSet<Key, FixedState>,
    by_time: VecDeque<(Time, Key)>,
}

impl Updates {
    /// Remembers each key for `window` microseconds.
    pub fn new(window: i64) -> Updates {
        Updates {
            window,
            keys: HashSet::with_hasher(FixedState::default()),
            by_time: VecDeque::new(),
        }
    }

    /// Forgets what is older than the window at `now`.
    pub(crate) fn forget(&mut self, now: Time) {
        while let Some((time, _)) = self.by_time.front()
            && now.0.saturating_sub(time.0) > self.window
            && let Some((_, key)) = self.by_time.pop_front()
        {
            self.keys.remove(&key);
        }
    }

    /// Whether the key was seen within the window before `now`.
    pub(crate) fn is_seen(
        &self,
        user: UserId,
        asset: AssetId,
        reason: &str,
        reason_id: u64,
    ) -> bool {
        self.keys.contains(&key(user, asset, reason, reason_id))
    }

    /// Remembers a key at `time`.
    pub(crate) fn remember(
        &mut self,
        time: Time,
        user: UserId,
        asset: AssetId,
        reason: &str,
        reason_id: u64,
    ) {
        let key = key(user, asset, reason, reason_id);
        let is_new = self.keys.insert(key.clone());
        assert!(is_new, "a key is remembered once");
        self.by_time.push_back((time, key));
    }

    /// Number of keys.
    pub fn len(&self) -> usize {
        self.by_time.len()
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.by_time.is_empty()
    }
}

fn key(user: UserId, asset: AssetId, reason: &str, reason_id: u64) -> Key {
    let compared = &reason.as_bytes()[..reason.len().min(REASON_BYTES_COMPARED)];
    Key { user, asset, reason: compared.into(), reason_id }
}
