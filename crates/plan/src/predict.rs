// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The cost model: what each choice would take.

use crate::{Choice, Offload, Path, Profile};
use std::time::Duration;

/// Bytes a second that are assumed until a transfer has been measured: 10 Mbit/s, a fair uplink.
pub const ASSUMED_BANDWIDTH: f64 = 1.25e6;

/// What one choice would take. A frame passes three stations one after the other, each of which works on
/// another frame meanwhile: this machine, the link, the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prediction {
    pub choice: Choice,
    /// From the prepared picture to the result.
    pub latency: Duration,
    /// Work on this machine.
    pub edge: Duration,
    /// Time for which the frame keeps the link busy.
    pub link: Duration,
    /// Work on the server, without waiting.
    pub server: Duration,
    /// Bytes that the frame moves to the server.
    pub bytes: u64,
    /// What completing it here takes, when no answer comes.
    pub rest: Duration,
}

impl Prediction {
    /// The busiest station's time a frame: frames that come faster than this pile up.
    pub fn bottleneck(&self) -> Duration {
        self.edge.max(self.link).max(self.server)
    }

    fn here(profile: &Profile) -> Self {
        Self {
            choice: Choice::Here,
            latency: profile.whole,
            edge: profile.whole,
            link: Duration::ZERO,
            server: Duration::ZERO,
            bytes: 0,
            rest: Duration::ZERO,
        }
    }

    fn there(choice: Choice, offload: &Offload, measured: Option<Duration>, path: &Path) -> Self {
        let edge = offload.head.saturating_add(offload.encode);
        let link = transfer(offload.bytes, path.bandwidth);
        let work = offload.decode.saturating_add(offload.tail);
        let server = path.server.time(work, measured);
        let wait = path.backlog.saturating_sub(edge);
        let latency = [wait, link, path.rtt, path.server.queue, server]
            .into_iter()
            .fold(edge, Duration::saturating_add);
        Self {
            choice,
            latency,
            edge,
            link,
            server,
            bytes: offload.bytes,
            rest: offload.tail,
        }
    }
}

/// One prediction for each choice there is: here; and with a connection the picture, the video and the candidates.
pub fn predict(profile: &Profile, path: Option<&Path>) -> Vec<Prediction> {
    let mut table = vec![Prediction::here(profile)];
    let Some(path) = path else {
        return table;
    };
    table.extend(profile.offloads().map(|(choice, offload)| {
        let measured = path.server.measured(choice);
        Prediction::there(choice, offload, measured, path)
    }));
    table
}

/// A link without bandwidth (zero, or not a number) never delivers.
fn transfer(bytes: u64, bandwidth: Option<f64>) -> Duration {
    let seconds = bytes as f64 / bandwidth.unwrap_or(ASSUMED_BANDWIDTH);
    if bytes == 0 {
        return Duration::ZERO;
    }
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Server;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn latency_is_the_sum_of_what_a_frame_passes() {
        let offload = Offload {
            name: "c".into(),
            head: 5 * MS,
            encode: 2 * MS,
            bytes: 10_000,
            fresh_bytes: 10_000,
            decode: 4 * MS,
            tail: 20 * MS,
        };
        let profile = Profile {
            whole: 25 * MS,
            candidates: vec![offload],
            ..Profile::default()
        };
        let mut path = Path {
            rtt: 7 * MS,
            bandwidth: Some(1e6),
            backlog: Duration::ZERO,
            server: Server {
                speed: 2.0,
                queue: 3 * MS,
                ..Server::default()
            },
        };
        let table = predict(&profile, Some(&path));
        assert_eq!(table.len(), 2);
        assert_eq!(table[0].latency, 25 * MS);
        assert_eq!(table[1].latency, (5 + 2 + 10 + 7 + 3 + 12) * MS);
        assert_eq!(table[1].bottleneck(), 12 * MS);
        path.backlog = 9 * MS;
        assert_eq!(
            predict(&profile, Some(&path))[1].latency,
            (7 + 2 + 10 + 7 + 3 + 12) * MS,
            "the head runs while the link is busy"
        );
        path.server.tails = vec![Some(MS)];
        assert_eq!(
            predict(&profile, Some(&path))[1].server,
            MS,
            "measured goes before scaled"
        );
    }

    #[test]
    fn a_link_without_bandwidth_never_delivers() {
        for bandwidth in [0.0, -1.0, f64::NAN] {
            assert_eq!(transfer(1, Some(bandwidth)), Duration::MAX);
            assert_eq!(transfer(0, Some(bandwidth)), Duration::ZERO);
        }
    }
}
