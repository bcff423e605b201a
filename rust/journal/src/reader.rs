//! Reading a journal: what is valid, where it ends, and whether the end is clean, torn or damaged.
//!
//! At the first invalid position P of the last segment:
//!
//! 1. all zero from there on: the end;
//! 2. a whole header stands at P and continues another record than the last: it came from another place
//!    of the disk, so P is **damaged**;
//! 3. a later valid record whose `synced` covers the one at P: P was durable, so it is **damaged**;
//! 4. all is zero from some byte of the record at P on, its last byte included: the append was cut:
//!    **torn**;
//! 5. a sector of the record at P is all zero: it never reached the disk, so the record was never
//!    acknowledged: **torn**;
//! 6. otherwise every sector was written and one has changed since: **damaged**.
//!
//! Anything invalid before the last segment is damaged: a segment is synced before the next begins. So is
//! a file of another size than it was made with.

use crate::error::JournalError;
use crate::record::{HEADER_BYTES, Header, KIND_SEAL, MARK, Record};
use crate::segment::{SEGMENT_HEADER_BYTES, SegmentHeader, number_in, segment_name};
use crate::storage::{File, Storage};

/// The unit that a disk writes as a whole.
const SECTOR: usize = 512;

/// Bytes behind the last whole record that never were acknowledged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Torn {
    /// Name within the directory.
    pub file: String,
    /// Where they start.
    pub offset: u64,
    /// How many, up to the last that is not zero.
    pub bytes: u64,
}

/// What a journal holds.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Summary {
    /// Segment files read.
    pub segments: u64,
    /// Records read.
    pub records: u64,
    /// Number of the last record; 0 without one.
    pub ordinal: u64,
    /// Sequence of the last command; 0 without one.
    pub sequence: u64,
    /// How often the journal was opened.
    pub epoch: u64,
    /// Time of the last record, microseconds.
    pub time: i64,
    /// Whether the last record is a clean close.
    pub is_sealed: bool,
    /// The unfinished end, if there is one.
    pub torn: Option<Torn>,
}

/// Where the next record goes.
#[derive(Clone, Debug)]
pub(crate) struct Tail {
    pub(crate) number: u64,
    pub(crate) offset: u64,
    /// Size of the segment's file.
    pub(crate) capacity: u64,
    /// Link of the last record, or of the segment's header.
    pub(crate) link: u64,
    /// Whether the segment holds a command.
    pub(crate) has_command: bool,
}

impl Tail {
    /// Of a segment without records.
    pub(crate) fn behind_header(header: &SegmentHeader, link: u64) -> Tail {
        let (number, capacity) = (header.number, header.file_bytes);
        let offset = SEGMENT_HEADER_BYTES as u64;
        Tail { number, offset, capacity, link, has_command: false }
    }
}

/// Reads without a lock and without changing anything; `visit` gets the name of the file, the offset and
/// the record of every record behind the command `after`, and returns whether to go on.
///
/// # Errors
/// On damage, and when files cannot be read.
pub fn inspect<S: Storage>(
    storage: &S,
    after: u64,
    visit: &mut dyn FnMut(&str, u64, &Record<'_>) -> bool,
) -> Result<Summary, JournalError> {
    scan(storage, after, visit, true).map(|(summary, _, _)| summary)
}

/// Sequence of the first command that the segments hold, or would hold next; None without a segment. What
/// came before it went with segments that a snapshot covers.
///
/// # Errors
/// On damage of the oldest segment's header, and when files cannot be read.
pub fn first_sequence<S: Storage>(storage: &S) -> Result<Option<u64>, JournalError> {
    for number in segment_numbers(storage)? {
        match read_header(storage, number) {
            Ok((header, _)) => return Ok(Some(header.first_sequence)),
            // A snapshot was made meanwhile, and what it covers went.
            Err(error) if error.is_missing_file() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// Reads the closed segments: all but the last. Returns what was read, and the digest that the caller
/// gave when the last of them was closed.
///
/// # Errors
/// On damage, and when files cannot be read.
pub fn read_closed<S: Storage>(
    storage: &S,
    after: u64,
    visit: &mut dyn FnMut(&str, u64, &Record<'_>) -> bool,
) -> Result<(Summary, u64), JournalError> {
    let (summary, _, digest) = scan(storage, after, visit, false)?;
    Ok((summary, digest))
}

/// Numbers of the segments, ascending.
pub(crate) fn segment_numbers<S: Storage>(storage: &S) -> Result<Vec<u64>, JournalError> {
    let names = storage.list().map_err(JournalError::io("list", "the directory"))?;
    let numbers = names.iter().filter_map(|name| number_in(name, "journal-", ".seg"));
    let mut numbers: Vec<u64> = numbers.collect();
    numbers.sort_unstable();
    Ok(numbers)
}

pub(crate) fn read_header<S: Storage>(
    storage: &S,
    number: u64,
) -> Result<(SegmentHeader, u64), JournalError> {
    let name = segment_name(number);
    let file = storage.open(&name).map_err(JournalError::io("open", &name))?;
    SegmentHeader::read(&file, &name)
}

type Scanned = (Summary, Option<Tail>, u64);

/// Reads from the segment that holds `after + 1` on; with `is_whole` to the end, else to the last rotation.
pub(crate) fn scan<S: Storage>(
    storage: &S,
    after: u64,
    visit: &mut dyn FnMut(&str, u64, &Record<'_>) -> bool,
    is_whole: bool,
) -> Result<Scanned, JournalError> {
    let numbers = segment_numbers(storage)?;
    let Some(&last) = numbers.last() else { return Ok((Summary::default(), None, 0)) };
    // From the newest back: older segments may be on their way out. Of segments without commands, which
    // begin with the same sequence, the oldest is the first.
    let (mut first, mut oldest) = (last, u64::MAX);
    for &number in numbers.iter().rev() {
        if oldest <= after + 1 && number + 1 != first {
            break;
        }
        let sequence = match read_header(storage, number) {
            Ok((header, _)) => header.first_sequence,
            // A snapshot was made meanwhile, and what it covers went.
            Err(error) if oldest <= after + 1 && error.is_missing_file() => break,
            Err(error) => return Err(error),
        };
        if oldest <= after + 1 && sequence < oldest {
            break;
        }
        (first, oldest) = (number, sequence);
    }
    if oldest > after + 1 {
        return Err(damaged(
            &segment_name(first),
            0,
            &Summary { sequence: after, ..Summary::default() },
            "commands before this segment are needed and missing",
        ));
    }
    let mut reader = Reader { after, visit, summary: Summary::default(), plain: Vec::new() };
    let mut chain = None;
    let mut tail = None;
    for number in first..=last {
        let name = segment_name(number);
        let file = match storage.open(&name) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(damaged(&name, 0, &reader.summary, "the segment is missing"));
            }
            Err(source) => return Err(JournalError::io("open", &name)(source)),
        };
        let (header, link) = SegmentHeader::read(&file, &name)?;
        if header.number != number || chain.is_some_and(|chain| chain != header.chain) {
            return Err(damaged(
                &name,
                0,
                &reader.summary,
                "it does not continue the segment before it; records are missing",
            ));
        }
        if number == last && !is_whole {
            return Ok((reader.summary, None, header.digest));
        }
        reader.summary.segments += 1;
        reader.summary.ordinal = header.first_ordinal - 1;
        reader.summary.sequence = header.first_sequence - 1;
        reader.summary.epoch = header.epoch;
        reader.summary.time = header.time;
        let size = usize::try_from(header.file_bytes).expect("a segment fits in memory");
        let mut bytes = vec![0; size];
        file.read_at(&mut bytes, 0).map_err(JournalError::io("read", &name))?;
        let tail_of_header = Tail::behind_header(&header, link);
        let end = reader.segment(tail_of_header, &name, &bytes, number == last)?;
        chain = Some(end.link);
        tail = Some(end);
    }
    Ok((reader.summary, tail, 0))
}

struct Reader<'a> {
    after: u64,
    visit: &'a mut dyn FnMut(&str, u64, &Record<'_>) -> bool,
    summary: Summary,
    plain: Vec<u8>,
}

impl Reader<'_> {
    /// Reads the records of a segment, from `begin` on.
    fn segment(
        &mut self,
        begin: Tail,
        name: &str,
        bytes: &[u8],
        is_last: bool,
    ) -> Result<Tail, JournalError> {
        let mut offset = SEGMENT_HEADER_BYTES;
        let Tail { mut link, mut has_command, .. } = begin;
        while let Some((header, next)) = Header::read(&bytes[offset..]) {
            if header.chain != link || header.ordinal != self.summary.ordinal + 1 {
                break;
            }
            let Some(payload) = header.payload(&bytes[offset..], &mut self.plain) else { break };
            let record = header.record(payload);
            let is_command = record.sequence > self.summary.sequence;
            has_command |= is_command;
            self.summary.records += 1;
            self.summary.ordinal = record.ordinal;
            self.summary.sequence = record.sequence;
            self.summary.epoch = record.epoch;
            self.summary.time = record.time;
            self.summary.is_sealed = record.kind == KIND_SEAL;
            let is_news =
                record.sequence > self.after || (record.sequence == self.after && !is_command);
            if is_news && !(self.visit)(name, offset as u64, &record) {
                return Err(JournalError::Stopped);
            }
            link = next;
            offset += header.record_bytes() as usize;
        }
        if let Some(last) = bytes[offset..].iter().rposition(|byte| *byte != 0) {
            let what = self.judge(bytes, offset, last + offset, link, is_last);
            if let Some(what) = what {
                return Err(damaged(name, offset as u64, &self.summary, what));
            }
            let torn =
                Torn { file: name.to_owned(), offset: offset as u64, bytes: last as u64 + 1 };
            self.summary.torn = Some(torn);
            self.summary.is_sealed = false;
        }
        Ok(Tail { offset: offset as u64, link, has_command, ..begin })
    }

    /// What is wrong with the bytes from `offset` to the last that is not zero, `last`; `None` when they
    /// are a torn append.
    fn judge(
        &self,
        bytes: &[u8],
        offset: usize,
        last: usize,
        link: u64,
        is_last: bool,
    ) -> Option<&'static str> {
        if !is_last {
            return Some("the record is not as written, and later segments exist");
        }
        let lost = self.summary.ordinal + 1;
        let header = Header::read(&bytes[offset..]).map(|(header, _)| header);
        if header.is_some_and(|header| header.chain != link || header.ordinal != lost) {
            return Some("a record from another place stands where the next one belongs");
        }
        let mut plain = Vec::new();
        for start in offset + 1..=last {
            if bytes[start] == MARK
                && let Some((later, _)) = Header::read(&bytes[start..])
                && later.ordinal > lost
                && later.synced >= lost
                && later.payload(&bytes[start..], &mut plain).is_some()
            {
                return Some(
                    "the record is not as written, and later ones prove that it was durable",
                );
            }
        }
        let length = header.map_or(HEADER_BYTES as u64, |header| header.record_bytes());
        let end = usize::try_from(length).unwrap_or(usize::MAX).saturating_add(offset);
        if last + 1 < end {
            return None;
        }
        let end = end.min(bytes.len());
        let mut start = offset;
        while start < end {
            let next = (start / SECTOR + 1) * SECTOR;
            if bytes[start..next.min(bytes.len())].iter().all(|byte| *byte == 0) {
                return None;
            }
            start = next;
        }
        Some("every sector of the record was written, and its checksum does not fit")
    }
}

fn damaged(file: &str, offset: u64, at: &Summary, what: &'static str) -> JournalError {
    let (file, sequence, ordinal) = (file.to_owned(), at.sequence, at.ordinal);
    JournalError::Damaged { file, offset, sequence, ordinal, what }
}
