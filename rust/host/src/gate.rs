//! Writes that are acknowledged only when another store has them too, beside the journal.
//!
//! The engine's thread hands over the replies of writes whose records are durable here; whoever writes the
//! other store says how far that one is. Replies leave in the order in which they came. A store that was not
//! heard of for [`SILENCE_MAX`] closes the gate: writes are then refused before they are applied, so that
//! what waits is bounded.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::batch::{Replies, ReplyTo};

/// How long the other store may be silent before writes are refused.
pub const SILENCE_MAX: Duration = Duration::from_secs(1);

/// Requests whose replies wait at most; above it writes are refused.
const HELD_REQUESTS_MAX: usize = 65_536;

/// What waits for the other store.
pub struct Gate {
    state: Mutex<State>,
}

struct State {
    /// Every command up to this one is in the other store.
    acknowledged: u64,
    /// When the store was last heard of; `None` before the first time, and once the gate is shut for good.
    heard: Option<Instant>,
    is_shut: bool,
    held: VecDeque<Held>,
    held_requests: usize,
    wakers: Vec<Box<dyn Fn() + Send>>,
}

/// Replies that depend on commands up to `sequence`.
struct Held {
    sequence: u64,
    replies: Replies,
    reply_to: Box<dyn ReplyTo>,
}

impl Gate {
    /// A closed gate in front of a store that may lack everything behind `acknowledged`.
    pub(crate) fn new(acknowledged: u64) -> Gate {
        Gate {
            state: Mutex::new(State {
                acknowledged,
                heard: None,
                is_shut: false,
                held: VecDeque::new(),
                held_requests: 0,
                wakers: Vec::new(),
            }),
        }
    }

    /// Whether writes may be applied at `now`.
    pub(crate) fn is_open(&self, now: Instant) -> bool {
        let state = self.lock();
        let is_heard =
            state.heard.is_some_and(|heard| now.saturating_duration_since(heard) <= SILENCE_MAX);
        is_heard && !state.is_shut && state.held_requests < HELD_REQUESTS_MAX
    }

    /// Sends replies when the store has every command up to `sequence`: at once, or later.
    pub(crate) fn hold(&self, sequence: u64, replies: Replies, reply_to: Box<dyn ReplyTo>) {
        let mut state = self.lock();
        if sequence <= state.acknowledged && state.held.is_empty() {
            drop(state);
            reply_to.reply(replies);
            return;
        }
        state.held_requests += replies.len();
        state.held.push_back(Held { sequence, replies, reply_to });
    }

    /// The store was heard of, and has every command up to `sequence`.
    pub fn acknowledge(&self, sequence: u64) {
        let mut state = self.lock();
        state.heard = Some(Instant::now());
        state.acknowledged = state.acknowledged.max(sequence);
        let acknowledged = state.acknowledged;
        let count = state.held.iter().take_while(|held| held.sequence <= acknowledged).count();
        let ready: Vec<Held> = state.held.drain(..count).collect();
        state.held_requests -= ready.iter().map(|held| held.replies.len()).sum::<usize>();
        state.wakers.iter().for_each(|wake| wake());
        // Under the lock, so that replies keep their order.
        for held in ready {
            held.reply_to.reply(held.replies);
        }
    }

    /// Refuses writes from now on; those that wait are still answered.
    pub fn shut(&self) {
        self.lock().is_shut = true;
    }

    /// Every command up to this one is in the other store.
    pub fn acknowledged(&self) -> u64 {
        self.lock().acknowledged
    }

    /// Requests whose replies wait.
    pub fn held_requests(&self) -> usize {
        self.lock().held_requests
    }

    /// Calls `wake` whenever the store was heard of; it must not block.
    pub fn on_acknowledge(&self, wake: Box<dyn Fn() + Send>) {
        self.lock().wakers.push(wake);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread panics while it holds the gate")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::{Sender, channel};

    use super::*;
    use crate::batch::{Batch, Layout};
    use viabtc_engine::Config;
    use viabtc_wire::methods::ErrorCode;
    use viabtc_wire::request::Names;

    struct Told(u64, Sender<u64>);

    impl ReplyTo for Told {
        fn reply(self: Box<Self>, _: Replies) {
            self.1.send(self.0).unwrap();
        }
    }

    fn replies() -> Replies {
        let nothing = Config { assets: Vec::new(), markets: Vec::new(), update_window: 1 };
        let batch = Batch::new(Arc::new(Names::new(&nothing)));
        batch.refuse(ErrorCode::ServiceUnavailable, Layout::Compact)
    }

    #[test]
    fn replies_wait_for_the_store_and_keep_their_order() {
        let gate = Gate::new(4);
        let (sender, receiver) = channel();
        for sequence in [4, 6, 6, 9] {
            gate.hold(sequence, replies(), Box::new(Told(sequence, sender.clone())));
        }
        let told = || receiver.try_iter().collect::<Vec<_>>();
        assert_eq!(told(), [4]);
        gate.acknowledge(5);
        assert!(told().is_empty());
        gate.acknowledge(8);
        assert_eq!(told(), [6, 6]);
        // A store that was read back says less than it had.
        gate.acknowledge(3);
        assert!(told().is_empty() && gate.acknowledged() == 8);
        gate.acknowledge(9);
        assert_eq!(told(), [9]);
    }

    #[test]
    fn a_silent_store_closes_the_gate() {
        let gate = Gate::new(0);
        assert!(!gate.is_open(Instant::now()), "it was never heard of");
        gate.acknowledge(0);
        let heard = Instant::now();
        assert!(gate.is_open(heard));
        assert!(!gate.is_open(heard + SILENCE_MAX + Duration::from_millis(1)));
        gate.acknowledge(0);
        gate.shut();
        assert!(!gate.is_open(Instant::now()));
    }
}
