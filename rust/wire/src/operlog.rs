//! The operation log's text of a command: what the original would have logged, so that it can replay it.

use std::borrow::Cow;

use viabtc_engine::decimal::{parse_fixed, power_of_ten, write_stripped};
use viabtc_engine::{AssetConfig, Config, Decimal};

use crate::changes::{PUT_LIMIT_ONCE, PUT_MARKET_ONCE, is_once};
use crate::json::{JsonError, Value, read_array, read_object, separate, write_sorted};

/// Bytes that the column `detail` holds.
pub const DETAIL_BYTES_MAX: usize = 65_535;

/// Bytes of parameters whose text fits the column however it is rewritten: a real of three bytes becomes
/// 24, and nothing grows more.
pub const PARAMS_BYTES_SAFE: usize = DETAIL_BYTES_MAX / 9;

/// Appends `{"method": ..., "params": [...]}` with sorted keys; an order that takes effect once has
/// `"once": true` between them.
///
/// A balance update's detail has its `id`, and numbers are cut to the decimals that took effect where the
/// original would replay more of them: changes of balances, since it replays them with the decimals that it
/// saves, and whatever has a precision of 0, since it takes that for no bound. A text that says no more
/// than what took effect stays as it was given.
///
/// # Errors
/// When `params` is not a JSON array.
///
/// # Panics
/// When `command` is not a writing method.
pub fn write_operation(
    command: u32,
    params: &[u8],
    config: &Config,
    out: &mut Vec<u8>,
) -> Result<(), JsonError> {
    // Source: me_operlog.c and me_server.c.
    let method = match command {
        102 => "update_balance",
        201 => "limit_order",
        202 => "market_order",
        204 => "cancel_order",
        PUT_LIMIT_ONCE => "limit_order",
        PUT_MARKET_ONCE => "market_order",
        other => panic!("command {other} is not logged"),
    };
    let mut values = read_array(params)?;
    let logged_detail = match command {
        102 => rewrite_update(&mut values, config),
        201 | 202 | PUT_LIMIT_ONCE | PUT_MARKET_ONCE => {
            cut_order(&mut values, config);
            None
        }
        _ => None,
    };
    out.extend_from_slice(b"{\"method\": \"");
    out.extend_from_slice(method.as_bytes());
    out.extend_from_slice(b"\"");
    if is_once(command) {
        // The original reads its two members and no others: to it this is an order as any.
        out.extend_from_slice(b", \"once\": true");
    }
    out.extend_from_slice(b", \"params\": [");
    let mut is_first = true;
    for (index, value) in values.iter().enumerate() {
        separate(&mut is_first, out);
        match &logged_detail {
            Some(detail) if index == 5 => out.extend_from_slice(detail),
            _ => write_sorted(value, out),
        }
    }
    out.extend_from_slice(b"]}");
    Ok(())
}

/// Cuts the change; the text of the detail with its `id`. `None` for parameters of another shape.
fn rewrite_update(values: &mut [Value<'_>], config: &Config) -> Option<Vec<u8>> {
    let [_, Value::Text(asset), _, Value::Integer(id), change, Value::Object(detail)] = values
    else {
        return None;
    };
    let asset = config.assets.iter().find(|other| other.name == **asset);
    if let (Some(asset), Value::Text(text)) = (asset, &*change)
        && let Some(cut) = cut_change(text, asset)
    {
        *change = Value::Text(Cow::Owned(cut));
    }
    let mut members = read_object(detail);
    members.retain(|(key, _)| key != "id");
    members.push((Cow::Borrowed("id"), Value::Integer(*id)));
    let mut out = Vec::new();
    crate::json::write_sorted_members(members, &mut out);
    Some(out)
}

/// Whether an original, which takes a precision of 0 for no bound, applied no more decimals than we would.
pub(crate) fn counts_whole(command: u32, values: &[Value<'_>], config: &Config) -> bool {
    match (command, values) {
        (102, [_, Value::Text(name), _, _, Value::Text(change), _]) => {
            let asset = config.assets.iter().find(|asset| asset.name == **name);
            asset.is_none_or(|asset| asset.show_scale > 0 || cut_whole(change).is_none())
        }
        (201 | 202, _) => {
            let mut cut = values.to_vec();
            cut_order(&mut cut, config);
            cut == values
        }
        _ => true,
    }
}

/// Cuts the numbers of an order that have a precision of 0.
fn cut_order(values: &mut [Value<'_>], config: &Config) {
    let [_, Value::Text(market), _, numbers @ .., _] = values else { return };
    // Amount, price of a limit order, fees.
    let is_limit = numbers.len() == 4;
    let Some(market) = config.markets.iter().find(|other| other.name == **market) else { return };
    for (index, number) in numbers.iter_mut().enumerate() {
        let scale = match index {
            0 => market.base_scale,
            1 if is_limit => market.quote_scale,
            _ => market.fee_scale,
        };
        if scale == 0
            && let Value::Text(text) = &*number
            && let Some(cut) = cut_whole(text)
        {
            *number = Value::Text(Cow::Owned(cut));
        }
    }
}

/// The whole number that `text` counts as without decimals, when it has some.
fn cut_whole(text: &str) -> Option<String> {
    let whole = parse_fixed(text, 0).ok()?;
    let is_whole = |number: Decimal| {
        whole.checked_mul(power_of_ten(u32::from(number.scale))) == Some(number.coefficient)
    };
    if Decimal::parse(text).is_ok_and(is_whole) {
        return None;
    }
    let mut cut = Vec::new();
    write_stripped(whole, 0, &mut cut);
    String::from_utf8(cut).ok()
}

/// The change in plain notation, when `text` says more than what took effect.
fn cut_change(text: &str, asset: &AssetConfig) -> Option<String> {
    if asset.save_scale == 0 {
        return cut_whole(text);
    }
    let shown = parse_fixed(text, asset.show_scale).ok()?;
    let saved = parse_fixed(text, asset.save_scale).ok()?;
    let factor = power_of_ten(u32::from(asset.save_scale - asset.show_scale));
    if shown.checked_mul(factor) == Some(saved) {
        return None;
    }
    let mut cut = Vec::new();
    write_stripped(shown, asset.show_scale, &mut cut);
    String::from_utf8(cut).ok()
}

/// Whether the operation log can hold a command with these parameters.
pub fn fits(command: u32, params: &[u8], config: &Config) -> bool {
    if params.len() <= PARAMS_BYTES_SAFE {
        return true;
    }
    let mut text = Vec::new();
    write_operation(command, params, config, &mut text).is_ok() && text.len() <= DETAIL_BYTES_MAX
}

#[cfg(test)]
mod tests {
    use super::*;
    use viabtc_engine::{AssetId, MarketConfig};

    fn config() -> Config {
        let asset = AssetConfig { name: "BTC".into(), save_scale: 12, show_scale: 8 };
        Config { assets: vec![asset], markets: Vec::new(), update_window: 1 }
    }

    fn operation(command: u32, params: &str) -> String {
        let mut out = Vec::new();
        write_operation(command, params.as_bytes(), &config(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn orders_are_logged_as_received() {
        let params = r#"[2,"BTCBCH",  2, "1e4","0.99999","0.002","0.001","src'\u00e9"]"#;
        let logged = "{\"method\": \"limit_order\", \"params\": [2, \"BTCBCH\", 2, \"1e4\", \"0.99999\", \
                      \"0.002\", \"0.001\", \"src'\u{e9}\"]}";
        assert_eq!(operation(201, params), logged);
    }

    #[test]
    fn an_order_that_takes_effect_once_is_logged_as_an_order_that_says_so() {
        let params = r#"[2,"BTCBCH",1,"1","0.002","api:a"]"#;
        let logged = r#"{"method": "market_order", "once": true, "params": [2, "BTCBCH", 1, "1", "0.002", "api:a"]}"#;
        assert_eq!(operation(PUT_MARKET_ONCE, params), logged);
    }

    #[test]
    fn updates_have_their_id_sorted_keys_and_the_change_that_took_effect() {
        let update = |change: &str, detail: &str| {
            operation(102, &format!(r#"[1, "BTC", "w", 2, "{change}", {detail}]"#))
        };
        let logged = |change: &str, detail: &str| {
            format!(
                r#"{{"method": "update_balance", "params": [1, "BTC", "w", 2, "{change}", {detail}]}}"#
            )
        };
        let nested = r#"{"z": {"b": 1, "a": [2, {"d": 1.5, "c": null}]}, "id": "old", "a": true}"#;
        let sorted = r#"{"a": true, "id": 2, "z": {"a": [2, {"c": null, "d": 1.5}], "b": 1}}"#;
        assert_eq!(update("-0.1", nested), logged("-0.1", sorted));
        for (given, kept) in [
            ("1.", "1."),
            ("+1", "+1"),
            ("1E-8", "1E-8"),
            ("0.123456789123", "0.12345678"),
            ("-0.123456789", "-0.12345678"),
            ("0.000000001", "0"),
            ("0.0000000000001", "0.0000000000001"),
        ] {
            assert_eq!(update(given, "{}"), logged(kept, r#"{"id": 2}"#));
        }
    }

    #[test]
    fn what_has_no_decimals_is_logged_without_those_that_the_original_would_take() {
        let market = |base_scale, quote_scale, fee_scale| MarketConfig {
            name: "M".into(),
            base: AssetId(0),
            quote: AssetId(0),
            base_scale,
            quote_scale,
            fee_scale,
            min_amount: Decimal::ZERO,
        };
        let logged = |market: MarketConfig, command: u32, numbers: &str| {
            let asset = AssetConfig { name: "W".into(), save_scale: 0, show_scale: 0 };
            let config = Config { assets: vec![asset], markets: vec![market], update_window: 1 };
            let params = format!(r#"[1, "M", 2, {numbers}, "src"]"#);
            let mut out = Vec::new();
            write_operation(command, params.as_bytes(), &config, &mut out).unwrap();
            let out = String::from_utf8(out).unwrap();
            let numbers = out.split_once("2, ").unwrap().1;
            numbers.strip_suffix(r#", "src"]}"#).unwrap().to_owned()
        };
        let given = r#""1.5", "2.5", "0.3", "0.4""#;
        assert_eq!(logged(market(0, 1, 1), 201, given), r#""1", "2.5", "0.3", "0.4""#);
        assert_eq!(logged(market(1, 0, 1), 201, given), r#""1.5", "2", "0.3", "0.4""#);
        assert_eq!(logged(market(1, 1, 0), 201, given), r#""1.5", "2.5", "0", "0""#);
        assert_eq!(logged(market(0, 0, 0), 202, r#""1.5", "0.3""#), r#""1", "0""#);
        assert_eq!(logged(market(0, 0, 0), PUT_MARKET_ONCE, r#""1.5", "0.3""#), r#""1", "0""#);
        // What counts as it was given stays so.
        for whole in ["1", "1.", "1.000", "+1", "1E1", "10e-1"] {
            let given = format!(r#""{whole}", "0""#);
            assert_eq!(logged(market(0, 0, 0), 202, &given), given);
        }
        let config = Config {
            assets: vec![AssetConfig { name: "W".into(), save_scale: 0, show_scale: 0 }],
            markets: Vec::new(),
            update_window: 1,
        };
        let mut out = Vec::new();
        write_operation(102, br#"[1, "W", "w", 2, "-1.5", {}]"#, &config, &mut out).unwrap();
        assert!(String::from_utf8(out).unwrap().contains(r#""w", 2, "-1", {"id": 2}]"#));
    }

    #[test]
    fn characters_that_the_column_cannot_hold_are_escaped() {
        let logged =
            operation(102, "[1, \"BTC\", \"w\", 2, \"1\", {\"\u{1f600}\": \"\u{1f600}\"}]");
        assert!(logged.contains(r#"{"id": 2, "\uD83D\uDE00": "\uD83D\uDE00"}"#), "{logged}");
    }

    #[test]
    fn what_the_column_cannot_hold_does_not_fit() {
        let params = |count: usize| {
            format!(r#"[1, "BTC", "w", 2, "1", {{"k": "{}"}}]"#, "x".repeat(count)).into_bytes()
        };
        let overhead = operation(102, core::str::from_utf8(&params(0)).unwrap()).len();
        assert!(fits(102, &params(DETAIL_BYTES_MAX - overhead), &config()));
        assert!(!fits(102, &params(DETAIL_BYTES_MAX - overhead + 1), &config()));
        let reals =
            format!(r#"[1, "BTC", "w", 2, "1", {{"k": [{}]}}]"#, vec!["5e9"; 2_000].join(","));
        assert!(fits(102, reals.as_bytes(), &config()));
    }
}
