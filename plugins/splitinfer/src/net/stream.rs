// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A frame's stream, for both sides: reset when it is given up, left to end by itself when it is not.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use quinn::{ReadError, RecvStream, SendStream, VarInt};
use splitinfer_wire::close::stream_code;

/// Taken from a stream at once.
pub const CHUNK: usize = 64 << 10;

/// With which code a stream is reset if the task that owns it is dropped.
#[derive(Clone)]
pub struct ResetCode(Arc<AtomicU32>);

impl ResetCode {
    pub fn set(&self, code: u32) {
        self.0.store(code, Ordering::Relaxed);
    }
}

impl Default for ResetCode {
    fn default() -> Self {
        Self(Arc::new(AtomicU32::new(stream_code::CANCELLED)))
    }
}

/// Both directions of a frame's stream. Dropped before [`Stream::done`] it resets them.
pub struct Stream {
    pub send: SendStream,
    pub recv: RecvStream,
    pub code: ResetCode,
    ended: bool,
}

impl Stream {
    pub fn new((send, recv): (SendStream, RecvStream), code: ResetCode) -> Self {
        Self {
            send,
            recv,
            code,
            ended: false,
        }
    }

    /// What was sent is to arrive.
    pub fn done(mut self) {
        self.ended = true;
    }

    /// Appends what comes next to `bytes`. False at the end of the stream.
    pub async fn read_more(&mut self, bytes: &mut Vec<u8>) -> Result<bool, ReadError> {
        let chunk = self.recv.read_chunk(CHUNK, true).await?;
        if let Some(chunk) = &chunk {
            bytes.extend_from_slice(&chunk.bytes);
        }
        Ok(chunk.is_some())
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if !self.ended {
            let code = VarInt::from_u32(self.code.0.load(Ordering::Relaxed));
            // These fail where a direction has ended already, which is just as well.
            let _ = self.send.reset(code);
            let _ = self.recv.stop(code);
        }
    }
}
