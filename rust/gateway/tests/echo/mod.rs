//! A backend that answers the requests of a turn in reverse order with what was asked.

use std::sync::Arc;

use viabtc_gateway::{Backend, Bundle, Outbox, Refusal, Session, Status, Ticket};
use viabtc_wire::json::read_array;

/// The command that the backend does not have.
pub const UNKNOWN: u32 = 999;

pub struct Echo;

struct EchoSession {
    outbox: Outbox,
    buffer: Vec<u8>,
    answers: Vec<(Ticket, Status, std::ops::Range<usize>)>,
}

impl Backend for Echo {
    fn session(&self, outbox: Outbox) -> Box<dyn Session> {
        Box::new(EchoSession { outbox, buffer: Vec::new(), answers: Vec::new() })
    }
}

impl Session for EchoSession {
    fn submit(
        &mut self,
        command: u32,
        id: i64,
        params: &[u8],
        ticket: Ticket,
    ) -> Result<(), (Refusal, Ticket)> {
        if read_array(params).is_err() {
            return Err((Refusal::Malformed, ticket));
        }
        if command == UNKNOWN {
            return Err((Refusal::NotFound, ticket));
        }
        let start = self.buffer.len();
        let params = String::from_utf8_lossy(params);
        let body = format!(r#"{{"error": null, "result": [{command}, {params}], "id": {id}}}"#);
        self.buffer.extend_from_slice(body.as_bytes());
        self.answers.push((ticket, Status::Answered, start..self.buffer.len()));
        Ok(())
    }

    fn flush(&mut self) {
        if !self.answers.is_empty() {
            self.answers.reverse();
            let answers = std::mem::take(&mut self.answers);
            let buffer = Arc::new(std::mem::take(&mut self.buffer));
            let outbox = self.outbox.clone();
            // From another thread, as an engine would.
            std::thread::spawn(move || outbox.send(Bundle { buffer, answers }));
        }
    }
}
