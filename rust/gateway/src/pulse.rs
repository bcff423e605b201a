//! Whether threads still go round: what a watchdog asks of a port.

use std::time::{Duration, Instant};

/// Pause between looks at threads that were asked to take a turn.
const LOOK: Duration = Duration::from_millis(1);

/// A thread that takes turns.
pub(crate) trait Turning {
    /// Turns taken so far.
    fn turns(&self) -> u64;

    /// Makes it take one although nothing is to be done.
    fn nudge(&self);
}

/// Whether each of `threads` takes a turn that begins or ends after this call, and does so within `within`.
///
/// A turn that is under way when we ask counts: threads are found hung at the next call at the latest.
pub(crate) fn all_turn(threads: &[&dyn Turning], within: Duration) -> bool {
    let deadline = Instant::now() + within;
    let before: Vec<u64> = threads.iter().map(|thread| thread.turns()).collect();
    for thread in threads {
        thread.nudge();
    }
    loop {
        if threads.iter().zip(&before).all(|(thread, before)| thread.turns() != *before) {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(LOOK);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;
    use std::sync::atomic::Ordering::Relaxed;

    use super::*;

    /// Takes a turn whenever it is asked to, or never.
    struct Thread {
        turns: AtomicU64,
        hangs: bool,
    }

    impl Turning for Thread {
        fn turns(&self) -> u64 {
            self.turns.load(Relaxed)
        }

        fn nudge(&self) {
            if !self.hangs {
                self.turns.fetch_add(1, Relaxed);
            }
        }
    }

    #[test]
    fn one_hung_thread_among_many_is_found() {
        let goes = Thread { turns: AtomicU64::new(7), hangs: false };
        let hangs = Thread { turns: AtomicU64::new(7), hangs: true };
        assert!(all_turn(&[&goes, &goes], Duration::ZERO));
        assert!(!all_turn(&[&goes, &hangs], Duration::from_millis(5)));
        assert!(all_turn(&[], Duration::ZERO));
    }
}
