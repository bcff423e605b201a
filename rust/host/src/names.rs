//! The names that ports read requests with: they change while the engine runs, rarely.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::{Arc, Mutex, MutexGuard};

use viabtc_wire::request::Names;

/// The newest names, and how often they changed.
#[derive(Debug)]
pub struct Published {
    names: Mutex<Arc<Names>>,
    generation: AtomicU64,
}

impl Published {
    pub(crate) fn new(names: Arc<Names>) -> Published {
        Published { names: Mutex::new(names), generation: AtomicU64::new(0) }
    }

    /// The newest names.
    pub fn get(&self) -> Arc<Names> {
        Arc::clone(&self.lock())
    }

    /// Another number than before when the names have changed: what ports look at with every request.
    pub fn generation(&self) -> u64 {
        self.generation.load(Acquire)
    }

    /// Before the answer to the change leaves, so that whoever got it finds what it changed.
    pub(crate) fn set(&self, names: Arc<Names>) {
        *self.lock() = names;
        self.generation.fetch_add(1, Release);
    }

    fn lock(&self) -> MutexGuard<'_, Arc<Names>> {
        self.names.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
