"""Does every sample of these sets stand for itself, and are there as many of each kind?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np

from ..note import Note
from .set_facts import SHARE, SetFacts, percent, shares_of, shown

NAMED = 3  # examples


def copies(sets: Sequence[SetFacts]) -> list[Note]:
    """Generated images that equal a real one, pixel for pixel."""
    notes = []
    for real in (s for s in sets if s.role == "real"):
        where = _first_rows(real)
        for made in (s for s in sets if s.role == "generated"):
            pairs = [(row, where[d]) for row, d in enumerate(made.of("digest").tolist()) if d in where]
            if not pairs:
                continue
            examples = [[made.names[a], real.names[b]] for a, b in pairs[:NAMED]]
            notes.append(
                Note(
                    "copies",
                    f"{len(pairs):,} of the {len(made):,} generated images equal real ones pixel for pixel "
                    f"({_equal(examples)}): they look as good as the real set and say nothing of what is new; take "
                    "them out, or measure against real images that the generator has not seen",
                    sets=(real.name, made.name),
                    numbers={"copies": len(pairs), "of": len(made), "examples": examples},
                )
            )
    return notes


def duplicates(sets: Sequence[SetFacts]) -> list[Note]:
    """Images that equal another of their set."""
    notes = []
    for one in sets:
        first = _first_rows(one)
        pairs = [
            (row, first[digest])
            for row, digest in enumerate(one.of("digest").tolist())
            if first[digest] != row
        ]
        if not pairs:
            continue
        examples = [[one.names[a], one.names[b]] for a, b in pairs[:NAMED]]
        different = "1 picture" if len(first) == 1 else f"{len(first):,} different pictures"
        notes.append(
            Note(
                "duplicates",
                f"{different} in {len(one):,} images ({_equal(examples)}): repeats count again, make intervals too "
                "narrow and shrink the distances to neighbours; keep one of each",
                sets=(one.name,),
                numbers={
                    "different": len(first),
                    "of": len(one),
                    "repeated": len(pairs),
                    "examples": examples,
                },
            )
        )
    return notes


def constant(sets: Sequence[SetFacts]) -> list[Note]:
    """Images of one colour throughout."""
    notes = []
    for one in sets:
        rows = np.flatnonzero(one.of("constant")).tolist()
        if not rows:
            continue
        examples = [one.names[row] for row in rows[:NAMED]]
        notes.append(
            Note(
                "constant",
                f"{len(rows):,} of {len(one):,} images are of one colour throughout "
                f"({_and_more(examples, len(rows))}): more often failed files or samples than pictures, and each "
                "counts like any other; look at them, and make or read them again",
                sets=(one.name,),
                numbers={"constant": len(rows), "of": len(one), "examples": examples},
            )
        )
    return notes


def classes(sets: Sequence[SetFacts]) -> list[Note]:
    """Shares of classes that differ by more than 5% (total variation) and twice what chance explains."""
    notes = []
    shares = {s.name: shares_of(s.labels) for s in sets if s.labels is not None}
    counts = {s.name: len(s) for s in sets}
    for a, b in combinations(shares, 2):
        every = sorted({*shares[a], *shares[b]})
        p, q = ({c: shares[name].get(c, 0.0) for c in every} for name in (a, b))
        distance = sum(abs(p[c] - q[c]) for c in every) / 2
        chance = 0.0  # E |N(0, s^2)| = s sqrt(2 / pi), of the difference of two shares of one population
        for c in every:
            both = (p[c] * counts[a] + q[c] * counts[b]) / (counts[a] + counts[b])
            chance += math.sqrt(2 / math.pi * both * (1 - both) * (1 / counts[a] + 1 / counts[b])) / 2
        if distance <= max(SHARE, 2 * chance):
            continue
        worst = max(every, key=lambda c: (abs(p[c] - q[c]), c))
        notes.append(
            Note(
                "classes",
                f"classes have different shares: {percent(distance)} of the images would have to change theirs (most: "
                f"{shown(worst)} with {percent(p[worst])} and {percent(q[worst])}), which counts as a difference even "
                "if every class is perfect; draw both with the same shares, or measure class by class",
                sets=(a, b),
                numbers={
                    "total variation": distance,
                    "by chance": chance,
                    "worst": {"class": worst, a: p[worst], b: q[worst]},
                    "missing": {a: [c for c in every if not p[c]], b: [c for c in every if not q[c]]},
                },
            )
        )
    return notes


def counts(sets: Sequence[SetFacts]) -> list[Note]:
    """Different numbers of samples."""
    found = {s.name: len(s) for s in sets}
    if len(set(found.values())) < 2:
        return []
    return [
        Note(
            "counts",
            f"{_listed([f'{n:,}' for n in found.values()])} samples: raw values carry a bias that depends on "
            "the number, and precision, recall, density and coverage belong to it; compare corrected values or "
            "take as many",
            sets=tuple(found),
            numbers={"samples": found},
        )
    ]


def few(sets: Sequence[SetFacts], samples: int | None, protocol: str | None) -> list[Note]:
    """Fewer samples than were asked for."""
    if samples is None:
        return []
    asks = f"the protocol {protocol} asks for {samples:,}" if protocol else f"{samples:,} were asked for"
    return [
        Note(
            "few",
            f"{len(one):,} samples, and {asks}: the raw value is biased further than the printed ones it would be set "
            "beside; add samples, or give the number with the value",
            sets=(one.name,),
            numbers={"samples": len(one), "asked": samples, "protocol": protocol},
        )
        for one in sets
        if len(one) < samples
    ]


def _first_rows(one: SetFacts) -> dict[int, int]:
    """Digest -> the first row that has it."""
    first: dict[int, int] = {}
    for row, digest in enumerate(one.of("digest").tolist()):
        first.setdefault(digest, row)
    return first


def _equal(examples: Sequence[Sequence[str]]) -> str:
    return ", ".join(f"{shown(a)} is {shown(b)}" for a, b in examples)


def _and_more(examples: Sequence[str], total: int) -> str:
    more = total - len(examples)
    return ", ".join(map(shown, examples)) + (f" and {more:,} more" if more else "")


def _listed(parts: Sequence[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]])
