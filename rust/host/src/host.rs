//! The durable engine as other threads see it: submit, call, inspect, stop.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use viabtc_engine::Exchange;
use viabtc_journal::{Directory, JournalError};
use viabtc_wire::methods::ErrorCode;
use viabtc_wire::request::Names;

use crate::batch::{Batch, Layout, Refused, Replies, ReplyTo};
use crate::config_file::ConfigFile;
use crate::core::{Core, Entry};
use crate::metrics::Metrics;
use crate::queue::Queue;
use crate::start::{Opened, Recovery, StartError, microseconds_now, open};

/// Most requests that wait for the engine: about a second of its work. Above it ports answer error 3.
const QUEUE_REQUESTS_MAX: usize = 262_144;

/// When a write is acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Durability {
    /// When its record is on this machine's disk.
    Local,
    /// At once, as the original does; for comparisons.
    Async,
}

/// What a host is started with.
pub struct Options {
    /// Where journal, snapshots and feed stand; made when missing.
    pub directory: PathBuf,
    /// Assets, markets, layout of replies.
    pub config: ConfigFile,
    /// When a write is acknowledged.
    pub durability: Durability,
    /// Size of a journal segment.
    pub segment_bytes: u64,
    /// Names the build in the journal.
    pub build: String,
    /// Called when the journal fails; must not return to serving. The default ends the process.
    pub on_fault: fn(&JournalError),
}

/// The engine stopped, or too much waits for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the engine takes no more requests")]
pub struct Unavailable;

/// A running engine.
pub struct Host {
    queue: Arc<Queue<Entry<Directory>>>,
    names: Arc<Names>,
    metrics: Arc<Metrics>,
    layout: Layout,
    recovery: Recovery,
    is_alive: Arc<AtomicBool>,
    thread: Mutex<Option<Running>>,
}

/// The engine's thread, and a channel that closes when it ends.
struct Running {
    thread: JoinHandle<()>,
    ended: Receiver<()>,
}

impl Host {
    /// Recovers the state from the directory and starts to serve it.
    ///
    /// # Errors
    /// When the directory, the journal or the configuration cannot be used; see [`StartError`].
    pub fn start(options: Options) -> Result<Host, StartError> {
        let layout = if options.config.is_indented { Layout::Indented } else { Layout::Compact };
        let names = Arc::new(Names::new(&options.config.config));
        let metrics = Arc::new(Metrics::default());
        let on_fault = options.on_fault;
        let Opened { exchange, journal, feed, config, recovery } = open(&options)?;
        metrics.durable_sequence.store(exchange.sequence(), Release);
        let mut core = Core {
            exchange,
            journal,
            feed,
            names: Arc::clone(&names),
            config,
            metrics: Arc::clone(&metrics),
            clock: microseconds_now,
            layout,
            scratch: Default::default(),
            is_feed_failing: false,
        };
        let queue = Arc::new(Queue::new(QUEUE_REQUESTS_MAX));
        let is_alive = Arc::new(AtomicBool::new(true));
        let (running, ended) = sync_channel(0);
        let thread = {
            let (queue, is_alive) = (Arc::clone(&queue), Arc::clone(&is_alive));
            let serve = move || {
                let _running = running;
                let outcome = core.run(&queue);
                is_alive.store(false, Release);
                queue.close();
                if let Err(error) = outcome {
                    on_fault(&error);
                }
            };
            std::thread::Builder::new().name("engine".into()).spawn(serve)
        };
        let thread = thread.map_err(StartError::Thread)?;
        let thread = Mutex::new(Some(Running { thread, ended }));
        Ok(Host { queue, names, metrics, layout, recovery, is_alive, thread })
    }

    /// What the start found.
    pub fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    /// Names for [`Batch::push`].
    pub fn names(&self) -> &Arc<Names> {
        &self.names
    }

    /// Figures.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Hands a batch over. A batch that cannot be taken is answered at once with error 3.
    pub fn submit(&self, batch: Batch, reply_to: Box<dyn ReplyTo>) {
        let weight = batch.len();
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
        let mut batch = Batch::default();
        batch.push(command, params, id, &self.names)?;
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
    /// When the engine stopped or is overloaded.
    pub fn rotate(&self) -> Result<u64, Unavailable> {
        let rotated = self.task(|core| {
            if core.journal.has_command() {
                core.journal.rotate(core.exchange.digest())?;
            }
            Ok::<u64, JournalError>(core.exchange.sequence())
        });
        rotated?.map_err(|_| Unavailable)
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
        task: impl FnOnce(&mut Core<Directory>) -> R + Send + 'static,
    ) -> Result<R, Unavailable> {
        let (sender, receiver) = sync_channel(1);
        let task = Box::new(move |core: &mut Core<Directory>| {
            // An asker that went away needs no answer.
            let _ = sender.send(task(core));
        });
        self.queue.push(Entry::Task(task), 1).map_err(|_| Unavailable)?;
        receiver.recv().map_err(|_| Unavailable)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.stop(Duration::from_secs(5));
    }
}
