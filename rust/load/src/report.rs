//! What a run found, for people and for programs.

use std::fmt::Write;
use std::net::SocketAddr;

use clap::ValueEnum;
use serde_json::{Map, Value, json};

use crate::codec::Protocol;
use crate::driver::{Outcome, Plan};
use crate::workload::Mode;

/// Percentiles that are told, with their names.
pub(crate) const PERCENTILES: [(&str, f64); 5] =
    [("p50", 50.0), ("p90", 90.0), ("p99", 99.0), ("p99.9", 99.9), ("max", 100.0)];

pub(crate) struct Run {
    pub(crate) protocol: Protocol,
    pub(crate) mode: Mode,
    pub(crate) address: SocketAddr,
    pub(crate) connections: usize,
    pub(crate) plan: Plan,
    pub(crate) outcome: Outcome,
}

impl Run {
    fn answers_per_second(&self) -> f64 {
        let seconds = self.plan.seconds.as_secs_f64();
        if seconds > 0.0 { self.outcome.answered as f64 / seconds } else { 0.0 }
    }

    /// Of the measured requests.
    fn accepted_share(&self) -> f64 {
        let refused: u64 = self.outcome.refused.values().sum();
        let all = self.outcome.accepted + refused;
        if all > 0 { self.outcome.accepted as f64 / all as f64 } else { 0.0 }
    }

    pub(crate) fn to_table(&self) -> String {
        let mut text = String::new();
        let outcome = &self.outcome;
        let loop_text = match self.plan.rate {
            Some(rate) => format!("open loop, {rate} requests/s"),
            None => format!("closed loop, {} in flight per connection", self.plan.window()),
        };
        let mut line = |name: &str, value: String| write_line(name, &value, &mut text);
        line("load", format!("{} over {}", name_of(self.mode), name_of(self.protocol)));
        line("server", self.address.to_string());
        line("connections", format!("{}, {loop_text}", self.connections));
        line("measured", format!("{:.1} s", self.plan.seconds.as_secs_f64()));
        line("answers", format!("{:.0}/s", self.answers_per_second()));
        line("accepted", outcome.accepted.to_string());
        for (code, count) in &outcome.refused {
            line(&format!("refused ({code})"), count.to_string());
        }
        if let Some(taking) = outcome.taking {
            line("taking", format!("{:.0} % of the orders", 100.0 * taking));
        }
        for (name, percentile) in PERCENTILES {
            let milliseconds = outcome.latency.value_at_percentile(percentile) as f64 / 1e6;
            line(name, format!("{milliseconds:.3} ms"));
        }
        if self.plan.rate.is_some() {
            line("sent late by", format!("at most {:.3} ms", outcome.lag_max.as_secs_f64() * 1e3));
        }
        if outcome.unanswered > 0 {
            line("unanswered", outcome.unanswered.to_string());
        }
        text
    }

    pub(crate) fn to_json(&self) -> Value {
        let outcome = &self.outcome;
        let latency = PERCENTILES.iter().map(|(name, percentile)| {
            let microseconds = outcome.latency.value_at_percentile(*percentile) as f64 / 1e3;
            ((*name).to_owned(), json!(microseconds))
        });
        let refused = outcome.refused.iter().map(|(code, count)| (code.to_string(), json!(count)));
        json!({
            "mode": name_of(self.mode),
            "protocol": name_of(self.protocol),
            "address": self.address.to_string(),
            "connections": self.connections,
            "window": self.plan.window(),
            "rate": self.plan.rate,
            "seconds": self.plan.seconds.as_secs_f64(),
            "answers_per_s": self.answers_per_second(),
            "accepted_per_s": self.answers_per_second() * self.accepted_share(),
            "accepted": outcome.accepted,
            "refused": refused.collect::<Map<_, _>>(),
            "unanswered": outcome.unanswered,
            "taking_share": outcome.taking,
            "latency_us": latency.collect::<Map<_, _>>(),
            "lag_max_us": outcome.lag_max.as_secs_f64() * 1e6,
        })
    }
}

/// Appends one line of a table.
pub(crate) fn write_line(name: &str, value: &str, text: &mut String) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{name:<14} {value}");
}

fn name_of(value: impl ValueEnum) -> String {
    value.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}
