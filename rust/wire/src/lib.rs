//! Bytes on the wire to values and back: methods, JSON requests and replies, frames. No sockets, no clock.

pub mod changes;
pub mod envelope;
pub mod frame;
pub mod json;
pub mod market;
pub mod messages;
pub mod methods;
pub mod operlog;
pub mod pushes;
pub mod reply;
pub mod request;
pub mod rows;
pub mod slices;
pub mod sql;
