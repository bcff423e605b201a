//! What the owner of a hub has to do, bounded: which topics are watched, requests that only the owner can
//! answer, answers to what it asked.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use super::ConnectionId;

/// Requests that may wait for the owner.
const REQUESTS_MAX: usize = 65_536;

/// Something for the owner.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Notice {
    /// A reported topic has its first subscriber.
    Watched(Arc<str>),
    /// Its last subscriber left.
    Unwatched(Arc<str>),
    /// A word that [`super::Hub::note`] left.
    Noted(Arc<str>),
    /// A request to answer.
    Request(Request),
    /// An answer of a backend.
    Answer(Answer),
}

/// A request that the owner answers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    /// Whose.
    pub connection: ConnectionId,
    /// Where it comes from, when that is known.
    pub address: Option<IpAddr>,
    /// Echoed in the answer.
    pub id: i64,
    /// Of the dialect.
    pub method: &'static str,
    /// A JSON array's text.
    pub params: String,
}

/// What a backend answered to [`super::Hub::ask`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// As given to `ask`.
    pub tag: u32,
    /// The reply, or `None` when there was none in time or the backend cannot be reached.
    pub body: Option<Vec<u8>>,
}

pub(crate) struct Notices {
    state: Mutex<State>,
    on_notice: Box<dyn Fn() + Send + Sync>,
}

#[derive(Default)]
struct State {
    /// Topics with subscribers, and in how many threads.
    watched: HashMap<Arc<str>, u32>,
    /// Topics of which the owner was told that they are watched.
    told: HashSet<Arc<str>>,
    /// Reported topics to look at again; the owner needs the newest state, so each waits once.
    changed: Waiting,
    noted: Waiting,
    requests: VecDeque<Request>,
    answers: VecDeque<Answer>,
    /// What made connections somebody's, and how many of them.
    grants: HashMap<u32, u32>,
    /// The owner was called and has not taken everything.
    is_called: bool,
}

/// Words in order, each once.
#[derive(Default)]
struct Waiting {
    order: VecDeque<Arc<str>>,
    members: HashSet<Arc<str>>,
}

impl Waiting {
    fn push(&mut self, word: &Arc<str>) {
        if self.members.insert(Arc::clone(word)) {
            self.order.push_back(Arc::clone(word));
        }
    }

    fn pop(&mut self) -> Option<Arc<str>> {
        let word = self.order.pop_front()?;
        self.members.remove(&word);
        Some(word)
    }
}

impl Notices {
    pub(crate) fn new(on_notice: impl Fn() + Send + Sync + 'static) -> Notices {
        Notices { state: Mutex::default(), on_notice: Box::new(on_notice) }
    }

    pub(crate) fn watched<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Vec<bool> {
        let state = self.lock();
        names.into_iter().map(|name| state.watched.contains_key(name)).collect()
    }

    /// A thread has the first subscriber of a topic, or lost the last. A further thread's begin is told as
    /// an end and a begin: that thread has nothing for its newcomers yet.
    pub(crate) fn watch(&self, name: &Arc<str>, is_reported: bool, is_watched: bool) {
        let mut state = self.lock();
        let count = state.watched.entry(Arc::clone(name)).or_insert(0);
        *count = if is_watched { *count + 1 } else { *count - 1 };
        let is_ended = *count == 0;
        if is_ended {
            state.watched.remove(name);
        }
        if is_reported && (is_watched || is_ended) {
            state.changed.push(name);
            self.call(state);
        }
    }

    pub(crate) fn note(&self, word: &Arc<str>) {
        let mut state = self.lock();
        state.noted.push(word);
        self.call(state);
    }

    /// False when too many wait already.
    pub(crate) fn request(&self, request: Request) -> bool {
        let mut state = self.lock();
        if state.requests.len() >= REQUESTS_MAX {
            return false;
        }
        state.requests.push_back(request);
        self.call(state);
        true
    }

    /// A connection will stand on a grant; 0 is none.
    pub(crate) fn hold(&self, grant: u32) {
        if grant != 0 {
            *self.lock().grants.entry(grant).or_insert(0) += 1;
        }
    }

    /// One that was held is not stood on any more.
    pub(crate) fn release(&self, grant: u32) {
        if grant == 0 {
            return;
        }
        let mut state = self.lock();
        if let Some(count) = state.grants.get_mut(&grant) {
            *count -= 1;
            if *count == 0 {
                state.grants.remove(&grant);
            }
        }
    }

    pub(crate) fn grants(&self) -> Vec<u32> {
        self.lock().grants.keys().copied().collect()
    }

    /// Answers are as many as the owner asked for.
    pub(crate) fn answer(&self, answer: Answer) {
        let mut state = self.lock();
        state.answers.push_back(answer);
        self.call(state);
    }

    pub(crate) fn take(&self, max: usize) -> Vec<Notice> {
        let mut state = self.lock();
        let mut notices = Vec::new();
        while notices.len() < max
            && let Some(name) = state.changed.pop()
        {
            // What began and ended in between, or ended and began, is told as far as it is new.
            let is_watched = state.watched.contains_key(&name);
            let was_told = state.told.contains(&name);
            if was_told {
                state.told.remove(&name);
                notices.push(Notice::Unwatched(Arc::clone(&name)));
            }
            if is_watched {
                state.told.insert(Arc::clone(&name));
                notices.push(Notice::Watched(name));
            }
        }
        let room = |notices: &Vec<Notice>| max.saturating_sub(notices.len());
        let count = room(&notices).min(state.answers.len());
        notices.extend(state.answers.drain(..count).map(Notice::Answer));
        while room(&notices) > 0
            && let Some(word) = state.noted.pop()
        {
            notices.push(Notice::Noted(word));
        }
        let count = room(&notices).min(state.requests.len());
        notices.extend(state.requests.drain(..count).map(Notice::Request));
        state.is_called = !state.is_empty();
        let is_more = state.is_called;
        drop(state);
        if is_more {
            (self.on_notice)();
        }
        notices
    }

    fn call(&self, mut state: MutexGuard<'_, State>) {
        if !std::mem::replace(&mut state.is_called, true) {
            drop(state);
            (self.on_notice)();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding the notices")
    }
}

impl State {
    fn is_empty(&self) -> bool {
        self.changed.order.is_empty()
            && self.noted.order.is_empty()
            && self.requests.is_empty()
            && self.answers.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use super::*;

    fn notices() -> (Notices, Arc<AtomicUsize>) {
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        let on_notice = move || {
            counted.fetch_add(1, Relaxed);
        };
        (Notices::new(on_notice), calls)
    }

    #[test]
    fn the_owner_is_called_once_until_everything_is_taken() {
        let (notices, calls) = notices();
        let name: Arc<str> = "a".into();
        notices.note(&name);
        notices.note(&name);
        notices.note(&"b".into());
        assert_eq!(calls.load(Relaxed), 1);
        assert_eq!(notices.take(1), [Notice::Noted(Arc::clone(&name))]);
        assert_eq!(calls.load(Relaxed), 2, "more waits");
        assert_eq!(notices.take(9), [Notice::Noted("b".into())]);
        assert_eq!((notices.take(9), calls.load(Relaxed)), (vec![], 2));
        notices.note(&name);
        assert_eq!(calls.load(Relaxed), 3);
    }

    #[test]
    fn the_owner_learns_the_newest_state_of_a_topic_counted_over_threads() {
        let (notices, _) = notices();
        let name: Arc<str> = "depth".into();
        notices.watch(&name, true, true);
        notices.watch(&name, true, true);
        assert_eq!(notices.take(9), [Notice::Watched(Arc::clone(&name))]);
        notices.watch(&name, true, true);
        let again = [Notice::Unwatched(Arc::clone(&name)), Notice::Watched(Arc::clone(&name))];
        assert_eq!(notices.take(9), again, "a further thread needs what newcomers get");
        notices.watch(&name, true, false);
        notices.watch(&name, true, false);
        assert_eq!(notices.take(9), []);
        notices.watch(&name, true, false);
        notices.watch(&name, true, true);
        assert_eq!(notices.take(9), again, "a topic that ended has lost its state");
        notices.watch(&name, true, false);
        assert_eq!(notices.take(9), [Notice::Unwatched(name)]);
        let quick: Arc<str> = "quick".into();
        notices.watch(&quick, true, true);
        notices.watch(&quick, true, false);
        assert_eq!(notices.take(9), []);
        let silent: Arc<str> = "order".into();
        notices.watch(&silent, false, true);
        assert_eq!(notices.take(9), []);
        assert_eq!(notices.watched(["order", "quick"]), [true, false]);
    }
}
