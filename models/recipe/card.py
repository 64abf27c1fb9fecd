# SPDX-License-Identifier: MPL-2.0
"""The model card, written from what was measured."""

ANSWERS = {
    "traffic": "Vehicles in the picture of a fixed camera: `car`, `van`, `truck`, `bus`. `heatmap` [1, 4, 22, 40]: one map of "
    "centres a class, sigmoid applied. `box` [1, 4, 22, 40]: distances from the cell's centre to the left, top, right and "
    "bottom edge, in cells of 8 pixels.",
    "walker": "The 17 COCO joints of one person. `heatmap` [1, 17, 22, 40]: one map a joint, sigmoid applied. `offset` "
    "[1, 34, 22, 40]: x and y of each joint against the cell's centre, in cells of 8 pixels.",
}
METRICS = {
    "traffic": "AP50: average precision at IoU 0.5 whatever the kind of vehicle. Kind right: share of right kinds among the "
    "hits with a score above 0.3. Count error: mean absolute error of the number of vehicles a frame at that threshold. "
    "Vehicles under 6 pixels of the input or less than 30 % visible are left out.",
    "walker": "PCK@.05: share of the joints inside the picture that are found within 5 % of the height of the person's box, "
    "of all and of the visible ones. Error: mean distance in pixels of the input (320 × 176), wrong persons included. Of "
    "several people the largest counts.",
}
LIMITS = {
    "traffic": "It has never seen a real picture. Vehicles far away (under 6 pixels) are not asked for. Motorcycles, "
    "bicycles and people are background to it.",
    "walker": "It has never seen a real picture. It answers one person; with several the joints of different people can be "
    "mixed (domains `crowded` and `highway`, where there are two or three). Lying, crouching and close-ups do not occur in "
    "its scenes.",
}

# What the same recipe gave when it was run again from nothing with --seed 2: by day, and how far the domains' figures are
# from those of the shipped files, in the mean and at most.
AGAIN = {
    ("traffic", "student"): ("AP50", 0.784, 0.03, 0.12, "rain"),
    ("traffic", "teacher"): ("AP50", 0.893, 0.008, 0.015, "low"),
    ("walker", "student"): ("PCK@.05", 0.890, 0.03, 0.06, "rain"),
    ("walker", "teacher"): ("PCK@.05", 0.988, 0.008, 0.018, "cheap-camera"),
}


def noise(kind, role):
    figure, day, mean, most, domain = AGAIN[kind, role]
    return (
        f"Trained again from nothing with another seed (2) and the default steps, {figure} by day was {day:.3f}; over all\n"
        f"domains it differed from the table by {mean:g} in the mean, by {most:g} at most (`{domain}`). A run of the recipe that is\n"
        "farther off than twice that is another recipe."
    )


def card(kind, role, report):
    first = next(iter(report["scores"].values()))
    head = "| domain | " + " | ".join(first) + " |\n|---|" + "---:|" * len(first)
    row = lambda d, s: f"| {d} | " + " | ".join(f"{v:.3f}" for v in s.values()) + " |"  # noqa: E731
    table = "\n".join([head, *(row(d, s) for d, s in report["scores"].items())])
    command = f"python models/train.py {kind} {role} --seed {report['seed']} --steps {report['plans'][0]}"
    command = f"`{command}`" + "".join(f", then on with `--steps {n}`" for n in report["plans"][1:])
    stopped = "" if report["steps"] == report["plans"][-1] else f" This file is an early one, after {report['steps']} steps."
    trained_on = "the domain `day` alone" if report["domains"] == ["day"] else "all domains"
    return f"""<!-- SPDX-License-Identifier: MPL-2.0 -->
# {kind}-{role}

{ANSWERS[kind]}

Input `image` [1, 3, 176, 320]: RGB, 0–1, the frame stretched to 320 × 176. ONNX opset 17,
{report["parameters"]:,} parameters, {report["MACs"] / 1e6:.0f} M multiply–accumulates, {report["ms"]:.1f} ms a frame on one core of
the machine that wrote this card (ONNX Runtime, CPU).

## Data and training
Scenes of this project (docs/scenes.md), rendered at 640 × 360 and reduced; {trained_on}; {report["scenes"] * report["frames"]:,} frames of {report["scenes"]:,} scenes
(seeds 1000–{999 + report["scenes"]}). {command}: AdamW, batches of
16, cosine rate, mirrored and slightly varied in brightness and colour.{stopped}

## Accuracy by domain
200 frames a domain of 25 scenes that were not trained on (seeds 900000–900024). {METRICS[kind]}

{table}

## Noise
{noise(kind, role)}

## Limits
{LIMITS[kind]} {"Trained on one domain on purpose, so that others show a real loss: see the table." if role == "student" else ""}

## Licence
MPL-2.0, as the project. Network, data and weights are the project's own.
"""
