// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Control messages that wait for the driver to write them.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::codec::EncodeError;
use crate::message::Message;

/// A peer that makes us answer but does not read the answers may not fill our memory.
const MAX_WAITING: usize = 256;

#[derive(Debug, Default)]
pub(crate) struct Outbox {
    waiting: VecDeque<Bytes>,
}

impl Outbox {
    /// # Errors
    /// When the message holds something beyond its bound.
    pub fn push(&mut self, message: &Message) -> Result<(), EncodeError> {
        self.waiting.push_back(message.encode()?.into());
        Ok(())
    }

    /// Whether more waits than a peer that reads would leave.
    pub fn overflows(&self) -> bool {
        self.waiting.len() > MAX_WAITING
    }

    pub fn clear(&mut self) {
        self.waiting.clear();
    }

    pub fn pop(&mut self) -> Option<Bytes> {
        self.waiting.pop_front()
    }
}
