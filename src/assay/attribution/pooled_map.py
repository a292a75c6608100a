"""Which places of an image make its pooled features what they are to a measure?"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import UsageError
from .layer_outputs import changed_output, layer_named
from .sample_influence import FrozenInfluence

AGREES = 1e-4  # of the largest feature: so near a map's mean must be to the features
SEED = 0


@dataclass(frozen=True)
class PooledMaps:
    """Signed maps of where an image's influence comes from.

    Attributes:
        values: (B, h, w) float64; positive where the image raises the measure, against its baseline. Each map sums to
            `influence - of_baseline`.
        influence: (B,) float64, of the images.
        of_baseline: (B,) float64, that a sample with the baseline's features would have.
    """

    values: Tensor
    influence: Tensor
    of_baseline: Tensor


def pooled_layer(module: nn.Module, height: int, width: int) -> str | None:
    """The name of the part of a module whose output (B, d, h, w) is averaged over (h, w) to the features (B, d).

    It is found by looking: an image of noise is run, and of the parts whose output's mean equals the features to 1e-4,
    the last one is it. None where there is none: tokens, several pools, a projection after the pool, or a 1 x 1 map.

    Args:
        module: images (B, 3, H, W) in [0, 1] -> features (B, d), as `Extractor.torch_module` builds it.
        height, width: of the images.
    """
    means: dict[str, Tensor] = {}

    def note(name: str, output: Any) -> None:
        # the mean at once: a part that follows may work in place
        if isinstance(output, Tensor) and output.ndim == 4 and output.shape[2] * output.shape[3] > 1:
            means.pop(name, None)
            means[name] = output.float().mean((2, 3)).cpu()

    with contextlib.ExitStack() as hooks, torch.no_grad():
        for name, part in module.named_modules():
            if name:
                hooks.enter_context(changed_output(part, partial(note, name)))
        features = module(_noise(module, height, width)).float().cpu()
    near = AGREES * features.abs().max()
    fits = [
        n
        for n, m in means.items()
        if m.shape == features.shape and bool(((m - features).abs() <= near).all())
    ]
    return fits[-1] if fits else None


def seen_box(module: nn.Module, height: int, width: int) -> tuple[int, int, int, int]:
    """(top, left, height, width) of the part of an image that the features depend on: all of it, or a central crop.

    It is found by looking: the box around the pixels by which the features of an image of noise have a gradient.

    Raises:
        UsageError: no pixel matters, or the module has no gradient.
    """
    with torch.inference_mode(False), torch.enable_grad():
        image = _noise(module, height, width).requires_grad_()
        features = module(image)
        if not features.requires_grad:
            raise UsageError("module: its features have no gradient by the images")
        signs = torch.randn(features.shape, generator=torch.Generator().manual_seed(SEED)).to(features)
        (slope,) = torch.autograd.grad((features * signs).sum(), image)
    matters = (slope[0] != 0).any(0)
    rows, columns = matters.any(1).nonzero()[:, 0], matters.any(0).nonzero()[:, 0]
    if len(rows) == 0:
        raise UsageError("module: its features depend on no pixel")
    top, left = int(rows[0]), int(columns[0])
    return top, left, int(rows[-1]) + 1 - top, int(columns[-1]) + 1 - left


def pooled_maps(
    module: nn.Module,
    layer: nn.Module | str,
    influence: FrozenInfluence,
    images: Sequence[Tensor] | Tensor,
    baselines: Sequence[Tensor] | Tensor,
) -> PooledMaps:
    r"""The difference in influence between images and their baselines, place by place before the pool.

    $$ M_u = \frac{1}{h w} \sum_c \bar g_c \big( A_{c,u}(\text{image}) - A_{c,u}(\text{baseline}) \big), \qquad
       \sum_u M_u = \phi(f) - \phi(b) $$

    with A the maps whose means are the features f and b, and the gradient of phi averaged between the two
    (`FrozenInfluence.mean_slope`). Where the two maps differ in size, b stands for the baseline's map at every place:
    the sum is the same.

    Args:
        module: images (B, 3, H, W) in [0, 1] -> features (B, d).
        layer: the part before the pool, or its name (see `pooled_layer`).
        influence: phi.
        images: B of them, (3, H, W) each, of any sizes.
        baselines: B of them, likewise: the nearest real image of each.

    Raises:
        UsageError: not as many baselines as images; a layer that is not in the module, or whose mean is not the
            features.
    """
    if len(images) != len(baselines) or len(images) == 0:
        raise UsageError(f"baselines: expected one an image, got {len(baselines)} for {len(images)}")
    part = layer_named(module, layer)
    own = [_map_of(module, part, image) for image in images]
    other = [_map_of(module, part, image) for image in baselines]
    features, base = (torch.stack([each.mean((1, 2)) for each in maps]) for maps in (own, other))
    slopes = influence.mean_slope(features, base).to(features.device)
    values = []
    for slope, mine, theirs, mean in zip(slopes, own, other, base, strict=True):
        against = theirs if theirs.shape == mine.shape else mean[:, None, None]
        values.append(torch.einsum("c,chw->hw", slope, mine - against) / mine[0].numel())
    if len({value.shape for value in values}) > 1:
        raise UsageError("images: their maps differ in size; explain images of one size at a time")
    with torch.no_grad():
        return PooledMaps(torch.stack(values), influence(features), influence(base))


def _map_of(module: nn.Module, part: nn.Module, image: Tensor) -> Tensor:
    """(d, h, w) float64, whose mean is the features."""
    kept: list[Tensor] = []

    def keep(output: Any) -> None:
        kept.append(output.clone() if isinstance(output, Tensor) else output)

    with changed_output(part, keep), torch.no_grad():
        features = module(image[None])[0].cpu().to(torch.float64)
    found = kept[-1] if kept else None
    if not isinstance(found, Tensor) or found.ndim != 4:
        got = (
            "was not run"
            if found is None
            else f"gives {tuple(found.shape) if isinstance(found, Tensor) else found}"
        )
        raise UsageError(f"layer: {got}, expected a map (B, d, h, w)")
    wide = found[0].cpu().to(torch.float64)  # not every device has float64
    mean = wide.mean((1, 2))
    if mean.shape != features.shape or bool((mean - features).abs().max() > AGREES * features.abs().max()):
        raise UsageError("layer: the mean of its map is not the features; use pixel_maps for this extractor")
    return wide


def _noise(module: nn.Module, height: int, width: int) -> Tensor:
    generator = torch.Generator().manual_seed(SEED)
    image = 0.25 + 0.5 * torch.rand(1, 3, height, width, generator=generator)
    first = next(module.parameters(), None)
    return image if first is None else image.to(first.device, first.dtype)
