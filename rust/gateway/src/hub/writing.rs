//! What is due is written: by the thread alone, or with others when it is much.
//!
//! A write to a socket is a few microseconds of the system's time, so thousands of them are what a push to
//! thousands of subscribers takes. The thread then shares them out: everything else waits for the turn to end
//! anyway, and each connection is written by one thread only.

use std::net::Shutdown;
use std::sync::Mutex;
use std::{mem, thread};

use super::connection::Phase;
use super::metrics::Written;
use super::state::Core;

/// Connections for each thread that writes. To start one takes some ten writes' time, but on a busy machine it
/// may wait for a processor, and the turn for its end.
const SHARED_MIN: usize = 1_024;

/// Connections that a thread takes at once: less than a millisecond's work, so that all end together.
const SHARE: usize = 64;

impl Core {
    /// Writes each connection that has something.
    pub(super) fn write_all(&mut self) {
        let dirty = mem::take(&mut self.dirty);
        let others = self.options.writers.min(dirty.len() / SHARED_MIN).saturating_sub(1);
        if others == 0 {
            for place in dirty {
                self.write(place);
            }
            return;
        }
        let Core { places, metrics, now_ms, .. } = self;
        let connections = places.iter_mut().filter_map(|place| place.connection.as_mut());
        let mut due: Vec<_> = connections.filter(|connection| connection.is_dirty).collect();
        let shares = Mutex::new(due.chunks_mut(SHARE));
        let write = || {
            let mut written = Written::default();
            while let Some(share) = next(&shares) {
                for connection in share {
                    connection.is_broken = connection.write(&mut written, *now_ms).is_err();
                }
            }
            metrics.add(&written);
        };
        thread::scope(|scope| {
            for _ in 0..others {
                // Without it the others, and this one, write its part.
                let _ = thread::Builder::new().name("hub-writer".into()).spawn_scoped(scope, write);
            }
            write();
        });
        for place in dirty {
            self.settle(place);
        }
    }

    /// Writes one connection.
    pub(super) fn write(&mut self, place: u32) {
        let Core { places, metrics, now_ms, .. } = self;
        let slot = places.get_mut(place as usize);
        let Some(connection) = slot.and_then(|slot| slot.connection.as_mut()) else { return };
        let mut written = Written::default();
        connection.is_broken = connection.write(&mut written, *now_ms).is_err();
        metrics.add(&written);
        self.settle(place);
    }

    /// What follows when a connection was written.
    fn settle(&mut self, place: u32) {
        let Some(connection) = self.connection(place) else { return };
        connection.is_dirty = false;
        if connection.is_broken {
            return self.drop_connection(place);
        }
        if connection.phase == Phase::Closing && connection.queue.is_empty() && !connection.is_shut
        {
            // A close with unread input would reset the connection and may take the last bytes with it.
            let _ = connection.socket.shutdown(Shutdown::Write);
            connection.is_shut = true;
            self.activate(place);
        }
    }
}

fn next<T>(shares: &Mutex<impl Iterator<Item = T>>) -> Option<T> {
    shares.lock().expect("nobody panics while holding it").next()
}
