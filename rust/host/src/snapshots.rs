//! The next snapshot, made beside the running engine from its closed segments. Making it proves that
//! replay equals life: the state is audited and its digest compared with the one that the engine wrote.

use std::io;
use std::path::Path;
use std::time::Duration;

use viabtc_journal::{
    FeedPositions, JournalError, SnapshotWriter, Storage, feed_sequence, latest_snapshot,
    lock_snapshots, read_closed, remove_consumed, remove_obsolete, sync_feed,
};

use crate::recovery::{RecoveryError, Replay, State, write_state};
use crate::start::{StartError, microseconds_now, open_directory};

/// Snapshots kept: the newest, and one to fall back to.
const SNAPSHOTS_KEPT: usize = 2;

/// How long a file of the feed stays at least, in microseconds: a day, for those who look back.
const FEED_KEPT_US: i64 = 86_400_000_000;

/// How long the writer rests behind each quarter of a mebibyte: a million resting orders take a second
/// more, and leave the disk to the journal for most of the time.
const PAUSE: Duration = Duration::from_micros(2_500);

/// What was made.
#[derive(Clone, Copy, Debug)]
pub struct SnapshotReport {
    /// Of the last command in it.
    pub sequence: u64,
    /// Commands applied since the snapshot before.
    pub replayed: u64,
    /// Size of the file; 0 when no command came since the snapshot before.
    pub bytes: u64,
    /// Digest of the state.
    pub digest: u64,
}

/// Makes this process give way to the engine: least priority for processor and disk, and its end when the
/// process that started it ends. To be called before any other thread is started. The idle class of disk
/// access would be less still, but the journal's syncs wait for those of this process, however low its class.
///
/// # Errors
/// When the system refuses; what it granted until then stays.
pub fn give_way() -> io::Result<()> {
    /// The last of the normal class of disk access. Source: linux/ioprio.h.
    const LAST: libc::c_long = 2 << 13 | 7;
    const THIS_THREAD: libc::c_long = 1;
    const LEAST: libc::c_int = 19;
    // SAFETY: the calls take numbers only, and change nothing but how this process is scheduled and ends.
    let granted = unsafe {
        [
            libc::c_long::from(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL)),
            libc::c_long::from(libc::setpriority(libc::PRIO_PROCESS, 0, LEAST)),
            libc::syscall(libc::SYS_ioprio_set, THIS_THREAD, 0, LAST),
        ]
    };
    if granted.iter().any(|result| *result < 0) {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Loads the newest snapshot of `directory`, applies the closed segments, audits, writes the next snapshot
/// and removes what it makes obsolete, and what the feed no longer needs. May run while the engine does.
///
/// # Errors
/// When another does the same, and when files cannot be used or do not lead to the state that the engine
/// had.
pub fn write_snapshot(directory: &Path) -> Result<SnapshotReport, StartError> {
    write(&open_directory(directory)?, microseconds_now(), PAUSE)
}

/// As [`write_snapshot`], on any storage, at `now` in microseconds, and without pauses.
///
/// # Errors
/// As [`write_snapshot`].
pub fn write_snapshot_on<S: Storage>(storage: &S, now: i64) -> Result<SnapshotReport, StartError> {
    write(storage, now, Duration::ZERO)
}

fn write<S: Storage>(storage: &S, now: i64, pause: Duration) -> Result<SnapshotReport, StartError> {
    let _lock = lock_snapshots(storage)?;
    let (snapshot, damaged) = latest_snapshot(storage)?;
    let after = snapshot.as_ref().map_or(0, |snapshot| snapshot.sequence);
    let mut replay = match snapshot {
        Some(mut snapshot) => Replay::from_snapshot(&mut snapshot)?,
        None => Replay::empty(),
    };
    let mut failure = None;
    let read = read_closed(storage, after, &mut |_, _, record| {
        failure = replay.apply(record, |_| {}).err();
        failure.is_none()
    });
    if let Some(failure) = failure {
        return Err(failure.into());
    }
    let (_, journaled) = read?;
    replay.settle(|_| {})?;
    let replayed = replay.replayed;
    let Some(state) = replay.finish()? else {
        return Ok(SnapshotReport { sequence: 0, replayed: 0, bytes: 0, digest: 0 });
    };
    let (sequence, digest) = (state.exchange.sequence(), state.exchange.digest());
    if replayed == 0 {
        return Ok(SnapshotReport { sequence, replayed, bytes: 0, digest });
    }
    // A segment that was begun without a state to name carries 0.
    if journaled != 0 && journaled != digest {
        return Err(RecoveryError::Digest { sequence }.into());
    }
    // A start from this snapshot does not read the commands before it: their events must be safe.
    let feed = feed_sequence(storage)?;
    if feed < sequence {
        return Err(RecoveryError::FeedBehind { feed, sequence }.into());
    }
    sync_feed(storage)?;
    let mut writer = SnapshotWriter::begin(storage, sequence)?.pausing(pause);
    let mut written: Result<(), JournalError> = Ok(());
    write_state(&state.exchange, &state.file, &mut |piece| {
        if written.is_ok() {
            written = writer.write(piece);
        }
    });
    written?;
    let bytes = writer.finish()?;
    remove_obsolete(storage, SNAPSHOTS_KEPT, &damaged, pause)?;
    remove_consumed(storage, &FeedPositions::open(storage)?, now - FEED_KEPT_US)?;
    Ok(SnapshotReport { sequence, replayed, bytes, digest })
}

/// The state of the newest snapshot of `directory`; `None` without one. May run while the engine does.
///
/// # Errors
/// When files cannot be used or hold no state.
pub fn read_snapshot(directory: &Path) -> Result<Option<State>, StartError> {
    let (snapshot, _) = latest_snapshot(&open_directory(directory)?)?;
    let Some(mut snapshot) = snapshot else { return Ok(None) };
    Ok(Replay::from_snapshot(&mut snapshot)?.finish()?)
}
