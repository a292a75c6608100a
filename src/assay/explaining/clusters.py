"""Which groups do samples form by themselves?"""

from __future__ import annotations

import torch
from torch import Tensor

from ..scale.partition import cell_of, centres_of

LOOKED_AT = 2000  # samples, evenly spaced, that the centres are found from; all are then sorted into them


def clusters(samples: Tensor, k: int) -> dict[str, Tensor]:
    """k-means clusters of samples (n, d): name -> (size,) rows, the largest first; nothing is drawn at random.

    Raises:
        UsageError: fewer different samples than clusters.
    """
    chosen = (
        torch.linspace(0, len(samples) - 1, min(len(samples), LOOKED_AT), dtype=torch.float64).round().long()
    )
    some = samples[chosen.to(samples.device)]
    counts = torch.ones(len(some), dtype=torch.float64, device=some.device)
    label = cell_of(samples, centres_of(some, counts, k)).cpu()
    sizes = torch.bincount(label, minlength=k)
    order = sizes.argsort(descending=True, stable=True)
    return {
        f"cluster {place}": (label == cell).nonzero()[:, 0]
        for place, cell in enumerate(order.tolist(), start=1)
        if sizes[cell]
    }
