//! The durable engine on a real directory: stops, restarts, snapshots, changed configurations, refusals.

use std::path::Path;
use std::time::Duration;

use viabtc_engine::{AssetId, Event, UserId};
use viabtc_host::config_file::{ConfigFile, read_config};
use viabtc_host::follow::Follower;
use viabtc_host::snapshots::write_snapshot;
use viabtc_host::{Fault, Host, Options, Refused, StartError};
use viabtc_journal::{Directory, FeedReader, JournalError};

const CONFIG: &str = r#"{
    "assets": [{"name": "BTC", "prec_save": 12, "prec_show": 8}, {"name": "USDT", "prec_save": 20, "prec_show": 8}],
    "markets": [{"name": "BTCUSDT", "stock": {"name": "BTC", "prec": 8}, "money": {"name": "USDT", "prec": 8},
                 "min_amount": "0.001"}]
}"#;

fn config() -> ConfigFile {
    read_config(CONFIG).unwrap()
}

fn try_start(directory: &Path, config: ConfigFile) -> Result<Host, StartError> {
    let on_fault = |fault: &Fault<'_>| panic!("{fault}");
    let options = Options { segment_bytes: 1 << 20, on_fault, ..Options::new(config) };
    Host::start(directory, options)
}

fn start(directory: &Path) -> Host {
    try_start(directory, config()).unwrap()
}

fn call(host: &Host, command: u32, params: &str) -> String {
    let replies = host.call(command, params.as_bytes(), 7).unwrap();
    String::from_utf8(replies.body(0).to_vec()).unwrap()
}

fn deposit(host: &Host, id: u64) {
    let reply = call(host, 102, &format!(r#"[1, "BTC", "deposit", {id}, "1.5", {{}}]"#));
    assert_eq!(reply, r#"{"error": null, "result": {"status": "success"}, "id": 7}"#);
}

fn digest(host: &Host) -> (u64, u64) {
    host.inspect(|exchange| (exchange.sequence(), exchange.digest())).unwrap()
}

#[test]
fn what_was_acknowledged_is_there_after_a_stop_and_a_start() {
    let directory = tempfile::tempdir().unwrap();
    let host = start(directory.path());
    for id in 1..=2_500 {
        deposit(&host, id);
    }
    let before = digest(&host);
    assert!(host.stop(Duration::from_secs(5)));
    assert!(!host.is_alive());
    let host = start(directory.path());
    let recovery = host.recovery();
    assert_eq!((recovery.replayed, recovery.was_clean, recovery.epoch), (2_500, true, 2));
    assert_eq!(digest(&host), before);
    let repeated = call(&host, 102, r#"[1, "BTC", "deposit", 1, "1.5", {}]"#);
    assert!(repeated.contains(r#""code": 10, "message": "repeat update""#), "{repeated}");
}

#[test]
fn a_copy_taken_under_load_recovers_to_a_state_of_the_past() {
    let directory = tempfile::tempdir().unwrap();
    let host = start(directory.path());
    for id in 1..=50 {
        deposit(&host, id);
    }
    // The files as a kill would leave them: no seal.
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(directory.path()).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    let recovered = start(copy.path());
    assert!(!recovered.recovery().was_clean);
    assert_eq!(digest(&recovered), digest(&host));
}

#[test]
fn a_snapshot_shortens_the_replay_and_leads_to_the_same_state() {
    let directory = tempfile::tempdir().unwrap();
    let host = start(directory.path());
    for id in 1..=30 {
        deposit(&host, id);
    }
    assert_eq!(host.rotate().unwrap(), 30);
    let report = write_snapshot(directory.path()).unwrap();
    assert_eq!((report.sequence, report.replayed), (30, 30));
    assert_eq!(write_snapshot(directory.path()).unwrap().bytes, 0);
    for id in 31..=40 {
        deposit(&host, id);
    }
    host.rotate().unwrap();
    assert_eq!(write_snapshot(directory.path()).unwrap().replayed, 10);
    deposit(&host, 41);
    let before = digest(&host);
    host.stop(Duration::from_secs(5));
    let host = start(directory.path());
    assert_eq!((host.recovery().snapshot_sequence, host.recovery().replayed), (40, 1));
    assert_eq!(digest(&host), before);
}

#[test]
fn the_feed_holds_every_command_once_also_when_it_was_lost() {
    let directory = tempfile::tempdir().unwrap();
    let host = start(directory.path());
    for id in 1..=20 {
        deposit(&host, id);
    }
    host.stop(Duration::from_secs(5));
    for entry in std::fs::read_dir(directory.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_str().unwrap().starts_with("feed-") {
            let bytes = std::fs::read(&path).unwrap();
            std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        }
    }
    let host = start(directory.path());
    deposit(&host, 21);
    host.stop(Duration::from_secs(5));
    let storage = Directory::open(directory.path()).unwrap();
    let records = FeedReader::open(&storage, 0).next_batch().unwrap();
    let sequences: Vec<u64> = records.iter().map(|record| record.sequence).collect();
    assert_eq!(sequences, (1..=21).collect::<Vec<_>>());
}

#[test]
fn a_second_host_on_the_same_directory_is_refused_with_the_process() {
    let directory = tempfile::tempdir().unwrap();
    let host = start(directory.path());
    deposit(&host, 1);
    match try_start(directory.path(), config()) {
        Err(StartError::Journal(JournalError::Locked { pid, .. })) => {
            assert_eq!(pid, std::process::id());
        }
        other => panic!("{:?}", other.err()),
    }
    deposit(&host, 2);
}

#[test]
fn a_changed_configuration_keeps_balances_by_name_and_survives_restarts() {
    let directory = tempfile::tempdir().unwrap();
    let host = start(directory.path());
    deposit(&host, 1);
    host.stop(Duration::from_secs(5));
    let more = CONFIG.replace(
        r#""assets": ["#,
        r#""assets": [{"name": "ETH", "prec_save": 12, "prec_show": 8}, "#,
    );
    for _ in 0..2 {
        let host = try_start(directory.path(), read_config(&more).unwrap()).unwrap();
        let balance = host.inspect(|exchange| exchange.balance(UserId(1), AssetId(1))).unwrap();
        assert_eq!(balance.available, Some(1_500_000_000_000));
        assert!(host.stop(Duration::from_secs(5)));
    }
    let fewer = CONFIG.replace("BTC", "XBT");
    match try_start(directory.path(), read_config(&fewer).unwrap()) {
        Err(error @ StartError::State(_)) => {
            assert!(error.to_string().contains("asset BTC is missing"), "{error}");
        }
        other => panic!("{:?}", other.err()),
    }
}

#[test]
fn events_keep_the_names_of_their_time_also_when_the_feed_was_lost() {
    let directory = tempfile::tempdir().unwrap();
    let host = start(directory.path());
    deposit(&host, 1);
    host.stop(Duration::from_secs(5));
    let moved = CONFIG.replace(
        r#""assets": ["#,
        r#""assets": [{"name": "ETH", "prec_save": 12, "prec_show": 8}, "#,
    );
    let host = try_start(directory.path(), read_config(&moved).unwrap()).unwrap();
    deposit(&host, 2);
    host.stop(Duration::from_secs(5));
    let storage = Directory::open(directory.path()).unwrap();
    let followed = || {
        let mut follower = Follower::open(&storage, 0);
        let mut seen = Vec::new();
        while let Some(effects) = follower.next_effects().unwrap() {
            let [Event::BalanceUpdated(update)] = &effects.events[..] else { panic!("one event") };
            let asset = &effects.config.assets[usize::from(update.asset.0)].name;
            seen.push((effects.sequence, effects.operlog_id, update.asset.0, asset.clone()));
        }
        seen
    };
    let expected = [(1, 1, 0, "BTC".to_owned()), (2, 2, 1, "BTC".to_owned())];
    assert_eq!(followed(), expected);
    viabtc_journal::remove_feed(&storage).unwrap();
    drop(try_start(directory.path(), read_config(&moved).unwrap()).unwrap());
    assert_eq!(followed(), expected);
}

#[test]
fn damage_in_the_middle_is_refused_and_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let host = start(directory.path());
    for id in 1..=20 {
        deposit(&host, id);
    }
    host.stop(Duration::from_secs(5));
    let path = directory.path().join(viabtc_journal::segment_name(1));
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[6000] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    match try_start(directory.path(), config()) {
        Err(StartError::Journal(JournalError::Damaged { file, offset, .. })) => {
            assert_eq!(file, viabtc_journal::segment_name(1));
            assert!((5_500..6_001).contains(&offset), "{offset}");
        }
        other => panic!("{:?}", other.err()),
    }
    assert!(std::fs::read(&path).unwrap() == bytes);
}

#[test]
fn bodies_that_are_no_requests_and_requests_after_the_stop_are_told_apart() {
    let directory = tempfile::tempdir().unwrap();
    let host = start(directory.path());
    assert_eq!(host.call(101, b"{}", 1).err(), Some(Refused::Malformed));
    assert_eq!(host.call(301, b"[]", 1).err(), Some(Refused::NotFound));
    assert!(call(&host, 101, "[0]").contains(r#""code": 1,"#));
    host.stop(Duration::from_secs(5));
    assert!(call(&host, 101, "[1]").contains(r#""code": 3, "message": "service unavailable""#));
    assert!(host.inspect(|_| ()).is_err());
}
