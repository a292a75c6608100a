"""Where may a reference be written, and what is said when it is?"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ..errors import UsageError
from ..printable import printable
from .targets import writable_target

if TYPE_CHECKING:
    from ..references import Reference

SUFFIX = ".safetensors"


def reference_target(path: str) -> str:
    """Refuse a place that cannot be written, or a file of another kind, before the work and not after it."""
    if not path.lower().endswith(SUFFIX):
        raise UsageError(f"--output {path}: expected the name of a {SUFFIX} file")
    writable_target(path, "--output")
    return path


def announced(made: Reference, path: str) -> str:
    """One line: what was written, of how many samples, and what it holds."""
    count = "an unknown number of" if made.count is None else f"{made.count:,.15g}"
    space = made.origin.extractor or "unnamed features"
    size = os.path.getsize(path) / 1e6
    return printable(
        f"{path}: {count} samples of {made.origin.description}, {space}, {made.width} wide: {made.held} "
        f"({size:.1f} MB)"
    )
