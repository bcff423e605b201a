//! Addresses as the original's configuration writes them: `tcp@127.0.0.1:7316`, `stream@/path`.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::PathBuf;
use std::str::FromStr;

/// Longest path of a UNIX socket.
const PATH_BYTES_MAX: usize = 107;

/// Where a service listens or is reached.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Address {
    /// `tcp@`
    Tcp(SocketAddr),
    /// `udp@`
    Udp(SocketAddr),
    /// `stream@`: UNIX stream.
    Stream(PathBuf),
    /// `dgram@`: UNIX datagram.
    Datagram(PathBuf),
    /// `seqpacket@`: UNIX sequenced packets.
    Packet(PathBuf),
}

/// A text that is no address.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("\"{text}\" is not an address: {problem}")]
pub struct AddressError {
    /// As given.
    pub text: String,
    /// What is wrong, and what would be right.
    pub problem: &'static str,
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Address, AddressError> {
        let refused = |problem| AddressError { text: text.to_owned(), problem };
        let (kind, place) = text
            .split_once('@')
            .ok_or(refused("write TYPE@PLACE, such as tcp@127.0.0.1:7316 or stream@/run/x.sock"))?;
        let kind = kind.to_ascii_lowercase();
        match kind.as_str() {
            "tcp" => Ok(Address::Tcp(internet(place).map_err(refused)?)),
            "udp" => Ok(Address::Udp(internet(place).map_err(refused)?)),
            "stream" => Ok(Address::Stream(path(place).map_err(refused)?)),
            "dgram" => Ok(Address::Datagram(path(place).map_err(refused)?)),
            "seqpacket" => Ok(Address::Packet(path(place).map_err(refused)?)),
            _ => Err(refused("the type is one of tcp, udp, stream, dgram, seqpacket")),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => write!(formatter, "tcp@{address}"),
            Address::Udp(address) => write!(formatter, "udp@{address}"),
            Address::Stream(path) => write!(formatter, "stream@{}", path.display()),
            Address::Datagram(path) => write!(formatter, "dgram@{}", path.display()),
            Address::Packet(path) => write!(formatter, "seqpacket@{}", path.display()),
        }
    }
}

fn internet(place: &str) -> Result<SocketAddr, &'static str> {
    let (host, port) = place.rsplit_once(':').ok_or("the port is missing, as in 127.0.0.1:7316")?;
    let host: Ipv4Addr = host.parse().map_err(|_| "the host is a numeric IPv4 address")?;
    let port = number(port).ok_or("the port is a number from 0 to 65535")?;
    Ok(SocketAddr::V4(SocketAddrV4::new(host, port)))
}

/// A port as C's base-0 number parser reads it: decimal, `0x` hexadecimal, leading 0 octal.
fn number(text: &str) -> Option<u16> {
    let lower = text.to_ascii_lowercase();
    if let Some(digits) = lower.strip_prefix("0x") {
        return u16::from_str_radix(digits, 16).ok();
    }
    match lower.strip_prefix('0') {
        Some(digits) if !digits.is_empty() => u16::from_str_radix(digits, 8).ok(),
        _ => lower.parse().ok(),
    }
}

fn path(place: &str) -> Result<PathBuf, &'static str> {
    if place.is_empty() || place.len() > PATH_BYTES_MAX {
        return Err("the path has 1 to 107 bytes");
    }
    Ok(PathBuf::from(place))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_originals_forms_are_read() {
        for (text, shown) in [
            ("tcp@127.0.0.1:7316", "tcp@127.0.0.1:7316"),
            ("TCP@0.0.0.0:0x1c94", "tcp@0.0.0.0:7316"),
            ("udp@127.0.0.1:016224", "udp@127.0.0.1:7316"),
            ("stream@/run/a.sock", "stream@/run/a.sock"),
            ("dgram@/run/a.sock", "dgram@/run/a.sock"),
            ("SeqPacket@/run/a.sock", "seqpacket@/run/a.sock"),
            ("tcp@127.0.0.1:0", "tcp@127.0.0.1:0"),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn errors_say_what_would_be_right() {
        for (text, part) in [
            ("127.0.0.1:7316", "TYPE@PLACE"),
            ("http@127.0.0.1:1", "one of tcp"),
            ("tcp@localhost:1", "numeric IPv4"),
            ("tcp@127.0.0.1", "port is missing"),
            ("tcp@127.0.0.1:65536", "0 to 65535"),
            ("stream@", "1 to 107"),
        ] {
            let error = text.parse::<Address>().unwrap_err().to_string();
            assert!(error.contains(part) && error.contains(text), "{error}");
        }
        assert!(format!("stream@/{}", "x".repeat(107)).parse::<Address>().is_err());
    }
}
