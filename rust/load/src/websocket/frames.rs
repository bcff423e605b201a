//! A client's side of RFC 6455, as far as a listener needs it.

use std::ops::Range;

/// The bit that says that a frame is a message's last.
const FINAL: u8 = 0x80;

/// The bit that says that a payload is masked.
const MASKED: u8 = 0x80;

pub(crate) const TEXT: u8 = 1;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

/// Largest payload that a listener takes.
const PAYLOAD_BYTES_MAX: u64 = 16 << 20;

/// A frame at the start of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) opcode: u8,
    pub(crate) is_final: bool,
    pub(crate) payload: Range<usize>,
}

/// The frame at the start of `input`; `None` while its rest has not come.
///
/// # Errors
/// When a server does not send such frames.
pub(crate) fn read_frame(input: &[u8]) -> Result<Option<Head>, String> {
    let &[first, second, ..] = input else { return Ok(None) };
    if second & MASKED != 0 {
        return Err("the server masks its frames".to_owned());
    }
    let (head_bytes, payload_bytes) = match second {
        126 => match input.get(2..4) {
            Some(bytes) => (4, u64::from(u16::from_be_bytes([bytes[0], bytes[1]]))),
            None => return Ok(None),
        },
        127 => match input.get(2..10).and_then(|bytes| bytes.try_into().ok()) {
            Some(bytes) => (10, u64::from_be_bytes(bytes)),
            None => return Ok(None),
        },
        size => (2, u64::from(size)),
    };
    if payload_bytes > PAYLOAD_BYTES_MAX {
        return Err(format!("the server sends a frame of {payload_bytes} bytes"));
    }
    let payload = head_bytes..head_bytes + payload_bytes as usize;
    let is_whole = payload.end <= input.len();
    let head = Head { opcode: first & 0x0f, is_final: first & FINAL != 0, payload };
    Ok(is_whole.then_some(head))
}

/// How many bytes the frame at the start of `input` wants next: what its head needs, then all of its rest. Never 0
/// for a frame that is not whole, and never a byte of the next frame but for heads of fewer than four bytes.
pub(crate) fn missing(input: &[u8]) -> usize {
    let whole = match *input {
        [_, 126, high, low, ..] => 4 + usize::from(u16::from_be_bytes([high, low])),
        [_, 127, ..] => match input.get(2..10).and_then(|bytes| bytes.try_into().ok()) {
            // What is too long is refused when its head is read.
            Some(bytes) => 10 + u64::from_be_bytes(bytes).min(PAYLOAD_BYTES_MAX) as usize,
            None => 10,
        },
        [_, size, _, _, ..] => 2 + usize::from(size),
        _ => 4,
    };
    whole.saturating_sub(input.len()).max(1)
}

/// Appends a whole masked frame. The mask is zero: it protects proxies from what a browser's page may
/// send, of which there are none here.
pub(crate) fn write_frame(opcode: u8, payload: &[u8], out: &mut Vec<u8>) {
    out.push(FINAL | opcode);
    match payload.len() {
        size @ 0..126 => out.push(MASKED | size as u8),
        size @ 126..65_536 => {
            out.push(MASKED | 126);
            out.extend_from_slice(&(size as u16).to_be_bytes());
        }
        size => {
            out.push(MASKED | 127);
            out.extend_from_slice(&(size as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_read_when_it_is_whole_whatever_its_length() {
        for size in [0, 1, 125, 126, 65_535, 65_536] {
            let mut masked = Vec::new();
            write_frame(TEXT, &vec![b'x'; size], &mut masked);
            // A server's frame has the same head without the mask.
            let head_bytes = masked.len() - size - 4;
            let mut frame = masked[..head_bytes].to_vec();
            frame[1] &= !MASKED;
            frame.resize(head_bytes + size, b'x');
            let payload = head_bytes..frame.len();
            let expected = Head { opcode: TEXT, is_final: true, payload };
            assert_eq!(read_frame(&frame), Ok(Some(expected)), "{size}");
            assert_eq!(read_frame(&frame[..frame.len() - 1]), Ok(None), "{size}");
            // Read in the pieces that are asked for, it ends with one of them; one of three bytes or less with the next head.
            let stream = [&frame[..], &[0x81, 0]].concat();
            let mut read = 0;
            while read_frame(&stream[..read]) == Ok(None) {
                read += missing(&stream[..read]);
            }
            assert_eq!(read, frame.len().max(4), "{size}");
        }
    }

    #[test]
    fn what_no_server_sends_is_refused() {
        assert!(read_frame(&[0x81, 0x80]).is_err());
        assert!(read_frame(&[0x81, 127, 1, 0, 0, 0, 0, 0, 0, 0]).is_err());
    }
}
