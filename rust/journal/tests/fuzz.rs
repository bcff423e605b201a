//! Readers of files under generated damage: no panic, no hang, and nothing that was not written.

mod support;

use support::*;
use viabtc_fuzz::{fuzz, outcome};
use viabtc_journal::simulated::SimulatedDisk;
use viabtc_journal::{
    FeedPositions, FeedReader, FeedWriter, Storage, inspect, latest_snapshot, segment_name,
};

const SEGMENT_BYTES: u64 = 8 << 10;

/// Puts `bytes` in place of a file.
fn replace(disk: &SimulatedDisk, name: &str, bytes: &[u8]) {
    disk.edit(name, |content| *content = bytes.to_vec());
}

#[test]
fn fuzz_segments() {
    let disk = SimulatedDisk::new();
    let (mut journal, _) = open_after(&disk, SEGMENT_BYTES, 0).unwrap();
    for sequence in 1..=6 {
        journal.append(COMMAND, sequence, 1, &[sequence as u8; 90]).unwrap();
        journal.commit().unwrap();
    }
    drop(journal);
    let name = segment_name(1);
    let seed = disk.bytes(&name);
    fuzz("segment", &[&seed], &[&[0; 512], &seed[4096..4400]], |input| {
        let mut input = input.to_vec();
        // A file of the right size gets past the first check.
        input.resize(SEGMENT_BYTES as usize, 0);
        replace(&disk, &name, &input);
        let mut count = 0;
        let found = inspect(&disk, 0, &mut |_, _, record| {
            if record.kind == COMMAND {
                count += 1;
                assert_eq!(record.sequence, count);
                assert_eq!(record.payload, [count as u8; 90], "it is what was written");
            }
            true
        });
        match found {
            Ok(summary) if summary.torn.is_some() => outcome("torn", count as usize),
            Ok(_) => outcome("whole", count as usize),
            Err(error) => outcome(&error.to_string()[..12], count as usize),
        }
    });
}

#[test]
fn fuzz_payloads_of_records() {
    fuzz("record", &[b"", &[0; 900], b"payload"], &[&[0; 512], &[0xd7; 72], &[0xe9]], |input| {
        let disk = SimulatedDisk::new();
        let payload = &input[..input.len().min(2_000)];
        let (mut journal, _) = open_after(&disk, SEGMENT_BYTES, 0).unwrap();
        journal.append(9, 0, 1, payload).unwrap();
        journal.commit().unwrap();
        drop(journal);
        let mut found = Vec::new();
        let summary = inspect(&disk, 0, &mut |_, _, record| {
            if record.kind == 9 {
                found.push(record.payload.to_vec());
            }
            true
        });
        assert!(summary.unwrap().torn.is_none());
        assert_eq!(found, [payload]);
        outcome("record", payload.len())
    });
}

#[test]
fn fuzz_snapshot_files() {
    let disk = SimulatedDisk::new();
    snapshot(&disk, 9, b"the content of a snapshot").unwrap();
    let name = "snapshot-00000000000000000009.snap";
    let seed = disk.bytes(name);
    fuzz("snapshot-file", &[&seed], &[&seed[24..36]], |input| {
        replace(&disk, name, input);
        match latest_snapshot(&disk).unwrap() {
            (Some(mut found), damaged) => {
                let mut content = Vec::new();
                std::io::Read::read_to_end(&mut found, &mut content).unwrap();
                assert_eq!(
                    (content.as_slice(), damaged.len()),
                    (&b"the content of a snapshot"[..], 0)
                );
                outcome("whole", 0)
            }
            (None, damaged) => outcome("damaged", damaged.len()),
        }
    });
}

#[test]
fn fuzz_feed_files() {
    let disk = SimulatedDisk::new();
    let mut feed = FeedWriter::open(&disk).unwrap();
    for sequence in 1..=6 {
        feed.append(sequence, 1, &[sequence as u8; 60]).unwrap();
    }
    feed.flush().unwrap();
    drop(feed);
    let name = "feed-00000000000000000001.seg";
    let seed = disk.bytes(name);
    fuzz("feed-file", &[&seed], &[&seed[..72]], |input| {
        let disk = disk.after_kill();
        replace(&disk, name, input);
        let mut reader = FeedReader::open(&disk, 0);
        let mut count = 0;
        while let Ok(batch) = reader.batch(100) {
            if batch.is_empty() {
                break;
            }
            for record in batch {
                count += 1;
                assert_eq!(record.sequence, count);
                assert_eq!(record.payload, [count as u8; 60]);
            }
        }
        let mut feed = FeedWriter::open(&disk).unwrap();
        assert_eq!(feed.sequence(), count);
        feed.append(count + 1, 1, b"again").unwrap();
        feed.flush().unwrap();
        assert!(disk.list().unwrap().contains(&name.to_owned()));
        outcome("feed", count as usize)
    });
}

#[test]
fn fuzz_feed_positions() {
    let disk = SimulatedDisk::new();
    let mut positions = FeedPositions::open(&disk).unwrap();
    positions.set("history", 7);
    positions.save().unwrap();
    let seed = disk.bytes("feed-positions");
    fuzz("feed-positions", &[&seed], &[b"\n", b" checksum\n", b" "], |input| {
        replace(&disk, "feed-positions", input);
        match FeedPositions::open(&disk) {
            Ok(found) => outcome("read", found.oldest().unwrap_or(0) as usize),
            Err(_) => outcome("damaged", 0),
        }
    });
}
