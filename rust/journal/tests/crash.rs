//! Power loss, kills, damage and failing operations, on the simulated disk: what was committed is found
//! again, nothing else is believed, and damage is refused.

use viabtc_journal::simulated::SimulatedDisk;
use viabtc_journal::{
    FeedReader, FeedWriter, Journal, JournalError, Options, Snapshot, SnapshotWriter, Storage,
    inspect, latest_snapshot, remove_obsolete, segment_name,
};

const COMMAND: u8 = 1;

fn options() -> Options {
    Options { segment_bytes: 64 * 1024, is_synced: true, opened: b"test".to_vec(), time: 1 }
}

fn open(disk: &SimulatedDisk) -> Result<(Journal<SimulatedDisk>, Vec<Vec<u8>>), JournalError> {
    let mut commands = Vec::new();
    let recovered = Journal::open(disk, options(), 0, &mut |_, _, record| {
        if record.kind == COMMAND {
            assert_eq!(record.sequence, commands.len() as u64 + 1);
            commands.push(record.payload.to_vec());
        }
        true
    })?;
    Ok((recovered.journal, commands))
}

/// Payloads of many sizes, some of zeros only.
fn payload(sequence: u64) -> Vec<u8> {
    let length = (sequence * 7919 % 1500) as usize;
    if sequence.is_multiple_of(3) { vec![0; length] } else { vec![sequence as u8; length] }
}

fn write(journal: &mut Journal<SimulatedDisk>, sequences: std::ops::RangeInclusive<u64>) {
    for sequence in sequences {
        let payload = payload(sequence);
        if journal.needs_rotation(payload.len()) {
            journal.rotate(sequence).unwrap();
        }
        journal.append(COMMAND, sequence, sequence as i64, &payload).unwrap();
    }
}

fn is_prefix(commands: &[Vec<u8>]) -> bool {
    commands.iter().enumerate().all(|(index, found)| *found == payload(index as u64 + 1))
}

/// A small generator: the xorshift of 64 bits.
struct Random(u64);

impl Random {
    fn from_environment() -> Random {
        let seed = std::env::var("VIABTC_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = seed.unwrap_or_else(|| {
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos()
                as u64
        });
        println!("VIABTC_SEED={seed}");
        Random(seed | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

#[test]
fn any_power_loss_leaves_what_was_committed_and_no_part_of_a_record() {
    let mut random = Random::from_environment();
    let losses = std::env::var("VIABTC_POWER_LOSSES").map_or(400, |count| count.parse().unwrap());
    for _ in 0..losses {
        let mut disk = SimulatedDisk::new();
        let (mut committed, mut appended) = (0, 0);
        for _ in 0..3 {
            let (mut journal, found) = open(&disk).unwrap();
            assert!(is_prefix(&found), "a record was changed");
            let count = found.len() as u64;
            assert!((committed..=appended).contains(&count), "{committed} {count} {appended}");
            (committed, appended) = (count, count);
            for _ in 0..random.next() % 6 {
                appended += random.next() % 12;
                write(&mut journal, committed + 1..=appended);
                journal.commit().unwrap();
                committed = appended;
            }
            // The last batch is written and not synced, as when the power goes during the sync.
            let before = disk.operations();
            appended += random.next() % 12;
            write(&mut journal, committed + 1..=appended);
            disk.fail_operation(1 + (disk.operations() - before));
            let _ = journal.commit();
            drop(journal);
            let odds = 1 + random.next() % 4;
            disk = disk.after_power_loss(|| random.next() % 4 < odds);
        }
    }
}

#[test]
fn a_kill_loses_nothing_that_was_written() {
    let disk = SimulatedDisk::new();
    let (mut journal, _) = open(&disk).unwrap();
    write(&mut journal, 1..=300);
    journal.commit().unwrap();
    let (_, found) = open(&disk.after_kill()).unwrap();
    assert_eq!(found.len(), 300);
    assert!(is_prefix(&found));
}

#[test]
fn a_cut_at_any_byte_of_the_last_batch_recovers_a_prefix() {
    let disk = SimulatedDisk::new();
    let (mut journal, _) = open(&disk).unwrap();
    write(&mut journal, 1..=10);
    journal.commit().unwrap();
    let before = disk.bytes(&segment_name(1));
    write(&mut journal, 11..=14);
    journal.commit().unwrap();
    drop(journal);
    let after = disk.bytes(&segment_name(1));
    let start = before.iter().zip(&after).position(|(a, b)| a != b).unwrap();
    let end = after.iter().rposition(|byte| *byte != 0).unwrap();
    for cut in start..=end {
        let copy = disk.after_kill();
        copy.edit(&segment_name(1), |bytes| bytes[cut..].fill(0));
        match open(&copy) {
            Ok((_, found)) => assert!(found.len() >= 10 && is_prefix(&found), "cut at {cut}"),
            // A write stops between sectors: a record cut elsewhere is one that changed.
            Err(JournalError::Damaged { .. }) => assert_ne!(cut % 512, 0, "cut at {cut}"),
            Err(other) => panic!("cut at {cut}: {other}"),
        }
    }
}

#[test]
fn every_flipped_bit_of_what_was_written_is_refused() {
    let disk = SimulatedDisk::new();
    let (mut journal, _) = open(&disk).unwrap();
    for sequence in 1..=60 {
        journal.append(COMMAND, sequence, 0, &payload(sequence)[..sequence as usize % 40]).unwrap();
        if sequence % 7 == 0 {
            journal.commit().unwrap();
        }
    }
    journal.seal(9, 0).unwrap();
    drop(journal);
    let bytes = disk.bytes(&segment_name(1));
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    for bit in 0..(end + 1) * 8 {
        let copy = disk.after_kill();
        copy.edit(&segment_name(1), |bytes| bytes[bit / 8] ^= 1 << (bit % 8));
        match inspect(&copy, 0, &mut |_, _, _| true) {
            Err(JournalError::Damaged { .. }) => {}
            other => panic!("bit {bit} of byte {}: {other:?}", bit / 8),
        }
        assert_eq!(copy.bytes(&segment_name(1)).len(), bytes.len(), "nothing is cut");
    }
}

#[test]
fn a_missing_stale_or_swapped_segment_is_refused() {
    let disk = SimulatedDisk::new();
    let (mut journal, _) = open(&disk).unwrap();
    for sequence in 1..=9 {
        write(&mut journal, sequence..=sequence);
        if sequence % 3 == 0 {
            journal.rotate(0).unwrap();
        }
    }
    journal.commit().unwrap();
    drop(journal);
    let is_refused = |disk: &SimulatedDisk| {
        matches!(inspect(disk, 0, &mut |_, _, _| true), Err(JournalError::Damaged { .. }))
    };
    assert!(!is_refused(&disk));
    for number in 1..=3 {
        let missing = disk.after_kill();
        missing.remove(&segment_name(number)).unwrap();
        assert!(is_refused(&missing), "segment {number} missing");
        let stale = disk.after_kill();
        stale.edit(&segment_name(number), |bytes| bytes[4096..].fill(0));
        assert!(is_refused(&stale), "segment {number} emptied");
    }
    let misdirected = disk.after_kill();
    let block = disk.bytes(&segment_name(1))[4096..8192].to_vec();
    misdirected.edit(&segment_name(2), |bytes| bytes[4096..8192].copy_from_slice(&block));
    assert!(is_refused(&misdirected));
}

#[test]
fn after_a_failed_write_or_sync_nothing_more_is_written() {
    for operation in 0..2 {
        let disk = SimulatedDisk::new();
        let (mut journal, _) = open(&disk).unwrap();
        wait_for_the_reserve(&disk);
        write(&mut journal, 1..=2);
        disk.fail_operation(operation);
        assert!(matches!(journal.commit(), Err(JournalError::Io { .. })));
        assert!(matches!(journal.commit(), Err(JournalError::Halted { .. })));
        assert!(matches!(journal.append(COMMAND, 3, 0, b""), Err(JournalError::Halted { .. })));
        assert!(matches!(journal.rotate(0), Err(JournalError::Halted { .. })));
        assert!(matches!(journal.seal(0, 0), Err(JournalError::Halted { .. })));
    }
}

/// Waits until the reserve's thread has made its segments and the disk is quiet.
fn wait_for_the_reserve(disk: &SimulatedDisk) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    loop {
        let names = disk.list().unwrap();
        if names.iter().filter(|name| name.starts_with("spare-")).count() == 2 {
            // The second spare's name exists before its bytes do.
            let operations = disk.operations();
            std::thread::sleep(std::time::Duration::from_millis(5));
            if disk.operations() == operations {
                return;
            }
        }
        assert!(std::time::Instant::now() < deadline, "the reserve was not made");
    }
}

#[test]
fn a_record_larger_than_a_segment_is_refused_and_the_journal_goes_on() {
    let disk = SimulatedDisk::new();
    let (mut journal, _) = open(&disk).unwrap();
    let large = vec![1; 65 * 1024];
    assert!(matches!(journal.append(COMMAND, 1, 0, &large), Err(JournalError::TooLarge { .. })));
    write(&mut journal, 1..=1);
    journal.commit().unwrap();
    drop(journal);
    assert_eq!(open(&disk).unwrap().1.len(), 1);
}

fn snapshot(disk: &SimulatedDisk, sequence: u64, content: &[u8]) {
    let mut writer = SnapshotWriter::begin(disk, sequence).unwrap();
    for piece in content.chunks(1000) {
        writer.write(piece).unwrap();
    }
    writer.finish().unwrap();
}

fn read_all(mut snapshot: Snapshot) -> Vec<u8> {
    let mut content = Vec::new();
    std::io::Read::read_to_end(&mut snapshot, &mut content).unwrap();
    content
}

#[test]
fn a_snapshot_with_any_flipped_bit_is_passed_over_for_the_older_one() {
    let disk = SimulatedDisk::new();
    snapshot(&disk, 5, b"old");
    snapshot(&disk, 9, b"newer content");
    let name = "snapshot-00000000000000000009.snap";
    for bit in 0..disk.bytes(name).len() * 8 {
        let copy = disk.after_kill();
        copy.edit(name, |bytes| bytes[bit / 8] ^= 1 << (bit % 8));
        let (found, notes) = latest_snapshot(&copy).unwrap();
        let found = found.unwrap();
        assert_eq!((found.sequence, notes.len()), (5, 1), "bit {bit}");
        assert_eq!(read_all(found), b"old");
    }
    for length in 0..disk.bytes(name).len() {
        let copy = disk.after_kill();
        copy.edit(name, |bytes| bytes.truncate(length));
        assert_eq!(latest_snapshot(&copy).unwrap().0.unwrap().sequence, 5, "length {length}");
    }
}

#[test]
fn large_snapshots_come_back_and_unfinished_ones_do_not() {
    let disk = SimulatedDisk::new();
    let content: Vec<u8> = (0..3_500_000u32).map(|index| (index % 251) as u8).collect();
    snapshot(&disk, 1, &content);
    let mut writer = SnapshotWriter::begin(&disk, 2).unwrap();
    writer.write(&content).unwrap();
    drop(writer);
    let (found, notes) = latest_snapshot(&disk.after_power_loss(|| false)).unwrap();
    assert!(notes.is_empty() && read_all(found.unwrap()) == content);
}

#[test]
fn obsolete_files_go_and_recovery_from_the_oldest_snapshot_stays_possible() {
    let disk = SimulatedDisk::new();
    let (mut journal, _) = open(&disk).unwrap();
    for sequence in 1..=20 {
        write(&mut journal, sequence..=sequence);
        if sequence % 4 == 0 {
            journal.rotate(0).unwrap();
            snapshot(&disk, sequence, b"state");
        }
    }
    journal.commit().unwrap();
    drop(journal);
    assert!(remove_obsolete(&disk, 2).unwrap() > 0);
    let mut seen = Vec::new();
    inspect(&disk, 16, &mut |_, _, record| {
        if record.kind == COMMAND {
            seen.push(record.sequence);
        }
        true
    })
    .unwrap();
    assert_eq!(seen, [17, 18, 19, 20]);
    assert!(inspect(&disk, 11, &mut |_, _, _| true).is_err());
}

#[test]
fn the_feed_is_cut_to_whole_records_wherever_it_breaks() {
    let disk = SimulatedDisk::new();
    let mut feed = FeedWriter::open(&disk).unwrap();
    for sequence in 1..=20 {
        feed.append(sequence, 0, &payload(sequence)[..sequence as usize]).unwrap();
    }
    feed.flush().unwrap();
    let name = "feed-00000000000000000001.seg";
    for length in 0..disk.bytes(name).len() {
        let copy = disk.after_kill();
        copy.edit(name, |bytes| bytes.truncate(length));
        let mut feed = FeedWriter::open(&copy).unwrap();
        let last = feed.sequence();
        feed.append(last + 1, 0, b"again").unwrap();
        feed.flush().unwrap();
        let records = FeedReader::open(&copy, 0).next_batch().unwrap();
        let sequences: Vec<u64> = records.iter().map(|record| record.sequence).collect();
        assert_eq!(sequences, (1..=last + 1).collect::<Vec<_>>(), "length {length}");
    }
}

#[test]
fn a_reader_follows_the_feed_from_any_position() {
    let disk = SimulatedDisk::new();
    let mut feed = FeedWriter::open(&disk).unwrap();
    let mut reader = FeedReader::open(&disk, 2);
    assert!(reader.next_batch().unwrap().is_empty());
    for sequence in 1..=5 {
        feed.append(sequence, 0, b"x").unwrap();
    }
    assert!(reader.next_batch().unwrap().is_empty());
    feed.flush().unwrap();
    let sequences: Vec<u64> = reader.next_batch().unwrap().iter().map(|r| r.sequence).collect();
    assert_eq!(sequences, [3, 4, 5]);
    assert!(reader.next_batch().unwrap().is_empty());
}
