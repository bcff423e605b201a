//! What earlier versions wrote is read by this one. `formats/` holds a folder for each version, written by
//! `examples/write_format.rs` when it was released and never changed since.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use viabtc_host::config_file::{ConfigFile, read_config};
use viabtc_host::follow::Follower;
use viabtc_host::{Host, Options};
use viabtc_journal::Directory;

/// As every version was given it.
const CONFIG: &str = r#"{
    "assets": [{"name": "BTC", "prec_save": 12, "prec_show": 8}, {"name": "USDT", "prec_save": 20, "prec_show": 8}],
    "markets": [{"name": "BTCUSDT", "stock": {"name": "BTC", "prec": 4}, "money": {"name": "USDT", "prec": 2},
                 "min_amount": "0.001"}]
}"#;

/// The folders of data directories, over all versions.
fn written() -> Vec<PathBuf> {
    let formats = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats");
    let mut directories: Vec<PathBuf> =
        folders(&formats).iter().flat_map(|it| folders(it)).collect();
    directories.sort();
    assert!(directories.len() >= 2, "each version has two: {directories:?}");
    directories
}

fn folders(path: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect()
}

fn json_of(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// A copy, without the files that `leaves_out` names. Journal segments get their zeros back.
fn copy(from: &Path, leaves_out: impl Fn(&str) -> bool) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    let sizes = json_of(&from.join("sizes.json"));
    for path in folders(from) {
        let name = path.file_name().unwrap().to_str().unwrap();
        if !leaves_out(name) {
            std::fs::copy(&path, to.path().join(name)).unwrap();
            if let Some(size) = sizes[name].as_u64() {
                let file = std::fs::OpenOptions::new().write(true).open(to.path().join(name));
                file.unwrap().set_len(size).unwrap();
            }
        }
    }
    to
}

fn config() -> ConfigFile {
    read_config(CONFIG).unwrap()
}

fn start(directory: &Path) -> Host {
    let options = Options { segment_bytes: 16_384, ..Options::new(config()) };
    Host::start(directory, options).unwrap()
}

/// Starts on a copy and compares everything that is expected of it; the snapshot that it began from.
fn check(directory: &Path) -> u64 {
    let expected = json_of(&directory.join("expected.json"));
    let host = start(directory);
    let (sequence, digest) = host
        .inspect(|exchange| {
            exchange.audit().unwrap();
            (exchange.sequence(), exchange.digest())
        })
        .unwrap();
    assert_eq!(json!(sequence), expected["sequence"]);
    assert_eq!(json!(format!("{digest:016x}")), expected["digest"]);
    for reply in expected["replies"].as_array().unwrap() {
        let (command, params) = (reply[0].as_u64().unwrap() as u32, reply[1].as_str().unwrap());
        let replies = host.call(command, params.as_bytes(), 1).unwrap();
        let found: Value = serde_json::from_slice(replies.body(0)).unwrap();
        assert_eq!(found["result"], reply[2], "{command} {params}");
    }
    let mut follower = Follower::open(&Directory::open(directory).unwrap(), 0);
    for entry in expected["feed"].as_array().unwrap() {
        let effects = follower.next_effects().unwrap().expect("another command");
        assert_eq!(json!([effects.sequence, effects.command, effects.events.len()]), *entry);
    }
    // It goes on where that version stopped.
    let reply = host.call(102, br#"[9, "BTC", "later", 1, "1", {}]"#, 1).unwrap();
    assert!(reply.body(0).starts_with(br#"{"error": null"#), "{directory:?}");
    host.recovery().snapshot_sequence
}

#[test]
fn this_version_has_left_its_files() {
    let formats = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats");
    let version = env!("CARGO_PKG_VERSION");
    assert!(formats.join(version).is_dir(), "write {version} with examples/write_format.rs");
}

#[test]
fn what_every_version_wrote_is_read_and_continued() {
    for directory in written() {
        println!("{}", directory.display());
        let copied = copy(&directory, |_| false);
        check(copied.path());
        // A second start reads what this one wrote behind it.
        let again = start(copied.path());
        assert_eq!(again.recovery().torn, None);
    }
}

#[test]
fn without_its_newest_snapshot_the_older_one_and_a_longer_replay_lead_to_the_same() {
    let mut tried = 0;
    for directory in written() {
        let names = folders(&directory);
        let names = names.iter().filter_map(|path| path.file_name()?.to_str());
        let mut snapshots: Vec<&str> = names.filter(|name| name.ends_with(".snap")).collect();
        snapshots.sort_unstable();
        let [older, newest] = snapshots[..] else { continue };
        println!("{}", directory.display());
        let copied = copy(&directory, |name| name == newest);
        let sequence = check(copied.path());
        assert!(older.contains(&format!("{sequence:020}")), "{older} was to be used");
        tried += 1;
    }
    assert!(tried > 0, "a directory with two snapshots");
}
