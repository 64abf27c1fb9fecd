# SPDX-License-Identifier: MPL-2.0
"""The training loop: seeded, resumable, on a GPU if there is one."""

import copy
import math
import os
import time

import torch

from .tasks import Dataset, jitter

BATCH = 16
PEAK_RATE = 3e-3
WARM_UP = 150
# A checkpoint is written after this many steps; frames are drawn anew for each such round.
ROUND = 100
# The exported weights are a moving average over about this many of the last steps.
AVERAGE_OVER = 200


def rate(step, steps):
    """Warm-up, then half a cosine down to zero."""
    return PEAK_RATE * min(1, (step + 1) / WARM_UP) * 0.5 * (1 + math.cos(math.pi * min(1, step / steps)))


def drawn(seed, number, frames):
    """The frames of a round, and the generator that goes on with how each batch is varied."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + number)
    return torch.randint(frames, (ROUND * BATCH,), generator=generator).tolist(), generator


class Rounds:
    """A sampler: (number of the round, frame) from one round on to the last."""

    def __init__(self, seed, frames, first, end):
        self.seed, self.frames, self.numbers = seed, frames, range(first, end)

    def __len__(self):
        return len(self.numbers) * ROUND * BATCH

    def __iter__(self):
        for number in self.numbers:
            for frame in drawn(self.seed, number, self.frames)[0]:
                yield number, frame


def batches(data, seed, step, steps):
    """Pictures and targets from `step`, which begins a round, to the end of the round of the last step."""
    rounds = Rounds(seed, len(data), step // ROUND, math.ceil(steps / ROUND))
    # A GPU waits for pictures that one core makes; on a CPU the training has the cores.
    workers = min(8, os.cpu_count() - 1) if torch.cuda.is_available() else 0
    return torch.utils.data.DataLoader(data, BATCH, sampler=rounds, num_workers=workers)


def train(network, task, frames, steps, seed, checkpoint, log):
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network.to(device, memory_format=torch.channels_last).train()
    average = copy.deepcopy(network)
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=1e-3)
    step, plans = resume(checkpoint, network, average, optimizer, device)
    if steps not in plans:
        plans.append(steps)
    if step:
        log(f"resumed at step {step} of {steps}")
    data = Dataset(frames, task, seed)
    started, first, running = time.time(), step, None
    for pictures, target in batches(data, seed, step, steps) if step < steps else ():
        if step % ROUND == 0:
            generator = drawn(seed, step // ROUND, len(data))[1]
        for group in optimizer.param_groups:
            group["lr"] = rate(step, steps)
        pictures = jitter(pictures.to(device), generator).contiguous(memory_format=torch.channels_last)
        loss = one_step(network, task, optimizer, pictures, [t.to(device) for t in target])
        step += 1
        follow(average, network, step)
        running = loss if running is None else 0.97 * running + 0.03 * loss
        if step % 20 == 0:
            speed = (step - first) / (time.time() - started)
            left = (steps - step) / speed / 60
            log(f"step {step}/{steps}  loss {running:.3f}  {speed * BATCH:.0f} pictures/s  {left:.1f} min left")
        if step % ROUND == 0:
            save(checkpoint, network, average, optimizer, step, plans)
    return average.cpu().eval(), step, plans


def one_step(network, task, optimizer, pictures, target):
    with torch.autocast(pictures.device.type, torch.bfloat16):
        heat, second = network.logits(pictures)
    loss = task.loss(heat, second, target)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), 10.0)
    optimizer.step()
    return loss.item()


def follow(average, network, step):
    keep = min(1 - 1 / AVERAGE_OVER, step / (step + 10))
    pairs = list(zip(average.state_dict().values(), network.state_dict().values()))
    floats = [(a, n) for a, n in pairs if a.dtype.is_floating_point]
    with torch.no_grad():
        torch._foreach_lerp_(*map(list, zip(*floats)), 1 - keep)
        for a, n in pairs:
            if not a.dtype.is_floating_point:
                a.copy_(n)


def save(path, network, average, optimizer, step, plans):
    state = {"network": network.state_dict(), "average": average.state_dict(), "optimizer": optimizer.state_dict()}
    part = path.with_suffix(".part")
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({**state, "step": step, "plans": plans}, part)
    part.replace(path)


def resume(path, network, average, optimizer, device):
    """The step of the checkpoint, whose state is loaded, and the numbers of steps that were asked for so far."""
    if not path.exists():
        return 0, []
    state = torch.load(path, map_location=device, weights_only=True)
    network.load_state_dict(state["network"])
    average.load_state_dict(state["average"])
    optimizer.load_state_dict(state["optimizer"])
    return state["step"], state["plans"]


def averaged(path, network):
    """The weights that would be exported if training ended at the checkpoint, and its step and plans."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    network.load_state_dict(state["average"])
    return network.eval(), state["step"], state["plans"]
