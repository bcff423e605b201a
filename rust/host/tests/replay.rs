//! Replay believes nothing: records that do not lead to the state that wrote them are refused.

use viabtc_engine::{AssetId, Command, UpdateBalance, UserId};
use viabtc_host::codec::write_command;
use viabtc_host::config_file::read_config;
use viabtc_host::record::{KIND_COMMAND, KIND_CONFIG, KIND_DIGEST, write_config};
use viabtc_host::recovery::{RecoveryError, Replay, Replayed};
use viabtc_host::{Host, Options, StartError};
use viabtc_journal::simulated::SimulatedDisk;
use viabtc_journal::{Journal, Record, Storage};

const CONFIG: &str =
    r#"{"assets": [{"name": "BTC", "prec_save": 12, "prec_show": 8}], "markets": []}"#;

fn record(kind: u8, sequence: u64, payload: &[u8]) -> Record<'_> {
    Record { kind, epoch: 1, ordinal: sequence + 1, sequence, time: 1, payload }
}

fn update(change: i128) -> Vec<u8> {
    numbered_update(1, change)
}

fn numbered_update(id: u64, change: i128) -> Vec<u8> {
    let command = Command::UpdateBalance(UpdateBalance {
        user: UserId(1),
        asset: AssetId(0),
        reason: "deposit".into(),
        reason_id: id,
        change,
        detail: "{}".into(),
    });
    let mut payload = Vec::new();
    write_command(&command, id.to_string().as_bytes(), &mut payload);
    payload
}

fn apply(replay: &mut Replay, record: &Record<'_>) -> Result<(), RecoveryError> {
    replay.apply(record, |_| ()).and_then(|()| replay.settle(|_| ()))
}

/// A replay that has read its configuration.
fn configured() -> Replay {
    let mut config = Vec::new();
    write_config(&read_config(CONFIG).unwrap().config, &mut config);
    let mut replay = Replay::empty();
    apply(&mut replay, &record(KIND_CONFIG, 0, &config)).unwrap();
    replay
}

/// The digest after `update(change)`.
fn digest_after(change: i128) -> u64 {
    let mut replay = configured();
    apply(&mut replay, &record(KIND_COMMAND, 1, &update(change))).unwrap();
    replay.finish().unwrap().unwrap().exchange.digest()
}

#[test]
fn the_digest_in_the_journal_has_to_be_that_of_the_replayed_state() {
    let mut replay = configured();
    apply(&mut replay, &record(KIND_COMMAND, 1, &update(5))).unwrap();
    let right = digest_after(5).to_le_bytes();
    apply(&mut replay, &record(KIND_DIGEST, 1, &right)).unwrap();
    let wrong = digest_after(6).to_le_bytes();
    let refused = apply(&mut replay, &record(KIND_DIGEST, 1, &wrong));
    assert!(matches!(refused, Err(RecoveryError::Digest { sequence: 1 })), "{refused:?}");
}

#[test]
fn a_command_that_was_applied_and_is_now_refused_ends_the_replay() {
    let mut replay = configured();
    let refused = apply(&mut replay, &record(KIND_COMMAND, 1, &update(-5)));
    assert!(matches!(refused, Err(RecoveryError::Refused { sequence: 1, .. })), "{refused:?}");
}

#[test]
fn commands_need_a_configuration_before_them() {
    let refused = apply(&mut Replay::empty(), &record(KIND_COMMAND, 1, &update(5)));
    assert!(matches!(refused, Err(RecoveryError::NoConfig { sequence: 1 })), "{refused:?}");
}

#[test]
fn commands_are_applied_in_order_however_many_are_read_before() {
    let mut replay = configured();
    let mut seen = Vec::new();
    // More than two groups, and one that a record of another kind cuts short.
    for id in 1..=40 {
        let command = numbered_update(id, 5);
        replay
            .apply(&record(KIND_COMMAND, id, &command), |replayed| see(replayed, &mut seen))
            .unwrap();
        if id == 20 {
            let digest = digest_after_updates(20).to_le_bytes();
            let digest = record(KIND_DIGEST, id, &digest);
            replay.apply(&digest, |replayed| see(replayed, &mut seen)).unwrap();
            assert_eq!(seen.len(), 20, "a digest is that of all commands before it");
        }
    }
    replay.settle(|replayed| see(replayed, &mut seen)).unwrap();
    let expected: Vec<_> = (1..=40u64).map(|id| (id, id.to_string().into_bytes(), 1)).collect();
    assert_eq!(seen, expected);
    assert_eq!(replay.replayed, 40);
    assert_eq!(replay.finish().unwrap().unwrap().exchange.digest(), digest_after_updates(40));
}

fn see(replayed: &Replayed<'_>, seen: &mut Vec<(u64, Vec<u8>, usize)>) {
    seen.push((replayed.stamp.sequence, replayed.params.to_vec(), replayed.events.len()));
}

/// The digest after so many updates, each applied before the next is read.
fn digest_after_updates(count: u64) -> u64 {
    let mut replay = configured();
    for id in 1..=count {
        apply(&mut replay, &record(KIND_COMMAND, id, &numbered_update(id, 5))).unwrap();
    }
    replay.finish().unwrap().unwrap().exchange.digest()
}

#[test]
fn a_start_that_its_last_command_refuses_leaves_the_journal_as_it_is() {
    let disk = SimulatedDisk::new();
    let journal_options = viabtc_journal::Options {
        segment_bytes: 1 << 16,
        is_synced: true,
        opened: Vec::new(),
        time: 1,
        is_prepared_ahead: false,
        epoch_min: 0,
        begins_after: 0,
    };
    let mut journal =
        Journal::open(&disk, journal_options, 0, &mut |_, _, _| true).unwrap().journal;
    let config = read_config(CONFIG).unwrap();
    let mut bytes = Vec::new();
    write_config(&config.config, &mut bytes);
    journal.append(KIND_CONFIG, 0, 1, &bytes).unwrap();
    journal.append(KIND_COMMAND, 1, 1, &update(5)).unwrap();
    journal.append(KIND_COMMAND, 2, 1, &numbered_update(2, -6)).unwrap();
    journal.commit().unwrap();
    drop(journal);
    let segment = disk.list().unwrap().into_iter().find(|name| name.ends_with(".seg")).unwrap();
    let before = disk.bytes(&segment);

    let options =
        Options { segment_bytes: 1 << 16, is_prepared_ahead: false, ..Options::new(config) };
    let refused = Host::start_on(disk.clone(), options).err().expect("nobody can pay 6 of 5");

    assert!(
        matches!(refused, StartError::State(RecoveryError::Refused { sequence: 2, .. })),
        "{refused}"
    );
    assert!(disk.bytes(&segment) == before, "the segment was changed");
}
