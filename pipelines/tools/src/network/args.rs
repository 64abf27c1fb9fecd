// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The command line.

use super::Forward;
use clap::Parser;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Puts a network that a trace describes between two programs, for UDP. Ends with Ctrl-C.
///
/// Writes one JSON object a line for each step of the trace: unix_s (when it began), up_kbit, down_kbit, delay_ms (one
/// way, upwards), loss_percent (upwards), cut.
#[derive(Clone, Debug, Parser)]
#[command(name = "splitinfer-network", version)]
pub struct Args {
    /// Trace, as in pipelines/networks
    #[arg(value_name = "TRACE")]
    pub trace: PathBuf,

    /// Take datagrams at NEAR and pass them on to FAR, such as 127.0.0.1:5050=127.0.0.2:5050; several share one link
    #[arg(long, value_name = "NEAR=FAR", required = true)]
    pub forward: Vec<Forward>,

    /// For what the trace leaves to chance
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

impl FromStr for Forward {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let address = |t: &str| t.parse().map_err(|_| format!("'{t}' is no ADDRESS:PORT"));
        let (near, far) = text.split_once('=').ok_or("write NEAR=FAR")?;
        Ok(Self {
            near: address(near)?,
            far: address(far)?,
        })
    }
}

impl fmt::Display for Forward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.near, self.far)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_an_address_is_said() {
        let read = |text: &str| text.parse::<Forward>();
        let forward = read("127.0.0.1:1=[::1]:2").unwrap();
        assert_eq!(forward.to_string(), "127.0.0.1:1=[::1]:2");
        assert_eq!(read("127.0.0.1:1").unwrap_err(), "write NEAR=FAR");
        let refused = read("127.0.0.1:1=here:2").unwrap_err();
        assert!(refused.contains("'here:2'"), "{refused}");
    }
}
