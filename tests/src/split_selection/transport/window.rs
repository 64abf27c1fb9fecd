// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The congestion window: Cubic, RFC 9438, without pacing; told of a loss as in the element where it is a sign of congestion.

use std::time::Duration;

use splitinfer_wire::LossJudge;

use super::PACKET;

const FIRST: f64 = 10.0 * PACKET;
/// RFC 9002, 7.2.
const LEAST: f64 = 2.0 * PACKET;

#[derive(Clone, Debug)]
pub(super) struct Window {
    /// Bytes that may be under way.
    pub(super) size: f64,
    threshold: f64,
    /// Cubic: the window before the last loss, and when that was.
    before_loss: f64,
    last_loss: Option<Duration>,
    judge: LossJudge,
    /// Something waited for it when last looked at.
    pub(super) limited: bool,
}

impl Default for Window {
    fn default() -> Self {
        Self {
            size: FIRST,
            threshold: f64::INFINITY,
            before_loss: 0.0,
            last_loss: None,
            judge: LossJudge::default(),
            limited: false,
        }
    }
}

impl Window {
    /// So many bytes were acknowledged.
    pub(super) fn grow(&mut self, bytes: f64, rtt: Duration, now: Duration) {
        self.judge.acknowledged(bytes as u64, rtt, now);
        if !self.limited {
            return;
        }
        let Some(last_loss) = self.last_loss else {
            self.size += bytes;
            return;
        };
        if self.size < self.threshold {
            self.size += bytes;
            return;
        }
        let rtt = rtt.as_secs_f64();
        let packets = self.before_loss / PACKET;
        let time = (now - last_loss).as_secs_f64() + rtt;
        let k = (packets * 0.3 / 0.4).cbrt();
        let cubic = (0.4 * (time - k).powi(3) + packets) * PACKET;
        // As Reno would grow, RFC 9438, 4.3.
        let reno = self.before_loss * 0.7 + 0.53 * time / rtt * PACKET;
        let target = cubic.max(reno);
        if target > self.size {
            self.size += ((target - self.size) / self.size * bytes).min(bytes / 2.0);
        }
    }

    /// So many bytes are lost, the newest of them sent then: of those sent before the last reduction it is no news.
    pub(super) fn lost(&mut self, bytes: u64, sent_at: Duration, now: Duration) {
        self.judge.lost(bytes);
        if !self.judge.is_congested() || self.last_loss.is_some_and(|last| sent_at <= last) {
            return;
        }
        self.before_loss = self.size;
        self.size = (self.size * 0.7).max(LEAST);
        self.threshold = self.size;
        self.last_loss = Some(now);
    }

    /// Persistent congestion, RFC 9002, 7.6.
    pub(super) fn collapse(&mut self) {
        self.size = LEAST;
        self.last_loss = None;
        self.threshold = self.threshold.min(self.before_loss.max(LEAST));
    }
}
