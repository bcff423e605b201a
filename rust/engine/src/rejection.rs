//! Why a command was refused.

use thiserror::Error;

/// The answer is no, and the state is untouched. The name, not the wire code, is the identity: the
/// numeric codes are per method in the protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum Rejection {
    /// A value that no table could hold, such as a supply of 10^14 or more.
    #[error("invalid argument")]
    InvalidArgument,
    /// `balance.update` of a key seen within the window.
    #[error("repeat update")]
    RepeatUpdate,
    /// Available funds do not cover it.
    #[error("balance not enough")]
    BalanceNotEnough,
    /// Below the market's minimum.
    #[error("amount too small")]
    AmountTooSmall,
    /// A market order found nobody on the other side.
    #[error("no enough trader")]
    NoEnoughTrader,
    /// No such open order in this market.
    #[error("order not found")]
    OrderNotFound,
    /// The order is somebody else's.
    #[error("user not match")]
    UserNotMatch,
    /// The market takes no new orders for now.
    #[error("market halted")]
    MarketHalted,
    /// There is an asset or market of this name already.
    #[error("name taken")]
    NameTaken,
    /// Everything is as it would be afterwards.
    #[error("nothing to change")]
    Unchanged,
    /// What is kept, or another setting, stands in the way.
    #[error("not possible")]
    NotPossible,
    /// An order was placed under this name within the window.
    #[error("repeat order")]
    RepeatOrder,
}

impl Rejection {
    /// Every rejection, in declaration order.
    pub const ALL: [Rejection; 12] = [
        Rejection::InvalidArgument,
        Rejection::RepeatUpdate,
        Rejection::BalanceNotEnough,
        Rejection::AmountTooSmall,
        Rejection::NoEnoughTrader,
        Rejection::OrderNotFound,
        Rejection::UserNotMatch,
        Rejection::MarketHalted,
        Rejection::NameTaken,
        Rejection::Unchanged,
        Rejection::NotPossible,
        Rejection::RepeatOrder,
    ];

    /// Stable snake_case name.
    pub const fn name(self) -> &'static str {
        match self {
            Rejection::InvalidArgument => "invalid_argument",
            Rejection::RepeatUpdate => "repeat_update",
            Rejection::BalanceNotEnough => "balance_not_enough",
            Rejection::AmountTooSmall => "amount_too_small",
            Rejection::NoEnoughTrader => "no_enough_trader",
            Rejection::OrderNotFound => "order_not_found",
            Rejection::UserNotMatch => "user_not_match",
            Rejection::MarketHalted => "market_halted",
            Rejection::NameTaken => "name_taken",
            Rejection::Unchanged => "unchanged",
            Rejection::NotPossible => "not_possible",
            Rejection::RepeatOrder => "repeat_order",
        }
    }
}
