"""A generator trained on the Fréchet distance itself, in a loop written with Accelerate.

    pip install "assay[images,accelerate]"
    python examples/frechet_accelerate.py
    accelerate launch --num_processes 2 examples/frechet_accelerate.py

A distance of distributions needs many samples, a training step has few: the objective's population is the last 2,000
images, of which the batch of each step is the newest part. The features here are pixels averaged over 2 x 2, so that
the example runs in seconds; a network that is differentiable in its images takes their place.
"""

from __future__ import annotations

import torch
from accelerate import Accelerator
from torch import Tensor

import assay
from small_generator import SmallGenerator, options, real_images, sample

BATCH, POPULATION = 100, 2000


def features(images: Tensor) -> Tensor:
    """(k, 1, 28, 28) -> (k, 196)."""
    return torch.nn.functional.avg_pool2d(images, 2).flatten(1)


def main() -> None:
    args = options("Train a generator on the Fréchet distance.")
    torch.manual_seed(0)
    accelerator = Accelerator(cpu=True)
    model = SmallGenerator()
    model, optimizer = accelerator.prepare(model, torch.optim.Adam(model.parameters(), 2e-3))
    torch.manual_seed(1 + accelerator.process_index)  # every process its own noise
    real = features(real_images(1000))
    distance = assay.frechet_distance.objective(reference=real, population=POPULATION)
    share = BATCH // accelerator.num_processes
    with torch.no_grad():  # the first steps have a population too
        distance.warm_up(features(sample(model, share)) for _ in range(POPULATION // BATCH))
    for step in range(args.steps):
        optimizer.zero_grad()
        loss = distance(features(sample(model, share)))  # of all processes' images, the same on each
        accelerator.backward(loss)
        optimizer.step()
        if (step + 1) % args.every == 0:
            accelerator.print(f"step {step + 1}: {loss.item():.2f}")
    accelerator.end_training()


if __name__ == "__main__":
    main()
