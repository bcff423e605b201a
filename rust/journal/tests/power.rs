//! Power loss and kills on the simulated disk: what was committed is found again, whole and in order, and
//! nothing else is believed.

mod support;

use std::time::Duration;

use support::*;
use viabtc_journal::simulated::SimulatedDisk;
use viabtc_journal::{Journal, JournalError, Storage, inspect, remove_obsolete, segment_name};

const SEGMENT_BYTES: u64 = 16 << 10;

/// How far a run came when the disk went away.
#[derive(Default)]
struct Progress {
    committed: u64,
    appended: u64,
}

/// Opens and writes batches, rotates and makes snapshots, until an operation fails.
fn run(
    disk: &SimulatedDisk,
    random: &mut Random,
    progress: &mut Progress,
) -> Result<(), JournalError> {
    let (mut journal, found) = recover(disk, SEGMENT_BYTES)?;
    let known = progress.committed..=progress.appended;
    assert!(known.contains(&found), "{found} commands, of {known:?}");
    (progress.committed, progress.appended) = (found, found);
    for _ in 0..3 + random.next() % 6 {
        let last = progress.committed + random.next() % 8;
        progress.appended = last;
        write(&mut journal, progress.committed + 1..=last)?;
        journal.commit()?;
        progress.committed = last;
        match random.next() % 8 {
            0 => journal.prove()?,
            1 if journal.has_command() => {
                journal.rotate(0)?;
                let content = vec![7; (random.next() % 4000) as usize];
                snapshot(disk, last, &content)?;
                remove_obsolete(disk, 2, &[], Duration::ZERO)?;
            }
            _ => {}
        }
    }
    Ok(())
}

#[test]
fn any_power_loss_leaves_what_was_committed_and_no_part_of_a_record() {
    let mut random = Random::from_environment();
    let losses = share("VIABTC_POWER_LOSSES", 10_000);
    let mut done = 0;
    while done < losses {
        let mut disk = SimulatedDisk::new();
        let mut progress = Progress::default();
        for _ in 0..4 {
            // The power goes before any operation, or after the last.
            disk.fail_from(random.next() % 160);
            let _ = run(&disk, &mut random, &mut progress);
            let odds = random.next() % 5;
            disk = disk.after_power_loss(|| random.next() % 4 < odds);
            done += 1;
        }
        disk.heal();
        let (_, found) = recover(&disk, SEGMENT_BYTES).unwrap();
        assert!((progress.committed..=progress.appended).contains(&found));
    }
    println!("{done} power losses");
}

#[test]
fn a_kill_loses_nothing_that_was_written() {
    let disk = SimulatedDisk::new();
    let (mut journal, _) = open(&disk).unwrap();
    write(&mut journal, 1..=300).unwrap();
    journal.commit().unwrap();
    assert_eq!(open(&disk.after_kill()).unwrap().1, 300);
}

/// A journal of one large segment, and the offsets where its records end.
fn large_journal() -> (SimulatedDisk, Vec<u64>) {
    let disk = SimulatedDisk::new();
    let (mut journal, _) = open_after(&disk, 128 << 10, 0).unwrap();
    for sequence in 1..=110 {
        write(&mut journal, sequence..=sequence).unwrap();
        journal.commit().unwrap();
    }
    drop(journal);
    let mut ends = Vec::new();
    inspect(&disk, 0, &mut |_, offset, record| {
        ends.push(offset + 73 + record.payload.len() as u64);
        true
    })
    .unwrap();
    (disk, ends)
}

#[test]
fn a_cut_at_every_byte_of_the_last_64_kib_leaves_the_records_before_it() {
    let (disk, ends) = large_journal();
    let name = segment_name(1);
    let end = *ends.last().unwrap() as usize;
    for cut in (end - (64 << 10)..=end).rev() {
        disk.edit(&name, |bytes| bytes[cut..cut + 1].fill(0));
        let whole = ends.iter().filter(|end| **end <= cut as u64).count();
        let found = inspect(&disk, 0, &mut |_, _, _| true).unwrap();
        assert_eq!(found.records, whole as u64, "cut at {cut}");
        let begin = ends[whole - 1];
        // All bytes of a header that are cut may have been zeros.
        if let Some(torn) = found.torn {
            assert_eq!((torn.offset, torn.offset + torn.bytes <= cut as u64), (begin, true));
        }
        if cut % 977 == 0 {
            let copy = disk.after_kill();
            let (mut journal, count) = open_after(&copy, 128 << 10, 0).unwrap();
            write(&mut journal, count + 1..=count + 3).unwrap();
            journal.commit().unwrap();
            drop(journal);
            assert_eq!(open_after(&copy, 128 << 10, 0).unwrap().1, count + 3, "cut at {cut}");
        }
    }
}

#[test]
fn a_file_that_lost_its_end_is_refused_at_every_length() {
    let (disk, _) = large_journal();
    let name = segment_name(1);
    for length in (0..128 << 10).rev().step_by(61) {
        disk.edit(&name, |bytes| bytes.truncate(length));
        let found = inspect(&disk, 0, &mut |_, _, _| true);
        assert!(matches!(found, Err(JournalError::Damaged { .. })), "length {length}: {found:?}");
    }
}

/// Every combination of the directory's changes since its last sync.
fn combinations(disk: &SimulatedDisk, changes: u32, check: impl Fn(SimulatedDisk)) {
    for mask in 0..1u32 << changes {
        let mut number = 0;
        check(disk.after_power_loss(|| {
            number += 1;
            // What follows the changes of names are sectors; none is unsynced where this is used.
            mask >> (number - 1) & 1 == 1
        }));
    }
}

#[test]
fn any_part_of_a_removal_may_be_lost() {
    let disk = SimulatedDisk::new();
    let (mut journal, _) = open_after(&disk, SEGMENT_BYTES, 0).unwrap();
    for sequence in 1..=40 {
        write(&mut journal, sequence..=sequence).unwrap();
        if sequence % 8 == 0 {
            journal.rotate(0).unwrap();
            snapshot(&disk, sequence, b"state").unwrap();
        }
    }
    journal.commit().unwrap();
    drop(journal);
    // The last operation of the removal is the sync of the directory.
    let copy = disk.after_kill();
    remove_obsolete(&copy, 2, &[], Duration::ZERO).unwrap();
    let operations = copy.operations() - disk.operations();
    disk.fail_operation(operations - 1);
    assert!(remove_obsolete(&disk, 2, &[], Duration::ZERO).is_err());
    disk.heal();
    let gone = 40 - disk.list().unwrap().len();
    assert!(gone > 5);
    combinations(&disk, 12, |after| {
        assert_eq!(recover(&after, SEGMENT_BYTES).unwrap().1, 40);
        let newest = format!("snapshot-{:020}.snap", 40);
        after.edit(&newest, |bytes| bytes[40] ^= 1);
        assert_eq!(recover(&after, SEGMENT_BYTES).unwrap().1, 40);
    });
}

#[test]
fn a_snapshot_that_is_lost_half_way_leaves_the_older_one() {
    let mut random = Random::from_environment();
    let disk = SimulatedDisk::new();
    let (mut journal, _) = open_after(&disk, SEGMENT_BYTES, 0).unwrap();
    write(&mut journal, 1..=9).unwrap();
    journal.rotate(0).unwrap();
    snapshot(&disk, 9, b"older").unwrap();
    write(&mut journal, 10..=12).unwrap();
    journal.rotate(0).unwrap();
    drop(journal);
    let content = vec![3; 9_000];
    let copy = disk.after_kill();
    snapshot(&copy, 12, &content).unwrap();
    for operation in 0..copy.operations() - disk.operations() {
        for _ in 0..40 {
            let copy = disk.after_kill();
            copy.fail_from(operation);
            assert!(snapshot(&copy, 12, &content).is_err());
            let after = copy.after_power_loss(|| random.next().is_multiple_of(2));
            assert_eq!(recover(&after, SEGMENT_BYTES).unwrap().1, 12, "operation {operation}");
        }
    }
}

#[test]
fn a_journal_that_ends_before_a_snapshot_is_refused() {
    let disk = SimulatedDisk::new();
    let (mut journal, _) = open_after(&disk, SEGMENT_BYTES, 0).unwrap();
    write(&mut journal, 1..=9).unwrap();
    journal.rotate(0).unwrap();
    snapshot(&disk, 9, b"state").unwrap();
    drop(journal);
    let is_lost = |disk: &SimulatedDisk, sequences| match recover(disk, SEGMENT_BYTES) {
        Err(JournalError::Lost { sequence, found, .. }) => (sequence, found) == sequences,
        other => panic!("{:?}", other.map(|(_, count)| count)),
    };
    let empty = disk.after_kill();
    for number in 1..=2 {
        empty.remove(&segment_name(number)).unwrap();
    }
    assert!(is_lost(&empty, (9, 0)));
    let ends_early = SimulatedDisk::new();
    let (mut journal, _) = open_after(&ends_early, SEGMENT_BYTES, 0).unwrap();
    write(&mut journal, 1..=5).unwrap();
    journal.commit().unwrap();
    drop(journal);
    snapshot(&ends_early, 9, b"state").unwrap();
    assert!(is_lost(&ends_early, (9, 5)));
}

#[test]
fn time_does_not_run_backwards_over_a_restart() {
    let disk = SimulatedDisk::new();
    let (mut journal, _) = open(&disk).unwrap();
    journal.append(COMMAND, 1, 5_000, &payload(1)).unwrap();
    journal.rotate(0).unwrap();
    journal.seal(0, 4_000).unwrap();
    drop(journal);
    let (journal, _) = open(&disk).unwrap();
    assert_eq!(journal.time(), 5_000);
    drop(journal);
    let mut last = 0;
    inspect(&disk, 0, &mut |_, _, record| {
        assert!(record.time >= last);
        last = record.time;
        true
    })
    .unwrap();
}

#[test]
fn a_journal_is_written_by_one() {
    let disk = SimulatedDisk::new();
    let (journal, _) = open(&disk).unwrap();
    assert!(matches!(open(&disk).err(), Some(JournalError::Locked { .. })));
    drop(journal);
    let _: (Journal<_>, u64) = open(&disk).unwrap();
}
