"""What makes the numbers of these sets incomparable?

A distance between sets of images answers to everything that differs between them, also to what nobody meant to measure:
how files were compressed, how large the images were, whether some were enlarged, copied or counted twice.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import UsageError
from ..note import Note
from .counted_alike import classes, constant, copies, counts, duplicates, few
from .set_facts import SetFacts
from .stored_alike import compression, enlarged, grey, quality, sizes

__all__ = ["SetFacts", "comparability"]


def comparability(
    sets: Sequence[SetFacts], *, samples: int | None = None, protocol: str | None = None
) -> tuple[Note, ...]:
    """What a reader must know before comparing numbers of these sets.

    | kind | told when |
    |---|---|
    | `copies` | a generated image equals a real one, pixel for pixel |
    | `duplicates` | an image equals another of its set |
    | `compression` | a set mixes JPEG with other files, or two sets differ in it, by more than 5% of the images |
    | `quality` | the median JPEG qualities of two sets differ by 5 or more |
    | `sizes` | a set has images of several sizes, or two sets differ in their commonest size |
    | `enlarged` | 25% of a set or more look enlarged, or two sets differ by that |
    | `grey` | two sets differ by more than 5% grey images |
    | `constant` | an image has one colour only |
    | `classes` | shares of classes differ by more than 5% (total variation) and by twice what chance explains |
    | `counts` | sets have different numbers of samples |
    | `few` | a set has fewer samples than `samples` |

    Args:
        sets: in the order they are printed in, each under a name of its own.
        samples: how many samples a set should have, such as the 50,000 of a protocol.
        protocol: its name, for the sentence.

    Returns:
        Notes in the order of the table. Where a note names two sets, the numbers in its sentence are in their order.

    Pictures are told apart by digests of 64 bits: among a million different ones, some pair agrees by luck in about 3
    of 100 million runs.

    Raises:
        UsageError: two sets of one name.
    """
    names = [s.name for s in sets]
    if len(set(names)) < len(names):
        raise UsageError(f"sets: two have the same name; their names are {', '.join(names)}")
    filled = [s for s in sets if len(s)]
    notes: list[Note] = []
    for look in (
        copies, duplicates, compression, quality, sizes, enlarged, grey, constant, classes, counts,
    ):  # fmt: skip
        notes += look(filled)
    return (*notes, *few(sets, samples, protocol))
