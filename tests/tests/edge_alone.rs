// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! `splitinfer-edge` without a server: what it promises to the pipeline around it.

use gst::prelude::*;
use splitinfer_meta::Completed;
use splitinfer_tests::numbered;
use splitinfer_tests::pipeline::{Numbered, assert_complete, pts};

fn start(live: bool, configure: impl FnOnce(&gst::Element)) -> (Numbered, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let model = numbered::write_model(folder.path()).unwrap();
    let numbered = Numbered::start(live, |edge| {
        edge.set_property("model", &model);
        configure(edge);
    });
    (numbered, folder)
}

#[test]
fn every_frame_leaves_once_in_order_with_its_own_result() {
    let (stream, _folder) = start(false, |_| {});
    (0..1000).for_each(|n| stream.push(n));
    let stats: gst::Structure = stream.edge.property("stats");
    let received = stream.finish();
    assert_complete(&received, 1000);
    assert!(received.iter().all(|r| r.completed() == Completed::Edge));
    assert!(stats.get::<f64>("fps").unwrap() > 0.0, "{stats}");
}

#[test]
fn only_every_nth_frame_is_inferred_and_all_pass() {
    let (stream, _folder) = start(false, |edge| edge.set_property("inference-interval", 3u32));
    (0..30).for_each(|n| stream.push(n));
    let received = stream.finish();
    assert_eq!(received.len(), 30);
    for frame in &received {
        let inferred = frame.number.is_multiple_of(3);
        assert_eq!(
            frame.completed(),
            if inferred {
                Completed::Edge
            } else {
                Completed::None
            }
        );
        assert_eq!(frame.read, inferred.then_some(frame.number));
    }
}

#[test]
fn a_flush_drops_what_is_under_way_and_the_stream_goes_on() {
    let (stream, _folder) = start(false, |_| {});
    (0..10).for_each(|n| stream.push(n));
    stream.wait_for("ten frames", |stats| stats.get("frames") == Ok(10u64));
    let sink = stream.edge.static_pad("sink").unwrap();
    assert!(sink.send_event(gst::event::FlushStart::new()));
    assert!(sink.send_event(gst::event::FlushStop::new(true)));
    assert!(
        sink.send_event(gst::event::Segment::new(&gst::FormattedSegment::<
            gst::ClockTime,
        >::new()))
    );
    (10..20).for_each(|n| stream.push(n));
    let numbers: Vec<u64> = stream.finish().iter().map(|r| r.number).collect();
    assert!(
        numbers.is_sorted() && numbers.ends_with(&[18, 19]),
        "{numbers:?}"
    );
}

#[test]
fn frames_that_are_late_for_the_sink_pass_without_inference() {
    let (stream, _folder) = start(false, |_| {});
    stream.push(0);
    stream.wait_for("the first frame", |stats| stats.get("frames") == Ok(1u64));
    let late = gst::event::Qos::builder(gst::QOSType::Underflow, 2.0, 100_000_000i64)
        .timestamp(pts(0))
        .build();
    assert!(stream.edge.static_pad("src").unwrap().send_event(late));
    (1..20).for_each(|n| stream.push(n));
    stream.wait_for("all frames", |stats| stats.get("frames") == Ok(20u64));
    let told = stream
        .pipeline
        .bus()
        .unwrap()
        .pop_filtered(&[gst::MessageType::Qos]);
    let received = stream.finish();
    assert_eq!(received.len(), 20);
    let skipped = received
        .iter()
        .filter(|r| r.completed() == Completed::None)
        .count();
    assert_eq!(skipped, 6, "200 ms of frames after the first");
    assert!(told.is_some(), "a QoS message");
}

#[test]
fn the_picture_passes_untouched_in_every_format() {
    splitinfer_tests::init();
    let folder = tempfile::tempdir().unwrap();
    let model = numbered::write_model(folder.path()).unwrap();
    let formats = [
        "I420", "NV12", "YUY2", "RGB", "BGR", "RGBA", "BGRA", "ARGB", "ABGR", "RGBx", "BGRx",
        "GRAY8",
    ];
    for format in formats {
        let through = |element: &str| {
            let text = format!(
                "videotestsrc num-buffers=5 pattern=ball ! video/x-raw,format={format},width=64,height=48,framerate=30/1 \
                 ! {element} ! appsink name=sink sync=false"
            );
            let pipeline = gst::parse::launch(&text)
                .unwrap()
                .downcast::<gst::Pipeline>()
                .unwrap();
            let sink = pipeline
                .by_name("sink")
                .and_downcast::<gst_app::AppSink>()
                .unwrap();
            pipeline.set_state(gst::State::Playing).unwrap();
            let frames: Vec<_> = std::iter::from_fn(|| sink.pull_sample().ok())
                .map(|sample| {
                    let buffer = sample.buffer_owned().unwrap();
                    let bytes = buffer.map_readable().unwrap().to_vec();
                    (buffer.pts(), buffer.duration(), sample.caps_owned(), bytes)
                })
                .collect();
            pipeline.set_state(gst::State::Null).unwrap();
            frames
        };
        let plain = through("identity");
        assert_eq!(plain.len(), 5, "{format}");
        assert!(
            plain == through(&format!("splitinfer-edge model={model}")),
            "{format}"
        );
    }
}

#[test]
fn a_change_of_caps_in_the_stream_is_followed() {
    splitinfer_tests::init();
    let folder = tempfile::tempdir().unwrap();
    let model = numbered::write_model(folder.path()).unwrap();
    let text = format!(
        "concat name=c ! splitinfer-edge model={model} ! appsink name=sink sync=false \
         videotestsrc num-buffers=5 ! video/x-raw,format=I420,width=64,height=48 ! c. \
         videotestsrc num-buffers=5 ! video/x-raw,format=RGB,width=100,height=80 ! c."
    );
    let pipeline = gst::parse::launch(&text)
        .unwrap()
        .downcast::<gst::Pipeline>()
        .unwrap();
    let sink = pipeline
        .by_name("sink")
        .and_downcast::<gst_app::AppSink>()
        .unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let widths: Vec<i32> = std::iter::from_fn(|| sink.pull_sample().ok())
        .map(|sample| {
            let result = splitinfer_meta::read(sample.buffer().unwrap()).unwrap();
            assert_eq!(result.completed, Completed::Edge);
            sample
                .caps()
                .unwrap()
                .structure(0)
                .unwrap()
                .get("width")
                .unwrap()
        })
        .collect();
    pipeline.set_state(gst::State::Null).unwrap();
    assert_eq!(widths, [64, 64, 64, 64, 64, 100, 100, 100, 100, 100]);
}

#[test]
fn a_seek_in_a_playing_pipeline_starts_afresh() {
    let (stream, _folder) = start(false, |_| {});
    drop(stream);
    let folder = tempfile::tempdir().unwrap();
    let model = numbered::write_model(folder.path()).unwrap();
    let text = format!(
        "videotestsrc num-buffers=300 ! video/x-raw,width=64,height=48,framerate=30/1 \
         ! splitinfer-edge model={model} ! fakesink sync=true"
    );
    let pipeline = gst::parse::launch(&text).unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let (result, _, _) = pipeline.state(gst::ClockTime::from_seconds(30));
    result.unwrap();
    for seconds in [5, 1, 9] {
        pipeline
            .seek_simple(gst::SeekFlags::FLUSH, gst::ClockTime::from_seconds(seconds))
            .unwrap();
        let (result, _, _) = pipeline.state(gst::ClockTime::from_seconds(30));
        result.unwrap();
        let position: gst::ClockTime = pipeline.query_position().unwrap();
        assert!(
            position >= gst::ClockTime::from_seconds(seconds),
            "{position}"
        );
    }
    pipeline.set_state(gst::State::Null).unwrap();
}

#[test]
fn a_live_pipeline_is_told_of_the_latency() {
    let latency = |server: Option<&str>| {
        let (stream, _folder) = start(true, |edge| {
            edge.set_property("latency-budget", 150u32);
            if let Some(server) = server {
                edge.set_property("server", server);
            }
        });
        (0..10).for_each(|n| stream.push(n));
        stream.wait_for("ten frames", |stats| stats.get("frames") == Ok(10u64));
        let mut query = gst::query::Latency::new();
        // A sink that does not wait for the clock says that nothing is live.
        assert!(stream.edge.static_pad("src").unwrap().query(&mut query));
        let (live, min, _) = query.result();
        assert!(live);
        min
    };
    let alone = latency(None);
    let nobody = format!("127.0.0.1:{}", splitinfer_tests::process::free_port());
    let with_server = latency(Some(&nobody));
    assert!(
        with_server >= gst::ClockTime::from_mseconds(150),
        "{with_server}"
    );
    assert!(
        alone < with_server,
        "{alone} without a server, {with_server} with one"
    );
}
