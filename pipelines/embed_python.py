#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""The pipeline inside a Python application: results from an appsink, messages from the bus, and a property changed
while it plays.

    GST_PLUGIN_PATH=target/gstreamer-1.0 pipelines/embed_python.py --model models/traffic-student.onnx
"""

import argparse
import json
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstApp", "1.0")
from gi.repository import GLib, Gst, GstApp  # noqa: E402,F401 (GstApp gives the appsink its methods)


class Application:
    """Prints what a model finds on a video, and changes the split once while it plays."""

    def __init__(self, args):
        self.args = args
        self.seen = 0
        self.splits = []
        self.failed = None
        self.loop = GLib.MainLoop()
        source = (
            f'filesrc location="{args.video}" ! decodebin ! videoconvert'
            if args.video
            else f"scenesrc scene=traffic num-buffers={args.frames} ! videoconvert"
        )
        self.pipeline = Gst.parse_launch(
            f"{source} ! splitinfer-edge name=inference ! inferjson ! appsink name=results sync=false emit-signals=true"
        )
        self.inference = self.pipeline.get_by_name("inference")
        self.inference.set_property("model", args.model)
        if args.server:
            self.inference.set_property("server", args.server)
        self.pipeline.get_by_name("results").connect("new-sample", self.on_sample)
        bus = self.pipeline.get_bus()
        bus.add_signal_watch()
        bus.connect("message", self.on_message)

    def on_sample(self, sink):
        """One JSON line for each frame: the metadata of its buffer, as inferjson writes it."""
        buffer = sink.emit("pull-sample").get_buffer()
        result = json.loads(buffer.extract_dup(0, buffer.get_size()))
        for found in result["objects"]:
            x, y, width, height = found["box"]
            print(
                f"frame {result['frame']:4}  {found['label']:12} {found['score']:.2f}"
                f"  at {x:.0f},{y:.0f}  {width:.0f}x{height:.0f}"
            )
        if not self.splits or self.splits[-1] != result["split"]:
            self.splits.append(result["split"])
        self.seen += 1
        if self.seen == self.args.change_after:
            self.inference.set_property("split", self.args.then_split)
        return Gst.FlowReturn.OK

    def on_message(self, _bus, message):
        """A lost server is a warning: the pipeline goes on without it."""
        if message.type == Gst.MessageType.EOS:
            self.loop.quit()
        elif message.type == Gst.MessageType.ERROR:
            self.failed = message.parse_error()[0].message
            self.loop.quit()
        elif message.type == Gst.MessageType.WARNING:
            print("warning:", message.parse_warning()[0].message, file=sys.stderr)
        elif message.type == Gst.MessageType.INFO:
            print("info:", message.parse_info()[0].message, file=sys.stderr)
        elif message.type == Gst.MessageType.ELEMENT and message.has_name("splitinfer-plan"):
            print(message.get_structure().to_string(), file=sys.stderr)

    def run(self):
        self.pipeline.set_state(Gst.State.PLAYING)
        try:
            self.loop.run()
        except KeyboardInterrupt:
            pass
        stats = self.inference.get_property("stats")
        self.pipeline.set_state(Gst.State.NULL)
        if self.failed:
            sys.exit(f"error: {self.failed}")
        print(
            f"{self.seen} frames, splits {self.splits}, {stats.get_double('fps')[1]:.1f} fps,"
            f" latency p50 {stats.get_double('latency-p50')[1]:.1f} ms"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="ONNX file, with its .modelinfo beside it")
    parser.add_argument("--video", help="video to play; a synthetic street without it")
    parser.add_argument("--server", help="host:port of a splitinfer-server; everything runs here without it")
    parser.add_argument("--then-split", default="edge", help="split to change to while it plays")
    parser.add_argument("--change-after", type=int, default=50, metavar="FRAMES")
    parser.add_argument("--frames", type=int, default=150, help="frames of the synthetic street")
    Gst.init(None)
    Application(parser.parse_args()).run()


if __name__ == "__main__":
    main()
