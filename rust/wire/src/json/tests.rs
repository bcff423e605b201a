use proptest::prelude::*;

use super::*;

fn real(number: f64) -> String {
    let mut out = Vec::new();
    write_real(number, &mut out);
    String::from_utf8(out).unwrap()
}

fn one_line(text: &str) -> String {
    let array = format!("[{text}]");
    let mut out = Vec::new();
    write_value(&read_array(array.as_bytes()).unwrap()[0], &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn elements_are_typed() {
    let values =
        read_array(b" [1, -0, 1.0, 1e5, \"a\\n\\u00e9\", null, true, {\"a\": [1]}, []] ").unwrap();
    assert_eq!(
        values,
        [
            Value::Integer(1),
            Value::Integer(0),
            Value::Real(1.0),
            Value::Real(1e5),
            Value::Text("a\n\u{e9}".into()),
            Value::Null,
            Value::Bool(true),
            Value::Object("{\"a\": [1]}"),
            Value::Array("[]"),
        ]
    );
}

#[test]
fn what_the_originals_parser_refuses_is_refused() {
    for text in [
        "",
        " ",
        "{}",
        "1",
        "[",
        "[1,]",
        "[,1]",
        "[1] x",
        "[1][",
        "[01]",
        "[-]",
        "[1.]",
        "[.5]",
        "[1e]",
        "[NaN]",
        "[Infinity]",
        "[9223372036854775808]",
        "[1e999]",
        "[\"\\u0000\"]",
        "[\"\\ud800\"]",
        "[\"\\udc00\"]",
        "[\"\\ud800\\u0041\"]",
        "[\"a\nb\"]",
        "[\"\\x\"]",
        "[\"a]",
        "['a']",
        "[tru]",
        "\u{feff}[]",
        "[{\"a\"}]",
        "[{\"a\":1,}]",
        "[{a:1}]",
        "[1 2]",
        "[/*c*/1]",
    ] {
        assert!(read_array(text.as_bytes()).is_err(), "{text:?} was accepted");
    }
    assert!(read_array(b"[\"\xff\"]").is_err());
}

#[test]
fn nesting_stops_at_the_limit() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert!(read_array(nested(DEPTH_MAX).as_bytes()).is_ok());
    assert!(read_array(nested(DEPTH_MAX + 1).as_bytes()).is_err());
    assert!(read_array(nested(1_000_000).as_bytes()).is_err());
}

#[test]
fn values_are_written_on_one_line() {
    assert_eq!(one_line("{\"b\":1,\"a\":[ ],\"b\":{}}"), "{\"b\": {}, \"a\": []}");
    assert_eq!(
        one_line("[1.5,2e300,0.1,-0,-0.0]"),
        "[1.5, 2.0000000000000001e300, 0.10000000000000001, 0, -0.0]"
    );
    assert_eq!(
        one_line("\"\\u0001\\u001f\\/\\\"\\\\ \\t\u{7f}\""),
        "\"\\u0001\\u001F/\\\"\\\\ \\t\u{7f}\""
    );
    assert_eq!(one_line("\"\u{1f600}\""), "\"\\uD83D\\uDE00\"");
}

#[test]
fn reals_are_written_as_c_writes_them() {
    for (number, text) in [
        (0.0, "0.0"),
        (1.0, "1.0"),
        (100.0, "100.0"),
        (1795426011.0 + 0.5, "1795426011.5"),
        (1795426011.134747, "1795426011.134747"),
        (1e16, "10000000000000000.0"),
        (1e17, "1e17"),
        (1.5e-5, "1.5e-5"),
        (1.23e-7, "1.23e-7"),
        (0.0001, "0.0001"),
        (-2.5, "-2.5"),
        (123456789012345680.0, "1.2345678901234568e17"),
    ] {
        assert_eq!(real(number), text);
    }
}

#[test]
fn indenting_matches_the_originals_layout() {
    let mut out = Vec::new();
    write_indented(b"{\"error\": null, \"result\": [1, {}, \"a, [\\\"\"], \"id\": 3}", &mut out);
    let expected = "{\n    \"error\": null,\n    \"result\": [\n        1,\n        {},\n        \"a, [\\\"\"\n    ],\n    \"id\": 3\n}";
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

proptest! {
    #[test]
    fn times_take_the_same_digits_on_both_paths(microseconds in 1_000_000_000_000_000i64..2_147_483_648_000_000) {
        let mut fast = Vec::new();
        write_seconds(microseconds, &mut fast);
        let seconds = (microseconds / 1_000_000) as f64 + (microseconds % 1_000_000) as f64 / 1e6;
        prop_assert_eq!(String::from_utf8(fast).unwrap(), real(seconds));
    }

    #[test]
    fn reals_read_back_as_they_were(bits in any::<u64>()) {
        let number = f64::from_bits(bits);
        prop_assume!(number.is_finite());
        prop_assert_eq!(real(number).parse::<f64>().unwrap().to_bits(), bits);
    }

    #[test]
    fn agrees_with_serde_json(text in "\\[[\\[\\]{}:,\"\\\\a0-9eE.+\\- ntrulfs]{0,12}\\]") {
        let theirs = serde_json::from_str::<serde_json::Value>(&text);
        let ours = read_array(text.as_bytes());
        let is_big_integer = text.split(|c: char| !c.is_ascii_digit() && c != '-').any(|word| word.len() > 18);
        prop_assume!(!is_big_integer);
        prop_assert_eq!(ours.is_ok(), theirs.is_ok());
    }

    #[test]
    fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let _ = read_array(&bytes);
    }
}

#[test]
fn nesting_ends_at_128_levels() {
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    assert!(read_array(nested(128).as_bytes()).is_ok());
    assert!(read_array(nested(129).as_bytes()).is_err());
}

/// Strings are looked at in parts of eight bytes: what has to be escaped is found at every place of a part,
/// and in what is left behind the last one.
#[test]
fn special_bytes_are_found_at_every_place() {
    for length in 0..20 {
        for place in 0..=length {
            for (special, escaped) in [
                ('"', "\\\""),
                ('\\', "\\\\"),
                ('\u{1f}', "\\u001F"),
                ('\u{7f}', "\u{7f}"),
                ('\u{e9}', "\u{e9}"),
            ] {
                let (before, behind) = ("a".repeat(place), "z".repeat(length - place));
                let text = format!("{before}{special}{behind}");
                let mut out = Vec::new();
                write_string(&text, &mut out);
                let written = String::from_utf8(out).unwrap();
                assert_eq!(written, format!("\"{before}{escaped}{behind}\""));
                let array = format!("[{written}]");
                assert_eq!(read_array(array.as_bytes()), Ok(vec![Value::Text(text.into())]));
                let raw = format!("[\"{before}{special}{behind}\"]");
                assert_eq!(read_array(raw.as_bytes()).is_ok(), special > '"' && special != '\\');
            }
        }
    }
}
