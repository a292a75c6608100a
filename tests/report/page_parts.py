"""What a page holds: its sections and its data."""

from __future__ import annotations

import json
import re
from typing import Any


def data_of(page: str) -> dict[str, Any]:
    (block,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    return json.loads(block)


def sections(page: str) -> list[str]:
    return re.findall(r'<section id="(\w+)"', page)
