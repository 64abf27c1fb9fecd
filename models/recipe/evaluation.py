# SPDX-License-Identifier: MPL-2.0
"""How good an exported model is, by domain: AP at IoU 0.5 and count error, or PCK and joint error."""

import numpy as np
import onnxruntime

from .networks import STRIDE

THRESHOLD = 0.3
# Of what the highest neighbour says: small vehicles side by side have their centres in neighbouring cells.
PEAK_RATIO = 0.8


def session(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def answers(model, pictures):
    for picture in pictures:
        x = np.ascontiguousarray(picture.transpose(2, 0, 1)[None], np.float32) / 255
        heat, second = model.run(None, {"image": x})
        yield heat[0], second[0]


def peaks(heat, least):
    padded = np.pad(heat, ((0, 0), (1, 1), (1, 1)))
    h, w = heat.shape[1:]
    around = np.max([padded[:, i : i + h, j : j + w] for i in range(3) for j in range(3)], 0)
    return np.argwhere((heat >= PEAK_RATIO * around) & (heat > least))


def boxes(heat, edges, least=0.05):
    """Rows of score, class, x0, y0, x1, y1, best first, after suppression at IoU 0.5 whatever the class."""
    found = []
    for c, i, j in peaks(heat, least):
        l, t, r, b = edges[:, i, j]
        x, y = j + 0.5, i + 0.5
        found.append([heat[c, i, j], c, *(STRIDE * np.array([x - l, y - t, x + r, y + b]))])
    found.sort(key=lambda f: -f[0])
    kept = []
    for f in found:
        if all(iou(f[2:], k[2:]) < 0.5 for k in kept):
            kept.append(f)
    return kept


def iou(a, b):
    w = min(a[2], b[2]) - max(a[0], b[0])
    h = min(a[3], b[3]) - max(a[1], b[1])
    if w <= 0 or h <= 0:
        return 0.0
    return w * h / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - w * h)


def corners(o):
    x, y, w, h = o["box"]
    return [x, y, x + w, y + h]


def traffic(model, task, frames):
    """AP50 of vehicles whatever their kind (101 points, as COCO), share of right kinds among the hits above the
    threshold, and mean absolute error of the number of vehicles a frame."""
    scored, wanted, count_error, right = [], 0, [], []
    for (heat, edges), objects in zip(answers(model, frames.pictures), frames.truths):
        truth = [o for o in objects if task.counts(o)]
        spare = [corners(o) for o in objects if not task.counts(o)]
        wanted += len(truth)
        taken, sure = set(), 0
        for score, c, *box in boxes(heat, edges):
            overlaps = [(iou(box, corners(o)), n) for n, o in enumerate(truth) if n not in taken]
            best, n = max(overlaps, default=(0.0, -1))
            if best >= 0.5:
                taken.add(n)
                scored.append((score, True))
                if score > THRESHOLD:
                    right.append(task.labels[int(c)] == truth[n]["label"])
            elif any(iou(box, s) > 0.3 for s in spare):
                continue
            else:
                scored.append((score, False))
            sure += score > THRESHOLD
        count_error.append(abs(sure - len(truth)))
    return {"AP50": average_precision(scored, wanted), "kind right": float(np.mean(right or [0])), "count error": float(np.mean(count_error))}


def average_precision(scored, wanted):
    scored.sort(key=lambda s: -s[0])
    hits = np.cumsum([hit for _, hit in scored] or [0])
    precision = hits / np.arange(1, len(hits) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    recall = hits / max(wanted, 1)
    at = np.searchsorted(recall, np.linspace(0, 1, 101))
    return float(np.mean([precision[i] if i < len(precision) else 0.0 for i in at]))


def walker(model, task, frames):
    """Of the person with the largest box: share of joints inside the picture that are found within 5 % of the box
    height (PCK), of the visible ones alone, and the mean error in pixels of the model's input."""
    close, close_visible, errors = [], [], []
    for (heat, offset), objects in zip(answers(model, frames.pictures), frames.truths):
        people = [o for o in objects if task.counts(o)]
        if not people:
            continue
        person = max(people, key=lambda o: o["box"][2] * o["box"][3])
        for j, (x, y, visibility) in enumerate(person["keypoints"]):
            if visibility == 0:
                continue
            row, column = np.unravel_index(heat[j].argmax(), heat[j].shape)
            dx, dy = offset[2 * j : 2 * j + 2, row, column]
            error = np.hypot((column + 0.5 + dx) * STRIDE - x, (row + 0.5 + dy) * STRIDE - y)
            errors.append(error)
            close.append(error < 0.05 * person["box"][3])
            if visibility == 2:
                close_visible.append(close[-1])
    mean = lambda v: float(np.mean(v or [0]))  # noqa: E731
    return {"PCK@.05": mean(close), "PCK@.05 visible": mean(close_visible), "error px": mean(errors)}


EVALUATE = {"traffic": traffic, "walker": walker}
