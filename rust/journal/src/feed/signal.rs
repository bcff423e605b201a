//! Tells followers of the feed that there is more of it.

use std::fmt;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;

/// Shared by the writer and all who follow it in the same process.
#[derive(Default)]
pub struct FeedSignal {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    flushed: u64,
    is_closed: bool,
    wakers: Vec<Box<dyn Fn() + Send>>,
}

impl FeedSignal {
    /// Sequence of the last record that readers can see.
    pub fn flushed(&self) -> u64 {
        self.lock().flushed
    }

    /// Waits until there is a record behind `after`, the writer is gone, or the time is over; whether there
    /// is one.
    pub fn wait(&self, after: u64, timeout: Duration) -> bool {
        let state = self.lock();
        let (state, _) = self
            .changed
            .wait_timeout_while(state, timeout, |state| state.flushed <= after && !state.is_closed)
            .expect("no thread panics while it holds the signal");
        state.flushed > after
    }

    /// Calls `wake` after every flush, on the writer's thread: it must not block, such as a write to an
    /// eventfd. It stays for the life of the writer.
    pub fn on_flush(&self, wake: Box<dyn Fn() + Send>) {
        self.lock().wakers.push(wake);
    }

    /// Whether nothing more comes.
    pub fn is_closed(&self) -> bool {
        self.lock().is_closed
    }

    pub(crate) fn flush(&self, sequence: u64) {
        let mut state = self.lock();
        state.flushed = sequence;
        state.wakers.iter().for_each(|wake| wake());
        drop(state);
        self.changed.notify_all();
    }

    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        state.wakers.iter().for_each(|wake| wake());
        drop(state);
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread panics while it holds the signal")
    }
}

impl fmt::Debug for FeedSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FeedSignal").field("flushed", &self.flushed()).finish_non_exhaustive()
    }
}
