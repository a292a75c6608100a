"""A measure as a `torchmetrics.Metric`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import cache
from typing import Any

import torch
from torch import Tensor

from ..arguments import reference_of
from ..checks import as_counts, as_samples, sane
from ..errors import DataError, MissingExtra, UsageError
from ..joint import Joint
from ..pairs import PairMeasure
from ..set_measure import Measure
from ..statistics.protocol import on_device
from .pairs_in_torchmetrics import torchmetrics_of_pairs


def torchmetrics(
    measure: Measure | Joint | PairMeasure,
    *,
    reference: Any = None,
    features: Callable[[Tensor], Tensor] | None = None,
    **options: Any,
) -> Any:
    """A true `torchmetrics.Metric` of a measure: collections, loggers, checkpoints and its process synchronisation.

    Args:
        measure: a measure, or a joint (whose `compute()` is a dictionary, which collections flatten); or a measure of
            pairs, whose metric has `update(x, y, weights=None)` and the mean of the values.
        reference: the real side, as features or a statistic; without it, `update(batch, real=True)` streams it.
        features: applied to every batch without gradient, an extractor for images; a module moves with the metric.
        options: the measure's options.

    Returns:
        A metric with `update(batch, real=False, weights=None)`, batch (n, d) or what `features` takes. `compute()`
        is float64 and exact over all batches and processes: statistics are gathered and merged, never averaged.

    Raises:
        MissingExtra: torchmetrics is not installed.
        UsageError: an unknown option, or a reference for a measure of one set, or a measure of three sets.
    """
    if isinstance(measure, PairMeasure):
        if reference is not None or features is not None:
            raise UsageError(
                f"{measure.name} compares each image with its own target: it takes neither reference nor features; "
                "update(x, y)"
            )
        return torchmetrics_of_pairs(measure.with_options(**options))
    measures = list(measure.measures) if isinstance(measure, Joint) else [measure]
    known = {name for m in measures for name in m.options}
    unknown = sorted(set(options) - known)
    if unknown:
        raise UsageError(
            f"{measure.name}: unknown option {unknown[0]!r}; its options: {', '.join(sorted(known)) or 'none'}"
        )
    bound = [m.with_options(**{k: v for k, v in options.items() if k in m.options}) for m in measures]
    if reference is not None and len(bound[0].sides) < 2:
        raise UsageError(f"reference: {measure.name} is a measure of one set and takes none")
    if len(bound[0].sides) > 2:
        raise UsageError(
            f"{measure.name} takes {len(bound[0].sides)} sets, and a torchmetrics metric has a real and a "
            f"generated one; use {measure.name}.metric(reference=..., held_out=...)"
        )
    exact = None if reference is None else reference_of(bound[0], reference)
    return _make(bound, isinstance(measure, Joint), exact, features)


def _make(measures: list[Measure], several: bool, exact: Any, features: Any) -> Any:
    first = measures[0]
    kind = (
        _metric_class(None, None, None)
        if several
        else _metric_class(first.best == "max", first.lower, first.upper)
    )
    return kind(measures, several, exact, features)


@cache
def _metric_class(higher: bool | None, lower: float | None, upper: float | None) -> type:
    """The class, made when torchmetrics is first asked for, so that importing assay does not import it."""
    try:
        from torchmetrics import Metric
    except ImportError as error:
        raise MissingExtra("torchmetrics", "torchmetrics", "assay.adapters.torchmetrics") from error

    class AssayMetric(Metric):  # type: ignore[misc]
        full_state_update = False
        is_differentiable = False
        higher_is_better = higher
        plot_lower_bound = lower
        plot_upper_bound = upper

        def __init__(self, measures: list[Measure], several: bool, exact: Any, features: Any) -> None:
            super().__init__()
            self._measures, self._several, self._features = measures, several, features
            first = measures[0]
            self._statistic: Any = first.statistic
            self._exact = exact
            for side in first.sides:
                self.add_state(f"seen_{side}", default=[], dist_reduce_fx="cat")

        def update(self, batch: Tensor, real: bool = False, weights: Any = None) -> None:
            """Add a batch of the generated side, or with `real=True` of the real one."""
            sides = self._measures[0].sides
            if real and (len(sides) < 2 or self._exact is not None):
                why = "was given a fixed reference" if self._exact is not None else "is of one set"
                raise UsageError(f"real=True: this metric {why}")
            if self._features is not None:
                with torch.no_grad():
                    batch = self._features(batch)
            samples = as_samples(batch, "batch").detach()
            sane(samples, "batch", self._measures[0].domain)
            counts = (
                None if weights is None else as_counts(weights, len(samples), "weights").to(samples.device)
            )
            new = self._statistic.of(samples, counts)
            seen = getattr(self, f"seen_{sides[0] if real else sides[-1]}")
            _add(self._statistic, seen, new)

        def compute(self) -> Tensor | dict[str, Tensor]:
            statistics = []
            for k, side in enumerate(self._measures[0].sides):
                if k == 0 and self._exact is not None:
                    statistics.append(on_device(self._exact, self.device))
                    continue
                seen = getattr(self, f"seen_{side}")
                entries = seen if isinstance(seen, list) else [seen]
                parts = [part for entry in entries for part in _unpack_all(self._statistic, entry)]
                if not parts:
                    hint = ", real=True" if k == 0 and len(self._measures[0].sides) > 1 else ""
                    raise DataError(f"{side}: nothing seen yet; call update(batch{hint}) first")
                whole = parts[0]
                for part in parts[1:]:
                    whole = whole.merge(part)
                statistics.append(whole)
            values = {m.name: m(*statistics) for m in self._measures}
            return values if self._several else values[self._measures[0].name]

        def _reduce_states(self, incoming_state: dict[str, Any]) -> None:
            """After `forward`: what was seen before and the batch, merged as `update` would have."""
            super()._reduce_states(incoming_state)
            for side in self._measures[0].sides:
                seen = getattr(self, f"seen_{side}")
                entries = list(seen)
                seen.clear()
                for entry in entries:
                    _add(self._statistic, seen, _unpack(self._statistic, entry))

        def set_dtype(self, dst_type: Any) -> Any:
            """Nothing: what is packed in float64 has its own shapes in it, which half precision would change."""
            return self

        def __reduce__(self) -> Any:
            return _make, (self._measures, self._several, self._exact, self._features), self.__getstate__()

    return AssayMetric


def _add(statistic: Any, seen: list[Tensor], new: Any) -> None:
    """Moments stay one entry; samples are merged pairwise, equal sizes with each other, to be copied log n times."""
    packed = _pack(new)
    while seen and (_is_bounded(seen[-1]) or len(seen[-1]) <= len(packed)):
        new = _merged(_unpack(statistic, seen[-1]), new)
        seen.pop()
        packed = _pack(new)
    seen.append(packed)


def _merged(older: Any, newer: Any) -> Any:
    if older.width != newer.width:
        raise UsageError(f"batch: has {newer.width} features, those before {older.width}")
    return older.merge(newer)


def _names(statistic: type) -> list[str]:
    return [f.name for f in fields(statistic) if not f.name.startswith("_")]


def _pack(statistic: Any) -> Tensor:
    """One float64 vector, because that is what torchmetrics can gather from ranks that hold different shapes."""
    names = _names(type(statistic))
    tensors = statistic.tensors()
    header: list[float] = [statistic.bounded, len(tensors)]
    for name, tensor in tensors.items():
        header += [names.index(name), tensor.dtype == torch.float32, tensor.ndim, *tensor.shape]
    device = next(iter(tensors.values())).device
    body = [t.detach().reshape(-1).to(torch.float64) for t in tensors.values()]
    return torch.cat([torch.tensor([len(header), *header], dtype=torch.float64, device=device), *body])


def _is_bounded(packed: Tensor) -> bool:
    return bool(packed[1])


def _unpack(statistic: Any, packed: Tensor) -> Any:
    (only,) = _unpack_all(statistic, packed)
    return only


def _unpack_all(statistic: Any, packed: Tensor) -> Sequence[Any]:
    """The statistics in a vector of one or several packed ones, one after the other."""
    names = _names(statistic)
    found = []
    at = 0
    while at < len(packed):
        size = int(packed[at])
        header = [int(v) for v in packed[at + 1 : at + 1 + size].tolist()]
        at += 1 + size
        tensors = {}
        position = 2
        for _ in range(header[1]):
            name, narrow, ndim = header[position : position + 3]
            shape = header[position + 3 : position + 3 + ndim]
            position += 3 + ndim
            numel = 1
            for length in shape:
                numel *= length
            dtype = torch.float32 if narrow else torch.float64
            tensors[names[name]] = packed[at : at + numel].reshape(shape).to(dtype)
            at += numel
        found.append(statistic.from_tensors(tensors))
    return found
