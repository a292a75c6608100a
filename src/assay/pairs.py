"""`@pair_measure`: one plain function from pairs to a value each becomes values, estimate, metric and objective."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from types import MappingProxyType
from typing import Any, Literal

import torch
from torch import Tensor

from .checks import as_counts
from .declaration import found_again, options_of, positional_of, refuse_unknown, shown_as
from .errors import DataError, UsageError
from .estimate import Estimate
from .pair_arguments import (
    PairDomain,
    as_member,
    cluster_numbers,
    finite_pairs,
    same_pairs,
    unlike_numbers,
    values_in_range,
)
from .pair_estimate import estimate_of_mean, estimate_of_moments
from .pair_metric import PairMetric, PairObjective
from .scale.each_pair import each_pair
from .scale.precision import full_precision
from .statistics import Moments

PairLaw = Callable[..., None]
Draw = Callable[[int, torch.Generator], tuple[Tensor, ...]]

# keywords of the verbs, which no option may shadow
RESERVED = frozenset(("clusters", "weights", "level"))


def pair_measure(
    *,
    best: Literal["min", "max"],
    reference: str,
    domain: PairDomain,
    lower: float | None = None,
    upper: float | None = None,
    laws: Sequence[PairLaw] = (),
    map: Callable[..., Tensor] | None = None,
    draw: Draw | None = None,
    differentiable: bool = True,
    exceptions: Mapping[str, str] = MappingProxyType({}),
) -> Callable[[Callable[..., Tensor]], PairMeasure]:
    """Make a pair measure of a plain function (B, ...), (B, ...) -> (B,).

    The function's positional parameters are the two members of a pair, or the one that a measure without a target
    looks at, or three: an image, its target, and a mask or the degraded image. Its keyword-only parameters are the
    measure's options. Entry i of what it returns depends on pair i only.

    Args:
        best: which direction is better.
        reference: where the definition is published.
        domain: what the members are: "embeddings" (B, d) of one width; "images" (B, C, H, W) of one size, within
            [0, data_range] where the function has an option of this name; "masks" (B, C, *places), one channel a class,
            truth values or probabilities; or "any" tensors with one first axis, which the function then checks itself.
            A third member of images or masks may have one channel.
        lower, upper: bounds of a value, None where there is none.
        laws: laws of `assay.pair_laws` that hold beside those every pair measure keeps.
        map: for images, the same parameters and options -> (B, H', W'): where in the image the value comes from.
        draw: (n, generator) -> float64 members of n pairs to try the laws on, where `assay.pair_laws` draws no fitting
            ones: the domain "any", images of a certain size or number of channels.
        differentiable: False for a value that is piecewise constant in the members.
        exceptions: laws every pair measure keeps that this one does not, by name, each with its reason.

    Raises:
        UsageError: at the definition, where the function has not one to three members, or an option without a default.
    """

    def decorate(function: Callable[..., Tensor]) -> PairMeasure:
        members = tuple(p.name for p in positional_of(function))
        options = options_of(function, RESERVED)
        if len(members) not in (1, 2, 3):
            raise UsageError(
                f"{function.__name__}: a pair measure takes one to three positional parameters, not {len(members)}"
            )
        return PairMeasure(
            name=function.__name__,
            function=function,
            members=members,
            options=MappingProxyType(options),
            domain=domain,
            best=best,
            lower=lower,
            upper=upper,
            laws=tuple(laws),
            reference=reference,
            map_function=map,
            draw=draw,
            differentiable=differentiable,
            exceptions=MappingProxyType(dict(exceptions)),
        )

    return decorate


@dataclass(frozen=True, eq=False)
class PairMeasure:
    """One value a pair, with the mean's estimate, metric and objective; made by `pair_measure`.

    Call it with both members, or the one it looks at::

        clip_score(image_embeddings, text_embeddings)      # (B,), differentiable

    Values have the members' precision, float32 for narrower ones.
    """

    name: str
    function: Callable[..., Tensor] = field(repr=False)
    members: tuple[str, ...]
    options: Mapping[str, Any]
    domain: PairDomain
    best: Literal["min", "max"]
    lower: float | None
    upper: float | None
    laws: tuple[PairLaw, ...] = field(repr=False)
    reference: str = field(repr=False)
    map_function: Callable[..., Tensor] | None = field(repr=False)
    draw: Draw | None = field(repr=False)
    differentiable: bool
    exceptions: Mapping[str, str] = field(repr=False)

    def __post_init__(self) -> None:
        shown_as(self, self.function)

    def __call__(self, *members: Any, **options: Any) -> Tensor:
        """The values, (B,).

        Args:
            members: tensors or arrays whose first axis counts the pairs.
            options: the measure's options by name.

        Raises:
            UsageError: a wrong number, shape or dtype of members, none at all, or an unknown option.
        """
        refuse_unknown(self.name, self.options, options)
        tensors = self._members(members)
        with full_precision(tensors[0].device):
            values = self.function(*tensors, **{**self.options, **options})
        if values.shape != tensors[0].shape[:1]:
            raise UsageError(
                f"{self.name}: its function must return one value a pair, shape ({len(tensors[0])},), "
                f"not {tuple(values.shape)}"
            )
        return values if self.domain not in ("images", "masks") else unlike_numbers(tensors, values)

    def map(self, *members: Any, **options: Any) -> Tensor:
        """Where in each image the value comes from, (B, H', W').

        Without a gradient it is made a few pairs at a time, with the memory of these.

        Raises:
            UsageError: as the call, and for a measure whose value has no places.
        """
        if self.map_function is None:
            raise UsageError(f"{self.name}: has no map; its value does not come from places in an image")
        refuse_unknown(self.name, self.options, options)
        tensors = self._members(members)
        maps = partial(self.map_function, **{**self.options, **options})
        with full_precision(tensors[0].device):
            if torch.is_grad_enabled() and any(t.requires_grad for t in tensors):
                return maps(*tensors)
            return each_pair(maps, *tensors)

    def __reduce__(self) -> Any:
        return found_again, (self.function.__module__, self.function.__qualname__, dict(self.options))

    def with_options(self, **options: Any) -> PairMeasure:
        """The same measure with other defaults."""
        refuse_unknown(self.name, self.options, options)
        return replace(self, options=MappingProxyType({**self.options, **options})) if options else self

    def estimate(
        self, *members: Any, clusters: Any = None, weights: Any = None, level: float = 0.95, **options: Any
    ) -> Estimate:
        r"""The mean value with the interval for the population's mean.

        With values v, counts w and W their sum, the mean is m = sum w v / W and its standard error

        $$ \sqrt{\frac{\sum_i w_i (v_i - m)^2}{W (W - 1)}} $$

        or, with clusters (several images a prompt), $\sqrt{G / (G - 1) \sum_g (\sum_{i \in g} w_i (v_i - m))^2} / W$
        over the G clusters. The interval uses Student's t with W - 1, or G - 1, degrees of freedom, within the
        measure's bounds. A mean is unbiased: nothing is corrected.

        Args:
            members: as in the call.
            clusters: (B,) labels of pairs that belong together.
            weights: (B,) counts.
            level: the interval's coverage.
            options: the measure's options.

        Raises:
            UsageError: as the call; a level outside (0, 1).
            DataError: NaN or infinity, with the rows; fewer than two pairs or clusters.
        """
        values = self.sane_values(members, options)
        counts = torch.ones_like(values) if weights is None else as_counts(weights, len(values), "weights")
        counts = counts.to(values.device)
        if clusters is None:
            return estimate_of_moments(self, Moments.of(values[:, None], counts), level)
        labels = cluster_numbers(clusters, len(values)).to(values.device)
        labels = torch.unique(labels[counts > 0], return_inverse=True)[1]
        values, counts = values[counts > 0], counts[counts > 0]
        groups = int(labels.max()) + 1
        if groups < 2:
            raise DataError(f"{self.name}.estimate: a spread needs at least two clusters, got {groups}")
        weight = float(counts.sum())
        mean = float(counts @ values) / weight
        sums = values.new_zeros(groups).index_add_(0, labels, counts * (values - mean))
        error = math.sqrt(groups / (groups - 1) * float(sums.square().sum())) / weight
        return estimate_of_mean(
            self, mean, error, groups - 1, weight, level, f"spread of {groups:,} clusters"
        )

    def metric(self, **options: Any) -> PairMetric:
        """An accumulator: `update(x, y)`, `compute()`, `estimate()`, `merge(other)`, `reset()`."""
        return PairMetric(self.with_options(**options))

    def objective(self, **options: Any) -> PairObjective:
        """A module to minimise: the mean value of a batch, minus it where the best is the maximum.

        Raises:
            UsageError: for a measure that has no gradient to minimise along.
        """
        if not self.differentiable:
            why = self.exceptions.get(
                "gradient_is_right", "it is piecewise constant, and its gradient zero almost everywhere"
            )
            raise UsageError(f"{self.name} has no gradient to minimise along: {why}")
        return PairObjective(self.with_options(**options))

    def _members(self, given: Sequence[Any]) -> list[Tensor]:
        if len(given) != len(self.members):
            by_name = "; options go by name: " + ", ".join(f"{name}=..." for name in self.options)
            raise UsageError(
                f"{self.name}: expected {len(self.members)} argument{'s' if len(self.members) > 1 else ''} "
                f"({', '.join(self.members)}), got {len(given)}"
                f"{by_name if self.options and len(given) > len(self.members) else ''}"
            )
        tensors = [
            as_member(value, name, self.domain, place=place)
            for place, (name, value) in enumerate(zip(self.members, given, strict=True))
        ]
        same_pairs(self.members, tensors, self.domain)
        floating = [t.dtype for t in tensors if t.is_floating_point()]
        wide = torch.float64 if torch.float64 in floating else torch.float32
        return [t.to(wide) if t.is_floating_point() else t for t in tensors]

    def sane_values(self, members: Sequence[Any], options: Mapping[str, Any]) -> Tensor:
        """The values in float64 without gradient, after a look at what goes in and what comes out."""
        data_range = {**self.options, **options}.get("data_range")
        with torch.no_grad():
            for name, tensor in zip(self.members, self._members(members), strict=True):
                if tensor.is_floating_point():
                    finite_pairs(tensor.flatten(1) if tensor.ndim > 1 else tensor[:, None], name, "hold")
                    values_in_range(tensor, name, self.domain, data_range)
            values = self(*members, **options).detach().to(torch.float64)
        finite_pairs(values[:, None], self.name, "come out as")
        return values
