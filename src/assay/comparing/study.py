"""What is each measure of each set, of each class, of each pair of candidates, and between two real halves?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from itertools import combinations
from typing import Any

import torch

from ..comparison import Difference, Floor, Row
from ..contrast import Contrast, Term
from ..direction import Direction
from ..errors import DataError, UsageError
from ..estimate import Estimate, Traced, estimate_all
from ..measure_by_name import fewest_samples, measure_key, printed_name
from ..note import Note
from ..scale import reporting
from ..set_measure import Measure
from ..trace import Kept, Trace, kept_of
from .compared_sets import ComparedSet

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
        kept: dict[tuple[str, str], Kept] | None = None,
    ) -> None:
        """`kept` takes, by candidate and printed name, what later differences need of a value."""
        self.kept = kept
        self.wanted = tuple(wanted)
        self.labels = {id(m): f"{printed_name(m)}[{space}]" for m in wanted}
        self.two = _by_work([m for m in wanted if len(m.sides) == 2])
        self.one = _by_work([m for m in wanted if len(m.sides) == 1])
        self.three = _by_work([m for m in wanted if len(m.sides) == 3])
        self.level, self.paired, self.seed = level, paired, seed
        self.where, self.progress = where, progress
        self.done, self.steps = 0, 0

    def labels_of(self, space: str) -> dict[tuple[str, str], str]:
        """(space, measure with its options) -> the name of its rows."""
        return {(space, measure_key(m)): self.labels[id(m)] for m in self.wanted}

    def expect(self, floor: int, classes: int = 0) -> None:
        """How many steps there will be, so that progress can say which of them it is at."""
        self.steps = len(self.two) + 2 * len(self.one) + len(self.three)
        self.steps += len(self.two) * (1 + floor) if floor else 0
        self.steps += classes * (len(self.two) + len(self.one))

    def of_candidates(
        self, target: ComparedSet, made: Sequence[ComparedSet], held_out: ComparedSet | None = None
    ) -> tuple[list[Row], list[Difference]]:
        """Every measure of every candidate, and b's value minus a's for every pair of candidates.

        All candidates share the real set's statistics and halves; its luck is shared by both sides of a difference and
        cancels.
        """
        rows: list[Row] = []
        differences: list[Difference] = []
        pairs = list(combinations(made, 2))
        held = () if held_out is None else (held_out,)
        for real, third, groups in (
            ((target,), (), self.two),
            ((), (), self.one),
            ((target,), held, self.three),
        ):
            for group in groups:
                sets = {s.name: s for s in (*real, *made, *third)}
                before, after = tuple(s.name for s in real), tuple(s.name for s in third)
                contrasts = [(Term(1.0, (*before, c.name, *after)),) for c in made] + [
                    (Term(1.0, (*before, b.name, *after)), Term(-1.0, (*before, a.name, *after)))
                    for a, b in pairs
                ]
                roles = {**dict.fromkeys(before, "real"), **dict.fromkeys(after, "held_out")}
                found = self._estimates(
                    group,
                    sets,
                    "of all candidates",
                    contrasts=contrasts,
                    paired=self.paired,
                    traced=self._keeping(roles),
                )
                for m, estimates in zip(group, found, strict=True):
                    rows += [self._row(m, c, e) for c, e in zip(made, estimates[: len(made)], strict=True)]
                    differences += [
                        Difference(self.labels[id(m)], m.name, a.name, b.name, _direction(m), e)
                        for (a, b), e in zip(pairs, estimates[len(made) :], strict=True)
                    ]
        return rows, differences

    def aims(self, target: ComparedSet) -> list[Row]:
        """The measures of one set, of the real one."""
        out = []
        for group in self.one:
            found = self._estimates(group, {target.name: target}, f"of {target.name}")
            out += [self._row(m, target, e[0]) for m, e in zip(group, found, strict=True)]
        return out

    def of_classes(
        self, target: ComparedSet, made: Sequence[ComparedSet], classes: Sequence[Any]
    ) -> tuple[list[Row], list[Note]]:
        """Every measure of every candidate's every class against the real samples of that class.

        A class with too few samples on either side has no row; a note says how many there are.
        """
        rows: list[Row] = []
        lacking: dict[tuple[str, int], list[str]] = {}
        for number, label in enumerate(classes, start=1):
            parts = {s.name: s.of_class(label) for s in (target, *made)}
            what = f"of class {number} of {len(classes)} ({label})"
            for group in (*self.two, *self.one):
                shared = (target.name,) if len(group[0].sides) == 2 else ()
                need = max(fewest_samples(m) for m in group)
                fit = [c for c in made if min(len(parts[n]) for n in (*shared, c.name)) >= need]
                for c in made:
                    if c not in fit:
                        lacking.setdefault((c.name, need), []).append(str(label))
                if not fit:
                    self.done += 1
                    continue
                found = self._estimates(
                    group,
                    {name: parts[name] for name in (*shared, *(c.name for c in fit))},
                    what,
                    contrasts=[(Term(1.0, (*shared, c.name)),) for c in fit],
                    paired=False,
                )
                for m, estimates in zip(group, found, strict=True):
                    rows += [
                        replace(self._row(m, c, e), group=str(label))
                        for c, e in zip(fit, estimates, strict=True)
                    ]
        return rows, [_lacking(name, need, own) for (name, need), own in lacking.items()]

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
            for m, (e,) in zip(group, found, strict=True):
                floors.append(Floor(self.labels[id(m)], m.name, _direction(m), e, size))
            for candidate in made:
                generator = torch.Generator().manual_seed(
                    self.seed
                )  # the same rows whoever is compared beside
                some = candidate.rows(torch.randperm(len(candidate), generator=generator)[:size])
                values = self._values(group, first, some, f"of {candidate.name} at the floor's size")
                for m, (e,), value in zip(group, found, values, strict=True):
                    own = next(
                        r for r in rows if r.candidate == candidate.name and r.name == self.labels[id(m)]
                    )
                    ratio = _multiple(m, own.estimate, e, value, size)
                    if ratio is not None:
                        ratios[candidate.name, own.name] = ratio
        out = []
        for row in rows:
            times, how = ratios.get((row.candidate, row.name), (None, None))
            out.append(replace(row, multiple=times, multiple_is=how))
        return floors, out

    def _estimates(
        self,
        group: Sequence[Measure],
        sets: Mapping[str, ComparedSet],
        what: str,
        *,
        contrasts: Sequence[Contrast] | None = None,
        paired: bool = False,
        traced: Traced | None = None,
    ) -> list[list[Estimate]]:
        sampled = {name: s.sampled(group[0], self.where) for name, s in sets.items()}
        with self._telling(group, what), _named_failures(group, sets):
            return estimate_all(
                group,
                sampled,
                contrasts=contrasts,
                level=self.level,
                paired=paired,
                generator=torch.Generator().manual_seed(self.seed),
                traced=traced,
            )

    def _keeping(self, roles: Mapping[str, str]) -> Traced | None:
        """What takes from each value's trace what is to be kept of it; None where nothing is."""
        kept = self.kept
        if kept is None:
            return None

        def take(measure: Measure, contrast: Contrast, trace: Trace) -> None:
            candidate = next(name for name in contrast[0].sets if name not in roles)
            kept[candidate, self.labels[id(measure)]] = kept_of(trace, roles, paired=self.paired)

        return take

    def _values(self, group: Sequence[Measure], x: ComparedSet, y: ComparedSet, what: str) -> list[float]:
        statistic: Any = group[0].statistic
        with self._telling(group, what), _named_failures(group, {"x": x, "y": y}), torch.no_grad():
            two = [statistic.of(s.sampled(group[0], self.where).samples) for s in (x, y)]
            return [float(m.function(*two, **m.options)) for m in group]

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


def _lacking(name: str, need: int, classes: Sequence[str]) -> Note:
    unique = list(dict.fromkeys(classes))
    some = ", ".join(unique[:5]) + (f" and {len(unique) - 5} more" if len(unique) > 5 else "")
    return Note(
        "few samples a class",
        f"fewer than {need} samples here or in the real set, so some measures have no value, for class {some}",
        sets=(name,),
        numbers={"needed": need, "classes": len(unique)},
    )


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
