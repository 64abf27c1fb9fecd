// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Reading and writing the primitives: fixed-width big-endian integers, IEEE 754 floats, strings and
//! lists with a 32-bit length in front.
//!
//! [`Reader`] never allocates more than the bytes it was given can fill: lengths are checked against
//! their bound and against what is left before a buffer is made.

use crate::message::Version;

/// What was wrong with bytes from the network, and at which offset of the message or header.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {offset}: {problem}")]
pub struct DecodeError {
    /// Byte offset inside the message body or header.
    pub offset: usize,
    /// The field that was being read.
    pub what: &'static str,
    pub problem: Problem,
}

/// See [`DecodeError`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error("needs {needed} bytes, {left} left")]
    Short { needed: usize, left: usize },
    #[error("{len} is beyond the limit of {max}")]
    TooLong { len: u64, max: u64 },
    #[error("not valid UTF-8")]
    NotUtf8,
    #[error("must not be empty")]
    Empty,
    #[error("{0} is not a value of this field")]
    BadValue(u64),
    #[error("not a finite number in its range")]
    BadFloat,
    #[error("{0} bytes too many")]
    Trailing(usize),
    #[error("the peer speaks protocol version {0}, this side {ours}", ours = Version::OURS)]
    Version(Version),
}

/// A value that the protocol cannot carry: a string or list beyond its bound.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    #[error("{what} has {len} bytes or items, the protocol allows {max}")]
    TooLong {
        what: &'static str,
        len: usize,
        max: usize,
    },
    #[error("{what} must not be empty")]
    Empty { what: &'static str },
    #[error("{what} must be a finite number in its range")]
    BadFloat { what: &'static str },
    #[error("{what} {value} is beyond {max}")]
    TooLarge {
        what: &'static str,
        value: u64,
        max: u64,
    },
}

/// Reads primitives from a slice; every error names the field and its offset.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    data: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub fn new(data: &'a [u8]) -> Self {
        Self { data, at: 0 }
    }

    /// Offset of the next byte to be read.
    pub fn offset(&self) -> usize {
        self.at
    }

    pub fn remaining(&self) -> usize {
        self.data.len() - self.at
    }

    /// An error about the field that begins at `offset`.
    pub fn error(offset: usize, what: &'static str, problem: Problem) -> DecodeError {
        DecodeError {
            offset,
            what,
            problem,
        }
    }

    /// The next `n` bytes.
    pub fn take(&mut self, n: usize, what: &'static str) -> Result<&'a [u8], DecodeError> {
        let left = self.remaining();
        if n > left {
            let problem = Problem::Short { needed: n, left };
            return Err(Self::error(self.at, what, problem));
        }
        let bytes = &self.data[self.at..self.at + n];
        self.at += n;
        Ok(bytes)
    }

    /// All that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        let bytes = &self.data[self.at..];
        self.at = self.data.len();
        bytes
    }

    pub fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], DecodeError> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N, what)?);
        Ok(out)
    }

    pub fn u8(&mut self, what: &'static str) -> Result<u8, DecodeError> {
        Ok(self.array::<1>(what)?[0])
    }

    pub fn u16(&mut self, what: &'static str) -> Result<u16, DecodeError> {
        Ok(u16::from_be_bytes(self.array(what)?))
    }

    pub fn u32(&mut self, what: &'static str) -> Result<u32, DecodeError> {
        Ok(u32::from_be_bytes(self.array(what)?))
    }

    pub fn u64(&mut self, what: &'static str) -> Result<u64, DecodeError> {
        Ok(u64::from_be_bytes(self.array(what)?))
    }

    /// Any bit pattern, NaN included.
    pub fn f32(&mut self, what: &'static str) -> Result<f32, DecodeError> {
        Ok(f32::from_bits(self.u32(what)?))
    }

    pub fn finite_f32(&mut self, what: &'static str) -> Result<f32, DecodeError> {
        let offset = self.at;
        let value = self.f32(what)?;
        if value.is_finite() {
            Ok(value)
        } else {
            Err(Self::error(offset, what, Problem::BadFloat))
        }
    }

    /// The count in front of a list of at most `max` items of at least `item_bytes` each.
    pub fn count(
        &mut self,
        max: usize,
        item_bytes: usize,
        what: &'static str,
    ) -> Result<usize, DecodeError> {
        let offset = self.at;
        let len = self.u32(what)?;
        if len as u64 > max as u64 {
            let (len, max) = (len.into(), max as u64);
            return Err(Self::error(offset, what, Problem::TooLong { len, max }));
        }
        let (needed, left) = ((len as usize).saturating_mul(item_bytes), self.remaining());
        if needed > left {
            return Err(Self::error(offset, what, Problem::Short { needed, left }));
        }
        Ok(len as usize)
    }

    /// Bytes with their 32-bit length in front.
    pub fn blob(&mut self, max: usize, what: &'static str) -> Result<&'a [u8], DecodeError> {
        let len = self.count(max, 1, what)?;
        self.take(len, what)
    }

    /// UTF-8 text with its 32-bit length in front.
    pub fn string(&mut self, max: usize, what: &'static str) -> Result<&'a str, DecodeError> {
        let offset = self.at;
        let bytes = self.blob(max, what)?;
        std::str::from_utf8(bytes).map_err(|_| Self::error(offset, what, Problem::NotUtf8))
    }

    /// As [`Reader::string`], at least one byte long.
    pub fn name(&mut self, max: usize, what: &'static str) -> Result<&'a str, DecodeError> {
        let offset = self.at;
        let text = self.string(max, what)?;
        if text.is_empty() {
            return Err(Self::error(offset, what, Problem::Empty));
        }
        Ok(text)
    }

    /// Refuses bytes that no field has claimed.
    pub fn finish(self, what: &'static str) -> Result<(), DecodeError> {
        match self.remaining() {
            0 => Ok(()),
            n => Err(Self::error(self.at, what, Problem::Trailing(n))),
        }
    }
}

/// Appends primitives to a buffer; the counterpart of [`Reader`].
#[derive(Clone, Debug, Default)]
pub struct Writer {
    out: Vec<u8>,
}

impl Writer {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn len(&self) -> usize {
        self.out.len()
    }

    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    pub fn into_vec(self) -> Vec<u8> {
        self.out
    }

    pub fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    pub fn u8(&mut self, v: u8) {
        self.out.push(v);
    }

    pub fn u16(&mut self, v: u16) {
        self.raw(&v.to_be_bytes());
    }

    pub fn u32(&mut self, v: u32) {
        self.raw(&v.to_be_bytes());
    }

    pub fn u64(&mut self, v: u64) {
        self.raw(&v.to_be_bytes());
    }

    /// Any bit pattern, NaN included.
    pub fn f32(&mut self, v: f32) {
        self.u32(v.to_bits());
    }

    pub fn finite_f32(&mut self, v: f32, what: &'static str) -> Result<(), EncodeError> {
        if !v.is_finite() {
            return Err(EncodeError::BadFloat { what });
        }
        self.f32(v);
        Ok(())
    }

    pub fn count(&mut self, len: usize, max: usize, what: &'static str) -> Result<(), EncodeError> {
        if len > max {
            return Err(EncodeError::TooLong { what, len, max });
        }
        let len = u32::try_from(len).map_err(|_| EncodeError::TooLong { what, len, max })?;
        self.u32(len);
        Ok(())
    }

    pub fn blob(&mut self, v: &[u8], max: usize, what: &'static str) -> Result<(), EncodeError> {
        self.count(v.len(), max, what)?;
        self.raw(v);
        Ok(())
    }

    pub fn string(&mut self, v: &str, max: usize, what: &'static str) -> Result<(), EncodeError> {
        self.blob(v.as_bytes(), max, what)
    }

    pub fn name(&mut self, v: &str, max: usize, what: &'static str) -> Result<(), EncodeError> {
        if v.is_empty() {
            return Err(EncodeError::Empty { what });
        }
        self.string(v, max, what)
    }

    /// Overwrites the big-endian u32 at `at`, which must have been written before.
    pub(crate) fn patch_u32(&mut self, at: usize, v: u32) {
        self.out[at..at + 4].copy_from_slice(&v.to_be_bytes());
    }
}

/// The longest prefix of `text` that has at most `max` bytes and ends between two characters.
pub fn truncated(text: &str, max: usize) -> &str {
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_field_and_offset() {
        let mut r = Reader::new(&[0, 1, 0, 0]);
        assert_eq!(r.u16("first").unwrap(), 1);
        let e = r.u32("second").unwrap_err();
        assert_eq!((e.offset, e.what), (2, "second"));
        assert_eq!(e.to_string(), "second at byte 2: needs 4 bytes, 2 left");
    }

    #[test]
    fn a_count_is_checked_against_the_bytes_that_are_there() {
        let bytes = 1000u32.to_be_bytes();
        let e = Reader::new(&bytes).count(4096, 8, "items").unwrap_err();
        let expected = Problem::Short {
            needed: 8000,
            left: 0,
        };
        assert_eq!(e.problem, expected);
        let e = Reader::new(&bytes).count(10, 8, "items").unwrap_err();
        assert_eq!(e.problem, Problem::TooLong { len: 1000, max: 10 });
    }

    #[test]
    fn strings_must_be_utf8() {
        let mut w = Writer::new();
        w.blob(&[0xff, 0xfe], 10, "text").unwrap();
        let bytes = w.into_vec();
        let e = Reader::new(&bytes).string(10, "text").unwrap_err();
        assert_eq!(e.problem, Problem::NotUtf8);
    }

    #[test]
    fn writer_refuses_what_reader_would_refuse() {
        let mut w = Writer::new();
        assert!(w.string("abc", 2, "text").is_err());
        assert!(w.name("", 2, "name").is_err());
        assert!(w.finite_f32(f32::NAN, "x").is_err());
        assert!(w.is_empty());
    }

    #[test]
    fn truncation_keeps_characters_whole() {
        assert_eq!(truncated("aé", 2), "a");
        assert_eq!(truncated("aé", 3), "aé");
    }
}
