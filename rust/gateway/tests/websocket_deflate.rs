//! permessage-deflate at the socket: the cases of the sections 12 and 13 of the Autobahn suite (kinds of data, sizes,
//! fragments, offers), and what must not be compressed.

#[allow(dead_code, reason = "shared with other tests")]
mod websocket;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use viabtc_gateway::{Hub, HubOptions};
use websocket::{Client, Echo, Seen, frame};

const MESSAGE_BYTES_MAX: usize = 1 << 20;

const KIB: usize = 1 << 10;

/// Sizes of the suite's messages, and of the fragments that their compressed form is sent in; 0 for one.
const SIZES: [(usize, usize); 18] = [
    (16, 0),
    (64, 0),
    (256, 0),
    (KIB, 0),
    (4 * KIB, 0),
    (8 * KIB, 0),
    (16 * KIB, 0),
    (32 * KIB, 0),
    (64 * KIB, 0),
    (128 * KIB, 0),
    (8 * KIB, 256),
    (16 * KIB, 256),
    (32 * KIB, 256),
    (64 * KIB, 256),
    (128 * KIB, 256),
    (128 * KIB, KIB),
    (128 * KIB, 4 * KIB),
    (128 * KIB, 32 * KIB),
];

/// What the suite's client offers in the cases of section 13, and what is agreed on.
const OFFERS: [(&str, &str); 7] = [
    ("", ""),
    ("; server_no_context_takeover", ""),
    ("; server_max_window_bits=9", "; server_max_window_bits=9"),
    ("; server_max_window_bits=15", "; server_max_window_bits=15"),
    ("; server_no_context_takeover; server_max_window_bits=9", "; server_max_window_bits=9"),
    ("; server_no_context_takeover; server_max_window_bits=15", "; server_max_window_bits=15"),
    (
        "; server_no_context_takeover; server_max_window_bits=9, permessage-deflate; \
         client_no_context_takeover; client_max_window_bits; server_no_context_takeover, \
         permessage-deflate; client_no_context_takeover; client_max_window_bits",
        "; server_max_window_bits=9",
    ),
];

const OFFER: &str = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";

fn open(is_deflating: bool) -> Hub {
    let options = HubOptions {
        frame_bytes_max: MESSAGE_BYTES_MAX,
        message_bytes_max: MESSAGE_BYTES_MAX,
        queue_bytes_max: 16 << 20,
        is_deflating,
        ..HubOptions::default()
    };
    let local = ["tcp@127.0.0.1:0".parse().unwrap()];
    Hub::start(&[], || Box::new(Echo), &local, options, || {}).unwrap()
}

fn deflated(payload: &[u8]) -> Vec<u8> {
    let mut compress = Compress::new(Compression::default(), false);
    let mut out = Vec::with_capacity(payload.len() + 1_024);
    compress.compress_vec(payload, &mut out, FlushCompress::Sync).unwrap();
    assert!(out.ends_with(&[0, 0, 0xff, 0xff]));
    out.truncate(out.len() - 4);
    out
}

fn inflated(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(2 * MESSAGE_BYTES_MAX);
    let input = [payload, &[0, 0, 0xff, 0xff]].concat();
    Decompress::new(false).decompress_vec(&input, &mut out, FlushDecompress::Sync).unwrap();
    out
}

/// A text of that size that compresses as market data does.
fn sample(size: usize) -> Vec<u8> {
    let mut text = Vec::new();
    let mut number = 7_u64;
    while text.len() < size {
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        text.extend_from_slice(
            format!("[\"{}\", \"0.{}\"], ", 50_000 + number % 97, number >> 60).as_bytes(),
        );
    }
    text.truncate(size);
    text
}

#[test]
fn messages_of_all_sizes_come_back_however_they_are_cut() {
    let hub = open(true);
    let mut client = Client::connect_with(&hub, OFFER);
    for size in [0, 1, 16, 127, 128, 1_024, 65_535, 65_536, 500_000] {
        for (opcode, payload) in [(1, sample(size)), (2, vec![0xfe; size])] {
            let packed = deflated(&payload);
            let middle = packed.len() / 2;
            let whole = vec![frame(0xc0 | opcode, &packed)];
            // Only the first fragment says that the message is compressed; a ping may come between.
            let parts = vec![
                frame(0x40 | opcode, &packed[..middle]),
                frame(0x89, b"between"),
                frame(0x80, &packed[middle..]),
            ];
            for frames in [whole, parts] {
                let has_ping = frames.len() > 1;
                client.send(&frames.concat());
                if has_ping {
                    assert_eq!(client.see(), Seen::Pong(b"between".to_vec()));
                }
                let back = match client.see() {
                    Seen::Text(text) => (1, text.into_bytes()),
                    Seen::Binary(payload) => (2, payload),
                    Seen::Compressed(opcode, payload) => {
                        assert!(payload.len() < size, "it was worth it");
                        (opcode, inflated(&payload))
                    }
                    other => panic!("{size}: {other:?}"),
                };
                assert!(back == (opcode, payload.clone()), "{size} bytes came back as they went");
            }
        }
    }
}

/// Messages of each kind of data that the suite has, of some size.
fn kind(number: usize, size: usize) -> (u8, Vec<u8>) {
    let repeated = |text: &str| text.bytes().cycle().take(size).collect();
    match number {
        1 => (1, sample(size)),
        2 => (2, (0..size).map(|place| (place / 61 % 7 * 36) as u8).collect()),
        3 => (2, repeated("Habe nun, ach! Philosophie, Juristerei und Medizin; ")),
        4 => (1, repeated("<tr class=\"row\"><td>cell</td></tr>\n")),
        _ => {
            // Nothing repeats, as in what is compressed already.
            let mut state = 1_u64;
            let bytes = std::iter::repeat_with(|| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 56) as u8
            });
            (2, bytes.take(size).collect())
        }
    }
}

/// Sends `count` messages of each size; each comes back, compressed where it is worth it and the window holds it.
fn echo_all(hub: &Hub, number: &str, kind_number: usize, offer: &str, agreed: &str, count: usize) {
    let offer = format!(
        "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover; \
         client_max_window_bits{offer}\r\n"
    );
    let answer = format!(
        "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; \
         client_no_context_takeover{agreed}\r\n"
    );
    let (mut client, head) = Client::opened(hub, &offer);
    assert!(head.contains(&answer), "{number}: {head}");
    let window = if agreed.ends_with("=9") { 512 } else { usize::MAX };
    for (place, (size, fragment)) in SIZES.into_iter().enumerate() {
        let (opcode, payload) = kind(kind_number, size);
        let packed = deflated(&payload);
        let pieces: Vec<&[u8]> =
            if fragment == 0 { vec![&packed] } else { packed.chunks(fragment).collect() };
        let last = pieces.len() - 1;
        let frames = pieces.iter().enumerate().map(|(place, piece)| {
            // Only the first says what the message is, and that it is compressed.
            let first = if place == 0 { 0x40 | opcode } else { 0 };
            frame(if place == last { 0x80 | first } else { first }, piece)
        });
        let bytes: Vec<u8> = frames.flatten().collect();
        for _ in 0..count {
            client.send(&bytes);
            let back = match client.see() {
                Seen::Text(text) => (1, text.into_bytes()),
                Seen::Binary(payload) => (2, payload),
                Seen::Compressed(opcode, packed) => {
                    assert!(size <= window, "{number}.{}: it refers too far", place + 1);
                    (opcode, inflated(&packed))
                }
                other => panic!("{number}.{}: {other:?}", place + 1),
            };
            assert!(back == (opcode, payload.clone()), "{number}.{}", place + 1);
        }
    }
}

/// Messages of each case; the suite has a thousand.
fn count() -> usize {
    let count =
        std::env::var("VIABTC_WEBSOCKET_MESSAGES").map_or(10, |count| count.parse().unwrap());
    println!("{count} messages a case: VIABTC_WEBSOCKET_MESSAGES=1000 for the suite's");
    count
}

#[test]
fn section_12_every_kind_of_data_comes_back_in_every_size() {
    let (hub, count) = (open(true), count());
    for kind in 1..=5 {
        echo_all(&hub, &format!("12.{kind}"), kind, "", "", count);
    }
}

#[test]
fn section_13_every_offer_is_met() {
    let (hub, count) = (open(true), count());
    for (place, (offer, agreed)) in OFFERS.into_iter().enumerate() {
        echo_all(&hub, &format!("13.{}", place + 1), 1, offer, agreed, count);
    }
}

#[test]
fn a_client_that_offers_it_may_also_send_plain_messages() {
    let hub = open(true);
    let mut client = Client::connect_with(&hub, OFFER);
    client.say("plain");
    assert_eq!(client.hear(), "plain");
}

#[test]
fn what_breaks_the_rules_is_closed_with_its_code() {
    let hub = open(true);
    let zeros = deflated(&vec![0; 64 * MESSAGE_BYTES_MAX]);
    assert!(zeros.len() < MESSAGE_BYTES_MAX);
    for (name, offer, bytes, code) in [
        ("a bomb", OFFER, frame(0xc2, &zeros), 1009),
        ("noise", OFFER, frame(0xc2, &[0xff; 64]), 1007),
        ("a text that is none", OFFER, frame(0xc1, &deflated(b"\xff\xfe")), 1007),
        ("a compressed ping", OFFER, frame(0xc9, b""), 1002),
        ("another reserved bit", OFFER, frame(0xa1, b""), 1002),
        ("nothing was agreed on", "", frame(0xc1, &deflated(b"text")), 1002),
    ] {
        let mut client = Client::connect_with(&hub, offer);
        client.send(&bytes);
        assert_eq!(client.see(), Seen::Close(Some(code)), "{name}");
    }
    let mut client = Client::connect_with(&hub, OFFER);
    client.send(&[frame(0x41, &deflated(b"text")), frame(0xc0, b"")].concat());
    assert_eq!(client.see(), Seen::Close(Some(1002)), "a later fragment says it");
}

#[test]
fn an_offer_is_answered_when_the_hub_may_and_can() {
    for (is_deflating, offer, is_taken) in [
        (true, OFFER, true),
        (
            true,
            "Sec-WebSocket-Extensions: x\r\nSec-WebSocket-Extensions: permessage-deflate\r\n",
            true,
        ),
        (true, "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=7\r\n", false),
        (false, OFFER, false),
    ] {
        let (_, head) = Client::opened(&open(is_deflating), offer);
        let answer = "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; \
             client_no_context_takeover\r\n";
        assert_eq!(head.contains(answer), is_taken, "{offer}{head}");
    }
}
