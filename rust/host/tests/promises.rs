//! What an acknowledgement promises, looked at from the disk at the moment it leaves.

use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use viabtc_host::config_file::read_config;
use viabtc_host::record::KIND_COMMAND;
use viabtc_host::{Batch, Host, Options, Replies, ReplyTo};
use viabtc_journal::inspect;
use viabtc_journal::simulated::SimulatedDisk;

const CONFIG: &str =
    r#"{"assets": [{"name": "BTC", "prec_save": 12, "prec_show": 8}], "markets": []}"#;

/// Longest wait for the engine's thread.
const DEADLINE: Duration = Duration::from_secs(10);

fn options() -> Options {
    let config = read_config(CONFIG).unwrap();
    Options {
        segment_bytes: 1 << 20,
        is_prepared_ahead: false,
        // A fault ends the engine's thread; then the reply that a test waits for does not come.
        on_fault: |_| (),
        ..Options::new(config)
    }
}

/// What a power loss would leave when a reply leaves, and the reply.
struct Observer {
    disk: SimulatedDisk,
    seen: SyncSender<(SimulatedDisk, Replies)>,
}

impl ReplyTo for Observer {
    fn reply(self: Box<Self>, replies: Replies) {
        // Nothing that was not synced survives.
        let durable = self.disk.after_power_loss(|| false);
        self.seen.send((durable, replies)).unwrap();
    }
}

fn submit(
    host: &Host<SimulatedDisk>,
    disk: &SimulatedDisk,
    params: &[String],
) -> Receiver<(SimulatedDisk, Replies)> {
    let mut batch = Batch::new(host.names().get());
    for params in params {
        batch.push(102, params.as_bytes(), 1).unwrap();
    }
    let (seen, replies) = sync_channel(1);
    host.submit(batch, Box::new(Observer { disk: disk.clone(), seen }));
    replies
}

fn update(id: u64, change: &str) -> String {
    format!(r#"[1, "BTC", "deposit", {id}, "{change}", {{}}]"#)
}

fn is_success(replies: &Replies, index: usize) -> bool {
    replies.body(index).starts_with(b"{\"error\": null")
}

/// Sequences and times of the commands that a start would find.
fn commands(disk: &SimulatedDisk) -> Vec<(u64, i64)> {
    let mut found = Vec::new();
    inspect(disk, 0, &mut |_, _, record| {
        if record.kind == KIND_COMMAND {
            found.push((record.sequence, record.time));
        }
        true
    })
    .unwrap();
    found
}

#[test]
fn whatever_is_acknowledged_survives_a_power_loss_at_that_moment() {
    let disk = SimulatedDisk::new();
    let host = Host::start_on(disk.clone(), options()).unwrap();
    let mut count = 0;
    for size in 1..=20 {
        let params: Vec<String> = (1..=size).map(|id| update(count + id, "1")).collect();
        count += size;
        let replies = submit(&host, &disk, &params);
        let (durable, replies) = replies.recv_timeout(DEADLINE).unwrap();
        assert!((0..params.len()).all(|index| is_success(&replies, index)));
        assert_eq!(commands(&durable).len() as u64, count);
    }
}

#[test]
fn a_command_that_could_not_be_synced_is_not_acknowledged() {
    let disk = SimulatedDisk::new();
    let host = Host::start_on(disk.clone(), options()).unwrap();
    let (_, replies) = submit(&host, &disk, &[update(1, "1")]).recv_timeout(DEADLINE).unwrap();
    assert!(is_success(&replies, 0));
    disk.fail_from(0);
    let replies = submit(&host, &disk, &[update(2, "1")]);
    // Usually nothing leaves; a refusal does when the engine has met the failing disk before the command.
    if let Ok((_, replies)) = replies.recv_timeout(DEADLINE) {
        assert!(!is_success(&replies, 0), "an acknowledgement left");
    }
    assert!(host.stop(DEADLINE) && !host.is_alive());
}

#[test]
fn what_was_refused_is_not_in_the_journal() {
    let disk = SimulatedDisk::new();
    let host = Host::start_on(disk.clone(), options()).unwrap();
    let params = [update(1, "5"), update(1, "5"), update(2, "-6"), update(3, "-5")];
    let (durable, replies) = submit(&host, &disk, &params).recv_timeout(DEADLINE).unwrap();
    let accepted: Vec<bool> = (0..params.len()).map(|index| is_success(&replies, index)).collect();
    assert_eq!(accepted, [true, false, false, true]);
    assert_eq!(
        commands(&durable).iter().map(|(sequence, _)| *sequence).collect::<Vec<_>>(),
        [1, 2]
    );
    let again = Host::start_on(durable, options()).unwrap();
    assert_eq!(again.recovery().replayed, 2);
}

#[test]
fn a_clock_that_is_set_back_holds_time_still() {
    static CLOCK: AtomicI64 = AtomicI64::new(0);
    let options = || Options { clock: || CLOCK.load(Relaxed), ..options() };
    let disk = SimulatedDisk::new();
    let host = Host::start_on(disk.clone(), options()).unwrap();
    for (id, time) in [(1, 1_000), (2, 5_000), (3, 2_000), (4, 6_000)] {
        CLOCK.store(time, Relaxed);
        let replies = submit(&host, &disk, &[update(id, "1")]);
        assert!(is_success(&replies.recv_timeout(DEADLINE).unwrap().1, 0));
    }
    assert_eq!(commands(&disk), [(1, 1_000), (2, 5_000), (3, 5_000), (4, 6_000)]);
    CLOCK.store(10, Relaxed);
    let disk = disk.after_kill();
    let host = Host::start_on(disk.clone(), options()).unwrap();
    let replies = submit(&host, &disk, &[update(5, "1")]);
    assert!(is_success(&replies.recv_timeout(DEADLINE).unwrap().1, 0));
    assert_eq!(commands(&disk)[4..], [(5, 6_000)]);
}

#[test]
fn batches_that_share_a_turn_get_their_own_replies() {
    let disk = SimulatedDisk::new();
    let host = Host::start_on(disk.clone(), options()).unwrap();
    std::thread::scope(|scope| {
        // The engine's thread waits in a task until both batches stand in its queue.
        let (begun, has_begun) = sync_channel(1);
        let (go_on, may_go_on) = sync_channel::<()>(1);
        let host = &host;
        scope.spawn(move || {
            host.inspect(move |_| {
                begun.send(()).unwrap();
                may_go_on.recv_timeout(DEADLINE).unwrap();
            })
            .unwrap();
        });
        has_begun.recv_timeout(DEADLINE).unwrap();
        let first = submit(host, &disk, &[update(1, "1"), update(1, "1")]);
        let second = submit(host, &disk, &[update(2, "-9"), update(2, "1"), update(3, "1")]);
        go_on.send(()).unwrap();
        let accepted = |replies: Receiver<(SimulatedDisk, Replies)>| -> Vec<bool> {
            let (_, replies) = replies.recv_timeout(DEADLINE).unwrap();
            (0..replies.len()).map(|index| is_success(&replies, index)).collect()
        };
        assert_eq!(accepted(first), [true, false]);
        assert_eq!(accepted(second), [false, true, true]);
    });
}
