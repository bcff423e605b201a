//! The data ports: binary RPC server and client, JSON-RPC over HTTP, and the websocket hub. Sockets only; what is asked is
//! answered through a [`Backend`].
#![forbid(unsafe_code)]

pub mod address;
pub mod backend;
pub mod board;
pub mod client;
mod connection;
pub mod front_door;
#[cfg(test)]
mod fuzz;
mod http;
pub mod hub;
pub mod metrics;
mod pulse;
mod reactor;
pub mod remote;
pub mod rpc_server;
mod server;
pub mod telling;

pub use address::{Address, AddressError};
pub use backend::{Backend, Bundle, Outbox, Refusal, Session, Status, Ticket};
pub use board::BoardBackend;
pub use client::Client;
pub use front_door::{DoorOptions, FrontDoor};
pub use hub::{Hub, HubOptions};
pub use metrics::{Latency, Metrics};
pub use remote::{Remote, RemoteOptions};
pub use rpc_server::{RpcOptions, RpcServer};
