#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""Sums up the lines of JSON that inferjson wrote: frames, latency, who completed them, and with which split.

    pipelines/summary.py out/results.jsonl
"""

import json
import math
import sys
from collections import Counter, defaultdict


def quantile(ordered, q):
    """The value that a share of `q` does not exceed (nearest rank)."""
    return ordered[max(0, math.ceil(len(ordered) * q) - 1)] if ordered else float("nan")


class Summary:
    """Grows line by line, so that it can be asked while the video plays."""

    def __init__(self):
        self.frames = 0
        self.objects = 0
        self.completed = Counter()
        self.latencies = defaultdict(list)
        self.last = None

    def add(self, line):
        """Takes one line. Frames of splits that ran before a deadline count for the side that completed them."""
        self.last = json.loads(line)
        self.frames += 1
        self.objects += len(self.last["objects"])
        by = self.last["completed"]
        self.completed[by] += 1
        if by != "none":
            split = self.last["split"] if by == "server" else "edge"
            self.latencies[split, by].append(self.last["latency_ms"])

    def latency(self, q):
        """The quantile of the latency of all frames with a result, in milliseconds."""
        return quantile(sorted(sum(self.latencies.values(), [])), q)

    def edge_share(self, shares):
        """The part of the model's multiplications that was done at the edge, 0 to 1; `shares` has those of the cuts."""
        done = {key: len(times) for key, times in self.latencies.items()}
        total = sum(done.values())
        if not total or any(by == "server" and split not in shares for split, by in done):
            return None
        return sum(n * (shares[split] if by == "server" else 1) for (split, by), n in done.items()) / total

    def table(self, seconds=None, sent_bytes=None, shares=None):
        """Text for a terminal. `seconds` the frames took, bytes that were sent for them, and the cuts' edge shares."""
        rows = [("frames", f"{self.frames}")]
        if seconds:
            rows.append(("frames a second", f"{self.frames / seconds:.1f}"))
        rows.append(("latency p50 / p99", f"{self.latency(0.5):.1f} / {self.latency(0.99):.1f} ms"))
        rows += [(f"completed by {by}", self.percent(n)) for by, n in sorted(self.completed.items()) if by != "none"]
        rows.append(("without a result", self.percent(self.completed["none"])))
        rows.append(("objects a frame", f"{self.objects / max(1, self.frames):.2f}"))
        if sent_bytes is not None:
            rows.append(("bytes a frame to the server", f"{sent_bytes / max(1, self.frames):.0f}"))
        share = self.edge_share({"server": 0.0, "server-video": 0.0, **(shares or {})})
        if share is not None:
            rows.append(("work at the edge / server", f"{share:.0%} / {1 - share:.0%}"))
        for (split, by), times in sorted(self.latencies.items(), key=lambda item: -len(item[1])):
            times = sorted(times)
            what = f"split {shorten(split)}" if by == "server" else "all at the edge"
            rows.append((what, f"{len(times)} frames, p50 {quantile(times, 0.5):.1f} ms, p99 {quantile(times, 0.99):.1f} ms"))
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)

    def percent(self, n):
        return f"{n} ({n / max(1, self.frames):.1%})"


def shorten(name, length=40):
    """A long name of a cut without its middle."""
    return name if len(name) <= length else f"{name[: length // 2 - 1]}..{name[1 - length // 2 :]}"


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    summary = Summary()
    with open(sys.argv[1], encoding="utf-8") as lines:
        for line in lines:
            summary.add(line)
    print(summary.table())


if __name__ == "__main__":
    main()
