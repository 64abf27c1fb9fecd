// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! New weights between the edge and its server.

use std::time::Instant;

use bytes::Bytes;

use super::{EdgeEvent, EdgeSession, EdgeState};
use crate::codec::truncated;
use crate::limits::MAX_TEXT_BYTES;
use crate::message::{Message, WeightsCode, WeightsRefuse};
use crate::weights::limit;

impl EdgeSession {
    /// Whether updates of the weights can be sent now: the session is open, and the server knows of them.
    pub fn takes_weights(&self) -> bool {
        self.state == EdgeState::Ready
            && self
                .welcome
                .as_ref()
                .is_some_and(|w| w.version.has_weights())
    }

    /// Sends an update of the weights, in place of one that is on its way. `rate`: at most so many bytes a second; 0: as
    /// many as go. Gives rise to one `WeightsEvent::Ready`, `Refused` or `Unanswered`, unless another one replaces it or
    /// the session ends. False when [`takes_weights`](Self::takes_weights) is.
    pub fn offer_weights(&mut self, now: Instant, version: u64, update: Bytes, rate: u64) -> bool {
        let possible = self.takes_weights();
        if possible {
            let patience = self.timing.weights;
            let offer = self.weights.offer(now, version, update, rate, patience);
            self.send(&offer);
        }
        possible
    }

    /// Answers `WeightsEvent::Received`: frames may use this version.
    pub fn weights_ready(&mut self, version: u64) {
        if self.takes_weights() {
            self.send(&Message::WeightsReady { version });
        }
    }

    /// Answers `WeightsEvent::Received`: the update is not taken; `text` says why.
    pub fn refuse_weights(&mut self, version: u64, code: WeightsCode, text: &str) {
        if self.takes_weights() {
            let text = truncated(text, MAX_TEXT_BYTES).to_owned();
            self.send(&Message::WeightsRefuse(WeightsRefuse {
                version,
                code,
                text,
            }));
        }
    }

    /// No frame of a version below this one will be sent any more.
    pub fn retire_weights(&mut self, below: u64) {
        if self.takes_weights() {
            self.send(&Message::WeightsRetire { below });
        }
    }

    pub(super) fn about_weights(&mut self, now: Instant, message: Message) {
        let patience = self.timing.weights;
        match self
            .weights
            .handle(now, message, limit(self.hello.model_size), patience)
        {
            Ok(reaction) => {
                if let Some(answer) = &reaction.answer {
                    self.send(answer);
                }
                self.events.extend(reaction.event.map(EdgeEvent::Weights));
                self.send_weights(now);
            }
            Err(text) => self.protocol_error(text),
        }
    }

    /// Sends what is due of an update, and gives it up when the server has said nothing for too long.
    pub(super) fn send_weights(&mut self, now: Instant) {
        if self.state != EdgeState::Ready {
            return;
        }
        while let Some(piece) = self.weights.next_piece(now) {
            self.send(&piece);
        }
        let given_up = self.weights.give_up(now);
        self.events.extend(given_up.map(EdgeEvent::Weights));
    }
}
