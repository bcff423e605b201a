//! Bytes in order, durable: a journal of chained, checksummed records in preallocated segments, snapshot
//! files beside it, and the unsynced feed. The crate knows nothing of what the bytes mean.
//!
//! | file | content | written |
//! | --- | --- | --- |
//! | `journal-<number>.seg` | [`Record`]s behind a header | group commit, one sync a batch |
//! | `spare-<number>.seg` | zeros, ready to become the next segment | ahead, by [`Reserve`]'s thread |
//! | `used-<number>.seg` | a segment that no snapshot needs, to become the next spare | renamed |
//! | `snapshot-<sequence>.snap` | opaque bytes with checksums | temporary file, sync, rename |
//! | `used-snapshot` | an older snapshot, to be written over by the next | renamed |
//! | `*.obsolete` | what is about to go, and may be shortened already | renamed, cut in pieces, removed |
//! | `feed-<first sequence>.seg` | records of the feed | unsynced, cut at open |
//! | `feed-positions` | how far each projection is | temporary file, sync, rename |
//! | `lock`, `snapshot-lock` | process id of the writer, of the one who makes a snapshot | flock |
//!
//! One call to the system is unsafe, [`File::write_out`].
#![deny(unsafe_code)]

mod error;
mod feed;
mod journal;
mod reader;
mod record;
mod reserve;
mod segment;
pub mod simulated;
mod snapshot;
mod storage;

pub use error::JournalError;
pub use feed::{
    FeedPositions, FeedReader, FeedRecord, FeedSignal, FeedWriter, feed_sequence, remove_consumed,
    remove_feed, sync_feed,
};
pub use journal::{Journal, Options, ReadJournal, Recovered};
pub use reader::{Summary, Torn, first_sequence, inspect, read_closed};
pub use record::{KIND_OPENED, KIND_PROOF, KIND_SEAL, Record};
pub use segment::segment_name;
pub use snapshot::{Snapshot, SnapshotWriter, latest_snapshot, lock_snapshots, remove_obsolete};
pub use storage::{Directory, File, Storage};
