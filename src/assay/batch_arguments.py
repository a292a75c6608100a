"""What the rows and labels of a batch must be, said in one sentence when they are not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .errors import UsageError


def as_rows(value: Any, name: str) -> Tensor:
    """A tensor (B, d) of floating-point numbers from a tensor or an array; no look at the values.

    Raises:
        UsageError: another type, a wrong number of dimensions, an empty axis, or not floating point.
    """
    tensor = _tensor(value, name, "(B, d) of embeddings")
    if tensor.ndim != 2:
        advice = (
            f"; several views of a sample are rows of their own: {name}.flatten(0, 1)"
            if tensor.ndim == 3
            else ""
        )
        raise UsageError(f"{name}: expected shape (B, d), got {tuple(tensor.shape)}{advice}")
    if not tensor.is_floating_point():
        raise UsageError(
            f"{name}: expected floating-point embeddings, got {tensor.dtype}; cast with {name}.float()"
        )
    if 0 in tensor.shape:
        raise UsageError(f"{name}: is empty: shape {tuple(tensor.shape)}, expected (B, d)")
    return tensor


def as_labels(value: Any, name: str) -> Tensor:
    """A tensor (B,) of whole numbers from a tensor or an array.

    Raises:
        UsageError: another type or shape, or not whole numbers.
    """
    tensor = _tensor(value, name, "(B,) of whole numbers")
    if tensor.ndim != 1:
        raise UsageError(f"{name}: expected shape (B,), one label a row, got {tuple(tensor.shape)}")
    if tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool:
        raise UsageError(f"{name}: expected whole numbers, got {tensor.dtype}; cast with {name}.long()")
    return tensor.to(torch.int64)


def of_one_batch(
    tensors: Mapping[str, Tensor], widths: Sequence[Sequence[str]], aligned: Sequence[Sequence[str]]
) -> None:
    """Refuse rows that do not belong together: other devices, widths, or numbers of rows.

    Args:
        tensors: those that were given, by name.
        widths: groups of names of embeddings that have one width.
        aligned: groups of names whose rows belong together.
    """
    first = next(iter(tensors))
    for name, tensor in tensors.items():
        if tensor.device != tensors[first].device:
            raise UsageError(
                f"{first} is on {tensors[first].device} and {name} on {tensor.device}; move one with .to(device)"
            )
    for group in widths:
        given = [name for name in group if name in tensors]
        for name in given[1:]:
            if tensors[name].shape[1] != tensors[given[0]].shape[1]:
                raise UsageError(
                    f"{given[0]} has {tensors[given[0]].shape[1]} features and {name} {tensors[name].shape[1]}: "
                    f"{'all embeddings' if len(widths) == 1 else 'both'} must be of one width"
                )
    for group in aligned:
        given = [name for name in group if name in tensors]
        for name in given[1:]:
            if len(tensors[name]) != len(tensors[given[0]]):
                raise UsageError(
                    f"{given[0]} has {len(tensors[given[0]])} rows and {name} {len(tensors[name])}; "
                    "row i of both must belong together"
                )


def _tensor(value: Any, name: str, shape: str) -> Tensor:
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        value = torch.from_numpy(value)
    if not isinstance(value, Tensor):
        raise UsageError(f"{name}: expected a tensor {shape}, got {type(value).__name__}")
    return value
