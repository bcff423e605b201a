//! RFC 6455 at the socket: the cases of the sections 1 to 7, 9 and 10 of the Autobahn suite, and our bounds.

mod autobahn;
#[allow(dead_code, reason = "shared with other tests")]
mod websocket;

use autobahn::{Case, Chops, NORMAL, TEXT, closing, fragments, framing, sizes};
use viabtc_gateway::{Hub, HubOptions};
use websocket::{Echo, Seen, frame};

/// A message larger than it is closed with 1009.
const LARGEST: usize = 1 << 20;

/// Cases whose bytes are more are not written one by one.
const OCTETS_MAX: usize = 1_000;

fn open(message_bytes_max: usize) -> Hub {
    let options = HubOptions {
        frame_bytes_max: message_bytes_max,
        message_bytes_max,
        queue_bytes_max: 2 * message_bytes_max,
        ..HubOptions::default()
    };
    let local = ["tcp@127.0.0.1:0".parse().unwrap()];
    Hub::start(&[], || Box::new(Echo), &local, options, || {}).unwrap()
}

/// All but the sizes.
fn cases() -> Vec<Case> {
    [framing::cases(), autobahn::text::cases(), closing::cases()].concat()
}

#[test]
fn every_section_has_all_of_its_cases() {
    let cases = [cases(), sizes::cases()].concat();
    for (section, count) in [
        ("1.1.", 8),
        ("1.2.", 8),
        ("2.", 11),
        ("3.", 7),
        ("4.1.", 5),
        ("4.2.", 5),
        ("5.", 20),
        ("6.", 145),
        ("7.", 37),
        ("9.", 54),
        ("10.", 1),
    ] {
        let mut numbers: Vec<&str> = cases
            .iter()
            .map(|case| case.number.as_str())
            .filter(|number| number.starts_with(section))
            .collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), count, "{section} {numbers:?}");
    }
}

#[test]
fn every_case_ends_as_the_rfc_says() {
    let hub = open(LARGEST);
    for case in cases() {
        case.play(&hub, None);
    }
}

#[test]
fn it_does_not_matter_how_the_bytes_are_cut() {
    let hub = open(LARGEST);
    for case in cases() {
        let size: usize = case.frames.iter().map(Vec::len).sum();
        let octets = if size > OCTETS_MAX { 997 } else { 1 };
        for chops in [Chops::One, Chops::Frames, Chops::Of(octets)] {
            case.play(&hub, Some(chops));
        }
    }
}

#[test]
fn large_messages_and_many_come_back() {
    let hub = open(2 * sizes::MESSAGE_BYTES_MAX);
    for case in sizes::cases() {
        case.play(&hub, None);
    }
}

#[test]
fn what_is_larger_than_allowed_is_refused_when_its_head_is_seen() {
    let hub = open(LARGEST);
    let head = |length: u64| [&[0x82, 0xff][..], &length.to_be_bytes()].concat();
    let half = vec![b'a'; LARGEST / 2 + 1];
    // The head of the largest frame has ten bytes and a mask of four.
    let most = vec![b'a'; LARGEST - 14];
    let echo = Seen::Text(String::from_utf8(most.clone()).unwrap());
    for case in [
        Case::new("the largest", vec![frame(TEXT, &most)], vec![echo], NORMAL),
        Case::new("a frame", vec![head(LARGEST as u64 - 13)], vec![], 1009).fast(),
        Case::new("a message", fragments(TEXT, &[&half, &half]), vec![], 1009),
        Case::new("a length near 2^64", vec![head(u64::MAX - 7)], vec![], 1002).fast(),
        Case::new("an unmasked frame", vec![vec![TEXT, 1, b'a']], vec![], 1002),
    ] {
        case.play(&hub, None);
    }
}
