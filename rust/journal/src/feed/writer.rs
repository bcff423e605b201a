//! The writer of the feed: one, on the engine's thread.

use std::sync::Arc;

use super::outflow::Outflow;
use super::{End, FeedSignal, feed_name, first_sequences, read};
use crate::error::JournalError;
use crate::record::Header;
use crate::storage::{File, Storage};

/// Size from which a new file is begun.
const FILE_BYTES: u64 = 64 << 20;

/// The only kind of a feed's records.
const KIND_EVENTS: u8 = 6;

/// Appends to the feed.
pub struct FeedWriter<S: Storage> {
    storage: S,
    file: Option<(S::File, String)>,
    file_bytes_max: u64,
    /// Of what is in the file, except that link, ordinal and sequence include the buffer.
    end: End,
    buffer: Vec<u8>,
    signal: Arc<FeedSignal>,
    outflow: Option<Outflow>,
    /// How much of the file the outflow knows of.
    noted: u64,
}

impl<S: Storage> FeedWriter<S> {
    /// Goes on behind the last valid record; what stands behind it is cut.
    ///
    /// # Errors
    /// When files cannot be used.
    pub fn open(storage: &S) -> Result<FeedWriter<S>, JournalError> {
        FeedWriter::open_with(storage, FILE_BYTES)
    }

    /// As [`FeedWriter::open`], with the size from which a new file is begun.
    ///
    /// # Errors
    /// When files cannot be used.
    pub fn open_with(storage: &S, file_bytes_max: u64) -> Result<FeedWriter<S>, JournalError> {
        let mut writer = FeedWriter {
            storage: storage.clone(),
            file: None,
            file_bytes_max,
            end: End::default(),
            buffer: Vec::new(),
            signal: Arc::default(),
            outflow: None,
            noted: 0,
        };
        while let Some(first) = first_sequences(storage)?.last().copied() {
            let name = feed_name(first);
            let (file, bytes) = read(storage, &name)?;
            let end = End::of(&bytes);
            if end.offset == 0 {
                storage.remove(&name).map_err(JournalError::io("remove", &name))?;
                continue;
            }
            file.set_size(end.offset).map_err(JournalError::io("cut", &name))?;
            writer.file = Some((file, name));
            writer.end = end;
            writer.noted = end.offset;
            break;
        }
        writer.signal.flush(writer.end.sequence);
        Ok(writer)
    }

    /// Has a thread of its own write to the disk what is appended from now on, little by little.
    ///
    /// # Errors
    /// When the thread cannot start.
    pub fn flow_out(&mut self) -> Result<(), JournalError> {
        let started = Outflow::start(&self.storage);
        let started = started.map_err(JournalError::io("start", "the thread of the feed"))?;
        self.outflow = Some(started);
        Ok(())
    }

    /// Sequence of the last record; 0 without one.
    pub fn sequence(&self) -> u64 {
        self.end.sequence
    }

    /// What tells followers of new records.
    pub fn signal(&self) -> &Arc<FeedSignal> {
        &self.signal
    }

    /// Adds a record. Sequences have no gaps; the first record of an empty feed may have any.
    ///
    /// # Errors
    /// When a new file cannot be made.
    ///
    /// # Panics
    /// When the sequence is not the next.
    pub fn append(&mut self, sequence: u64, time: i64, payload: &[u8]) -> Result<(), JournalError> {
        assert!(
            sequence == self.end.sequence + 1 || self.end.sequence == 0,
            "the feed's sequences have no gaps"
        );
        if self.file.is_none() || self.end.offset + self.buffer.len() as u64 >= self.file_bytes_max
        {
            self.sync()?;
            let name = feed_name(sequence);
            let file = self.storage.create(&name).map_err(JournalError::io("create", &name))?;
            self.file = Some((file, name));
            self.noted = 0;
            self.end = End { sequence: self.end.sequence, ..End::default() };
        }
        self.end.ordinal += 1;
        self.end.sequence = sequence;
        let header = Header {
            kind: KIND_EVENTS,
            length: 0,
            epoch: 0,
            ordinal: self.end.ordinal,
            sequence,
            time,
            synced: 0,
            chain: self.end.link,
            payload_checksum: 0,
        };
        self.end.link = header.write(payload, &mut self.buffer);
        Ok(())
    }

    /// Hands what was appended to the system, so that readers see it, and tells them.
    ///
    /// # Errors
    /// When it cannot be written; it is tried again with the next call.
    pub fn flush(&mut self) -> Result<(), JournalError> {
        if let Some((file, name)) = &self.file
            && !self.buffer.is_empty()
        {
            file.write_at(&self.buffer, self.end.offset)
                .map_err(JournalError::io("write", name))?;
            self.end.offset += self.buffer.len() as u64;
            self.buffer.clear();
            if let Some(outflow) = &self.outflow {
                self.noted = outflow.note(name, self.noted, self.end.offset);
            }
            self.signal.flush(self.end.sequence);
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

impl<S: Storage> Drop for FeedWriter<S> {
    fn drop(&mut self) {
        self.signal.close();
    }
}
