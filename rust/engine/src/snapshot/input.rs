//! The bytes of a state, value by value.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::{ABSENT, FLUSH_BYTES, NAME_BYTES_MAX, PRESENT, RestoreError, SOURCE_ABSENT};
use crate::decimal::{DIGITS_MAX, Decimal, power_of_ten};
use crate::ids::{MarketId, OrderId, Time, UserId};
use crate::ledger::Balance;
use crate::once::Placed;
use crate::order::{Order, OrderKind, SOURCE_BYTES_MAX, Side, Source};
use crate::updates::UpdateKey;

pub(super) struct Input<'a> {
    source: &'a mut dyn FnMut(&mut [u8]) -> usize,
    /// Read ahead: what lies from `position` to `end` comes next.
    bytes: Vec<u8>,
    position: usize,
    end: usize,
}

impl<'a> Input<'a> {
    pub(super) fn new(source: &'a mut dyn FnMut(&mut [u8]) -> usize) -> Input<'a> {
        Input { source, bytes: vec![0; FLUSH_BYTES], position: 0, end: 0 }
    }
}

impl Input<'_> {
    #[cold]
    pub(super) fn fill(&mut self, mut buffer: &mut [u8]) -> Result<(), RestoreError> {
        loop {
            let count = buffer.len().min(self.end - self.position);
            let (now, later) = buffer.split_at_mut(count);
            now.copy_from_slice(&self.bytes[self.position..self.position + count]);
            self.position += count;
            if later.is_empty() {
                return Ok(());
            }
            buffer = later;
            if self.is_at_end() {
                return Err(RestoreError::Malformed("it ends inside the state"));
            }
        }
    }

    /// Whether nothing follows; reads ahead when nothing is left of what was read before.
    #[cold]
    pub(super) fn is_at_end(&mut self) -> bool {
        if self.position == self.end {
            self.position = 0;
            self.end = (self.source)(&mut self.bytes);
        }
        self.end == 0
    }

    #[inline]
    pub(super) fn array<const LENGTH: usize>(&mut self) -> Result<[u8; LENGTH], RestoreError> {
        if let Some(bytes) = self.bytes[self.position..self.end].first_chunk() {
            self.position += LENGTH;
            return Ok(*bytes);
        }
        let mut bytes = [0; LENGTH];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    pub(super) fn u8(&mut self) -> Result<u8, RestoreError> {
        self.array().map(u8::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, RestoreError> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn i128(&mut self) -> Result<i128, RestoreError> {
        self.array().map(i128::from_le_bytes)
    }

    /// Units of an asset: never negative, and bounded as the supply is.
    pub(super) fn units(&mut self) -> Result<i128, RestoreError> {
        let units = self.i128()?;
        let is_bounded = (0..power_of_ten(DIGITS_MAX)).contains(&units);
        if is_bounded { Ok(units) } else { Err(RestoreError::Malformed("units out of range")) }
    }

    pub(super) fn user(&mut self) -> Result<UserId, RestoreError> {
        let user = u32::try_from(self.u64()?);
        user.map(UserId).map_err(|_| RestoreError::Malformed("a user beyond 32 bits"))
    }

    pub(super) fn text(&mut self) -> Result<String, RestoreError> {
        let length = self.u8()?;
        let mut bytes = [0; NAME_BYTES_MAX];
        self.text_in(&mut bytes[..usize::from(length)]).map(String::from)
    }

    /// A text that fills `bytes`.
    pub(super) fn text_in<'bytes>(
        &mut self,
        bytes: &'bytes mut [u8],
    ) -> Result<&'bytes str, RestoreError> {
        self.fill(bytes)?;
        core::str::from_utf8(bytes).map_err(|_| RestoreError::Malformed("a text is not UTF-8"))
    }

    pub(super) fn source(&mut self) -> Result<Source, RestoreError> {
        let length = self.u8()?;
        if length == SOURCE_ABSENT {
            return Ok(Source::ABSENT);
        }
        let mut bytes = [0; SOURCE_BYTES_MAX];
        let bytes = bytes.get_mut(..usize::from(length));
        let text = self.text_in(bytes.ok_or(RestoreError::Malformed("a source is too long"))?)?;
        Ok(Source::new(text).expect("its length was checked"))
    }

    pub(super) fn key(&mut self) -> Result<(Time, UpdateKey), RestoreError> {
        Ok((Time(self.u64()?.cast_signed()), UpdateKey(self.i128()?.cast_unsigned())))
    }

    pub(super) fn placed(&mut self) -> Result<Placed, RestoreError> {
        let placed = Placed {
            body: self.u64()?,
            order: OrderId(self.u64()?),
            taker_fee_rate: self.u64()?,
            maker_fee_rate: self.u64()?,
            filled_base: [self.u64()?, self.u64()?],
            filled_quote: [self.u64()?, self.u64()?],
            fee_paid: [self.u64()?, self.u64()?],
            scales: [self.u8()?, self.u8()?, self.u8()?, self.u8()?],
        };
        if placed.can_be() {
            Ok(placed)
        } else {
            Err(RestoreError::Malformed("an order that was not placed"))
        }
    }

    /// User, place of the asset in the list of the state, and what is held.
    pub(super) fn balance(&mut self) -> Result<(UserId, u64, Balance), RestoreError> {
        let (user, asset) = (self.user()?, self.u64()?);
        let mut value = || match self.u8()? {
            ABSENT => Ok(None),
            PRESENT => self.units().map(Some),
            _ => Err(RestoreError::Malformed("a balance is neither absent nor present")),
        };
        let balance = Balance { available: value()?, frozen: value()? };
        if balance == Balance::default() {
            return Err(RestoreError::Malformed("a balance that does not exist"));
        }
        Ok((user, asset, balance))
    }

    pub(super) fn order(&mut self, market: MarketId, side: Side) -> Result<Order, RestoreError> {
        let id = OrderId(self.u64()?);
        let user = self.user()?;
        let source = self.source()?;
        Ok(Order {
            id,
            user,
            market,
            kind: OrderKind::Limit,
            side,
            source,
            created_at: Time(self.u64()?.cast_signed()),
            updated_at: Time(self.u64()?.cast_signed()),
            price: self.i128()?,
            amount: self.i128()?,
            remaining: self.i128()?,
            filled_base: self.i128()?,
            filled_quote: self.i128()?,
            fee_paid: Decimal { coefficient: self.i128()?, scale: self.u8()? },
            taker_fee_rate: self.u64()?,
            maker_fee_rate: self.u64()?,
        })
    }
}
