//! Reading ahead: what the next commands will need is asked of memory for many of them at once.
//!
//! With a million orders most of what a command meets is in no cache, and each thing is found through the
//! one before: index, owner, accounts, order, neighbours. Applied one by one, commands wait for memory
//! a dozen times each. Here the first things of a whole group are asked for, then the second ones, and so on:
//! they are on their way together, and while the last command's are asked for those of the first arrive.
//!
//! Nothing changes and nothing is decided: what was found may be outdated when its command is applied, or
//! never have been what it was taken for, which then costs time and nothing else.

use crate::book::Handle;
use crate::command::{Command, PlaceLimit};
use crate::exchange::Exchange;
use crate::ids::{MarketId, UserId};
use crate::ledger::Hint;
use crate::market::Market;
use crate::order::Side;
use crate::resting::Kept;
use crate::updates::UpdateKey;

/// Commands that are read ahead together: enough to hide the time of a read behind the others, few enough
/// that what was read is still in the nearest cache when it is used.
pub const GROUP: usize = 24;

/// Orders at the best end of a side that are asked for when a command of the group may take from it. Those
/// that are left after the group are near already when the next one comes: only those are awaited that
/// moved up since.
const MAKERS: usize = 4;

/// What is known so far of one command.
#[derive(Clone, Copy)]
enum Lead {
    Nothing,
    /// Place of the record of an owner.
    Owner(u32),
    /// The order to be cancelled.
    Order(Handle),
    /// Everything was asked for.
    Done,
}

/// The orders at the best end of sides that commands may take from.
struct Makers<'exchange> {
    sides: [Option<(&'exchange Market, Side)>; GROUP],
    handles: [[Handle; MAKERS]; GROUP],
}

impl<'exchange> Makers<'exchange> {
    const NONE: Makers<'static> =
        Makers { sides: [None; GROUP], handles: [[Handle::NONE; MAKERS]; GROUP] };

    /// Asks for the best orders of a side, when that was not done yet.
    fn add(&mut self, market: &'exchange Market, side: Side) {
        for (known, handles) in self.sides.iter_mut().zip(&mut self.handles) {
            match known {
                Some((other, other_side)) if other.id == market.id && *other_side == side => return,
                Some(_) => {}
                None => {
                    *known = Some((market, side));
                    for (place, handle) in handles.iter_mut().zip(market.book.handles(side)) {
                        *place = handle;
                        market.book.prefetch_order(handle);
                    }
                    return;
                }
            }
        }
    }

    /// Every order, as its market keeps it.
    fn each(&self, mut visit: impl FnMut(&Market, Handle, u64, &Kept)) {
        for (known, handles) in self.sides.iter().zip(&self.handles) {
            let Some((market, _)) = known else { break };
            for handle in handles.iter().take_while(|handle| **handle != Handle::NONE) {
                if let Some((id, kept)) = market.book.peek(*handle) {
                    visit(market, *handle, id, kept);
                }
            }
        }
    }
}

/// Whether the command makes an order.
const fn is_placing(command: &Command) -> bool {
    matches!(command, Command::PlaceLimit(_) | Command::PlaceMarket(_) | Command::PlaceOnce(_))
}

impl Exchange {
    /// Asks memory for what the first [`GROUP`] of these commands will need. To be called before they are
    /// applied; leaving it out changes nothing but the time.
    pub fn warm<'command>(&self, commands: impl Iterator<Item = &'command Command> + Clone) {
        let commands = commands.take(GROUP);
        let mut leads = [Lead::Nothing; GROUP];
        let mut order = self.counters.last_order;
        for command in commands.clone() {
            order += u64::from(is_placing(command));
            self.warm_indexes(command, order);
        }
        let mut makers = Makers::NONE;
        for command in commands.clone() {
            self.warm_makers(command, &mut makers);
        }
        for (command, lead) in commands.clone().zip(&mut leads) {
            self.warm_named(command, lead);
        }
        makers.each(|market, handle, id, kept| {
            market.book.prefetch_id(id);
            self.warm_taken_out(market, handle, kept);
        });
        for (command, lead) in commands.clone().zip(&mut leads) {
            self.warm_linked(command, lead);
        }
        makers.each(|market, _, _, kept| _ = self.warm_accounts(kept.owner, market));
        for (command, lead) in commands.zip(&leads) {
            self.warm_last(command, *lead);
        }
    }

    /// What a command's own words lead to: lines of the indexes, and the level of a price. `order` is the id
    /// that an order will get when none before it is refused.
    fn warm_indexes(&self, command: &Command, order: u64) {
        match command {
            Command::PlaceLimit(place) => {
                self.open.prefetch_index(place.user, place.market);
                if let Some(market) = self.market(place.market) {
                    market.book.prefetch_level(place.price);
                    market.book.prefetch_arrival(order);
                }
            }
            Command::PlaceMarket(place) => self.open.prefetch_index(place.user, place.market),
            Command::CancelOrder(cancel) => {
                if let Some(market) = self.market(cancel.market) {
                    market.book.prefetch_id(cancel.order.0);
                }
            }
            Command::UpdateBalance(update) => {
                self.ledger.prefetch_index(update.user, update.asset);
                if let Some(asset) = self.config().assets.get(usize::from(update.asset.0)) {
                    let (reason, reason_id) = (&update.reason, update.reason_id);
                    let key = UpdateKey::new(update.user, &asset.name, reason, reason_id);
                    self.updates.prefetch(key);
                }
            }
            Command::PlaceOnce(place) => {
                let (user, market) = place.owner();
                self.open.prefetch_index(user, market);
            }
            Command::Change(_) => {}
        }
    }

    /// The orders that a command may meet.
    fn warm_makers<'exchange>(&'exchange self, command: &Command, makers: &mut Makers<'exchange>) {
        let (market, side, price) = match command {
            Command::PlaceLimit(place) => (place.market, place.side, Some(place.price)),
            Command::PlaceMarket(place) => (place.market, place.side, None),
            _ => return,
        };
        let Some(market) = self.market(market) else { return };
        let other = side.opposite();
        let Some(best) = market.book.best_price(other) else { return };
        let is_met = price.is_none_or(|price| match side {
            Side::Ask => price <= best,
            Side::Bid => price >= best,
        });
        if is_met {
            makers.add(market, other);
        }
    }

    /// What the indexes lead to: owners, orders, accounts, the order that another one will stand behind.
    fn warm_named(&self, command: &Command, lead: &mut Lead) {
        match command {
            Command::PlaceLimit(PlaceLimit { user, market, price, .. }) => {
                self.warm_owner(*user, *market, lead);
                if let Some(market) = self.market(*market) {
                    market.book.prefetch_tail(*price);
                }
            }
            Command::PlaceMarket(place) => self.warm_owner(place.user, place.market, lead),
            Command::CancelOrder(cancel) => {
                if let Some(market) = self.market(cancel.market)
                    && let Some(handle) = market.book.guess(cancel.order.0)
                {
                    *lead = Lead::Order(handle);
                    market.book.prefetch_order(handle);
                }
            }
            Command::UpdateBalance(update) => {
                self.ledger.prefetch_guess(update.user, update.asset);
            }
            Command::PlaceOnce(place) => {
                let (user, market) = place.owner();
                self.warm_owner(user, market, lead);
            }
            Command::Change(_) => {}
        }
    }

    fn warm_owner(&self, user: UserId, market: MarketId, lead: &mut Lead) {
        if let Some(place) = self.open.prefetch_guess(user, market) {
            *lead = Lead::Owner(place);
        } else if let Some(market) = self.market(market) {
            self.ledger.prefetch_index(user, market.config.base);
            self.ledger.prefetch_index(user, market.config.quote);
        }
    }

    /// What owners and orders lead to: accounts, the orders before and behind.
    fn warm_linked(&self, command: &Command, lead: &mut Lead) {
        match (command, *lead) {
            (Command::PlaceLimit(place), Lead::Owner(owner)) => {
                if let Some(market) = self.market(place.market) {
                    if self.warm_accounts(owner, market) {
                        *lead = Lead::Done;
                    }
                    market.book.prefetch_part(self.open.at(owner).newest, |kept| &kept.newer);
                }
            }
            (Command::PlaceMarket(_) | Command::PlaceOnce(_), Lead::Owner(owner)) => {
                if let Some(market) = self.market(self.open.at(owner).market)
                    && self.warm_accounts(owner, market)
                {
                    *lead = Lead::Done;
                }
            }
            (Command::CancelOrder(cancel), Lead::Order(handle)) => {
                if let Some(market) = self.market(cancel.market)
                    && let Some((_, kept)) = market.book.peek(handle)
                {
                    self.warm_taken_out(market, handle, kept);
                    *lead = Lead::Owner(kept.owner);
                }
            }
            _ => {}
        }
    }

    /// Accounts: of cancelled orders, and those that the owners' records do not lead to.
    fn warm_last(&self, command: &Command, lead: Lead) {
        let (user, market) = match (command, lead) {
            (_, Lead::Done) => return,
            (Command::PlaceLimit(place), _) => (place.user, place.market),
            (Command::PlaceMarket(place), _) => (place.user, place.market),
            (Command::PlaceOnce(place), _) => place.owner(),
            (Command::CancelOrder(cancel), Lead::Owner(_)) => (cancel.user, cancel.market),
            _ => return,
        };
        let Some(market) = self.market(market) else { return };
        let hints = match lead {
            Lead::Owner(owner) => self.open.at(owner).hints,
            _ => [Hint::NONE; 2],
        };
        for (hint, asset) in hints.into_iter().zip([market.config.base, market.config.quote]) {
            if hint == Hint::NONE {
                self.ledger.prefetch_guess(user, asset);
            } else if matches!(command, Command::CancelOrder(_)) {
                self.ledger.prefetch(hint);
            }
        }
    }

    /// What taking an order out needs: its owner, its level, and the orders beside it in both lists.
    fn warm_taken_out(&self, market: &Market, handle: Handle, kept: &Kept) {
        self.open.prefetch(kept.owner);
        market.book.prefetch_neighbours(handle);
        market.book.prefetch_part(kept.older, |kept| &kept.newer);
        market.book.prefetch_part(kept.newer, |kept| &kept.older);
    }

    /// The accounts of an owner, or where they are looked up when the record does not know; whether it knew both.
    fn warm_accounts(&self, owner: u32, market: &Market) -> bool {
        let owner = self.open.at(owner);
        let assets = [market.config.base, market.config.quote];
        for (hint, asset) in owner.hints.into_iter().zip(assets) {
            if hint == Hint::NONE {
                self.ledger.prefetch_index(owner.user, asset);
            } else {
                self.ledger.prefetch(hint);
            }
        }
        owner.hints.iter().all(|hint| *hint != Hint::NONE)
    }

    fn market(&self, market: MarketId) -> Option<&Market> {
        self.markets.get(usize::from(market.0))
    }
}
