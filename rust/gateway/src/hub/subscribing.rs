//! Subscriptions, and what a publication comes to for each subscriber.

use std::mem;
use std::sync::atomic::Ordering::Relaxed;

use super::connection::{Phase, Subscription};
use super::frames::{Closing, Frame};
use super::state::Core;
use super::topics::{Due, Family, Publication, Subscriber};
use crate::metrics::count;

impl Core {
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
        let has_newcomer = topic.subscribers.iter().any(|subscriber| subscriber.slot.is_none());
        let newcomers = if has_newcomer { topic.snapshot() } else { None };
        let Core { topics, places, dirty, options, metrics, now_ms, .. } = self;
        let mut pushes = 0;
        let mut overflowed = Vec::new();
        for subscriber in &mut topics.get(id).subscribers {
            let place = subscriber.place;
            let slot = places.get_mut(place as usize);
            let Some(connection) = slot.and_then(|slot| slot.connection.as_mut()) else { continue };
            match (&due, subscriber.slot) {
                (Due::Message(frame), _) => {
                    subscriber.slot = Some(connection.push(Frame::clone(frame), *now_ms));
                    pushes += 1;
                }
                (_, None) => {
                    let Some(frame) = &newcomers else { continue };
                    subscriber.slot = Some(connection.push(Frame::clone(frame), *now_ms));
                    pushes += 1;
                }
                (Due::State { update, snapshot }, Some(slot)) => {
                    if connection.queue.replace(slot, snapshot) {
                        count(&metrics.conflated);
                    } else {
                        subscriber.slot = Some(connection.push(Frame::clone(update), *now_ms));
                        pushes += 1;
                    }
                }
                (Due::Items(updates), Some(_)) => {
                    for update in updates {
                        subscriber.slot = Some(connection.push(Frame::clone(update), *now_ms));
                        pushes += 1;
                    }
                }
            }
            if !mem::replace(&mut connection.is_dirty, true) {
                dirty.push(place);
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

    /// Ends a connection once everything before is written.
    pub(super) fn subscribe(&mut self, place: u32, name: &str, family: Family) -> bool {
        let most = self.options.subscriptions_max;
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

    /// Ends the connection's subscriptions to topics of some families.
    pub(super) fn leave(&mut self, place: u32, is_left: impl Fn(Family) -> bool) {
        let Core { topics, places, notices, metrics, .. } = self;
        let mut at = 0;
        while let Some(connection) = places[place as usize].connection.as_mut()
            && let Some(subscription) = connection.subscriptions.get(at)
        {
            let (id, position) = (subscription.topic, subscription.position as usize);
            let topic = topics.get(id);
            if !is_left(topic.family) {
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
            } else if topic.subscribers.is_empty()
                && let Some(topic) = topics.close(id)
            {
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
