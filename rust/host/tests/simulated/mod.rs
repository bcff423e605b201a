//! The whole engine on the simulated disk, beside a twin on one that never fails.
#![allow(dead_code, reason = "each test file uses its part")]

use std::time::Duration;

use viabtc_host::config_file::read_config;
use viabtc_host::snapshots::write_snapshot_on;
use viabtc_host::{Host, Options, StartError};
use viabtc_journal::simulated::SimulatedDisk;
use viabtc_journal::{FeedReader, JournalError};

const CONFIG: &str = r#"{
    "assets": [{"name": "BTC", "prec_save": 12, "prec_show": 8}, {"name": "USDT", "prec_save": 20, "prec_show": 8}],
    "markets": [{"name": "BTCUSDT", "stock": {"name": "BTC", "prec": 8}, "money": {"name": "USDT", "prec": 8},
                 "min_amount": "0.001"}]
}"#;

/// Small, so that a short life sees many segments.
pub const SEGMENT_BYTES: u64 = 16 << 10;

pub type Simulated = Host<SimulatedDisk>;

pub fn options() -> Options {
    Options {
        segment_bytes: SEGMENT_BYTES,
        is_prepared_ahead: false,
        // It stands still, so that the same commands always lead to the same state.
        clock: || 1_700_000_000_000_000,
        // The engine's thread ends, as the process would.
        on_fault: |_| {},
        ..Options::new(read_config(CONFIG).unwrap())
    }
}

pub fn start(disk: &SimulatedDisk) -> Result<Simulated, StartError> {
    Host::start_on(disk.clone(), options())
}

pub fn call(host: &Simulated, command: u32, params: &str) -> String {
    let replies = host.call(command, params.as_bytes(), 1).unwrap();
    String::from_utf8(replies.body(0).to_vec()).unwrap()
}

/// Whether the engine said that it will not answer.
pub fn is_unavailable(reply: &str) -> bool {
    reply.contains(r#""code": 3,"#)
}

/// Sequence and digest of the state.
pub fn state(host: &Simulated) -> (u64, u64) {
    host.inspect(|exchange| (exchange.sequence(), exchange.digest())).unwrap()
}

/// The `number`-th request of a life: mostly accepted, of every kind.
pub fn request(number: u64) -> (u32, String) {
    let user = 1 + number * 7 % 5;
    let price = 90 + number * 13 % 21;
    let side = 1 + number % 2;
    match number % 11 {
        _ if number <= 10 => {
            let asset = if number.is_multiple_of(2) { "BTC" } else { "USDT" };
            let user = number.div_ceil(2);
            (102, format!(r#"[{user}, "{asset}", "fund", {number}, "100000", {{"n": {number}}}]"#))
        }
        0 => (102, format!(r#"[{user}, "USDT", "gift", {number}, "-0.5", {{}}]"#)),
        5 => (202, format!(r#"[{user}, "BTCUSDT", {side}, "1.5", "0.002", "m"]"#)),
        8 => (204, format!(r#"[{user}, "BTCUSDT", {}]"#, number / 3)),
        _ => (
            201,
            format!(r#"[{user}, "BTCUSDT", {side}, "0.7", "{price}", "0.002", "0.001", "l"]"#),
        ),
    }
}

/// What a healthy engine makes of the first `count` requests.
pub struct Twin {
    host: Simulated,
    disk: SimulatedDisk,
    /// Digest by sequence; the first is of the empty state.
    pub digests: Vec<u64>,
    /// Sequence after each request; the first is before any.
    pub sequences: Vec<u64>,
}

impl Twin {
    pub fn new() -> Twin {
        let disk = SimulatedDisk::new();
        let host = start(&disk).unwrap();
        let digests = vec![state(&host).1];
        Twin { host, disk, digests, sequences: vec![0] }
    }

    /// Makes sure that the twin has seen `count` requests.
    pub fn see(&mut self, count: u64) {
        for number in self.sequences.len() as u64..=count {
            let (command, params) = request(number);
            call(&self.host, command, &params);
            let (sequence, digest) = state(&self.host);
            if sequence as usize == self.digests.len() {
                self.digests.push(digest);
            }
            self.sequences.push(sequence);
        }
    }

    /// Checks a recovered engine: its state is the twin's after some request from `acknowledged` to
    /// `sent`, and its feed is the twin's up to there. Which one.
    pub fn check(
        &self,
        host: &Simulated,
        disk: &SimulatedDisk,
        acknowledged: u64,
        sent: u64,
    ) -> u64 {
        let (sequence, digest) = state(host);
        let (least, most) = (self.sequences[acknowledged as usize], self.sequences[sent as usize]);
        assert!((least..=most).contains(&sequence), "{sequence} is not in {least}..={most}");
        assert_eq!(digest, self.digests[sequence as usize], "the state of command {sequence}");
        let audit = host.inspect(|exchange| exchange.audit().err().map(|found| found.to_string()));
        assert_eq!(audit.unwrap(), None);
        let (found, mut right) = (feed(disk), feed(&self.disk));
        right.truncate(sequence as usize);
        assert_eq!(found, right, "the feed holds every command once");
        sequence
    }
}

/// The whole feed.
fn feed(disk: &SimulatedDisk) -> Vec<(u64, Vec<u8>)> {
    let mut reader = FeedReader::open(disk, 0);
    let mut records = Vec::new();
    loop {
        let batch = reader.next_batch().unwrap();
        if batch.is_empty() {
            return records;
        }
        records.extend(batch.into_iter().map(|record| (record.sequence, record.payload)));
    }
}

/// How far a life came.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    /// Requests that were answered.
    pub acknowledged: u64,
    /// Requests that were sent.
    pub sent: u64,
}

/// Starts, sends `count` further requests with two snapshots between, and stops; ends with the first sign
/// of a failure.
pub fn live(disk: &SimulatedDisk, progress: &mut Progress, count: u64) -> Result<(), StartError> {
    let host = start(disk)?;
    let last = progress.acknowledged + count;
    for number in progress.acknowledged + 1..=last {
        let (command, params) = request(number);
        progress.sent = number;
        if is_unavailable(&call(&host, command, &params)) {
            return Err(ended());
        }
        progress.acknowledged = number;
        if number % (count / 3).max(1) == 0 {
            host.rotate().map_err(|_| ended())?;
            write_snapshot_on(disk, 1_700_000_000_000_000)?;
        }
    }
    if !host.stop(Duration::from_secs(10)) {
        return Err(ended());
    }
    Ok(())
}

fn ended() -> StartError {
    JournalError::Halted { cause: "the engine ended".to_owned() }.into()
}
