"""Docstrings as they are written for a reader of the source, made ready for a page."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Function, Object

# formulas and code keep their angle brackets
KEPT = re.compile(r"(\$\$.*?\$\$|`[^`]*`)", re.DOTALL)
RETURNS = re.compile(r"^(Returns:\n[ ]+)(?=\S)", re.MULTILINE)


def literal(text: str) -> str:
    """Literal blocks as Markdown has them: indented is enough."""
    return re.sub(r"^[ ]*::\n", "\n", text, flags=re.MULTILINE).replace("::\n", ":\n")


class ForPages(Extension):
    """Angle brackets stay text, a literal block's double colon is one colon, and what is returned has its type."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        if obj.docstring is None:
            return
        text = obj.docstring.value
        parts = KEPT.split(text)
        parts[::2] = [literal(part.replace("<", "&lt;")) for part in parts[::2]]
        text = "".join(parts)
        if isinstance(obj, Function) and obj.returns is not None:
            # a colon later in the sentence would be read as the end of the type
            text = RETURNS.sub(lambda found: f"{found[1]}{obj.returns}: ", text)
        obj.docstring.value = text
