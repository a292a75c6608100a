"""Do the frequencies of small blocks vary over the image alike?"""

from __future__ import annotations

from .dss import dss

__all__ = ["dss"]
