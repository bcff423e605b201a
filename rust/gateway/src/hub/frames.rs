//! RFC 6455 framing without sockets: bytes in, messages out.
//!
//! Nothing is kept per connection but a message whose fragments are still coming: a frame is decoded in the
//! buffer that it was read into, and unmasked in place.

use std::borrow::Cow;
use std::sync::Arc;

use super::deflate::COMPRESSED;

/// An encoded frame; what is sent to many is encoded once.
pub(crate) type Frame = Arc<[u8]>;

/// Largest payload of a control frame.
const CONTROL_BYTES_MAX: usize = 125;

/// Largest head of a client's frame: two bytes, a length of eight, a mask of four.
pub(crate) const HEAD_BYTES_MAX: usize = 14;

/// Why a connection ends, as it is told to the peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Closing {
    /// RFC 6455, section 7.4.
    pub code: u16,
    /// For a human; at most 123 bytes.
    pub reason: &'static str,
}

impl Closing {
    const fn new(code: u16, reason: &'static str) -> Closing {
        Closing { code, reason }
    }

    /// The service stops.
    pub const GOING_AWAY: Closing = Closing::new(1001, "the service stops: connect again");
    /// The peer asked for more than it may.
    pub const TOO_MUCH: Closing = Closing::new(1008, "more messages than a connection may send");
    /// The peer did not say in time who it is.
    pub const NOBODY: Closing =
        Closing::new(1008, "authenticate sooner: nobody stays here for so long");
    /// The token that the peer showed counts no more, or its signature is too old.
    pub const WITHDRAWN: Closing =
        Closing::new(1008, "token or signature is not valid any more: authenticate again");
    /// The peer was silent for too long.
    pub const IDLE: Closing = Closing::new(1001, "nothing was received for too long");
    /// The peer reads slower than messages come.
    pub const OVERFLOW: Closing =
        Closing::new(1013, "messages come faster than they are read: connect again");
    /// The peer reads nothing.
    pub const STALLED: Closing = Closing::new(1013, "nothing is read: connect again");
    /// A message began long ago and has not ended.
    pub const SLOW: Closing = Closing::new(1008, "a message takes too long to come");
    /// Bytes of a message are no request.
    pub const MALFORMED: Closing = Closing::new(1008, "not a request object");
    /// A frame or message is larger than it may be.
    pub(crate) const TOO_LARGE: Closing = Closing::new(1009, "larger than this service reads");
    pub(crate) const NOT_DEFLATED: Closing =
        Closing::new(1007, "a compressed message cannot be taken apart");
    pub(crate) const NOT_TEXT: Closing = Closing::new(1007, "a text is not UTF-8");
}

const fn broken(reason: &'static str) -> Closing {
    Closing::new(1002, reason)
}

/// What a frame is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Opcode {
    Continuation = 0,
    Text = 1,
    Binary = 2,
    Close = 8,
    Ping = 9,
    Pong = 10,
}

impl Opcode {
    fn from_bits(bits: u8) -> Option<Opcode> {
        use Opcode::{Binary, Close, Continuation, Ping, Pong, Text};
        [Continuation, Text, Binary, Close, Ping, Pong]
            .into_iter()
            .find(|opcode| *opcode as u8 == bits)
    }
}

/// Bounds of what a client may send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FrameLimits {
    /// One frame with its head. Source: `max_pkg_size` of the original.
    pub(crate) frame_bytes_max: usize,
    /// The payloads of a message's fragments together.
    pub(crate) message_bytes_max: usize,
    /// Whether messages may be compressed.
    pub(crate) is_deflating: bool,
}

/// What a client sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Incoming<'a> {
    /// A whole message.
    Message { payload: Cow<'a, [u8]>, is_text: bool, is_compressed: bool },
    /// Part of a message that goes on.
    Fragment,
    /// To be answered with the same payload.
    Ping(&'a [u8]),
    /// Ignored.
    Pong,
    /// To be answered with this code, or without one when there was none.
    Close(Option<u16>),
}

/// Puts fragments together; small while there are none.
#[derive(Debug, Default)]
pub(crate) struct Assembler {
    message: Option<Box<Message>>,
    /// Bytes of a frame whose end has not come that are known to be whole characters.
    looked: u32,
}

/// A message whose end has not come.
#[derive(Debug)]
struct Message {
    is_text: bool,
    is_compressed: bool,
    payload: Vec<u8>,
    /// Bytes of a text that are known to be UTF-8.
    checked: usize,
}

struct Head {
    is_final: bool,
    is_compressed: bool,
    opcode: Opcode,
    mask: [u8; 4],
    head_bytes: usize,
    payload_bytes: usize,
}

impl Assembler {
    /// Whether fragments of a message came whose end has not.
    pub(crate) fn is_open(&self) -> bool {
        self.message.is_some()
    }

    /// Decodes the frame at the start of `input`: what it says and its size. `None` when its rest has not
    /// come; then `input` is unchanged.
    pub(crate) fn next<'a>(
        &mut self,
        input: &'a mut [u8],
        limits: FrameLimits,
    ) -> Result<Option<(Incoming<'a>, usize)>, Closing> {
        let Some(head) = read_head(input, limits)? else { return Ok(None) };
        let size = head.head_bytes + head.payload_bytes;
        if input.len() < size {
            self.look_ahead(&head, &input[head.head_bytes..])?;
            return Ok(None);
        }
        let payload = &mut input[head.head_bytes..size];
        self.looked = 0;
        unmask(payload, head.mask);
        let incoming = match head.opcode {
            Opcode::Ping => Incoming::Ping(payload),
            Opcode::Pong => Incoming::Pong,
            Opcode::Close => Incoming::Close(read_close(payload)?),
            Opcode::Text | Opcode::Binary => {
                if self.message.is_some() {
                    return Err(broken("a message began before another ended"));
                }
                let (is_text, is_compressed) = (head.opcode == Opcode::Text, head.is_compressed);
                if head.is_final {
                    let is_plain_text = is_text && !is_compressed;
                    if is_plain_text && std::str::from_utf8(payload).is_err() {
                        return Err(Closing::NOT_TEXT);
                    }
                    Incoming::Message { payload: Cow::Borrowed(payload), is_text, is_compressed }
                } else {
                    let payload = payload.to_vec();
                    let mut message = Message { is_text, is_compressed, payload, checked: 0 };
                    message.check()?;
                    self.message = Some(Box::new(message));
                    Incoming::Fragment
                }
            }
            Opcode::Continuation => {
                let Some(message) = &mut self.message else {
                    return Err(broken("a fragment goes on with no message"));
                };
                if message.payload.len() + payload.len() > limits.message_bytes_max {
                    return Err(Closing::TOO_LARGE);
                }
                message.payload.extend_from_slice(payload);
                message.check()?;
                if head.is_final { self.finish()? } else { Incoming::Fragment }
            }
        };
        Ok(Some((incoming, size)))
    }

    /// Refuses a text as soon as it cannot become UTF-8, also before its frame's end has come. `masked` is
    /// what came of the payload.
    fn look_ahead(&mut self, head: &Head, masked: &[u8]) -> Result<(), Closing> {
        let message = self.message.as_deref();
        let is_plain_text = match head.opcode {
            Opcode::Text => message.is_none() && !head.is_compressed,
            Opcode::Continuation => message.is_some_and(Message::is_plain_text),
            _ => false,
        };
        if !is_plain_text {
            return Ok(());
        }
        // A character may have begun in the fragment before.
        let begun = message.filter(|_| self.looked == 0);
        let mut text = begun.map_or_else(Vec::new, |message| message.unchecked().to_vec());
        let before = text.len();
        let looked = self.looked as usize;
        let mask = head.mask.iter().cycle().skip(looked % head.mask.len());
        text.extend(masked[looked..].iter().zip(mask).map(|(byte, mask)| byte ^ mask));
        let whole = looked + whole_characters(&text)?.saturating_sub(before);
        // What does not fit is looked at again.
        self.looked = u32::try_from(whole).unwrap_or(self.looked);
        Ok(())
    }

    fn finish(&mut self) -> Result<Incoming<'static>, Closing> {
        let Some(message) = self.message.take() else { return Ok(Incoming::Fragment) };
        if message.is_plain_text() && !message.unchecked().is_empty() {
            return Err(Closing::NOT_TEXT);
        }
        let Message { is_text, is_compressed, payload, .. } = *message;
        Ok(Incoming::Message { payload: Cow::Owned(payload), is_text, is_compressed })
    }
}

impl Message {
    /// Whether it must be UTF-8; of a compressed one nothing is known before its end.
    fn is_plain_text(&self) -> bool {
        self.is_text && !self.is_compressed
    }

    /// The beginning of a character that is cut by the fragment's end.
    fn unchecked(&self) -> &[u8] {
        &self.payload[self.checked..]
    }

    /// Refuses a text as soon as it cannot become UTF-8; a character may be cut by the fragment's end.
    fn check(&mut self) -> Result<(), Closing> {
        if self.is_plain_text() {
            self.checked += whole_characters(self.unchecked())?;
        }
        Ok(())
    }
}

/// Bytes of the whole characters that UTF-8 begins with.
fn whole_characters(bytes: &[u8]) -> Result<usize, Closing> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.len()),
        Err(error) if error.error_len().is_none() => Ok(error.valid_up_to()),
        Err(_) => Err(Closing::NOT_TEXT),
    }
}

fn read_head(input: &[u8], limits: FrameLimits) -> Result<Option<Head>, Closing> {
    let Some(&[first, second]) = input.first_chunk() else { return Ok(None) };
    let Some(opcode) = Opcode::from_bits(first & 0x0f) else {
        return Err(broken("the opcode is unknown"));
    };
    let may_deflate = limits.is_deflating && matches!(opcode, Opcode::Text | Opcode::Binary);
    let allowed = if may_deflate { COMPRESSED } else { 0 };
    if first & 0x70 & !allowed != 0 {
        return Err(broken("a reserved bit is set"));
    }
    let is_compressed = first & COMPRESSED != 0;
    if second & 0x80 == 0 {
        return Err(broken("a client's frame must be masked"));
    }
    let is_final = first & 0x80 != 0;
    let short = usize::from(second & 0x7f);
    if opcode as u8 >= Opcode::Close as u8 && (!is_final || short > CONTROL_BYTES_MAX) {
        return Err(broken("a control frame is whole and has at most 125 bytes"));
    }
    let (length, at) = match short {
        126 => match input[2..].first_chunk() {
            Some(bytes) => (u64::from(u16::from_be_bytes(*bytes)), 4),
            None => return Ok(None),
        },
        127 => match input[2..].first_chunk() {
            Some(bytes) => (u64::from_be_bytes(*bytes), 10),
            None => return Ok(None),
        },
        short => (short as u64, 2),
    };
    if length >> 63 != 0 {
        return Err(broken("a length has 63 bits"));
    }
    let head_bytes = at + 4;
    let most = limits.frame_bytes_max.saturating_sub(head_bytes).min(limits.message_bytes_max);
    let Some(payload_bytes) = usize::try_from(length).ok().filter(|length| *length <= most) else {
        return Err(Closing::TOO_LARGE);
    };
    let Some(mask) = input[at..].first_chunk() else { return Ok(None) };
    Ok(Some(Head { is_final, is_compressed, opcode, mask: *mask, head_bytes, payload_bytes }))
}

/// Undoes, or does, the masking of a client's payload.
pub(crate) fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = payload.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}

fn read_close(payload: &[u8]) -> Result<Option<u16>, Closing> {
    let Some((code, reason)) = payload.split_first_chunk() else {
        return if payload.is_empty() { Ok(None) } else { Err(broken("a close code has 2 bytes")) };
    };
    let code = u16::from_be_bytes(*code);
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        return Err(broken("the close code may not be sent"));
    }
    if std::str::from_utf8(reason).is_err() {
        return Err(Closing::NOT_TEXT);
    }
    Ok(Some(code))
}

/// Appends the head of a server's frame.
pub(crate) fn write_head(opcode: Opcode, payload_bytes: usize, out: &mut Vec<u8>) {
    out.push(0x80 | opcode as u8);
    match payload_bytes {
        0..=125 => out.push(payload_bytes as u8),
        126..=0xffff => {
            out.push(126);
            out.extend_from_slice(&(payload_bytes as u16).to_be_bytes());
        }
        _ => {
            out.push(127);
            out.extend_from_slice(&(payload_bytes as u64).to_be_bytes());
        }
    }
}

/// A server's frame.
pub(crate) fn frame(opcode: Opcode, parts: &[&[u8]]) -> Frame {
    let payload_bytes = parts.iter().map(|part| part.len()).sum();
    let mut out = Vec::with_capacity(HEAD_BYTES_MAX + payload_bytes);
    write_head(opcode, payload_bytes, &mut out);
    for part in parts {
        out.extend_from_slice(part);
    }
    out.into()
}

/// A server's text frame.
pub(crate) fn text(payload: &[u8]) -> Frame {
    frame(Opcode::Text, &[payload])
}

/// A close frame.
pub(crate) fn close(code: Option<u16>, reason: &str) -> Frame {
    match code {
        Some(code) => frame(Opcode::Close, &[&code.to_be_bytes(), reason.as_bytes()]),
        None => frame(Opcode::Close, &[]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: FrameLimits =
        FrameLimits { frame_bytes_max: 70_000, message_bytes_max: 100_000, is_deflating: false };

    fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
        let mask = [0x12, 0x34, 0x56, 0x78];
        let mut out = Vec::new();
        write_head(Opcode::Text, payload.len(), &mut out);
        (out[0], out[1]) = (first, out[1] | 0x80);
        out.extend_from_slice(&mask);
        let start = out.len();
        out.extend_from_slice(payload);
        unmask(&mut out[start..], mask);
        out
    }

    fn one(frames: &[Vec<u8>]) -> Result<Vec<String>, Closing> {
        let mut assembler = Assembler::default();
        let mut seen = Vec::new();
        for frame in frames {
            let mut frame = frame.clone();
            let size = frame.len();
            match assembler.next(&mut frame, LIMITS)? {
                Some((incoming, taken)) => {
                    assert_eq!(taken, size);
                    seen.push(format!("{incoming:?}"));
                }
                None => seen.push("more".into()),
            }
        }
        Ok(seen)
    }

    #[test]
    fn a_frame_is_decoded_wherever_it_is_cut_and_untouched_before() {
        for length in [0, 1, 7, 8, 125, 126, 127, 65_535, 65_536] {
            let payload: Vec<u8> = (0..length).map(|index| b'a' + (index % 23) as u8).collect();
            let whole = masked(0x81, &payload);
            for cut in (0..whole.len()).filter(|cut| *cut < 20 || whole.len() - cut < 3) {
                let mut input = whole[..cut].to_vec();
                assert_eq!(Assembler::default().next(&mut input, LIMITS), Ok(None));
                assert_eq!(input, whole[..cut]);
            }
            let mut input = [whole.clone(), vec![0xff; 3]].concat();
            let (incoming, size) = Assembler::default().next(&mut input, LIMITS).unwrap().unwrap();
            let payload = Cow::Borrowed(&payload[..]);
            assert_eq!(
                (incoming, size),
                (Incoming::Message { payload, is_text: true, is_compressed: false }, whole.len())
            );
        }
    }

    #[test]
    fn fragments_become_one_message_with_control_frames_between() {
        let euro = "€".as_bytes();
        let seen = one(&[
            masked(0x01, &euro[..1]),
            masked(0x89, b"p"),
            masked(0x00, &euro[1..2]),
            masked(0x8a, b""),
            masked(0x80, &euro[2..]),
            masked(0x82, b"\xff"),
        ]);
        let expected = [
            "Fragment",
            "Ping([112])",
            "Fragment",
            "Pong",
            "Message { payload: [226, 130, 172], is_text: true, is_compressed: false }",
            "Message { payload: [255], is_text: false, is_compressed: false }",
        ];
        assert_eq!(seen.unwrap(), expected);
    }

    #[test]
    fn a_text_is_refused_at_its_first_wrong_byte_however_it_is_cut() {
        let valid = "a€\u{10ffff}é".as_bytes();
        let wrong = b"\xf4\x90";
        for first in 0..=valid.len() {
            let (before, rest) = valid.split_at(first);
            let rest = [rest, wrong, b"more"].concat();
            for is_split in [false, true] {
                let mut assembler = Assembler::default();
                let frame = if is_split {
                    let mut fragment = masked(0x01, before);
                    let size = fragment.len();
                    let seen = assembler.next(&mut fragment, LIMITS);
                    assert_eq!(seen, Ok(Some((Incoming::Fragment, size))));
                    masked(0x80, &rest)
                } else {
                    masked(0x81, &[before, &rest].concat())
                };
                // All but "more" must have come, and nothing of it.
                let fatal = frame.len() - b"more".len();
                for cut in 0..fatal {
                    let mut input = frame[..cut].to_vec();
                    assert_eq!(assembler.next(&mut input, LIMITS), Ok(None), "{first} {cut}");
                    assert_eq!(input, frame[..cut]);
                }
                let mut input = frame[..fatal].to_vec();
                let seen = assembler.next(&mut input, LIMITS);
                assert_eq!(seen, Err(Closing::NOT_TEXT), "{first}");
            }
        }
    }

    #[test]
    fn sizes_are_judged_before_the_payload_comes() {
        let head = |length: u64| {
            let mut head = vec![0x82, 0xff];
            head.extend_from_slice(&length.to_be_bytes());
            head
        };
        for (length, code) in
            [(69_987, 1009), (u64::MAX >> 1, 1009), (u64::MAX, 1002), (1 << 63, 1002)]
        {
            let closing = Assembler::default().next(&mut head(length), LIMITS).unwrap_err();
            assert_eq!(closing.code, code, "{length}");
        }
        assert_eq!(Assembler::default().next(&mut head(69_986), LIMITS), Ok(None));
        let piece = vec![b'x'; 60_000];
        let closing = one(&[masked(0x02, &piece), masked(0x80, &piece)]).unwrap_err();
        assert_eq!(closing, Closing::TOO_LARGE);
    }
}
