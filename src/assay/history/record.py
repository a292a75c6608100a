"""How is a whole comparison written down so that its table can be printed again?"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any, TypeVar

from ..comparison import Comparison, Difference, Floor, Published, Row
from ..estimate import Estimate
from ..note import Note
from ..report.explained import explained_lines

T = TypeVar("T")


def as_text(found: Comparison) -> str:
    """The comparison as JSON, of its samples what is said in words; unlike in files for others, NaN is kept."""
    parts = {
        "rows": _all(found.rows),
        "aims": _all(found.aims),
        "differences": _all(found.differences),
        "floor": _all(found.floor),
        "notes": _all(found.notes),
        "classes": _all(found.classes),
        "published": _all(found.published),
        "settings": dict(found.settings),
        "explained": explained_lines(found),
    }
    return json.dumps(parts)


def from_text(text: str) -> Comparison:
    """What `as_text` wrote; a part that this version does not know is left out."""
    parts = json.loads(text)
    return Comparison(
        rows=tuple(_row(row) for row in parts["rows"]),
        aims=tuple(_row(row) for row in parts["aims"]),
        differences=tuple(_estimated(Difference, each) for each in parts["differences"]),
        floor=tuple(_estimated(Floor, each) for each in parts["floor"]),
        notes=_notes(parts["notes"]),
        classes=tuple(_row(row) for row in parts["classes"]),
        published=tuple(_published(each) for each in parts["published"]),
        settings=parts["settings"],
    )


def explained_of(text: str) -> list[tuple[str, list[str]]]:
    """What the text that `as_text` wrote says of samples and groups: headings with their lines."""
    return [(heading, list(lines)) for heading, lines in json.loads(text).get("explained", ())]


def _all(found: Sequence[Any]) -> list[dict[str, Any]]:
    return [asdict(each) for each in found]


def _made(kind: type[T], parts: Mapping[str, Any]) -> T:
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    return kind(**{name: part for name, part in parts.items() if name in known})


def _estimated(kind: type[T], parts: Mapping[str, Any]) -> T:
    notes = _notes(parts["estimate"]["notes"])
    return _made(kind, {**parts, "estimate": _made(Estimate, {**parts["estimate"], "notes": notes})})


def _row(parts: Mapping[str, Any]) -> Row:
    return _estimated(Row, parts)


def _published(parts: Mapping[str, Any]) -> Published:
    return _made(Published, {**parts, "unmet": tuple(parts["unmet"])})


def _notes(parts: Sequence[Mapping[str, Any]]) -> tuple[Note, ...]:
    return tuple(
        _made(Note, {**each, "sets": tuple(each["sets"]), "measures": tuple(each["measures"])})
        for each in parts
    )
