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

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from .arguments import samples_of
from .checks import sane
from .contrast import Sampled, Term
from .errors import UsageError
from .resample import unit_ids
from .spread import Spread, by_half_samples, by_influences

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
            sane(side.samples, name, measures[0].domain)
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
        spreads = by_influences(smooth, sampled, contrast, units, level, splits, generator)
        done.update(
            (id(m), _result(m, s, level, sampled, contrast)) for m, s in zip(smooth, spreads, strict=True)
        )
    if rough:
        spreads = by_half_samples(rough, sampled, contrast, units, level, half_samples, generator)
        done.update(
            (id(m), _result(m, s, level, sampled, contrast)) for m, s in zip(rough, spreads, strict=True)
        )
    return [done[id(m)] for m in measures]


def _result(
    measure: Measure, spread: Spread, level: float, sampled: Mapping[str, Sampled], contrast: Sequence[Term]
) -> Estimate:
    corrected = spread.value - spread.bias
    low, high = corrected - spread.reach * spread.error, corrected + spread.reach * spread.error
    plain = len(contrast) == 1
    if plain:  # a difference of values keeps no bound
        if measure.lower is not None:
            low, high = max(low, measure.lower), max(high, measure.lower)
        if measure.upper is not None:
            low, high = min(low, measure.upper), min(high, measure.upper)
    how = spread.method
    exact = [name for name, s in sampled.items() if s.exact is not None]
    if exact:
        how += f"; {', '.join(exact)} taken as exact"
    totals = {name: s.total() for name, s in sampled.items()}
    return Estimate(
        value=spread.value,
        corrected=corrected,
        bias=spread.bias,
        std_error=spread.error,
        low=low,
        high=high,
        level=level,
        method=how,
        n_x=totals.get("x"),
        n_y=totals.get("y"),
        notes=_notes(measure, spread.value, spread.bias, sampled),
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
            f"{100 * min(1.0, bias / abs(value)):.0f}% of the uncorrected value is sample-size bias; "
            "read the corrected one"
        )
    return tuple(notes)


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
            sampled[name] = Sampled(samples_of(measure, name, value, None)[0].detach())
    widths = {name: s.width for name, s in sampled.items()}
    if len(set(widths.values())) > 1:
        raise UsageError(
            f"difference: the sets differ in their number of features: {widths}; use one extractor"
        )
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
    return Estimate(
        **{**asdict(found), "n_x": sampled["real"].total() if two else None, "n_y": sampled["b"].total()}
    )
