//! The whole state as bytes, and back. Equal states give equal bytes; names rather than positions tie
//! balances and orders to a configuration, so that a state can be moved to another one.
//!
//! Integers are little endian. Order: version; counters; assets (name, save scale, supply, fees
//! collected); markets (name, base, quote, three scales); balances by user and asset; orders by market,
//! side and priority; remembered updates, oldest first. Every list has its length in front. Version 2 has
//! the sequence of the last command of our own kinds behind the counters, and whether it is halted behind
//! each market; a state without such a command is written in version 1, which older builds read too.
//! Version 3 has besides the names of orders that take effect once at its end, oldest first; a state that
//! remembers none is written in version 1 or 2.

mod input;
mod read;
mod write;

use alloc::string::String;

pub(crate) use write::Out;

/// Of a state that no command of our own kinds changed.
pub(crate) const VERSION: u8 = 1;

/// Of a state that one did.
const VERSION_CHANGED: u8 = 2;

/// Of a state that remembers names of orders.
const VERSION_NAMED: u8 = 3;

/// Bytes collected before they go to the sink.
const FLUSH_BYTES: usize = 64 * 1024;

/// Longest name that is read; longer ones are no names of ours.
const NAME_BYTES_MAX: usize = 255;

/// Says that an optional number is absent.
const ABSENT: u8 = 0;
const PRESENT: u8 = 1;

/// Length of an absent source.
const SOURCE_ABSENT: u8 = u8::MAX;

/// Bytes that lead to no state under this configuration.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RestoreError {
    /// Not the bytes of a state.
    #[error("the snapshot is malformed: {0}")]
    Malformed(&'static str),
    /// Of a version that this build does not read.
    #[error("the snapshot has version {0}; this build reads versions 1 to 3")]
    Version(u8),
    /// The configuration lacks or changes something that the state uses.
    #[error("{0}")]
    Config(String),
}
