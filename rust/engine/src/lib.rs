//! The exchange as a pure state machine: balances, order books and matching.
//!
//! `Exchange::apply(stamp, command, events)` is the whole model: a [`Stamp`] (sequence and time) and a
//! [`Command`] go in; facts ([`Event`]) or a [`Rejection`] come out. The crate reads no clock, does no
//! I/O, draws no random number and iterates nothing whose order is not defined, so that replaying the
//! same commands always leads to the same state and the same events.
//!
//! Money is counted in integers: binary fractions are refused by the compiler's lints (and by `clippy.toml`
//! beside this crate's manifest), and arithmetic is checked in release builds too (`overflow-checks` of
//! the workspace's profile).
#![no_std]
#![forbid(unsafe_code)]
#![deny(clippy::float_arithmetic, clippy::disallowed_types)]

extern crate alloc;

mod account;
pub mod audit;
pub mod book;
pub mod change;
mod chunks;
pub mod command;
pub mod config;
pub mod conserve;
pub mod decimal;
mod digest;
pub mod event;
pub mod exchange;
pub mod ids;
pub mod ledger;
mod market;
mod matching;
pub mod once;
mod open;
pub mod order;
pub mod query;
pub mod rejection;
mod resting;
pub mod snapshot;
mod takeover;
pub mod updates;
mod warm;

pub use audit::Violation;
pub use change::{AssetSettings, Change, ChangeError, MarketSettings};
pub use command::{CancelOrder, Command, PlaceLimit, PlaceMarket, PlaceOnce, Stamp, UpdateBalance};
pub use config::{AssetConfig, Config, ConfigError, MarketConfig};
pub use conserve::Imbalance;
pub use decimal::Decimal;
pub use event::{BalanceUpdated, Deal, DealSide, Event, Events, OrderChange, OrderEvent};
pub use exchange::Exchange;
pub use ids::{AssetId, DealId, MarketId, OrderId, Time, UserId};
pub use ledger::{AssetTotals, Balance};
pub use order::{Order, OrderKind, Side, Source};
pub use query::{Depth, MarketSummary};
pub use rejection::Rejection;
pub use snapshot::RestoreError;
pub use takeover::Found;
pub use warm::GROUP as WARM_GROUP;
