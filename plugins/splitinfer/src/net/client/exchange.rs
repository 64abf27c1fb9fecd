// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! One frame on its own stream: header and payload out, result back.

use bytes::Bytes;
use quinn::{Connection, WriteError};
use splitinfer_wire::ResultHeader;

use crate::net::stream::{ResetCode, Stream};

/// Sends `parts` and reads the result.
///
/// # Errors
/// In words, when the stream or the connection fails, or what comes back is no result. A body beyond `max_result`
/// bytes is not read; the header alone tells the session of it.
pub async fn exchange(
    connection: Connection,
    mut parts: [Bytes; 3],
    max_result: usize,
    code: ResetCode,
) -> Result<(ResultHeader, Bytes), String> {
    let opened = connection.open_bi().await.map_err(|e| e.to_string())?;
    let mut stream = Stream::new(opened, code);
    match stream.send.write_all_chunks(&mut parts).await {
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
