//! Segments and snapshots that become the next ones: nothing of what they held before is believed, at no
//! moment of a power loss, and a journal that goes on in them takes no further space.

mod support;

use std::io;
use std::time::Duration;

use support::*;
use viabtc_journal::simulated::{SimulatedDisk, SimulatedFile, SimulatedLock};
use viabtc_journal::{
    Journal, JournalError, Snapshot, Storage, inspect, latest_snapshot, remove_obsolete,
    segment_name,
};

const SEGMENT_BYTES: u64 = 16 << 10;
const SNAPSHOT_BYTES: usize = 9_000;

/// Every kind of block that a disk writes as a whole.
const BLOCKS: [usize; 2] = [512, 4_096];

type OpenJournal = Journal<SimulatedDisk>;

/// Commands, a rotation, a snapshot and a removal: what comes again and again in an engine's life.
fn round(
    disk: &SimulatedDisk,
    journal: &mut OpenJournal,
    committed: &mut u64,
) -> Result<(), JournalError> {
    write(journal, *committed + 1..=*committed + 5)?;
    journal.commit()?;
    *committed += 5;
    journal.rotate(0)?;
    snapshot(disk, *committed, &vec![*committed as u8; SNAPSHOT_BYTES])?;
    remove_obsolete(disk, 2, &[], Duration::ZERO)?;
    Ok(())
}

/// A journal that has been through enough rounds to go on in what it has.
fn long_lived() -> (SimulatedDisk, OpenJournal, u64) {
    let disk = SimulatedDisk::new();
    let (mut journal, mut committed) = recover(&disk, SEGMENT_BYTES).unwrap();
    for _ in 0..8 {
        round(&disk, &mut journal, &mut committed).unwrap();
    }
    (disk, journal, committed)
}

fn used_segments(disk: &SimulatedDisk) -> Vec<String> {
    let names = disk.list().unwrap();
    names.into_iter().filter(|name| name.starts_with("used-")).collect()
}

fn content_of(mut snapshot: Snapshot) -> Vec<u8> {
    let mut content = Vec::new();
    std::io::Read::read_to_end(&mut snapshot, &mut content).unwrap();
    content
}

#[test]
fn a_journal_that_has_run_for_a_while_goes_on_without_further_space() {
    let (disk, mut journal, mut committed) = long_lived();
    disk.set_capacity(disk.used_bytes());
    for _ in 0..20 {
        round(&disk, &mut journal, &mut committed).unwrap();
    }
    drop(journal);
    assert_eq!(recover(&disk.after_power_loss(|| false), SEGMENT_BYTES).unwrap().1, committed);
}

#[test]
fn a_power_loss_at_any_operation_finds_what_was_committed() {
    let mut random = Random::from_environment();
    let (disk, journal, before) = long_lived();
    drop(journal);
    let mut operation = 0;
    loop {
        let mut is_over = true;
        for _ in 0..20 {
            let copy = disk.after_kill();
            copy.fail_from(operation);
            let mut committed = before;
            let outcome = recover(&copy, SEGMENT_BYTES).and_then(|(mut journal, _)| {
                round(&copy, &mut journal, &mut committed)?;
                round(&copy, &mut journal, &mut committed)
            });
            is_over &= outcome.is_ok();
            let odds = random.next() % 5;
            let after = copy.after_power_loss(|| random.next() % 4 < odds);
            // A batch that was written and whose sync did not return may be there.
            let (mut journal, found) = recover(&after, SEGMENT_BYTES).unwrap();
            assert!((committed..=committed + 5).contains(&found), "operation {operation}");
            let mut found = found;
            for _ in 0..3 {
                round(&after, &mut journal, &mut found).unwrap();
            }
            drop(journal);
            assert_eq!(recover(&after, SEGMENT_BYTES).unwrap().1, found, "operation {operation}");
        }
        if is_over {
            break;
        }
        operation += 1;
    }
    println!("a power loss at each of {operation} operations");
    assert!(operation > 60);
}

/// A disk that lists a used segment which another thread takes in the same moment.
#[derive(Clone)]
struct Contested(SimulatedDisk);

impl Storage for Contested {
    type File = SimulatedFile;
    type Lock = SimulatedLock;

    fn open(&self, name: &str) -> io::Result<SimulatedFile> {
        self.0.open(name)
    }

    fn create(&self, name: &str) -> io::Result<SimulatedFile> {
        self.0.create(name)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = self.0.list()?;
        names.insert(0, "used-0000000000.seg".to_owned());
        Ok(names)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(name)
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.0.sync_directory()
    }

    fn lock(&self, name: &str) -> Result<SimulatedLock, JournalError> {
        self.0.lock(name)
    }
}

#[test]
fn a_used_segment_that_another_thread_takes_is_left_to_it() {
    let (disk, journal, committed) = long_lived();
    drop(journal);
    let before = used_segments(&disk).len();
    let disk = Contested(disk);
    let recovered = Journal::open(&disk, options(SEGMENT_BYTES), committed, &mut |_, _, _| true);
    let mut journal = recovered.unwrap().journal;
    while disk.0.list().unwrap().iter().any(|name| name.starts_with("spare-")) {
        journal.rotate(0).unwrap();
    }
    journal.rotate(0).unwrap();
    assert_eq!(used_segments(&disk.0).len(), before - 1, "the next one is taken");
}

/// Snapshots that are not as they were written, however old.
fn damaged_snapshots(disk: &SimulatedDisk) -> Vec<String> {
    let mut found = Vec::new();
    loop {
        let (newest, damaged) = latest_snapshot(disk).unwrap();
        found.extend(damaged);
        let Some(newest) = newest else { return found };
        disk.remove(&format!("snapshot-{:020}.snap", newest.sequence)).unwrap();
    }
}

/// Goes on in segments that others were before, and makes a snapshot behind one more command.
fn use_segments(disk: &SimulatedDisk, committed: u64) -> Result<u64, JournalError> {
    let (mut journal, _) = recover(disk, SEGMENT_BYTES)?;
    for _ in 0..3 {
        journal.rotate(0)?;
    }
    write(&mut journal, committed + 1..=committed + 1)?;
    journal.rotate(0)?;
    snapshot(disk, committed + 1, &[9; SNAPSHOT_BYTES])
}

#[test]
fn a_file_whose_new_name_may_be_lost_is_neither_cleared_nor_written_over() {
    let (disk, mut journal, mut committed) = long_lived();
    write(&mut journal, committed + 1..=committed + 5).unwrap();
    journal.rotate(0).unwrap();
    committed += 5;
    snapshot(&disk, committed, &[7; SNAPSHOT_BYTES]).unwrap();
    drop(journal);
    let mut tried = 0;
    for (removal, is_segment_first) in (0..).flat_map(|n| [(n, true), (n, false)]) {
        // The removal gave names, and ended before they were durable.
        let ended = disk.after_kill();
        ended.fail_operation(removal);
        if remove_obsolete(&ended, 2, &[], Duration::ZERO).is_ok() {
            break;
        }
        ended.heal();
        for operation in 0.. {
            let copy = ended.after_kill();
            copy.fail_from(operation);
            // Whichever is at once, before the other makes the names durable.
            let outcome = if is_segment_first {
                use_segments(&copy, committed)
            } else {
                snapshot(&copy, committed, &[8; SNAPSHOT_BYTES])
                    .and_then(|_| use_segments(&copy, committed))
            };
            let after = copy.after_power_loss(|| false);
            let (journal, found) = recover(&after, SEGMENT_BYTES).unwrap();
            drop(journal);
            assert!((committed..=committed + 1).contains(&found), "{removal}, {operation}");
            assert!(outcome.is_err() || found > committed, "{removal}, {operation}");
            // From the older snapshot, whose commands stand right behind the segments that go.
            let older = after.after_kill();
            let newest = latest_snapshot(&older).unwrap().0.unwrap().sequence;
            older.remove(&format!("snapshot-{newest:020}.snap")).unwrap();
            assert_eq!(recover(&older, SEGMENT_BYTES).unwrap().1, found, "{removal}, {operation}");
            assert_eq!(damaged_snapshots(&after), [""; 0], "{removal}, {operation}");
            tried += 1;
            if outcome.is_ok() {
                break;
            }
        }
    }
    println!("{tried} power losses behind a removal that was not finished");
    assert!(tried > 200);
}

/// A journal in a segment that held others before: the disk, the segment's number, what it held before,
/// where its records end, and the commands that were committed.
fn in_a_used_segment() -> (SimulatedDisk, u64, Vec<u8>, usize, u64) {
    let (disk, mut journal, mut committed) = long_lived();
    // The spares that are ready come first.
    let (number, old) = loop {
        let olds: Vec<_> = used_segments(&disk).iter().map(|name| disk.bytes(name)).collect();
        let names = disk.list().unwrap();
        let spares = names.iter().filter(|name| name.starts_with("spare-")).count();
        round(&disk, &mut journal, &mut committed).unwrap();
        let number = 1 + names.iter().filter_map(|name| number_of(name)).max().unwrap();
        if let (0, Some(old)) = (spares, olds.into_iter().next()) {
            break (number, old);
        }
    };
    write(&mut journal, committed + 1..=committed + 2).unwrap();
    journal.commit().unwrap();
    committed += 2;
    drop(journal);
    let mut end = 0;
    inspect(&disk, committed - 3, &mut |name, offset, record| {
        if name == segment_name(number) {
            end = offset as usize + 73 + record.payload.len();
        }
        true
    })
    .unwrap();
    assert!(old[end..].iter().any(|byte| *byte != 0), "it held more before");
    (disk, number, old, end, committed)
}

fn number_of(name: &str) -> Option<u64> {
    name.strip_prefix("journal-")?.strip_suffix(".seg")?.parse().ok()
}

/// Recovers, or is refused as damage; whether it was. Commands that do not belong there are no outcome.
fn is_refused(disk: &SimulatedDisk, committed: u64, place: &str) -> bool {
    match recover(disk, SEGMENT_BYTES) {
        Ok((_, found)) => {
            assert_eq!(found, committed, "{place}");
            false
        }
        Err(JournalError::Damaged { .. }) => true,
        Err(error) => panic!("{place}: {error}"),
    }
}

#[test]
fn what_a_used_segment_held_before_is_believed_nowhere() {
    let (disk, number, old, end, committed) = in_a_used_segment();
    let name = segment_name(number);
    let (mut refused, mut tried) = (0, 0);
    // Zeros that never reached the disk though it said so, from any byte on.
    for begin in end..old.len() {
        let copy = disk.after_kill();
        copy.edit(&name, |bytes| bytes[begin..].copy_from_slice(&old[begin..]));
        refused += u32::from(is_refused(&copy, committed, &format!("from byte {begin}")));
        tried += 1;
    }
    // And every single block, those of the header and of records included.
    for block in BLOCKS {
        for begin in (0..old.len()).step_by(block) {
            let range = begin..begin + block;
            let copy = disk.after_kill();
            let is_other = copy.bytes(&name)[range.clone()] != old[range.clone()];
            copy.edit(&name, |bytes| bytes[range.clone()].copy_from_slice(&old[range.clone()]));
            let is_damage = is_refused(&copy, committed, &format!("block of {block} at {begin}"));
            assert!(is_damage || !is_other || begin + block > end, "a lost block at {begin}");
            tried += 1;
            refused += u32::from(is_damage);
        }
    }
    println!("{tried} stale ends and blocks, {refused} refused, none believed");
    assert!(refused > 0);
}

#[test]
fn used_segments_of_another_size_are_passed_over() {
    let (disk, journal, committed) = long_lived();
    drop(journal);
    assert!(!used_segments(&disk).is_empty());
    let (mut journal, found) = recover(&disk, 2 * SEGMENT_BYTES).unwrap();
    assert_eq!(found, committed);
    write(&mut journal, committed + 1..=committed + 60).unwrap();
    journal.commit().unwrap();
    drop(journal);
    assert_eq!(recover(&disk, SEGMENT_BYTES).unwrap().1, committed + 60);
}

#[test]
fn a_snapshot_that_is_written_over_an_older_one_holds_nothing_of_it() {
    for bytes in [0, 1, SNAPSHOT_BYTES - 1, SNAPSHOT_BYTES, SNAPSHOT_BYTES + 1, 700_000] {
        let (disk, journal, committed) = long_lived();
        drop(journal);
        assert!(disk.list().unwrap().contains(&"used-snapshot".to_owned()));
        let content = vec![0x5a; bytes];
        snapshot(&disk, committed, &content).unwrap();
        assert!(!disk.list().unwrap().contains(&"used-snapshot".to_owned()));
        let (found, damaged) = latest_snapshot(&disk.after_power_loss(|| false)).unwrap();
        let found = found.unwrap();
        assert_eq!((found.sequence, damaged.len()), (committed, 0));
        assert!(content_of(found) == content, "{bytes} bytes");
    }
}
