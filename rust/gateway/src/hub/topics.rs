//! Who hears what: topics of one thread, with what a newcomer gets.

use std::collections::HashMap;
use std::sync::Arc;

use super::frames::{Frame, Opcode, frame, text};
use super::numbered::{Numbered, Standing, Step};
use super::queue::Slot;

/// Items that a topic keeps for newcomers. Source: the original's list of deals.
const KEPT_ITEMS_MAX: usize = 100;

/// Items of one message.
const MESSAGE_ITEMS_MAX: usize = 100;

/// A group of topics that a connection subscribes to and leaves together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Family {
    /// Distinguishes it from others.
    pub number: u8,
    /// Its topics are one user's, and end for a connection that becomes another user's.
    pub is_private: bool,
    /// The owner is told which of its topics have subscribers.
    pub is_reported: bool,
}

/// Something to tell the subscribers of a topic.
#[derive(Clone, Debug)]
pub enum Publication {
    /// The newest state of something. Who has the one before gets `update`; who is new, or has not read
    /// the one before, gets `snapshot` instead of it.
    State {
        /// Frame that leads from the state before to this one.
        update: Arc<[u8]>,
        /// Frame of all of this state.
        snapshot: Arc<[u8]>,
        /// The update is all of this state too: whoever is there gets it, and the snapshot is for those
        /// who come later.
        is_whole: bool,
    },
    /// Members of a growing list.
    Items(Arc<Items>),
    /// A frame for who is there; nothing is kept.
    Message(Arc<[u8]>),
    /// The next step of a numbered channel.
    Step(Arc<Step>),
}

impl Publication {
    /// Of JSON texts.
    pub fn state(update: &[u8], snapshot: &[u8]) -> Publication {
        Publication::State { update: text(update), snapshot: text(snapshot), is_whole: false }
    }

    /// Of JSON texts, each of them all of the state.
    pub fn whole(update: &[u8], snapshot: &[u8]) -> Publication {
        Publication::State { update: text(update), snapshot: text(snapshot), is_whole: true }
    }

    /// Of a JSON text.
    pub fn message(message: &[u8]) -> Publication {
        Publication::Message(text(message))
    }

    /// What it occupies, about.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Publication::State { update, snapshot, .. } => update.len() + snapshot.len(),
            Publication::Items(items) => items.members.iter().map(|(_, text)| text.len()).sum(),
            Publication::Message(message) => message.len(),
            Publication::Step(step) => {
                step.snapshot.len() + step.update.as_ref().map_or(0, |update| update.len())
            }
        }
    }
}

/// Members of a list, told once each.
#[derive(Debug)]
pub struct Items {
    /// Text before the members.
    pub head: Box<[u8]>,
    /// Text behind them.
    pub tail: Box<[u8]>,
    /// Number and text of each, numbers ascending.
    pub members: Vec<(u64, Arc<[u8]>)>,
    /// Whether none of the last hundred is missing. Before the first such publication nobody
    /// is told anything.
    pub is_whole: bool,
}

/// What a topic keeps.
#[derive(Debug, Default)]
enum Kept {
    #[default]
    Nothing,
    State(Frame),
    Items(List),
    Numbered(Numbered),
}

#[derive(Debug, Default)]
struct List {
    /// Oldest first.
    members: Vec<(u64, Arc<[u8]>)>,
    is_ready: bool,
    /// The last publication: what a message begins and ends with.
    form: Option<Arc<Items>>,
    /// All members in one message, made when the first newcomer needs it.
    snapshot: Option<Frame>,
}

#[derive(Debug)]
pub(crate) struct Topic {
    pub(crate) name: Arc<str>,
    pub(crate) family: Family,
    pub(crate) subscribers: Vec<Subscriber>,
    /// When the last subscriber left, while the topic waits for one who comes back.
    pub(crate) empty_since_ms: Option<u64>,
    kept: Kept,
}

/// A connection that hears a topic.
#[derive(Debug)]
pub(crate) struct Subscriber {
    pub(crate) place: u32,
    /// Where the topic stands among the connection's subscriptions.
    pub(crate) position: u32,
    /// Its last entry in the connection's queue; `None` while it was told nothing.
    pub(crate) slot: Option<Slot>,
}

/// What one publication comes to.
pub(crate) enum Due {
    /// `update`; `whole` in the place of what has not been read, and for who was told nothing yet.
    State { update: Frame, whole: Frame },
    /// Each of them; the topic's snapshot for who was told nothing yet.
    Items(Vec<Frame>),
    /// For everybody, told something or not.
    Message(Frame),
}

#[derive(Debug, Default)]
pub(crate) struct Topics {
    by_name: HashMap<Arc<str>, u32>,
    topics: Vec<Option<Topic>>,
    free: Vec<u32>,
}

impl Topics {
    pub(crate) fn find(&self, name: &str) -> Option<u32> {
        self.by_name.get(name).copied()
    }

    /// The topic of that name, and whether it is new.
    pub(crate) fn open(&mut self, name: &str, family: Family) -> (u32, bool) {
        if let Some(id) = self.find(name) {
            return (id, false);
        }
        let name: Arc<str> = name.into();
        let topic = Topic {
            name: Arc::clone(&name),
            family,
            subscribers: Vec::new(),
            empty_since_ms: None,
            kept: Kept::Nothing,
        };
        let id = match self.free.pop() {
            Some(id) => {
                self.topics[id as usize] = Some(topic);
                id
            }
            None => {
                self.topics.push(Some(topic));
                u32::try_from(self.topics.len() - 1).expect("subscriptions are bounded")
            }
        };
        self.by_name.insert(name, id);
        (id, true)
    }

    /// Forgets a topic without subscribers; its name.
    pub(crate) fn close(&mut self, id: u32) -> Option<Topic> {
        let topic = self.topics[id as usize].take()?;
        self.by_name.remove(&topic.name);
        self.free.push(id);
        Some(topic)
    }

    /// Whether a topic is open and lost its last subscriber then.
    pub(crate) fn is_empty_since(&self, id: u32, since_ms: u64) -> bool {
        let topic = self.topics[id as usize].as_ref();
        topic.is_some_and(|topic| topic.empty_since_ms == Some(since_ms))
    }

    /// # Panics
    /// When the topic was closed: whoever holds an id is among its subscribers.
    pub(crate) fn get(&mut self, id: u32) -> &mut Topic {
        self.topics[id as usize].as_mut().expect("a topic with subscribers is open")
    }
}

impl Topic {
    /// What a newcomer gets at once.
    pub(crate) fn snapshot(&mut self) -> Option<Frame> {
        match &mut self.kept {
            Kept::Nothing => None,
            Kept::State(frame) => Some(Frame::clone(frame)),
            Kept::Items(list) => list.snapshot(),
            Kept::Numbered(numbered) => Some(numbered.snapshot()),
        }
    }

    /// Whether somebody who comes back can go on from where he stood.
    pub(crate) fn is_numbered(&self) -> bool {
        matches!(self.kept, Kept::Numbered(_))
    }

    /// What somebody missed who stood there; `None` when he must start again.
    pub(crate) fn missed(&self, standing: Standing) -> Option<Vec<Frame>> {
        let Kept::Numbered(numbered) = &self.kept else { return None };
        Some(numbered.missed(standing)?.collect())
    }

    /// Takes a publication in; what is due then.
    pub(crate) fn apply(&mut self, publication: &Publication) -> Due {
        match publication {
            Publication::State { update, snapshot, is_whole } => {
                self.kept = Kept::State(Frame::clone(snapshot));
                let whole = if *is_whole { update } else { snapshot };
                Due::State { update: Frame::clone(update), whole: Frame::clone(whole) }
            }
            Publication::Message(message) => Due::Message(Frame::clone(message)),
            Publication::Items(items) => {
                if !matches!(self.kept, Kept::Items(_)) {
                    self.kept = Kept::Items(List::default());
                }
                let Kept::Items(list) = &mut self.kept else { unreachable!("it was just made") };
                Due::Items(list.apply(items))
            }
            Publication::Step(step) => {
                if !matches!(self.kept, Kept::Numbered(_)) {
                    self.kept = Kept::Numbered(Numbered::new());
                }
                let Kept::Numbered(numbered) = &mut self.kept else {
                    unreachable!("it was just made")
                };
                let update = numbered.apply(step);
                if step.is_conflated {
                    Due::State { update, whole: numbered.snapshot() }
                } else {
                    Due::Items(vec![update])
                }
            }
        }
    }
}

impl List {
    fn apply(&mut self, items: &Arc<Items>) -> Vec<Frame> {
        let mut updates = Vec::new();
        if self.is_ready {
            let newest = self.members.last().map_or(0, |(number, _)| *number);
            let known = items.members.partition_point(|(number, _)| *number <= newest);
            let fresh = &items.members[known..];
            updates.extend(fresh.chunks(MESSAGE_ITEMS_MAX).map(|chunk| items.frame(chunk)));
            self.members.extend_from_slice(fresh);
        } else {
            self.members.extend_from_slice(&items.members);
            self.members.sort_by_key(|(number, _)| *number);
            self.members.dedup_by_key(|(number, _)| *number);
            self.is_ready = items.is_whole;
        }
        let surplus = self.members.len().saturating_sub(KEPT_ITEMS_MAX);
        self.members.drain(..surplus);
        self.form = Some(Arc::clone(items));
        self.snapshot = None;
        updates
    }

    fn snapshot(&mut self) -> Option<Frame> {
        if self.is_ready && !self.members.is_empty() && self.snapshot.is_none() {
            self.snapshot = self.form.as_ref().map(|form| form.frame(&self.members));
        }
        self.snapshot.clone()
    }
}

impl Items {
    /// A message of `members`, newest first.
    fn frame(&self, members: &[(u64, Arc<[u8]>)]) -> Frame {
        let mut parts: Vec<&[u8]> = Vec::with_capacity(2 * members.len() + 1);
        parts.push(&self.head);
        for (place, (_, member)) in members.iter().rev().enumerate() {
            if place > 0 {
                parts.push(b", ");
            }
            parts.push(member);
        }
        parts.push(&self.tail);
        frame(Opcode::Text, &parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(numbers: impl IntoIterator<Item = u64>, is_whole: bool) -> Publication {
        let members =
            numbers.into_iter().map(|number| (number, number.to_string().as_bytes().into()));
        let members = members.collect();
        let (head, tail) = (b"["[..].into(), b"]"[..].into());
        Publication::Items(Arc::new(Items { head, tail, members, is_whole }))
    }

    fn shown(frame: &Frame) -> String {
        let head = if frame[1] < 126 { 2 } else { 4 };
        String::from_utf8(frame[head..].to_vec()).unwrap()
    }

    fn apply(topic: &mut Topic, publication: &Publication) -> (Vec<String>, Option<String>) {
        let Due::Items(updates) = topic.apply(publication) else { panic!("items") };
        (updates.iter().map(shown).collect(), topic.snapshot().as_ref().map(shown))
    }

    fn topic(topics: &mut Topics) -> &mut Topic {
        let family = Family { number: 1, is_private: false, is_reported: true };
        let (id, is_new) = topics.open("deals X", family);
        assert!(is_new && topics.find("deals X") == Some(id));
        topics.get(id)
    }

    #[test]
    fn members_are_told_once_wherever_the_whole_list_comes_in() {
        let mut topics = Topics::default();
        let topic = topic(&mut topics);
        assert_eq!(apply(topic, &items(5..=6, false)), (vec![], None));
        assert_eq!(topic.snapshot(), None);
        let snapshot = Some("[6, 5, 4, 3]".to_owned());
        assert_eq!(apply(topic, &items(3..=5, true)), (vec![], snapshot.clone()));
        assert_eq!(topic.snapshot().as_ref().map(shown), snapshot);
        assert_eq!(apply(topic, &items(6..=6, false)), (vec![], snapshot.clone()));
        assert_eq!(apply(topic, &items(3..=6, true)), (vec![], snapshot));
        let (updates, snapshot) = apply(topic, &items(6..=8, false));
        assert_eq!((updates, snapshot), (vec!["[8, 7]".into()], Some("[8, 7, 6, 5, 4, 3]".into())));
    }

    #[test]
    fn a_burst_is_told_in_messages_of_a_hundred_and_the_last_hundred_are_kept() {
        let mut topics = Topics::default();
        let topic = topic(&mut topics);
        assert_eq!(apply(topic, &items([], true)), (vec![], None));
        let (updates, snapshot) = apply(topic, &items(1..=250, false));
        let counts: Vec<usize> = updates.iter().map(|text| text.split(',').count()).collect();
        assert_eq!(counts, [100, 100, 50]);
        let snapshot = snapshot.unwrap();
        assert!(snapshot.starts_with("[250, 249") && snapshot.ends_with(", 152, 151]"));
    }

    #[test]
    fn a_closed_topics_place_is_used_again_with_nothing_kept() {
        let mut topics = Topics::default();
        topic(&mut topics).apply(&Publication::state(b"u", b"s"));
        assert_eq!(topics.get(0).snapshot().as_ref().map(shown), Some("s".into()));
        assert_eq!(topics.close(0).map(|topic| topic.name), Some("deals X".into()));
        assert_eq!(topics.find("deals X"), None);
        assert_eq!(topic(&mut topics).snapshot(), None);
    }
}
