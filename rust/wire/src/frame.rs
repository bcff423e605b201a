//! Frames of the binary RPC: a packed head of 36 bytes, an extension, a body.
//!
//! | offset | bytes | field |
//! | ---: | ---: | --- |
//! | 0 | 4 | magic, the bytes `beep` |
//! | 4 | 4 | command |
//! | 8 | 2 | kind: 0 request, 1 reply, 2 push |
//! | 10 | 4 | result |
//! | 14 | 4 | CRC-32 (IEEE) of the whole frame with these four bytes zero |
//! | 18 | 4 | sequence |
//! | 22 | 8 | request id |
//! | 30 | 4 | bytes of the body |
//! | 34 | 2 | bytes of the extension |
//! | 36 | | extension, then body |
//!
//! Integers are little endian.

/// Bytes of a head.
pub const HEAD_BYTES: usize = 36;

/// Command of a heartbeat.
pub const HEARTBEAT: u32 = 0;

/// Kind of a request.
pub const REQUEST: u16 = 0;

/// Kind of a reply.
pub const REPLY: u16 = 1;

const MAGIC: [u8; 4] = *b"beep";

/// What a head says beside sizes and checksum.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Head {
    /// Number of the method.
    pub command: u32,
    /// Request, reply or push; not checked by servers.
    pub kind: u16,
    /// Echoed.
    pub result: u32,
    /// Chosen by the caller, echoed: matches reply to request.
    pub sequence: u32,
    /// Chosen by the caller, echoed; the `id` of the reply's envelope, as a signed number.
    pub request_id: u64,
}

/// A whole frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Frame<'a> {
    /// Its head.
    pub head: Head,
    /// Opaque, echoed.
    pub extension: &'a [u8],
    /// JSON text, or the items of a heartbeat.
    pub body: &'a [u8],
}

/// Bytes that are no frame; fatal for a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FrameError {
    /// The first four bytes are not `beep`.
    #[error("the magic number is wrong")]
    Magic,
    /// Larger than may be received.
    #[error("the frame announces {0} bytes, more than may be received")]
    TooLarge(u64),
    /// The checksum does not fit.
    #[error("the checksum is wrong")]
    Checksum,
}

/// The frame at the start of `bytes` and its size, or `None` while it is incomplete. A frame of more than
/// `bytes_max` is refused as soon as its head is there.
///
/// # Errors
/// When the bytes are no frame.
pub fn read_frame(
    bytes: &[u8],
    bytes_max: usize,
) -> Result<Option<(Frame<'_>, usize)>, FrameError> {
    let Some(head) = bytes.first_chunk::<HEAD_BYTES>() else { return Ok(None) };
    if head[..4] != MAGIC {
        return Err(FrameError::Magic);
    }
    let body_bytes = u32::from_le_bytes([head[30], head[31], head[32], head[33]]);
    let extension_bytes = u16::from_le_bytes([head[34], head[35]]);
    let size = HEAD_BYTES as u64 + u64::from(extension_bytes) + u64::from(body_bytes);
    if size > bytes_max as u64 {
        return Err(FrameError::TooLarge(size));
    }
    let size = size as usize;
    let Some(frame) = bytes.get(..size) else { return Ok(None) };
    let checksum = u32::from_le_bytes([head[14], head[15], head[16], head[17]]);
    if checksum != checksum_of(frame) {
        return Err(FrameError::Checksum);
    }
    let head = head_of(head);
    let (extension, body) = frame[HEAD_BYTES..].split_at(usize::from(extension_bytes));
    Ok(Some((Frame { head, extension, body }, size)))
}

/// The head at the start of `bytes`, of a frame that is not there whole; its checksum is not looked at.
pub fn read_head(bytes: &[u8]) -> Option<Head> {
    bytes.first_chunk::<HEAD_BYTES>().map(head_of)
}

fn head_of(bytes: &[u8; HEAD_BYTES]) -> Head {
    let word =
        |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    Head {
        command: word(4),
        kind: u16::from_le_bytes([bytes[8], bytes[9]]),
        result: word(10),
        sequence: word(18),
        request_id: u64::from(word(26)) << 32 | u64::from(word(22)),
    }
}

/// Appends a frame.
///
/// # Panics
/// When the extension has more than 65,535 bytes or the body more than 32 bits can count.
pub fn write_frame(head: &Head, extension: &[u8], body: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.reserve(HEAD_BYTES + extension.len() + body.len());
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&head.command.to_le_bytes());
    out.extend_from_slice(&head.kind.to_le_bytes());
    out.extend_from_slice(&head.result.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&head.sequence.to_le_bytes());
    out.extend_from_slice(&head.request_id.to_le_bytes());
    let body_bytes = u32::try_from(body.len()).expect("bodies are bounded by their makers");
    out.extend_from_slice(&body_bytes.to_le_bytes());
    let extension_bytes = u16::try_from(extension.len()).expect("extensions are echoed");
    out.extend_from_slice(&extension_bytes.to_le_bytes());
    out.extend_from_slice(extension);
    out.extend_from_slice(body);
    let checksum = checksum_of(&out[start..]);
    out[start + 14..start + 18].copy_from_slice(&checksum.to_le_bytes());
}

/// Timeout that a heartbeat's items ask for, in milliseconds; `None` when they do not say.
///
/// # Errors
/// When the items are malformed.
pub fn read_heartbeat(mut items: &[u8]) -> Result<Option<u32>, FrameError> {
    /// Type of the item that holds the timeout.
    const TIMEOUT: u16 = 1;
    let mut timeout = None;
    while !items.is_empty() {
        // Source: ut_pack.c wants four bytes left where it takes two, so an item has at least six.
        if items.len() < 6 {
            return Err(FrameError::Checksum);
        }
        let kind = u16::from_le_bytes([items[0], items[1]]);
        let length = usize::from(u16::from_le_bytes([items[2], items[3]]));
        let value = items.get(4..4 + length).ok_or(FrameError::Checksum)?;
        if kind == TIMEOUT {
            let value: [u8; 4] = value.try_into().map_err(|_| FrameError::Checksum)?;
            timeout = Some(u32::from_le_bytes(value));
        }
        items = &items[4 + length..];
    }
    Ok(timeout)
}

/// The items of a heartbeat that asks for a timeout.
pub fn heartbeat_items(timeout_ms: u32) -> [u8; 8] {
    let [a, b, c, d] = timeout_ms.to_le_bytes();
    [1, 0, 4, 0, a, b, c, d]
}

fn checksum_of(frame: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&frame[..14]);
    hasher.update(&[0; 4]);
    hasher.update(&frame[18..]);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_of(hex: &str) -> Vec<u8> {
        let digits: String = hex.split_whitespace().collect();
        (0..digits.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
            .collect()
    }

    fn written(head: Head, extension: &[u8], body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        write_frame(&head, extension, body, &mut out);
        out
    }

    #[test]
    fn the_worked_examples_come_out_byte_by_byte() {
        let head = Head { command: 101, sequence: 5, request_id: 7, ..Head::default() };
        let request = bytes_of(
            "62 65 65 70 65 00 00 00 00 00 00 00 00 00 f6 ce 87 41 05 00 00 00 07 00 00 00 00 00 00 00 0a 00
             00 00 00 00 5b 31 2c 20 22 42 54 43 22 5d",
        );
        assert_eq!(written(head, b"", b"[1, \"BTC\"]"), request);
        let (frame, size) = read_frame(&request, 46).unwrap().unwrap();
        assert_eq!((frame.head, frame.body, size), (head, &b"[1, \"BTC\"]"[..], 46));
        let beat = bytes_of(
            "62 65 65 70 00 00 00 00 00 00 00 00 00 00 e3 9c b2 1f 00 00 00 00 00 00 00 00 00 00 00 00 08 00
             00 00 00 00 01 00 04 00 b8 0b 00 00",
        );
        assert_eq!(written(Head::default(), b"", &heartbeat_items(3000)), beat);
        let head = Head { command: 104, sequence: 1, request_id: 2, ..Head::default() };
        let extended = bytes_of(
            "62 65 65 70 68 00 00 00 00 00 00 00 00 00 c6 2d 58 08 01 00 00 00 02 00 00 00 00 00 00 00 02 00
             00 00 02 00 41 42 5b 5d",
        );
        assert_eq!(written(head, b"AB", b"[]"), extended);
    }

    #[test]
    fn cuts_wait_and_flips_are_refused() {
        let frame = written(Head { command: 1, ..Head::default() }, b"x", b"body");
        for cut in 0..frame.len() {
            assert_eq!(read_frame(&frame[..cut], 100), Ok(None));
        }
        for bit in 0..frame.len() * 8 {
            let mut flipped = frame.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(!matches!(read_frame(&flipped, 100), Ok(Some(_))), "bit {bit}");
        }
    }

    #[test]
    fn sizes_do_not_wrap_and_are_judged_by_the_head_alone() {
        let mut head = written(Head::default(), b"", b"");
        head[30..34].copy_from_slice(&u32::MAX.to_le_bytes());
        head[34..36].copy_from_slice(&u16::MAX.to_le_bytes());
        assert_eq!(
            read_frame(&head, 10_240),
            Err(FrameError::TooLarge(36 + 65_535 + 4_294_967_295))
        );
        let exact = written(Head::default(), b"", &[b' '; 64]);
        assert!(read_frame(&exact, 100).unwrap().is_some());
        assert_eq!(read_frame(&exact[..36], 99), Err(FrameError::TooLarge(100)));
    }

    #[test]
    fn heartbeats_need_six_bytes_an_item() {
        assert_eq!(read_heartbeat(b""), Ok(None));
        assert_eq!(read_heartbeat(&heartbeat_items(3000)), Ok(Some(3000)));
        assert_eq!(read_heartbeat(&[9, 0, 2, 0, 1, 1]), Ok(None));
        for malformed in
            [&[1, 0][..], &[9, 0, 1, 0, 1], &[1, 0, 3, 0, 1, 1, 1], &[9, 0, 9, 0, 1, 1]]
        {
            assert!(read_heartbeat(malformed).is_err(), "{malformed:?}");
        }
    }
}
