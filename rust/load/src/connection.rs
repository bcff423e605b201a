//! One connection: bytes that wait to be written, the begin of an answer, and requests without answer.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;

use crate::codec::{Answer, Method, Protocol};
use crate::workload::Asked;

/// A request that was sent, or will be as soon as the socket takes it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    /// When it was to be sent, in nanoseconds of the run.
    pub(crate) intended_ns: u64,
    pub(crate) asked: Asked,
}

pub(crate) struct Connection {
    protocol: Protocol,
    out: Vec<u8>,
    written: usize,
    /// Begin of an answer whose rest has not come.
    input: Vec<u8>,
    /// Requests from the first unanswered on; `None` where a later one was answered before.
    sent: VecDeque<Option<Sent>>,
    /// Number of the first of them.
    first: u32,
    unanswered: usize,
}

impl Connection {
    pub(crate) fn new(protocol: Protocol) -> Connection {
        Connection {
            protocol,
            out: Vec::new(),
            written: 0,
            input: Vec::new(),
            sent: VecDeque::new(),
            first: 1,
            unanswered: 0,
        }
    }

    pub(crate) fn unanswered(&self) -> usize {
        self.unanswered
    }

    pub(crate) fn has_output(&self) -> bool {
        self.written < self.out.len()
    }

    /// Adds a request to what is written next.
    pub(crate) fn ask(&mut self, method: Method, params: &[u8], sent: Sent) {
        let number = self.first.wrapping_add(self.sent.len() as u32);
        self.protocol.write(method, number, params, &mut self.out);
        self.sent.push_back(Some(sent));
        self.unanswered += 1;
    }

    /// Writes what the socket takes.
    ///
    /// # Errors
    /// When the connection is broken.
    pub(crate) fn write(&mut self, mut socket: &TcpStream) -> io::Result<()> {
        while self.has_output() {
            match socket.write(&self.out[self.written..]) {
                Ok(size) => self.written += size,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.out.clear();
        self.written = 0;
        Ok(())
    }

    /// Reads once and gives every whole answer with its request to `take`.
    ///
    /// # Errors
    /// When the connection is broken or ended, or the bytes answer nothing that was asked.
    pub(crate) fn read(
        &mut self,
        mut socket: &TcpStream,
        buffer: &mut [u8],
        take: &mut impl FnMut(Sent, &[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let size = match socket.read(buffer) {
            Ok(0) => {
                return Err(io::Error::new(
                    ErrorKind::UnexpectedEof,
                    "the server closed a connection",
                ));
            }
            Ok(size) => size,
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) =>
            {
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        if self.input.is_empty() {
            let consumed = self.take_answers(&buffer[..size], take)?;
            self.input.extend_from_slice(&buffer[consumed..size]);
        } else {
            let mut input = std::mem::take(&mut self.input);
            input.extend_from_slice(&buffer[..size]);
            let consumed = self.take_answers(&input, take)?;
            input.drain(..consumed);
            self.input = input;
        }
        Ok(())
    }

    fn take_answers(
        &mut self,
        bytes: &[u8],
        take: &mut impl FnMut(Sent, &[u8]) -> io::Result<()>,
    ) -> io::Result<usize> {
        let mut consumed = 0;
        while let Some(Answer { number, body, size }) = self.protocol.read(&bytes[consumed..])? {
            let place = number.wrapping_sub(self.first) as usize;
            let Some(sent) = self.sent.get_mut(place).and_then(Option::take) else {
                let text = format!("an answer to request {number}, which is not open");
                return Err(io::Error::new(ErrorKind::InvalidData, text));
            };
            self.unanswered -= 1;
            while let Some(None) = self.sent.front() {
                self.sent.pop_front();
                self.first = self.first.wrapping_add(1);
            }
            take(sent, body)?;
            consumed += size;
        }
        Ok(consumed)
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::workload::{Market, Mode, Requests, Workload};

    fn asked() -> (Method, Asked) {
        let market =
            Market { name: "M".into(), base: "B".into(), quote: "Q".into(), price: 10_000 };
        let mut workload = Workload::new(Mode::Last, market, 1..=1, 0, 1);
        workload.next(&mut Vec::new()).unwrap()
    }

    #[test]
    fn answers_find_their_requests_in_any_order_and_any_pieces() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        let mut connection = Connection::new(Protocol::Rpc);
        let (method, asked) = asked();
        for intended_ns in [10, 20, 30] {
            connection.ask(method, b"[]", Sent { intended_ns, asked });
        }
        let mut answers = Vec::new();
        for number in [2, 1, 3] {
            Protocol::Rpc.write(method, number, b"{}", &mut answers);
        }
        let mut order = Vec::new();
        let mut buffer = [0; 64];
        for piece in answers.chunks(25) {
            (&server).write_all(piece).unwrap();
            connection
                .read(&client, &mut buffer, &mut |sent, _| {
                    order.push(sent.intended_ns);
                    Ok(())
                })
                .unwrap();
        }
        assert_eq!((order, connection.unanswered()), (vec![20, 10, 30], 0));
        let mut again = Vec::new();
        Protocol::Rpc.write(method, 2, b"{}", &mut again);
        (&server).write_all(&again).unwrap();
        assert!(connection.read(&client, &mut buffer, &mut |_, _| Ok(())).is_err());
    }
}
