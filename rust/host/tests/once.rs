//! Orders that take effect once, in the durable engine: whoever sends one again, and when, gets the answer of
//! the first time, over kills, restarts and snapshots.
//!
//! `VIABTC_ORDERS_ONCE` sets the number of orders (2,000 without it).

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use viabtc_host::config_file::read_config;
use viabtc_host::follow::Follower;
use viabtc_host::snapshots::write_snapshot;
use viabtc_host::{Fault, Host, Options};
use viabtc_journal::Directory;

const CONFIG: &str = r#"{
    "assets": [{"name": "BTC", "prec_save": 12, "prec_show": 8}, {"name": "USDT", "prec_save": 20, "prec_show": 8}],
    "markets": [{"name": "BTCUSDT", "stock": {"name": "BTC", "prec": 4}, "money": {"name": "USDT", "prec": 2},
                 "min_amount": "0.001"}]
}"#;

const ORDERS_DEFAULT: usize = 2_000;

/// How often each order is sent, by as many senders at once.
const SENDERS: usize = 4;

fn start(directory: &Path) -> Host {
    let on_fault = |fault: &Fault<'_>| panic!("{fault}");
    let config = read_config(CONFIG).unwrap();
    let options = Options { segment_bytes: 1 << 20, on_fault, ..Options::new(config) };
    Host::start(directory, options).unwrap()
}

fn call(host: &Host, command: u32, params: &str) -> Value {
    let replies = host.call(command, params.as_bytes(), 7).unwrap();
    serde_json::from_slice(replies.body(0)).unwrap()
}

fn result(host: &Host, command: u32, params: &str) -> Value {
    let reply = call(host, command, params);
    assert!(reply["error"].is_null(), "{params}: {reply}");
    reply["result"].clone()
}

fn fund(host: &Host) {
    for user in [1, 2] {
        result(host, 102, &format!(r#"[{user}, "BTC", "gift", 1, "1000", {{}}]"#));
        result(host, 102, &format!(r#"[{user}, "USDT", "gift", 1, "1000000", {{}}]"#));
    }
}

fn state(host: &Host) -> (u64, u64, u64) {
    host.inspect(|exchange| {
        exchange.audit().unwrap();
        (exchange.sequence(), exchange.digest(), exchange.last_order_id())
    })
    .unwrap()
}

/// An ask of user 1 under a name.
fn ask(name: &str, amount: &str, price: &str) -> String {
    format!(r#"[1, "BTCUSDT", 1, "{amount}", "{price}", "0.002", "0.001", "{name}"]"#)
}

#[test]
fn an_order_that_is_sent_again_by_several_at_once_is_placed_once() {
    let orders: usize = std::env::var("VIABTC_ORDERS_ONCE")
        .map_or(ORDERS_DEFAULT, |text| text.parse().expect("VIABTC_ORDERS_ONCE is a number"));
    let directory = tempfile::tempdir().unwrap();
    let host = Arc::new(start(directory.path()));
    fund(&host);
    let senders: Vec<_> = (0..SENDERS)
        .map(|_| {
            let host = Arc::clone(&host);
            std::thread::spawn(move || {
                (0..orders)
                    .map(|order| {
                        result(&host, 908, &ask(&format!("name-{order}"), "0.001", "50"))["id"]
                            .as_u64()
                            .unwrap()
                    })
                    .collect::<Vec<_>>()
            })
        })
        .collect();
    let answers: Vec<Vec<u64>> = senders.into_iter().map(|it| it.join().unwrap()).collect();
    for other in &answers[1..] {
        assert_eq!(answers[0], *other, "each sender is told the same");
    }
    let (sequence, _, last_order) = state(&host);
    assert_eq!(last_order, orders as u64, "each is placed once");
    assert_eq!(sequence, orders as u64 + 4, "and journaled once");
    let pending = result(&host, 203, r#"[1, "BTCUSDT", 0, 1]"#);
    assert_eq!(pending["total"].as_u64(), Some(orders as u64));
}

/// The answer is that of the first time, whatever became of the order since.
#[test]
fn the_first_answer_comes_again_after_fills_cancels_kills_and_snapshots() {
    let directory = tempfile::tempdir().unwrap();
    let mut host = start(directory.path());
    fund(&host);
    let rested = ask("rests", "1.50", "50");
    let dealt = r#"[2, "BTCUSDT", 2, "0.5", "51", "0.002", "0.001", "deals"]"#;
    let sold = r#"[1, "BTCUSDT", 1, "0.25", "0.002", "sells"]"#;
    let bought = r#"[2, "BTCUSDT", 2, "20", "0.002", "buys"]"#;
    let first = [
        (908, rested.as_str(), result(&host, 908, &rested)),
        (908, dealt, result(&host, 908, dealt)),
        (909, bought, result(&host, 909, bought)),
        (908, r#"[2, "BTCUSDT", 2, "1", "40", "0.002", "0.001", "waits"]"#, {
            result(&host, 908, r#"[2, "BTCUSDT", 2, "1", "40", "0.002", "0.001", "waits"]"#)
        }),
        (909, sold, result(&host, 909, sold)),
    ];
    assert_eq!(first[1].2["deal_money"], "25");
    assert_eq!(first[2].2["deal_stock"], "0.4");
    assert_eq!(first[4].2["deal_money"], "10");
    result(&host, 204, r#"[1, "BTCUSDT", 1]"#);
    // The same order in other words, and with more decimals in the market.
    result(
        &host,
        904,
        r#"["BTCUSDT", {"stock_prec": 6, "fee_prec": 6, "money_prec": 4}, "admin"]"#,
    );
    let same = |host: &Host, when: &str| {
        let before = state(host);
        for (command, params, answer) in &first {
            assert_eq!(result(host, *command, params), *answer, "{when}: {params}");
        }
        assert_eq!(result(host, 908, &ask("rests", "1.5", "50.00")), first[0].2, "{when}");
        let another_rate = r#"[1, "BTCUSDT", 1, "1.5", "50", "0.1", "0.1", "rests"]"#;
        assert_eq!(result(host, 908, another_rate), first[0].2, "{when}: rates are not asked for");
        for (command, params) in [
            (908, ask("rests", "1.5001", "50")),
            (908, ask("rests", "1.5", "50.01")),
            (908, r#"[1, "BTCUSDT", 2, "1.5", "50", "0.002", "0.001", "rests"]"#.to_owned()),
            (909, r#"[1, "BTCUSDT", 1, "1.5", "0.002", "rests"]"#.to_owned()),
        ] {
            let reply = call(host, command, &params);
            let error = reply["error"]["message"].as_str().unwrap_or_default();
            assert_eq!(
                error, "repeat order: order 1 was placed under this name",
                "{when}: {params}"
            );
        }
        assert_eq!(state(host), before, "{when}: nothing was placed");
        assert_eq!(result(host, 910, r#"[1, "rests"]"#)["order_id"], 1);
        assert!(result(host, 910, r#"[2, "rests"]"#)["order_id"].is_null(), "it is another user's");
    };
    same(&host, "at once");
    let lived = state(&host);
    drop(host);
    host = start(directory.path());
    assert_eq!(state(&host), lived);
    same(&host, "from the journal");
    host.rotate().unwrap();
    write_snapshot(directory.path()).unwrap();
    drop(host);
    host = start(directory.path());
    assert_eq!((host.recovery().replayed, state(&host)), (0, lived));
    same(&host, "from the snapshot");
    // A name of one user is none of another's.
    let own = r#"[2, "BTCUSDT", 2, "0.001", "1", "0.002", "0.001", "rests"]"#;
    assert_ne!(result(&host, 908, own)["id"], 1);
}

#[test]
fn what_was_refused_is_tried_again() {
    let directory = tempfile::tempdir().unwrap();
    let host = start(directory.path());
    let params = ask("later", "1", "50");
    for _ in 0..2 {
        assert_eq!(call(&host, 908, &params)["error"]["code"], 10, "balance not enough");
    }
    fund(&host);
    let placed = result(&host, 908, &params);
    assert_eq!(result(&host, 908, &params), placed);
}

#[test]
fn an_order_needs_a_name_to_take_effect_once() {
    let directory = tempfile::tempdir().unwrap();
    let host = start(directory.path());
    fund(&host);
    assert_eq!(call(&host, 908, &ask("", "1", "50"))["error"]["code"], 1);
    assert_eq!(call(&host, 910, r#"[1, ""]"#)["error"]["code"], 1);
    // Others go on as ever: sent twice, placed twice.
    for order in 1..=2 {
        assert_eq!(result(&host, 201, &ask("name", "1", "50"))["id"], order);
    }
    assert_eq!(result(&host, 908, &ask("name", "1", "50"))["id"], 3);
}

/// What follows the engine sees one order, with its name as its source.
#[test]
fn the_feed_has_one_order_of_each_name() {
    let directory = tempfile::tempdir().unwrap();
    let host = start(directory.path());
    fund(&host);
    for _ in 0..3 {
        result(&host, 908, &ask("once", "1", "50"));
    }
    drop(host);
    let mut follower = Follower::open(&Directory::open(directory.path()).unwrap(), 4);
    let effects = follower.next_effects().unwrap().expect("the order");
    assert_eq!((effects.command, effects.operlog_id, effects.events.len()), (908, 5, 1));
    assert!(follower.next_effects().unwrap().is_none(), "and nothing else");
}
