"""What may be printed to a terminal?"""

from __future__ import annotations


def printable(text: str) -> str:
    """The text with every character that is none to look at spelled out (`\\x1b`, `\\n`); letters of all scripts stay.

    File names, headers of files and arguments may hold codes that a terminal obeys, line breaks, and bytes that are
    no text.
    """
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
