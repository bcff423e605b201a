//! The request object of JSON-RPC over HTTP: `{"method": string, "params": array, "id": integer}`.

use std::borrow::Cow;

use crate::json::{Rules, Value, scan_object};

/// A request; the parameters stay text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Envelope<'a> {
    /// As given.
    pub method: Cow<'a, str>,
    /// A JSON array's text.
    pub params: &'a str,
    /// Echoed in the answer.
    pub id: i64,
}

/// A body that is no request; its id, when it has one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoEnvelope {
    /// For the answer.
    pub id: Option<i64>,
}

/// Reads a request; other members are ignored, and of duplicates the last counts where they may be.
///
/// # Errors
/// When the body is no JSON object as `rules` want it, or `id`, `method` or `params` are missing or of
/// another type.
pub fn read_envelope(body: &[u8], rules: Rules) -> Result<Envelope<'_>, NoEnvelope> {
    let (mut method, mut params, mut id) = (None, None, None);
    let scanned = scan_object(body, rules, &mut |key, value| match (&*key, value) {
        ("method", Value::Text(text)) => method = Some(text),
        ("method", _) => method = None,
        ("params", Value::Array(text)) => params = Some(text),
        ("params", _) => params = None,
        ("id", Value::Integer(number)) => id = Some(number),
        ("id", _) => id = None,
        _ => {}
    });
    match (scanned, method, params, id) {
        (Ok(()), Some(method), Some(params), Some(id)) => Ok(Envelope { method, params, id }),
        (Ok(()), ..) => Err(NoEnvelope { id }),
        (Err(_), ..) => Err(NoEnvelope { id: None }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_come_in_any_order_and_the_last_duplicate_counts() {
        let body = br#" {"id": 1, "x": {"id": 9}, "params": [1, "[]"], "method": "a", "id": -7, "method": "b.c"} "#;
        let envelope = read_envelope(body, Rules::ORIGINAL).unwrap();
        assert_eq!((&*envelope.method, envelope.params, envelope.id), ("b.c", "[1, \"[]\"]", -7));
    }

    #[test]
    fn rules_bound_the_depth_and_refuse_what_stands_twice() {
        let rules = Rules { depth_max: 3, has_unique_keys: true };
        for (params, is_taken) in [
            ("[[1]]", true),
            ("[[[1]]]", false),
            (r#"[{"a": 1, "b": 1}]"#, true),
            (r#"[{"a": 1, "\u0061": 1}]"#, false),
            (r#"[1], "params": [2]"#, false),
            (r#"[1], "more": {"id": 1}"#, true),
        ] {
            let body = format!(r#"{{"method": "a", "id": 1, "params": {params}}}"#);
            assert_eq!(read_envelope(body.as_bytes(), rules).is_ok(), is_taken, "{body}");
            assert!(read_envelope(body.as_bytes(), Rules::ORIGINAL).is_ok(), "{body}");
        }
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for body in [
            "",
            "[]",
            "1",
            "{",
            "{}",
            r#"{"method": "a", "params": []}"#,
            r#"{"method": "a", "params": {}, "id": 1}"#,
            r#"{"method": 1, "params": [], "id": 1}"#,
            r#"{"method": "a", "params": [], "id": 1.0}"#,
            r#"{"method": "a", "params": [], "id": "1"}"#,
            r#"{"method": "a", "params": [], "id": null}"#,
            r#"{"method": "a", "params": [], "id": 1} x"#,
            r#"{"method": "a", "params": [], "id": 9223372036854775808}"#,
            r#"{"method": "a", "params": [], "id": 1, "id": "2"}"#,
            r#"[{"method": "a", "params": [], "id": 1}]"#,
        ] {
            assert!(read_envelope(body.as_bytes(), Rules::ORIGINAL).is_err(), "{body}");
        }
        assert_eq!(read_envelope(br#"{"id": 5}"#, Rules::ORIGINAL).unwrap_err().id, Some(5));
    }
}
