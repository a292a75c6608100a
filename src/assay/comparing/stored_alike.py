"""Were the images of these sets compressed, sized and coloured alike?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import combinations

import numpy as np

from ..data.facts import UPSAMPLED, Format
from ..note import Note
from .set_facts import SHARE, SetFacts, percent, shares_of

QUALITY = 5  # of JPEG settings, by which medians may differ
ENLARGED = 0.25  # of images that look enlarged: some photographs at their own size do


def compression(sets: Sequence[SetFacts]) -> list[Note]:
    """A set that mixes JPEG with other files, or two that differ in it, by more than 5% of the images."""
    stored = {s.name: shares_of(s.of("format").tolist()) for s in sets}
    jpeg = {name: shares.get(Format.JPEG, 0.0) for name, shares in stored.items()}
    numbers = {
        name: {Format(code).name.lower(): share for code, share in shares.items()}
        for name, shares in stored.items()
    }
    notes = [
        Note(
            "compression",
            f"{percent(share)} are JPEG and the rest are not, so that a measure sees two kinds of images in one set; "
            "make all of it from files of one kind",
            sets=(name,),
            numbers={"shares": numbers[name]},
        )
        for name, share in jpeg.items()
        if SHARE < share < 1 - SHARE
    ]
    return notes + [
        Note(
            "compression",
            f"{percent(jpeg[a])} and {percent(jpeg[b])} are JPEG: its blocks and lost detail count as a difference "
            "between the sets; save both in the same way, without loss where possible",
            sets=(a, b),
            numbers={"shares": {a: numbers[a], b: numbers[b]}},
        )
        for a, b in combinations(jpeg, 2)
        if abs(jpeg[a] - jpeg[b]) > SHARE
    ]


def quality(sets: Sequence[SetFacts]) -> list[Note]:
    """Two sets whose median JPEG qualities differ by 5 or more."""
    medians = {}
    for one in sets:
        known = one.of("quality")[one.of("quality") > 0]
        if len(known) > SHARE * len(one):
            medians[one.name] = float(np.median(known))
    return [
        Note(
            "quality",
            f"the JPEGs have median qualities of about {medians[a]:.0f} and {medians[b]:.0f}: the coarser compression "
            "counts as a difference between the sets; save both with the same setting",
            sets=(a, b),
            numbers={"median": {a: medians[a], b: medians[b]}},
        )
        for a, b in combinations(medians, 2)
        if abs(medians[a] - medians[b]) >= QUALITY
    ]


def sizes(sets: Sequence[SetFacts]) -> list[Note]:
    """A set with images of several sizes, or two that differ in their commonest size."""
    notes = []
    commonest: dict[str, str] = {}
    for one in sets:
        pairs = zip(one.of("height").tolist(), one.of("width").tolist(), strict=True)
        counted = Counter(f"{height} x {width}" for height, width in pairs)
        size, count = counted.most_common(1)[0]
        commonest[one.name] = size
        if len(counted) > 1:
            share = count / len(one)
            notes.append(
                Note(
                    "sizes",
                    f"images of {len(counted):,} sizes, the commonest {size} (height x width) with {percent(share)}: "
                    "each is resized by another factor on its way to the features, and sharpness and proportions "
                    "differ; bring all to one size in one way first",
                    sets=(one.name,),
                    numbers={"sizes": len(counted), "commonest": size, "share": share},
                )
            )
    return notes + [
        Note(
            "sizes",
            f"images of {commonest[a]} and {commonest[b]} (height x width): resizing by different factors on the way "
            "to the features counts as a difference between the sets; bring both to one size in one way first",
            sets=(a, b),
            numbers={"commonest": {a: commonest[a], b: commonest[b]}},
        )
        for a, b in combinations(commonest, 2)
        if commonest[a] != commonest[b]
    ]


def enlarged(sets: Sequence[SetFacts]) -> list[Note]:
    """A set of which 25% or more look enlarged, or two sets that differ by that."""
    shares = {}
    for one in sets:
        known = one.of("detail")[~np.isnan(one.of("detail"))]
        if len(known) > SHARE * len(one):
            shares[one.name] = float((known < UPSAMPLED).mean())
    notes = [
        Note(
            "enlarged",
            f"{percent(share)} have no fine detail for their size: they were enlarged, or are out of focus, and their "
            "values cannot be set beside those of images at this size; go back to the originals, or shrink every set "
            "to the size that these came from",
            sets=(name,),
            numbers={"share": share, "detail below": UPSAMPLED},
        )
        for name, share in shares.items()
        if share >= ENLARGED
    ]
    return notes + [
        Note(
            "enlarged",
            f"{percent(shares[a])} and {percent(shares[b])} look enlarged: the missing detail counts as a difference "
            "between the sets; bring both to the smaller size first",
            sets=(a, b),
            numbers={"share": {a: shares[a], b: shares[b]}, "detail below": UPSAMPLED},
        )
        for a, b in combinations(shares, 2)
        if abs(shares[a] - shares[b]) >= ENLARGED
    ]


def grey(sets: Sequence[SetFacts]) -> list[Note]:
    """Two sets that differ by more than 5% grey images."""
    shares = {s.name: float(s.of("grey").mean()) for s in sets}
    return [
        Note(
            "grey",
            f"{percent(shares[a])} and {percent(shares[b])} are grey: colour counts as a difference between the sets; "
            "make both grey, or leave the grey images out",
            sets=(a, b),
            numbers={"share": {a: shares[a], b: shares[b]}},
        )
        for a, b in combinations(shares, 2)
        if abs(shares[a] - shares[b]) > SHARE
    ]
