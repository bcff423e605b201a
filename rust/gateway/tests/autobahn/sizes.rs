//! Section 9: large messages, many fragments, small writes, many messages.

use super::{BINARY, Case, Chops, NORMAL, TEXT, fragments, text};
use crate::websocket::{Seen, frame};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// The largest message of the section.
pub const MESSAGE_BYTES_MAX: usize = 16 * MIB;

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (kind, first) in [(1, TEXT), (2, BINARY)] {
        let sizes = [64 * KIB, 256 * KIB, MIB, 4 * MIB, 8 * MIB, MESSAGE_BYTES_MAX];
        for (place, size) in sizes.into_iter().enumerate() {
            let (payload, seen) = message(first, size);
            let number = format!("9.{kind}.{}", place + 1);
            cases.push(Case::new(number, vec![frame(first, &payload)], vec![seen], NORMAL));
        }
        for place in 0..9 {
            let (payload, seen) = message(first, 4 * MIB);
            let pieces: Vec<&[u8]> = payload.chunks(64 << (2 * place)).collect();
            let number = format!("9.{}.{}", kind + 2, place + 1);
            cases.push(Case::new(number, fragments(first, &pieces), vec![seen], NORMAL));
        }
        for place in 0..6 {
            let (payload, seen) = message(first, MIB);
            let number = format!("9.{}.{}", kind + 4, place + 1);
            let case = Case::new(number, vec![frame(first, &payload)], vec![seen], NORMAL);
            cases.push(case.chopped(Chops::Of(64 << place)));
        }
        for (place, size) in [0, 16, 64, 256, KIB, 4 * KIB].into_iter().enumerate() {
            let messages = (0..1_000).map(|_| message(first, size));
            let (payloads, seen): (Vec<_>, Vec<_>) = messages.unzip();
            let frames = payloads.iter().map(|payload| frame(first, payload)).collect();
            let number = format!("9.{}.{}", kind + 6, place + 1);
            cases.push(Case::new(number, frames, seen, NORMAL).chopped(Chops::Frames));
        }
    }
    cases
}

/// A message's payload and its echo.
fn message(first: u8, size: usize) -> (Vec<u8>, Seen) {
    if first == TEXT {
        let payload = "*".repeat(size);
        (payload.clone().into_bytes(), text(payload))
    } else {
        let payload = vec![0xfe; size];
        (payload.clone(), Seen::Binary(payload))
    }
}
