//! A segment file: a header block, then records, then zeros.
//!
//! | offset | bytes | field of the header |
//! | ---: | ---: | --- |
//! | 0 | 8 | `VIABTCJ1` |
//! | 8 | 4 | format version |
//! | 12 | 4 | zero |
//! | 16 | 8 | number of the segment, from 1 |
//! | 24 | 8 | epoch |
//! | 32 | 8 | sequence of the first command that it may hold |
//! | 40 | 8 | ordinal of its first record |
//! | 48 | 8 | chain: link of the last record before it, 0 for the first segment |
//! | 56 | 8 | digest of the state before its first command, as the caller gave it |
//! | 64 | 8 | size of the file |
//! | 72 | 8 | time of the last record before it |
//! | 80 | 8 | checksum of the block's other bytes |
//! | 88 | 4008 | zero |

use xxhash_rust::xxh3::xxh3_64;

use crate::error::JournalError;
use crate::storage::File;

/// Bytes of the header block: one page, so that it shares no sector with records.
pub(crate) const SEGMENT_HEADER_BYTES: usize = 4096;

const MAGIC: &[u8; 8] = b"VIABTCJ1";
const VERSION: u32 = 1;
const CHECKSUM: std::ops::Range<usize> = 80..88;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SegmentHeader {
    pub(crate) number: u64,
    pub(crate) epoch: u64,
    pub(crate) first_sequence: u64,
    pub(crate) first_ordinal: u64,
    pub(crate) chain: u64,
    pub(crate) digest: u64,
    /// A file of another size lost its end.
    pub(crate) file_bytes: u64,
    pub(crate) time: i64,
}

impl SegmentHeader {
    pub(crate) fn to_bytes(self) -> [u8; SEGMENT_HEADER_BYTES] {
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        let fields = [
            self.number,
            self.epoch,
            self.first_sequence,
            self.first_ordinal,
            self.chain,
            self.digest,
            self.file_bytes,
            self.time.cast_unsigned(),
        ];
        for (index, field) in fields.into_iter().enumerate() {
            bytes[16 + 8 * index..24 + 8 * index].copy_from_slice(&field.to_le_bytes());
        }
        let checksum = xxh3_64(&bytes);
        bytes[CHECKSUM].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// The header of an open file, and its link, which the first record's chain repeats.
    pub(crate) fn read(file: &impl File, name: &str) -> Result<(SegmentHeader, u64), JournalError> {
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        let count = file.read_at(&mut bytes, 0).map_err(JournalError::io("read", name))?;
        let damaged = |what| JournalError::Damaged {
            file: name.to_owned(),
            offset: 0,
            sequence: 0,
            ordinal: 0,
            what,
        };
        if count < bytes.len() || &bytes[..8] != MAGIC {
            return Err(damaged("it does not start with the header of a segment"));
        }
        let link = header_link(&bytes);
        let stored: [u8; 8] = bytes[CHECKSUM].try_into().expect("the range has eight bytes");
        bytes[CHECKSUM].fill(0);
        if stored != xxh3_64(&bytes).to_le_bytes() {
            return Err(damaged("the checksum of the segment's header does not fit"));
        }
        let version = u32::from_le_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]);
        if version != VERSION {
            let file = name.to_owned();
            return Err(JournalError::Version { file, version, expected: VERSION });
        }
        let field = |index: usize| {
            u64::from_le_bytes(*bytes[16 + 8 * index..].first_chunk().expect("the block is long"))
        };
        let header = SegmentHeader {
            number: field(0),
            epoch: field(1),
            first_sequence: field(2),
            first_ordinal: field(3),
            chain: field(4),
            digest: field(5),
            file_bytes: field(6),
            time: field(7).cast_signed(),
        };
        if file.size().map_err(JournalError::io("read", name))? != header.file_bytes {
            return Err(damaged("the file has not the size that it was made with"));
        }
        Ok((header, link))
    }
}

/// The link of a header block.
pub(crate) fn header_link(bytes: &[u8; SEGMENT_HEADER_BYTES]) -> u64 {
    xxh3_64(bytes)
}

/// Before the number of a segment that no snapshot needs any more, and that may become another one.
pub(crate) const USED: &str = "used-";

/// Name of a segment's file.
pub fn segment_name(number: u64) -> String {
    format!("journal-{number:010}.seg")
}

/// The number in a file name of the form `<prefix><digits><suffix>`.
pub(crate) fn number_in(name: &str, prefix: &str, suffix: &str) -> Option<u64> {
    let digits = name.strip_prefix(prefix)?.strip_suffix(suffix)?;
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { digits.parse().ok() } else { None }
}
