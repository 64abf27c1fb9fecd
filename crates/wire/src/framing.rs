// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! From pieces of the control stream to messages.

use bytes::{Buf, BytesMut};

use crate::codec::{DecodeError, Problem, Reader};
use crate::limits::MAX_CONTROL_BYTES;
use crate::message::{MESSAGE_PREFIX_BYTES, Message};

/// Collects bytes until they make a message. Holds at most one unfinished message
/// ([`MAX_CONTROL_BYTES`]) plus what was pushed since messages were last taken.
#[derive(Debug, Default)]
pub struct MessageReader {
    buffer: BytesMut,
}

impl MessageReader {
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole message; `None` when more bytes are needed. Types of later minor versions are
    /// skipped.
    ///
    /// # Errors
    /// The stream is of no more use after an error.
    pub fn next_message(&mut self) -> Result<Option<Message>, DecodeError> {
        while let Some(prefix) = self.buffer.first_chunk::<MESSAGE_PREFIX_BYTES>() {
            let [a, b, c, d, e, f] = *prefix;
            let (len, code) = (u32::from_be_bytes([a, b, c, d]), u16::from_be_bytes([e, f]));
            if len as u64 > MAX_CONTROL_BYTES as u64 {
                let (len, max) = (len.into(), MAX_CONTROL_BYTES as u64);
                let problem = Problem::TooLong { len, max };
                return Err(Reader::error(0, "message length", problem));
            }
            let end = MESSAGE_PREFIX_BYTES + len as usize;
            let Some(body) = self.buffer.get(MESSAGE_PREFIX_BYTES..end) else {
                return Ok(None);
            };
            let message = Message::decode(code, body)?;
            self.buffer.advance(end);
            if message.is_some() {
                return Ok(message);
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_whole_from_single_bytes() {
        let messages = [Message::Ping { id: 7 }, Message::UploadDone];
        let mut reader = MessageReader::default();
        let mut got = Vec::new();
        for message in &messages {
            for byte in message.encode().unwrap() {
                reader.push(&[byte]);
                got.extend(reader.next_message().unwrap());
            }
        }
        assert_eq!(got, messages);
    }

    #[test]
    fn unknown_types_are_skipped() {
        let mut reader = MessageReader::default();
        reader.push(&[0, 0, 0, 3, 0x7f, 0xff, 1, 2, 3]);
        reader.push(&Message::Ping { id: 1 }.encode().unwrap());
        assert_eq!(
            reader.next_message().unwrap(),
            Some(Message::Ping { id: 1 })
        );
        assert_eq!(reader.next_message().unwrap(), None);
    }

    #[test]
    fn fields_of_later_minor_versions_are_ignored() {
        let mut reader = MessageReader::default();
        reader.push(&[0, 0, 0, 10, 0, 8, 0, 0, 0, 0, 0, 0, 0, 5, 0xaa, 0xbb]);
        assert_eq!(
            reader.next_message().unwrap(),
            Some(Message::Ping { id: 5 })
        );
    }

    #[test]
    fn a_length_beyond_the_limit_is_refused_before_its_body_is_awaited() {
        let mut reader = MessageReader::default();
        reader.push(&[0xff, 0xff, 0xff, 0xff, 0, 8]);
        let error = reader.next_message().unwrap_err();
        assert!(matches!(error.problem, Problem::TooLong { .. }));
    }
}
