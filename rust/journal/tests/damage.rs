//! Bytes that are not as they were written: every flipped bit, lost, misdirected and stale blocks. All of
//! it is refused in words, and nothing is cut.

mod support;

use std::time::Duration;

use support::*;
use viabtc_journal::simulated::SimulatedDisk;
use viabtc_journal::{
    JournalError, Snapshot, Storage, first_sequence, inspect, latest_snapshot, remove_obsolete,
    segment_name,
};

const SECTOR: usize = 512;

/// Commands of every batch, then a proof: nothing but the proof itself could be a torn end.
fn proven_journal(commands: u64, segment_bytes: u64) -> SimulatedDisk {
    let disk = SimulatedDisk::new();
    let (mut journal, _) = open_after(&disk, segment_bytes, 0).unwrap();
    for sequence in 1..=commands {
        let payload = payload(sequence);
        let payload = &payload[..payload.len() % 300];
        if journal.needs_rotation(payload.len()) {
            journal.rotate(0).unwrap();
        }
        journal.append(COMMAND, sequence, journal.time(), payload).unwrap();
        if sequence % 7 == 0 || sequence == commands {
            journal.commit().unwrap();
        }
    }
    journal.prove().unwrap();
    disk
}

fn is_damaged(disk: &SimulatedDisk) -> bool {
    match inspect(disk, 0, &mut |_, _, _| true) {
        Err(JournalError::Damaged { file, what, .. }) => !file.is_empty() && !what.is_empty(),
        Ok(_) => false,
        Err(other) => panic!("{other}"),
    }
}

/// Where the last command ends.
fn end_of_commands(disk: &SimulatedDisk) -> usize {
    let mut end = 0;
    inspect(disk, 0, &mut |_, offset, record| {
        if record.kind == COMMAND {
            end = offset as usize + 73 + record.payload.len();
        }
        true
    })
    .unwrap();
    end
}

#[test]
fn every_flipped_bit_of_a_thousand_records_is_refused() {
    let disk = proven_journal(1_000, 256 << 10);
    let name = segment_name(1);
    let bytes = disk.bytes(&name);
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    // All of them, or those of the end and a share of the others.
    let stride = share("VIABTC_BIT_STRIDE", 97) as usize;
    let near = end.saturating_sub(1 << 10) * 8;
    let mut flips = 0;
    for bit in (0..end * 8).filter(|bit| bit % stride == 0 || *bit >= near) {
        disk.edit(&name, |bytes| bytes[bit / 8] ^= 1 << (bit % 8));
        assert!(is_damaged(&disk), "bit {bit} of {}", end * 8);
        disk.edit(&name, |bytes| bytes[bit / 8] ^= 1 << (bit % 8));
        flips += 1;
    }
    assert_eq!(disk.bytes(&name), bytes, "nothing was cut");
    println!("{flips} of {} flips, all detected", end * 8);
}

#[test]
fn every_lost_write_before_the_proof_is_refused() {
    let disk = proven_journal(120, 64 << 10);
    let (name, end) = (segment_name(1), end_of_commands(&disk));
    let bytes = disk.bytes(&name);
    for block in [SECTOR, 4096] {
        for start in (0..end).step_by(block) {
            // The rest of the header's block is zero.
            if bytes[start..start + block].iter().any(|byte| *byte != 0) {
                let copy = disk.after_kill();
                copy.edit(&name, |bytes| bytes[start..start + block].fill(0));
                assert!(is_damaged(&copy), "block of {block} at {start}");
            }
        }
    }
}

#[test]
fn a_lost_write_of_the_last_batch_costs_no_command_before_it_and_is_reported() {
    let disk = SimulatedDisk::new();
    let (mut journal, _) = open(&disk).unwrap();
    write(&mut journal, 1..=20).unwrap();
    journal.commit().unwrap();
    let before = disk.bytes(&segment_name(1));
    write(&mut journal, 21..=26).unwrap();
    journal.commit().unwrap();
    drop(journal);
    let after = disk.bytes(&segment_name(1));
    for start in (0..after.len()).step_by(SECTOR) {
        let sector = start..start + SECTOR;
        if before[sector.clone()] == after[sector.clone()] {
            continue;
        }
        let copy = disk.after_kill();
        copy.edit(&segment_name(1), |bytes| {
            bytes[sector.clone()].copy_from_slice(&before[sector.clone()]);
        });
        let mut commands = 0;
        let found = inspect(&copy, 0, &mut |_, _, record| {
            commands += u64::from(record.kind == COMMAND);
            true
        });
        let found = found.unwrap();
        assert!((20..26).contains(&commands) && found.torn.is_some(), "sector at {start}");
    }
}

#[test]
fn misdirected_writes_are_refused() {
    let disk = proven_journal(400, 64 << 10);
    let mut random = Random::from_environment();
    let images: Vec<Vec<u8>> = (1..=2).map(|number| disk.bytes(&segment_name(number))).collect();
    let end = end_of_commands(&disk);
    let rounds = share("VIABTC_MISDIRECTED", 4_000);
    for _ in 0..rounds {
        let (from, to) = (random.next() as usize % 2, random.next() as usize % 2);
        let sectors = [images[0].len() / SECTOR, end.div_ceil(SECTOR)];
        let source = random.next() as usize % sectors[from] * SECTOR;
        let target = random.next() as usize % (images[to].len() / SECTOR) * SECTOR;
        let moved = images[from][source..source + SECTOR].to_vec();
        if moved == images[to][target..target + SECTOR] || moved.iter().all(|byte| *byte == 0) {
            continue;
        }
        let copy = disk.after_kill();
        copy.edit(&segment_name(from as u64 + 1), |bytes| bytes[source..source + SECTOR].fill(0));
        copy.edit(&segment_name(to as u64 + 1), |bytes| {
            bytes[target..target + SECTOR].copy_from_slice(&moved);
        });
        assert!(is_damaged(&copy), "{from}:{source} to {to}:{target}");
    }
}

#[test]
fn stale_blocks_of_an_older_segment_are_refused() {
    let disk = proven_journal(800, 64 << 10);
    let numbers = 1..=3u64;
    let last = 3;
    assert!(disk.list().unwrap().contains(&segment_name(last)));
    let end = end_of_commands(&disk);
    for stale in numbers.filter(|number| *number < last) {
        let old = disk.bytes(&segment_name(stale));
        for block in [SECTOR, 4096] {
            for start in (0..end).step_by(block) {
                if old[start..start + block]
                    == disk.bytes(&segment_name(last))[start..start + block]
                {
                    continue;
                }
                let copy = disk.after_kill();
                copy.edit(&segment_name(last), |bytes| {
                    bytes[start..start + block].copy_from_slice(&old[start..start + block]);
                });
                assert!(is_damaged(&copy), "block of {block} at {start}");
            }
        }
        // A file that is an old one as a whole.
        let copy = disk.after_kill();
        copy.edit(&segment_name(last), |bytes| bytes.copy_from_slice(&old));
        assert!(is_damaged(&copy));
    }
}

#[test]
fn a_stale_record_behind_the_end_does_not_pass_for_the_next_one() {
    let disk = SimulatedDisk::new();
    let (mut journal, _) = open(&disk).unwrap();
    write(&mut journal, 1..=6).unwrap();
    journal.commit().unwrap();
    drop(journal);
    let name = segment_name(1);
    let bytes = disk.bytes(&name);
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let copy = disk.after_kill();
    copy.edit(&name, |bytes| bytes.copy_within(4096..4096 + 72, end));
    assert!(is_damaged(&copy));
}

#[test]
fn a_missing_emptied_or_swapped_segment_is_refused() {
    let disk = SimulatedDisk::new();
    let (mut journal, _) = open(&disk).unwrap();
    for sequence in 1..=9 {
        write(&mut journal, sequence..=sequence).unwrap();
        if sequence % 3 == 0 {
            journal.rotate(0).unwrap();
        }
    }
    journal.commit().unwrap();
    drop(journal);
    assert!(!is_damaged(&disk));
    for number in 1..=3 {
        let missing = disk.after_kill();
        missing.remove(&segment_name(number)).unwrap();
        assert!(inspect(&missing, 0, &mut |_, _, _| true).is_err(), "segment {number} is missing");
        let emptied = disk.after_kill();
        emptied.edit(&segment_name(number), |bytes| bytes[4096..].fill(0));
        assert!(is_damaged(&emptied), "segment {number} is emptied");
        let swapped = disk.after_kill();
        let other = disk.bytes(&segment_name(number % 3 + 1));
        swapped.edit(&segment_name(number), |bytes| *bytes = other);
        assert!(is_damaged(&swapped), "segment {number} is another");
    }
}

#[test]
fn a_proof_is_written_once_and_only_behind_something() {
    let disk = SimulatedDisk::new();
    let (mut journal, _) = open(&disk).unwrap();
    write(&mut journal, 1..=3).unwrap();
    journal.commit().unwrap();
    journal.prove().unwrap();
    let operations = disk.operations();
    journal.prove().unwrap();
    assert_eq!(disk.operations(), operations);
    drop(journal);
    assert_eq!(open(&disk).unwrap().1, 3);
}

fn read_all(mut snapshot: Snapshot) -> Vec<u8> {
    let mut content = Vec::new();
    std::io::Read::read_to_end(&mut snapshot, &mut content).unwrap();
    content
}

#[test]
fn a_snapshot_with_any_flipped_bit_is_passed_over_for_the_older_one() {
    let disk = SimulatedDisk::new();
    snapshot(&disk, 5, b"old").unwrap();
    snapshot(&disk, 9, b"newer content").unwrap();
    let name = "snapshot-00000000000000000009.snap";
    let bits = disk.bytes(name).len() * 8;
    for bit in 0..bits {
        let copy = disk.after_kill();
        copy.edit(name, |bytes| bytes[bit / 8] ^= 1 << (bit % 8));
        let (found, damaged) = latest_snapshot(&copy).unwrap();
        let found = found.unwrap();
        assert_eq!((found.sequence, damaged.as_slice()), (5, [name.to_owned()].as_slice()));
        assert_eq!(read_all(found), b"old", "bit {bit}");
    }
    for length in 0..disk.bytes(name).len() {
        let copy = disk.after_kill();
        copy.edit(name, |bytes| bytes.truncate(length));
        assert_eq!(latest_snapshot(&copy).unwrap().0.unwrap().sequence, 5, "length {length}");
    }
    println!("{bits} flips of a snapshot, all detected");
}

#[test]
fn large_snapshots_come_back_and_unfinished_ones_do_not() {
    let disk = SimulatedDisk::new();
    let content: Vec<u8> = (0..9_500_000u32).map(|index| (index % 251) as u8).collect();
    snapshot(&disk, 1, &content).unwrap();
    let mut writer = viabtc_journal::SnapshotWriter::begin(&disk, 2).unwrap();
    writer.write(&content).unwrap();
    drop(writer);
    let (found, damaged) = latest_snapshot(&disk.after_power_loss(|| false)).unwrap();
    assert!(damaged.is_empty() && read_all(found.unwrap()) == content);
}

#[test]
fn obsolete_files_go_and_recovery_from_the_oldest_snapshot_stays_possible() {
    let disk = SimulatedDisk::new();
    let (mut journal, _) = open(&disk).unwrap();
    for sequence in 1..=20 {
        write(&mut journal, sequence..=sequence).unwrap();
        if sequence % 4 == 0 {
            journal.rotate(0).unwrap();
            snapshot(&disk, sequence, b"state").unwrap();
        }
    }
    journal.commit().unwrap();
    drop(journal);
    assert!(remove_obsolete(&disk, 2, &[], Duration::ZERO).unwrap() > 0);
    assert_eq!(open_after(&disk, 64 << 10, 16).unwrap().1, 4);
    assert!(inspect(&disk, 11, &mut |_, _, _| true).is_err());
    let first = first_sequence(&disk).unwrap().unwrap();
    assert_eq!(first, 17);
    assert_eq!(inspect(&disk, first - 1, &mut |_, _, _| true).unwrap().sequence, 20);
}

#[test]
fn a_damaged_snapshot_goes_with_the_next_one_and_is_none_of_the_two_that_stay() {
    let disk = SimulatedDisk::new();
    let (mut journal, _) = open(&disk).unwrap();
    for sequence in [3, 6, 9] {
        write(&mut journal, sequence - 2..=sequence).unwrap();
        journal.rotate(0).unwrap();
        snapshot(&disk, sequence, b"state").unwrap();
        if sequence == 6 {
            disk.edit("snapshot-00000000000000000006.snap", |bytes| bytes[40] ^= 1);
        }
    }
    drop(journal);
    // As the maker of the one of command 9 saw it.
    let damaged = ["snapshot-00000000000000000006.snap".to_owned()];
    remove_obsolete(&disk, 2, &damaged, Duration::ZERO).unwrap();
    disk.edit("snapshot-00000000000000000009.snap", |bytes| bytes[40] ^= 1);
    assert_eq!(recover(&disk, 64 << 10).unwrap().1, 9);
}
