//! Codecs of the durable engine under generated input: no panic, no hang, no huge allocation, and what is
//! accepted is written again as it was read.

use std::io::Cursor;

use viabtc_engine::{Exchange, Stamp, Time};
use viabtc_fuzz::{fuzz, outcome};
use viabtc_host::codec::{read_command, read_feed_entry, write_command};
use viabtc_host::config_file::read_config;
use viabtc_host::record::{read_config as read_config_record, write_config};
use viabtc_host::recovery::{Replay, write_state};
use viabtc_wire::request::{Names, Request, decode};

const CONFIG: &str = r#"{
    "assets": [{"name": "BTC", "prec_save": 12, "prec_show": 8}, {"name": "USDT", "prec_save": 20, "prec_show": 8}],
    "markets": [{"name": "BTCUSDT", "stock": {"name": "BTC", "prec": 8}, "money": {"name": "USDT", "prec": 8},
                 "fee_prec": 4, "min_amount": "0.001"}],
    "debug": true,
    "update_window_days": 30
}"#;

/// Requests of every kind.
const REQUESTS: [(u32, &str); 10] = [
    (102, r#"[1, "USDT", "fund", 1, "1000", {"note": "x"}]"#),
    (102, r#"[2, "BTC", "fund", 2, "10", {}]"#),
    (201, r#"[1, "BTCUSDT", 2, "1.5", "100", "0.002", "0.001", "web"]"#),
    (202, r#"[2, "BTCUSDT", 1, "0.5", "0.002", "web"]"#),
    (204, r#"[1, "BTCUSDT", 1]"#),
    (901, r#"["BTCUSDT", "admin", "why"]"#),
    (
        903,
        r#"["USDTBTC", {"stock": "USDT", "money": "BTC", "stock_prec": 2, "money_prec": 6,
            "min_amount": "1"}, "admin"]"#,
    ),
    (904, r#"["BTCUSDT", {"min_amount": "0.5"}, "admin"]"#),
    (905, r#"["ETH", {"prec_save": 16, "prec_show": 8}, "admin"]"#),
    (906, r#"["BTC", {"prec_save": 14}, "admin"]"#),
];

/// The records of these commands, and the state behind them.
fn history() -> (Vec<Vec<u8>>, Exchange) {
    let config = read_config(CONFIG).unwrap().config;
    let names = Names::new(&config);
    let mut exchange = Exchange::new(config);
    let mut records = Vec::new();
    for (number, params) in &REQUESTS {
        let Ok(Request::Write(command)) = decode(*number, params.as_bytes(), &names) else {
            panic!("{params}");
        };
        let mut record = Vec::new();
        write_command(&command, params.as_bytes(), &mut record);
        records.push(record);
        if *number != 204 {
            let stamp = Stamp { sequence: exchange.sequence() + 1, time: Time(1) };
            exchange.apply(stamp, &command, &mut Vec::new()).unwrap();
        }
    }
    (records, exchange)
}

#[test]
fn fuzz_records_of_commands() {
    let (records, _) = history();
    let seeds: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
    fuzz("command", &seeds, &[b"[]", &[0xff; 16]], |input| match read_command(input) {
        Ok((command, params)) => {
            let mut again = Vec::new();
            write_command(&command, params, &mut again);
            assert_eq!(read_command(&again).unwrap(), (command, params));
            outcome("command", usize::from(input[1]))
        }
        Err(error) => outcome(&error.to_string(), 0),
    });
}

#[test]
fn fuzz_records_of_the_feed() {
    let (records, _) = history();
    let seeds: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
    fuzz("feed-entry", &seeds, &[&[1, 0, 0, 0], &[0xff; 8]], |input| {
        match read_feed_entry(input) {
            Ok(entry) => outcome("entry", entry.events.len()),
            Err(error) => outcome(&error.to_string(), 0),
        }
    });
}

#[test]
fn fuzz_records_of_configurations() {
    let mut seed = Vec::new();
    write_config(&read_config(CONFIG).unwrap().config, &mut seed);
    fuzz("config-record", &[&seed], &[b"BTC", &[0xff; 2]], |input| {
        match read_config_record(input) {
            Ok((config, rest)) => {
                let mut again = Vec::new();
                write_config(&config, &mut again);
                assert_eq!(again, input[..input.len() - rest.len()]);
                outcome("config", config.assets.len() + 100 * config.markets.len())
            }
            Err(error) => outcome(&error.to_string(), 0),
        }
    });
}

#[test]
fn fuzz_contents_of_snapshots() {
    let (_, exchange) = history();
    let mut seed = Vec::new();
    write_state(&exchange, exchange.config(), &mut |piece| seed.extend_from_slice(piece));
    fuzz(
        "snapshot-content",
        &[&seed],
        &[&[0xff; 16], &[0; 16]],
        |input| match Replay::from_snapshot(&mut Cursor::new(input)) {
            Ok(replay) => match replay.finish() {
                Ok(state) => outcome("audited", usize::from(state.is_some())),
                Err(error) => outcome(&format!("{error:?}")[..12], 1),
            },
            Err(error) => outcome(&format!("{error:?}")[..12], 2),
        },
    );
}

#[test]
fn fuzz_configuration_files() {
    let words: [&[u8]; 8] = [
        b"null",
        b"[]",
        b"{}",
        b"\"prec\": 30",
        b"-1",
        b"1e400",
        b"\"min_amount\": \"NaN\"",
        b"\"\"",
    ];
    fuzz("config-file", &[CONFIG.as_bytes()], &words, |input| {
        let Ok(text) = std::str::from_utf8(input) else { return 0 };
        match read_config(text) {
            Ok(file) => outcome("usable", file.config.assets.len()),
            Err(error) => {
                assert!(!error.key.is_empty() && !error.problem.is_empty());
                assert!(!error.remedy.is_empty(), "it says what would be right");
                outcome(&error.key, 0)
            }
        }
    });
}
