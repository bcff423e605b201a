//! Compact little-endian fields, the alphabet of [`crate::codec`].
//!
//! Integers of money take one length byte and as many bytes as they need: most amounts fit in five to
//! nine bytes of the sixteen that an `i128` has.

use crate::codec::CodecError;

/// Appends fields to a buffer.
pub(crate) struct Writer<'a>(pub &'a mut Vec<u8>);

impl Writer<'_> {
    pub fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub fn u16(&mut self, value: u16) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub fn i64(&mut self, value: i64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    /// Length byte, then the fewest two's complement bytes that keep the sign.
    pub fn i128(&mut self, value: i128) {
        // All bytes of a number are one store; a copy of some of them would be a call.
        if let Ok(narrow) = i64::try_from(value) {
            let significant = 64 - (narrow ^ narrow >> 63).leading_zeros();
            let length = significant / 8 + 1;
            let mut bytes = [length as u8; 9];
            bytes[1..].copy_from_slice(&narrow.to_le_bytes());
            self.0.extend_from_slice(&bytes);
            self.0.truncate(self.0.len() - (8 - length as usize));
            return;
        }
        let significant = 128 - (value ^ value >> 127).leading_zeros();
        let length = significant / 8 + 1;
        let mut bytes = [length as u8; 17];
        bytes[1..].copy_from_slice(&value.to_le_bytes());
        self.0.extend_from_slice(&bytes);
        self.0.truncate(self.0.len() - (16 - length as usize));
    }

    /// `u32` length, then the bytes.
    pub fn bytes(&mut self, value: &[u8]) {
        self.u32(u32::try_from(value.len()).expect("texts are bounded by the largest frame"));
        self.0.extend_from_slice(value);
    }
}

/// Takes fields from a slice, front to back.
pub(crate) struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], CodecError> {
        let (head, rest) = self.0.split_at_checked(length).ok_or(CodecError::Short)?;
        self.0 = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], CodecError> {
        Ok(self.take(N)?.try_into().expect("take returns N bytes"))
    }

    pub fn u8(&mut self) -> Result<u8, CodecError> {
        Ok(self.array::<1>()?[0])
    }

    pub fn u16(&mut self) -> Result<u16, CodecError> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub fn u32(&mut self) -> Result<u32, CodecError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub fn u64(&mut self) -> Result<u64, CodecError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub fn i64(&mut self) -> Result<i64, CodecError> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    pub fn i128(&mut self) -> Result<i128, CodecError> {
        let length = usize::from(self.u8()?);
        if length == 0 || length > 16 {
            return Err(CodecError::Value("integer length"));
        }
        let bytes = self.take(length)?;
        let last = bytes[length - 1];
        let sign = if last & 0x80 == 0 { 0 } else { 0xff };
        // One value has one form: equal records are equal bytes.
        if length > 1 && last == sign && (bytes[length - 2] ^ sign) & 0x80 == 0 {
            return Err(CodecError::Value("integer longer than it needs"));
        }
        let mut full = [sign; 16];
        full[..length].copy_from_slice(bytes);
        Ok(i128::from_le_bytes(full))
    }

    pub fn bytes(&mut self) -> Result<&'a [u8], CodecError> {
        let length = self.u32()?;
        self.take(length as usize)
    }

    pub fn text(&mut self) -> Result<&'a str, CodecError> {
        core::str::from_utf8(self.bytes()?).map_err(|_| CodecError::Value("text is not UTF-8"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_keeps_its_value_and_sign_at_every_length() {
        let mut values = vec![0, 1, -1, i128::MAX, i128::MIN];
        for bit in 0..127 {
            values.extend([1i128 << bit, -(1i128 << bit), (1i128 << bit) - 1]);
        }
        for value in values {
            let mut buffer = Vec::new();
            Writer(&mut buffer).i128(value);
            let mut reader = Reader(&buffer);
            assert_eq!(reader.i128(), Ok(value));
            assert!(reader.0.is_empty());
        }
    }

    #[test]
    fn money_in_more_bytes_than_it_needs_is_refused() {
        let padded: [&[u8]; 4] = [&[2, 0, 0], &[2, 2, 0], &[2, 0xff, 0xff], &[3, 0, 0x80, 0xff]];
        for bytes in padded {
            let expected = Err(CodecError::Value("integer longer than it needs"));
            assert_eq!(Reader(bytes).i128(), expected, "{bytes:?}");
        }
        for (bytes, value) in [([2, 0x80, 0], 128), ([2, 0x7f, 0xff], -129)] {
            assert_eq!(Reader(&bytes).i128(), Ok(value));
        }
    }
}
