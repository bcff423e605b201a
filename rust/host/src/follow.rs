//! The feed as a projection reads it: what each command did, with the names and scales of its time.

use std::collections::VecDeque;
use std::sync::Arc;

use viabtc_engine::{Config, Event};
use viabtc_journal::{FeedReader, FeedRecord, JournalError, Storage};

use crate::codec::{CodecError, read_feed_entry};
use crate::configs::Configs;

/// One command's effects.
#[derive(Clone, Debug)]
pub struct Effects {
    /// Of the command.
    pub sequence: u64,
    /// When it was applied, in microseconds.
    pub time: i64,
    /// RPC number of its method.
    pub command: u32,
    /// Its number in the operation log.
    pub operlog_id: u64,
    /// What the events' names and scales belong to.
    pub config: Arc<Config>,
    /// The parameters as the client sent them.
    pub params: Vec<u8>,
    /// Oldest first.
    pub events: Vec<Event>,
}

/// Why the feed cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// Its files cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A record was not made by this version.
    #[error("feed record {sequence}: {error}")]
    Codec {
        /// Of the record.
        sequence: u64,
        /// What is wrong with it.
        error: CodecError,
    },
}

/// Follows the feed from a position on.
pub struct Follower<S: Storage> {
    reader: FeedReader<S>,
    configs: Configs<S>,
    waiting: VecDeque<FeedRecord>,
}

impl<S: Storage> Follower<S> {
    /// Begins behind the command `after`.
    pub fn open(storage: &S, after: u64) -> Follower<S> {
        Follower {
            reader: FeedReader::open(storage, after),
            configs: Configs::new(storage),
            waiting: VecDeque::new(),
        }
    }

    /// The next command's effects; `None` when there is nothing new.
    ///
    /// # Errors
    /// When files cannot be read, or were written by another version.
    pub fn next_effects(&mut self) -> Result<Option<Effects>, FollowError> {
        if self.waiting.is_empty() {
            self.waiting = self.reader.next_batch()?;
        }
        let Some(FeedRecord { sequence, time, payload }) = self.waiting.pop_front() else {
            return Ok(None);
        };
        let entry =
            read_feed_entry(&payload).map_err(|error| FollowError::Codec { sequence, error })?;
        Ok(Some(Effects {
            sequence,
            time,
            command: entry.origin.command,
            operlog_id: entry.origin.operlog_id,
            config: self.configs.get(entry.origin.config)?,
            params: entry.params.to_vec(),
            events: entry.events,
        }))
    }
}
