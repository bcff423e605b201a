//! A journal of commands whose payloads follow from their sequences, so that any prefix is recognised.
#![allow(dead_code, reason = "each test file uses its part")]

use viabtc_journal::simulated::SimulatedDisk;
use viabtc_journal::{Journal, JournalError, Options, SnapshotWriter, latest_snapshot};

pub const COMMAND: u8 = 1;

pub fn options(segment_bytes: u64) -> Options {
    Options {
        segment_bytes,
        is_synced: true,
        opened: b"test".to_vec(),
        time: 1,
        is_prepared_ahead: false,
        epoch_min: 0,
        begins_after: 0,
    }
}

/// Opens the journal behind the command `after` and checks every command behind it; how many there were.
pub fn open_after(
    disk: &SimulatedDisk,
    segment_bytes: u64,
    after: u64,
) -> Result<(Journal<SimulatedDisk>, u64), JournalError> {
    let mut count = 0;
    let recovered = Journal::open(disk, options(segment_bytes), after, &mut |_, _, record| {
        if record.kind == COMMAND {
            count += 1;
            assert_eq!(record.sequence, after + count, "commands come in order, without gaps");
            assert!(record.payload == payload(record.sequence), "a command was changed");
        }
        true
    })?;
    Ok((recovered.journal, count))
}

/// Opens the whole journal; how many commands there were.
pub fn open(disk: &SimulatedDisk) -> Result<(Journal<SimulatedDisk>, u64), JournalError> {
    open_after(disk, 64 << 10, 0)
}

/// Recovers as an engine does, whose state is the number of commands; that number.
pub fn recover(
    disk: &SimulatedDisk,
    segment_bytes: u64,
) -> Result<(Journal<SimulatedDisk>, u64), JournalError> {
    let (snapshot, _) = latest_snapshot(disk)?;
    let after = snapshot.map_or(0, |snapshot| snapshot.sequence);
    let (journal, count) = open_after(disk, segment_bytes, after)?;
    Ok((journal, after + count))
}

/// Payloads of many sizes, some of zeros only.
pub fn payload(sequence: u64) -> Vec<u8> {
    let length = (sequence * 7919 % 1500) as usize;
    if sequence.is_multiple_of(3) { vec![0; length] } else { vec![sequence as u8; length] }
}

/// Appends commands, without a commit unless a segment is full.
pub fn write(
    journal: &mut Journal<SimulatedDisk>,
    sequences: std::ops::RangeInclusive<u64>,
) -> Result<(), JournalError> {
    for sequence in sequences {
        let payload = payload(sequence);
        if journal.needs_rotation(payload.len()) {
            journal.rotate(sequence)?;
        }
        journal.append(COMMAND, sequence, journal.time() + 1, &payload)?;
    }
    Ok(())
}

pub fn snapshot(disk: &SimulatedDisk, sequence: u64, content: &[u8]) -> Result<u64, JournalError> {
    let mut writer = SnapshotWriter::begin(disk, sequence)?;
    for piece in content.chunks(1000) {
        writer.write(piece)?;
    }
    writer.finish()
}

/// A number from the environment, else `default`: how much of a long test is run.
pub fn share(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |count| count.parse().expect("a number"))
}

/// A small generator: the xorshift of 64 bits.
pub struct Random(u64);

impl Random {
    pub fn from_environment() -> Random {
        let seed = std::env::var("VIABTC_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = seed.unwrap_or_else(|| {
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos()
                as u64
        });
        println!("VIABTC_SEED={seed}");
        Random(seed | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}
