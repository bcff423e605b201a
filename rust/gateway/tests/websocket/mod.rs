//! A small blocking websocket client that sends whatever frames a test wants.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use viabtc_gateway::hub::{Desk, Dialect};
use viabtc_gateway::{Address, Hub};

pub const DEADLINE: Duration = Duration::from_secs(10);

/// Sends every message back.
pub struct Echo;

impl Dialect for Echo {
    fn message(&mut self, desk: &mut Desk<'_>, payload: &[u8], is_text: bool) {
        if is_text {
            desk.send(payload);
        } else {
            desk.send_binary(payload);
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    Text(String),
    Binary(Vec<u8>),
    /// A compressed text or binary message: its opcode, and its payload as it came.
    Compressed(u8, Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>),
    /// The connection ended.
    End,
}

pub struct Client {
    pub stream: TcpStream,
    pub input: Vec<u8>,
}

pub fn place(hub: &Hub) -> std::net::SocketAddr {
    let Address::Tcp(address) = &hub.addresses()[0] else { panic!("not tcp") };
    *address
}

impl Client {
    pub fn connect(hub: &Hub) -> Client {
        Client::connect_with(hub, "")
    }

    /// `more` are header lines.
    pub fn connect_with(hub: &Hub, more: &str) -> Client {
        Client::opened(hub, more).0
    }

    /// A client, and the head of the answer to its handshake.
    pub fn opened(hub: &Hub, more: &str) -> (Client, String) {
        let (client, head) = Client::asked(hub, "/", more);
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        (client, head)
    }

    /// As `opened`, at a path, whatever the answer is.
    pub fn asked(hub: &Hub, path: &str, more: &str) -> (Client, String) {
        let stream = TcpStream::connect(place(hub)).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut client = Client { stream, input: Vec::new() };
        client.stream.write_all(request_to(path, more).as_bytes()).unwrap();
        let head = client.head();
        (client, head)
    }

    /// The next HTTP head.
    pub fn head(&mut self) -> String {
        loop {
            let end = self.input.windows(4).position(|bytes| bytes == b"\r\n\r\n");
            if let Some(end) = end {
                let head: Vec<u8> = self.input.drain(..end + 4).collect();
                return String::from_utf8(head).unwrap();
            }
            assert!(self.fill(), "the connection ended in the head");
        }
    }

    /// Reads more; false at the end.
    fn fill(&mut self) -> bool {
        let mut buffer = [0; 65536];
        match self.stream.read(&mut buffer) {
            Ok(0) => false,
            Ok(size) => {
                self.input.extend_from_slice(&buffer[..size]);
                true
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
            Err(error) => panic!("nothing came: {error}"),
        }
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    pub fn say(&mut self, text: &str) {
        self.send(&frame(0x81, text.as_bytes()));
    }

    /// The next frame.
    pub fn see(&mut self) -> Seen {
        loop {
            if let Some((first, payload, size)) = parse(&self.input) {
                self.input.drain(..size);
                return match first {
                    0x81 => Seen::Text(String::from_utf8(payload).unwrap()),
                    0x82 => Seen::Binary(payload),
                    0xc1 | 0xc2 => Seen::Compressed(first & 0x0f, payload),
                    0x88 => {
                        Seen::Close(payload.first_chunk().map(|code| u16::from_be_bytes(*code)))
                    }
                    0x89 => Seen::Ping(payload),
                    0x8a => Seen::Pong(payload),
                    other => panic!("a server does not send {other:#x}"),
                };
            }
            if !self.fill() {
                return Seen::End;
            }
        }
    }

    /// The next frame, which is a text.
    pub fn hear(&mut self) -> String {
        match self.see() {
            Seen::Text(text) => text,
            other => panic!("not a text: {other:?}"),
        }
    }
}

fn parse(input: &[u8]) -> Option<(u8, Vec<u8>, usize)> {
    let (&first, &length) = (input.first()?, input.get(1)?);
    let (length, head) = match length {
        126 => (u16::from_be_bytes(*input.get(2..)?.first_chunk()?) as usize, 4),
        127 => (u64::from_be_bytes(*input.get(2..)?.first_chunk()?) as usize, 10),
        length => (length as usize, 2),
    };
    Some((first, input.get(head..head + length)?.to_vec(), head + length))
}

/// A masked frame; `first` holds FIN, reserved bits and opcode.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    match payload.len() {
        length @ 0..=125 => out.push(0x80 | length as u8),
        length @ 126..=0xffff => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    let mask = [0xa1, 0x5c, 0x03, 0xf7];
    out.extend_from_slice(&mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    out
}

pub fn request(more: &str) -> String {
    request_to("/", more)
}

pub fn request_to(path: &str, more: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
    )
}

/// Waits until `holds`.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < end, "not in time: {what}");
        std::thread::yield_now();
    }
}
