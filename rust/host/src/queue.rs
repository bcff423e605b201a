//! The engine's inbox: bounded by the number of requests, drained in batches.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;

/// What waits for the engine, oldest first.
pub(crate) struct Queue<T> {
    state: Mutex<State<T>>,
    arrived: Condvar,
    capacity: usize,
}

struct State<T> {
    entries: VecDeque<(T, usize)>,
    /// Sum of the entries' weights.
    weight: usize,
    is_closed: bool,
}

/// Why an entry was not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum QueueError {
    /// As much waits as may wait.
    Full,
    /// Nothing more is taken.
    Closed,
}

impl<T> Queue<T> {
    /// Takes entries of a total weight of at most `capacity`.
    pub(crate) fn new(capacity: usize) -> Queue<T> {
        let state = State { entries: VecDeque::new(), weight: 0, is_closed: false };
        Queue { state: Mutex::new(state), arrived: Condvar::new(), capacity }
    }

    /// Adds an entry unless that would exceed the capacity.
    pub(crate) fn push(&self, entry: T, weight: usize) -> Result<(), (T, QueueError)> {
        let mut state = self.lock();
        if state.is_closed {
            return Err((entry, QueueError::Closed));
        }
        if state.weight + weight > self.capacity {
            return Err((entry, QueueError::Full));
        }
        state.weight += weight;
        state.entries.push_back((entry, weight));
        drop(state);
        self.arrived.notify_one();
        Ok(())
    }

    /// Moves entries of a total weight of at most `weight_max`, but at least one, to `out`; waits for the
    /// first. False when the queue is closed and empty, or nothing came in time.
    pub(crate) fn take(&self, weight_max: usize, timeout: Duration, out: &mut Vec<T>) -> bool {
        let state = self.lock();
        let (mut state, _) = self
            .arrived
            .wait_timeout_while(state, timeout, |state| {
                state.entries.is_empty() && !state.is_closed
            })
            .expect("no thread panics while it holds the queue");
        let mut taken = 0;
        while let Some((_, weight)) = state.entries.front()
            && (taken == 0 || taken + weight <= weight_max)
        {
            let (entry, weight) = state.entries.pop_front().expect("an entry is in front");
            taken += weight.max(1);
            state.weight -= weight;
            out.push(entry);
        }
        taken > 0
    }

    /// Refuses further entries; those inside can still be taken.
    pub(crate) fn close(&self) {
        self.lock().is_closed = true;
        self.arrived.notify_all();
    }

    pub(crate) fn is_finished(&self) -> bool {
        let state = self.lock();
        state.is_closed && state.entries.is_empty()
    }

    pub(crate) fn weight(&self) -> usize {
        self.lock().weight
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().expect("no thread panics while it holds the queue")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_in_order_and_up_to_the_weight() {
        let queue = Queue::new(10);
        for entry in 1..=4 {
            queue.push(entry, 3).map_or_else(
                |(entry, error)| assert_eq!((entry, error), (4, QueueError::Full)),
                |()| (),
            );
        }
        let mut out = Vec::new();
        assert!(queue.take(6, Duration::ZERO, &mut out));
        assert_eq!((out.as_slice(), queue.weight()), ([1, 2].as_slice(), 3));
        assert!(queue.take(1, Duration::ZERO, &mut out));
        assert_eq!(out, [1, 2, 3]);
        assert!(!queue.take(1, Duration::ZERO, &mut out));
    }

    #[test]
    fn a_closed_queue_gives_what_it_has_and_takes_nothing() {
        let queue = Queue::new(10);
        queue.push('a', 1).unwrap();
        queue.close();
        assert_eq!(queue.push('b', 1), Err(('b', QueueError::Closed)));
        let mut out = Vec::new();
        assert!(!queue.is_finished() && queue.take(1, Duration::ZERO, &mut out));
        assert!(queue.is_finished() && !queue.take(1, Duration::from_secs(60), &mut out));
    }
}
