//! Requests and answers as bytes, for both protocols, and what an answer's body says.

use std::io;

use clap::ValueEnum;
use viabtc_wire::frame::{Head, REQUEST, read_frame, write_frame};
use viabtc_wire::json::write_integer;

/// Largest answer that is taken.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Most headers of an HTTP answer's head, in bytes.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// What a server speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Protocol {
    /// Binary frames.
    Rpc,
    /// JSON-RPC in `POST` requests.
    Http,
}

/// A method as both protocols name it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Method {
    pub(crate) command: u32,
    pub(crate) name: &'static str,
}

/// How a request was answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    Accepted,
    /// With the error's code.
    Refused(i32),
}

/// An answer at the start of some bytes.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Answer<'a> {
    /// Number of the request that it answers.
    pub(crate) number: u32,
    pub(crate) body: &'a [u8],
    /// Bytes of the whole answer.
    pub(crate) size: usize,
}

impl Protocol {
    /// Appends a request; `number` comes back in its answer.
    pub(crate) fn write(self, method: Method, number: u32, params: &[u8], out: &mut Vec<u8>) {
        match self {
            Protocol::Rpc => {
                let head = Head {
                    command: method.command,
                    kind: REQUEST,
                    result: 0,
                    sequence: number,
                    request_id: u64::from(number),
                };
                write_frame(&head, b"", params, out);
            }
            Protocol::Http => {
                let mut id = Vec::with_capacity(10);
                write_integer(i64::from(number), &mut id);
                let parts: [&[u8]; 7] = [
                    b"{\"method\": \"",
                    method.name.as_bytes(),
                    b"\", \"params\": ",
                    params,
                    b", \"id\": ",
                    &id,
                    b"}",
                ];
                let size: usize = parts.iter().map(|part| part.len()).sum();
                out.extend_from_slice(b"POST / HTTP/1.1\r\nHost: load\r\nContent-Length: ");
                write_integer(size as i64, out);
                out.extend_from_slice(b"\r\n\r\n");
                for part in parts {
                    out.extend_from_slice(part);
                }
            }
        }
    }

    /// The answer at the start of `bytes`, or `None` while it is incomplete.
    ///
    /// # Errors
    /// When the bytes are no answer.
    pub(crate) fn read(self, bytes: &[u8]) -> io::Result<Option<Answer<'_>>> {
        match self {
            Protocol::Rpc => {
                let frame = read_frame(bytes, ANSWER_BYTES_MAX)
                    .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
                Ok(frame.map(|(frame, size)| {
                    let number = frame.head.sequence;
                    Answer { number, body: frame.body, size }
                }))
            }
            Protocol::Http => read_http(bytes),
        }
    }
}

fn read_http(bytes: &[u8]) -> io::Result<Option<Answer<'_>>> {
    let Some(end) = find(bytes, b"\r\n\r\n") else {
        let is_endless = bytes.len() > HEAD_BYTES_MAX;
        return if is_endless { Err(invalid("a head without end")) } else { Ok(None) };
    };
    let (head, rest) = (&bytes[..end + 2], &bytes[end + 4..]);
    let Some(length) = content_length(head) else {
        return Err(invalid("an answer without Content-Length"));
    };
    let Some(body) = rest.get(..length) else { return Ok(None) };
    let Some(number) = last_id(body) else {
        let first = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
        let text = format!("an answer without id: {}", String::from_utf8_lossy(first));
        return Err(invalid(&text));
    };
    Ok(Some(Answer { number, body, size: end + 4 + length }))
}

fn content_length(head: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"content-length:";
    let mut lines = head.split(|byte| *byte == b'\n');
    let line = lines
        .find(|line| line.get(..NAME.len()).is_some_and(|name| name.eq_ignore_ascii_case(NAME)))?;
    let length = std::str::from_utf8(line[NAME.len()..].trim_ascii()).ok()?;
    length.parse().ok().filter(|length| *length <= ANSWER_BYTES_MAX)
}

/// The envelope's id, its last member.
fn last_id(body: &[u8]) -> Option<u32> {
    let body = body.trim_ascii_end().strip_suffix(b"}")?.trim_ascii_end();
    let digits = body.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&body[body.len() - digits..]).ok()?.parse().ok()
}

/// What the envelope's `error` says; it is the first member, whatever the layout.
pub(crate) fn verdict(body: &[u8]) -> Option<Verdict> {
    let error = body.trim_ascii_start().strip_prefix(b"{")?.trim_ascii_start();
    let error = error.strip_prefix(b"\"error\":")?.trim_ascii_start();
    if error.starts_with(b"null") {
        return Some(Verdict::Accepted);
    }
    let code = error.strip_prefix(b"{")?.trim_ascii_start().strip_prefix(b"\"code\":")?;
    let code = code.trim_ascii_start();
    let digits = code.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let code = std::str::from_utf8(&code[..digits]).ok()?.parse().ok()?;
    Some(Verdict::Refused(code))
}

/// The id of the order that a reply shows.
pub(crate) fn order_id(body: &[u8]) -> Option<u64> {
    let rest = &body[find(body, b"\"id\": ")? + 6..];
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()
}

/// Whether the order that a reply shows met another.
pub(crate) fn has_dealt(body: &[u8]) -> bool {
    const NAME: &[u8] = b"\"deal_stock\": \"";
    let Some(start) = find(body, NAME) else { return false };
    let amount = &body[start + NAME.len()..];
    let digits = amount.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b'.');
    digits.into_iter().any(|byte| matches!(byte, b'1'..=b'9'))
}

fn find(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    bytes.windows(pattern.len()).position(|window| window == pattern)
}

fn invalid(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const METHOD: Method = Method { command: 101, name: "balance.query" };

    #[test]
    fn frames_come_back_with_their_number() {
        let mut bytes = Vec::new();
        Protocol::Rpc.write(METHOD, 7, b"[1]", &mut bytes);
        assert_eq!(Protocol::Rpc.read(&bytes[..38]).unwrap(), None);
        let answer = Protocol::Rpc.read(&bytes).unwrap().unwrap();
        assert_eq!((answer.number, answer.body, answer.size), (7, &b"[1]"[..], 39));
    }

    #[test]
    fn http_requests_say_their_length() {
        let mut bytes = Vec::new();
        Protocol::Http.write(METHOD, 7, b"[1, \"BTC\"]", &mut bytes);
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert_eq!(body, "{\"method\": \"balance.query\", \"params\": [1, \"BTC\"], \"id\": 7}");
        assert!(head.ends_with(&format!("Content-Length: {}", body.len())));
    }

    #[test]
    fn http_answers_are_read_in_pieces_and_in_both_layouts() {
        let body = "{\n    \"error\": {\n        \"code\": 10,\n        \"message\": \"x\"\n    },\n    \"result\": null,\n    \"id\": 12\n}";
        let text = format!("HTTP/1.1 200 OK\r\nCONTENT-length: {}\r\n\r\n{body}", body.len());
        for cut in 0..text.len() {
            assert_eq!(Protocol::Http.read(&text.as_bytes()[..cut]).unwrap(), None, "{cut}");
        }
        let answer = Protocol::Http.read(text.as_bytes()).unwrap().unwrap();
        assert_eq!((answer.number, answer.size), (12, text.len()));
        assert_eq!(verdict(answer.body), Some(Verdict::Refused(10)));
        assert!(Protocol::Http.read(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }

    #[test]
    fn orders_say_their_id_and_whether_they_dealt() {
        let body = |deal: &str| {
            format!(
                "{{\"error\": null, \"result\": {{\"id\": 31, \"deal_stock\": \"{deal}\"}}, \"id\": 5}}"
            )
        };
        assert_eq!(verdict(body("0").as_bytes()), Some(Verdict::Accepted));
        assert_eq!(order_id(body("0").as_bytes()), Some(31));
        for (deal, has) in [("0", false), ("0e-8", false), ("0.00", false), ("0.10", true)] {
            assert_eq!(has_dealt(body(deal).as_bytes()), has, "{deal}");
        }
    }
}
