# SPDX-License-Identifier: MPL-2.0
"""What happens during an adaptation, in words while it runs, and as one line of JSON an event."""

import json

from gi.repository import GLib


class Events:
    """Takes the messages of svdgate, finetune and splitinfer-edge; looks at the statistics of teacherlabel."""

    def __init__(self, run, log):
        self.run = run
        self.log = log
        self.labelled = 0
        self.gated_until = -1

    def on_message(self, message):
        structure = message.get_structure()
        name = structure.get_name()
        if name == "svdgate":
            self.on_window(structure)
        elif name == "svdgate-drift":
            self.on_drift(structure)
        elif name == "finetune":
            self.on_training(structure)
        elif name == "splitinfer-model":
            version = number(structure, "new-version")
            self.write(name, version=version)
            self.say(f"the student is now version {version} ({number(structure, 'total-ms'):.0f} ms from its arrival on)")

    def on_window(self, structure):
        if not structure.get_boolean("gated")[1]:
            return
        first, last = (number(structure, f"{which}-frame") for which in ("first", "last"))
        self.write("gate", first=first, last=last, quality=number(structure, "quality"))
        # One line for all objects whose windows end on one frame.
        if last > self.gated_until:
            what = structure.get_string("label") or "an object"
            self.say(f"gate opened: quality of {what} {number(structure, 'quality') or 0:.2f} on frames {first} to {last}")
        self.gated_until = max(self.gated_until, last)

    def on_drift(self, structure):
        cause, error, usual, learning = structure.get_string("cause"), *(
            number(structure, name) for name in ("error", "usual-error", "round"))
        self.write("svdgate-drift", cause=cause, error=error, usual=usual, round=learning)
        if cause == "review":
            text = "nothing is wrong; the student is to learn from what the teacher has looked at lately"
        else:
            text = f"the student is to learn, round {learning}, first noticed by: {cause}"
        if error is not None:
            text += f"; the teacher finds it off by {error:.2f} of the objects' size"
            text += f" (usual: {usual:.2f})" if usual is not None else ""
        self.say(text)

    def on_training(self, structure):
        outcome = structure.get_string("outcome")
        before, after, steps, version, size = (
            number(structure, name) for name in ("loss-before", "loss-after", "steps", "model-version", "bytes"))
        self.write("finetune", outcome=outcome, before=before, after=after, steps=steps, version=version, bytes=size)
        text = f"weights {outcome}"
        if before is not None:
            text += f": loss {before:.3f} -> {after:.3f}"
        if steps is not None:
            text += f" after {steps} steps"
        if version is not None:
            text += f", version {version}, {size / 1000:.0f} kB"
        self.say(text)

    def progress(self):
        """One line now and then."""
        stats = self.run.element("finetune").get_property("stats")
        quality = self.run.element("gate").get_property("quality")
        parts = [f"version {number(stats, 'model-version')}"]
        parts.append(f"lowest quality {quality:.2f}" if quality >= 0 else "no quality yet")
        self.look_at_teacher()
        parts.append(f"teacher labelled {self.labelled}")
        if (step := number(stats, "training-step")) is not None:
            parts.append(f"training: step {step}, loss {number(stats, 'training-loss'):.3f}")
        self.say(" | ".join(parts))
        return GLib.SOURCE_CONTINUE

    def look_at_teacher(self):
        labelled = number(self.run.element("teacher").get_property("stats"), "labelled-frames") or 0
        if labelled != self.labelled:
            self.write("teacher", labelled=labelled)
            self.labelled = labelled

    def finish(self):
        self.look_at_teacher()
        self.write("end", labelled=self.labelled)
        self.log.flush()

    def say(self, text):
        print(f"frame {self.run.passed:>5}  {text}", flush=True)

    def write(self, event, **fields):
        known = {key: value for key, value in fields.items() if value is not None}
        self.log.write(json.dumps({"event": event, "frame": self.run.passed, **known}) + "\n")


def number(structure, field):
    """The number in a field, `None` where it is not there."""
    return structure.get_value(field) if structure.has_field(field) else None
