"""What must be said of a comparison's sets and numbers before they are used?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..comparison import Difference, Floor, Published, Row
from ..note import Note
from ..sets import data_copying_test
from .comparability import SetFacts, comparability
from .compared_sets import ComparedSet

ROWS_AT_ONCE = 1024  # as 64-bit numbers
MANY_DIFFERENCES = 10  # from here on some are expected to exceed their intervals by luck


def set_notes(sets: Sequence[ComparedSet], held_out: ComparedSet | None = None) -> list[Note]:
    """What was left out of the sets, and what makes their images incomparable; the real set first."""
    everything = [*sets, *(() if held_out is None else (held_out,))]
    notes = [_left_out(one) for one in everything if one.dropped]
    seen = [
        SetFacts(
            one.name,
            "generated" if 0 < k < len(sets) else "real",
            one.facts,
            one.names,
            None if one.labels is None else one.labels.tolist(),
        )
        for k, one in enumerate(everything)
        if one.facts and one.names is not None
    ]
    notes += comparability(seen)
    return notes if held_out is None else notes + _trained_on(sets[0], held_out)


def _trained_on(real: ComparedSet, held_out: ComparedSet) -> list[Note]:
    """Whether held-out samples are among those that were trained on: then nothing can tell copies from new ones."""
    if real.features is None or held_out.features is None:
        return []
    same = int(np.isin(_digests(held_out.features), _digests(real.features)).sum())
    if not same:
        return []
    return [
        Note(
            "held out",
            f"{same:,} of its {len(held_out):,} samples are among those of {real.name}: they are not held out, and "
            "what is measured with them says nothing of memorising; take them out of one of the two",
            sets=(held_out.name,),
            numbers={"same": same, "of": len(held_out)},
        )
    ]


def _digests(features: Tensor) -> NDArray[np.uint64]:
    """(n,) 64-bit digest of each row's float32 bits, in whole numbers: the same wherever a row stands."""
    factors = np.random.default_rng(0).integers(1, 2**63, features.shape[1], dtype=np.uint64) | np.uint64(1)
    digests = np.empty(len(features), dtype=np.uint64)
    for start in range(0, len(features), ROWS_AT_ONCE):
        part = features[start : start + ROWS_AT_ONCE].detach().cpu().float().contiguous().numpy()
        digests[start : start + len(part)] = (part.view(np.uint32) * factors).sum(1, dtype=np.uint64)
    return digests


def copying_notes(real: ComparedSet, made: Sequence[ComparedSet], held_out: ComparedSet | None) -> list[Note]:
    """The published statistic C_T beside the effect that the table shows."""
    if held_out is None or real.features is None:
        return []
    notes = []
    for one in made:
        found = data_copying_test(real.features, one.features, held_out.features)
        notes.append(
            Note(
                "C_T",
                f"C_T = {found.statistic:.2f}, p = {found.p_value:.2g} for copying: a z-score, far below 0 where "
                "generated samples are closer to the training samples than held-out ones are; ct in the table is its "
                "effect, which does not grow with the number of samples",
                sets=(one.name,),
                numbers={"C_T": found.statistic, "p": found.p_value},
            )
        )
    return notes


def protocol_notes(published: Sequence[Published]) -> list[Note]:
    """Why values do not carry the published names."""
    notes = []
    for candidate in dict.fromkeys(value.candidate for value in published):
        reasons: dict[tuple[str, ...], list[str]] = {}
        for value in published:
            if value.candidate == candidate and value.unmet:
                reasons.setdefault(value.unmet, []).append(value.standard)
        for unmet, names in reasons.items():
            notes.append(
                Note(
                    "protocol",
                    f"not to be called {', '.join(names)}: {'; '.join(unmet)}",
                    sets=(candidate,),
                    numbers={"unmet": list(unmet)},
                )
            )
    return notes


def number_notes(found: Sequence[Row | Floor], differences: Sequence[Difference], level: float) -> list[Note]:
    """What the numbers themselves say of how far they can be trusted."""
    notes = []
    for row in found:
        own = (row.candidate,) if isinstance(row, Row) else ("floor",)
        for note in row.estimate.notes:
            about = note.sets if note.sets and isinstance(row, Row) else own
            notes.append(replace(note, sets=about, measures=(row.name,)))
    if len(differences) >= MANY_DIFFERENCES:
        chance = len(differences) * (1 - level)
        notes.append(
            Note(
                "many differences",
                f"{len(differences)} differences were looked at: where nothing differs, about {chance:.1f} of them "
                "would exceed their intervals by luck",
                numbers={"differences": len(differences), "by luck": chance},
            )
        )
    return notes


def _left_out(one: ComparedSet) -> Note:
    some = ", ".join(f"{name!r} ({reason})" for name, reason in one.dropped[:5])
    more = f" and {len(one.dropped) - 5} more" if len(one.dropped) > 5 else ""
    return Note(
        "left out",
        f"{len(one.dropped)} of {one.total} images cannot be read and were left out: {some}{more}",
        sets=(one.name,),
        numbers={"left out": len(one.dropped), "of": one.total},
    )
