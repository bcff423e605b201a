//! The C interface of the public matching-engine benchmark over the engine's own order book: signed ticks
//! instead of decimals, no second book, no shadow state.
//!
//! The benchmark loads `libviabtc_bench_abi.so`, calls [`engine_init`], then everything else from the same
//! thread, and reads the reports from the queue that it gave. Unsafe code is confined to this file: the
//! interface passes pointers and has no handle.

pub mod layout;
pub mod matcher;

use std::cell::UnsafeCell;
use std::ffi::c_void;

use viabtc_engine::Side;

use layout::{Cancel, Modify, NewOrder, Report, TYPE_CANCEL, TYPE_NEW, Tagged, Transport};
use matcher::{Matcher, Outlet};

/// Sends reports into the benchmark's queue.
struct Sink {
    transport: Transport,
    queue: *mut c_void,
}

impl Outlet for Sink {
    #[inline]
    fn push(&mut self, report: &Report) {
        // SAFETY: the caller of `engine_init` promised that these functions take this queue until
        // `engine_shutdown`; the report lives during the call.
        unsafe {
            while (self.transport.push)(self.queue, report) == 0 {
                // A full queue is emptied by its reader; nothing may be dropped.
                (self.transport.flush)(self.queue);
                std::thread::yield_now();
            }
        }
    }
}

/// The one engine of the process.
struct Global(UnsafeCell<Option<Matcher<Sink>>>);

// SAFETY: the interface is single-threaded by contract; see `engine`.
unsafe impl Sync for Global {}

static ENGINE: Global = Global(UnsafeCell::new(None));

/// The engine that [`engine_init`] made.
///
/// # Safety
/// No other thread is inside a function of this library, and no reference from an earlier call lives.
#[inline]
unsafe fn engine() -> &'static mut Matcher<Sink> {
    // SAFETY: the caller keeps others out.
    let engine = unsafe { &mut *ENGINE.0.get() };
    engine.as_mut().expect("engine_init is called first")
}

/// Starts with an empty book; reports go to `sink`, a queue of `transport`.
///
/// # Safety
/// `transport` is readable during the call; its functions take `sink` until [`engine_shutdown`]. All
/// functions of this library are called from one thread at a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn engine_init(_nonce: u64, transport: *const Transport, sink: *mut c_void) {
    // SAFETY: the caller's promises are those that the cell and the pointer need.
    unsafe {
        let sink = Sink { transport: *transport, queue: sink };
        *ENGINE.0.get() = Some(Matcher::new(sink));
    }
}

/// Drops the book.
///
/// # Safety
/// As [`engine_init`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn engine_shutdown() {
    // SAFETY: no reference to the engine outlives a call of this library.
    unsafe { *ENGINE.0.get() = None };
}

/// Handles a new order.
///
/// # Safety
/// As [`engine_init`], which came before; `order` is readable during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn engine_on_new_order(order: *const NewOrder) {
    // SAFETY: promised by the caller.
    unsafe { engine().new_order(&*order) };
}

/// Handles a cancel.
///
/// # Safety
/// As [`engine_init`], which came before; `cancel` is readable during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn engine_on_cancel(cancel: *const Cancel) {
    // SAFETY: promised by the caller.
    unsafe { engine().cancel(&*cancel) };
}

/// Handles a modify.
///
/// # Safety
/// As [`engine_init`], which came before; `modify` is readable during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn engine_on_modify(modify: *const Modify) {
    // SAFETY: promised by the caller.
    unsafe { engine().modify(&*modify) };
}

/// Handles `count` messages, one after another.
///
/// # Safety
/// As [`engine_init`], which came before; `messages` points to `count` readable messages whose tags name
/// their bodies.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn engine_on_batch(messages: *const Tagged, count: u32) {
    // SAFETY: promised by the caller; a body is read as what its tag says.
    unsafe {
        let engine = engine();
        for message in std::slice::from_raw_parts(messages, count as usize) {
            match message.tag {
                TYPE_NEW => engine.new_order(&message.body.new),
                TYPE_CANCEL => engine.cancel(&message.body.cancel),
                _ => engine.modify(&message.body.modify),
            }
        }
    }
}

/// Returns when every message so far is matched and reported: they are, so only the queue is flushed.
///
/// # Safety
/// As [`engine_init`], which came before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn engine_flush() {
    // SAFETY: promised by the caller.
    unsafe {
        let sink = engine().outlet();
        (sink.transport.flush)(sink.queue);
    }
}

/// Best bid; the smallest number when there is none.
///
/// # Safety
/// As [`engine_init`], which came before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn engine_query_best_bid() -> i64 {
    // SAFETY: promised by the caller.
    unsafe { engine() }.best(Side::Bid).unwrap_or(i64::MIN)
}

/// Best ask; the largest number when there is none.
///
/// # Safety
/// As [`engine_init`], which came before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn engine_query_best_ask() -> i64 {
    // SAFETY: promised by the caller.
    unsafe { engine() }.best(Side::Ask).unwrap_or(i64::MAX)
}

/// Sum of what rests at a price of a side.
///
/// # Safety
/// As [`engine_init`], which came before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn engine_query_depth_at(price: i64, side: u8) -> u64 {
    // SAFETY: promised by the caller.
    unsafe { engine() }.depth_at(price, side)
}
