// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! One frame on its own stream: header and payload out, result back.

use std::time::Duration;

use bytes::Bytes;
use quinn::{Connection, SendStream, WriteError};
use splitinfer_wire::ResultHeader;

use crate::net::stream::{ResetCode, Stream};

/// Of an attachment at once, where it has a rate.
const PIECE: usize = 4 << 10;

/// A frame as it is written.
pub struct Outgoing {
    /// Header, payload, and what follows it.
    pub parts: [Bytes; 3],
    pub attachment: Vec<u8>,
    /// Bytes a second at most.
    pub attachment_rate: Option<f64>,
    /// Streams of a higher one go first.
    pub priority: i32,
}

impl Outgoing {
    async fn write(mut self, stream: &mut SendStream) -> Result<(), WriteError> {
        let _ = stream.set_priority(self.priority);
        stream.write_all_chunks(&mut self.parts).await?;
        let Some(rate) = self.attachment_rate else {
            return stream.write_all(&self.attachment).await;
        };
        for piece in self.attachment.chunks(PIECE) {
            stream.write_all(piece).await?;
            tokio::time::sleep(Duration::from_secs_f64(piece.len() as f64 / rate)).await;
        }
        Ok(())
    }
}

/// Sends a frame and reads the result.
///
/// # Errors
/// In words, when the stream or the connection fails, or what comes back is no result. A body beyond `max_result`
/// bytes is not read; the header alone tells the session of it.
pub async fn exchange(
    connection: Connection,
    outgoing: Outgoing,
    max_result: usize,
    code: ResetCode,
) -> Result<(ResultHeader, Bytes), String> {
    let opened = connection.open_bi().await.map_err(|e| e.to_string())?;
    let mut stream = Stream::new(opened, code);
    match outgoing.write(&mut stream.send).await {
        Ok(()) => {
            // Fails only where the server has stopped the stream; then it has answered.
            let _ = stream.send.finish();
        }
        Err(WriteError::Stopped(_)) => {}
        Err(e) => return Err(e.to_string()),
    }
    let result = read_result(&mut stream, max_result).await?;
    stream.done();
    Ok(result)
}

async fn read_result(
    stream: &mut Stream,
    max_result: usize,
) -> Result<(ResultHeader, Bytes), String> {
    let mut bytes = Vec::new();
    let (header, at) = loop {
        if let Some(found) = ResultHeader::decode(&bytes).map_err(|e| e.to_string())? {
            break found;
        }
        if !stream
            .read_more(&mut bytes)
            .await
            .map_err(|e| e.to_string())?
        {
            return Err("the stream ended before the result's header did".to_owned());
        }
    };
    let len = header.body_len as usize;
    if len > max_result {
        return Ok((header, Bytes::new()));
    }
    let end = at + len;
    while bytes.len() <= end {
        if !stream
            .read_more(&mut bytes)
            .await
            .map_err(|e| e.to_string())?
        {
            break;
        }
    }
    Ok((header, Bytes::from(bytes).slice(at..)))
}
