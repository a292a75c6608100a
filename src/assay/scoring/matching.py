"""Which restored image belongs to which target?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal
from unicodedata import normalize

from ..data.names import shown
from ..errors import DataError, UsageError

Match = Literal["name", "order", "common"]
HOW: tuple[Match, ...] = ("name", "order", "common")
NAMED_AT_MOST = 5


@dataclass(frozen=True)
class Matched:
    """Which images are measured together.

    Attributes:
        target: (n,) which item of the target each pair has, ascending.
        candidates: name -> (n,) which item of it belongs there.
        unmatched: set -> how many of its images have no partner.
        beside: set -> the names of the first of these.
    """

    target: Sequence[int]
    candidates: Mapping[str, Sequence[int]]
    unmatched: Mapping[str, int]
    beside: Mapping[str, Sequence[str]]


def matched(
    target: tuple[str, Sequence[str]], candidates: Mapping[str, Sequence[str]], how: Match
) -> Matched:
    """Pairs by name (the path inside the set without its suffix), by order, or by the names that all sets have.

    Args:
        target: what the target set is called, and the names of its images.
        candidates: name -> the names of its images.
        how: "name": every image has a partner of its name. "order": image i belongs to target i. "common": by name,
            and images without a partner in every set are left out.

    Raises:
        UsageError: another word for how.
        DataError: images without a partner; other numbers of images by order; two images of one name in a set; no
            name in common.
    """
    if how not in HOW:
        raise UsageError(f"match: expected {', '.join(HOW)}, got {how!r}")
    called, names = target
    if how == "order":
        for candidate, own in candidates.items():
            if len(own) != len(names):
                raise DataError(
                    f"{candidate} has {len(own):,} images and {called} {len(names):,}: by order every image needs its "
                    "target; match by name, or give sets of one size"
                )
        rows = range(len(names))
        return Matched(rows, dict.fromkeys(candidates, rows), {}, {})
    at = {candidate: _by_stem(candidate, own) for candidate, own in candidates.items()}
    of_target = _by_stem(called, names)
    common = [stem for stem in of_target if all(stem in own for own in at.values())]
    if how == "name":
        for candidate, rows_of in at.items():
            _refuse_unmatched((candidate, rows_of, candidates[candidate]), (called, of_target, names))
    if not common:
        raise DataError(
            f"{called} and {', '.join(candidates)} have no image name in common: {called} has "
            f"{_some(names[:1], 1)}, {next(iter(candidates))} {_some(next(iter(candidates.values()))[:1], 1)}; give "
            "the images of a pair one name (suffixes may differ), or match by order (--match order / match='order')"
        )
    kept = set(common)
    beside = {
        name: [own_names[row] for stem, row in own.items() if stem not in kept]
        for name, own, own_names in [
            (called, of_target, names),
            *((name, own, candidates[name]) for name, own in at.items()),
        ]
    }
    return Matched(
        [of_target[stem] for stem in common],
        {candidate: [own[stem] for stem in common] for candidate, own in at.items()},
        {name: len(left) for name, left in beside.items() if left},
        {name: left[:NAMED_AT_MOST] for name, left in beside.items() if left},
    )


def stem_of(name: str) -> str:
    """`dogs/0001.png` -> `dogs/0001`; an accented letter is one character, as macOS and zip files disagree about."""
    path = PurePosixPath(normalize("NFC", name))
    return str(path.with_suffix("")) if path.suffix else str(path)


def _by_stem(called: str, names: Sequence[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for row, name in enumerate(names):
        stem = stem_of(name)
        if stem in found:
            raise DataError(
                f"{called} has two images called {shown(stem)}: {shown(names[found[stem]])} and {shown(name)}; remove "
                "one, or match by order (--match order / match='order')"
            )
        found[stem] = row
    return found


def _refuse_unmatched(
    one: tuple[str, Mapping[str, int], Sequence[str]], other: tuple[str, Mapping[str, int], Sequence[str]]
) -> None:
    parts = []
    for (called, own, names), (_, there, _) in ((one, other), (other, one)):
        alone = [names[row] for stem, row in own.items() if stem not in there]
        if alone:
            parts.append(f"only in {called}: {_some(alone, len(alone))}")
    if parts:
        raise DataError(
            f"{one[0]} and {other[0]} cannot be paired by name: {'; '.join(parts)}. Score what both have with --match "
            "common / match='common', or match by order with --match order / match='order'"
        )


def _some(names: Sequence[str], count: int) -> str:
    named = ", ".join(shown(name) for name in names[:NAMED_AT_MOST])
    return named if count <= NAMED_AT_MOST else f"{named} and {count - NAMED_AT_MOST:,} more"
