//! A journal that begins with a state that somebody else kept.

use std::path::Path;

use viabtc_engine::{Command, Events, Exchange, Stamp, Time};
use viabtc_journal::{Directory, Journal, Options, SnapshotWriter, inspect};
use viabtc_wire::changes::is_own;
use viabtc_wire::request::{DecodeError, Names, Request, decode, decode_logged};

use crate::record::{KIND_STATE, STATE_ENDS, STATE_GOES_ON};
use crate::recovery::{RecoveryError, Replay, State, write_state};
use crate::start::{StartError, open_directory};

/// Bytes of a state in one record, far below the size of any segment.
const PIECE_BYTES: usize = 256 << 10;

/// Characters of parameters that an error shows.
const SHOWN_MAX: usize = 300;

/// An entry of an operation log.
#[derive(Clone, Debug)]
pub struct Operation {
    /// Its number; of a command of our own kinds, which has none, that of the entry before it.
    pub id: u64,
    /// When, in microseconds.
    pub time: i64,
    /// RPC number of its method.
    pub command: u32,
    /// A JSON array's text.
    pub params: Vec<u8>,
}

/// Why an operation log does not continue a state.
#[derive(Debug, thiserror::Error)]
pub enum RedoError {
    /// A number is missing.
    #[error("entry {expected} of the operation log is missing: the next one is {found}")]
    Gap {
        /// The number that should come.
        expected: u64,
        /// The number that came.
        found: u64,
    },
    /// An entry that was applied once cannot be applied again.
    #[error("entry {id} of the operation log cannot be applied: {reason}")]
    Refused {
        /// Of the entry.
        id: u64,
        /// The engine's words.
        reason: String,
    },
}

/// Applies entries of an original behind the state's last, without gaps, as they were applied when they
/// came: amounts are read with the decimals that took effect, unlike the original's own redo, and an update
/// that it took again, since it remembers them for a day or until it is started again, counts again. Time
/// does not run backwards: an entry that says so counts as of its predecessor's time.
///
/// # Errors
/// See [`RedoError`].
pub fn redo(
    exchange: &mut Exchange,
    names: &Names,
    operations: &[Operation],
) -> Result<(), RedoError> {
    let mut events = Events::new();
    for operation in operations {
        let (stamp, write) = operation.read(exchange, names, decode_logged)?;
        if let Command::UpdateBalance(update) = &write {
            exchange.forget_update(update);
        }
        events.clear();
        exchange.apply(stamp, &write, &mut events).map_err(|rejection| RedoError::Refused {
            id: operation.id,
            reason: rejection.to_string(),
        })?;
    }
    Ok(())
}

impl Operation {
    /// The command and its stamp, behind the last of `exchange`, of an engine of ours.
    ///
    /// # Errors
    /// When it is not the next one, or none at all.
    pub(crate) fn continuing(
        &self,
        exchange: &Exchange,
        names: &Names,
    ) -> Result<(Stamp, Command), RedoError> {
        self.read(exchange, names, decode)
    }

    fn read(
        &self,
        exchange: &Exchange,
        names: &Names,
        decode: fn(u32, &[u8], &Names) -> Result<Request, DecodeError>,
    ) -> Result<(Stamp, Command), RedoError> {
        let expected = exchange.operlog_id() + u64::from(!is_own(self.command));
        if self.id != expected {
            return Err(RedoError::Gap { expected, found: self.id });
        }
        let refused = |reason: String| RedoError::Refused { id: self.id, reason };
        let write = match decode(self.command, &self.params, names) {
            Ok(Request::Write(write)) => write,
            Ok(Request::Query(_)) => return Err(refused("it changes nothing".to_owned())),
            Err(error) => {
                let params: String =
                    String::from_utf8_lossy(&self.params).chars().take(SHOWN_MAX).collect();
                return Err(refused(format!("{error:?} {params}")));
            }
        };
        let sequence = exchange.sequence() + 1;
        Ok((Stamp { sequence, time: Time(self.time.max(exchange.time().0)) }, write))
    }
}

/// Puts a state, as [`write_state`] wrote it, into `directory`, which must not hold a journal: as a
/// snapshot, and the beginning of a journal behind it; the state's sequence and digest. A directory in
/// which this was interrupted holds no journal.
///
/// # Errors
/// When there is a journal, when the bytes are no state, and when files cannot be used.
pub fn install_state(directory: &Path, state: &[u8]) -> Result<(u64, u64), StartError> {
    let storage = open_unused(directory)?;
    let State { exchange, .. } = Replay::from_snapshot(&mut &state[..])?
        .finish()?
        .ok_or_else(|| RecoveryError::Snapshot("it holds no state".to_owned()))?;
    begin_behind_snapshot(&storage, &exchange, state, options(exchange.time().0))?;
    Ok((exchange.sequence(), exchange.digest()))
}

/// Makes the journal of `directory`, which must not hold one, begin with a state, with an epoch of
/// `epoch_min` at least.
///
/// # Errors
/// When there is a journal, and when files cannot be used.
pub fn begin_journal(
    directory: &Path,
    exchange: &Exchange,
    now: i64,
    epoch_min: u64,
) -> Result<(), StartError> {
    let storage = open_unused(directory)?;
    let options = Options { epoch_min, ..options(now.max(exchange.time().0)) };
    let time = options.time;
    let mut state = Vec::new();
    write_state(exchange, exchange.config(), &mut |piece| state.extend_from_slice(piece));
    if exchange.sequence() > 0 {
        return begin_behind_snapshot(&storage, exchange, &state, options);
    }
    let mut journal = Journal::open(&storage, options, 0, &mut |_, _, _| true)?.journal;
    let mut pieces = state.chunks(PIECE_BYTES).peekable();
    while let Some(piece) = pieces.next() {
        let first = if pieces.peek().is_none() { STATE_ENDS } else { STATE_GOES_ON };
        let payload = [&[first], piece].concat();
        if journal.needs_rotation(payload.len()) {
            journal.rotate(0)?;
        }
        journal.append(KIND_STATE, 0, time, &payload)?;
        journal.commit()?;
    }
    journal.seal(exchange.digest(), time)?;
    Ok(())
}

/// Commands before the state's are in no journal: it begins behind a snapshot.
fn begin_behind_snapshot(
    storage: &Directory,
    exchange: &Exchange,
    state: &[u8],
    options: Options,
) -> Result<(), StartError> {
    let sequence = exchange.sequence();
    let mut writer = SnapshotWriter::begin(storage, sequence)?;
    writer.write(state)?;
    writer.finish()?;
    let options = Options { begins_after: sequence, ..options };
    let mut journal = Journal::open(storage, options, sequence, &mut |_, _, _| true)?.journal;
    journal.seal(exchange.digest(), journal.time())?;
    Ok(())
}

/// A directory without a journal.
fn open_unused(directory: &Path) -> Result<Directory, StartError> {
    let storage = open_directory(directory)?;
    if inspect(&storage, u64::MAX - 1, &mut |_, _, _| true)?.segments > 0 {
        return Err(StartError::Used { path: directory.display().to_string() });
    }
    Ok(storage)
}

/// Of a journal that is only begun here.
fn options(time: i64) -> Options {
    Options {
        segment_bytes: 64 << 20,
        is_synced: true,
        opened: b"viabtc migrate".to_vec(),
        time,
        is_prepared_ahead: false,
        epoch_min: 0,
        begins_after: 0,
    }
}
