"""What does each sample do to each measure's value?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..checks import sane
from ..contrast import Sampled, centred, slopes, value_of
from ..set_measure import Measure
from .leaving_out import Neighbourhoods, can_leave_out, changes_without, fewest_to_leave_out
from .surroundings import Surroundings

SMOOTH = (
    "influences, derivatives by the samples' weights: leaving one out changes the value by -influence / (n - 1), up to "
    "terms of order 1/n^2"
)
LEFT_OUT = "leaving out each sample exactly: without it the value changes by -influence / (n - 1)"


@dataclass(frozen=True)
class SampleInfluences:
    """Of one measure of one candidate.

    Attributes:
        of_generated: (m,) float64, or None where there are none.
        of_real: (n,) float64, or None.
        method: how they were found, and why some are missing.
    """

    of_generated: Tensor | None
    of_real: Tensor | None
    method: str


def influences_of_all(
    measures: Sequence[Measure],
    real: Sampled | None,
    candidates: Mapping[str, Sampled],
    held_out: Sampled | None = None,
    surroundings: Mapping[str, Surroundings] | None = None,
) -> dict[tuple[str, int], SampleInfluences]:
    """The influence of every sample on every measure of every candidate: (candidate, index of the measure) -> these.

    A measure that varies smoothly with the samples' weights is differentiated; the real set's statistic and its
    decomposition are computed once for all candidates. A count of neighbours is told from the neighbours themselves
    (`changes_without`), and its influence is -(n - 1) times the exact change. Both sum to zero where the value is a
    mean over the samples of a side; a sum of exact changes need not be zero elsewhere.

    Args:
        measures: of one statistic and the same sides.
        real: the real side; None for measures of one set.
        candidates: by their names.
        held_out: the third side of measures of three sets.
        surroundings: of the real set (under "") and of candidates by name, where they are known already.
    """
    known = {} if surroundings is None else dict(surroundings)
    with torch.inference_mode(False):
        exact = [m for m in measures if can_leave_out(m) and real is not None and real.samples is not None]
        found: dict[tuple[str, int], SampleInfluences] = {}
        smooth = [(k, m) for k, m in enumerate(measures) if m not in exact]
        if smooth:
            found = _differentiated(smooth, real, candidates, held_out)
        if exact:
            assert real is not None
            x = known.get("") or Surroundings.of(_samples(real))
            for name, one in candidates.items():
                if one.samples is None:
                    found.update({(name, k): _nothing(m, one) for k, m in enumerate(measures) if m in exact})
                    continue
                both = Neighbourhoods(x, known.get(name) or Surroundings.of(_samples(one)))
                for k, m in enumerate(measures):
                    if m in exact:
                        found[name, k] = _left_out(m, both)
    return found


def _left_out(measure: Measure, both: Neighbourhoods) -> SampleInfluences:
    need = fewest_to_leave_out(measure)
    if len(both.x) < need[0] or len(both.y) < need[1]:
        return SampleInfluences(
            None, None, f"none: leaving one out needs {need[0]} real and {need[1]} generated samples"
        )
    of_x, of_y = changes_without(measure, both)
    return SampleInfluences(-(len(both.y) - 1) * of_y, -(len(both.x) - 1) * of_x, LEFT_OUT)


def _differentiated(
    measures: Sequence[tuple[int, Measure]],
    real: Sampled | None,
    candidates: Mapping[str, Sampled],
    held_out: Sampled | None,
) -> dict[tuple[str, int], SampleInfluences]:
    first = measures[0][1]
    statistic: Any = first.statistic
    sides = ((None,), ("real", None), ("real", None, "held-out"))[len(first.sides) - 1]
    shared = {name: s.ordinary() for name, s in (("real", real), ("held-out", held_out)) if s is not None}
    counts: dict[str, Tensor] = {}
    statistics = {name: _statistic(statistic, first, s, name, counts) for name, s in shared.items()}
    found = {}
    for name, one in candidates.items():
        own = one.ordinary()
        own_counts = {k: c for k, c in counts.items() if k == "real" and "real" in sides}
        here = {**statistics, "generated": _statistic(statistic, first, own, "generated", own_counts)}
        for k, m in measures:
            with torch.enable_grad():
                value = value_of(m, here, [side or "generated" for side in sides])
                slope = slopes(value, own_counts)
            of = {side: centred(s, own_counts[side].detach()) for side, s in slope.items() if s is not None}
            found[name, k] = SampleInfluences(
                of.get("generated"), of.get("real"), _how(m, of, sides, real, one)
            )
    return found


def _how(
    measure: Measure,
    of: Mapping[str, Tensor],
    sides: Sequence[str | None],
    real: Sampled | None,
    one: Sampled,
) -> str:
    """What there is, and why the rest is missing."""
    asked: list[tuple[str, Sampled | None]] = [("generated", one)]
    if "real" in sides:
        asked.append(("real", real))
    missing = []
    for side, given in asked:
        if side not in of:
            why = (
                "given as statistics"
                if given is not None and given.samples is None
                else f"{measure.name} does not vary smoothly with them"
            )
            missing.append(f"none of {side} samples ({why})")
    return "; ".join(([SMOOTH] if of else []) + missing)


def _statistic(statistic: Any, measure: Measure, side: Sampled, name: str, counts: dict[str, Tensor]) -> Any:
    """The side's statistic, with the counts it can be differentiated by."""
    if side.exact is not None:
        return side.exact
    samples = _samples(side)
    sane(samples, name, measure.domain)
    counts[name] = side.filled().requires_grad_()
    with torch.enable_grad():
        return statistic.of(samples, counts[name])


def _samples(side: Sampled) -> Tensor:
    assert side.samples is not None
    return side.samples.clone() if side.samples.is_inference() else side.samples


def _nothing(measure: Measure, one: Sampled) -> SampleInfluences:
    return SampleInfluences(None, None, f"none: {measure.name} needs the samples, not statistics")
