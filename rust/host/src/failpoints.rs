//! Requests that make the engine panic on purpose, for tests of what happens then.

use viabtc_engine::{AssetId, Exchange};

/// In the parameters' text: applying the request panics, the first time.
pub const PANIC_IN_APPLY: &str = "failpoint-panic-in-apply";

/// In the parameters' text: applying it again, from the journal, panics.
pub const PANIC_IN_REPLAY: &str = "failpoint-panic-in-replay";

/// In the parameters' text: applying the request makes a unit of the first asset out of nothing.
pub const MAKE_A_UNIT: &str = "failpoint-make-a-unit";

/// In the parameters' text: behind the request a bit of an account changes in memory.
pub const FLIP_AN_ACCOUNT: &str = "failpoint-flip-an-account";

pub(crate) fn miscount(exchange: &mut Exchange, params: &[u8]) {
    if contains(params, MAKE_A_UNIT) {
        exchange.make_a_unit(AssetId(0));
    }
    if contains(params, FLIP_AN_ACCOUNT) {
        exchange.flip_an_account();
    }
}

pub(crate) fn panic_in_apply(params: &[u8]) {
    assert!(!contains(params, PANIC_IN_APPLY), "failpoint in apply");
}

pub(crate) fn panic_in_replay(params: &[u8]) {
    assert!(!contains(params, PANIC_IN_REPLAY), "failpoint in replay");
}

fn contains(params: &[u8], text: &str) -> bool {
    params.windows(text.len()).any(|window| window == text.as_bytes())
}
