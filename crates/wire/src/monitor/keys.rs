// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What both sides know from the QUIC session, and how it seals datagrams.

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};

use super::packet::{HEADER_BYTES, TAG_BYTES};

/// For the TLS exporter (RFC 8446, section 7.5), with an empty context.
pub const EXPORTER_LABEL: &[u8] = b"EXPORTER-splitinfer-monitor";
/// Taken from the exporter: the session's identity, the edge's key, the server's key.
pub const EXPORTED_BYTES: usize = 8 + 32 + 32;

/// Names a session in its datagrams. Random to whoever does not know the session, and the same wherever the edge's
/// datagrams come from.
pub type MonitorId = [u8; 8];

/// Identity and keys of one session. `Debug` shows no key.
#[derive(Debug)]
pub struct MonitorKeys {
    id: MonitorId,
    /// Seals probes.
    edge: LessSafeKey,
    /// Seals replies.
    server: LessSafeKey,
}

/// Who sealed a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Edge,
    Server,
}

impl MonitorKeys {
    /// From what the exporter gave; each session gives other bytes, so no nonce is ever used twice with a key.
    pub fn new(exported: &[u8; EXPORTED_BYTES]) -> Self {
        let mut id = MonitorId::default();
        id.copy_from_slice(&exported[..8]);
        Self {
            id,
            edge: key(&exported[8..40]),
            server: key(&exported[40..]),
        }
    }

    pub fn id(&self) -> MonitorId {
        self.id
    }

    fn of(&self, side: Side) -> &LessSafeKey {
        match side {
            Side::Edge => &self.edge,
            Side::Server => &self.server,
        }
    }

    /// Seals `body` after `header`; `None` only where the cipher's own bounds are exceeded.
    pub(super) fn seal(
        &self,
        side: Side,
        number: u32,
        header: &[u8; HEADER_BYTES],
        mut body: Vec<u8>,
    ) -> Option<Vec<u8>> {
        let key = self.of(side);
        key.seal_in_place_append_tag(nonce(number), Aad::from(header), &mut body)
            .ok()?;
        let mut datagram = Vec::with_capacity(HEADER_BYTES + body.len());
        datagram.extend_from_slice(header);
        datagram.extend_from_slice(&body);
        Some(datagram)
    }

    /// The body of a datagram that `side` has sealed, `None` if it has not.
    pub(super) fn open(&self, side: Side, number: u32, datagram: &[u8]) -> Option<Vec<u8>> {
        let (header, sealed) = datagram.split_at_checked(HEADER_BYTES)?;
        let mut body = sealed.to_vec();
        let key = self.of(side);
        key.open_in_place(nonce(number), Aad::from(header), &mut body)
            .ok()?;
        body.truncate(body.len() - TAG_BYTES);
        Some(body)
    }
}

/// # Panics
/// Never: the algorithm takes 32 bytes, and both callers give them.
fn key(bytes: &[u8]) -> LessSafeKey {
    let key = UnboundKey::new(&CHACHA20_POLY1305, bytes);
    LessSafeKey::new(key.expect("32 bytes are a key"))
}

fn nonce(number: u32) -> Nonce {
    let mut nonce = [0; 12];
    nonce[8..].copy_from_slice(&number.to_be_bytes());
    Nonce::assume_unique_for_key(nonce)
}
