//! The engine's thread: decode is done, so apply, append, sync, release.
//!
//! Invariant: nothing leaves a turn before every record that the turn appended is durable (or, in
//! `Durability::Async`, written). One sync serves all batches of a turn.

use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use viabtc_engine::{
    Change, ChangeError, Command, Events, Exchange, Imbalance, Stamp, Time, WARM_GROUP,
};
use viabtc_journal::{FeedWriter, Journal, JournalError, Storage};
use viabtc_wire::methods::{Effect, ErrorCode};
use viabtc_wire::reply::{
    write_change_error, write_common_error, write_outcome, write_query, write_repeat,
};
use viabtc_wire::request::Names;

use crate::batch::{Batch, Bodies, Item, Layout, ReplyTo, Work};
use crate::codec::{Origin, command_number, write_command, write_feed_entry};
use crate::configs;
use crate::fault::{self, Fault, OnFault};
use crate::gate::Gate;
use crate::halt::Halt;
use crate::metrics::Metrics;
use crate::names::Published;
use crate::poison::{self, Poison};
use crate::queue::Queue;
use crate::record::{KIND_COMMAND, KIND_DIGEST};
use crate::takeover::{Operation, RedoError};

/// Most requests that share one sync: it bounds how long the first of them waits for the others.
const TURN_REQUESTS_MAX: usize = 4_096;

/// Fewest requests for which reading ahead is worth its own time.
const WARM_REQUESTS_MIN: usize = 4;

/// Commands between two records of the state's digest.
pub const DIGEST_INTERVAL: u64 = 1_000;

/// Most bytes of a command's record beside texts that the client sent.
const RECORD_BYTES_MAX: usize = 512;

/// A record holds the parameters' text and, of a balance update, the detail rewritten: at worst every
/// two-byte escape of the text becomes six bytes.
const DETAIL_GROWTH_MAX: usize = 4;

/// Accounts that are looked at after each turn: a few microseconds of work.
const TURN_ACCOUNTS: usize = 256;

/// Accounts that the idle thread looks at each time it wakes.
const IDLE_ACCOUNTS: usize = 32_768;

/// How long the idle thread sleeps at most; then it looks after its files.
const IDLE: Duration = Duration::from_millis(250);

/// Runs on the engine's thread.
pub(crate) type Task<S> = Box<dyn FnOnce(&mut Core<S>) + Send>;

/// What the engine's thread is given.
pub(crate) enum Entry<S: Storage + Sync> {
    /// Requests and where their replies go.
    Batch(Batch, Box<dyn ReplyTo>),
    /// Something to do between two turns.
    Task(Task<S>),
}

/// State, journal and feed: what one thread owns.
pub(crate) struct Core<S: Storage + Sync> {
    pub(crate) exchange: Exchange,
    pub(crate) journal: Journal<S>,
    pub(crate) feed: FeedWriter<S>,
    /// What requests are read with; ports read theirs with what is published.
    pub(crate) names: Arc<Names>,
    pub(crate) published: Arc<Published>,
    pub(crate) storage: S,
    /// Digest of the configuration, which events name.
    pub(crate) config: u64,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) clock: fn() -> i64,
    /// Called where the journal fails, before anything of the turn is let go.
    pub(crate) on_fault: OnFault,
    /// Requests that are not applied again.
    pub(crate) poison: Poison,
    pub(crate) layout: Layout,
    pub(crate) scratch: Scratch,
    /// Where replies of writes wait for another store, if they do.
    pub(crate) gate: Option<Arc<Gate>>,
    /// Whether operations of the past may still come: until the first command of the present, time stands
    /// where the journal ends.
    pub(crate) is_continued: bool,
    /// Whether events wait because the feed cannot be written.
    pub(crate) is_feed_failing: bool,
    /// Set once funds do not add up: nothing is changed any more.
    pub(crate) halt: Arc<OnceLock<Halt>>,
    /// Of the last command that was appended to the journal.
    pub(crate) recorded: u64,
}

/// Why a change is not made.
enum Refusal {
    Change(ChangeError),
    Unavailable,
}

impl Refusal {
    fn write(&self, command: u32, id: i64, out: &mut Vec<u8>) {
        match self {
            Refusal::Change(error) => write_change_error(command, error, id, out),
            Refusal::Unavailable => {
                write_common_error(ErrorCode::ServiceUnavailable, Some(id), out);
            }
        }
    }
}

/// Buffers that are filled and emptied every turn.
#[derive(Default)]
pub(crate) struct Scratch {
    events: Events,
    payload: Vec<u8>,
    /// Feed records of the turn, until the journal's are durable: end, sequence, time.
    feed: Vec<u8>,
    feed_entries: Vec<(usize, u64, i64)>,
}

impl<S: Storage + Sync> Core<S> {
    /// Serves until the queue is closed and empty, then seals the journal.
    pub(crate) fn run(&mut self, queue: &Queue<Entry<S>>) -> Result<(), JournalError> {
        let mut entries = Vec::new();
        let mut bodies = Bodies::new(self.layout);
        while !queue.is_finished() {
            if queue.take(TURN_REQUESTS_MAX, IDLE, &mut entries) {
                self.turn(&mut entries, &mut bodies)?;
            } else {
                let proven = self.journal.prove();
                self.checked(proven)?;
                self.look_after(IDLE_ACCOUNTS);
            }
            self.write_feed();
            self.metrics.queued.store(queue.weight() as u64, Relaxed);
        }
        self.write_feed();
        if !self.is_feed_failing {
            // What is not durable of the feed is written again by the next start.
            let _ = self.feed.sync();
        }
        if self.halt.get().is_some() {
            // The digest would be that of a wrong state; the next start reads the journal as after a kill.
            return Ok(());
        }
        let sealed = self.journal.seal(self.exchange.digest(), self.now());
        self.checked(sealed)
    }

    /// Time never runs backwards, whatever the clock does.
    fn now(&self) -> i64 {
        if self.is_continued {
            self.journal.time()
        } else {
            (self.clock)().max(self.journal.time())
        }
    }

    /// Reports a failure of the journal.
    fn checked<T>(&self, outcome: Result<T, JournalError>) -> Result<T, JournalError> {
        outcome.inspect_err(|error| (self.on_fault)(&Fault::Journal(error)))
    }

    /// Goes on in a new segment; false when there is no space for one or the state is wrong, and nothing has
    /// changed.
    pub(crate) fn rotate(&mut self) -> Result<bool, JournalError> {
        if self.halt.get().is_some() {
            return Ok(false);
        }
        match self.journal.rotate(self.exchange.digest()) {
            Ok(()) => Ok(true),
            Err(JournalError::NoSpace { .. }) => Ok(false),
            Err(error) => self.checked(Err(error)),
        }
    }

    fn turn(
        &mut self,
        entries: &mut Vec<Entry<S>>,
        bodies: &mut Bodies,
    ) -> Result<(), JournalError> {
        let reserve = self.journal.has_reserve();
        let is_open = self.gate.as_ref().is_none_or(|gate| gate.is_open(Instant::now()));
        let is_sound = self.halt.get().is_none();
        let is_writable = self.checked(reserve)? && !self.is_feed_failing && is_open && is_sound;
        let mut outgoing = Vec::new();
        for entry in entries.drain(..) {
            match entry {
                Entry::Task(task) => {
                    // A task may look at durable state only.
                    let committed = self.journal.commit();
                    self.checked(committed)?;
                    task(self);
                }
                Entry::Batch(batch, reply_to) => {
                    let batch = Rc::new(batch);
                    fault::enter(&batch);
                    for (index, item) in batch.items.iter().enumerate() {
                        if index % WARM_GROUP == 0 {
                            self.warm(&batch.items[index..]);
                        }
                        fault::at(index);
                        // Commands before this one, in this turn or in this batch, may have changed them.
                        if batch.is_read_with(&self.names) {
                            self.serve(item.id, &item.work, &batch.params, is_writable, bodies)?;
                        } else {
                            let work = batch.work_under(index, &self.names);
                            self.serve(item.id, &work, &batch.params, is_writable, bodies)?;
                        }
                    }
                    // A refusal says as much about the commands before it as a success.
                    let is_held = is_writable && batch.has_writes();
                    let waits_for = is_held.then_some(self.recorded);
                    outgoing.push((batch.len(), waits_for, reply_to));
                }
            }
        }
        fault::leave();
        let started = Instant::now();
        let committed = self.journal.commit();
        self.checked(committed)?;
        self.metrics.turn(started.elapsed());
        self.look_after(TURN_ACCOUNTS);
        self.metrics.durable_sequence.store(self.recorded, Relaxed);
        let is_sound = self.halt.get().is_none();
        self.metrics.writable.store(u64::from(is_writable && is_sound), Relaxed);
        let turn = bodies.finish();
        let mut first = 0;
        for (count, waits_for, reply_to) in outgoing {
            let replies = turn.replies(first, count);
            match (&self.gate, waits_for) {
                (Some(gate), Some(sequence)) => gate.hold(sequence, replies, reply_to),
                _ => reply_to.reply(replies),
            }
            first += count;
        }
        Ok(())
    }

    /// Looks whether funds add up, and at some accounts.
    fn look_after(&mut self, accounts: usize) {
        if self.halt.get().is_none()
            && let Some(imbalance) = self.exchange.look_after(accounts)
        {
            self.stop_trading(&imbalance, None);
        }
    }

    /// From here on nothing is changed.
    #[cold]
    fn stop_trading(&mut self, imbalance: &Imbalance, request: Option<(u32, &[u8])>) {
        let time = (self.clock)();
        if let Some((command, params)) = request {
            // After the next start, which undoes it, the same request is not applied for a while. When
            // that cannot be noted, it is found again.
            let digest = poison::digest(command, params);
            let _ = self.poison.clone().save(&self.storage, time, digest);
        }
        let halt =
            Halt::note(&self.storage, &self.exchange, imbalance, request, self.recorded, time);
        self.metrics.conserved.store(0, Relaxed);
        // It is set once: only a state that was sound is looked at.
        let _ = self.halt.set(halt);
    }

    /// Reads what the next requests will need ahead, when they are enough to share the waiting.
    fn warm(&self, items: &[Item]) {
        if items.len() >= WARM_REQUESTS_MIN {
            let group = &items[..items.len().min(WARM_GROUP)];
            self.exchange.warm(group.iter().filter_map(|item| match &item.work {
                Work::Write { command, .. } => Some(command),
                Work::Query(_) | Work::Invalid(_) => None,
            }));
        }
    }

    fn serve(
        &mut self,
        id: i64,
        work: &Work,
        params: &[u8],
        is_writable: bool,
        bodies: &mut Bodies,
    ) -> Result<(), JournalError> {
        match work {
            Work::Query(query) => {
                bodies.write(|out| write_query(&self.exchange, query, id, out));
                self.metrics.queries.fetch_add(1, Relaxed);
            }
            Work::Write { .. } | Work::Invalid(Effect::Write)
                if !is_writable || self.halt.get().is_some() =>
            {
                bodies.write(|out| {
                    write_common_error(ErrorCode::ServiceUnavailable, Some(id), out);
                });
                self.metrics.unavailable.fetch_add(1, Relaxed);
            }
            Work::Invalid(_) => {
                bodies.write(|out| write_common_error(ErrorCode::InvalidArgument, Some(id), out));
                self.metrics.rejected.fetch_add(1, Relaxed);
            }
            Work::Write { command, params: range } => {
                let room = RECORD_BYTES_MAX + DETAIL_GROWTH_MAX * range.len();
                if let Some(code) = self.refusal(command, &params[range.clone()], room)? {
                    bodies.write(|out| write_common_error(code, Some(id), out));
                    return Ok(());
                }
                let mut next = None;
                if let Command::Change(change) = command {
                    let named = change.check_name().map_err(Refusal::Change);
                    match named.and_then(|()| self.plan(change)) {
                        Ok(planned) => next = Some(planned),
                        Err(refusal) => {
                            bodies.write(|out| refusal.write(command_number(command), id, out));
                            self.metrics.rejected.fetch_add(1, Relaxed);
                            return Ok(());
                        }
                    }
                }
                self.is_continued = false;
                let time = self.now();
                let sequence = self.exchange.sequence() + 1;
                let stamp = Stamp { sequence, time: Time(time) };
                if let Command::PlaceOnce(place) = command
                    && let Some(first) = self.exchange.placed_once(place, stamp.time)
                {
                    let number = command_number(command);
                    bodies.write(|out| write_repeat(number, first, self.names.config(), id, out));
                    self.metrics.rejected.fetch_add(1, Relaxed);
                    return Ok(());
                }
                self.scratch.events.clear();
                let outcome = self.exchange.apply(stamp, command, &mut self.scratch.events);
                #[cfg(feature = "failpoints")]
                crate::failpoints::miscount(&mut self.exchange, &params[range.clone()]);
                if let Some(imbalance) = self.exchange.imbalance() {
                    let request = (command_number(command), &params[range.clone()]);
                    self.stop_trading(&imbalance, Some(request));
                    bodies.write(|out| write_common_error(ErrorCode::InternalError, Some(id), out));
                    return Ok(());
                }
                if outcome.is_ok() {
                    self.adopt(next);
                    self.record(stamp, command, &params[range.clone()])?;
                    self.metrics.applied.fetch_add(1, Relaxed);
                } else {
                    self.metrics.rejected.fetch_add(1, Relaxed);
                }
                let events = &self.scratch.events;
                let outcome = outcome.map(|()| &events[..]);
                let config = self.names.config();
                bodies.write(|out| {
                    write_outcome(command_number(command), outcome, config, id, out);
                });
            }
        }
        Ok(())
    }

    /// Makes sure that the configuration after a change can be found by its digest: events will name it.
    fn plan(&self, change: &Change) -> Result<(u64, Arc<Names>), Refusal> {
        let next = self.exchange.plan(change).map_err(Refusal::Change)?;
        // Nothing has happened yet: a disk that is full costs this change and nothing else.
        let digest = configs::keep(&self.storage, &next).map_err(|_| Refusal::Unavailable)?;
        Ok((digest, Arc::new(Names::new(&next))))
    }

    /// Goes on with the configuration that a change led to, if one did.
    fn adopt(&mut self, next: Option<(u64, Arc<Names>)>) {
        if let Some((digest, names)) = next {
            self.config = digest;
            self.names = Arc::clone(&names);
            self.published.set(names);
        }
    }

    /// Why a command is not even tried, if so; makes room for its record of at most `room` bytes.
    fn refusal(
        &mut self,
        command: &Command,
        params: &[u8],
        room: usize,
    ) -> Result<Option<ErrorCode>, JournalError> {
        if !self.poison.is_empty() {
            self.poison.forget((self.clock)());
            if self.poison.is_refused(command_number(command), params) {
                self.metrics.poisoned.fetch_add(1, Relaxed);
                return Ok(Some(ErrorCode::InternalError));
            }
        }
        #[cfg(feature = "failpoints")]
        crate::failpoints::panic_in_apply(params);
        if !self.journal.is_holding(room) {
            self.metrics.rejected.fetch_add(1, Relaxed);
            return Ok(Some(ErrorCode::InvalidArgument));
        }
        if self.journal.needs_rotation(room) && !self.rotate()? {
            self.metrics.unavailable.fetch_add(1, Relaxed);
            return Ok(Some(ErrorCode::ServiceUnavailable));
        }
        Ok(None)
    }

    /// Appends an applied command to the journal's batch, and its events to the feed's.
    fn record(
        &mut self,
        stamp: Stamp,
        command: &Command,
        params: &[u8],
    ) -> Result<(), JournalError> {
        self.recorded = stamp.sequence;
        let Scratch { events, payload, feed, feed_entries } = &mut self.scratch;
        let (sequence, time) = (stamp.sequence, stamp.time.0);
        payload.clear();
        write_command(command, params, payload);
        let mut appended = self.journal.append(KIND_COMMAND, sequence, time, payload);
        if appended.is_ok() && sequence.is_multiple_of(DIGEST_INTERVAL) {
            let digest = self.exchange.digest().to_le_bytes();
            appended = self.journal.append(KIND_DIGEST, sequence, time, &digest);
        }
        if let Err(error) = appended {
            (self.on_fault)(&Fault::Journal(&error));
            return Err(error);
        }
        let origin = Origin {
            command: command_number(command),
            operlog_id: self.exchange.operlog_id(),
            config: self.config,
        };
        write_feed_entry(origin, params, events, feed);
        feed_entries.push((feed.len(), sequence, time));
        Ok(())
    }

    /// See [`crate::Host::redo`].
    pub(crate) fn redo(&mut self, operations: &[Operation]) -> Result<u64, RedoError> {
        for (index, operation) in operations.iter().enumerate() {
            let (stamp, command) = operation.continuing(&self.exchange, &self.names)?;
            let refused = |reason: String| RedoError::Refused { id: operation.id, reason };
            let room = RECORD_BYTES_MAX + DETAIL_GROWTH_MAX * operation.params.len();
            if self.journal.needs_rotation(room)
                && !self.rotate().map_err(|error| refused(error.to_string()))?
            {
                return Err(refused("there is no space for the journal".to_owned()));
            }
            let next = match &command {
                Command::Change(change) => Some(
                    self.plan(change).map_err(|_| refused("it cannot be planned".to_owned()))?,
                ),
                _ => None,
            };
            self.scratch.events.clear();
            self.exchange
                .apply(stamp, &command, &mut self.scratch.events)
                .map_err(|rejection| refused(rejection.to_string()))?;
            self.adopt(next);
            self.record(stamp, &command, &operation.params)
                .map_err(|error| refused(error.to_string()))?;
            if (index + 1) % TURN_REQUESTS_MAX == 0 || index + 1 == operations.len() {
                let committed = self.journal.commit();
                self.checked(committed).map_err(|error| refused(error.to_string()))?;
                self.write_feed();
            }
        }
        self.metrics.durable_sequence.store(self.exchange.sequence(), Relaxed);
        Ok(self.exchange.sequence())
    }

    /// Writes the turn's events to the feed. When that fails they are kept, writes are refused, and the
    /// next turn tries again: the feed has no gaps, and the engine goes on answering.
    pub(crate) fn write_feed(&mut self) {
        let Scratch { feed, feed_entries, .. } = &mut self.scratch;
        let mut start = 0;
        let mut done = 0;
        for &(end, sequence, time) in feed_entries.iter() {
            if self.feed.append(sequence, time, &feed[start..end]).is_err() {
                break;
            }
            start = end;
            done += 1;
        }
        let is_flushed = self.feed.flush().is_ok();
        if done == feed_entries.len() && is_flushed {
            feed.clear();
            feed_entries.clear();
        } else {
            feed.drain(..start);
            feed_entries.drain(..done);
            for entry in feed_entries.iter_mut() {
                entry.0 -= start;
            }
        }
        self.is_feed_failing = !is_flushed || !feed_entries.is_empty();
        self.metrics.feed_failing.store(u64::from(self.is_feed_failing), Relaxed);
    }
}
