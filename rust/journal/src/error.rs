//! What can go wrong with files.

use std::io;

/// The journal cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// An operation on a file failed.
    #[error("cannot {operation} {file}: {source}")]
    Io {
        /// Such as `open` or `write`.
        operation: &'static str,
        /// Name within the directory.
        file: String,
        /// The system's reason.
        source: io::Error,
    },
    /// A write or sync failed before; what the disk holds is not known, so nothing more is written.
    #[error("the journal stopped after a failure: {cause}")]
    Halted {
        /// Text of the first failure.
        cause: String,
    },
    /// Bytes that were durable are not what was written. Nothing is cut.
    #[error(
        "{file} is damaged at byte {offset}, in the record after number {ordinal} (sequence {sequence}): {what}"
    )]
    Damaged {
        /// Name within the directory.
        file: String,
        /// Where the first unreadable record starts.
        offset: u64,
        /// Sequence of the last readable record.
        sequence: u64,
        /// Number of the last readable record.
        ordinal: u64,
        /// What does not fit.
        what: &'static str,
    },
    /// Commands that are known to have been acknowledged are in no file. Nothing is changed.
    #[error("{known} holds command {sequence}, and the journal ends at command {found}")]
    Lost {
        /// What proves that they existed.
        known: String,
        /// Last command that it knows.
        sequence: u64,
        /// Last command of the journal; 0 without one.
        found: u64,
    },
    /// The feed does not hold what a reader asks for.
    #[error("the event feed begins at command {first}; command {wanted} is no longer in it")]
    FeedGap {
        /// Sequence that comes next for the reader.
        wanted: u64,
        /// Of the next record that there is.
        first: u64,
    },
    /// No space for another segment; nothing was written, and writing may go on when there is space.
    #[error("no space for a further segment of the journal: {cause}")]
    NoSpace {
        /// Text of the failure.
        cause: String,
    },
    /// Another process writes this journal.
    #[error("{file} is locked by process {pid}")]
    Locked {
        /// Of the lock file.
        file: String,
        /// As written in it; 0 when unknown.
        pid: u32,
    },
    /// A record that no segment could hold.
    #[error("a record of {bytes} bytes is larger than a segment of {segment_bytes}")]
    TooLarge {
        /// Of the record.
        bytes: usize,
        /// Of a segment.
        segment_bytes: u64,
    },
    /// Whoever reads the records asked to stop.
    #[error("reading was stopped")]
    Stopped,
    /// Written by a version that this build does not read.
    #[error("{file} has format version {version}; this build reads version {expected}")]
    Version {
        /// Name within the directory.
        file: String,
        /// As found.
        version: u32,
        /// As readable.
        expected: u32,
    },
}

impl JournalError {
    /// Names the operation and the file of an input or output error, for `map_err`.
    pub fn io(operation: &'static str, file: &str) -> impl FnOnce(io::Error) -> JournalError {
        move |source| JournalError::Io { operation, file: file.to_owned(), source }
    }

    /// Whether a file that was listed is not there any more.
    pub(crate) fn is_missing_file(&self) -> bool {
        matches!(self, JournalError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}
