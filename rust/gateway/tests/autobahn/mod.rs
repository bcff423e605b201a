//! Cases after the sections of the Autobahn test suite for websocket servers that send every message back.
//!
//! The suite needs Python 2.7, so that it cannot run everywhere; what its sections ask for follows from
//! RFC 6455 and RFC 7692 and is written out here. Each case bears the number of the one that it corresponds
//! to; those of the sections 12 and 13 are in `websocket_deflate.rs`.

pub mod closing;
pub mod framing;
pub mod sizes;
pub mod text;

use std::io::Write;

use viabtc_gateway::Hub;

use crate::websocket::{Client, Seen, frame};

pub const TEXT: u8 = 0x81;
pub const BINARY: u8 = 0x82;
pub const CLOSE: u8 = 0x88;
pub const PING: u8 = 0x89;
pub const PONG: u8 = 0x8a;

/// A close with nothing wrong.
pub const NORMAL: u16 = 1000;
/// A frame that the RFC forbids.
pub const BROKEN: u16 = 1002;
/// A text that is not UTF-8.
pub const NOT_TEXT: u16 = 1007;

/// How the bytes of a case are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chops {
    /// All at once.
    One,
    /// A write for each frame.
    Frames,
    /// A write for so many bytes.
    Of(usize),
}

/// Frames and what must come back.
#[derive(Clone, Debug)]
pub struct Case {
    /// That of the suite.
    pub number: String,
    pub chops: Chops,
    pub frames: Vec<Vec<u8>>,
    /// Whether the client closes behind its frames; otherwise the server must have closed before their end.
    pub closes: bool,
    /// What comes back before the close.
    pub seen: Vec<Seen>,
    /// The code of the close that ends it.
    pub code: Option<u16>,
}

impl Case {
    pub fn new(
        number: impl Into<String>,
        frames: Vec<Vec<u8>>,
        seen: Vec<Seen>,
        code: u16,
    ) -> Case {
        Case {
            number: number.into(),
            chops: Chops::One,
            frames,
            closes: true,
            seen,
            code: Some(code),
        }
    }

    pub fn chopped(mut self, chops: Chops) -> Case {
        self.chops = chops;
        self
    }

    /// The server closes by itself, before it could see the end.
    pub fn fast(mut self) -> Case {
        self.closes = false;
        self
    }

    /// Plays the case with writes as it says, or as `chops` does.
    pub fn play(&self, hub: &Hub, chops: Option<Chops>) {
        let mut client = Client::connect(hub);
        let mut frames = self.frames.clone();
        if self.closes {
            frames.push(close(NORMAL, b""));
        }
        let all = frames.concat();
        let pieces: Vec<&[u8]> = match chops.unwrap_or(self.chops) {
            Chops::One => vec![&all],
            Chops::Frames => frames.iter().map(Vec::as_slice).collect(),
            Chops::Of(size) => all.chunks(size).collect(),
        };
        let number = &self.number;
        std::thread::scope(|scope| {
            // The server answers while it reads, so large cases need both ends served.
            let mut writing = client.stream.try_clone().unwrap();
            scope.spawn(move || {
                for piece in pieces {
                    // The server may have closed: that is what some of these cases are about.
                    if writing.write_all(piece).is_err() {
                        break;
                    }
                }
            });
            for expected in &self.seen {
                assert_eq!(&client.see(), expected, "{number}");
            }
            assert_eq!(client.see(), Seen::Close(self.code), "{number}");
            assert_eq!(client.see(), Seen::End, "{number}");
        });
    }
}

pub fn text(text: impl Into<String>) -> Seen {
    Seen::Text(text.into())
}

pub fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(CLOSE, &[&code.to_be_bytes()[..], reason].concat())
}

/// A message in fragments.
pub fn fragments<T: AsRef<[u8]>>(first: u8, pieces: &[T]) -> Vec<Vec<u8>> {
    let last = pieces.len() - 1;
    let frames = pieces.iter().enumerate().map(|(place, piece)| {
        let opcode = if place == 0 { first & 0x0f } else { 0 };
        frame(if place == last { 0x80 | opcode } else { opcode }, piece.as_ref())
    });
    frames.collect()
}
