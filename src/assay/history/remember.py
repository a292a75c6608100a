"""A comparison goes into the history; whatever becomes of that, the comparison itself is not lost."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from ..comparison import Comparison, Row
from ..errors import DataError, MissingExtra, UsageError
from ..trace import Kept
from .command_line import command_line
from .content import content_of
from .record import as_text
from .store import History

if TYPE_CHECKING:
    from ..comparing.compared_sets import ComparedSet


def remember(
    found: Comparison,
    sets: Mapping[str, Sequence[ComparedSet]],
    kept: Mapping[tuple[str, str], Kept],
    history: History | None = None,
) -> int | None:
    """Add a comparison to the history, and return the run's number; None, and a warning, where it cannot be added.

    Args:
        found: the comparison.
        sets: by role, "real", "candidate" and "held_out".
        kept: what is kept of each value, by candidate and printed name.
        history: by default the one at home.
    """
    try:
        where = History.at_home() if history is None else history
        inputs = [_input(role, one) for role, each in sets.items() for one in each]
        values = [(_value(row), kept.get((row.candidate, row.name))) for row in found.rows]
        values += [(_value(row), None) for row in found.classes]
        return where.add(_run(found), inputs, values)
    except (DataError, UsageError, MissingExtra) as error:
        reason = str(error)
    except Exception as error:  # the numbers are there and must reach who waits for them
        reason = f"{type(error).__name__}: {error}"
    warnings.warn(f"this comparison is not in the history: {reason}", stacklevel=3)
    return None


def _run(found: Comparison) -> dict[str, Any]:
    settings = found.settings
    return {
        "time": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "command": json.dumps([_storable(each) for each in command_line()]),
        "features": _storable(settings["features"]),
        "fingerprint": settings["fingerprint"],
        "protocol": settings["protocol"],
        "seed": settings["seed"],
        "level": settings["level"],
        "paired": int(settings["paired"]),
        "versions": json.dumps(settings["versions"]),
        "comparison": as_text(found),
    }


def _input(role: str, one: ComparedSet) -> dict[str, Any]:
    return {
        "role": role,
        "name": _storable(one.name),
        "description": _storable(one.description),
        "content": content_of(one),
        "n": len(one) or None,
    }


def _value(row: Row) -> dict[str, Any]:
    e = row.estimate
    return {
        "candidate": _storable(row.candidate),
        "name": _storable(row.name),
        "measure": row.measure,
        "class": None if row.group is None else _storable(row.group),
        "direction": row.direction,
        "value": _number(e.value),
        "corrected": _number(e.corrected),
        "std_error": _number(e.std_error),
        "low": _number(e.low),
        "high": _number(e.high),
        "level": e.level,
        "method": e.method,
        "n_real": e.n_x,
        "n_generated": e.n_y,
    }


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def _storable(text: str) -> str:
    """A name may hold bytes that are no text; they are written as they would be escaped."""
    return text.encode("utf-8", errors="backslashreplace").decode()
