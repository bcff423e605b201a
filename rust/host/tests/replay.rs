//! Replay believes nothing: records that do not lead to the state that wrote them are refused.

use viabtc_engine::{AssetId, Command, UpdateBalance, UserId};
use viabtc_host::codec::write_command;
use viabtc_host::config_file::read_config;
use viabtc_host::record::{KIND_COMMAND, KIND_CONFIG, KIND_DIGEST, write_config};
use viabtc_host::recovery::{RecoveryError, Replay};
use viabtc_journal::Record;

const CONFIG: &str =
    r#"{"assets": [{"name": "BTC", "prec_save": 12, "prec_show": 8}], "markets": []}"#;

fn record(kind: u8, sequence: u64, payload: &[u8]) -> Record<'_> {
    Record { kind, epoch: 1, ordinal: sequence + 1, sequence, time: 1, payload }
}

fn update(change: i128) -> Vec<u8> {
    let command = Command::UpdateBalance(UpdateBalance {
        user: UserId(1),
        asset: AssetId(0),
        reason: "deposit".into(),
        reason_id: 1,
        change,
        detail: "{}".into(),
    });
    let mut payload = Vec::new();
    write_command(&command, b"[]", &mut payload);
    payload
}

fn apply(replay: &mut Replay, record: &Record<'_>) -> Result<(), RecoveryError> {
    replay.apply(record, |_, _, _, _| ())
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
