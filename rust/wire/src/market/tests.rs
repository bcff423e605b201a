use super::*;
use viabtc_market::{Options, Zone};

const MESSAGE: &str = r#"[1795426011.134876, "BTCBCH", 3, 2, 1, 2, "9.50000000", "1.00000000", "0.019", "0.0015", 1, 2, "BTC", "BCH"]"#;

fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn a_message_of_the_original_is_a_deal() {
    let (market, deal) = read_deal_message(MESSAGE.as_bytes()).unwrap();
    assert_eq!((&*market, deal.id, deal.taker), ("BTCBCH", 2, Taker::Sells));
    assert_eq!(deal.time, 1_795_426_011_134_876);
    assert_eq!(deal.price, Decimal { coefficient: 950_000_000, scale: 8 });
    let shown =
        r#"{"id": 2, "time": 1795426011.134876, "price": "9.5", "amount": "1", "type": "sell"}"#;
    assert_eq!(written(|out| write_recent_deal(&deal, out)), shown);
    let read = read_recent_deal(shown.as_bytes()).unwrap();
    assert_eq!((read.id, read.time, read.taker), (deal.id, deal.time, deal.taker));
    let twelve = MESSAGE.replace(r#", "BTC", "BCH"]"#, "]");
    assert!(read_deal_message(twelve.as_bytes()).is_ok(), "the assets may be absent");
}

#[test]
fn what_is_no_deal_is_refused() {
    for (old, new) in [
        ("1795426011.134876", "1795426011"),
        ("1795426011.134876", "0.0"),
        ("1795426011.134876", "-1.5"),
        ("1795426011.134876", "1e300"),
        ("1795426011.134876", "253402300800.0"),
        ("\"BTCBCH\"", "7"),
        ("\"BTCBCH\"", "\"\""),
        ("\"9.50000000\"", "9.5"),
        ("\"9.50000000\"", "\"0\""),
        ("\"9.50000000\"", "\"-1\""),
        ("\"9.50000000\"", "\"NaN\""),
        ("\"9.50000000\"", "\"1e14\""),
        ("\"1.00000000\"", "\"1e21\""),
        ("\"1.00000000\"", "null"),
        (", 1, 2, \"BTC\"", ", 3, 2, \"BTC\""),
        (", 1, 2, \"BTC\"", ", 1, 0, \"BTC\""),
        (", 1, 2, \"BTC\"", ", 1, -2, \"BTC\""),
        (", 1, 2, \"BTC\"", ", 1, 2.0, \"BTC\""),
    ] {
        let message = MESSAGE.replace(old, new);
        assert_ne!(message, MESSAGE);
        let read = read_deal_message(message.as_bytes());
        assert_eq!(read.err(), Some(MessageError::NoDeal), "{message}");
    }
    for text in ["", "{}", "[1", "\u{feff}[]", "nonsense"] {
        assert_eq!(read_deal_message(text.as_bytes()).err(), Some(MessageError::Malformed));
    }
    assert_eq!(read_deal_message(b"[]").err(), Some(MessageError::NoDeal));
}

#[test]
fn extreme_digits_of_foreign_messages_are_counted_without_harm() {
    let mut board = Board::new(Options::default(), Zone::utc());
    for (id, (price, amount)) in (1..).zip([
        ("99999999999999.99999999999999999999", "99999999999999"),
        ("0.00000000000000000000000000000000000001", "0.00000000000000000000000000000000000001"),
        ("1e-30", "99999999999999.9999999999999999999999999"),
    ]) {
        let message = MESSAGE
            .replace("9.50000000", price)
            .replace("1.00000000", amount)
            .replace(", 1, 2, \"BTC\"", &format!(", 1, {id}, \"BTC\""));
        let (market, deal) = read_deal_message(message.as_bytes()).unwrap();
        let place = board.place_or_new(&market);
        assert!(board.apply(place, &deal));
    }
}

#[test]
fn a_time_stays_in_its_second() {
    assert_eq!(microseconds(1_795_426_011.999_999_7), Some(1_795_426_011_999_999));
    assert_eq!(microseconds(1_795_426_011.0), Some(1_795_426_011_000_000));
    assert_eq!(microseconds(f64::NAN), None);
}

#[test]
fn candles_come_back_and_older_ones_have_no_turnover() {
    let text = r#"["0", "50000", "50000", "0", "1", "50000"]"#;
    let candle = read_candle(text.as_bytes()).unwrap();
    assert_eq!(written(|out| write_candle(&candle, out)), text);
    let five = read_candle(br#"["0.5", "1e-7", "2", "0.1", "3"]"#).unwrap();
    assert_eq!(
        written(|out| write_candle(&five, out)),
        r#"["0.5", "0.0000001", "2", "0.1", "3", "0"]"#
    );
    for text in ["", "{}", "[]", r#"["1","2","3","4"]"#, r#"["1","2","3","4",5]"#] {
        assert!(read_candle(text.as_bytes()).is_none(), "{text}");
    }
    assert!(read_candle(br#"["1","2","3","4","-5"]"#).is_none());
    assert!(read_candle(br#"["1","2","3","4","5","6","7"]"#).is_none());
}

#[test]
fn methods_of_others_and_bodies_that_are_no_array_are_refused() {
    let board = Board::new(Options::default(), Zone::utc());
    let mut out = b"before".to_vec();
    for (command, params, error) in [
        (300, "[]", DecodeError::MethodNotFound),
        (306, "[]", DecodeError::MethodNotFound),
        (304, "{}", DecodeError::Malformed),
        (304, "[", DecodeError::Malformed),
    ] {
        let answered = answer(&board, command, params.as_bytes(), 1, 1, &mut out);
        assert_eq!((answered, &out[..]), (Err(error), &b"before"[..]));
    }
    answer(&board, 304, br#"["NOPE"]"#, 7, 1, &mut out).unwrap();
    let error =
        r#"before{"error": {"code": 1, "message": "invalid argument"}, "result": null, "id": 7}"#;
    assert_eq!(out, error.as_bytes());
}
