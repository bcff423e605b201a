//! The engine made durable: requests in batches, one journal, snapshots, the event feed.

pub mod batch;
mod bytes;
pub mod codec;
pub mod config_file;
pub mod configs;
mod core;
#[cfg(feature = "failpoints")]
pub mod failpoints;
pub mod fault;
pub mod follow;
pub mod gate;
pub mod halt;
pub mod host;
pub mod merge;
pub mod metrics;
pub mod names;
mod poison;
mod queue;
pub mod record;
pub mod recovery;
pub mod snapshots;
pub mod start;
pub mod takeover;

pub use batch::{Batch, Layout, Refused, Replies, ReplyTo};
pub use fault::Fault;
pub use gate::Gate;
pub use host::{Durability, Host, Options, Unavailable};
pub use start::{Recovery, StartError};
