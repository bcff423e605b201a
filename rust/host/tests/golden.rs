//! The recorded answers of the original, command by command through decoder, engine and renderer.
//! `tests/golden` replays the same files through the ports.

mod support;

use serde_json::Value;
use viabtc_engine::{Exchange, Stamp, Time};
use viabtc_host::config_file::read_config;
use viabtc_wire::market::read_deal_message;
use viabtc_wire::messages::{Topic, place, write_message};
use viabtc_wire::methods::{ErrorCode, Owner, by_name};
use viabtc_wire::reply::{write_common_error, write_outcome, write_query};
use viabtc_wire::request::{DecodeError, Names, Request, decode};

use support::{SCENARIOS, assert_same, golden, has_golden};

/// Calls that the original wraps around and ours refuses: integers outside their field.
const REFUSED_BY_US: [&str; 4] = [
    r#"["balance.query",[-1]]"#,
    r#"["balance.query",[4294967297]]"#,
    r#"["balance.query",[-1,"BTC"]]"#,
    r#"["balance.query",[4294967297,"BTC"]]"#,
];

struct Engine {
    exchange: Exchange,
    names: Names,
    /// Payloads of the topics so far, in the order of [`Topic::ALL`].
    messages: [Vec<Vec<u8>>; 3],
}

impl Engine {
    fn new() -> Engine {
        let config = read_config(&golden("config.matchengine.json")).unwrap().config;
        let messages = Default::default();
        Engine { names: Names::new(&config), exchange: Exchange::new(config), messages }
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
                for event in &events {
                    let (topic, number) = place(event);
                    let messages = &mut self.messages[topic as usize];
                    let mut payload = Vec::new();
                    write_message(event, config, &mut payload);
                    messages.push(payload);
                    assert_eq!(number, messages.len() as u64, "numbers are dense in {topic:?}");
                }
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

#[test]
fn every_recorded_call_of_the_engine_is_answered_as_recorded() {
    let mut compared = 0;
    let mut messages = 0;
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
        messages += assert_same_messages(scenario, &engine);
    }
    assert!(compared > 4_500, "only {compared} calls were compared");
    assert!(messages > 7_000, "only {messages} messages were compared");
}

/// The topics' payloads one by one; times are those of the stamps.
fn assert_same_messages(scenario: &str, engine: &Engine) -> usize {
    let mut compared = 0;
    for topic in Topic::ALL {
        let name = topic.name();
        let ours = &engine.messages[topic as usize];
        let file = format!("{scenario}.kafka.{name}.jsonl");
        let theirs = if has_golden(&file) { golden(&file) } else { String::new() };
        assert_eq!(ours.len(), theirs.lines().count(), "{file}");
        for (line, (ours, theirs)) in ours.iter().zip(theirs.lines()).enumerate() {
            if topic == Topic::Deals {
                read_deal_message(ours).expect("what marketprice demands of a deal holds");
            }
            let mut ours: Value = serde_json::from_slice(ours).unwrap();
            let mut theirs: Value = serde_json::from_str(theirs).unwrap();
            if topic != Topic::Orders {
                assert!(ours[0].is_f64() && theirs[0].is_f64(), "{file}:{}", line + 1);
                (ours[0], theirs[0]) = (Value::Null, Value::Null);
            }
            assert_same(&ours, &theirs, &format!("{file}:{}", line + 1));
            compared += 1;
        }
    }
    compared
}
