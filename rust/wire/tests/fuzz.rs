//! Decoders of the wire under generated input: no panic, no hang, and what is accepted means what it says.

use viabtc_engine::{AssetConfig, AssetId, Config, Decimal, MarketConfig};
use viabtc_fuzz::{fuzz, outcome};
use viabtc_wire::envelope::read_envelope;
use viabtc_wire::frame::{Head, read_frame, read_heartbeat, write_frame};
use viabtc_wire::json::{Rules, Value, read_array, separate, write_value};
use viabtc_wire::methods::METHODS;
use viabtc_wire::request::{Names, decode};

const JSON_WORDS: [&[u8]; 16] = [
    b"null",
    b"true",
    b"\"",
    b"\\u0000",
    b"\\ud800",
    b"\\udc00",
    b"[",
    b"]",
    b"{",
    b"}",
    b"1e999",
    b"-0",
    b"NaN",
    b"0.00000001",
    b",",
    b":",
];

fn frame(command: u32, body: &[u8]) -> Vec<u8> {
    let head = Head { command, kind: 0, result: 0, sequence: 7, request_id: 8 };
    let mut bytes = Vec::new();
    write_frame(&head, b"ext", body, &mut bytes);
    bytes
}

#[test]
fn fuzz_rpc_frames() {
    let seeds = [frame(102, b"[1, \"BTC\"]"), frame(0, &[]), frame(201, &[9; 300])];
    let seeds: Vec<&[u8]> = seeds.iter().map(Vec::as_slice).collect();
    fuzz("rpc-frame", &seeds, &[b"beep"], |input| {
        // Mutations hardly ever hit the checksum: it is also set right.
        let mut signed = input.to_vec();
        if signed.len() >= 36 {
            signed[14..18].fill(0);
            let crc = checksum(&signed);
            signed[14..18].copy_from_slice(&crc.to_le_bytes());
        }
        let mut result = 0;
        for bytes in [input, &signed] {
            result ^= match read_frame(bytes, 4_096) {
                Ok(None) => outcome("partial", 0),
                Ok(Some((frame, size))) => {
                    assert!(size <= bytes.len() && size <= 4_096);
                    let mut again = Vec::new();
                    write_frame(&frame.head, frame.extension, frame.body, &mut again);
                    assert_eq!(again, bytes[..size], "a frame is written as it was read");
                    let _ = read_heartbeat(frame.body);
                    outcome("whole", size)
                }
                Err(error) => outcome(&error.to_string()[..8], 0),
            };
        }
        result
    });
}

/// The checksum of the protocol over a frame whose own field is zero: CRC-32 as zlib computes it.
fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    !crc
}

#[test]
fn fuzz_envelopes() {
    let seeds: [&[u8]; 3] = [
        br#"{"method": "order.put_limit", "params": [1, "BTCUSDT", 1, "0.1", "10"], "id": 5}"#,
        br#"{"id": 1, "params": [], "method": "asset.list", "x": {"y": [null, 1.5e3]}}"#,
        br#"{"method": "\u00e4\ud83d\ude00", "params": [[[]]], "id": -9223372036854775808}"#,
    ];
    fuzz("envelope", &seeds, &JSON_WORDS, |input| match read_envelope(input, Rules::ORIGINAL) {
        Ok(envelope) => {
            assert!(read_array(envelope.params.as_bytes()).is_ok(), "params are an array");
            if let Ok(body) = serde_json::from_slice::<serde_json::Value>(input) {
                // Minus zero is no integer to the other reader.
                assert!(body["id"].as_i64().is_none_or(|id| id == envelope.id));
                assert_eq!(body["method"], *envelope.method);
            }
            outcome("request", envelope.params.len())
        }
        Err(refused) => outcome("none", usize::from(refused.id.is_some())),
    });
}

fn write(values: &[Value<'_>]) -> Vec<u8> {
    let mut written = b"[".to_vec();
    let mut is_first = true;
    for value in values {
        separate(&mut is_first, &mut written);
        write_value(value, &mut written);
    }
    written.push(b']');
    written
}

#[test]
fn fuzz_json_arrays() {
    let seeds: [&[u8]; 3] = [
        br#"[1, -2.5e-7, "t\n\u1234", null, true, {"a": [{}], "b": ""}, [[], [1]]]"#,
        b"[0.1, 1e22, 123456789012345678901234567890]",
        b"[]",
    ];
    fuzz("json-array", &seeds, &JSON_WORDS, |input| {
        let ours = read_array(input);
        let Ok(values) = ours else { return outcome("refused", 0) };
        let written = write(&values);
        let again = read_array(&written).expect("what is written can be read");
        assert_eq!(values.len(), again.len());
        assert_eq!(write(&again), written, "and is written the same again");
        outcome("array", values.len())
    });
}

fn names() -> Names {
    let asset = |name: &str| AssetConfig { name: name.into(), save_scale: 16, show_scale: 8 };
    let market = MarketConfig {
        name: "BTCUSDT".into(),
        base: AssetId(0),
        quote: AssetId(1),
        base_scale: 8,
        quote_scale: 8,
        fee_scale: 4,
        min_amount: Decimal { coefficient: 1, scale: 3 },
    };
    let assets = vec![asset("BTC"), asset("USDT")];
    let config = Config { assets, markets: vec![market], update_window: 86_400_000_000 };
    Names::new(&config.validate().expect("it is valid"))
}

#[test]
fn fuzz_requests_of_every_method() {
    let names = names();
    let seeds: [&[u8]; 8] = [
        br#"[1, "BTC", "deposit", 100, "1.2345", {"note": "x"}]"#,
        br#"[1, "BTCUSDT", 1, "1.5", "0.2", "0.002", "0.001", "web"]"#,
        br#"[1, "BTCUSDT", 2, "1.5", "0.002", "web"]"#,
        br#"[1, "BTCUSDT", 12]"#,
        br#"["BTCUSDT", 1, 0, 100]"#,
        br#"["BTCUSDT", 100, "0.01"]"#,
        br#"[1, "BTC", "USDT"]"#,
        b"[]",
    ];
    let words: Vec<&[u8]> =
        JSON_WORDS.iter().copied().chain([&b"\"BTC\""[..], b"\"BTCUSDT\"", b"1e-20"]).collect();
    fuzz("request", &seeds, &words, |input| {
        METHODS.iter().fold(0, |result, method| {
            let name = match decode(method.command, input, &names) {
                Ok(_) => method.name,
                Err(_) => "refused",
            };
            result.wrapping_mul(31) ^ outcome(name, 0)
        })
    });
}
