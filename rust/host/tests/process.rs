//! What ends the process, in a process of its own: the exit code, one line that says why, no answer on the
//! way out, and what the next start makes of it.
//!
//! The test starts itself again with [`ROLE`] set; that process plays the engine and prints what it
//! answers.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use viabtc_host::config_file::read_config;
use viabtc_host::failpoints::{PANIC_IN_APPLY, PANIC_IN_REPLAY};
use viabtc_host::fault::{EXIT_DEFECT, EXIT_JOURNAL, end_process};
use viabtc_host::{Batch, Host, Options, Replies, ReplyTo};
use viabtc_journal::Storage;
use viabtc_journal::simulated::SimulatedDisk;

/// What the process is to do.
const ROLE: &str = "VIABTC_TEST_ROLE";

/// Where it keeps its files.
const DIRECTORY: &str = "VIABTC_TEST_DIRECTORY";

const CONFIG: &str = r#"{"assets": [{"name": "BTC", "prec_save": 12}], "markets": []}"#;

fn main() {
    match std::env::var(ROLE) {
        Ok(role) => play(&role, &PathBuf::from(std::env::var_os(DIRECTORY).unwrap())),
        Err(_) => {
            let filter = std::env::args().skip(1).find(|word| !word.starts_with('-'));
            let is_wanted = |name: &str| filter.as_ref().is_none_or(|word| name.contains(word));
            for (name, test) in TESTS.iter().filter(|(name, _)| is_wanted(name)) {
                test();
                println!("test {name} ... ok");
            }
        }
    }
}

const TESTS: &[(&str, fn())] = &[
    (
        "a_failed_write_or_sync_ends_the_process_without_an_answer",
        a_failed_write_or_sync_ends_the_process_without_an_answer,
    ),
    (
        "a_poisonous_request_is_not_journaled_and_is_refused_for_a_minute",
        a_poisonous_request_is_not_journaled_and_is_refused_for_a_minute,
    ),
    (
        "a_journaled_command_that_panics_in_replay_halts_with_words",
        a_journaled_command_that_panics_in_replay_halts_with_words,
    ),
];

fn options() -> Options {
    Options { segment_bytes: 1 << 20, ..Options::new(read_config(CONFIG).unwrap()) }
}

fn deposit(id: u64, detail: &str) -> String {
    format!(r#"[1, "BTC", "deposit", {id}, "1", {{"note": "{detail}"}}]"#)
}

fn call<S: Storage + Sync>(host: &Host<S>, params: &str) -> String {
    let replies = host.call(102, params.as_bytes(), 1).unwrap();
    String::from_utf8(replies.body(0).to_vec()).unwrap()
}

/// Runs this test again in a role.
fn run(role: &str, directory: &Path) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env(ROLE, role).env(DIRECTORY, directory).output().unwrap()
}

fn check(output: &Output, code: u8, answers: usize, words: &[&str]) {
    let printed = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(i32::from(code)), "{printed}{said}");
    assert_eq!(printed.matches("success").count(), answers, "{printed}");
    assert_eq!(printed.lines().count(), answers, "nothing else was answered: {printed}");
    let line = said.lines().find(|line| line.starts_with("viabtc: ")).unwrap();
    for word in words {
        assert!(line.contains(word), "{word:?} is not in {line:?}");
    }
}

/// Plays the engine.
fn play(role: &str, directory: &Path) {
    match role {
        "failing write" => fail(0),
        "failing sync" => fail(1),
        "poison" => {
            let host = Host::start(directory, options()).unwrap();
            println!("{}", call(&host, &deposit(1, "")));
            println!("{}", call(&host, &deposit(2, PANIC_IN_APPLY)));
        }
        "journal what panics in replay" => {
            let host = Host::start(directory, options()).unwrap();
            println!("{}", call(&host, &deposit(1, "")));
            println!("{}", call(&host, &deposit(2, PANIC_IN_REPLAY)));
        }
        "replay" => {
            let host = Host::start(directory, options()).unwrap();
            println!("started at {}", host.recovery().sequence);
        }
        other => panic!("no role {other}"),
    }
}

/// Answers of a batch, printed the moment that they are given.
struct Printed(std::sync::mpsc::SyncSender<()>);

impl ReplyTo for Printed {
    fn reply(self: Box<Self>, replies: Replies) {
        println!("{}", String::from_utf8_lossy(replies.body(0)));
        let _ = self.0.send(());
    }
}

/// One request is answered; then an operation of the disk fails under two at once.
fn fail(operation: u64) {
    let disk = SimulatedDisk::new();
    let options = Options { is_prepared_ahead: false, on_fault: end_process, ..options() };
    let host = Arc::new(Host::start_on(disk.clone(), options).unwrap());
    println!("{}", call(&host, &deposit(1, "")));
    // The answer comes after the sync of its record and before the feed's write; that is over when the
    // next task is done.
    host.inspect(|_| ()).unwrap();
    disk.fail_operation(operation);
    let (sender, receiver) = sync_channel(2);
    for id in [2, 3] {
        let mut batch = Batch::new(host.names().get());
        batch.push(102, deposit(id, "").as_bytes(), 1).unwrap();
        host.submit(batch, Box::new(Printed(sender.clone())));
    }
    drop(sender);
    while receiver.recv().is_ok() {}
    // The engine's thread let go of a batch without an answer: the port would tell its client.
    println!("let go");
    loop {
        std::thread::park();
    }
}

fn a_failed_write_or_sync_ends_the_process_without_an_answer() {
    let folder = tempfile::tempdir().unwrap();
    for (role, operation) in [("failing write", "cannot write"), ("failing sync", "cannot sync")] {
        let output = run(role, folder.path());
        let words = [operation, "journal-0000000001.seg", "memory is ahead of the disk"];
        check(&output, EXIT_JOURNAL, 1, &words);
    }
}

fn a_poisonous_request_is_not_journaled_and_is_refused_for_a_minute() {
    let folder = tempfile::tempdir().unwrap();
    let output = run("poison", folder.path());
    check(&output, EXIT_DEFECT, 1, &["command 102", "digest", "refused for a minute"]);
    let host = Host::start(folder.path(), options()).unwrap();
    assert_eq!(host.recovery().sequence, 1, "it is not in the journal");
    let note = &host.recovery().notes[0];
    assert!(note.contains("1 requests made the engine panic"), "{note}");
    for _ in 0..3 {
        let refused = call(&host, &deposit(2, PANIC_IN_APPLY));
        assert!(refused.contains(r#""code": 2, "message": "internal error""#), "{refused}");
    }
    assert_eq!(host.metrics().poisoned.load(std::sync::atomic::Ordering::Relaxed), 3);
    assert!(call(&host, &deposit(3, "")).contains("success"), "others are served");
    drop(host);
    // A further start within the minute refuses it, too; a later one has forgotten it.
    let output = run("poison", folder.path());
    check_repeated(&output);
    let clock = || {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        now.as_micros() as i64 + 61_000_000
    };
    let host = Host::start(folder.path(), Options { clock, ..options() }).unwrap();
    assert!(host.recovery().notes.is_empty(), "{:?}", host.recovery().notes);
}

/// The request is refused within the minute, so that the process lives on and ends well.
fn check_repeated(output: &Output) {
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{printed}");
    assert!(printed.contains("internal error"), "{printed}");
}

fn a_journaled_command_that_panics_in_replay_halts_with_words() {
    let folder = tempfile::tempdir().unwrap();
    let output = run("journal what panics in replay", folder.path());
    assert!(output.status.success());
    for _ in 0..2 {
        let output = run("replay", folder.path());
        let words = ["command 2 of the journal", "nothing was changed", "start the version"];
        check(&output, EXIT_DEFECT, 0, &words);
    }
}
