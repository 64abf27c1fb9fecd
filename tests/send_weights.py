#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""send_weights.py MODEL UPDATE: plays a scene through splitinfer-edge, sends it new weights from behind, as
docs/weight-update.md says, and prints what the element tells of it. Ends with the first such message."""

import sys

import gi

gi.require_version("Gst", "1.0")
from gi.repository import GObject, Gst  # noqa: E402


def event(update):
    """The custom event; base and version stand in the update's header."""
    structure = Gst.Structure.new_empty("splitinfer-weights")
    structure.set_value("base", update[8:40].hex())
    structure.set_value("version", GObject.Value(GObject.TYPE_UINT64, int.from_bytes(update[48:56], "big")))
    structure.set_value("update", Gst.Buffer.new_wrapped(update))
    return Gst.Event.new_custom(Gst.EventType.CUSTOM_UPSTREAM, structure)


def main(model, path):
    Gst.init(None)
    pipeline = Gst.parse_launch(
        f"scenesrc is-live=true scene=traffic ! videoconvert ! splitinfer-edge model={model} ! fakesink name=sink"
    )
    pipeline.set_state(Gst.State.PLAYING)
    if pipeline.get_state(10 * Gst.SECOND)[0] != Gst.StateChangeReturn.SUCCESS:
        sys.exit("the pipeline does not play")
    with open(path, "rb") as file:
        taken = pipeline.get_by_name("sink").send_event(event(file.read()))
    print("taken" if taken else "not taken", flush=True)
    bus = pipeline.get_bus()
    while message := bus.timed_pop_filtered(30 * Gst.SECOND, Gst.MessageType.ELEMENT | Gst.MessageType.ERROR):
        structure = message.get_structure()
        if structure.get_name() in ("splitinfer-model", "splitinfer-weights-refused"):
            print(structure.to_string())
            break
    pipeline.set_state(Gst.State.NULL)


main(*sys.argv[1:])
