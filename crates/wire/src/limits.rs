// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The bounds of the protocol, in one place. docs/protocol.md states the same numbers.
//!
//! Every length that comes from the network is compared with one of these, and with the bytes that
//! are really there, before anything is allocated.

/// Largest control message, type and length prefix not counted.
pub const MAX_CONTROL_BYTES: usize = 1 << 20;
/// Names of programs, and reasons given for humans.
pub const MAX_TEXT_BYTES: usize = 1024;
/// Authentication token.
pub const MAX_TOKEN_BYTES: usize = 256;
/// The `.modelinfo` sidecar.
pub const MAX_SIDECAR_BYTES: usize = 512 << 10;
/// Name of one tensor.
pub const MAX_NAME_BYTES: usize = 1024;
/// Axes of a tensor.
pub const MAX_DIMS: usize = 8;
/// Candidates in one session; also keeps their indices clear of the reserved [`crate::Content`] codes.
pub const MAX_CANDIDATES: usize = 4096;
/// Tensors that cross one cut.
pub const MAX_CUT_TENSORS: usize = 256;
/// Payload of one `Upload` message.
pub const MAX_UPLOAD_CHUNK_BYTES: usize = 256 << 10;
/// Chunk size this implementation sends.
pub const UPLOAD_CHUNK_BYTES: usize = 32 << 10;
/// Bytes of a model that may be under way without having been acknowledged.
pub const UPLOAD_WINDOW_BYTES: u64 = 1 << 20;
/// Payload of one `WeightsData` message.
pub const MAX_WEIGHTS_CHUNK_BYTES: usize = 64 << 10;
/// Chunk size this implementation sends: short, as it goes before frames.
pub const WEIGHTS_CHUNK_BYTES: usize = 4 << 10;
/// Bytes of an update that may be under way without having been acknowledged.
pub const WEIGHTS_WINDOW_BYTES: u64 = 32 << 10;
/// An update may have twice the bytes of the model, and these for a model that is very small.
pub const WEIGHTS_EXTRA_BYTES: u64 = 64 << 10;
/// Largest frame or result header, with fields that later minor versions may append.
pub const MAX_HEADER_BYTES: usize = 1024;
/// Objects in one result.
pub const MAX_OBJECTS: usize = 65_536;
/// Distinct labels in one result.
pub const MAX_LABELS: usize = 65_535;
/// One label; short, since every object gets its own copy when decoded.
pub const MAX_LABEL_BYTES: usize = 256;
/// Keypoints of one object.
pub const MAX_KEYPOINTS: usize = 4096;
