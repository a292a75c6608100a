"""How far is an image from its target, be that an image or a text?"""

from __future__ import annotations

from .text import clip_score

__all__ = ["clip_score"]
