"""Which groups do samples form by themselves?"""

from __future__ import annotations

import torch
from torch import Tensor

from ..scale.partition import cell_of, centres_of


def clusters(samples: Tensor, k: int) -> dict[str, Tensor]:
    """k-means clusters of samples (n, d): name -> (size,) rows, the largest first; nothing is drawn at random.

    Raises:
        UsageError: fewer different samples than clusters.
    """
    counts = torch.ones(len(samples), dtype=torch.float64, device=samples.device)
    label = cell_of(samples, centres_of(samples, counts, k)).cpu()
    sizes = torch.bincount(label, minlength=k)
    order = sizes.argsort(descending=True, stable=True)
    return {
        f"cluster {place}": (label == cell).nonzero()[:, 0]
        for place, cell in enumerate(order.tolist(), start=1)
        if sizes[cell]
    }
