"""A small class-conditional rectified flow for 28 x 28 grey images: the network, its loss and its sampler.

With a real image x1 in [-1, 1], Gaussian noise x0 and a time t in (0, 1), the network v is trained so that

    v((1 - t) x0 + t x1, t, label)  is close to  x1 - x0   in mean squared error,

and an image is drawn by following dx/dt = v(x, t, label) from noise at t = 0 to t = 1.

Source: Liu, Gong and Liu 2022, arXiv:2209.03003; times drawn from a logit-normal as in Esser et al. 2024,
arXiv:2403.03206.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

IMAGE_SIZE = 28


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions, shifted and scaled by the condition (time and class).

    (B, in, H, W) and (B, condition) -> (B, out, H, W).
    """

    def __init__(self, channels_in: int, channels_out: int, condition: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(8, channels_in)
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, padding=1)
        self.norm2 = nn.GroupNorm(8, channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1)
        self.modulation = nn.Linear(condition, 2 * channels_out)
        self.skip = nn.Conv2d(channels_in, channels_out, 1) if channels_in != channels_out else nn.Identity()
        # A block that starts as the identity lets the first steps learn the average image instead of noise.
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.modulation(condition)[:, :, None, None].chunk(2, dim=1)
        hidden = self.conv1(F.silu(self.norm1(x)))
        hidden = self.conv2(F.silu(self.norm2(hidden) * (1 + scale) + shift))
        out: Tensor = self.skip(x) + hidden
        return out


class VelocityNet(nn.Module):
    """A U-Net over 14 x 14 and 7 x 7 grids.

    (B, 1, 28, 28) images, (B,) times in [0, 1] and (B,) labels -> (B, 1, 28, 28) velocities. Pixels are
    folded 2 x 2 into channels first: convolutions at 28 x 28 are what a CPU has no time for.
    """

    def __init__(self, classes: int = 10, width: int = 48) -> None:
        super().__init__()
        condition = 4 * width
        self.frequencies: Tensor
        waves = torch.exp(torch.linspace(0.0, math.log(200.0), 32))
        self.register_buffer("frequencies", waves, persistent=False)
        self.embed_time = nn.Sequential(nn.Linear(64, condition), nn.SiLU(), nn.Linear(condition, condition))
        self.embed_label = nn.Embedding(classes, condition)
        self.stem = nn.Conv2d(4, width, 3, padding=1)
        self.fine_in = ResidualBlock(width, width, condition)
        self.down = nn.Conv2d(width, 2 * width, 2, stride=2)
        self.coarse = nn.ModuleList([ResidualBlock(2 * width, 2 * width, condition) for _ in range(3)])
        self.up = nn.ConvTranspose2d(2 * width, width, 2, stride=2)
        self.fine_out = ResidualBlock(2 * width, width, condition)
        self.head = nn.Sequential(nn.GroupNorm(8, width), nn.SiLU(), nn.Conv2d(width, 4, 3, padding=1))

    def forward(self, x: Tensor, time: Tensor, label: Tensor) -> Tensor:
        angles = time[:, None] * self.frequencies
        waves = torch.cat([angles.sin(), angles.cos()], dim=1)
        condition = F.silu(self.embed_time(waves) + self.embed_label(label))
        fine = self.fine_in(self.stem(F.pixel_unshuffle(x, 2)), condition)
        coarse = self.down(fine)
        for block in self.coarse:
            coarse = block(coarse, condition)
        joined = torch.cat([fine, self.up(coarse)], dim=1)
        return F.pixel_shuffle(self.head(self.fine_out(joined, condition)), 2)


def flow_loss(model: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
    """Mean squared error of the velocity at random times.

    (B, 1, 28, 28) images in [-1, 1] and (B,) labels -> scalar.
    """
    # Drawn on the CPU, so that a seed means the same numbers on every device.
    noise = torch.randn(images.shape, generator=generator).to(images.device)
    time = torch.randn(len(images), generator=generator).sigmoid().to(images.device)
    mix = time[:, None, None, None]
    velocity = model((1 - mix) * noise + mix * images, time, labels)
    return F.mse_loss(velocity, images - noise)


@torch.no_grad()
def sample(model: nn.Module, labels: Tensor, generator: torch.Generator, steps: int = 20) -> Tensor:
    """One image a label, by the midpoint rule: labels (B,) -> uint8 (B, 28, 28) on the CPU."""
    x = torch.randn((len(labels), 1, IMAGE_SIZE, IMAGE_SIZE), generator=generator).to(labels.device)
    x = x.contiguous(memory_format=torch.channels_last)
    step = 1.0 / steps
    for i in range(steps):
        time = torch.full((len(labels),), i * step, device=labels.device)
        middle = x + 0.5 * step * model(x, time, labels)
        x = x + step * model(middle, time + 0.5 * step, labels)
    return ((x[:, 0].clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).cpu()
