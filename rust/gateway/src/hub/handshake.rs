//! The opening handshake: an HTTP request in, `101 Switching Protocols` or a reason out.

use std::borrow::Cow;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

use super::deflate::{self, Window};
use super::stream::STREAM_PATH;

/// Largest head of a request.
pub(crate) const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Most headers of a request.
const HEADERS_MAX: usize = 64;

/// Largest `Connection` header that is read. Source: the original's limit.
const CONNECTION_BYTES_MAX: usize = 1_024;

/// The one header that may not be repeated.
const KEY: &str = "Sec-WebSocket-Key";

/// RFC 6455, section 1.3.
const ACCEPT_SUFFIX: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Headers that a proxy puts the client's address into, first found first. Source: the original's order.
const FORWARDED: [&str; 4] = ["X-Connecting-IP", "X-Forwarded-For", "X-Proxy-IP", "X-Real-IP"];

/// What a request must match.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    /// Sub-protocol, when the client asks for one.
    pub(crate) protocol: String,
    /// What `Origin` must end with; empty for no check. Source: `svr.origin`.
    pub(crate) origin_suffix: String,
    /// What `Origin` must equal one of; empty for no check.
    pub(crate) origins: Vec<String>,
    /// Whether offers to compress are taken.
    pub(crate) is_deflating: bool,
}

/// An accepted request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Opening {
    pub(crate) response: Vec<u8>,
    /// Bytes of the request; frames may follow.
    pub(crate) size: usize,
    /// Messages may be compressed, both ways, ours within this window.
    pub(crate) window: Option<Window>,
    /// The path is that of the stream.
    pub(crate) is_stream: bool,
    /// What a proxy says.
    pub(crate) forwarded: Option<IpAddr>,
}

/// Reads a request; `None` while its end has not come.
///
/// # Errors
/// With the response that refuses it.
pub(crate) fn open(input: &[u8], terms: &Terms, date: &str) -> Result<Option<Opening>, Vec<u8>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let size = match request.parse(input) {
        Ok(httparse::Status::Complete(size)) => size,
        Ok(httparse::Status::Partial) if input.len() <= HEAD_BYTES_MAX => return Ok(None),
        _ => return Err(refusal("400 Bad Request", "not an HTTP request that can be read", "")),
    };
    let wrong = |what: &str| Err(refusal("400 Bad Request", what, ""));
    if request.method != Some("GET") || request.version != Some(1) {
        return wrong("a websocket opens with GET and HTTP/1.1");
    }
    let find = |name: &str| find(request.headers, name);
    if find("Host").is_none() {
        return wrong("the Host header is missing");
    }
    if !find("Upgrade").is_some_and(|value| has_word(&value, "websocket", true)) {
        return Err(refusal("426 Upgrade Required", "this port speaks websocket", "websocket"));
    }
    if !find("Connection").is_some_and(|value| {
        value.len() <= CONNECTION_BYTES_MAX && has_word(&value, "upgrade", true)
    }) {
        return wrong("the Connection header does not say Upgrade");
    }
    if find("Sec-WebSocket-Version").as_deref() != Some("13") {
        return Err(refusal("426 Upgrade Required", "the websocket version is 13", "websocket"));
    }
    let Some(key) = find(KEY).filter(|_| is_once(request.headers, KEY)) else {
        return wrong("Sec-WebSocket-Key stands once");
    };
    let asked = find("Sec-WebSocket-Protocol");
    if asked.as_ref().is_some_and(|asked| !has_word(asked, &terms.protocol, false)) {
        return wrong("none of the sub-protocols is served");
    }
    let origin = find("Origin");
    let origin = origin.as_deref();
    let is_foreign = (!terms.origin_suffix.is_empty()
        && !origin.is_some_and(|origin| origin.ends_with(&terms.origin_suffix)))
        || (!terms.origins.is_empty()
            && !origin.is_some_and(|origin| terms.origins.iter().any(|other| other == origin)));
    if is_foreign {
        return Err(refusal("403 Forbidden", "the Origin is not allowed", ""));
    }
    let digest = Sha1::new().chain_update(&*key).chain_update(ACCEPT_SUFFIX).finalize();
    let mut response = format!(
        "HTTP/1.1 101 Switching Protocols\r\nDate: {date}\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n",
        STANDARD.encode(digest)
    );
    if asked.is_some() {
        response += &format!("Sec-WebSocket-Protocol: {}\r\n", terms.protocol);
    }
    let offers = find("Sec-WebSocket-Extensions").filter(|_| terms.is_deflating);
    let agreed = offers.and_then(|offers| deflate::agree(&offers));
    if let Some(agreed) = agreed {
        response += &format!("Sec-WebSocket-Extensions: {}\r\n", agreed.response());
    }
    response += "\r\n";
    let forwarded = FORWARDED.iter().find_map(|name| find(name));
    let forwarded = forwarded.and_then(|list| list.split(',').next()?.trim().parse().ok());
    let path = request.path.and_then(|path| path.split('?').next());
    let is_stream = path == Some(STREAM_PATH);
    let window = agreed.map(|agreed| agreed.window);
    Ok(Some(Opening { response: response.into_bytes(), size, window, is_stream, forwarded }))
}

fn named<'h, 'a>(
    headers: &'h [httparse::Header<'a>],
    name: &'h str,
) -> impl Iterator<Item = &'h httparse::Header<'a>> {
    headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name))
}

/// Value of a header; of one that is repeated all values as one list, RFC 9110 section 5.3. `None` when
/// there is none, or one of them is no text.
fn find<'a>(headers: &[httparse::Header<'a>], name: &str) -> Option<Cow<'a, str>> {
    let mut values = named(headers, name).map(|header| std::str::from_utf8(header.value));
    let mut joined = Cow::Borrowed(values.next()?.ok()?.trim());
    for value in values {
        joined = Cow::Owned(format!("{joined}, {}", value.ok()?.trim()));
    }
    Some(joined)
}

fn is_once(headers: &[httparse::Header<'_>], name: &str) -> bool {
    named(headers, name).count() == 1
}

/// Whether a list, separated by commas and blanks, contains `word`.
fn has_word(list: &str, word: &str, ignores_case: bool) -> bool {
    list.split([',', ' ', '\t'])
        .any(|entry| if ignores_case { entry.eq_ignore_ascii_case(word) } else { entry == word })
}

fn refusal(status: &str, problem: &str, upgrade: &str) -> Vec<u8> {
    let more = match upgrade {
        "" => String::new(),
        upgrade => format!("Upgrade: {upgrade}\r\nSec-WebSocket-Version: 13\r\n"),
    };
    let length = problem.len() + 1;
    format!(
        "HTTP/1.1 {status}\r\n{more}Content-Type: text/plain\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{problem}\n"
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms() -> Terms {
        Terms {
            protocol: "chat".into(),
            origin_suffix: String::new(),
            origins: Vec::new(),
            is_deflating: false,
        }
    }

    const PLAIN: [&str; 5] = [
        "Host: x",
        "Upgrade: WebSocket",
        "Connection: keep-alive,Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ];

    fn request(headers: &[&str]) -> String {
        format!("GET /any?x=1 HTTP/1.1\r\n{}\r\n\r\n", headers.join("\r\n"))
    }

    fn status(headers: &[&str], terms: &Terms) -> String {
        let answer = match open(request(headers).as_bytes(), terms, "D") {
            Ok(opening) => opening.unwrap().response,
            Err(response) => response,
        };
        String::from_utf8(answer).unwrap()[9..12].to_owned()
    }

    #[test]
    fn the_answer_is_that_of_the_rfcs_example_however_the_request_is_cut() {
        let request = request(&PLAIN);
        for cut in 0..request.len() {
            assert_eq!(open(&request.as_bytes()[..cut], &terms(), "D"), Ok(None));
        }
        let opening = open((request.clone() + "more").as_bytes(), &terms(), "D").unwrap().unwrap();
        let expected = "HTTP/1.1 101 Switching Protocols\r\nDate: D\r\nUpgrade: websocket\r\n\
            Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
        assert_eq!(String::from_utf8(opening.response).unwrap(), expected);
        assert_eq!((opening.size, opening.forwarded), (request.len(), None));
    }

    #[test]
    fn every_condition_is_checked() {
        assert_eq!(status(&PLAIN, &terms()), "101");
        for (place, instead, expected) in [
            (0, "X: y", "400"),
            (1, "Upgrade: h2c", "426"),
            (1, "X: y", "426"),
            (2, "Connection: close", "400"),
            (3, "Sec-WebSocket-Version: 8", "426"),
            (4, "X: y", "400"),
        ] {
            let mut headers = PLAIN;
            headers[place] = instead;
            assert_eq!(status(&headers, &terms()), expected, "{instead}");
        }
        for (more, expected) in [
            ("Sec-WebSocket-Key: again", "400"),
            ("Sec-WebSocket-Protocol: other, Chat", "400"),
            ("Sec-WebSocket-Protocol: other, chat", "101"),
            ("Sec-WebSocket-Version: 13", "426"),
        ] {
            assert_eq!(status(&[&PLAIN[..], &[more]].concat(), &terms()), expected, "{more}");
        }
        assert!(open(b"POST / HTTP/1.1\r\n\r\n", &terms(), "D").is_err());
        assert!(open(b"GET / HTTP/1.0\r\n\r\n", &terms(), "D").is_err());
        assert!(open(&[b'a'; HEAD_BYTES_MAX + 1], &terms(), "D").is_err());
    }

    #[test]
    fn a_header_in_several_lines_is_one_list() {
        let terms = Terms { origins: vec!["https://a.example.org".into()], ..terms() };
        for (more, expected) in [
            (&["Origin: https://a.example.org", "Connection: close"][..], "101"),
            (&["Origin: https://a.example.org", "Sec-WebSocket-Protocol: other"], "400"),
            (
                &[
                    "Origin: https://a.example.org",
                    "Sec-WebSocket-Protocol: other",
                    "Sec-WebSocket-Protocol: chat",
                ],
                "101",
            ),
            (&["Origin: https://a.example.org", "Origin: https://evil.org"], "403"),
        ] {
            let headers = [&PLAIN[..], more].concat();
            assert_eq!(status(&headers, &terms), expected, "{more:?}");
            // A proxy may put its own word first.
            let first = [&["Connection: keep-alive"][..], &headers].concat();
            assert_eq!(status(&first, &terms), expected, "{more:?}");
        }
    }

    #[test]
    fn origins_match_by_suffix_or_exactly() {
        let suffix = Terms { origin_suffix: ".example.org".into(), ..terms() };
        let exact = Terms { origins: vec!["https://a.example.org".into()], ..terms() };
        for (origin, by_suffix, exactly) in [
            ("Origin: https://a.example.org", "101", "101"),
            ("Origin: https://evil.example.org", "101", "403"),
            ("Origin: https://a.example.org.evil", "403", "403"),
            ("X: y", "403", "403"),
        ] {
            let headers = [&PLAIN[..], &[origin]].concat();
            assert_eq!(status(&headers, &suffix), by_suffix, "{origin}");
            assert_eq!(status(&headers, &exact), exactly, "{origin}");
        }
    }

    #[test]
    fn the_first_proxy_header_counts_and_of_a_list_the_first_entry() {
        let headers = [&PLAIN[..], &["X-Real-IP: 1.1.1.1", "X-Forwarded-For: 2.2.2.2, 3.3.3.3"]];
        let opening = open(request(&headers.concat()).as_bytes(), &terms(), "D").unwrap().unwrap();
        assert_eq!(opening.forwarded, "2.2.2.2".parse().ok());
    }
}
