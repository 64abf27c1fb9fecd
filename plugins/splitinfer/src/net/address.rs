// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! `host:port` lists as users write them.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

/// One server as the user named it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServerAddress {
    /// A name or an address, without brackets.
    pub host: String,
    pub port: u16,
}

/// Why a server address cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error("no server is named: write host:port")]
    Empty,
    #[error("'{0}' has no port: write host:port, for instance {0}:5050")]
    NoPort(String),
    #[error("'{port}' in '{whole}' is not a port: use a number from 1 to 65535")]
    BadPort { whole: String, port: String },
    #[error("'{0}' is not host:port; an IPv6 address stands in brackets, as in [2001:db8::1]:5050")]
    BadHost(String),
    #[error("the name '{host}' cannot be resolved: {reason}")]
    Unresolved { host: String, reason: String },
}

impl FromStr for ServerAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(AddressError::Empty);
        }
        let bad_host = || AddressError::BadHost(text.to_owned());
        let (host, port) = if let Some(rest) = text.strip_prefix('[') {
            let (host, rest) = rest.split_once(']').ok_or_else(bad_host)?;
            if host.parse::<std::net::Ipv6Addr>().is_err() {
                return Err(bad_host());
            }
            match rest.strip_prefix(':') {
                Some(port) => (host, port),
                None if rest.is_empty() => return Err(AddressError::NoPort(text.to_owned())),
                None => return Err(bad_host()),
            }
        } else {
            let (host, port) = text
                .split_once(':')
                .ok_or_else(|| AddressError::NoPort(text.to_owned()))?;
            if port.contains(':') {
                return Err(bad_host());
            }
            (host, port)
        };
        if host.is_empty() || host.contains(|c: char| c.is_whitespace() || "/@?#".contains(c)) {
            return Err(bad_host());
        }
        match port.parse() {
            Ok(number) if number != 0 => Ok(Self {
                host: host.to_owned(),
                port: number,
            }),
            _ => Err(AddressError::BadPort {
                whole: text.to_owned(),
                port: port.to_owned(),
            }),
        }
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl ServerAddress {
    /// Several, comma separated.
    ///
    /// # Errors
    /// For the first one that is not `host:port`, or when there is none.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, AddressError> {
        text.split(',').map(str::parse).collect()
    }

    /// The addresses the name stands for; asks the system's resolver unless it is an address already.
    ///
    /// # Errors
    /// When it has none, or the resolver takes longer than `limit`.
    pub async fn resolve(&self, limit: Duration) -> Result<Vec<SocketAddr>, AddressError> {
        if let Ok(ip) = self.host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, self.port)]);
        }
        let unresolved = |reason: String| AddressError::Unresolved {
            host: self.host.clone(),
            reason,
        };
        let lookup = tokio::net::lookup_host((self.host.as_str(), self.port));
        let found: Vec<_> = tokio::time::timeout(limit, lookup)
            .await
            .map_err(|_| unresolved(format!("no answer within {limit:?}")))?
            .map_err(|e| unresolved(e.to_string()))?
            .collect();
        if found.is_empty() {
            return Err(unresolved("it has no address".to_owned()));
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_addresses_and_lists_are_read() {
        let list =
            ServerAddress::parse_list("edge.example:5050, 192.0.2.7:1 ,[::1]:65535").unwrap();
        let shown: Vec<_> = list.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["edge.example:5050", "192.0.2.7:1", "[::1]:65535"]);
        assert_eq!(list[2].host, "::1");
    }

    #[test]
    fn what_is_wrong_with_an_address_is_said() {
        for (text, hint) in [
            ("", "host:port"),
            ("a:1,,b:2", "host:port"),
            ("server", "server:5050"),
            ("server:0", "65535"),
            ("server:66000", "65535"),
            ("server:http", "'http'"),
            (":5050", "not host:port"),
            ("::1:5050", "brackets"),
            ("[::1]", "no port"),
            ("[nonsense]:1", "brackets"),
            ("quic://server:1", "not host:port"),
            ("a b:1", "not host:port"),
        ] {
            let e = ServerAddress::parse_list(text).unwrap_err().to_string();
            assert!(e.contains(hint), "{text:?} gave: {e}");
        }
    }
}
