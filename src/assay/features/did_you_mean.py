"""Which known name is near to one that is not known?"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str], before: str = "") -> str:
    """`did you mean X? ` with what stands before such names, or nothing where no known name is near."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.4)
    return f"did you mean {before}{near[0]}? " if near else ""
