//! The recorded answers of the original, command by command through decoder, engine and renderer.
//! `tests/golden` replays the same files through the ports.

use std::path::PathBuf;

use serde_json::Value;
use viabtc_engine::{Exchange, Stamp, Time};
use viabtc_host::config_file::read_config;
use viabtc_wire::methods::{ErrorCode, Owner, by_name};
use viabtc_wire::reply::{write_common_error, write_outcome, write_query};
use viabtc_wire::request::{DecodeError, Names, Request, decode};

const SCENARIOS: [&str; 9] = [
    "balances", "limits", "markets", "flow-00", "flow-01", "flow-02", "flow-03", "flow-10",
    "flow-11",
];

/// Calls that the original wraps around and ours refuses: integers outside their field.
const REFUSED_BY_US: [&str; 4] = [
    r#"["balance.query",[-1]]"#,
    r#"["balance.query",[4294967297]]"#,
    r#"["balance.query",[-1,"BTC"]]"#,
    r#"["balance.query",[4294967297,"BTC"]]"#,
];

fn golden(file: &str) -> String {
    let shared = std::env::var("VIABTC_SHARED").map_or_else(
        |_| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let path = shared.join("golden").join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

struct Engine {
    exchange: Exchange,
    names: Names,
}

impl Engine {
    fn new() -> Engine {
        let config = read_config(&golden("config.matchengine.json")).unwrap().config;
        Engine { names: Names::new(&config), exchange: Exchange::new(config) }
    }

    fn call(&mut self, command: u32, params: &str, id: i64) -> Value {
        let mut body = Vec::new();
        match decode(command, params.as_bytes(), &self.names) {
            Ok(Request::Query(query)) => write_query(&self.exchange, &query, id, &mut body),
            Ok(Request::Write(write)) => {
                let sequence = self.exchange.sequence() + 1;
                let stamp = Stamp { sequence, time: Time(1_795_426_011_000_000 + sequence as i64) };
                let mut events = Vec::new();
                let outcome = self.exchange.apply(stamp, &write, &mut events);
                let config = self.names.config();
                write_outcome(command, outcome.map(|()| &events[..]), config, id, &mut body);
            }
            Err(DecodeError::InvalidArgument) => {
                write_common_error(ErrorCode::InvalidArgument, Some(id), &mut body);
            }
            Err(other) => panic!("{command} {params}: {other:?}"),
        }
        serde_json::from_slice(&body).unwrap()
    }
}

/// Times are not compared, number texts are compared by value, key order counts.
fn assert_same(ours: &Value, theirs: &Value, path: &str) {
    match (ours, theirs) {
        (Value::Object(a), Value::Object(b)) => {
            assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>(), "{path}");
            for (key, value) in a {
                if key == "ctime" || key == "mtime" {
                    assert!(value.is_f64() && b[key].is_f64(), "{path}.{key}");
                } else {
                    assert_same(value, &b[key], &format!("{path}.{key}"));
                }
            }
        }
        (Value::Array(a), Value::Array(b)) => {
            assert_eq!(a.len(), b.len(), "{path}");
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                assert_same(a, b, &format!("{path}[{index}]"));
            }
        }
        (Value::String(a), Value::String(b)) if a != b => {
            assert_eq!(number(a), number(b), "{path}: {a} is not {b}");
            assert!(!a.contains('e'), "{path}: {a} is not in plain notation");
        }
        _ => assert_eq!(ours, theirs, "{path}"),
    }
}

/// Sign, significant digits and exponent of a decimal text.
fn number(text: &str) -> Option<(bool, String, i32)> {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (digits, exponent) = rest.split_once('e').unwrap_or((rest, "0"));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all = format!("{whole}{fraction}");
    if all.is_empty() || !all.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let mut exponent = exponent.parse::<i32>().ok()? - fraction.len() as i32;
    let mut significant = all.trim_start_matches('0');
    while let Some(shorter) = significant.strip_suffix('0') {
        significant = shorter;
        exponent += 1;
    }
    if significant.is_empty() {
        return Some((false, String::new(), 0));
    }
    Some((sign, significant.to_owned(), exponent))
}

#[test]
fn every_recorded_call_of_the_engine_is_answered_as_recorded() {
    let mut compared = 0;
    for scenario in SCENARIOS {
        let mut engine = Engine::new();
        for (line, text) in golden(&format!("{scenario}.jsonl")).lines().enumerate() {
            let call: Value = serde_json::from_str(text).unwrap();
            let (Some(name), Some(params)) = (call["method"].as_str(), call["params"].as_array())
            else {
                continue;
            };
            let Some(method) = by_name(name) else { continue };
            if method.owner != Owner::Matchengine || call["status"] != 200 {
                continue;
            }
            let path = format!("{scenario}:{} {name} {}", line + 1, call["params"]);
            let id = call["body"]["id"].as_i64().unwrap();
            let body = engine.call(method.command, &Value::from(params.clone()).to_string(), id);
            let key = serde_json::json!([name, params]).to_string();
            let is_negative_offset = method.command == 203 && params[2].as_i64() == Some(-1);
            if REFUSED_BY_US.contains(&key.as_str()) || is_negative_offset {
                assert_eq!(body["error"]["code"], 1, "{path}");
            } else {
                assert_same(&body, &call["body"], &path);
            }
            engine.exchange.audit().unwrap_or_else(|violation| panic!("{path}: {violation:?}"));
            compared += 1;
        }
    }
    assert!(compared > 4_500, "only {compared} calls were compared");
}
