//! The event feed: cut to whole records after a crash, followed from any position while it is written, kept
//! until every projection is past it.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use support::*;
use viabtc_journal::simulated::SimulatedDisk;
use viabtc_journal::{
    Directory, FeedPositions, FeedReader, FeedWriter, JournalError, Storage, feed_sequence,
    remove_consumed,
};

const FILE_BYTES: u64 = 4 << 10;

fn sequences<S: Storage>(reader: &mut FeedReader<S>, bytes_max: usize) -> Vec<u64> {
    reader.batch(bytes_max).unwrap().iter().map(|record| record.sequence).collect()
}

/// A feed of several files; the time of a record is its sequence.
fn feed(disk: &SimulatedDisk, last: u64) -> FeedWriter<SimulatedDisk> {
    let mut feed = FeedWriter::open_with(disk, FILE_BYTES).unwrap();
    for sequence in 1..=last {
        feed.append(sequence, sequence as i64, &payload(sequence)).unwrap();
    }
    feed.flush().unwrap();
    feed
}

fn files(disk: &SimulatedDisk) -> Vec<String> {
    let names = disk.list().unwrap();
    names.into_iter().filter(|name| name.starts_with("feed-0")).collect()
}

#[test]
fn a_thread_has_it_written_to_the_disk_while_it_grows() {
    const DEADLINE: Duration = Duration::from_secs(60);
    let disk = SimulatedDisk::new();
    let mut feed = FeedWriter::open(&disk).unwrap();
    feed.flow_out().unwrap();
    let before = disk.operations();
    for sequence in 1..=1_025 {
        feed.append(sequence, 0, &[7; 1 << 10]).unwrap();
    }
    feed.flush().unwrap();
    // The file is made and written here; there it is opened, and four pieces of 256 KiB begin.
    let begun = Instant::now();
    while disk.operations() < before + 2 + 1 + 4 {
        assert!(begun.elapsed() < DEADLINE, "{} operations", disk.operations() - before);
        std::thread::sleep(Duration::from_millis(1));
    }
    drop(feed);
    assert_eq!(disk.operations(), before + 2 + 1 + 4);
    let found = sequences(&mut FeedReader::open(&disk, 0), 4 << 20);
    assert_eq!(found, (1..=1_025).collect::<Vec<_>>());
}

#[test]
fn it_is_cut_to_whole_records_wherever_it_breaks() {
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
        let seen = feed_sequence(&copy).unwrap();
        let mut feed = FeedWriter::open(&copy).unwrap();
        let last = feed.sequence();
        assert_eq!(seen, last);
        feed.append(last + 1, 0, b"again").unwrap();
        feed.flush().unwrap();
        let found = sequences(&mut FeedReader::open(&copy, 0), 1 << 20);
        assert_eq!(found, (1..=last + 1).collect::<Vec<_>>(), "length {length}");
    }
}

#[test]
fn a_reader_follows_from_any_position_in_batches_of_any_size() {
    let disk = SimulatedDisk::new();
    let _feed = feed(&disk, 60);
    assert!(files(&disk).len() > 5);
    for after in 0..=60 {
        for bytes_max in [1, 700, 5_000, 1 << 20] {
            let mut reader = FeedReader::open(&disk, after);
            let mut found = Vec::new();
            loop {
                let batch = reader.batch(bytes_max).unwrap();
                if batch.is_empty() {
                    break;
                }
                let bytes: usize = batch.iter().map(|record| record.payload.len() + 73).sum();
                assert!(bytes <= bytes_max || batch.len() == 1, "{bytes} of {bytes_max}");
                for record in batch {
                    assert!(record.payload == payload(record.sequence));
                    found.push(record.sequence);
                }
            }
            assert_eq!(found, (after + 1..=60).collect::<Vec<_>>());
            assert_eq!(reader.position(), 60);
        }
    }
}

#[test]
fn a_reader_sees_what_was_flushed_and_nothing_else() {
    let disk = SimulatedDisk::new();
    let mut feed = FeedWriter::open(&disk).unwrap();
    let mut reader = FeedReader::open(&disk, 2);
    assert!(sequences(&mut reader, 1 << 20).is_empty());
    for sequence in 1..=5 {
        feed.append(sequence, 0, b"x").unwrap();
    }
    assert!(sequences(&mut reader, 1 << 20).is_empty());
    feed.flush().unwrap();
    assert_eq!(sequences(&mut reader, 1 << 20), [3, 4, 5]);
    assert!(sequences(&mut reader, 1 << 20).is_empty());
}

#[test]
fn a_reader_beside_the_writer_gets_every_record_once_and_is_woken() {
    let folder = tempfile::tempdir().unwrap();
    let storage = Directory::open(folder.path()).unwrap();
    let mut feed = FeedWriter::open_with(&storage, 64 << 10).unwrap();
    let signal = Arc::clone(feed.signal());
    let wakes = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&wakes);
    signal.on_flush(Box::new(move || {
        counted.fetch_add(1, Ordering::Relaxed);
    }));
    let last = 5_000;
    let writer = std::thread::spawn(move || {
        for sequence in 1..=last {
            feed.append(sequence, 0, &payload(sequence)).unwrap();
            if sequence % 3 == 0 || sequence == last {
                feed.flush().unwrap();
            }
        }
    });
    let mut reader = FeedReader::open(&storage, 0);
    let mut next = 1;
    while next <= last {
        assert!(signal.wait(next - 1, Duration::from_secs(20)), "no more than {next} came");
        for record in reader.batch(2_000).unwrap() {
            assert_eq!(record.sequence, next);
            next += 1;
        }
    }
    writer.join().unwrap();
    assert!(signal.is_closed() && !signal.wait(last, Duration::from_secs(20)));
    assert!(wakes.load(Ordering::Relaxed) > last / 3);
}

#[test]
fn a_gap_is_an_error_and_never_skipped() {
    let disk = SimulatedDisk::new();
    let _feed = feed(&disk, 60);
    let names = files(&disk);
    let first_of = |name: &str| name[5..25].parse::<u64>().unwrap();
    // A file is missing.
    let copy = disk.after_kill();
    copy.remove(&names[1]).unwrap();
    let mut reader = FeedReader::open(&copy, 0);
    let (lost, next) = (first_of(&names[1]), first_of(&names[2]));
    let error = loop {
        match reader.batch(1 << 20) {
            Ok(batch) => assert!(!batch.is_empty()),
            Err(error) => break error,
        }
    };
    assert!(
        matches!(error, JournalError::FeedGap { wanted, first } if (wanted, first) == (lost, next))
    );
    // A file is damaged in the middle, and a later one exists.
    let copy = disk.after_kill();
    copy.edit(&names[1], |bytes| bytes[200] ^= 1);
    let mut reader = FeedReader::open(&copy, 0);
    while reader.batch(1 << 20).is_ok_and(|batch| !batch.is_empty()) {}
    assert!(matches!(reader.batch(1 << 20), Err(JournalError::FeedGap { .. })));
    // The beginning is gone.
    let copy = disk.after_kill();
    copy.remove(&names[0]).unwrap();
    let error = FeedReader::open(&copy, 0).batch(1 << 20).unwrap_err();
    assert!(error.to_string().contains("command 1 is no longer in it"), "{error}");
}

#[test]
fn positions_survive_and_are_replaced_as_a_whole() {
    let disk = SimulatedDisk::new();
    let mut positions = FeedPositions::open(&disk).unwrap();
    assert_eq!(positions.oldest(), None);
    positions.save().unwrap();
    positions.set("history", 7);
    positions.set("kafka.deals", 5);
    positions.save().unwrap();
    positions.set("history", 9);
    let copy = disk.after_kill();
    positions.save().unwrap();
    positions.forget("kafka.deals");
    assert_eq!((positions.get("history"), positions.oldest()), (Some(9), Some(9)));
    // Whatever fails while they are saved, the file holds the old or the new ones.
    let mut written = FeedPositions::open(&copy).unwrap();
    for operation in 0..8 {
        written.set("history", 8 + operation);
        copy.fail_from(operation);
        let before = FeedPositions::open(&copy.after_kill()).unwrap().get("history");
        let is_saved = written.save().is_ok();
        for after in [copy.after_kill(), copy.after_power_loss(|| false)] {
            let found = FeedPositions::open(&after).unwrap().get("history");
            assert!(found == before || found == Some(8 + operation));
            assert!(!is_saved || found == Some(8 + operation));
        }
        copy.heal();
        written.save().unwrap();
    }
    let name = "feed-positions";
    for bit in 0..disk.bytes(name).len() * 8 {
        let copy = disk.after_kill();
        copy.edit(name, |bytes| bytes[bit / 8] ^= 1 << (bit % 8));
        let found = FeedPositions::open(&copy);
        assert!(matches!(found, Err(JournalError::Damaged { .. })), "bit {bit}");
    }
}

#[test]
fn files_go_when_every_projection_is_past_them_and_they_are_old() {
    let disk = SimulatedDisk::new();
    let _feed = feed(&disk, 60);
    let count = files(&disk).len();
    let mut positions = FeedPositions::open(&disk).unwrap();
    let removed = |positions: &FeedPositions<SimulatedDisk>, time| {
        let copy = disk.after_kill();
        let removed = remove_consumed(&copy, positions, time).unwrap();
        assert_eq!(files(&copy).len(), count - removed);
        removed
    };
    // Without projections only age counts, and the newest file stays.
    assert_eq!((removed(&positions, 1), removed(&positions, i64::MAX)), (0, count - 1));
    positions.set("fast", 60);
    positions.set("slow", 30);
    let past = removed(&positions, i64::MAX);
    assert!(past > 0 && past < count - 1);
    assert_eq!(removed(&positions, 31), past);
    assert!(removed(&positions, 20) < past);
    let copy = disk.after_kill();
    remove_consumed(&copy, &positions, i64::MAX).unwrap();
    assert_eq!(sequences(&mut FeedReader::open(&copy, 30), 1 << 20)[0], 31);
    positions.set("slow", 0);
    assert_eq!(removed(&positions, i64::MAX), 0);
}
