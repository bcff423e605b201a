//! A blocking RPC client for tools and tests.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use viabtc_wire::frame::{Head, REQUEST, read_frame, write_frame};

use crate::address::Address;

/// Requests in flight at once.
const WINDOW: usize = 256;

/// Largest answer.
const ANSWER_BYTES_MAX: usize = 64 << 20;

const READ_BYTES: usize = 64 * 1024;

/// An open connection.
pub struct Client {
    stream: Box<dyn Stream>,
    input: Vec<u8>,
    last_sequence: u32,
}

trait Stream: Read + Write + Send + Sync {}
impl<T: Read + Write + Send + Sync> Stream for T {}

impl Client {
    /// Connects; each read and write may take `timeout`.
    ///
    /// # Errors
    /// When nobody answers there.
    pub fn connect(address: &Address, timeout: Duration) -> io::Result<Client> {
        let stream: Box<dyn Stream> = match address {
            Address::Tcp(address) => {
                let stream = TcpStream::connect_timeout(address, timeout)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(timeout))?;
                stream.set_write_timeout(Some(timeout))?;
                Box::new(stream)
            }
            Address::Stream(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(timeout))?;
                stream.set_write_timeout(Some(timeout))?;
                Box::new(stream)
            }
            _ => return Err(io::Error::new(ErrorKind::InvalidInput, "only tcp@ and stream@")),
        };
        Ok(Client { stream, input: Vec::new(), last_sequence: 0 })
    }

    /// Sends one request; the body of its answer.
    ///
    /// # Errors
    /// When the connection fails or ends.
    pub fn call(&mut self, command: u32, params: &[u8]) -> io::Result<Vec<u8>> {
        let mut bodies = self.call_many(&[(command, params)])?;
        bodies.pop().ok_or(ErrorKind::UnexpectedEof.into())
    }

    /// Sends requests without waiting for each; the bodies in the order of the requests. The request id
    /// of each is its place, from 1.
    ///
    /// # Errors
    /// When the connection fails or ends.
    pub fn call_many(&mut self, calls: &[(u32, &[u8])]) -> io::Result<Vec<Vec<u8>>> {
        let first = self.last_sequence.wrapping_add(1);
        let mut bodies = vec![None; calls.len()];
        let (mut sent, mut received) = (0, 0);
        while received < calls.len() {
            let until = calls.len().min(received + WINDOW);
            let mut out = Vec::new();
            for (command, params) in &calls[sent..until] {
                self.last_sequence = self.last_sequence.wrapping_add(1);
                let head = Head {
                    command: *command,
                    kind: REQUEST,
                    result: 0,
                    sequence: self.last_sequence,
                    request_id: u64::from(self.last_sequence.wrapping_sub(first)) + 1,
                };
                write_frame(&head, b"", params, &mut out);
            }
            sent = until;
            self.stream.write_all(&out)?;
            for (sequence, body) in self.receive()? {
                let place = sequence.wrapping_sub(first) as usize;
                if let Some(slot @ None) = bodies.get_mut(place) {
                    *slot = Some(body);
                    received += 1;
                }
            }
        }
        Ok(bodies.into_iter().flatten().collect())
    }

    /// At least one answer: sequence and body.
    fn receive(&mut self) -> io::Result<Vec<(u32, Vec<u8>)>> {
        let mut answers = Vec::new();
        loop {
            let mut consumed = 0;
            while let Some((frame, size)) = read_frame(&self.input[consumed..], ANSWER_BYTES_MAX)
                .map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?
            {
                answers.push((frame.head.sequence, frame.body.to_vec()));
                consumed += size;
            }
            self.input.drain(..consumed);
            if !answers.is_empty() {
                return Ok(answers);
            }
            let mut buffer = [0; READ_BYTES];
            match self.stream.read(&mut buffer)? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                size => self.input.extend_from_slice(&buffer[..size]),
            }
        }
    }
}
