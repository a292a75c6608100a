"""How is the exact gradient of a whole batch found with the activations of one chunk in memory?"""

from __future__ import annotations

from .backward import CachedObjective, cached_backward

__all__ = ["CachedObjective", "cached_backward"]
