//! Snapshot files: opaque bytes in checksummed chunks, complete or not there.
//!
//! | bytes | field |
//! | ---: | --- |
//! | 8 | `VIABTCS1` |
//! | 8 | sequence of the last command in it |
//! | 8 | checksum of the two before |
//! | 4, 8, n | length, checksum and bytes of a chunk, repeated |
//! | 4, 8, 8 | 8, checksum and the number of content bytes: the end, marked by the length's highest bit |
//!
//! A file is written under another name, synced, and renamed. It is written over an older snapshot when there
//! is one to be had, whose blocks the file system then need not give back and allocate again.

use std::io::{self, Read};
use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::error::JournalError;
use crate::reader::{read_header, segment_numbers};
use crate::segment::{USED, number_in, segment_name};
use crate::storage::{File, SNAPSHOT_LOCK, Storage};

const MAGIC: &[u8; 8] = b"VIABTCS1";
const HEADER_BYTES: usize = 24;

/// Content of a chunk, which the disk has before the next is written: a burst of dirty pages at the end
/// would hold up the journal's own syncs on the same disk. It is not synced: syncs of two files at a time
/// wait for each other, and 600 of them held some of the journal's up by 4 to 8 ms.
const CHUNK_BYTES: usize = 256 << 10;
const CHUNK_HEADER_BYTES: usize = 12;

/// A snapshot that the next one is written over.
const USED_SNAPSHOT: &str = "used-snapshot";

/// Segments that are kept for the next ones: a busy engine fills two or three between two snapshots.
const USED_SEGMENTS_MAX: usize = 4;

/// Behind the names of files that are about to go.
const OBSOLETE: &str = ".obsolete";

/// How much of a file goes at once.
const PIECE_BYTES: u64 = 4 << 20;

/// Marks the last chunk.
const END: u32 = 1 << 31;

/// Writes one snapshot.
pub struct SnapshotWriter<S: Storage> {
    storage: S,
    file: S::File,
    sequence: u64,
    offset: u64,
    chunk: Vec<u8>,
    content_bytes: u64,
    pause: Duration,
}

impl<S: Storage> SnapshotWriter<S> {
    /// Begins the snapshot of the state after the command `sequence`.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn begin(storage: &S, sequence: u64) -> Result<SnapshotWriter<S>, JournalError> {
        let name = unfinished_name(sequence);
        let names = storage.list().map_err(JournalError::io("list", "the directory"))?;
        let is_used = names.iter().any(|name| name == USED_SNAPSHOT);
        let file = if is_used {
            storage
                .rename(USED_SNAPSHOT, &name)
                .map_err(JournalError::io("rename", USED_SNAPSHOT))?;
            // Under no name that it had before must a power loss show what is written now.
            storage.sync_directory().map_err(JournalError::io("sync", "the directory"))?;
            storage.open(&name).map_err(JournalError::io("open", &name))?
        } else {
            storage.create(&name).map_err(JournalError::io("create", &name))?
        };
        let mut header = MAGIC.to_vec();
        header.extend_from_slice(&sequence.to_le_bytes());
        let checksum = xxh3_64_with_seed(&header, 0);
        header.extend_from_slice(&checksum.to_le_bytes());
        file.write_at(&header, 0).map_err(JournalError::io("write", &name))?;
        Ok(SnapshotWriter {
            storage: storage.clone(),
            file,
            sequence,
            offset: HEADER_BYTES as u64,
            chunk: Vec::with_capacity(CHUNK_BYTES),
            content_bytes: 0,
            pause: Duration::ZERO,
        })
    }

    /// Rests for `pause` behind each chunk, for others who use the same disk.
    #[must_use]
    pub fn pausing(self, pause: Duration) -> SnapshotWriter<S> {
        SnapshotWriter { pause, ..self }
    }

    /// Adds content.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&mut self, mut bytes: &[u8]) -> Result<(), JournalError> {
        while !bytes.is_empty() {
            let room = CHUNK_BYTES - self.chunk.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.chunk.extend_from_slice(now);
            bytes = later;
            if self.chunk.len() == CHUNK_BYTES {
                self.write_chunk(0)?;
            }
        }
        Ok(())
    }

    /// Makes the snapshot appear, durably; its size in bytes.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(mut self) -> Result<u64, JournalError> {
        if !self.chunk.is_empty() {
            self.write_chunk(0)?;
        }
        self.chunk.extend_from_slice(&self.content_bytes.to_le_bytes());
        self.write_chunk(END)?;
        let (from, to) = (unfinished_name(self.sequence), snapshot_name(self.sequence));
        let size = self.file.size().map_err(JournalError::io("read", &from))?;
        if size > self.offset {
            // What is left of the older snapshot.
            self.file.set_size(self.offset).map_err(JournalError::io("shorten", &from))?;
        }
        self.file.sync().map_err(JournalError::io("sync", &from))?;
        self.storage.rename(&from, &to).map_err(JournalError::io("rename", &from))?;
        self.storage.sync_directory().map_err(JournalError::io("sync", "the directory"))?;
        Ok(self.offset)
    }

    fn write_chunk(&mut self, mark: u32) -> Result<(), JournalError> {
        let name = unfinished_name(self.sequence);
        let mut header = (self.chunk.len() as u32 | mark).to_le_bytes().to_vec();
        header.extend_from_slice(&xxh3_64_with_seed(&self.chunk, self.offset).to_le_bytes());
        let body = self.offset + header.len() as u64;
        self.file.write_at(&header, self.offset).map_err(JournalError::io("write", &name))?;
        self.file.write_at(&self.chunk, body).map_err(JournalError::io("write", &name))?;
        let end = body + self.chunk.len() as u64;
        if mark != END {
            let written = self.file.write_out(self.offset, end - self.offset);
            written.map_err(JournalError::io("write", &name))?;
            self.content_bytes += self.chunk.len() as u64;
            rest(self.pause);
        }
        self.offset = end;
        self.chunk.clear();
        Ok(())
    }
}

/// A snapshot that was read and is as it was written.
#[derive(Debug)]
pub struct Snapshot {
    /// Of the last command in it.
    pub sequence: u64,
    content: io::Cursor<Vec<u8>>,
}

impl Read for Snapshot {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.content.read(buffer)
    }
}

/// The newest snapshot that is as it was written, and the names of newer files that are not.
///
/// # Errors
/// When files cannot be read.
pub fn latest_snapshot<S: Storage>(
    storage: &S,
) -> Result<(Option<Snapshot>, Vec<String>), JournalError> {
    let mut damaged = Vec::new();
    for sequence in snapshot_sequences(storage)?.into_iter().rev() {
        let name = snapshot_name(sequence);
        match read(storage, &name, sequence).map_err(JournalError::io("read", &name))? {
            Some(content) => {
                let content = io::Cursor::new(content);
                return Ok((Some(Snapshot { sequence, content }), damaged));
            }
            None => damaged.push(name),
        }
    }
    Ok((None, damaged))
}

/// Keeps others from making a snapshot meanwhile.
///
/// # Errors
/// [`JournalError::Locked`] when another process does.
pub fn lock_snapshots<S: Storage>(storage: &S) -> Result<S::Lock, JournalError> {
    storage.lock(SNAPSHOT_LOCK)
}

/// Removes the `damaged` snapshots, all but the newest `keep` of the others, unfinished ones, and the
/// segments that even the oldest kept snapshot covers; how many files went. A snapshot and some segments of
/// them stay under other names, for the next ones. With a `pause` the space of the others is given back in
/// pieces, and it rests behind each.
///
/// # Errors
/// When files cannot be read or removed.
pub fn remove_obsolete<S: Storage>(
    storage: &S,
    keep: usize,
    damaged: &[String],
    pause: Duration,
) -> Result<usize, JournalError> {
    let mut sequences = snapshot_sequences(storage)?;
    sequences.retain(|sequence| !damaged.contains(&snapshot_name(*sequence)));
    let split = sequences.len().saturating_sub(keep);
    let names = storage.list().map_err(JournalError::io("list", "the directory"))?;
    // New names come first: under their own, files must not be found shortened or written over.
    let mut renamed = Vec::new();
    let mut is_wanted = !names.iter().any(|name| name == USED_SNAPSHOT);
    for sequence in sequences[..split].iter().rev() {
        let name = snapshot_name(*sequence);
        let to = if is_wanted { USED_SNAPSHOT.to_owned() } else { obsolete_name(&name) };
        is_wanted = false;
        renamed.push((name, to));
    }
    let unfinished = names.iter().filter(|name| name.ends_with(".snap.unfinished"));
    renamed
        .extend(damaged.iter().chain(unfinished).map(|name| (name.clone(), obsolete_name(name))));
    if let (Some(&oldest), true) = (sequences.get(split), sequences.len() >= keep) {
        let numbers = segment_numbers(storage)?;
        let used = names.iter().filter(|name| number_in(name, USED, ".seg").is_some()).count();
        let mut wanted = USED_SEGMENTS_MAX.saturating_sub(used);
        for pair in numbers.windows(2) {
            if read_header(storage, pair[1])?.0.first_sequence <= oldest + 1 {
                let name = segment_name(pair[0]);
                let to = if wanted > 0 { used_name(pair[0]) } else { obsolete_name(&name) };
                wanted = wanted.saturating_sub(1);
                renamed.push((name, to));
            }
        }
    }
    for (name, to) in &renamed {
        storage.rename(name, to).map_err(JournalError::io("rename", name))?;
    }
    storage.sync_directory().map_err(JournalError::io("sync", "the directory"))?;
    // What a process left that was ended in the middle of this goes along.
    let left = names.into_iter().chain(renamed.iter().map(|(_, to)| to.clone()));
    let leaving: Vec<String> = left.filter(|name| name.ends_with(OBSOLETE)).collect();
    for name in &leaving {
        shorten(storage, name, pause)?;
        storage.remove(name).map_err(JournalError::io("remove", name))?;
    }
    Ok(renamed.len())
}

/// Gives the space of a file back in pieces: what the file system does with much of it at once held up the
/// journal's syncs by 10 to 20 ms.
fn shorten<S: Storage>(storage: &S, name: &str, pause: Duration) -> Result<(), JournalError> {
    let file = storage.open(name).map_err(JournalError::io("open", name))?;
    let mut bytes = file.size().map_err(JournalError::io("read", name))?;
    while bytes > PIECE_BYTES {
        bytes -= PIECE_BYTES;
        file.set_size(bytes).map_err(JournalError::io("shorten", name))?;
        file.sync().map_err(JournalError::io("sync", name))?;
        rest(pause);
    }
    Ok(())
}

fn rest(pause: Duration) {
    if !pause.is_zero() {
        std::thread::sleep(pause);
    }
}

fn snapshot_sequences<S: Storage>(storage: &S) -> Result<Vec<u64>, JournalError> {
    let names = storage.list().map_err(JournalError::io("list", "the directory"))?;
    let sequences = names.iter().filter_map(|name| number_in(name, "snapshot-", ".snap"));
    let mut sequences: Vec<u64> = sequences.collect();
    sequences.sort_unstable();
    Ok(sequences)
}

fn snapshot_name(sequence: u64) -> String {
    format!("snapshot-{sequence:020}.snap")
}

fn obsolete_name(name: &str) -> String {
    format!("{name}{OBSOLETE}")
}

fn used_name(number: u64) -> String {
    format!("{USED}{number:010}.seg")
}

fn unfinished_name(sequence: u64) -> String {
    format!("snapshot-{sequence:020}.snap.unfinished")
}

/// The content, or `None` when a byte of the file is not as written.
fn read<S: Storage>(storage: &S, name: &str, sequence: u64) -> io::Result<Option<Vec<u8>>> {
    let file = storage.open(name)?;
    let mut bytes = vec![0; usize::try_from(file.size()?).unwrap_or(usize::MAX)];
    file.read_at(&mut bytes, 0)?;
    Ok(content(bytes, sequence))
}

/// Checks every byte and joins the chunks, in the memory where they are.
fn content(mut bytes: Vec<u8>, sequence: u64) -> Option<Vec<u8>> {
    let header = bytes.get(..HEADER_BYTES)?;
    let is_header = header[..8] == MAGIC[..]
        && header[8..16] == sequence.to_le_bytes()
        && header[16..] == xxh3_64_with_seed(&header[..16], 0).to_le_bytes();
    if !is_header {
        return None;
    }
    let mut content_bytes = 0;
    let mut offset = HEADER_BYTES;
    loop {
        let header = bytes.get(offset..offset + CHUNK_HEADER_BYTES)?;
        let length = u32::from_le_bytes(*header.first_chunk()?);
        let start = offset + CHUNK_HEADER_BYTES;
        let end = start + (length & !END) as usize;
        let chunk = bytes.get(start..end)?;
        if header[4..] != xxh3_64_with_seed(chunk, offset as u64).to_le_bytes() {
            return None;
        }
        if length & END != 0 {
            let is_whole = chunk == (content_bytes as u64).to_le_bytes() && end == bytes.len();
            bytes.truncate(content_bytes);
            return is_whole.then_some(bytes);
        }
        // Never onto what was not read yet: headers make the file longer than its content.
        bytes.copy_within(start..end, content_bytes);
        content_bytes += end - start;
        offset = end;
    }
}
