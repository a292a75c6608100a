"""How far a value would move on other samples: by influences where it is smooth, by half-samples where it is not."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .contrast import Contrast, Plan, centred, in_two, part_of, slopes, split_all, total, value_of
from .errors import DataError, UsageError
from .resample import draw_halves
from .scale.progress import tick
from .trace import HalvesDigest, Trace

Sets = tuple[str, ...]
Slopes = dict[str, Tensor | None]

# degrees of freedom up to which Student's distribution is summed as it is
EXACT_FREEDOM = 100


@dataclass(frozen=True)
class Spread:
    """A value, its bias and standard error, how many of those the interval reaches either way, and the method.

    `trace` is how its samples moved it, where the plan asks for that.
    """

    value: float
    bias: float
    error: float
    reach: float
    method: str
    trace: Trace | None = None


def by_influences(plan: Plan, splits: int, generator: torch.Generator) -> list[list[Spread]]:
    """Spreads from influences, biases from half-splits, for every measure of the plan and each of its contrasts."""
    sampled = plan.sampled
    # an unbiased form is so for independent samples: pairs and clusters bring products of samples that hang together
    correct = [m.halves and (plan.units.dependent or not m.is_unbiased()) for m in plan.measures]
    second = [m.degenerate for m in plan.measures]
    halves = draw_halves(sampled, plan.units, generator) if any(correct) or any(second) else None
    digest = HalvesDigest()
    if plan.traced:
        digest.add(halves)
    counts = {name: s.filled().requires_grad_() for name, s in sampled.items() if s.samples is not None}
    whole: dict[str, Any] = {}
    parts: dict[str, tuple[Any, Any]] = {}
    with torch.enable_grad():
        for name, s in sampled.items():
            if s.exact is not None:
                whole[name], parts[name] = s.exact, (s.exact, s.exact)
            elif halves is None or not any(correct):
                whole[name] = plan.statistic.of(s.samples, counts[name])
            else:  # the halves merge to the whole: their statistics are computed once for both
                parts[name] = in_two(plan.statistic, s, counts[name], halves[name])
                whole[name] = parts[name][0].merge(parts[name][1])
    values, derivatives = _evaluated(plan, whole, counts)
    of_halves: list[dict[Sets, float]] = [{} for _ in plan.measures]
    if halves is not None and any(correct):
        drawn = [_half_means(plan, parts, correct)]
        for _ in range(splits - 1):
            again = draw_halves(sampled, plan.units, generator)
            assert again is not None
            with torch.no_grad():
                parts = split_all(plan.statistic, sampled, again)
            drawn.append(_half_means(plan, parts, correct))
        for k in range(len(plan.measures)):
            of_halves[k] = {sets: sum(d[k][sets] for d in drawn) / splits for sets in drawn[0][k]}
    in_halves, shares_in_halves = (
        _within_halves(plan, halves) if halves is not None and any(second) else (None, None)
    )
    out = []
    for k in range(len(plan.measures)):
        how = (
            "influences"
            if plan.measures[k].halves
            else "influences, bias not corrected (halves part what hangs together)"
        )
        if correct[k]:
            how += (
                f", bias by {splits} half-split{'s' if splits > 1 else ''}"
                if of_halves[k]
                else ", bias not corrected (too few samples to halve)"
            )
        row = []
        for c, contrast in enumerate(plan.contrasts):
            value = total(contrast, values[k])
            # mean T(n/2) - T(n) is the leading bias of T(n) itself
            bias = total(contrast, of_halves[k]) - value if of_halves[k] else 0.0
            influence = _influence(contrast, derivatives[k], counts)
            variance = plan.units.variance(influence, _plain(counts))
            if second[k] and in_halves is not None:
                # not below half of the influences' variance: all there is where nothing of first order is left
                variance = max(1.5 * variance - 0.25 * in_halves[k][c], 0.5 * variance)
            trace = None
            if plan.traces(contrast):
                freed = bool(of_halves[k]) if correct[k] else plan.measures[k].halves
                within = shares_in_halves[k][c] if second[k] and shares_in_halves is not None else {}
                trace = Trace(_shares(influence, counts), within, digest.of(influence), (), freed)
            row.append(Spread(value, bias, variance**0.5, normal_reach(plan.level), how, trace))
        out.append(row)
    return out


def _evaluated(
    plan: Plan, statistics: Mapping[str, Any], counts: Mapping[str, Tensor]
) -> tuple[list[dict[Sets, float]], list[dict[Sets, Slopes]]]:
    """Every measure of every combination of sets that is asked for, with its derivatives by the counts."""
    values: list[dict[Sets, float]] = [{} for _ in plan.measures]
    derivatives: list[dict[Sets, Slopes]] = [{} for _ in plan.measures]
    for sets in plan.evaluations:
        for k, m in enumerate(plan.measures):
            with torch.enable_grad():
                value = value_of(m, statistics, sets)
            values[k][sets] = float(value.detach())
            found = slopes(value, {name: counts[name] for name in sets if name in counts})
            if found and all(slope is None for slope in found.values()):
                raise UsageError(
                    f"{m.name} does not vary smoothly with the weights of any set, so it has no influences to read a "
                    'spread from: declare it with spread="half-samples"'
                )
            derivatives[k][sets] = found
    return values, derivatives


def _influence(
    contrast: Contrast, derivatives: Mapping[Sets, Slopes], counts: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Each set's influences on the contrast: those on all its terms are added before anybody squares them."""
    plain = _plain(counts)
    influence: dict[str, Tensor] = {}
    for term in contrast:
        for name, slope in derivatives[term.sets].items():
            if slope is not None:
                own = term.coefficient * centred(slope, plain[name])
                influence[name] = influence[name] + own if name in influence else own
    return influence


def _plain(counts: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: c.detach() for name, c in counts.items()}


def _shares(influence: Mapping[str, Tensor], counts: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: i * counts[name].detach() / counts[name].detach().sum() for name, i in influence.items()}


def _within_halves(
    plan: Plan, halves: Mapping[str, Tensor]
) -> tuple[list[list[float]], list[list[dict[str, Tensor]]]]:
    """For each measure and contrast the mean of the two halves' variances by influences, and every row's share of its
    half's influences where a trace is wanted."""
    variance = [[0.0] * len(plan.contrasts) for _ in plan.measures]
    shares: list[list[dict[str, Tensor]]] = [[{} for _ in plan.contrasts] for _ in plan.measures]
    for first in (True, False):
        statistics: dict[str, Any] = {}
        counts: dict[str, Tensor] = {}
        rows: dict[str, Tensor] = {}
        with torch.enable_grad():
            for name, s in plan.sampled.items():
                if s.exact is not None:
                    statistics[name] = s.exact
                    continue
                assert s.samples is not None
                part = s.filled() * (halves[name] if first else 1 - halves[name])
                rows[name] = (part > 0).nonzero()[:, 0]
                counts[name] = part[rows[name]].requires_grad_()
                statistics[name] = plan.statistic.of(s.samples[rows[name]], counts[name])
        _, derivatives = _evaluated(plan, statistics, counts)
        units = plan.units.among(rows)
        for k in range(len(plan.measures)):
            for c, contrast in enumerate(plan.contrasts):
                influence = _influence(contrast, derivatives[k], counts)
                variance[k][c] += 0.5 * units.variance(influence, _plain(counts))
                if plan.traces(contrast):
                    for name, share in _shares(influence, counts).items():
                        whole = shares[k][c].setdefault(name, torch.zeros_like(halves[name]))
                        whole.index_add_(0, rows[name], share)
    return variance, shares


def _half_means(
    plan: Plan, parts: Mapping[str, tuple[Any, Any]], wanted: Sequence[bool]
) -> list[dict[Sets, float]]:
    """The mean over both halves of every wanted measure of every combination of sets."""
    means: list[dict[Sets, float]] = [{} for _ in plan.measures]
    with torch.no_grad():
        for sets in plan.evaluations:
            for k, m in enumerate(plan.measures):
                if wanted[k]:
                    both = (value_of(m, {name: parts[name][h] for name in sets}, sets) for h in (0, 1))
                    means[k][sets] = float(sum(both)) / 2
    return means


def by_half_samples(plan: Plan, half_samples: int, generator: torch.Generator) -> list[list[Spread]]:
    """Spreads from the values of random halves without replacement; nothing is corrected."""
    name = plan.measures[0].name
    whole = {
        key: s.exact if s.exact is not None else plan.statistic.of(s.samples, s.counts)
        for key, s in plan.sampled.items()
    }
    values = _values(plan, whole)
    digest = HalvesDigest()
    drawn: list[list[dict[Sets, float]]] = []
    while len(drawn) < half_samples:
        halves = draw_halves(plan.sampled, plan.units, generator)
        if halves is None:
            raise DataError(f"{name}.estimate: too few samples to take halves of")
        if plan.traced:
            digest.add(halves)
        # one half of each draw only: its complement says the same again, mirrored
        some = {
            key: s.exact if s.exact is not None else part_of(plan.statistic, s, s.filled(), halves[key])
            for key, s in plan.sampled.items()
        }
        try:
            drawn.append(_values(plan, some))
        except UsageError as error:  # the whole was large enough, a half is not
            sizes = ", ".join(f"{key} {s.total():g}" for key, s in plan.sampled.items())
            raise DataError(
                f"{name}.estimate: its spread comes from random halves, and with {sizes} samples they are too "
                f"small ({error}); twice as many samples would do, or call {name} for the value alone"
            ) from None
        tick("half-samples", len(drawn), half_samples)
    how = f"{len(drawn)} half-samples without replacement, not bias-corrected"
    reach = student_reach(plan.level, len(drawn) - 1)
    out = []
    for k in range(len(plan.measures)):
        row = []
        for contrast in plan.contrasts:
            of_halves = [total(contrast, half[k]) for half in drawn]
            spread = torch.tensor(of_halves, dtype=torch.float64)
            trace = None
            if plan.traces(contrast):
                trace = Trace({}, {}, digest.of(contrast[0].sets), tuple(of_halves), False)
            row.append(Spread(total(contrast, values[k]), 0.0, float(spread.std()), reach, how, trace))
        out.append(row)
    return out


def _values(plan: Plan, statistics: Mapping[str, Any]) -> list[dict[Sets, float]]:
    with torch.no_grad():
        return [
            {sets: float(value_of(m, statistics, sets)) for sets in plan.evaluations} for m in plan.measures
        ]


def normal_reach(level: float) -> float:
    """How many standard errors either way cover a normal value at the level."""
    return math.sqrt(2) * float(torch.erfinv(torch.tensor(level, dtype=torch.float64)))


def student_reach(level: float, freedom: int) -> float:
    """Student's t quantile: |t| stays below it with probability `level`.

    Up to 100 degrees of freedom by bisecting the finite sum that the distribution is (Abramowitz and Stegun 26.7.3 and
    26.7.4), beyond them from the normal quantile by Cornish and Fisher's expansion, which is then off by under 1e-6.
    """
    if freedom <= EXACT_FREEDOM:
        low, high = 0.0, math.pi / 2
        for _ in range(60):
            angle = (low + high) / 2
            low, high = (angle, high) if _student_within(angle, freedom) < level else (low, angle)
        return math.sqrt(freedom) * math.tan(low)
    z = normal_reach(level)
    g1 = (z**3 + z) / 4
    g2 = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    g3 = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + g1 / freedom + g2 / freedom**2 + g3 / freedom**3


def _student_within(angle: float, freedom: int) -> float:
    """P(|t| < sqrt(freedom) tan(angle)) for whole degrees of freedom."""
    odd = freedom % 2
    term = math.sin(angle) * (math.cos(angle) if odd else 1.0)
    found = term if freedom > 1 else 0.0
    for k in range(2 + odd, freedom - 1, 2):
        term *= (k - 1) / k * math.cos(angle) ** 2
        found += term
    return 2 / math.pi * (angle + found) if odd else found
