//! What a reactor asks of the protocol that a port speaks.

use std::time::Instant;

use crate::backend::{Origin, Status, Ticket};

/// What a port speaks. Its state per connection is small while nothing is asked.
pub(crate) trait Protocol: Send + 'static {
    /// Per connection.
    type State: Send;

    fn open(&self, now: Instant) -> Self::State;

    /// Takes whole messages from the start of `input` and appends answers that need no backend to `out`;
    /// returns how many bytes it took. It stops when the state may not be read any more.
    ///
    /// # Errors
    /// When the connection is to be closed at once, without an answer.
    fn receive(
        &mut self,
        origin: &Origin,
        state: &mut Self::State,
        input: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<usize, Close>;

    /// Appends the bytes of an answer, or keeps it until its turn.
    fn deliver(
        &mut self,
        state: &mut Self::State,
        ticket: Ticket,
        status: Status,
        body: &[u8],
        out: &mut Vec<u8>,
    );

    /// As `receive`, for one datagram; what is not a whole message is dropped.
    fn receive_datagram(&mut self, origin: Origin, packet: &[u8], out: &mut Vec<u8>);

    /// As `deliver`, for one datagram.
    fn deliver_datagram(&mut self, ticket: Ticket, status: Status, body: &[u8], out: &mut Vec<u8>);

    /// Requests that were taken and not answered.
    fn unanswered(&self, state: &Self::State) -> usize;

    /// Whether the protocol ends the connection once everything is written.
    fn is_over(&self, state: &Self::State) -> bool;

    /// Whether more requests may be taken now.
    fn may_read(&self, state: &Self::State) -> bool;

    /// Whether the connection is to be closed for its silence or slowness; `since` is the last input, and
    /// `is_partial` says that a message has begun whose rest the peer owes.
    fn is_expired(
        &self,
        state: &Self::State,
        now: Instant,
        since: Instant,
        is_partial: bool,
    ) -> bool;

    /// End of the reading part of a turn.
    fn flush(&mut self);
}

/// The connection is closed at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Close;
