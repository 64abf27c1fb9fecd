#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""Plays a video, a camera or an RTSP stream through splitinfer-edge. Leaves the annotated video, one line of JSON a
frame, and a summary, in the folder given with --out; shows what happens while it plays.

Started by demo.sh, edge.sh and rtsp.sh, which set the environment up.
"""

import argparse
import itertools
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import warnings

import gi

gi.require_version("Gst", "1.0")
from gi.repository import GLib, Gst  # noqa: E402
from summary import Summary, shorten  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent
# The first that this machine has; what comes out goes to a file whose name ends so.
ENCODERS = (
    ("x264enc", "x264enc speed-preset=superfast tune=zerolatency pass=quant quantizer=23 ! h264parse ! mp4mux", ".mp4"),
    ("openh264enc", "openh264enc ! h264parse ! mp4mux", ".mp4"),
    ("vp8enc", "vp8enc deadline=1 cpu-used=8 target-bitrate=4000000 ! matroskamux", ".mkv"),
    ("jpegenc", "jpegenc ! matroskamux", ".mkv"),
)
# Seconds.
SCENE_LENGTH = 20
CONNECT_PATIENCE = 20
END_PATIENCE = 10
REFRESH = 0.5
TOUR_STOP = 2


def arguments():
    parser = argparse.ArgumentParser(
        description="Plays a video through an ONNX model that runs partly here and partly on a server.",
        epilog="Without --video, --camera, --rtsp or --scene: the synthetic street that comes with the project.",
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--video", metavar="FILE", help="any video that GStreamer can decode")
    source.add_argument("--camera", metavar="DEVICE", help="camera, such as /dev/video0")
    source.add_argument("--rtsp", metavar="URL", help="RTSP stream, such as rtsp://camera/stream")
    source.add_argument("--scene", choices=("traffic", "walker"), default="traffic",
                        help="synthetic scene: a street, or a person in a room (default: %(default)s)")
    parser.add_argument("--model", metavar="FILE",
                        help="ONNX model, with its .modelinfo beside it (default: the project's own for the scene)")
    parser.add_argument("--server", metavar="HOST:PORT", help="splitinfer-server to use; several with commas")
    parser.add_argument("--split", metavar="WHERE",
                        help="auto, edge, server, or name or number of a cut (default: the element's, auto)")
    parser.add_argument("--tour", action="store_true",
                        help="with a server: change the split while it plays, through all there are")
    parser.add_argument("--budget", metavar="MS", type=int, help="latency budget of a frame")
    parser.add_argument("--seconds", metavar="N", type=float,
                        help=f"end after so much video (default: all; of the street {SCENE_LENGTH})")
    parser.add_argument("--out", metavar="DIR", default="out", help="where the results go (default: %(default)s)")
    parser.add_argument("--show", action="store_true", help="show the picture in a window instead of writing a video")
    parser.add_argument("--fast", action="store_true", help="play files as fast as they go, not in real time")
    parser.add_argument("--network", metavar="FILE", help=argparse.SUPPRESS)
    parser.add_argument("--set", metavar="NAME=VALUE", action="append", default=[],
                        help="any other property of splitinfer-edge, such as server-fingerprint or auth-token")
    return parser.parse_args()


class Failure(Exception):
    """Ends the program with one line."""


class Player:
    def __init__(self, args):
        self.args = args
        self.out = pathlib.Path(args.out)
        self.out.mkdir(parents=True, exist_ok=True)
        self.results = self.out / "results.jsonl"
        self.video = None
        self.summary = Summary()
        self.loop = GLib.MainLoop()
        self.failure = None
        self.ending = False
        self.pipeline = Gst.parse_launch(self.description())
        self.inference = self.pipeline.get_by_name("inference")
        self.configure()
        # Opened before anything is written, so that lines of an earlier run are not taken for ours.
        self.results.write_bytes(b"")
        self.lines = Tail(self.results)
        # What splitinfer-network writes meanwhile.
        self.network = Tail(args.network) if args.network else None
        self.link = None
        self.started = None

    # --- the pipeline ---

    def description(self):
        return (
            f"{self.source()} ! queue max-size-buffers=3 ! splitinfer-edge name=inference ! tee name=results"
            " results. ! queue ! inferjson ! filesink name=lines sync=false buffer-mode=unbuffered"
            f" results. ! queue ! inferoverlay ! videoconvert ! {self.sink()}"
        )

    def source(self):
        args = self.args
        if args.camera:
            return "v4l2src name=camera ! videoconvert"
        if args.rtsp:
            return "rtspsrc name=rtsp latency=100 ! decodebin ! videoconvert"
        if args.video and not os.path.isfile(args.video):
            raise Failure(f"there is no video {args.video}")
        source = "filesrc name=video ! decodebin" if args.video else f"scenesrc name=scene scene={args.scene}"
        # What is no camera is played at the speed of one.
        pace = "" if args.fast else " ! identity sync=true"
        return f"{source} ! videoconvert{pace}"

    def sink(self):
        if self.args.show:
            return "autovideosink sync=false"
        for name, encoder, suffix in ENCODERS:
            if Gst.ElementFactory.find(name):
                self.video = self.out / f"annotated{suffix}"
                return f"{encoder} ! filesink name=annotated sync=false"
        raise Failure("no encoder is installed for the annotated video; install gstreamer1.0-plugins-ugly, or use --show")

    def configure(self):
        args = self.args
        args.model = args.model or str(ROOT / f"models/{args.scene}-student.onnx")
        if not os.path.isfile(args.model):
            raise Failure(f"there is no model {args.model}; name one with --model")
        self.set("lines", "location", str(self.results))
        self.set("annotated", "location", str(self.video))
        self.set("video", "location", args.video)
        self.set("camera", "device", args.camera)
        self.set("rtsp", "location", args.rtsp)
        seconds = SCENE_LENGTH if args.seconds is None else args.seconds
        self.set("scene", "num-buffers", round(seconds * 30))
        settings = {"model": args.model, "server": args.server, "split": args.split, "latency-budget": args.budget}
        for setting in args.set:
            name, equals, value = setting.partition("=")
            if not equals or not self.inference.find_property(name):
                raise Failure(f"--set {setting}: not NAME=VALUE of a property that gst-inspect-1.0 splitinfer-edge lists")
            settings[name] = value
        for name, value in settings.items():
            if value is not None:
                Gst.util_set_object_arg(self.inference, name, str(value))
        if args.seconds is not None:
            self.inference.get_static_pad("sink").add_probe(Gst.PadProbeType.BUFFER, self.until_seconds)

    def set(self, element, name, value):
        element = self.pipeline.get_by_name(element)
        if element:
            element.set_property(name, value)

    # --- running ---

    def run(self):
        bus = self.pipeline.get_bus()
        bus.add_signal_watch()
        bus.connect("message", self.on_message)
        for number in (signal.SIGINT, signal.SIGTERM):
            GLib.unix_signal_add(GLib.PRIORITY_HIGH, number, self.on_signal)
        # The link to the server is made before the first frame, so that the first ones are not all completed here.
        if self.inference.set_state(Gst.State.PAUSED) == Gst.StateChangeReturn.FAILURE:
            raise Failure(self.first_error(bus))
        if self.args.server:
            GLib.timeout_add(100, self.wait_for_server, time.monotonic() + CONNECT_PATIENCE)
        else:
            self.start()
        self.loop.run()
        stats = self.inference.get_property("stats")
        self.pipeline.set_state(Gst.State.NULL)
        self.read_lines()
        self.show("\n" if sys.stderr.isatty() else "")
        if self.failure:
            raise Failure(self.failure)
        self.report(stats)

    def wait_for_server(self, until):
        connected = self.inference.get_property("stats").get_boolean("connected")[1]
        if not connected and time.monotonic() < until and not self.ending:
            return GLib.SOURCE_CONTINUE
        if not connected and not self.ending:
            print(f"{self.args.server} does not answer yet: frames are completed here until it does", file=sys.stderr)
        self.start()
        return GLib.SOURCE_REMOVE

    def start(self):
        if not self.ending:
            self.started = time.time()
            self.pipeline.set_state(Gst.State.PLAYING)
            GLib.timeout_add(round(REFRESH * 1000), self.refresh)
            if self.args.tour:
                self.start_tour()

    def start_tour(self):
        """Gives each place where the model can be split the same share of the time, where that is known."""
        cuts = len(edge_shares(self.inference.get_property("stats")))
        stops = ["edge", "server", "server-video", *map(str, range(cuts)), "auto"]
        length = SCENE_LENGTH if self.args.seconds is None else self.args.seconds
        known = self.args.seconds is not None or not (self.args.video or self.args.camera or self.args.rtsp)
        seconds = length / len(stops) if known and not self.args.fast else TOUR_STOP
        splits = itertools.cycle(stops)
        self.next_split(splits)
        GLib.timeout_add(round(seconds * 1000), self.next_split, splits)

    def next_split(self, splits):
        self.inference.set_property("split", next(splits))
        return GLib.SOURCE_CONTINUE

    def on_message(self, bus, message):
        if message.type == Gst.MessageType.EOS:
            self.loop.quit()
        elif message.type == Gst.MessageType.ERROR:
            self.failure = error_text(message)
            self.loop.quit()
        elif message.type == Gst.MessageType.WARNING:
            self.show(f"\nwarning: {message.parse_warning()[0].message}\n")
        elif message.type == Gst.MessageType.INFO:
            self.show(f"\n{message.parse_info()[0].message}\n")

    def until_seconds(self, _pad, info):
        """Lets no frame pass that lies behind the time asked for."""
        pts = info.get_buffer().pts
        if pts == Gst.CLOCK_TIME_NONE or pts < self.args.seconds * Gst.SECOND:
            return Gst.PadProbeReturn.OK
        GLib.idle_add(self.end_once)
        return Gst.PadProbeReturn.DROP

    def first_error(self, bus):
        message = bus.pop_filtered(Gst.MessageType.ERROR)
        return error_text(message) if message else "splitinfer-edge did not start"

    def on_signal(self):
        """The first one ends the stream, so that the video file is complete; the next ends the program."""
        if self.ending:
            self.loop.quit()
        else:
            self.end()
        return GLib.SOURCE_CONTINUE

    def end_once(self):
        if not self.ending:
            self.end()
        return GLib.SOURCE_REMOVE

    def end(self):
        self.ending = True
        if self.pipeline.get_state(0).state == Gst.State.PLAYING:
            self.pipeline.send_event(Gst.Event.new_eos())
            GLib.timeout_add_seconds(END_PATIENCE, self.loop.quit)
        else:
            self.loop.quit()

    # --- what is shown ---

    def refresh(self):
        self.read_lines()
        last = self.summary.last
        if last:
            self.show("\r\033[K" + self.status(last))
        return GLib.SOURCE_CONTINUE

    def read_lines(self):
        for line in self.lines.new():
            self.summary.add(line)
        for line in self.network.new() if self.network else ():
            self.link = json.loads(line)

    def status(self, last):
        stats = self.inference.get_property("stats")
        budget = self.inference.get_property("latency-budget")
        parts = [
            f"{self.summary.frames} frames",
            f"{stats.get_double('fps')[1]:.1f} fps",
            f"split {shorten(last.get('split', 'none'), 24)}",
            f"{stats.get_double('latency-p50')[1]:.1f} ms (p99 {stats.get_double('latency-p99')[1]:.1f}) of {budget}",
            f"{len(last['objects'])} found",
        ]
        if self.args.server:
            by_server = self.summary.completed["server"] / self.summary.frames
            parts.append(f"{by_server:.0%} by server" if stats.get_boolean("connected")[1] else "no server")
            parts.append(f"{stats.get_uint64('bytes-per-frame')[1] / 1000:.1f} kB/frame")
            parts.append(f"rtt {stats.get_double('rtt-ms')[1]:.1f} ms")
        if self.link:
            rate = "cut" if self.link["cut"] else f"{self.link['up_kbit'] / 1000:.1f} Mbit/s"
            parts.append(f"link {rate}")
        return " | ".join(parts)

    def show(self, text):
        """The status line is for people who watch: not for logs."""
        if sys.stderr.isatty():
            sys.stderr.write(text)
            sys.stderr.flush()
        elif text.strip() and "\r" not in text:
            sys.stderr.write(text.lstrip("\n"))

    def report(self, stats):
        table = self.summary.table(
            seconds=self.summary.frames / stats.get_double("fps")[1] if stats.get_double("fps")[1] else None,
            sent_bytes=stats.get_uint64("sent-bytes")[1] if self.args.server else None,
            shares=edge_shares(stats),
        )
        path = self.out / "summary.txt"
        path.write_text(table + "\n", encoding="utf-8")
        print(table)
        print()
        plot = self.plot()
        files = (("annotated video", self.video), ("one line a frame", self.results), ("this table", path), ("plot", plot))
        for what, where in files:
            if where:
                print(f"{what:<18}{where.resolve()}")


    def plot(self):
        """The latency of each frame with the colour of its split, and the network; None where nobody asked for it."""
        program = os.environ.get("SPLITINFER_SPLITS")
        if not (program and self.network and self.summary.frames):
            return None
        out = self.out / "splits"
        budget = str(self.inference.get_property("latency-budget"))
        command = [program, self.results, "--network", self.args.network, "--start", str(self.started),
                   "--budget", budget, "--out", out]
        if subprocess.run(command, check=False).returncode:
            return None
        return out.with_suffix(".png")


class Tail:
    """A file that somebody else writes, line by line."""

    def __init__(self, path):
        self.file = open(path, encoding="utf-8")
        self.partial = ""

    def new(self):
        """What has come since the last time, up to the last complete line."""
        *complete, self.partial = (self.partial + self.file.read()).split("\n")
        return complete


def edge_shares(stats):
    """The part of the model's work that each cut leaves at the edge, by the cut's name."""
    found, array = stats.get_array("candidates")
    shares = {}
    with warnings.catch_warnings():
        # The newer way to read an array needs a package beyond python3-gi.
        warnings.simplefilter("ignore", DeprecationWarning)
        for i in range(array.n_values if found else 0):
            # The array owns the row: it must not outlive it.
            row = array.get_nth(i)
            shares[row.get_string("name")] = row.get_double("edge-share")[1]
    return shares


def error_text(message):
    """What went wrong; elements other than ours often say it in the last line of what is meant for developers."""
    error, debug = message.parse_error()
    text = f"{message.src.get_name()}: {error.message}"
    if message.src.get_name() != "inference" and debug and "\n" in debug.strip():
        text += f" {debug.strip().splitlines()[-1]}"
    return text


def main():
    args = arguments()
    Gst.init(None)
    try:
        Player(args).run()
    except GLib.Error as error:
        sys.exit(f"error: {error.message}")
    except Failure as failure:
        sys.exit(f"error: {failure}")


if __name__ == "__main__":
    main()
