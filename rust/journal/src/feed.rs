//! The feed: records of events behind the journal's, for projections that follow. It is not synced with
//! the journal: after a crash its end is cut to what is valid, and the owner writes what is missing again.
//!
//! A file `feed-<first sequence>.seg` holds the framing of [`crate::Record`], ordinals from 1; it grows.
//! Sequences have no gaps within a file nor between files, and a reader that meets one says so.

mod outflow;
mod positions;
mod reader;
mod signal;
mod writer;

pub use positions::{FeedPositions, remove_consumed};
pub use reader::FeedReader;
pub use signal::FeedSignal;
pub use writer::FeedWriter;

use crate::error::JournalError;
use crate::record::Header;
use crate::segment::number_in;
use crate::storage::{File, Storage};

/// One record of the feed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FeedRecord {
    /// Of the command.
    pub sequence: u64,
    /// Microseconds.
    pub time: i64,
    /// As it was appended.
    pub payload: Vec<u8>,
}

/// First sequences of the feed's files, ascending.
fn first_sequences<S: Storage>(storage: &S) -> Result<Vec<u64>, JournalError> {
    let names = storage.list().map_err(JournalError::io("list", "the directory"))?;
    let numbers = names.iter().filter_map(|name| number_in(name, "feed-", ".seg"));
    let mut numbers: Vec<u64> = numbers.collect();
    numbers.sort_unstable();
    Ok(numbers)
}

fn feed_name(first: u64) -> String {
    format!("feed-{first:020}.seg")
}

/// Where the valid records of a file end.
#[derive(Clone, Copy, Default)]
struct End {
    offset: u64,
    link: u64,
    ordinal: u64,
    /// Of the last record; 0 without one.
    sequence: u64,
}

impl End {
    fn of(bytes: &[u8]) -> End {
        let mut end = End::default();
        let mut plain = Vec::new();
        let mut rest = bytes;
        while let Some((header, link)) = Header::read(rest)
            && header.chain == end.link
            && header.ordinal == end.ordinal + 1
            && header.payload(rest, &mut plain).is_some()
        {
            let (ordinal, sequence) = (header.ordinal, header.sequence);
            end = End { offset: end.offset + header.record_bytes(), link, ordinal, sequence };
            rest = &bytes[end.offset as usize..];
        }
        end
    }
}

fn read<S: Storage>(storage: &S, name: &str) -> Result<(S::File, Vec<u8>), JournalError> {
    let file = storage.open(name).map_err(JournalError::io("open", name))?;
    let size = file.size().map_err(JournalError::io("read", name))?;
    let mut bytes = vec![0; usize::try_from(size).expect("a feed file fits in memory")];
    file.read_at(&mut bytes, 0).map_err(JournalError::io("read", name))?;
    Ok((file, bytes))
}

/// Sequence of the feed's last record that readers can see; 0 without one.
///
/// # Errors
/// When files cannot be read.
pub fn feed_sequence<S: Storage>(storage: &S) -> Result<u64, JournalError> {
    for first in first_sequences(storage)?.into_iter().rev() {
        let end = End::of(&read(storage, &feed_name(first))?.1);
        if end.sequence > 0 {
            return Ok(end.sequence);
        }
    }
    Ok(0)
}

/// Makes every file of the feed durable, from any process.
///
/// # Errors
/// When a file cannot be synced.
pub fn sync_feed<S: Storage>(storage: &S) -> Result<(), JournalError> {
    for first in first_sequences(storage)? {
        let name = feed_name(first);
        let file = storage.open(&name).map_err(JournalError::io("open", &name))?;
        file.sync().map_err(JournalError::io("sync", &name))?;
    }
    storage.sync_directory().map_err(JournalError::io("sync", "the directory"))
}

/// Removes the whole feed.
///
/// # Errors
/// When a file cannot be removed.
pub fn remove_feed<S: Storage>(storage: &S) -> Result<(), JournalError> {
    for first in first_sequences(storage)? {
        let name = feed_name(first);
        storage.remove(&name).map_err(JournalError::io("remove", &name))?;
    }
    Ok(())
}
