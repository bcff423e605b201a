//! What a snapshot costs the commands that come meanwhile, and how long a restart takes:
//! `cargo bench -p viabtc-host --bench snapshot_stall [-- ORDERS]`.
//!
//! An engine with a million resting orders is given a deposit every half millisecond. In each round three
//! things take turns on the same disk at the same pace: a bare loop that writes half a kibibyte and syncs it,
//! the engine without a snapshot, and the engine with one in the making by a child process as in production.
//! What the bare loop waits is the disk's own; what a snapshot costs is the difference between the other two.
//!
//! The same engine in memory, where a sync costs nothing, shows how long the snapshot itself holds the
//! engine's thread up (`held_ms`), apart from the disk (`disk_ms`).

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use viabtc_host::config_file::read_config;
use viabtc_host::snapshots::{give_way, write_snapshot};
use viabtc_host::{Batch, Host, Options, Replies, ReplyTo};
use viabtc_pages::LargePages;

const CONFIG: &str = r#"{
    "assets": [{"name": "BTC", "prec_save": 8}, {"name": "USDT", "prec_save": 8}],
    "markets": [{"name": "BTCUSDT", "stock": {"name": "BTC", "prec": 4}, "money": {"name": "USDT", "prec": 4},
                 "min_amount": "0.0001"}]
}"#;

/// In the process that makes the snapshot: the data directory.
const SNAPSHOT_OF: &str = "VIABTC_SNAPSHOT_OF";

const USERS: u64 = 10_000;
const BATCH: u64 = 1_000;
const PACE: Duration = Duration::from_micros(500);
const QUIET: Duration = Duration::from_secs(5);
const ROUNDS: usize = 3;

/// What the bare loop syncs at a time, about a deposit's record, and how much of it before it begins anew.
const BARE_BYTES: usize = 512;
const BARE_FILE_BYTES: u64 = 8 << 20;

/// A file system in memory.
const IN_MEMORY: &str = "/dev/shm";
const RESTARTS: usize = 3;

/// As in the package.
#[global_allocator]
static ALLOCATOR: LargePages = LargePages;

fn main() {
    if let Some(directory) = std::env::var_os(SNAPSHOT_OF) {
        return make_snapshot(&PathBuf::from(directory));
    }
    let orders = std::env::args().skip(1).find_map(|text| text.parse().ok()).unwrap_or(1_000_000);
    let folder = tempfile::tempdir().expect("a temporary directory");
    let (host, mut id) = filled(folder.path(), orders);
    let [mut bare, mut without, mut during] = [const { Vec::new() }; 3];
    let mut delays = Vec::new();
    for round in 1..=ROUNDS {
        bare.extend(report(&format!("round {round}, bare"), pace_bare(folder.path())));
        let figures = pace(&host, &mut id, |elapsed| elapsed < QUIET);
        without.extend(report(&format!("round {round}, without a snapshot"), figures));
        let figures = pace_beside_a_snapshot(&host, folder.path(), &mut id);
        delays.push(figures.iter().max().expect("a deposit").as_micros());
        during.extend(report(&format!("round {round}, beside a snapshot"), figures));
    }
    let rotations: Vec<Duration> = (0..20)
        .map(|_| {
            deposit(&host, &mut id);
            let begun = Instant::now();
            host.rotate().expect("the segment can be closed");
            begun.elapsed()
        })
        .collect();
    report("rotations", rotations);
    for _ in 0..100 {
        let mut batch = Batch::new(host.names().get());
        for _ in 0..1_000 {
            id += 1;
            batch.push(102, &params(id), 1).expect("a deposit");
        }
        wait(&host, batch);
    }
    host.stop(Duration::from_secs(30));
    drop(host);
    let synced = Command::new("sync").status().expect("sync runs");
    assert!(synced.success());
    let (least, largest) = (delays.iter().min(), delays.iter().max());
    let (least, largest) = (least.expect("a round"), largest.expect("a round"));
    println!("bench=snapshot_delay_microseconds orders={orders} least={least} largest={largest}");
    let [bare, without, during] =
        [bare, without, during].map(|figures| [tail(&figures), most(&figures)]);
    println!(
        "bench=snapshot_disk orders={orders} bare_p999_ms={:.2} bare_max_ms={:.2} without_p999_ms={:.2} \
         without_max_ms={:.2} with_p999_ms={:.2} with_max_ms={:.2} p999_ratio={:.2} max_ratio={:.2}",
        bare[0],
        bare[1],
        without[0],
        without[1],
        during[0],
        during[1],
        during[0] / without[0],
        during[1] / without[1],
    );
    let held = in_memory(orders);
    println!("bench=snapshot_parts orders={orders} held_ms={held:.2} disk_ms={:.2}", during[1]);
    let restarts: Vec<u128> = (0..RESTARTS)
        .map(|_| {
            let begun = Instant::now();
            let host = start(folder.path());
            let milliseconds = begun.elapsed().as_millis();
            assert!(host.recovery().replayed >= 100_000, "the tail is behind the snapshot");
            host.stop(Duration::from_secs(30));
            milliseconds
        })
        .collect();
    let (least, largest) = (restarts.iter().min(), restarts.iter().max());
    let (least, largest) = (least.expect("a restart"), largest.expect("a restart"));
    println!("bench=restart_milliseconds orders={orders} least={least} largest={largest}");
}

/// An engine with `orders` resting ones whose files are on the disk, and the last id that was used.
fn filled(directory: &Path, orders: u64) -> (Host, u64) {
    let host = start(directory);
    let begun = Instant::now();
    fill(&host, orders);
    println!("{orders} resting orders after {:.1} s", begun.elapsed().as_secs_f64());
    // What the filling left to be written must not be measured.
    let synced = Command::new("sync").status().expect("sync runs");
    assert!(synced.success());
    (host, 1_000_000)
}

/// The slowest deposit beside a snapshot, in milliseconds, where syncs cost nothing.
fn in_memory(orders: u64) -> f64 {
    let folder = tempfile::tempdir_in(IN_MEMORY).expect("a temporary directory in memory");
    let (host, mut id) = filled(folder.path(), orders);
    let figures = pace_beside_a_snapshot(&host, folder.path(), &mut id);
    host.stop(Duration::from_secs(30));
    most(&report("in memory, beside a snapshot", figures))
}

fn start(directory: &Path) -> Host {
    let options = Options::new(read_config(CONFIG).expect("valid"));
    // Small segments: making the spares after a rotation must not be what is measured.
    Host::start(directory, Options { segment_bytes: 8 << 20, ..options }).expect("it starts")
}

fn make_snapshot(directory: &Path) {
    give_way().expect("less priority is granted");
    let report = write_snapshot(directory).expect("the snapshot is made");
    println!("  {} bytes, {} commands replayed", report.bytes, report.replayed);
}

fn begin_snapshot(directory: &Path) -> Child {
    let this = std::env::current_exe().expect("a path");
    Command::new(this).env(SNAPSHOT_OF, directory).spawn().expect("a process")
}

fn is_running(child: &mut Child) -> bool {
    match child.try_wait().expect("the child can be asked") {
        None => true,
        Some(status) => {
            assert!(status.success(), "the snapshot failed");
            false
        }
    }
}

/// Funds users and lets their bids rest, which never meet.
fn fill(host: &Host, orders: u64) {
    let mut batch = Batch::new(host.names().get());
    for user in 1..=USERS {
        let params = format!(r#"[{user}, "USDT", "fund", {user}, "100000000", {{}}]"#);
        push(host, &mut batch, 102, &params);
    }
    for order in 0..orders {
        let (user, price) = (1 + order % USERS, 100 + order % 5_000);
        let params =
            format!(r#"[{user}, "BTCUSDT", 2, "0.5", "{price}", "0.002", "0.001", "fill"]"#);
        push(host, &mut batch, 201, &params);
    }
    wait(host, batch);
}

/// Adds a request; a batch that is large enough is sent.
fn push(host: &Host, batch: &mut Batch, command: u32, params: &str) {
    batch.push(command, params.as_bytes(), 1).expect("a request");
    if batch.len() as u64 == BATCH {
        wait(host, batch.take());
    }
}

struct Waiting(std::sync::mpsc::SyncSender<Replies>);

impl ReplyTo for Waiting {
    fn reply(self: Box<Self>, replies: Replies) {
        // The receiver waits for exactly this.
        let _ = self.0.send(replies);
    }
}

fn wait(host: &Host, batch: Batch) {
    let (sender, receiver) = sync_channel(1);
    host.submit(batch, Box::new(Waiting(sender)));
    let replies = receiver.recv().expect("a reply");
    for index in 0..replies.len() {
        let body = String::from_utf8_lossy(replies.body(index));
        assert!(body.contains(r#""error": null"#), "{body}");
    }
}

fn params(id: u64) -> Vec<u8> {
    format!(r#"[{}, "BTC", "pace", {id}, "1", {{}}]"#, 1 + id % USERS).into_bytes()
}

fn deposit(host: &Host, id: &mut u64) {
    *id += 1;
    let replies = host.call(102, &params(*id), 1).expect("a deposit");
    assert_eq!(replies.len(), 1);
}

/// Deposits at a pace while `goes_on`.
fn pace(host: &Host, id: &mut u64, goes_on: impl FnMut(Duration) -> bool) -> Vec<Duration> {
    paced(|| deposit(host, id), goes_on)
}

/// Acts at a pace while `goes_on`; what is late counts from when it should have begun.
fn paced(mut act: impl FnMut(), mut goes_on: impl FnMut(Duration) -> bool) -> Vec<Duration> {
    let begun = Instant::now();
    let mut latencies = Vec::new();
    let mut due = begun;
    while goes_on(begun.elapsed()) {
        if let Some(early) = due.checked_duration_since(Instant::now()) {
            std::thread::sleep(early);
        }
        act();
        latencies.push(due.elapsed());
        due += PACE;
    }
    latencies
}

/// As [`pace`], from the closing of a segment until the snapshot that covers it is made.
fn pace_beside_a_snapshot(host: &Host, directory: &Path, id: &mut u64) -> Vec<Duration> {
    let begun = Instant::now();
    host.rotate().expect("the segment can be closed");
    let closed = begun.elapsed();
    let mut child = begin_snapshot(directory);
    let mut figures = pace(host, id, |_| is_running(&mut child));
    println!(
        "  the segment was closed in {closed:?}, the child took {:.2} s",
        begun.elapsed().as_secs_f64()
    );
    figures.push(closed);
    figures
}

/// Writes and syncs at the pace of the deposits, without an engine.
fn pace_bare(directory: &Path) -> Vec<Duration> {
    let path = directory.join("bare");
    let file = File::create(&path).expect("a file");
    file.write_all_at(&vec![0; BARE_FILE_BYTES as usize], 0).expect("room");
    file.sync_all().expect("a sync");
    let mut offset = 0;
    let act = || {
        file.write_all_at(&[1; BARE_BYTES], offset).expect("a write");
        file.sync_data().expect("a sync");
        offset = (offset + BARE_BYTES as u64) % BARE_FILE_BYTES;
    };
    let figures = paced(act, |elapsed| elapsed < QUIET);
    std::fs::remove_file(path).expect("the file is there");
    figures
}

/// The 99.9th percentile in milliseconds.
fn tail(latencies: &[Duration]) -> f64 {
    let mut sorted = latencies.to_vec();
    sorted.sort_unstable();
    sorted[(sorted.len() - 1) * 999 / 1_000].as_secs_f64() * 1e3
}

/// The longest in milliseconds.
fn most(latencies: &[Duration]) -> f64 {
    latencies.iter().max().expect("one at least").as_secs_f64() * 1e3
}

/// Prints how they are distributed, and gives them back.
fn report(what: &str, latencies: Vec<Duration>) -> Vec<Duration> {
    let mut sorted = latencies.clone();
    sorted.sort_unstable();
    let at = |share: f64| sorted[((sorted.len() - 1) as f64 * share) as usize];
    let (p50, p99, p999) = (at(0.5), at(0.99), at(0.999));
    let over = sorted.iter().filter(|latency| **latency > Duration::from_millis(5)).count();
    let count = sorted.len();
    println!(
        "{what}: {count}, p50 {p50:?}, p99 {p99:?}, p99.9 {p999:?}, max {:?}, over 5 ms {over}",
        at(1.0)
    );
    latencies
}
