// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What `scenesrc` promises to a pipeline.

use gst::prelude::*;
use gst_check::Harness;
use gst_video::VideoRegionOfInterestMeta;

fn init() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        gst::init().unwrap();
        gstadapt::plugin_register_static().unwrap();
    });
}

fn harness(properties: &[(&str, &str)], caps: &str) -> Harness {
    init();
    let mut harness = Harness::new("scenesrc");
    let element = harness.element().unwrap();
    for (name, value) in properties {
        element.set_property_from_str(name, value);
    }
    harness.set_sink_caps_str(caps);
    harness.play();
    harness
}

const SMALL: &str = "video/x-raw,format=RGBx,width=160,height=96,framerate=30/1";

fn bytes(buffer: &gst::Buffer) -> Vec<u8> {
    buffer.map_readable().unwrap().to_vec()
}

fn truth_json(buffer: &gst::Buffer) -> serde_json::Value {
    let meta = gst::meta::CustomMeta::from_buffer(buffer, "SplitInferTruth").unwrap();
    serde_json::from_str(meta.structure().get::<&str>("json").unwrap()).unwrap()
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_does_not() {
    let frame = |seed| {
        let mut h = harness(&[("scene", "walker"), ("seed", seed)], SMALL);
        (0..5)
            .map(|_| bytes(&h.pull().unwrap()))
            .collect::<Vec<_>>()
    };
    let first = frame("5");
    assert_eq!(first, frame("5"));
    assert_ne!(first, frame("6"));
    assert_ne!(first[0], first[4]);
}

#[test]
fn every_format_is_delivered_in_its_size() {
    for (format, size) in [
        ("RGB", 160 * 96 * 3),
        ("BGRA", 160 * 96 * 4),
        ("I420", 160 * 96 * 3 / 2),
        ("NV12", 160 * 96 * 3 / 2),
        ("GRAY8", 160 * 96),
    ] {
        let caps = SMALL.replace("RGBx", format);
        let buffer = harness(&[], &caps).pull().unwrap();
        assert_eq!(buffer.size(), size, "{format}");
        let picture = bytes(&buffer);
        assert!(
            picture.iter().max() > picture.iter().min(),
            "{format} is blank"
        );
    }
}

#[test]
fn rgb_and_bgr_show_the_same_picture() {
    let rgb = bytes(&harness(&[], &SMALL.replace("RGBx", "RGB")).pull().unwrap());
    let bgr = bytes(&harness(&[], &SMALL.replace("RGBx", "BGR")).pull().unwrap());
    for (a, b) in rgb.chunks_exact(3).zip(bgr.chunks_exact(3)) {
        assert_eq!([a[0], a[1], a[2]], [b[2], b[1], b[0]]);
    }
}

#[test]
fn timestamps_follow_the_rate_without_drift() {
    let mut h = harness(
        &[],
        "video/x-raw,format=RGBx,width=32,height=32,framerate=30000/1001",
    );
    let mut end = gst::ClockTime::ZERO;
    for frame in 0..90u64 {
        let buffer = h.pull().unwrap();
        assert_eq!(buffer.pts().unwrap(), end);
        assert_eq!(buffer.offset(), frame);
        end = buffer.pts().unwrap() + buffer.duration().unwrap();
    }
    assert_eq!(end.nseconds(), 90 * 1001 * 1_000_000_000 / 30000);
}

#[test]
fn the_truth_is_on_the_frame_and_cannot_be_taken_for_a_result() {
    let mut h = harness(
        &[("scene", "walker"), ("seed", "3")],
        "video/x-raw,format=RGBx,width=320,height=180,framerate=30/1",
    );
    let mut people = 0;
    for frame in 0..60u64 {
        let buffer = h.pull().unwrap();
        let json = truth_json(&buffer);
        assert_eq!(json["frame"], frame);
        let objects = json["objects"].as_array().unwrap();
        let regions: Vec<_> = buffer.iter_meta::<VideoRegionOfInterestMeta>().collect();
        assert_eq!(regions.len(), objects.len());
        for (region, object) in regions.iter().zip(objects) {
            assert!(region.param("detection").is_none() && region.param("keypoints").is_none());
            let truth = region.param("truth").unwrap();
            assert_eq!(truth.get::<&str>("label").unwrap(), object["label"]);
            assert_eq!(truth.get::<u64>("track").unwrap(), object["track"]);
            let keypoints = truth.get::<gst::Array>("keypoints").unwrap();
            assert_eq!(keypoints.len(), 17);
            let (x, _, w, _) = region.rect();
            let exact = object["box"].as_array().unwrap();
            let (left, width) = (exact[0].as_f64().unwrap(), exact[2].as_f64().unwrap());
            assert!(f64::from(x) <= left && f64::from(x + w) >= left + width - 1e-3);
            people += 1;
        }
    }
    assert!(people > 20, "{people}");
}

#[test]
fn without_truth_there_is_no_metadata() {
    let buffer = harness(&[("truth", "false")], SMALL).pull().unwrap();
    assert!(gst::meta::CustomMeta::from_buffer(&buffer, "SplitInferTruth").is_err());
    assert_eq!(buffer.iter_meta::<VideoRegionOfInterestMeta>().count(), 0);
}

#[test]
fn num_buffers_ends_the_stream() {
    init();
    let pipeline = gst::parse::launch(
        "scenesrc num-buffers=4 ! video/x-raw,width=64,height=48 ! appsink name=sink sync=false",
    )
    .unwrap();
    let pipeline = pipeline.downcast::<gst::Pipeline>().unwrap();
    let sink = pipeline
        .by_name("sink")
        .unwrap()
        .downcast::<gst_app::AppSink>()
        .unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let count =
        std::iter::from_fn(|| sink.try_pull_sample(gst::ClockTime::from_seconds(20))).count();
    assert!(sink.is_eos());
    assert_eq!(count, 4);
    pipeline.set_state(gst::State::Null).unwrap();
}

#[test]
fn a_seek_shows_the_frame_of_that_time() {
    init();
    let pipeline = gst::parse::launch("scenesrc seed=2 ! video/x-raw,format=RGBx,width=160,height=96,framerate=30/1 ! appsink name=sink sync=false max-buffers=1").unwrap();
    let pipeline = pipeline.downcast::<gst::Pipeline>().unwrap();
    let sink = pipeline
        .by_name("sink")
        .unwrap()
        .downcast::<gst_app::AppSink>()
        .unwrap();
    pipeline.set_state(gst::State::Paused).unwrap();
    sink.pull_preroll().unwrap();
    pipeline
        .seek_simple(
            gst::SeekFlags::FLUSH | gst::SeekFlags::ACCURATE,
            gst::ClockTime::from_seconds(2),
        )
        .unwrap();
    let sample = sink.pull_preroll().unwrap();
    let buffer = sample.buffer_owned().unwrap();
    pipeline.set_state(gst::State::Null).unwrap();
    assert_eq!(buffer.pts(), Some(gst::ClockTime::from_seconds(2)));
    let mut straight = harness(&[("seed", "2")], SMALL);
    let expected = (0..=60).map(|_| straight.pull().unwrap()).last().unwrap();
    assert!(
        bytes(&buffer) == bytes(&expected),
        "another picture than playing up to there gives"
    );
}

#[test]
fn a_seek_before_the_start_is_kept() {
    init();
    let pipeline = gst::parse::launch("scenesrc name=source ! video/x-raw,width=64,height=48,framerate=25/1 ! appsink name=sink sync=false").unwrap();
    let pipeline = pipeline.downcast::<gst::Pipeline>().unwrap();
    let sink = pipeline
        .by_name("sink")
        .unwrap()
        .downcast::<gst_app::AppSink>()
        .unwrap();
    pipeline.set_state(gst::State::Ready).unwrap();
    let source = pipeline.by_name("source").unwrap();
    source
        .seek_simple(gst::SeekFlags::FLUSH, gst::ClockTime::from_seconds(3))
        .unwrap();
    pipeline.set_state(gst::State::Paused).unwrap();
    let sample = sink.pull_preroll().unwrap();
    assert_eq!(sample.buffer().unwrap().offset(), 75);
    pipeline.set_state(gst::State::Null).unwrap();
}

#[test]
fn a_domain_changes_while_playing_and_a_wrong_one_changes_nothing() {
    let mut h = harness(&[], SMALL);
    let mean = |h: &mut Harness| {
        let picture = bytes(&h.pull().unwrap());
        picture.iter().map(|b| u64::from(*b)).sum::<u64>() / picture.len() as u64
    };
    let day = mean(&mut h);
    h.element().unwrap().set_property("domain", "night");
    // The source runs ahead: what it drew before the change waits in the harness, and one more may be on its way there.
    for _ in 0..=h.buffers_in_queue() {
        h.pull().unwrap();
    }
    let night = mean(&mut h);
    assert!(night + 30 < day, "{day} {night}");
    h.element().unwrap().set_property("domain", "no-such-place");
    assert_eq!(h.element().unwrap().property::<String>("domain"), "night");
}

#[test]
fn a_wrong_domain_is_refused_with_what_is_known() {
    init();
    let pipeline = gst::parse::launch("scenesrc domain=mars ! fakesink").unwrap();
    assert!(pipeline.set_state(gst::State::Playing).is_err());
    let bus = pipeline.bus().unwrap();
    let message = bus
        .timed_pop_filtered(gst::ClockTime::from_seconds(5), &[gst::MessageType::Error])
        .unwrap();
    let gst::MessageView::Error(error) = message.view() else {
        unreachable!()
    };
    // What a user reads: the debug string is not shown by every application.
    let text = error.error().to_string();
    assert!(
        text.contains("mars") && text.contains("day, dusk, night"),
        "{text}"
    );
    pipeline.set_state(gst::State::Null).unwrap();
}

#[test]
fn a_live_scene_keeps_to_the_clock() {
    init();
    let pipeline = gst::parse::launch("scenesrc name=source is-live=true num-buffers=10 ! video/x-raw,width=64,height=48,framerate=20/1 ! fakesink sync=false").unwrap();
    let start = std::time::Instant::now();
    pipeline.set_state(gst::State::Playing).unwrap();
    let bus = pipeline.bus().unwrap();
    let end = bus.timed_pop_filtered(
        gst::ClockTime::from_seconds(20),
        &[gst::MessageType::Eos, gst::MessageType::Error],
    );
    assert_eq!(end.unwrap().type_(), gst::MessageType::Eos);
    // Ten frames of 50 ms: the last begins after 450. Slower is the machine's affair.
    assert!(start.elapsed().as_millis() >= 440);
    let mut query = gst::query::Latency::new();
    let source = pipeline
        .downcast_ref::<gst::Pipeline>()
        .unwrap()
        .by_name("source")
        .unwrap();
    assert!(source.query(&mut query));
    let (live, least, _) = query.result();
    assert!(live);
    assert_eq!(least, gst::ClockTime::from_mseconds(50));
    pipeline.set_state(gst::State::Null).unwrap();
}
