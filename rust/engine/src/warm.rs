//! Reading ahead: what the next commands will need is asked of memory for many of them at once.
//!
//! With a million orders most of what a command meets is in no cache, and each thing is found through the
//! one before: index, owner, accounts, order, neighbours. Applied one by one, commands wait for memory
//! a dozen times each. Here the first things of a whole group are read, then the second ones, and so on:
//! the processor waits for all reads of a step together, since none needs another one's result.
//!
//! Nothing changes and nothing is decided: what was read may be outdated when its command is applied, which
//! then costs time and nothing else. The sums of what was read keep the compiler from leaving the reads out.

use core::hint::black_box;

use crate::book::Handle;
use crate::command::{Command, PlaceLimit};
use crate::exchange::{Exchange, Market};
use crate::ids::{MarketId, UserId};

/// Commands that are read ahead together: enough to hide the time of a read behind the others, few enough
/// that what was read is still in the nearest cache when it is used.
pub const GROUP: usize = 16;

/// Reads all of these; that they are asked for one after another without anything between is what makes
/// memory answer them together.
pub(crate) fn warmed(reads: impl Iterator<Item = u64>) {
    black_box(reads.fold(0, |sum, read| sum ^ read));
}

/// What is known so far of one command.
#[derive(Clone, Copy)]
enum Lead {
    Nothing,
    /// Place of the record of an owner.
    Owner(u32),
    /// The order to be cancelled.
    Order(Handle),
}

impl Exchange {
    /// Reads what the first [`GROUP`] of these commands will need. To be called before they are applied;
    /// leaving it out changes nothing but the time.
    pub fn warm<'command>(&self, commands: impl Iterator<Item = &'command Command> + Clone) {
        let commands = commands.take(GROUP);
        let mut leads = [Lead::Nothing; GROUP];
        let mut sum = 0;
        for (command, order) in commands.clone().zip(self.counters.last_order + 1..) {
            sum ^= self.warm_indexes(command, order);
        }
        for (command, lead) in commands.clone().zip(&mut leads) {
            sum ^= self.warm_named(command, lead);
        }
        for (command, lead) in commands.clone().zip(&mut leads) {
            sum ^= self.warm_linked(command, lead);
        }
        for (command, lead) in commands.zip(&leads) {
            if let (Command::CancelOrder(_), Lead::Owner(place)) = (command, lead) {
                sum ^= self.warm_accounts(*place);
            }
        }
        black_box(sum);
    }

    /// What a command's own words lead to: lines of the indexes. `order` is about the id that an order will
    /// get.
    fn warm_indexes(&self, command: &Command, order: u64) -> u64 {
        match command {
            Command::PlaceLimit(place) => {
                let book = self.market(place.market).map(|market| &market.book);
                self.open.warm_index(place.user, place.market)
                    ^ book.map_or(0, |book| book.warm_arrival(order))
            }
            Command::PlaceMarket(place) => self.open.warm_index(place.user, place.market),
            Command::CancelOrder(cancel) => {
                let market = self.market(cancel.market);
                market.map_or(0, |market| market.book.warm_id(cancel.order.0))
            }
            Command::UpdateBalance(update) => self.ledger.warm_index(update.user, update.asset),
            Command::Change(_) => 0,
        }
    }

    /// What the indexes lead to: owners, orders, accounts.
    fn warm_named(&self, command: &Command, lead: &mut Lead) -> u64 {
        match command {
            Command::PlaceLimit(PlaceLimit { user, market, .. }) => {
                self.warm_owner(*user, *market, lead)
            }
            Command::PlaceMarket(place) => self.warm_owner(place.user, place.market, lead),
            Command::CancelOrder(cancel) => {
                let Some(market) = self.market(cancel.market) else { return 0 };
                let Some(handle) = market.book.find(cancel.order.0) else { return 0 };
                *lead = Lead::Order(handle);
                let resting = market.book.get(handle);
                resting.id ^ resting.payload.filled_base as u64 ^ resting.payload.taker_fee_rate
            }
            Command::UpdateBalance(update) => {
                let account = self.ledger.find(update.user, update.asset);
                account.map_or(0, |account| self.ledger.warm_account(account))
            }
            Command::Change(_) => 0,
        }
    }

    fn warm_owner(&self, user: UserId, market: MarketId, lead: &mut Lead) -> u64 {
        let Some((place, owner)) = self.open.find(user, market) else {
            let Some(market) = self.market(market) else { return 0 };
            return self.ledger.warm_index(user, market.config.base)
                ^ self.ledger.warm_index(user, market.config.quote);
        };
        *lead = Lead::Owner(place);
        u64::from(owner.count)
    }

    /// What owners and orders lead to: accounts, the orders before and behind.
    fn warm_linked(&self, command: &Command, lead: &mut Lead) -> u64 {
        match (command, *lead) {
            (Command::PlaceLimit(place), Lead::Owner(owner)) => {
                let Some(market) = self.market(place.market) else { return 0 };
                let newest = self.open.at(owner).newest;
                self.warm_accounts(owner)
                    ^ market.book.get(newest).payload.taker_fee_rate
                    ^ market.book.warm_level(place.side, place.price)
            }
            (Command::PlaceMarket(_), Lead::Owner(owner)) => self.warm_accounts(owner),
            (Command::CancelOrder(cancel), Lead::Order(handle)) => {
                let Some(market) = self.market(cancel.market) else { return 0 };
                let kept = market.book.get(handle).payload;
                let listed = [kept.older, kept.newer].into_iter();
                let listed = listed.filter(|handle| *handle != Handle::NONE);
                let rates = listed.map(|handle| market.book.get(handle).payload.taker_fee_rate);
                *lead = Lead::Owner(kept.owner);
                let owner = self.open.at(kept.owner);
                market.book.warm_neighbours(handle)
                    ^ u64::from(owner.count)
                    ^ rates.fold(0, |sum, rate| sum ^ rate)
            }
            _ => 0,
        }
    }

    fn warm_accounts(&self, owner: u32) -> u64 {
        let [base, quote] = self.open.at(owner).hints;
        self.ledger.warm_account(base) ^ self.ledger.warm_account(quote)
    }

    fn market(&self, market: MarketId) -> Option<&Market> {
        self.markets.get(usize::from(market.0))
    }
}
