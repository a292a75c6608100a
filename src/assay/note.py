"""What must a reader know before using a number?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class Note:
    """One thing to know, as a record: programs read its parts, people its sentence.

    Attributes:
        kind: what it is about, one of few words: `"few samples"`, `"left out"`, `"duplicates"`.
        sentence: what it is and what it does to the numbers, without the names of the sets.
        sets: the sets it is about; none where it is about all.
        measures: the measures it is about, as they are printed; none where it is about all.
        numbers: what the sentence counts.
    """

    kind: str
    sentence: str
    sets: tuple[str, ...] = ()
    measures: tuple[str, ...] = ()
    numbers: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        who = ", ".join(self.sets)
        if self.measures:
            who = f"{', '.join(self.measures)} ({who})" if who else ", ".join(self.measures)
        return f"{who}: {self.sentence}" if who else self.sentence

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "kind": self.kind,
            "sentence": self.sentence,
            "sets": list(self.sets),
            "measures": list(self.measures),
            "numbers": dict(self.numbers),
        }


def told_once(notes: Iterable[Note]) -> tuple[Note, ...]:
    """The notes in their order, those of one kind and sentence as one that names all their sets and measures."""
    found: dict[tuple[str, str], Note] = {}
    for note in notes:
        same = found.get((note.kind, note.sentence))
        if same is None:
            found[note.kind, note.sentence] = note
        else:
            found[note.kind, note.sentence] = replace(
                same,
                sets=tuple(dict.fromkeys((*same.sets, *note.sets))),
                measures=tuple(dict.fromkeys((*same.measures, *note.measures))),
            )
    return tuple(found.values())
