"""What does the text of an option mean?"""

from __future__ import annotations


def listed(text: str) -> list[str]:
    """The parts of a comma-separated list, without the empty ones."""
    return [part for part in (each.strip() for each in text.split(",")) if part]
