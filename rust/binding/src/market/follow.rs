//! The thread that counts the deals of an engine's feed into the board.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Acquire;
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use viabtc_engine::{Config, Decimal, Event, Side};
use viabtc_host::follow::{Effects, Follower};
use viabtc_journal::{Directory, FeedSignal};
use viabtc_market::{Board, Deal, Taker};

use super::Place;

/// Most commands whose deals are counted in at once: it bounds how long a query waits.
const EFFECTS_MAX: usize = 512;

/// How long a follower without anything to do waits before it looks whether it has to stop.
const IDLE: Duration = Duration::from_millis(100);

/// Counts the deals of an engine's feed into the board.
pub(super) struct DealFeed {
    pub(super) follower: Follower<Directory>,
    pub(super) signal: Arc<FeedSignal>,
    pub(super) board: Arc<RwLock<Board>>,
    pub(super) place: Arc<Mutex<Place>>,
    pub(super) is_stopping: Arc<AtomicBool>,
    /// Of the last command that was read.
    pub(super) sequence: u64,
    /// Places of the markets of the last configuration.
    pub(super) known: Option<(Arc<Config>, Vec<usize>)>,
}

impl DealFeed {
    pub(super) fn run(&mut self) {
        let mut batch = Vec::new();
        while !self.is_stopping.load(Acquire) {
            let outcome = loop {
                match self.follower.next_effects() {
                    Ok(Some(effects)) if batch.len() + 1 < EFFECTS_MAX => batch.push(effects),
                    Ok(Some(effects)) => {
                        batch.push(effects);
                        break Ok(());
                    }
                    Ok(None) => break Ok(()),
                    Err(error) => break Err(error),
                }
            };
            let is_idle = batch.is_empty();
            self.count(&batch);
            batch.clear();
            if let Err(error) = outcome {
                let mut place = self.place.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                place.failure = Some(error.to_string());
                return;
            }
            if is_idle && self.signal.is_closed() {
                return;
            }
            if is_idle {
                self.signal.wait(self.sequence, IDLE);
            }
        }
    }

    fn count(&mut self, batch: &[Effects]) {
        let Some(last) = batch.last() else { return };
        let mut board = self.board.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        let mut place = self.place.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        for effects in batch {
            let config = &effects.config;
            if !self.known.as_ref().is_some_and(|(known, _)| Arc::ptr_eq(known, config)) {
                // Markets are known before their first deal.
                let places = config.markets.iter().map(|market| board.list(&market.name));
                self.known = Some((Arc::clone(config), places.collect()));
            }
            for event in &effects.events {
                let Event::Deal(deal) = event else { continue };
                let Some((_, places)) = &self.known else { continue };
                let index = usize::from(deal.market.0);
                let market = &config.markets[index];
                let deal = Deal {
                    id: deal.id.0,
                    time: deal.time.0,
                    price: Decimal { coefficient: deal.price, scale: market.quote_scale },
                    amount: Decimal { coefficient: deal.amount, scale: market.base_scale },
                    taker: match deal.taker {
                        Side::Ask => Taker::Sells,
                        Side::Bid => Taker::Buys,
                    },
                };
                place.deals += u64::from(board.apply(places[index], &deal));
            }
        }
        self.sequence = last.sequence;
        place.sequence = last.sequence;
    }
}
