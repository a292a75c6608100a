"""What is a feature extractor?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

Crop = Literal["center", "none"]


@dataclass(frozen=True)
class Outputs:
    """What one pass gives.

    features: (B, d) float32.
    logits: (B, classes) float32, or None where the extractor has no classes.
    extra: further features of the same pass by name, (B, k) float32 each, for protocols that need several
        (`"spatial"` of the Inception graph).
    """

    features: Tensor
    logits: Tensor | None
    extra: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Extractor:
    """Images -> features, in two forms: one for measuring, one for gradients.

    name: as it is asked for and printed (`"efficientnet-lite0"`).
    dim: features a sample, or None where the images' size decides.
    license: of the weights, as an SPDX identifier.
    fingerprint: changes whenever the features of an image may change: a hash of weights, preprocessing,
        version.
    transform: one uint8 (H, W, 3) image -> the float32 (3, S, S) the network wants. Callable from threads.
    forward: a batch of those, (B, 3, S, S) on any device -> `Outputs` on the CPU, without a gradient.
    torch_module: builds an `nn.Module` that maps float images (B, 3, H, W) in [0, 1] to features (B, d) and
        is differentiable, preprocessing included. Its weights are frozen and `.train()` does not touch it.
        Where there are classes its method `outputs` gives features and logits.
    """

    name: str
    dim: int | None
    license: str
    fingerprint: str
    transform: Callable[[NDArray[np.uint8]], NDArray[np.float32]]
    forward: Callable[[Tensor], Outputs]
    torch_module: Callable[[], nn.Module]
