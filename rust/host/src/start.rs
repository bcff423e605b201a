//! Opening a directory: snapshot, journal, feed; and what to tell the operator about it.

use std::io;
use std::path::Path;
use std::time::{Instant, SystemTime};

use viabtc_engine::Exchange;
use viabtc_journal::{
    Directory, FeedWriter, Journal, JournalError, Storage, Torn, latest_snapshot, remove_feed,
};

use crate::codec::write_feed_entry;
use crate::configs;
use crate::host::{Durability, Options};
use crate::merge::merge;
use crate::poison::Poison;
use crate::record::{KIND_CONFIG, write_configs};
use crate::recovery::{RecoveryError, Replay, Replayed, State};

/// What a start found.
#[derive(Clone, Debug, Default)]
pub struct Recovery {
    /// Sequence of the snapshot that it began from; 0 without one.
    pub snapshot_sequence: u64,
    /// Commands applied from the journal.
    pub replayed: u64,
    /// Sequence of the last command.
    pub sequence: u64,
    /// How often the journal was opened.
    pub epoch: u64,
    /// Bytes that were cut because they never were acknowledged.
    pub torn: Option<Torn>,
    /// Whether the last stop was a clean one, or there was none.
    pub was_clean: bool,
    /// Time that it took.
    pub seconds: f64,
    /// Sentences for the operator.
    pub notes: Vec<String>,
}

/// Why the engine does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The directory cannot be used.
    #[error("cannot use the data directory {path}: {source}")]
    Directory {
        /// As configured.
        path: String,
        /// The system's reason.
        source: io::Error,
    },
    /// The journal cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The files do not lead to a state.
    #[error(transparent)]
    State(#[from] RecoveryError),
    /// A state was to be put where there is one.
    #[error("{path} holds a journal already")]
    Used {
        /// As configured.
        path: String,
    },
    /// No thread.
    #[error("cannot start the engine's thread: {0}")]
    Thread(io::Error),
}

impl StartError {
    /// What the operator can do.
    pub fn remedy(&self) -> &'static str {
        match self {
            StartError::Directory { .. } => "choose a directory that this user may write",
            StartError::Journal(JournalError::Locked { .. }) => {
                "stop that process first, or choose another data directory"
            }
            StartError::Journal(JournalError::Damaged { .. }) => {
                "nothing was changed: copy the directory, check the disk, and restore the file from a \
                 backup or standby; `viabtc journal verify` shows what is readable"
            }
            StartError::Journal(JournalError::Version { .. }) => {
                "start the version of viabtc that wrote it"
            }
            StartError::Journal(JournalError::Lost { .. }) => {
                "nothing was changed: the disk lost what it had synced. Copy the directory and restore \
                 the journal from a backup or standby; to go on without these commands, move the file \
                 that knows of them aside"
            }
            StartError::Journal(_) => "check space, permissions and health of the disk",
            StartError::State(RecoveryError::Restore(_) | RecoveryError::Merge(_)) => {
                "put back what the data uses, or choose another data directory; precisions are raised \
                 while the exchange runs: `viabtc asset set`, `viabtc market set`"
            }
            StartError::State(RecoveryError::FeedBehind { .. }) => {
                "make space on the disk; the next snapshot is tried by itself"
            }
            StartError::State(_) => {
                "nothing was changed: start the version of viabtc that wrote the journal, and keep a \
                 copy of the directory"
            }
            StartError::Used { .. } => "choose an empty data directory, or move that one aside",
            StartError::Thread(_) => "raise the limit of threads of this user",
        }
    }
}

/// What the engine's thread begins with.
pub(crate) struct Opened<S: Storage> {
    pub(crate) exchange: Exchange,
    pub(crate) journal: Journal<S>,
    pub(crate) feed: FeedWriter<S>,
    /// Digest of the configuration, which can be found by it.
    pub(crate) config: u64,
    pub(crate) poison: Poison,
    pub(crate) recovery: Recovery,
}

/// Recovers and opens everything for writing.
pub(crate) fn open<S: Storage + Sync>(
    storage: &S,
    options: &Options,
) -> Result<Opened<S>, StartError> {
    let started = Instant::now();
    let file_bytes = options.segment_bytes;
    let (snapshot, damaged) = latest_snapshot(storage)?;
    let snapshot_sequence = snapshot.as_ref().map_or(0, |snapshot| snapshot.sequence);
    let mut notes = notes_on_damaged(&damaged, snapshot_sequence);
    let mut replay = match snapshot {
        Some(mut snapshot) => Replay::from_snapshot(&mut snapshot)?,
        None => Replay::empty(),
    };
    let now = if options.is_continued { 0 } else { (options.clock)() };
    let is_synced = options.durability != Durability::Async;
    let journal_options = viabtc_journal::Options {
        segment_bytes: options.segment_bytes,
        is_synced,
        opened: options.build.clone().into_bytes(),
        time: now,
        is_prepared_ahead: options.is_prepared_ahead,
        epoch_min: options.epoch_min,
        begins_after: 0,
    };
    let mut feed = None;
    let mut failure: Option<StartError> = None;
    let read = Journal::read(storage, journal_options, snapshot_sequence, &mut |_, _, record| {
        // The feed is touched only now: the lock is held when the first record is read.
        let refill = match &mut feed {
            Some(refill) => refill,
            None => match Refill::open(storage, file_bytes, snapshot_sequence, &mut notes) {
                Ok(refill) => feed.insert(refill),
                Err(error) => {
                    failure = Some(error.into());
                    return false;
                }
            },
        };
        let applied = replay.apply(record, |replayed| refill.take(replayed));
        failure = applied.map_err(StartError::from).and(refill.checked()).err();
        failure.is_none()
    });
    if let Some(failure) = failure {
        return Err(failure);
    }
    let read = read?;
    // Before the journal is opened, which changes it.
    if let Some(refill) = &mut feed {
        replay.settle(|replayed| refill.take(replayed))?;
        refill.checked()?;
    }
    let recovered = read.open()?;
    let mut journal = recovered.journal;
    let mut feed = match feed {
        Some(refill) => refill.feed,
        None => open_feed(storage, file_bytes, snapshot_sequence, &mut notes)?,
    };
    if feed.sequence() > recovered.found.sequence {
        // An event reaches the feed only when its command is durable.
        if is_synced {
            let (known, sequence) = ("the event feed".to_owned(), feed.sequence());
            let found = recovered.found.sequence;
            return Err(JournalError::Lost { known, sequence, found }.into());
        }
        drop(feed);
        remove_feed(storage)?;
        feed = FeedWriter::open_with(storage, file_bytes)?;
        notes.push("the event feed was ahead of the journal and begins anew".to_owned());
    }
    feed.flush()?;
    if options.is_prepared_ahead {
        feed.flow_out()?;
    }

    let replayed = replay.replayed;
    let before = replay.finish()?;
    let is_new = before.is_none();
    let wanted = &options.config.config;
    let State { mut exchange, file } = before
        .unwrap_or_else(|| State { exchange: Exchange::new(wanted.clone()), file: wanted.clone() });
    let next = merge(exchange.config(), &file, wanted).map_err(RecoveryError::Merge)?;
    if next != *wanted {
        notes.push(
            "assets and markets that commands changed stay so: the file counts where it was edited \
             since the last start"
                .to_owned(),
        );
    }
    if is_new || next != *exchange.config() || file != *wanted {
        if next != *exchange.config() && !is_new {
            notes.push("the configuration of assets and markets changed".to_owned());
        }
        exchange = exchange.reconfigure(next).map_err(RecoveryError::Restore)?;
        let mut payload = Vec::new();
        write_configs(exchange.config(), wanted, &mut payload);
        let time = now.max(journal.time());
        if journal.needs_rotation(payload.len()) {
            journal.rotate(0)?;
        }
        journal.append(KIND_CONFIG, exchange.sequence(), time, &payload)?;
        journal.commit()?;
    }
    if let Some(torn) = &recovered.found.torn {
        notes.push(format!(
            "{} bytes at the end of {} were cut: they were never acknowledged",
            torn.bytes, torn.file
        ));
    }
    let poison = Poison::open(storage, (options.clock)())?;
    if !poison.is_empty() {
        notes.push(format!(
            "{} requests made the engine panic within the last minute and are refused for now",
            poison.len()
        ));
    }
    let recovery = Recovery {
        snapshot_sequence,
        replayed,
        sequence: exchange.sequence(),
        epoch: journal.epoch(),
        was_clean: is_new || recovered.found.is_sealed,
        torn: recovered.found.torn,
        seconds: started.elapsed().as_secs_f64(),
        notes,
    };
    // Before the first event that names it; replay meets only configurations that once were kept so.
    let config = configs::keep(storage, exchange.config())?;
    Ok(Opened { exchange, journal, feed, config, poison, recovery })
}

/// Gives the feed what it lacks of the commands that are applied again.
struct Refill<'a, S: Storage> {
    storage: &'a S,
    feed: FeedWriter<S>,
    payload: Vec<u8>,
    /// Digest of the configuration that was last made sure to be found by it.
    kept: u64,
    failure: Option<JournalError>,
}

impl<'a, S: Storage> Refill<'a, S> {
    fn open(
        storage: &'a S,
        file_bytes: u64,
        snapshot_sequence: u64,
        notes: &mut Vec<String>,
    ) -> Result<Refill<'a, S>, JournalError> {
        let feed = open_feed(storage, file_bytes, snapshot_sequence, notes)?;
        Ok(Refill { storage, feed, payload: Vec::new(), kept: 0, failure: None })
    }

    /// Behind a failure nothing more is written: the feed has no gaps.
    fn take(&mut self, replayed: &Replayed<'_>) {
        if replayed.stamp.sequence > self.feed.sequence() && self.failure.is_none() {
            self.failure = self.write(replayed).err();
        }
    }

    fn write(&mut self, replayed: &Replayed<'_>) -> Result<(), JournalError> {
        let Replayed { stamp, origin, params, events, config } = *replayed;
        if self.kept != origin.config {
            self.kept = configs::keep(self.storage, config)?;
        }
        self.payload.clear();
        write_feed_entry(origin, params, events, &mut self.payload);
        self.feed.append(stamp.sequence, stamp.time.0, &self.payload)
    }

    fn checked(&mut self) -> Result<(), StartError> {
        self.failure.take().map_or(Ok(()), |error| Err(error.into()))
    }
}

/// A feed that ends before the snapshot cannot be continued: the commands between are in no record that is
/// read.
fn open_feed<S: Storage>(
    storage: &S,
    file_bytes: u64,
    snapshot_sequence: u64,
    notes: &mut Vec<String>,
) -> Result<FeedWriter<S>, JournalError> {
    let feed = FeedWriter::open_with(storage, file_bytes)?;
    if feed.sequence() >= snapshot_sequence {
        return Ok(feed);
    }
    notes.push(format!(
        "the event feed ended at command {} and begins anew behind the snapshot of command \
         {snapshot_sequence}; projections behind that must be rebuilt",
        feed.sequence()
    ));
    drop(feed);
    remove_feed(storage)?;
    FeedWriter::open_with(storage, file_bytes)
}

pub(crate) fn notes_on_damaged(damaged: &[String], used: u64) -> Vec<String> {
    let instead = match used {
        0 => "the whole journal is replayed".to_owned(),
        _ => format!("the older one of command {used} is used, and more is replayed"),
    };
    let note = |name| format!("{name} is damaged: {instead}. What to do: check the disk");
    damaged.iter().map(note).collect()
}

/// The storage of a directory, which is made when missing.
pub(crate) fn open_directory(path: &Path) -> Result<Directory, StartError> {
    Directory::open(path)
        .map_err(|source| StartError::Directory { path: path.display().to_string(), source })
}

/// The wall clock.
pub(crate) fn microseconds_now() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_micros()).unwrap_or(i64::MAX)
}
