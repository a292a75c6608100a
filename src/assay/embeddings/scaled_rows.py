"""Rows whose plain products are similarities over a temperature, so that a tile needs no more than a product."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..errors import UsageError

Temperature = float | Tensor


def scaled_rows(
    tensors: tuple[Tensor, ...], temperature: Temperature, normalise: bool
) -> tuple[tuple[Tensor, ...], float | None]:
    """Each (n, d) tensor's rows, of unit length if asked for, times the square root of 1 / temperature.

    A row of zeros has no direction: it stays zero, and has no gradient.

    Args:
        tensors: (n, d), (m, d), ...
        temperature: a number above zero, or a scalar tensor, which gets its gradient.
        normalise: whether similarities are cosines, or the products as they are.

    Returns:
        The rows, and what no |product| of two of them is above, where that is known without a look at the rows.

    Raises:
        UsageError: a temperature that is no single number above zero.
    """
    scale = _inverse(temperature, tensors[0])
    known = float(scale.detach()) if isinstance(scale, Tensor) else scale
    root = scale.sqrt().to(tensors[0].dtype) if isinstance(scale, Tensor) else math.sqrt(scale)
    if not normalise:
        return tuple(t * root for t in tensors), None
    # a little above: unit rows are of unit length to rounding
    return tuple(t * _factor(t, root) for t in tensors), known * 1.001


def unit_rows(x: Tensor) -> Tensor:
    """Rows of unit length; a row of zeros stays zero, and has no gradient."""
    return x * _factor(x, 1.0)


def _factor(x: Tensor, root: float | Tensor) -> Tensor:
    # one number a row goes to the graph, not a second copy of the rows
    norm = x.norm(dim=1, keepdim=True)
    return torch.where(norm > 0, root / torch.where(norm > 0, norm, 1.0), 0.0)


def _inverse(temperature: Temperature, like: Tensor) -> float | Tensor:
    if isinstance(temperature, Tensor):
        if temperature.numel() != 1:
            raise UsageError(f"temperature: expected one number, got the shape {tuple(temperature.shape)}")
        if temperature.device != like.device:
            raise UsageError(
                f"temperature is on {temperature.device} and the embeddings on {like.device}; move one with .to(device)"
            )
        temperature = temperature.reshape(())
        value = float(temperature.detach())
    elif isinstance(temperature, (int, float)) and not isinstance(temperature, bool):
        value = float(temperature)
    else:
        raise UsageError(f"temperature: expected a number or a tensor, got {type(temperature).__name__}")
    if not (0 < value < math.inf):
        raise UsageError(f"temperature: expected a number above zero, got {value:g}")
    return temperature.to(torch.float64).reciprocal() if isinstance(temperature, Tensor) else 1 / value
