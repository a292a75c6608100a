"""A real set, a near one and a far one."""

from __future__ import annotations

import torch
from torch import Tensor

from assay.features import Features


def draw(n: int, d: int = 6, shift: float = 0.0, seed: int = 0) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed)) + shift


REAL, NEAR, FAR = draw(120, seed=1), draw(100, shift=0.3, seed=2), draw(90, shift=1.5, seed=3)


def made(x: Tensor, extractor: str = "net", fingerprint: str = "f", classes: int | None = 4) -> Features:
    logits = None if classes is None else x[:, :classes]
    return Features(x, logits, tuple(map(str, range(len(x)))), (), extractor, fingerprint, "made")
