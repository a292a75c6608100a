"""What must be known before the numbers are used, and how were they made?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...comparison import Comparison
from .markup import Html, element, together
from .section import Section


def notes_section(found: Comparison) -> Section | None:
    """The notes, one a line, with who they are about."""
    if not found.notes:
        return None
    items = []
    for note in found.notes:
        who = ", ".join(note.sets)
        what = ", ".join(note.measures)
        about = f"{what} ({who})" if what and who else what or who
        about_it = [element("span", {"class": "about"}, about)] if about else []
        items.append(
            element("li", {}, element("strong", {}, note.kind), " \u2014 ", note.sentence, *about_it)
        )
    return Section(
        "notes", "Notes", ["What was seen in the sets and the numbers, and what it does to them."],
        element("ul", {"class": "notes"}, *items),
    )  # fmt: skip


def settings_section(found: Comparison) -> Section:
    """Everything it takes to get the same numbers again."""
    entries: list[Html] = []
    for key, value in found.settings.items():
        if key == "descriptions" or value is None or value == []:
            continue
        entries += [element("dt", {}, key.replace("_", " ")), element("dd", {}, _plain(value))]
    table = element("details", {}, element("summary", {}, "Settings"), element("dl", {}, *entries))
    lead = "The same sets, settings and versions give the same numbers."
    return Section("made", "How it was made", [lead], together([table]))


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return "; ".join(
            f"{k.replace('_', ' ')} {_plain(v)}" for k, v in value.items() if v not in (None, [])
        )
    if isinstance(value, (list, tuple)):
        return "\n".join(_plain(each) for each in value)
    return "yes" if value is True else "no" if value is False else str(value)
