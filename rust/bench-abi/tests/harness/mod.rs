//! The other side of the interface: a queue of reports, recorded streams, and streams made from a seed.

pub mod streams;

use std::ffi::{c_int, c_void};
use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use viabtc_bench_abi::layout::{
    Body, Cancel, Modify, NewOrder, Report, TYPE_CANCEL, TYPE_MODIFY, TYPE_NEW, Tagged, Transport,
};

/// First eight bytes of a recorded stream.
const MAGIC: u64 = 0x4d45_4257_5f30_3031;

const HEAD_BYTES: usize = 16;
const RECORD_BYTES: usize = 40;

/// The functions of a bounded queue that one thread writes and reads.
pub static TRANSPORT: Transport = Transport { create, push, drain, flush, destroy };

struct ReportQueue {
    reports: Vec<Report>,
    capacity: usize,
}

unsafe extern "C" fn create(capacity: u32) -> *mut c_void {
    let capacity = capacity as usize;
    let queue = ReportQueue { reports: Vec::with_capacity(capacity), capacity };
    Box::into_raw(Box::new(queue)).cast()
}

unsafe extern "C" fn push(queue: *mut c_void, report: *const Report) -> c_int {
    // SAFETY: `queue` came from `create`, `report` is readable, and one thread uses both.
    let (queue, report) = unsafe { (&mut *queue.cast::<ReportQueue>(), &*report) };
    if queue.reports.len() == queue.capacity {
        return 0;
    }
    queue.reports.push(*report);
    1
}

unsafe extern "C" fn drain(queue: *mut c_void, out: *mut Report, max: u32) -> u32 {
    // SAFETY: `queue` came from `create`; `out` has room for `max` reports.
    unsafe {
        let queue = &mut *queue.cast::<ReportQueue>();
        let count = queue.reports.len().min(max as usize);
        std::ptr::copy_nonoverlapping(queue.reports.as_ptr(), out, count);
        queue.reports.drain(..count);
        u32::try_from(count).expect("at most max")
    }
}

unsafe extern "C" fn flush(_queue: *mut c_void) {}

unsafe extern "C" fn destroy(queue: *mut c_void) {
    // SAFETY: `queue` came from `create` and is not used again.
    drop(unsafe { Box::from_raw(queue.cast::<ReportQueue>()) });
}

/// The recorded stream, or `None` when the folder that holds it is not there.
pub fn recorded() -> Option<Vec<Tagged>> {
    let shared = std::env::var_os("VIABTC_SHARED").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let path = shared.join("data/matching-normal-s23.bin.xz");
    if !path.exists() {
        return None;
    }
    let mut xz = Command::new("xz")
        .args(["--decompress", "--stdout"])
        .arg(&path)
        .stdout(Stdio::piped())
        .spawn()
        .expect("xz is installed (Debian package xz-utils)");
    let mut bytes = Vec::new();
    xz.stdout.take().expect("piped").read_to_end(&mut bytes).expect("readable");
    assert!(xz.wait().expect("ends").success(), "{} is not damaged", path.display());
    Some(parse(&bytes))
}

/// Source: spec of the benchmark's input: a head, then records of 40 bytes.
fn parse(bytes: &[u8]) -> Vec<Tagged> {
    let word = |bytes: &[u8], at: usize| {
        u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
    };
    let half = |bytes: &[u8], at: usize| {
        u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
    };
    assert_eq!((word(bytes, 0), half(bytes, 8)), (MAGIC, 1), "a stream of this format");
    let records = &bytes[HEAD_BYTES..];
    assert_eq!(records.len(), half(bytes, 12) as usize * RECORD_BYTES);
    let records = records.chunks_exact(RECORD_BYTES);
    let message = |record: &[u8]| Message {
        tag: record[0],
        side: record[1],
        ioc: record[2],
        quantity: half(record, 4),
        sequence: word(record, 8),
        order: word(record, 16),
        price: word(record, 24).cast_signed(),
    };
    records.map(|record| message(record).tagged()).collect()
}

/// A message of any type, by its fields.
#[derive(Clone, Copy, Debug, Default)]
pub struct Message {
    pub tag: u8,
    pub side: u8,
    pub ioc: u8,
    pub quantity: u32,
    pub sequence: u64,
    pub order: u64,
    pub price: i64,
}

impl Message {
    pub fn tagged(&self) -> Tagged {
        let (order_id, sequence_number) = (self.order, self.sequence);
        let body = match self.tag {
            TYPE_NEW => Body {
                new: NewOrder {
                    order_id,
                    sequence_number,
                    price_ticks: self.price,
                    quantity: self.quantity,
                    side: self.side,
                    ioc: self.ioc,
                    padding: [0; 2],
                },
            },
            TYPE_CANCEL => Body { cancel: Cancel { order_id, sequence_number } },
            TYPE_MODIFY => Body {
                modify: Modify {
                    order_id,
                    sequence_number,
                    new_price_ticks: self.price,
                    new_quantity: self.quantity,
                    side: self.side,
                    padding: [0; 3],
                },
            },
            other => panic!("no message has type {other}"),
        };
        Tagged { tag: self.tag, padding: [0; 7], body }
    }
}
