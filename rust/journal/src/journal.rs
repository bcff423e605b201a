//! The writer: append to a batch, commit the batch with one write and one sync.
//!
//! Invariant: bytes before the write position are never changed, and after the first failed write or sync
//! nothing is written any more: what the disk then holds is not known.

use crate::error::JournalError;
use crate::reader::{Summary, Tail, scan, segment_numbers};
use crate::record::{FRAME_BYTES, Header, KIND_OPENED, KIND_PROOF, KIND_SEAL, Record};
use crate::reserve::Reserve;
use crate::segment::{SEGMENT_HEADER_BYTES, SegmentHeader, header_link, segment_name};
use crate::storage::{File, Storage, WRITER_LOCK};

/// The largest unit that a disk writes as a whole.
const BLOCK_BYTES: usize = 4096;

/// Room that every segment keeps for a digest mark and the seal.
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
    /// Time of that record, microseconds; a later one when the journal is already further.
    pub time: i64,
    /// The least epoch that this open gets: more than anybody else who wrote the same has had.
    pub epoch_min: u64,
    /// Where a new journal begins: behind this command, whose state a snapshot holds.
    pub begins_after: u64,
    /// True makes the next segments ahead, on a thread of their own. False makes them when they are due,
    /// on the caller's thread, so that a simulation has always the same order of operations.
    pub is_prepared_ahead: bool,
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
    /// Size of the current segment's file.
    capacity: u64,
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
    /// Of the last record appended, microseconds.
    time: i64,
    has_command: bool,
    /// Whether the last durable record is a proof.
    is_proven: bool,
    halted: Option<String>,
    _lock: S::Lock,
}

/// A journal that was read and is not changed yet. Others are kept away from it.
pub struct ReadJournal<S: Storage> {
    storage: S,
    options: Options,
    found: Summary,
    tail: Option<Tail>,
    lock: S::Lock,
}

impl<S: Storage + Sync> ReadJournal<S> {
    /// Cuts a torn end, and writes an opened record of the next epoch, synced.
    ///
    /// # Errors
    /// When files cannot be used.
    pub fn open(self) -> Result<Recovered<S>, JournalError> {
        let ReadJournal { storage, options, found, tail, lock } = self;
        let reserve = Reserve::start(&storage, options.segment_bytes, options.is_prepared_ahead)?;
        let epoch = options.epoch_min.max(found.epoch + 1);
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
                let header = SegmentHeader {
                    number: 1,
                    epoch,
                    first_sequence: found.sequence + 1,
                    first_ordinal: 1,
                    chain: 0,
                    digest: 0,
                    file_bytes: options.segment_bytes,
                    time: 0,
                };
                let spare = reserve.take()?;
                let (file, link) = begin(&storage, &spare, header)?;
                (file, Tail::behind_header(&header, link))
            }
        };
        let mut journal = Journal {
            storage,
            reserve,
            file,
            name: segment_name(tail.number),
            number: tail.number,
            capacity: tail.capacity,
            offset: tail.offset,
            batch: Vec::new(),
            link: tail.link,
            epoch,
            ordinal: found.ordinal,
            synced: found.ordinal,
            sequence: found.sequence,
            time: found.time,
            has_command: tail.has_command,
            is_proven: false,
            halted: None,
            options,
            _lock: lock,
        };
        let payload = journal.options.opened.clone();
        let time = journal.options.time.max(journal.time);
        if journal.needs_rotation(payload.len()) {
            journal.rotate(0)?;
        }
        journal.append(KIND_OPENED, journal.sequence, time, &payload)?;
        journal.commit()?;
        Ok(Recovered { journal, found })
    }
}

impl<S: Storage + Sync> Journal<S> {
    /// Reads the journal as [`Journal::read`] does and opens it for writing.
    ///
    /// # Errors
    /// See [`Journal::read`] and [`ReadJournal::open`].
    pub fn open(
        storage: &S,
        options: Options,
        after: u64,
        visit: &mut dyn FnMut(&str, u64, &Record<'_>) -> bool,
    ) -> Result<Recovered<S>, JournalError> {
        Journal::read(storage, options, after, visit)?.open()
    }

    /// Locks the directory and reads every record behind the command `after`, changing nothing. `visit`
    /// returns whether to go on; what it gets is durable.
    ///
    /// # Errors
    /// When another process writes it, on damage, when the journal ends before `after`, and when files
    /// cannot be used.
    pub fn read(
        storage: &S,
        options: Options,
        after: u64,
        visit: &mut dyn FnMut(&str, u64, &Record<'_>) -> bool,
    ) -> Result<ReadJournal<S>, JournalError> {
        let lock = storage.lock(WRITER_LOCK)?;
        if options.is_synced {
            sync_last_segment(storage)?;
        }
        let (mut found, tail, _) = scan(storage, after, visit, true)?;
        if tail.is_none() {
            found.sequence = options.begins_after;
        }
        if found.sequence < after {
            let known = "a snapshot".to_owned();
            return Err(JournalError::Lost { known, sequence: after, found: found.sequence });
        }
        Ok(ReadJournal { storage: storage.clone(), options, found, tail, lock })
    }

    /// How often the journal was opened, this time included.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Time of the last record: the next ones are not before it.
    pub fn time(&self) -> i64 {
        self.time
    }

    /// Adds a record to the batch. A command has the next sequence; any other record repeats the last.
    ///
    /// # Errors
    /// When it fits no segment, or after a failure.
    ///
    /// # Panics
    /// When the segment has no room: the caller asks [`Journal::needs_rotation`] first. When sequence or
    /// time do not continue the journal.
    pub fn append(
        &mut self,
        kind: u8,
        sequence: u64,
        time: i64,
        payload: &[u8],
    ) -> Result<(), JournalError> {
        self.check()?;
        let bytes = payload.len() + FRAME_BYTES;
        if !self.is_holding(payload.len()) {
            let segment_bytes = self.options.segment_bytes;
            return Err(JournalError::TooLarge { bytes, segment_bytes });
        }
        let end = self.offset + (self.batch.len() + bytes) as u64;
        assert!(end <= self.capacity, "the segment was left before it was full");
        assert!(time >= self.time, "time does not run backwards");
        assert!(
            sequence == self.sequence || sequence == self.sequence + 1,
            "sequences have no gaps"
        );
        self.has_command |= sequence > self.sequence;
        self.sequence = sequence;
        self.time = time;
        self.is_proven = kind == KIND_PROOF;
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

    /// Whether any segment can hold a record with a payload of `bytes`.
    pub fn is_holding(&self, bytes: usize) -> bool {
        (bytes + FRAME_BYTES + SEGMENT_HEADER_BYTES + MARGIN_BYTES) as u64
            <= self.options.segment_bytes
    }

    /// Whether a record with a payload of `bytes` and the marks beside it need a new segment.
    pub fn needs_rotation(&self, bytes: usize) -> bool {
        let end = self.offset + (self.batch.len() + bytes + FRAME_BYTES + MARGIN_BYTES) as u64;
        end > self.capacity
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

    /// Writes records that prove that all before them were durable, unless they stand there already.
    ///
    /// Should the disk lose a part of the last batch in spite of its sync, that cannot be told from a batch
    /// whose sync never returned. An owner that calls this when it is idle keeps a batch of commands the
    /// last one only for a moment. The first record fills the block that the last command ends in; the
    /// others stand in a block each, so that neither a lost block nor a misdirected one can take a command
    /// and every proof of it.
    ///
    /// # Errors
    /// On the first failure and for ever after it; also on one that [`Journal::has_reserve`] would report.
    pub fn prove(&mut self) -> Result<(), JournalError> {
        self.check()?;
        let checked = self.reserve.check();
        self.halt_on(checked)?;
        if self.is_proven || !self.options.is_synced {
            return Ok(());
        }
        self.commit()?;
        let filled = self.offset as usize + FRAME_BYTES;
        let padding = filled.next_multiple_of(BLOCK_BYTES) - filled;
        let end = filled + padding + BLOCK_BYTES + 2 * FRAME_BYTES + size_of::<u64>();
        if end as u64 > self.capacity {
            return Ok(());
        }
        for payload_bytes in [padding, BLOCK_BYTES - FRAME_BYTES, 0] {
            self.append(KIND_PROOF, self.sequence, self.time, &vec![0; payload_bytes])?;
        }
        self.commit()
    }

    /// Commits, then goes on in a new segment, whose header keeps `digest`: the state after the last
    /// command.
    ///
    /// # Errors
    /// [`JournalError::NoSpace`] when there is no further segment: nothing has changed then, and it may be
    /// tried again. On the first other failure and for ever after it.
    pub fn rotate(&mut self, digest: u64) -> Result<(), JournalError> {
        self.check()?;
        let spare = match self.reserve.take() {
            Err(error @ JournalError::NoSpace { .. }) => return Err(error),
            taken => self.halt_on(taken)?,
        };
        self.commit()?;
        if self.synced < self.ordinal {
            let synced = self.file.sync().map_err(JournalError::io("sync", &self.name));
            self.halt_on(synced)?;
            self.synced = self.ordinal;
        }
        let number = self.number + 1;
        let header = SegmentHeader {
            number,
            epoch: self.epoch,
            first_sequence: self.sequence + 1,
            first_ordinal: self.ordinal + 1,
            chain: self.link,
            digest,
            file_bytes: self.options.segment_bytes,
            time: self.time,
        };
        let begun = begin(&self.storage, &spare, header);
        let (file, link) = self.halt_on(begun)?;
        self.file = file;
        self.name = segment_name(number);
        self.number = number;
        self.capacity = header.file_bytes;
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
        self.append(KIND_SEAL, self.sequence, time.max(self.time), &digest.to_le_bytes())?;
        self.commit()?;
        let synced = self.file.sync().map_err(JournalError::io("sync", &self.name));
        self.halt_on(synced)
    }

    /// Whether there is space for what comes; without it the owner refuses writes.
    ///
    /// # Errors
    /// When a segment made ahead could not be synced although there is space, and for ever after it: the
    /// owner would go on with a disk that loses what is written.
    pub fn has_reserve(&mut self) -> Result<bool, JournalError> {
        self.check()?;
        let is_filled = self.reserve.is_filled();
        self.halt_on(is_filled)
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
fn begin<S: Storage>(
    storage: &S,
    spare: &str,
    header: SegmentHeader,
) -> Result<(S::File, u64), JournalError> {
    let file = storage.open(spare).map_err(JournalError::io("open", spare))?;
    let bytes = header.to_bytes();
    file.write_at(&bytes, 0).map_err(JournalError::io("write", spare))?;
    file.sync().map_err(JournalError::io("sync", spare))?;
    let name = segment_name(header.number);
    storage.rename(spare, &name).map_err(JournalError::io("rename", spare))?;
    storage.sync_directory().map_err(JournalError::io("sync", "the directory"))?;
    Ok((file, header_link(&bytes)))
}

/// After a kill the system may hold what the disk does not: what is read is to be durable.
fn sync_last_segment<S: Storage>(storage: &S) -> Result<(), JournalError> {
    let Some(&last) = segment_numbers(storage)?.last() else { return Ok(()) };
    let name = segment_name(last);
    let file = storage.open(&name).map_err(JournalError::io("open", &name))?;
    file.sync().map_err(JournalError::io("sync", &name))
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
