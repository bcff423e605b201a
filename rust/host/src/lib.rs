//! The engine made durable: commands and events as record bytes, and the configuration file.

mod bytes;
pub mod codec;
pub mod config_file;
