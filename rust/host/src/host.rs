//! The durable engine as other threads see it: submit, call, inspect, stop.

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use viabtc_engine::Exchange;
use viabtc_journal::{Directory, FeedSignal, JournalError, Storage};
use viabtc_wire::methods::ErrorCode;
use viabtc_wire::request::Names;

use crate::batch::{Batch, Layout, Refused, Replies, ReplyTo};
use crate::config_file::ConfigFile;
use crate::core::{Core, Entry};
use crate::fault::{self, OnFault};
use crate::gate::Gate;
use crate::halt::Halt;
use crate::metrics::Metrics;
use crate::names::Published;
use crate::poison;
use crate::queue::Queue;
use crate::start::{Opened, Recovery, StartError, microseconds_now, open, open_directory};
use crate::takeover::{Operation, RedoError};

/// Most requests that wait for the engine, as [`Batch::weight`] counts: about a second of its work. Above it
/// ports answer error 3.
const QUEUE_REQUESTS_MAX: usize = 262_144;

/// When a write is acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Durability {
    /// When its record is on this machine's disk.
    Local,
    /// When it is also in another store; see [`Gate`].
    Operlog,
    /// At once, as the original does; for comparisons.
    Async,
}

/// What a host is started with.
#[derive(Clone, Debug)]
pub struct Options {
    /// Assets, markets, layout of replies.
    pub config: ConfigFile,
    /// When a write is acknowledged.
    pub durability: Durability,
    /// Size of a segment of the journal, and of one of the feed.
    pub segment_bytes: u64,
    /// The least epoch that the journal gets: more than any other engine on the same databases has had.
    pub epoch_min: u64,
    /// Whether operations of the past come first ([`Host::redo`]): opening the journal then counts as of its
    /// last record's time.
    pub is_continued: bool,
    /// Whether segments are made ahead, on a thread of their own; false for simulations, whose operations
    /// always come in the same order.
    pub is_prepared_ahead: bool,
    /// Names the build in the journal.
    pub build: String,
    /// The wall clock, microseconds since 1970; it may jump.
    pub clock: fn() -> i64,
    /// Called on the engine's thread when the process must end, before anything of the turn is let go. In
    /// production it does not return.
    pub on_fault: OnFault,
}

impl Options {
    /// Durable, segments of 64 MiB, the system's clock, and an end of the process on a fault.
    pub fn new(config: ConfigFile) -> Options {
        Options {
            config,
            durability: Durability::Local,
            segment_bytes: 64 << 20,
            epoch_min: 0,
            is_continued: false,
            is_prepared_ahead: true,
            build: String::new(),
            clock: microseconds_now,
            on_fault: fault::end_process,
        }
    }
}

/// The engine stopped, or too much waits for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the engine takes no more requests")]
pub struct Unavailable;

/// A running engine.
pub struct Host<S: Storage + Sync = Directory> {
    queue: Arc<Queue<Entry<S>>>,
    names: Arc<Published>,
    metrics: Arc<Metrics>,
    layout: Layout,
    recovery: Recovery,
    storage: S,
    feed: Arc<FeedSignal>,
    gate: Option<Arc<Gate>>,
    is_alive: Arc<AtomicBool>,
    halt: Arc<OnceLock<Halt>>,
    thread: Mutex<Option<Running>>,
}

/// The engine's thread, and a channel that closes when it ends.
struct Running {
    thread: JoinHandle<()>,
    ended: Receiver<()>,
}

/// Marks the end of the engine's thread, also when it panics.
struct Ending<T> {
    queue: Arc<Queue<T>>,
    is_alive: Arc<AtomicBool>,
}

impl<T> Drop for Ending<T> {
    fn drop(&mut self) {
        self.is_alive.store(false, Release);
        self.queue.close();
    }
}

impl Host<Directory> {
    /// Recovers the state from `directory`, which is made when missing, and starts to serve it.
    ///
    /// # Errors
    /// When the directory, the journal or the configuration cannot be used; see [`StartError`].
    pub fn start(directory: &Path, options: Options) -> Result<Host, StartError> {
        Host::start_on(open_directory(directory)?, options)
    }
}

impl<S: Storage + Sync> Host<S> {
    /// As [`Host::start`], on any storage.
    ///
    /// # Errors
    /// As [`Host::start`].
    pub fn start_on(storage: S, options: Options) -> Result<Host<S>, StartError> {
        let layout = if options.config.is_indented { Layout::Indented } else { Layout::Compact };
        let metrics = Arc::new(Metrics::default());
        let Options { clock, on_fault, .. } = options;
        let opened = {
            let _watched = fault::watch(on_fault, None);
            open(&storage, &options)?
        };
        let Opened { exchange, journal, feed, config, poison, recovery } = opened;
        let recorded = exchange.sequence();
        metrics.durable_sequence.store(recorded, Release);
        metrics.conserved.store(1, Release);
        let halt = Arc::new(OnceLock::new());
        // Commands may have changed what the file says.
        let names = Arc::new(Names::new(exchange.config()));
        let published = Arc::new(Published::new(Arc::clone(&names)));
        let signal = Arc::clone(feed.signal());
        let gate = (options.durability == Durability::Operlog).then(|| Arc::new(Gate::new(0)));
        let noted = poison.clone();
        let kept = storage.clone();
        let mut core = Core {
            exchange,
            journal,
            feed,
            names,
            published: Arc::clone(&published),
            storage: storage.clone(),
            config,
            metrics: Arc::clone(&metrics),
            clock,
            on_fault,
            poison,
            layout,
            scratch: Default::default(),
            halt: Arc::clone(&halt),
            recorded,
            gate: gate.clone(),
            is_continued: options.is_continued,
            is_feed_failing: false,
        };
        let queue = Arc::new(Queue::new(QUEUE_REQUESTS_MAX));
        let is_alive = Arc::new(AtomicBool::new(true));
        let (running, ended) = sync_channel(0);
        let thread = {
            let queue = Arc::clone(&queue);
            let ending = Ending { queue: Arc::clone(&queue), is_alive: Arc::clone(&is_alive) };
            let serve = move || {
                let _running = running;
                let _ending = ending;
                let note = move |command, params: &[u8]| {
                    let digest = poison::digest(command, params);
                    let saved = noted.clone().save(&storage, clock(), digest);
                    (digest, saved.err().map(|error| error.to_string()))
                };
                let _watched = fault::watch(on_fault, Some(Box::new(note)));
                // A failure has been reported where it happened.
                let _ = core.run(&queue);
            };
            std::thread::Builder::new().name("engine".into()).spawn(serve)
        };
        let thread = thread.map_err(StartError::Thread)?;
        let thread = Mutex::new(Some(Running { thread, ended }));
        Ok(Host {
            queue,
            names: published,
            metrics,
            layout,
            recovery,
            storage: kept,
            feed: signal,
            gate,
            is_alive,
            halt,
            thread,
        })
    }

    /// What the start found.
    pub fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    /// Names for [`Batch::new`].
    pub fn names(&self) -> &Published {
        &self.names
    }

    /// Figures.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Tells when there is more in the event feed.
    pub fn feed_signal(&self) -> &Arc<FeedSignal> {
        &self.feed
    }

    /// What holds replies back until another store has their commands; `None` unless the durability is
    /// [`Durability::Operlog`].
    pub fn gate(&self) -> Option<&Arc<Gate>> {
        self.gate.as_ref()
    }

    /// Applies operations of a log behind the state's last, at the times at which they once were applied;
    /// the sequence of the last. They are journaled and made durable as if they came now.
    ///
    /// # Errors
    /// When the engine stopped; within, when the log does not continue the state.
    pub fn redo(&self, operations: Vec<Operation>) -> Result<Result<u64, RedoError>, Unavailable> {
        self.task(move |core| core.redo(&operations))
    }

    /// Where the event feed stands, for [`crate::follow::Follower`].
    pub fn storage(&self) -> &S {
        &self.storage
    }

    /// Hands a batch over. A batch that cannot be taken is answered at once with error 3.
    pub fn submit(&self, batch: Batch, reply_to: Box<dyn ReplyTo>) {
        let weight = batch.weight();
        if let Err((Entry::Batch(batch, reply_to), _)) =
            self.queue.push(Entry::Batch(batch, reply_to), weight)
        {
            reply_to.reply(batch.refuse(ErrorCode::ServiceUnavailable, self.layout));
        }
    }

    /// Answers one request; blocks until the answer may leave.
    ///
    /// # Errors
    /// When the body is no request of the engine.
    pub fn call(&self, command: u32, params: &[u8], id: i64) -> Result<Replies, Refused> {
        struct Caller(std::sync::mpsc::SyncSender<Replies>);
        impl ReplyTo for Caller {
            fn reply(self: Box<Self>, replies: Replies) {
                // A caller that went away needs no reply.
                let _ = self.0.send(replies);
            }
        }
        let mut batch = Batch::new(self.names.get());
        batch.push(command, params, id)?;
        let (sender, receiver) = sync_channel(1);
        let refused = batch.refuse(ErrorCode::ServiceUnavailable, self.layout);
        self.submit(batch, Box::new(Caller(sender)));
        Ok(receiver.recv().unwrap_or(refused))
    }

    /// Runs `look` on the engine's thread over durable state.
    ///
    /// # Errors
    /// When the engine stopped or is overloaded.
    pub fn inspect<R: Send + 'static>(
        &self,
        look: impl FnOnce(&Exchange) -> R + Send + 'static,
    ) -> Result<R, Unavailable> {
        self.task(move |core| look(&core.exchange))
    }

    /// Closes the current journal segment, so that a snapshot can cover it; its last sequence.
    ///
    /// # Errors
    /// When the engine stopped or is overloaded, or there is no space for another segment.
    pub fn rotate(&self) -> Result<u64, Unavailable> {
        let rotated = self.task(|core| {
            core.write_feed();
            let is_closed =
                !core.is_feed_failing && (!core.journal.has_command() || core.rotate()?);
            Ok::<_, JournalError>((is_closed, core.exchange.sequence()))
        });
        match rotated? {
            Ok((true, sequence)) => Ok(sequence),
            Ok((false, _)) | Err(_) => Err(Unavailable),
        }
    }

    /// Why nothing is changed any more, once funds did not add up.
    pub fn halt(&self) -> Option<&Halt> {
        self.halt.get()
    }

    /// False once the engine's thread ended.
    pub fn is_alive(&self) -> bool {
        self.is_alive.load(Acquire)
    }

    /// Takes no more requests, answers those taken, seals the journal; true when that was done in time.
    pub fn stop(&self, deadline: Duration) -> bool {
        self.queue.close();
        let mut running = self.thread.lock().expect("nobody panics here");
        let Some(Running { ended, .. }) = running.as_ref() else { return true };
        if ended.recv_timeout(deadline) == Err(RecvTimeoutError::Timeout) {
            return false;
        }
        running.take().is_none_or(|Running { thread, .. }| thread.join().is_ok())
    }

    fn task<R: Send + 'static>(
        &self,
        task: impl FnOnce(&mut Core<S>) -> R + Send + 'static,
    ) -> Result<R, Unavailable> {
        let (sender, receiver) = sync_channel(1);
        let task = Box::new(move |core: &mut Core<S>| {
            // An asker that went away needs no answer.
            let _ = sender.send(task(core));
        });
        self.queue.push(Entry::Task(task), 1).map_err(|_| Unavailable)?;
        receiver.recv().map_err(|_| Unavailable)
    }
}

impl<S: Storage + Sync> Drop for Host<S> {
    fn drop(&mut self) {
        self.stop(Duration::from_secs(5));
    }
}
