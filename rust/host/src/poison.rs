//! Requests that made the engine panic, remembered for a while: a client that sends such a request again
//! and again must not keep the exchange down.
//!
//! The file `poison` holds a line `<time in microseconds> <digest in hexadecimal>` a request. It needs no
//! checksum: a line that cannot be read is no request, and the engine then dies of it once more.

use std::fmt::Write;

use viabtc_journal::{File, JournalError, Storage};
use xxhash_rust::xxh3::xxh3_64_with_seed;

const NAME: &str = "poison";
const UNFINISHED: &str = "poison.unfinished";

/// How long a request is refused after its panic.
const REFUSED_US: i64 = 60_000_000;

/// Most requests that are remembered; each of them is a crash within the last minute.
const REQUESTS_MAX: usize = 64;

/// Number of the same request: its command and the text of its parameters.
pub(crate) fn digest(command: u32, params: &[u8]) -> u64 {
    xxh3_64_with_seed(params, u64::from(command))
}

/// The remembered requests: time of the panic and digest, oldest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Poison {
    requests: Vec<(i64, u64)>,
}

impl Poison {
    /// Reads those that are still refused at `time`.
    pub(crate) fn open<S: Storage>(storage: &S, time: i64) -> Result<Poison, JournalError> {
        let io = |operation: &'static str| {
            move |source| JournalError::Io { operation, file: NAME.to_owned(), source }
        };
        let names = storage.list().map_err(io("find"))?;
        if !names.iter().any(|name| name == NAME) {
            return Ok(Poison::default());
        }
        let file = storage.open(NAME).map_err(io("open"))?;
        let mut bytes = vec![0; usize::try_from(file.size().map_err(io("read"))?).unwrap_or(0)];
        file.read_at(&mut bytes, 0).map_err(io("read"))?;
        let text = String::from_utf8_lossy(&bytes);
        let requests = text.lines().filter_map(|line| {
            let (time, digest) = line.split_once(' ')?;
            Some((time.parse().ok()?, u64::from_str_radix(digest, 16).ok()?))
        });
        let mut poison = Poison { requests: requests.collect() };
        poison.forget(time);
        Ok(poison)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.requests.len()
    }

    /// Drops those whose time is over. One from the future, after a clock that went back, counts as over.
    pub(crate) fn forget(&mut self, time: i64) {
        self.requests.retain(|(at, _)| (*at..at.saturating_add(REFUSED_US)).contains(&time));
    }

    /// Whether this request is one of them.
    pub(crate) fn is_refused(&self, command: u32, params: &[u8]) -> bool {
        let digest = digest(command, params);
        self.requests.iter().any(|(_, other)| *other == digest)
    }

    /// Remembers one more and writes all of them, durably.
    pub(crate) fn save<S: Storage>(
        mut self,
        storage: &S,
        time: i64,
        digest: u64,
    ) -> Result<(), std::io::Error> {
        self.requests.push((time, digest));
        let surplus = self.requests.len().saturating_sub(REQUESTS_MAX);
        let mut text = String::new();
        for (time, digest) in &self.requests[surplus..] {
            writeln!(text, "{time} {digest:016x}").expect("a string takes all text");
        }
        let file = storage.create(UNFINISHED)?;
        file.write_at(text.as_bytes(), 0)?;
        file.sync()?;
        storage.rename(UNFINISHED, NAME)?;
        storage.sync_directory()
    }
}
