"""Which samples and groups make each candidate's values what they are?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..direction import Direction
from ..explaining import (
    SampleInfluences,
    Shares,
    Surroundings,
    coalition_values,
    copies,
    false_alarm_rate,
    influences_of_all,
    pieces,
    shapley,
)
from ..explaining.coalitions import most_samples
from ..explaining.copies import DEPTH
from ..explanation import Explanation, GroupShare, Nearest
from ..note import Note
from ..scale import reporting
from ..set_measure import Measure
from .compared_sets import ComparedSet
from .study import Progress

Rows = Mapping[str, Tensor]


def explained(
    measures: Sequence[tuple[Measure, str]],
    target: ComparedSet,
    made: Sequence[ComparedSet],
    held_out: ComparedSet | None,
    groups: Mapping[str, Rows],
    *,
    seed: int,
    where: torch.device,
    progress: Progress | None,
) -> list[Explanation]:
    """Every candidate by every measure; what candidates or measures have in common is computed once.

    Args:
        measures: each with the name of its rows.
        target: the real set.
        made: the candidates.
        held_out: the held-out real set; where there is one, it takes the place of groups.
        groups: by candidate, group -> rows; empty where no groups were asked for.
        seed: of the real samples that take the place of groups.
        where: the device.
        progress: told of every pass.
    """
    candidates = {one.name: one for one in made}
    around = {name: _surroundings(one, where) for name, one in candidates.items()}
    real = _surroundings(target, where)
    found: dict[tuple[str, int], SampleInfluences] = {}
    nearest: dict[str, Nearest | None] = dict.fromkeys(candidates)
    with _telling(progress, "influences"):
        if real is not None:
            # as deep as anybody needs, so that the real set's neighbours are looked for once
            deepest = max((int(m.options.get("nearest_k", 0)) for m, _ in measures), default=0)
            if len(real) > max(DEPTH, deepest) + 1:
                real.own(max(DEPTH, deepest) + 1)
        for name, own in around.items():
            if real is not None and own is not None:
                nearest[name] = copies(real, own)
        known = {name: s for name, s in {"": real, **around}.items() if s is not None}
        for members in _by_work([m for m, _ in measures]):
            first = measures[members[0]][0]
            some = influences_of_all(
                [measures[k][0] for k in members],
                target.sampled(first, where) if len(first.sides) > 1 else None,
                {name: one.sampled(first, where) for name, one in candidates.items()},
                held_out.sampled(first, where) if held_out is not None and len(first.sides) == 3 else None,
                known if first.domain == "features" else None,
            )
            found.update({(name, members[k]): one for (name, k), one in some.items()})
    shares: dict[tuple[str, int], tuple[Shares, int]] = {}
    for name, rows in groups.items():
        with _telling(progress, f"groups of {name}"):
            shares.update(_shares(measures, target, candidates[name], held_out, rows, seed, where))
    return [
        _explanation(
            m, label, name, found[name, k], nearest[name], groups.get(name, {}), shares.get((name, k))
        )
        for name in candidates
        for k, (m, label) in enumerate(measures)
    ]


def copy_notes(explanations: Sequence[Explanation], real: int) -> list[Note]:
    """How many suspected copies there are, and how many chance would flag."""
    notes = []
    for name in dict.fromkeys(one.candidate for one in explanations):
        near = next(one.nearest for one in explanations if one.candidate == name)
        if near is None or not near.copied.any():
            continue
        count, m = int(near.copied.sum()), len(near.copied)
        by_luck = false_alarm_rate(real) * m
        exact = int((near.distance == 0).sum())
        notes.append(
            Note(
                "suspected copies",
                f"{count} of {m} samples are closer to a real one than real ones are to each other, {exact} of them "
                f"exact copies; of as many that copy nothing, about {by_luck:.1f} would be by chance",
                sets=(name,),
                numbers={"copied": count, "exact": exact, "of": m, "by chance": by_luck},
            )
        )
    return notes


def _surroundings(one: ComparedSet, where: torch.device) -> Surroundings | None:
    return None if one.features is None else Surroundings.of(one.features.to(where))


def _by_work(measures: Sequence[Measure]) -> list[list[int]]:
    """Indices of measures that share a statistic and sides."""
    groups: dict[tuple[type, str, int], list[int]] = {}
    for k, m in enumerate(measures):
        groups.setdefault((m.statistic, m.domain, len(m.sides)), []).append(k)
    return list(groups.values())


def _shares(
    measures: Sequence[tuple[Measure, str]],
    target: ComparedSet,
    candidate: ComparedSet,
    held_out: ComparedSet | None,
    rows: Rows,
    seed: int,
    where: torch.device,
) -> Iterator[tuple[tuple[str, int], tuple[Shares, int]]]:
    """The shares in every measure of two sets of features; the others have none."""
    two = [(k, m) for k, (m, _) in enumerate(measures) if len(m.sides) == 2 and m.domain == "features"]
    kinds: dict[tuple[type, int | None], list[int]] = {}
    for k, m in two:
        kinds.setdefault((m.statistic, most_samples(m)), []).append(k)
    real, made = target.features, candidate.features
    if real is None or made is None:
        return
    pool = None if held_out is None else held_out.features
    for (_, at_most), members in kinds.items():
        generator = torch.Generator().manual_seed(seed)
        part = pieces(list(rows.values()), len(real), None if pool is None else len(pool), at_most, generator)
        stand_in = real if pool is None else pool
        value = coalition_values(
            [measures[k][0] for k in members],
            real[part.reference].to(where),
            [made[r].to(where) for r in part.made],
            [stand_in[r].to(where) for r in part.replaced],
        )
        found = shapley(value, len(rows), generator)
        for at, k in enumerate(members):
            yield (candidate.name, k), (found, at)


def _explanation(
    measure: Measure,
    label: str,
    candidate: str,
    influences: SampleInfluences,
    nearest: Nearest | None,
    rows: Rows,
    shares: tuple[Shares, int] | None,
) -> Explanation:
    direction: Direction = "lower is better" if measure.best == "min" else "higher is better"
    groups: tuple[GroupShare, ...] = ()
    floor = None
    if shares is not None:
        found, at = shares
        floor = float(found.floor[at])
        groups = tuple(
            GroupShare(
                name,
                own.cpu().numpy().astype(np.int64),
                float(found.share[i, at]),
                float(found.low[i, at]),
                float(found.high[i, at]),
            )
            for i, (name, own) in enumerate(rows.items())
        )
    return Explanation(
        name=label,
        measure=measure.name,
        candidate=candidate,
        direction=direction,
        of_generated=_plain(influences.of_generated),
        of_real=_plain(influences.of_real),
        method=influences.method,
        groups=groups,
        floor=floor,
        nearest=nearest,
    )


def _plain(values: Tensor | None) -> NDArray[np.float32] | None:
    return None if values is None else values.detach().cpu().numpy().astype(np.float32)


@contextmanager
def _telling(progress: Progress | None, what: str) -> Iterator[None]:
    if progress is None:
        yield
        return
    told: Callable[[str, int, int], None] = progress
    told(what, 0, 1)
    with reporting(lambda of, done, total: told(f"{what}: {of}", done, total)):
        yield
