//! What ends the process, in words and as an exit code; and the watch that turns a panic into it.
//!
//! A release build aborts on a panic, so nothing unwinds: what must still be done, such as remembering the
//! command that caused it, is done in the panic hook, on the thread that panics.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::{set_hook, take_hook};
use std::rc::Rc;
use std::sync::Once;

use viabtc_journal::JournalError;

use crate::batch::Batch;

/// Exit code after a journal that cannot be written: `EX_IOERR` of sysexits.h.
pub const EXIT_JOURNAL: u8 = 74;

/// Exit code after a defect of the engine: `EX_SOFTWARE` of sysexits.h.
pub const EXIT_DEFECT: u8 = 70;

/// Why the process must end.
#[derive(Debug)]
pub enum Fault<'a> {
    /// An append or sync failed: memory is ahead of the disk, whose content is not known.
    Journal(&'a JournalError),
    /// Applying a request panicked. It is not in the journal.
    Poison {
        /// Number of the command.
        command: u32,
        /// Of the request: see [`crate::poison`].
        digest: u64,
        /// Why it could not be written down for the next start.
        unsaved: Option<String>,
    },
    /// Applying a command of the journal panicked.
    Replay {
        /// Of the command.
        sequence: u64,
    },
    /// The engine panicked elsewhere.
    Defect,
}

impl Fault<'_> {
    /// The exit code that tells a supervisor which of them it was.
    pub fn exit_code(&self) -> u8 {
        match self {
            Fault::Journal(_) => EXIT_JOURNAL,
            Fault::Poison { .. } | Fault::Replay { .. } | Fault::Defect => EXIT_DEFECT,
        }
    }
}

impl fmt::Display for Fault<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Journal(error) => write!(
                f,
                "the process ends because memory is ahead of the disk: {error}. What to do: check the \
                 disk and start again; nothing acknowledged is lost as long as the disk keeps what it \
                 synced"
            ),
            Fault::Poison { command, digest, unsaved } => {
                write!(
                    f,
                    "the process ends because a request of command {command} (digest {digest:016x}) \
                     made the engine panic; it was not applied"
                )?;
                match unsaved {
                    None => write!(f, ", and is refused for a minute after the next start"),
                    Some(cause) => write!(f, ", and could not be noted: {cause}"),
                }
            }
            Fault::Replay { sequence } => write!(
                f,
                "the process ends because command {sequence} of the journal, which was applied once, \
                 makes this build panic. What to do: nothing was changed; start the version of viabtc \
                 that wrote it, and keep a copy of the directory"
            ),
            Fault::Defect => write!(f, "the process ends because the engine panicked"),
        }
    }
}

/// Prints why, in one line, and ends the process at once: nothing that waits for an answer gets one, and
/// no handler of the exit runs, since other threads are in the middle of their work.
pub fn end_process(fault: &Fault<'_>) {
    eprintln!("viabtc: {fault}");
    // SAFETY: `_exit` takes any code, asks for no state of the process, and does not return.
    unsafe { libc::_exit(i32::from(fault.exit_code())) }
}

/// Called with the fault; in production it does not return.
pub type OnFault = fn(&Fault<'_>);

/// Writes a poisonous request down; its digest.
type Note = Box<dyn Fn(u32, &[u8]) -> (u64, Option<String>)>;

/// What the current thread does, for the hook.
struct Watch {
    on_fault: Cell<Option<OnFault>>,
    note: RefCell<Option<Note>>,
    batch: RefCell<Option<Rc<Batch>>>,
    /// Of the request in the batch that is being applied.
    index: Cell<usize>,
    /// Of the command that is being applied again; 0 for none.
    replaying: Cell<u64>,
}

thread_local! {
    static WATCH: Watch = const {
        Watch {
            on_fault: Cell::new(None),
            note: RefCell::new(None),
            batch: RefCell::new(None),
            index: Cell::new(0),
            replaying: Cell::new(0),
        }
    };
}

/// Keeps the current thread watched.
pub(crate) struct Watched(());

/// From now on a panic on this thread leads to `on_fault`.
pub(crate) fn watch(on_fault: OnFault, note: Option<Note>) -> Watched {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| {
        let previous = take_hook();
        set_hook(Box::new(move |panic| {
            previous(panic);
            // A thread that ends has no watch any more, and nothing to report.
            let _ = WATCH.try_with(Watch::report);
        }));
    });
    WATCH.with(|watch| {
        watch.on_fault.set(Some(on_fault));
        watch.note.replace(note);
    });
    Watched(())
}

impl Drop for Watched {
    fn drop(&mut self) {
        WATCH.with(|watch| {
            watch.on_fault.set(None);
            watch.note.take();
            watch.batch.take();
            watch.replaying.set(0);
        });
    }
}

/// The requests that are applied next.
pub(crate) fn enter(batch: &Rc<Batch>) {
    WATCH.with(|watch| watch.batch.replace(Some(Rc::clone(batch))));
}

/// Which of them is.
pub(crate) fn at(index: usize) {
    WATCH.with(|watch| watch.index.set(index));
}

/// None of them is any more.
pub(crate) fn leave() {
    WATCH.with(|watch| watch.batch.replace(None));
}

/// The command of the journal that is applied again.
pub(crate) fn replaying(sequence: u64) {
    WATCH.with(|watch| watch.replaying.set(sequence));
}

impl Watch {
    fn report(&self) {
        // Taken, so that a panic in here is not reported again.
        let Some(on_fault) = self.on_fault.take() else { return };
        let request = self.batch.borrow().clone();
        let request = request.as_ref().and_then(|batch| batch.write_at(self.index.get()));
        let fault = match (request, self.note.borrow().as_ref(), self.replaying.get()) {
            (Some((command, params)), Some(note), _) => {
                let (digest, unsaved) = note(command, params);
                Fault::Poison { command, digest, unsaved }
            }
            (_, _, sequence @ 1..) => Fault::Replay { sequence },
            _ => Fault::Defect,
        };
        on_fault(&fault);
    }
}
