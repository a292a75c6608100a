"""What did earlier comparisons find, and is today's better?"""

from __future__ import annotations

from .difference import RunsDifference, difference_of_runs
from .remember import remember
from .store import History
from .stored import Run, StoredInput, StoredValue

__all__ = [
    "History",
    "Run",
    "RunsDifference",
    "StoredInput",
    "StoredValue",
    "difference_of_runs",
    "remember",
]
