"""How sure: bias by half-splits, spread by influences or half-samples, intervals for the population's value.

With T the value, W_s the weight of side s and t_i the derivative of T by the weight of sample i:

* influence of sample i:  I_i = W_s (t_i - sum_j w_j t_j / W_s), which sums to zero under the weights;
* standard error:  sqrt(sum over units (sum of w_i I_i / W_s within the unit)^2), a unit being a sample, a pair or a
  cluster; for independent samples of count w each counts as w units: sum w I^2 / W^2;
* near agreement a distance of mean embeddings varies at second order only. Its sampling variance is A / n + B / n^2,
  and the influences' is A / n + 2 B / n^2; the same at n/2 tells B apart:  V = 3/2 V(n) - 1/4 mean V(n/2);
* bias: T(n) - T(population) is of order 1/n for a smooth measure, so 2 T(n) - mean T(n/2) over random halves is free
  of its leading term;
* a measure that is not smooth (a count of neighbours) is evaluated on random halves without replacement: given the
  samples, a half's value varies around the whole's as the whole's does around the population's. Its value at this
  sample size is what the interval is for; it is not corrected.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .checks import finite
from .errors import DataError, UsageError
from .resample import Units, draw_halves, unit_ids

if TYPE_CHECKING:
    from .measure import Measure


@dataclass(frozen=True)
class Estimate:
    """A value with what is known about it.

    Attributes:
        value: the measure of the samples.
        corrected: the value freed of its leading sample-size bias; the value itself where nothing is corrected.
        bias: value - corrected.
        std_error: standard error of `corrected`.
        low, high: the interval for the population's value (for a measure that is not smooth: its value at this
            sample size), within the measure's bounds.
        level: the interval's coverage.
        method: how bias and spread were found, and what was taken as exact.
        n_x, n_y: total counts of the sides; None for a side the measure does not have.
        notes: what a reader must know before using the number.
    """

    value: float
    corrected: float
    bias: float
    std_error: float
    low: float
    high: float
    level: float
    method: str
    n_x: float | None
    n_y: float | None
    notes: tuple[str, ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and strings, for JSON."""
        out = asdict(self)
        out["notes"] = list(self.notes)
        return out

    def __str__(self) -> str:
        return f"{self.corrected:.4g} [{self.low:.4g}, {self.high:.4g}]"


@dataclass(frozen=True)
class Sampled:
    """One side: samples with counts and cluster labels, or a statistic that is taken as exact."""

    samples: Tensor | None = None
    counts: Tensor | None = None
    clusters: Any = None
    exact: Any = None

    def filled(self) -> Tensor:
        """(n,) float64 counts."""
        assert self.samples is not None
        if self.counts is not None:
            return self.counts.detach()
        return torch.ones(len(self.samples), dtype=torch.float64, device=self.samples.device)

    def total(self) -> float:
        return float(self.exact.weight) if self.exact is not None else float(self.filled().sum())

    @property
    def width(self) -> int:
        if self.exact is not None:
            return int(self.exact.width)
        assert self.samples is not None
        return self.samples.shape[1]


@dataclass(frozen=True)
class Term:
    """One summand of a contrast: a coefficient and the names of the sets its measure is taken of."""

    coefficient: float
    sets: tuple[str, ...]


def estimate_all(
    measures: Sequence[Measure],
    sampled: Mapping[str, Sampled],
    *,
    terms: Sequence[Term] | None = None,
    level: float = 0.95,
    paired: bool | Sequence[str] = False,
    splits: int = 1,
    half_samples: int = 30,
    generator: torch.Generator | None = None,
) -> list[Estimate]:
    """Estimates of several measures of one statistic over the same samples, sharing all work they can.

    Args:
        measures: with the same statistic and sides.
        sampled: the sets by name.
        terms: the contrast to estimate; by default the measure of all sets once.
        level: the interval's coverage.
        paired: rows of these sets (all of them for True) with one index come from one unit.
        splits: half-splits for the bias.
        half_samples: half-samples for the spread of measures that are not smooth.
        generator: for the splits.
    """
    if not 0 < level < 1:
        raise UsageError(f"level: expected a number between 0 and 1, got {level}")
    if splits < 1 or half_samples < 4:
        raise UsageError(f"expected splits >= 1 and half_samples >= 4, got {splits} and {half_samples}")
    for name, side in sampled.items():
        if side.samples is not None:
            finite(side.samples, name)
    if all(side.exact is not None for side in sampled.values()):
        raise UsageError(
            f"{measures[0].name}.estimate: needs the samples of at least one side; statistics alone give the value "
            "(call the measure) but not its spread, which depends on every sample"
        )
    pairs = tuple(sampled) if paired is True else tuple(paired or ())
    units = unit_ids(sampled, pairs)
    generator = torch.Generator().manual_seed(0) if generator is None else generator
    contrast = tuple(terms) if terms is not None else (Term(1.0, tuple(sampled)),)
    smooth = [m for m in measures if m.spread == "influences"]
    rough = [m for m in measures if m.spread != "influences"]
    done: dict[int, Estimate] = {}
    if smooth:
        for m, e in zip(smooth, _by_influence(smooth, sampled, contrast, units, level, splits, generator), strict=True):
            done[id(m)] = e
    if rough:
        for m, e in zip(rough, _by_halves(rough, sampled, contrast, units, level, half_samples, generator), strict=True):
            done[id(m)] = e
    return [done[id(m)] for m in measures]


def influences(measure: Measure, sampled: Mapping[str, Sampled], of: str) -> Tensor:
    """(n,) float64 influences of one side's samples; see `Measure.influence`."""
    side = sampled[of]
    if side.samples is None:
        raise UsageError(f"{of}: the influence of its samples needs the samples, not a statistic")
    finite(side.samples, of)
    counts = {of: side.filled().requires_grad_()}
    statistics = {
        name: s.exact if s.exact is not None else measure.statistic.of(s.samples, counts.get(name, s.counts))  # type: ignore[attr-defined]
        for name, s in sampled.items()
    }
    with torch.enable_grad():
        value = _value(measure, statistics, (Term(1.0, tuple(sampled)),))
        slope = _slopes(value, counts)[of]
    if slope is None:
        raise UsageError(
            f"{measure.name} does not vary smoothly with the weights of {of}: its value only jumps when a sample "
            f"comes or goes; ask for the influence of another side, or use estimate for the spread"
        )
    return _centre(slope, counts[of].detach())


def _value(measure: Measure, statistics: Mapping[str, Any], contrast: Sequence[Term]) -> Tensor:
    total: Tensor | None = None
    for term in contrast:
        value = measure.function(*(statistics[name] for name in term.sets), **measure.options)
        part = term.coefficient * value.to(torch.float64)
        total = part if total is None else total + part
    assert total is not None
    return total


def _slopes(value: Tensor, counts: Mapping[str, Tensor]) -> dict[str, Tensor | None]:
    if not value.requires_grad:
        return dict.fromkeys(counts)
    grads = torch.autograd.grad(value, list(counts.values()), retain_graph=True, allow_unused=True)
    return dict(zip(counts, grads, strict=True))


def _centre(slope: Tensor, counts: Tensor) -> Tensor:
    weight = counts.sum()
    return weight * slope - (counts * slope).sum()


def _by_influence(
    measures: Sequence[Measure],
    sampled: Mapping[str, Sampled],
    contrast: Sequence[Term],
    units: Units,
    level: float,
    splits: int,
    generator: torch.Generator,
) -> list[Estimate]:
    statistic: Any = measures[0].statistic
    correct = [not m.is_unbiased() for m in measures]
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
                parts[name] = _two(statistic, s, counts[name], halves[name])
                whole[name] = parts[name][0].merge(parts[name][1])
        values = [_value(m, whole, contrast) for m in measures]
        slopes = [_slopes(v, counts) for v in values]
    biases = [torch.zeros((), dtype=torch.float64)] * len(measures)
    if halves is not None and any(correct):
        with torch.no_grad():
            drawn = [_half_means(measures, parts, contrast, correct)]
            for _ in range(splits - 1):
                again = draw_halves(sampled, units, generator)
                assert again is not None
                parts = _split(statistic, sampled, again)
                drawn.append(_half_means(measures, parts, contrast, correct))
        for k, fix in enumerate(correct):
            if fix:
                # mean T(n/2) - T(n) is the leading bias of T(n) itself
                biases[k] = torch.stack([d[k] for d in drawn]).mean() - values[k].detach()
    in_halves = _half_errors(measures, sampled, contrast, units, halves) if halves is not None and any(second) else None
    out = []
    for k, (m, value, bias, slope, fix) in enumerate(
        zip(measures, values, biases, slopes, correct, strict=True)
    ):
        centred = {
            name: _centre(g, counts[name].detach()) for name, g in slope.items() if g is not None
        }
        error = units.standard_error(centred, {name: c.detach() for name, c in counts.items()})
        if second[k] and in_halves is not None:
            # no less than half of the influences' variance, which is what it is where nothing of first order is left
            error = max(1.5 * error**2 - 0.25 * in_halves[k] ** 2, 0.5 * error**2) ** 0.5
        how = "influences" if not fix else f"influences, bias by {splits} half-split{'s' if splits > 1 else ''}"
        if fix and halves is None:
            how = "influences, bias not corrected (too few samples to halve)"
        out.append(_result(m, float(value.detach()), float(bias), error, level, how, sampled, contrast, _normal(level)))
    return out


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
                    slope = _slopes(_value(m, whole, contrast), counts)
                    plain = {name: c.detach() for name, c in counts.items()}
                    centred = {name: _centre(g, plain[name]) for name, g in slope.items() if g is not None}
                    variance[k] += 0.5 * units.among(rows).standard_error(centred, plain) ** 2
    return [v**0.5 for v in variance]


def _two(statistic: Any, side: Sampled, counts: Tensor, share: Tensor) -> tuple[Any, Any]:
    """The statistics of the two halves; a row whose counts are split goes into both."""
    made = []
    for part in (share, 1 - share):
        rows = (part > 0).nonzero()[:, 0]
        assert side.samples is not None
        made.append(statistic.of(side.samples[rows], counts[rows] * part[rows]))
    return made[0], made[1]


def _split(
    statistic: Any, sampled: Mapping[str, Sampled], shares: Mapping[str, Tensor]
) -> dict[str, tuple[Any, Any]]:
    return {
        name: (s.exact, s.exact) if s.exact is not None else _two(statistic, s, s.filled(), shares[name])
        for name, s in sampled.items()
    }


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
        both = [_value(m, {name: two[h] for name, two in parts.items()}, contrast) for h in (0, 1)]
        values.append(0.5 * (both[0] + both[1]))
    return values


def _by_halves(
    measures: Sequence[Measure],
    sampled: Mapping[str, Sampled],
    contrast: Sequence[Term],
    units: Units,
    level: float,
    half_samples: int,
    generator: torch.Generator,
) -> list[Estimate]:
    statistic: Any = measures[0].statistic
    with torch.no_grad():
        whole = {
            name: s.exact if s.exact is not None else statistic.of(s.samples, s.counts) for name, s in sampled.items()
        }
        values = [float(_value(m, whole, contrast)) for m in measures]
        drawn: list[list[float]] = []
        while len(drawn) < half_samples:
            halves = draw_halves(sampled, units, generator)
            if halves is None:
                raise DataError(f"{measures[0].name}.estimate: too few samples to take halves of")
            parts = _split(statistic, sampled, halves)
            for h in (0, 1):
                some = {name: two[h] for name, two in parts.items()}
                drawn.append([float(_value(m, some, contrast)) for m in measures])
    table = torch.tensor(drawn, dtype=torch.float64)
    errors = table.std(0)
    how = f"{len(drawn)} half-samples without replacement, not bias-corrected"
    quantile = _student(level, len(drawn) - 1)
    return [
        _result(m, value, 0.0, float(error), level, how, sampled, contrast, quantile)
        for m, value, error in zip(measures, values, errors, strict=True)
    ]


def _result(
    measure: Measure,
    value: float,
    bias: float,
    error: float,
    level: float,
    how: str,
    sampled: Mapping[str, Sampled],
    contrast: Sequence[Term],
    quantile: float,
) -> Estimate:
    corrected = value - bias
    low, high = corrected - quantile * error, corrected + quantile * error
    plain = len(contrast) == 1
    if plain:  # a difference of values keeps no bound
        if measure.lower is not None:
            low, high = max(low, measure.lower), max(high, measure.lower)
        if measure.upper is not None:
            low, high = min(low, measure.upper), min(high, measure.upper)
    exact = [name for name, s in sampled.items() if s.exact is not None]
    if exact:
        how += f"; {', '.join(exact)} taken as exact"
    totals = {name: s.total() for name, s in sampled.items()}
    return Estimate(
        value=value,
        corrected=corrected,
        bias=bias,
        std_error=error,
        low=low,
        high=high,
        level=level,
        method=how,
        n_x=totals.get("x"),
        n_y=totals.get("y"),
        notes=_notes(measure, value, bias, sampled),
    )


def _notes(measure: Measure, value: float, bias: float, sampled: Mapping[str, Sampled]) -> tuple[str, ...]:
    notes = []
    if measure.enough is not None:
        for name, s in sampled.items():
            if s.exact is not None:
                continue
            needed = measure.enough(s.width)
            if s.total() < needed:
                notes.append(
                    f"{name} has {s.total():g} samples for {s.width} features: the uncorrected value is mostly "
                    f"sample-size bias and the corrected one a rough guide; {needed} samples or more would do"
                )
    if not notes and value != 0 and bias > 0.5 * abs(value):
        notes.append(
            f"{100 * min(1.0, bias / abs(value)):.0f}% of the uncorrected value is sample-size bias; read the corrected one"
        )
    return tuple(notes)


def _normal(level: float) -> float:
    return math.sqrt(2) * float(torch.erfinv(torch.tensor(level, dtype=torch.float64)))


def _student(level: float, freedom: int) -> float:
    """Student's t quantile from the normal one, by Cornish and Fisher's expansion; off by under 1e-3 from 7 on."""
    z = _normal(level)
    g1 = (z**3 + z) / 4
    g2 = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    g3 = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + g1 / freedom + g2 / freedom**2 + g3 / freedom**3


def difference(
    measure: Measure,
    real: Any,
    a: Any,
    b: Any,
    *,
    level: float = 0.95,
    paired: bool = False,
    splits: int = 1,
    half_samples: int = 30,
    generator: torch.Generator | None = None,
    **options: Any,
) -> Estimate:
    """Is b better than a? Estimate of ``measure(real, b) - measure(real, a)``, paired through the shared real set.

    The real samples' influences on the two values are subtracted before they are squared, so that what both
    candidates share of the real set's luck cancels.

    Args:
        measure: a measure of two sets (or of one: then `real` is not used and may be None).
        real: features (n, d), or a statistic taken as exact.
        a, b: features (m, d) of the two candidates.
        level: the interval's coverage.
        paired: row i of a and row i of b come from one unit (the same prompt or the same noise).
        splits, half_samples, generator: as for `estimate`.
        options: the measure's options.

    Returns:
        The estimate of the difference: below zero, b's value is lower. `n_x` counts the real samples, `n_y` those
        of b. The difference is beyond its interval where `low` and `high` have one sign.
    """
    bound = measure.with_options(**options)
    two = len(measure.sides) > 1
    sets = {"real": real, "a": a, "b": b} if two else {"a": a, "b": b}
    sampled: dict[str, Sampled] = {}
    for name, value in sets.items():
        if isinstance(value, measure.statistic):
            sampled[name] = Sampled(exact=value)
        else:
            sampled[name] = Sampled(measure._samples(name, value, None)[0].detach())
    widths = {name: s.width for name, s in sampled.items()}
    if len(set(widths.values())) > 1:
        raise UsageError(f"difference: the sets differ in their number of features: {widths}; use one extractor")
    shared = ("real",) if two else ()
    found = estimate_all(
        [bound],
        sampled,
        terms=(Term(1.0, (*shared, "b")), Term(-1.0, (*shared, "a"))),
        level=level,
        paired=("a", "b") if paired else (),
        splits=splits,
        half_samples=half_samples,
        generator=generator,
    )[0]
    return Estimate(**{**asdict(found), "n_x": sampled["real"].total() if two else None, "n_y": sampled["b"].total()})
