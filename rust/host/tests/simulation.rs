//! The whole engine on a disk that fails and loses: the recovered state is that of the acknowledged
//! commands, or of those and some that were sent; the feed holds every one of them; damage is refused.

mod simulated;

use simulated::*;
use viabtc_host::StartError;
use viabtc_host::snapshots::write_snapshot_on;
use viabtc_journal::simulated::SimulatedDisk;
use viabtc_journal::{JournalError, Storage};

const NOW: i64 = 1_700_000_000_000_000;

fn share(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |count| count.parse().expect("a number"))
}

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
fn after_any_power_loss_the_state_is_that_of_the_acknowledged_commands() {
    let mut random = Random::from_environment();
    let mut twin = Twin::new();
    let losses = share("VIABTC_ENGINE_POWER_LOSSES", 300);
    let mut done = 0;
    while done < losses {
        let mut disk = SimulatedDisk::new();
        let mut progress = Progress::default();
        for _ in 0..4 {
            disk.fail_from(random.next() % 500);
            let count = 3 + random.next() % 40;
            let _ = live(&disk, &mut progress, count);
            let odds = random.next() % 5;
            disk = disk.after_power_loss(|| random.next() % 4 < odds);
            twin.see(progress.sent);
            let copy = disk.after_kill();
            let host = start(&copy).unwrap();
            let sequence = twin.check(&host, &copy, progress.acknowledged, progress.sent);
            // From here on the life goes on with what was found; requests that changed nothing are
            // sent again, with the same outcome.
            let found = twin.sequences.iter().rposition(|other| *other == sequence).unwrap() as u64;
            progress.acknowledged = found.min(progress.sent);
            done += 1;
        }
    }
    println!("{done} power losses");
}

#[test]
fn whatever_operation_fails_the_outcome_is_an_error_or_right() {
    let mut twin = Twin::new();
    twin.see(48);
    let lives = |disk: &SimulatedDisk, progress: &mut Progress| {
        live(disk, progress, 24)?;
        live(disk, progress, 24)
    };
    let mut tried = [0, 0];
    let stride = share("VIABTC_OPERATION_STRIDE", 1);
    for (mode, number) in tried.iter_mut().enumerate() {
        loop {
            let disk = SimulatedDisk::new();
            if mode == 0 {
                disk.fail_operation(*number)
            } else {
                disk.fail_from(*number)
            }
            let mut progress = Progress::default();
            let outcome = lives(&disk, &mut progress);
            let is_over = outcome.is_ok() && disk.operations() <= *number;
            disk.heal();
            for after in
                [disk.after_kill(), disk.after_power_loss(|| false), disk.after_power_loss(|| true)]
            {
                let host = start(&after).unwrap();
                twin.check(&host, &after, progress.acknowledged, progress.sent);
            }
            if is_over {
                break;
            }
            *number += stride;
        }
    }
    println!("{tried:?} operations failed, once and for good");
    assert!(tried[0] > 300);
}

/// A disk after a clean life with two snapshots and commands behind them, and how many requests it saw.
fn lived() -> (SimulatedDisk, u64) {
    let disk = SimulatedDisk::new();
    let mut progress = Progress::default();
    live(&disk, &mut progress, 40).unwrap();
    (disk, progress.sent)
}

fn snapshots(disk: &SimulatedDisk) -> Vec<String> {
    let names = disk.list().unwrap();
    names.into_iter().filter(|name| name.ends_with(".snap")).collect()
}

#[test]
fn a_flipped_bit_of_a_snapshot_costs_a_longer_replay_and_a_note() {
    let (disk, sent) = lived();
    let mut twin = Twin::new();
    twin.see(sent);
    let names = snapshots(&disk);
    assert_eq!(names.len(), 2);
    let replayed = start(&disk.after_kill()).unwrap().recovery().replayed;
    let newest = names.last().unwrap();
    let bits = disk.bytes(newest).len() * 8;
    let stride = share("VIABTC_BIT_STRIDE", 97) as usize;
    for bit in (0..bits).step_by(stride) {
        let copy = disk.after_kill();
        copy.edit(newest, |bytes| bytes[bit / 8] ^= 1 << (bit % 8));
        let host = start(&copy).unwrap();
        twin.check(&host, &copy, sent, sent);
        let recovery = host.recovery();
        assert!(recovery.replayed > replayed, "bit {bit}");
        assert!(recovery.notes[0].contains("is damaged: the older one"), "{:?}", recovery.notes);
    }
    println!("{} of {bits} flips of a snapshot", bits.div_ceil(stride));
    // Both are damaged, and the journal does not reach back to the first command.
    let copy = disk.after_kill();
    for name in &names {
        copy.edit(name, |bytes| bytes[30] ^= 1);
    }
    let error = start(&copy).err().unwrap();
    assert!(error.to_string().contains("are needed and missing"), "{error}");
}

#[test]
fn a_damaged_snapshot_is_replaced_by_the_next() {
    let (disk, sent) = lived();
    let newest = snapshots(&disk).pop().unwrap();
    disk.edit(&newest, |bytes| bytes[30] ^= 1);
    let host = start(&disk).unwrap();
    let (command, params) = request(sent + 1);
    call(&host, command, &params);
    let before = state(&host);
    host.rotate().unwrap();
    write_snapshot_on(&disk, NOW).unwrap();
    drop(host);
    assert!(!snapshots(&disk).contains(&newest));
    assert_eq!(snapshots(&disk).len(), 2);
    let host = start(&disk).unwrap();
    assert_eq!((state(&host), host.recovery().replayed), (before, 0));
    assert!(host.recovery().notes.is_empty(), "{:?}", host.recovery().notes);
}

#[test]
fn a_snapshot_is_made_by_one_and_only_when_the_feed_has_its_events() {
    let (disk, sent) = lived();
    let _lock = viabtc_journal::lock_snapshots(&disk).unwrap();
    let refused = write_snapshot_on(&disk, NOW);
    assert!(matches!(refused, Err(StartError::Journal(JournalError::Locked { .. }))));
    drop(_lock);
    let host = start(&disk).unwrap();
    for number in sent + 1..sent + 9 {
        let (command, params) = request(number);
        call(&host, command, &params);
    }
    host.rotate().unwrap();
    let feed = disk.list().unwrap().into_iter().find(|name| name.starts_with("feed-0")).unwrap();
    let copy = disk.after_kill();
    copy.edit(&feed, |bytes| bytes.truncate(bytes.len() - 1));
    let refused = write_snapshot_on(&copy, NOW).unwrap_err();
    assert!(refused.to_string().contains("the event feed ends at command"), "{refused}");
    write_snapshot_on(&disk, NOW).unwrap();
}

#[test]
fn a_journal_that_lacks_what_the_feed_has_seen_is_refused() {
    let disk = SimulatedDisk::new();
    let host = start(&disk).unwrap();
    for number in 1..=8 {
        let (command, params) = request(number);
        call(&host, command, &params);
    }
    // The files as after a kill whose last sync the disk did not keep.
    let before = disk.bytes(&viabtc_journal::segment_name(1));
    let (command, params) = request(9);
    call(&host, command, &params);
    host.rotate().unwrap();
    let copy = disk.after_kill();
    copy.remove(&viabtc_journal::segment_name(2)).unwrap();
    copy.edit(&viabtc_journal::segment_name(1), |bytes| *bytes = before);
    match start(&copy).err() {
        Some(error @ StartError::Journal(JournalError::Lost { sequence: 9, found: 8, .. })) => {
            assert!(error.to_string().contains("the event feed holds command 9"), "{error}");
            assert!(error.remedy().contains("restore"), "{}", error.remedy());
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_full_disk_refuses_writes_keeps_reading_and_goes_on_by_itself() {
    let disk = SimulatedDisk::new();
    let host = start(&disk).unwrap();
    disk.set_capacity(disk.used_bytes() + (6 << 10));
    let mut twin = Twin::new();
    let mut number = 0;
    loop {
        let (command, params) = request(number + 1);
        if is_unavailable(&call(&host, command, &params)) {
            break;
        }
        number += 1;
        assert!(number < 10_000, "the disk is never full");
    }
    assert!(call(&host, 101, "[1]").contains(r#""error": null"#), "queries go on");
    twin.see(number);
    let after = disk.after_power_loss(|| false);
    twin.check(&start(&after).unwrap(), &after, number, number);
    disk.set_capacity(1 << 20);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        let (command, params) = request(number + 1);
        if !is_unavailable(&call(&host, command, &params)) {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "writes do not go on");
    }
    twin.see(number + 1);
    twin.check(&host, &disk, number + 1, number + 1);
}
