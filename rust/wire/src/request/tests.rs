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

#[test]
fn what_an_original_logged_is_read_as_it_applied_it() {
    let update = |params: &str| match decode_logged(102, params.as_bytes(), &names()) {
        Ok(Request::Write(Command::UpdateBalance(update))) => Some(update),
        Err(DecodeError::InvalidArgument) => None,
        other => panic!("{params}: {other:?}"),
    };
    let long = "w".repeat(40);
    let read = update(&format!(r#"[4294967297, "BTC", "{long}", -5, "1.5", {{}}]"#)).unwrap();
    assert_eq!((read.user, read.change), (UserId(1), 150_000_000));
    assert_eq!(&*read.reason, "w".repeat(30));
    let other = update(r#"[-1, "BTC", "w", -6, "1", {}]"#).unwrap();
    assert_eq!(other.user, UserId(u32::MAX));
    assert_ne!(read.reason_id, other.reason_id);
    assert_eq!(update(r#"[1, "BTC", "w", 1, "NaN", {}]"#), None);

    let params = br#"[-1, "BTCUSDT", 4294967298, "1", "2", "0", "0", "s"]"#;
    let Ok(Request::Write(Command::PlaceLimit(order))) = decode_logged(201, params, &names())
    else {
        panic!("not a limit order")
    };
    assert_eq!((order.user, order.side), (UserId(u32::MAX), Side::Bid));
    let cancel = decode_logged(204, br#"[4294967297, "BTCUSDT", 7]"#, &names());
    let wanted = CancelOrder { user: UserId(1), market: MarketId(0), order: OrderId(7) };
    assert_eq!(cancel, Ok(Request::Write(Command::CancelOrder(wanted))));
}

/// There the original kept all decimals, and what came of them cannot be told.
#[test]
fn what_an_original_logged_with_decimals_that_we_do_not_keep_is_refused() {
    let mut config = names().config().clone();
    config.assets[0].show_scale = 0;
    config.markets[0].base_scale = 0;
    let names = Names::new(&config.validate().unwrap());
    let is_read = |command, params: &str| decode_logged(command, params.as_bytes(), &names).is_ok();
    for (change, is_whole) in [("1", true), ("1.00", true), ("1.5", false), ("1e-1", false)] {
        assert_eq!(is_read(102, &format!(r#"[1, "BTC", "w", 1, "{change}", {{}}]"#)), is_whole);
        let order = format!(r#"[1, "BTCUSDT", 1, "{change}", "0.5", "0.1", "0.1", ""]"#);
        assert_eq!(is_read(201, &order), is_whole);
        assert_eq!(is_read(202, &format!(r#"[1, "BTCUSDT", 1, "{change}", "0.1", ""]"#)), is_whole);
    }
}
