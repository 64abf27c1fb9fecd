// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// 8 Mbit/s and 20 ms, known from ten large frames; and now.
fn known() -> (Transit, Instant) {
    let (mut transit, mut now) = (Transit::default(), Instant::now());
    transit.trip(Duration::from_millis(20), now);
    for number in 0..10 {
        transit.sent(number, 10_000, 0.0, now);
        transit.answered(number, 0.02 + on_wire(10_000) / 1e6, 0.0);
        now += SECOND / 30;
    }
    (transit, now)
}

/// Nothing is heard of a frame for 200 ms.
fn unheard(bytes: u64) -> (Transit, Instant) {
    let (mut transit, now) = known();
    transit.sent(10, bytes, 0.0, now);
    (transit, now + SECOND / 5)
}

#[test]
fn a_large_frame_that_is_late_shows_a_slow_link_and_a_small_one_a_stall() {
    let (large, now) = unheard(40_000);
    assert!(large.rate(now).unwrap() < 0.5e6 && large.stall(now) == 0.0);

    let (mut small, now) = unheard(300);
    let rate = small.rate(now).unwrap();
    assert!((0.9e6..1.1e6).contains(&rate), "{rate}");
    assert!((0.1..0.2).contains(&small.stall(now)));
    small.given_up(10, now);
    assert!((0.9e6..1.1e6).contains(&small.rate(now).unwrap()));
    assert!(small.stall(now + SECOND) > 0.1, "until something comes");
    small.sent(11, 300, 0.0, now);
    small.answered(11, 0.021, 0.0);
    assert_eq!(small.stall(now), 0.0);
}

#[test]
fn small_frames_that_take_longer_in_a_row_show_a_longer_way() {
    let (mut transit, mut now) = known();
    for number in 10..13 {
        assert!(transit.rtt() < 0.03, "{}", transit.rtt());
        transit.sent(number, 300, 0.0, now);
        transit.answered(number, 0.1, 0.0);
        now += SECOND / 30;
    }
    assert!((0.09..0.11).contains(&transit.rtt()), "{}", transit.rtt());
    assert!(transit.rate(now).unwrap() > 0.9e6);
    assert!(transit.rtt_at_best(now) < 0.03);
}

#[test]
fn what_a_monitor_tells_again_is_no_news() {
    let mut transit = Transit::default();
    let ms = Duration::from_millis;
    transit.monitored_rtt(ms(20));
    (0..100).for_each(|_| transit.monitored_rtt(ms(45)));
    assert!((transit.rtt() - 0.02).abs() < 1e-9, "{}", transit.rtt());
    (0..TOLD as u64).for_each(|i| transit.monitored_rtt(ms(50 + i)));
    assert!((transit.rtt() - 0.05).abs() < 1e-9, "{}", transit.rtt());
}

#[test]
fn no_link_is_as_slow_as_a_lost_frame_makes_it_seem() {
    let (mut transit, now) = unheard(2_000);
    assert!(transit.stall(now) > 0.1);
    transit.given_up(10, now);
    let rate = transit.rate(now).unwrap();
    assert!((0.9e6..1.1e6).contains(&rate), "{rate}");
}

#[test]
fn small_frames_show_that_the_link_has_become_slow() {
    const SLOW: f64 = 31_250.0;
    const EVERY: f64 = 0.066;
    let (mut transit, mut now) = known();
    let mut free = 0.0f64;
    for (n, bytes) in [1_800, 2_600, 1_500, 4_800, 2_000, 1_700]
        .into_iter()
        .enumerate()
    {
        let (number, sent) = (10 + n as u64, n as f64 * EVERY);
        transit.sent(number, bytes, 0.0, now);
        free = free.max(sent) + on_wire(bytes) / SLOW;
        transit.answered(number, free - sent + 0.02, 0.0);
        now += Duration::from_secs_f64(EVERY);
    }
    let rate = transit.rate(now).unwrap();
    assert!((rate / SLOW - 1.0).abs() < 0.15, "{rate}");
    assert!(transit.rtt() < 0.03, "{}", transit.rtt());
}

#[test]
fn a_frame_that_a_later_one_has_overtaken_is_no_stall() {
    let (mut lost, now) = unheard(300);
    assert!(lost.stall(now) > 0.1);
    lost.sent(11, 300, 0.0, now);
    lost.answered(11, 0.021, 0.0);
    let later = now + SECOND / 5;
    assert_eq!(lost.stall(later), 0.0);
    lost.given_up(10, later);
    assert_eq!(lost.stall(later), 0.0);
    // The next one that nothing is heard of may be one again.
    lost.sent(12, 300, 0.0, later);
    assert!(lost.stall(later + SECOND / 5) > 0.1);
}

#[test]
fn a_frame_that_came_soon_shows_at_once_that_the_link_is_fast_however_much_others_scatter() {
    let (mut transit, mut now) = (Transit::default(), Instant::now());
    transit.trip(Duration::from_millis(10), now);
    // 20 kB/s, and answers that come now sooner, now later.
    for number in 0..40 {
        let late = if number % 3 == 0 { 0.08 } else { 0.0 };
        transit.sent(number, 2_000, 0.0, now);
        transit.answered(number, 0.01 + on_wire(2_000) / 20e3 + late, 0.0);
        now += SECOND / 5;
    }
    let (deviation, rate) = (transit.deviation(), transit.rate(now).unwrap());
    assert!(deviation > 0.02 && rate < 40e3, "{deviation} {rate}");
    transit.sent(40, 2_000, 0.0, now);
    transit.answered(40, 0.014, 0.0);
    let rate = transit.rate(now).unwrap();
    assert!(rate > on_wire(2_000) / 0.007, "{rate}");
}

#[test]
fn frames_of_several_sizes_tell_the_link_from_the_way_where_no_small_packet_did() {
    const SLOW: f64 = 40_000.0;
    let (mut transit, mut now) = (Transit::default(), Instant::now());
    // What QUIC knows of its handshake: packets of 1,200 bytes on a slow link.
    transit.trip(Duration::from_millis(90), now);
    let sizes = [1_800, 2_600, 1_500, 4_800, 2_000, 1_700, 3_300, 2_200];
    for (number, bytes) in (0..).zip(sizes.into_iter().cycle().take(24)) {
        transit.sent(number, bytes, 0.0, now);
        transit.answered(number, 0.03 + on_wire(bytes) / SLOW, 0.0);
        now += SECOND / 5;
    }
    let (rate, trip) = (transit.rate(now).unwrap(), transit.rtt());
    assert!((rate / SLOW - 1.0).abs() < 0.1, "{rate}");
    assert!((trip - 0.03).abs() < 0.01, "{trip}");
}

#[test]
fn that_answers_came_late_is_forgotten_where_none_come() {
    let (mut transit, mut now) = known();
    for number in 10..40 {
        transit.monitored_rtt(Duration::from_millis(20));
        transit.sent(number, 10_000, 0.0, now);
        let late = if number % 2 == 0 { 0.03 } else { 0.01 };
        transit.answered(number, 0.02 + on_wire(10_000) / 1e6 + late, 0.0);
        now += SECOND / 30;
    }
    let late = transit.lateness(now);
    assert!(late > 0.005, "{late}");
    assert!(transit.lateness(now + 2 * SECOND) < late / 8.0);
}
