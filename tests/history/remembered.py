"""A comparison that the history remembers."""

from __future__ import annotations

import torch

import assay

REAL = torch.randn(60, 3, generator=torch.Generator().manual_seed(0))


def compared(shift: float = 0.0) -> assay.Comparison:
    return assay.compare(REAL, {"late": REAL.flip(0) + shift}, measures="fd", history=True)
