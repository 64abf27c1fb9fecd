#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""Lets a student learn the scene it hangs in while it works, and shows what comes of it.

Started by adapt.sh, which sets the environment up. Two runs over the same frames: with adaptation, at the speed of a
camera, and without, as fast as it goes. splitinfer-timeline then compares both with the truth.
"""

import argparse
import os
import pathlib
import signal
import subprocess
import sys

import gi

gi.require_version("Gst", "1.0")
from gi.repository import GLib, Gst  # noqa: E402
from adapt_events import Events  # noqa: E402
from play import ENCODERS, Failure, error_text  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Seconds.
END_PATIENCE = 10
REFRESH = 2


def arguments():
    parser = argparse.ArgumentParser(
        description="Adapts a model to its scene while the video plays: gate, teacher, training, new weights.",
        epilog="Without VIDEO: a synthetic scene that changes from day to night, whose truth is known.",
    )
    parser.add_argument("video", metavar="VIDEO", nargs="?", help="any video that GStreamer can decode")
    parser.add_argument("--scene", choices=("traffic", "walker"), default="walker", help="default: %(default)s")
    parser.add_argument("--frames", metavar="N", type=int, help="end after so many (default: 1500; of a video all)")
    parser.add_argument("--rate", metavar="FPS", type=int, default=15, help="frames a second of the scene (default: %(default)s)")
    parser.add_argument("--night", metavar="SECONDS", type=float, default=15, help="when night falls (default: %(default)s)")
    parser.add_argument("--domain", metavar="SCHEDULE", help="another schedule of the scene than day and night (docs/scenes.md)")
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="seed of the scene (default: %(default)s)")
    parser.add_argument("--student", metavar="FILE", help="ONNX model that works and learns (default: the scene's)")
    parser.add_argument("--teacher", metavar="FILE", help="ONNX model it learns from (default: the scene's)")
    parser.add_argument("--out", metavar="DIR", default="out", help="where the results go (default: %(default)s)")
    for element in ("gate", "teacher", "finetune"):
        parser.add_argument(f"--set-{element}", metavar="NAME=VALUE", action="append", default=[],
                            help=f"any property of {'svdgate' if element == 'gate' else element + ('label' if element == 'teacher' else '')}")
    args = parser.parse_args()
    for name in ("frames", "rate"):
        if getattr(args, name) is not None and getattr(args, name) < 1:
            parser.error(f"--{name} must be at least 1")
    args.student = args.student or str(ROOT / f"models/{args.scene}-student.onnx")
    args.teacher = args.teacher or str(ROOT / f"models/{args.scene}-teacher.onnx")
    args.domain = args.domain or f"day; {args.night:g} night"
    return args


class Run:
    """One pipeline from its start to its end."""

    def __init__(self, description, frames=None):
        self.pipeline = Gst.parse_launch(description)
        self.loop = GLib.MainLoop()
        self.frames = frames
        self.passed = 0
        self.failure = None
        self.ending = False
        self.on_element_message = lambda message: None

    def element(self, name):
        return self.pipeline.get_by_name(name)

    def set(self, element, **settings):
        for name, value in settings.items():
            found = self.element(element)
            if found and value is not None:
                Gst.util_set_object_arg(found, name.replace("_", "-"), str(value))

    def start(self):
        """Plays until the end of the stream, an error or a signal."""
        bus = self.pipeline.get_bus()
        bus.add_signal_watch()
        bus.connect("message", self.on_message)
        signals = [
            GLib.unix_signal_add(GLib.PRIORITY_HIGH, number, self.on_signal) for number in (signal.SIGINT, signal.SIGTERM)]
        self.element("edge").get_static_pad("sink").add_probe(Gst.PadProbeType.BUFFER, self.on_frame)
        self.pipeline.set_state(Gst.State.PLAYING)
        try:
            self.loop.run()
        finally:
            self.pipeline.set_state(Gst.State.NULL)
            bus.remove_signal_watch()
            for source in signals:
                GLib.source_remove(source)
        if self.failure:
            raise Failure(self.failure)

    def on_frame(self, _pad, _info):
        """Lets no frame pass that nobody asked for."""
        if self.frames is not None and self.passed >= self.frames:
            GLib.idle_add(self.end)
            return Gst.PadProbeReturn.DROP
        self.passed += 1
        return Gst.PadProbeReturn.OK

    def on_message(self, _bus, message):
        if message.type == Gst.MessageType.EOS:
            self.loop.quit()
        elif message.type == Gst.MessageType.ERROR:
            self.failure = error_text(message)
            self.loop.quit()
        elif message.type == Gst.MessageType.WARNING:
            print(f"warning: {message.parse_warning()[0].message}", file=sys.stderr)
        elif message.type == Gst.MessageType.ELEMENT:
            self.on_element_message(message)

    def on_signal(self):
        """The first one ends the stream, so that the files are complete; the next ends it at once."""
        if self.ending:
            self.failure = "interrupted"
            self.loop.quit()
        else:
            print("ending", file=sys.stderr)
            self.end()
        return GLib.SOURCE_CONTINUE

    def end(self):
        if not self.ending:
            self.ending = True
            self.pipeline.send_event(Gst.Event.new_eos())
            GLib.timeout_add_seconds(END_PATIENCE, self.loop.quit)
        return GLib.SOURCE_REMOVE


class Demo:
    def __init__(self, args):
        self.args = args
        self.out = pathlib.Path(args.out).resolve()
        self.out.mkdir(parents=True, exist_ok=True)
        for what, path in (("student", args.student), ("teacher", args.teacher), ("video", args.video)):
            if path and not os.path.isfile(path):
                raise Failure(f"there is no {what} {path}")
        self.encoder, self.suffix = encoder()
        self.truth = None if args.video else self.file("truth.jsonl")

    def file(self, name):
        return self.out / name

    def run(self):
        frames = self.adapted()
        if not frames:
            raise Failure("no frame was played")
        self.unadapted(frames)
        self.timeline()
        for what, name in (
            ("the whole run", f"adapt{self.suffix}"),
            ("left without, right with it", f"before-after{self.suffix}"),
            ("over time", "adapt.svg"),
            ("results of each frame", "adapted.jsonl, plain.jsonl"),
            ("what happened when", "events.jsonl"),
        ):
            print(f"{what:<29}{self.out / name}")

    def source(self, live):
        """The same frames each time it is played."""
        if self.args.video:
            pace = " ! identity sync=true" if live else ""
            return f"filesrc name=video ! decodebin ! videoconvert{pace} ! video/x-raw,format=I420"
        return (
            f"scenesrc name=scene scenario=repetitive is-live={str(live).lower()} scene={self.args.scene}"
            f" ! video/x-raw,format=I420,width=640,height=360,framerate={self.args.rate}/1"
        )

    def new_run(self, description, frames):
        run = Run(description, frames)
        run.set("video", location=self.args.video)
        if scene := run.element("scene"):
            scene.set_property("domain", self.args.domain)
            scene.set_property("seed", self.args.seed)
        run.set("edge", model=self.args.student)
        return run

    # --- with adaptation ---

    def adapted(self):
        """How many frames were played."""
        run = self.new_run(
            f"{self.source(live=True)} ! queue max-size-buffers=3 ! splitinfer-edge name=edge mirror-check=5"
            " ! svdgate name=gate ! tee name=results"
            " results. ! queue ! inferjson ! filesink name=lines sync=false"
            f" results. ! queue ! inferoverlay ! videoconvert ! {self.encoder} ! filesink name=video-file sync=false"
            " gate.adapt ! queue leaky=downstream max-size-buffers=60 max-size-bytes=0 max-size-time=0"
            " ! teacherlabel name=teacher ! finetune name=finetune async=false",
            self.args.frames or (None if self.args.video else 1500),
        )
        run.set("lines", location=self.file("adapted.jsonl"))
        run.set("video-file", location=self.file(f"adapt{self.suffix}"))
        # A demo is short: training takes the time it can get.
        run.set("teacher", model=self.args.teacher)
        run.set("finetune", model=self.args.student, cpu_share=1)
        for element, given in (("gate", self.args.set_gate), ("teacher", self.args.set_teacher), ("finetune", self.args.set_finetune)):
            for setting in given:
                name, equals, value = setting.partition("=")
                if not equals or not run.element(element).find_property(name):
                    raise Failure(f"--set-{element} {setting}: not NAME=VALUE of a property")
                run.set(element, **{name: value})
        with open(self.file("events.jsonl"), "w", encoding="utf-8") as log:
            events = Events(run, log)
            run.on_element_message = events.on_message
            truth = self.watch_truth(run)
            progress = GLib.timeout_add_seconds(REFRESH, events.progress)
            print(f"with adaptation: {self.args.video or f'{self.args.scene}, {self.args.domain}'}", flush=True)
            try:
                run.start()
            finally:
                GLib.source_remove(progress)
                events.finish()
                if truth:
                    truth.close()
        return run.passed

    def watch_truth(self, run):
        """Writes what the scene says about each frame."""
        if not self.truth:
            return None
        lines = open(self.truth, "w", encoding="utf-8")

        def on_frame(_pad, info):
            meta = info.get_buffer().get_custom_meta("SplitInferTruth")
            if meta and not lines.closed:
                lines.write(meta.get_structure().get_string("json").strip() + "\n")
            return Gst.PadProbeReturn.OK

        run.element("edge").get_static_pad("sink").add_probe(Gst.PadProbeType.BUFFER, on_frame)
        return lines

    # --- without ---

    def unadapted(self, frames):
        """The student as it was, on the same frames; its picture beside that of the first run."""
        print("without adaptation: the same frames again, as fast as they go", flush=True)
        label = 'textoverlay valignment=bottom font-desc="Sans 14" text={}' if Gst.ElementFactory.find("textoverlay") else "identity"
        width = "video/x-raw,width=640,height=360" if not self.args.video else "videoconvert"
        run = self.new_run(
            f"compositor name=beside background=black ! videoconvert ! {self.encoder} ! filesink name=video-file sync=false"
            f" {self.source(live=False)} ! splitinfer-edge name=edge ! tee name=results"
            " results. ! queue ! inferjson ! filesink name=lines sync=false"
            f" results. ! queue ! inferoverlay ! videoconvert ! {width} ! {label.format('without')} ! queue ! beside.sink_0"
            f" filesrc name=first ! decodebin ! videoconvert ! {width} ! {label.format('with')} ! queue ! beside.sink_1",
            frames,
        )
        run.set("lines", location=self.file("plain.jsonl"))
        run.set("video-file", location=self.file(f"before-after{self.suffix}"))
        run.set("first", location=self.file(f"adapt{self.suffix}"))
        beside = run.element("beside")

        def place(pad, _info):
            """The right picture begins where the left one ends."""
            caps = pad.get_current_caps()
            if caps:
                beside.get_static_pad("sink_1").set_property("xpos", caps.get_structure(0).get_int("width")[1])
                return Gst.PadProbeReturn.REMOVE
            return Gst.PadProbeReturn.OK

        beside.get_static_pad("sink_0").add_probe(Gst.PadProbeType.BUFFER, place)
        run.start()

    def timeline(self):
        command = [
            os.environ.get("SPLITINFER_TIMELINE", "splitinfer-timeline"), str(self.file("adapted.jsonl")),
            "--plain", str(self.file("plain.jsonl")), "--events", str(self.file("events.jsonl")),
            "--out", str(self.file("adapt")),
        ]
        if self.truth:
            command += ["--truth", str(self.truth)]
        print(flush=True)
        if subprocess.run(command, check=False).returncode:
            raise Failure("the plot was not drawn")
        print()


def encoder():
    for name, description, suffix in ENCODERS:
        if Gst.ElementFactory.find(name):
            # Noise by night costs bits that nobody looks at.
            return description.replace("quantizer=23", "quantizer=28"), suffix
    raise Failure("no encoder is installed for the video; install gstreamer1.0-plugins-ugly")


def main():
    args = arguments()
    Gst.init(None)
    try:
        Demo(args).run()
    except GLib.Error as error:
        sys.exit(f"error: {error.message}")
    except Failure as failure:
        sys.exit(f"error: {failure}")


if __name__ == "__main__":
    main()
