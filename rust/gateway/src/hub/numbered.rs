//! A channel of the stream: every step has a number, the newest steps are kept for who comes back.
//!
//! The steps of one channel are dense: behind `N` comes `N + 1`. A snapshot is the whole as of its
//! number, and may come at any time; whoever has it goes on from there.

use std::collections::VecDeque;
use std::hash::{BuildHasher, Hasher, RandomState};

use super::frames::{Frame, Opcode, frame};
use super::queue::ENTRY_BYTES;

/// Steps that are kept for who comes back.
const KEPT_STEPS_MAX: usize = 1_024;

/// Bytes of those steps.
const KEPT_BYTES_MAX: usize = 256 * 1024;

/// What happened in a channel, and what that came to.
#[derive(Debug)]
pub struct Step {
    /// As clients name it; nothing in it needs escaping.
    pub channel: Box<str>,
    /// JSON of what changed; `None` when that is not known, and everybody starts again from the whole.
    pub update: Option<Box<[u8]>>,
    /// JSON of the whole.
    pub snapshot: Box<[u8]>,
    /// A reader who is behind may get the whole in the place of what he has not read.
    pub is_conflated: bool,
}

/// Where somebody stands who comes back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Standing {
    /// As the channel's messages said it.
    pub(crate) stream: u64,
    /// Number of the last message that was taken in.
    pub(crate) after: u64,
}

/// One channel's numbers, whole and newest steps.
#[derive(Debug)]
pub(crate) struct Numbered {
    /// Drawn when the channel began, so that numbers of another beginning are not taken for its own.
    stream: u64,
    /// Of the last step.
    sequence: u64,
    snapshot: Frame,
    /// The newest steps, oldest first; the last is `sequence`.
    recent: VecDeque<Frame>,
    recent_bytes: usize,
}

impl Numbered {
    pub(crate) fn new() -> Numbered {
        Numbered {
            // Random keys: this hash of nothing differs each time.
            stream: RandomState::new().build_hasher().finish(),
            sequence: 0,
            snapshot: frame(Opcode::Text, &[]),
            recent: VecDeque::new(),
            recent_bytes: 0,
        }
    }

    /// Numbers a step; its message.
    pub(crate) fn apply(&mut self, step: &Step) -> Frame {
        self.sequence += 1;
        self.snapshot = self.message(step, "snapshot", &step.snapshot);
        let message = match &step.update {
            Some(update) => self.message(step, "update", update),
            None => Frame::clone(&self.snapshot),
        };
        self.recent_bytes += message.len() + ENTRY_BYTES;
        self.recent.push_back(Frame::clone(&message));
        while self.recent.len() > KEPT_STEPS_MAX || self.recent_bytes > KEPT_BYTES_MAX {
            let Some(oldest) = self.recent.pop_front() else { break };
            self.recent_bytes -= oldest.len() + ENTRY_BYTES;
        }
        message
    }

    /// The whole as of the last step.
    pub(crate) fn snapshot(&self) -> Frame {
        Frame::clone(&self.snapshot)
    }

    /// What somebody missed; `None` when that is not known any more.
    pub(crate) fn missed(&self, standing: Standing) -> Option<impl Iterator<Item = Frame>> {
        let count = self.sequence.checked_sub(standing.after)?;
        let kept = self.recent.len();
        let is_known = standing.stream == self.stream && count <= kept as u64;
        let first = kept.saturating_sub(count as usize);
        is_known.then(|| self.recent.iter().skip(first).map(Frame::clone))
    }

    fn message(&self, step: &Step, kind: &str, data: &[u8]) -> Frame {
        let head = format!(
            "{{\"channel\": \"{}\", \"stream\": \"{:016x}\", \"sequence\": {}, \"type\": \"{kind}\", \
             \"data\": ",
            step.channel, self.stream, self.sequence
        );
        frame(Opcode::Text, &[head.as_bytes(), data, b"}"])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(update: Option<&str>, snapshot: &str) -> Step {
        Step {
            channel: "c".into(),
            update: update.map(|text| text.as_bytes().into()),
            snapshot: snapshot.as_bytes().into(),
            is_conflated: true,
        }
    }

    fn shown(frame: &Frame) -> String {
        let head = if frame[1] < 126 { 2 } else { 4 };
        String::from_utf8_lossy(&frame[head..]).into_owned()
    }

    fn missed(numbered: &Numbered, after: u64) -> Option<Vec<String>> {
        let standing = Standing { stream: numbered.stream, after };
        Some(numbered.missed(standing)?.map(|frame| shown(&frame)).collect())
    }

    #[test]
    fn steps_are_numbered_densely_and_the_whole_carries_the_last_number() {
        let mut numbered = Numbered::new();
        let stream = format!("{:016x}", numbered.stream);
        let first = numbered.apply(&step(None, "[1]"));
        assert_eq!(
            shown(&first),
            format!(
                "{{\"channel\": \"c\", \"stream\": \"{stream}\", \"sequence\": 1, \
                 \"type\": \"snapshot\", \"data\": [1]}}"
            )
        );
        let second = numbered.apply(&step(Some("2"), "[1, 2]"));
        assert!(shown(&second).ends_with("\"sequence\": 2, \"type\": \"update\", \"data\": 2}"));
        assert!(
            shown(&numbered.snapshot())
                .ends_with("\"sequence\": 2, \"type\": \"snapshot\", \"data\": [1, 2]}")
        );
        assert_ne!(Numbered::new().stream, numbered.stream);
    }

    #[test]
    fn who_comes_back_gets_what_he_missed_or_nothing() {
        let mut numbered = Numbered::new();
        for number in 1..=3 {
            numbered.apply(&step(Some(&number.to_string()), "[]"));
        }
        let counts: Vec<_> = (0..=4).map(|after| Some(missed(&numbered, after)?.len())).collect();
        assert_eq!(counts, [Some(3), Some(2), Some(1), Some(0), None]);
        assert!(missed(&numbered, 1).unwrap()[0].contains("\"sequence\": 2,"));
        let foreign = Standing { stream: !numbered.stream, after: 3 };
        assert!(numbered.missed(foreign).is_none());
    }

    #[test]
    fn what_is_kept_is_bounded_by_number_and_bytes() {
        let mut numbered = Numbered::new();
        for _ in 0..2 * KEPT_STEPS_MAX {
            numbered.apply(&step(Some("1"), "[]"));
        }
        let known = numbered.recent.len() as u64;
        assert!(known <= KEPT_STEPS_MAX as u64 && numbered.recent_bytes <= KEPT_BYTES_MAX);
        assert_eq!(missed(&numbered, numbered.sequence - known - 1), None);
        let large = "1".repeat(KEPT_BYTES_MAX / 4);
        for _ in 0..8 {
            numbered.apply(&step(Some(&large), "[]"));
        }
        assert_eq!(numbered.recent.len(), 3);
    }
}
