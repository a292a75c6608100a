"""A generator that the other examples train: small enough to be trained while one looks on.

A noise vector becomes a grey 28 x 28 image; the loss is the distance of each real image to the nearest of as many made
ones. That makes no good images. It shows where a comparison goes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from assay.adapters.during_training import ModelComparison
from assay.data import open_images

REAL = Path(__file__).parent / "real.zip"
NOISE = 16


class SmallGenerator(nn.Module):
    """(k, 16) noise -> (k, 1, 28, 28) images in [-1, 1]."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(NOISE, 64),
            nn.BatchNorm1d(64),
            nn.ReLU(),
            nn.Dropout(0.1),
            nn.Linear(64, 28 * 28),
            nn.Tanh(),
        )

    def forward(self, noise: Tensor) -> Tensor:
        images: Tensor = self.layers(noise).view(-1, 1, 28, 28)
        return images


def options(about: str) -> argparse.Namespace:
    """What the examples ask on the command line."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--every", type=int, default=50, help="steps between two comparisons")
    parser.add_argument("--images", type=int, default=500, help="made for each comparison")
    parser.add_argument("--features", default="efficientnet-lite0", help="pixels:8 is quicker and says less")
    return parser.parse_args()


def comparison(args: argparse.Namespace) -> ModelComparison:
    """The model's images against examples/real.zip."""
    return ModelComparison(
        sample, REAL, n=args.images, value_range=(-1, 1), features=args.features, measures=["fd", "kd"]
    )


def sample(model: nn.Module, k: int) -> Tensor:
    """What a comparison calls for k images."""
    noise = torch.randn(k, NOISE, device=next(model.parameters()).device)
    images: Tensor = model(noise)
    return images


def real_images(n: int) -> Tensor:
    """The first n real images, (n, 1, 28, 28) in [-1, 1]."""
    source = open_images(REAL)
    grey = np.stack([source.decode(k)[None, :, :, 0] for k in range(n)])
    return torch.from_numpy(grey).float() / 127.5 - 1


def loss_of(model: nn.Module, real: Tensor) -> Tensor:
    """Mean squared distance of each real image to the nearest of as many made ones."""
    made = sample(model, len(real))
    nearest: Tensor = torch.cdist(real.flatten(1), made.flatten(1)).min(1).values
    return nearest.square().mean()
