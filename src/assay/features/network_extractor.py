"""An extractor made of a network and the rule by which images become its input."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from assay.errors import UsageError
from assay.features.extractor import Crop, Extractor, Outputs
from assay.features.network_runner import Runner, channels_last, run_network
from assay.features.resize import Resize, center_crop_box

N = TypeVar("N", bound=nn.Module)

# one number, or one a channel of red, green, blue
PerChannel = float | tuple[float, float, float]


@dataclass(frozen=True)
class Preparation:
    """How an image becomes a network's input: the central square or all of it, resized, then (x - offset) / scale.

    Attributes:
        side: of the input, in pixels.
        crop: "center" or "none".
        fraction: how much of the short side the central square takes.
        resize: the rule, and its name.
        offset, scale: in units of bytes, 0 to 255.
    """

    side: int
    crop: Crop
    fraction: float
    resize: Resize
    resize_name: str
    offset: PerChannel
    scale: PerChannel

    def of_bytes(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """One uint8 (H, W, 3) image -> float32 (3, side, side)."""
        if self.crop == "center":
            top, left, side = center_crop_box(image.shape[0], image.shape[1], self.fraction)
            image = image[top : top + side, left : left + side]
        offset, scale = (np.array(t, dtype=np.float32).reshape(-1, 1, 1) for t in (self.offset, self.scale))
        prepared: NDArray[np.float32] = (self.resize.array(image, self.side) - offset) / scale
        return prepared

    def of_floats(self, images: Tensor) -> Tensor:
        """Float images (B, 3, H, W) in [0, 1] -> (B, 3, side, side), differentiable."""
        if images.ndim != 4 or images.shape[1] != 3 or not images.is_floating_point():
            raise UsageError(
                "images must be floating-point (B, 3, H, W) with values in [0, 1], "
                f"not {images.dtype} {tuple(images.shape)}"
            )
        if self.crop == "center":
            top, left, side = center_crop_box(images.shape[2], images.shape[3], self.fraction)
            images = images[:, :, top : top + side, left : left + side]
        assert self.resize.tensor is not None
        offset, scale = (images.new_tensor(t).reshape(-1, 1, 1) for t in (self.offset, self.scale))
        return (self.resize.tensor(images * 255.0, self.side) - offset) / scale


class FromImages(nn.Module):
    """Float images (B, 3, H, W) in [0, 1] -> features (B, d), differentiable in the images."""

    def __init__(self, network: nn.Module, preparation: Preparation, named: Callable[..., Outputs]) -> None:
        super().__init__()
        self.network = network
        self.preparation = preparation
        self.named = named

    def outputs(self, images: Tensor) -> Outputs:
        """Everything of the same pass."""
        return self.named(*self.network(self.preparation.of_floats(images)))

    def forward(self, images: Tensor) -> Tensor:
        return self.outputs(images).features


def network_extractor(
    name: str,
    *,
    network: Callable[[], nn.Module],
    named: Callable[..., Outputs],
    preparation: Preparation,
    key: str,
    identity: str,
    dim: int,
    license: str,
    device: torch.device,
) -> Extractor:
    """The extractor of a network that is built when it is first needed.

    Args:
        name: as it is printed.
        network: builds the frozen network, prepared images -> a tuple of tensors.
        named: what the tensors are.
        preparation: images -> the network's input.
        key: of the compiled network that is kept; changes with its weights.
        identity: everything a feature depends on, as text.
        dim: features a sample.
        license: of the weights.
        device: where it runs.
    """

    @cache
    def runner() -> Runner:
        return run_network(network(), side=preparation.side, key=key, device=device)

    def torch_module() -> nn.Module:
        if preparation.resize.tensor is None:
            raise UsageError(
                f"resize {preparation.resize_name!r} rounds to bytes, which has no gradient: use clean"
            )
        return channels_last(FromImages(network(), preparation, named), device)

    return Extractor(
        name=name,
        dim=dim,
        license=license,
        fingerprint=hashlib.sha256(identity.encode()).hexdigest(),
        transform=preparation.of_bytes,
        forward=lambda batch: named(*runner()(batch)),
        torch_module=torch_module,
    )


def built(module: Callable[[], N]) -> N:
    """A network on the CPU in float32, whatever the defaults are, without touching the caller's random numbers."""
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        return module().float()
