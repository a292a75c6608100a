"""A small one-step generator of 28 x 28 grey images, its first training, and the spaces that its images are seen in."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CLASSES = 10
LATENT = 64
WIDTH = 64  # features of every space
NOISE = 0.5  # on the images that the autoencoder is given
R1 = 0.1
R1_EVERY = 8


class Generator(nn.Module):
    """Noise (B, 64) and classes (B,) -> images (B, 1, 28, 28) in [-1, 1], in one step. Every image by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(LATENT + CLASSES, 256),
            nn.SiLU(),
            nn.Linear(256, 512),
            nn.SiLU(),
            nn.Linear(512, 8 * 14 * 14),
            nn.Unflatten(1, (8, 14, 14)),
            nn.SiLU(),
            nn.Conv2d(8, 16, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(16, 4, 3, padding=1),
            nn.PixelShuffle(2),
            nn.Tanh(),
        )

    def forward(self, noise: Tensor, classes: Tensor) -> Tensor:
        out: Tensor = self.layers(torch.cat([noise, F.one_hot(classes, CLASSES).to(noise)], 1))
        return out


class Critic(nn.Module):
    """How real images (B, 1, 28, 28) of these classes look, (B,)."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(strided_encoder(), nn.SiLU())
        self.real = nn.Linear(WIDTH, 1)
        self.of_class = nn.Embedding(CLASSES, WIDTH)

    def forward(self, images: Tensor, classes: Tensor) -> Tensor:
        x = self.body(images)
        out: Tensor = self.real(x)[:, 0] + (self.of_class(classes) * x).sum(1) / WIDTH**0.5
        return out


def strided_encoder() -> nn.Sequential:
    """28 x 28 -> 14 x 14 -> 7 x 7 -> 4 x 4 -> 64 features."""
    layers: list[nn.Module] = []
    for before, after, side in ((1, 16, 5), (16, 32, 3), (32, 64, 3)):
        layers += [nn.Conv2d(before, after, side, 2, side // 2), nn.GroupNorm(4, after), nn.SiLU()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(16 * 64, WIDTH))


class Residual(nn.Module):
    """x + layers(x): one depthwise convolution, then two layers a place."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(width, width, 5, padding=2, groups=width),
            nn.GroupNorm(1, width),
            nn.Conv2d(width, 2 * width, 1),
            nn.GELU(),
            nn.Conv2d(2 * width, width, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.layers(x)
        return out


def patch_encoder(width: int = 32) -> nn.Sequential:
    """Another architecture: 7 x 7 patches of 4 x 4 pixels, residual blocks, their mean -> 64 features."""
    blocks = [Residual(width) for _ in range(3)]
    end = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LayerNorm(width), nn.Linear(width, WIDTH)]
    return nn.Sequential(nn.Conv2d(1, width, 4, stride=4), *blocks, *end)


class Space(nn.Module):
    """Images (B, 1, 28, 28) in [-1, 1] -> features (B, 64) that over the real training images have mean 0 and, on
    average, variance 1: distances in two spaces are then of like size."""

    centre: Tensor
    spread: Tensor

    def __init__(self, body: nn.Module, real: Tensor) -> None:
        super().__init__()
        self.body = body.requires_grad_(False)
        with torch.no_grad():
            features = torch.cat([body(block) for block in real.split(500)])
        self.register_buffer("centre", features.mean(0))
        self.register_buffer("spread", features.var(0).mean().sqrt())

    def forward(self, images: Tensor) -> Tensor:
        out: Tensor = (self.body(images) - self.centre) / self.spread
        return out


def batches(n: int, batch: int, steps: int, random: torch.Generator) -> Iterator[Tensor]:
    """Indices of `steps` batches; every image comes before one comes again."""
    waiting = torch.empty(0, dtype=torch.int64)
    for _ in range(steps):
        while len(waiting) < batch:
            waiting = torch.cat([waiting, torch.randperm(n, generator=random)])
        yield waiting[:batch]
        waiting = waiting[batch:]


def rate_at(step: int, steps: int) -> float:
    """Share of the full rate: up in a line over a tenth of the steps, down along a cosine."""
    rising = max(1, round(0.1 * steps))
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))


def moved(images: Tensor, random: torch.Generator) -> Tensor:
    """Turned, zoomed, shifted and half of them flipped."""
    n, device = len(images), images.device

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(n, generator=random).to(device)

    flip, zoom, angle = uniform(-1, 1).sign(), uniform(0.85, 1.15), uniform(-0.15, 0.15)
    cos, sin = zoom * angle.cos(), zoom * angle.sin()
    top = torch.stack([flip * cos, -sin, uniform(-0.12, 0.12)], 1)
    low = torch.stack([flip * sin, cos, uniform(-0.12, 0.12)], 1)
    grid = F.affine_grid(torch.stack([top, low], 1), list(images.shape), align_corners=False)
    return F.grid_sample(images + 1, grid, align_corners=False) - 1


def fitted(
    parts: nn.Module, loss: Callable[[Tensor], Tensor], n: int, steps: int, random: torch.Generator
) -> None:
    """Minimise `loss(indices)` over batches of 128 with AdamW."""
    optimizer = torch.optim.AdamW(parts.parameters(), weight_decay=1e-3)
    for step, rows in enumerate(batches(n, 128, steps, random)):
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * rate_at(step, steps)
        optimizer.zero_grad()
        torch.autograd.backward(loss(rows))
        nn.utils.clip_grad_norm_(parts.parameters(), 1.0)
        optimizer.step()


def classifier(
    body: nn.Module, images: Tensor, classes: Tensor, *, steps: int, seed: int, move: bool
) -> nn.Module:
    """Trains `body` and a last layer to tell the classes; returns both in a row."""
    random = torch.Generator().manual_seed(seed)
    whole = nn.Sequential(body, nn.Sequential(nn.SiLU(), nn.Linear(WIDTH, CLASSES))).to(images.device)

    def loss(rows: Tensor) -> Tensor:
        x = images[rows]
        return F.cross_entropy(whole(moved(x, random) if move else x), classes[rows])

    fitted(whole, loss, len(images), steps, random)
    return whole


def autoencoder(images: Tensor, *, steps: int, seed: int) -> nn.Module:
    """The encoder of a denoising autoencoder; sees no classes."""
    random = torch.Generator().manual_seed(seed)
    body = strided_encoder().to(images.device)
    back = nn.Sequential(
        nn.SiLU(), nn.Linear(WIDTH, 256), nn.SiLU(), nn.Linear(256, 28 * 28), nn.Tanh()
    ).to(images.device)  # fmt: skip

    def loss(rows: Tensor) -> Tensor:
        x = images[rows]
        noise = torch.randn(x.shape, generator=random).to(x.device)
        return F.mse_loss(back(body(x + NOISE * noise)), x.flatten(1))

    fitted(nn.ModuleList([body, back]), loss, len(images), steps, random)
    return body


def first_training(
    images: Tensor, classes: Tensor, *, steps: int, seed: int, batch: int = 64, rate: float = 1e-3
) -> Generator:
    """A generator trained against a critic (non-saturating loss, gradient penalty on real images); averaged weights.

    Sources: Goodfellow et al. 2014, arXiv:1406.2661; Mescheder et al. 2018, arXiv:1801.04406, the penalty taken every
    8 steps as Karras et al. 2020, arXiv:1912.04958 do; classes by projection, Miyato and Koyama 2018, arXiv:1802.05637.
    """
    device = images.device
    random = torch.Generator().manual_seed(seed)
    generator, critic = Generator().to(device), Critic().to(device)
    average = copy.deepcopy(generator)
    of_generator, of_critic = (
        torch.optim.Adam(part.parameters(), betas=(0.0, 0.99)) for part in (generator, critic)
    )

    def noise() -> Tensor:
        return torch.randn(batch, LATENT, generator=random).to(device)

    for step, rows in enumerate(batches(len(images), batch, steps, random)):
        share = min(1.0, (step + 1) / 100, 2 * (1 - step / steps))
        for group in (*of_generator.param_groups, *of_critic.param_groups):
            group["lr"] = rate * share
        real, wanted = images[rows], classes[rows]
        with torch.no_grad():
            made = generator(noise(), wanted)
        scores = critic(torch.cat([real, made]), torch.cat([wanted, wanted]))
        loss = F.softplus(-scores[:batch]).mean() + F.softplus(scores[batch:]).mean()
        if step % R1_EVERY == 0:
            x = real.clone().requires_grad_()
            (slope,) = torch.autograd.grad(critic(x, wanted).sum(), x, create_graph=True)
            loss = loss + R1_EVERY * R1 / 2 * slope.square().sum((1, 2, 3)).mean()
        of_critic.zero_grad()
        torch.autograd.backward(loss)
        of_critic.step()
        critic.requires_grad_(False)
        wanted = torch.randint(0, CLASSES, (batch,), generator=random).to(device)
        of_generator.zero_grad()
        torch.autograd.backward(F.softplus(-critic(generator(noise(), wanted), wanted)).mean())
        of_generator.step()
        critic.requires_grad_(True)
        keep = min(0.998, (1 + step) / (10 + step))
        with torch.no_grad():
            for slow, fast in zip(average.parameters(), generator.parameters(), strict=True):
                slow.lerp_(fast, 1 - keep)
    return average
