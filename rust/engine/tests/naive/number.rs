//! Decimals of any size: digits and where the point stands, every rounding spelt out.

use std::cmp::Ordering;

use num_bigint::BigInt;

/// The original's arithmetic keeps this many significant digits and cuts the rest toward zero.
const SIGNIFICANT_DIGITS: u32 = 34;

/// `digits / 10^decimals`.
#[derive(Clone, Debug)]
pub struct Number {
    digits: BigInt,
    decimals: u32,
}

impl Number {
    pub fn zero() -> Number {
        Number::new(0, 0)
    }

    pub fn new(digits: i128, decimals: u8) -> Number {
        Number { digits: BigInt::from(digits), decimals: u32::from(decimals) }
    }

    /// The sum with all its digits.
    pub fn plus(&self, other: &Number) -> Number {
        let (a, b, decimals) = aligned(self, other);
        Number { digits: a + b, decimals }
    }

    /// The difference with all its digits.
    pub fn minus(&self, other: &Number) -> Number {
        let (a, b, decimals) = aligned(self, other);
        Number { digits: a - b, decimals }
    }

    /// The product to 34 significant digits.
    pub fn times(&self, other: &Number) -> Number {
        let digits = &self.digits * &other.digits;
        Number { digits, decimals: self.decimals + other.decimals }.significant()
    }

    /// The quotient to 34 significant digits, both numbers above zero.
    pub fn divided_by(&self, divisor: &Number) -> Number {
        // Twice as many digits as are kept, whatever the sizes of the two.
        let more = 2 * SIGNIFICANT_DIGITS + divisor.length();
        let digits = &self.digits * power(more) / &divisor.digits;
        let decimals = self.decimals + more;
        if decimals >= divisor.decimals {
            Number { digits, decimals: decimals - divisor.decimals }.significant()
        } else {
            let digits = digits * power(divisor.decimals - decimals);
            Number { digits, decimals: 0 }.significant()
        }
    }

    pub fn negated(&self) -> Number {
        Number { digits: -&self.digits, decimals: self.decimals }
    }

    /// With exactly `decimals` decimals: surplus digits are cut toward zero, missing ones are zeros.
    pub fn rescaled(&self, decimals: u8) -> Number {
        let decimals = u32::from(decimals);
        let digits = match decimals.cmp(&self.decimals) {
            Ordering::Less => &self.digits / power(self.decimals - decimals),
            _ => &self.digits * power(decimals - self.decimals),
        };
        Number { digits, decimals }
    }

    pub fn is_zero(&self) -> bool {
        self.digits == BigInt::ZERO
    }

    pub fn is_negative(&self) -> bool {
        self.digits < BigInt::ZERO
    }

    pub fn is_positive(&self) -> bool {
        self.digits > BigInt::ZERO
    }

    pub fn smaller<'a>(&'a self, other: &'a Number) -> &'a Number {
        if self <= other { self } else { other }
    }

    /// The units of 10^-decimals, which must be whole.
    pub fn units(&self, decimals: u8) -> i128 {
        let whole = self.rescaled(decimals);
        assert!(whole == *self, "{self:?} has more than {decimals} decimals");
        i128::try_from(whole.digits).expect("a value of the exchange fits 128 bits")
    }

    /// All digits, and how many of them stand after the point.
    pub fn parts(&self) -> (i128, u8) {
        let digits = i128::try_from(self.digits.clone()).expect("34 digits fit 128 bits");
        (digits, u8::try_from(self.decimals).expect("few decimals"))
    }

    fn length(&self) -> u32 {
        u32::try_from(self.digits.magnitude().to_string().len()).expect("a short number")
    }

    /// Cut to 34 significant digits.
    pub fn significant(self) -> Number {
        // 112 bits hold any number of 33 digits, so that most numbers need no text.
        if self.digits.bits() < 112 || self.length() <= SIGNIFICANT_DIGITS {
            return self;
        }
        let surplus = self.length() - SIGNIFICANT_DIGITS;
        let kept = &self.digits / power(surplus);
        match self.decimals.checked_sub(surplus) {
            Some(decimals) => Number { digits: kept, decimals },
            None => Number { digits: kept * power(surplus - self.decimals), decimals: 0 },
        }
    }
}

/// Both numbers in units of the finer one.
fn aligned(a: &Number, b: &Number) -> (BigInt, BigInt, u32) {
    let decimals = a.decimals.max(b.decimals);
    let widened = |number: &Number| &number.digits * power(decimals - number.decimals);
    (widened(a), widened(b), decimals)
}

fn power(exponent: u32) -> BigInt {
    BigInt::from(10).pow(exponent)
}

impl PartialEq for Number {
    fn eq(&self, other: &Number) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Number {}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Number) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Number) -> Ordering {
        if self.decimals == other.decimals {
            return self.digits.cmp(&other.digits);
        }
        let (a, b, _) = aligned(self, other);
        a.cmp(&b)
    }
}
