"""The photographs of `super_resolution.py`, its network, its objectives, and the training."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import assay
from assay import images

FACTOR = 4
# each is held out once: what a fold tests, the other trains on
FOLDS = (
    ("astronaut", "china", "rocket", "hubble_deep_field", "immunohistochemistry"),
    ("coffee", "flower", "chelsea", "retina", "motorcycle"),
)
# grey photographs, trained on in both folds and never tested
ALWAYS_TRAINED = ("camera", "brick", "grass", "gravel")
FILES = {
    "hubble_deep_field": "hubble_deep_field.jpg", "immunohistochemistry": "ihc.png",
    "motorcycle": "motorcycle_left.png", "retina": "retina.jpg", "rocket": "rocket.jpg",
}  # fmt: skip
# the exponents of the four finest scales, of sum 1: a patch of 96 pixels has no fifth
EXPONENTS = tuple(w / 0.8667 for w in (0.0448, 0.2856, 0.3001, 0.2363))
ARMS = ("L1", "MS-SSIM", "perceptual", "frequency", "sum")


def photograph(name: str) -> Tensor:
    """(3, H, W) in [0, 1], as it lies inside the installed scikit-learn or scikit-image: nothing is downloaded."""
    import skimage
    import sklearn
    from PIL import Image

    inside = (
        Path(sklearn.__file__).parent / "datasets" / "images" / f"{name}.jpg"
        if name in ("china", "flower")
        else Path(skimage.__file__).parent / "data" / FILES.get(name, f"{name}.png")
    )
    with Image.open(inside) as opened:
        pixels = np.array(opened.convert("RGB"))
    return torch.from_numpy(pixels).permute(2, 0, 1).float() / 255


def in_8_bits(image: Tensor) -> Tensor:
    return (image.clamp(0, 1) * 255).round() / 255


def shrunk(image: Tensor) -> Tensor:
    """(B, 3, H, W) -> (B, 3, H / 4, W / 4): bicubic with antialiasing, in 8 bits, as it would come in a file."""
    size = [side // FACTOR for side in image.shape[-2:]]
    return in_8_bits(F.interpolate(image, size=size, mode="bicubic", antialias=True))


def bicubic(low: Tensor) -> Tensor:
    return F.interpolate(low, scale_factor=FACTOR, mode="bicubic")


class Upscaler(nn.Module):
    """Bicubic interpolation and what a few convolutions add to it; at first they add nothing."""

    def __init__(self, width: int = 32, depth: int = 8) -> None:
        super().__init__()
        sides = [3] + [width] * (depth - 1) + [3 * FACTOR**2]
        self.layers = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(sides))
        nn.init.zeros_(self.layers[-1].weight)
        nn.init.zeros_(self.layers[-1].bias)

    def forward(self, low: Tensor) -> Tensor:
        x = F.relu(self.layers[0](low - 0.5))
        for layer in list(self.layers)[1:-1]:
            x = x + F.relu(layer(x))
        return bicubic(low) + F.pixel_shuffle(self.layers[-1](x), FACTOR)


def objective(arm: str, toy: bool = False) -> Callable[[Tensor, Tensor], Tensor]:
    """What an arm minimises."""
    structure = images.ms_ssim.with_options(exponents=(0.5, 0.5) if toy else EXPONENTS)
    parts = {
        "L1": images.mean_absolute_error,
        "MS-SSIM": structure,
        "perceptual": images.efficientnet_lite0_distance,
        "frequency": images.frequency_distance,
    }
    if arm != "sum":
        return parts[arm].objective()
    return assay.total({name: (part, 1.0) for name, part in parts.items()}, weighting="gradients")


def batch(photographs: list[Tensor], count: int, side: int, generator: torch.Generator) -> Tensor:
    """Patches at random places of random photographs, mirrored at random."""

    def below(end: int) -> int:
        return int(torch.randint(end, (), generator=generator))

    patches = []
    for _ in range(count):
        whole = photographs[below(len(photographs))]
        top, left = (below(whole.shape[d] - side + 1) for d in (1, 2))
        patch = whole[:, top : top + side, left : left + side]
        patches.append(patch.flip(-1) if below(2) else patch)
    return torch.stack(patches)


def trained(
    network: Upscaler, minimised: Callable[[Tensor, Tensor], Tensor], photographs: list[Tensor], *,
    steps: int, patches: int, side: int, rate: float, seed: int, device: str,
) -> list[float]:  # fmt: skip
    """Train the network; the mean loss of each tenth of the steps. One seed gives every objective the same batches."""
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(network.parameters(), lr=rate)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    losses = []
    for _ in range(steps):
        target = batch(photographs, patches, side, generator).to(device)
        optimiser.zero_grad()
        loss = minimised(network(shrunk(target)), target)
        loss.backward()
        optimiser.step()
        falling.step()
        losses.append(float(loss.detach()))
    tenth = max(1, steps // 10)
    return [sum(losses[k : k + tenth]) / len(losses[k : k + tenth]) for k in range(0, steps, tenth)]


def fold_photographs(fold: int, crop: int | None = None) -> list[Tensor]:
    """What a fold trains on: the other folds' photographs, and the grey ones."""
    names = [n for k, fold_names in enumerate(FOLDS) if k != fold for n in fold_names]
    whole = [photograph(n) for n in (*names, *ALWAYS_TRAINED)]
    return whole if crop is None else [p[:, :crop, :crop] for p in whole]


def digest(state: dict[str, Tensor]) -> str:
    """Short name of a network's weights."""
    return hashlib.sha256(b"".join(v.cpu().numpy().tobytes() for v in state.values())).hexdigest()[:12]
