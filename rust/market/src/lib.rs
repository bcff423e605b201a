//! Market data as a pure function of the deals: candles of every interval, last prices, recent deals, the
//! figures of a period and of today.
//!
//! [`Board::apply`] takes deals in the order of the topic; the queries take the current second as an
//! argument. The crate reads no clock, does no I/O and rounds nowhere but at the 34 digits of
//! [`viabtc_engine::Decimal`], the one arithmetic of prices and amounts in this workspace; of the engine
//! it knows nothing else.
#![no_std]
#![forbid(unsafe_code)]
#![deny(clippy::float_arithmetic)]

extern crate alloc;

pub mod board;
pub mod candle;
pub mod deals;
pub mod interval;
pub mod series;
mod status;
pub mod zone;

pub use board::{Board, Changes, Options, Resolution};
pub use candle::Candle;
pub use deals::{Deal, Taker};
pub use interval::Interval;
pub use status::{Status, Today};
pub use zone::Zone;
