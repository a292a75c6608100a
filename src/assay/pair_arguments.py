"""What the members of a pair must be, said in one sentence when they are not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from .errors import DataError, UsageError

PairDomain = Literal["embeddings", "images", "masks", "any"]

# of a domain: the fewest and the most axes, and how its shape is written
SHAPES: Mapping[PairDomain, tuple[int, int | None, str]] = MappingProxyType(
    {
        "embeddings": (2, 2, "(B, d)"),
        "images": (4, 4, "(B, C, H, W)"),
        "masks": (4, 5, "(B, C, H, W) or (B, C, D, H, W)"),
        "any": (1, None, "(B, ...)"),
    }
)
ONE_SIZE: Mapping[PairDomain, str] = MappingProxyType(
    {
        "embeddings": "use the two towers of one model",
        "images": "resize one to the other",
        "masks": "give both the same classes and size (one channel a class: one-hot)",
    }
)
ROUNDING = 1e-6  # of the range: what arithmetic may add to a value at its end


def as_member(value: Any, name: str, domain: PairDomain, *, place: int = 0) -> Tensor:
    """One member of every pair as a tensor of its domain's shape; no look at the values.

    Args:
        value: a tensor or array.
        name: for messages.
        domain: of the measure.
        place: its number among the members; the third of images may be a mask of truth values.

    Raises:
        UsageError: another type, a wrong number of dimensions, an empty axis, or not floating point.
    """
    fewest, most, shape = SHAPES[domain]
    if isinstance(value, np.ndarray) and value.dtype != object:
        value = torch.from_numpy(value)
    if not isinstance(value, Tensor):
        raise UsageError(f"{name}: expected a tensor {shape}, got {type(value).__name__}")
    if not fewest <= value.ndim <= (most or value.ndim):
        raise UsageError(f"{name}: expected shape {shape}, got {tuple(value.shape)}")
    if 0 in value.shape:
        raise UsageError(f"{name}: is empty: shape {tuple(value.shape)}, expected {shape}")
    if domain == "any" or value.is_floating_point():
        return value
    if (domain == "masks" and not value.is_complex()) or (place == 2 and value.dtype == torch.bool):
        return value.to(torch.float32)
    advice = f"{name}.float() / 255" if domain == "images" else f"{name}.float()"
    raise UsageError(f"{name}: expected floating-point {domain}, got {value.dtype}; cast with {advice}")


def same_pairs(names: Sequence[str], tensors: Sequence[Tensor], domain: PairDomain) -> None:
    """Refuse members that cannot be paired: other devices, numbers of pairs, or sizes.

    The third member of images or masks may have one channel for all: a mask.
    """
    first, x = names[0], tensors[0]
    for place, (name, y) in enumerate(zip(names[1:], tensors[1:], strict=True), start=1):
        if x.device != y.device:
            raise UsageError(f"{first} is on {x.device} and {name} on {y.device}; move one with .to(device)")
        if x.shape[0] != y.shape[0]:
            raise UsageError(f"{first} has {len(x)} entries and {name} {len(y)}; pairs need as many of both")
        one_for_all = place == 2 and domain in ("images", "masks") and y.shape[1] == 1
        shape = (y.shape[0], x.shape[1], *y.shape[2:]) if one_for_all else tuple(y.shape)
        if domain != "any" and tuple(x.shape) != shape:
            raise UsageError(
                f"{first} has the shape {tuple(x.shape)} and {name} {tuple(y.shape)}: both must be of one size; "
                f"{ONE_SIZE[domain]}"
            )


def values_in_range(tensor: Tensor, name: str, domain: PairDomain, data_range: Any) -> None:
    """Refuse images outside [0, data_range] and masks outside [0, 1], naming the first pairs.

    Args:
        tensor: (B, ...) finite.
        name: of the member.
        domain: of the measure.
        data_range: the measure's option of this name, None where it has none.

    Raises:
        DataError: with the values found and what to do about them.
    """
    highest = 1.0 if domain == "masks" else data_range
    # a range that is none is the measure's own to refuse
    if domain not in ("images", "masks") or not isinstance(highest, (int, float)) or not highest > 0:
        return
    lows, highs = tensor.flatten(1).aminmax(dim=1)
    bad = ((lows < -ROUNDING * highest) | (highs > (1 + ROUNDING) * highest)).nonzero()[:, 0]
    if not len(bad):
        return
    low, high = float(lows.min()), float(highs.max())
    if domain == "masks":
        advice = (
            f"{name}.sigmoid() or .softmax(1) makes probabilities of logits, one-hot classes of a label map"
        )
    elif low < 0:
        advice = f"{name}.clamp(0, {highest:g}), or ({name} + 1) / 2 for values in [-1, 1]"
    else:
        bits = 8 if high <= 255 else 16
        advice = f"{name}.clamp(0, {highest:g}), or data_range={2**bits - 1} for {bits}-bit values"
    raise DataError(
        f"{name}: values from {low:.4g} to {high:.4g}, expected [0, {highest:g}] in {len(bad)} of "
        f"{len(tensor)} pairs ({_rows(bad)}); {advice}"
    )


def unlike_numbers(tensors: Sequence[Tensor], values: Tensor) -> Tensor:
    """The values (B,), NaN for pairs with a member that holds NaN or infinity.

    Maxima, floors and masks would let some of them out as the best value: a network that has diverged must not.
    """
    for tensor in tensors:
        if tensor.is_floating_point():
            low, high = tensor.detach().flatten(1).aminmax(dim=1)
            values = values + (0.0 * low + 0.0 * high).to(values.dtype)
    return values


def finite_pairs(rows: Tensor, name: str, verb: str) -> None:
    """Refuse NaN and infinity in (B, k), naming the first pairs."""
    bad = (~torch.isfinite(rows)).any(1).nonzero()[:, 0]
    if len(bad):
        raise DataError(f"{name}: {len(bad)} of {len(rows)} pairs {verb} NaN or infinity ({_rows(bad)})")


def _rows(bad: Tensor) -> str:
    """The first of the pairs."""
    return "rows " + ", ".join(str(int(i)) for i in bad[:5]) + (", ..." if len(bad) > 5 else "")


def cluster_numbers(labels: Any, n: int) -> Tensor:
    """Labels (n,) of any kind as numbers from 0."""
    array = labels.detach().cpu().numpy() if isinstance(labels, Tensor) else np.asarray(labels)
    if array.shape != (n,):
        raise UsageError(f"clusters: expected one label a pair, shape ({n},), got {array.shape}")
    if array.dtype == object:
        array = array.astype(str)
    return torch.from_numpy(np.unique(array, return_inverse=True)[1].astype(np.int64))
