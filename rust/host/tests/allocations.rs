//! Every allocation of a short life fails, each in a life of its own: the process ends, and nothing that it
//! acknowledged is lost.
//!
//! The test starts itself again with [`DIRECTORY`] and [`FAILS_AT`] set; that process plays the engine and
//! prints a line for each command that was acknowledged. `VIABTC_ALLOCATION_STEP=1` lets every allocation
//! fail, N each N-th.

use std::alloc::{GlobalAlloc, Layout, System};
use std::error::Error;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use viabtc_host::config_file::read_config;
use viabtc_host::fault::EXIT_JOURNAL;
use viabtc_host::snapshots::write_snapshot;
use viabtc_host::{Durability, Host, Options};

/// In the process that plays the engine: where it keeps its files.
const DIRECTORY: &str = "VIABTC_TEST_DIRECTORY";

/// In the process that plays the engine: the number of the allocation that fails; with 0 none does.
const FAILS_AT: &str = "VIABTC_TEST_FAILS_AT";

/// What the process ends with when an error was told in words.
const EXIT_ERROR: i32 = 1;

/// Lives in a directory, one after the other.
const LIVES: u64 = 2;

/// Processes that a run of the test starts, about, unless it is told the step.
const RUNS: u64 = 100;

/// Longest wait for the engine's thread.
const DEADLINE: Duration = Duration::from_secs(30);

const CONFIG: &str = r#"{
    "assets": [{"name": "BTC", "prec_save": 8}, {"name": "USDT", "prec_save": 8}],
    "markets": [{"name": "BTCUSDT", "stock": {"name": "BTC", "prec": 4}, "money": {"name": "USDT", "prec": 4},
                 "min_amount": "0.0001"}]
}"#;

/// Counts allocations of all threads, and refuses one.
struct Refusing;

static COUNT: AtomicU64 = AtomicU64::new(0);
static REFUSED: AtomicU64 = AtomicU64::new(u64::MAX);

fn is_refused() -> bool {
    COUNT.fetch_add(1, Relaxed) + 1 == REFUSED.load(Relaxed)
}

// SAFETY: every call is refused, which is allowed, or passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Refusing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_refused() {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller keeps the promises of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if is_refused() {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller keeps the promises of `alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if is_refused() {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller keeps the promises of `realloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the promises of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Refusing = Refusing;

fn main() {
    match std::env::var_os(DIRECTORY) {
        Some(directory) => play(&PathBuf::from(directory)),
        None => {
            whatever_allocation_fails_nothing_acknowledged_is_lost();
            println!("test whatever_allocation_fails_nothing_acknowledged_is_lost ... ok");
        }
    }
}

/// Lives until the allocation that fails; prints how many there were to standard error.
fn play(directory: &Path) {
    let fails_at: u64 = std::env::var(FAILS_AT).unwrap().parse().unwrap();
    COUNT.store(0, Relaxed);
    REFUSED.store(if fails_at == 0 { u64::MAX } else { fails_at }, Relaxed);
    for life in 0..LIVES {
        if let Err(error) = live(directory, life) {
            REFUSED.store(u64::MAX, Relaxed);
            eprintln!("{error}");
            std::process::exit(EXIT_ERROR);
        }
    }
    eprintln!("{}", COUNT.load(Relaxed));
}

fn options() -> Options {
    let config = read_config(CONFIG).unwrap();
    // What is written survives the end of a process, synced or not.
    Options { segment_bytes: 16_384, durability: Durability::Async, ..Options::new(config) }
}

/// A start, commands of all kinds over several segments, a snapshot, commands behind it, a stop.
fn live(directory: &Path, life: u64) -> Result<(), Box<dyn Error>> {
    let host = Host::start(directory, options())?;
    let note = "x".repeat(900);
    for step in 0..2u64 {
        let id = 1 + life * 1_000 + step * 100;
        for (user, asset) in [(1, "BTC"), (2, "USDT")] {
            for id in id..id + 5 {
                let params =
                    format!(r#"[{user}, "{asset}", "test", {id}, "100", {{"note": "{note}"}}]"#);
                acknowledge(&host, 102, &params)?;
            }
        }
        acknowledge(&host, 201, r#"[1, "BTCUSDT", 1, "2", "10", "0.001", "0.001", "test"]"#)?;
        acknowledge(&host, 201, r#"[2, "BTCUSDT", 2, "1", "10", "0.001", "0.001", "test"]"#)?;
        acknowledge(&host, 202, r#"[2, "BTCUSDT", 2, "5", "0.001", "test"]"#)?;
        let order = host.inspect(viabtc_engine::Exchange::last_order_id)? - 2;
        acknowledge(&host, 204, &format!(r#"[1, "BTCUSDT", {order}]"#))?;
        if step == 0 {
            host.rotate()?;
            write_snapshot(directory)?;
        }
    }
    host.stop(DEADLINE);
    Ok(())
}

/// Prints a line when the command was acknowledged.
fn acknowledge(host: &Host, command: u32, params: &str) -> Result<(), Box<dyn Error>> {
    let replies = host.call(command, params.as_bytes(), 1).map_err(|why| format!("{why:?}"))?;
    let body = std::str::from_utf8(replies.body(0))?;
    if !body.contains(r#""error": null"#) {
        return Err(body.into());
    }
    let mut out = std::io::stdout();
    out.write_all(b"acknowledged\n")?;
    Ok(out.flush()?)
}

/// Runs this test again as an engine.
fn run(directory: &Path, fails_at: u64) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env(DIRECTORY, directory).env(FAILS_AT, fails_at.to_string()).output().unwrap()
}

fn whatever_allocation_fails_nothing_acknowledged_is_lost() {
    // In memory where that can be had: nobody cuts the power here, and the syncs of spares take time.
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let whole = run(&folder.path().join("whole"), 0);
    let said = String::from_utf8_lossy(&whole.stderr).into_owned();
    assert!(whole.status.success(), "{said}");
    let count: u64 = said.trim().parse().expect("the number of allocations");
    let step = match std::env::var("VIABTC_ALLOCATION_STEP") {
        Ok(step) => step.parse().expect("a number"),
        Err(_) => count.div_ceil(RUNS) as usize,
    };
    let (mut aborted, mut told, mut unharmed) = (0, 0, 0);
    for number in (1..=count).step_by(step) {
        let directory = folder.path().join(number.to_string());
        let output = run(&directory, number);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        match (output.status.signal(), output.status.code()) {
            (Some(libc::SIGABRT), _) => {
                assert!(said.contains("memory allocation of "), "allocation {number}: {said}");
                aborted += 1;
            }
            (_, Some(code)) if code == EXIT_ERROR || code == i32::from(EXIT_JOURNAL) => {
                assert!(!said.trim().is_empty(), "allocation {number}: no words");
                told += 1;
            }
            // What went without it, or the threads allocated less this time.
            (_, Some(0)) => unharmed += 1,
            _ => panic!("allocation {number}: {:?}, {said}", output.status),
        }
        let acknowledged = output.stdout.iter().filter(|byte| **byte == b'\n').count() as u64;
        let host = Host::start(&directory, options())
            .unwrap_or_else(|error| panic!("after allocation {number}: {error}"));
        let sequence = host.inspect(viabtc_engine::Exchange::sequence).unwrap();
        // The last one may be in the journal although nobody was told.
        assert!(
            (acknowledged..=acknowledged + 1).contains(&sequence),
            "after allocation {number}: {sequence} commands, {acknowledged} acknowledged"
        );
        host.inspect(|exchange| exchange.audit().unwrap()).unwrap();
        assert!(host.stop(DEADLINE));
        drop(host);
        std::fs::remove_dir_all(&directory).unwrap();
    }
    println!(
        "{count} allocations, each {step}-th: {aborted} aborted, {told} told, {unharmed} unharmed"
    );
    assert!(aborted > 0, "no allocation failed");
}
