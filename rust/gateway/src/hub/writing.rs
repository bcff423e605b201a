//! What is due is written: by the thread alone, or with others when it is much.
//!
//! A write to a socket is a few microseconds of the system's time, so thousands of them are what a push to
//! thousands of subscribers takes. The thread then shares them out: each connection is written by one thread only,
//! and nothing else happens meanwhile.
//!
//! What comes while thousands are being written does not wait for the last of them. Connections stand in a line;
//! at news the turn ends, the news joins what waits for those in the line, and the next turn goes on there.
//! Who has been written stands at the end again, so the whole line gets everything after one time round. What
//! few are told, and answers, go before the line.

use std::iter::repeat_with;
use std::net::Shutdown;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};
use std::{mem, thread};

use super::connection::{Connection, Phase};
use super::metrics::Written;
use super::state::{Core, Place};

/// Connections for each thread that writes. To start one takes some ten writes' time, but on a busy machine it
/// may wait for a processor, and the turn for its end.
const SHARED_MIN: usize = 1_024;

/// Connections that a thread takes at once: less than a millisecond's work, so that all end together.
const SHARE: usize = 64;

/// Subscribers that go before the line: their messages are of one user or few, and cost the crowd little.
pub(super) const FEW_MAX: usize = 64;

/// Connections that a turn takes from the line.
const TURN_CONNECTIONS: usize = 8_192;

/// What a turn writes for before it ends at news, unless it took longer to take in: so the line goes on, however
/// much comes.
const TURN_MIN: Duration = Duration::from_millis(1);

/// What a turn writes for before it looks at the sockets, whoever waits in the line. Each end lets others have the
/// processors for a while, so it is longer than thousands of writes take.
const TURN_MAX: Duration = Duration::from_millis(25);

impl Core {
    /// Writes connections that have something: all that go before the line, and of the line until its end, or
    /// until there is news. `took_in` is how long the turn took in before.
    pub(super) fn write_due(&mut self, took_in: Duration, has_news: impl Fn() -> bool + Sync) {
        let first = mem::take(&mut self.first);
        for place in &first {
            if let Some(connection) = self.connection(*place) {
                connection.is_first = false;
            }
        }
        self.write_each(&first, || false);
        let began = Instant::now();
        self.write_line(|| is_turn_over(began.elapsed(), took_in, &has_news));
    }

    /// Writes the line until its end, or until `is_over`; who did not come to his turn stays at its head.
    fn write_line(&mut self, is_over: impl Fn() -> bool + Sync) {
        let count = self.due.len().min(TURN_CONNECTIONS);
        let line: Vec<u32> = self.due.drain(..count).collect();
        let done = self.write_each(&line, is_over);
        for place in &line[..done] {
            if let Some(connection) = self.connection(*place) {
                connection.is_due = false;
            }
        }
        for place in line[done..].iter().rev() {
            self.due.push_front(*place);
        }
    }

    /// Writes connections in this order until `is_over`; how many came to their turn.
    fn write_each(&mut self, line: &[u32], is_over: impl Fn() -> bool + Sync) -> usize {
        let others = self.options.writers.min(line.len() / SHARED_MIN).saturating_sub(1);
        if others > 0 {
            return self.write_together(line, others, is_over);
        }
        for (place, count) in line.iter().zip(1..) {
            self.write(*place);
            if count % SHARE == 0 && is_over() {
                return count;
            }
        }
        line.len()
    }

    /// As `write_each`, with further threads.
    fn write_together(
        &mut self,
        line: &[u32],
        others: usize,
        is_over: impl Fn() -> bool + Sync,
    ) -> usize {
        let Core { places, metrics, now_ms, .. } = self;
        let mut connections = pick(places, line);
        let shares = Mutex::new(connections.chunks_mut(SHARE));
        let is_ended = AtomicBool::new(false);
        let write = || {
            let mut written = Written::default();
            while !is_ended.load(Relaxed)
                && let Some(share) = next(&shares)
            {
                for connection in share.iter_mut().flatten() {
                    connection.is_broken = connection.write(&mut written, *now_ms).is_err();
                }
                if is_over() {
                    is_ended.store(true, Relaxed);
                }
            }
            metrics.add(&written);
        };
        thread::scope(|scope| {
            for _ in 0..others {
                // Without it the others, and this one, write its part.
                let _ = thread::Builder::new().name("hub-writer".into()).spawn_scoped(scope, write);
            }
            write();
        });
        let rest = shares.into_inner().expect("nobody panics while holding it");
        let done = line.len() - rest.map(|share| share.len()).sum::<usize>();
        for place in &line[..done] {
            self.settle(*place);
        }
        done
    }

    /// Writes one connection.
    pub(super) fn write(&mut self, place: u32) {
        let Core { places, metrics, now_ms, .. } = self;
        let slot = places.get_mut(place as usize);
        let Some(connection) = slot.and_then(|slot| slot.connection.as_mut()) else { return };
        let mut written = Written::default();
        connection.is_broken = connection.write(&mut written, *now_ms).is_err();
        metrics.add(&written);
        self.settle(place);
    }

    /// What follows when a connection was written.
    fn settle(&mut self, place: u32) {
        let Some(connection) = self.connection(place) else { return };
        if connection.is_broken {
            return self.drop_connection(place);
        }
        if connection.phase == Phase::Closing && connection.queue.is_empty() && !connection.is_shut
        {
            // A close with unread input would reset the connection and may take the last bytes with it.
            let _ = connection.socket.shutdown(Shutdown::Write);
            connection.is_shut = true;
            self.activate(place);
        }
    }
}

/// Whether a turn that has written for so long ends before the line does.
fn is_turn_over(elapsed: Duration, took_in: Duration, has_news: impl Fn() -> bool) -> bool {
    elapsed >= took_in.max(TURN_MAX) || (elapsed >= took_in.max(TURN_MIN) && has_news())
}

/// The connections at `line`, in its order; nothing for those that are gone or stand in it a second time.
fn pick<'a>(mut places: &'a mut [Place], line: &[u32]) -> Vec<Option<&'a mut Connection>> {
    let mut sorted: Vec<(u32, usize)> = line.iter().copied().zip(0..).collect();
    sorted.sort_unstable();
    sorted.dedup_by_key(|(place, _)| *place);
    let mut picked: Vec<_> = repeat_with(|| None).take(line.len()).collect();
    let mut passed = 0;
    for (place, position) in sorted {
        let Some((_, rest)) = places.split_at_mut_checked(place as usize - passed) else { break };
        let Some((found, rest)) = rest.split_first_mut() else { break };
        picked[position] = found.connection.as_mut();
        (places, passed) = (rest, place as usize + 1);
    }
    picked
}

fn next<T>(shares: &Mutex<impl Iterator<Item = T>>) -> Option<T> {
    shares.lock().expect("nobody panics while holding it").next()
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read};
    use std::os::unix::net::UnixStream;
    use std::sync::Arc;

    use socket2::{Domain, Socket, Type};

    use super::*;
    use crate::hub::frames::text;
    use crate::hub::notices::Notices;
    use crate::hub::serve::Thread;
    use crate::hub::topics::{Family, Publication};
    use crate::hub::{Calls, CallsOptions, HubMetrics, HubOptions};

    const FAMILY: Family = Family { number: 1, is_private: false, is_reported: false };

    /// A thread's state with `count` connections that hear the topic `crowd`, and their peers.
    fn crowd(count: usize) -> (Core, Vec<UnixStream>) {
        let dialect = Box::new(Calls::new(CallsOptions::default()));
        let notices = Arc::new(Notices::new(|| {}));
        let metrics = Arc::new(HubMetrics::default());
        let options = Arc::new(HubOptions::default());
        let thread = Thread::new(0, Vec::new(), &[], dialect, options, notices, metrics);
        let mut core = thread.unwrap().0.core;
        let mut peers = Vec::new();
        for place in 0..count as u32 {
            let (socket, peer) = Socket::pair(Domain::UNIX, Type::STREAM, None).unwrap();
            socket.set_nonblocking(true).unwrap();
            peer.set_nonblocking(true).unwrap();
            let mut connection = Connection::new(socket, None, 0);
            connection.phase = Phase::Open;
            core.places.push(Place { generation: 0, connection: Some(connection) });
            core.open_count += 1;
            peers.push(std::os::fd::OwnedFd::from(peer).into());
            assert!(core.subscribe(place, "crowd", FAMILY));
        }
        (core, peers)
    }

    fn tell(core: &mut Core, message: &str) {
        core.publish("crowd", &Publication::message(message.as_bytes()));
    }

    /// What came since the last look: single letters, without the two bytes before each.
    fn heard(peer: &mut UnixStream) -> String {
        let mut bytes = [0; 64];
        match peer.read(&mut bytes) {
            Ok(size) => bytes[..size].chunks(3).map(|frame| char::from(frame[2])).collect(),
            Err(error) if error.kind() == ErrorKind::WouldBlock => String::new(),
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn news_joins_what_waits_in_the_line_and_who_was_written_stands_at_its_end() {
        let (mut core, mut peers) = crowd(3 * SHARE);
        let shares = |peers: &mut Vec<UnixStream>| -> Vec<Vec<String>> {
            peers.chunks_mut(SHARE).map(|share| share.iter_mut().map(heard).collect()).collect()
        };
        let all = |texts: [&str; 3]| texts.map(|text| vec![text.to_owned(); SHARE]).to_vec();
        tell(&mut core, "a");
        core.write_line(|| true);
        assert_eq!(shares(&mut peers), all(["a", "", ""]));
        tell(&mut core, "b");
        core.write_line(|| true);
        assert_eq!(shares(&mut peers), all(["", "ab", ""]));
        tell(&mut core, "c");
        core.write_line(|| true);
        assert_eq!(shares(&mut peers), all(["", "", "abc"]));
        core.write_line(|| false);
        assert_eq!(shares(&mut peers), all(["bc", "c", ""]));
        assert!(core.due.is_empty());
        // Five times a share was written, not once for each of three messages.
        assert_eq!(core.metrics.writes.load(Relaxed), 5 * SHARE as u64);
    }

    #[test]
    fn what_few_are_told_goes_before_the_line_with_what_waited_there() {
        let (mut core, mut peers) = crowd(2 * SHARE);
        let last = 2 * SHARE - 1;
        assert!(core.subscribe(last as u32, "few", FAMILY));
        tell(&mut core, "a");
        core.publish("few", &Publication::message(b"f"));
        core.send(last as u32 - 1, text(b"s"));
        let long = Duration::from_secs(3_600);
        // The line itself has no time: what there is of it is written by `write_line` below.
        let line = mem::take(&mut core.due);
        core.write_due(long, || true);
        assert_eq!(heard(&mut peers[last]), "af");
        assert_eq!(heard(&mut peers[last - 1]), "as");
        assert_eq!(heard(&mut peers[0]), "");
        core.due = line;
        core.write_line(|| false);
        assert_eq!(heard(&mut peers[0]), "a");
        assert_eq!(heard(&mut peers[last]), "");
    }

    #[test]
    fn several_threads_end_at_news_and_leave_the_rest_of_the_line() {
        let (mut core, mut peers) = crowd(8 * SHARE);
        tell(&mut core, "a");
        let line: Vec<u32> = core.due.iter().copied().collect();
        let done = core.write_together(&line, 2, || true);
        // Each may have been at a share when the first found that it is over.
        assert!((SHARE..=3 * SHARE).contains(&done) && done % SHARE == 0, "{done}");
        for (place, peer) in peers.iter_mut().enumerate() {
            assert_eq!(heard(peer), if place < done { "a" } else { "" });
        }
        assert_eq!(core.write_together(&line, 2, || false), line.len());
        assert!(peers[done..].iter_mut().all(|peer| heard(peer) == "a"));
    }

    #[test]
    fn the_lines_order_is_kept_whatever_left_it() {
        let (mut core, _peers) = crowd(5);
        core.drop_connection(3);
        let line = [4, 0, 3, 4, 2, 9];
        let wanted: Vec<_> = [Some(4), Some(0), None, None, Some(2), None]
            .map(|place: Option<usize>| {
                core.places[place?].connection.as_ref().map(std::ptr::from_ref)
            })
            .into();
        let picked = pick(&mut core.places, &line);
        let picked: Vec<_> =
            picked.iter().map(|slot| slot.as_deref().map(std::ptr::from_ref)).collect();
        assert_eq!(picked, wanted);
    }

    #[test]
    fn a_turn_ends_at_news_but_not_before_it_wrote_as_long_as_it_took_in() {
        let [short, long] = [Duration::from_micros(10), Duration::from_millis(80)];
        let just_before = |duration: Duration| duration - Duration::from_nanos(1);
        for (took_in, least) in [(short, TURN_MIN), (long, long)] {
            assert!(!is_turn_over(just_before(least), took_in, || true));
            assert!(is_turn_over(least, took_in, || true));
        }
        // However quiet it is, the sockets are looked at.
        assert!(!is_turn_over(just_before(TURN_MAX), short, || false));
        assert!(is_turn_over(TURN_MAX, short, || false));
        assert!(!is_turn_over(just_before(long), long, || false));
    }
}
