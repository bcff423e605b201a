//! What a dialect can do for the connection whose message it has.

use viabtc_wire::frame::Head;
use viabtc_wire::methods::ErrorCode;

use super::ConnectionId;
use super::frames::{Closing, Opcode, frame, text};
use super::notices::Request;
use super::numbered::Standing;
use super::state::Core;
use super::topics::Family;
use crate::backend::{Origin, Refusal, Ticket};
use crate::metrics::count;
use crate::telling::tell;

/// What a dialect can do for the connection whose message it has.
pub struct Desk<'a> {
    pub(super) core: &'a mut Core,
    pub(super) place: u32,
}

impl Desk<'_> {
    /// Sends a text.
    pub fn send(&mut self, payload: &[u8]) {
        self.core.send(self.place, text(payload));
    }

    /// Sends bytes.
    pub fn send_binary(&mut self, payload: &[u8]) {
        self.core.send(self.place, frame(Opcode::Binary, &[payload]));
    }

    /// Ends the connection once everything before is written.
    pub fn close(&mut self, closing: Closing) {
        count(&self.core.metrics.malformed);
        self.core.close(self.place, closing);
    }

    /// Whose the connection is.
    pub fn user(&mut self) -> Option<u32> {
        self.core.connection(self.place)?.user
    }

    /// Subscribes to a topic; false when the connection has as many as it may. What newcomers get comes
    /// with [`Desk::welcome`].
    pub fn subscribe(&mut self, name: &str, family: Family) -> bool {
        self.core.subscribe(self.place, name, family)
    }

    /// Sends what the topics of a family keep for newcomers.
    pub fn welcome(&mut self, family: Family) {
        self.core.welcome(self.place, family);
    }

    /// Ends all subscriptions of a family.
    pub fn leave(&mut self, family: Family) {
        self.core.leave(self.place, |topic| topic.family == family);
    }

    /// Ends the subscription to a topic.
    pub(super) fn leave_topic(&mut self, name: &str) {
        self.core.leave(self.place, |topic| *topic.name == *name);
    }

    /// Sends what a newcomer of a topic gets, who may have stood somewhere in it.
    pub(super) fn welcome_to(&mut self, name: &str, standing: Option<Standing>) {
        self.core.welcome_to(self.place, name, standing);
    }

    /// Whether the connection speaks the stream.
    pub(super) fn is_stream(&mut self) -> bool {
        self.core.connection(self.place).is_some_and(|connection| connection.is_stream)
    }

    /// Subscriptions that the connection may have.
    pub(super) fn subscriptions_max(&mut self) -> usize {
        self.core.subscriptions_max(self.place)
    }

    /// Whether the connection is subscribed to a topic.
    pub(super) fn is_subscribed(&mut self, name: &str) -> bool {
        let Some(topic) = self.core.topics.find(name) else { return false };
        let connection = self.core.connection(self.place);
        connection.is_some_and(|open| open.subscriptions.iter().any(|mine| mine.topic == topic))
    }

    /// How many more it may have.
    pub(super) fn subscriptions_left(&mut self) -> usize {
        let most = self.subscriptions_max();
        let connection = self.core.connection(self.place);
        connection.map_or(0, |open| most.saturating_sub(open.subscriptions.len()))
    }

    /// Whether the backend at `place` can be reached.
    pub fn is_connected(&self, place: usize) -> bool {
        let backend = self.core.backends.get(place).and_then(Option::as_ref);
        backend.is_some_and(|backend| backend.is_connected())
    }

    /// Sends a request to a backend, whose answer goes to the client as it is.
    ///
    /// # Errors
    /// When it will not be answered.
    pub fn relay(
        &mut self,
        place: usize,
        command: u32,
        id: i64,
        params: &[u8],
    ) -> Result<(), Refusal> {
        let generation = self.core.places[self.place as usize].generation;
        let origin = Origin::Connection { place: self.place, generation };
        let head = Head { command, request_id: id.cast_unsigned(), ..Head::default() };
        let ticket = Ticket::new(origin, head, Vec::new());
        let submitted = match self.core.sessions.get_mut(place).and_then(Option::as_mut) {
            Some(session) => session.submit(command, id, params, ticket),
            None => Err((Refusal::Unavailable, ticket)),
        };
        if let Err((refusal, ticket)) = submitted {
            if refusal == Refusal::Unavailable {
                tell("hub", &ticket, 0, ErrorCode::ServiceUnavailable as i32);
            }
            return Err(refusal);
        }
        if let Some(connection) = self.core.connection(self.place) {
            connection.unanswered += 1;
        }
        Ok(())
    }

    /// Leaves a request to the owner of the hub; false when too many wait.
    pub fn request(&mut self, id: i64, method: &'static str, params: &str) -> bool {
        let (index, place) = (self.core.index, self.place);
        let generation = self.core.places[place as usize].generation;
        let Some(connection) = self.core.connection(place) else { return false };
        let request = Request {
            connection: ConnectionId::new(index, place, generation),
            address: connection.address,
            id,
            method,
            params: params.to_owned(),
        };
        let is_taken = self.core.notices.request(request);
        if let (true, Some(connection)) = (is_taken, self.core.connection(place)) {
            connection.unanswered += 1;
        }
        is_taken
    }
}
