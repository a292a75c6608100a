"""What laws of batch objectives are tried on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from .batch_objective import BatchObjective


@dataclass(frozen=True)
class BatchInputs:
    """What laws are tried on.

    Attributes:
        batch: the tensors by name, embeddings float64.
        seed: for whatever else a law draws.
    """

    batch: Mapping[str, Tensor]
    seed: int

    def generator(self) -> torch.Generator:
        return torch.Generator().manual_seed(self.seed)


def draw_batch_inputs(
    objective: BatchObjective, *, n: int, d: int, classes: int, seed: int, optional: bool = False
) -> BatchInputs:
    """n related rows of normal embeddings, and labels of a few classes.

    Args:
        objective: whose batch.
        n, d: rows and features.
        classes: how many labels there are to draw from.
        seed: of the draw.
        optional: whether the tensors that may be left out are drawn too.
    """
    g = torch.Generator().manual_seed(seed)
    common = torch.randn(n, d, dtype=torch.float64, generator=g)
    batch: dict[str, Tensor] = {}
    for name in objective.batch:
        if name in objective.optional and not optional:
            continue
        if name in objective.samples:
            batch[name] = 0.5 * common + torch.randn(n, d, dtype=torch.float64, generator=g)
        else:
            batch[name] = torch.randint(0, classes, (n,), generator=g)
    return BatchInputs(batch, seed)


def cast(
    objective: BatchObjective, inputs: BatchInputs, dtype: torch.dtype, gradient: bool = False
) -> dict[str, Tensor]:
    """The batch with its embeddings in another precision, copied; labels as they are."""
    return {
        name: t.detach().to(dtype, copy=True).requires_grad_(gradient) if name in objective.samples else t
        for name, t in inputs.batch.items()
    }
