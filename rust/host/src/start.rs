//! Opening a directory: snapshot, journal, feed; and what to tell the operator about it.

use std::io;
use std::path::Path;
use std::time::{Instant, SystemTime};

use viabtc_engine::Exchange;
use viabtc_journal::{
    Directory, FeedWriter, Journal, JournalError, Torn, latest_snapshot, remove_feed,
};

use crate::codec::write_feed_entry;
use crate::configs;
use crate::host::{Durability, Options};
use crate::record::{KIND_CONFIG, write_config};
use crate::recovery::{RecoveryError, Replay};

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
            StartError::Journal(_) => "check space, permissions and health of the disk",
            StartError::State(RecoveryError::Restore(_)) => {
                "put back what the data uses, or choose another data directory"
            }
            StartError::State(_) => {
                "nothing was changed: start the version of viabtc that wrote the journal, and keep a \
                 copy of the directory"
            }
            StartError::Thread(_) => "raise the limit of threads of this user",
        }
    }
}

/// What the engine's thread begins with.
pub(crate) struct Opened {
    pub(crate) exchange: Exchange,
    pub(crate) journal: Journal<Directory>,
    pub(crate) feed: FeedWriter<Directory>,
    /// Digest of the configuration, which can be found by it.
    pub(crate) config: u64,
    pub(crate) recovery: Recovery,
}

/// Recovers and opens everything for writing.
pub(crate) fn open(options: &Options) -> Result<Opened, StartError> {
    let started = Instant::now();
    let storage = open_directory(&options.directory)?;
    let (snapshot, mut notes) = latest_snapshot(&storage)?;
    let snapshot_sequence = snapshot.as_ref().map_or(0, |snapshot| snapshot.sequence);
    let mut replay = match snapshot {
        Some(mut snapshot) => Replay::from_snapshot(&mut snapshot)?,
        None => Replay::empty(),
    };
    let mut feed = None;
    let mut failure: Option<StartError> = None;
    let mut payload = Vec::new();
    let journal_options = viabtc_journal::Options {
        segment_bytes: options.segment_bytes,
        is_synced: options.durability == Durability::Local,
        opened: options.build.clone().into_bytes(),
        time: microseconds_now(),
    };
    let opened =
        Journal::open(&storage, journal_options, snapshot_sequence, &mut |_, _, record| {
            // The feed is touched only now: the lock is held when the first record is read.
            if feed.is_none() {
                match FeedWriter::open(&storage) {
                    Ok(writer) => feed = Some(writer),
                    Err(error) => failure = Some(error.into()),
                }
            }
            let Some(feed) = feed.as_mut() else { return false };
            let mut refilled = Ok(());
            let applied = replay.apply(record, |origin, params, events| {
                if record.sequence > feed.sequence() {
                    payload.clear();
                    write_feed_entry(origin, params, events, &mut payload);
                    refilled = feed.append(record.sequence, record.time, &payload);
                }
            });
            let outcome = applied.map_err(StartError::from).and(refilled.map_err(StartError::from));
            failure = outcome.err();
            failure.is_none()
        });
    if let Some(failure) = failure {
        return Err(failure);
    }
    let recovered = opened?;
    let mut journal = recovered.journal;
    let mut feed = match feed {
        Some(feed) => feed,
        None => FeedWriter::open(&storage)?,
    };
    if feed.sequence() > recovered.found.sequence {
        drop(feed);
        remove_feed(&storage)?;
        feed = FeedWriter::open(&storage)?;
        notes.push("the event feed was ahead of the journal and begins anew".to_owned());
    }
    feed.flush()?;

    let replayed = replay.replayed;
    let before = replay.finish()?;
    let is_new = before.is_none();
    let is_changed = before.as_ref().is_none_or(|state| *state.config() != options.config.config);
    let mut exchange = before.unwrap_or_else(|| Exchange::new(options.config.config.clone()));
    if is_changed {
        exchange =
            exchange.reconfigure(options.config.config.clone()).map_err(RecoveryError::Restore)?;
        let mut payload = Vec::new();
        write_config(exchange.config(), &mut payload);
        let time = microseconds_now().max(exchange.time().0);
        if journal.needs_rotation(payload.len()) {
            journal.rotate(0)?;
        }
        journal.append(KIND_CONFIG, exchange.sequence(), time, &payload)?;
        journal.commit()?;
        if !is_new {
            notes.push("the configuration of assets and markets changed".to_owned());
        }
    }
    if let Some(torn) = &recovered.found.torn {
        notes.push(format!(
            "{} bytes at the end of {} were cut: they were never acknowledged",
            torn.bytes, torn.file
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
    let config = configs::keep(&storage, exchange.config())?;
    Ok(Opened { exchange, journal, feed, config, recovery })
}

pub(crate) fn open_directory(path: &Path) -> Result<Directory, StartError> {
    Directory::open(path)
        .map_err(|source| StartError::Directory { path: path.display().to_string(), source })
}

/// The wall clock.
pub(crate) fn microseconds_now() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_micros()).unwrap_or(i64::MAX)
}
