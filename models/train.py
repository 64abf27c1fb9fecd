#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""Trains, exports and evaluates one of the project's models.

    cargo build --release -p splitinfer-scene --example scene-frames
    python models/train.py traffic student

Interrupt it whenever you like: it resumes from its last checkpoint. The same command with more steps trains on.
"""

import argparse
import json
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent))

from recipe import frames as scenes  # noqa: E402
from recipe.card import card  # noqa: E402
from recipe.evaluation import EVALUATE, session  # noqa: E402
from recipe.export import cost, export, sidecar  # noqa: E402
from recipe.networks import Chain, parameters  # noqa: E402
from recipe.tasks import TASKS  # noqa: E402
from recipe.training import averaged, train  # noqa: E402

DOMAINS = ["day", "dusk", "night", "rain", "fog", "crowded", "highway", "low", "oblique", "cheap-camera"]
# Width of the network, what it is trained on (domains take turns), and for how long by default.
ROLES = {
    "student": {"width": 1.0, "domains": ["day"], "scenes": 320, "steps": 4_800},
    "teacher": {"width": 3.1, "domains": DOMAINS, "scenes": 1_280, "steps": 20_000},
}
# Scenes of training and of evaluation have different seeds.
TRAINING = {"seed": 1_000, "frames": 20, "every": 25}
EVALUATION = {"seed": 900_000, "scenes": 25, "frames": 8, "every": 60}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=TASKS)
    parser.add_argument("role", choices=ROLES)
    parser.add_argument("--steps", type=int, help="of 16 pictures; default as in ROLES")
    parser.add_argument("--seed", type=int, default=1)
    root = Path(__file__).parents[1]
    renderer = root / "target/release/examples/scene-frames"
    parser.add_argument("--renderer", type=Path, default=renderer, help="the scene-frames program")
    parser.add_argument("--cache", type=Path, default=root / "out/training", help="for frames and checkpoints")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent, help="folder for the model")
    parser.add_argument("--as-is", action="store_true", help="export and evaluate the last checkpoint without training")
    args = parser.parse_args()
    if not args.renderer.exists():
        parser.error(f"{args.renderer} is missing: cargo build --release -p splitinfer-scene --example scene-frames")
    return args


def log(text):
    print(text, flush=True)


def trained(args, task, role, steps):
    """The network, the number of steps that it was trained for, and those that were asked for one after another."""
    torch.manual_seed(args.seed)
    network = Chain(task.heatmaps, task.values, task.second, role["width"])
    log(f"{args.kind} {args.role}: {parameters(network):,} parameters")
    checkpoint = args.cache / f"{args.kind}-{args.role}.pt"
    if args.as_is:
        return averaged(checkpoint, network)
    data = scenes.load(args.renderer, args.kind, role["domains"], scenes=role["scenes"], cache=args.cache, **TRAINING)
    return train(network, task, data, steps, args.seed, checkpoint, log)


def evaluated(args, task, path):
    model, scores = session(path), {}
    for domain in DOMAINS:
        data = scenes.load(args.renderer, args.kind, [domain], cache=args.cache, **EVALUATION)
        scores[domain] = EVALUATE[args.kind](model, task, data)
        log(f"{domain:13}" + "  ".join(f"{k} {v:.3f}" for k, v in scores[domain].items()))
    return scores


def main():
    args = arguments()
    task, role = TASKS[args.kind], ROLES[args.role]
    steps = args.steps or role["steps"]
    name = f"{args.kind}-{args.role}"
    path = args.output / f"{name}.onnx"
    args.output.mkdir(parents=True, exist_ok=True)
    network, done, plans = trained(args, task, role, steps)
    difference = export(network, task, path)
    log(f"{path}: differs from PyTorch by at most {difference:.1e}")
    Path(f"{path}.modelinfo").write_text(sidecar(task, name))
    facts = cost(path)
    log("  ".join(f"{k} {v:,.1f}" for k, v in facts.items()))
    scores = evaluated(args, task, path)
    trained_on = {"domains": role["domains"], "scenes": role["scenes"], "frames": TRAINING["frames"]}
    report = {"steps": done, "plans": plans, "seed": args.seed, **trained_on, **facts, "scores": scores}
    args.cache.mkdir(parents=True, exist_ok=True)
    (args.cache / f"{name}.json").write_text(json.dumps(report, indent=1))
    (args.output / f"{name}.md").write_text(card(args.kind, args.role, report))


if __name__ == "__main__":
    main()
