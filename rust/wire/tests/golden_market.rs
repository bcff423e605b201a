//! Market data against the recordings: `klines.jsonl` whole, and the Redis keys that the original made of
//! the recorded deals.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;
use viabtc_market::{Board, Options, Resolution, Zone};
use viabtc_wire::market::{
    answer, read_deal_message, write_candle, write_last_price, write_recent_deal,
};
use viabtc_wire::methods::by_name;

/// Midnight two days before the recording, 2026-11-21.
const BASE: i64 = 1_795_219_200;

/// When it was asked: in the morning of 2026-11-23.
const NOW: i64 = BASE + 2 * 86_400 + 38_000;

fn golden(file: &str) -> String {
    let shared = std::env::var("VIABTC_SHARED").map_or_else(
        |_| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let path = shared.join("golden").join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A board that knows the recorded system's markets and begins them at 0 as the original does.
fn board() -> Board {
    let options = Options { first_candle_zero: true, ..Options::default() };
    let mut board = Board::new(options, Zone::utc());
    let config: Value = serde_json::from_str(&golden("config.matchengine.json")).unwrap();
    for market in config["markets"].as_array().unwrap() {
        board.list(market["name"].as_str().unwrap());
    }
    board
}

fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn every_recorded_kline_is_answered_as_recorded() {
    let mut board = board();
    let recorded = golden("klines.jsonl");
    let mut lines = recorded.lines();
    let deals: Value = serde_json::from_str(lines.next().unwrap()).unwrap();
    for deal in deals["deals"].as_array().unwrap() {
        let seconds = deal[0].as_f64().unwrap() + BASE as f64;
        let message = format!(
            "[{seconds:?}, {}, 1, 2, 1, 2, {}, {}, \"0\", \"0\", {}, {}]",
            deal[1], deal[2], deal[3], deal[4], deal[5]
        );
        let (market, deal) = read_deal_message(message.as_bytes()).unwrap();
        let place = board.place(&market).unwrap();
        assert!(board.apply(place, &deal));
    }
    let mut rows = 0;
    for (line, recorded) in lines.enumerate() {
        let call: Value = serde_json::from_str(recorded).unwrap();
        let method = by_name(call["method"].as_str().unwrap()).unwrap();
        let mut params = call["params"].clone();
        for param in params.as_array_mut().unwrap() {
            if let Some(offset) = param.get("$B") {
                *param = Value::from(BASE + offset.as_i64().unwrap());
            }
        }
        let id = call["body"]["id"].as_i64().unwrap();
        let mut body = Vec::new();
        answer(&board, method.command, params.to_string().as_bytes(), id, NOW, &mut body).unwrap();
        let mut ours: Value = serde_json::from_slice(&body).unwrap();
        let list = ours["result"].as_array_mut();
        for row in list.into_iter().flatten() {
            rows += 1;
            let time = match method.command {
                302 => &mut row[0],
                _ => &mut row["time"],
            };
            // Relative as recorded; a difference of reals is off in its last digits.
            *time = match time.as_i64() {
                Some(time) => Value::from(time - BASE),
                None => Value::from(((time.as_f64().unwrap() - BASE as f64) * 1e6).round() / 1e6),
            };
        }
        let path = format!("klines.jsonl:{} {} {}", line + 2, call["method"], call["params"]);
        assert_eq!(ours.to_string(), call["body"].to_string(), "{path}");
    }
    assert!(rows > 5_000, "only {rows} rows were compared");
}

#[test]
fn the_redis_keys_made_of_recorded_deals_are_those_recorded() {
    let scenarios =
        ["limits", "markets", "flow-00", "flow-01", "flow-02", "flow-03", "flow-10", "flow-11"];
    for scenario in scenarios {
        let mut board = board();
        for payload in golden(&format!("{scenario}.kafka.deals.jsonl")).lines() {
            let (market, deal) = read_deal_message(payload.as_bytes()).unwrap();
            let place = board.place(&market).unwrap();
            assert!(board.apply(place, &deal));
        }
        let stores: Value =
            serde_json::from_str(&golden(&format!("{scenario}.stores.json"))).unwrap();
        assert_eq!(ours_of(&mut board), theirs_of(&stores), "{scenario}");
    }
}

/// Key and field or place in the list, and what stands there.
type Entries = BTreeMap<(String, String), String>;

fn ours_of(board: &mut Board) -> Entries {
    let mut entries = Entries::new();
    let changes = board.take_changes();
    for change in changes {
        let place = change.market;
        let name = board.names().nth(place).unwrap().to_owned();
        let key = |end: &str| format!("k:{name}:{end}");
        let last = text(|out| write_last_price(board, place, out));
        entries.insert((key("last"), String::new()), last);
        for resolution in Resolution::ALL {
            for &time in &change.candles[resolution as usize] {
                let candle = board.candle(place, resolution, time).unwrap();
                let field = (key(resolution.name()), time.to_string());
                entries.insert(field, text(|out| write_candle(candle, out)));
            }
        }
        for (index, deal) in board.newest_deals(place, change.deals).enumerate() {
            let from_head = (change.deals - 1 - index).to_string();
            entries.insert((key("deals"), from_head), text(|out| write_recent_deal(deal, out)));
        }
    }
    entries
}

fn theirs_of(stores: &Value) -> Entries {
    let mut entries = Entries::new();
    for (key, stored) in stores["redis"].as_object().unwrap() {
        if key == "k:offset" || !key.starts_with("k:") {
            continue;
        }
        let texts: Vec<String> = match &stored["value"] {
            Value::String(text) => vec![text.clone()],
            value => {
                let items = value.as_array().unwrap().iter();
                items.map(|item| item.as_str().unwrap().to_owned()).collect()
            }
        };
        match stored["type"].as_str().unwrap() {
            "string" => {
                entries.insert((key.clone(), String::new()), texts[0].clone());
            }
            "hash" => {
                for pair in texts.chunks(2) {
                    entries.insert((key.clone(), pair[0].clone()), pair[1].clone());
                }
            }
            _ => {
                for (index, deal) in texts.into_iter().enumerate() {
                    entries.insert((key.clone(), index.to_string()), deal);
                }
            }
        }
    }
    entries
}
