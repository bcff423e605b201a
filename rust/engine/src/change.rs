//! Commands of our own kinds: which markets trade, and what the exchange is made of.
//!
//! [`Exchange::plan`] decides, reading only, and says in words why something is not done; what it allows
//! is done as a whole. Precisions only grow: a value with more decimals is the same value, one with fewer
//! may not be. Assets and markets are added and never removed, so that an [`AssetId`] or [`MarketId`]
//! means the same as long as the engine runs.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::command::Stamp;
use crate::config::{AssetConfig, Config, MarketConfig};
use crate::decimal::{DIGITS_MAX, Decimal, power_of_ten};
use crate::digest::{halves, mix, mix_bytes};
use crate::exchange::Exchange;
use crate::ids::{AssetId, MarketId};
use crate::ledger::Hint;
use crate::market::Market;
use crate::order::{Order, Side};
use crate::rejection::Rejection;
use crate::resting::order_of;

/// What a command of our own kinds changes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// `market.halt`: new orders are refused; cancels, balance updates and queries go on.
    Halt(MarketId),
    /// `market.resume`
    Resume(MarketId),
    /// `asset.add`
    AddAsset(AssetConfig),
    /// `asset.set`: all settings, also those that stay.
    SetAsset(AssetId, AssetSettings),
    /// `market.add`
    AddMarket(MarketConfig),
    /// `market.set`: all settings, also those that stay.
    SetMarket(MarketId, MarketSettings),
}

/// What may change of an asset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AssetSettings {
    /// Decimals stored; may grow.
    pub save_scale: u8,
    /// Decimals accepted by updates and shown by queries; may grow.
    pub show_scale: u8,
}

/// What may change of a market.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MarketSettings {
    /// Decimals of amounts; may grow.
    pub base_scale: u8,
    /// Decimals of prices; may grow.
    pub quote_scale: u8,
    /// Decimals of fee rates; may grow.
    pub fee_scale: u8,
    /// Smallest order, in base; may change in both directions, and concerns orders that come after it.
    pub min_amount: Decimal,
}

/// Why a change is not made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChangeError {
    /// What a client is told by number and name.
    pub rejection: Rejection,
    /// What stands in the way, with its values.
    pub reason: String,
}

impl Change {
    /// Whether the name of something new can stand in addresses, topics and words of a command line.
    ///
    /// It is asked when a command comes, not when one is applied: configuration files of an original may
    /// hold any name, and so may journals that were written before there was this rule.
    ///
    /// # Errors
    /// When it has other characters than those.
    pub fn check_name(&self) -> Result<(), ChangeError> {
        let (what, name) = match self {
            Change::AddAsset(asset) => ("an asset", &asset.name),
            Change::AddMarket(market) => ("a market", &market.name),
            _ => return Ok(()),
        };
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        if name.bytes().all(is_plain) {
            return Ok(());
        }
        Err(impossible(format!("the name of {what} consists of letters, digits, `_`, `.` and `-`")))
    }
}

impl Exchange {
    /// The configuration after `change`; nothing is changed yet.
    ///
    /// # Errors
    /// When the change cannot be made, or would change nothing.
    pub fn plan(&self, change: &Change) -> Result<Config, ChangeError> {
        let mut next = self.config().clone();
        match change {
            Change::Halt(market) => self.plan_trading(*market, true)?,
            Change::Resume(market) => self.plan_trading(*market, false)?,
            Change::AddAsset(asset) => {
                if next.assets.iter().any(|other| other.name == asset.name) {
                    return Err(taken("asset", &asset.name));
                }
                next.assets.push(asset.clone());
            }
            Change::AddMarket(market) => {
                if next.markets.iter().any(|other| other.name == market.name) {
                    return Err(taken("market", &market.name));
                }
                let known = next.assets.len();
                if usize::from(market.base.0).max(usize::from(market.quote.0)) >= known {
                    return Err(unknown("asset"));
                }
                next.markets.push(market.clone());
            }
            Change::SetAsset(id, settings) => {
                let asset = next.assets.get_mut(usize::from(id.0)).ok_or(unknown("asset"))?;
                let AssetSettings { save_scale, show_scale } = *settings;
                if (asset.save_scale, asset.show_scale) == (save_scale, show_scale) {
                    return Err(unchanged(format!("asset {} has these settings", asset.name)));
                }
                grows("prec_save", asset.save_scale, save_scale)?;
                grows("prec_show", asset.show_scale, show_scale)?;
                (asset.save_scale, asset.show_scale) = (save_scale, show_scale);
            }
            Change::SetMarket(id, settings) => {
                let market = next.markets.get_mut(usize::from(id.0)).ok_or(unknown("market"))?;
                plan_market(market, settings)?;
                market.base_scale = settings.base_scale;
                market.quote_scale = settings.quote_scale;
                market.fee_scale = settings.fee_scale;
                market.min_amount = settings.min_amount;
            }
        }
        let next = next.validate().map_err(|error| {
            let (key, problem, remedy) = (error.key, error.problem, error.remedy);
            impossible(format!("{key} {problem}; right would be {remedy}"))
        })?;
        if let Change::SetMarket(id, settings) = change {
            self.plan_orders(*id, settings)?;
        }
        Ok(next)
    }

    fn plan_trading(&self, id: MarketId, is_halt: bool) -> Result<(), ChangeError> {
        let market = self.markets.get(usize::from(id.0)).ok_or(unknown("market"))?;
        if market.is_halted != is_halt {
            return Ok(());
        }
        let word = if is_halt { "halted already" } else { "not halted" };
        Err(unchanged(format!("market {} is {word}", market.config.name)))
    }

    /// The configuration bounds what the orders of a market may be worth, but not how large the two factors
    /// of that are.
    fn plan_orders(&self, id: MarketId, wanted: &MarketSettings) -> Result<(), ChangeError> {
        let Market { config, book, .. } = &self.markets[usize::from(id.0)];
        let factors = Factors::between(config, wanted);
        let too_large = [Side::Ask, Side::Bid]
            .into_iter()
            .flat_map(|side| book.orders(side))
            .find(|resting| factors.apply(&order_of(id, resting)).is_none());
        match too_large {
            None => Ok(()),
            Some(order) => Err(impossible(format!(
                "order {} is too large to be kept with so many decimals; cancel it first",
                order.id
            ))),
        }
    }

    /// Makes a change.
    pub(crate) fn change(&mut self, stamp: Stamp, change: &Change) -> Result<(), Rejection> {
        // Decide.
        let next = self.plan(change).map_err(|error| error.rejection)?;

        // Do.
        let mut moved = None;
        match change {
            Change::Halt(market) => self.markets[usize::from(market.0)].is_halted = true,
            Change::Resume(market) => self.markets[usize::from(market.0)].is_halted = false,
            Change::AddAsset(asset) => self.ledger.add_asset(asset.save_scale),
            Change::SetAsset(asset, settings) => self.ledger.rescale(*asset, settings.save_scale),
            Change::AddMarket(_) => {
                let id = MarketId(self.markets.len() as u16);
                self.markets.push(Market::new(id, &next));
            }
            Change::SetMarket(id, settings) => {
                let now = &self.markets[usize::from(id.0)].config;
                let factors = Factors::between(now, settings);
                if factors != Factors::NONE {
                    moved = Some((*id, self.take_orders(*id), factors));
                }
            }
        }
        for market in &mut self.markets {
            market.configure(&next);
        }
        self.set_config(next);
        if let Some((market, orders, factors)) = moved {
            self.put_orders(market, &orders, factors);
        }
        self.changed_at = stamp.sequence;
        self.changes_digest = self.changes_number();
        Ok(())
    }

    /// Takes all orders off a book; their funds stay frozen.
    fn take_orders(&mut self, id: MarketId) -> Vec<Order> {
        let market = &mut self.markets[usize::from(id.0)];
        let sides = [Side::Ask, Side::Bid].into_iter();
        let mut orders: Vec<Order> = sides
            .flat_map(|side| market.book.orders(side))
            .map(|resting| order_of(id, &resting))
            .collect();
        orders.sort_unstable_by_key(|order| order.id);
        for order in &orders {
            let handle = market.book.find(order.id.0).expect("it was just seen");
            self.open.unlink(&mut market.book, handle);
            market.book.remove(handle);
            self.orders_digest = self.orders_digest.wrapping_sub(crate::resting::number(order));
        }
        orders
    }

    /// Puts them back with more decimals. Within a price an order's id is its place, so that those of
    /// lower ids come first.
    fn put_orders(&mut self, id: MarketId, orders: &[Order], factors: Factors) {
        for order in orders {
            let order = factors.apply(order).expect("it was looked at before");
            let handle = self.insert(&order);
            let market = &mut self.markets[usize::from(id.0)];
            let place = self.open.link(&mut market.book, id, handle);
            let hint = |asset| self.ledger.find(order.user, asset).unwrap_or(Hint::NONE);
            let hints = [hint(market.config.base), hint(market.config.quote)];
            self.open.set_hints(place, hints);
        }
    }

    /// Whether new orders are refused in `market`.
    pub fn is_halted(&self, market: MarketId) -> bool {
        self.markets[usize::from(market.0)].is_halted
    }

    /// Sequence of the last command of our own kinds; 0 without one.
    pub fn changed_at(&self) -> u64 {
        self.changed_at
    }

    /// The number in the digest of what commands of our own kinds changed; 0 without one, so that states
    /// that never saw one have the digests that they always had.
    pub(crate) fn changes_number(&self) -> u64 {
        if self.changed_at == 0 {
            return 0;
        }
        let halted = self.markets.iter().filter(|market| market.is_halted);
        let halted = halted.map(|market| mix(0xc2, &[u64::from(market.id.0)]));
        let assets = self.config().assets.iter().map(|asset| {
            let name = mix_bytes(0xc3, asset.name.as_bytes());
            mix(name, &[u64::from(asset.save_scale), u64::from(asset.show_scale)])
        });
        let markets = self.config().markets.iter().map(|market| {
            let [least, least_high] = halves(market.min_amount.coefficient);
            let scales = [market.base_scale, market.quote_scale, market.fee_scale]
                .map(u64::from)
                .into_iter()
                .fold(u64::from(market.min_amount.scale), |word, scale| word << 8 | scale);
            let legs = u64::from(market.base.0) << 16 | u64::from(market.quote.0);
            mix(mix_bytes(0xc4, market.name.as_bytes()), &[legs, scales, least, least_high])
        });
        let numbers = halted.chain(assets).chain(markets);
        numbers.fold(mix(0xc1, &[self.changed_at]), u64::wrapping_add)
    }
}

/// Bound of what an order that gets more decimals has been filled for: room for as much again.
const FILLED_MAX: i128 = i128::MAX / 2;

/// What the numbers of orders are multiplied with when a market gets more decimals.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Factors {
    amount: i128,
    price: i128,
    rate: u64,
}

impl Factors {
    const NONE: Factors = Factors { amount: 1, price: 1, rate: 1 };

    /// Of settings whose decimals are not fewer.
    fn between(now: &MarketConfig, wanted: &MarketSettings) -> Factors {
        let factor = |now: u8, wanted: u8| power_of_ten(u32::from(wanted - now));
        Factors {
            amount: factor(now.base_scale, wanted.base_scale),
            price: factor(now.quote_scale, wanted.quote_scale),
            // Rates are below one: with all their decimals they fit 64 bits.
            rate: factor(now.fee_scale, wanted.fee_scale) as u64,
        }
    }

    /// The same order with more decimals; `None` when that is beyond what an order may hold.
    fn apply(self, order: &Order) -> Option<Order> {
        let bounded = |value: i128| Some(value).filter(|value| *value < power_of_ten(DIGITS_MAX));
        let amount = |value: i128| bounded(value.checked_mul(self.amount)?);
        Some(Order {
            price: bounded(order.price.checked_mul(self.price)?)?,
            amount: amount(order.amount)?,
            remaining: amount(order.remaining)?,
            filled_base: amount(order.filled_base)?,
            // More than the order is worth when it was an ask and met better bids; it is only added to.
            filled_quote: order
                .filled_quote
                .checked_mul(self.amount)?
                .checked_mul(self.price)
                .filter(|value| *value < FILLED_MAX)?,
            taker_fee_rate: order.taker_fee_rate * self.rate,
            maker_fee_rate: order.maker_fee_rate * self.rate,
            ..*order
        })
    }
}

fn plan_market(now: &MarketConfig, wanted: &MarketSettings) -> Result<(), ChangeError> {
    let scales = [
        ("stock.prec", now.base_scale, wanted.base_scale),
        ("money.prec", now.quote_scale, wanted.quote_scale),
        ("fee_prec", now.fee_scale, wanted.fee_scale),
    ];
    let is_same = scales.iter().all(|(_, now, wanted)| now == wanted);
    if is_same && now.min_amount == wanted.min_amount {
        return Err(unchanged(format!("market {} has these settings", now.name)));
    }
    scales.into_iter().try_for_each(|(name, now, wanted)| grows(name, now, wanted))
}

fn grows(name: &str, now: u8, wanted: u8) -> Result<(), ChangeError> {
    if wanted >= now {
        return Ok(());
    }
    Err(impossible(format!(
        "{name} is {now} and would become {wanted}, which may cut what is kept; a precision is only raised"
    )))
}

fn taken(what: &str, name: &str) -> ChangeError {
    ChangeError {
        rejection: Rejection::NameTaken,
        reason: format!("there is {what} {name} already; change its settings instead"),
    }
}

fn unknown(what: &str) -> ChangeError {
    ChangeError { rejection: Rejection::InvalidArgument, reason: format!("no such {what}") }
}

fn unchanged(reason: String) -> ChangeError {
    ChangeError { rejection: Rejection::Unchanged, reason }
}

fn impossible(reason: String) -> ChangeError {
    ChangeError { rejection: Rejection::NotPossible, reason }
}
