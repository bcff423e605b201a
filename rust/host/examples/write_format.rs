//! Writes what `tests/formats.rs` reads with every later build: `cargo run -p viabtc-host --example
//! write_format -- rust/host/tests/formats/VERSION`, once for each version that is released.
//!
//! Three data directories, as a kill leaves them: one that saw every kind of command but one, with two
//! snapshots and a journal behind them, one whose journal begins with a state that was taken over, and one with
//! orders that take effect once. Beside each stands what a start must find in it.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering::Relaxed;

use serde_json::{Value, json};
use viabtc_engine::Exchange;
use viabtc_host::config_file::read_config;
use viabtc_host::follow::Follower;
use viabtc_host::snapshots::write_snapshot;
use viabtc_host::takeover::begin_journal;
use viabtc_host::{Host, Options};
use viabtc_journal::Directory;

/// Small, so that the files are.
const SEGMENT_BYTES: u64 = 16_384;

const CONFIG: &str = r#"{
    "assets": [{"name": "BTC", "prec_save": 12, "prec_show": 8}, {"name": "USDT", "prec_save": 20, "prec_show": 8}],
    "markets": [{"name": "BTCUSDT", "stock": {"name": "BTC", "prec": 4}, "money": {"name": "USDT", "prec": 2},
                 "min_amount": "0.001"}]
}"#;

/// What is asked of a start: the same now and later.
const QUERIES: [(u32, &str); 6] = [
    (101, "[1]"),
    (101, "[2]"),
    (101, "[3]"),
    (203, r#"[1, "BTCUSDT", 0, 100]"#),
    (203, r#"[2, "BTCUSDT", 0, 100]"#),
    (203, r#"[3, "BTCUSDT", 0, 100]"#),
];

fn main() {
    let argument = std::env::args().nth(1).expect("the folder of this version");
    let version = PathBuf::from(argument);
    std::fs::create_dir_all(&version).expect("the folder can be made");
    let work = tempfile::tempdir().expect("a temporary directory");
    live(&work.path().join("lived"));
    keep(&work.path().join("lived"), &version.join("lived"));
    take_over(&work.path().join("origin"), &work.path().join("taken-over"));
    keep(&work.path().join("taken-over"), &version.join("taken-over"));
    name_orders(&work.path().join("named"));
    keep(&work.path().join("named"), &version.join("named"));
}

/// A clock that stands between two commands for a second: the same files each time.
fn clock() -> i64 {
    static NOW: AtomicI64 = AtomicI64::new(1_700_000_000_000_000);
    NOW.fetch_add(1_000_000, Relaxed)
}

fn start(directory: &Path) -> Host {
    let config = read_config(CONFIG).expect("valid");
    let options = Options {
        segment_bytes: SEGMENT_BYTES,
        is_prepared_ahead: false,
        clock,
        build: concat!("viabtc ", env!("CARGO_PKG_VERSION")).to_owned(),
        ..Options::new(config)
    };
    Host::start(directory, options).expect("it starts")
}

fn call(host: &Host, command: u32, params: &str) -> Value {
    let replies = host.call(command, params.as_bytes(), 1).expect("it is taken");
    let reply: Value = serde_json::from_slice(replies.body(0)).expect("JSON");
    assert!(reply["error"].is_null(), "{command} {params}: {reply}");
    reply["result"].clone()
}

/// Deposits, a withdrawal, orders that rest and meet.
fn trade(host: &Host) {
    for (command, params) in [
        (102, r#"[1, "BTC", "deposit", 1, "30", {"note": "quoted \"text\", ü"}]"#),
        (102, r#"[2, "USDT", "deposit", 1, "100000", {}]"#),
        (102, r#"[3, "USDT", "deposit", 1, "5000.00000001", {}]"#),
        (102, r#"[2, "USDT", "withdraw", 2, "-10.5", {}]"#),
        (201, r#"[1, "BTCUSDT", 1, "2", "5000", "0.002", "0.001", "web"]"#),
        (201, r#"[1, "BTCUSDT", 1, "1.5", "5001.25", "0.002", "0.001", ""]"#),
        (201, r#"[2, "BTCUSDT", 2, "0.75", "5000", "0.002", "0.001", "api"]"#),
        (201, r#"[3, "BTCUSDT", 2, "0.1", "4999.99", "0.002", "0.001", "api"]"#),
    ] {
        call(host, command, params);
    }
}

/// Orders with names, a part of them behind each of two snapshots.
fn name_orders(directory: &Path) {
    const ONCE: [(u32, &str); 4] = [
        (908, r#"[1, "BTCUSDT", 1, "0.5", "6000", "0.002", "0.001", "api:rests"]"#),
        (908, r#"[2, "BTCUSDT", 2, "0.25", "5000", "0.002", "0.001", "api:deals"]"#),
        (909, r#"[2, "BTCUSDT", 2, "1000", "0.002", "api:buys"]"#),
        (909, r#"[1, "BTCUSDT", 1, "0.01", "0.002", "api:sells"]"#),
    ];
    let host = start(directory);
    trade(&host);
    for (command, params) in ONCE {
        call(&host, command, params);
        if command == 908 {
            host.rotate().expect("a segment is closed");
            write_snapshot(directory).expect("a snapshot");
        }
    }
    call(&host, 204, r#"[1, "BTCUSDT", 5]"#);
    // Names are known at the time of the last command; to whoever sends them later their day is over.
    let names = [r#"[1, "api:rests"]"#, r#"[2, "api:deals"]"#, r#"[2, "api:buys"]"#];
    expect(directory, &host, &names.map(|params| (910, params)));
}

/// Every kind of command but one, a part of it behind each of two snapshots.
fn live(directory: &Path) {
    let host = start(directory);
    trade(&host);
    host.rotate().expect("a segment is closed");
    write_snapshot(directory).expect("the first snapshot");
    for (command, params) in [
        (202, r#"[2, "BTCUSDT", 2, "4000", "0.002", "web"]"#),
        (202, r#"[1, "BTCUSDT", 1, "0.05", "0.002", "web"]"#),
        (905, r#"["ETH", {"prec_save": 16, "prec_show": 8}, "admin", "a listing"]"#),
        (
            903,
            r#"["ETHUSDT", {"stock": "ETH", "money": "USDT", "stock_prec": 4, "money_prec": 2, "min_amount": "0.01"}, "admin"]"#,
        ),
        (906, r#"["BTC", {"prec_save": 14}, "admin"]"#),
    ] {
        call(&host, command, params);
    }
    host.rotate().expect("a segment is closed");
    write_snapshot(directory).expect("the second snapshot");
    for (command, params) in [
        (904, r#"["BTCUSDT", {"stock_prec": 6, "min_amount": "0.000001"}, "admin"]"#),
        (901, r#"["BTCUSDT", "admin", "an upgrade"]"#),
        (902, r#"["BTCUSDT", "admin"]"#),
        (102, r#"[3, "ETH", "deposit", 1, "12.00000001", {}]"#),
        (201, r#"[3, "ETHUSDT", 1, "3", "300", "0", "0", "web"]"#),
        (201, r#"[2, "BTCUSDT", 2, "0.333333", "4000.5", "0.002", "0.001", "web"]"#),
        (204, r#"[3, "BTCUSDT", 4]"#),
        (901, r#"["ETHUSDT", "admin"]"#),
    ] {
        call(&host, command, params);
    }
    expect(directory, &host, &[]);
}

/// A journal that begins with the state of another directory, and a command behind it.
fn take_over(from: &Path, directory: &Path) {
    let host = start(from);
    trade(&host);
    let mut exchange: Exchange = host.inspect(Clone::clone).expect("it runs");
    exchange.begin_behind(0);
    begin_journal(directory, &exchange, clock(), 0).expect("a journal begins");
    drop(host);
    let host = start(directory);
    call(&host, 102, r#"[1, "BTC", "deposit", 2, "1", {}]"#);
    expect(directory, &host, &[]);
}

/// Writes what a start must find, and what else it must answer.
fn expect(directory: &Path, host: &Host, others: &[(u32, &str)]) {
    let (sequence, digest) =
        host.inspect(|exchange| (exchange.sequence(), exchange.digest())).expect("it runs");
    let storage = Directory::open(directory).expect("it is there");
    let mut follower = Follower::open(&storage, 0);
    let mut feed = Vec::new();
    while let Some(effects) = follower.next_effects().expect("the feed is readable") {
        feed.push(json!([effects.sequence, effects.command, effects.events.len()]));
    }
    let replies: Vec<Value> = QUERIES
        .iter()
        .chain(others)
        .map(|(command, params)| json!([command, params, call(host, *command, params)]))
        .collect();
    let expected = json!({
        "sequence": sequence, "digest": format!("{digest:016x}"), "feed": feed, "replies": replies,
    });
    let text = serde_json::to_string_pretty(&expected).expect("values");
    std::fs::write(directory.join("expected.json"), text + "\n").expect("it can be written");
}

/// Copies what a start reads, journal segments without the zeros behind their records; `sizes.json` says
/// how long they are.
fn keep(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("the folder can be made");
    let mut sizes = serde_json::Map::new();
    for entry in std::fs::read_dir(from).expect("it is there") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_str().expect("text").to_owned();
        if name.starts_with("spare-") || name.ends_with("lock") {
            continue;
        }
        let mut bytes = std::fs::read(&path).expect("it can be read");
        if name.starts_with("journal-") {
            sizes.insert(name.clone(), json!(bytes.len()));
            let end = bytes.iter().rposition(|byte| *byte != 0).expect("a header");
            bytes.truncate(end + 1);
        }
        std::fs::write(to.join(name), bytes).expect("it can be written");
    }
    let text = serde_json::to_string_pretty(&sizes).expect("numbers");
    std::fs::write(to.join("sizes.json"), text + "\n").expect("it can be written");
}
