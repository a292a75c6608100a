"""Make the example sets: real.zip, and early.zip and late.zip from two checkpoints of one small generator.

    python examples/train_generator.py --out examples

Trains the rectified flow of `flow.py` on the 60,000 training images of Fashion-MNIST. The real set is the
first 100 **test** images of each class, so the generator has never seen them. Each generated set has its own
noise: two candidates drawn from the same noise would not be independent samples.
"""

from __future__ import annotations

import argparse
import copy
import math
import sys
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from assay.errors import DataError
from fashion_mnist import CLASSES, DEBIAN_FOLDER, first_of_each_class, load
from flow import VelocityNet, flow_loss, sample
from image_zip import contact_sheet, png, replace_file, zip_bytes

BATCH = 128
LEARNING_RATE = 2e-3
WARM_UP = 100
EARLY = 0.2


def learning_rate(step: int, steps: int) -> float:
    """Linear warm-up, then half a cosine down to zero; steps count from 0."""
    return LEARNING_RATE * min(1.0, (step + 1) / WARM_UP) * 0.5 * (1 + math.cos(math.pi * step / steps))


@torch.no_grad()
def follow(average: nn.Module, model: nn.Module, step: int) -> None:
    """Move the averaged weights towards the current ones; it covers few steps at first, 200 in the end."""
    keep = min(0.995, (1 + step) / (10 + step))
    for slow, fast in zip(average.parameters(), model.parameters(), strict=True):
        slow.lerp_(fast, 1 - keep)


def draw(model: nn.Module, per_class: int, seed: int, device: torch.device) -> NDArray[np.uint8]:
    """`per_class` images of each class, class by class: (10 per_class, 28, 28)."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(len(CLASSES)).repeat_interleave(per_class).to(device)
    model.eval()
    return torch.cat([sample(model, part, generator) for part in torch.split(labels, 250)]).numpy()


def train(
    images: Tensor, labels: Tensor, *, steps: int, per_class: int, seed: int, device: torch.device
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Train, and draw a set after 20% of the steps (early) and one after all of them (late).

    (n, 1, 28, 28) uint8 images and (n,) labels -> two sets (10 per_class, 28, 28) uint8, class by class.
    """
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    model = VelocityNet(len(CLASSES)).to(device)
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in PyTorch's types
    average = copy.deepcopy(model)
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.01)
    early_step = max(1, round(EARLY * steps))
    early: NDArray[np.uint8] | None = None
    order = torch.empty(0, dtype=torch.long)
    recent = math.nan
    drawing = 0.0
    started = last_shown = time.monotonic()
    for step in range(steps):
        if len(order) < BATCH:
            order = torch.randperm(len(images), generator=generator)
        chosen, order = order[:BATCH], order[BATCH:]
        batch = images[chosen].to(device, torch.float32).div(127.5).sub(1)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, steps)
        loss = flow_loss(model, batch, labels[chosen].to(device), generator)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        follow(average, model, step)
        if step + 1 == early_step:
            show(f"step {step + 1} of {steps}: drawing the early set")
            drawing = -time.monotonic()
            early = draw(average, per_class, seed + 1, device)
            drawing += time.monotonic()
        now = time.monotonic()
        if now - last_shown >= 10 or step + 1 == steps:
            # The loss of one batch swings with the times that were drawn.
            recent = loss.item() if math.isnan(recent) else 0.7 * recent + 0.3 * loss.item()
            training = now - started - drawing
            rate = (step + 1) / training
            # The late set takes as long to draw as the early one did.
            left = (steps - step - 1) / rate + drawing
            show(f"step {step + 1} of {steps}, loss {recent:.3f}, {rate:.1f} steps/s, {clock(left)} left")
            last_shown = now
    assert early is not None
    show("drawing the late set")
    return early, draw(average, per_class, seed + 2, device)


def clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def show(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} given, expected 1 or more")
    return number


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Train a small generator and write the example sets.")
    parser.add_argument("--out", type=Path, default=Path("examples"), help="folder to write to (%(default)s)")
    parser.add_argument(
        "--data", type=Path, default=DEBIAN_FOLDER, help="folder with the four original files (%(default)s)"
    )
    parser.add_argument(
        "--steps", type=positive, default=2200, help=f"training steps of {BATCH} images (%(default)s)"
    )
    parser.add_argument(
        "--per-class", type=positive, default=100, help="images of each class in a set (%(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, ...")
    options = parser.parse_args(arguments)
    if options.steps < 2:
        parser.error("argument --steps: 1 given, expected 2 or more, for an early and a late checkpoint")
    try:
        options.device = torch.empty(0, device=options.device).device
    except (RuntimeError, AssertionError) as error:
        parser.error(f"argument --device: {options.device} cannot be used here: {str(error).splitlines()[0]}")
    return options


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    started = time.monotonic()
    try:
        test_images, test_labels = load("test", options.data)
        real, real_labels = first_of_each_class(test_images, test_labels, options.per_class)
        train_images, train_labels = load("train", options.data)
        options.out.mkdir(parents=True, exist_ok=True)
        early, late = train(
            torch.from_numpy(train_images)[:, None],
            torch.from_numpy(train_labels).long(),
            steps=options.steps,
            per_class=options.per_class,
            seed=options.seed,
            device=options.device,
        )
        sets = {"real": real, "early": early, "late": late}
        for name, images in sets.items():
            replace_file(options.out / f"{name}.zip", zip_bytes(images, real_labels, CLASSES))
        sheet = contact_sheet([(images, real_labels) for images in sets.values()])
        replace_file(options.out / "samples.png", png(sheet))
    except (DataError, OSError) as error:
        show(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        show("interrupted")
        return 130
    took = clock(time.monotonic() - started)
    show(f"wrote real.zip, early.zip, late.zip and samples.png to {options.out} in {took}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
