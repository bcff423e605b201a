//! A journal that begins with a state: it starts, counts on, makes snapshots, and is made once only.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant, SystemTime};

use viabtc_engine::{
    AssetId, Balance, Exchange, Found, MarketId, Order, OrderId, OrderKind, Side, Source, Time,
    UserId,
};
use viabtc_host::config_file::{ConfigFile, read_config};
use viabtc_host::follow::Follower;
use viabtc_host::recovery::write_state;
use viabtc_host::snapshots::{read_snapshot, write_snapshot};
use viabtc_host::takeover::{Operation, RedoError, begin_journal, install_state, redo};
use viabtc_host::{Durability, Fault, Host, Options, StartError};
use viabtc_journal::Directory;
use viabtc_wire::messages::{Topic, place};
use viabtc_wire::request::Names;

const CONFIG: &str = r#"{
    "assets": [{"name": "BTC", "prec_save": 12, "prec_show": 8}, {"name": "USDT", "prec_save": 20, "prec_show": 8}],
    "markets": [{"name": "BTCUSDT", "stock": {"name": "BTC", "prec": 8}, "money": {"name": "USDT", "prec": 8},
                 "min_amount": "0.001"}]
}"#;

/// Users enough for a state of several pieces.
const USERS: u32 = 12_000;

/// Recent times, so that updates of the log are not forgotten yet.
fn now() -> i64 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap().as_micros() as i64
}

fn config() -> ConfigFile {
    read_config(CONFIG).unwrap()
}

fn start(directory: &Path) -> Result<Host, StartError> {
    let on_fault = |fault: &Fault<'_>| panic!("{fault}");
    let options = Options { segment_bytes: 1 << 20, on_fault, ..Options::new(config()) };
    Host::start(directory, options)
}

/// Each user has 2 BTC, one of them frozen by an ask.
fn found() -> Found {
    let one = 10i128.pow(12);
    let order = |user: u32| Order {
        id: OrderId(u64::from(user)),
        user: UserId(user),
        market: MarketId(0),
        kind: OrderKind::Limit,
        side: Side::Ask,
        source: Source::ABSENT,
        created_at: Time(5),
        updated_at: Time(6),
        price: i128::from(user) * 100_000_000,
        amount: 100_000_000,
        remaining: 100_000_000,
        taker_fee_rate: 0,
        maker_fee_rate: 0,
        filled_base: 0,
        filled_quote: 0,
        fee_paid: Default::default(),
    };
    let balance = Balance { available: Some(one), frozen: Some(one) };
    Found {
        time: Time(now() - 2_000_000),
        last_order: 20_000,
        last_deal: 7,
        operlog_id: 100,
        // In any order, as a table gives them.
        balances: (1..=USERS).rev().map(|user| (UserId(user), AssetId(0), balance)).collect(),
        orders: (1..=USERS).rev().map(order).collect(),
    }
}

fn deposit(id: u64, change: &str) -> Operation {
    let params = format!(r#"[1, "BTC", "deposit", {id}, "{change}", {{}}]"#).into_bytes();
    Operation { id, time: now() - 1_000_000, command: 102, params }
}

#[test]
fn a_state_that_was_taken_over_is_where_the_engine_goes_on() {
    let mut exchange = Exchange::take_over(config().config, &found()).unwrap();
    let names = Names::new(&config().config);
    // Nine decimals were sent, eight took effect.
    redo(&mut exchange, &names, &[deposit(101, "0.123456789"), deposit(102, "1")]).unwrap();
    exchange.begin_behind(0);
    let balance = exchange.balance(UserId(1), AssetId(0));
    assert_eq!(balance.available, Some(1_000_000_000_000 + 123_456_780_000 + 1_000_000_000_000));

    let directory = tempfile::tempdir().unwrap();
    begin_journal(directory.path(), &exchange, now(), 0).unwrap();
    let host = start(directory.path()).unwrap();
    let state = |host: &Host| {
        host.inspect(|exchange| {
            let digest = exchange.digest();
            (exchange.sequence(), exchange.operlog_id(), exchange.last_order_id(), digest)
        })
        .unwrap()
    };
    assert_eq!(state(&host), (0, 102, 20_000, exchange.digest()));

    // The update of the log was seen, ids go on, and a snapshot holds all of it.
    let call = |host: &Host, command, params: &str| {
        String::from_utf8(host.call(command, params.as_bytes(), 7).unwrap().body(0).to_vec())
            .unwrap()
    };
    let repeated = call(&host, 102, r#"[1, "BTC", "deposit", 102, "1", {}]"#);
    assert!(repeated.contains("repeat update"), "{repeated}");
    let placed = call(&host, 201, r#"[1, "BTCUSDT", 1, "1", "9", "0", "0", ""]"#);
    assert!(placed.contains(r#""id": 20001,"#), "{placed}");
    host.rotate().unwrap();
    assert_eq!(write_snapshot(directory.path()).unwrap().sequence, 1);
    let before = state(&host);
    assert!(host.stop(Duration::from_secs(5)));
    let host = start(directory.path()).unwrap();
    assert_eq!(host.recovery().snapshot_sequence, 1);
    assert_eq!(state(&host), before);
    let mut follower = Follower::open(&Directory::open(directory.path()).unwrap(), 0);
    let first = follower.next_effects().unwrap().unwrap();
    assert_eq!((first.sequence, first.operlog_id), (1, 103));
    drop(host);
    assert!(matches!(
        begin_journal(directory.path(), &exchange, now(), 0),
        Err(StartError::Used { .. })
    ));
}

/// The original remembers updates for a day, and forgets those before its newest slice at a restart.
#[test]
fn an_update_that_the_original_took_again_counts_again() {
    let names = Names::new(&config().config);
    let mut exchange = Exchange::take_over(config().config, &found()).unwrap();
    // The oldest, the youngest, and one between are repeated.
    let numbers = (101..).zip([1, 2, 3, 1, 3, 3, 2]);
    let log: Vec<_> =
        numbers.map(|(id, number)| Operation { id, ..deposit(number, "1") }).collect();
    redo(&mut exchange, &names, &log).unwrap();
    let balance = exchange.balance(UserId(1), AssetId(0));
    assert_eq!(balance.available, Some(8 * 10i128.pow(12)));
    exchange.audit().unwrap();
    // Each is known once from now on.
    let directory = tempfile::tempdir().unwrap();
    exchange.begin_behind(0);
    begin_journal(directory.path(), &exchange, now(), 0).unwrap();
    let host = start(directory.path()).unwrap();
    for number in 1..=3 {
        let params = format!(r#"[1, "BTC", "deposit", {number}, "1", {{}}]"#);
        let reply = host.call(102, params.as_bytes(), 7).unwrap();
        assert!(String::from_utf8_lossy(reply.body(0)).contains("repeat update"));
    }
}

/// An engine of ours was there before, an original went on behind it, and is taken over in its turn.
#[test]
fn a_second_takeover_counts_on_behind_the_first() {
    let mut exchange = Exchange::take_over(config().config, &found()).unwrap();
    exchange.begin_behind(500);
    let directory = tempfile::tempdir().unwrap();
    begin_journal(directory.path(), &exchange, now(), 9).unwrap();
    for life in 1..=2 {
        let host = start(directory.path()).unwrap();
        assert_eq!(host.recovery().sequence, 499 + life);
        assert_eq!(host.recovery().epoch, 9 + life);
        let params = format!(r#"[1, "BTC", "deposit", {life}, "1", {{}}]"#);
        let reply = host.call(102, params.as_bytes(), 7).unwrap();
        assert!(String::from_utf8_lossy(reply.body(0)).contains("success"));
    }
    let host = start(directory.path()).unwrap();
    host.call(201, br#"[1, "BTCUSDT", 1, "1", "9", "0", "0", ""]"#, 7).unwrap();
    assert!(host.stop(Duration::from_secs(5)));
    let mut follower = Follower::open(&Directory::open(directory.path()).unwrap(), 500);
    let mut numbers = Vec::new();
    while let Some(effects) = follower.next_effects().unwrap() {
        numbers.extend(effects.events.iter().map(place));
    }
    // Of 500 commands and 7 deals nobody can have numbered more messages.
    assert_eq!(numbers, [(Topic::Balances, 501), (Topic::Balances, 502), (Topic::Orders, 508)]);
}

#[test]
fn what_does_not_fit_together_is_refused() {
    let mut short = found();
    short.balances[0].2.frozen = Some(1);
    assert!(Exchange::take_over(config().config, &short).is_err());
    let mut twice = found();
    twice.orders.push(twice.orders[0]);
    assert!(Exchange::take_over(config().config, &twice).is_err());

    let mut exchange = Exchange::take_over(config().config, &found()).unwrap();
    let names = Names::new(&config().config);
    let gap = redo(&mut exchange, &names, &[deposit(102, "1")]);
    assert!(matches!(gap, Err(RedoError::Gap { expected: 101, found: 102 })));
    let refused = redo(&mut exchange, &names, &[deposit(101, "-5")]);
    assert!(matches!(refused, Err(RedoError::Refused { id: 101, .. })));
}

#[test]
fn a_state_without_its_end_is_no_beginning() {
    let exchange = Exchange::take_over(config().config, &found()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    begin_journal(directory.path(), &exchange, now(), 0).unwrap();
    let path = directory.path().join(viabtc_journal::segment_name(1));
    let mut bytes = std::fs::read(&path).unwrap();
    // As if the machine had stopped behind the first piece.
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    bytes[300 << 10..=end].fill(0);
    std::fs::write(&path, &bytes).unwrap();
    let started = start(directory.path());
    let error = started.err().expect("half a state is none").to_string();
    assert!(error.contains("being taken over") || error.contains("lost"), "{error}");
}

#[test]
fn an_exact_state_and_the_log_behind_it_lead_to_the_same_digest_and_feed() {
    let origin = tempfile::tempdir().unwrap();
    let host = start(origin.path()).unwrap();
    let update = |host: &Host, id: u64| {
        let params = format!(r#"[1, "BTC", "deposit", {id}, "1", {{}}]"#);
        host.call(102, params.as_bytes(), 7).unwrap();
    };
    (1..=3).for_each(|id| update(&host, id));
    host.rotate().unwrap();
    write_snapshot(origin.path()).unwrap();
    let mut state = Vec::new();
    let exchange = read_snapshot(origin.path()).unwrap().unwrap().exchange;
    write_state(&exchange, exchange.config(), &mut |piece| state.extend_from_slice(piece));
    (4..=9).for_each(|id| update(&host, id));
    let sum = |host: &Host| {
        host.inspect(|exchange| (exchange.sequence(), exchange.operlog_id(), exchange.digest()))
            .unwrap()
    };
    let wanted = sum(&host);
    let storage = Directory::open(origin.path()).unwrap();
    let mut follower = Follower::open(&storage, 3);
    let effects: Vec<_> = std::iter::from_fn(|| follower.next_effects().unwrap()).collect();
    let tail: Vec<Operation> = effects
        .iter()
        .map(|effects| Operation {
            id: effects.operlog_id,
            time: effects.time,
            command: effects.command,
            params: effects.params.clone(),
        })
        .collect();

    let other = tempfile::tempdir().unwrap();
    assert_eq!(install_state(other.path(), &state).unwrap(), (3, exchange.digest()));
    assert!(matches!(install_state(other.path(), &state), Err(StartError::Used { .. })));
    let continued = |epoch_min| {
        let on_fault = |fault: &Fault<'_>| panic!("{fault}");
        let config = Options::new(config());
        let options = Options { is_continued: true, epoch_min, on_fault, ..config };
        Host::start(other.path(), options).unwrap()
    };
    let host = continued(41);
    assert_eq!(host.recovery().epoch, 41);
    let gap = host.redo(tail[1..].to_vec()).unwrap();
    assert!(matches!(gap, Err(RedoError::Gap { expected: 4, found: 5 })));
    // As if the first attempt was killed half-way.
    assert!(host.redo(tail[..2].to_vec()).unwrap().is_ok());
    drop(host);
    let host = continued(0);
    assert_eq!(host.recovery().epoch, 42);
    assert!(host.redo(tail[2..].to_vec()).unwrap().is_ok());
    assert_eq!(sum(&host), wanted);
    let mut follower = Follower::open(&Directory::open(other.path()).unwrap(), 3);
    let again: Vec<_> = std::iter::from_fn(|| follower.next_effects().unwrap()).collect();
    assert_eq!(format!("{again:?}"), format!("{effects:?}"));
}

#[test]
fn writes_wait_for_the_other_store_and_queries_do_not() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options { durability: Durability::Operlog, ..Options::new(config()) };
    let host = Arc::new(Host::start(directory.path(), options).unwrap());
    let gate = Arc::clone(host.gate().unwrap());
    let deposit = |id: u64| format!(r#"[1, "BTC", "deposit", {id}, "1", {{}}]"#).into_bytes();
    let text = |replies: viabtc_host::Replies| String::from_utf8(replies.body(0).to_vec()).unwrap();
    // Never heard of: refused before it is applied.
    let refused = text(host.call(102, &deposit(1), 7).unwrap());
    assert!(refused.contains("service unavailable"), "{refused}");
    assert_eq!(host.metrics().applied.load(Relaxed), 0);

    gate.acknowledge(0);
    let waiting = {
        let (host, params) = (Arc::clone(&host), deposit(1));
        std::thread::spawn(move || text(host.call(102, &params, 7).unwrap()))
    };
    let deadline = Instant::now() + Duration::from_secs(30);
    while gate.held_requests() == 0 {
        assert!(Instant::now() < deadline, "the write is not held");
        std::thread::yield_now();
    }
    let balance = text(host.call(101, br#"[1, "BTC"]"#, 7).unwrap());
    assert!(balance.contains(r#""available": "1""#), "{balance}");
    assert!(!waiting.is_finished());
    gate.acknowledge(1);
    assert!(waiting.join().unwrap().contains("success"));
}
