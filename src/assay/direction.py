"""Which direction is better?"""

from __future__ import annotations

from typing import Literal

Direction = Literal["lower is better", "higher is better"]
