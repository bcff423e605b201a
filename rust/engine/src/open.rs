//! Open orders by owner and market, newest first: lists through the orders themselves.
//!
//! The first and the last order of an owner, their number, and taking any order out are found at once.
//! A record also knows where the owner's accounts of the market's assets stand.

use alloc::vec::Vec;

use crate::book::{Handle, Index};
use crate::chunks::Chunks;
use crate::ids::{MarketId, UserId};
use crate::ledger::Hint;
use crate::resting::OrderBook;

/// Where an owner's accounts of the base and of the quote asset stood last.
pub(crate) type Hints = [Hint; 2];

/// Who owns orders of one market.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owner {
    pub(crate) user: UserId,
    pub(crate) market: MarketId,
    pub(crate) newest: Handle,
    pub(crate) oldest: Handle,
    /// 0 in a free place.
    pub(crate) count: u32,
    pub(crate) hints: Hints,
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct OpenOrders {
    owners: Chunks<Owner>,
    free: Vec<u32>,
    index: Index,
}

impl OpenOrders {
    pub(crate) const fn new() -> OpenOrders {
        OpenOrders { owners: Chunks::new(), free: Vec::new(), index: Index::new() }
    }

    /// The record of an owner who has open orders in `market`, and its place.
    #[inline]
    pub(crate) fn find(&self, user: UserId, market: MarketId) -> Option<(u32, &Owner)> {
        let place = self.index.find(id(user, market), |place| self.is(place, user, market))?;
        Some((place, self.owners.get(place)))
    }

    #[inline]
    fn is(&self, place: u32, user: UserId, market: MarketId) -> bool {
        let owner = self.owners.get(place);
        owner.user == user && owner.market == market && owner.count > 0
    }

    /// Asks memory for where an owner is looked up; for [`crate::warm`], as what follows.
    pub(crate) fn prefetch_index(&self, user: UserId, market: MarketId) {
        self.index.prefetch(id(user, market));
    }

    /// Asks for the record that is probably the owner's, and says its place.
    pub(crate) fn prefetch_guess(&self, user: UserId, market: MarketId) -> Option<u32> {
        let place = self.index.guess(id(user, market))?;
        self.prefetch(place);
        Some(place)
    }

    /// Asks for the record at a place.
    #[inline]
    pub(crate) fn prefetch(&self, place: u32) {
        self.owners.prefetch(place);
    }

    /// The record at a place.
    #[inline]
    pub(crate) fn at(&self, place: u32) -> &Owner {
        self.owners.get(place)
    }

    /// Keeps where accounts were found.
    #[inline]
    pub(crate) fn set_hints(&mut self, place: u32, hints: Hints) {
        self.owners.get_mut(place).hints = hints;
    }

    /// Every record in use, in the order of places.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &Owner)> {
        (0..).zip(self.owners.iter()).filter(|(_, owner)| owner.count > 0)
    }

    /// Adds an order that is newer than all others of its owner; the place of the owner's record.
    pub(crate) fn link(&mut self, book: &mut OrderBook, market: MarketId, handle: Handle) -> u32 {
        let found = self.find(book.get(handle).payload.user, market).map(|(place, _)| place);
        self.link_found(book, market, handle, found)
    }

    /// As [`OpenOrders::link`], with what [`OpenOrders::find`] said of the owner before orders were taken
    /// out.
    pub(crate) fn link_found(
        &mut self,
        book: &mut OrderBook,
        market: MarketId,
        handle: Handle,
        found: Option<u32>,
    ) -> u32 {
        let kept = book.payload_mut(handle);
        let place = match found {
            Some(place) if self.is(place, kept.user, market) => place,
            _ => self.add(kept.user, market),
        };
        let owner = self.owners.get_mut(place);
        let older = owner.newest;
        owner.newest = handle;
        owner.count += 1;
        kept.owner = place;
        kept.older = older;
        kept.newer = Handle::NONE;
        if older == Handle::NONE {
            owner.oldest = handle;
        } else {
            book.payload_mut(older).newer = handle;
        }
        place
    }

    /// Takes an order out that the book still holds.
    pub(crate) fn unlink(&mut self, book: &mut OrderBook, handle: Handle) {
        let (_, kept) = book.peek(handle).expect("a handle names a resting order");
        let (place, older, newer) = (kept.owner, kept.older, kept.newer);
        let owner = self.owners.get_mut(place);
        if newer == Handle::NONE {
            owner.newest = older;
        } else {
            book.payload_mut(newer).older = older;
        }
        if older == Handle::NONE {
            owner.oldest = newer;
        } else {
            book.payload_mut(older).newer = newer;
        }
        owner.count -= 1;
        if owner.count == 0 {
            self.index.remove(id(owner.user, owner.market), place);
            self.free.push(place);
        }
    }

    fn add(&mut self, user: UserId, market: MarketId) -> u32 {
        let (newest, oldest) = (Handle::NONE, Handle::NONE);
        let owner = Owner { user, market, newest, oldest, count: 0, hints: [Hint::NONE; 2] };
        let place = match self.free.pop() {
            Some(place) => {
                *self.owners.get_mut(place) = owner;
                place
            }
            None => self.owners.push(owner),
        };
        let owners = &self.owners;
        self.index.insert(id(user, market), place, |a, b| {
            let (a, b) = (owners.get(a), owners.get(b));
            (a.user, a.market) == (b.user, b.market)
        });
        place
    }
}

/// What a record is indexed by: markets of one user stand together.
#[inline]
const fn id(user: UserId, market: MarketId) -> u64 {
    (user.0 as u64) << 16 | market.0 as u64
}
