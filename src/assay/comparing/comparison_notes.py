"""What must be said of a comparison's sets and numbers before they are used?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..comparison import Difference, Floor, Published, Row
from ..note import Note
from ..sets import data_copying_test
from .comparability import SetFacts, comparability
from .compared_sets import ComparedSet

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
    known = {row.tobytes() for row in real.features.cpu().numpy()}
    same = sum(row.tobytes() in known for row in held_out.features.cpu().numpy())
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
