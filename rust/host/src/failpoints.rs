//! Requests that make the engine panic on purpose, for tests of what happens then.

/// In the parameters' text: applying the request panics, the first time.
pub const PANIC_IN_APPLY: &str = "failpoint-panic-in-apply";

/// In the parameters' text: applying it again, from the journal, panics.
pub const PANIC_IN_REPLAY: &str = "failpoint-panic-in-replay";

pub(crate) fn panic_in_apply(params: &[u8]) {
    assert!(!contains(params, PANIC_IN_APPLY), "failpoint in apply");
}

pub(crate) fn panic_in_replay(params: &[u8]) {
    assert!(!contains(params, PANIC_IN_REPLAY), "failpoint in replay");
}

fn contains(params: &[u8], text: &str) -> bool {
    params.windows(text.len()).any(|window| window == text.as_bytes())
}
