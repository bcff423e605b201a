//! From files to the running state: newest snapshot, records after it, audit.

use std::io::Read;

use viabtc_engine::{
    Command, Config, ConfigError, Event, Exchange, RestoreError, Stamp, Time, Violation,
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

/// Builds the state from a snapshot and the records after it.
pub struct Replay {
    exchange: Option<Exchange>,
    /// The configuration that the file had when it was last read.
    file: Option<Config>,
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

    /// Applies one record; `visit` gets each command's origin, parameters' text and events, and the
    /// configuration that these name.
    ///
    /// # Errors
    /// When the record does not continue the state.
    pub fn apply(
        &mut self,
        record: &Record<'_>,
        mut visit: impl FnMut(Origin, &[u8], &[Event], &Config),
    ) -> Result<(), RecoveryError> {
        let sequence = record.sequence;
        let codec = |error| RecoveryError::Codec { sequence, error };
        if record.kind == KIND_CONFIG {
            let Configs { current, file } = read_configs(record.payload).map_err(codec)?;
            self.config = configs::digest(&current);
            self.file = Some(file);
            self.exchange = Some(match self.exchange.take() {
                None => Exchange::new(current),
                Some(exchange) => exchange.reconfigure(current)?,
            });
            return Ok(());
        }
        if record.kind == KIND_STATE {
            let (first, piece) = record.payload.split_first().ok_or(codec(CodecError::Short))?;
            self.pieces.extend_from_slice(piece);
            if *first == STATE_ENDS {
                let pieces = std::mem::take(&mut self.pieces);
                *self = Replay::from_snapshot(&mut &pieces[..])?;
            }
            return Ok(());
        }
        if record.kind != KIND_COMMAND && record.kind != KIND_DIGEST {
            return Ok(());
        }
        let exchange = self.exchange.as_mut().ok_or(RecoveryError::NoConfig { sequence })?;
        if record.kind == KIND_DIGEST {
            let is_same = record.payload == exchange.digest().to_le_bytes();
            return if is_same { Ok(()) } else { Err(RecoveryError::Digest { sequence }) };
        }
        let (command, params) = read_command(record.payload).map_err(codec)?;
        fault::replaying(sequence);
        #[cfg(feature = "failpoints")]
        crate::failpoints::panic_in_replay(params);
        let stamp = Stamp { sequence, time: Time(record.time) };
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
        visit(origin, params, &self.events, exchange.config());
        Ok(())
    }

    /// The state, audited; `None` when there was no record at all.
    ///
    /// # Errors
    /// When an invariant does not hold.
    pub fn finish(self) -> Result<Option<State>, RecoveryError> {
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
