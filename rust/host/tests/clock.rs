//! A clock that jumps or stands still: time in the journal never runs backwards, and nothing else changes.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use viabtc_host::config_file::read_config;
use viabtc_host::{Fault, Host, Options};
use viabtc_journal::{Directory, inspect};

const CONFIG: &str = r#"{"assets": [{"name": "BTC", "prec_save": 12}], "markets": []}"#;

const DAY_US: i64 = 86_400_000_000;
const NOON_US: i64 = 1_700_000_000_000_000;

/// The clock of every engine here; a test holds [`TURN`] while it drives it.
static CLOCK: AtomicI64 = AtomicI64::new(NOON_US);
static TURN: Mutex<()> = Mutex::new(());

fn start(directory: &Path) -> Host {
    let options = Options {
        segment_bytes: 16 << 10,
        clock: || CLOCK.load(Ordering::Relaxed),
        on_fault: |fault: &Fault<'_>| panic!("{fault}"),
        ..Options::new(read_config(CONFIG).unwrap())
    };
    Host::start(directory, options).unwrap()
}

fn deposit(host: &Host, id: u64) -> bool {
    let params = format!(r#"[1, "BTC", "deposit", {id}, "1", {{}}]"#);
    let replies = host.call(102, params.as_bytes(), 1).unwrap();
    String::from_utf8_lossy(replies.body(0)).contains("success")
}

fn times(directory: &Path) -> Vec<i64> {
    let mut times = Vec::new();
    let storage = Directory::open(directory).unwrap();
    inspect(&storage, 0, &mut |_, _, record| {
        times.push(record.time);
        true
    })
    .unwrap();
    times
}

/// Deposits under each of the clock's settings, with a restart and a rotation after each; checks that the
/// journal's times ascend and the state survives.
fn live_through(settings: &[i64]) -> Vec<i64> {
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let directory = tempfile::tempdir().unwrap();
    let mut id = 0;
    for setting in settings {
        CLOCK.store(*setting, Ordering::Relaxed);
        let host = start(directory.path());
        for _ in 0..20 {
            id += 1;
            assert!(deposit(&host, id), "deposit {id}");
            assert!(!deposit(&host, id), "deposit {id} is repeated");
        }
        host.rotate().unwrap();
        let before = host.inspect(|exchange| (exchange.sequence(), exchange.digest())).unwrap();
        assert!(host.stop(Duration::from_secs(10)));
        let host = start(directory.path());
        let after = host.inspect(|exchange| (exchange.sequence(), exchange.digest())).unwrap();
        assert_eq!((before, before.0), (after, id));
    }
    let times = times(directory.path());
    assert!(times.is_sorted(), "{times:?}");
    times
}

#[test]
fn a_clock_that_goes_back_a_day_lets_time_stand_still() {
    let times = live_through(&[NOON_US, NOON_US - DAY_US, NOON_US - 1_000_000]);
    assert!(times.iter().all(|time| *time == NOON_US));
}

#[test]
fn a_clock_that_goes_forward_a_day_and_back_never_repeats_a_time_before_it() {
    let times = live_through(&[NOON_US, NOON_US + DAY_US, NOON_US + 1_000_000]);
    assert_eq!((times[0], *times.last().unwrap()), (NOON_US, NOON_US + DAY_US));
}

#[test]
fn a_clock_that_stands_still_is_no_obstacle() {
    let times = live_through(&[NOON_US; 3]);
    assert!(times.iter().all(|time| *time == NOON_US));
}

#[test]
fn a_clock_that_jitters_by_a_second_gives_ascending_times() {
    let jitter: Vec<i64> = (0..12).map(|step| NOON_US + step * 13 % 5 * 1_000_000).collect();
    live_through(&jitter);
}
