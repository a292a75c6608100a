"""How does text become markup without ever becoming markup that somebody else wrote?"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

VOID = frozenset(("br", "circle", "img", "input", "line", "link", "meta", "rect"))
LONGEST_NAME = 200  # characters; longer ones lose their middle

Attributes = Mapping[str, "str | int | bool | None"]


class Html(str):
    """Markup. Text that is not of this type is escaped wherever it is put into a page."""

    __slots__ = ()


def element(name: str, attributes: Attributes, *children: str) -> Html:
    """One element; children that are not `Html` are text. An attribute that is None or False is left out."""
    opening = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in VOID:
        return Html(f"<{name}{opening}>" if name not in ("circle", "line", "rect") else f"<{name}{opening}/>")
    return Html(f"<{name}{opening}>{together(children)}</{name}>")


def together(parts: Iterable[str]) -> Html:
    """Parts one after the other, those that are text escaped."""
    return Html("".join(part if isinstance(part, Html) else escape(readable(part)) for part in parts))


def readable(text: str) -> str:
    """Text in which every character can be seen: controls, reordering marks and undecodable bytes as escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)


def shortened(name: str) -> str:
    """A name that can be seen and is not endless; what is left out of a long one is its middle."""
    name = readable(name)
    if len(name) <= LONGEST_NAME:
        return name
    return f"{name[: LONGEST_NAME // 2]}\u2026{name[-LONGEST_NAME // 2 :]}"


def data_block(identity: str, content: Any) -> Html:
    """JSON inside a page: nothing in it can end the script element, start another, or end a line of a program."""
    # ASCII alone: U+2028 and U+2029, which end lines in scripts, are escapes already
    text = json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return element("script", {"type": "application/json", "id": identity}, Html(text))


def _attribute(key: str, value: str | int | bool | None) -> str:
    if value is None or value is False:
        return ""
    return f" {key}" if value is True else f' {key}="{escape(readable(str(value)))}"'
