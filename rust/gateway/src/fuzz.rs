//! The decoder of HTTP under generated input: no panic, no hang, and no difference between bytes that
//! come at once and in pieces.

use viabtc_fuzz::{fuzz, outcome};

use crate::http::{Parsed, Parser};

const BODY_BYTES_MAX: usize = 4_096;

/// Whether a request is a POST, its body, and whether the connection goes on.
type Read = (bool, Vec<u8>, bool);

/// What a connection reads: the requests; then why it ended, if so. `pieces` is how many bytes come at once.
fn read(input: &[u8], pieces: usize) -> (Vec<Read>, Option<String>) {
    let mut parser = Parser::default();
    let (mut begin, mut end) = (0, 0);
    let mut requests = Vec::new();
    loop {
        match parser.parse(&input[begin..end], BODY_BYTES_MAX) {
            Ok(Parsed::Whole(request, size)) => {
                assert!(size > 0 && size <= end - begin);
                assert!(request.body.len() <= BODY_BYTES_MAX);
                requests.push((request.is_post, request.body.into_owned(), request.keeps_alive));
                begin += size;
            }
            Ok(Parsed::Partial { .. }) if end == input.len() => return (requests, None),
            Ok(Parsed::Partial { .. }) => end = (end + pieces).min(input.len()),
            Err(error) => return (requests, Some(format!("{error:?}"))),
        }
    }
}

#[test]
fn fuzz_http_requests() {
    let seeds: [&[u8]; 4] = [
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nT: x\r\n\r\n",
        b"GET /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\nPOST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
        b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
    ];
    let words: [&[u8]; 12] = [
        b"\r\n",
        b"\n",
        b"\r\n\r\n",
        b"Content-Length: ",
        b"Transfer-Encoding: chunked\r\n",
        b"0\r\n\r\n",
        b"HTTP/1.1",
        b"ffffffffffffffff\r\n",
        b" ",
        b"\t",
        b"POST / ",
        b"Connection: close\r\n",
    ];
    fuzz("http", &seeds, &words, |input| {
        let (requests, error) = read(input, usize::MAX >> 1);
        for pieces in [1, 7] {
            let (others, _) = read(input, pieces);
            // A head that is refused as a whole may be refused before a later request is there.
            assert!(requests.starts_with(&others) || others.starts_with(&requests));
            if error.is_none() {
                assert_eq!(requests, others, "in pieces of {pieces}");
            }
        }
        outcome(error.as_deref().unwrap_or("open"), requests.len())
    });
}
