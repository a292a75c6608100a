"""What every statistic can do, and the table that files are read back through."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor
from typing_extensions import Self

from ..errors import UsageError


@runtime_checkable
class Statistic(Protocol):
    """The contract of a statistic; see `assay.statistics` for what each ability means."""

    @classmethod
    def of(cls, samples: Tensor, weights: Tensor | None = None) -> Self: ...

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Self: ...

    def merge(self, other: Self) -> Self: ...

    def tensors(self) -> dict[str, Tensor]: ...

    @property
    def weight(self) -> Tensor: ...

    @property
    def width(self) -> int: ...

    @property
    def bounded(self) -> bool:
        """Whether merging more samples in no longer makes it larger."""
        ...


def on_device(statistic: Any, device: torch.device) -> Any:
    """The statistic with its tensors on a device; itself where they are there already."""
    if statistic.weight.device == device:
        return statistic
    moved = {name: tensor.to(device) for name, tensor in statistic.tensors().items()}
    return type(statistic).from_tensors(moved)


def tensor_of(tensors: Mapping[str, Tensor], name: str, *shape: int | None) -> Tensor:
    """The named tensor, refused where it is missing, not floating point or not of the shape; None is any length."""
    if name not in tensors:
        raise UsageError(f"the tensor {name!r} is missing")
    tensor = tensors[name]
    fits = len(shape) == tensor.ndim and all(
        want in (None, got) for want, got in zip(shape, tensor.shape, strict=True)
    )
    if not fits or not tensor.is_floating_point():
        wanted = "(" + ", ".join("any" if want is None else str(want) for want in shape) + ")"
        raise UsageError(
            f"the tensor {name!r} is {tensor.dtype} of shape {tuple(tensor.shape)}, expected floating point {wanted}"
        )
    return tensor


STATISTICS: dict[str, type[Statistic]] = {}

S = TypeVar("S", bound=type)


def register(cls: S) -> S:
    """Make a statistic known by its class name, so that `assay.statistics.load` can read it back."""
    STATISTICS[cls.__name__] = cls
    return cls


def same_width(left: Statistic, right: Statistic) -> None:
    """Refuse to merge statistics of different feature spaces."""
    if type(left) is not type(right):
        raise UsageError(
            f"merge: expected two statistics of one type, got {type(left).__name__} and {type(right).__name__}"
        )
    if left.width != right.width:
        raise UsageError(
            f"merge: the statistics have {left.width} and {right.width} features; "
            "both must come from the same feature extractor"
        )
