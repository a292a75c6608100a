"""Weight, mean and scatter of a set, in float64, right for a mean of 1e4 beside a spread of 1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor
from typing_extensions import Self

from ..errors import UsageError
from ..scale.first_derivative import first_derivative_only
from .linalg import psd_root
from .protocol import register, same_width, tensor_of
from .samples import unit_counts

POPULATION = 2.0**52 + 1  # the weight of a set that stands for all there is
CHUNK_BYTES = 32 * 2**20  # float64 rows worked on at once, so that n x d is never held twice


@register
@dataclass(frozen=True, eq=False)
class Moments:
    """Total weight W, mean m and scatter  sum_i w_i (x_i - m)(x_i - m)^T  of a set, float64.

    A set of fewer samples than features has a scatter of lower rank than its width; it is then kept as its centred
    rows, so that products and decompositions can go through the small side. `scatter` is None exactly then.

    Attributes:
        weight: (), the sum of the counts.
        mean: (d,).
        scatter: (d, d), or None where `rows` holds the set.
        rows: (r, d) centred rows with r < d, or None.
        counts: (r,) the rows' counts, or None.
        factor: what `root` gives, where `prepare` has computed it.
    """

    weight: Tensor
    mean: Tensor
    scatter: Tensor | None = None
    rows: Tensor | None = None
    counts: Tensor | None = None
    factor: Tensor | None = None
    _memo: dict[str, Tensor] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, samples: Tensor, weights: Tensor | None = None) -> Self:
        """Moments of samples (n, d); two passes over the batch: sums of squares would cancel.

        Of samples on an MPS device, which has no float64, the sums are made and stay on the CPU.
        """
        home = _home_of_sums(samples)
        counts = unit_counts(samples, home) if weights is None else _in_float64(weights, home)
        if samples.shape[0] < samples.shape[1]:
            samples = _in_float64(samples, home)
            weight = counts.sum()
            mean = counts @ samples / weight
            return cls(weight, mean, rows=samples - mean, counts=counts)
        weight, mean, scatter = _FullMoments.apply(samples, counts)  # type: ignore[no-untyped-call]
        return cls(weight, mean, scatter=scatter)

    @classmethod
    def from_covariance(cls, mean: Tensor, covariance: Tensor, n: int | float | None) -> Moments:
        """From a mean (d,) and a covariance (d, d) with n - 1 in its denominator, as published statistics give them.

        n: how many samples they are of, or None where nobody knows. They are then taken as a population's: the weight
        is 2^52 + 1, beside which no sample counts, and by which the covariance is kept bit for bit.
        """
        weight = torch.as_tensor(
            POPULATION if n is None else float(n), dtype=torch.float64, device=mean.device
        )
        return cls(weight, mean.to(torch.float64), scatter=covariance.to(torch.float64) * (weight - 1))

    @property
    def width(self) -> int:
        return self.mean.shape[0]

    @property
    def bounded(self) -> bool:
        return self.scatter is not None

    def at_least(self, n: int, name: str) -> None:
        """Refuse a set of fewer than n samples; not on a GPU, which the look would stall, nor in a traced graph."""
        if (
            self.weight.device.type == "cpu"
            and not torch.compiler.is_compiling()
            and float(self.weight.detach()) < n
        ):
            raise UsageError(
                f"{name}: a covariance needs at least {n} samples, got {float(self.weight.detach()):g}"
            )

    def covariance(self) -> Tensor:
        """(d, d) covariance, W - 1 in the denominator."""
        return self.dense_scatter() / (self.weight - 1)

    def variance_sum(self) -> Tensor:
        """The trace of the covariance, without forming it."""
        if self.scatter is not None:
            return self.scatter.diagonal().sum() / (self.weight - 1)
        assert self.rows is not None and self.counts is not None
        return (self.rows.square().sum(1) * self.counts).sum() / (self.weight - 1)

    def dense_scatter(self) -> Tensor:
        """(d, d), formed from the rows where the set is kept as rows."""
        if self.scatter is not None:
            return self.scatter
        assert self.rows is not None and self.counts is not None
        return (self.rows * self.counts[:, None]).T @ self.rows

    def root(self) -> Tensor:
        """F (r, d) without gradient, with F^T F the scatter; computed once and kept, as a reference is asked often."""
        if self.factor is not None:
            return self.factor
        if torch.compiler.is_compiling():  # a traced call keeps nothing
            return self._root()
        if "root" not in self._memo:
            self._memo["root"] = self._root()
        return self._memo["root"]

    def prepare(self) -> Moments:
        """The same moments with their root computed, for a reference that is used again and again."""
        return replace(self, factor=self.root())

    def _root(self) -> Tensor:
        if self.scatter is not None:
            root: Tensor = psd_root(self.scatter.detach())
            return root
        assert self.rows is not None and self.counts is not None
        return self.rows.detach() * self.counts.detach().sqrt()[:, None]

    def merge(self, other: Self) -> Self:
        same_width(self, other)
        weight = self.weight + other.weight
        share = other.weight / weight
        shift = other.mean - self.mean
        mean = self.mean + share * shift
        between = self.weight * share  # the scatter between the two means is between * shift shift^T
        if (
            self.rows is not None
            and other.rows is not None
            and len(self.rows) + len(other.rows) + 1 < self.width
        ):
            assert self.counts is not None and other.counts is not None
            rows = torch.cat([self.rows, other.rows, shift[None]])
            return type(self)(
                weight, mean, rows=rows, counts=torch.cat([self.counts, other.counts, between[None]])
            )
        scatter = torch.addr(self.dense_scatter() + other.dense_scatter(), between * shift, shift)
        return type(self)(weight, mean, scatter=scatter)

    def scaled(self, factor: float | Tensor) -> Moments:
        """The moments with every count times a factor, as older samples count less in an exponential average."""
        scatter = None if self.scatter is None else self.scatter * factor
        counts = None if self.counts is None else self.counts * factor
        return Moments(self.weight * factor, self.mean, scatter, self.rows, counts)

    def tensors(self) -> dict[str, Tensor]:
        named = {
            "weight": self.weight,
            "mean": self.mean,
            "scatter": self.scatter,
            "rows": self.rows,
            "counts": self.counts,
        }
        return {name: tensor for name, tensor in named.items() if tensor is not None}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Self:
        weight, mean = tensor_of(tensors, "weight"), tensor_of(tensors, "mean", None)
        if "scatter" in tensors:
            return cls(weight, mean, scatter=tensor_of(tensors, "scatter", len(mean), len(mean)))
        rows = tensor_of(tensors, "rows", None, len(mean))
        return cls(weight, mean, rows=rows, counts=tensor_of(tensors, "counts", len(rows)))


def _home_of_sums(samples: Tensor) -> torch.device:
    """Where float64 sums over the samples are made: beside them, but on the CPU where their device has no float64."""
    return torch.device("cpu") if samples.device.type == "mps" else samples.device


def _in_float64(samples: Tensor, home: torch.device) -> Tensor:
    """The samples there; first moved and then widened, as no device without float64 can do both at once."""
    return samples.to(home).to(torch.float64)


def _chunks(samples: Tensor) -> list[tuple[int, int]]:
    size = max(1, CHUNK_BYTES // (8 * max(1, samples.shape[1])))
    return [(start, min(start + size, samples.shape[0])) for start in range(0, samples.shape[0], size)]


class _FullMoments(torch.autograd.Function):
    """(samples, counts) -> (W, mean, scatter), with the closed-form derivative.

    The mean's own derivative drops out of the scatter's (sum_i w_i (x_i - m) = 0), so one product with the scatter's
    cotangent gives both gradients; automatic differentiation would hold the centred float64 rows and do it twice.
    """

    @staticmethod
    def forward(ctx: Any, samples: Tensor, counts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        d = samples.shape[1]
        weight = counts.sum()
        home = counts.device
        mean = torch.zeros(d, dtype=torch.float64, device=home)
        for a, b in _chunks(samples):
            mean = mean + counts[a:b] @ _in_float64(samples[a:b], home)
        mean = mean / weight
        scatter = torch.zeros(d, d, dtype=torch.float64, device=home)
        for a, b in _chunks(samples):
            centred = _in_float64(samples[a:b], home) - mean
            scatter = scatter.addmm((centred * counts[a:b, None]).T, centred)
        ctx.save_for_backward(samples, counts, mean, weight)
        return weight, mean, scatter

    @staticmethod
    @first_derivative_only("a scatter")
    def backward(
        ctx: Any, of_weight: Tensor, of_mean: Tensor, of_scatter: Tensor
    ) -> tuple[Tensor | None, ...]:
        samples, counts, mean, weight = ctx.saved_tensors
        # the gradient needs the samples' own precision only, at twice the speed for float32
        dtype = samples.dtype if samples.dtype == torch.float64 else torch.float32
        both = of_scatter.to(dtype)
        both = both + both.T
        slope = (of_mean / weight).to(dtype)
        to_samples = torch.empty_like(samples) if ctx.needs_input_grad[0] else None
        to_counts = torch.empty_like(counts) if ctx.needs_input_grad[1] else None
        for a, b in _chunks(samples):
            centred = (_in_float64(samples[a:b], counts.device) - mean).to(dtype)
            pulled = centred @ both
            if to_samples is not None:
                to_samples[a:b] = (
                    (counts[a:b, None].to(dtype) * (slope + pulled)).to(samples.dtype).to(samples.device)
                )
            if to_counts is not None:
                to_counts[a:b] = of_weight + centred @ slope + 0.5 * (pulled * centred).sum(1)
        return to_samples, to_counts
