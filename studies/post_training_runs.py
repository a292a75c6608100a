"""One generator post-trained on the Fréchet distance: which spaces, how many samples the statistic covers, how."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from post_training_networks import CLASSES, LATENT, Generator, Space, rate_at
from torch import Tensor, nn

import assay
from assay.several_objectives import several_objectives
from assay.statistics import Moments

AT_ONCE = 500


@dataclass(frozen=True)
class Arm:
    """What is minimised. `population` None: the batch alone is the whole set."""

    spaces: tuple[str, ...]
    population: int | None
    memory: Literal["queue", "ema"] = "queue"

    def __str__(self) -> str:
        covered = "batch alone" if self.population is None else f"{self.memory} {self.population}"
        return f"{'+'.join(self.spaces)}: {covered}"


def drawn(generator: nn.Module, n: int, seed: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """n images as they would be saved, uint8 (n, 1, 28, 28), and the classes that were asked for.

    Classes are drawn, not dealt out evenly: halves of an even set are less even than the whole, and the bias that the
    halves show would be too large.
    """
    random = torch.Generator().manual_seed(seed)
    noise = torch.randn(n, LATENT, generator=random).to(device)
    classes = torch.randint(0, CLASSES, (n,), generator=random).to(device)
    with torch.no_grad():
        parts = [generator(z, c) for z, c in zip(noise.split(AT_ONCE), classes.split(AT_ONCE), strict=True)]
    return ((torch.cat(parts).clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8), classes


def in_range(images: Tensor) -> Tensor:
    """uint8 -> [-1, 1]."""
    return images.float() / 127.5 - 1


@torch.no_grad()
def features_of(space: nn.Module, images: Tensor) -> Tensor:
    """uint8 (n, 1, 28, 28) -> (n, d)."""
    return torch.cat([space(in_range(block)) for block in images.split(AT_ONCE)])


def post_trained(
    base: Generator,
    arm: Arm,
    spaces: Mapping[str, Space],
    references: Mapping[str, Moments],
    *,
    steps: int,
    batch: int,
    rate: float,
    seed: int,
    look: Callable[[int, Generator], None] = lambda step, generator: None,
) -> Generator:
    """A copy of `base` after `steps` steps of Adam on the sum of the arm's distances, each divided by its own value.

    The population starts filled with images of `base`. Adam's step does not depend on the gradient's scale, so that
    what differs between arms is the gradient's direction.

    Args:
        references: of the real training images.
        look: called with the steps done and the generator, before the first step and after every fifth of them.
    """
    device = next(base.parameters()).device
    random = torch.Generator().manual_seed(seed)
    generator = copy.deepcopy(base).requires_grad_(True)

    def images(maker: nn.Module, n: int) -> Tensor:
        noise = torch.randn(n, LATENT, generator=random).to(device)
        classes = torch.randint(0, CLASSES, (n,), generator=random).to(device)
        out: Tensor = maker(noise, classes)
        return out

    objectives = {
        name: assay.frechet_distance.objective(
            reference=references[name], population=arm.population, memory=arm.memory
        )
        for name in arm.spaces
    }
    loss = several_objectives(objectives).to(device)
    if arm.population is not None:
        with torch.no_grad():
            first = [images(base, min(AT_ONCE, arm.population)) for _ in range(-(-arm.population // AT_ONCE))]
        for name, objective in objectives.items():
            objective.warm_up(first, spaces[name], quiet=True)
        del first
    optimizer = torch.optim.Adam(generator.parameters(), betas=(0.9, 0.99))
    look(0, generator)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = rate * rate_at(step, steps)
        made = images(generator, batch)
        value = loss({name: spaces[name](made) for name in arm.spaces})
        optimizer.zero_grad()
        torch.autograd.backward(value)
        optimizer.step()
        if (step + 1) % max(1, steps // 5) == 0:
            look(step + 1, generator)
    return generator
