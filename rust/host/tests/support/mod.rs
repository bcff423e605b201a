//! Reads the recordings, and compares texts as their README says.

use std::path::PathBuf;

use serde_json::Value;

/// Scenarios of the engine.
pub const SCENARIOS: [&str; 9] = [
    "balances", "limits", "markets", "flow-00", "flow-01", "flow-02", "flow-03", "flow-10",
    "flow-11",
];

/// A file of the recordings.
pub fn golden(file: &str) -> String {
    let path = golden_path(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Whether there is such a file: topics without a message have none.
pub fn has_golden(file: &str) -> bool {
    golden_path(file).exists()
}

fn golden_path(file: &str) -> PathBuf {
    let shared = std::env::var("VIABTC_SHARED").map_or_else(
        |_| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    shared.join("golden").join(file)
}

/// Times are not compared, number texts are compared by value, key order counts.
pub fn assert_same(ours: &Value, theirs: &Value, path: &str) {
    match (ours, theirs) {
        (Value::Object(a), Value::Object(b)) => {
            assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>(), "{path}");
            for (key, value) in a {
                if key == "ctime" || key == "mtime" {
                    assert!(value.is_f64() && b[key].is_f64(), "{path}.{key}");
                } else {
                    assert_same(value, &b[key], &format!("{path}.{key}"));
                }
            }
        }
        (Value::Array(a), Value::Array(b)) => {
            assert_eq!(a.len(), b.len(), "{path}");
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                assert_same(a, b, &format!("{path}[{index}]"));
            }
        }
        (Value::String(a), Value::String(b)) if a != b => {
            assert_eq!(number(a), number(b), "{path}: {a} is not {b}");
            assert!(!a.contains('e'), "{path}: {a} is not in plain notation");
        }
        _ => assert_eq!(ours, theirs, "{path}"),
    }
}

/// Sign, significant digits and exponent of a decimal text.
fn number(text: &str) -> Option<(bool, String, i32)> {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (digits, exponent) = rest.split_once('e').unwrap_or((rest, "0"));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all = format!("{whole}{fraction}");
    if all.is_empty() || !all.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let mut exponent = exponent.parse::<i32>().ok()? - fraction.len() as i32;
    let mut significant = all.trim_start_matches('0');
    while let Some(shorter) = significant.strip_suffix('0') {
        significant = shorter;
        exponent += 1;
    }
    if significant.is_empty() {
        return Some((false, String::new(), 0));
    }
    Some((sign, significant.to_owned(), exponent))
}
