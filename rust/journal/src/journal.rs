//! The writer: append to a batch, commit the batch with one write and one sync.
//!
//! Invariant: bytes before the write position are never changed, and after the first failed write or sync
//! nothing is written any more: what the disk then holds is not known.

use crate::error::JournalError;
use crate::reader::{Summary, Tail, scan};
use crate::record::{FRAME_BYTES, Header, KIND_OPENED, KIND_SEAL, Record};
use crate::reserve::Reserve;
use crate::segment::{SEGMENT_HEADER_BYTES, SegmentHeader, header_link, segment_name};
use crate::storage::{File, Storage};

/// Room that every segment keeps for digest marks and the seal.
const MARGIN_BYTES: usize = 1024;

/// Zeros written at once when a torn end is cut.
const ZEROS: [u8; 4096] = [0; 4096];

/// How a journal is written.
#[derive(Clone, Debug)]
pub struct Options {
    /// Size of a segment's file.
    pub segment_bytes: u64,
    /// False acknowledges what is written and not synced.
    pub is_synced: bool,
    /// Payload of the record that each open writes, such as the build's name.
    pub opened: Vec<u8>,
    /// Time of that record, microseconds.
    pub time: i64,
}

/// A journal that was opened.
pub struct Recovered<S: Storage> {
    /// To go on writing.
    pub journal: Journal<S>,
    /// What was there before; a torn end has been cut.
    pub found: Summary,
}

/// The open journal; the directory is locked while it lives.
pub struct Journal<S: Storage> {
    storage: S,
    options: Options,
    reserve: Reserve<S>,
    file: S::File,
    name: String,
    number: u64,
    /// Where the batch goes.
    offset: u64,
    batch: Vec<u8>,
    link: u64,
    epoch: u64,
    /// Of the last record appended.
    ordinal: u64,
    /// Of the last record that is durable.
    synced: u64,
    /// Of the last command appended.
    sequence: u64,
    has_command: bool,
    halted: Option<String>,
    _lock: S::Lock,
}

impl<S: Storage + Sync> Journal<S> {
    /// Locks the directory, reads every record behind the command `after`, cuts a torn end, and writes an
    /// opened record of the next epoch, synced. `visit` returns whether to go on.
    ///
    /// # Errors
    /// When another process writes it, on damage, and when files cannot be used.
    pub fn open(
        storage: &S,
        options: Options,
        after: u64,
        visit: &mut dyn FnMut(&str, u64, &Record<'_>) -> bool,
    ) -> Result<Recovered<S>, JournalError> {
        let lock = storage.lock()?;
        let (found, tail, _) = scan(storage, after, visit, true)?;
        let reserve = Reserve::start(storage, options.segment_bytes)?;
        let epoch = found.epoch + 1;
        let (file, tail) = match tail {
            Some(tail) => {
                let name = segment_name(tail.number);
                let file = storage.open(&name).map_err(JournalError::io("open", &name))?;
                if let Some(torn) = &found.torn {
                    blank(&file, torn.offset, torn.bytes)
                        .map_err(JournalError::io("cut the torn end of", &name))?;
                }
                (file, tail)
            }
            None => {
                let (number, first_sequence, first_ordinal) = (1, after + 1, 1);
                let header = SegmentHeader {
                    number,
                    epoch,
                    first_sequence,
                    first_ordinal,
                    chain: 0,
                    digest: 0,
                };
                let (file, link) = begin(storage, &reserve, header)?;
                let offset = SEGMENT_HEADER_BYTES as u64;
                (file, Tail { number, offset, link, has_command: false })
            }
        };
        let mut journal = Journal {
            storage: storage.clone(),
            reserve,
            file,
            name: segment_name(tail.number),
            number: tail.number,
            offset: tail.offset,
            batch: Vec::new(),
            link: tail.link,
            epoch,
            ordinal: found.ordinal,
            synced: found.ordinal,
            sequence: found.sequence.max(after),
            has_command: tail.has_command,
            halted: None,
            options,
            _lock: lock,
        };
        let (payload, time) = (journal.options.opened.clone(), journal.options.time);
        if journal.needs_rotation(payload.len()) {
            journal.rotate(0)?;
        }
        journal.append(KIND_OPENED, journal.sequence, time, &payload)?;
        journal.commit()?;
        Ok(Recovered { journal, found })
    }

    /// How often the journal was opened, this time included.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Adds a record to the batch. A command has the next sequence; any other record repeats the last.
    ///
    /// # Errors
    /// When it fits no segment, or after a failure.
    ///
    /// # Panics
    /// When the segment has no room: the caller asks [`Journal::needs_rotation`] first.
    pub fn append(
        &mut self,
        kind: u8,
        sequence: u64,
        time: i64,
        payload: &[u8],
    ) -> Result<(), JournalError> {
        self.check()?;
        let bytes = payload.len() + FRAME_BYTES;
        let segment_bytes = self.options.segment_bytes;
        if (bytes + SEGMENT_HEADER_BYTES + MARGIN_BYTES) as u64 > segment_bytes {
            return Err(JournalError::TooLarge { bytes, segment_bytes });
        }
        let end = self.offset + (self.batch.len() + bytes) as u64;
        assert!(end <= segment_bytes, "the segment was left before it was full");
        assert!(
            sequence == self.sequence || sequence == self.sequence + 1,
            "sequences have no gaps"
        );
        self.has_command |= sequence > self.sequence;
        self.sequence = sequence;
        self.ordinal += 1;
        let header = Header {
            kind,
            length: 0,
            epoch: self.epoch,
            ordinal: self.ordinal,
            sequence,
            time,
            synced: self.synced,
            chain: self.link,
            payload_checksum: 0,
        };
        self.link = header.write(payload, &mut self.batch);
        Ok(())
    }

    /// Whether a record with a payload of `bytes` and the marks beside it need a new segment.
    pub fn needs_rotation(&self, bytes: usize) -> bool {
        let end = self.offset + (self.batch.len() + bytes + FRAME_BYTES + MARGIN_BYTES) as u64;
        end > self.options.segment_bytes
    }

    /// Writes the batch and syncs it. Without records it does nothing.
    ///
    /// # Errors
    /// On the first failure and for ever after it.
    pub fn commit(&mut self) -> Result<(), JournalError> {
        self.check()?;
        if self.batch.is_empty() {
            return Ok(());
        }
        let mut written = self
            .file
            .write_at(&self.batch, self.offset)
            .map_err(JournalError::io("write", &self.name));
        if written.is_ok() && self.options.is_synced {
            written = self.file.sync().map_err(JournalError::io("sync", &self.name));
        }
        self.halt_on(written)?;
        self.offset += self.batch.len() as u64;
        self.batch.clear();
        if self.options.is_synced {
            self.synced = self.ordinal;
        }
        Ok(())
    }

    /// Whether the current segment holds a command.
    pub fn has_command(&self) -> bool {
        self.has_command
    }

    /// Commits, then goes on in a new segment, whose header keeps `digest`: the state after the last
    /// command.
    ///
    /// # Errors
    /// On the first failure and for ever after it.
    pub fn rotate(&mut self, digest: u64) -> Result<(), JournalError> {
        self.commit()?;
        let synced = self.file.sync().map_err(JournalError::io("sync", &self.name));
        self.halt_on(synced)?;
        self.synced = self.ordinal;
        let number = self.number + 1;
        let header = SegmentHeader {
            number,
            epoch: self.epoch,
            first_sequence: self.sequence + 1,
            first_ordinal: self.ordinal + 1,
            chain: self.link,
            digest,
        };
        let begun = begin(&self.storage, &self.reserve, header);
        let (file, link) = self.halt_on(begun)?;
        self.file = file;
        self.name = segment_name(number);
        self.number = number;
        self.offset = SEGMENT_HEADER_BYTES as u64;
        self.link = link;
        self.has_command = false;
        Ok(())
    }

    /// Writes the record of a clean close, with the state's digest, and syncs.
    ///
    /// # Errors
    /// On the first failure and for ever after it.
    pub fn seal(&mut self, digest: u64, time: i64) -> Result<(), JournalError> {
        self.append(KIND_SEAL, self.sequence, time, &digest.to_le_bytes())?;
        self.commit()?;
        let synced = self.file.sync().map_err(JournalError::io("sync", &self.name));
        self.halt_on(synced)
    }

    /// Whether there is space for what comes; without it the owner refuses writes.
    pub fn has_reserve(&self) -> bool {
        self.reserve.is_filled()
    }

    fn check(&self) -> Result<(), JournalError> {
        match &self.halted {
            Some(cause) => Err(JournalError::Halted { cause: cause.clone() }),
            None => Ok(()),
        }
    }

    /// Remembers the first failure.
    fn halt_on<T>(&mut self, outcome: Result<T, JournalError>) -> Result<T, JournalError> {
        if let Err(error) = &outcome {
            self.halted = Some(error.to_string());
        }
        outcome
    }
}

/// Makes a spare the segment of `header`. Its name appears only when its header is durable.
fn begin<S: Storage + Sync>(
    storage: &S,
    reserve: &Reserve<S>,
    header: SegmentHeader,
) -> Result<(S::File, u64), JournalError> {
    let spare = reserve.take()?;
    let file = storage.open(&spare).map_err(JournalError::io("open", &spare))?;
    let bytes = header.to_bytes();
    file.write_at(&bytes, 0).map_err(JournalError::io("write", &spare))?;
    file.sync().map_err(JournalError::io("sync", &spare))?;
    let name = segment_name(header.number);
    storage.rename(&spare, &name).map_err(JournalError::io("rename", &spare))?;
    storage.sync_directory().map_err(JournalError::io("sync", "the directory"))?;
    Ok((file, header_link(&bytes)))
}

/// Zeros what stands between `offset` and `end`, durably.
fn blank(file: &impl File, mut offset: u64, bytes: u64) -> std::io::Result<()> {
    let end = offset + bytes;
    while offset < end {
        let count = usize::try_from(end - offset).unwrap_or(ZEROS.len()).min(ZEROS.len());
        file.write_at(&ZEROS[..count], offset)?;
        offset += count as u64;
    }
    file.sync()
}
