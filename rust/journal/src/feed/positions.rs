//! How far each projection is: kept beside the feed, so that its files go when nobody needs them.
//!
//! The file `feed-positions` holds a line `<sequence> <name>` a projection, and a last line
//! `<checksum in hexadecimal> checksum` over the lines before. It is replaced as a whole.

use std::collections::BTreeMap;
use std::fmt::Write;

use xxhash_rust::xxh3::xxh3_64;

use super::{feed_name, first_sequences};
use crate::error::JournalError;
use crate::record::{HEADER_BYTES, Header};
use crate::storage::{File, Storage};

const NAME: &str = "feed-positions";
const UNFINISHED: &str = "feed-positions.unfinished";

/// Longest name of a projection.
const NAME_BYTES_MAX: usize = 64;

/// Positions of projections, by name.
#[derive(Clone, Debug)]
pub struct FeedPositions<S: Storage> {
    storage: S,
    positions: BTreeMap<String, u64>,
}

impl<S: Storage> FeedPositions<S> {
    /// Reads what was saved; no file is no projection.
    ///
    /// # Errors
    /// On damage, and when the file cannot be read.
    pub fn open(storage: &S) -> Result<FeedPositions<S>, JournalError> {
        let mut positions = BTreeMap::new();
        let names = storage.list().map_err(JournalError::io("list", "the directory"))?;
        if names.iter().any(|name| name == NAME) {
            let file = storage.open(NAME).map_err(JournalError::io("open", NAME))?;
            let size = file.size().map_err(JournalError::io("read", NAME))?;
            let mut bytes = vec![0; usize::try_from(size).unwrap_or(usize::MAX)];
            file.read_at(&mut bytes, 0).map_err(JournalError::io("read", NAME))?;
            positions = parse(&bytes).ok_or_else(|| JournalError::Damaged {
                file: NAME.to_owned(),
                offset: 0,
                sequence: 0,
                ordinal: 0,
                what: "its checksum does not fit; remove it, and each projection writes its own \
                       position again",
            })?;
        }
        Ok(FeedPositions { storage: storage.clone(), positions })
    }

    /// Position of one projection.
    pub fn get(&self, name: &str) -> Option<u64> {
        self.positions.get(name).copied()
    }

    /// Remembers that everything up to `sequence` took effect; registers the projection.
    ///
    /// # Panics
    /// When the name is not of 1 to 64 characters without spaces and control characters.
    pub fn set(&mut self, name: &str, sequence: u64) {
        let is_name = (1..=NAME_BYTES_MAX).contains(&name.len())
            && name.chars().all(|c| !c.is_whitespace() && !c.is_control());
        assert!(is_name, "a projection has a short name without spaces");
        self.positions.insert(name.to_owned(), sequence);
    }

    /// Forgets a projection that is no longer used; the feed then waits for the others only.
    pub fn forget(&mut self, name: &str) {
        self.positions.remove(name);
    }

    /// Position of the projection that is furthest behind; `None` without any.
    pub fn oldest(&self) -> Option<u64> {
        self.positions.values().min().copied()
    }

    /// Writes all positions, durably and as a whole.
    ///
    /// # Errors
    /// When the file cannot be written; the one before stays.
    pub fn save(&self) -> Result<(), JournalError> {
        let mut text = String::new();
        for (name, sequence) in &self.positions {
            writeln!(text, "{sequence} {name}").expect("a string takes all text");
        }
        let checksum = xxh3_64(text.as_bytes());
        writeln!(text, "{checksum:016x} checksum").expect("a string takes all text");
        let storage = &self.storage;
        let file = storage.create(UNFINISHED).map_err(JournalError::io("create", UNFINISHED))?;
        file.write_at(text.as_bytes(), 0).map_err(JournalError::io("write", UNFINISHED))?;
        file.sync().map_err(JournalError::io("sync", UNFINISHED))?;
        storage.rename(UNFINISHED, NAME).map_err(JournalError::io("rename", UNFINISHED))?;
        storage.sync_directory().map_err(JournalError::io("sync", "the directory"))
    }
}

fn parse(bytes: &[u8]) -> Option<BTreeMap<String, u64>> {
    let text = std::str::from_utf8(bytes).ok()?;
    let body_bytes = text.strip_suffix('\n')?.rfind('\n').map_or(0, |end| end + 1);
    let (body, last) = text.split_at(body_bytes);
    if last != format!("{:016x} checksum\n", xxh3_64(body.as_bytes())) {
        return None;
    }
    let entries = body.lines().map(|line| {
        let (sequence, name) = line.split_once(' ')?;
        Some((name.to_owned(), sequence.parse().ok()?))
    });
    entries.collect()
}

/// Removes the feed's files that every projection is past, as `positions` says, and whose records are all
/// from before `time`, in microseconds; how many went. The newest file stays.
///
/// # Errors
/// When files cannot be read or removed.
pub fn remove_consumed<S: Storage>(
    storage: &S,
    positions: &FeedPositions<S>,
    time: i64,
) -> Result<usize, JournalError> {
    let consumed = positions.oldest().unwrap_or(u64::MAX);
    let files = first_sequences(storage)?;
    let mut removed = 0;
    for pair in files.windows(2) {
        let (name, next) = (feed_name(pair[0]), feed_name(pair[1]));
        // Times ascend, so the next file's first record is not before this file's last.
        if pair[1] - 1 > consumed || first_time(storage, &next)?.is_none_or(|first| first >= time) {
            break;
        }
        storage.remove(&name).map_err(JournalError::io("remove", &name))?;
        removed += 1;
    }
    Ok(removed)
}

/// Time of a file's first record, if there is one.
fn first_time<S: Storage>(storage: &S, name: &str) -> Result<Option<i64>, JournalError> {
    let file = storage.open(name).map_err(JournalError::io("open", name))?;
    let mut bytes = [0; HEADER_BYTES];
    file.read_at(&mut bytes, 0).map_err(JournalError::io("read", name))?;
    Ok(Header::read(&bytes).map(|(header, _)| header.time))
}
