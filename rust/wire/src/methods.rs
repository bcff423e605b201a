//! The method table: every method of the protocol, declared once. Parsing, routing, documents and
//! tests are views of it.

use viabtc_engine::Rejection;

/// The service that answers a method.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Owner {
    /// Balances, orders, books.
    Matchengine,
    /// K-lines, last prices, recent deals.
    Marketprice,
    /// Finished orders, deals and balance changes.
    Readhistory,
}

impl Owner {
    /// The service's name.
    pub const fn name(self) -> &'static str {
        match self {
            Owner::Matchengine => "matchengine",
            Owner::Marketprice => "marketprice",
            Owner::Readhistory => "readhistory",
        }
    }
}

/// Whether a method changes state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Journaled.
    Write,
    /// Reads only.
    Read,
}

/// What a positional parameter holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Integer, 0 to 2^32-1.
    UserId,
    /// Integer, 0 or more.
    OrderId,
    /// String, a configured asset.
    AssetName,
    /// String, a configured market.
    MarketName,
    /// Integer, 1 ask or 2 bid.
    Side,
    /// String, a decimal number.
    Number,
    /// String, a decimal number in [0, 1).
    FeeRate,
    /// String, at most 30 bytes, no character beyond U+FFFF.
    Source,
    /// String, at most 30 characters, none beyond U+FFFF.
    Reason,
    /// Integer, 0 or more.
    ReasonId,
    /// JSON object.
    Detail,
    /// Integer, 0 or more.
    Offset,
    /// Integer, 0 to 101.
    Limit,
    /// Integer, seconds since 1970-01-01 UTC; 0 for no bound where a bound is optional.
    Seconds,
    /// Integer, a length of time in seconds.
    Period,
    /// Integer, a deal's identity; 0 for the newest.
    DealId,
    /// String, empty for any.
    Filter,
    /// Integer, 0 any, 1 ask, 2 bid.
    SideFilter,
    /// String, the name of an asset or market that is not there yet.
    NewName,
    /// JSON object of an asset's settings: `prec_save`, `prec_show`.
    AssetSettings,
    /// JSON object of a market's settings: `stock_prec`, `money_prec`, `fee_prec`, `min_amount`.
    MarketSettings,
    /// JSON object of a new market: its settings, and `stock` and `money`.
    NewMarket,
    /// String, 1 to 64 characters, none beyond U+FFFF: who asks.
    Actor,
    /// String, at most 200 characters, none beyond U+FFFF: why.
    Note,
    /// As a source, and not empty: what an order that takes effect once is known by.
    OrderName,
}

impl Kind {
    /// Stable snake_case name.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::UserId => "user_id",
            Kind::OrderId => "order_id",
            Kind::AssetName => "asset_name",
            Kind::MarketName => "market_name",
            Kind::Side => "side",
            Kind::Number => "number",
            Kind::FeeRate => "fee_rate",
            Kind::Source => "source",
            Kind::Reason => "reason",
            Kind::ReasonId => "reason_id",
            Kind::Detail => "detail",
            Kind::Offset => "offset",
            Kind::Limit => "limit",
            Kind::Seconds => "seconds",
            Kind::Period => "period",
            Kind::DealId => "deal_id",
            Kind::Filter => "filter",
            Kind::SideFilter => "side_filter",
            Kind::NewName => "new_name",
            Kind::AssetSettings => "asset_settings",
            Kind::MarketSettings => "market_settings",
            Kind::NewMarket => "new_market",
            Kind::Actor => "actor",
            Kind::Note => "note",
            Kind::OrderName => "order_name",
        }
    }
}

/// How many positional parameters a method takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arity {
    /// As many as are declared.
    Exact,
    /// The declared ones; the last may be left out.
    OptionalLast,
    /// The declared ones; the last may be left out or repeated.
    RepeatedLast,
    /// Anything; parameters are ignored.
    Any,
}

impl Arity {
    /// Stable snake_case name.
    pub const fn name(self) -> &'static str {
        match self {
            Arity::Exact => "exact",
            Arity::OptionalLast => "optional_last",
            Arity::RepeatedLast => "repeated_last",
            Arity::Any => "any",
        }
    }
}

/// What a method answers with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    /// `{"status": "success"}`
    Success,
    /// An order object.
    Order,
    /// An order object or null.
    OrderOrNull,
    /// An object by asset name.
    Balances,
    /// An array of objects.
    List,
    /// An object with `records`, at most `limit`.
    Records,
    /// `{"asks": [[price, amount], ...], "bids": [...]}`, best first.
    Depth,
    /// An object of figures.
    Figures,
    /// An array of `[time, open, close, high, low, volume, deal, market]`.
    Candles,
    /// A decimal number as a string.
    Number,
}

impl Shape {
    /// Stable snake_case name.
    pub const fn name(self) -> &'static str {
        match self {
            Shape::Success => "success",
            Shape::Order => "order",
            Shape::OrderOrNull => "order_or_null",
            Shape::Balances => "balances",
            Shape::List => "list",
            Shape::Records => "records",
            Shape::Depth => "depth",
            Shape::Figures => "figures",
            Shape::Candles => "candles",
            Shape::Number => "number",
        }
    }
}

/// One method.
#[derive(Clone, Copy, Debug)]
pub struct Method {
    /// Name in JSON-RPC.
    pub name: &'static str,
    /// Number in binary RPC.
    pub command: u32,
    /// Who answers it.
    pub owner: Owner,
    /// Whether it changes state.
    pub effect: Effect,
    /// Positional parameters: name and kind.
    pub params: &'static [(&'static str, Kind)],
    /// How many of them.
    pub arity: Arity,
    /// Result.
    pub result: Shape,
    /// Codes of its own rejections; codes 1 to 6 are common to every method.
    pub errors: &'static [(i32, Rejection)],
    /// One sentence.
    pub summary: &'static str,
}

impl Method {
    /// The wire code of `rejection` for this method.
    ///
    /// # Panics
    /// When the method cannot be rejected so.
    pub fn code(&self, rejection: Rejection) -> i32 {
        if rejection == Rejection::InvalidArgument {
            return ErrorCode::InvalidArgument as i32;
        }
        let row = self.errors.iter().find(|(_, other)| *other == rejection);
        row.expect("every rejection of a method stands in its row").0
    }
}

/// Codes that every method shares.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i32)]
pub enum ErrorCode {
    /// Parameters that cannot be used.
    InvalidArgument = 1,
    /// The service failed.
    InternalError = 2,
    /// Overloaded, stopping, or not connected.
    ServiceUnavailable = 3,
    /// No such method.
    MethodNotFound = 4,
    /// No answer in time; a write may have happened.
    ServiceTimeout = 5,
    /// The connection has not said who it is.
    RequireAuthentication = 6,
}

impl ErrorCode {
    /// Every code, ascending.
    pub const ALL: [ErrorCode; 6] = [
        ErrorCode::InvalidArgument,
        ErrorCode::InternalError,
        ErrorCode::ServiceUnavailable,
        ErrorCode::MethodNotFound,
        ErrorCode::ServiceTimeout,
        ErrorCode::RequireAuthentication,
    ];

    /// The message beside the code.
    pub const fn message(self) -> &'static str {
        match self {
            ErrorCode::InvalidArgument => "invalid argument",
            ErrorCode::InternalError => "internal error",
            ErrorCode::ServiceUnavailable => "service unavailable",
            ErrorCode::MethodNotFound => "method not found",
            ErrorCode::ServiceTimeout => "service timeout",
            ErrorCode::RequireAuthentication => "require authentication",
        }
    }
}

/// The method called `name`; names are case sensitive.
pub fn by_name(name: &str) -> Option<&'static Method> {
    METHODS.iter().find(|method| method.name == name)
}

/// The method of a binary RPC number.
pub fn by_command(command: u32) -> Option<&'static Method> {
    METHODS.iter().find(|method| method.command == command)
}

use Effect::{Read, Write};
use Owner::{Marketprice, Matchengine, Readhistory};

/// Every method, by number.
pub const METHODS: &[Method] = &[
    Method {
        name: "balance.query",
        command: 101,
        owner: Matchengine,
        effect: Read,
        params: &[("user_id", Kind::UserId), ("asset", Kind::AssetName)],
        arity: Arity::RepeatedLast,
        result: Shape::Balances,
        errors: &[],
        summary: "Available and frozen balances of a user, of all assets unless some are named.",
    },
    Method {
        name: "balance.update",
        command: 102,
        owner: Matchengine,
        effect: Write,
        params: &[
            ("user_id", Kind::UserId),
            ("asset", Kind::AssetName),
            ("business", Kind::Reason),
            ("business_id", Kind::ReasonId),
            ("change", Kind::Number),
            ("detail", Kind::Detail),
        ],
        arity: Arity::Exact,
        result: Shape::Success,
        errors: &[(10, Rejection::RepeatUpdate), (11, Rejection::BalanceNotEnough)],
        summary: "Adds to or takes from an available balance, once per user, asset, business and business_id.",
    },
    Method {
        name: "balance.history",
        command: 103,
        owner: Readhistory,
        effect: Read,
        params: &[
            ("user_id", Kind::UserId),
            ("asset", Kind::Filter),
            ("business", Kind::Filter),
            ("start_time", Kind::Seconds),
            ("end_time", Kind::Seconds),
            ("offset", Kind::Offset),
            ("limit", Kind::Limit),
        ],
        arity: Arity::Exact,
        result: Shape::Records,
        errors: &[],
        summary: "Balance changes of a user, newest first.",
    },
    Method {
        name: "asset.list",
        command: 104,
        owner: Matchengine,
        effect: Read,
        params: &[],
        arity: Arity::Any,
        result: Shape::List,
        errors: &[],
        summary: "All assets and the decimals that they show.",
    },
    Method {
        name: "asset.summary",
        command: 105,
        owner: Matchengine,
        effect: Read,
        params: &[("asset", Kind::AssetName)],
        arity: Arity::RepeatedLast,
        result: Shape::List,
        errors: &[],
        summary: "Total, available and frozen sums of assets over all users.",
    },
    Method {
        name: "order.put_limit",
        command: 201,
        owner: Matchengine,
        effect: Write,
        params: &[
            ("user_id", Kind::UserId),
            ("market", Kind::MarketName),
            ("side", Kind::Side),
            ("amount", Kind::Number),
            ("price", Kind::Number),
            ("taker_fee_rate", Kind::FeeRate),
            ("maker_fee_rate", Kind::FeeRate),
            ("source", Kind::Source),
        ],
        arity: Arity::Exact,
        result: Shape::Order,
        errors: &[
            (10, Rejection::BalanceNotEnough),
            (11, Rejection::AmountTooSmall),
            (12, Rejection::MarketHalted),
        ],
        summary: "Places a limit order: takes what crosses, rests with the remainder.",
    },
    Method {
        name: "order.put_market",
        command: 202,
        owner: Matchengine,
        effect: Write,
        params: &[
            ("user_id", Kind::UserId),
            ("market", Kind::MarketName),
            ("side", Kind::Side),
            ("amount", Kind::Number),
            ("taker_fee_rate", Kind::FeeRate),
            ("source", Kind::Source),
        ],
        arity: Arity::Exact,
        result: Shape::Order,
        errors: &[
            (10, Rejection::BalanceNotEnough),
            (11, Rejection::AmountTooSmall),
            (12, Rejection::NoEnoughTrader),
            (13, Rejection::MarketHalted),
        ],
        summary: "Places a market order: sells stock or spends money at once, never rests.",
    },
    Method {
        name: "order.pending",
        command: 203,
        owner: Matchengine,
        effect: Read,
        params: &[
            ("user_id", Kind::UserId),
            ("market", Kind::MarketName),
            ("offset", Kind::Offset),
            ("limit", Kind::Limit),
        ],
        arity: Arity::Exact,
        result: Shape::Records,
        errors: &[],
        summary: "Open orders of a user in a market, newest first.",
    },
    Method {
        name: "order.cancel",
        command: 204,
        owner: Matchengine,
        effect: Write,
        params: &[
            ("user_id", Kind::UserId),
            ("market", Kind::MarketName),
            ("order_id", Kind::OrderId),
        ],
        arity: Arity::Exact,
        result: Shape::Order,
        errors: &[(10, Rejection::OrderNotFound), (11, Rejection::UserNotMatch)],
        summary: "Cancels an open order and returns it as it stood.",
    },
    Method {
        name: "order.book",
        command: 205,
        owner: Matchengine,
        effect: Read,
        params: &[
            ("market", Kind::MarketName),
            ("side", Kind::Side),
            ("offset", Kind::Offset),
            ("limit", Kind::Limit),
        ],
        arity: Arity::Exact,
        result: Shape::Records,
        errors: &[],
        summary: "Open orders of one side of a market, best price first.",
    },
    Method {
        name: "order.depth",
        command: 206,
        owner: Matchengine,
        effect: Read,
        params: &[("market", Kind::MarketName), ("limit", Kind::Limit), ("interval", Kind::Number)],
        arity: Arity::Exact,
        result: Shape::Depth,
        errors: &[],
        summary: "Price levels of both sides, merged to multiples of the interval unless it is 0.",
    },
    Method {
        name: "order.pending_detail",
        command: 207,
        owner: Matchengine,
        effect: Read,
        params: &[("market", Kind::MarketName), ("order_id", Kind::OrderId)],
        arity: Arity::Exact,
        result: Shape::OrderOrNull,
        errors: &[],
        summary: "One open order, or null.",
    },
    Method {
        name: "order.finished",
        command: 208,
        owner: Readhistory,
        effect: Read,
        params: &[
            ("user_id", Kind::UserId),
            ("market", Kind::Filter),
            ("start_time", Kind::Seconds),
            ("end_time", Kind::Seconds),
            ("offset", Kind::Offset),
            ("limit", Kind::Limit),
            ("side", Kind::SideFilter),
        ],
        arity: Arity::OptionalLast,
        result: Shape::Records,
        errors: &[],
        summary: "Finished orders of a user in a market, newest first.",
    },
    Method {
        name: "order.deals",
        command: 209,
        owner: Readhistory,
        effect: Read,
        params: &[("order_id", Kind::OrderId), ("offset", Kind::Offset), ("limit", Kind::Limit)],
        arity: Arity::Exact,
        result: Shape::Records,
        errors: &[],
        summary: "Deals of one order, newest first.",
    },
    Method {
        name: "order.finished_detail",
        command: 210,
        owner: Readhistory,
        effect: Read,
        params: &[("order_id", Kind::OrderId)],
        arity: Arity::Exact,
        result: Shape::OrderOrNull,
        errors: &[],
        summary: "One finished order, or null.",
    },
    Method {
        name: "market.status",
        command: 301,
        owner: Marketprice,
        effect: Read,
        params: &[("market", Kind::MarketName), ("period", Kind::Period)],
        arity: Arity::Exact,
        result: Shape::Figures,
        errors: &[],
        summary: "Prices and volume of the last seconds.",
    },
    Method {
        name: "market.kline",
        command: 302,
        owner: Marketprice,
        effect: Read,
        params: &[
            ("market", Kind::MarketName),
            ("start", Kind::Seconds),
            ("end", Kind::Seconds),
            ("interval", Kind::Period),
        ],
        arity: Arity::Exact,
        result: Shape::Candles,
        errors: &[],
        summary: "Candles of an interval between two times.",
    },
    Method {
        name: "market.deals",
        command: 303,
        owner: Marketprice,
        effect: Read,
        params: &[("market", Kind::MarketName), ("limit", Kind::Limit), ("last_id", Kind::DealId)],
        arity: Arity::Exact,
        result: Shape::List,
        errors: &[],
        summary: "Recent deals of a market, newest first.",
    },
    Method {
        name: "market.last",
        command: 304,
        owner: Marketprice,
        effect: Read,
        params: &[("market", Kind::MarketName)],
        arity: Arity::Exact,
        result: Shape::Number,
        errors: &[],
        summary: "Price of the last deal.",
    },
    Method {
        name: "market.status_today",
        command: 305,
        owner: Marketprice,
        effect: Read,
        params: &[("market", Kind::MarketName)],
        arity: Arity::Exact,
        result: Shape::Figures,
        errors: &[],
        summary: "Prices and volume since local midnight.",
    },
    Method {
        name: "market.user_deals",
        command: 306,
        owner: Readhistory,
        effect: Read,
        params: &[
            ("user_id", Kind::UserId),
            ("market", Kind::Filter),
            ("offset", Kind::Offset),
            ("limit", Kind::Limit),
        ],
        arity: Arity::Exact,
        result: Shape::Records,
        errors: &[],
        summary: "Deals of a user in a market, newest first.",
    },
    Method {
        name: "market.list",
        command: 307,
        owner: Matchengine,
        effect: Read,
        params: &[],
        arity: Arity::Any,
        result: Shape::List,
        errors: &[],
        summary: "All markets with their decimals and smallest order.",
    },
    Method {
        name: "market.summary",
        command: 308,
        owner: Matchengine,
        effect: Read,
        params: &[("market", Kind::MarketName)],
        arity: Arity::RepeatedLast,
        result: Shape::List,
        errors: &[],
        summary: "Number and amount of resting orders of markets.",
    },
    Method {
        name: "market.halt",
        command: 901,
        owner: Matchengine,
        effect: Write,
        params: &[("market", Kind::MarketName), ("actor", Kind::Actor), ("note", Kind::Note)],
        arity: Arity::OptionalLast,
        result: Shape::Success,
        errors: &[(10, Rejection::Unchanged)],
        summary: "Refuses new orders in a market; cancels and queries go on.",
    },
    Method {
        name: "market.resume",
        command: 902,
        owner: Matchengine,
        effect: Write,
        params: &[("market", Kind::MarketName), ("actor", Kind::Actor), ("note", Kind::Note)],
        arity: Arity::OptionalLast,
        result: Shape::Success,
        errors: &[(10, Rejection::Unchanged)],
        summary: "Takes new orders in a halted market again.",
    },
    Method {
        name: "market.add",
        command: 903,
        owner: Matchengine,
        effect: Write,
        params: &[
            ("market", Kind::NewName),
            ("settings", Kind::NewMarket),
            ("actor", Kind::Actor),
            ("note", Kind::Note),
        ],
        arity: Arity::OptionalLast,
        result: Shape::Success,
        errors: &[(10, Rejection::NameTaken), (11, Rejection::NotPossible)],
        summary: "Opens a market of two assets that exist.",
    },
    Method {
        name: "market.set",
        command: 904,
        owner: Matchengine,
        effect: Write,
        params: &[
            ("market", Kind::MarketName),
            ("settings", Kind::MarketSettings),
            ("actor", Kind::Actor),
            ("note", Kind::Note),
        ],
        arity: Arity::OptionalLast,
        result: Shape::Success,
        errors: &[(10, Rejection::Unchanged), (11, Rejection::NotPossible)],
        summary: "Changes the smallest order of a market, or raises its decimals.",
    },
    Method {
        name: "asset.add",
        command: 905,
        owner: Matchengine,
        effect: Write,
        params: &[
            ("asset", Kind::NewName),
            ("settings", Kind::AssetSettings),
            ("actor", Kind::Actor),
            ("note", Kind::Note),
        ],
        arity: Arity::OptionalLast,
        result: Shape::Success,
        errors: &[(10, Rejection::NameTaken), (11, Rejection::NotPossible)],
        summary: "Adds an asset.",
    },
    Method {
        name: "asset.set",
        command: 906,
        owner: Matchengine,
        effect: Write,
        params: &[
            ("asset", Kind::AssetName),
            ("settings", Kind::AssetSettings),
            ("actor", Kind::Actor),
            ("note", Kind::Note),
        ],
        arity: Arity::OptionalLast,
        result: Shape::Success,
        errors: &[(10, Rejection::Unchanged), (11, Rejection::NotPossible)],
        summary: "Raises the decimals that are kept or shown of an asset.",
    },
    Method {
        name: "exchange.state",
        command: 907,
        owner: Matchengine,
        effect: Read,
        params: &[],
        arity: Arity::Any,
        result: Shape::Figures,
        errors: &[],
        summary: "Halted markets, and the decimals that are kept of assets.",
    },
    Method {
        name: "order.put_limit_once",
        command: 908,
        owner: Matchengine,
        effect: Write,
        params: &[
            ("user_id", Kind::UserId),
            ("market", Kind::MarketName),
            ("side", Kind::Side),
            ("amount", Kind::Number),
            ("price", Kind::Number),
            ("taker_fee_rate", Kind::FeeRate),
            ("maker_fee_rate", Kind::FeeRate),
            ("source", Kind::OrderName),
        ],
        arity: Arity::Exact,
        result: Shape::Order,
        errors: &[
            (10, Rejection::BalanceNotEnough),
            (11, Rejection::AmountTooSmall),
            (12, Rejection::MarketHalted),
            (13, Rejection::RepeatOrder),
            (14, Rejection::NotPossible),
        ],
        summary: "Places a limit order once for each source of a user within a day; again it answers as at first.",
    },
    Method {
        name: "order.put_market_once",
        command: 909,
        owner: Matchengine,
        effect: Write,
        params: &[
            ("user_id", Kind::UserId),
            ("market", Kind::MarketName),
            ("side", Kind::Side),
            ("amount", Kind::Number),
            ("taker_fee_rate", Kind::FeeRate),
            ("source", Kind::OrderName),
        ],
        arity: Arity::Exact,
        result: Shape::Order,
        errors: &[
            (10, Rejection::BalanceNotEnough),
            (11, Rejection::AmountTooSmall),
            (12, Rejection::NoEnoughTrader),
            (13, Rejection::MarketHalted),
            (14, Rejection::RepeatOrder),
            (15, Rejection::NotPossible),
        ],
        summary: "Places a market order once for each source of a user within a day; again it answers as at first.",
    },
    Method {
        name: "order.named",
        command: 910,
        owner: Matchengine,
        effect: Read,
        params: &[("user_id", Kind::UserId), ("source", Kind::OrderName)],
        arity: Arity::Exact,
        result: Shape::Figures,
        errors: &[],
        summary: "Id of the order that was placed once under this source within a day, or null.",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_unique_and_found() {
        for method in METHODS {
            assert_eq!(by_name(method.name).unwrap().command, method.command);
            assert_eq!(by_command(method.command).unwrap().name, method.name);
        }
        assert_eq!(METHODS.len(), 33);
        assert!(by_name("order.Cancel").is_none() && by_command(0).is_none());
    }

    #[test]
    fn codes_of_own_rejections_start_at_10() {
        for method in METHODS {
            for (index, (code, rejection)) in method.errors.iter().enumerate() {
                assert_eq!(*code, 10 + index as i32);
                assert_eq!(method.code(*rejection), *code);
            }
            assert_eq!(method.code(Rejection::InvalidArgument), 1);
        }
    }

    /// The engine's comparison with its oracle proves that it gives these and no others.
    #[test]
    fn every_rejection_of_the_engine_has_a_code() {
        use Rejection::{
            AmountTooSmall, BalanceNotEnough, MarketHalted, NameTaken, NoEnoughTrader, NotPossible,
            OrderNotFound, RepeatOrder, RepeatUpdate, Unchanged, UserNotMatch,
        };
        let codes = |command: u32| by_command(command).unwrap().errors;
        assert_eq!(codes(102), [(10, RepeatUpdate), (11, BalanceNotEnough)]);
        assert_eq!(codes(201), [(10, BalanceNotEnough), (11, AmountTooSmall), (12, MarketHalted)]);
        assert_eq!(
            codes(202),
            [
                (10, BalanceNotEnough),
                (11, AmountTooSmall),
                (12, NoEnoughTrader),
                (13, MarketHalted)
            ]
        );
        let once = |before: &[(i32, Rejection)], next| {
            [before, &[(next, RepeatOrder), (next + 1, NotPossible)]].concat()
        };
        assert_eq!(codes(908), once(codes(201), 13));
        assert_eq!(codes(909), once(codes(202), 14));
        assert_eq!(codes(204), [(10, OrderNotFound), (11, UserNotMatch)]);
        assert!([901, 902].iter().all(|command| codes(*command) == [(10, Unchanged)]));
        assert!([903, 905].iter().all(|it| codes(*it) == [(10, NameTaken), (11, NotPossible)]));
        assert!([904, 906].iter().all(|it| codes(*it) == [(10, Unchanged), (11, NotPossible)]));
    }
}
