//! Segments made ahead: zero-filled, synced files that only need a name. When they cannot be made, the
//! disk is about to be full, and the owner refuses writes before the journal needs the space. When one of
//! them cannot be synced for another reason, the disk loses what is written, and the journal ends.
//!
//! Segments that no snapshot needs any more are filled with zeros again and become the next ones: then the
//! file system has nothing to allocate and nothing to give back.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::error::JournalError;
use crate::reader::segment_numbers;
use crate::segment::{USED, number_in};
use crate::storage::{File, Storage};

/// Segments kept ready.
const SPARES: usize = 2;

/// Pause after a failure to make one.
const RETRY: Duration = Duration::from_millis(500);

/// Bytes of zeros that go to the disk at once. A segment that is written whole and then synced held up every
/// commit of the journal beside it by 8 to 19 ms: the system makes requests of 4 MiB of it, each of which
/// keeps a disk busy for 3 to 5 ms. Beside pieces of this size and pauses of [`PAUSE`] their times were
/// those without.
const PIECE: usize = 256 << 10;

/// Between two pieces while nobody waits for them: 64 MiB take about a second then.
const PAUSE: Duration = Duration::from_micros(2_500);

/// Keeps [`SPARES`] segments ready: from a thread of its own, or whenever it is asked.
pub(crate) struct Reserve<S: Storage> {
    shared: Arc<Shared<S>>,
    thread: Option<JoinHandle<()>>,
}

struct Shared<S> {
    storage: S,
    segment_bytes: u64,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    ready: Vec<String>,
    /// Found at the start, and not looked at yet: reading them would hold the start up.
    leftover: Vec<String>,
    next_number: u64,
    is_failing: bool,
    /// Text of the last failure.
    cause: String,
    /// A failure that no further attempt can mend, until the owner was told.
    broken: Option<JournalError>,
    is_stopping: bool,
}

impl<S: Storage + Sync> Reserve<S> {
    /// Takes over the spares in the directory that are as they should be, makes the others anew, and goes
    /// on making new ones: with `is_ahead` from a thread.
    ///
    /// # Errors
    /// When the directory cannot be listed or the thread cannot start.
    pub(crate) fn start(
        storage: &S,
        segment_bytes: u64,
        is_ahead: bool,
    ) -> Result<Reserve<S>, JournalError> {
        let names = storage.list().map_err(JournalError::io("list", "the directory"))?;
        let mut next_number = segment_numbers(storage)?.last().copied().unwrap_or(0);
        let mut leftover = Vec::new();
        for name in names {
            let Some(number) = number_in(&name, "spare-", ".seg") else { continue };
            next_number = next_number.max(number);
            leftover.push(name);
        }
        let state = State {
            ready: Vec::new(),
            leftover,
            next_number: next_number + 1,
            is_failing: false,
            cause: String::new(),
            broken: None,
            is_stopping: false,
        };
        let shared = Arc::new(Shared {
            storage: storage.clone(),
            segment_bytes,
            state: Mutex::new(state),
            changed: Condvar::new(),
        });
        if !is_ahead {
            return Ok(Reserve { shared, thread: None });
        }
        let worker = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("journal-reserve".into())
            .spawn(move || worker.run())
            .map_err(JournalError::io("start", "the thread that prepares segments"))?;
        Ok(Reserve { shared, thread: Some(thread) })
    }

    /// Whether the next segments are there, or can be expected to be.
    ///
    /// # Errors
    /// As [`Reserve::check`].
    pub(crate) fn is_filled(&self) -> Result<bool, JournalError> {
        let mut state = self.shared.lock();
        if self.thread.is_none() {
            while state.ready.len() < SPARES {
                state = self.shared.add(state, false);
                if state.is_failing {
                    break;
                }
            }
        }
        state.check()?;
        Ok(!state.is_failing || state.ready.len() >= SPARES)
    }

    /// Whether the disk is as it should be, as far as was seen.
    ///
    /// # Errors
    /// When a segment could not be synced although there is space.
    pub(crate) fn check(&self) -> Result<(), JournalError> {
        self.shared.lock().check()
    }

    /// The name of a blank segment: a ready one, else one made now.
    ///
    /// # Errors
    /// [`JournalError::NoSpace`] when none can be made, and as [`Reserve::check`].
    pub(crate) fn take(&self) -> Result<String, JournalError> {
        let mut state = self.shared.lock();
        if state.ready.is_empty() {
            state = self.shared.add(state, false);
        }
        state.check()?;
        match (state.ready.pop(), &state.cause) {
            (Some(name), _) => {
                self.shared.changed.notify_all();
                Ok(name)
            }
            (None, cause) => Err(JournalError::NoSpace { cause: cause.clone() }),
        }
    }
}

impl<S: Storage> Drop for Reserve<S> {
    fn drop(&mut self) {
        self.shared.lock().is_stopping = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported, and everything it held was a spare.
            let _ = thread.join();
        }
    }
}

impl State {
    fn name(&mut self) -> String {
        let number = self.next_number;
        self.next_number += 1;
        format!("spare-{number:010}.seg")
    }

    fn check(&mut self) -> Result<(), JournalError> {
        self.broken.take().map_or(Ok(()), Err)
    }
}

impl<S: Storage> Shared<S> {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread panics while it holds the reserve")
    }

    fn run(&self) {
        let mut state = self.lock();
        while !state.is_stopping {
            if state.ready.len() >= SPARES {
                state = self.changed.wait(state).expect("no thread panics here");
                continue;
            }
            state = self.add(state, true);
            if state.is_failing {
                state = self.changed.wait_timeout(state, RETRY).expect("no thread panics here").0;
            }
        }
    }

    /// Makes one more spare, and meanwhile lets go of the state. With `is_gentle` it takes its time while
    /// there is another.
    fn add<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        is_gentle: bool,
    ) -> MutexGuard<'a, State> {
        let leftover = state.leftover.pop();
        let name = leftover.clone().unwrap_or_else(|| state.name());
        drop(state);
        let made = self.prepare(&name, leftover.is_some(), is_gentle);
        if made.is_err() {
            // What was written of it would take the space that others need.
            let _ = self.storage.remove(&name);
        }
        state = self.lock();
        state.is_failing = made.is_err();
        match made {
            Ok(()) => state.ready.push(name),
            Err(error) => {
                state.cause = error.to_string();
                if is_broken(&error) {
                    state.broken = Some(error);
                }
            }
        }
        state
    }

    /// Makes `name` a blank segment: of what has that name already, of a segment that no snapshot needs, or
    /// anew.
    fn prepare(&self, name: &str, is_there: bool, is_gentle: bool) -> Result<(), JournalError> {
        if is_there || self.take_over(name)? {
            // After a power loss it must not stand there under an older name, as a segment that is damaged.
            self.storage.sync_directory().map_err(JournalError::io("sync", "the directory"))?;
            match self.clear(name, is_gentle) {
                Ok(true) => return Ok(()),
                Err(error) if is_broken(&error) => return Err(error),
                // Of another size, or it cannot be read.
                Ok(false) | Err(_) => {}
            }
        }
        self.make(name, is_gentle)
    }

    /// Gives a used segment the name `name`; false without one. The owner's thread may be at it, too.
    fn take_over(&self, name: &str) -> Result<bool, JournalError> {
        let names = self.storage.list().map_err(JournalError::io("list", "the directory"))?;
        for used in names.iter().filter(|name| number_in(name, USED, ".seg").is_some()) {
            match self.storage.rename(used, name) {
                Ok(()) => return Ok(true),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(JournalError::io("rename", used)(error)),
            }
        }
        Ok(false)
    }

    /// Writes zeros over what is not zero, durably; false when the file is of another size.
    fn clear(&self, name: &str, is_gentle: bool) -> Result<bool, JournalError> {
        let file = self.storage.open(name).map_err(JournalError::io("open", name))?;
        if file.size().map_err(JournalError::io("read", name))? != self.segment_bytes {
            return Ok(false);
        }
        let (zeros, mut found) = (vec![0; PIECE], vec![0; PIECE]);
        let mut offset = 0;
        while offset < self.segment_bytes {
            let count = file.read_at(&mut found, offset).map_err(JournalError::io("read", name))?;
            if count == 0 {
                return Ok(false);
            }
            if found[..count].iter().any(|byte| *byte != 0) {
                put(&file, name, &zeros[..count], offset)?;
            }
            offset += count as u64;
            if is_gentle {
                self.pause();
            }
        }
        file.sync().map_err(JournalError::io("sync", name))?;
        Ok(true)
    }

    /// Writes zeros rather than a hole: the blocks are then allocated, and appending needs no further ones.
    fn make(&self, name: &str, is_gentle: bool) -> Result<(), JournalError> {
        let file = self.storage.create(name).map_err(JournalError::io("create", name))?;
        let zeros = vec![0; PIECE];
        let mut offset = 0;
        while offset < self.segment_bytes {
            let count = usize::try_from(self.segment_bytes - offset).unwrap_or(PIECE).min(PIECE);
            put(&file, name, &zeros[..count], offset)?;
            offset += count as u64;
            if is_gentle {
                self.pause();
            }
        }
        file.sync().map_err(JournalError::io("sync", name))?;
        self.storage.sync_directory().map_err(JournalError::io("sync", "the directory"))
    }

    /// Waits a moment, unless the last spare was taken or the owner stops.
    fn pause(&self) {
        let is_unhurried = |state: &mut State| !state.ready.is_empty() && !state.is_stopping;
        let waited = self.changed.wait_timeout_while(self.lock(), PAUSE, is_unhurried);
        drop(waited.expect("no thread panics here"));
    }
}

/// Writes a piece, which begins to go to the disk at once.
fn put(file: &impl File, name: &str, piece: &[u8], offset: u64) -> Result<(), JournalError> {
    file.write_at(piece, offset).map_err(JournalError::io("write", name))?;
    file.write_out(offset, piece.len() as u64).map_err(JournalError::io("sync", name))
}

/// Whether a failure says that the disk does not keep what it was given: no other file is safer than this
/// one. A full disk, or one file too many, is mended by waiting.
fn is_broken(error: &JournalError) -> bool {
    use std::io::ErrorKind::{QuotaExceeded, StorageFull};
    match error {
        JournalError::Io { operation: "sync", source, .. } => {
            !matches!(source.kind(), StorageFull | QuotaExceeded)
        }
        _ => false,
    }
}
