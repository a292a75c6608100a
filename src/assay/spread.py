"""How far a value would move on other samples: by influences where it is smooth, by half-samples where it is not."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .contrast import Sampled, Term, centred, in_two, slopes, split_all, value_of
from .errors import DataError, UsageError
from .resample import Units, draw_halves
from .scale.progress import tick

if TYPE_CHECKING:
    from .measure import Measure


@dataclass(frozen=True)
class Spread:
    """A value, its bias and standard error, how many of those the interval reaches either way, and the method."""

    value: float
    bias: float
    error: float
    reach: float
    method: str


def by_influences(
    measures: Sequence[Measure],
    sampled: Mapping[str, Sampled],
    contrast: Sequence[Term],
    units: Units,
    level: float,
    splits: int,
    generator: torch.Generator,
) -> list[Spread]:
    """Spreads from influences, biases from half-splits; what the measures share is computed once."""
    statistic: Any = measures[0].statistic
    # an unbiased form is so for independent samples: pairs and clusters bring products of samples that hang together
    dependent = any(ids is not None for ids in units.ids.values())
    correct = [dependent or not m.is_unbiased() for m in measures]
    second = [m.degenerate for m in measures]
    halves = draw_halves(sampled, units, generator) if any(correct) or any(second) else None
    counts = {name: s.filled().requires_grad_() for name, s in sampled.items() if s.samples is not None}
    whole: dict[str, Any] = {}
    parts: dict[str, tuple[Any, Any]] = {}
    with torch.enable_grad():
        for name, s in sampled.items():
            if s.exact is not None:
                whole[name], parts[name] = s.exact, (s.exact, s.exact)
            elif halves is None or not any(correct):
                whole[name] = statistic.of(s.samples, counts[name])
            else:  # the halves merge to the whole: their statistics are computed once for both
                parts[name] = in_two(statistic, s, counts[name], halves[name])
                whole[name] = parts[name][0].merge(parts[name][1])
        values = [value_of(m, whole, contrast) for m in measures]
        derivatives = [slopes(v, counts) for v in values]
    biases = [torch.zeros((), dtype=torch.float64)] * len(measures)
    if halves is not None and any(correct):
        with torch.no_grad():
            drawn = [_half_means(measures, parts, contrast, correct)]
            for _ in range(splits - 1):
                again = draw_halves(sampled, units, generator)
                assert again is not None
                parts = split_all(statistic, sampled, again)
                drawn.append(_half_means(measures, parts, contrast, correct))
        for k, fix in enumerate(correct):
            if fix:
                # mean T(n/2) - T(n) is the leading bias of T(n) itself
                biases[k] = torch.stack([d[k] for d in drawn]).mean() - values[k].detach()
    in_halves = (
        _half_errors(measures, sampled, contrast, units, halves)
        if halves is not None and any(second)
        else None
    )
    out = []
    for k, (value, bias, slope, fix) in enumerate(zip(values, biases, derivatives, correct, strict=True)):
        error = _error(units, slope, counts)
        if second[k] and in_halves is not None:
            # no less than half of the influences' variance, which is what it is where nothing of first order is left
            error = max(1.5 * error**2 - 0.25 * in_halves[k] ** 2, 0.5 * error**2) ** 0.5
        how = (
            "influences" if not fix else f"influences, bias by {splits} half-split{'s' if splits > 1 else ''}"
        )
        if fix and halves is None:
            how = "influences, bias not corrected (too few samples to halve)"
        out.append(Spread(float(value.detach()), float(bias), error, _normal(level), how))
    return out


def _error(units: Units, derivatives: Mapping[str, Tensor | None], counts: Mapping[str, Tensor]) -> float:
    plain = {name: c.detach() for name, c in counts.items()}
    influence = {name: centred(g, plain[name]) for name, g in derivatives.items() if g is not None}
    return units.standard_error(influence, plain)


def _half_errors(
    measures: Sequence[Measure],
    sampled: Mapping[str, Sampled],
    contrast: Sequence[Term],
    units: Units,
    halves: Mapping[str, Tensor],
) -> list[float]:
    """For each degenerate measure, the root of the mean of the two halves' variances by influences."""
    statistic: Any = measures[0].statistic
    variance = [0.0] * len(measures)
    for first in (True, False):
        whole, counts, rows = {}, {}, {}
        with torch.enable_grad():
            for name, s in sampled.items():
                if s.exact is not None:
                    whole[name] = s.exact
                    continue
                assert s.samples is not None
                part = s.filled() * (halves[name] if first else 1 - halves[name])
                rows[name] = (part > 0).nonzero()[:, 0]
                counts[name] = part[rows[name]].requires_grad_()
                whole[name] = statistic.of(s.samples[rows[name]], counts[name])
            for k, m in enumerate(measures):
                if m.degenerate:
                    slope = slopes(value_of(m, whole, contrast), counts)
                    variance[k] += 0.5 * _error(units.among(rows), slope, counts) ** 2
    return [v**0.5 for v in variance]


def _half_means(
    measures: Sequence[Measure],
    parts: Mapping[str, tuple[Any, Any]],
    contrast: Sequence[Term],
    correct: Sequence[bool],
) -> list[Tensor]:
    values = []
    for m, fix in zip(measures, correct, strict=True):
        if not fix:
            values.append(torch.zeros((), dtype=torch.float64))
            continue
        both = [value_of(m, {name: two[h] for name, two in parts.items()}, contrast) for h in (0, 1)]
        values.append(0.5 * (both[0] + both[1]))
    return values


def by_half_samples(
    measures: Sequence[Measure],
    sampled: Mapping[str, Sampled],
    contrast: Sequence[Term],
    units: Units,
    level: float,
    half_samples: int,
    generator: torch.Generator,
) -> list[Spread]:
    """Spreads from the values of random halves without replacement; nothing is corrected."""
    statistic: Any = measures[0].statistic
    with torch.no_grad():
        whole = {
            name: s.exact if s.exact is not None else statistic.of(s.samples, s.counts)
            for name, s in sampled.items()
        }
        values = [float(value_of(m, whole, contrast)) for m in measures]
        drawn: list[list[float]] = []
        while len(drawn) < half_samples:
            halves = draw_halves(sampled, units, generator)
            if halves is None:
                raise DataError(f"{measures[0].name}.estimate: too few samples to take halves of")
            parts = split_all(statistic, sampled, halves)
            for h in (0, 1):
                some = {name: two[h] for name, two in parts.items()}
                try:
                    drawn.append([float(value_of(m, some, contrast)) for m in measures])
                except UsageError as error:  # the whole was large enough, a half is not
                    raise DataError(
                        f"{measures[0].name}.estimate: too few samples to take halves of: {error}"
                    ) from None
            tick("half-samples", len(drawn), half_samples)
    table = torch.tensor(drawn, dtype=torch.float64)
    errors = table.std(0)
    how = f"{len(drawn)} half-samples without replacement, not bias-corrected"
    quantile = _student(level, len(drawn) - 1)
    return [
        Spread(value, 0.0, float(error), quantile, how) for value, error in zip(values, errors, strict=True)
    ]


def _normal(level: float) -> float:
    return math.sqrt(2) * float(torch.erfinv(torch.tensor(level, dtype=torch.float64)))


def _student(level: float, freedom: int) -> float:
    """Student's t quantile from the normal one, by Cornish and Fisher's expansion; off by under 1e-3 from 7 on."""
    z = _normal(level)
    g1 = (z**3 + z) / 4
    g2 = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    g3 = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + g1 / freedom + g2 / freedom**2 + g3 / freedom**3
