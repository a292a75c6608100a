"""What the members of a pair must be, said in one sentence when they are not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
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
PICTURES = ("images", "masks")
COLOURS = (1, 3, 4)  # channels of grey, RGB and RGBA
SIDE = 32  # a batch with as many channels and rows, and as few columns as colours, has its channels last
ROUNDING = 1e-6  # of the range: what arithmetic may add to a value at its end


def as_member(value: Any, name: str, domain: PairDomain, *, place: int = 0) -> Tensor:
    """One member of every pair as a tensor of its domain's shape; no look at the values.

    Args:
        value: a tensor or array.
        name: for messages.
        domain: of the measure.
        place: its number among the members; the third of images may be a mask of truth values.

    Raises:
        UsageError: another type, a sparse tensor, a wrong number of dimensions, an empty axis, pictures with their
            channels last, or not floating point.
    """
    fewest, most, shape = SHAPES[domain]
    written = name
    if isinstance(value, np.ndarray) and value.dtype != object:
        value, written = _tensor_of(value, name), f"torch.from_numpy({name})"
    if not isinstance(value, Tensor):
        raise UsageError(
            f"{name}: expected a tensor {shape}, got {type(value).__name__}{_tensor_from(value, name, domain)}"
        )
    if value.layout != torch.strided:
        raise UsageError(f"{name}: expected a dense tensor, got {value.layout}; take {name}.to_dense()")
    if not fewest <= value.ndim <= (most or value.ndim):
        raise UsageError(
            f"{name}: expected shape {shape}, got {tuple(value.shape)}{_mended(value.shape, written, domain)}"
        )
    if 0 in value.shape:
        raise UsageError(f"{name}: is empty: shape {tuple(value.shape)}, expected {shape}")
    if domain in PICTURES and value.shape[-1] in COLOURS and min(value.shape[1:-1]) >= SIDE:
        raise UsageError(
            f"{name}: expected shape {shape}, got {tuple(value.shape)}, whose channels look to be last; "
            f"{_channels_second(written, value.ndim)} puts them second; if the images really are "
            f"{value.shape[-1]} pixels wide, transpose all members with .mT"
        )
    if domain == "any" or value.is_floating_point():
        return value
    if (domain == "masks" and not value.is_complex()) or (place == 2 and value.dtype == torch.bool):
        return value.to(torch.float32)
    raise UsageError(
        f"{name}: expected floating-point {domain}, got {value.dtype}; {_floating(value.dtype, written, domain)}"
    )


def _tensor_of(array: NDArray[Any], name: str) -> Tensor:
    """The array as a tensor; a copy where a tensor cannot share its memory (mirrored, read-only, foreign bytes)."""
    shared = array.flags.writeable and array.dtype.isnative and min(array.strides, default=0) >= 0
    plain = array if shared else np.array(array, dtype=array.dtype.newbyteorder("="), order="C")
    try:
        return torch.from_numpy(plain)
    except TypeError:
        raise UsageError(f"{name}: expected an array of numbers, got one of {array.dtype}") from None


def _tensor_from(value: Any, name: str, domain: PairDomain) -> str:
    """How to make a tensor of something else."""
    if isinstance(value, (list, tuple)):
        return f"; torch.stack({name}) makes one of tensors of one size"
    if domain in PICTURES and hasattr(value, "__array_interface__"):
        return (
            f"; torch.from_numpy(np.array({name})).permute(2, 0, 1)[None] / 255 makes one of an RGB picture"
        )
    return ""


def _mended(shape: Sequence[int], name: str, domain: PairDomain) -> str:
    """What makes the right number of axes of a wrong one."""
    if domain == "embeddings":
        return f"; {name}[None] is one pair" if len(shape) == 1 else ""
    if len(shape) == 2:
        return f"; {name}[None, None] is one picture of one channel"
    if len(shape) == 3 and shape[-1] in COLOURS and shape[0] not in COLOURS:
        return f"; {name}.permute(2, 0, 1)[None] is one picture (H, W, C)"
    if len(shape) == 3:
        return (
            f"; {name}[None] is one picture (C, H, W), {name}[:, None] are pictures (B, H, W) of one channel"
        )
    if len(shape) == 5:
        return f"; {name}.flatten(0, 1) takes groups of pictures apart"
    return ""


def _channels_second(name: str, axes: int) -> str:
    order = ", ".join(str(axis) for axis in (0, axes - 1, *range(1, axes - 1)))
    return f"{name}.permute({order})"


def _floating(dtype: torch.dtype, name: str, domain: PairDomain) -> str:
    """How to make floating-point numbers of others."""
    if dtype.is_complex:
        return f"take {name}.abs() or {name}.real"
    if domain != "images" or dtype == torch.bool:
        return f"cast with {name}.float()"
    highest = 65535 if dtype == torch.uint16 else 255
    return f"cast with {name}.float() / {highest}, or {name}.float() with data_range={highest}"


def same_pairs(names: Sequence[str], tensors: Sequence[Tensor], domain: PairDomain) -> None:
    """Refuse members that cannot be paired: other devices, numbers of pairs, or sizes.

    The third member of images or masks may have one channel for all: a mask.
    """
    first, x = names[0], tensors[0]
    for place, (name, y) in enumerate(zip(names[1:], tensors[1:], strict=True), start=1):
        if x.device != y.device:
            raise UsageError(f"{first} is on {x.device} and {name} on {y.device}; move one with .to(device)")
        if x.shape[0] != y.shape[0]:
            short = first if len(x) == 1 else name
            repeated = 1 in (len(x), len(y)) and x.shape[1:] == y.shape[1:]
            advice = (
                f"; {short}.expand_as({name if short == first else first}) repeats one" if repeated else ""
            )
            raise UsageError(
                f"{first} has {len(x)} entries and {name} {len(y)}; pairs need as many of both{advice}"
            )
        one_for_all = place == 2 and domain in ("images", "masks") and y.shape[1] == 1
        shape = (y.shape[0], x.shape[1], *y.shape[2:]) if one_for_all else tuple(y.shape)
        if domain != "any" and tuple(x.shape) != shape:
            raise UsageError(
                f"{first} has the shape {tuple(x.shape)} and {name} {tuple(y.shape)}: both must be of one size; "
                f"{_one_size(first, x.shape, name, y.shape, domain)}"
            )


def _one_size(
    first: str, of_first: Sequence[int], name: str, of_other: Sequence[int], domain: PairDomain
) -> str:
    """What makes one size of two."""
    one, other = tuple(of_first), tuple(of_other)
    if domain not in PICTURES or len(one) != len(other):
        return ONE_SIZE[domain]
    for called, mine, theirs in ((name, other, one), (first, one, other)):
        if mine[-1] in COLOURS and (mine[0], mine[-1], *mine[1:-1]) == theirs:
            return (
                f"the channels of {called} are last: {_channels_second(called, len(mine))} puts them second"
            )
    if domain == "masks" or one[2:] != other[2:]:
        return ONE_SIZE[domain]
    few, many = (first, name) if one[1] < other[1] else (name, first)
    least, most = sorted((one[1], other[1]))
    if least == 1:
        return f"{few}.expand(-1, {most}, -1, -1) repeats the one channel"
    return (
        f"{many}[:, :3] leaves the fourth channel out"
        if (least, most) == (3, 4)
        else "give both the same channels"
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
    if domain == "masks" and low >= 0:
        advice = (
            f"{name} / 255 or {name} > 127 for 8-bit masks, one channel a class (one-hot) for a label map"
        )
    elif domain == "masks":
        advice = f"{name}.sigmoid() or .softmax(1) makes probabilities of logits"
    elif low < 0:
        scaled = f"({name} + 1) / 2" if highest == 1 else f"({name} + 1) * {highest / 2:g}"
        advice = f"{name}.clamp(0, {highest:g}), or {scaled} for values in [-1, 1]"
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
            # a sum, the cheapest look at all of them; numbers so large that theirs overflows are no pictures either
            values = values + (0.0 * tensor.detach().flatten(1).sum(1)).to(values.dtype)
    return values


def finite_pairs(rows: Tensor, name: str, verb: str) -> None:
    """Refuse NaN and infinity in (B, k), naming the first pairs."""
    bad = (~torch.isfinite(rows)).any(1).nonzero()[:, 0]
    if len(bad):
        advice = "; leave those pairs out, or mend what made them" if verb == "hold" else ""
        raise DataError(
            f"{name}: {len(bad)} of {len(rows)} pairs {verb} NaN or infinity ({_rows(bad)}){advice}"
        )


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
