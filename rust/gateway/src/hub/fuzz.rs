//! Decoders of websockets under generated input: no panic, no hang, and no difference between bytes that
//! come at once and in pieces.

use viabtc_fuzz::{fuzz, outcome};

use super::deflate::Inflater;
use super::frames::{Assembler, Closing, FrameLimits, Incoming};
use super::handshake::{HEAD_BYTES_MAX, Terms, open};

/// What a websocket connection reads: all that was said; then why it ended, if so.
fn read_frames(input: &[u8], pieces: usize) -> (Vec<String>, Option<Closing>) {
    let limits =
        FrameLimits { frame_bytes_max: 3_000, message_bytes_max: 4_096, is_deflating: true };
    let mut inflater = Inflater::default();
    let mut assembler = Assembler::default();
    let mut bytes = input.to_vec();
    let (mut begin, mut end) = (0, 0);
    let mut said = Vec::new();
    loop {
        match assembler.next(&mut bytes[begin..end], limits) {
            Ok(Some((incoming, size))) => {
                assert!(size > 0 && size <= end - begin);
                if let Incoming::Message { payload, is_text, is_compressed } = &incoming {
                    assert!(payload.len() <= limits.message_bytes_max);
                    if *is_compressed {
                        let inflated = inflater.inflate(payload, limits.message_bytes_max);
                        assert!(inflated.unwrap_or_default().len() <= limits.message_bytes_max);
                    } else {
                        assert!(!is_text || std::str::from_utf8(payload).is_ok());
                    }
                }
                said.push(format!("{incoming:?}"));
                begin += size;
            }
            Ok(None) => {
                assert_eq!(bytes[begin..end], input[begin..end], "bytes that wait are untouched");
                if end == input.len() {
                    return (said, None);
                }
                end = (end + pieces).min(input.len());
            }
            Err(closing) => return (said, Some(closing)),
        }
    }
}

#[test]
fn fuzz_websocket_frames() {
    let seeds: [&[u8]; 6] = [
        b"\x81\x85\x01\x02\x03\x04igomn\x89\x80\0\0\0\0",
        b"\x01\x83\0\0\0\0a\xe2\x82\x8a\x80\0\0\0\0\x80\x82\0\0\0\0\xacz",
        b"\x82\xfe\0\x80\x01\x02\x03\x04",
        b"\x82\xff\0\0\0\0\0\0\0\x02\x01\x02\x03\x04xy",
        b"\x88\x87\0\0\0\0\x03\xe8hello",
        // RFC 7692, section 7.2.3.1: "Hello".
        b"\xc1\x87\0\0\0\0\xf2\x48\xcd\xc9\xc9\x07\x00",
    ];
    let words: [&[u8]; 8] = [
        b"\x81\x80\0\0\0\0",
        b"\x00\x81\0\0\0\0x",
        b"\x80\x80\0\0\0\0",
        b"\xff\xff\xff\xff\xff\xff\xff\xf8",
        b"\xf0\x9f\x92\xa9",
        b"\xfe",
        b"\x88\x82\0\0\0\0\x03\xe8",
        b"\x7f\xff\xff\xff",
    ];
    fuzz("websocket-frames", &seeds, &words, |input| {
        let whole = read_frames(input, usize::MAX >> 1);
        for pieces in [1, 7] {
            assert_eq!(read_frames(input, pieces), whole, "in pieces of {pieces}");
        }
        outcome(whole.1.map_or("open", |closing| closing.reason), whole.0.len())
    });
}

#[test]
fn fuzz_websocket_openings() {
    let seeds: [&[u8]; 2] = [
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
          Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        b"GET /x HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
          Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\
          Sec-WebSocket-Protocol: a, chat\r\nOrigin: https://shop.example\r\n\
          X-Forwarded-For: 10.0.0.1, ::1\r\n\
          Sec-WebSocket-Extensions: x, permessage-deflate; client_max_window_bits=9\r\n\r\nrest",
    ];
    let words: [&[u8]; 8] = [
        b"\r\n",
        b"\r\n\r\n",
        b"Sec-WebSocket-Key: ",
        b"Sec-WebSocket-Protocol: chat\r\n",
        b"Origin: ",
        b"X-Real-IP: ",
        b"Connection: ",
        b"HTTP/1.1",
    ];
    let terms = Terms {
        protocol: "chat".to_owned(),
        origin_suffix: ".example".to_owned(),
        origins: Vec::new(),
        is_deflating: true,
    };
    fuzz("websocket-openings", &seeds, &words, |input| match open(input, &terms, "now") {
        Ok(Some(opening)) => {
            assert!(opening.size <= input.len());
            assert!(opening.response.starts_with(b"HTTP/1.1 101 "));
            let head = &input[..opening.size - 1];
            if head.len() <= HEAD_BYTES_MAX {
                assert_eq!(open(head, &terms, "now"), Ok(None), "a head without its end");
            }
            outcome("opened", usize::from(opening.forwarded.is_some()))
        }
        Ok(None) => outcome("partial", 0),
        Err(response) => {
            assert!(response.starts_with(b"HTTP/1.1 4"));
            outcome(std::str::from_utf8(&response).expect("what is refused is not echoed"), 0)
        }
    });
}
