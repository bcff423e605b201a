//! HTTP/1.1 requests out of bytes that come in any number of pieces.

use std::borrow::Cow;
use std::ops::Range;

/// Largest head of a request. Source: the limit of the original's parser.
pub(crate) const HEAD_BYTES_MAX: usize = 80 * 1024;

/// Bytes in which a request line is looked for at every piece that comes; looking at a long head again and
/// again would let a slow sender cost much.
const LINE_BYTES: usize = 256;

/// Longest id of a request that is taken from its client.
const REQUEST_ID_BYTES_MAX: usize = 64;

/// Headers for which there is room at once; where a request has more, room is made for it. Only the size of
/// a head is limited, as in the original's parser.
const HEADERS_USUAL: usize = 64;

/// Bytes of chunk framing that a body may have beside its content.
const CHUNK_FRAMING_BYTES_MAX: usize = 64 * 1024;

/// A whole request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request<'a> {
    pub(crate) is_post: bool,
    /// The answer has no body.
    pub(crate) is_head: bool,
    pub(crate) body: Cow<'a, [u8]>,
    /// Whether the connection stays open after the answer.
    pub(crate) keeps_alive: bool,
    /// What the client calls the request, where a log can bear it.
    pub(crate) given: Option<Box<str>>,
}

/// What the bytes so far are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Parsed<'a> {
    /// The begin of a request.
    Partial {
        /// The client waits for `100 Continue` before it sends the body.
        is_awaiting: bool,
    },
    /// A request and its size.
    Whole(Request<'a>, usize),
}

/// The bytes are no request that can be answered in its own terms.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum HttpError {
    /// No HTTP: nothing is answered.
    Malformed,
    /// HTTP whose body is too large or framed in a way that is not served: answered with 400.
    Unservable,
}

/// What is known of a request that is not whole yet.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    /// Empty lines before the request; they do not end a head.
    blank: usize,
    /// Bytes that were searched for the end of the head.
    searched: usize,
    head: Option<Head>,
}

#[derive(Debug)]
struct Head {
    bytes: usize,
    is_post: bool,
    is_head: bool,
    keeps_alive: bool,
    awaits_continue: bool,
    given: Option<Box<str>>,
    body: Framing,
}

#[derive(Debug)]
enum Framing {
    Length(usize),
    Chunked(Chunks),
}

impl Parser {
    /// Looks at all bytes that came since the last whole request.
    pub(crate) fn parse<'a>(
        &mut self,
        input: &'a [u8],
        body_max: usize,
    ) -> Result<Parsed<'a>, HttpError> {
        if self.head.is_none() {
            let is_blank = |byte: &u8| matches!(byte, b'\r' | b'\n');
            self.blank += input[self.blank..].iter().take_while(|byte| is_blank(byte)).count();
            let from = self.searched.saturating_sub(3).max(self.blank);
            let is_ended = input[from..].windows(2).any(|pair| pair == b"\n\n")
                || input[from..].windows(3).any(|triple| triple == b"\n\r\n");
            self.searched = input.len();
            if is_ended {
                self.head = Some(read_head(input, body_max)?);
            } else if input.len() > HEAD_BYTES_MAX || (from < LINE_BYTES && is_no_http(input)) {
                return Err(HttpError::Malformed);
            }
        }
        let Some(head) = &mut self.head else { return Ok(Parsed::Partial { is_awaiting: false }) };
        let rest = &input[head.bytes..];
        let body = match &mut head.body {
            Framing::Length(length) => {
                rest.get(..*length).map(|body| (Cow::Borrowed(body), *length))
            }
            Framing::Chunked(chunks) => {
                let size = chunks.decode(rest, body_max)?;
                size.map(|size| (Cow::Owned(std::mem::take(&mut chunks.content)), size))
            }
        };
        let Some((body, body_bytes)) = body else {
            let is_awaiting = head.awaits_continue && rest.is_empty();
            return Ok(Parsed::Partial { is_awaiting });
        };
        let request = Request {
            is_post: head.is_post,
            is_head: head.is_head,
            body,
            keeps_alive: head.keeps_alive,
            given: head.given.take(),
        };
        let size = head.bytes + body_bytes;
        *self = Parser::default();
        Ok(Parsed::Whole(request, size))
    }
}

/// Whether the first bytes can never become a request line.
fn is_no_http(input: &[u8]) -> bool {
    let start = input.iter().position(|byte| !matches!(byte, b'\r' | b'\n'));
    let Some(start) = start else { return false };
    let line = input[start..].split_inclusive(|byte| *byte == b'\n').next().unwrap_or_default();
    input.len() - start > 16 && httparse::Request::new(&mut []).parse(line).is_err()
}

/// Reads the head at the start of `input`, which is there whole.
fn read_head(input: &[u8], body_max: usize) -> Result<Head, HttpError> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_USUAL];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(input) {
        Ok(httparse::Status::Complete(bytes)) => understand_head(&request, bytes, body_max),
        Ok(httparse::Status::Partial) => Err(HttpError::Malformed),
        Err(_) => read_unusual_head(input, body_max),
    }
}

/// As `read_head`, for a head of many headers, or with lines that go on in the next line (RFC 9112, 5.2):
/// their ends become spaces.
fn read_unusual_head(input: &[u8], body_max: usize) -> Result<Head, HttpError> {
    let mut head = input[..input.len().min(HEAD_BYTES_MAX)].to_vec();
    let mut lines = 0;
    let mut previous = 0..0;
    let mut start = head.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(0);
    while let Some(length) = head[start..].iter().position(|byte| *byte == b'\n') {
        let line = start..start + length + 1;
        if head[line.clone()].trim_ascii().is_empty() && !matches!(head[line.start], b' ' | b'\t') {
            break;
        }
        // The line of the request has no continuation: what begins with a space there is no header.
        if lines > 1 && matches!(head[line.start], b' ' | b'\t') {
            let end = previous.start + head[previous].trim_ascii_end().len();
            head[end..line.start].fill(b' ');
        }
        lines += 1;
        start = line.end;
        previous = line;
    }
    let mut headers = vec![httparse::EMPTY_HEADER; lines];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(&head) {
        Ok(httparse::Status::Complete(bytes)) => understand_head(&request, bytes, body_max),
        _ => Err(HttpError::Malformed),
    }
}

/// What a head of `bytes` bytes says of its request.
fn understand_head(
    request: &httparse::Request<'_, '_>,
    bytes: usize,
    body_max: usize,
) -> Result<Head, HttpError> {
    if bytes > HEAD_BYTES_MAX {
        return Err(HttpError::Malformed);
    }
    let is_new = request.version == Some(1);
    let mut keeps_alive = is_new;
    let mut awaits_continue = false;
    let mut length: Option<usize> = None;
    let mut is_chunked = false;
    let mut given = None;
    for header in request.headers.iter() {
        let value = header.value.trim_ascii();
        if header.name.eq_ignore_ascii_case("content-length") {
            let is_number = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
            let number = std::str::from_utf8(value).ok().and_then(|value| value.parse().ok());
            match (is_number, number, length) {
                (true, Some(number), None) => length = Some(number),
                (true, Some(number), Some(other)) if number == other => {}
                _ => return Err(HttpError::Unservable),
            }
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            if is_chunked || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(HttpError::Unservable);
            }
            is_chunked = true;
        } else if header.name.eq_ignore_ascii_case("connection") {
            for word in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                if word.eq_ignore_ascii_case(b"close") {
                    keeps_alive = false;
                } else if word.eq_ignore_ascii_case(b"keep-alive") {
                    keeps_alive = true;
                }
            }
        } else if header.name.eq_ignore_ascii_case("expect") {
            awaits_continue = is_new && value.eq_ignore_ascii_case(b"100-continue");
        } else if header.name.eq_ignore_ascii_case("x-request-id") {
            given = read_request_id(value);
        }
    }
    let body = match (is_chunked, length) {
        // Both lengths at once are how requests are smuggled past a proxy.
        (true, Some(_)) => return Err(HttpError::Unservable),
        (true, None) => Framing::Chunked(Chunks::default()),
        (false, length) => Framing::Length(length.unwrap_or(0)),
    };
    if length.is_some_and(|length| length > body_max) {
        return Err(HttpError::Unservable);
    }
    let is_post = request.method == Some("POST");
    let is_head = request.method == Some("HEAD");
    Ok(Head { bytes, is_post, is_head, keeps_alive, awaits_continue, given, body })
}

/// An id that cannot be anything else in a log: up to 64 letters, digits, `_`, `.` and `-`.
fn read_request_id(value: &[u8]) -> Option<Box<str>> {
    let is_safe = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    let is_usable = (1..=REQUEST_ID_BYTES_MAX).contains(&value.len()) && value.iter().all(is_safe);
    is_usable.then(|| String::from_utf8_lossy(value).into())
}

/// A chunked body that is being decoded.
#[derive(Debug, Default)]
struct Chunks {
    content: Vec<u8>,
    /// Bytes decoded.
    position: usize,
    is_last: bool,
}

impl Chunks {
    /// Goes on in `input`, the bytes behind the head; the size of the whole body once it is there.
    fn decode(&mut self, input: &[u8], body_max: usize) -> Result<Option<usize>, HttpError> {
        loop {
            if self.position > self.content.len() + CHUNK_FRAMING_BYTES_MAX {
                return Err(HttpError::Unservable);
            }
            let rest = &input[self.position..];
            let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
                let is_long = rest.len() > CHUNK_FRAMING_BYTES_MAX;
                return if is_long { Err(HttpError::Unservable) } else { Ok(None) };
            };
            if self.is_last {
                // Trailers are read over, up to the empty line.
                self.position += end + 1;
                if rest[..end].trim_ascii().is_empty() {
                    return Ok(Some(self.position));
                }
                continue;
            }
            let Some(Range { start, end: stop }) = chunk(&rest[..=end])? else { return Ok(None) };
            if stop - start == 0 {
                self.is_last = true;
                self.position += start;
                continue;
            }
            if self.content.len() + (stop - start) > body_max {
                return Err(HttpError::Unservable);
            }
            let Some(after) = rest.get(stop..stop + 2) else { return Ok(None) };
            if after != b"\r\n" {
                return Err(HttpError::Unservable);
            }
            self.content.extend_from_slice(&rest[start..stop]);
            self.position += stop + 2;
        }
    }
}

/// Where the content stands of the chunk that begins with the line `line`.
fn chunk(line: &[u8]) -> Result<Option<Range<usize>>, HttpError> {
    match httparse::parse_chunk_size(line) {
        Ok(httparse::Status::Complete((start, size))) => {
            let size = usize::try_from(size).map_err(|_| HttpError::Unservable)?;
            let end = start.checked_add(size).ok_or(HttpError::Unservable)?;
            Ok(Some(start..end))
        }
        Ok(httparse::Status::Partial) => Ok(None),
        Err(_) => Err(HttpError::Unservable),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_at_once(input: &[u8]) -> Result<Option<(String, bool, usize)>, HttpError> {
        match Parser::default().parse(input, 100)? {
            Parsed::Partial { .. } => Ok(None),
            Parsed::Whole(request, size) => {
                let body = String::from_utf8(request.body.into_owned()).unwrap();
                Ok(Some((body, request.keeps_alive, size)))
            }
        }
    }

    #[test]
    fn an_id_is_taken_where_a_log_can_bear_it() {
        let longest = "x".repeat(REQUEST_ID_BYTES_MAX);
        for (given, expected) in [
            ("ticket-42", Some("ticket-42")),
            (" A_b.c-9 ", Some("A_b.c-9")),
            (longest.as_str(), Some(longest.as_str())),
            (&format!("{longest}x"), None),
            ("", None),
            ("a b", None),
            ("a\"b", None),
            ("caf\u{e9}", None),
        ] {
            let input = format!("POST / HTTP/1.1\r\nx-request-ID: {given}\r\n\r\n");
            let Ok(Parsed::Whole(request, _)) = Parser::default().parse(input.as_bytes(), 100)
            else {
                panic!("{given} is no reason to refuse a request");
            };
            assert_eq!(request.given.as_deref(), expected, "{given}");
        }
    }

    #[test]
    fn bodies_come_out_whole_wherever_they_are_cut() {
        for input in [
            "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
            "POST /x?y HTTP/1.1\nHost: a\ncontent-length:5\n\nhello",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nA: b\r\n\r\n",
        ] {
            let input = input.as_bytes();
            for cut in 0..input.len() {
                let mut parser = Parser::default();
                assert!(
                    matches!(parser.parse(&input[..cut], 100), Ok(Parsed::Partial { .. })),
                    "{cut}"
                );
                let Ok(Parsed::Whole(request, size)) = parser.parse(input, 100) else {
                    panic!("{cut}")
                };
                assert_eq!((&*request.body, size), (&b"hello"[..], input.len()), "{cut}");
            }
            let mut parser = Parser::default();
            for end in 0..input.len() {
                assert!(matches!(parser.parse(&input[..end], 100), Ok(Parsed::Partial { .. })));
            }
            assert!(matches!(parser.parse(input, 100), Ok(Parsed::Whole(..))));
        }
    }

    #[test]
    fn framing_that_could_be_read_in_two_ways_is_refused() {
        for headers in [
            "Content-Length: 5\r\nContent-Length: 6",
            "Content-Length: 5\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: gzip, chunked",
            "Content-Length: +5",
            "Content-Length: 5, 5",
            "Content-Length: 101",
            "Content-Length: 99999999999999999999999",
        ] {
            let input = format!("POST / HTTP/1.1\r\n{headers}\r\n\r\nhello");
            assert_eq!(parse_at_once(input.as_bytes()), Err(HttpError::Unservable), "{headers}");
        }
        for body in ["5\r\nhelloXX0\r\n\r\n", "g\r\n", "65\r\n", "ffffffffffffffff\r\n"] {
            let input = format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
            assert_eq!(parse_at_once(input.as_bytes()), Err(HttpError::Unservable), "{body}");
        }
    }

    #[test]
    fn heads_of_many_headers_are_read_up_to_their_size() {
        for count in [HEADERS_USUAL - 1, HEADERS_USUAL, HEADERS_USUAL + 1, 129, 20_000] {
            let many = "a:\n".repeat(count);
            let input = format!("POST / HTTP/1.1\n{many}Content-Length: 5\n\nhello");
            let expected = Ok(Some(("hello".to_owned(), true, input.len())));
            assert_eq!(parse_at_once(input.as_bytes()), expected, "{count}");
        }
        let rest = HEAD_BYTES_MAX - "POST / HTTP/1.1\n\n".len();
        let fits = format!("POST / HTTP/1.1\n{}x:\n\n", "a:\n".repeat(rest / 3 - 1));
        assert!(parse_at_once(fits.as_bytes()).is_ok());
        let exceeds = format!("POST / HTTP/1.1\n{}\n", "a:\n".repeat(rest / 3 + 1));
        assert_eq!(parse_at_once(exceeds.as_bytes()), Err(HttpError::Malformed));
    }

    #[test]
    fn a_header_may_go_on_in_the_next_line() {
        let heads = [
            "X: a\r\n b\r\nContent-Length: 5\r\n",
            "X: a\n\tb\nContent-Length: 5\n",
            "Content-Length:\r\n 5\r\nX: a\r\n",
            "Content-Length: 5\r\n \r\n\t\r\nX:\r\n a\r\n  b\r\n",
            "Transfer-Encoding:\r\n\tchunked\r\n",
        ];
        for head in heads {
            let end = if head.contains('\r') { "\r\n" } else { "\n" };
            let body = if head.contains("chunked") { "5\r\nhello\r\n0\r\n\r\n" } else { "hello" };
            let input = format!("POST / HTTP/1.1{end}{head}{end}{body}");
            let input = input.as_bytes();
            let expected = Ok(Some(("hello".to_owned(), true, input.len())));
            assert_eq!(parse_at_once(input), expected, "{head:?}");
            for cut in 0..input.len() {
                let mut parser = Parser::default();
                let begun = parser.parse(&input[..cut], 100);
                assert!(matches!(begun, Ok(Parsed::Partial { .. })), "{head:?} to {cut}");
                assert!(matches!(parser.parse(input, 100), Ok(Parsed::Whole(..))), "{head:?}");
            }
        }
        for (head, error) in [
            (" X: a\r\nContent-Length: 5\r\n", HttpError::Malformed),
            ("X: a\r\nno header\r\n b\r\n", HttpError::Malformed),
            ("Content-Length: 5\r\n 6\r\n", HttpError::Unservable),
            ("Transfer-Encoding: chunked\r\n , gzip\r\n", HttpError::Unservable),
            ("Content-Length: 5\r\nX: a\r\n b\r\nContent-Length: 6\r\n", HttpError::Unservable),
        ] {
            let input = format!("POST / HTTP/1.1\r\n{head}\r\nhello");
            assert_eq!(parse_at_once(input.as_bytes()), Err(error), "{head:?}");
        }
    }

    #[test]
    fn what_is_no_http_is_refused_early() {
        assert_eq!(
            parse_at_once(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03aaaaaaaaa"),
            Err(HttpError::Malformed)
        );
        let endless = [b"GET / HTTP/1.1\r\nA: ".to_vec(), vec![b'a'; HEAD_BYTES_MAX]].concat();
        assert_eq!(parse_at_once(&endless), Err(HttpError::Malformed));
    }

    #[test]
    fn connections_stay_open_as_the_version_and_the_header_say() {
        for (line, keeps) in [
            ("HTTP/1.1\r\n", true),
            ("HTTP/1.0\r\n", false),
            ("HTTP/1.0\r\nConnection: Keep-Alive\r\n", true),
            ("HTTP/1.1\r\nConnection: foo, close\r\n", false),
        ] {
            let input = format!("POST / {line}\r\n");
            assert_eq!(parse_at_once(input.as_bytes()).unwrap().unwrap().1, keeps, "{line}");
        }
    }
}
