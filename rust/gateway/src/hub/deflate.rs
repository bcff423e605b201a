//! permessage-deflate, RFC 7692, without context between messages: a message is compressed once, however many it goes
//! to, and a connection keeps no window.

use std::collections::HashMap;
use std::num::NonZero;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::frames::{Closing, Frame, Opcode, write_head};

/// What a server answers to an offer that it takes, but for a window that the client asked for.
const RESPONSE: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

/// The compressor's window, in bits of its size; the largest that there is.
const WINDOW_BITS: u8 = 15;

/// Sizes that a window may have, as RFC 7692 writes them.
const WINDOWS: [(&str, u8); 8] = [
    ("8", 8),
    ("9", 9),
    ("10", 10),
    ("11", 11),
    ("12", 12),
    ("13", 13),
    ("14", 14),
    ("15", WINDOW_BITS),
];

/// Payloads below it grow, or shrink by less than it costs.
const COMPRESSED_BYTES_MIN: usize = 128;

/// The bit of a frame's first byte that says that its message is compressed.
pub(crate) const COMPRESSED: u8 = 0x40;

/// What the end of a message leaves out, RFC 7692 section 7.2.1.
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// Room that a message which is taken apart gets at once.
const STEP_BYTES: usize = 16 * 1024;

/// What was agreed on with a client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Agreed {
    /// How far back a compressed message may refer.
    pub(crate) window: Window,
    /// The client asked for the window, so it is told.
    is_window_asked: bool,
}

/// The size of a window, in bits; never 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Window(NonZero<u8>);

impl Window {
    fn new(bits: u8) -> Option<Window> {
        NonZero::new(bits).map(Window)
    }

    /// Whether a message of so many bytes lies in it from end to end.
    fn holds(self, bytes: usize) -> bool {
        self.0.get() == WINDOW_BITS || bytes <= 1 << self.0.get()
    }
}

/// Which of the offers in `Sec-WebSocket-Extensions` is taken: the first that can be met in all it says.
pub(crate) fn agree(offers: &str) -> Option<Agreed> {
    offers.split(',').find_map(|offer| {
        let mut parts = offer.split(';').map(str::trim);
        if parts.next() != Some("permessage-deflate") {
            return None;
        }
        let mut seen = Vec::new();
        let mut asked = None;
        for parameter in parts {
            let (name, value) = match parameter.split_once('=') {
                Some((name, value)) => (name.trim(), Some(value.trim().trim_matches('"'))),
                None => (parameter, None),
            };
            if seen.contains(&name) {
                return None;
            }
            seen.push(name);
            let bits = value.and_then(|value| WINDOWS.iter().find(|(text, _)| *text == value));
            match (name, value, bits) {
                ("server_no_context_takeover" | "client_no_context_takeover", None, _)
                | ("client_max_window_bits", None, _)
                | ("client_max_window_bits", _, Some(_)) => {}
                ("server_max_window_bits", _, Some((_, bits))) => asked = Some(*bits),
                _ => return None,
            }
        }
        let window = Window::new(asked.unwrap_or(WINDOW_BITS))?;
        Some(Agreed { window, is_window_asked: asked.is_some() })
    })
}

impl Agreed {
    /// The answer's `Sec-WebSocket-Extensions`. RFC 7692, section 7.1.2.1: a window that was asked for is said
    /// again.
    pub(crate) fn response(self) -> String {
        if self.is_window_asked {
            format!("{RESPONSE}; server_max_window_bits={}", self.window.0)
        } else {
            RESPONSE.to_owned()
        }
    }
}

/// Compresses frames, each once in a turn.
#[derive(Default)]
pub(crate) struct Deflater {
    /// Made for the first connection that wants it.
    compress: Option<Box<Compress>>,
    /// By the address of the plain frame, which is kept so that no other gets that.
    done: HashMap<usize, (Frame, Frame)>,
}

impl Deflater {
    /// A text or binary frame as it goes to who takes compressed ones; others as they are. So are those that
    /// a small window does not hold: the compressor has only the largest.
    pub(crate) fn deflate(&mut self, frame: &Frame, window: Window) -> Frame {
        if !window.holds(frame.len()) {
            return Frame::clone(frame);
        }
        let address = frame.as_ptr() as usize;
        if let Some((_, compressed)) = self.done.get(&address) {
            return Frame::clone(compressed);
        }
        let Some(compressed) = self.compress(frame) else { return Frame::clone(frame) };
        self.done.insert(address, (Frame::clone(frame), Frame::clone(&compressed)));
        compressed
    }

    /// Forgets the frames of this turn.
    pub(crate) fn clear(&mut self) {
        if !self.done.is_empty() {
            self.done = HashMap::new();
        }
    }

    fn compress(&mut self, frame: &Frame) -> Option<Frame> {
        let opcode = match frame.first()? {
            0x81 => Opcode::Text,
            0x82 => Opcode::Binary,
            _ => return None,
        };
        let head_bytes = match frame.get(1)? {
            126 => 4,
            127 => 10,
            _ => 2,
        };
        let payload = frame.get(head_bytes..)?;
        if payload.len() < COMPRESSED_BYTES_MIN {
            return None;
        }
        let fresh = || Box::new(Compress::new(Compression::fast(), false));
        let compress = self.compress.get_or_insert_with(fresh);
        compress.reset();
        // One call: where room runs out, a later one brings what waits and forgets the end of the message.
        let mut packed = Vec::with_capacity(packed_bytes_max(payload.len()));
        compress.compress_vec(payload, &mut packed, FlushCompress::Sync).ok()?;
        if compress.total_in() as usize != payload.len() || !packed.ends_with(&TAIL) {
            return None;
        }
        packed.truncate(packed.len() - TAIL.len());
        let mut out = Vec::with_capacity(packed.len() + 10);
        write_head(opcode, packed.len(), &mut out);
        out[0] |= COMPRESSED;
        out.extend_from_slice(&packed);
        Some(out.into())
    }
}

/// Most bytes that a payload becomes: stored blocks of 31 KiB with a head of five bytes each, or a tenth more
/// where codes are longer than what they stand for.
fn packed_bytes_max(payload_bytes: usize) -> usize {
    let stored = (payload_bytes / (31 * 1024) + 1) * 5;
    payload_bytes + stored.max(payload_bytes / 10) + 128
}

/// Takes messages of clients apart.
#[derive(Default)]
pub(crate) struct Inflater {
    decompress: Option<Box<Decompress>>,
}

impl Inflater {
    /// A message's payload; at most `most` bytes come of it, however small it is.
    pub(crate) fn inflate(&mut self, payload: &[u8], most: usize) -> Result<Vec<u8>, Closing> {
        let decompress = self.decompress.get_or_insert_with(|| Box::new(Decompress::new(false)));
        decompress.reset(false);
        let input = [payload, &TAIL].concat();
        let mut out = Vec::new();
        loop {
            out.reserve(STEP_BYTES.min(most + 1));
            let (read, written) = (decompress.total_in(), decompress.total_out());
            let rest = &input[read as usize..];
            let status = decompress.decompress_vec(rest, &mut out, FlushDecompress::Sync);
            if out.len() > most {
                return Err(Closing::TOO_LARGE);
            }
            let moved = (decompress.total_in(), decompress.total_out()) != (read, written);
            match status {
                // A final block ends a message too, and what stands behind it is the tail.
                Ok(Status::StreamEnd) => return Ok(out),
                Ok(_)
                    if decompress.total_in() as usize == input.len()
                        && out.len() < out.capacity() =>
                {
                    return Ok(out);
                }
                Ok(_) if moved => {}
                _ => return Err(Closing::NOT_DEFLATED),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::frames::text;
    use super::*;

    const LARGEST: Window = Window(NonZero::new(WINDOW_BITS).unwrap());

    /// A compressed frame's message.
    fn inflated(frame: &Frame, most: usize) -> Result<Vec<u8>, Closing> {
        let head_bytes = match frame[1] {
            126 => 4,
            127 => 10,
            _ => 2,
        };
        Inflater::default().inflate(&frame[head_bytes..], most)
    }

    #[test]
    fn a_message_comes_back_whatever_its_size() {
        let mut deflater = Deflater::default();
        for size in [128, 1_000, 65_536, 300_000] {
            for step in [1, 251] {
                let payload: Vec<u8> = (0..size).map(|place| (place * step % 256) as u8).collect();
                let frame = deflater.deflate(&text(&payload), LARGEST);
                assert_eq!(frame[0], 0x81 | COMPRESSED);
                assert_eq!(inflated(&frame, size).unwrap(), payload);
                assert_eq!(inflated(&frame, size - 1), Err(Closing::TOO_LARGE));
            }
        }
    }

    #[test]
    fn what_does_not_shrink_comes_back_too() {
        // Noise of an xorshift generator, with stretches that repeat.
        let mut state = 23_u64;
        let noise: Vec<u8> = (0..400_000)
            .map(|place: u32| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                if place % 7_919 < 1_000 { b'x' } else { state as u8 }
            })
            .collect();
        let mut deflater = Deflater::default();
        for size in (128..140_000).step_by(1_009).chain([49_152, 65_536, 131_072, 262_144]) {
            let payload = &noise[size / 3..size / 3 + size];
            let frame = deflater.deflate(&text(payload), LARGEST);
            assert_eq!(frame[0], 0x81 | COMPRESSED, "{size} bytes");
            assert_eq!(inflated(&frame, size).unwrap(), payload, "{size} bytes");
            deflater.clear();
        }
    }

    #[test]
    fn a_frame_is_compressed_once_and_small_ones_stay_as_they_are() {
        let mut deflater = Deflater::default();
        let plain = text(&[b'x'; 1_000]);
        let mut deflate = |frame: &Frame, window| deflater.deflate(frame, window);
        let first = deflate(&plain, LARGEST);
        assert!(first.len() < 50 && Frame::ptr_eq(&first, &deflate(&plain, LARGEST)));
        let small = Window::new(9).unwrap();
        assert!(Frame::ptr_eq(&plain, &deflate(&plain, small)), "it does not lie in the window");
        let short = text(&[b'x'; 500]);
        assert!(deflate(&short, small).len() < 50);
        let tiny = text(b"tiny");
        assert!(Frame::ptr_eq(&tiny, &deflate(&tiny, LARGEST)));
        let response: Frame = b"HTTP/1.1 101 Switching Protocols".repeat(9).into();
        assert!(Frame::ptr_eq(&response, &deflate(&response, LARGEST)));
        deflater.clear();
        assert!(!Frame::ptr_eq(&first, &deflater.deflate(&plain, LARGEST)));
    }

    #[test]
    fn a_bomb_is_cut_at_the_bound_and_noise_is_refused() {
        let bomb = Deflater::default().deflate(&text(&vec![0; 64 << 20]), LARGEST);
        assert!(bomb.len() < 1 << 20);
        assert_eq!(inflated(&bomb, 65_536), Err(Closing::TOO_LARGE));
        let noise = Inflater::default().inflate(&[0xff; 64], 65_536);
        assert_eq!(noise, Err(Closing::NOT_DEFLATED));
    }

    #[test]
    fn an_offer_is_taken_when_all_of_it_can_be_met() {
        for (offers, window) in [
            ("permessage-deflate", Some("")),
            ("permessage-deflate; client_max_window_bits", Some("")),
            ("permessage-deflate; client_max_window_bits=10; server_no_context_takeover", Some("")),
            ("permessage-deflate; server_max_window_bits=15", Some("15")),
            ("permessage-deflate; server_max_window_bits=\"8\"", Some("8")),
            ("permessage-deflate; server_max_window_bits=7, permessage-deflate", Some("")),
            ("x, permessage-deflate; server_max_window_bits=9, permessage-deflate", Some("9")),
            ("permessage-deflate; server_max_window_bits", None),
            ("permessage-deflate; server_max_window_bits=09", None),
            ("permessage-deflate; server_max_window_bits=16", None),
            ("permessage-deflate; client_max_window_bits=7", None),
            ("permessage-deflate; client_max_window_bits=+9", None),
            ("permessage-deflate; client_max_window_bits=", None),
            ("permessage-deflate; client_no_context_takeover=1", None),
            ("permessage-deflate; client_max_window_bits; client_max_window_bits", None),
            ("permessage-deflate; else", None),
            ("x-webkit-deflate-frame", None),
            ("", None),
        ] {
            let response = agree(offers).map(Agreed::response);
            let expected = window.map(|bits| match bits {
                "" => RESPONSE.to_owned(),
                bits => format!("{RESPONSE}; server_max_window_bits={bits}"),
            });
            assert_eq!(response, expected, "{offers}");
        }
    }
}
