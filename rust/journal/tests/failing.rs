//! Operations of the disk that fail, each in turn: an error or the right outcome, nothing between.

mod support;

use std::time::Duration;

use support::*;
use viabtc_journal::simulated::SimulatedDisk;
use viabtc_journal::{JournalError, remove_obsolete};

const SEGMENT_BYTES: u64 = 16 << 10;

#[test]
fn after_a_failed_write_or_sync_nothing_more_is_written() {
    for operation in 0..2 {
        let disk = SimulatedDisk::new();
        let (mut journal, _) = open(&disk).unwrap();
        write(&mut journal, 1..=2).unwrap();
        disk.fail_operation(operation);
        assert!(matches!(journal.commit(), Err(JournalError::Io { .. })));
        let operations = disk.operations();
        assert!(matches!(journal.commit(), Err(JournalError::Halted { .. })));
        assert!(matches!(journal.append(COMMAND, 3, 9, b""), Err(JournalError::Halted { .. })));
        assert!(matches!(journal.rotate(0), Err(JournalError::Halted { .. })));
        assert!(matches!(journal.seal(0, 0), Err(JournalError::Halted { .. })));
        assert!(matches!(journal.prove(), Err(JournalError::Halted { .. })));
        assert_eq!(disk.operations(), operations);
    }
}

/// Start, append, rotate, snapshot, removal, stop, and a second start; how many commands are committed.
fn life(disk: &SimulatedDisk, committed: &mut u64) -> Result<(), JournalError> {
    for _ in 0..2 {
        let (mut journal, found) = recover(disk, SEGMENT_BYTES)?;
        assert_eq!(found, *committed);
        for _ in 0..4 {
            let last = *committed + 5;
            write(&mut journal, *committed + 1..=last)?;
            journal.commit()?;
            *committed = last;
        }
        journal.rotate(1)?;
        snapshot(disk, *committed, b"state")?;
        remove_obsolete(disk, 2, &[], Duration::ZERO)?;
        write(&mut journal, *committed + 1..=*committed + 1)?;
        journal.commit()?;
        *committed += 1;
        journal.prove()?;
        journal.seal(1, 1)?;
    }
    Ok(())
}

#[test]
fn whatever_operation_fails_the_outcome_is_an_error_or_right() {
    let mut tried = [0, 0];
    for (mode, count) in tried.iter_mut().enumerate() {
        loop {
            let disk = SimulatedDisk::new();
            if mode == 0 {
                disk.fail_operation(*count)
            } else {
                disk.fail_from(*count)
            }
            let mut committed = 0;
            let outcome = life(&disk, &mut committed);
            let last = disk.operations();
            disk.heal();
            let after = [
                disk.after_kill(),
                disk.after_power_loss(|| false),
                disk.after_power_loss(|| true),
            ];
            for after in after {
                let (_, found) = recover(&after, SEGMENT_BYTES).unwrap();
                // A batch that was written and whose sync failed may be there.
                assert!((committed..=committed + 5).contains(&found), "operation {count}");
            }
            if outcome.is_ok() && last <= *count {
                break;
            }
            *count += 1;
        }
    }
    println!("{tried:?} operations failed, once and for good");
    assert!(tried[0] > 100);
}

#[test]
fn a_record_larger_than_a_segment_is_refused_and_the_journal_goes_on() {
    let disk = SimulatedDisk::new();
    let (mut journal, _) = open(&disk).unwrap();
    let large = vec![1; 65 * 1024];
    assert!(!journal.is_holding(large.len()));
    assert!(matches!(journal.append(COMMAND, 1, 9, &large), Err(JournalError::TooLarge { .. })));
    write(&mut journal, 1..=1).unwrap();
    journal.commit().unwrap();
    drop(journal);
    assert_eq!(open(&disk).unwrap().1, 1);
}

#[test]
fn a_full_disk_refuses_before_the_journal_needs_the_space_and_goes_on_when_there_is_some() {
    let disk = SimulatedDisk::new();
    let (mut journal, _) = open_after(&disk, SEGMENT_BYTES, 0).unwrap();
    assert!(journal.has_reserve().unwrap());
    disk.set_capacity(disk.used_bytes());
    let mut last = 0;
    // The two segments of the reserve are still used; the caller would have stopped before.
    let refused = loop {
        match write(&mut journal, last + 1..=last + 1) {
            Ok(()) => last += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, JournalError::NoSpace { .. }), "{refused}");
    assert!(!journal.has_reserve().unwrap());
    journal.commit().unwrap();
    assert_eq!(open_after(&disk.after_power_loss(|| false), SEGMENT_BYTES, 0).unwrap().1, last);
    disk.set_capacity(1 << 20);
    assert!(journal.has_reserve().unwrap());
    write(&mut journal, last + 1..=last + 9).unwrap();
    journal.commit().unwrap();
    drop(journal);
    assert_eq!(open_after(&disk, SEGMENT_BYTES, 0).unwrap().1, last + 9);
}

#[test]
fn a_segment_made_ahead_that_cannot_be_synced_ends_the_journal_and_other_failures_are_waited_out() {
    // Of making one: list, create, write, write out, sync, sync the directory.
    for operation in 0..6 {
        let disk = SimulatedDisk::new();
        let (mut journal, _) = open_after(&disk, SEGMENT_BYTES, 0).unwrap();
        disk.fail_operation(operation);
        if operation < 3 {
            assert!(!journal.has_reserve().unwrap());
            assert!(journal.has_reserve().unwrap(), "the next attempt succeeds");
            write(&mut journal, 1..=1).unwrap();
            journal.commit().unwrap();
        } else {
            assert!(matches!(
                journal.has_reserve(),
                Err(JournalError::Io { operation: "sync", .. })
            ));
            assert!(matches!(journal.has_reserve(), Err(JournalError::Halted { .. })));
            assert!(matches!(journal.append(COMMAND, 1, 9, b""), Err(JournalError::Halted { .. })));
            assert!(matches!(journal.prove(), Err(JournalError::Halted { .. })));
        }
    }
}

#[test]
fn segments_of_another_size_than_configured_go_on_being_used() {
    let disk = SimulatedDisk::new();
    let mut last = 0;
    for segment_bytes in [16 << 10, 32 << 10, 12 << 10] {
        let (mut journal, found) = open_after(&disk, segment_bytes, 0).unwrap();
        assert_eq!(found, last);
        write(&mut journal, last + 1..=last + 40).unwrap();
        journal.commit().unwrap();
        last += 40;
    }
    assert_eq!(open_after(&disk, SEGMENT_BYTES, 0).unwrap().1, last);
}
