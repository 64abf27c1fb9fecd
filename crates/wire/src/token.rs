// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The shared secret with which a client shows that it may use the server.

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// An authentication token. `Debug` does not show it, and `==` takes the same time wherever two
/// tokens differ, whatever their lengths.
#[derive(Clone, Default)]
pub struct Token(Vec<u8>);

impl Token {
    pub fn new(secret: impl Into<Vec<u8>>) -> Self {
        Self(secret.into())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl PartialEq for Token {
    /// Compares digests, so that neither the length nor a common prefix shows in the time it takes.
    fn eq(&self, other: &Self) -> bool {
        let (a, b) = (Sha256::digest(&self.0), Sha256::digest(&other.0));
        a.as_slice().ct_eq(b.as_slice()).into()
    }
}

impl Eq for Token {}

impl From<&str> for Token {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.is_empty() {
            "Token(none)"
        } else {
            "Token(hidden)"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_only_when_all_bytes_are() {
        assert_eq!(Token::from("secret"), Token::from("secret"));
        assert_ne!(Token::from("secret"), Token::from("secreT"));
        assert_ne!(Token::from("secret"), Token::from("secre"));
        assert_ne!(Token::from("secret"), Token::default());
    }

    #[test]
    fn debug_hides_the_secret() {
        assert!(!format!("{:?}", Token::from("secret")).contains("secret"));
    }
}
