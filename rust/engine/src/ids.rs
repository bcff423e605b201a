//! One newtype per identity, and one for time.

macro_rules! identity {
    ($(#[$doc:meta])* $name:ident, $inner:ty) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
        pub struct $name(pub $inner);
    };
}

identity!(
    /// A user, as the exchange's front end numbers them; 0 is allowed in commands.
    UserId, u32
);
identity!(
    /// Position of an asset in [`crate::Config::assets`].
    AssetId, u16
);
identity!(
    /// Position of a market in [`crate::Config::markets`].
    MarketId, u16
);
identity!(
    /// An order; one counter for all markets, the first is 1.
    OrderId, u64
);
identity!(
    /// A deal; one counter for all markets, the first is 1.
    DealId, u64
);
identity!(
    /// Microseconds since 1970-01-01 UTC.
    Time, i64
);
