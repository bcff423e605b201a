//! Decimal numbers: fixed-scale integers for balances, prices and amounts, and [`Decimal`] where the
//! scale varies (fees). Every cut is toward zero, at 34 significant digits or at a stated scale.
//!
//! Source: spec of the number rules, matchengine section 1.

/// Significant digits kept by a multiplication or an addition.
pub const DIGITS_MAX: u32 = 34;

/// `coefficient x 10^-scale`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Decimal {
    /// At most [`DIGITS_MAX`] digits.
    pub coefficient: i128,
    /// Digits after the point.
    pub scale: u8,
}

impl Decimal {
    /// Zero without decimals.
    pub const ZERO: Decimal = Decimal { coefficient: 0, scale: 0 };
}
