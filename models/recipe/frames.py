# SPDX-License-Identifier: MPL-2.0
"""Frames with truth, rendered by the project's own `scene-frames` and kept at the models' input size."""

import hashlib
import json
import math
import os
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from .networks import INPUT

# Rendered larger than needed and reduced, as a camera's picture is before it enters a model.
RENDERED = (360, 640)


class Frames:
    """`pictures` [N, H, W, 3] uint8 RGB and `truths`, a list of N lists of objects in pixels of that size."""

    def __init__(self, pictures, truths):
        self.pictures, self.truths = pictures, truths

    def __len__(self):
        return len(self.truths)


def load(renderer, kind, domains, seed, scenes, frames, every, cache):
    """Renders what is not in `cache` yet. `domains` take turns from scene to scene."""
    key = f"{kind} {','.join(domains)} {seed} {scenes} {frames} {every} {INPUT} {renderer.stat().st_mtime_ns}"
    stem = Path(cache) / f"{kind}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
    pictures, truths = stem.with_suffix(".npy"), stem.with_suffix(".jsonl")
    if not truths.exists():
        stem.parent.mkdir(parents=True, exist_ok=True)
        render(renderer, kind, domains, seed, scenes, frames, every, pictures, truths)
    with open(truths) as lines:
        scaled = [scale_objects(json.loads(line)["objects"]) for line in lines]
    return Frames(np.load(pictures, mmap_mode="r"), scaled)


def render(renderer, kind, domains, seed, scenes, frames, every, pictures, truths):
    """Parts of the scenes, each by a process of its own."""
    np.lib.format.open_memmap(pictures, "w+", np.uint8, (scenes * frames, *INPUT, 3)).flush()
    # A part begins where the domains' turn does, so that scene and domain do not depend on the number of parts.
    size = math.ceil(scenes / (os.cpu_count() or 1) / len(domains)) * len(domains)
    starts = range(0, scenes, size)

    def part(start):
        command = [renderer, kind, "--domains", ",".join(domains), "--seed", seed + start]
        command += ["--scenes", min(size, scenes - start), "--frames", frames, "--every", every]
        return rendered(command, np.lib.format.open_memmap(pictures, "r+")[start * frames :][: size * frames])

    with ThreadPoolExecutor(len(starts)) as pool:
        lines = b"".join(pool.map(part, starts))
    unfinished = truths.with_suffix(".part")
    unfinished.write_bytes(lines)
    unfinished.replace(truths)


def rendered(command, out):
    """Fills `out` with the renderer's frames, reduced, and returns the lines of their truth."""
    height, width = RENDERED
    with tempfile.TemporaryDirectory() as folder:
        truth = Path(folder) / "truth.jsonl"
        command = [*command, "--width", width, "--height", height, "--quiet", "--truth", truth, "--rgb", "/dev/stdout"]
        with subprocess.Popen([str(c) for c in command], stdout=subprocess.PIPE) as process:
            for i in range(len(out)):
                raw = process.stdout.read(width * height * 3)
                if len(raw) < width * height * 3:
                    raise RuntimeError(f"{command[0]} stopped after {i} of {len(out)} frames")
                picture = np.frombuffer(raw, np.uint8).reshape(height, width, 3)
                out[i] = cv2.resize(picture, INPUT[::-1], interpolation=cv2.INTER_AREA)
        out.flush()
        return truth.read_bytes()


def scale_objects(objects):
    sx, sy = INPUT[1] / RENDERED[1], INPUT[0] / RENDERED[0]
    for o in objects:
        x, y, w, h = o["box"]
        o["box"] = [x * sx, y * sy, w * sx, h * sy]
        o["keypoints"] = [[x * sx, y * sy, v] for x, y, v in o.get("keypoints", [])]
    return objects
