//! The feed: records of events behind the journal's, for readers that follow. It is not synced with the
//! journal: after a crash its end is cut to what is valid, and the owner writes what is missing again.
//!
//! A file `feed-<first sequence>.seg` holds the framing of [`crate::Record`], ordinals from 1; it grows.

use std::collections::VecDeque;

use crate::error::JournalError;
use crate::record::{HEADER_BYTES, Header};
use crate::segment::number_in;
use crate::storage::{File, Storage};

/// Size from which a new file is begun.
const FILE_BYTES: u64 = 64 << 20;

/// The only kind of a feed's records.
const KIND_EVENTS: u8 = 6;

/// Bytes that a reader takes from a file at once.
const READ_BYTES: usize = 1 << 20;

/// Appends to the feed.
pub struct FeedWriter<S: Storage> {
    storage: S,
    file: Option<(S::File, String)>,
    offset: u64,
    link: u64,
    ordinal: u64,
    /// Of the last record; 0 without one.
    sequence: u64,
    buffer: Vec<u8>,
}

impl<S: Storage> FeedWriter<S> {
    /// Goes on behind the last valid record; what stands behind it is cut.
    ///
    /// # Errors
    /// When files cannot be used.
    pub fn open(storage: &S) -> Result<FeedWriter<S>, JournalError> {
        let mut writer = FeedWriter {
            storage: storage.clone(),
            file: None,
            offset: 0,
            link: 0,
            ordinal: 0,
            sequence: 0,
            buffer: Vec::new(),
        };
        while let Some(first) = first_sequences(storage)?.last().copied() {
            let name = feed_name(first);
            let file = storage.open(&name).map_err(JournalError::io("open", &name))?;
            let size = file.size().map_err(JournalError::io("read", &name))?;
            let mut bytes = vec![0; usize::try_from(size).expect("a feed file fits in memory")];
            file.read_at(&mut bytes, 0).map_err(JournalError::io("read", &name))?;
            let mut plain = Vec::new();
            let mut offset = 0;
            while let Some((header, link)) = Header::read(&bytes[offset..])
                && header.chain == writer.link
                && header.ordinal == writer.ordinal + 1
                && header.payload(&bytes[offset..], &mut plain).is_some()
            {
                offset += header.record_bytes() as usize;
                (writer.link, writer.ordinal) = (link, header.ordinal);
                writer.sequence = header.sequence;
            }
            if offset == 0 {
                storage.remove(&name).map_err(JournalError::io("remove", &name))?;
                continue;
            }
            file.set_size(offset as u64).map_err(JournalError::io("cut", &name))?;
            writer.offset = offset as u64;
            writer.file = Some((file, name));
            break;
        }
        Ok(writer)
    }

    /// Sequence of the last record; 0 without one.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Adds a record; sequences ascend.
    ///
    /// # Errors
    /// When a new file cannot be made.
    ///
    /// # Panics
    /// When the sequence does not ascend.
    pub fn append(&mut self, sequence: u64, time: i64, payload: &[u8]) -> Result<(), JournalError> {
        assert!(sequence > self.sequence, "the feed's sequences ascend");
        if self.file.is_none() || self.offset + self.buffer.len() as u64 >= FILE_BYTES {
            self.sync()?;
            let name = feed_name(sequence);
            let file = self.storage.create(&name).map_err(JournalError::io("create", &name))?;
            self.file = Some((file, name));
            (self.offset, self.link, self.ordinal) = (0, 0, 0);
        }
        self.ordinal += 1;
        self.sequence = sequence;
        let header = Header {
            kind: KIND_EVENTS,
            length: 0,
            epoch: 0,
            ordinal: self.ordinal,
            sequence,
            time,
            synced: 0,
            chain: self.link,
            payload_checksum: 0,
        };
        self.link = header.write(payload, &mut self.buffer);
        Ok(())
    }

    /// Hands what was appended to the system, so that readers see it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn flush(&mut self) -> Result<(), JournalError> {
        if let Some((file, name)) = &self.file
            && !self.buffer.is_empty()
        {
            file.write_at(&self.buffer, self.offset).map_err(JournalError::io("write", name))?;
            self.offset += self.buffer.len() as u64;
            self.buffer.clear();
        }
        Ok(())
    }

    /// Makes everything durable.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn sync(&mut self) -> Result<(), JournalError> {
        self.flush()?;
        match &self.file {
            Some((file, name)) => file.sync().map_err(JournalError::io("sync", name)),
            None => Ok(()),
        }
    }
}

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

/// Follows the feed, also while it is written.
pub struct FeedReader<S: Storage> {
    storage: S,
    /// First sequence of the file that is read, and where in it.
    position: Option<(u64, u64)>,
    after: u64,
    link: u64,
    ordinal: u64,
}

impl<S: Storage> FeedReader<S> {
    /// Starts behind the record `after`.
    pub fn open(storage: &S, after: u64) -> FeedReader<S> {
        FeedReader { storage: storage.clone(), position: None, after, link: 0, ordinal: 0 }
    }

    /// Sequence of the last record that was given.
    pub fn sequence(&self) -> u64 {
        self.after
    }

    /// The next records, of about a mebibyte at most; none when there is nothing new.
    ///
    /// # Errors
    /// When files cannot be read.
    pub fn next_batch(&mut self) -> Result<VecDeque<FeedRecord>, JournalError> {
        let mut records = VecDeque::new();
        loop {
            let files = first_sequences(&self.storage)?;
            let current = match self.position {
                Some((first, _)) => first,
                None => {
                    let older = files.iter().rfind(|first| **first <= self.after + 1);
                    let Some(first) = older.or(files.first()) else { return Ok(records) };
                    self.begin(*first);
                    *first
                }
            };
            let is_progress = self.read(current, &mut records)?;
            if is_progress || !records.is_empty() {
                if records.is_empty() {
                    continue;
                }
                return Ok(records);
            }
            match files.iter().find(|first| **first > current) {
                Some(next) => self.begin(*next),
                None => return Ok(records),
            }
        }
    }

    fn begin(&mut self, first: u64) {
        (self.position, self.link, self.ordinal) = (Some((first, 0)), 0, 0);
    }

    /// Reads whole records from the position on; whether there were any.
    fn read(
        &mut self,
        first: u64,
        records: &mut VecDeque<FeedRecord>,
    ) -> Result<bool, JournalError> {
        let name = feed_name(first);
        let offset = self.position.map_or(0, |(_, offset)| offset);
        let file = self.storage.open(&name).map_err(JournalError::io("open", &name))?;
        let mut bytes = vec![0; READ_BYTES];
        let mut count =
            file.read_at(&mut bytes, offset).map_err(JournalError::io("read", &name))?;
        if let Some((header, _)) = Header::read(&bytes[..count.min(HEADER_BYTES)])
            && header.record_bytes() > READ_BYTES as u64
        {
            bytes.resize(usize::try_from(header.record_bytes()).unwrap_or(READ_BYTES), 0);
            count = file.read_at(&mut bytes, offset).map_err(JournalError::io("read", &name))?;
        }
        let mut plain = Vec::new();
        let mut start = 0;
        while let Some((header, link)) = Header::read(&bytes[start..count])
            && header.chain == self.link
            && header.ordinal == self.ordinal + 1
            && let Some(payload) = header.payload(&bytes[start..count], &mut plain)
        {
            if header.sequence > self.after {
                let payload = payload.to_vec();
                let (sequence, time) = (header.sequence, header.time);
                records.push_back(FeedRecord { sequence, time, payload });
                self.after = sequence;
            }
            start += header.record_bytes() as usize;
            (self.link, self.ordinal) = (link, header.ordinal);
        }
        self.position = Some((first, offset + start as u64));
        Ok(start > 0)
    }
}

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
