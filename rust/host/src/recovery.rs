//! From files to the running state: newest snapshot, records after it, audit.

use std::io::Read;
use std::ops::Range;

use viabtc_engine::{
    Command, Config, ConfigError, Event, Exchange, RestoreError, Stamp, Time, Violation, WARM_GROUP,
};
use viabtc_journal::Record;

use crate::codec::{CodecError, Origin, command_number, read_command};
use crate::configs;
use crate::fault;
use crate::record::{
    Configs, KIND_COMMAND, KIND_CONFIG, KIND_DIGEST, KIND_STATE, STATE_ENDS, read_configs,
    write_configs,
};

/// Longest configuration: all that its counts and lengths allow is less.
const CONFIG_BYTES_MAX: usize = 64 << 20;

/// Why files that are readable do not lead to a state.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    /// A record's payload was not made by this version.
    #[error("record {sequence}: {error}")]
    Codec {
        /// Of the record.
        sequence: u64,
        /// What is wrong with it.
        error: CodecError,
    },
    /// An applied command cannot be applied again.
    #[error("command {sequence} was applied and is now refused: {reason}")]
    Refused {
        /// Of the command.
        sequence: u64,
        /// The engine's words.
        reason: String,
    },
    /// Replay came to another state than the one that wrote the journal.
    #[error("after command {sequence} the state differs from the one that wrote the journal")]
    Digest {
        /// Of the command.
        sequence: u64,
    },
    /// Commands without a configuration before them.
    #[error("record {sequence} comes before any configuration")]
    NoConfig {
        /// Of the record.
        sequence: u64,
    },
    /// A configuration that does not fit the state.
    #[error("{0}")]
    Restore(#[from] RestoreError),
    /// Edits of the configuration file do not fit what commands changed.
    #[error("the configuration file and what commands changed do not fit together: {} {}", .0.key, .0.problem)]
    Merge(ConfigError),
    /// A snapshot that cannot be read.
    #[error("snapshot: {0}")]
    Snapshot(String),
    /// The feed lacks events of commands that a snapshot would cover.
    #[error(
        "the event feed ends at command {feed}: no snapshot of command {sequence} before it has caught up"
    )]
    FeedBehind {
        /// Last command of the feed.
        feed: u64,
        /// Of the snapshot.
        sequence: u64,
    },
    /// The state that the journal begins with has no end.
    #[error("the journal begins with a state whose end is missing: it was being taken over")]
    Unfinished,
    /// An invariant does not hold.
    #[error("audit: {0}")]
    Audit(Violation),
}

/// A command that was applied again, and what came of it.
pub struct Replayed<'a> {
    /// Of its record.
    pub stamp: Stamp,
    /// Which command, under which configuration.
    pub origin: Origin,
    /// Its parameters as the client sent them.
    pub params: &'a [u8],
    /// Oldest first.
    pub events: &'a [Event],
    /// The configuration that events name.
    pub config: &'a Config,
}

/// A command that was read and is not applied yet.
struct Pending {
    stamp: Stamp,
    command: Command,
    /// Of its parameters in [`Replay::texts`].
    params: Range<usize>,
}

/// Builds the state from a snapshot and the records after it.
///
/// Commands are applied [`WARM_GROUP`] at a time, so that what the next ones need is read ahead as for
/// requests; [`Replay::settle`] applies those that are left.
pub struct Replay {
    exchange: Option<Exchange>,
    /// The configuration that the file had when it was last read.
    file: Option<Config>,
    pending: Vec<Pending>,
    /// Parameters of the pending commands, one behind the other.
    texts: Vec<u8>,
    events: Vec<Event>,
    /// Digest of the configuration; 0 without one.
    config: u64,
    /// Pieces so far of the state that the journal begins with.
    pieces: Vec<u8>,
    /// Commands applied from the journal.
    pub replayed: u64,
}

impl Replay {
    /// From nothing.
    pub fn empty() -> Replay {
        Replay {
            exchange: None,
            file: None,
            pending: Vec::with_capacity(WARM_GROUP),
            texts: Vec::new(),
            events: Vec::new(),
            config: 0,
            pieces: Vec::new(),
            replayed: 0,
        }
    }

    /// From a snapshot's content. The state is audited once, by [`Replay::finish`].
    ///
    /// # Errors
    /// When it was not made by [`write_state`].
    pub fn from_snapshot(snapshot: &mut impl Read) -> Result<Replay, RecoveryError> {
        let unreadable = |error: std::io::Error| RecoveryError::Snapshot(error.to_string());
        let mut length = [0; 4];
        snapshot.read_exact(&mut length).map_err(unreadable)?;
        let length = u32::from_le_bytes(length) as usize;
        if length > CONFIG_BYTES_MAX {
            return Err(RecoveryError::Snapshot(format!("a configuration of {length} bytes")));
        }
        let mut config = vec![0; length];
        snapshot.read_exact(&mut config).map_err(unreadable)?;
        let Configs { current, file } =
            read_configs(&config).map_err(|error| RecoveryError::Snapshot(error.to_string()))?;
        let mut failed = None;
        let exchange = Exchange::restore_unaudited(current, &mut |buffer: &mut [u8]| {
            snapshot.read(buffer).unwrap_or_else(|error| {
                failed = Some(error);
                0
            })
        });
        if let Some(error) = failed {
            return Err(unreadable(error));
        }
        let exchange = exchange?;
        let config = configs::digest(exchange.config());
        Ok(Replay { exchange: Some(exchange), file: Some(file), config, ..Replay::empty() })
    }

    /// Takes one record, and applies the commands that are read once they are enough to share the waiting
    /// for memory; `visit` gets each command that was applied, in order.
    ///
    /// # Errors
    /// When a record does not continue the state.
    pub fn apply(
        &mut self,
        record: &Record<'_>,
        visit: impl FnMut(&Replayed<'_>),
    ) -> Result<(), RecoveryError> {
        let sequence = record.sequence;
        let codec = |error| RecoveryError::Codec { sequence, error };
        match record.kind {
            KIND_COMMAND => {
                let (command, params) = read_command(record.payload).map_err(codec)?;
                let stamp = Stamp { sequence, time: Time(record.time) };
                let start = self.texts.len();
                self.texts.extend_from_slice(params);
                self.pending.push(Pending { stamp, command, params: start..self.texts.len() });
                if self.pending.len() == WARM_GROUP { self.settle(visit) } else { Ok(()) }
            }
            KIND_DIGEST => {
                self.settle(visit)?;
                let exchange =
                    self.exchange.as_ref().ok_or(RecoveryError::NoConfig { sequence })?;
                let is_same = record.payload == exchange.digest().to_le_bytes();
                if is_same { Ok(()) } else { Err(RecoveryError::Digest { sequence }) }
            }
            KIND_CONFIG => {
                self.settle(visit)?;
                let Configs { current, file } = read_configs(record.payload).map_err(codec)?;
                self.config = configs::digest(&current);
                self.file = Some(file);
                self.exchange = Some(match self.exchange.take() {
                    None => Exchange::new(current),
                    Some(exchange) => exchange.reconfigure(current)?,
                });
                Ok(())
            }
            KIND_STATE => {
                self.settle(visit)?;
                let (first, piece) =
                    record.payload.split_first().ok_or(codec(CodecError::Short))?;
                self.pieces.extend_from_slice(piece);
                if *first == STATE_ENDS {
                    let pieces = std::mem::take(&mut self.pieces);
                    *self = Replay::from_snapshot(&mut &pieces[..])?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Applies the commands that were read and wait for more. To be called behind the last record, before
    /// [`Replay::finish`].
    ///
    /// # Errors
    /// When a command does not continue the state.
    pub fn settle(&mut self, mut visit: impl FnMut(&Replayed<'_>)) -> Result<(), RecoveryError> {
        let Some(first) = self.pending.first() else { return Ok(()) };
        let sequence = first.stamp.sequence;
        let exchange = self.exchange.as_mut().ok_or(RecoveryError::NoConfig { sequence })?;
        exchange.warm(self.pending.iter().map(|pending| &pending.command));
        for Pending { stamp, command, params } in self.pending.drain(..) {
            let (sequence, params) = (stamp.sequence, &self.texts[params]);
            fault::replaying(sequence);
            #[cfg(feature = "failpoints")]
            crate::failpoints::panic_in_replay(params);
            self.events.clear();
            exchange.apply(stamp, &command, &mut self.events).map_err(|rejection| {
                RecoveryError::Refused { sequence, reason: rejection.to_string() }
            })?;
            self.replayed += 1;
            if matches!(command, Command::Change(_)) {
                self.config = configs::digest(exchange.config());
            }
            let origin = Origin {
                command: command_number(&command),
                operlog_id: exchange.operlog_id(),
                config: self.config,
            };
            let (events, config) = (&self.events[..], exchange.config());
            visit(&Replayed { stamp, origin, params, events, config });
        }
        self.texts.clear();
        Ok(())
    }

    /// The state, audited; `None` when there was no record at all.
    ///
    /// # Errors
    /// When an invariant does not hold.
    ///
    /// # Panics
    /// When commands were read and not applied: [`Replay::settle`].
    pub fn finish(self) -> Result<Option<State>, RecoveryError> {
        assert!(self.pending.is_empty(), "every command that was read is applied");
        if !self.pieces.is_empty() {
            return Err(RecoveryError::Unfinished);
        }
        if let Some(exchange) = &self.exchange {
            exchange.audit().map_err(RecoveryError::Audit)?;
        }
        let file = self.file;
        Ok(self.exchange.map(|exchange| {
            let file = file.unwrap_or_else(|| exchange.config().clone());
            State { exchange, file }
        }))
    }
}

/// What files lead to.
#[derive(Clone, Debug)]
pub struct State {
    /// The exchange, under the configuration that commands are applied under.
    pub exchange: Exchange,
    /// The configuration that the file had when it was last read.
    pub file: Config,
}

/// Writes a state as a snapshot's content: the configurations with their length in front, then the
/// engine's own format. `file` is the configuration that the file had when it was last read.
pub fn write_state(exchange: &Exchange, file: &Config, sink: &mut dyn FnMut(&[u8])) {
    let mut config = Vec::new();
    write_configs(exchange.config(), file, &mut config);
    sink(&u32::try_from(config.len()).expect("names and counts are bounded").to_le_bytes());
    sink(&config);
    exchange.write_snapshot(sink);
}
