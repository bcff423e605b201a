//! A follower of the feed, also while it is written, from any thread or process.

use std::collections::VecDeque;

use super::{FeedRecord, feed_name, first_sequences};
use crate::error::JournalError;
use crate::record::{HEADER_BYTES, Header};
use crate::storage::{File, Storage};

/// Bytes of a batch when the reader does not say.
const BATCH_BYTES: usize = 1 << 20;

/// Follows the feed.
pub struct FeedReader<S: Storage> {
    storage: S,
    file: Option<Open<S::File>>,
    /// Sequence of the last record that was given.
    after: u64,
    buffer: Vec<u8>,
    plain: Vec<u8>,
}

/// The file that is read, and where in it.
struct Open<F> {
    file: F,
    name: String,
    first: u64,
    offset: u64,
    link: u64,
    ordinal: u64,
}

impl<F: File> Open<F> {
    /// Reads `bytes` from the position on into the buffer; how many there were.
    fn fill(&self, buffer: &mut Vec<u8>, bytes: usize) -> Result<usize, JournalError> {
        buffer.resize(bytes, 0);
        self.file.read_at(buffer, self.offset).map_err(JournalError::io("read", &self.name))
    }
}

impl<S: Storage> FeedReader<S> {
    /// Starts behind the record `after`.
    pub fn open(storage: &S, after: u64) -> FeedReader<S> {
        let (buffer, plain) = (Vec::new(), Vec::new());
        FeedReader { storage: storage.clone(), file: None, after, buffer, plain }
    }

    /// Sequence of the last record that was given: where to open after a restart.
    pub fn position(&self) -> u64 {
        self.after
    }

    /// As [`FeedReader::batch`], of about a mebibyte.
    ///
    /// # Errors
    /// As [`FeedReader::batch`].
    pub fn next_batch(&mut self) -> Result<VecDeque<FeedRecord>, JournalError> {
        self.batch(BATCH_BYTES)
    }

    /// The next records, of at most `bytes_max` in the file unless the first alone is larger; none when
    /// there is nothing new.
    ///
    /// # Errors
    /// [`JournalError::FeedGap`] when the next record is not in the feed any more; then the projection has
    /// to be rebuilt by other means. Others when files cannot be read.
    pub fn batch(&mut self, bytes_max: usize) -> Result<VecDeque<FeedRecord>, JournalError> {
        let mut records = VecDeque::new();
        loop {
            if self.file.is_none() && !self.begin()? {
                return Ok(records);
            }
            // Records before the first that is wanted fill no batch.
            while self.read(bytes_max.max(HEADER_BYTES), &mut records)? {
                if !records.is_empty() {
                    return Ok(records);
                }
            }
            if !self.is_continued()? {
                return Ok(records);
            }
            // A record may have come to this file between the last look at it and the one at the names.
            if self.read(bytes_max.max(HEADER_BYTES), &mut records)? && !records.is_empty() {
                return Ok(records);
            }
            self.file = None;
        }
    }

    /// Opens the file that holds the next record, or would; false when there is no file yet.
    fn begin(&mut self) -> Result<bool, JournalError> {
        let wanted = self.after + 1;
        let files = first_sequences(&self.storage)?;
        let first = match files.iter().rfind(|first| **first <= wanted) {
            Some(first) => *first,
            None => match files.first() {
                // A feed that begins with the engine's first command misses nothing.
                None => return Ok(false),
                Some(&first) => return Err(JournalError::FeedGap { wanted, first }),
            },
        };
        let name = feed_name(first);
        let file = self.storage.open(&name).map_err(JournalError::io("open", &name))?;
        self.file = Some(Open { file, name, first, offset: 0, link: 0, ordinal: 0 });
        Ok(true)
    }

    /// Whether a later file goes on where this one ends.
    fn is_continued(&self) -> Result<bool, JournalError> {
        let Some(open) = &self.file else { return Ok(false) };
        let files = first_sequences(&self.storage)?;
        match files.into_iter().find(|first| *first > open.first) {
            None => Ok(false),
            Some(first) if first <= self.after + 1 => Ok(true),
            Some(first) => Err(JournalError::FeedGap { wanted: self.after + 1, first }),
        }
    }

    /// Reads whole records from the position on; whether there were any.
    fn read(
        &mut self,
        bytes_max: usize,
        records: &mut VecDeque<FeedRecord>,
    ) -> Result<bool, JournalError> {
        let Some(open) = &mut self.file else { return Ok(false) };
        let mut count = open.fill(&mut self.buffer, bytes_max)?;
        if let Some((header, _)) = Header::read(&self.buffer[..count])
            && header.record_bytes() > bytes_max as u64
        {
            let size = open.file.size().map_err(JournalError::io("read", &open.name))?;
            let whole = header.record_bytes().min(size.saturating_sub(open.offset));
            count = open.fill(&mut self.buffer, usize::try_from(whole).unwrap_or(bytes_max))?;
        }
        let bytes = &self.buffer[..count];
        let mut start = 0;
        while let Some((header, link)) = Header::read(&bytes[start..])
            && header.chain == open.link
            && header.ordinal == open.ordinal + 1
            && let Some(payload) = header.payload(&bytes[start..], &mut self.plain)
        {
            if header.sequence > self.after {
                let (sequence, time) = (header.sequence, header.time);
                if sequence != self.after + 1 {
                    let (wanted, first) = (self.after + 1, sequence);
                    return Err(JournalError::FeedGap { wanted, first });
                }
                records.push_back(FeedRecord { sequence, time, payload: payload.to_vec() });
                self.after = sequence;
            }
            start += header.record_bytes() as usize;
            (open.link, open.ordinal) = (link, header.ordinal);
        }
        open.offset += start as u64;
        Ok(start > 0)
    }
}
