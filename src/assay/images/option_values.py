"""Is an option of the kind that it has to be? In comparisons that compile, whatever is given."""

from __future__ import annotations

from typing import Any

from ..errors import UsageError


def is_number(value: Any) -> bool:
    """Whether it is a number; true and false are none. NaN is one: comparisons refuse it."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def is_whole(value: Any) -> bool:
    """Whether it is a whole number; true and false are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def true_or_false(value: Any, name: str) -> None:
    """Refuse what would only count as true or false, such as the words."""
    if not isinstance(value, bool):
        raise UsageError(f"{name}: expected True or False, got {value!r}")
