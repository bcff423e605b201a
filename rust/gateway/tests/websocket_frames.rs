//! RFC 6455 at the socket: a corpus of frames with what must come back, after the cases of the Autobahn
//! suite (1 framing, 2 pings, 3 reserved bits, 4 opcodes, 5 fragmentation, 6 UTF-8, 7 closing, 9 and 10
//! sizes); each case whole and byte by byte.

#[allow(dead_code, reason = "shared with other tests")]
mod websocket;

use viabtc_gateway::{Hub, HubOptions};
use websocket::{Client, Echo, Seen, frame};

fn open() -> Hub {
    let options = HubOptions {
        frame_bytes_max: 1 << 20,
        message_bytes_max: 1 << 20,
        queue_bytes_max: 16 << 20,
        ..HubOptions::default()
    };
    let local = ["tcp@127.0.0.1:0".parse().unwrap()];
    Hub::start(&[], || Box::new(Echo), &local, options, || {}).unwrap()
}

fn text(text: &str) -> Seen {
    Seen::Text(text.to_owned())
}

fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(0x88, &[&code.to_be_bytes()[..], reason].concat())
}

struct Case {
    name: String,
    frames: Vec<Vec<u8>>,
    /// What comes back before the close.
    seen: Vec<Seen>,
    /// The code of the close that ends it; the client closes with 1000 when nothing else does.
    code: Option<u16>,
}

fn case(name: impl Into<String>, frames: Vec<Vec<u8>>, seen: Vec<Seen>, code: u16) -> Case {
    Case { name: name.into(), frames, seen, code: Some(code) }
}

fn corpus() -> Vec<Case> {
    let mut cases = Vec::new();
    for length in [0, 1, 125, 126, 127, 128, 65_535, 65_536, 262_144] {
        let payload = vec![b'*'; length];
        let texts = vec![text(&"*".repeat(length))];
        cases.push(case(format!("1 text {length}"), vec![frame(0x81, &payload)], texts, 1000));
        let payload = vec![0xfe; length];
        let seen = vec![Seen::Binary(payload.clone())];
        cases.push(case(format!("1 binary {length}"), vec![frame(0x82, &payload)], seen, 1000));
    }
    for length in [0, 1, 125] {
        let payload = vec![0xff; length];
        let seen = vec![Seen::Pong(payload.clone())];
        cases.push(case(format!("2 ping {length}"), vec![frame(0x89, &payload)], seen, 1000));
    }
    cases.push(case("2 ping too long", vec![frame(0x89, &[0; 126])], vec![], 1002));
    cases.push(case("2 pongs are ignored", vec![frame(0x8a, b"x")], vec![], 1000));
    let pings: Vec<Vec<u8>> = (0..10).map(|number| frame(0x89, &[number])).collect();
    let pongs = (0..10).map(|number| Seen::Pong(vec![number])).collect();
    cases.push(case("2 ten pings", pings, pongs, 1000));
    for bits in 1..8 {
        let frames = vec![frame(0x81, b"a"), frame(0x81 | bits << 4, b"b"), frame(0x89, b"")];
        cases.push(case(format!("3 reserved bits {bits}"), frames, vec![text("a")], 1002));
        let frames = vec![frame(0x89 | bits << 4, b"")];
        cases.push(case(format!("3 reserved bits {bits} of a ping"), frames, vec![], 1002));
    }
    for opcode in (3..8).chain(11..16) {
        let frames = vec![frame(0x81, b"a"), frame(0x80 | opcode, b""), frame(0x89, b"")];
        cases.push(case(format!("4 opcode {opcode}"), frames, vec![text("a")], 1002));
    }
    fragments(&mut cases);
    utf8(&mut cases);
    closings(&mut cases);
    let large = "€".repeat(300_000);
    let whole = vec![frame(0x81, large.as_bytes())];
    cases.push(case("9 large text", whole, vec![text(&large)], 1000));
    let pieces: Vec<&[u8]> = large.as_bytes().chunks(4_001).collect();
    let pieces = split(0x01, &pieces);
    cases.push(case("9 large text in fragments", pieces, vec![text(&large)], 1000));
    cases.push(case("10 frame too large", vec![frame(0x81, &[b'a'; 1 << 20])], vec![], 1009));
    let half = [b'a'; 600_000];
    cases.push(case("10 message too large", split(0x01, &[&half, &half]), vec![], 1009));
    let unmasked = vec![vec![0x81, 1, b'a']];
    cases.push(case("an unmasked frame", unmasked, vec![], 1002));
    let endless = vec![vec![0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]];
    cases.push(case("a length near 2^64", endless, vec![], 1002));
    cases
}

/// A message in fragments.
fn split(first: u8, pieces: &[&[u8]]) -> Vec<Vec<u8>> {
    let last = pieces.len() - 1;
    let pieces = pieces.iter().enumerate();
    let frames = pieces.map(|(place, piece)| {
        let opcode = if place == 0 { first } else { 0 };
        frame(if place == last { 0x80 | opcode } else { opcode }, piece)
    });
    frames.collect()
}

fn fragments(cases: &mut Vec<Case>) {
    let ping = || frame(0x89, b"p");
    let pong = || Seen::Pong(b"p".to_vec());
    for opcode in [0x09, 0x0a] {
        let frames = vec![frame(opcode, b"a"), frame(0x80, b"b")];
        cases.push(case(format!("5 fragmented control {opcode}"), frames, vec![], 1002));
    }
    let two = split(0x01, &[b"frag", b"ment"]);
    cases.push(case("5 two fragments", two.clone(), vec![text("fragment")], 1000));
    let mut between = two;
    between.insert(1, ping());
    let seen = vec![pong(), text("fragment")];
    cases.push(case("5 ping between fragments", between, seen, 1000));
    for first in [0x00, 0x80] {
        let frames = vec![frame(first, b"a"), frame(0x81, b"b")];
        cases.push(case(format!("5 continuation {first:#x} of nothing"), frames, vec![], 1002));
    }
    let frames = vec![frame(0x01, b"a"), frame(0x81, b"b")];
    cases.push(case("5 message within a message", frames, vec![], 1002));
    let frames = vec![frame(0x01, b""), frame(0x00, b""), frame(0x80, b"")];
    cases.push(case("5 three empty fragments", frames, vec![text("")], 1000));
    let mut frames = split(0x01, &[b"a", b"b"]);
    frames.extend([frame(0x80, b"c")]);
    cases.push(case("5 continuation after the end", frames, vec![text("ab")], 1002));
}

fn utf8(cases: &mut Vec<Case>) {
    let valid = "κόσμε 𐀀 \u{7ff} \u{ffff} \u{10ffff}\0";
    cases.push(case("6 valid", vec![frame(0x81, valid.as_bytes())], vec![text(valid)], 1000));
    let bytes: Vec<&[u8]> = valid.as_bytes().chunks(1).collect();
    cases.push(case("6 valid, a byte a fragment", split(0x01, &bytes), vec![text(valid)], 1000));
    for (place, wrong) in [
        &b"\xce"[..],
        b"\xff",
        b"\x80",
        b"\xc0\xaf",
        b"\xe0\x80\xaf",
        b"\xf0\x80\x80\xaf",
        b"\xed\xa0\x80",
        b"\xed\xad\xbf\xed\xb0\x80",
        b"\xf4\x90\x80\x80",
        b"\xf8\x88\x80\x80\x80",
        b"\xce\xba\xe1\xbd",
    ]
    .iter()
    .enumerate()
    {
        cases.push(case(format!("6 invalid {place}"), vec![frame(0x81, wrong)], vec![], 1007));
        let pieces: Vec<&[u8]> = wrong.chunks(1).collect();
        let frames = split(0x01, &pieces);
        cases.push(case(format!("6 invalid {place} in fragments"), frames, vec![], 1007));
    }
    let frames = vec![frame(0x01, b"ok \xce\xba\xf4\x90")];
    cases.push(case("6 invalid before the end", frames, vec![], 1007));
}

fn closings(cases: &mut Vec<Case>) {
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999] {
        let frames = vec![close(code, b"bye"), frame(0x81, b"not read")];
        cases.push(case(format!("7 close {code}"), frames, vec![], code));
    }
    for code in [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65_535] {
        cases.push(case(format!("7 close {code}"), vec![close(code, b"")], vec![], 1002));
    }
    let longest = [b'*'; 123];
    cases.push(case("7 longest reason", vec![close(1000, &longest)], vec![], 1000));
    cases.push(case("7 reason too long", vec![close(1000, &[b'*'; 124])], vec![], 1002));
    cases.push(case("7 reason is no text", vec![close(1000, b"\xff")], vec![], 1007));
    cases.push(case("7 half a code", vec![frame(0x88, b"\x03")], vec![], 1002));
    let empty = vec![frame(0x88, b"")];
    cases.push(Case { name: "7 no code".into(), frames: empty, seen: vec![], code: None });
    let frames = vec![close(1000, b""), close(1000, b""), frame(0x89, b"")];
    cases.push(case("7 two closes", frames, vec![], 1000));
}

fn play(hub: &Hub, case: &Case, chunk: usize) {
    let mut client = Client::connect(hub);
    let mut bytes = case.frames.concat();
    bytes.extend(close(1000, b""));
    // After a close the server may end the connection before everything is sent.
    for chunk in bytes.chunks(chunk) {
        if std::io::Write::write_all(&mut client.stream, chunk).is_err() {
            break;
        }
    }
    for expected in &case.seen {
        assert_eq!(&client.see(), expected, "{}", case.name);
    }
    assert_eq!(client.see(), Seen::Close(case.code), "{}", case.name);
    assert_eq!(client.see(), Seen::End, "{}", case.name);
}

#[test]
fn every_case_of_the_corpus_ends_as_the_rfc_says() {
    let hub = open();
    for case in corpus() {
        play(&hub, &case, usize::MAX);
    }
}

#[test]
fn it_does_not_matter_how_the_bytes_are_cut() {
    let hub = open();
    for case in corpus() {
        let size: usize = case.frames.iter().map(Vec::len).sum();
        play(&hub, &case, if size > 1_000 { 997 } else { 1 });
    }
}
