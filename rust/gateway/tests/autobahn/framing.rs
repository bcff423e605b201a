//! Sections 1 to 5 and 10: sizes of frames, pings, reserved bits, opcodes, fragments.

use super::{BINARY, BROKEN, Case, Chops, NORMAL, PING, PONG, TEXT, close, fragments, text};
use crate::websocket::{Seen, frame};

/// Largest payload of a control frame.
const CONTROL_BYTES_MAX: usize = 125;

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    messages(&mut cases);
    pings(&mut cases);
    reserved_bits(&mut cases);
    opcodes(&mut cases);
    fragmentation(&mut cases);
    let whole = "*".repeat(65_536);
    let pieces: Vec<&[u8]> = whole.as_bytes().chunks(1_300).collect();
    cases.push(Case::new("10.1.1", fragments(TEXT, &pieces), vec![text(&whole)], NORMAL));
    cases
}

/// Section 1: messages of one frame at each border of the length's forms.
fn messages(cases: &mut Vec<Case>) {
    let sizes = [0, 125, 126, 127, 128, 65_535, 65_536, 65_536];
    for (place, size) in sizes.into_iter().enumerate() {
        let number = place + 1;
        let chops = if number == 8 { Chops::Of(997) } else { Chops::One };
        let payload = vec![b'*'; size];
        let seen = vec![text("*".repeat(size))];
        let case = Case::new(format!("1.1.{number}"), vec![frame(TEXT, &payload)], seen, NORMAL);
        cases.push(case.chopped(chops));
        let payload = vec![0xfe; size];
        let seen = vec![Seen::Binary(payload.clone())];
        let case = Case::new(format!("1.2.{number}"), vec![frame(BINARY, &payload)], seen, NORMAL);
        cases.push(case.chopped(chops));
    }
}

/// Section 2.
fn pings(cases: &mut Vec<Case>) {
    let pong = |payload: &[u8]| Seen::Pong(payload.to_vec());
    let longest = [0xfe; CONTROL_BYTES_MAX];
    let hello = b"Hello, world!";
    for (number, payload) in [
        ("2.1", &b""[..]),
        ("2.2", hello),
        ("2.3", b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff"),
        ("2.4", &longest),
    ] {
        cases.push(Case::new(number, vec![frame(PING, payload)], vec![pong(payload)], NORMAL));
    }
    let too_long = frame(PING, &[0xfe; CONTROL_BYTES_MAX + 1]);
    cases.push(Case::new("2.5", vec![too_long], vec![], BROKEN));
    let octets = Case::new("2.6", vec![frame(PING, &longest)], vec![pong(&longest)], NORMAL);
    cases.push(octets.chopped(Chops::Of(1)));
    cases.push(Case::new("2.7", vec![frame(PONG, b"")], vec![], NORMAL));
    cases.push(Case::new("2.8", vec![frame(PONG, b"unsolicited")], vec![], NORMAL));
    let frames = vec![frame(PONG, b"unsolicited"), frame(PING, b"payload")];
    cases.push(Case::new("2.9", frames, vec![pong(b"payload")], NORMAL));
    for (number, chops) in [("2.10", Chops::One), ("2.11", Chops::Of(1))] {
        let payloads = || (0..10).map(|number| format!("payload-{number}").into_bytes());
        let frames = payloads().map(|payload| frame(PING, &payload)).collect();
        let seen = payloads().map(Seen::Pong).collect();
        cases.push(Case::new(number, frames, seen, NORMAL).chopped(chops));
    }
}

/// Section 3: bits that no extension gave a meaning.
fn reserved_bits(cases: &mut Vec<Case>) {
    let hello = "Hello, world!";
    let bad = |first: u8, bits: u8| frame(first | bits << 4, hello.as_bytes());
    let good = || frame(TEXT, hello.as_bytes());
    let ping = || frame(PING, b"");
    for (number, chops, bits) in
        [("3.2", Chops::One, 2), ("3.3", Chops::Frames, 3), ("3.4", Chops::Of(1), 4)]
    {
        let frames = vec![good(), bad(TEXT, bits), ping()];
        cases.push(Case::new(number, frames, vec![text(hello)], BROKEN).chopped(chops));
    }
    for (number, first, bits) in
        [("3.1", TEXT, 1), ("3.5", BINARY, 5), ("3.6", PING, 6), ("3.7", 0x88, 7)]
    {
        cases.push(Case::new(number, vec![bad(first, bits)], vec![], BROKEN));
    }
    // Each combination on each kind of frame.
    for bits in 1..8 {
        for first in [TEXT, BINARY, PING, PONG, 0x88] {
            let frames = vec![good(), bad(first, bits), ping()];
            let number = format!("3, bits {bits} of {first:#x}");
            cases.push(Case::new(number, frames, vec![text(hello)], BROKEN));
        }
    }
}

/// Section 4: opcodes that nothing defines.
fn opcodes(cases: &mut Vec<Case>) {
    let hello = "Hello, world!";
    for (section, first) in [(1, 3), (2, 11)] {
        for place in 0..5 {
            let number = format!("4.{section}.{}", place + 1);
            let payload = if place % 2 == 0 { &b""[..] } else { b"reserved opcode payload" };
            let reserved = frame(0x80 | (first + place), payload);
            let chops = match place {
                3 => Chops::Frames,
                4 => Chops::Of(1),
                _ => Chops::One,
            };
            let case = if place < 2 {
                Case::new(number, vec![reserved], vec![], BROKEN)
            } else {
                let frames = vec![frame(TEXT, hello.as_bytes()), reserved, frame(PING, b"")];
                Case::new(number, frames, vec![text(hello)], BROKEN)
            };
            cases.push(case.chopped(chops));
        }
    }
}

/// Section 5.
fn fragmentation(cases: &mut Vec<Case>) {
    let two = || fragments(TEXT, &["fragment1", "fragment2"]);
    let whole = || text("fragment1fragment2");
    let ping = || frame(PING, b"pingme");
    let pong = || Seen::Pong(b"pingme".to_vec());
    for (number, first) in [("5.1", PING), ("5.2", PONG)] {
        let frames = fragments(first, &["fragment1", "fragment2"]);
        cases.push(Case::new(number, frames, vec![], BROKEN));
    }
    let ways = [Chops::One, Chops::Frames, Chops::Of(1)];
    for (place, chops) in ways.into_iter().enumerate() {
        let case = Case::new(format!("5.{}", 3 + place), two(), vec![whole()], NORMAL);
        cases.push(case.chopped(chops));
        let mut frames = two();
        frames.insert(1, ping());
        let seen = vec![pong(), whole()];
        let case = Case::new(format!("5.{}", 6 + place), frames, seen, NORMAL);
        cases.push(case.chopped(chops));
        // A continuation of nothing, final and not.
        for (number, first) in [(9, 0x80), (12, 0x00)] {
            let nothing = frame(first, b"non-continuation payload");
            let frames = vec![nothing, frame(TEXT, b"Hello, world!")];
            let case = Case::new(format!("5.{}", number + place), frames, vec![], BROKEN);
            cases.push(case.chopped(chops));
        }
    }
    let mut frames = two();
    frames.extend([frame(0x00, b"fragment3"), frame(TEXT, b"fragment4")]);
    cases.push(Case::new("5.15", frames, vec![whole()], BROKEN));
    for (number, first) in [("5.16", 0x00), ("5.17", 0x80)] {
        let once = || [vec![frame(first, b"fragment1")], fragments(TEXT, &["a", "b"])].concat();
        cases.push(Case::new(number, [once(), once()].concat(), vec![], BROKEN));
    }
    let frames = vec![frame(0x01, b"fragment1"), frame(TEXT, b"fragment2")];
    cases.push(Case::new("5.18", frames, vec![], BROKEN));
    for (number, chops) in [("5.19", Chops::Frames), ("5.20", Chops::One)] {
        let five = ["fragment1", "fragment2", "fragment3", "fragment4", "fragment5"];
        let mut frames = fragments(TEXT, &five);
        for (at, payload) in [(2, b"pongme 1!"), (5, b"pongme 2!")] {
            frames.insert(at, frame(PING, payload));
        }
        let pong = |payload: &[u8]| Seen::Pong(payload.to_vec());
        let seen = vec![pong(b"pongme 1!"), pong(b"pongme 2!"), text(five.concat())];
        cases.push(Case::new(number, frames, seen, NORMAL).chopped(chops));
    }
    // A close between fragments ends everything.
    let mut frames = two();
    frames.insert(1, close(NORMAL, b""));
    cases.push(Case::new("7.1.5", frames, vec![], NORMAL));
}
