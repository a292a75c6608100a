"""What the members of a pair must be, said in one sentence when they are not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from .errors import DataError, UsageError

PairDomain = Literal["embeddings", "images", "any"]

SHAPES: Mapping[PairDomain, tuple[int | None, str]] = MappingProxyType(
    {"embeddings": (2, "(B, d)"), "images": (4, "(B, C, H, W)"), "any": (None, "(B, ...)")}
)


def as_member(value: Any, name: str, domain: PairDomain) -> Tensor:
    """One member of every pair as a tensor of its domain's shape; no look at the values.

    Raises:
        UsageError: another type, a wrong number of dimensions, an empty axis, or not floating point.
    """
    axes, shape = SHAPES[domain]
    if isinstance(value, np.ndarray) and value.dtype != object:
        value = torch.from_numpy(value)
    if not isinstance(value, Tensor):
        raise UsageError(f"{name}: expected a tensor {shape}, got {type(value).__name__}")
    if value.ndim != axes if axes is not None else value.ndim < 1:
        raise UsageError(f"{name}: expected shape {shape}, got {tuple(value.shape)}")
    if 0 in value.shape:
        raise UsageError(f"{name}: is empty: shape {tuple(value.shape)}, expected {shape}")
    if axes is not None and not value.is_floating_point():
        advice = f"{name}.float() / 255" if domain == "images" else f"{name}.float()"
        raise UsageError(f"{name}: expected floating-point {domain}, got {value.dtype}; cast with {advice}")
    return value


def same_pairs(names: Sequence[str], tensors: Sequence[Tensor], domain: PairDomain) -> None:
    """Refuse two members that cannot be paired: other devices, numbers of pairs, or sizes."""
    (first, second), (x, y) = names, tensors
    if x.device != y.device:
        raise UsageError(f"{first} is on {x.device} and {second} on {y.device}; move one with .to(device)")
    if x.shape[0] != y.shape[0]:
        raise UsageError(f"{first} has {len(x)} entries and {second} {len(y)}; pairs need as many of both")
    if domain != "any" and x.shape != y.shape:
        advice = "use the two towers of one model" if domain == "embeddings" else "resize one to the other"
        raise UsageError(
            f"{first} has the shape {tuple(x.shape)} and {second} {tuple(y.shape)}: both must be of one size; {advice}"
        )


def finite_pairs(rows: Tensor, name: str, verb: str) -> None:
    """Refuse NaN and infinity in (B, k), naming the first pairs."""
    bad = (~torch.isfinite(rows)).any(1).nonzero()[:, 0]
    if len(bad):
        some = ", ".join(str(int(i)) for i in bad[:5]) + (", ..." if len(bad) > 5 else "")
        raise DataError(f"{name}: {len(bad)} of {len(rows)} pairs {verb} NaN or infinity (rows {some})")


def cluster_numbers(labels: Any, n: int) -> Tensor:
    """Labels (n,) of any kind as numbers from 0."""
    array = labels.detach().cpu().numpy() if isinstance(labels, Tensor) else np.asarray(labels)
    if array.shape != (n,):
        raise UsageError(f"clusters: expected one label a pair, shape ({n},), got {array.shape}")
    if array.dtype == object:
        array = array.astype(str)
    return torch.from_numpy(np.unique(array, return_inverse=True)[1].astype(np.int64))
