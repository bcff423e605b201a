//! Funds that do not add up: trading ends at once, nothing wrong reaches the journal or a snapshot, queries
//! go on, and the next start undoes it.

use std::path::Path;
use std::time::{Duration, Instant};

use viabtc_host::config_file::read_config;
use viabtc_host::failpoints::{FLIP_AN_ACCOUNT, MAKE_A_UNIT};
use viabtc_host::{Fault, Host, Options};

const CONFIG: &str = r#"{
    "assets": [{"name": "BTC", "prec_save": 12, "prec_show": 8}, {"name": "USDT", "prec_save": 20, "prec_show": 8}],
    "markets": []
}"#;

/// Within this a mistake has ended the trade.
const DEADLINE: Duration = Duration::from_secs(1);

fn start(directory: &Path) -> Host {
    let on_fault = |fault: &Fault<'_>| panic!("{fault}");
    let config = read_config(CONFIG).unwrap();
    Host::start(directory, Options { segment_bytes: 1 << 20, on_fault, ..Options::new(config) })
        .unwrap()
}

fn call(host: &Host, command: u32, params: &str) -> String {
    let replies = host.call(command, params.as_bytes(), 1).unwrap();
    String::from_utf8(replies.body(0).to_vec()).unwrap()
}

fn deposit(host: &Host, id: u64, note: &str) -> String {
    call(host, 102, &format!(r#"[1, "BTC", "deposit", {id}, "1", {{"note": "{note}"}}]"#))
}

#[test]
fn a_command_that_makes_a_unit_ends_the_trade_and_is_undone_by_the_next_start() {
    let directory = tempfile::tempdir().unwrap();
    let host = start(directory.path());
    assert!(deposit(&host, 1, "").contains("success"));
    assert_eq!(host.halt(), None);
    let began = Instant::now();
    let wrong = deposit(&host, 2, MAKE_A_UNIT);
    assert!(wrong.contains(r#""code": 2, "message": "internal error""#), "{wrong}");
    assert!(began.elapsed() < DEADLINE);
    let halt = host.halt().expect("it was noticed").clone();
    assert_eq!((halt.asset.as_str(), halt.command, halt.sequence), ("BTC", 102, 1));
    let told = std::fs::read_to_string(directory.path().join(halt.file.unwrap())).unwrap();
    assert!(told.contains("Funds of BTC do not add up") && told.contains(MAKE_A_UNIT), "{told}");
    // Nothing is changed any more, by whomever; queries go on.
    for refused in
        [deposit(&host, 3, ""), call(&host, 905, r#"["ETH", {"prec_save": 8}, "admin"]"#)]
    {
        assert!(refused.contains(r#""code": 3"#), "{refused}");
    }
    assert!(call(&host, 101, r#"[1, "BTC"]"#).contains("available"));
    assert!(call(&host, 907, "[]").contains(r#""conserved": false"#));
    assert!(host.rotate().is_err(), "no snapshot of this state");
    drop(host);
    let host = start(directory.path());
    assert_eq!(host.recovery().sequence, 1);
    assert_eq!(host.halt(), None);
    assert!(call(&host, 101, r#"[1, "BTC"]"#).contains(r#""available": "1""#));
    // The same request is not applied again for a while; others are.
    assert!(deposit(&host, 2, MAKE_A_UNIT).contains(r#""code": 2"#));
    assert!(deposit(&host, 3, "").contains("success"));
    assert_eq!(host.halt(), None);
}

#[test]
fn an_account_that_changes_in_memory_is_found_between_commands() {
    let directory = tempfile::tempdir().unwrap();
    let host = start(directory.path());
    assert!(deposit(&host, 1, "").contains("success"));
    // Behind the command: the command itself is sound.
    assert!(deposit(&host, 2, FLIP_AN_ACCOUNT).contains("success"));
    let began = Instant::now();
    while host.halt().is_none() {
        assert!(began.elapsed() < DEADLINE, "nobody noticed");
        call(&host, 104, "[]");
    }
    let halt = host.halt().unwrap();
    assert_eq!((halt.asset.as_str(), halt.command, halt.sequence), ("BTC", 0, 2));
    assert!(halt.detail.contains("the sum says"), "{}", halt.detail);
    assert!(deposit(&host, 3, "").contains(r#""code": 3"#));
    drop(host);
    let host = start(directory.path());
    assert!(call(&host, 101, r#"[1, "BTC"]"#).contains(r#""available": "2""#));
}

/// Rounds go on while accounts come, go and change: none of that is taken for a mistake.
#[test]
fn accounts_that_change_during_a_round_are_no_mistake() {
    let directory = tempfile::tempdir().unwrap();
    let host = start(directory.path());
    for user in 1..=600 {
        for (id, change) in [(1, "2"), (2, "-1"), (3, "-1"), (4, "5")] {
            let asset = if user % 2 == 0 { "BTC" } else { "USDT" };
            let params = format!(r#"[{user}, "{asset}", "move", {id}, "{change}", {{}}]"#);
            assert!(call(&host, 102, &params).contains("success"));
        }
        if user % 3 == 0 {
            let params = format!(r#"[{}, "BTC", "out", 1, "-5", {{}}]"#, user / 3 * 2);
            call(&host, 102, &params);
        }
    }
    assert_eq!(host.halt(), None);
    host.inspect(|exchange| exchange.audit().unwrap()).unwrap();
}
