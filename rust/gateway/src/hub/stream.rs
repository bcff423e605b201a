//! The stream, the protocol for new clients: what a connection to `/v1/stream` may say.
//!
//! Requests and answers look as the original's; what is told is numbered, see [`super::numbered`].

use std::collections::HashSet;

use viabtc_wire::envelope::read_envelope;
use viabtc_wire::json::{Rules, Value, read_array, read_object, write_string};
use viabtc_wire::methods::ErrorCode;
use viabtc_wire::reply::{write_error, write_success};

use super::desk::Desk;
use super::numbered::Standing;
use super::topics::Family;

/// Where a client connects to speak it.
pub const STREAM_PATH: &str = "/v1/stream";

/// What a request may look like.
const RULES: Rules = Rules { depth_max: 16, has_unique_keys: true };

/// Longest text of a request: a token, or a name.
const TEXT_BYTES_MAX: usize = 4_096;

/// Most parameters of a request.
const PARAMS_MAX: usize = 32;

/// Longest part of a channel's name, as of a market's or asset's.
const PART_BYTES_MAX: usize = 15;

const PUBLIC: Family = Family { number: 9, is_private: false, is_reported: true };
const PRIVATE: Family = Family { number: 10, is_private: true, is_reported: true };

/// A kind of channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Channel {
    /// Its name with the names of its parameters, colons between.
    pub form: &'static str,
    /// Whether it shows what belongs to the connection's user.
    pub is_private: bool,
    /// Whether a reader who is behind may get the whole in the place of what he has not read.
    pub is_conflated: bool,
    /// What it tells.
    pub summary: &'static str,
}

const fn channel(form: &'static str, summary: &'static str) -> Channel {
    Channel { form, is_private: false, is_conflated: true, summary }
}

/// All of them.
pub const CHANNELS: [Channel; 7] = [
    Channel {
        is_conflated: false,
        ..channel("trades:MARKET", "Each deal of a market; the snapshot holds the last hundred.")
    },
    channel("book:MARKET", "The best hundred levels of both sides, with a checksum."),
    channel("bbo:MARKET", "The best bid and the best offer."),
    channel("candles:MARKET:INTERVAL", "The newest candles of an interval in seconds."),
    channel("ticker:MARKET", "Figures of the last 24 hours."),
    Channel {
        is_private: true,
        ..channel("orders:MARKET", "The user's newest hundred open orders in a market.")
    },
    Channel { is_private: true, ..channel("balances", "All balances of the user.") },
];

/// Why a request is refused: a code of the original's, and what is wrong.
type Refused = (ErrorCode, String);

/// Serves a message of a connection.
pub(super) fn message(desk: &mut Desk<'_>, payload: &[u8]) {
    let mut body = Vec::new();
    let envelope = match read_envelope(payload, RULES) {
        Ok(envelope) => envelope,
        Err(none) => {
            let problem = "a request is {\"id\": INTEGER, \"method\": TEXT, \"params\": ARRAY}, at most \
                16 levels deep, with no member twice";
            write_error(ErrorCode::InvalidArgument as i32, problem, none.id, &mut body);
            return desk.send(&body);
        }
    };
    let params = read_array(envelope.params.as_bytes()).unwrap_or_default();
    let served = check_size(&envelope.method, &params).and_then(|()| match &*envelope.method {
        "subscribe" => subscribe(desk, &params).map(Some),
        "unsubscribe" => unsubscribe(desk, &params).map(|()| Some(Vec::new())),
        "auth" => authenticate(desk, envelope.id, &params, envelope.params).map(|()| None),
        "ping" => Ok(Some(Vec::new())),
        other => {
            let problem = format!("no method \"{other}\": subscribe, unsubscribe, auth or ping");
            Err((ErrorCode::MethodNotFound, problem))
        }
    });
    let begun = match served {
        Ok(Some(begun)) => {
            write_success(envelope.id, &mut body, |out| {
                let result = if envelope.method == "ping" { "pong" } else { "success" };
                write_string(result, out);
            });
            begun
        }
        Ok(None) => return,
        Err((code, problem)) => {
            write_error(code as i32, &problem, Some(envelope.id), &mut body);
            Vec::new()
        }
    };
    desk.send(&body);
    // The answer goes before what a newcomer gets.
    for (topic, standing) in begun {
        desk.welcome_to(&topic, standing);
    }
}

/// Refuses what is longer, or more, than any request needs.
fn check_size(method: &str, params: &[Value<'_>]) -> Result<(), Refused> {
    if params.len() > PARAMS_MAX {
        let given = params.len();
        return Err(wrong(&format!("at most {PARAMS_MAX}, and these are {given}")));
    }
    let is_long = |text: &str| text.len() > TEXT_BYTES_MAX;
    let has_long = |value: &Value<'_>| matches!(value, Value::Text(text) if is_long(text));
    let is_too_long = is_long(method)
        || params.iter().any(|param| match param {
            Value::Object(text) => {
                read_object(text).iter().any(|(key, value)| is_long(key) || has_long(value))
            }
            value => has_long(value),
        });
    if is_too_long {
        let problem = "a text of a request has at most 4,096 bytes".to_owned();
        return Err((ErrorCode::InvalidArgument, problem));
    }
    Ok(())
}

type Begun = Vec<(String, Option<Standing>)>;

/// Subscribes to all that is asked for, or to nothing.
fn subscribe(desk: &mut Desk<'_>, params: &[Value<'_>]) -> Result<Begun, Refused> {
    let user = desk.user();
    let wanted = params.iter().map(|param| match param {
        Value::Text(channel) => Ok((find(channel, user)?, None)),
        Value::Object(text) => {
            let members = read_object(text);
            let find_member =
                |name: &str| members.iter().find(|(key, _)| key == name).map(|(_, value)| value);
            let (channel, stream, after) =
                (find_member("channel"), find_member("stream"), find_member("after"));
            let (
                Some(Value::Text(channel)),
                Some(Value::Text(stream)),
                Some(Value::Integer(after)),
            ) = (channel, stream, after)
            else {
                return Err(wrong("{\"channel\": TEXT, \"stream\": TEXT, \"after\": INTEGER}"));
            };
            // What this server never said is no standing: it is answered with the whole.
            let standing = u64::from_str_radix(stream, 16).ok().zip(u64::try_from(*after).ok());
            let standing = standing.map(|(stream, after)| Standing { stream, after });
            Ok((find(channel, user)?, standing))
        }
        _ => Err(wrong("channels: texts, or objects to go on from where one stood")),
    });
    let wanted = wanted.collect::<Result<Vec<_>, Refused>>()?;
    // What is subscribed to already, or named twice, costs nothing more.
    let names: HashSet<&str> = wanted.iter().map(|((topic, _), _)| topic.as_str()).collect();
    let new = names.into_iter().filter(|topic| !desk.is_subscribed(topic)).count();
    if new > desk.subscriptions_left() {
        let most = desk.subscriptions_max();
        let problem = format!("a connection may have {most} subscriptions");
        return Err((ErrorCode::InvalidArgument, problem));
    }
    for ((topic, family), _) in &wanted {
        desk.subscribe(topic, *family);
    }
    Ok(wanted.into_iter().map(|((topic, _), standing)| (topic, standing)).collect())
}

fn unsubscribe(desk: &mut Desk<'_>, params: &[Value<'_>]) -> Result<(), Refused> {
    let user = desk.user();
    let topics = params.iter().map(|param| match param {
        Value::Text(channel) => Ok(find(channel, user)?.0),
        _ => Err(wrong("channels, as texts")),
    });
    for topic in topics.collect::<Result<Vec<_>, Refused>>()? {
        desk.leave_topic(&topic);
    }
    Ok(())
}

fn authenticate(
    desk: &mut Desk<'_>,
    id: i64,
    params: &[Value<'_>],
    text: &str,
) -> Result<(), Refused> {
    let [Value::Text(_)] = params else { return Err(wrong("one token, as text")) };
    if desk.request(id, "auth", text) {
        Ok(())
    } else {
        Err((ErrorCode::ServiceUnavailable, "too many wait for authentication".to_owned()))
    }
}

fn wrong(expected: &str) -> Refused {
    (ErrorCode::InvalidArgument, format!("the parameters are {expected}"))
}

/// The topic of a channel, `v1 CHANNEL` or `v1 CHANNEL USER`.
fn find(name: &str, user: Option<u32>) -> Result<(String, Family), Refused> {
    let parts = || name.split(':');
    let has_form = |channel: &&Channel| {
        let mut forms = channel.form.split(':');
        forms.next() == parts().next() && forms.count() + 1 == parts().count()
    };
    let Some(channel) = CHANNELS.iter().find(has_form) else {
        let forms = CHANNELS.map(|channel| channel.form).join(", ");
        let problem = format!("no channel \"{name}\": there are {forms}");
        return Err((ErrorCode::InvalidArgument, problem));
    };
    let is_part = |part: &str| {
        let is_plain = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
        (1..=PART_BYTES_MAX).contains(&part.len()) && part.bytes().all(is_plain)
    };
    if !parts().skip(1).all(is_part) {
        let problem = format!("\"{name}\": names are of 1 to {PART_BYTES_MAX} visible characters");
        return Err((ErrorCode::InvalidArgument, problem));
    }
    let interval = (channel.form.ends_with(":INTERVAL")).then(|| parts().next_back()).flatten();
    if interval.is_some_and(|text| !text.parse::<u32>().is_ok_and(|seconds| seconds > 0)) {
        let problem = format!("\"{name}\": the interval is a number of seconds");
        return Err((ErrorCode::InvalidArgument, problem));
    }
    match (channel.is_private, user) {
        (false, _) => Ok((format!("v1 {name}"), PUBLIC)),
        (true, Some(user)) => Ok((format!("v1 {name} {user}"), PRIVATE)),
        (true, None) => {
            Err((ErrorCode::RequireAuthentication, format!("\"{name}\" needs auth before it")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_has_a_topic_or_a_reason() {
        for (name, user, topic) in [
            ("trades:BTCUSDT", None, "v1 trades:BTCUSDT"),
            ("candles:BTCUSDT:60", Some(7), "v1 candles:BTCUSDT:60"),
            ("orders:BTCUSDT", Some(7), "v1 orders:BTCUSDT 7"),
            ("balances", Some(7), "v1 balances 7"),
        ] {
            assert_eq!(find(name, user).unwrap().0, topic);
        }
        for (name, code, problem) in [
            ("deals:BTCUSDT", ErrorCode::InvalidArgument, "there are trades:MARKET, book:MARKET"),
            ("trades", ErrorCode::InvalidArgument, "no channel \"trades\""),
            ("trades:", ErrorCode::InvalidArgument, "visible characters"),
            ("trades:A B", ErrorCode::InvalidArgument, "visible characters"),
            ("trades:0123456789abcdef", ErrorCode::InvalidArgument, "visible characters"),
            ("candles:BTCUSDT:0", ErrorCode::InvalidArgument, "number of seconds"),
            ("candles:BTCUSDT:1m", ErrorCode::InvalidArgument, "number of seconds"),
            ("balances", ErrorCode::RequireAuthentication, "needs auth"),
        ] {
            let (found, text) = find(name, None).unwrap_err();
            assert!(found == code && text.contains(problem), "{name}: {text}");
        }
    }
}
