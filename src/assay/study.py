"""What is each measure of each set, of each pair of candidates, and between two halves of the real set?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch

from .compared_sets import ComparedSet
from .comparison import Difference, Direction, Floor, Row
from .contrast import Sampled, Term
from .errors import DataError, UsageError
from .estimate import Estimate, estimate_all
from .measure import Measure
from .measure_by_name import printed_name
from .scale import reporting

Progress = Callable[[str, int, int], None]  # what is being done, how much is done, of how much


class Study:
    """One comparison's measures and settings, applied to sets.

    Every step draws its splits anew from the seed: its numbers do not depend on what else is measured.
    """

    def __init__(
        self,
        wanted: Sequence[Measure],
        space: str,
        level: float,
        paired: bool,
        seed: int,
        where: torch.device,
        progress: Progress | None,
    ) -> None:
        self.labels = {id(m): f"{printed_name(m)}[{space}]" for m in wanted}
        self.two = _by_work([m for m in wanted if len(m.sides) == 2])
        self.one = _by_work([m for m in wanted if len(m.sides) == 1])
        self.level, self.paired, self.seed = level, paired, seed
        self.where, self.progress = where, progress
        self.done, self.steps = 0, 0

    def expect(self, candidates: int, floor: bool) -> None:
        """How many steps there will be, so that progress can say which of them it is at."""
        each, pairs = len(self.two) + len(self.one), candidates * (candidates - 1) // 2
        self.steps = (candidates + pairs) * each + len(self.one) + floor * len(self.two) * (1 + candidates)

    def rows(self, target: ComparedSet, candidate: ComparedSet) -> list[Row]:
        """Every measure of one candidate."""
        out = []
        for group in self.two:
            found = self._estimates(
                group, {"x": target, "y": candidate}, f"of {candidate.name}", paired=self.paired
            )
            out += [self._row(m, candidate, e) for m, e in zip(group, found, strict=True)]
        for group in self.one:
            found = self._estimates(group, {"y": candidate}, f"of {candidate.name}")
            out += [self._row(m, candidate, e) for m, e in zip(group, found, strict=True)]
        return out

    def aims(self, target: ComparedSet) -> list[Row]:
        """The measures of one set, of the real one."""
        out = []
        for group in self.one:
            found = self._estimates(group, {"y": target}, f"of {target.name}")
            out += [self._row(m, target, e) for m, e in zip(group, found, strict=True)]
        return out

    def differences(self, target: ComparedSet, a: ComparedSet, b: ComparedSet) -> list[Difference]:
        """b's value minus a's, by every measure; the real set's luck is shared and cancels."""
        out = []
        for shared, groups in (("x",), self.two), ((), self.one):
            for group in groups:
                sets = {"x": target, "a": a, "b": b} if shared else {"a": a, "b": b}
                terms = (Term(1.0, (*shared, "b")), Term(-1.0, (*shared, "a")))
                what = f"of {b.name} against {a.name}"
                found = self._estimates(group, sets, what, terms=terms, paired=self.paired, counts=("x", "b"))
                out += [
                    Difference(self.labels[id(m)], m.name, a.name, b.name, _direction(m), e)
                    for m, e in zip(group, found, strict=True)
                ]
        return out

    def with_floor(
        self, target: ComparedSet, made: Sequence[ComparedSet], rows: Sequence[Row]
    ) -> tuple[list[Floor], list[Row]]:
        """The floor by every measure of two sets, and the rows with their multiples of it."""
        generator = torch.Generator().manual_seed(self.seed)
        size = min(len(target) // 2, *(len(candidate) for candidate in made))
        chosen = torch.randperm(len(target), generator=generator)
        first, second = target.rows(chosen[:size]), target.rows(chosen[size : 2 * size])
        floors: list[Floor] = []
        ratios: dict[tuple[str, str], tuple[float, str]] = {}
        for group in self.two:
            found = self._estimates(group, {"x": first, "y": second}, "between real halves")
            for m, e in zip(group, found, strict=True):
                floors.append(Floor(self.labels[id(m)], m.name, _direction(m), e, size))
            for candidate in made:
                generator = torch.Generator().manual_seed(
                    self.seed
                )  # the same rows whoever is compared beside
                some = candidate.rows(torch.randperm(len(candidate), generator=generator)[:size])
                values = self._values(group, first, some, f"of {candidate.name} at the floor's size")
                for m, e, value in zip(group, found, values, strict=True):
                    own = next(
                        r for r in rows if r.candidate == candidate.name and r.name == self.labels[id(m)]
                    )
                    ratio = _multiple(m, own.estimate, e, value, size)
                    if ratio is not None:
                        ratios[candidate.name, own.name] = ratio
        out = []
        for row in rows:
            times, how = ratios.get((row.candidate, row.name), (None, None))
            out.append(Row(row.name, row.measure, row.candidate, row.direction, row.estimate, times, how))
        return floors, out

    def _estimates(
        self,
        group: Sequence[Measure],
        sets: Mapping[str, ComparedSet],
        what: str,
        *,
        terms: Sequence[Term] | None = None,
        paired: bool = False,
        counts: tuple[str, str] = ("x", "y"),
    ) -> list[Estimate]:
        sampled = {side: Sampled(self._samples(group[0], s)) for side, s in sets.items()}
        with self._telling(group, what), _named_failures(group, sets):
            found = estimate_all(
                group,
                sampled,
                terms=terms,
                level=self.level,
                paired=paired,
                generator=torch.Generator().manual_seed(self.seed),
            )
        totals = {side: float(len(s)) for side, s in sets.items()}
        n_x, n_y = totals.get(counts[0]), totals.get(counts[1])
        return [_retold(e, {side: s.name for side, s in sets.items()}, n_x, n_y) for e in found]

    def _values(self, group: Sequence[Measure], x: ComparedSet, y: ComparedSet, what: str) -> list[float]:
        statistic: Any = group[0].statistic
        with self._telling(group, what), _named_failures(group, {"x": x, "y": y}), torch.no_grad():
            two = [statistic.of(self._samples(group[0], s)) for s in (x, y)]
            return [float(m.function(*two, **m.options)) for m in group]

    def _samples(self, measure: Measure, of: ComparedSet) -> torch.Tensor:
        samples = of.probabilities if measure.domain == "probabilities" else of.features
        assert samples is not None
        return samples.detach().to(self.where)

    def _row(self, measure: Measure, of: ComparedSet, estimate: Estimate) -> Row:
        return Row(self.labels[id(measure)], measure.name, of.name, _direction(measure), estimate)

    def _telling(self, group: Sequence[Measure], what: str) -> Any:
        self.done += 1
        progress = self.progress
        if progress is None:
            return nullcontext()
        others = f" and {len(group) - 1} more" if len(group) > 1 else ""
        step = f"{self.done} of {self.steps}: {printed_name(group[0])}{others} {what}"
        progress(step, 0, 1)
        return reporting(lambda of, done, total: progress(f"{step}: {of}", done, total))


class _named_failures:
    """A refusal from inside a measure, said of the sets that the reader knows."""

    def __init__(self, group: Sequence[Measure], sets: Mapping[str, ComparedSet]) -> None:
        self.group, self.sets = group, sets

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, (DataError, UsageError)):
            names = ", ".join(printed_name(m) for m in self.group)
            sizes = ", ".join(f"{side} = {s.name} ({len(s)})" for side, s in self.sets.items())
            raise DataError(f"{names}: {error} [{sizes}]") from error


def _by_work(measures: Sequence[Measure]) -> list[list[Measure]]:
    """Groups that share a statistic, and so one pass."""
    groups: dict[tuple[type, str], list[Measure]] = {}
    for measure in measures:
        groups.setdefault((measure.statistic, measure.domain), []).append(measure)
    return list(groups.values())


def _direction(measure: Measure) -> Direction:
    return "lower is better" if measure.best == "min" else "higher is better"


def _multiple(
    measure: Measure, own: Estimate, floor: Estimate, value: float, size: int
) -> tuple[float, str] | None:
    """How many times the floor a value is, and how that was taken; None where no ratio means anything."""
    if not measure.is_unbiased() and value > 0 and floor.value > 0:
        return value / floor.value, f"uncorrected values of {size} samples a side"
    if floor.low > 0 and own.corrected > 0:
        return own.corrected / floor.corrected, "corrected values"
    if floor.high > 0 and own.low > floor.high:
        return own.low / floor.high, "at least: lower end of the interval over the upper end of the floor's"
    return None


def _retold(estimate: Estimate, names: Mapping[str, str], n_x: float | None, n_y: float | None) -> Estimate:
    """The estimate with its notes about the sets by their names."""
    notes = []
    for note in estimate.notes:
        side, has, rest = note.partition(" has ")
        notes.append(f"{names[side]} has {rest}" if has and side in names else note)
    return Estimate(**{**estimate.to_dict(), "notes": tuple(notes), "n_x": n_x, "n_y": n_y})
