//! Section 7: the closing handshake.

use super::{BROKEN, CLOSE, Case, NORMAL, NOT_TEXT, PING, TEXT, close, text};
use crate::websocket::{Seen, frame};

pub fn cases() -> Vec<Case> {
    let hello = || frame(TEXT, b"Hello World!");
    let mut cases = vec![
        Case::new("7.1.1", vec![hello(), close(NORMAL, b"")], vec![text("Hello World!")], NORMAL),
        Case::new("7.1.2", vec![close(NORMAL, b""), close(NORMAL, b"")], vec![], NORMAL),
        Case::new("7.1.3", vec![close(NORMAL, b""), frame(PING, b"")], vec![], NORMAL),
        Case::new("7.1.4", vec![close(NORMAL, b""), hello()], vec![], NORMAL),
        // 7.1.5 is with the fragments.
        Case::new(
            "7.1.6",
            vec![frame(TEXT, &[b'B'; 256 * 1024]), close(NORMAL, b""), frame(PING, b"")],
            vec![text("B".repeat(256 * 1024))],
            NORMAL,
        ),
        Case { code: None, ..Case::new("7.3.1", vec![frame(CLOSE, b"")], vec![], NORMAL) },
        Case::new("7.3.2", vec![frame(CLOSE, b"a")], vec![], BROKEN),
        Case::new("7.3.3", vec![close(NORMAL, b"")], vec![], NORMAL),
        Case::new("7.3.4", vec![close(NORMAL, b"Hello World!")], vec![], NORMAL),
        Case::new("7.3.5", vec![close(NORMAL, &[b'*'; 123])], vec![], NORMAL),
        Case::new("7.3.6", vec![close(NORMAL, &[b'*'; 124])], vec![], BROKEN),
        Case::new(
            "7.5.1",
            vec![close(NORMAL, b"\xce\xba\xe1\xed\xa0\x80edited")],
            vec![],
            NOT_TEXT,
        ),
    ];
    let allowed = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999];
    for (place, code) in allowed.into_iter().enumerate() {
        let number = format!("7.7.{}", place + 1);
        cases.push(Case::new(number, vec![close(code, b"bye")], vec![], code));
    }
    let reserved = [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999];
    for (place, code) in reserved.into_iter().enumerate() {
        let number = format!("7.9.{}", place + 1);
        cases.push(Case::new(number, vec![close(code, b"")], vec![], BROKEN));
    }
    // The suite leaves it open what these come to; ours are answered as all others that may not be sent.
    for (number, code) in [("7.13.1", 5_000), ("7.13.2", 65_535)] {
        cases.push(Case::new(number, vec![close(code, b"")], vec![], BROKEN));
    }
    // Given a meaning after the RFC: IANA's registry.
    for code in [1012, 1013, 1014] {
        cases.push(Case::new(format!("7, {code}"), vec![close(code, b"")], vec![], code));
    }
    let frames = vec![frame(PING, b"p"), close(NORMAL, b"")];
    cases.push(Case::new("7, a pong first", frames, vec![Seen::Pong(b"p".to_vec())], NORMAL));
    cases
}
