//! Has the feed written to the disk while it grows. The system would do it in requests of 4 MiB, now and
//! then or when a snapshot's process syncs the feed, and the engine's thread itself for what is left when
//! a file is full: a disk that does one request after the other keeps a commit of the journal waiting for
//! 3 to 5 ms behind each.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::storage::{File, Storage};

/// Bytes that go to the disk at once.
const PIECE: u64 = 256 << 10;

/// Between two pieces: others get between them, and a gibibyte takes four seconds.
const PAUSE: Duration = Duration::from_millis(1);

/// Ranges that wait at most. What comes while they do is left to the system.
const WAITING: usize = 16;

/// A thread that writes out what it is told of.
pub(super) struct Outflow {
    sender: Option<SyncSender<Range>>,
    is_stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

struct Range {
    name: String,
    begin: u64,
    end: u64,
}

impl Outflow {
    /// Starts the thread.
    pub(super) fn start<S: Storage>(storage: &S) -> io::Result<Outflow> {
        let (sender, receiver) = sync_channel(WAITING);
        let (storage, is_stopping) = (storage.clone(), Arc::new(AtomicBool::new(false)));
        let seen = Arc::clone(&is_stopping);
        let thread = std::thread::Builder::new()
            .name("feed-outflow".into())
            .spawn(move || write_out(&storage, &receiver, &seen))?;
        Ok(Outflow { sender: Some(sender), is_stopping, thread: Some(thread) })
    }

    /// How far the file `name`, which is as long as `end`, is taken care of, if it was to `begin`.
    pub(super) fn note(&self, name: &str, begin: u64, end: u64) -> u64 {
        let end = end - end % PIECE;
        if end > begin
            && let Some(sender) = &self.sender
        {
            // Without room for it, the system writes it some time.
            let _ = sender.try_send(Range { name: name.to_owned(), begin, end });
        }
        end.max(begin)
    }
}

impl Drop for Outflow {
    fn drop(&mut self) {
        self.is_stopping.store(true, Ordering::Relaxed);
        self.sender = None;
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported, and nothing depends on what it did.
            let _ = thread.join();
        }
    }
}

fn write_out<S: Storage>(storage: &S, ranges: &Receiver<Range>, is_stopping: &AtomicBool) {
    let mut open: Option<(String, S::File)> = None;
    while let Ok(Range { name, mut begin, end }) = ranges.recv() {
        if open.as_ref().is_none_or(|(opened, _)| *opened != name) {
            // A file that went meanwhile needs nothing more.
            open = storage.open(&name).ok().map(|file| (name, file));
        }
        let Some((_, file)) = &open else { continue };
        while begin < end && !is_stopping.load(Ordering::Relaxed) {
            // The syncs tell what cannot be written.
            let _ = file.begin_write_out(begin, PIECE);
            begin += PIECE;
            std::thread::sleep(PAUSE);
        }
    }
}
