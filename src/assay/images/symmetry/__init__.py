"""Is the image its own mirror image?"""

from __future__ import annotations

from .mirror import mirror_symmetry

__all__ = ["mirror_symmetry"]
