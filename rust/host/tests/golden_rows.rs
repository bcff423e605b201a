//! Every row of the recorded history tables and operation logs, from commands played through decoder,
//! engine and row renderer. `tests/golden` compares the same tables in real databases.

#[expect(dead_code, reason = "topics are compared elsewhere")]
mod support;

use std::collections::BTreeMap;

use serde_json::Value;
use viabtc_engine::decimal::write_plain;
use viabtc_engine::{Exchange, Stamp, Time};
use viabtc_host::config_file::read_config;
use viabtc_wire::methods::{Effect, by_name};
use viabtc_wire::operlog::write_operation;
use viabtc_wire::request::{Names, Request, decode};
use viabtc_wire::rows::{Field, history_rows};

use support::{SCENARIOS, assert_same, golden};

/// Rows that replay of the original would apply with decimals that never took effect: ours are cut.
const CUT: [(&str, &str); 2] =
    [("\"0.123456789123\"", "\"0.12345678\""), ("\"0.000000001\"", "\"0\"")];

type Row = BTreeMap<String, String>;

/// Tables by name, rows in the order of writing.
type Tables = BTreeMap<String, Vec<Row>>;

fn text(field: &Field<'_>, position: usize) -> String {
    match field {
        Field::Auto => position.to_string(),
        Field::Integer(value) => value.to_string(),
        Field::Time(value) => format!("{}.{:06}", value / 1_000_000, value % 1_000_000),
        Field::Decimal(value) => {
            let mut out = Vec::new();
            write_plain(value.coefficient, value.scale, &mut out);
            String::from_utf8(out).unwrap()
        }
        Field::Text(text) => (*text).to_owned(),
    }
}

/// What ours writes when `scenario` is played.
fn played(scenario: &str) -> Tables {
    let config = read_config(&golden("config.matchengine.json")).unwrap().config;
    let names = Names::new(&config);
    let mut exchange = Exchange::new(config.clone());
    let mut tables = Tables::new();
    for line in golden(&format!("{scenario}.jsonl")).lines() {
        let call: Value = serde_json::from_str(line).unwrap();
        let Some(method) = call["method"].as_str().and_then(by_name) else { continue };
        if method.effect != Effect::Write || call["status"] != 200 {
            continue;
        }
        let params = call["params"].to_string();
        let Ok(Request::Write(write)) = decode(method.command, params.as_bytes(), &names) else {
            continue;
        };
        let sequence = exchange.sequence() + 1;
        let stamp = Stamp { sequence, time: Time(1_795_426_011_000_000 + sequence as i64) };
        let mut events = Vec::new();
        if exchange.apply(stamp, &write, &mut events).is_err() {
            continue;
        }
        let mut detail = Vec::new();
        write_operation(method.command, params.as_bytes(), &config, &mut detail).unwrap();
        let logged = [
            ("id", exchange.operlog_id().to_string()),
            ("time", text(&Field::Time(stamp.time.0), 0)),
            ("detail", String::from_utf8(detail).unwrap()),
        ];
        let logged = logged.map(|(key, value)| (key.to_owned(), value));
        tables.entry("operlog".into()).or_default().push(logged.into());
        history_rows(&events, &config, &mut |row| {
            let table = format!("{}_{}", row.family.name(), row.shard);
            let rows = tables.entry(table).or_default();
            assert_eq!(row.fields.len(), row.family.columns().len());
            let columns = row.family.columns().iter().map(|column| (*column).to_owned());
            let texts = row.fields.iter().map(|field| text(field, rows.len() + 1));
            rows.push(columns.zip(texts).collect());
        });
    }
    tables
}

/// What the original wrote.
fn recorded_tables(scenario: &str) -> Tables {
    let stores: Value = serde_json::from_str(&golden(&format!("{scenario}.stores.json"))).unwrap();
    let tables = stores.as_object().unwrap().iter().filter_map(|(name, rows)| {
        let (_, table) = name.split_once('.')?;
        let table = if table.starts_with("operlog_") { "operlog" } else { table };
        let mut rows: Vec<Row> = rows
            .as_array()?
            .iter()
            .map(|row| {
                let fields = row.as_object().unwrap().iter();
                fields.map(|(key, value)| (key.clone(), value.as_str().unwrap().into())).collect()
            })
            .collect();
        rows.sort_by_key(|row| row["id"].parse::<u64>().unwrap());
        Some((table.to_owned(), rows))
    });
    tables.collect()
}

#[test]
fn every_recorded_row_is_written_as_recorded() {
    let mut compared = 0;
    let mut cut = 0;
    for scenario in SCENARIOS {
        let mut ours = played(scenario);
        for rows in ours.values_mut() {
            rows.sort_by_key(|row| row["id"].parse::<u64>().unwrap());
        }
        let theirs = recorded_tables(scenario);
        assert_eq!(
            ours.keys().collect::<Vec<_>>(),
            theirs.keys().collect::<Vec<_>>(),
            "{scenario}"
        );
        for (table, rows) in &theirs {
            assert_eq!(ours[table].len(), rows.len(), "{scenario}: {table}");
            for (our, their) in ours[table].iter().zip(rows) {
                assert_eq!(our.keys().collect::<Vec<_>>(), their.keys().collect::<Vec<_>>());
                for (column, value) in our {
                    let expected = &their[column];
                    let path = format!("{scenario}: {table} {} {column}", our["id"]);
                    match column.as_str() {
                        "time" | "create_time" | "finish_time" => {}
                        "detail" if value != expected => {
                            let as_ours = CUT
                                .iter()
                                .fold(expected.clone(), |text, (a, b)| text.replace(a, b));
                            assert_eq!(*value, as_ours, "{path}");
                            cut += 1;
                        }
                        "market" | "source" | "asset" | "business" | "detail" => {
                            assert_eq!(value, expected, "{path}");
                        }
                        _ => assert_same(&value.as_str().into(), &expected.as_str().into(), &path),
                    }
                }
                compared += 1;
            }
        }
    }
    assert_eq!(cut, CUT.len(), "exactly these rows of the operation log differ");
    assert!(compared > 20_000, "only {compared} rows were compared");
}
