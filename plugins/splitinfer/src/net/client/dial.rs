// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! One attempt to reach one server: name, address, handshake; and in words why it failed.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use quinn::{Connection, ConnectionError, Endpoint};
use rustls::pki_types::ServerName;
use tokio::task::JoinSet;

use crate::net::address::ServerAddress;
use crate::net::transport;
use crate::net::trust::{Complaint, Verified};

/// For the resolver, and for the handshake with each address.
const LIMIT: Duration = Duration::from_secs(2);

/// How long an address is tried alone.
const HEAD_START: Duration = Duration::from_millis(250);

/// Addresses of one name that are tried.
const MOST_ADDRESSES: usize = 4;

/// Why a server was not reached.
#[derive(Debug, PartialEq, Eq)]
pub struct DialError {
    pub text: String,
    /// Whether the same attempt would fail again until someone changes something.
    pub fatal: bool,
}

/// A connection whose handshake is done.
pub struct Dialled {
    pub endpoint: Endpoint,
    pub connection: Connection,
}

/// Tries the addresses of one server: the next one as soon as one has failed or kept silent for [`HEAD_START`], as a
/// name may stand for an address at which nobody listens (RFC 8305).
pub async fn dial(server: &ServerAddress, trust: &Verified) -> Result<Dialled, DialError> {
    let addresses = server.resolve(LIMIT).await.map_err(|e| DialError {
        text: e.to_string(),
        fatal: false,
    })?;
    let mut waiting = addresses.into_iter().take(MOST_ADDRESSES);
    let mut attempts = JoinSet::new();
    let mut failure = None;
    loop {
        let next = waiting.next();
        let more = next.is_some();
        if let Some(address) = next {
            attempts.spawn(connect(server.clone(), address, trust.clone()));
        }
        let ended = tokio::select! {
            ended = attempts.join_next() => ended,
            () = tokio::time::sleep(HEAD_START), if more => continue,
        };
        match ended {
            Some(Ok(Ok(dialled))) => return Ok(dialled),
            Some(Ok(Err(e))) => note(&mut failure, e),
            Some(Err(_)) => {}
            None if more => {}
            None => break,
        }
    }
    Err(failure.unwrap_or_else(|| DialError {
        text: format!("'{server}' has no address"),
        fatal: false,
    }))
}

/// A refusal says more than the silence of another address of the same machine.
fn note(so_far: &mut Option<DialError>, new: DialError) {
    if so_far.as_ref().is_none_or(|old| new.fatal || !old.fatal) {
        *so_far = Some(new);
    }
}

async fn connect(
    server: ServerAddress,
    address: SocketAddr,
    trust: Verified,
) -> Result<Dialled, DialError> {
    let server = &server;
    let fatal = |text: String| DialError { text, fatal: true };
    let passing = |text: String| DialError { text, fatal: false };
    trust.allows(address.ip()).map_err(fatal)?;
    let (config, complaint) = trust
        .client_config(transport::of_edge())
        .map_err(|e| fatal(e.to_string()))?;
    let local: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let endpoint = Endpoint::client(local)
        .map_err(|e| passing(format!("no UDP socket for {server} can be opened: {e}")))?;
    let connecting = endpoint
        .connect_with(config, address, tls_name(server))
        .map_err(|e| passing(format!("{server} ({address}) cannot be reached: {e}")))?;
    match tokio::time::timeout(LIMIT, connecting).await {
        Ok(Ok(connection)) => Ok(Dialled {
            endpoint,
            connection,
        }),
        Ok(Err(e)) => Err(explain(server, &e, &complaint)),
        Err(_) => Err(passing(format!("{server} does not answer"))),
    }
}

/// What the certificate is checked against with `ca-file`. Names that no certificate can bear (with an underscore, for
/// instance) still reach servers that are known by their fingerprint.
fn tls_name(server: &ServerAddress) -> &str {
    if ServerName::try_from(server.host.as_str()).is_ok() {
        &server.host
    } else {
        "name.invalid"
    }
}

/// Alerts of RFC 8446 that a server sends for want of an acceptable client certificate.
const CLIENT_CERTIFICATE_ALERTS: [u64; 6] = [42, 43, 44, 45, 46, 48];
const CERTIFICATE_REQUIRED: u64 = 116;
const NO_APPLICATION_PROTOCOL: u64 = 120;

/// The alert in a QUIC error code (RFC 9001, section 4.8).
fn alert(code: quinn::TransportErrorCode) -> Option<u64> {
    let code = u64::from(code);
    (0x100..0x200).contains(&code).then_some(code & 0xff)
}

/// A connection error in words. Faults that somebody must repair are fatal.
pub fn explain(
    server: &ServerAddress,
    error: &ConnectionError,
    complaint: &Complaint,
) -> DialError {
    let (alert, detail) = match error {
        ConnectionError::TransportError(e) => (alert(e.code), e.to_string()),
        ConnectionError::ConnectionClosed(e) => (alert(e.error_code), e.to_string()),
        ConnectionError::VersionMismatch => {
            let text = format!("{server} does not speak QUIC version 1");
            return DialError { text, fatal: true };
        }
        ConnectionError::TimedOut => {
            let text = format!("{server} does not answer");
            return DialError { text, fatal: false };
        }
        other => (None, other.to_string()),
    };
    if let Some(complaint) = complaint.take() {
        let text = format!("{server} is not trusted: {complaint}");
        return DialError { text, fatal: true };
    }
    let text = match alert {
        Some(CERTIFICATE_REQUIRED) => format!(
            "{server} asks edges for a certificate: set certificate-file and private-key-file"
        ),
        Some(a) if CLIENT_CERTIFICATE_ALERTS.contains(&a) => format!(
            "{server} does not accept this edge's certificate ({detail}): certificate-file must be signed by the \
             authority in the server's client-ca-file"
        ),
        Some(NO_APPLICATION_PROTOCOL) => format!(
            "what listens at {server} is not a splitinfer-server of this major version ({detail})"
        ),
        Some(_) => format!("the TLS handshake with {server} failed: {detail}"),
        None => format!("connection to {server} failed: {detail}"),
    };
    DialError {
        text,
        fatal: alert.is_some(),
    }
}
