"""Scores go into the history as a comparison does: the target in the real set's place, values paired."""

from __future__ import annotations

import hashlib

import numpy as np
import torch

from ..comparing.compared_sets import ComparedSet
from ..trace import Kept
from .passes import Passed
from .scores import Scores


def remember_scores(found: Scores, passed: Passed, *, clustered: bool) -> int | None:
    """Add scores to the history, and return the run's number; None, and a warning, where they cannot be added.

    Of each mean the pairs' influences are kept, so that `assay diff` of two runs on the same pairs is surer than both;
    not where pairs belong together, because their labels are not kept.
    """
    from ..history import remember

    goal = found.settings["real"]["name"]
    sets = {name: _as_set(found, passed, name) for name in found.images}
    kept = {}
    for row in found.rows:
        own = found.values[row.candidate][row.name]
        if not clustered and len(own) > 1 and np.isfinite(own).all():
            kept[row.candidate, row.name] = Kept({"pairs": (own - own.mean()).astype(np.float32)})
    candidates = tuple(sets[name] for name in found.restored)
    return remember(found.comparison, {"real": (sets[goal],), "candidate": candidates, "held_out": ()}, kept)


def _as_set(found: Scores, passed: Passed, name: str) -> ComparedSet:
    from ..features.content import content_of

    # what was measured of an image is part of what is equal or not
    seen = hashlib.blake2b(str(found.seen).encode(), digest_size=20).digest()
    return ComparedSet(
        name=name,
        description=found.images[name].description,
        features=torch.empty(len(found), 0),
        total=len(found.images[name]),
        unit="images",
        positions=torch.tensor(found.places[name]),
        digest=content_of([seen, *passed.digests[name]]),
    )
