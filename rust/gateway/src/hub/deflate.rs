//! permessage-deflate, RFC 7692, without context between messages: a message is compressed once, however many it goes
//! to, and a connection keeps no window.

use std::collections::HashMap;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::frames::{Closing, Frame, Opcode, write_head};

/// What a server answers to an offer that it takes.
pub(crate) const RESPONSE: &str =
    "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

/// Payloads below it grow, or shrink by less than it costs.
const COMPRESSED_BYTES_MIN: usize = 128;

/// The bit of a frame's first byte that says that its message is compressed.
pub(crate) const COMPRESSED: u8 = 0x40;

/// What the end of a message leaves out, RFC 7692 section 7.2.1.
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// Room that an output gets at once.
const STEP_BYTES: usize = 16 * 1024;

/// Whether one of the offers in `Sec-WebSocket-Extensions` can be taken. A window that is smaller than
/// the usual is declined: the compressor has only that one.
pub(crate) fn is_taken(offers: &str) -> bool {
    offers.split(',').any(|offer| {
        let mut parts = offer.split(';').map(str::trim);
        let mut seen = Vec::new();
        parts.next() == Some("permessage-deflate")
            && parts.all(|parameter| {
                let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
                let (name, value) = (name.trim(), value.trim().trim_matches('"'));
                let is_first = !seen.contains(&name);
                seen.push(name);
                is_first
                    && match name {
                        "server_no_context_takeover" | "client_no_context_takeover" => {
                            value.is_empty()
                        }
                        "client_max_window_bits" => {
                            value.is_empty() || matches!(value.parse(), Ok(8..=15))
                        }
                        "server_max_window_bits" => value == "15",
                        _ => false,
                    }
            })
    })
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
    /// A text or binary frame as it goes to who takes compressed ones; others as they are.
    pub(crate) fn deflate(&mut self, frame: &Frame) -> Frame {
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
        let mut packed = Vec::with_capacity(payload.len() / 2 + STEP_BYTES);
        loop {
            let rest = &payload[compress.total_in() as usize..];
            compress.compress_vec(rest, &mut packed, FlushCompress::Sync).ok()?;
            // Room that is left says that everything is out.
            if packed.len() < packed.capacity() {
                break;
            }
            packed.reserve(STEP_BYTES);
        }
        packed.truncate(packed.len() - TAIL.len());
        let mut out = Vec::with_capacity(packed.len() + 10);
        write_head(opcode, packed.len(), &mut out);
        out[0] |= COMPRESSED;
        out.extend_from_slice(&packed);
        Some(out.into())
    }
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
                let frame = deflater.deflate(&text(&payload));
                assert_eq!(frame[0], 0x81 | COMPRESSED);
                assert_eq!(inflated(&frame, size).unwrap(), payload);
                assert_eq!(inflated(&frame, size - 1), Err(Closing::TOO_LARGE));
            }
        }
    }

    #[test]
    fn a_frame_is_compressed_once_and_small_ones_stay_as_they_are() {
        let mut deflater = Deflater::default();
        let plain = text(&[b'x'; 1_000]);
        let first = deflater.deflate(&plain);
        assert!(first.len() < 50 && Frame::ptr_eq(&first, &deflater.deflate(&plain)));
        deflater.clear();
        assert!(!Frame::ptr_eq(&first, &deflater.deflate(&plain)));
        let small = text(b"small");
        assert!(Frame::ptr_eq(&small, &deflater.deflate(&small)));
        let response: Frame = b"HTTP/1.1 101 Switching Protocols".repeat(9).into();
        assert!(Frame::ptr_eq(&response, &deflater.deflate(&response)));
    }

    #[test]
    fn a_bomb_is_cut_at_the_bound_and_noise_is_refused() {
        let bomb = Deflater::default().deflate(&text(&vec![0; 64 << 20]));
        assert!(bomb.len() < 1 << 20);
        assert_eq!(inflated(&bomb, 65_536), Err(Closing::TOO_LARGE));
        let noise = Inflater::default().inflate(&[0xff; 64], 65_536);
        assert_eq!(noise, Err(Closing::NOT_DEFLATED));
    }

    #[test]
    fn an_offer_is_taken_when_all_of_it_can_be_met() {
        for (offers, expected) in [
            ("permessage-deflate", true),
            ("permessage-deflate; client_max_window_bits", true),
            ("permessage-deflate; client_max_window_bits=10; server_no_context_takeover", true),
            ("permessage-deflate; server_max_window_bits=15", true),
            ("permessage-deflate; server_max_window_bits=10", false),
            ("permessage-deflate; server_max_window_bits=10, permessage-deflate", true),
            ("permessage-deflate; client_max_window_bits=7", false),
            ("permessage-deflate; client_no_context_takeover=1", false),
            ("permessage-deflate; client_max_window_bits; client_max_window_bits", false),
            ("permessage-deflate; else", false),
            ("x-webkit-deflate-frame", false),
            ("", false),
        ] {
            assert_eq!(is_taken(offers), expected, "{offers}");
        }
    }
}
