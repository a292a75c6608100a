"""What must be known before scores are used?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ..comparison import Row
from ..data.names import shown
from ..note import Note, told_once
from .matching import Matched
from .passes import Passed

NAMED_AT_MOST = 5
Values = Mapping[str, Mapping[str, NDArray[np.float64]]]


def pair_notes(
    pairs: Matched,
    passed: Passed,
    rows: Sequence[Row],
    left_out: Sequence[str],
) -> tuple[Note, ...]:
    """Images without partner, images that could not be read, grey against colour, cut depths, infinite values."""
    notes = [Note("left out", sentence) for sentence in left_out]
    for name, count in pairs.unmatched.items():
        named = ", ".join(shown(each) for each in pairs.beside[name])
        more = f" and {count - len(pairs.beside[name]):,} more" if count > len(pairs.beside[name]) else ""
        images = "image has" if count == 1 else "images have"
        notes.append(
            Note(
                "left out",
                f"{count:,} {images} no partner of that name in every other set and did not count: {named}{more}",
                (name,),
                numbers={"images": count},
            )
        )
    notes += _unread(passed)
    for name, count in passed.half_grey.items():
        if count:
            notes.append(
                Note(
                    "grey and colour",
                    f"in {count:,} of {int(passed.measured.sum()):,} pairs one image is grey and the other in colour; "
                    "the grey level stands in all three channels",
                    (name,),
                    numbers={"pairs": count},
                )
            )
    for name, count in passed.cut.items():
        if count:
            notes.append(
                Note(
                    "16 bits",
                    f"{count:,} images have 16 bits a channel in colour, of which the high eight were read",
                    (name,),
                    numbers={"images": count},
                )
            )
    for name, count in passed.equal.items():
        if count:
            notes.append(
                Note(
                    "equal pairs",
                    f"{count:,} of {int(passed.measured.sum()):,} restored images equal their targets pixel by pixel, "
                    "and count with the value of equal images, which for psnr is its ceiling",
                    (name,),
                    numbers={"pairs": count},
                )
            )
    notes += _of_numbers(passed.values, passed, rows)
    return told_once(notes)


def _unread(passed: Passed) -> list[Note]:
    if not passed.unread:
        return []
    named = "; ".join(
        f"{shown(f'{each.of}/{each.name}')} ({each.reason})" for each in passed.unread[:NAMED_AT_MOST]
    )
    more = len(passed.unread) - NAMED_AT_MOST
    pairs = int((~passed.measured).sum())
    return [
        Note(
            "left out",
            f"{pairs:,} {'pair' if pairs == 1 else 'pairs'} did not count, for all candidates alike, because an image "
            f"cannot be read: {named}{f' and {more:,} more' if more > 0 else ''}",
            numbers={"pairs": pairs, "images": len(passed.unread)},
        )
    ]


def _of_numbers(values: Values, passed: Passed, rows: Sequence[Row]) -> list[Note]:
    notes = []
    for row in rows:
        own = values[row.candidate][row.name][passed.measured]
        infinite = int(np.isinf(own).sum())
        if infinite:
            notes.append(
                Note(
                    "infinite",
                    f"{infinite:,} of {len(own):,} values are infinite, and so is the mean; look at the pairs, or "
                    "leave out those that are equal",
                    (row.candidate,),
                    (row.name,),
                    numbers={"pairs": infinite},
                )
            )
        notes += [
            Note(each.kind, each.sentence, (row.candidate,), (row.name,)) for each in row.estimate.notes
        ]
    if rows and int(passed.measured.sum()) == 1:
        notes.append(Note("one pair", "one pair has a value and no interval"))
    return notes
