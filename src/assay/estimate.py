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

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from .arguments import samples_of
from .checks import sane
from .contrast import Contrast, Plan, Sampled, Term
from .errors import UsageError
from .note import Note
from .resample import unit_ids
from .spread import Spread, by_half_samples, by_influences
from .trace import Trace

if TYPE_CHECKING:
    from .set_measure import Measure

Traced = Callable[["Measure", Contrast, Trace], None]


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
        n_x, n_y: total counts of the sides; None for a side the measure does not have, and for statistics that do not
            say. A held-out third side's count is not among them.
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
    notes: tuple[Note, ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and strings, for JSON."""
        out = asdict(self)
        out["notes"] = [str(note) for note in self.notes]
        return out

    def __str__(self) -> str:
        return f"{self.corrected:.4g} [{self.low:.4g}, {self.high:.4g}]"


def estimate_all(
    measures: Sequence[Measure],
    sampled: Mapping[str, Sampled],
    *,
    contrasts: Sequence[Contrast] | None = None,
    level: float = 0.95,
    paired: bool | Sequence[str] = False,
    splits: int = 1,
    half_samples: int = 50,
    generator: torch.Generator | None = None,
    traced: Traced | None = None,
) -> list[list[Estimate]]:
    """Estimates of several measures of one statistic over the same samples, sharing all work they can.

    Args:
        measures: with the same statistic and sides.
        sampled: the sets by name.
        contrasts: what to estimate; by default the measure of all sets once. Any number of them over the same sets
            costs little more than one of each.
        level: the interval's coverage.
        paired: rows of these sets (all of them for True) with one index come from one unit.
        splits: half-splits for the bias.
        half_samples: half-samples for the spread of measures that are not smooth.
        generator: for the splits. The halves of a set depend on its name and on this, not on the other sets.
        traced: called as traced(measure, contrast, trace) for every contrast of one term: how the samples moved it.

    Returns:
        For each measure a list of estimates, one a contrast. A contrast's `n_x` and `n_y` are those of its first term.
    """
    if not 0 < level < 1:
        raise UsageError(f"level: expected a number between 0 and 1, got {level}")
    if splits < 1 or half_samples < 4:
        raise UsageError(f"expected splits >= 1 and half_samples >= 4, got {splits} and {half_samples}")
    for name, side in sampled.items():
        if side.samples is not None:
            sane(side.samples, name, measures[0].domain)
    _some_samples(measures[0], sampled)
    with torch.inference_mode(False):  # whose tensors take part in no gradient
        sampled = {name: side.ordinary() for name, side in sampled.items()}
        return _estimates(
            measures, sampled, contrasts, level, paired, splits, half_samples, generator, traced
        )


def _estimates(
    measures: Sequence[Measure],
    sampled: Mapping[str, Sampled],
    contrasts: Sequence[Contrast] | None,
    level: float,
    paired: bool | Sequence[str],
    splits: int,
    half_samples: int,
    generator: torch.Generator | None,
    traced: Traced | None,
) -> list[list[Estimate]]:
    pairs = tuple(sampled) if paired is True else tuple(paired or ())
    generator = torch.Generator().manual_seed(0) if generator is None else generator
    asked = ((Term(1.0, tuple(sampled)),),) if contrasts is None else tuple(tuple(c) for c in contrasts)
    found: dict[int, list[Estimate]] = {}
    kinds = dict.fromkeys((m.spread == "influences", m.given) for m in measures)
    for smooth, given in sorted(kinds, key=lambda kind: not kind[0]):
        alike = tuple(m for m in measures if (m.spread == "influences", m.given) == (smooth, given))
        drawn = _given_taken_as_exact(alike[0], sampled, asked)
        _some_samples(alike[0], drawn)
        plan = Plan(alike, drawn, asked, unit_ids(drawn, pairs), level, traced is not None)
        spreads = (
            by_influences(plan, splits, generator)
            if smooth
            else by_half_samples(plan, half_samples, generator)
        )
        for m, row in zip(alike, spreads, strict=True):
            found[id(m)] = [_result(m, plan, c, s) for c, s in zip(asked, row, strict=True)]
            if traced is not None:
                for contrast, spread in zip(asked, row, strict=True):
                    if spread.trace is not None:
                        traced(m, contrast, spread.trace)
    return [found[id(m)] for m in measures]


def _some_samples(measure: Measure, sampled: Mapping[str, Sampled]) -> None:
    if all(side.exact is not None for side in sampled.values()):
        other = f" beside {', '.join(measure.given)}" if measure.given else ""
        raise UsageError(
            f"{measure.name}.estimate: needs the samples of at least one side{other}; statistics alone give the value "
            "(call the measure) but not its spread, which depends on every sample"
        )


def _given_taken_as_exact(
    measure: Measure, sampled: Mapping[str, Sampled], contrasts: Sequence[Contrast]
) -> Mapping[str, Sampled]:
    """The sets, with those that stand for a given side of the measure as statistics."""
    places = [measure.sides.index(side) for side in measure.given]
    names = {term.sets[k] for contrast in contrasts for term in contrast for k in places}
    statistic: Any = measure.statistic
    return {
        name: Sampled(exact=statistic.of(s.samples, s.counts)) if name in names and s.exact is None else s
        for name, s in sampled.items()
    }


def _result(measure: Measure, plan: Plan, contrast: Contrast, spread: Spread) -> Estimate:
    corrected = spread.value - spread.bias
    low, high = corrected - spread.reach * spread.error, corrected + spread.reach * spread.error
    if len(contrast) == 1:  # a difference of values keeps no bound
        # an interval beyond the bound becomes the one that starts there: never one of no width
        if measure.lower is not None and low < measure.lower:
            low, high = measure.lower, max(high, measure.lower + spread.reach * spread.error)
        if measure.upper is not None and high > measure.upper:
            low, high = min(low, measure.upper - spread.reach * spread.error), measure.upper
            low = low if measure.lower is None else max(low, measure.lower)
    concerned = {name: plan.sampled[name] for term in contrast for name in term.sets}
    how = spread.method
    exact = [name for name, s in concerned.items() if s.exact is not None]
    if exact:
        how += f"; {', '.join(exact)} taken as exact"
    totals = {
        side: plan.sampled[name].known_total()
        for side, name in zip(measure.sides, contrast[0].sets, strict=True)
    }
    return Estimate(
        value=spread.value,
        corrected=corrected,
        bias=spread.bias,
        std_error=spread.error,
        low=low,
        high=high,
        level=plan.level,
        method=how,
        n_x=totals.get("x"),
        n_y=totals.get("y"),
        notes=_notes(measure, spread.value, spread.bias, concerned),
    )


def _notes(measure: Measure, value: float, bias: float, sampled: Mapping[str, Sampled]) -> tuple[Note, ...]:
    notes = []
    if measure.enough is not None:
        for name, s in sampled.items():
            if s.exact is not None:
                continue
            needed = measure.enough(s.width)
            if s.total() < needed:
                notes.append(
                    Note(
                        "few samples",
                        f"{s.total():g} samples for {s.width} features: below {needed} the value is mostly sample-size "
                        f"bias, of which half-splits find a part only; {needed} samples or more would do",
                        sets=(name,),
                        numbers={"samples": s.total(), "features": s.width, "needed": needed},
                    )
                )
    if not notes and value != 0 and bias > 0.5 * abs(value):
        share = 100 * min(1.0, bias / abs(value))
        notes.append(
            Note(
                "mostly bias",
                f"{share:.0f}% of the uncorrected value is sample-size bias; read the corrected one",
                numbers={"percent": share},
            )
        )
    if measure.caveat:
        notes.append(Note("caveat", measure.caveat))
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
    half_samples: int = 50,
    generator: torch.Generator | None = None,
    held_out: Any = None,
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
        held_out: features (k, d) of the third side of a measure of three sets, shared as `real` is.
        options: the measure's options.

    Returns:
        The estimate of the difference: below zero, b's value is lower. `n_x` counts the real samples, `n_y` those
        of b. The difference is beyond its interval where `low` and `high` have one sign.
    """
    if not hasattr(measure, "sides"):
        what = (
            "ask for each of its measures"
            if hasattr(measure, "measures")
            else "of pairs, assay.score({'a': a, 'b': b}, target, measures=[...]).differences has the difference "
            "of two methods"
        )
        raise UsageError(f"difference: takes one measure of sets, got {measure.name}; {what}")
    bound = measure.with_options(**options)
    if (len(measure.sides) > 2) != (held_out is not None):
        raise UsageError(
            f"difference: {measure.name} takes a third set, pass held_out="
            if held_out is None
            else f"difference: {measure.name} takes no held_out set; its sides are {', '.join(measure.sides)}"
        )
    two = len(measure.sides) > 1
    sets = {"real": real, "a": a, "b": b} if two else {"a": a, "b": b}
    if held_out is not None:
        sets["held_out"] = held_out
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
    third = () if held_out is None else ("held_out",)
    return estimate_all(
        [bound],
        sampled,
        contrasts=[(Term(1.0, (*shared, "b", *third)), Term(-1.0, (*shared, "a", *third)))],
        level=level,
        paired=("a", "b") if paired else (),
        splits=splits,
        half_samples=half_samples,
        generator=generator,
    )[0][0]
