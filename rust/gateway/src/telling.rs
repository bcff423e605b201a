//! What ports tell of single requests, so that one can be followed from process to process.
//!
//! A line names what was asked and how it ended, and three ids. `id` is the frame's `req_id` as a client sees it in
//! the JSON of an answer; `request_id` is what the client called its request, else the same number in hexadecimal;
//! `call` is the frame's `sequence` in hexadecimal, which the process that asked and the one that answered both tell.
//!
//! Requests are told at the level debug, those that a service failed as warnings. While nobody listens a request
//! costs a look at one number.

use log::{Level, log, log_enabled};
use viabtc_wire::methods::ErrorCode;
use viabtc_wire::reply::error_code;

use crate::backend::{Status, Ticket};

/// Target of the lines.
pub const TARGET: &str = "viabtc::requests";

/// Tells of an answer that `port` gives; `call` is 0 when no frame was sent or came.
pub(crate) fn tell_answer(
    port: &'static str,
    ticket: &Ticket,
    call: u32,
    status: Status,
    body: &[u8],
) {
    let code = match status {
        Status::Answered => error_code(body),
        Status::TimedOut => ErrorCode::ServiceTimeout as i32,
    };
    tell(port, ticket, call, code);
}

/// Tells how a request ended at `port`: with the code of an error, or 0.
pub(crate) fn tell(port: &'static str, ticket: &Ticket, call: u32, code: i32) {
    let level = if is_fault(code) { Level::Warn } else { Level::Debug };
    if !log_enabled!(target: TARGET, level) {
        return;
    }
    let number = ticket.head.request_id;
    let request_id =
        ticket.given.as_deref().map_or_else(|| format!("{number:016x}"), str::to_owned);
    let call = if call == 0 { String::new() } else { format!("{call:08x}") };
    log!(
        target: TARGET,
        level,
        port = port,
        command = ticket.head.command,
        id = number.cast_signed(),
        request_id = request_id.as_str(),
        call = call.as_str(),
        code = code,
        took_us = u64::try_from(ticket.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        "request"
    );
}

/// Whether a service failed, and did not just refuse.
fn is_fault(code: i32) -> bool {
    [ErrorCode::InternalError, ErrorCode::ServiceUnavailable, ErrorCode::ServiceTimeout]
        .iter()
        .any(|fault| *fault as i32 == code)
}
