"""A small contrastive pretraining: the encoder, two views of every image, and a step in each of the ways compared."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from assay.embeddings import info_nce
from assay.scale import cached_backward

TEMPERATURE = 0.2
WIDTHS = (8, 24, 48)
HIDDEN, PROJECTED = 128, 64
AT_ONCE = 512  # images that views are made of at a time
WARM_UP = 0.1  # share of the steps over which the rate rises


@dataclass(frozen=True)
class Way:
    """How a step is taken. `batch` images, two views each; `chunk` images at a time where the way has chunks."""

    backward: Literal["plain", "accumulated", "cached"]
    loss: Literal["dense", "tiled"]
    batch: int
    chunk: int = 0

    def __str__(self) -> str:
        chunk = f", {self.chunk} at a time" if self.chunk else ""
        return f"{self.backward} {self.loss} {self.batch}{chunk}"


class Encoder(nn.Module):
    """28 x 28 images to 768 features, and those to the 64 that the loss sees. Every image by itself: no batch norm."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after, side in zip((1, *WIDTHS), WIDTHS, (5, 3, 3), strict=False):
            layers += [nn.Conv2d(before, after, side, 2, side // 2), nn.GroupNorm(4, after), nn.ReLU()]
        self.features = nn.Sequential(*layers, nn.Flatten())
        self.project = nn.Sequential(
            nn.Linear(16 * WIDTHS[-1], HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, PROJECTED)
        )

    def forward(self, images: Tensor) -> Tensor:
        out: Tensor = self.project(self.features(images))
        return out


def view(images: Tensor, generator: torch.Generator) -> Tensor:
    """Bytes (n, 28, 28) -> (n, 1, 28, 28) around 0: cropped, turned, flipped, darker, noisy, a square gone."""
    n, device = len(images), images.device

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(shape or (n,), generator=generator).to(device)

    zoom, angle, stretch = uniform(0.55, 1.0), uniform(-0.2, 0.2), uniform(0.85, 1.18)
    flip = 1 - 2 * (uniform(0, 1) < 0.5).float()
    cos, sin, free = zoom * angle.cos(), zoom * angle.sin(), 1.1 - zoom
    top = torch.stack([flip * cos * stretch, -sin, uniform(-1, 1) * free], 1)
    low = torch.stack([flip * sin, cos / stretch, uniform(-1, 1) * free], 1)
    grid = F.affine_grid(torch.stack([top, low], 1), [n, 1, 28, 28], align_corners=False)
    x = F.grid_sample(images[:, None].float() / 255, grid, align_corners=False)
    x = x.pow(uniform(-0.5, 0.5).exp()[:, None, None, None]) * uniform(0.6, 1.4, n, 1, 1, 1)
    place, half = torch.arange(28, device=device) + 0.5, uniform(0, 6)
    inside = [(place - uniform(0, 28)[:, None]).abs() < half[:, None] for _ in range(2)]
    x = x.masked_fill((inside[0][:, :, None] & inside[1][:, None, :])[:, None], 0)
    noise = torch.randn(x.shape, generator=generator).to(device)
    return (x + uniform(0, 0.1, n, 1, 1, 1) * noise - 0.286) / 0.353


def two_views(images: Tensor, generator: torch.Generator) -> Tensor:
    """(n, 28, 28) -> (2n, 1, 28, 28): the first view of every image, then the second; made a slice at a time."""
    n = len(images)
    out = torch.empty(2 * n, 1, 28, 28, device=images.device)
    for start in range(0, 2 * n, AT_ONCE):
        rows = torch.arange(start, min(start + AT_ONCE, 2 * n), device=images.device) % n
        out[start : start + AT_ONCE] = view(images[rows], generator)
    return out


def dense_loss(z: Tensor) -> Tensor:
    """NT-Xent with all similarities in one (2n, 2n) matrix. z: (2n, d), the first views, then the second."""
    u = F.normalize(z, dim=1)
    logits = u @ u.T / TEMPERATURE
    logits.fill_diagonal_(-math.inf)
    return F.cross_entropy(logits, torch.arange(len(z), device=z.device).roll(len(z) // 2))


def tiled_loss(z: Tensor) -> Tensor:
    """The same without the matrix."""
    a, b = z.chunk(2)
    return info_nce(a, b, temperature=TEMPERATURE, negatives="both")


LOSSES: dict[str, Callable[[Tensor], Tensor]] = {"dense": dense_loss, "tiled": tiled_loss}


def add_gradient(way: Way, encoder: nn.Module, views: Tensor) -> float:
    """The loss of a batch; its gradient is added to the encoder's parameters."""
    loss = LOSSES[way.loss]
    if way.backward == "cached":
        return float(cached_backward(encoder, views, loss, 2 * way.chunk))
    if way.backward == "plain":
        value = loss(encoder(views))
        value.backward()
        return float(value.detach())
    # only the images of one chunk are told apart
    first, second = views.chunk(2)
    total = 0.0
    for a, b in zip(first.split(way.chunk), second.split(way.chunk), strict=True):
        value = loss(encoder(torch.cat([a, b]))) * (len(a) / way.batch)
        value.backward()
        total += float(value.detach())
    return total


def batches(n: int, batch: int, steps: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Indices of `steps` batches; every image comes before one comes again."""
    waiting = torch.empty(0, dtype=torch.int64)
    for _ in range(steps):
        while len(waiting) < batch:
            waiting = torch.cat([waiting, torch.randperm(n, generator=generator)])
        yield waiting[:batch]
        waiting = waiting[batch:]


def rate_at(step: int, steps: int) -> float:
    """Share of the full rate: up in a line, down along a cosine."""
    rising = max(1, round(WARM_UP * steps))
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / (steps - rising)))


def pretrained(way: Way, images: Tensor, *, seen: int, rate: float, seed: int) -> tuple[Encoder, list[float]]:
    """An encoder after `seen` images (n, 28, 28) in batches of `way.batch`, and the loss of every step."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    encoder = Encoder().to(images.device)
    optimizer = torch.optim.AdamW(encoder.parameters(), weight_decay=1e-4)
    steps, losses = seen // way.batch, []
    for step, rows in enumerate(batches(len(images), way.batch, steps, generator)):
        for group in optimizer.param_groups:
            group["lr"] = rate * rate_at(step, steps)
        optimizer.zero_grad()
        losses.append(add_gradient(way, encoder, two_views(images[rows.to(images.device)], generator)))
        optimizer.step()
    return encoder, losses
