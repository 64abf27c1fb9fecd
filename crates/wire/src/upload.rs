// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A model on its way: cut into chunks here, put together and checked there.

use bytes::{Bytes, BytesMut};
use sha2::{Digest, Sha256};

use crate::limits::{UPLOAD_CHUNK_BYTES, UPLOAD_WINDOW_BYTES};
use crate::message::{Message, Upload};

/// The sending side: one chunk at a time, never more than a window ahead of what was acknowledged.
#[derive(Debug)]
pub(crate) struct Sender {
    model: Bytes,
    sent: u64,
    acknowledged: u64,
    done: bool,
}

impl Sender {
    pub fn new(model: Bytes) -> Self {
        Self {
            model,
            sent: 0,
            acknowledged: 0,
            done: false,
        }
    }

    pub fn total(&self) -> u64 {
        self.model.len() as u64
    }

    pub fn acknowledge(&mut self, received: u64) -> bool {
        let plausible = (self.acknowledged..=self.sent).contains(&received);
        if plausible {
            self.acknowledged = received;
        }
        plausible
    }

    /// The next message to send, if the window has room for it.
    pub fn next_message(&mut self) -> Option<Message> {
        if self.done || self.sent - self.acknowledged >= UPLOAD_WINDOW_BYTES {
            return None;
        }
        let from = self.sent as usize;
        if from == self.model.len() {
            self.done = true;
            return Some(Message::UploadDone);
        }
        let to = self.model.len().min(from + UPLOAD_CHUNK_BYTES);
        self.sent = to as u64;
        Some(Message::Upload(Upload {
            offset: from as u64,
            chunk: self.model.slice(from..to),
        }))
    }
}

/// The receiving side: grows with what has arrived, never with what was announced.
#[derive(Debug)]
pub(crate) struct Receiver {
    size: u64,
    hash: [u8; 32],
    digest: Sha256,
    bytes: BytesMut,
}

impl Receiver {
    pub fn new(size: u64, hash: [u8; 32]) -> Self {
        Self {
            size,
            hash,
            digest: Sha256::new(),
            bytes: BytesMut::new(),
        }
    }

    pub fn received(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Takes the next chunk. The error is a sentence about the peer.
    pub fn push(&mut self, upload: &Upload) -> Result<(), String> {
        if upload.offset != self.received() {
            return Err(format!(
                "Upload at offset {} where {} was due",
                upload.offset,
                self.received()
            ));
        }
        if upload.chunk.is_empty() {
            return Err("Upload without bytes".into());
        }
        if self.received() + upload.chunk.len() as u64 > self.size {
            return Err(format!("Upload beyond the announced {} bytes", self.size));
        }
        self.digest.update(&upload.chunk);
        self.bytes.extend_from_slice(&upload.chunk);
        Ok(())
    }

    /// The whole model, or what is wrong with it.
    pub fn finish(self) -> Result<Bytes, String> {
        if self.received() != self.size {
            return Err(format!(
                "the upload has {} bytes, {} were announced",
                self.received(),
                self.size
            ));
        }
        if self.digest.finalize().as_slice() != self.hash {
            return Err("the uploaded bytes do not have the announced SHA-256".into());
        }
        Ok(self.bytes.freeze())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(bytes: &[u8]) -> [u8; 32] {
        Sha256::digest(bytes).into()
    }

    #[test]
    fn a_model_larger_than_the_window_arrives_whole() {
        let model: Vec<u8> = (0..3 * UPLOAD_WINDOW_BYTES + 5).map(|i| i as u8).collect();
        let mut sender = Sender::new(model.clone().into());
        let mut receiver = Receiver::new(model.len() as u64, hash(&model));
        let mut unacknowledged = 0;
        loop {
            match sender.next_message() {
                Some(Message::Upload(upload)) => {
                    receiver.push(&upload).unwrap();
                    unacknowledged += upload.chunk.len() as u64;
                    assert!(unacknowledged <= UPLOAD_WINDOW_BYTES);
                }
                Some(Message::UploadDone) => break,
                None => {
                    assert!(sender.acknowledge(receiver.received()));
                    unacknowledged = 0;
                }
                Some(other) => panic!("{other:?}"),
            }
        }
        assert!(sender.next_message().is_none());
        assert_eq!(receiver.finish().unwrap(), model);
    }

    #[test]
    fn gaps_excess_and_false_hashes_are_found() {
        let upload = |offset, chunk: &'static [u8]| Upload {
            offset,
            chunk: Bytes::from_static(chunk),
        };
        let mut receiver = Receiver::new(4, hash(b"abcd"));
        assert!(receiver.push(&upload(1, b"b")).is_err());
        assert!(receiver.push(&upload(0, b"")).is_err());
        assert!(receiver.push(&upload(0, b"abcde")).is_err());
        receiver.push(&upload(0, b"ab")).unwrap();
        assert!(receiver.finish().unwrap_err().contains("2 bytes"));
        let mut receiver = Receiver::new(2, hash(b"xy"));
        receiver.push(&upload(0, b"ab")).unwrap();
        assert!(receiver.finish().unwrap_err().contains("SHA-256"));
    }

    #[test]
    fn acknowledgements_of_bytes_never_sent_are_refused() {
        let mut sender = Sender::new(Bytes::from_static(b"abcd"));
        assert!(!sender.acknowledge(1));
        sender.next_message();
        assert!(sender.acknowledge(4));
        assert!(!sender.acknowledge(3));
    }
}
