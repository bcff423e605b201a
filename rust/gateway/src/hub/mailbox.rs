//! The way into a thread of the hub: what others tell it, bounded by bytes.

use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Instant;

use super::ConnectionId;
use super::frames::{Closing, Frame};
use super::topics::Publication;
use crate::backend::Outbox;

/// Bytes of publications that may wait for a thread before publishers wait.
const MAILBOX_BYTES_MAX: usize = 16 << 20;

/// What other threads tell a thread of the hub.
pub(crate) enum Command {
    Publish(Arc<Vec<(Arc<str>, Publication)>>),
    Authenticate { connection: ConnectionId, user: u32, grant: u32, answer: Frame },
    Answer { connection: ConnectionId, answer: Frame },
    Close { connection: ConnectionId, closing: Closing },
    ClosePrivate(Closing),
    Withdraw(u32),
    Ask { tag: u32, place: usize, command: u32, params: Vec<u8> },
}

/// The way into a thread of the hub.
pub(crate) struct Mailbox {
    state: Mutex<Letters>,
    taken: Condvar,
    /// Its waker is the thread's.
    outbox: Outbox,
}

#[derive(Default)]
struct Letters {
    commands: Vec<Command>,
    /// Of publications.
    bytes: usize,
    deadline: Option<Instant>,
}

impl Mailbox {
    /// `outbox` wakes the thread.
    pub(super) fn new(outbox: Outbox) -> Mailbox {
        Mailbox { state: Mutex::default(), taken: Condvar::new(), outbox }
    }

    pub(crate) fn send(&self, command: Command) {
        let mut letters = self.lock();
        letters.commands.push(command);
        if letters.commands.len() == 1 {
            self.wake();
        }
    }

    /// As `send`, after waiting for room.
    pub(crate) fn send_bounded(&self, command: Command, bytes: usize) {
        let letters = self.lock();
        let mut letters = self
            .taken
            .wait_while(letters, |letters| {
                letters.bytes > MAILBOX_BYTES_MAX && letters.deadline.is_none()
            })
            .expect("nobody panics while holding the mailbox");
        letters.bytes += bytes;
        letters.commands.push(command);
        if letters.commands.len() == 1 {
            self.wake();
        }
    }

    pub(crate) fn stop(&self, deadline: Instant) {
        self.lock().deadline = Some(deadline);
        self.taken.notify_all();
        self.wake();
    }

    pub(super) fn take(&self) -> (Vec<Command>, Option<Instant>) {
        let mut letters = self.lock();
        if letters.bytes > 0 {
            letters.bytes = 0;
            self.taken.notify_all();
        }
        (mem::take(&mut letters.commands), letters.deadline)
    }

    /// Whether something waits for the thread.
    pub(super) fn has_news(&self) -> bool {
        !self.lock().commands.is_empty() || self.outbox.is_waiting()
    }

    /// The way of answers to the thread.
    pub(super) fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    fn wake(&self) {
        self.outbox.wake();
    }

    fn lock(&self) -> MutexGuard<'_, Letters> {
        self.state.lock().expect("nobody panics while holding the mailbox")
    }
}
