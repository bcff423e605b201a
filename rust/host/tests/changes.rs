//! Commands of our own kinds in the durable engine: they take effect at once for every port, survive
//! restarts and snapshots, and stand beside edits of the configuration file.

use std::path::Path;
use std::sync::mpsc::channel;

use viabtc_host::config_file::{ConfigFile, read_config};
use viabtc_host::follow::Follower;
use viabtc_host::snapshots::write_snapshot;
use viabtc_host::{Batch, Fault, Host, Options, Replies, ReplyTo, StartError};
use viabtc_journal::Directory;

const ASSETS: &str = r#"{"name": "BTC", "prec_save": 12, "prec_show": 8},
    {"name": "USDT", "prec_save": 20, "prec_show": 8}"#;
const MARKET: &str = r#"{"name": "BTCUSDT", "stock": {"name": "BTC", "prec": 4},
    "money": {"name": "USDT", "prec": 2}, "min_amount": "0.001"}"#;

const SUCCESS: &str = r#"{"error": null, "result": {"status": "success"}, "id": 7}"#;

fn config(assets: &str, markets: &str) -> ConfigFile {
    read_config(&format!(r#"{{"assets": [{assets}], "markets": [{markets}]}}"#)).unwrap()
}

fn try_start(directory: &Path, config: ConfigFile) -> Result<Host, StartError> {
    let on_fault = |fault: &Fault<'_>| panic!("{fault}");
    let options = Options { segment_bytes: 1 << 20, on_fault, ..Options::new(config) };
    Host::start(directory, options)
}

fn start(directory: &Path) -> Host {
    try_start(directory, config(ASSETS, MARKET)).unwrap()
}

fn call(host: &Host, command: u32, params: &str) -> String {
    let replies = host.call(command, params.as_bytes(), 7).unwrap();
    String::from_utf8(replies.body(0).to_vec()).unwrap()
}

fn succeed(host: &Host, command: u32, params: &str) {
    let reply = call(host, command, params);
    assert!(reply.starts_with(r#"{"error": null"#), "{params}: {reply}");
}

fn digest(host: &Host) -> u64 {
    host.inspect(|exchange| {
        exchange.audit().unwrap();
        exchange.digest()
    })
    .unwrap()
}

/// Everything that there is, once: funds, an order, then every kind of change.
fn change_everything(host: &Host) {
    succeed(host, 102, r#"[1, "BTC", "deposit", 1, "3", {}]"#);
    succeed(host, 201, r#"[1, "BTCUSDT", 1, "1", "50", "0.002", "0.001", ""]"#);
    for (command, params) in [
        (905, r#"["ETH", {"prec_save": 16, "prec_show": 8}, "admin", "a listing"]"#),
        (
            903,
            r#"["ETHUSDT", {"stock": "ETH", "money": "USDT", "stock_prec": 4, "money_prec": 2,
                "min_amount": "0.01"}, "admin"]"#,
        ),
        (906, r#"["BTC", {"prec_save": 14}, "admin"]"#),
        (904, r#"["BTCUSDT", {"stock_prec": 6, "min_amount": "0.000001"}, "admin"]"#),
        (901, r#"["BTCUSDT", "admin", "an upgrade"]"#),
    ] {
        assert_eq!(call(host, command, params), SUCCESS, "{params}");
    }
}

#[test]
fn changes_survive_a_kill_a_snapshot_and_a_stop() {
    let directory = tempfile::tempdir().unwrap();
    let host = start(directory.path());
    change_everything(&host);
    let before = (digest(&host), call(&host, 307, "[]"), call(&host, 907, "[]"));
    assert!(before.2.contains(r#""halted": ["BTCUSDT"]"#), "{}", before.2);
    assert!(
        before.2.contains(r#"{"name": "BTC", "prec_save": 14, "prec_show": 8}"#),
        "{}",
        before.2
    );
    drop(host);
    // From the journal alone.
    let host = start(directory.path());
    assert_eq!(host.recovery().replayed, 7);
    assert!(host.recovery().notes.iter().any(|note| note.contains("stay so")), "the note");
    assert_eq!((digest(&host), call(&host, 307, "[]"), call(&host, 907, "[]")), before);
    host.rotate().unwrap();
    assert_eq!(write_snapshot(directory.path()).unwrap().sequence, 7);
    drop(host);
    // From the snapshot alone.
    let host = start(directory.path());
    assert_eq!((host.recovery().snapshot_sequence, host.recovery().replayed), (7, 0));
    assert_eq!((digest(&host), call(&host, 307, "[]"), call(&host, 907, "[]")), before);
    let refused = call(&host, 201, r#"[1, "BTCUSDT", 1, "1", "50", "0", "0", ""]"#);
    assert!(refused.contains(r#"{"code": 12, "message": "market halted"}"#), "{refused}");
    succeed(&host, 204, r#"[1, "BTCUSDT", 1]"#);
    succeed(&host, 902, r#"["BTCUSDT", "admin"]"#);
    succeed(&host, 201, r#"[1, "BTCUSDT", 1, "0.000001", "50", "0", "0", ""]"#);
}

#[test]
fn an_answer_to_a_change_says_what_stands_in_its_way() {
    let directory = tempfile::tempdir().unwrap();
    let host = start(directory.path());
    for (command, params, code, message) in [
        (902, r#"["BTCUSDT", "admin"]"#, 10, "nothing to change: market BTCUSDT is not halted"),
        (
            905,
            r#"["BTC", {"prec_save": 8}, "admin"]"#,
            10,
            "name taken: there is asset BTC already",
        ),
        (906, r#"["BTC", {"prec_save": 8}, "admin"]"#, 11, "not possible: prec_save is 12"),
        (
            904,
            r#"["BTCUSDT", {"stock_prec": 9}, "admin"]"#,
            11,
            "at most prec_save of BTC, which is 12",
        ),
        (905, r#"["A B", {"prec_save": 8}, "admin"]"#, 11, "the name of an asset consists of"),
        (905, r#"["", {"prec_save": 8}, "admin"]"#, 11, "has 0 bytes"),
        (905, r#"["LONGERTHAN15BYTE", {"prec_save": 8}, "admin"]"#, 11, "has 16 bytes"),
        (
            905,
            "[\"A\u{e9}\", {\"prec_save\": 8}, \"admin\"]",
            11,
            "the name of an asset consists of",
        ),
        (
            903,
            r#"["A/B", {"stock": "BTC", "money": "USDT", "stock_prec": 4, "money_prec": 2,
                "min_amount": "1"}, "admin"]"#,
            11,
            "the name of a market consists of",
        ),
    ] {
        let reply = call(&host, command, params);
        assert!(reply.contains(&format!("\"code\": {code}")), "{params}: {reply}");
        assert!(reply.contains(message), "{params}: {reply}");
    }
    let sequence = host.inspect(viabtc_engine::Exchange::sequence).unwrap();
    assert_eq!(sequence, 0, "what is refused is not journaled");
}

/// A port read these before the change took effect: an amount of so many units would be another one after.
#[test]
fn what_was_read_before_a_change_means_what_its_text_says() {
    struct Collect(std::sync::mpsc::Sender<Vec<String>>);
    impl ReplyTo for Collect {
        fn reply(self: Box<Self>, replies: Replies) {
            let texts = (0..replies.len())
                .map(|index| String::from_utf8(replies.body(index).to_vec()).unwrap());
            self.0.send(texts.collect()).unwrap();
        }
    }
    let directory = tempfile::tempdir().unwrap();
    let host = start(directory.path());
    succeed(&host, 102, r#"[1, "BTC", "deposit", 1, "3", {}]"#);
    let mut batch = Batch::new(host.names().get());
    for (command, params) in [
        (201, r#"[1, "BTCUSDT", 1, "1", "50", "0", "0", ""]"#),
        (904, r#"["BTCUSDT", {"stock_prec": 6, "money_prec": 4}, "admin"]"#),
        // Of the same batch, and behind the change.
        (201, r#"[1, "BTCUSDT", 1, "0.5", "50", "0", "0", ""]"#),
        (206, r#"["BTCUSDT", 5, "0.05"]"#),
    ] {
        batch.push(command, params.as_bytes(), 7).unwrap();
    }
    let mut stale = Batch::new(host.names().get());
    stale.push(201, br#"[1, "BTCUSDT", 1, "0.25", "50.01", "0", "0", ""]"#, 7).unwrap();
    stale.push(206, br#"["BTCUSDT", 5, "0.05"]"#, 7).unwrap();
    let (sender, receiver) = channel();
    host.submit(batch, Box::new(Collect(sender.clone())));
    host.submit(stale, Box::new(Collect(sender)));
    let (first, second) = (receiver.recv().unwrap(), receiver.recv().unwrap());
    assert!(first[2].contains(r#""amount": "0.5""#), "{}", first[2]);
    assert!(first[3].contains(r#""asks": [["50", "1.5"]]"#), "{}", first[3]);
    assert!(second[0].contains(r#""amount": "0.25""#), "{}", second[0]);
    assert!(second[0].contains(r#""price": "50.01""#), "{}", second[0]);
    assert!(second[1].contains(r#""asks": [["50", "1.5"], ["50.05", "0.25"]]"#), "{}", second[1]);
}

#[test]
fn an_edit_of_the_file_counts_beside_the_changes() {
    let directory = tempfile::tempdir().unwrap();
    let host = start(directory.path());
    change_everything(&host);
    drop(host);
    // The operator adds an asset to the file, and knows nothing of what was added at run time.
    let edited = format!(r#"{ASSETS}, {{"name": "DOGE", "prec_save": 8, "prec_show": 4}}"#);
    let host = try_start(directory.path(), config(&edited, MARKET)).unwrap();
    let state = call(&host, 907, "[]");
    for name in ["BTC", "USDT", "DOGE", "ETH"] {
        assert!(state.contains(&format!(r#""name": "{name}""#)), "{state}");
    }
    assert!(state.contains(r#""prec_save": 14"#) && state.contains("BTCUSDT"), "{state}");
    let before = digest(&host);
    drop(host);
    let host = try_start(directory.path(), config(&edited, MARKET)).unwrap();
    assert_eq!(digest(&host), before);
    // What a file says wins where it was edited, and what cannot be is refused in words.
    drop(host);
    let lower = MARKET.replace("0.001", "0.5");
    let host = try_start(directory.path(), config(&edited, &lower)).unwrap();
    assert!(call(&host, 307, "[]").contains(r#""min_amount": "0.5""#));
    drop(host);
    let without = edited.replace(r#"{"name": "BTC", "prec_save": 12, "prec_show": 8},"#, "");
    let Err(error) = try_start(directory.path(), config(&without, "")) else {
        panic!("BTC has balances")
    };
    assert!(error.to_string().contains("asset BTC is missing"), "{error}");
}

#[test]
fn the_feed_tells_of_changes_and_names_what_they_made() {
    let directory = tempfile::tempdir().unwrap();
    let host = start(directory.path());
    change_everything(&host);
    succeed(&host, 102, r#"[2, "ETH", "deposit", 1, "5", {}]"#);
    drop(host);
    let mut follower = Follower::open(&Directory::open(directory.path()).unwrap(), 0);
    let mut seen = Vec::new();
    let mut last = None;
    while let Some(effects) = follower.next_effects().unwrap() {
        seen.push((effects.command, effects.operlog_id, effects.config.assets.len()));
        last = Some(effects);
    }
    let changes = [(905, 2, 3), (903, 2, 3), (906, 2, 3), (904, 2, 3), (901, 2, 3)];
    assert_eq!(seen[..2], [(102, 1, 2), (201, 2, 2)]);
    assert_eq!(seen[2..7], changes, "an original has no number for them");
    assert_eq!(seen[7..], [(102, 3, 3)]);
    assert_eq!(last.unwrap().config.assets[2].name, "ETH");
}

/// The configurations that events name are kept before the events, so that a feed that is lost is made
/// again with all of them.
#[test]
fn a_feed_made_again_names_the_configurations_of_its_time() {
    let directory = tempfile::tempdir().unwrap();
    let host = start(directory.path());
    change_everything(&host);
    drop(host);
    for entry in std::fs::read_dir(directory.path()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with("feed-") || name.starts_with("config-") {
            std::fs::remove_file(path).unwrap();
        }
    }
    drop(start(directory.path()));
    let mut follower = Follower::open(&Directory::open(directory.path()).unwrap(), 0);
    let mut scales = Vec::new();
    while let Some(effects) = follower.next_effects().unwrap() {
        scales.push(effects.config.assets[0].save_scale);
    }
    assert_eq!(scales, [12, 12, 12, 12, 14, 14, 14]);
}
