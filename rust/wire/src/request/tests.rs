use super::*;
use viabtc_engine::{AssetConfig, Decimal};

fn names() -> Names {
    let asset = |name: &str, save_scale, show_scale| AssetConfig {
        name: name.into(),
        save_scale,
        show_scale,
    };
    let config = Config {
        assets: vec![asset("BTC", 12, 8), asset("USDT", 20, 8)],
        markets: vec![MarketConfig {
            name: "BTCUSDT".into(),
            base: AssetId(0),
            quote: AssetId(1),
            base_scale: 8,
            quote_scale: 8,
            fee_scale: 4,
            min_amount: Decimal::parse("0.001").unwrap(),
        }],
        update_window: 1,
    };
    Names::new(&config.validate().unwrap())
}

fn accepts(command: u32, params: &str) -> bool {
    match decode(command, params.as_bytes(), &names()) {
        Ok(_) => true,
        Err(DecodeError::InvalidArgument) => false,
        Err(other) => panic!("{params}: {other:?}"),
    }
}

#[test]
fn a_limit_order_is_parsed_at_the_markets_scales() {
    let params = br#"[7, "BTCUSDT", 2, "1e-1", "8000.123456789", "0.99999", ".001", "web"]"#;
    let Ok(Request::Write(Command::PlaceLimit(order))) = decode(201, params, &names()) else {
        panic!("not a limit order")
    };
    assert_eq!(order.user, UserId(7));
    assert_eq!((order.amount, order.price), (10_000_000, 800_012_345_678));
    assert_eq!((order.taker_fee_rate, order.maker_fee_rate), (9_999, 10));
    assert_eq!(order.source.as_str(), Some("web"));
}

#[test]
fn numbers_that_no_table_holds_are_refused() {
    let limit = |amount: &str, price: &str| {
        accepts(201, &format!(r#"[1, "BTCUSDT", 1, "{amount}", "{price}", "0", "0", ""]"#))
    };
    assert!(limit("1", "1") && limit("+1.", "1E1") && limit("9999999999999999999999", "1"));
    for refused in [
        "NaN",
        "sNaN",
        "inf",
        "-Infinity",
        "0",
        "-1",
        "",
        " 1",
        "1e",
        "0x10",
        "1_000",
        "1e22",
        "1e999999",
        "0.000000001",
        "10000000000000000000000",
    ] {
        assert!(!limit(refused, "1"), "amount {refused}");
        assert!(!limit("1", refused), "price {refused}");
    }
}

#[test]
fn fee_rates_are_at_least_zero_and_below_one_after_cutting() {
    let limit = |taker: &str, maker: &str| {
        accepts(201, &format!(r#"[1, "BTCUSDT", 1, "1", "1", "{taker}", "{maker}", ""]"#))
    };
    let market = |taker: &str| accepts(202, &format!(r#"[1, "BTCUSDT", 1, "1", "{taker}", ""]"#));
    // Source: 0.99999 is cut to the four decimals of the market.
    for accepted in ["0", "0.0001", "0.9999", "0.99999", "-0.00001"] {
        assert!(limit(accepted, "0") && limit("0", accepted) && market(accepted), "{accepted}");
    }
    for refused in ["1", "1.0", "1e0", "-0.0001", "2", "NaN", ""] {
        assert!(!limit(refused, "0") && !limit("0", refused) && !market(refused), "{refused}");
    }
}

#[test]
fn integers_outside_their_field_are_refused() {
    let user = |text: &str| accepts(101, &format!("[{text}]"));
    assert!(user("1") && user("4294967295"));
    for refused in ["0", "-1", "4294967296", "4294967297", "1.0", "\"1\"", "null"] {
        assert!(!user(refused), "user {refused}");
    }
    assert!(accepts(203, r#"[0, "BTCUSDT", 0, 101]"#));
    for refused in
        [r#"[0, "BTCUSDT", -1, 1]"#, r#"[0, "BTCUSDT", 0, 102]"#, r#"[0, "BTCUSDT", 0, -1]"#]
    {
        assert!(!accepts(203, refused), "{refused}");
    }
    assert!(!accepts(204, r#"[1, "BTCUSDT", -1]"#));
    assert!(!accepts(206, r#"["BTCUSDT", 1, "-0.1"]"#) && accepts(206, r#"["BTCUSDT", 1, "0"]"#));
}

/// The original collects the answer in an object, which has no key twice.
#[test]
fn an_asset_that_is_named_twice_is_answered_once_where_it_came_first() {
    let Ok(Request::Query(Query::Balances { assets, .. })) =
        decode(101, br#"[1, "USDT", "BTC", "USDT", "BTC"]"#, &names())
    else {
        panic!("not a query of balances")
    };
    assert_eq!(assets, [AssetId(1), AssetId(0)]);
    let Ok(Request::Query(Query::AssetSummary(assets))) =
        decode(105, br#"["BTC", "BTC"]"#, &names())
    else {
        panic!("not a summary")
    };
    assert_eq!(assets.len(), 2, "an array may");
}

#[test]
fn texts_that_no_column_holds_are_refused() {
    let update =
        |business: &str| accepts(102, &format!(r#"[1, "BTC", "{business}", 1, "1", {{}}]"#));
    assert!(update(&"é".repeat(30)) && update("it's"));
    assert!(!update(&"a".repeat(31)) && !update("\u{1f600}"));
    let order = |source: &str| accepts(202, &format!(r#"[1, "BTCUSDT", 1, "1", "0", "{source}"]"#));
    assert!(order(&"é".repeat(15)) && order(""));
    assert!(!order(&"é".repeat(16)) && !order("\u{1f600}"));
}

#[test]
fn commands_that_the_operation_log_cannot_hold_are_refused() {
    let update =
        |count: usize| format!(r#"[1, "BTC", "w", 1, "1", {{"k": "{}"}}]"#, "x".repeat(count));
    assert!(accepts(102, &update(65_000)));
    assert!(!accepts(102, &update(65_536)));
    // Four bytes here, twelve in the log.
    assert!(accepts(102, &update(1).replace('x', &"\u{1f600}".repeat(5_000))));
    assert!(!accepts(102, &update(1).replace('x', &"\u{1f600}".repeat(6_000))));
    let order = |price: &str| format!(r#"[1, "BTCUSDT", 1, "1", "{price}", "0", "0", ""]"#);
    assert!(accepts(201, &order(&format!("1.{}", "0".repeat(65_000)))));
    assert!(!accepts(201, &order(&format!("1.{}", "0".repeat(65_536)))));
}

#[test]
fn detail_gets_the_business_id_in_its_old_place_or_last() {
    let detail = |text: &str| {
        let params = format!(r#"[1, "BTC", "deposit", 5, "1", {text}]"#);
        match decode(102, params.as_bytes(), &names()) {
            Ok(Request::Write(Command::UpdateBalance(update))) => update.detail.to_string(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(detail("{}"), r#"{"id": 5}"#);
    assert_eq!(detail(r#"{"id":"x","b":0.1}"#), r#"{"id": 5, "b": 0.10000000000000001}"#);
    assert_eq!(detail(r#"{"b":{"c":1,"c":2},"a":[]}"#), r#"{"b": {"c": 2}, "a": [], "id": 5}"#);
    assert_eq!(detail("{\"n\":\"\u{1f600}\"}"), r#"{"n": "\uD83D\uDE00", "id": 5}"#);
}

#[test]
fn the_body_is_judged_before_the_command() {
    assert_eq!(decode(999, b"{", &names()), Err(DecodeError::Malformed));
    assert_eq!(decode(999, b"{}", &names()), Err(DecodeError::Malformed));
    assert_eq!(decode(999, b"[]", &names()), Err(DecodeError::MethodNotFound));
    assert_eq!(decode(301, b"[]", &names()), Err(DecodeError::MethodNotFound));
}

#[test]
fn every_engine_method_refuses_a_wrong_number_of_parameters() {
    use crate::methods::{Arity, METHODS, Owner};
    for method in METHODS.iter().filter(|method| method.owner == Owner::Matchengine) {
        let nulls = "null,".repeat(method.params.len()) + "null";
        assert_eq!(accepts(method.command, &format!("[{nulls}]")), method.arity == Arity::Any);
    }
}
