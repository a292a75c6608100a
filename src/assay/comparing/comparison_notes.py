"""What must be said of a comparison's sets and numbers before they are used?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..comparison import Difference, Floor, Published, Row
from ..note import Note
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
    return notes + list(comparability(seen))


def protocol_notes(published: Sequence[Published]) -> list[Note]:
    """Why values do not carry the published names."""
    notes = []
    for candidate in dict.fromkeys(value.candidate for value in published):
        own = [value for value in published if value.candidate == candidate and value.unmet]
        if own:
            names = ", ".join(value.standard for value in own)
            notes.append(
                Note(
                    "protocol",
                    f"not to be called {names}: {'; '.join(own[0].unmet)}",
                    sets=(candidate,),
                    numbers={"unmet": list(own[0].unmet)},
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
