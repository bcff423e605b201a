//! Market data of this process as a port's backend: answered at once, on the port's own thread.

use std::ops::Range;
use std::sync::{Arc, RwLock};

use viabtc_market::Board;
use viabtc_wire::json::write_indented;
use viabtc_wire::market::answer;
use viabtc_wire::request::DecodeError;

use crate::backend::{Backend, Bundle, Outbox, Refusal, Session, Status, Ticket};

/// Answers the methods of market data from a board that somebody else keeps up.
#[derive(Clone)]
pub struct BoardBackend {
    board: Arc<RwLock<Board>>,
    /// Seconds since 1970-01-01 UTC.
    clock: fn() -> i64,
    is_indented: bool,
}

impl BoardBackend {
    /// Over `board`; with `is_indented` answers are laid out as the original's `debug` does.
    pub fn new(board: Arc<RwLock<Board>>, clock: fn() -> i64, is_indented: bool) -> BoardBackend {
        BoardBackend { board, clock, is_indented }
    }

    /// Appends the answer to one request.
    ///
    /// # Errors
    /// When it will not be answered.
    pub fn answer(
        &self,
        command: u32,
        params: &[u8],
        id: i64,
        out: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        let start = out.len();
        let answered = {
            let board = self.board.read().expect("nobody panics while changing the board");
            answer(&board, command, params, id, (self.clock)(), out)
        };
        match answered {
            Ok(()) if self.is_indented => {
                let compact = out.split_off(start);
                write_indented(&compact, out);
                Ok(())
            }
            Ok(()) | Err(DecodeError::InvalidArgument) => Ok(()),
            Err(DecodeError::Malformed) => Err(Refusal::Malformed),
            Err(DecodeError::MethodNotFound) => Err(Refusal::NotFound),
        }
    }
}

impl Backend for BoardBackend {
    fn session(&self, outbox: Outbox) -> Box<dyn Session> {
        let backend = self.clone();
        Box::new(BoardSession { backend, outbox, buffer: Vec::new(), answers: Vec::new() })
    }
}

struct BoardSession {
    backend: BoardBackend,
    outbox: Outbox,
    /// Bodies of the turn.
    buffer: Vec<u8>,
    answers: Vec<(Ticket, Status, Range<usize>)>,
}

impl Session for BoardSession {
    fn submit(
        &mut self,
        command: u32,
        id: i64,
        params: &[u8],
        ticket: Ticket,
    ) -> Result<(), (Refusal, Ticket)> {
        let start = self.buffer.len();
        match self.backend.answer(command, params, id, &mut self.buffer) {
            Ok(()) => {
                self.answers.push((ticket, Status::Answered, start..self.buffer.len()));
                Ok(())
            }
            Err(refusal) => Err((refusal, ticket)),
        }
    }

    fn flush(&mut self) {
        if !self.answers.is_empty() {
            let buffer = Arc::new(std::mem::take(&mut self.buffer));
            let answers = std::mem::take(&mut self.answers);
            self.outbox.send(Bundle { buffer, answers });
        }
    }
}
