// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What lets a server that was killed and started again tell the edges of before at once that their sessions are gone: the
//! stateless reset of QUIC (RFC 9000, section 10.3). It needs secrets that outlast the process, so they come from the private
//! key. Edges would otherwise notice nothing until they have heard nothing for the idle time.

use std::net::SocketAddr;
use std::sync::Arc;

use quinn::EndpointConfig;
use quinn_proto::HashedConnectionIdGenerator;
use ring::hmac::{HMAC_SHA256, Key, sign};

use crate::net::identity::Identity;

/// For the server with this identity at this address. Another address gives other secrets, so that no server can be made to
/// end connections of another one that has the same certificate.
pub fn endpoint_config(identity: &Identity, address: SocketAddr) -> EndpointConfig {
    let private = Key::new(HMAC_SHA256, identity.key.secret_der());
    let secret = |what: &str| sign(&private, format!("splitinfer {what} {address}").as_bytes());
    let reset = Key::new(HMAC_SHA256, secret("reset").as_ref());
    let ids = secret("connection ids");
    let ids = ids.as_ref().iter().take(8);
    let ids = ids.fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    let mut config = EndpointConfig::new(Arc::new(reset));
    config.cid_generator(move || Box::new(HashedConnectionIdGenerator::from_key(ids)));
    config
}
