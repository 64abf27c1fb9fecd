# SPDX-License-Identifier: MPL-2.0
"""The two tasks: what the network should answer for a frame, and how wrong an answer is."""

import numpy as np
import torch
from torch.nn import functional as F

from .networks import INPUT, STRIDE

ROWS, COLUMNS = INPUT[0] // STRIDE, INPUT[1] // STRIDE
JOINTS = [
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle",
    "right_ankle",
]  # fmt: skip
MIRRORED = [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]
SKELETON = [
    (5, 6), (5, 7), (7, 9), (6, 8), (8, 10), (5, 11), (6, 12), (11, 12), (11, 13), (13, 15), (12, 14), (14, 16),
    (0, 1), (0, 2), (1, 3), (2, 4),
]  # fmt: skip
CENTRES = np.stack(np.meshgrid(np.arange(COLUMNS) + 0.5, np.arange(ROWS) + 0.5), -1).astype(np.float32)


def gaussian(centre, sigma):
    """A bump over the cells; `centre` and `sigma` (x, y) in cells."""
    d = (CENTRES - centre) / sigma
    return np.exp(-0.5 * (d**2).sum(-1))


def focal(logits, target, weight):
    """Penalty-reduced focal loss of "Objects as Points" (arXiv:1904.07850), per object.

    A cell whose target is 1 should answer 1; near it, wrong answers cost less."""
    p = torch.sigmoid(logits)
    sure = target > 0.99
    positive = F.logsigmoid(logits) * (1 - p) ** 2 * sure
    negative = F.logsigmoid(-logits) * p**2 * (1 - target) ** 4 * ~sure
    return -((positive + negative) * weight).sum() / sure.sum().clamp(min=1)


class Traffic:
    """Vehicles: a heatmap of centres for each class, and the distances to the four edges."""

    kind = "traffic"
    labels = ["car", "van", "truck", "bus"]
    heatmaps, values, second, second_name = len(labels), 4, "exp", "box"
    # Smaller or more hidden ones are neither asked for nor held against the model. Pixels of the input.
    SMALLEST, LEAST_VISIBLE = 6.0, 0.3

    def counts(self, o):
        return min(o["box"][2:]) >= self.SMALLEST and o["visible"] >= self.LEAST_VISIBLE

    def target(self, objects, flip):
        heat = np.zeros((len(self.labels), ROWS, COLUMNS), np.float32)
        box = np.zeros((4, ROWS, COLUMNS), np.float32)
        weight = np.zeros((ROWS, COLUMNS), np.float32)
        care = np.ones((ROWS, COLUMNS), np.float32)
        for o in objects:
            x, y, w, h = (v / STRIDE for v in o["box"])
            if flip:
                x = COLUMNS - x - w
            if not self.counts(o):
                inside = (np.abs(CENTRES - (x + w / 2, y + h / 2)) <= (w / 2 + 0.5, h / 2 + 0.5)).all(-1)
                care[inside] = 0.0
                continue
            column = min(int(x + w / 2), COLUMNS - 1)
            row = min(int(y + h / 2), ROWS - 1)
            sigma = np.maximum(np.array([w, h]) / 7, 0.5)
            bump = gaussian((column + 0.5, row + 0.5), sigma)
            bump[row, column] = 1.0
            label = self.labels.index(o["label"])
            heat[label] = np.maximum(heat[label], bump)
            near = (bump > 0.4) & (bump > weight)
            weight[near] = bump[near]
            cx, cy = CENTRES[..., 0], CENTRES[..., 1]
            edges = np.stack([cx - x, cy - y, x + w - cx, y + h - cy])
            box[:, near] = np.maximum(edges, 0.05)[:, near]
        care = np.maximum(care, (heat.max(0) > 0.3).astype(np.float32))
        return heat, box, weight[None], care[None]

    def loss(self, heat, box, target):
        wanted, edges, weight, care = target
        # Distances are right when the boxes overlap: IoU of boxes that share the cell's centre.
        low = torch.minimum(box, edges)
        high = torch.maximum(box, edges)
        area = lambda e: (e[:, 0] + e[:, 2]) * (e[:, 1] + e[:, 3])  # noqa: E731
        both = area(low)
        union = area(box) + area(edges) - both
        iou = both / union.clamp(min=1e-3) - (area(high) - union) / area(high).clamp(min=1e-3)
        regression = ((1 - iou) * weight[:, 0]).sum() / weight.sum().clamp(min=1)
        return focal(heat, wanted, care) + 2 * regression


class Walker:
    """A person: a heatmap for each joint, and where in its cell the joint is."""

    kind = "walker"
    labels = ["person"]
    heatmaps, values, second, second_name = 17, 34, "linear", "offset"
    # The person that is asked for is the largest; fewer visible ones than this do not count.
    LEAST_VISIBLE = 0.3

    def counts(self, o):
        return o["visible"] >= self.LEAST_VISIBLE

    def target(self, objects, flip):
        heat = np.zeros((17, ROWS, COLUMNS), np.float32)
        offset = np.zeros((17, 2, ROWS, COLUMNS), np.float32)
        weight = np.zeros((17, 1, ROWS, COLUMNS), np.float32)
        care = np.ones((1, ROWS, COLUMNS), np.float32)
        for o in objects:
            for j, (x, y, visibility) in enumerate(o["keypoints"]):
                if visibility == 0:
                    continue
                x, y = x / STRIDE, y / STRIDE
                if flip:
                    j, x = MIRRORED[j], COLUMNS - x
                column, row = min(max(int(x), 0), COLUMNS - 1), min(max(int(y), 0), ROWS - 1)
                bump = gaussian((x, y), 0.8)
                bump[row, column] = 1.0
                heat[j] = np.maximum(heat[j], bump)
                near = (bump > 0.25) & (bump > weight[j, 0])
                weight[j, 0][near] = bump[near]
                offset[j, 0][near] = (x - CENTRES[..., 0])[near]
                offset[j, 1][near] = (y - CENTRES[..., 1])[near]
        return heat, offset.reshape(34, ROWS, COLUMNS), weight.repeat(2, 1).reshape(34, ROWS, COLUMNS), care

    def loss(self, heat, offset, target):
        wanted, place, weight, care = target
        regression = (F.smooth_l1_loss(offset, place, reduction="none", beta=0.2) * weight).sum()
        return focal(heat, wanted, care) + 2 * regression / weight.sum().clamp(min=1)


TASKS = {"traffic": Traffic(), "walker": Walker()}


class Dataset(torch.utils.data.Dataset):
    """Pictures [3, H, W] uint8 with targets by (round, frame); half of them mirrored, in each round others."""

    def __init__(self, frames, task, seed):
        self.frames, self.task, self.seed = frames, task, seed

    def __len__(self):
        return len(self.frames)

    def __getitem__(self, drawn):
        number, i = drawn
        flip = bool(np.random.default_rng((self.seed, number, i)).integers(2))
        picture = np.array(self.frames.pictures[i])
        if flip:
            picture = picture[:, ::-1]
        picture = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))
        return picture, [torch.from_numpy(t) for t in self.task.target(self.frames.truths[i], flip)]


def jitter(pictures, generator):
    """Bytes to 0–1 with slightly varied brightness, contrast and colour."""
    x = pictures.float() / 255
    n = (len(x), 3, 1, 1)
    rand = lambda *shape: torch.rand(*shape, generator=generator).to(x.device)  # noqa: E731
    gain = 1 + 0.3 * (rand(n[0], 1, 1, 1) - 0.5) + 0.08 * (rand(*n) - 0.5)
    shift = 0.1 * (rand(n[0], 1, 1, 1) - 0.5)
    return (x * gain + shift).clamp(0, 1)
