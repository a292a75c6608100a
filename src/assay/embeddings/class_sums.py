"""What all rows of a class add up to."""

from __future__ import annotations

import torch
from torch import Tensor

from ..scale.tiles import spans

ROWS = 4096  # added in float64 at a time, so that no second copy of all rows is made


def class_sums(rows: Tensor, labels: Tensor, asked: Tensor) -> tuple[Tensor, Tensor]:
    """For each label asked for, the sum of the rows that have it, and how many they are.

    Args:
        rows: (M, d).
        labels: (M,) their classes.
        asked: (N,) classes.

    Returns:
        (N, d) sums in the rows' precision, differentiable in them, and (N,) whole numbers.
    """
    known, index = torch.unique(torch.cat([labels, asked]), return_inverse=True)
    held, wanted = index[: len(labels)], index[len(labels) :]
    sums = torch.zeros(len(known), rows.shape[1], dtype=torch.float64, device=rows.device)
    for start, stop in spans(len(rows), ROWS):
        sums.index_add_(0, held[start:stop], rows[start:stop].to(torch.float64))
    count = torch.bincount(held, minlength=len(known))
    return sums.to(rows.dtype)[wanted], count[wanted]
