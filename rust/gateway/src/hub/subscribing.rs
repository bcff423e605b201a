//! Subscriptions, and what a publication comes to for each subscriber.

use std::mem;
use std::sync::atomic::Ordering::Relaxed;

use super::connection::{Phase, Subscription};
use super::frames::Closing;
use super::numbered::Standing;
use super::state::Core;
use super::topics::{Due, Family, Publication, Subscriber, Topic};
use super::writing::FEW_MAX;
use crate::metrics::count;

/// How long a numbered topic is kept up for those who come back after the last left.
const LINGER_MS: u64 = 30_000;

/// Topics that are kept up for nobody at once.
const LINGERING_MAX: usize = 512;

impl Core {
    /// Subscriptions that a connection may have.
    pub(super) fn subscriptions_max(&mut self, place: u32) -> usize {
        let is_stream = self.connection(place).is_some_and(|connection| connection.is_stream);
        if is_stream {
            self.options.stream.subscriptions_max
        } else {
            self.options.subscriptions_max
        }
    }

    pub(super) fn hears_private(&mut self, place: u32) -> bool {
        let Core { topics, places, .. } = self;
        let Some(connection) = &places[place as usize].connection else { return false };
        connection.subscriptions.iter().any(|mine| topics.get(mine.topic).family.is_private)
    }

    pub(super) fn publish(&mut self, name: &str, publication: &Publication) {
        count(&self.metrics.publications);
        let Some(id) = self.topics.find(name) else { return };
        let topic = self.topics.get(id);
        let due = topic.apply(publication);
        let are_few = topic.subscribers.len() <= FEW_MAX;
        let has_newcomer = topic.subscribers.iter().any(|subscriber| subscriber.slot.is_none());
        let newcomers = match &due {
            Due::State { whole, .. } => Some(whole.clone()),
            _ if has_newcomer => topic.snapshot(),
            _ => None,
        };
        let Core { topics, places, first, due: line, options, metrics, now_ms, deflater, .. } =
            self;
        let mut pushes = 0;
        let mut overflowed = Vec::new();
        for subscriber in &mut topics.get(id).subscribers {
            let place = subscriber.place;
            let slot = places.get_mut(place as usize);
            let Some(connection) = slot.and_then(|slot| slot.connection.as_mut()) else { continue };
            match (&due, subscriber.slot) {
                (Due::Message(frame), _) => {
                    subscriber.slot = Some(connection.push(frame, deflater, *now_ms));
                    pushes += 1;
                }
                (_, None) => {
                    let Some(frame) = &newcomers else { continue };
                    subscriber.slot = Some(connection.push(frame, deflater, *now_ms));
                    pushes += 1;
                }
                (Due::State { update, whole }, Some(slot)) => {
                    if connection.replace(slot, whole, deflater) {
                        count(&metrics.conflated);
                    } else {
                        subscriber.slot = Some(connection.push(update, deflater, *now_ms));
                        pushes += 1;
                    }
                }
                (Due::Items(updates), Some(_)) => {
                    for update in updates {
                        subscriber.slot = Some(connection.push(update, deflater, *now_ms));
                        pushes += 1;
                    }
                }
            }
            if are_few && !mem::replace(&mut connection.is_first, true) {
                first.push(place);
            } else if !are_few && !mem::replace(&mut connection.is_due, true) {
                line.push_back(place);
            }
            if connection.is_over(options, metrics, *now_ms) {
                overflowed.push(place);
            }
        }
        metrics.pushes.fetch_add(pushes, Relaxed);
        for place in overflowed {
            count(&self.metrics.overflowed);
            self.close_hard(place, Closing::OVERFLOW);
        }
    }

    /// Subscribes to a topic; false when the connection has as many subscriptions as it may.
    pub(super) fn subscribe(&mut self, place: u32, name: &str, family: Family) -> bool {
        let most = self.subscriptions_max(place);
        let Core { topics, places, notices, metrics, .. } = self;
        let Some(connection) = places[place as usize].connection.as_mut() else { return false };
        let known = topics.find(name);
        let is_known =
            |subscription: &Subscription| known.is_some_and(|id| subscription.topic == id);
        if connection.subscriptions.iter().any(is_known) {
            return true;
        }
        if connection.subscriptions.len() >= most {
            return false;
        }
        let (id, is_new) = topics.open(name, family);
        let topic = topics.get(id);
        let position = topic.subscribers.len() as u32;
        connection.subscriptions.push(Subscription { topic: id, position });
        let position = connection.subscriptions.len() as u32 - 1;
        topic.empty_since_ms = None;
        topic.subscribers.push(Subscriber { place, position, slot: None });
        metrics.subscriptions.fetch_add(1, Relaxed);
        if is_new {
            metrics.topics.fetch_add(1, Relaxed);
            notices.watch(&topic.name, family.is_reported, true);
        }
        true
    }

    /// Sends what newcomers get of those of the connection's topics that told it nothing yet.
    pub(super) fn welcome(&mut self, place: u32, family: Family) {
        let Some(connection) = self.connection(place) else { return };
        let mine: Vec<(u32, u32)> =
            connection.subscriptions.iter().map(|mine| (mine.topic, mine.position)).collect();
        for (id, position) in mine {
            let topic = self.topics.get(id);
            if topic.family != family || topic.subscribers[position as usize].slot.is_some() {
                continue;
            }
            let Some(snapshot) = topic.snapshot() else { continue };
            count(&self.metrics.pushes);
            let slot = self.send(place, snapshot);
            if self.connection(place).is_none_or(|open| open.phase == Phase::Closing) {
                return;
            }
            self.topics.get(id).subscribers[position as usize].slot = slot;
        }
    }

    /// Sends what a newcomer of one topic gets: what he missed behind where he stood, or the whole. A
    /// topic that has nothing yet sends it with its first publication.
    pub(super) fn welcome_to(&mut self, place: u32, name: &str, standing: Option<Standing>) {
        let Core { topics, places, .. } = self;
        let Some(id) = topics.find(name) else { return };
        let Some(connection) = places[place as usize].connection.as_mut() else { return };
        let mine = connection.subscriptions.iter().find(|mine| mine.topic == id);
        let Some(position) = mine.map(|mine| mine.position as usize) else { return };
        let topic = topics.get(id);
        if topic.subscribers[position].slot.is_some() {
            return;
        }
        let missed = standing.and_then(|standing| topic.missed(standing));
        let mut slot = missed.is_some().then(|| connection.queue.past());
        let due = missed.or_else(|| topic.snapshot().map(|snapshot| vec![snapshot]));
        for frame in due.into_iter().flatten() {
            count(&self.metrics.pushes);
            slot = self.send(place, frame);
            if self.connection(place).is_none_or(|open| open.phase == Phase::Closing) {
                return;
            }
        }
        self.topics.get(id).subscribers[position].slot = slot;
    }

    /// Forgets the topics to which nobody came back.
    pub(super) fn forget_topics(&mut self) {
        let Core { topics, notices, metrics, lingering, now_ms, .. } = self;
        while let Some(&(since_ms, id)) = lingering.front()
            && *now_ms - since_ms > LINGER_MS
        {
            lingering.pop_front();
            if topics.is_empty_since(id, since_ms)
                && let Some(topic) = topics.close(id)
            {
                metrics.topics.fetch_sub(1, Relaxed);
                notices.watch(&topic.name, topic.family.is_reported, false);
            }
        }
    }

    /// Ends the connection's subscriptions to topics of some families.
    pub(super) fn leave(&mut self, place: u32, is_left: impl Fn(&Topic) -> bool) {
        let Core { topics, places, notices, metrics, lingering, now_ms, .. } = self;
        let mut at = 0;
        while let Some(connection) = places[place as usize].connection.as_mut()
            && let Some(subscription) = connection.subscriptions.get(at)
        {
            let (id, position) = (subscription.topic, subscription.position as usize);
            let topic = topics.get(id);
            if !is_left(topic) {
                at += 1;
                continue;
            }
            connection.subscriptions.swap_remove(at);
            if let Some(moved) = connection.subscriptions.get(at) {
                topics.get(moved.topic).subscribers[moved.position as usize].position = at as u32;
            }
            let topic = topics.get(id);
            topic.subscribers.swap_remove(position);
            metrics.subscriptions.fetch_sub(1, Relaxed);
            if let Some(moved) = topic.subscribers.get(position) {
                let (other, theirs) = (moved.place as usize, moved.position as usize);
                if let Some(connection) = places[other].connection.as_mut() {
                    connection.subscriptions[theirs].position = position as u32;
                }
            } else if topic.subscribers.is_empty() {
                if topic.is_numbered() && lingering.len() < LINGERING_MAX {
                    topic.empty_since_ms = Some(*now_ms);
                    lingering.push_back((*now_ms, id));
                    continue;
                }
                let Some(topic) = topics.close(id) else { continue };
                metrics.topics.fetch_sub(1, Relaxed);
                notices.watch(&topic.name, topic.family.is_reported, false);
            }
        }
        if let Some(connection) = places[place as usize].connection.as_mut()
            && connection.subscriptions.is_empty()
        {
            connection.subscriptions = Vec::new();
        }
    }
}
