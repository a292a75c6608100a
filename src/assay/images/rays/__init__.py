"""How far are rendered rays from the pixels they should hit?"""

from __future__ import annotations

from .s3im import s3im

__all__ = ["s3im"]
