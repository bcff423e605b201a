//! One history: what stands in the file follows from what stands before it, and what was cut is gone.

mod support;

use std::time::Duration;

use support::*;
use viabtc_journal::simulated::SimulatedDisk;
use viabtc_journal::{
    File, Journal, JournalError, Storage, inspect, remove_obsolete, segment_name,
};
use xxhash_rust::xxh3::xxh3_64;

/// Bytes of a record beside its payload, as its drawing says.
const FRAME_BYTES: usize = 73;

/// The header block of a segment, and the checksum in it, as their drawing says.
const HEADER_BYTES: usize = 4_096;
const CHECKSUM: std::ops::Range<usize> = 80..88;

/// Where each record starts, and where the last one ends.
fn offsets(disk: &SimulatedDisk) -> Vec<usize> {
    let (mut offsets, mut end) = (Vec::new(), 0);
    inspect(disk, 0, &mut |_, offset, record| {
        offsets.push(offset as usize);
        end = offset as usize + FRAME_BYTES + record.payload.len();
        true
    })
    .unwrap();
    offsets.push(end);
    offsets
}

fn append(journal: &mut Journal<SimulatedDisk>, sequence: u64, payload: &[u8]) {
    journal.append(COMMAND, sequence, journal.time(), payload).unwrap();
}

#[test]
fn a_record_that_continues_another_history_is_refused() {
    let disk = SimulatedDisk::new();
    let (mut journal, _) = open(&disk).unwrap();
    write(&mut journal, 1..=3).unwrap();
    journal.commit().unwrap();
    drop(journal);
    // Two ways on from here, whose last records agree in everything but what came before them.
    let ways = [b"one way", b"another"].map(|fourth| {
        let disk = disk.after_kill();
        let (mut journal, _) = open(&disk).unwrap();
        append(&mut journal, 4, fourth);
        append(&mut journal, 5, b"the same");
        journal.commit().unwrap();
        drop(journal);
        disk
    });
    let places = offsets(&ways[0]);
    assert_eq!(places, offsets(&ways[1]));
    let last = places[places.len() - 2]..places[places.len() - 1];
    let name = segment_name(1);
    let foreign = ways[1].bytes(&name)[last.clone()].to_vec();
    ways[0].edit(&name, |bytes| bytes[last.clone()].copy_from_slice(&foreign));
    match inspect(&ways[0], 0, &mut |_, _, _| true) {
        Err(JournalError::Damaged { offset, sequence, .. }) => {
            assert_eq!((offset as usize, sequence), (last.start, 4));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_cut_from_a_torn_end_is_gone_from_the_file() {
    let disk = SimulatedDisk::new();
    let (mut journal, _) = open(&disk).unwrap();
    write(&mut journal, 1..=3).unwrap();
    journal.commit().unwrap();
    write(&mut journal, 4..=12).unwrap();
    // The write of the batch is done, its sync is not.
    disk.fail_operation(1);
    assert!(journal.commit().is_err());
    drop(journal);
    // Of the batch every sector reached the disk but the first, with which it begins.
    let mut is_first = true;
    let torn = disk.after_power_loss(|| !std::mem::take(&mut is_first));
    let (journal, found) = open(&torn).unwrap();
    drop(journal);
    assert_eq!(found, 3);
    let end = *offsets(&torn).last().unwrap();
    let rest = torn.bytes(&segment_name(1)).split_off(end);
    assert!(rest.iter().all(|byte| *byte == 0), "bytes of the torn end are left behind byte {end}");
}

#[test]
fn a_segment_that_holds_one_command_behind_the_snapshot_stays() {
    let disk = SimulatedDisk::new();
    let (mut journal, _) = open(&disk).unwrap();
    write(&mut journal, 1..=4).unwrap();
    journal.commit().unwrap();
    snapshot(&disk, 4, b"state").unwrap();
    write(&mut journal, 5..=5).unwrap();
    journal.rotate(0).unwrap();
    write(&mut journal, 6..=6).unwrap();
    journal.commit().unwrap();
    drop(journal);
    remove_obsolete(&disk, 1, &[], Duration::ZERO).unwrap();
    let (_, recovered) = recover(&disk, 64 << 10).unwrap();
    assert_eq!(recovered, 6);
}

#[test]
fn a_removal_that_ends_anywhere_is_finished_by_the_next() {
    /// Takes three steps to give back.
    const LARGE: u64 = 12 << 20;
    let disk = SimulatedDisk::new();
    let (mut journal, _) = open(&disk).unwrap();
    write(&mut journal, 1..=4).unwrap();
    journal.rotate(0).unwrap();
    drop(journal);
    snapshot(&disk, 4, b"state").unwrap();
    let left = disk.create("snapshot-00000000000000000003.snap.unfinished").unwrap();
    left.set_size(LARGE).unwrap();
    let mut steps = 0;
    loop {
        let copy = disk.after_kill();
        copy.fail_from(steps);
        let outcome = remove_obsolete(&copy, 1, &[], Duration::ZERO);
        let found = copy.after_kill();
        assert_eq!(recover(&found, 64 << 10).unwrap().1, 4, "ended at step {steps}");
        remove_obsolete(&found, 1, &[], Duration::ZERO).unwrap();
        let names = found.list().unwrap();
        let is_left = |name: &String| name.contains("unfinished") || name.contains("obsolete");
        assert!(!names.iter().any(is_left), "ended at step {steps}: {names:?}");
        assert!(!names.contains(&segment_name(1)), "ended at step {steps}: {names:?}");
        if outcome.is_ok() {
            break;
        }
        steps += 1;
    }
    assert!(steps > 12, "each of many steps failed once, not {steps}");
}

#[test]
fn a_segment_of_another_format_is_refused_by_its_version_and_left_as_it_is() {
    let disk = SimulatedDisk::new();
    let (mut journal, _) = open(&disk).unwrap();
    write(&mut journal, 1..=3).unwrap();
    journal.commit().unwrap();
    drop(journal);
    let name = segment_name(1);
    // Sound, from a later build: the version is raised, and the checksum of the header fits.
    disk.edit(&name, |bytes| {
        bytes[8..12].copy_from_slice(&2u32.to_le_bytes());
        bytes[CHECKSUM].fill(0);
        let checksum = xxh3_64(&bytes[..HEADER_BYTES]);
        bytes[CHECKSUM].copy_from_slice(&checksum.to_le_bytes());
    });
    let before = disk.bytes(&name);
    let refused = open(&disk).err().unwrap();
    assert!(matches!(&refused, JournalError::Version { version: 2, expected: 1, .. }), "{refused}");
    assert_eq!(disk.bytes(&name), before);
}
