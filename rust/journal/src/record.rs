//! One record as bytes.
//!
//! | offset | bytes | field |
//! | ---: | ---: | --- |
//! | 0 | 1 | mark, 0xD7: the first byte of a record is never zero |
//! | 1 | 1 | kind |
//! | 2 | 2 | zero |
//! | 4 | 4 | checksum of the header's other bytes |
//! | 8 | 8 | length of the payload |
//! | 16 | 8 | epoch: how often the journal was opened |
//! | 24 | 8 | ordinal: 1 for the first record of the journal, without gaps |
//! | 32 | 8 | sequence of the last command at or before this record |
//! | 40 | 8 | time, microseconds |
//! | 48 | 8 | synced: ordinal of the last record known durable when this one was written |
//! | 56 | 8 | chain: link of the previous record, or of the segment's header |
//! | 64 | 8 | checksum of the stored payload |
//! | 72 | n | payload, whitened |
//! | 72+n | 1 | end, 0xE9: the last byte of a record is never zero |
//!
//! Integers are little endian. The payload is combined with a key stream that starts from the chain, so
//! that no 512-byte sector of a written record is all zero, whatever the payload: on a zero-filled segment
//! a sector of zeros inside a record is one that never reached the disk. That tells a torn append from
//! damage.

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// Bytes of a header.
pub const HEADER_BYTES: usize = 72;

/// Bytes of a record beside its payload.
pub const FRAME_BYTES: usize = HEADER_BYTES + 1;

/// A clean close; written by [`crate::Journal::seal`].
pub const KIND_SEAL: u8 = 3;

/// The journal was opened; the payload is what [`crate::Options::opened`] says.
pub const KIND_OPENED: u8 = 4;

/// Nothing but the proof, in its `synced`, that everything before it was durable; written by
/// [`crate::Journal::prove`].
pub const KIND_PROOF: u8 = 7;

pub(crate) const MARK: u8 = 0xd7;
const END: u8 = 0xe9;

/// A record as it is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Record<'a> {
    /// What the payload is; the meaning is the caller's, except [`KIND_SEAL`] and [`KIND_OPENED`].
    pub kind: u8,
    /// How often the journal was opened when this was written.
    pub epoch: u64,
    /// Position among all records.
    pub ordinal: u64,
    /// Of the last command at or before this record.
    pub sequence: u64,
    /// Microseconds.
    pub time: i64,
    /// As it was given.
    pub payload: &'a [u8],
}

/// The fields of a header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Header {
    pub(crate) kind: u8,
    pub(crate) length: u64,
    pub(crate) epoch: u64,
    pub(crate) ordinal: u64,
    pub(crate) sequence: u64,
    pub(crate) time: i64,
    pub(crate) synced: u64,
    pub(crate) chain: u64,
    pub(crate) payload_checksum: u64,
}

impl Header {
    /// Appends a whole record; returns its link, which the next record's chain repeats.
    pub(crate) fn write(mut self, payload: &[u8], out: &mut Vec<u8>) -> u64 {
        let start = out.len();
        out.resize(start + HEADER_BYTES, 0);
        let stored = out.len();
        out.extend_from_slice(payload);
        whiten(self.chain, &mut out[stored..]);
        self.length = payload.len() as u64;
        self.payload_checksum = xxh3_64(&out[stored..]);
        out.push(END);
        let header = self.to_bytes();
        out[start..stored].copy_from_slice(&header);
        xxh3_64(&header)
    }

    fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0] = MARK;
        bytes[1] = self.kind;
        let fields = [
            self.length,
            self.epoch,
            self.ordinal,
            self.sequence,
            self.time.cast_unsigned(),
            self.synced,
            self.chain,
            self.payload_checksum,
        ];
        for (index, field) in fields.into_iter().enumerate() {
            bytes[8 + 8 * index..16 + 8 * index].copy_from_slice(&field.to_le_bytes());
        }
        let checksum = header_checksum(&bytes);
        bytes[4..8].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// The header at the start of `bytes`, when its checksum fits; and its link.
    pub(crate) fn read(bytes: &[u8]) -> Option<(Header, u64)> {
        let bytes: &[u8; HEADER_BYTES] = bytes.first_chunk()?;
        if bytes[0] != MARK || bytes[4..8] != header_checksum(bytes).to_le_bytes() {
            return None;
        }
        let field = |index: usize| {
            u64::from_le_bytes(*bytes[8 + 8 * index..].first_chunk().expect("the header is long"))
        };
        let header = Header {
            kind: bytes[1],
            length: field(0),
            epoch: field(1),
            ordinal: field(2),
            sequence: field(3),
            time: field(4).cast_signed(),
            synced: field(5),
            chain: field(6),
            payload_checksum: field(7),
        };
        Some((header, xxh3_64(bytes)))
    }

    /// Bytes of the whole record.
    pub(crate) fn record_bytes(&self) -> u64 {
        self.length.saturating_add(FRAME_BYTES as u64)
    }

    /// The payload of the record that starts with this header in `bytes`, when all of it is as written;
    /// `plain` receives it.
    pub(crate) fn payload<'a>(&self, bytes: &[u8], plain: &'a mut Vec<u8>) -> Option<&'a [u8]> {
        let length = usize::try_from(self.length).ok()?;
        let stored = bytes.get(HEADER_BYTES..HEADER_BYTES.checked_add(length)?)?;
        if bytes.get(HEADER_BYTES + length) != Some(&END)
            || xxh3_64(stored) != self.payload_checksum
        {
            return None;
        }
        plain.clear();
        plain.extend_from_slice(stored);
        whiten(self.chain, plain);
        Some(plain)
    }

    pub(crate) fn record<'a>(&self, payload: &'a [u8]) -> Record<'a> {
        let Header { kind, epoch, ordinal, sequence, time, .. } = *self;
        Record { kind, epoch, ordinal, sequence, time, payload }
    }
}

fn header_checksum(bytes: &[u8; HEADER_BYTES]) -> u32 {
    let seed = u64::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3], 0, 0, 0, 0]);
    xxh3_64_with_seed(&bytes[8..], seed) as u32
}

/// Combines `bytes` with the key stream of `chain`; doing it twice gives them back.
fn whiten(chain: u64, bytes: &mut [u8]) {
    let mut state = chain;
    let mut next = || {
        // One step of the splitmix64 sequence.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (word ^ (word >> 31)).to_le_bytes()
    };
    let mut words = bytes.chunks_exact_mut(8);
    for word in &mut words {
        for (byte, key) in word.iter_mut().zip(next()) {
            *byte ^= key;
        }
    }
    for (byte, key) in words.into_remainder().iter_mut().zip(next()) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            kind: 1,
            length: 0,
            epoch: 2,
            ordinal: 3,
            sequence: 4,
            time: -5,
            synced: 6,
            chain: 7,
            payload_checksum: 0,
        }
    }

    #[test]
    fn a_record_is_read_as_written_and_drawn() {
        let mut bytes = Vec::new();
        let link = header().write(b"payload", &mut bytes);
        assert_eq!(bytes.len(), FRAME_BYTES + 7);
        assert_eq!((bytes[0], bytes[1], bytes[79]), (MARK, 1, END));
        let (read, read_link) = Header::read(&bytes).unwrap();
        let mut plain = Vec::new();
        assert_eq!(read.payload(&bytes, &mut plain), Some(&b"payload"[..]));
        assert_eq!(Header { length: 0, payload_checksum: 0, ..read }, header());
        assert_eq!((read_link, read.record_bytes()), (link, 80));
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let mut bytes = Vec::new();
        header().write(b"payload", &mut bytes);
        let mut plain = Vec::new();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let payload = Header::read(&flipped)
                .and_then(|(header, _)| header.payload(&flipped, &mut plain).map(<[u8]>::to_vec));
            assert_eq!(payload, None, "bit {bit}");
        }
    }

    #[test]
    fn no_sector_of_a_record_is_all_zero() {
        for payload in [vec![0; 4096], vec![0xff; 4096], vec![0x55; 4096]] {
            let mut bytes = Vec::new();
            header().write(&payload, &mut bytes);
            assert!(bytes.chunks(512).all(|sector| sector.iter().any(|byte| *byte != 0)));
        }
    }
}
